"""What a reader returns to `convert`: the examples of another format, which can be read repeatedly;
and the options of readers.

Each format has a reader in a file of its own. `convert` passes the examples to Atlas. Files are
opened by opening.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from atlas_ds.bridge.compression.reading import MAX_EXPANSION
from atlas_ds.errors import AtlasError

Example = dict[str, object]
OnError = Literal["raise", "skip"]
Missing = Literal["error", "skip"]


class Refused(NamedTuple):
    """Takes the place of an example that cannot be read, or of all examples of a damaged file,
    if the reader can continue after them. The error names file and place."""

    error: AtlasError
    rows: int = 1


Row = tuple[Example | Refused, str | None]  # an example and the split it belongs to


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options of reading a source. detect.OPTIONS lists which formats each option applies to.

    encoding: of text files; None detects UTF-8 and UTF-16 by their first bytes. media: new column
    -> column of file names, whose files are read. keep_names: whether the file's name becomes a
    column; None: if the files are media. follow_links: read files that links name outside the
    source. max_expansion: how many times its own size a compressed file may expand. trust_pickle,
    missing: see `import_atlas_v1`. on_error: what `convert` does about Refused, for readers that
    depend on it. progress: show the progress of a first pass.
    """

    encoding: str | None = None
    media: Mapping[str, str] = field(default_factory=dict)
    keep_names: bool | None = None
    follow_links: bool = False
    max_expansion: int = MAX_EXPANSION
    trust_pickle: bool = False
    missing: Missing = "error"
    on_error: OnError = "raise"
    progress: bool = False


DEFAULTS = ReadOptions()


@dataclass(frozen=True, slots=True)
class Source:
    """Examples in a fixed order. `examples()` starts a new pass and may be called again.

    `total` counts the rows, including refused ones; None if it is only known after reading.
    `schema` is set if the source knows its types better than inference would. `notes` are sentences
    for the user: what was chosen or changed. `left_out` names files that are not read, each with
    its reason. `why` is the rule by which this format was chosen. `place` returns where a row (from
    0) comes from, for errors about its values; None if the row's number is enough. `refused` names
    the examples that are known to be refused before any is read.
    """

    format: str
    examples: Callable[[], Iterator[Row]]
    total: int | None
    schema: object | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    place: Callable[[int], str] | None = None
    left_out: tuple[str, ...] = ()
    why: str = ""
    refused: tuple[str, ...] = ()
