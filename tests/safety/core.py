"""The C core for tests, without the Python extension: built with gcc, called through cffi (ABI mode), and small C drivers beside it.

No tests here.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cffi
import pytest

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
FUZZ = CSRC / "fuzz"
LIBRARIES = ("-lzstd", "-llz4")
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Werror")
ASAN = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer")
OK, ARG, MEMORY, TRUNCATED, CORRUPT, UNSUPPORTED, LIMIT, CODEC = range(8)
FIRST, ALWAYS, NEVER = range(3)


def sources() -> list[str]:
    return [str(path) for path in sorted(CSRC.glob("*.c"))]


def compile_c(out: Path, files: Iterable[str | Path], *flags: str) -> Path:
    command = ["gcc", "-std=gnu11", "-g", f"-I{CSRC}", f"-I{FUZZ}", *flags, "-o", str(out), *map(str, files), *LIBRARIES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def run(*command: str | Path, timeout: float = 600) -> list[int]:
    """What the driver prints: numbers. It must end well and say nothing else."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=timeout)
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("ThreadSanitizer does not run on this kernel")
    assert done.returncode == 0 and not done.stderr, done.stderr[-4000:]
    return [int(word) for word in done.stdout.split()]


def declarations() -> str:
    """atlas.h as cffi wants it."""
    text = re.sub(r"/\*.*?\*/", "", (CSRC / "atlas.h").read_text(), flags=re.S)
    text = re.sub(r'^extern "C" \{$|^\}$|^#.*$', "", text, flags=re.M)
    return text.replace("ATLAS_API ", "")


class Core:
    """The shared library. Methods keep the memory that C is given alive, in `kept`."""

    def __init__(self, library: Path) -> None:
        self.ffi = cffi.FFI()
        self.ffi.cdef(declarations())
        self.lib: Any = self.ffi.dlopen(str(library))

    def error(self) -> Any:
        return self.ffi.new("atlas_error *")

    def why(self, error: Any) -> str:
        return self.ffi.string(error.why).decode()

    def shard(self, data: bytes) -> OpenShard:
        return OpenShard(self, data)

    def reader(self, arena: int = 1 << 20, **fields: int) -> Reader:
        return Reader(self, arena, **fields)


class Reader:
    def __init__(self, core: Core, arena: int, **fields: int) -> None:
        self.core = core
        self.c = core.ffi.new("atlas_reader *")
        assert core.lib.atlas_reader_open(self.c, core.error()) == OK
        for name, value in fields.items():
            setattr(self.c, name, value)
        self.room(arena)

    def room(self, size: int) -> None:
        self.arena = self.core.ffi.new("uint8_t[]", size) if size else self.core.ffi.NULL
        self.c.arena, self.c.arena_bytes = self.arena, size

    def close(self) -> None:
        self.core.lib.atlas_reader_close(self.c)


class OpenShard:
    """A shard opened and bound; `status` and `error` say how that went."""

    def __init__(self, core: Core, data: bytes) -> None:
        ffi, lib = core.ffi, core.lib
        self.core, self.error = core, core.error()
        self.data = ffi.new("uint8_t[]", data)
        self.size = len(data)
        self.c = ffi.new("atlas_shard *")
        self.status = lib.atlas_shard_open(self.data, len(data), self.c, self.error)
        if self.status == OK:
            self.leaves = ffi.new("atlas_leaf[]", self.c.leaf_count)
            self.pages = ffi.new("uint64_t[]", self.c.page_count + 1)
            self.heads = ffi.new("uint8_t[]", self.c.block_count + 1)
            self.dicts = ffi.new("atlas_dict *[]", self.c.dictionary_count + 1)
            known = ffi.cast("const atlas_dict *const *", self.dicts)
            self.status = lib.atlas_shard_bind(self.c, self.leaves, self.pages, self.heads, known, self.error)
        if self.status == OK:
            self._open_dictionaries()

    def _open_dictionaries(self) -> None:
        ffi, lib = self.core.ffi, self.core.lib
        data, size, out = ffi.new("const uint8_t **"), ffi.new("size_t *"), ffi.new("atlas_dict **")
        for k in range(1, self.c.dictionary_count + 1):
            if lib.atlas_shard_dict(self.c, k, data, size, self.error) == OK:
                assert lib.atlas_dict_open(data[0], size[0], 0, out, self.error) == OK
                self.dicts[k - 1] = out[0]

    def set(self, *others: OpenShard, starts: Sequence[int] | None = None) -> Any:
        ffi = self.core.ffi
        shards = [self, *others]
        ends = [sum(shard.c.rows for shard in shards[:k]) for k in range(len(shards) + 1)]
        self.kept = ffi.new("atlas_shard *[]", [shard.c for shard in shards]), ffi.new("int64_t[]", list(starts or ends))
        return ffi.new("atlas_set *", {"shards": self.kept[0], "starts": self.kept[1], "count": len(shards)})

    def views(self, reader: Reader, rows: Sequence[int], leaf: int, table: Any = None) -> tuple[int, list[bytes | None]]:
        ffi, lib = self.core.ffi, self.core.lib
        views = ffi.new("atlas_view[]", len(rows) + 1)
        reader.c.used = 0
        table = self.set() if table is None else table
        status = lib.atlas_views(reader.c, table, ffi.new("int64_t[]", rows), len(rows), ffi.NULL, len(rows), ffi.new("uint32_t[]", [leaf]), 1,
                                 views, self.error)
        if status != OK:
            return status, []
        return status, [None if view.data == ffi.NULL else bytes(ffi.buffer(view.data, view.size)) for view in views[0 : len(rows)]]

    def gather(self, reader: Reader, rows: Sequence[int], leaf: int, table: Any = None, stride: int | None = None) -> tuple[int, bytes]:
        ffi, lib = self.core.ffi, self.core.lib
        stride = self.leaves[leaf].width if stride is None else stride
        out, nulls = ffi.new("uint8_t[]", stride * len(rows) + 1), ffi.new("uint8_t[]", len(rows) + 1)
        column = ffi.new("atlas_column *", {"leaf": leaf, "out": out, "stride": stride, "nulls": nulls})
        reader.c.used = 0
        table = self.set() if table is None else table
        status = lib.atlas_gather(reader.c, table, ffi.new("int64_t[]", rows), len(rows), ffi.NULL, column, 1, self.error)
        return status, bytes(ffi.buffer(out, stride * len(rows)))

    def verify(self, reader: Reader) -> int:
        ffi, lib = self.core.ffi, self.core.lib
        digest, blocks, dicts = ffi.new("atlas_digest **"), ffi.new("uint32_t *"), ffi.new("uint32_t *")
        offset = ffi.new("uint64_t *", 64)
        assert lib.atlas_digest_open(self.c.leaf_count, digest, self.error) == OK
        status = OK
        while status == OK and offset[0] < self.c.footer_offset:
            call = (reader.c, self.c, offset[0], digest[0], blocks, dicts, offset, self.error)
            status = lib.atlas_verify_chunk(*call)
            if status == MEMORY:
                reader.room(reader.c.need)
                status = lib.atlas_verify_chunk(*call)
        if status == OK:
            status = lib.atlas_verify_rest(self.c, digest[0], blocks[0], dicts[0], self.error)
        lib.atlas_digest_close(digest[0])
        return status

    def whole(self, reader: Reader) -> int:
        """The status of open, bind and verify together."""
        return self.status if self.status != OK else self.verify(reader)
