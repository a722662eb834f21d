"""The golden vectors: the file, the C core, the plain reference and docs/order.md say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atlas_ds.order import Exact, MixOrder, Window
from reference import order as reference

DOCS = Path(__file__).resolve().parents[3] / "docs"
TEXT = (DOCS / "order-vectors.json").read_text()
VECTORS: list[dict[str, Any]] = reference.from_text(json.loads(TEXT))
NAMES = [f"{number}-{vector['order']}" for number, vector in enumerate(VECTORS)]


def from_core(c: dict[str, Any]) -> list[int]:
    if c["order"] == "exact":
        return Exact(c["length"], c["seed"], c["epoch"], c["substream"]).take(c["start"], len(c["out"])).tolist()
    if c["order"] == "window":
        chunks = tuple(c["chunks"]) if c["equal"] else np.array(reference.row_counts(c["chunks"]))
        return Window(chunks, c["lanes"], c["window"], c["seed"], c["epoch"], c["substream"]).take(c["start"], len(c["out"])).tolist()
    mix = MixOrder(c["segments"][0][1], c["seed"])
    for origin, weights in c["segments"][1:]:
        mix = mix.reweighted(origin, weights)
    return np.stack(mix.take(c["start"], len(c["out"]) // 2), axis=1).ravel().tolist()


@pytest.mark.parametrize("vector", VECTORS, ids=NAMES)
def test_the_core_gives_the_vectors(vector: dict[str, Any]) -> None:
    assert from_core(vector) == vector["out"]


@pytest.mark.parametrize("vector", VECTORS, ids=NAMES)
def test_the_reference_gives_the_vectors(vector: dict[str, Any]) -> None:
    assert reference.numbers(vector) == vector["out"]


def test_no_number_is_one_that_a_reader_of_json_rounds() -> None:
    numbers: list[int] = []
    json.loads(TEXT, parse_int=lambda digits: numbers.append(int(digits)))
    assert 0 < max(numbers) < 1 << 53 and '"seed":"18446744073709551615"' in TEXT


def test_the_page_shows_the_vectors() -> None:
    assert len(VECTORS) >= 20
    assert "\n".join(reference.table(VECTORS)) in (DOCS / "order.md").read_text()
    assert [{**vector, "out": None} for vector in VECTORS] == json.loads(json.dumps([{**config, "out": None} for config in reference.CONFIGURATIONS]))
