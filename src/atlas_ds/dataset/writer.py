"""AtlasDatasetWriter: examples in, a dataset out. Decides what is visible when; how a shard is made is the shard room's business."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from atlas_ds.dataset.columns import first_rows, to_leaf_arrays
from atlas_ds.dataset.manifest import NAME, Manifest, Ranges, commit, parse_manifest, read_standing, shard_names
from atlas_ds.dataset.sizes import parse_size
from atlas_ds.dataset.sources import as_columns, as_examples
from atlas_ds.errors import LimitError, SchemaError
from atlas_ds.progress import Progress
from atlas_ds.schema.infer import infer_schema
from atlas_ds.schema.schema import Schema, make_schema, schema_from_json
from atlas_ds.schema.values import Media
from atlas_ds.shard.icc import check_columns, combined_icc
from atlas_ds.shard.plan import CODECS, Options
from atlas_ds.shard.reader import open_shard
from atlas_ds.shard.writer import Encoders, ShardInfo, ShardWriter
from atlas_ds.store.local import append_file, leftovers, link_file, write_file

JOURNAL = ".writing.json"  # one JSON object a line: what is written to what, then each shard that has its name
PARTS = ".parts"
INFER_ROWS = 1024  # examples that the schema is inferred from, or fewer if they hold
INFER_BYTES = 16 << 20  # this many bytes (roughly)
DEFAULT_BLOCK = {"random": "64KB", "scan": "1MB"}


class AtlasDatasetWriter:
    """Writes examples to a dataset folder. Use it in a with block: success publishes, an exception publishes nothing.

    path: the dataset's folder. shard_size, block_size: numbers of examples, or bytes before compression ("256MB"); block_size None
    is 64KB, or 1MB with access="scan". schema: inferred from the first examples if None. compression: "auto", "none", "lz4", "zstd", or a
    dict by column. level: of zstd. dictionary: "shared" by all shards, one per "shard", or None. access: "random" keeps every row O(1);
    "scan" compresses whole pages, smaller and slower at random. append adds to a dataset, overwrite replaces it, resume goes on after the last
    whole shard of a writer that was killed (see position). workers: encoding threads, default the cores. part: write part number k of a dataset
    that several processes write; merge_parts(path) joins them. icc: columns of numbers, bools or text whose likeness in neighbouring rows is measured
    (ds.icc); None: when appending, those of the dataset, else none.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        shard_size: int | str = "256MB",
        block_size: int | str | None = None,
        *,
        schema: Any = None,
        compression: str | Mapping[str, str] = "auto",
        level: int = 3,
        dictionary: str | None = "shared",
        access: str = "random",
        append: bool = False,
        overwrite: bool = False,
        resume: bool = False,
        workers: int | None = None,
        part: int | None = None,
        progress: bool = False,
        metadata: dict[str, Any] | None = None,
        icc: Sequence[str] | None = None,
    ) -> None:
        if isinstance(icc, str):
            raise TypeError(f"icc={icc!r}: give a list of columns: icc=[{icc!r}]")
        if access not in DEFAULT_BLOCK:
            raise ValueError(f"access={access!r}: 'random' or 'scan'")
        if dictionary not in ("shared", "shard", None):
            raise ValueError(f"dictionary={dictionary!r}: 'shared', 'shard' or None")
        if not 1 <= level <= 22:
            raise ValueError(f"level={level}: 1 to 22")
        if append + overwrite + resume > 1:
            raise ValueError("choose one of append, overwrite and resume")
        self.path = Path(path)
        self._shard_rows, self._shard_bytes = parse_size(shard_size, "shard_size")
        self._block_rows, block_bytes = parse_size(block_size if block_size is not None else DEFAULT_BLOCK[access], "block_size")
        self._block_bytes = block_bytes or 64 << 10
        self._compression, self._level, self._access = compression, level, access
        check_compression(compression)
        self._dictionary = dictionary
        self._folder = self.path if part is None else self.path / PARTS / f"{part:05d}"
        self._append, self._overwrite, self._resume = append, overwrite, resume
        self._metadata = metadata
        self._icc = None if icc is None else tuple(icc)
        self._schema: Schema | None = make_schema(schema) if schema is not None else None
        if self._schema is not None:
            check_columns(self._icc or (), self._schema)
        self._waiting: list[tuple[Any, str | None]] = []
        self._waiting_bytes = 0
        self._streams: dict[str | None, ShardWriter] = {}
        self._done: dict[str | None, list[ShardInfo]] = {}
        self._named: set[str] = set()  # files that have their name, or were about to get it when Ctrl-C came
        self._dictionaries: dict[int, bytes] = {}
        self._standing: bytes | None = None
        self._old: set[str] = set()
        self._base: Manifest | None = None
        self._state = "open"
        self._journaled = False
        self.position = 0
        self._prepare()
        self._next_ordinal = (len(self._base.shards) if self._base else 0) + sum(map(len, self._done.values()))
        self._encoders = Encoders(max(1, workers if workers is not None else os.cpu_count() or 1) if workers != 0 else 0)
        self._progress = Progress(None, "writing", "examples", progress)
        self._progress.__enter__()

    # --- life ---

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def close(self) -> None:
        """Writes what is left and publishes everything at once. A second call does nothing."""
        if self._state != "open":
            return
        manifest = None
        try:
            if self._schema is None and not self._waiting:
                raise SchemaError(f"{self.path}: no example was added, so there is no schema: give schema= to write an empty dataset")
            self._settle()
            for stream in self._streams.values():
                stream.finish_shard()
            self._encoders.close()
            manifest = self._manifest()
            commit(self._folder, manifest, expected=self._standing)
        except BaseException:
            if manifest is not None and self._stands(manifest):
                self._state = "closed"  # it is visible, though perhaps not durable: its shards must stay
                self._progress.__exit__(None, None, None)
                raise
            self.abort()
            raise
        self._state = "closed"
        self._progress.__exit__(None, None, None)
        self._sweep()

    def _stands(self, manifest: Manifest) -> bool:
        """Whether a manifest whose commit failed is the one that readers see."""
        try:
            return read_standing(self._folder) == manifest.dumps()
        except (OSError, ValueError):
            return False

    def abort(self) -> None:
        """Publishes nothing and takes away what was written. A second call does nothing."""
        if self._state != "open":
            return
        self._state = "aborted"
        self._encoders.close()
        for stream in self._streams.values():
            stream.abort()
        now = read_standing(self._folder)  # equal rows have equal names: another writer may have published the same file
        keep = self._old if now == self._standing else self._old | shard_names(self._folder, now)
        remove_shards(self._folder, self._named - keep)
        (self._folder / JOURNAL).unlink(missing_ok=True)
        self._progress.__exit__(None, None, None)
        if self._made_folder:
            with contextlib.suppress(OSError):
                (self._folder / ".atlas.lock").unlink(missing_ok=True)
                self._folder.rmdir()

    def _prepare(self) -> None:
        """Looks at what stands in the folder, and settles what to do with it."""
        if self.path.is_file():
            raise FileExistsError(f"{self.path} is a file; a dataset is a folder")
        self._made_folder = not self._folder.exists()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._standing = read_standing(self._folder)
        if self._standing is not None:
            if not (self._append or self._overwrite or self._resume):
                raise FileExistsError(f"{self.path}: a dataset is there: pass append=True to add to it, overwrite=True to replace it, or choose another folder")
        elif any(item.name[0] != "." and item.suffix != ".atlas" for item in self._folder.iterdir()):
            raise FileExistsError(f"{self.path}: the folder has other files and no dataset: choose a new or empty folder")
        if self._standing is None or self._overwrite:
            self._old = shard_names(self._folder, self._standing)
        else:
            self._base = parse_manifest(self._standing, str(self._folder / NAME))
            self._old = {shard.path for shard in self._base.shards}
            self._take_schema(self._base.schema)
            self._take_icc(self._base)
            if self._base.shards:
                self._take_dictionaries(self._base.shards[-1])
        self._read_journal()

    def _take_schema(self, schema: Schema) -> None:
        if self._schema is not None and self._schema != schema:
            raise SchemaError(f"{self.path}: schema= is not the schema of the dataset that stands there:\n{schema}")
        self._schema = schema

    def _take_icc(self, base: Manifest) -> None:
        if self._icc is None:
            self._icc = tuple(base.icc)
        check_columns(self._icc, base.schema)
        lacking = [name for name in self._icc if name not in base.icc]
        if lacking and base.shards:
            raise ValueError(f"{self.path}: icc={lacking}: the rows that stand there were written without it: write the dataset anew")

    def _take_dictionaries(self, info: ShardInfo) -> None:
        """Goes on with the dictionaries that the dataset's shards already carry."""
        if self._dictionary != "shared":
            return
        shard = open_shard(self._folder / info.path)
        data = shard.dictionary_bytes
        for id, _, _, _, number, _, _, _ in shard.leaves:
            if number:
                self._dictionaries[id] = data[number - 1]

    # --- a killed writer's shards ---

    def _read_journal(self) -> None:
        path = self._folder / JOURNAL
        head, *items = journal_lines(path) or [None]
        shards = [ShardInfo(**item) for item in items]
        if not self._resume:
            remove_shards(self._folder, {shard.path for shard in shards} - self._old)
            path.unlink(missing_ok=True)
            return
        for leftover in leftovers(self._folder):
            leftover.unlink(missing_ok=True)
        if head is None:
            return
        if head["base"] != (len(self._base.shards) if self._base else 0):
            raise FileExistsError(f"{self.path}: the dataset changed since the writer that is to be resumed was killed: write again without resume")
        if shards:
            self._take_schema(schema_from_json(head["schema"], where=str(path)))
            for shard in shards:
                open_shard(self._folder / shard.path)
            self._combined_icc(shards)
            self._take_dictionaries(shards[0])
        self._done[None] = shards
        self._named = {shard.path for shard in shards}
        self.position = sum(shard.rows for shard in shards)

    def _write_journal(self) -> None:
        """Notes the shards that have their name, so that a writer that is killed can be resumed. Only without splits."""
        if set(self._done) != {None}:
            return
        shards = self._done[None]
        if self._journaled:
            append_file(self._folder / JOURNAL, to_lines(asdict(shards[-1])))
            return
        assert self._schema is not None
        head = {"base": len(self._base.shards) if self._base else 0, "schema": self._schema.to_json()}
        write_file(self._folder, JOURNAL, to_lines(head, *map(asdict, shards)))
        self._journaled = True

    # --- rows ---

    def add_example(self, example: Any, *, split: str | None = None) -> None:
        """Adds one example: a dict, tuple, list, dataclass instance or single value, the same kind each time. split: "train", say.

        SchemaError names the example's number (from 0), the column, what was expected and what came; the writer stays usable.
        """
        if self._state != "open":
            raise ValueError(f"{self.path}: the writer is {self._state}")
        if self._schema is None:
            self._waiting.append((example, split))
            self._waiting_bytes += rough_size(example)
            if len(self._waiting) >= INFER_ROWS or self._waiting_bytes >= INFER_BYTES:
                self._settle()
        else:
            self._add(example, split)

    def _add(self, example: Any, split: str | None) -> None:
        stream = self._streams.get(split)
        if stream is None:
            stream = self._stream(split)
        try:
            stream.add(example)
        except (SchemaError, LimitError) as error:
            raise type(error)(f"example {self.position}: {error}") from error
        self.position += 1
        if not self.position & 1023:
            self._progress.advance(1024)

    def extend(self, examples: Iterable[Any], *, split: str | None = None) -> None:
        """Adds every example of an iterable."""
        for example in as_examples(examples):
            self.add_example(example, split=split)

    def add_batch(self, columns: Any, *, split: str | None = None) -> None:
        """Adds rows given as columns: an example whose values are arrays with a leading row axis, or lists, all of one length."""
        if self._state != "open":
            raise ValueError(f"{self.path}: the writer is {self._state}")
        for batch in as_columns(columns):
            self._add_batch(batch, split)

    def _add_batch(self, columns: Any, split: str | None) -> None:
        self._settle()
        if self._schema is None:
            self._schema = infer_schema(first_rows(columns, INFER_ROWS))
        count, slices = to_leaf_arrays(columns, self._schema)
        stream = self._streams.get(split) or self._stream(split)
        start = 0
        while start < count:
            left = stream.rows_left
            step = min(slices.step, count - start) if left is None else min(slices.step, count - start, left)
            try:
                stream.add_columns(slices.take(start, start + step), step)
            except (SchemaError, LimitError) as error:
                raise type(error)(f"examples {self.position} to {self.position + step - 1}: {error}") from error
            start += step
            self.position += step
            self._progress.advance(step)

    def _settle(self) -> None:
        """Infers the schema from the examples that wait, and passes them on."""
        if self._schema is None and self._waiting:
            self._schema = infer_schema([example for example, _ in self._waiting])
        waiting, self._waiting = self._waiting, []
        for example, split in waiting:
            self._add(example, split)

    def _stream(self, split: str | None) -> ShardWriter:
        assert self._schema is not None
        check_columns(self._icc or (), self._schema)
        if split is not None and (not isinstance(split, str) or not split):
            raise ValueError(f"split={split!r}: a name such as 'train'")
        if self._streams and (split is None) != (None in self._streams):
            raise ValueError("give split= with every example or with none")
        if self._resume and split is not None:
            raise ValueError("a writer with splits cannot be resumed: write again with overwrite=True")
        done = self._done.setdefault(split, [])

        def published(info: ShardInfo) -> None:
            done.append(info)
            self._write_journal()

        self._streams[split] = stream = ShardWriter(
            self._folder,
            self._schema,
            self._options(self._schema),
            shard_bytes=self._shard_bytes,
            shard_rows=self._shard_rows,
            encoders=self._encoders,
            ordinal=self._take_ordinal,
            naming=self._named.add,
            published=published,
            dictionaries=self._dictionaries,
            dictionary_per_shard=self._dictionary == "shard",
            icc=self._icc or (),
        )
        return stream

    def _take_ordinal(self) -> int:
        self._next_ordinal += 1
        return self._next_ordinal - 1

    def _options(self, schema: Schema) -> Options:
        codecs: list[int | None] = []
        columns = self._compression if isinstance(self._compression, Mapping) else {}
        unknown = set(columns) - set(schema.names)
        if unknown:
            raise ValueError(f"compression names {sorted(unknown)[0]!r}, which is no column; the columns are {', '.join(schema.names)}")
        for leaf in schema.leaves:
            name = columns.get(leaf.path.partition(".")[0], "auto") if columns else self._compression
            codecs.append(None if name == "auto" else CODECS[str(name)])
        return Options(tuple(codecs), self._level, self._access, self._block_bytes, self._block_rows, self._dictionary is not None)

    # --- what is published ---

    def _manifest(self) -> Manifest:
        assert self._schema is not None
        shards = list(self._base.shards) if self._base else []
        splits: dict[str, Ranges] = dict(self._base.splits) if self._base else {}
        row = sum(shard.rows for shard in shards)
        for split, infos in self._done.items():
            start, row = row, row + sum(info.rows for info in infos)
            shards += infos
            if split is not None and row > start:
                splits[split] = (*splits.get(split, ()), (start, row))
        metadata = self._metadata if self._metadata is not None else self._base.metadata if self._base else {}
        return Manifest(self._schema, tuple(shards), splits, metadata, self._combined_icc(shards))

    def _combined_icc(self, shards: list[ShardInfo]) -> dict[str, float]:
        if not self._icc:
            return {}
        assert self._schema is not None
        return combined_icc([self._folder / shard.path for shard in shards], self._icc, self._schema)

    def _sweep(self) -> None:
        """After the new manifest stands: takes away what only the old one named."""
        (self._folder / JOURNAL).unlink(missing_ok=True)
        if self._overwrite:
            remove_shards(self._folder, self._old - {info.path for infos in self._done.values() for info in infos})


def journal_lines(path: Path) -> list[Any]:
    """The lines of a journal, up to one that a crash tore."""
    lines = []
    with contextlib.suppress(FileNotFoundError, ValueError):
        for line in path.read_bytes().split(b"\n")[:-1]:
            lines.append(json.loads(line))
    return lines


def to_lines(*items: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


def remove_shards(folder: Path, names: set[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def check_compression(compression: str | Mapping[str, str]) -> None:
    names = compression.values() if isinstance(compression, Mapping) else [compression]
    for name in names:
        if name != "auto" and name not in CODECS:
            raise ValueError(f"compression={name!r}: 'auto', 'none', 'lz4', 'zstd', or a dict of column to one of these")


def rough_size(example: Any, depth: int = 0) -> int:
    """About how many bytes an example holds; only to bound the memory of inference."""
    if isinstance(example, dict | list | tuple):
        if depth > 16 or (len(example) >= 64 and not isinstance(example, dict)):
            return 16 * len(example)
        return sum(rough_size(value, depth + 1) for value in (example.values() if isinstance(example, dict) else example))
    if isinstance(example, str | bytes):
        return len(example)
    if isinstance(example, Media):
        return len(example.data)
    return int(getattr(example, "nbytes", 16))


def merge_parts(root: str | os.PathLike[str], *, overwrite: bool = False, metadata: dict[str, Any] | None = None) -> None:
    """Joins the parts that AtlasDatasetWriter(root, part=k) wrote into one dataset, in the order of their numbers.

    Parts must have equal schemas (give one explicit schema= to all writers). The same parts give the same bytes.
    """
    path = Path(root)
    folders = sorted((path / PARTS).glob("[0-9]*")) if (path / PARTS).is_dir() else []
    if not folders:
        raise FileNotFoundError(f"{path}: no parts are there: write them with AtlasDatasetWriter({str(path)!r}, part=0), part=1, ...")
    standing = read_standing(path)
    if standing is not None and not overwrite:
        raise FileExistsError(f"{path}: a dataset is there: pass overwrite=True to replace it")
    old = shard_names(path, standing)
    parts = []
    for folder in folders:
        if not (folder / NAME).exists():
            raise FileNotFoundError(f"{folder}: this part was never finished: run its writer again, or remove the folder")
        parts.append((folder, parse_manifest((folder / NAME).read_bytes(), str(folder / NAME))))
    schema = parts[0][1].schema
    for folder, manifest in parts:
        if manifest.schema != schema:
            why = "the schema of this part is not that of the first: give all writers the same schema="
            raise SchemaError(f"{folder}: {why}\n{manifest.schema}\nfirst: {schema}")
    shards: list[ShardInfo] = []
    splits: dict[str, Ranges] = {}
    row = 0
    for folder, manifest in parts:
        for name, ranges in manifest.splits.items():
            splits[name] = (*splits.get(name, ()), *((a + row, b + row) for a, b in ranges))
        for info in manifest.shards:
            name = f"{len(shards):05d}-{info.root}.atlas"
            link_file(folder / info.path, path / name)
            shards.append(ShardInfo(name, info.rows, info.bytes, info.tail, info.root))
        row += manifest.rows
    names = [name for name in parts[0][1].icc if all(name in manifest.icc for _, manifest in parts)]
    icc = combined_icc([path / info.path for info in shards], names, schema) if names else {}
    commit(path, Manifest(schema, tuple(shards), splits, metadata if metadata is not None else parts[0][1].metadata, icc), expected=standing)
    shutil.rmtree(path / PARTS)
    remove_shards(path, old - {info.path for info in shards})
