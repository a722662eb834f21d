"""Checks that a peer gives back what was written, on a sample."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

from benchmarks.peers import RANDOM, Reader
from benchmarks.schema import Schema, pick, same
from benchmarks.workloads import Workload

SAMPLE = 200


def columns_match(data: dict[str, Any], expected: list[dict], schema: Schema) -> bool:
    """Whether columns hold the expected examples."""
    for path, field in schema.leaves():
        column = pick(data, path)
        values = [pick(example, path) for example in expected]
        if field.kind in ("array", "int"):
            wanted = np.stack(values) if field.kind == "array" else np.array(values)
            kind = np.dtype(field.dtype or np.int64)
            if not isinstance(column, np.ndarray) or column.dtype != kind:
                return False
            if column.shape != wanted.shape or not np.array_equal(column, wanted):
                return False
        elif list(column) != values:
            return False
    return True


def verify(reader: Reader, workload: Workload, *, random: bool) -> list[str]:
    """Names of the checks that failed."""
    examples, schema = workload.examples, workload.schema
    chosen = np.random.default_rng(1).integers(0, len(examples), SAMPLE)
    wanted = [examples[index] for index in chosen.tolist()]
    head = list(islice(workload, SAMPLE))
    failed = [] if len(reader) == len(examples) else ["len"]
    if random:
        if not all(same(e, reader.get(i)) for i, e in zip(chosen.tolist(), wanted)):
            failed.append("get")
        if not columns_match(reader.batch(chosen), wanted, schema):
            failed.append("batch")
        many = reader.get_many(chosen.tolist())
        if len(many) != SAMPLE or not all(map(same, wanted, many)):
            failed.append("get_many")
    if not all(map(same, head, islice(reader.scan(), SAMPLE))):
        failed.append("scan")
    first = next(iter(reader.scan_batches(SAMPLE)))
    if not columns_match(first, head[: _length(first)], schema) or _length(first) == 0:
        failed.append("scan_batches")
    return failed


def _length(data: dict[str, Any]) -> int:
    value = next(iter(data.values()))
    return _length(value) if isinstance(value, dict) else len(value)


def is_random(skipped: frozenset[str]) -> bool:
    """Whether a peer that skips these questions can read single examples."""
    return not skipped >= RANDOM
