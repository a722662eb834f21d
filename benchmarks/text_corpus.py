"""Cuts the documentation of a fixed list of Debian packages into short text records."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import debian

# Package: whether its HTML pages are read too (where it has no plain text of the same).
PACKAGES: dict[str, bool] = {
    "anarchism": False,
    "apache2-doc": True,
    "bible-kjv-text": False,
    "clang-14-doc": False,
    "cmake-doc": False,
    "debian-handbook": True,
    "debian-policy": False,
    "git-doc": False,
    "libboost1.74-doc": True,
    "linux-doc-6.1": False,
    "llvm-14-doc": False,
    "manpages": False,
    "manpages-dev": False,
    "miscfiles": False,
    "nodejs-doc": False,
    "octave-doc": True,
    "opencv-doc": True,
    "perl-doc": False,
    "postgresql-doc-15": True,
    "python-django-doc": True,
    "python3.11-doc": False,
    "sqlite3-doc": True,
    "vim-runtime": False,
}
# Folders left out: translations, which repeat one another's untranslated parts.
SKIPPED = re.compile(r"debian-handbook/html/(?!en-US/)")
PLAIN = re.compile(r"\.(txt|rst|md|pod|yaml|[1-8][a-z]*|text)(\.gz)?$")
PAGES = re.compile(r"\.html?(\.gz)?$")
DROPPED = re.compile(r"<(script|style|head)\b.*?</\1>", re.S | re.I)
TAGS = re.compile(r"<[^>]*>")
BLANKS = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
SHORTEST, LONGEST = 100, 1000
MOST_RECORDS, MOST_BYTES = 400_000, 250_000_000


def _read(path: Path) -> str | None:
    data = path.read_bytes()
    try:
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        content = data.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError):
        return None
    if "\0" in content:
        return None
    if PAGES.search(path.name):
        content = BLANKS.sub("\n\n", html.unescape(TAGS.sub("", DROPPED.sub("", content))))
    return content.strip()


def _documents(cache: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (package, source, content) of every distinct document."""
    seen: set[bytes] = set()
    for package, pages in PACKAGES.items():
        root = debian.unpack(package, cache=cache)
        if root is None:
            continue
        for path in sorted(root.rglob("*")):
            wanted = PLAIN.search(path.name) or (pages and PAGES.search(path.name))
            if not wanted or SKIPPED.search(str(path)) or path.is_symlink() or not path.is_file():
                continue
            content = _read(path)
            if content is None or len(content) < SHORTEST:
                continue
            digest = hashlib.sha1(content.encode("utf-8", "replace")).digest()
            if digest not in seen:
                seen.add(digest)
                yield package, str(path.relative_to(root)), content


def _pieces(content: str) -> Iterator[str]:
    """Yield paragraphs, cut at line ends (or anywhere) where they are too long."""
    for paragraph in content.split("\n\n"):
        if len(paragraph.encode()) <= LONGEST // 2:
            yield paragraph + "\n\n"
            continue
        for line in (paragraph + "\n\n").splitlines(keepends=True):
            for start in range(0, len(line), LONGEST // 4):
                yield line[start : start + LONGEST // 4]


def _records(content: str, chooser: random.Random) -> Iterator[tuple[int, str]]:
    """Yield (byte offset, text) of records of SHORTEST to LONGEST bytes."""
    held, size, offset, goal = [], 0, 0, chooser.randint(SHORTEST, LONGEST)
    for piece in _pieces(content):
        length = len(piece.encode())
        if held and size + length > goal:
            joined = "".join(held)
            if SHORTEST <= len(joined.strip().encode()) <= LONGEST:
                yield offset, joined.strip()
            offset += size
            held, size, goal = [], 0, chooser.randint(SHORTEST, LONGEST)
        held.append(piece)
        size += length
    joined = "".join(held).strip()
    if SHORTEST <= len(joined.encode()) <= LONGEST:
        yield offset, joined


def build(path: Path, *, cache: Path) -> None:
    """Write the distinct records as JSON lines, documents in a seeded random order."""
    documents = list(_documents(cache))
    chooser = random.Random(5)
    chooser.shuffle(documents)
    count = total = 0
    seen: set[bytes] = set()
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as out:
        for number, (package, source, content) in enumerate(documents):
            if count >= MOST_RECORDS or total >= MOST_BYTES:
                break
            for order, (offset, piece) in enumerate(_records(content, chooser)):
                digest = hashlib.sha1(piece.encode()).digest()
                if digest in seen:
                    continue
                seen.add(digest)
                meta = {"source": source, "offset": offset, "lines": piece.count("\n") + 1}
                record = {"id": f"{package}-{number:05d}-{order:04d}", "text": piece, "meta": meta}
                out.write(json.dumps(record, ensure_ascii=False) + "\n")
                count += 1
                total += len(piece.encode())
    part.rename(path)
    print(f"text: {count} records of {len(documents)} documents, {total} bytes", file=sys.stderr)
