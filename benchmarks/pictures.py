"""Makes a few thousand distinct JPEG files from the pictures in Debian packages."""

from __future__ import annotations

import io
import json
import random
import re
import sys
from pathlib import Path

from benchmarks import debian

PACKAGES = (
    "desktop-base",
    "gnome-backgrounds",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "mate-backgrounds",
    "opencv-doc",
    "plasma-workspace-wallpapers",
    "sway-backgrounds",
    "ukui-wallpapers",
)
PICTURE = re.compile(r"\.(jpe?g|png|webp)$", re.I)
SMALLEST, LARGEST = 20_000, 200_000
COUNT = 3_000


def _originals(cache: Path) -> list[Path]:
    """The largest file of every folder of sizes, every file of other folders."""
    found: list[Path] = []
    for package in PACKAGES:
        root = debian.unpack(package, cache=cache)
        if root is None:
            continue
        best: dict[Path, Path] = {}
        for path in sorted(root.rglob("*")):
            if path.is_symlink() or not PICTURE.search(path.name) or not path.is_file():
                continue
            if path.stat().st_size < 100_000 or (path.suffix == ".png" and "html" in path.parts):
                continue
            sized = re.fullmatch(r"\d+x\d+", path.stem) is not None
            key = path.parent if sized else path
            if key not in best or path.stat().st_size > best[key].stat().st_size:
                best[key] = path
        found += sorted(best.values())
    return found


def _crop(picture, chooser: random.Random) -> bytes | None:
    """A random crop as JPEG, or None where its size is out of range."""
    width, height = picture.size
    side = chooser.randint(380, 1300)
    wide = min(width, side)
    high = min(height, round(side * chooser.uniform(0.6, 1.0)))
    left, top = chooser.randint(0, width - wide), chooser.randint(0, height - high)
    out = io.BytesIO()
    part = picture.crop((left, top, left + wide, top + high))
    part.save(out, "JPEG", quality=chooser.randint(85, 92))
    return out.getvalue() if SMALLEST <= out.tell() <= LARGEST else None


def build(folder: Path, *, cache: Path) -> None:
    """Write COUNT files and labels.json (file name: number of the original)."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    originals = _originals(cache)
    share = -(-COUNT // max(1, len(originals)))
    chooser = random.Random(3)
    made: list[tuple[bytes, int]] = []
    print(f"jpeg: crops of {len(originals)} pictures", file=sys.stderr)
    for label, path in enumerate(originals):
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        if picture.width > 2600:
            picture.thumbnail((2600, 2600))
        wanted = share + (share * (label + 1) - len(made) - share) // 2
        for _ in range(3 * wanted):
            crop = _crop(picture, chooser)
            if crop is not None:
                made.append((crop, label))
                wanted -= 1
                if wanted <= 0:
                    break
    chooser.shuffle(made)
    labels = {}
    for number, (data, label) in enumerate(made[:COUNT]):
        name = f"{number:05d}.jpg"
        (folder / name).write_bytes(data)
        labels[name] = label
    (folder / "labels.json").write_text(json.dumps(labels))
