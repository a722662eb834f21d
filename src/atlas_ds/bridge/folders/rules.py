"""Says what a folder is: rules in a fixed order, each with the sentence that says why. It reads no example.

The kind of file that most of a folder is made of decides; the others are left out by its reader, and listed. Where a rule would lose labels or
rows by guessing, it refuses and names the choices.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from atlas_ds.bridge.arrow.files import is_arrow_folder
from atlas_ds.bridge.atlas_v1.files import looks_like_v1
from atlas_ds.bridge.files.classes import in_class, layout_of, links_to_classes
from atlas_ds.bridge.files.idx import idx_files
from atlas_ds.bridge.files.listing import Folder, require_files
from atlas_ds.bridge.files.roles import CONTAINERS, extension_of, is_media, table_format
from atlas_ds.bridge.files.samples import group
from atlas_ds.bridge.files.split_folders import half_splits, is_split
from atlas_ds.bridge.files.splits import split_of
from atlas_ds.bridge.folders.imagefolder import is_of_media
from atlas_ds.bridge.folders.naming import Naming, find_naming, mentioning
from atlas_ds.bridge.folders.seen import Seen, look_at
from atlas_ds.bridge.streaming.indexed import indexed_kind
from atlas_ds.bridge.values.media import kind_of
from atlas_ds.dataset.names import MANIFEST
from atlas_ds.errors import SchemaError, UnsupportedError

FEW = 3  # files beside a table that need no question
LOOKED_INTO = 5  # tables, for names of media
PICTURES = frozenset(("images", "image", "imgs", "img", "jpegimages", "rgb", "photos", "pictures", "frames", "audio", "wavs", "wav", "clips", "videos"))
BESIDE = frozenset(("labels", "label", "annotations", "annotation", "anns", "masks", "mask", "segmentation", "segmentations", "gt", "groundtruth"))
_MARKED = re.compile(r"(.+?)[-_ ](mask|seg|segmentation|label|labels|gt|annotation|depth)([-_ ]?[0-9]+)?", re.IGNORECASE)
_ABOUT = re.compile(r"(readme|licen[cs]e|copying|notice|_success)([-_. ]|$)", re.IGNORECASE)
_CAMERA = re.compile(r"[1-9][0-9]{2}(APPLE|CANON|ANDRO|MEDIA|NIKON|NCD..|OLYMP|MSDCF|GOPRO|_PANA|_FUJI|RICOH)|[0-9]{6}__", re.IGNORECASE)
GENERIC = PICTURES | {"data", "files", "media", "samples", "all", "input", "raw", "dcim", "camera", "screenshots", "downloads", "scans"}


def mark_of(path: Path) -> tuple[str, str] | None:
    """Format and reason of a folder that one file at its top tells; no other file is looked at."""
    if (path / MANIFEST).is_file():
        return "atlas", f"its {MANIFEST} is a dataset's"
    if (path / "_delta_log").is_dir():  # files that were deleted or replaced lie beside the others
        raise UnsupportedError(f"{path}: a Delta table, whose log says which files count; write it as Parquet first (deltalake, Spark or Polars read it)")
    return ("atlas-v1", "its meta.json is that of torch-atlas-ds, version 1") if looks_like_v1(path) else None


def rule_for(folder: Folder) -> tuple[str, str]:
    """Format and reason of a folder by the first rule that fits."""
    require_files(folder)
    seen = look_at(folder)
    for rule in RULES:
        found = rule(seen)
        if found is not None:
            return found
    raise AssertionError("the last rule takes every folder")


def _idx(seen: Seen) -> tuple[str, str] | None:
    named = [file for file in seen.others if len(file.parts) == 1 and file not in seen.folder.trouble]
    if len(named) < 2 or len(named) > 64:
        return None
    found = idx_files(seen.folder.root)
    return ("idx", f"{len(found)} files begin as MNIST's do") if len(found) > 1 else None


def _indexed(seen: Seen) -> tuple[str, str] | None:
    kind = indexed_kind(seen.folder.root)
    return None if kind is None else (kind, f"its index.json is that of {'MosaicML Streaming' if kind == 'mds' else 'LitData'}")


def _saved(seen: Seen) -> tuple[str, str] | None:
    return ("arrow", "Hugging Face's save_to_disk wrote it") if is_arrow_folder(seen.folder.root) else None


def _tars(seen: Seen) -> tuple[str, str] | None:
    if not seen.tars:
        return None
    if seen.media or seen.tables:
        other = "files of images, audio or video" if seen.media else "tables"
        raise _ambiguous(seen, f"{_count(seen.tars, 'tar')} and {len(seen.media or seen.tables):,} {other}", {
            "webdataset": "reads the tars", **_data_choices(seen),
        })  # fmt: skip
    return "webdataset", f"{_count(seen.tars, 'tar')}"


def _imagefolder(seen: Seen) -> tuple[str, str] | None:
    if not any(is_of_media(seen.folder, file) for file in seen.metadata):
        seen.tables.extend(seen.metadata)  # called so, but a table like others
        return None
    names = ", ".join(map(str, seen.metadata[:3]))
    return "imagefolder", f"{names} beside {_count(seen.media, 'media file')}: a row per file that it names"


def _tables(seen: Seen) -> tuple[str, str] | None:
    tables = seen.tables
    if not tables or 2 * len(seen.paired(tables)) > len(tables):
        return None
    if seen.media and (len(seen.media) > min(FEW, len(tables)) or find_naming(seen.folder, tables[:LOOKED_INTO], seen.media)):
        return None
    formats = Counter(table_format(file) or "jsonl" for file in tables)
    if len(formats) > 1:
        raise _ambiguous(seen, f"tables of different kinds ({_listed(formats)})", {name: f"reads the {count}" for name, count in formats.items()})
    format = next(iter(formats))
    strangers = seen.others + seen.archives + seen.media
    if len(strangers) > max(len(tables), FEW):
        raise _ambiguous(seen, f"{_count(tables, 'table')} and {_count(strangers, 'other file')}", {
            format: "reads the tables only", "samples": "makes an example of the files of each base name",
        })  # fmt: skip
    _one_config(seen)
    return format, f"{len(tables):,} {'table' if len(tables) == 1 else 'tables'} ({format})"


def _one_config(seen: Seen) -> None:
    """Refuses a hub's folder of several datasets: each has a folder with splits of its own."""
    inner = [file if file.parts[0] != "data" else file.relative_to("data") for file in seen.tables]
    tops = {file.parts[0] for file in inner if len(file.parts) > 1 and not is_split(file.parts[0]) and "=" not in file.parts[0]}
    if len(tops) > 1 and all(len(file.parts) > 1 and split_of(file.relative_to(file.parts[0])) for file in inner):
        names = ", ".join(sorted(tops)[:10])
        raise SchemaError(f"{seen.folder.root}: {len(tops)} datasets, each with splits of its own: {names}; convert one of these folders")


def _table_of_media(seen: Seen) -> tuple[str, str] | None:
    """Never an answer, but a refusal: what a table says of the media would be lost."""
    tables = [file for file in seen.tables if seen.partners[seen.parts[file][0]] < 2]
    if not (seen.media and tables):
        return None
    naming = find_naming(seen.folder, tables[:LOOKED_INTO], seen.media)
    if naming is not None:
        raise SchemaError(_media_advice(seen.folder.root, naming))
    if len(tables) >= len(seen.media):
        raise _ambiguous(seen, f"{_count(tables, 'table')} and {_count(seen.media, 'media file')}", {
            table_format(tables[0]) or "jsonl": "reads the tables", **_data_choices(seen),
        })  # fmt: skip
    return None


def _media_advice(root: Path, naming: Naming) -> str:
    """The command that reads a table together with the files it names."""
    table, column = root / naming.table, naming.column
    kind = kind_of(naming.file.suffix[1:]) or "image"
    new = kind if kind != column else f"{kind}_file"
    if naming.headless:
        return f"{table}: names media files, but has no line with the columns' names ({column!r} is one of a file); write such a line at its top"
    inside = str(naming.file.parent.relative_to(naming.table.parent)) if naming.file.is_relative_to(naming.table.parent) else str(naming.file.parent)
    before = "" if inside == "." else inside + "/"
    value = {"path": column, "name": f"{before}{{{column}}}", "stem": f"{before}{{{column}}}{naming.file.suffix}"}[naming.how]
    command = shlex.join(("atlas-ds", "convert", str(table), "DST", "--media", f"{new}={value}"))
    return f"{table}: its column {column!r} names media files; to read both: {command}; --from classes or --from samples leaves the table out"


def _classes(seen: Seen) -> tuple[str, str] | None:
    if not seen.media:
        return None
    strangers = seen.strangers_to_media
    if 2 * len(seen.paired(strangers)) >= len(seen.media):
        return None
    _no_parallel_folders(seen, strangers)
    _no_masks_among_images(seen)
    layout = layout_of(seen.media)
    inside = [file for file in seen.media if in_class(file, layout)]
    again = links_to_classes(seen.folder, layout)
    loose = [file for file in seen.media if not in_class(file, layout) and file not in again]
    names = {file.parts[layout.label] for file in inside}
    if not inside or (len(names) == 1 and min(names).lower() in GENERIC) or _of_camera(seen, names):
        return None
    if len(names) == 1:
        _no_list_of_media(seen)
    splits, others = half_splits(names)
    if splits and layout.split is None:
        raise _ambiguous(seen, f"the folders {', '.join(splits[:3])} are called as splits are, but {', '.join(others[:3])} not", {
            "classes": "takes all of them as classes",
        }, "move the others away to have splits")  # fmt: skip
    if loose:
        raise _ambiguous(seen, f"{_count(inside, 'media file')} in class folders and {len(loose):,} in none (such as {loose[0]})", {
            "classes": "leaves out those in none", "samples": "makes an example of every file, without labels",
        })  # fmt: skip
    if len(strangers) >= len(seen.media):
        raise _ambiguous(seen, f"{_count(seen.media, 'media file')} in class folders and {_count(strangers, 'other file')}", {
            "classes": "leaves out the other files", "samples": "makes a column per extension",
        })  # fmt: skip
    return "classes", "every media file lies in a class folder"


def _of_camera(seen: Seen, names: set[str]) -> bool:
    """Whether the folders are those in which phones and cameras number their images: DCIM/100APPLE, 101CANON."""
    above = [seen.folder.root.name, *(seen.media[0].parts[:-1])]
    return any(part.lower() == "dcim" for part in above) or all(map(_CAMERA.fullmatch, names))


def _no_parallel_folders(seen: Seen, strangers: list[PurePosixPath]) -> None:
    """Refuses images/ beside labels/ or masks/: neither is a class, and what belongs together is told by names that only a person knows."""
    folders = {part.lower(): part for file in (*seen.media, *strangers) for part in file.parts[:-1]}
    beside = [folders[name] for name in sorted(folders) if name in BESIDE or _is_of_split(name)]
    if not beside or not (set(folders) & PICTURES or any(map(is_split, folders))):
        return
    way = "write a metadata.jsonl at the top, with a row per image: its file_name and what is known of it"
    images = {file.stem: file for file in reversed(seen.media) if not set(beside).intersection(file.parts[:-1])}
    named = next((file for file in seen.folder.files if beside[0] in file.parts[:-1] and file.stem in images), None)
    if named is not None and named in set(seen.media):
        image, word = images[named.stem], beside[0].lower().rstrip("s").rpartition("_")[2]
        beside_it = image.with_name(f"{image.stem}.{word}{named.suffix}")
        way = f"put each beside its image, with a word before the extension ({named} as {beside_it}), and convert {image.parent}/; or {way}"
    elif named is not None:
        other = images[named.stem].parts[0]
        way = f"put each file beside its image, where the names are the same (cp -r {beside[0]}/. {other}/), and convert {other}/; or {way}"
    raise _ambiguous(seen, f"the folder {beside[0]} seems to describe the media in other folders", {
        "samples": "makes an example of each file where it lies", "classes": "takes folders as classes",
    }, way)  # fmt: skip


def _is_of_split(folder: str) -> bool:
    """train_masks, test-labels: what describes the images in train, not a split."""
    first, *others = re.split(r"[-_. ]+", folder)
    return bool(others) and (is_split(first) or first in PICTURES) and others[-1] in BESIDE


def _no_masks_among_images(seen: Seen) -> None:
    """Refuses 1.jpg beside 1_mask.png: the second is no image of its own, and no example of its class."""
    stems = {str(file.with_suffix("")): file for file in seen.media}
    pairs = []
    for file in seen.media:
        found = _MARKED.fullmatch(file.stem)
        image = found and stems.get(str(file.with_name(found[1])))
        if found and image:
            pairs.append((file, image, f"{found[1]}.{found[2].lower()}{file.suffix.lower()}"))
    if 3 * len(pairs) >= len(seen.media) > 0:
        file, image, better = pairs[0]
        raise _ambiguous(seen, f"{_count([file for file, _, _ in pairs], 'file')} seem to describe others, such as {file} (of {image.name})", {
            "samples": "makes an example of each file", "classes": "takes folders as classes, and these files as images like others",
        }, f"rename them (here to {better}), and each becomes a column of its image's sample")  # fmt: skip


def _one_npz(seen: Seen) -> tuple[str, str] | None:
    if len(seen.others) != 1 or seen.media or seen.tables or seen.archives or extension_of(seen.others[0]) != "npz":
        return None
    return "npz", f"{seen.others[0]} is its only file"


def _no_containers(seen: Seen) -> None:
    """Refuses files that hold many examples each: as bytes they would be rows of no use."""
    held = [file for file in seen.others if extension_of(file) in CONTAINERS]
    if held and 2 * len(held) >= len(seen.media) + len(seen.others):
        raise UnsupportedError(
            f"{seen.folder.root / held[0]}: .{extension_of(held[0])} files are not read; write their rows with AtlasDatasetWriter, or as CSV or Parquet;"
            " --from samples stores each file as bytes"
        )


def _no_list_of_media(seen: Seen) -> None:
    """Refuses media without labels beside a text that names them: the labels are in there."""
    found = mentioning(seen.folder, [file for file in seen.others if len(file.parts) < 3], seen.media) or mentioning(
        seen.folder, [file for file in seen.papers if extension_of(file) in ("txt", "json")], seen.media
    )
    if found is not None:
        raise SchemaError(
            f"{seen.folder.root / found}: names the media files, but is no table with a header; write what it says as metadata.csv at the top of the"
            " folder (a column file_name, and a column for each other thing), or use --from samples, which leaves it out"
        )


def _samples(seen: Seen) -> tuple[str, str] | None:
    _no_containers(seen)
    if all(_ABOUT.match(file.name) for file in seen.folder.files):
        names = ", ".join(map(str, seen.folder.files[:3]))
        raise SchemaError(f"{seen.folder.root}: nothing but files about the data ({names}); nothing to convert; --from samples stores them as texts")
    if seen.archives and not (seen.media or seen.tables or seen.others):
        first = seen.archives[0]
        raise UnsupportedError(f"{seen.folder.root / first}: an archive, which is not read; unpack it first: unzip {first.name} -d FOLDER")
    samples, _, _ = group(seen.folder)
    extensions = Counter(extension for fields in samples.values() for extension in fields)
    if any(len(fields) > 1 for fields in samples.values()):
        return "samples", "files of one base name are one sample"
    kinds = {"media" if is_media(file) else extension for fields in samples.values() for extension, file in fields.items()}
    if len(kinds) > 1:
        raise _ambiguous(seen, f"files of different kinds without common names ({_listed(extensions)})", {
            "samples": "makes an example of each file, with a column per extension",
        })  # fmt: skip
    if seen.media:
        _no_list_of_media(seen)
        where = "in no class folder" if not _of_camera(seen, {file.parent.name for file in seen.media}) else "in a camera's folders, which are not classes"
        return "samples", f"media files {where}: each is an example, and none has a label"
    return "samples", f"only .{next(iter(extensions), '')} files: each is an example"


RULES: tuple[Callable[[Seen], tuple[str, str] | None], ...] = (
    _indexed,  # index.json of MosaicML Streaming or LitData, here or in each folder
    _saved,  # what save_to_disk of Hugging Face wrote
    _idx,  # MNIST's files
    _tars,  # at any depth; a refusal beside media or tables
    _imagefolder,  # metadata.csv, .jsonl or .parquet beside media
    _tables,  # few other files, and a few images that no table names
    _table_of_media,  # a refusal: a table names the media
    _classes,  # media in class folders, fewer other files
    _one_npz,  # a single .npz, whose arrays are columns
    _samples,  # whatever else has names with extensions
)
"""In this order; the first that answers decides."""


def _data_choices(seen: Seen) -> dict[str, str]:
    if not seen.media:
        return {table_format(file) or "jsonl": "reads the tables" for file in seen.tables[:1]}
    return {"classes": "takes the folders of the media as labels", "samples": "makes an example of the files of each base name"}


def _ambiguous(seen: Seen, what: str, choices: dict[str, str], advice: str = "") -> SchemaError:
    ways = ", ".join(f"--from {name} {does}" for name, does in choices.items())
    return SchemaError(f"{seen.folder.root}: {what}; choose: {ways}{'; or ' + advice if advice else ''}")


def _count(files: list[PurePosixPath], noun: str) -> str:
    return f"{len(files):,} {noun}" + ("" if len(files) == 1 else "s")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} .{name}" for name, count in counts.most_common(6)) + (", ..." if len(counts) > 6 else "")
