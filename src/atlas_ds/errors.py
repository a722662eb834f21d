"""The errors Atlas raises. Each names file, place and rule; each pickles; each is also the built-in error a caller would expect."""

from __future__ import annotations

from atlas_ds.text import printable

__all__ = [
    "AtlasError", "CommitConflict", "CorruptError", "DatasetChanged", "LimitError", "LoaderTimeout", "NotADataset", "SchemaError", "TruncatedError",
    "UnsupportedError", "WriterBusy",
]  # fmt: skip


class AtlasError(Exception):
    """Base of every error of Atlas.

    A message may hold names that come from a file: str() of it has no character that would steer a terminal. args hold it as it is.
    """

    lines: tuple[str, ...] = ()
    """Of an error about several things: a line for each, which the text has below its first line."""

    def __str__(self) -> str:
        return printable(super().__str__(), keep="\n")


class CorruptError(AtlasError, ValueError):
    """Bytes break a rule of FORMAT.md or do not match their hash."""


class TruncatedError(CorruptError):
    """A file ends too early, or was never finished."""


class NotADataset(AtlasError, FileNotFoundError):
    """No Atlas dataset is at the path: nothing is there, or something else; the text says what, and which call reads it."""


class UnsupportedError(AtlasError, NotImplementedError):
    """A file needs a feature that this version does not have."""


class LimitError(AtlasError, ValueError):
    """A size is legal but larger than a limit."""


class SchemaError(AtlasError, TypeError):
    """An example does not fit the schema, or a type cannot be stored."""


class CommitConflict(AtlasError):
    """Another writer published first, and what it published cannot be combined with what this one wrote."""


class WriterBusy(AtlasError, FileExistsError):
    """Another writer is at work on the same path."""


class DatasetChanged(AtlasError, OSError):
    """The dataset was replaced, or its files were removed, after it was opened or pickled."""


class LoaderTimeout(AtlasError, TimeoutError):
    """No batch was finished for too long; the text holds the stacks of all threads."""
