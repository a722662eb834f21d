"""Where a name's key ends and its extension begins, told from all names of a folder together."""

from pathlib import PurePosixPath

import pytest

from atlas_ds.bridge.files.sample_keys import differs_from_first_dot, split_names


def cut(names):
    return {str(file): parts for file, parts in split_names(PurePosixPath(name) for name in names.split()).items()}


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        ("a.png b.png", "a b"),
        ("a.png a.json", "a a"),
        ("a.png a.seg.png a.json", "a a a"),
        ("a.png a.SEG.png b.png b.SEG.png", "a a b b"),
        ("a.left.png a.right.png b.left.png b.right.png", "a a b b"),
        ("a.left.png a.right.png", "a.left a.right"),  # one key only: nothing says that the words are not names
        ("P.1.png P.1.txt P.2.png P.2.txt", "P.1 P.1 P.2 P.2"),
        ("P.png P.1.png P.2.png", "P P.1 P.2"),
        ("P.1.png P.1.mask.png P.2.png P.2.mask.png", "P.1 P.1 P.2 P.2"),
        ("2020.01.02.jpg 2020.01.03.jpg", "2020.01.02 2020.01.03"),
        ("net.v1.json net.v2.json old.v1.json", "net.v1 net.v2 old.v1"),
        ("John.Smith.jpg Mary.Smith.jpg", "John.Smith Mary.Smith"),
        ("cat.0.jpg cat.1.jpg dog.0.jpg", "cat.0 cat.1 dog.0"),
        ("brain.nii.gz other.nii.gz", "brain other"),
        ("one.tar.gz", "one"),
        ("a.JPG b.Jpg", "a b"),
        ("a..jpg b...jpg", "a. b.."),
        ("d.e/a.png d.e/a.seg.png", "d.e/a d.e/a"),
        ("x.1/a.txt x.2/a.txt", "x.1/a x.2/a"),
        ("a b.png", "a b"),
    ],
)
def test_keys(names, keys):
    assert [key for key, _ in cut(names).values()] == keys.split()


@pytest.mark.parametrize(
    ("name", "extension"),
    [("a.JPG", "jpg"), ("a.tar.gz", "tar.gz"), ("a", ""), ("a.", ""), ("a.1", "1"), ("a.Seg.png", "png"), ("a.b.c.d", "d"), ("d.x/a", "")],
)
def test_extension(name, extension):
    assert cut(name)[name][1] == extension


def test_result_does_not_depend_on_order():
    names = "a.seg.png a.png b.seg.png P.1.png P.2.seg.png x.y.z.txt w.y.z.txt"
    one, two = cut(names), cut(" ".join(reversed(names.split())))
    assert one == two and one["x.y.z.txt"] == ("x", "y.z.txt") and one["P.2.seg.png"] == ("P.2", "seg.png")


def test_first_dot():
    assert differs_from_first_dot(split_names([PurePosixPath("a.seg.png"), PurePosixPath("a.png")])) is None
    assert differs_from_first_dot(split_names([PurePosixPath("b.png"), PurePosixPath("P.1.png")])) == PurePosixPath("P.1.png")
