"""What a reader hands to `convert`: the examples of another format, to be read as often as wanted; and what the caller may ask of a reader.

Not a reader: each format has a file of its own. Not a writer either: `convert` gives the examples to Atlas. Files are opened by opening.py.
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
    """In the place of an example that cannot be read, or of all those of a damaged file, where the reader can go on behind them. The error names
    file and place."""

    error: AtlasError
    rows: int = 1


Row = tuple[Example | Refused, str | None]  # an example and the split it belongs to


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a caller may say about reading a source. Each reader takes what concerns it; detect.OPTIONS says which that is.

    encoding: of text files; None finds UTF-8 and UTF-16 by their first bytes. media: new column -> column of file names, whose files are read.
    keep_names: whether the file's name becomes a column; None: where the files are media. follow_links: read what links name outside the source.
    max_expansion: how many times its own size a compressed file may expand. trust_pickle, missing: see `import_atlas_v1`.
    on_error: what `convert` does about Refused, for readers to whom it makes a difference. progress: show how far a first pass is.
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

    `total` counts the rows, refused ones too; None where only reading tells. `schema` is given where the source knows its types better than
    inference would. `notes` are sentences for the person who converts: what was chosen or changed. `left_out` names files that are not read, each
    with its reason. `why` says which rule made the source this format. `place` says where a row (from 0) comes from, for errors about its
    values; None where the row's number says it all. `refused` names the examples that are known, before any is read, to be refused.
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
