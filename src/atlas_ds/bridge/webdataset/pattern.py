"""The pattern of a set of shards, such as out/train-%06d.tar: the names of its files, and which
of them exist. It writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from atlas_ds.bridge.opening import open_regular
from atlas_ds.errors import AtlasError
from atlas_ds.store.paths import local_path
from atlas_ds.store.temporary import label_of, leftovers

LOOKED_AT = 4096  # bytes of a file that are searched for an index's key
PACKINGS = {".tar": "", ".tar.gz": "gzip", ".tgz": "gzip", ".tar.zst": "zstd"}
_NUMBER = re.compile(r"%(0?)([1-9][0-9]?)?d")


@dataclass(frozen=True, slots=True)
class Pattern:
    """File names of shards: before, then the number with at least `digits` digits (None: there
    is only one file), then after."""

    folder: Path
    before: str
    after: str
    digits: int | None
    fill: str
    packing: str

    def name(self, number: int) -> str:
        if self.digits is None:
            return self.before + self.after
        return f"{self.before}{str(number).rjust(self.digits, self.fill)}{self.after}"

    @property
    def index(self) -> str:
        """The index's file name: without the number and the separators around it."""
        suffix = suffix_of(self.before + self.after)
        stem = "".join(part.removesuffix(suffix).rstrip("-_. ") for part in (self.before, self.after))
        return f"{stem or 'shards'}.json"

    def existing(self, index: bool) -> Iterator[Path]:
        """The existing shards of this pattern, and their index. index: one is to be written, so
        another file of its name is an error."""
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            its_index = path.name == self.index and not self.packing  # compressed shards have none
            if self.owns(path.name) or (its_index and _is_index(path)):
                yield path
            elif its_index and index:
                raise AtlasError(f"{path}: has the name of the index, but is not an index of shards; move it away, or pass index=False")

    def clean(self) -> None:
        """Removes the unfinished shards of killed exports."""
        for path in leftovers(self.folder):
            if self.owns(label_of(path)):
                path.unlink(missing_ok=True)

    def owns(self, name: str) -> bool:
        """Whether a shard of this pattern can have this name."""
        if self.digits is None:
            return name == self.name(0)
        found = re.fullmatch(re.escape(self.before) + " *([0-9]+)" + re.escape(self.after), name)
        return found is not None and self.name(int(found[1])) == name


def _is_index(path: Path) -> bool:
    with open_regular(path) as file:
        return b'"wids_version"' in file.read(LOOKED_AT)


def parse_pattern(pattern: str | Path) -> Pattern:
    """out/train-%06d.tar: `%06d` is the shard's number, as in C's printf; `%%` is a percent
    sign. Without a number, everything goes into one file."""
    path = local_path(pattern, "pattern")
    numbers = list(_NUMBER.finditer(path.name.replace("%%", "\0\0")))
    before, after = path.name, ""
    if numbers:
        before, after = path.name[: numbers[0].start()], path.name[numbers[0].end() :]
    if len(numbers) > 1 or any("%" in part.replace("%%", "") for part in (before, after, str(path.parent))):
        raise AtlasError(f"{pattern}: a pattern has one number such as %06d, in the file's name, and %% for a percent sign; correct it")
    if "{" in path.name or "}" in path.name:
        raise AtlasError(f"{pattern}: braces are for reading; a shard's number is written %06d")
    before, after = before.replace("%%", "%"), after.replace("%%", "%")
    suffix = suffix_of(path.name)
    if not suffix or not path.name.removesuffix(suffix) or path.name.startswith("."):
        raise AtlasError(f"{pattern}: shards end in {', '.join(PACKINGS)} and are not hidden; name them like out/train-%06d.tar")
    zero, width = numbers[0].groups() if numbers else ("", None)
    folder = Path(str(path.parent).replace("%%", "%"))
    return Pattern(folder, before, after, int(width or 1) if numbers else None, "0" if zero else " ", PACKINGS[suffix])


def suffix_of(name: str) -> str:
    return next((suffix for suffix in sorted(PACKINGS, key=len, reverse=True) if name.endswith(suffix)), "")
