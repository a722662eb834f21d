"""Both readers agree, on every golden file, with what was written when it was made. Files are only ever added."""

import itertools
import json
import sys
from pathlib import Path

import pytest

import atlas_ds as atlas
from reference.reader import Dataset
from reference.wire import CELLS, FIXED, LZ4, NARROW, SHORT, VALIDITY, VAR, ZSTD, pad
from support import agrees, same

sys.path.insert(0, str(Path(__file__).resolve().parent))
import hand
from make import FILES, cases, expected_of, plain

FOLDERS = sorted(path.parent for path in FILES.glob("*/*/atlas.json"))


def names(path):
    return f"{path.parent.name}-{path.name}"


def test_there_are_some_and_they_are_small():
    assert len(FOLDERS) >= 20 and sum(file.stat().st_size for file in FILES.rglob("*") if file.is_file()) < 520_000


@pytest.mark.parametrize("folder", FOLDERS, ids=names)
@pytest.mark.parametrize("options", [{}, {"io": "pread", "memory_limit": 1}, {"copy": False, "verify": "always"}], ids=str)
def test_atlas_reads_it(folder, options):
    expected = json.loads((folder / "expected.json").read_text())
    dataset = atlas.AtlasDataset(folder, **options)
    assert len(dataset) == expected["rows"] and dataset.metadata["golden"] == folder.name
    order = list(range(len(expected["first"])))
    if folder.name == "tuple":  # its rows went to two splits, one after the other
        order = [0, 2, 4, 1, 3]
    for place, i in enumerate(order):
        assert plain(thaw(dataset[place])) == expected["first"][i]
    assert [plain(thaw(row)) for row, _ in zip(dataset, order, strict=False)] == [expected["first"][i] for i in order]


def thaw(value):
    """What copy=False gives as memoryviews, as bytes."""
    if isinstance(value, dict):
        return {name: thaw(v) for name, v in value.items()}
    if isinstance(value, list):
        return [thaw(v) for v in value]
    return bytes(value) if isinstance(value, memoryview) else value


@pytest.mark.parametrize("folder", FOLDERS, ids=names)
def test_the_reference_reads_it(folder):
    other = Dataset(folder)
    for shard in other.shards():
        shard.verify()
    dataset = atlas.AtlasDataset(folder)
    theirs = list(other.examples())
    assert len(theirs) == len(dataset) and all(map(agrees, dataset, theirs))


@pytest.mark.parametrize("folder", FOLDERS, ids=names)
def test_it_verifies(folder):
    assert atlas.verify(folder).damages == []


def test_every_layout_codec_and_flag_is_among_them():
    """Counted from the page tables, by the reference reader."""
    seen = set()
    for folder in FOLDERS:
        for shard in Dataset(folder).shards():
            seen.add(f"dictionaries {min(1, shard.foot.dictionary_count)}")
            for group, blocks in enumerate(shard.index):
                for number in range(len(blocks)):
                    _, pages = shard.block(group, number)
                    seen |= {f"layout {p.layout}" for p in pages} | {f"codec {p.codec}" for p in pages} | {f"flag {b}" for p in pages for b in (1, 2, 4) if p.flags & b}
                    seen |= {"cells of several values" for p in pages if p.cell_rows > 1} | {"cells with a dictionary" for p in pages if p.flags & 2 and p.dictionary} | {"whole page coded" for p in pages if p.codec and not p.flags & 2}
    assert seen >= {*(f"layout {n}" for n in range(1, 6)), *(f"codec {n}" for n in range(3)), "flag 1", "flag 2", "flag 4", "dictionaries 1", "cells with a dictionary", "cells of several values", "whole page coded"}


def test_the_script_still_makes_these_rows():
    """expected.json of 2.0 follows from make.py, so that the files can be understood."""
    for name, (_, rows, _) in cases().items():
        assert json.loads((FILES / "2.0" / name / "expected.json").read_text()) == expected_of(rows)


def test_the_builder_still_makes_the_forms_that_no_writer_makes():
    """Of 2.0, to the row; and each form is there, whatever the libraries of today made of it."""
    forms = set()
    for name, (_, schema, rows) in hand.cases().items():
        folder = FILES / "2.0" / name
        assert json.loads((folder / "expected.json").read_text()) == expected_of(rows) and Dataset(folder).manifest["schema"] == schema
        for shard in Dataset(folder).shards():
            for number in range(len(shard.index[0])):
                _, pages = shard.block(0, number)
                start = shard.index[0][number].offset
                for page, leaf in zip(pages, shard.leaves, strict=True):
                    forms.add((page.layout, page.codec, "cells" if page.flags & CELLS else "", leaf.kind, bool(page.dictionary)))
                    if page.cell_rows > 1:
                        forms.add(("several", page.layout, page.codec, leaf.kind, bool(page.flags & SHORT), page.nulls > 0))
                    elif page.flags & CELLS:
                        forms |= cells_of(shard.data[start + page.offset : start + page.offset + page.stored], page, len(shard.page(shard.leaves.index(leaf), number)))
    fixed, variable = 1, 2
    assert forms >= {(VAR, codec, cells, variable, True) for codec in (LZ4, ZSTD) for cells in ("", "cells")}
    assert forms >= {(layout, codec, "cells", fixed, False) for layout in (FIXED, NARROW) for codec in (LZ4, ZSTD)}
    assert forms >= {(NARROW, ZSTD, "", variable, False), (NARROW, ZSTD, "cells", variable, False), (NARROW, LZ4, "cells", variable, False), (NARROW, LZ4, "", fixed, False)}
    assert {form[1:4] for form in forms if form[0] == "several"} == {(layout, codec, fixed) for layout in (FIXED, NARROW) for codec in (LZ4, ZSTD)} | {
        (layout, codec, variable) for layout in (VAR, NARROW) for codec in (LZ4, ZSTD)
    }
    assert {form[4:] for form in forms if form[0] == "several"} >= {(short, True) for short in (False, True)}
    assert forms >= {(codec, form) for codec in (LZ4, ZSTD) for form in ("block", "raw", "frame", "empty", "frame with a dictionary")} | {(ZSTD, "one byte")}


def cells_of(stored, page, rows):
    """The forms of the cells of a page."""
    start = 64 * bool(page.flags & VALIDITY) + 16 * (page.layout == NARROW)
    size = 2 if page.flags & SHORT else 4
    offsets = [int.from_bytes(stored[start + size * i : start + size * (i + 1)], "little") for i in range(rows + 1)]
    data = stored[start + pad(size * (rows + 1), 64) :]
    found = set()
    for a, b in itertools.pairwise(offsets):
        cell = data[a:b]
        kind = "empty" if not cell else "block" if cell[:2] != b"\0\0" else "frame" if cell[2] else "raw"
        found.add((page.codec, "one byte" if kind == "block" and len(cell) == 3 else kind))
        if kind == "frame" and page.dictionary:
            found.add((page.codec, "frame with a dictionary"))
    return found


def test_today_s_writer_gives_the_same_values(tmp_path):
    for name, (schema, rows, options) in cases().items():
        with atlas.AtlasDatasetWriter(tmp_path / name, schema=schema, workers=0, **options) as writer:
            writer.extend(rows)
        assert same(list(atlas.AtlasDataset(tmp_path / name)), rows)
