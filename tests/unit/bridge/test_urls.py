"""Brace expansion, lists, schemes."""

from __future__ import annotations

from pathlib import Path

import pytest

from atlas_ds.bridge.webdataset.urls import MAX_URLS, expand, is_remote
from atlas_ds.errors import AtlasError, LimitError, UnsupportedError


@pytest.mark.parametrize(
    "text, names",
    [
        ("a.tar", ["a.tar"]),
        ("a-{08..11}.tar", ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]),
        ("a-{8..11}.tar", ["a-8.tar", "a-9.tar", "a-10.tar", "a-11.tar"]),
        ("a-{3..1}.tar", ["a-3.tar", "a-2.tar", "a-1.tar"]),
        ("a-{000..010..5}.tar", ["a-000.tar", "a-005.tar", "a-010.tar"]),
        ("{train,val}-{0..1}.tar", ["train-0.tar", "train-1.tar", "val-0.tar", "val-1.tar"]),
        ("x{a,b{1,2},}y", ["xay", "xb1y", "xb2y", "xy"]),
        ("one.tar::two.tar", ["one.tar", "two.tar"]),
        ("http://host/a-{0..1}.tar", ["http://host/a-0.tar", "http://host/a-1.tar"]),
        ("file:/data/a.tar", ["/data/a.tar"]),
        ("file:///data/a.tar", ["/data/a.tar"]),
        ("-", ["-"]),
    ],
)
def test_names(text: str, names: list[str]) -> None:
    assert expand(text, {"allow_http": True}) == names


def test_a_name_that_exists_is_not_expanded(tmp_path: Path) -> None:
    path = tmp_path / "a-{0..1}.tar"
    path.touch()
    assert expand(str(path)) == [str(path)]
    assert expand(path) == [str(path)]


def test_a_folder_stands_for_its_tars(tmp_path: Path) -> None:
    for name in ("b.tar", "a.tar.gz", "c.tgz", "notes.txt", "a.tar.atlas", "a.json"):
        (tmp_path / name).touch()
    assert [Path(name).name for name in expand(tmp_path)] == ["a.tar.gz", "b.tar", "c.tgz"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(AtlasError, match=r"without \.tar files"):
        expand(tmp_path / "empty")


def test_limits_and_refusals() -> None:
    with pytest.raises(LimitError, match=f"{MAX_URLS:,}"):
        expand("a-{0..999999999}-{0..999999999}.tar")
    with pytest.raises(LimitError, match="nested"):
        expand("{" * 5000)
    with pytest.raises(UnsupportedError, match="would run a program"):
        expand("pipe:cat a.tar")
    with pytest.raises(UnsupportedError, match="ftp"):
        expand("ftp://host/a.tar")
    for bad in ("a-{x}.tar", "a-{0..5..0}.tar", "a-{0..5.tar", "", "a\0b"):
        with pytest.raises(AtlasError):
            expand(bad)
    with pytest.raises(AtlasError, match="no tars were given"):
        expand([])


def test_remote() -> None:
    assert is_remote("https://host/a.tar") and is_remote("s3://bucket/a.tar")
    assert not is_remote("/data/a.tar") and not is_remote("C:a.tar")
