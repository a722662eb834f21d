"""Tars as people have them: from macOS, with names in other encodings, and things that are no tars of samples. Each says what it is."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from atlas_ds import AtlasDataset, convert, import_webdataset, open_tar
from atlas_ds.cli import main
from atlas_ds.errors import AtlasError, CorruptError, NotADataset, SchemaError, TruncatedError
from tests.unit.bridge.tars import tar_bytes, write_tar

LITTER = [
    "._a.txt", "./._.DS_Store", ".DS_Store", "x/.DS_Store", "x/._a.txt", "__MACOSX/._a.txt", "__MACOSX/x/a.cls", "x/__MACOSX/b.txt",
    ".AppleDouble/a.txt", ".Spotlight-V100/store.db",
]  # fmt: skip
DATA = ["a.txt", "x/b._c.txt", "x/_d.txt", "DS_Store.txt", "__MACOSX2/e.txt", "f.DS_Store"]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_what_macos_leaves_is_no_sample(tmp_path: Path, form: int):
    path = write_tar(tmp_path / "mac.tar", [(name, b"1") for pair in zip(LITTER, [*DATA, *[""] * 4], strict=True) for name in pair if name], form)
    clean = write_tar(tmp_path / "clean.tar", [(name, b"1") for name in DATA], form)
    told = import_webdataset(path, tmp_path / "d", progress=False, strict=True)
    assert told.rows == len(DATA) and told.skipped == {"left by macOS: ._*, .DS_Store, __MACOSX": len(LITTER)}
    assert list(open_tar(path, progress=False)) == list(open_tar(clean, progress=False)) == list(AtlasDataset(tmp_path / "d"))


def test_a_key_function_decides_itself(tmp_path: Path):
    path = write_tar(tmp_path / "t.tar", [("a.txt", b"1"), ("._b.txt", b"2")])
    told = import_webdataset(path, tmp_path / "d", key_fn=lambda name: (name, "bin"), progress=False)
    assert told.rows == 2 and not told.skipped


def test_only_litter_is_no_import(tmp_path: Path):
    path = write_tar(tmp_path / "t.tar", [("__MACOSX/a.txt", b"1")])
    with pytest.raises(SchemaError, match=r"no sample in 1 tar; left out: 1 \(left by macOS"):
        import_webdataset(path, tmp_path / "d", progress=False)


def latin(path: Path) -> Path:
    """A tar with two names in Latin-1, and right checksums."""
    data = bytearray(tar_bytes([("kXse.txt", b"1"), ("zXrich.txt", b"2")]).replace(b"X", b"\xfc"))
    for at in (0, 1024):
        data[at + 148 : at + 156] = b" " * 8
        data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    path.write_bytes(data)
    return path


def test_names_in_another_encoding(tmp_path: Path):
    path = latin(tmp_path / "t.tar")
    with pytest.raises(CorruptError, match=r"encoding=\"cp1252\" \(--encoding cp1252\)"):
        convert(path, tmp_path / "no", progress=False)
    convert(path, tmp_path / "a", encoding="latin-1", progress=False)
    assert main(["convert", "--quiet", "--encoding", "cp1252", str(path), str(tmp_path / "b")]) == 0
    for name in ("a", "b"):
        assert AtlasDataset(tmp_path / name).column("__key__") == ["küse", "zürich"]
    with pytest.raises(AtlasError, match=r"encoding='latn' \(--encoding\): not a text encoding"):
        open_tar(path, encoding="latn", progress=False)


def test_names_of_pax_are_utf8_in_any_encoding(tmp_path: Path):
    path = write_tar(tmp_path / "t.tar", [("zürich.txt", b"1")], tarfile.PAX_FORMAT)
    assert open_tar(path, encoding="latin-1", progress=False)[0]["__key__"] == "zürich"


@pytest.mark.parametrize(
    ("content", "said", "kind"),
    [
        (b"<html>gone</html>", 'a text file that begins with "<html>gone</html>", not a tar', TruncatedError),
        (b"PAR1" + b"\x05" * 2000, "is a Parquet file, not a tar", CorruptError),
        (b"\x89PNG\r\n\x1a\n" + b"\x05" * 2000, "is an image, audio or video file, not a tar", CorruptError),
        (b"", "it is empty", TruncatedError),
    ],
)
def test_what_is_no_tar_says_what_it_is(tmp_path: Path, content: bytes, said: str, kind: type[AtlasError]):
    path = tmp_path / "t.tar"
    path.write_bytes(content)
    for read in (lambda: open_tar(path, progress=False), lambda: import_webdataset(path, tmp_path / "d", progress=False)):
        with pytest.raises(kind) as caught:
            read()
        assert said in str(caught.value) and "byte 0" in str(caught.value)


def test_convert_of_tars_that_hold_nothing_or_are_damaged(tmp_path: Path):
    write_tar(tmp_path / "empty.tar", [])
    with pytest.raises(SchemaError, match="no sample in 1 tar; no files in it"):
        convert(tmp_path / "empty.tar", tmp_path / "d", progress=False)
    data = bytearray(tar_bytes([("a.txt", b"1")]))
    data[0] ^= 1
    (tmp_path / "bad.tar").write_bytes(data)
    with pytest.raises(CorruptError, match="byte 0: not a member's header"):
        convert(tmp_path / "bad.tar", tmp_path / "d", progress=False)


def test_an_index_is_no_shard_and_no_file_left_out(tmp_path: Path):
    (tmp_path / "t").mkdir()
    write_tar(tmp_path / "t" / "a.tar", [("a.txt", b"1")])
    open_tar(tmp_path / "t", progress=False)
    assert (tmp_path / "t" / "a.tar.atlas").is_file()
    with pytest.raises(NotADataset, match=r"it holds tars: atlas\.open_tar"):
        AtlasDataset(tmp_path / "t")
    assert convert(tmp_path / "t", tmp_path / "d", progress=False).left_out == ()


def test_folders_without_tars_of_their_own(tmp_path: Path):
    for name in ("train", "val"):
        (tmp_path / "t" / name).mkdir(parents=True)
        write_tar(tmp_path / "t" / name / "0.tar", [("a.txt", b"1")])
    with pytest.raises(AtlasError, match=r'the tars are in its folders: give these, \[".*train", ".*val"\]'):
        open_tar(tmp_path / "t", progress=False)
    with pytest.raises(NotADataset, match=rf'open_tar\("{tmp_path}/t/train"\).*convert {tmp_path}/t NEW'):
        AtlasDataset(tmp_path / "t")
    convert(tmp_path / "t", tmp_path / "d", progress=False)
    with pytest.raises(AtlasError, match=r"is already an Atlas dataset: atlas\.AtlasDataset"):
        open_tar(tmp_path / "d", progress=False)
    with pytest.raises(AtlasError, match=r"no such file or folder.*write \{000000\.\.000099\}"):
        convert(tmp_path / "t" / "*.tar", tmp_path / "e", progress=False)


def test_tables_and_pictures_alone_get_advice(tmp_path: Path):
    write_tar(tmp_path / "csv.tar", [("t.csv", b"a,b\n1,2\n")])
    write_tar(tmp_path / "jpg.tar", [("cat/1.jpg", b"\xff\xd8\xff1")])
    write_tar(tmp_path / "both.tar", [("1.jpg", b"\xff\xd8\xff1"), ("1.cls", b"1")])
    notes = [" ".join(import_webdataset(tmp_path / f"{name}.tar", tmp_path / name, progress=False).notes) for name in ("csv", "jpg", "both")]
    assert "unpack the tar, and convert the table" in notes[0] and "no labels, only media" in notes[1]
    assert "unpack" not in notes[2]


def test_what_tars_in_place_lack(tmp_path: Path):
    ds = open_tar(write_tar(tmp_path / "t.tar", [("a.txt", b"1")]), progress=False)
    for name, cure in (("batch", "atlas.Loader"), ("column", "import_webdataset"), ("columns", "ds.fields"), ("schema", "ds.fields"), ("path", "ds.tars")):
        with pytest.raises(AttributeError, match=f"a TarDataset has no {name}: .*{cure}"):
            getattr(ds, name)
    assert not hasattr(ds, "column") and repr(ds) == "TarDataset(1 sample of 1 tar, fields txt)"
    with pytest.raises(ValueError, match=r"decode='rgb8'.*list of extensions"):
        open_tar(tmp_path / "t.tar", decode="rgb8")
    with pytest.raises(SchemaError, match="write 'txt', without the dot"):
        open_tar(tmp_path / "t.tar", fields=[".txt"])
    with pytest.raises(TypeError, match=r"atlas\.concat"):
        ds + ds  # noqa: B018
