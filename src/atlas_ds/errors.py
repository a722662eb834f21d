"""The errors Atlas raises. Each names the file, the place and the rule.

Each can be pickled, and each is also the built-in error that a caller would expect. Missing files
raise `FileNotFoundError`, a dataset that is in the way raises `FileExistsError`, wrong arguments
raise `ValueError` or `TypeError`.
"""

from __future__ import annotations

from atlas_ds.text import printable

__all__ = [
    "AtlasError", "CommitConflict", "CorruptError", "DatasetChanged", "LimitError", "LoaderTimeout", "NotADataset", "SchemaError", "StoreError",
    "TruncatedError", "UnsupportedError", "WriterBusy",
]  # fmt: skip


class AtlasError(Exception):
    """Base of all errors of Atlas.

    A message may hold names that come from a file: `str()` of it has no character that could
    control a terminal. `args` hold it as it is. `lines`: of an error about several things, a line
    for each.
    """

    lines: tuple[str, ...] = ()
    """Of an error about several things: a line for each, which the text has below its first line."""

    def __str__(self) -> str:
        return printable(super().__str__(), keep="\n")


class CorruptError(AtlasError, ValueError):
    """Bytes break a rule of the format or do not match their checksum."""


class TruncatedError(CorruptError):
    """A file ends too early, or was never finished."""


class NotADataset(AtlasError, FileNotFoundError):
    """No dataset is at the path.

    Nothing is there, or something else: then the text says what it is and which call reads it.
    """


class UnsupportedError(AtlasError, NotImplementedError):
    """A file needs a feature that this version does not have."""


class LimitError(AtlasError, ValueError):
    """A size is legal but larger than a limit."""


class SchemaError(AtlasError, TypeError):
    """An example does not fit the schema, or a type cannot be stored."""


class CommitConflict(AtlasError):
    """Another writer published first, and these rows cannot be added to what it published."""


class WriterBusy(AtlasError, FileExistsError):
    """Another writer uses the path; the text names its process, its host and since when."""


class DatasetChanged(AtlasError, OSError):
    """The dataset was replaced, or files of it were removed, after it was opened or pickled."""


class StoreError(AtlasError, OSError):
    """A store could not be asked: no access, no network, or no answer in time; nothing is said of its files."""


class LoaderTimeout(AtlasError, TimeoutError):
    """No batch was finished for `timeout` seconds; the text has the stacks of all threads."""
