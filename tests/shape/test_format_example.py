"""The bytes printed in FORMAT.md, section 18, are those of a shard that is written today, and the second reader understands them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).parent


def load(name: str, path: Path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


example = load("format_example", HERE / "format_example.py")


def printed() -> str:
    return example.FORMAT.read_text().split(example.MARK)[1].split("```text\n")[1].split("\n```")[0]


def test_printed_bytes_are_written_today():
    assert printed() == example.section()


def test_reference_reads_the_printed_bytes(tmp_path):
    sys.path.insert(0, str(HERE.parent))
    from reference.reader import Shard

    path = tmp_path / "printed.atlas"
    path.write_bytes(bytes.fromhex("".join(line[7:54] for line in printed().splitlines())))
    shard = Shard(path.read_bytes())
    shard.verify()
    assert [shard.example(i) for i in range(3)] == example.EXAMPLES
