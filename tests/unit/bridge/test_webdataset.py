"""import_webdataset: each rule of how tars become rows, what is refused, and that nothing is lost or half done."""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webdataset.tariterators import base_plus_ext

from atlas_ds import AtlasDataset, Media, import_webdataset, open_tar, types
from atlas_ds.bridge.webdataset.samples import split_name
from atlas_ds.cli import main
from atlas_ds.errors import AtlasError, CorruptError, LimitError, SchemaError, TruncatedError, UnsupportedError
from servers import web
from tests.support import same
from tests.unit.bridge.tars import tar_bytes, write_tar

MEMBERS = [("a/1.jpg", b"\xff\xd8\xff1"), ("a/1.cls", b"3"), ("a/2.jpg", b"\xff\xd8\xff2"), ("a/2.cls", b"4")]


def rows(path: Path) -> list[Any]:
    return list(AtlasDataset(path))


def take(tmp_path: Path, members: list[tuple[str, bytes]], **options: Any) -> list[Any]:
    write_tar(tmp_path / "t.tar", members)
    import_webdataset(tmp_path / "t.tar", tmp_path / "out", overwrite=True, **options)
    return rows(tmp_path / "out")


# --- names ---

NAME_PARTS = st.lists(st.sampled_from(["a", "B", ".", "..", "/", "img", "é", "\n", " ", "__x__", "-", "0", "tar", "\t", "漢"]), min_size=1, max_size=9).map("".join)


@settings(max_examples=10_000, deadline=None)
@given(NAME_PARTS)
def test_names_are_split_as_webdataset_splits_them(name: str) -> None:
    expected = base_plus_ext(name)
    assert split_name(name) == (None if expected == (None, None) else expected)


def test_key_is_the_folder_and_the_name_up_to_its_first_dot(tmp_path: Path) -> None:
    found = take(tmp_path, [("d.1/img.seg.png", b"x"), ("d.1/img.txt", b"y"), ("__a__/x.txt", b"z"), ("..//../etc/p.txt", b"w"), ("/abs.txt", b"v")])
    assert [(row["__key__"], {k: v for k, v in row.items() if v is not None and k != "__key__"}) for row in found][1:] == [
        ("__a__/x", {"txt": b"z"}), ("..//../etc/p", {"txt": b"w"}), ("/abs", {"txt": b"v"})]  # fmt: skip
    assert found[0]["__key__"] == "d.1/img" and bytes(found[0]["seg.png"].data) == b"x" and found[0]["txt"] == b"y"


def test_extensions_are_lower_cased_and_reported(tmp_path: Path) -> None:
    write_tar(tmp_path / "t.tar", [("1.JPG", b"a"), ("2.jpg", b"b"), ("3.Txt", b"c")])
    told = import_webdataset(tmp_path / "t.tar", tmp_path / "out")
    assert told.fields == {"jpg": 2, "txt": 1} and told.cases == {"JPG": 1, "Txt": 1}
    assert AtlasDataset(tmp_path / "out").schema.names == ("__key__", "jpg", "txt")
    kept = import_webdataset(tmp_path / "t.tar", tmp_path / "kept", keep_case=True)
    assert kept.fields == {"JPG": 1, "jpg": 1, "Txt": 1}


def test_a_member_without_an_extension_is_reported_or_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "t.tar", [("README", b"hi"), *MEMBERS, ("dir/.hidden", b"")])
    told = import_webdataset(tmp_path / "t.tar", tmp_path / "out")
    assert told.rows == 3 and told.skipped == {"no extension": 1} and told.first["no extension"].endswith("t.tar: README")
    assert any("left out: 1 (no extension)" in note for note in told.notes)
    with pytest.raises(SchemaError, match=r"t\.tar: byte 0: 'README' has no extension"):
        import_webdataset(tmp_path / "t.tar", tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()


def test_key_fn_overrides_the_rule(tmp_path: Path) -> None:
    def by_folder(name: str) -> tuple[str, str] | None:
        folder, _, base = name.partition("/")
        return (base.split(".")[0], folder) if base else None

    found = take(tmp_path, [("img/1.png", b"a"), ("seg/1.png", b"b"), ("img/2.png", b"c"), ("seg/2.png", b"d"), ("top", b"e")], key_fn=by_folder)
    assert found == [{"__key__": "1", "img": b"a", "seg": b"b"}, {"__key__": "2", "img": b"c", "seg": b"d"}]


# --- grouping ---


def test_interleaved_keys(tmp_path: Path) -> None:
    members = [("1.a", b"1a"), ("2.a", b"2a"), ("1.b", b"1b"), ("2.b", b"2b")]
    with pytest.raises(SchemaError, match=r"byte 2048: key '1' occurs again"):
        take(tmp_path, members)
    apart = take(tmp_path, members, interleaved="separate")
    assert [(row["__key__"], row["a"], row["b"]) for row in apart] == [("1", b"1a", None), ("2", b"2a", None), ("1", None, b"1b"), ("2", None, b"2b")]
    joined = take(tmp_path, members, interleaved="merge")
    assert joined == [{"__key__": "1", "a": b"1a", "b": b"1b"}, {"__key__": "2", "a": b"2a", "b": b"2b"}]


def test_interleaved_keys_are_found_whether_keys_ascend_or_not(tmp_path: Path) -> None:
    for keys in ("abca", "cbac", "acbdb", "zaza"):
        with pytest.raises(SchemaError, match="occurs again"):
            take(tmp_path, [(f"{key}.txt", b"") for key in keys])
    assert len(take(tmp_path, [(f"{key}.txt", b"") for key in "dbeacf"])) == 6


def test_a_field_twice(tmp_path: Path) -> None:
    members = [("1.jpg", b"\xff\xd8\xff1"), ("1.JPG", b"\xff\xd8\xff2"), ("2.jpg", b"\xff\xd8\xff3")]
    with pytest.raises(SchemaError, match="already"):
        take(tmp_path, members)
    assert [bytes(row["jpg"].data)[-1:] for row in take(tmp_path, members, duplicates="first")] == [b"1", b"3"]
    assert [bytes(row["jpg"].data)[-1:] for row in take(tmp_path, members, duplicates="last")] == [b"2", b"3"]


def test_samples_of_two_tars_are_never_joined(tmp_path: Path) -> None:
    tars = [write_tar(tmp_path / "1.tar", [("k.a", b"1")]), write_tar(tmp_path / "2.tar", [("k.b", b"2")])]
    import_webdataset(tars, tmp_path / "out")
    assert rows(tmp_path / "out") == [{"__key__": "k", "a": b"1", "b": None}, {"__key__": "k", "a": None, "b": b"2"}]


def test_a_choice_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="interleaved='maybe'"):
        take(tmp_path, MEMBERS, interleaved="maybe")


# --- values ---


def test_bytes_stay_as_they_are_and_pictures_are_media(tmp_path: Path) -> None:
    found = take(tmp_path, [*MEMBERS, ("a/3.jpg", b"no picture"), ("a/3.cls", b" 5\n")])
    assert found[0]["cls"] == b"3" and found[2]["cls"] == b" 5\n"
    assert same(found[0]["jpg"], Media(b"\xff\xd8\xff1", "image/jpeg"))
    assert same(found[2]["jpg"], Media(b"no picture", "application/octet-stream"))


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def test_decoded_values_are_typed(tmp_path: Path) -> None:
    members = []
    for i in range(5):
        members += [(f"{i}.cls", b"%d" % i), (f"{i}.txt", f"t{i}é".encode()), (f"{i}.json", json.dumps({"i": [i]}).encode()), (f"{i}.npy", npy(np.full((2, 3), i, "f4")))]
    write_tar(tmp_path / "t.tar", members)
    import_webdataset(tmp_path / "t.tar", tmp_path / "out", decode=True)
    ds = AtlasDataset(tmp_path / "out")
    assert [str(field.type) for field in ds.schema.fields] == ["str", "int64", "str", "object", "array(float32, 2x3)"]
    assert same(ds[4], {"__key__": "4", "cls": 4, "txt": "t4é", "json": {"i": [4]}, "npy": np.full((2, 3), 4, "f4")})
    import_webdataset(tmp_path / "t.tar", tmp_path / "some", decode=["cls", "npy"])
    assert AtlasDataset(tmp_path / "some")[1]["txt"] == "t1é".encode() and AtlasDataset(tmp_path / "some")[1]["cls"] == 1


def test_types_can_be_given(tmp_path: Path) -> None:
    members = [(f"{i}.npy", npy(np.zeros((3, 4 if i < 1500 else 5), "f4"))) for i in range(1600)]
    write_tar(tmp_path / "t.tar", members)
    with pytest.raises(SchemaError, match="npy"):
        import_webdataset(tmp_path / "t.tar", tmp_path / "out", decode=True)
    import_webdataset(tmp_path / "t.tar", tmp_path / "out", decode=True, schema={"npy": types.tensor("float32", 2)})
    assert AtlasDataset(tmp_path / "out")[1599]["npy"].shape == (3, 5)


def test_what_cannot_be_decoded_is_an_error_or_counted(tmp_path: Path) -> None:
    members = [("1.cls", b"1"), ("2.cls", b"two"), ("3.cls", b"3"), ("4.cls", b"")]
    with pytest.raises(CorruptError, match=r"t\.tar: 2\.cls"):
        take(tmp_path, members, decode=True)
    assert [row["cls"] for row in take(tmp_path, members, decode=True, on_error="skip")] == [1, 3]
    told = import_webdataset(tmp_path / "t.tar", tmp_path / "out", overwrite=True, decode=True, on_error="skip")
    assert told.rows == 2 and told.skipped == {"values that cannot be stored": 2} and "2.cls" in told.first["values that cannot be stored"]
    assert told.fields == {"cls": 2}


def test_pickles_are_kept_as_bytes_or_refused(tmp_path: Path) -> None:
    for extension in ("pkl", "pyd", "pickle", "pth", "pt"):
        assert take(tmp_path, [(f"1.{extension}", b"\x80\x04.")])[0][extension] == b"\x80\x04."
        with pytest.raises(UnsupportedError, match=rf"t\.tar: 1\.{extension}"):
            take(tmp_path, [(f"1.{extension}", b"\x80\x04.")], decode=True)


def test_damage_is_an_error_even_where_samples_may_be_skipped(tmp_path: Path) -> None:
    (tmp_path / "t.tar").write_bytes(tar_bytes(MEMBERS)[:1300])
    with pytest.raises(TruncatedError):
        import_webdataset(tmp_path / "t.tar", tmp_path / "out", on_error="skip")
    assert not (tmp_path / "out").exists()


# --- fields ---


def test_fields_that_come_late_are_columns_too(tmp_path: Path) -> None:
    tars = [write_tar(tmp_path / "1.tar", MEMBERS), write_tar(tmp_path / "2.tar", [("z.late", b"!")])]
    told = import_webdataset(tars, tmp_path / "out")
    assert told.fields == {"jpg": 2, "cls": 2, "late": 1}
    assert [row["late"] for row in rows(tmp_path / "out")] == [None, None, b"!"]
    assert "1 of 3 samples have no .jpg file: None there" in told.notes


def test_some_fields(tmp_path: Path) -> None:
    assert take(tmp_path, MEMBERS, fields=["cls"]) == [{"__key__": "a/1", "cls": b"3"}, {"__key__": "a/2", "cls": b"4"}]
    with pytest.raises(SchemaError, match="no sample"):
        take(tmp_path, MEMBERS, fields=["nix"])


def test_extensions_that_no_tar_has(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "t.tar", [("a.cls", b"1"), ("a.seg.npy", npy(np.zeros(2)))])
    for options, wrong in (({"fields": ["cls", "png"]}, r"t\.tar: no sample of 1 tar has a \.png"), ({"decode": ["c1s"]}, r"t\.tar: decode= names \.c1s")):
        with pytest.raises(SchemaError, match=wrong):
            import_webdataset(tar, tmp_path / "out", **options)
    with pytest.raises(SchemaError, match=r"t\.tar: decode= names \.c1s"):
        open_tar(tar, decode=["c1s"])
    for option in ("fields", "decode"):
        with pytest.raises(TypeError, match=rf"{option}='cls': give a list of extensions: {option}=\['cls'\]"):
            import_webdataset(tar, tmp_path / "out", **{option: "cls"})
    with pytest.raises(TypeError, match=r"fields='cls': give a list"):
        open_tar(tar, fields="cls")
    assert not (tmp_path / "out").exists()
    assert import_webdataset(tar, tmp_path / "out", decode=["npy"]).rows == 1


def test_arrays_of_a_stream_get_their_type_from_its_first_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tar_bytes([(f"{i}.npy", npy(np.full((2, 3), i, np.float32))) for i in range(400)])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert import_webdataset("-", tmp_path / "out", decode=True).rows == 400
    ds = AtlasDataset(tmp_path / "out")
    assert str(ds.schema["npy"].type) == "array(float32, 2x3)" and ds[399]["npy"][1, 2] == 399


def test_a_value_of_another_type_is_named(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "t.tar", [(f"{i:04d}.npy", npy(np.zeros(4 if i < 1200 else 5, np.float32))) for i in range(1300)])
    with pytest.raises(SchemaError, match=r"t\.tar: 1200: column 'npy': .*schema="):
        import_webdataset(tar, tmp_path / "out", decode=True)


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    write_tar(tmp_path / "a-0.tar", [("a.cls", b"1")])
    (tmp_path / "sub" / "train").mkdir(parents=True)
    write_tar(tmp_path / "sub" / "train" / "b.tar", [("a.cls", b"1")])
    for name, told in (("b.tar", "no such file; check the path"), ("a-*.tar", r"for many write \{000000\.\.000099\}"), ("~/b.tar", "~ is not expanded")):
        with pytest.raises(AtlasError, match=told):
            import_webdataset(str(tmp_path / name), tmp_path / "out")
    with pytest.raises(AtlasError, match="the tars are in its folders: give these"):
        import_webdataset(tmp_path / "sub", tmp_path / "out")


def test_a_field_called_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="cannot be called __key__"):
        take(tmp_path, [("a.__key__", b"")])


def test_an_empty_extension_is_a_field_without_a_name(tmp_path: Path) -> None:
    assert take(tmp_path, [("a.", b"x")]) == [{"__key__": "a", "": b"x"}]


# --- sources ---


def many(tmp_path: Path, count: int = 6) -> list[Path]:
    return [write_tar(tmp_path / f"t-{k}.tar", [(f"{k}-{i}.txt", b"%d" % (100 * k + i)) for i in range(50)]) for k in range(count)]


def test_patterns_lists_and_folders(tmp_path: Path) -> None:
    tars = many(tmp_path)
    (tmp_path / "t-1.tar").write_bytes(gzip.compress((tmp_path / "t-1.tar").read_bytes()))
    for sources in (f"{tmp_path}/t-{{0..5}}.tar", "::".join(map(str, tars)), tars, str(tmp_path)):
        import_webdataset(sources, tmp_path / "new" / "out", overwrite=True)
        assert [int(row["txt"]) for row in rows(tmp_path / "new" / "out")] == [100 * k + i for k in range(6) for i in range(50)]


def test_parallel_is_as_in_series(tmp_path: Path) -> None:
    tars = many(tmp_path)
    for workers in (1, 2, 5):
        import_webdataset(tars, tmp_path / str(workers), workers=workers, shard_size="20KB")
    files = [{file.name: file.read_bytes() for file in (tmp_path / str(workers)).iterdir()} for workers in (1, 2, 5)]
    assert files[0] == files[1] == files[2] and len([name for name in files[0] if name.endswith(".atlas")]) > 1


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [(f"{i:04d}.txt", b"%d" % i) for i in range(1000)]
    for data in (tar_bytes(members), gzip.compress(tar_bytes(members))):
        stdin = io.TextIOWrapper(io.BytesIO(data))
        monkeypatch.setattr(sys, "stdin", stdin)
        told = import_webdataset("-", tmp_path / "out", overwrite=True)
        assert told.rows == 1000 and rows(tmp_path / "out") == [{"__key__": f"{i:04d}", "txt": b"%d" % i} for i in range(1000)]


def test_a_field_that_a_stream_has_late_is_an_error_that_says_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [(f"{i:04d}.txt", b"%d" % i) for i in range(400)] + [("z.late", b"!")]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(tar_bytes(members))))
    with pytest.raises(SchemaError, match=r"fields=\[\.\.\.\]"):
        import_webdataset("-", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(tar_bytes(members))))
    import_webdataset("-", tmp_path / "out", fields=["txt", "late"])
    assert rows(tmp_path / "out")[400] == {"__key__": "z", "txt": None, "late": b"!"}


@pytest.fixture
def served(tmp_path: Path):
    (tmp_path / "www").mkdir()
    with web.serving(tmp_path / "www", tmp_path / "nginx") as url:
        yield url, tmp_path / "www"


def test_urls(tmp_path: Path, served: tuple[str, Path]) -> None:
    url, folder = served
    many(folder, 3)
    (folder / "t-1.tar").write_bytes(gzip.compress((folder / "t-1.tar").read_bytes()))
    told = import_webdataset(f"{url}/t-{{0..2}}.tar", tmp_path / "out", allow_http=True)
    assert told.rows == 150 and [int(row["txt"]) for row in rows(tmp_path / "out")] == [100 * k + i for k in range(3) for i in range(50)]
    assert import_webdataset(f"{url}/t-0.tar", tmp_path / "none", dry_run=True, allow_http=True).rows == 50
    with pytest.raises(FileNotFoundError, match="nix"):
        import_webdataset(f"{url}/nix.tar", tmp_path / "no", allow_http=True)
    assert not (tmp_path / "no").exists()


def test_http_without_tls_must_be_allowed(tmp_path: Path, served: tuple[str, Path]) -> None:
    url, folder = served
    many(folder, 1)
    with pytest.raises(AtlasError, match=r"t-0\.tar: http is not encrypted \(no TLS\).*\"allow_http\": True.*--allow-http"):
        import_webdataset(f"{url}/t-0.tar", tmp_path / "out")
    with pytest.raises(AtlasError, match="no TLS"):
        import_webdataset([str(folder / "t-0.tar"), f"{url}/t-0.tar".replace("http", "HTTP")], tmp_path / "out")
    assert main(["convert", f"{url}/t-0.tar", str(tmp_path / "out")]) == 1 and not (tmp_path / "out").exists()
    assert main(["convert", "--allow-http", "--quiet", f"{url}/t-0.tar", str(tmp_path / "out")]) == 0 and len(rows(tmp_path / "out")) == 50


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(AtlasError, match=r"nix\.tar"):
        import_webdataset(tmp_path / "nix.tar", tmp_path / "out")
    with pytest.raises(AtlasError, match="no sample"):
        (tmp_path / "e.tar").write_bytes(bytes(1024))
        import_webdataset(tmp_path / "e.tar", tmp_path / "out")


# --- the destination ---


def test_dry_run_reports_and_writes_nothing(tmp_path: Path) -> None:
    write_tar(tmp_path / "t.tar", [("README", b""), *MEMBERS])
    told = import_webdataset(tmp_path / "t.tar", tmp_path / "out", dry_run=True)
    assert (told.rows, told.files, told.bytes, told.fields) == (2, 4, 10, {"jpg": 2, "cls": 2}) and told.skipped == {"no extension": 1}
    assert not (tmp_path / "out").exists()


def test_a_standing_dataset_is_replaced_or_added_to_only_if_asked(tmp_path: Path) -> None:
    write_tar(tmp_path / "t.tar", MEMBERS)
    import_webdataset(tmp_path / "t.tar", tmp_path / "out")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        import_webdataset(tmp_path / "t.tar", tmp_path / "out")
    import_webdataset(tmp_path / "t.tar", tmp_path / "out", append=True)
    assert [row["__key__"] for row in rows(tmp_path / "out")] == ["a/1", "a/2"] * 2
    write_tar(tmp_path / "t.tar", MEMBERS[:2])
    import_webdataset(tmp_path / "t.tar", tmp_path / "out", overwrite=True)
    assert len(rows(tmp_path / "out")) == 1
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(FileExistsError, match="other files"):
        import_webdataset(tmp_path / "t.tar", tmp_path / "other")
    with pytest.raises(AtlasError, match="source"):
        import_webdataset(tmp_path / "t.tar", tmp_path)


def test_splits(tmp_path: Path) -> None:
    tars = many(tmp_path, 2)
    import_webdataset(tars[0], tmp_path / "out", split="train")
    import_webdataset(tars[1], tmp_path / "out", split="val", append=True)
    assert AtlasDataset(tmp_path / "out").splits == {"train": 50, "val": 50}


def break_one(tars: list[Path]) -> bytes:
    """A value that decoding refuses, in the last tar but one; what stood there before."""
    whole = tars[-2].read_bytes()
    write_tar(tars[-2], [(f"{i}.cls", b"1" if i != 40 else b"x") for i in range(50)])
    return whole


def test_a_tar_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    """Between the walk through the headers and the reading of the data, and in the middle of the latter."""
    for cut_at in (60, 90):
        tar = write_tar(tmp_path / "t.tar", [(f"{i:03d}.jpg", bytes(20_000)) for i in range(50)])
        calls = 0

        def key_fn(name: str, tar: Path = tar, cut_at: int = cut_at) -> tuple[str, str]:
            nonlocal calls
            calls += 1
            if calls == cut_at:
                with tar.open("r+b") as file:
                    file.truncate(100_000)
            return name[:3], "jpg"

        with pytest.raises(TruncatedError, match=r"t\.tar: byte \d+: the archive ends inside"):
            import_webdataset(tar, tmp_path / "out", key_fn=key_fn)
        assert not (tmp_path / "out").exists()


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    tars = many(tmp_path)
    break_one(tars)
    for options in ({}, {"workers": 1}, {"workers": 3}):
        with pytest.raises(CorruptError, match=r"t-4\.tar: 40\.cls"):
            import_webdataset(tars, tmp_path / "out", decode=True, shard_size="20KB", **options)
        assert not (tmp_path / "out").exists()


def test_an_import_that_failed_is_resumed(tmp_path: Path) -> None:
    tars = [write_tar(tmp_path / f"t-{k}.tar", [(f"{k}-{i}.cls", b"%d" % (100 * k + i)) for i in range(50)]) for k in range(6)]
    whole = break_one(tars)
    options: dict[str, Any] = {"decode": True, "shard_size": "20KB", "resume": True, "workers": 1}
    with pytest.raises(CorruptError):
        import_webdataset(tars, tmp_path / "out", **options)
    assert not (tmp_path / "out" / "atlas.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / ".parts").rglob("*.atlas")}
    assert kept
    tars[-2].write_bytes(whole)
    told = import_webdataset(tars, tmp_path / "out", **options)
    assert told.rows == 300 and [row["cls"] for row in rows(tmp_path / "out")] == [100 * k + i for k in range(6) for i in range(50)]
    made = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.atlas")}
    assert set(kept.values()) <= set(made.values())
    assert not (tmp_path / "out" / ".parts").exists()
    import_webdataset(tars, tmp_path / "again", decode=True, shard_size="20KB")
    assert {f.name: f.read_bytes() for f in (tmp_path / "out").iterdir()} == {f.name: f.read_bytes() for f in (tmp_path / "again").iterdir()}


def test_a_part_of_other_tars_or_options_is_not_resumed(tmp_path: Path) -> None:
    tars = [write_tar(tmp_path / f"t-{k}.tar", [(f"{k}-{i}.cls", b"%d" % i) for i in range(50)]) for k in range(6)]
    break_one(tars)
    options: dict[str, Any] = {"decode": True, "shard_size": "20KB", "resume": True, "workers": 1}
    with pytest.raises(CorruptError):
        import_webdataset(tars, tmp_path / "out", **options)
    write_tar(tars[0], [("0-0.cls", b"77")])
    write_tar(tars[-2], [("4-0.cls", b"78")])
    told = import_webdataset(tars, tmp_path / "out", **options)
    assert told.rows == 202 and rows(tmp_path / "out")[0]["cls"] == 77


def test_memory_and_descriptors_do_not_grow_with_tars(tmp_path: Path) -> None:
    tars = many(tmp_path, 60)
    before = len(list(Path("/proc/self/fd").iterdir()))
    import_webdataset(tars, tmp_path / "out", shard_size="10KB")
    assert len(rows(tmp_path / "out")) == 3000
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


def test_the_report_reads_well(tmp_path: Path) -> None:
    write_tar(tmp_path / "t.tar", [*MEMBERS, ("x/3.JPG", b"\xff\xd8\xff")])
    told = import_webdataset(tmp_path / "t.tar", tmp_path / "out")
    assert told.notes == (
        "1 tar, 5 files of 13 bytes; fields: jpg, cls",
        "1 of 3 samples have no .cls file: None there",
        "1 file .JPG became .jpg",
    )
    assert re.fullmatch(r"\d+\.\d+.*", str(told.seconds))


def test_two_imports_into_one_folder(tmp_path, monkeypatch):
    """The second would take the first one's parts away."""
    from atlas_ds.bridge import parallel_parts
    from atlas_ds.errors import WriterBusy

    source = tmp_path / "a.tar"
    write_tar(source, [("x.txt", b"1"), ("y.txt", b"2")])
    run, met = parallel_parts.run, []

    def meanwhile(*args):
        if not met:
            met.append(True)
            for options in ({}, {"overwrite": True}, {"resume": True}):
                with pytest.raises(WriterBusy):
                    import_webdataset(source, tmp_path / "d", **options)
        return run(*args)

    monkeypatch.setattr(parallel_parts, "run", meanwhile)
    assert import_webdataset(source, tmp_path / "d").rows == 2 and met
    assert len(AtlasDataset(tmp_path / "d")) == 2 and not list((tmp_path / "d").glob(".writing*"))


def test_a_mapping_of_splits_names_tars_as_sources_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for k in range(3):
        write_tar(tmp_path / f"{k}.tar", [(f"{k}.txt", b"x")])
    import_webdataset("~/{0..2}.tar", tmp_path / "out", split={"~/{0..1}.tar": "train", "~/2.tar": "val"}, progress=False)
    assert AtlasDataset(tmp_path / "out").splits == {"train": 2, "val": 1}
    import_webdataset(tmp_path / "0.tar", tmp_path / "one", split={"~/0.tar": "train"}, progress=False)
    assert AtlasDataset(tmp_path / "one").splits == {"train": 1}


def test_a_mapping_of_splits_that_names_another_tar(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "0.tar", [("a.txt", b"x")])
    with pytest.raises(ValueError, match=r"split=\{'.*9\.tar': \.\.\.\}: .*not one of the 1 tar"):
        import_webdataset(tar, tmp_path / "out", split={str(tar): "train", str(tmp_path / "9.tar"): "val"}, progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_sample_beyond_a_limit_names_tar_and_key(tmp_path: Path, on_error: str) -> None:
    out = io.BytesIO()
    np.save(out, np.zeros((0, 1 << 20, 1 << 20), np.uint8))
    small = io.BytesIO()
    np.save(small, np.zeros((2, 1, 1), np.uint8))
    tar = write_tar(tmp_path / "t.tar", [("a.npy", small.getvalue()), ("big.npy", out.getvalue())])
    words = f"{tar}: big: column 'npy': "
    if on_error == "raise":
        with pytest.raises(LimitError, match=re.escape(words)):
            import_webdataset(tar, tmp_path / "out", decode=True, progress=False)
    else:
        done = import_webdataset(tar, tmp_path / "out", decode=True, on_error="skip", progress=False)
        assert done.rows == 1 and len(done.left_out) == 1 and done.left_out[0].startswith(words)
