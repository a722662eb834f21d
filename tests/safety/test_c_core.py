"""The C core directly: its contract, its bounds, and what must be refused. Built here with gcc, with and without sanitizers.

The long campaigns (fuzzing, 16 threads for minutes) are marked `campaign`; docs/reliability.md has their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from attacks import attack_const_amplified, attack_width_huge
from reference import sample, wire
from reference.builder import Encoding, build, places, reseal
from safety import core as c
from safety.core import ARG, CODEC, CORRUPT, FUZZ, LIMIT, MEMORY, NEVER, OK, TRUNCATED, UNSUPPORTED, Core
from safety.shards import SIZE, full, full_shard

TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in FUZZ.glob("fuzz_*.c"))
RICH = sample.rich()
ROWS = list(range(sample.ROWS))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("core")


@pytest.fixture(scope="session")
def core(folder: Path) -> Core:
    files = c.sources()
    return Core(c.compile_c(folder / "libatlas.so", files, "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-std=c11", *c.STRICT))


@pytest.fixture(scope="session")
def flips(folder: Path) -> Path:
    return c.compile_c(folder / "flips", [FUZZ / "flips.c", FUZZ / "common.c", *c.sources()], "-O2")


@pytest.fixture(scope="session")
def shard_files(folder: Path) -> list[Path]:
    """Three shards of 64 KiB: one, the same with another nonce, and one of other values with the same nonce."""
    files = []
    for number, (nonce, flavour) in enumerate(((0x1234, 0), (0x9999, 0), (0x1234, 1))):
        files.append(folder / f"full{number}.atlas")
        files[-1].write_bytes(full_shard(nonce, flavour))
    return files


@pytest.fixture
def reader(core: Core) -> Iterator[c.Reader]:
    reader = core.reader()
    yield reader
    reader.close()


# The contract

def test_statuses_are_pinned(core: Core) -> None:
    names = ["OK", "ARG", "MEMORY", "TRUNCATED", "CORRUPT", "UNSUPPORTED", "LIMIT", "CODEC"]
    assert [getattr(core.lib, f"ATLAS_{name}") for name in names] == list(range(8))
    assert [getattr(core.lib, f"ATLAS_VERIFY_{name}") for name in ("FIRST", "ALWAYS", "NEVER")] == [0, 1, 2]


def test_structs_are_pinned(core: Core) -> None:
    sizes = {"atlas_error": 24, "atlas_leaf": 32, "atlas_view": 16, "atlas_column": 32, "atlas_chunk": 32, "atlas_set": 32, "atlas_need": 8, "atlas_pins": 24}
    assert {name: core.ffi.sizeof(name) for name in sizes} == sizes


def _header(core: Core, **fields: int) -> tuple[int, str]:
    good = build(RICH)[:64]
    data = wire.HEADER.code.unpack(good)
    raw = wire.HEADER.pack(**(dict(zip(wire.HEADER.fields, data)) | fields))
    raw = raw[:56] + wire.H(raw[:56]).to_bytes(8, "little") if "hash" not in fields else raw
    error = core.error()
    status = core.lib.atlas_header_check(raw, len(raw), error)
    assert status == OK or error.status == status
    return status, core.why(error) if status != OK else ""


def test_header(core: Core) -> None:
    assert _header(core) == (OK, "")
    assert _header(core, minor=9, compat=2**63)[0] == OK
    for fields, status, word in (({"major": 3}, UNSUPPORTED, "major"), ({"incompat": 1 << 40}, UNSUPPORTED, "incompat"),
                                 ({"header_bytes": 128}, CORRUPT, "header_bytes"), ({"hash": 1}, CORRUPT, "hash"),
                                 ({"reserved": b"\0" * 15 + b"\1"}, CORRUPT, "reserved"), ({"magic": b"x" * 8}, CORRUPT, "magic")):
        got, why = _header(core, **fields)
        assert got == status and word in why
    assert core.lib.atlas_header_check(b"x" * 63, 63, core.error()) == TRUNCATED


def test_written_header_and_trailer_are_read(core: Core) -> None:
    header, trailer = core.ffi.new("uint8_t[64]"), core.ffi.new("uint8_t[64]")
    core.lib.atlas_header_write(header, 77)
    assert core.lib.atlas_header_check(header, 64, core.error()) == OK
    core.lib.atlas_trailer_write(trailer, 640, 200, 5, 77, 99)
    fields = wire.TRAILER.read(bytes(core.ffi.buffer(trailer)))
    assert (fields.footer_offset, fields.footer_bytes, fields.file_bytes, fields.row_count, fields.nonce, fields.footer_hash) == \
        (640, 200, 960, 5, 77, 99)


@pytest.mark.parametrize("mode", [c.FIRST, c.ALWAYS, NEVER])
@pytest.mark.parametrize("arena", [0, 1, 1 << 16])
def test_every_value_of_every_leaf(core: Core, mode: int, arena: int) -> None:
    reader, shard = core.reader(arena, verify=mode), core.shard(build(RICH))
    for turn in range(2):
        for position, leaf in enumerate(RICH.leaves):
            status, values = shard.views(reader, ROWS, position)
            if status == MEMORY:
                assert reader.c.need > reader.c.arena_bytes
                reader.room(reader.c.need)
                status, values = shard.views(reader, ROWS, position)
            assert (status, values) == (OK, RICH.columns[leaf.id]), (leaf, turn)
    reader.close()


def test_gather_of_every_fixed_leaf(core: Core, reader: c.Reader) -> None:
    shard = core.shard(build(RICH))
    for position, leaf in enumerate(RICH.leaves):
        if leaf.kind == wire.FIXED_LEAF:
            cells = [bytes(leaf.width) if cell is None else cell for cell in RICH.columns[leaf.id]]
            assert shard.gather(reader, ROWS[::-1], position) == (OK, b"".join(cells[::-1]))


def test_good_shards_verify_from_any_arena(core: Core) -> None:
    for data in (build(RICH), build(sample.tiny()), full_shard()):
        for mode in (c.FIRST, c.ALWAYS, NEVER):
            reader = core.reader(0, verify=mode)
            assert core.shard(data).whole(reader) == OK
            reader.close()


def test_mistakes_of_the_caller(core: Core, reader: c.Reader) -> None:
    shard = core.shard(build(RICH))
    for row in (-1, sample.ROWS, 2**62):
        assert shard.views(reader, [row], 0)[0] == ARG
        assert shard.gather(reader, [row], 0)[0] == ARG
    assert shard.views(reader, [0], 2**31)[0] == ARG
    assert shard.gather(reader, [0], 2)[0] == ARG  # not fixed
    assert shard.gather(reader, [0], 0, stride=3)[0] == ARG
    empty = shard.set()
    empty.count = 0
    assert shard.views(reader, [0], 0, empty)[0] == ARG and shard.gather(reader, [0], 0, empty)[0] == ARG


def test_starts_that_promise_more_rows_than_the_shard_has(core: Core, reader: c.Reader) -> None:
    shard = core.shard(build(RICH))
    table = shard.set(starts=[0, 10**12])
    for rows in ([0, 11], [0, 1, 2, 10**11], [0] * 20 + [12]):
        assert shard.gather(reader, rows, 8, table)[0] == ARG
        assert shard.views(reader, rows, 8, table)[0] == ARG


def test_shards_whose_leaves_differ_in_width(core: Core, reader: c.Reader) -> None:
    wide = core.shard(build(sample.one("int64", [b"12345678"] * 3, Encoding(wire.FIXED), width=8)))
    narrow = core.shard(build(sample.one("int8", [b"1"] * 3, Encoding(wire.FIXED), width=1)))
    table = narrow.set(wide)
    for _ in range(2):
        status, out = narrow.gather(reader, [2, 3, 0, 5], 0, table, stride=8)
        assert status == ARG or [out[0], out[8], out[16], out[24]] == [ord("1")] * 4


def test_a_page_read_without_hashes_is_still_verified_later(core: Core) -> None:
    for layout in (Encoding(wire.FIXED), Encoding(wire.NARROW, element=8, number=1)):
        data = bytearray(build(sample.one("int64", [bytes(8), b"\1" + bytes(7)], layout, width=8)))
        block = places(bytes(data)).blocks[0]
        start = block + wire.PAGE.read(bytes(data), block + 48).offset
        data[start + (16 if layout.layout == wire.NARROW else 0)] ^= 2
        shard = core.shard(bytes(data))
        careless, careful = core.reader(verify=NEVER), core.reader()
        assert shard.views(careless, [0, 1], 0)[0] == OK and shard.gather(careless, [0, 1], 0)[0] == OK
        assert shard.views(careful, [0, 1], 0)[0] == CORRUPT and shard.gather(careful, [0, 1], 0)[0] == CORRUPT
        assert shard.verify(careless) == CORRUPT  # whatever the reader's mode
        careless.close()
        careful.close()


def test_a_coded_page_of_nothing_needs_no_arena(core: Core) -> None:
    plan = sample.one({"array": {"dtype": "int8", "shape": [0]}}, [b""] * 3, Encoding(wire.FIXED, wire.ZSTD), width=0, flags=wire.PAGE_CODED)
    reader, shard = core.reader(0), core.shard(build(plan))
    status, values = shard.views(reader, [0, 1, 2], 0)
    if status == MEMORY:
        reader.room(reader.c.need)
        status, values = shard.views(reader, [0, 1, 2], 0)
    assert (status, values) == (OK, [b""] * 3)
    reader.close()


def test_values_of_a_page_are_limited(core: Core, reader: c.Reader) -> None:
    assert core.shard(attack_const_amplified.make()).whole(reader) == LIMIT
    assert core.shard(attack_width_huge.make()).whole(reader) == LIMIT
    wide = sample.one({"array": {"dtype": "int8", "shape": [4096]}}, [bytes(4096)] * 3, Encoding(wire.CONST), width=4096, block=2**20)
    assert core.shard(build(wide)).whole(reader) == OK


def test_enum_of_large_values_is_limited(core: Core, reader: c.Reader) -> None:
    rows = 2**16
    plan = sample.one("bytes", [bytes(2**15)] * rows, Encoding(wire.ENUM), block=rows)  # 2^31 bytes of values from a page of 96 KiB
    shard = core.shard(build(plan))
    assert shard.whole(reader) == LIMIT and "2^30" in core.why(shard.error)
    assert core.shard(build(sample.one("bytes", [bytes(2**14)] * 600, Encoding(wire.ENUM), block=rows))).whole(reader) == OK


def test_encoder_refuses_what_it_cannot_write(core: Core) -> None:
    ffi, lib, error = core.ffi, core.lib, core.error()
    values, out = ffi.new("uint8_t[]", 4096), ffi.new("uint8_t[]", 1 << 16)
    encoder, size, raw = ffi.new("atlas_encoder **"), ffi.new("uint64_t *"), ffi.new("uint32_t *")
    assert lib.atlas_encoder_open(encoder, error) == OK

    def write(rows: int = 4, count: int = 1, capacity: int = 1 << 16, **fields: int) -> int:
        page = ffi.new("atlas_page_in *", {"values": values, "width": 4, "kind": 1, "element": 4, "light": 1} | fields)
        return lib.atlas_block_write(encoder[0], page, count, 0, rows, 0, out, capacity, size, raw, error)

    assert write() == OK
    assert write(rows=0) == LIMIT and write(width=2**32 - 1) == LIMIT
    assert write(count=0) == ARG and write(capacity=8) == ARG
    assert write(kind=3) == ARG and write(element=3) == ARG and write(element=8) == ARG
    assert lib.atlas_block_bound(ffi.new("atlas_page_in[]", 2), 2**32 - 1, 1) == 0
    lib.atlas_encoder_close(encoder[0])


def test_dictionary_limits(core: Core) -> None:
    out, error = core.ffi.new("atlas_dict **"), core.error()
    for size in (0, 7, 2**20 + 1):
        assert core.lib.atlas_dict_open(bytes(size), size, 0, out, error) == LIMIT and out[0] == core.ffi.NULL
    broken = sample.dictionary()[:40]
    assert core.lib.atlas_dict_open(broken, len(broken), 3, out, error) == CODEC and out[0] == core.ffi.NULL
    assert core.lib.atlas_digest_open(0, core.ffi.new("atlas_digest **"), error) == ARG
    assert core.lib.atlas_digest_open(4097, core.ffi.new("atlas_digest **"), error) == ARG


def test_chunk_walk_of_a_cut_shard(core: Core) -> None:
    data, error, chunk = build(RICH), core.error(), core.ffi.new("atlas_chunk *")
    nonce, good = RICH.nonce, 0
    offset = 64
    cut = places(data).blocks[-1] + 40
    while core.lib.atlas_chunk_check(data[:cut], cut, offset, nonce, chunk, error) == OK:
        offset, good = chunk.next, good + 1
    assert good >= 3 and error.status in (TRUNCATED, CORRUPT)
    for far in (63, 2**63, 2**64 - 64, 2**64 - 1):
        assert core.lib.atlas_chunk_check(data, len(data), far, nonce, chunk, error) != OK


# Memory

@pytest.mark.parametrize("how", ["plain", "asan"])
def test_every_allocation_may_fail(folder: Path, how: str) -> None:
    """Failures of the core's own allocations under ASan; and, with malloc itself replaced, of those inside zstd too."""
    wrapped = ["-DWRAP", "-Wl," + ",".join(f"--wrap={name}" for name in ("malloc", "calloc", "realloc", "aligned_alloc", "free")), *c.ASAN]
    program = c.compile_c(folder / f"malloc_{how}", [Path(__file__).parent / "malloc_fail.c", *c.sources()], "-O1",
                          *(wrapped if how == "asan" else []))
    assert c.run(program)[0] >= (5 if how == "asan" else 10)


@pytest.mark.parametrize("target", TARGETS)
def test_corpus_replays_under_sanitizers(folder: Path, target: str) -> None:
    program = c.compile_c(folder / f"replay_{target}", [FUZZ / f"fuzz_{target}.c", FUZZ / "common.c", FUZZ / "replay.c", *c.sources()],
                          "-O1", "-DATLAS_REPLAY", *c.ASAN)
    seeds = [path for path in (FUZZ / "corpus" / target, FUZZ / "regressions" / target) if path.is_dir()]
    assert c.run(program, *seeds)[0] == sum(len(list(path.iterdir())) for path in seeds) > 0


# Threads

def _threads(folder: Path, shard: Path, rounds: int) -> int:
    program = folder / "threads"
    if not program.exists():
        c.compile_c(program, [FUZZ / "threads.c", FUZZ / "common.c", *c.sources()], "-O1", "-fsanitize=thread", "-pthread")
    return c.run(program, shard, "16", str(rounds), timeout=3600)[0]


def test_16_threads_read_one_shard(folder: Path, shard_files: list[Path]) -> None:
    assert _threads(folder, shard_files[0], 20) > 0


@pytest.mark.campaign
def test_16_threads_read_one_shard_for_long(folder: Path, shard_files: list[Path]) -> None:
    assert _threads(folder, shard_files[0], 5000) > 0


def _drops(folder: Path, shard: Path, rounds: int) -> int:
    program = folder / "drops"
    if not program.exists():
        c.compile_c(program, [FUZZ / "drops.c", FUZZ / "common.c", *c.sources()], "-O1", "-fsanitize=thread", "-pthread")
    return c.run(program, shard, "8", str(rounds), "4", timeout=4000)[0]


def test_8_threads_read_while_blocks_are_dropped(folder: Path, shard_files: list[Path]) -> None:
    assert _drops(folder, shard_files[0], 2000) > 100


@pytest.mark.campaign
def test_8_threads_read_while_blocks_are_dropped_for_long(folder: Path, shard_files: list[Path]) -> None:
    assert _drops(folder, shard_files[0], 200_000) > 10_000


# Damage

def test_the_shard_has_everything(core: Core, reader: c.Reader) -> None:
    data, plan = full_shard(), full(1, 1, 0)
    assert len(data) == SIZE and core.shard(data).whole(reader) == OK
    entries = []
    for block in places(data).blocks:
        head = wire.BLOCK.read(data, block + 32)
        entries += [wire.PAGE.read(data, block + 48 + 32 * k) for k in range(head.pages)]
    assert {entry.layout for entry in entries} == {1, 2, 3, 4, 5} and {entry.codec for entry in entries} == {0, 1, 2}
    whole = {(entry.layout, entry.codec) for entry in entries if entry.codec and not entry.flags & wire.CELLS}
    assert {(wire.VAR, wire.LZ4), (wire.VAR, wire.ZSTD), (wire.FIXED, wire.ZSTD), (wire.NARROW, wire.LZ4)} <= whole
    fixed = {leaf.id for leaf in plan.leaves if leaf.kind == wire.FIXED_LEAF}
    cells = {(entry.leaf in fixed, entry.layout, entry.codec) for entry in entries if entry.flags & wire.CELLS}
    assert cells == {(True, wire.FIXED, 1), (True, wire.FIXED, 2), (True, wire.NARROW, 1), (True, wire.NARROW, 2),
                     (False, wire.NARROW, 1), (False, wire.NARROW, 2), (False, wire.VAR, 1), (False, wire.VAR, 2)}
    several = {(entry.leaf in fixed, entry.layout, entry.codec) for entry in entries if entry.cell_rows > 1}
    assert several == cells
    with_nulls = {(entry.leaf in fixed, entry.layout) for entry in entries if entry.flags & wire.CELLS and entry.nulls}
    assert with_nulls == {(True, wire.FIXED), (True, wire.NARROW), (False, wire.NARROW), (False, wire.VAR)}
    numbers = {(entry.codec, bool(entry.flags & wire.SHORT)) for entry in entries if entry.layout == wire.NARROW and entry.leaf not in fixed and not entry.flags & wire.CELLS}
    assert numbers == {(0, False), (0, True), (2, False)}
    assert {"date", "timestamp", "class_label", "list"} <= set(re.findall(r'"(date|timestamp|class_label|list)"', plan.schema.decode()))
    assert b"\xc7" in data and b"int16" in data  # an array in an object
    assert any(entry.nulls for entry in entries) and any(entry.dictionary for entry in entries) and len(plan.groups) == 2


def test_no_flipped_bit_is_accepted(flips: Path, shard_files: list[Path]) -> None:
    """All 524,288 of them."""
    assert c.run(flips, "bits", shard_files[0]) == [SIZE * 8, SIZE * 8, 0]


def test_no_flipped_bit_is_read_as_another_value(flips: Path, shard_files: list[Path]) -> None:
    """Views of rows and of columns, and gathered columns: every 19th flip; all of them in the campaign."""
    cases, refused, wrong = c.run(flips, "reads", shard_files[0], "3", "19")
    assert cases == -(-(SIZE * 8 - 3) // 19) and wrong == 0 and refused > cases // 2


@pytest.mark.campaign
def test_no_flipped_bit_at_all_is_read_as_another_value(flips: Path, shard_files: list[Path]) -> None:
    cases, refused, wrong = c.run(flips, "reads", shard_files[0], timeout=7200)
    assert cases == SIZE * 8 and wrong == 0 and refused > cases // 2


def test_no_cut_and_no_longer_file_is_accepted(flips: Path, shard_files: list[Path]) -> None:
    """All 65,536 truncations; 1 .. 4096 bytes more, zeros and noise."""
    assert c.run(flips, "cuts", shard_files[0]) == [SIZE + 8192, SIZE + 8192, 0]


def test_no_swap_of_intact_blocks_is_accepted(flips: Path, shard_files: list[Path]) -> None:
    assert c.run(flips, "swaps", "10000", *shard_files) == [10000, 10000, 0]


def test_huge_sizes_with_right_hashes_are_refused_cheaply(flips: Path, shard_files: list[Path]) -> None:
    """More than 1,000 crafted shards; reading allocates nothing for what they claim."""
    cases, refused, accepted, _microseconds, rss_kib = c.run(flips, "sizes", shard_files[0])
    assert cases >= 1000 and refused == cases and accepted == 0
    assert rss_kib < 16 * 1024


def test_reseal_of_the_drivers_is_that_of_the_builder(core: Core, reader: c.Reader) -> None:
    """A shard that is resealed without a change is the same; so what the drivers craft has right hashes."""
    assert reseal(full_shard()) == full_shard()
