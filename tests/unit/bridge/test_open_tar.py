"""open_tar: tars in place give what an import would store, through an index that is kept, checked and made anew when the tar changed."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atlas_ds import AtlasDataset, Loader, export_webdataset, import_webdataset, open_tar
from atlas_ds._tar import Samples, TarReader, header_hash
from atlas_ds.bridge import export_parquet, to_arrow
from atlas_ds.bridge.webdataset import index as tar_index
from atlas_ds.errors import AtlasError, CorruptError, DatasetChanged, SchemaError, TruncatedError, UnsupportedError
from atlas_ds.store import descriptors
from tests.support import child, same
from tests.unit.bridge.tars import tar_bytes, write_tar


def members(start: int, count: int, size: int = 20) -> Iterator[tuple[str, bytes]]:
    for i in range(start, start + count):
        yield f"d/{i:06d}.jpg", b"\xff\xd8\xff" + b"%d" % i * size
        yield f"d/{i:06d}.cls", b"%d" % i
        if i % 3 == 0:
            yield f"d/{i:06d}.txt", f"number {i}".encode()


@pytest.fixture
def tars(tmp_path: Path) -> list[Path]:
    (tmp_path / "tars").mkdir()
    sizes = (30, 1, 50)
    return [write_tar(tmp_path / "tars" / f"t-{k}.tar", members(sum(sizes[:k]), count, 20 if k else 9000)) for k, count in enumerate(sizes)]


@pytest.mark.parametrize("decode", [False, True, ["cls", "txt"]])
def test_rows_are_those_of_an_import(tmp_path: Path, tars: list[Path], decode: Any) -> None:
    ds = open_tar(tars, decode=decode)
    import_webdataset(tars, tmp_path / "out", decode=decode)
    expected = list(AtlasDataset(tmp_path / "out"))
    assert len(ds) == 81 and ds.fields == ("jpg", "cls", "txt") and ds.tars == tuple(map(str, tars))
    assert same(list(ds), expected)
    assert same([ds[i] for i in range(-81, 81)], expected * 2)
    assert same(ds.__getitems__([80, 3, 3, -1]), [expected[i] for i in (80, 3, 3, -1)])


def test_views(tars: list[Path]) -> None:
    ds = open_tar(tars)
    keys = [row["__key__"] for row in ds]
    assert [row["__key__"] for row in ds[5:70:3]] == keys[5:70:3]
    assert [row["__key__"] for row in ds[[9, 2, -1]][::-1]] == [keys[-1], keys[2], keys[9]]
    mask = np.arange(81) % 2 == 1
    assert [row["__key__"] for row in ds[mask]] == keys[1::2]
    assert ds[np.int64(3)]["__key__"] == keys[3]
    for bad in (81, -82):
        with pytest.raises(IndexError):
            ds[bad]
    with pytest.raises(TypeError):
        ds["jpg"]


def test_some_fields(tars: list[Path]) -> None:
    ds = open_tar(tars, fields=["txt", "cls"])
    assert list(ds[1]) == ["__key__", "txt", "cls"] and ds[1]["txt"] is None and ds[3]["txt"] == b"number 3"
    with pytest.raises(SchemaError, match=r"no tar has a \.nix; the fields are jpg, cls, txt"):
        open_tar(tars, fields=["nix"])


def test_pictures(tmp_path: Path, make_picture: Any) -> None:
    pytest.importorskip("PIL")
    path = write_tar(tmp_path / "t.tar", [("1.jpg", make_picture(1)), ("1.cls", b"7"), ("2.jpg", b"no picture")])
    ds = open_tar(path, decode="numpy")
    assert ds[0]["jpg"].shape == (8, 9, 3) and ds[0]["jpg"].dtype == np.uint8 and ds[0]["cls"] == 7
    assert open_tar(path, decode="pil")[0]["jpg"].size == (9, 8)
    import_webdataset(path, tmp_path / "out", fields=["jpg"])
    assert same(AtlasDataset(tmp_path / "out", decode="numpy")[0]["jpg"], ds[0]["jpg"])
    with pytest.raises(CorruptError, match=r"t\.tar: 2\.jpg"):
        ds[1]
    with pytest.raises(ValueError, match="'pil', 'numpy' or 'torch'"):
        open_tar(path, decode="jpg")
    with pytest.raises(TypeError, match="decoded on read"):
        import_webdataset(path, tmp_path / "no", decode="pil")


def test_interleaved_keys_are_joined_where_they_lie(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", [("1.a", b"1a"), ("2.a", b"2a"), ("1.b", b"1b")])
    with pytest.raises(SchemaError, match="occurs again"):
        open_tar(path)
    assert list(open_tar(path, interleaved="merge")) == [{"__key__": "1", "a": b"1a", "b": b"1b"}, {"__key__": "2", "a": b"2a", "b": None}]
    assert len(open_tar(path, interleaved="separate")) == 3
    assert len(open_tar(path, interleaved="merge")) == 2


def index_of(path: Path) -> Path:
    return path.with_name(path.name + ".atlas")


def test_the_index_is_kept_beside_the_tar(tars: list[Path]) -> None:
    open_tar(tars)
    first = [index_of(path).stat().st_mtime_ns for path in tars]
    open_tar(tars)
    assert [index_of(path).stat().st_mtime_ns for path in tars] == first
    assert {path.name for path in tars[0].parent.iterdir()} == {name for path in tars for name in (path.name, index_of(path).name)}
    assert len(AtlasDataset(index_of(tars[2]))) == 50  # it is an ordinary shard


def test_the_index_goes_where_it_is_told_or_to_the_cache(tmp_path: Path, tars: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(open_tar(tars, index=tmp_path / "kept")) == 81
    assert len(list((tmp_path / "kept").glob("*.atlas"))) == 3 and not index_of(tars[0]).exists()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write, real = "atlas_ds.bridge.webdataset.index.write", tar_index.write

    def read_only(place: Path, columns: Any) -> None:
        if place.parent == tars[0].parent:
            raise PermissionError(13, "Permission denied", str(place))
        real(place, columns)

    monkeypatch.setattr(write, read_only)
    assert len(open_tar(tars)) == 81
    assert len(list((tmp_path / "cache").rglob("*.atlas"))) == 3 and not index_of(tars[0]).exists()
    monkeypatch.setattr(write, None)
    assert len(open_tar(tars)) == 81


def test_a_tar_that_changed_is_walked_through_again(tars: list[Path]) -> None:
    assert len(open_tar(tars)) == 81
    write_tar(tars[1], members(500, 7))
    ds = open_tar(tars)
    assert len(ds) == 87 and ds[30]["__key__"] == "d/000500"
    state = tars[1].stat()
    write_tar(tars[1], members(600, 7))  # of the same size, so only the time tells
    assert tars[1].stat().st_size == state.st_size
    os.utime(tars[1], ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert open_tar(tars)[30]["__key__"] == "d/000600"


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other", "text"])
def test_an_index_that_is_damaged_or_of_another_tar_is_made_anew(tars: list[Path], damage: str) -> None:
    open_tar(tars)
    index = index_of(tars[0])
    data = bytearray(index.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "flip":
        data[100] ^= 1
    elif damage == "empty":
        data.clear()
    elif damage == "text":
        data[:] = b"not an index"
    index.write_bytes(index_of(tars[2]).read_bytes() if damage == "other" else bytes(data))
    assert [row["cls"] for row in open_tar(tars)] == [b"%d" % i for i in range(81)]


def test_an_index_with_more_samples_than_a_tar_can_have_is_made_anew(tars: list[Path]) -> None:
    open_tar(tars)
    index = index_of(tars[0])
    one = AtlasDataset(index)[0]
    for count in (tars[0].stat().st_size // 512 + 1, 200_000):
        index.unlink()
        tar_index.write(index, {name: [value] * count if name != "members" else np.stack([value] * count) for name, value in one.items()})
        assert len(AtlasDataset(index)) == count and len(open_tar(tars)) == 81


@pytest.mark.parametrize("io", ["mmap", "pread"])
def test_a_change_while_it_is_open_is_an_error(tars: list[Path], io: str) -> None:
    ds = open_tar(tars, io=io)
    ds[80]
    with tars[2].open("r+b") as file:
        file.seek(0)
        file.write(tar_bytes(members(700, 50, 30))[: tars[2].stat().st_size])
    with pytest.raises(CorruptError, match=r"t-2\.tar: byte \d+: the header is not the one that was indexed"):
        ds[80]
    os.truncate(tars[0], 100_000)
    with pytest.raises(TruncatedError, match=r"t-0\.tar: byte \d+: the file ends at or before"):
        ds[29]
    assert ds[0]["cls"] == b"0"


@pytest.mark.parametrize("memory", [1, None])
@pytest.mark.parametrize("io", ["mmap", "pread"])
def test_samples_of_every_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, io: str, memory: int | None) -> None:
    """More members than one call reads, members far apart, empty and large ones, ones larger than the pages that are asked for at once."""
    if memory is not None:
        monkeypatch.setattr("atlas_ds.bridge.webdataset.opened_tars.os.sysconf", lambda name: memory)
    rng = np.random.default_rng(0)
    sizes = {"a": [0] * 3, "b": [1] * 40, "c": [511, 512, 513, 40_000, 0, 70_000], "d": [5 << 20], "e": [9] * 17}
    made = {key: {f"f{k:02d}": rng.bytes(size) for k, size in enumerate(all_of)} for key, all_of in sizes.items()}
    wanted = [(f"{key}.{name}", data) for key, fields in made.items() for name, data in fields.items()]
    wanted += [("far.x", b"1"), ("other.x", bytes(10_000)), ("far.y", b"2"), ("far.z", b"")]
    path = write_tar(tmp_path / "t.tar", wanted)
    ds = open_tar(path, interleaved="merge", io=io)
    for _ in range(2):
        rows = {row.pop("__key__"): {name: data for name, data in row.items() if data is not None} for row in ds}
        assert rows == made | {"far": {"x": b"1", "y": b"2", "z": b""}, "other": {"x": bytes(10_000)}}
    assert open_tar(path, fields=["y", "x"], interleaved="merge", io=io)[5] == {"__key__": "far", "y": b"2", "x": b"1"}


def number_of(example: dict[str, Any]) -> int:
    return int(example["cls"])


def twice(number: int) -> int:
    return 2 * number


def test_views_that_map(tars: list[Path]) -> None:
    ds = open_tar(tars, fields=["cls"])
    mapped = ds.map(number_of).map(twice)[::-1]
    assert list(mapped) == [2 * i for i in range(80, -1, -1)] and mapped[-1] == 0 and mapped.__getitems__([0, 1]) == [160, 158]
    assert [list(view) for view in (pickle.loads(pickle.dumps(mapped.select([1, 5]))),)] == [[158, 150]]
    parts = ds.map(number_of).split([0.5, 0.5], seed=1)
    assert sorted([*parts[0], *parts[1]]) == list(range(81))
    with pytest.raises(TypeError, match=r"open_tar\(\.\.\., fields=\['cls'\]\)"):
        ds["cls"]


def test_it_is_no_source_of_exports(tmp_path: Path, tars: list[Path]) -> None:
    ds = open_tar(tars)
    for export in (lambda: export_webdataset(ds, tmp_path / "o-%d.tar"), lambda: to_arrow(ds), lambda: export_parquet(ds, tmp_path / "o.parquet")):
        with pytest.raises(TypeError, match="TarDataset"):
            export()


def test_what_a_reader_is_given_wrong(tars: list[Path]) -> None:
    def sample(members: Any, mode: int = os.O_RDONLY, field: int = 0) -> Any:
        return TarReader(os.open(tars[0], mode), tars[0].stat().st_size, False, False, [{"key": "k", "members": members}], (("x", field),), {"x": None}).sample(0)

    good = np.array([[512, 1, header_hash(tars[0].read_bytes()[:512])]])
    assert sample(good)["__key__"] == "k" and len(sample(good)["x"]) == 1
    assert sample(good * -1) == {"__key__": "k", "x": None}
    with pytest.raises(OSError, match="byte 0: Bad file descriptor"):
        sample(good, os.O_WRONLY)
    with pytest.raises(IndexError, match="member 1 of 1"):
        sample(good, field=1)
    with pytest.raises(ValueError, match="duplicate name"):
        TarReader(os.open(tars[0], os.O_RDONLY), 1, False, False, [], (("x", 0), ("x", 1)), {})
    with pytest.raises(ValueError, match="starts"):
        Samples([], int, int, 1)
    for bad in (good.astype(np.int32), good[0], np.zeros((1, 2), np.int64), np.zeros((3, 3), np.int64).T[:2], [[512, 1, 0]], None):
        with pytest.raises(TypeError):
            sample(bad)


def test_a_tar_that_is_replaced_while_open_stays_what_it_was(tars: list[Path]) -> None:
    ds = open_tar(tars)
    ds[0]
    write_tar(tars[0].with_suffix(".new"), members(900, 30)).replace(tars[0])
    assert ds[1]["cls"] == b"1"


@pytest.mark.parametrize("io", ["mmap", "pread"])
def test_a_tar_that_vanishes_or_changes_before_it_is_opened_again(tars: list[Path], io: str) -> None:
    ds = open_tar(tars, io=io)
    assert [ds[i]["cls"] for i in (0, 30, 31)] == [b"0", b"30", b"31"]
    tars[1].unlink()
    assert ds[30]["cls"] == b"30"  # it is open still
    write_tar(tars[2].with_suffix(".new"), members(31, 50)).replace(tars[2])
    os.utime(tars[2], ns=(1, 1))
    descriptors.close_all()
    assert ds[0]["cls"] == b"0"
    with pytest.raises(DatasetChanged, match=r"t-1\.tar: the tar was removed after it was opened; restore it, or open the remaining tars"):
        ds[30]
    with pytest.raises(DatasetChanged, match=r"t-2\.tar: the tar was changed: it had .* when it was opened, and has .* now; open it again"):
        ds[31]


def test_a_pickled_one_whose_tars_changed(tars: list[Path]) -> None:
    state = pickle.dumps(open_tar(tars)[3:5])
    write_tar(tars[2], members(31, 60))
    with pytest.raises(DatasetChanged, match=r"t-2\.tar: the tar was changed: .*; open it again"):
        pickle.loads(state)
    tars[2].unlink()
    with pytest.raises(DatasetChanged, match=r"t-2\.tar: the tar was removed"):
        pickle.loads(state)


def test_an_error_of_the_disk_names_the_tar(tars: list[Path]) -> None:
    ds = open_tar(tars, io="pread")
    failed = OSError(5, "byte 512: Input/output error")
    with pytest.raises(OSError, match=r"byte 512: Input/output error; check the disk or the network, then read again: '.*t-1\.tar'") as caught:
        ds._opened.fail(1, 0, failed)
    assert caught.value.errno == 5
    broken = TarReader(os.open(tars[0], os.O_WRONLY), 10**6, False, False, [{"key": "k", "members": np.array([[512, 1, 0]])}], (("x", 0),), {"x": None})
    with pytest.raises(OSError, match=r"byte 0: Bad file descriptor; check the disk.*t-0\.tar'"):
        Samples([0, 1], lambda tar: broken, ds._opened.fail, 1).sample(0)


MANY = """
import os, resource, sys
import numpy as np
from atlas_ds import open_tar
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
count = int(sys.argv[2])
for io in ("mmap", "pread"):
    ds = open_tar(sys.argv[1], io=io, progress=False)
    assert [example["cls"] for example in ds] == [b"%d" % i for i in range(3 * count)]
    order = np.random.default_rng(0).permutation(3 * count)
    assert [ds[int(i)]["cls"] for i in order] == [b"%d" % i for i in order]
    assert len(os.listdir("/proc/self/fd")) < 30
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    assert ds[0]["cls"] == b"0"  # tars that are only kept open are closed for it
    for fd in held:
        os.close(fd)
"""


@pytest.mark.parametrize("count", [100, pytest.param(1100, marks=pytest.mark.campaign)])
def test_more_tars_than_descriptors(tmp_path: Path, count: int) -> None:
    for k in range(count):
        write_tar(tmp_path / f"{k:05d}.tar", members(3 * k, 3, 1))
    child(MANY, tmp_path, count)


def test_what_cannot_be_read_in_place(tmp_path: Path, tars: list[Path]) -> None:
    packed = tmp_path / "p.tar"
    packed.write_bytes(gzip.compress(tars[1].read_bytes()))
    with pytest.raises(UnsupportedError, match="samples of a compressed tar"):
        open_tar(packed)
    with pytest.raises(UnsupportedError):
        open_tar("-")
    with pytest.raises(ValueError, match="io='no'"):
        open_tar(tars, io="no")
    with pytest.raises(AtlasError, match="nix"):
        open_tar(tmp_path / "nix.tar")
    empty = write_tar(tmp_path / "e.tar", [])
    assert len(open_tar(empty)) == 0 and len(open_tar([empty, tars[1], empty])) == 1


def test_it_pickles_small_and_opens_again(tars: list[Path]) -> None:
    ds = open_tar(tars, fields=["cls"], decode=True)
    for view in (ds, ds[::-1], ds[[5, 6]]):
        copy = pickle.loads(pickle.dumps(view))
        assert list(copy) == list(view)
    assert len(pickle.dumps(ds)) < 4096


def read_rows(ds: Any, rows: list[int]) -> list[Any]:
    return [ds[i]["cls"] for i in rows]


def test_threads(tars: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atlas_ds.bridge.webdataset.opened_tars.OPEN_FILES", 1)
    ds = open_tar(tars)
    with ThreadPoolExecutor(8) as pool:
        rows = [list(np.random.default_rng(k).integers(0, 81, 300)) for k in range(8)]
        assert list(pool.map(partial(read_rows, ds), rows)) == [[b"%d" % i for i in one] for one in rows]


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_worker_processes(tars: list[Path], method: str) -> None:
    torch = pytest.importorskip("torch")
    ds = open_tar(tars, fields=["cls"], decode=True)
    ds[0]
    loader = torch.utils.data.DataLoader(ds, batch_size=10, num_workers=2, multiprocessing_context=multiprocessing.get_context(method))
    assert [number for batch in loader for number in batch["cls"].tolist()] == list(range(81))


def test_the_loader_reads_it(tars: list[Path]) -> None:
    ds = open_tar(tars, fields=["cls"], decode=True)
    seen = [number for batch in Loader(ds, batch_size=8, shuffle=True, seed=1, format="numpy", last_batch="short") for number in batch["cls"].tolist()]
    assert sorted(seen) == list(range(81)) and seen != sorted(seen)


# --- errors in functions of users, and torch's DataLoader ----------------------------


def fail_at_40(sample: dict[str, Any]) -> dict[str, Any]:
    if sample["__key__"].endswith("000040"):
        raise KeyError("no label")
    return sample


def test_an_error_in_map_names_row_and_tar(tars: list[Path]) -> None:
    ds = open_tar(tars).map(fail_at_40)
    for way in (lambda: ds[40], lambda: ds[10:][30], lambda: list(ds), lambda: ds.__getitems__([40]), lambda: pickle.loads(pickle.dumps(ds))[40]):
        with pytest.raises(KeyError, match="no label") as found:
            way()
        assert found.value.__notes__ == [f"in map of row 40: {tars[2]}"]


@pytest.mark.parametrize("options", [{"num_threads": 2}, {"transform_processes": 1}], ids=str)
def test_an_error_in_a_loader_names_row_and_tar(tars: list[Path], options: dict[str, Any]) -> None:
    loader = Loader(open_tar(tars)[3:], batch_size=8, format="numpy", transform_example=fail_at_40, **options)
    with pytest.raises(KeyError, match="no label") as found:
        list(loader)
    assert found.value.__notes__ == [f"in transform_example of row 37: {tars[2]}"]


def test_default_collate_names_the_field(tars: list[Path]) -> None:
    pytest.importorskip("torch")
    from torch.utils.data import DataLoader

    from atlas_ds import collate

    with pytest.raises(TypeError, match=r"column 'jpg' has Media"):
        list(DataLoader(open_tar(tars, decode=["cls"]), batch_size=4))
    ds = open_tar(tars, decode=["cls"], fields=["cls", "txt"])
    with pytest.raises(TypeError, match=r"column 'txt' has a row without a value .*collate_fn=atlas_ds.collate"):
        list(DataLoader(ds, batch_size=4))
    batch = next(iter(DataLoader(ds, batch_size=4, collate_fn=collate)))
    assert batch["cls"].tolist() == [0, 1, 2, 3] and batch["txt"] == [b"number 0", None, None, b"number 3"]
    assert next(iter(DataLoader(open_tar(tars, fields=["cls"]), batch_size=2)))["cls"] == [b"0", b"1"]
