"""`atlas-ds cache`: what the cache on this machine's disk holds of datasets and tars at URLs; checks it, or empties it."""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from atlas_ds.cli.options import add_json, subparser
from atlas_ds.cli.text import table
from atlas_ds.errors import AtlasError
from atlas_ds.progress import Progress
from atlas_ds.shard.cached import check_mirrors
from atlas_ds.sizes import format_size
from atlas_ds.store.cache import Cache, cache_at
from atlas_ds.store.cache_place import default_folder
from atlas_ds.store.mirror import Mirror, MirrorFailed
from atlas_ds.text import count, printable

EXAMPLES = """\
examples:
  atlas-ds cache info                       shows what is kept, and of which datasets
  atlas-ds cache verify                     checks each block, and drops what is damaged
  atlas-ds cache clear                      removes everything; it is fetched again when it is read
  atlas-ds cache info --cache /data/cache

The cache is in $ATLAS_CACHE_DIR, or else in ~/.cache/atlas-ds. Programs that read from it may go on meanwhile.
exit code: 0; of verify 1 if a block was damaged
"""


def add_command(commands: Any) -> None:
    parser = subparser(commands, "cache", "show, check or empty the cache of datasets and tars at URLs", EXAMPLES, run)
    parser.add_argument("what", choices=("info", "verify", "clear"))
    parser.add_argument("--cache", metavar="FOLDER", type=Path, help="folder of the cache (default: $ATLAS_CACHE_DIR, or ~/.cache/atlas-ds)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    folder = args.cache or default_folder()
    if not (folder / "ledger").is_file():
        if args.cache:
            raise AtlasError(f"{folder}: holds no cache")
        print(json.dumps({"path": str(folder), "bytes": 0, "datasets": []}) if args.json else f"{printable(folder)}: nothing is cached yet")
        return 0
    try:
        cache = cache_at(folder)
        return {"info": info, "verify": verify, "clear": clear}[args.what](cache, args.json)
    except MirrorFailed as error:
        raise AtlasError(str(error)) from error


def info(cache: Cache, as_json: bool) -> int:
    found = defaultdict(list)
    for mirror in cache.mirrors():
        found[mirror.url.rpartition("/")[0]].append(mirror)
    facts = [of_dataset(url, mirrors) for url, mirrors in sorted(found.items())]
    now = cache.info()
    others = now.processes - 1
    if as_json:
        print(json.dumps({"path": str(cache.folder), "bytes": now.bytes, "processes": others, "datasets": facts}))
        return 0
    print(f"{printable(cache.folder)}: {format_size(now.bytes)}, used by {count(others, 'program')} now")
    if facts:
        rows = [(printable(one["url"]), f"{one['files']:,}", format_size(one["bytes"]), f"{one['share']:.0%}", age(one["last_used"])) for one in facts]
        print(table([("dataset", "files", "on disk", "of it", "last fetched"), *rows], right=(1, 2, 3)))
    return 0


def of_dataset(url: str, mirrors: list[Mirror]) -> dict[str, Any]:
    on_disk, size = sum(mirror.charged for mirror in mirrors), sum(mirror.size for mirror in mirrors)
    last = max(mirror.last_used for mirror in mirrors)
    return {"url": url, "files": len(mirrors), "bytes": on_disk, "share": min(1.0, on_disk / max(1, size)), "last_used": last}


def age(moment: float) -> str:
    seconds = max(0.0, time.time() - moment)
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{count(int(seconds // size), name)} ago"
    return "now"


def verify(cache: Cache, as_json: bool) -> int:
    mirrors = list(cache.mirrors())
    blocks = unknown = 0
    wrong: dict[str, int] = {}
    with Progress(len(mirrors), "checking", "files", not as_json) as bar:
        for mirror, found in check_mirrors(mirrors):
            blocks, unknown = blocks + found.blocks, unknown + found.unknown
            if found.wrong:
                wrong[mirror.url] = found.wrong
            bar.advance()
    if as_json:
        print(json.dumps({"path": str(cache.folder), "files": len(mirrors), "blocks": blocks, "unknown": unknown, "damaged": wrong}))
        return 1 if wrong else 0
    for url, number in wrong.items():
        print(f"{printable(url)}: {count(number, 'damaged block')}, dropped")
    state = "all whole" if not wrong else f"{sum(wrong.values()):,} were damaged, and are fetched again when they are needed"
    rest = f"; {unknown:,} were not checked, since their dictionary is not there" if unknown else ""
    print(f"{printable(cache.folder)}: {count(blocks, 'block')} in {count(len(mirrors), 'file')}: {state}{rest}")
    return 1 if wrong else 0


def clear(cache: Cache, as_json: bool) -> int:
    freed = cache.clear()
    print(json.dumps({"path": str(cache.folder), "freed": freed}) if as_json else f"{printable(cache.folder)}: {format_size(freed)} freed")
    return 0
