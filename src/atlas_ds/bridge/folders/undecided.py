"""Errors for folders whose format only the user can choose, with the choices. The rules raise them
where a guess would lose labels or rows.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from pathlib import Path, PurePosixPath

from atlas_ds.bridge.files.roles import CONTAINERS, extension_of, table_format
from atlas_ds.bridge.files.split_folders import is_split
from atlas_ds.bridge.files.splits import split_of
from atlas_ds.bridge.folders.file_kinds import Seen
from atlas_ds.bridge.folders.media_tables import Naming, mentioning
from atlas_ds.bridge.values.media import kind_of
from atlas_ds.errors import SchemaError, UnsupportedError

IMAGE_FOLDERS = frozenset(("images", "image", "imgs", "img", "jpegimages", "rgb", "photos", "pictures", "frames", "audio", "wavs", "wav", "clips", "videos"))
BESIDE = frozenset(("labels", "label", "annotations", "annotation", "anns", "masks", "mask", "segmentation", "segmentations", "gt", "groundtruth"))
_MARKED = re.compile(r"(.+?)[-_ ](mask|seg|segmentation|label|labels|gt|annotation|depth)([-_ ]?[0-9]+)?", re.IGNORECASE)
_CAMERA = re.compile(r"[1-9][0-9]{2}(APPLE|CANON|ANDRO|MEDIA|NIKON|NCD..|OLYMP|MSDCF|GOPRO|_PANA|_FUJI|RICOH)|[0-9]{6}__", re.IGNORECASE)


def one_config(seen: Seen) -> None:
    """SchemaError for a folder of several datasets, each with its own splits."""
    inner = [file if file.parts[0] != "data" else file.relative_to("data") for file in seen.tables]
    tops = {file.parts[0] for file in inner if len(file.parts) > 1 and not is_split(file.parts[0]) and "=" not in file.parts[0]}
    if len(tops) > 1 and all(len(file.parts) > 1 and split_of(file.relative_to(file.parts[0])) for file in inner):
        names = ", ".join(sorted(tops)[:10])
        raise SchemaError(f"{seen.folder.root}: {len(tops)} datasets, each with its own splits: {names}; convert one of these folders")


def media_advice(root: Path, naming: Naming) -> str:
    """The command that reads a table and the files it names."""
    table, column = root / naming.table, naming.column
    kind = kind_of(naming.file.suffix[1:]) or "image"
    new = kind if kind != column else f"{kind}_file"
    if naming.headless:
        return f"{table}: names media files, but has no line with the columns' names ({column!r} is one of a file); write such a line at the top"
    inside = str(naming.file.parent.relative_to(naming.table.parent)) if naming.file.is_relative_to(naming.table.parent) else str(naming.file.parent)
    before = "" if inside == "." else inside + "/"
    value = {"path": column, "name": f"{before}{{{column}}}", "stem": f"{before}{{{column}}}{naming.file.suffix}"}[naming.how]
    command = shlex.join(("atlas-ds", "convert", str(table), "DST", "--media", f"{new}={value}"))
    return f"{table}: its column {column!r} names media files; to read both: {command}; --from classes or --from samples leaves the table out"


def of_camera(seen: Seen, names: set[str]) -> bool:
    """Whether phones or cameras made the folders to number their images: DCIM/100APPLE,
    101CANON."""
    above = [seen.folder.root.name, *(seen.media[0].parts[:-1])]
    return any(part.lower() == "dcim" for part in above) or all(map(_CAMERA.fullmatch, names))


def no_parallel_folders(seen: Seen, strangers: list[PurePosixPath]) -> None:
    """SchemaError for images/ next to labels/ or masks/: neither is a class, and only the user
    knows which files belong to each other."""
    folders = {part.lower(): part for file in (*seen.media, *strangers) for part in file.parts[:-1]}
    beside = [folders[name] for name in sorted(folders) if name in BESIDE or _is_of_split(name)]
    if not beside or not (set(folders) & IMAGE_FOLDERS or any(map(is_split, folders))):
        return
    way = "write a metadata.jsonl at the top, with a row per image: its file_name and its other values"
    images = {file.stem: file for file in reversed(seen.media) if not set(beside).intersection(file.parts[:-1])}
    named = next((file for file in seen.folder.files if beside[0] in file.parts[:-1] and file.stem in images), None)
    if named is not None and named in set(seen.media):
        image, word = images[named.stem], beside[0].lower().rstrip("s").rpartition("_")[2]
        beside_it = image.with_name(f"{image.stem}.{word}{named.suffix}")
        way = f"put each next to its image, with a word before the extension ({named} as {beside_it}), and convert {image.parent}/; or {way}"
    elif named is not None:
        other = images[named.stem].parts[0]
        way = f"put each file next to its image, where the names are the same (cp -r {beside[0]}/. {other}/), and convert {other}/; or {way}"
    raise ambiguous(seen, f"the folder {beside[0]} seems to describe the media in other folders", {
        "samples": "makes an example of each file where it is", "classes": "takes folders as classes",
    }, way)  # fmt: skip


def _is_of_split(folder: str) -> bool:
    """train_masks, test-labels: folders that describe the images in train, and are not splits."""
    first, *others = re.split(r"[-_. ]+", folder)
    return bool(others) and (is_split(first) or first in IMAGE_FOLDERS) and others[-1] in BESIDE


def no_masks_among_images(seen: Seen) -> None:
    """SchemaError for 1.jpg next to 1_mask.png: the second is not an image of its own, and not
    an example of its class."""
    stems = {str(file.with_suffix("")): file for file in seen.media}
    pairs = []
    for file in seen.media:
        found = _MARKED.fullmatch(file.stem)
        image = found and stems.get(str(file.with_name(found[1])))
        if found and image:
            pairs.append((file, image, f"{found[1]}.{found[2].lower()}{file.suffix.lower()}"))
    if 3 * len(pairs) >= len(seen.media) > 0:
        file, image, better = pairs[0]
        raise ambiguous(seen, f"{count_of([file for file, _, _ in pairs], 'file')} seem to describe others, such as {file} (of {image.name})", {
            "samples": "makes an example of each file", "classes": "takes folders as classes, and these files as images like any others",
        }, f"rename them (here to {better}), and each becomes a column of its image's sample")  # fmt: skip


def no_containers(seen: Seen) -> None:
    """UnsupportedError for files that hold many examples each: stored as bytes they would be
    useless rows."""
    held = [file for file in seen.others if extension_of(file) in CONTAINERS]
    if held and 2 * len(held) >= len(seen.media) + len(seen.others):
        raise UnsupportedError(
            f"{seen.folder.root / held[0]}: .{extension_of(held[0])} files are not read; write their rows with AtlasDatasetWriter, or as CSV or Parquet;"
            " --from samples stores each file as bytes"
        )


def no_list_of_media(seen: Seen) -> None:
    """SchemaError for media without labels next to a text that names them: the labels are in the
    text."""
    found = mentioning(seen.folder, [file for file in seen.others if len(file.parts) < 3], seen.media) or mentioning(
        seen.folder, [file for file in seen.papers if extension_of(file) in ("txt", "json")], seen.media
    )
    if found is not None:
        raise SchemaError(
            f"{seen.folder.root / found}: names the media files, but is not a table with a header; write its content as metadata.csv at the top of the"
            " folder (a column file_name, and a column for each other value), or use --from samples, which leaves it out"
        )


def data_choices(seen: Seen) -> dict[str, str]:
    if not seen.media:
        return {table_format(file) or "jsonl": "reads the tables" for file in seen.tables[:1]}
    return {"classes": "takes the folders of the media as labels", "samples": "makes an example of the files of each base name"}


def ambiguous(seen: Seen, what: str, choices: dict[str, str], advice: str = "") -> SchemaError:
    ways = ", ".join(f"--from {name} {does}" for name, does in choices.items())
    return SchemaError(f"{seen.folder.root}: {what}; choose: {ways}{'; or ' + advice if advice else ''}")


def count_of(files: list[PurePosixPath], noun: str) -> str:
    return f"{len(files):,} {noun}" + ("" if len(files) == 1 else "s")


def listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} .{name}" for name, count in counts.most_common(6)) + (", ..." if len(counts) > 6 else "")
