"""A dataset with every kind of column, and a way to call the command as a user would."""

import json
from pathlib import Path

import numpy as np
import pytest

from atlas_ds import AtlasDatasetWriter, Media
from atlas_ds.cli import main

JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 40


@pytest.fixture
def cars(tmp_path: Path) -> Path:
    path = tmp_path / "cars"
    with AtlasDatasetWriter(path, shard_size=400, metadata={"classes": ["van", "bus"]}) as writer:
        for i in range(600):
            example = {
                "label": i % 2,
                "score": i / 7,
                "image": np.full((4, 5, 3), i % 251, np.uint8),
                "photo": Media(JPEG, "image/jpeg"),
                "raw": bytes(i % 9),
                "caption": f"car number {i} " * (40 if i == 0 else 1),
                "note": None if i % 3 else "hm",
                "boxes": {"x": i, "y": -i},
            }
            writer.add_example(example, split="train" if i < 500 else "test")
    return path


@pytest.fixture
def cli(capsys):
    """cli("info", path) -> (exit code, stdout, stderr)"""

    def call(*argv: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(arg) for arg in argv])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def cli_json(cli):
    def call(*argv: object) -> dict:
        code, out, err = cli(*argv, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return call
