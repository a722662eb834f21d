"""What each kind of folder and file becomes: a table of them, one entry each, and a test that builds and converts every entry.

`files` are names with content by their extension (see CONTENT); "name=>target" is a link, "name/" an empty folder, "name|" a named pipe, "name!" an
empty file; `texts` has other contents. SAYS: words that the reason, the notes and what is left out must have among them.
"""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter
from atlas_ds.bridge import convert
from atlas_ds.errors import AtlasError, UnsupportedError


class Door(NamedTuple):
    """columns: "a b c", in any order. splits: {name: rows}. rows: how many. src: a file of the folder instead of the folder."""

    name: str
    files: str
    format: str
    rows: int
    columns: str
    splits: Mapping[str, int] = {}
    says: str = ""
    first: Mapping[str, object] = {}
    texts: Mapping[str, str | bytes] = {}
    options: Mapping[str, Any] = {}
    src: str = ""


class Refusal(NamedTuple):
    """words: parted by " & ", all of them in the error."""

    name: str
    files: str
    words: str
    texts: Mapping[str, str | bytes] = {}
    options: Mapping[str, Any] = {}
    src: str = ""


TABLE = "n,word\n1,one\n2,two\n"
LINES = '{"n": 1, "word": "one"}\n{"n": 2, "word": "two"}\n'
ARRAY = '[{"n": 1, "word": "one"}, {"n": 2, "word": "two"}]'
IMAGES = "image label file_name"

DOORS = [
    Door("a folder of a table and the images it names", "list.csv img/1.jpg img/2.jpg README.md", "csv", 1, "path n image", says="--media & README.md",
         first={"path": "img/1.jpg"}, texts={"list.csv": "path,n\nimg/1.jpg,1\n"}, options={"media": {"image": "path"}}),
    # Folders per class, and what lies beside them
    Door("class folders", "cat/1.jpg cat/2.jpg dog/1.png", "classes", 3, IMAGES, says="every media file is in a class folder",
         first={"label": 0, "file_name": "cat/1.jpg"}),
    Door("a README at the top", "cat/1.jpg dog/1.jpg README.md", "classes", 2, IMAGES, says="README.md: about the data"),
    Door("a licence, checksums and a list of classes", "a/1.jpg b/1.jpg LICENSE labels.txt a/MD5SUMS", "classes", 2, IMAGES, says="LICENSE & labels.txt & MD5SUMS"),
    Door("notes in a class folder", "cat/1.jpg cat/2.jpg dog/1.jpg cat/notes.txt", "classes", 3, IMAGES, says="cat/notes.txt: not an image"),
    Door("a file without extension", "cat/1.jpg cat/2.jpg dog/1.jpg _SUCCESS cat/list", "classes", 3, IMAGES, says="_SUCCESS & cat/list"),
    Door("a table that names nothing here", "cat/1.jpg dog/1.jpg prices.csv", "classes", 2, IMAGES, says="prices.csv: not an image"),
    Door("litter of systems", "cat/1.jpg dog/1.jpg cat/.DS_Store cat/._1.jpg __MACOSX/cat/1.jpg Thumbs.db", "classes", 2, IMAGES, says="4 hidden or system files ignored"),
    Door("splits of class folders", "train/cat/1.jpg train/dog/1.jpg test/cat/1.jpg", "classes", 3, IMAGES, {"train": 2, "test": 1}),
    Door("splits with a year", "train2017/a/1.jpg val2017/a/1.jpg train2017/b/1.jpg", "classes", 3, IMAGES, {"train2017": 2, "val2017": 1}),
    Door("splits in other case, and a README", "Train/a/1.jpg Test/b/1.jpg README", "classes", 2, IMAGES, {"train": 1, "test": 1}, "README"),
    Door("splits in class folders", "cat/train/1.jpg cat/test/1.jpg dog/train/1.jpg", "classes", 3, IMAGES, {"train": 2, "test": 1}),
    Door("an unpacked archive: one folder around all", "pets/cat/1.jpg pets/dog/1.jpg", "classes", 2, IMAGES, says="the classes are the folders in pets/",
         first={"label": 0}),
    Door("folders in class folders", "cat/a/1.jpg cat/b/1.jpg dog/1.jpg", "classes", 3, IMAGES, says="cat/a has the label 'cat'"),
    Door("a class without a file", "cat/1.jpg eel/ fox/1.jpg", "classes", 2, IMAGES, says="classes without a file: eel", first={"label": 0}),
    Door("a class called test", "cat/1.jpg test/1.jpg", "classes", 2, IMAGES),
    Door("sounds per class", "bark/1.wav meow/1.wav", "classes", 2, "audio label file_name"),
    Door("images and sounds per class", "bark/1.wav meow/1.jpg", "classes", 2, "media label file_name"),
    Door("without names", "cat/1.jpg dog/1.jpg", "classes", 2, "image label", options={"keep_names": False}),
    Door("forced, with loose images", "cat/1.jpg dog/1.jpg cover.jpg notes.md", "classes", 2, IMAGES, says="cover.jpg: media, but not in a class folder & notes.md",
         options={"source_format": "classes"}),
    Door("two empty images, skipped", "cat/1.jpg cat/2.jpg! dog/1.jpg dog/2.jpg!", "classes", 2, IMAGES, says="cat/2.jpg & dog/2.jpg & the file is empty",
         options={"on_error": "skip"}),
    Door("a page instead of an image, skipped", "cat/1.jpg cat/2.jpg", "classes", 1, IMAGES, says="begins with 3c 68", texts={"cat/2.jpg": "<html>"},
         options={"on_error": "skip", "source_format": "classes"}),
    Door("files beside the only folder of classes", "pets/cat/1.jpg pets/dog/1.jpg pets/fox/1.jpg pets/cover.jpg", "classes", 3, IMAGES,
         says="pets/cover.jpg: media, but not in a class folder & 3 classes: cat, dog, fox", options={"source_format": "classes"}),
    Door("a class with a folder in it", "cat/1.jpg cat/2.jpg cat/more/3.jpg", "classes", 3, IMAGES, says="1 class: cat;", first={"label": 0}),
    Door("classes called with a mask and without", "train/with_mask/1.jpg train/without_mask/1.jpg test/with_mask/2.jpg", "classes", 3, IMAGES, {"train": 2, "test": 1}),
    Door("uppercase and other extensions", "cat/1.JPG cat/2.jpeg cat/3.PNG dog/1.JPEG", "classes", 4, IMAGES, first={"file_name": "cat/1.JPG"}),
    Door("names in other scripts", "猫/1.jpg 犬/写真.jpg U.S.A.v1.0/x.y.z.jpg", "classes", 3, IMAGES, first={"label": 0, "file_name": "U.S.A.v1.0/x.y.z.jpg"}),
    # Links and what is no file
    Door("a link at the top to an image of a class", "cat/1.png cat/2.png dog/1.png favourite.png=>cat/2.png", "classes", 3, IMAGES,
         says="favourite.png: the same file as cat/2.png, by a link", first={"label": 0}),
    Door("a link in a split to an image of a class", "train/cat/1.jpg train/dog/1.jpg test/cat/2.jpg train/one.jpg=>cat/1.jpg", "classes", 3, IMAGES,
         {"train": 2, "test": 1}, "train/one.jpg: the same file as train/cat/1.jpg"),
    Door("a link in the folder of the classes", "pets/cat/1.jpg pets/dog/1.jpg pets/dog/2.jpg pets/one.jpg=>cat/1.jpg", "classes", 3, IMAGES,
         says="pets/one.jpg: the same file as pets/cat/1.jpg & 2 classes: cat, dog", first={"label": 0}),
    Door("an image at the top that a class links to", "1.jpg cat/1.jpg=>../1.jpg dog/1.jpg", "classes", 2, IMAGES, says="1.jpg: the same file as cat/1.jpg",
         first={"file_name": "cat/1.jpg"}),
    Door("a link to an image that a row names", "1.jpg metadata.csv best.jpg=>1.jpg", "imagefolder", 1, "file_name image",
         says="best.jpg: the same file as 1.jpg, by a link", texts={"metadata.csv": "file_name\n1.jpg\n"}),
    Door("a link to an image with a caption", "a.jpg a.txt b.jpg b.txt best.jpg=>b.jpg", "samples", 2, "key jpg txt", says="best.jpg: the same file as b.jpg, by a link"),
    Door("links to files without extension", "blobs/0a blobs/0b train/1.png=>../blobs/0a train/2.png=>../blobs/0b", "samples", 2, "key png", {"train": 2},
         says="blobs/0a: no extension", texts={"blobs/0a": b"\x89PNG\r\n\x1a\n a", "blobs/0b": b"\x89PNG\r\n\x1a\n b"}),
    Door("a link to a hidden folder inside", "cat=>.store/c dog/1.jpg .store/c/1.jpg", "classes", 2, IMAGES, first={"file_name": "cat/1.jpg"}),
    Door("a link to a class", "cat/1.jpg dog/1.jpg latest=>dog", "classes", 2, IMAGES, says="latest/1.jpg: the same file as dog/1.jpg"),
    Door("links to classes that lie deeper", "cat=>store/c dog=>store/d store/c/1.jpg store/d/1.jpg", "classes", 2, IMAGES, first={"file_name": "cat/1.jpg"},
         says="store/c/1.jpg: the same file as cat/1.jpg"),
    Door("a split that is a link", "test/a/1.jpg test/b/1.jpg train/a/2.jpg val=>test", "classes", 5, IMAGES, {"test": 2, "train": 1, "val": 2}),
    Door("a link to an image of a sample", "a.jpg a.txt b.jpg=>a.jpg b.txt", "samples", 2, "key jpg txt", says="1 file is in more than one sample"),
    Door("a link to a table", "part-0.parquet part-1.parquet latest.parquet=>part-1.parquet", "parquet", 4, "n word", says="latest.parquet: the same file as part-1.parquet, by a link"),
    Door("a link back up", "cat/1.jpg dog/1.jpg dog/all=>..", "classes", 2, IMAGES, says="dog/all: a link back"),
    Door("a link out, followed", "src/cat/1.jpg src/dog=>../away away/1.jpg", "classes", 2, IMAGES, options={"follow_links": True}, src="src"),
    Door("a pipe that is no data", "cat/1.jpg dog/1.jpg control|", "classes", 2, IMAGES, says="control: not a file but a pipe"),
    Door("a link to nothing that is no data", "cat/1.jpg dog/1.jpg old=>gone", "classes", 2, IMAGES, says="old: a link to nothing"),
    Door("a pipe called like an image, skipped", "cat/1.jpg cat/2.jpg| dog/1.jpg", "classes", 2, IMAGES, says="cat/2.jpg: not a file but a pipe", options={"on_error": "skip"}),
    # Files of one base name
    Door("samples", "a.jpg a.json b.jpg b.json", "samples", 2, "key jpg json", says="files of one base name"),
    Door("samples and a README", "a.jpg a.txt b.jpg b.txt README.md", "samples", 2, "key jpg txt", says="README.md: about the data"),
    Door("samples in class folders", "cat/1.jpg cat/1.txt dog/1.jpg dog/1.txt", "samples", 2, "key jpg txt", first={"key": "cat/1"}),
    Door("samples with a stray file", "a.jpg a.txt b.jpg b.txt notes.rst", "samples", 2, "key jpg txt", says="notes.rst: no sample has its name"),
    Door("samples with a stray table", "a.jpg a.txt b.jpg b.txt stats.csv", "samples", 2, "key jpg txt", says="stats.csv: a table"),
    Door("samples, one without caption", "a.jpg a.txt b.jpg b.txt c.jpg", "samples", 3, "key jpg txt", says="1 of 3 samples have no .txt"),
    Door("samples with a table each", "a.wav a.csv b.wav b.csv", "samples", 2, "key wav csv"),
    Door("samples in splits", "train/a.jpg train/a.txt val/b.jpg val/b.txt", "samples", 2, "key jpg txt", {"train": 1, "val": 1}),
    Door("numbers between dots", "IMG.1.jpg IMG.1.txt IMG.2.jpg IMG.2.txt", "samples", 2, "key jpg txt", says="several dots", first={"key": "IMG.1"}),
    Door("two images a sample", "a.jpg a.seg.png a.json b.jpg b.seg.png b.json", "samples", 2, "key jpg seg.png json"),
    Door("loose images", "1.jpg 2.jpg 3.jpg", "samples", 3, "key jpg", says="none has a label"),
    Door("a folder called images is no class", "images/1.jpg images/2.jpg", "samples", 2, "key jpg", says="none has a label"),
    Door("a phone's camera roll", "DCIM/IMG_1.HEIC DCIM/IMG_1.MOV DCIM/IMG_2.JPG", "samples", 2, "key heic mov jpg"),
    Door("loose images of several extensions", "1.JPG 2.jpeg 3.png", "samples", 3, "key image file_name", says="one column, image, for .jpeg, .jpg, .png",
         first={"key": "1", "file_name": "1.JPG"}),
    Door("loose images and films", "1.jpg 2.mov 3.heic", "samples", 3, "key media file_name", says="one column, media"),
    Door("loose images of several extensions, without names", "1.jpg 2.png", "samples", 2, "image", options={"keep_names": False}),
    Door("loose images in splits in a folder", "data/train/1.jpg data/train/2.jpg data/test/3.jpg", "samples", 3, "key jpg", {"train": 2, "test": 1}),
    Door("a camera's folders", "DCIM/100APPLE/IMG_0001.JPG DCIM/100APPLE/IMG_0001.AAE DCIM/101APPLE/IMG_1001.JPG DCIM/101APPLE/IMG_E1001.JPG", "samples", 3, "key jpg",
         says="a camera's folders, which are not classes & IMG_0001.AAE: about the data"),
    Door("a camera's folders, copied", "100CANON/IMG_1.JPG 101CANON/IMG_2.JPG", "samples", 2, "key jpg", says="a camera's folders"),
    Door("a camera's folders as classes, forced", "100CANON/IMG_1.JPG 101CANON/IMG_2.JPG", "classes", 2, IMAGES, options={"source_format": "classes"}),
    Door("texts", "a.txt b.txt sub/c.txt", "samples", 3, "key txt", says="only .txt files"),
    Door("arrays", "x.npy y.npy", "samples", 2, "key npy", says="each .npy is one example"),
    Door("text in UTF-16", "a.txt b.txt", "samples", 2, "key txt", first={"txt": "grün"}, texts={"a.txt": "grün".encode("utf-16")}),
    Door("text in Latin-1, said", "a.txt", "samples", 1, "key txt", first={"txt": "grün"}, texts={"a.txt": "grün".encode("latin1")}, options={"encoding": "latin1"}),
    Door("forced samples of class folders", "cat/1.jpg dog/1.jpg", "samples", 2, "key jpg", options={"source_format": "samples"}),
    # Images with a table of metadata
    Door("metadata.csv", "1.jpg 2.jpg metadata.csv", "imagefolder", 2, "file_name text image", first={"text": "b", "file_name": "2.jpg"},
         texts={"metadata.csv": "file_name,text\n2.jpg,b\n1.jpg,a\n"}),
    Door("metadata.jsonl, an image without row", "1.jpg 2.jpg metadata.jsonl README.md", "imagefolder", 1, "file_name text image",
         says="2.jpg: no row names it & README.md", texts={"metadata.jsonl": '{"file_name": "1.jpg", "text": "a"}\n'}),
    Door("metadata of each split", "train/1.jpg train/metadata.csv test/2.jpg test/metadata.csv", "imagefolder", 2, "file_name n image", {"train": 1, "test": 1},
         texts={"train/metadata.csv": "file_name,n\n1.jpg,1\n", "test/metadata.csv": "file_name,n\n2.jpg,2\n"}),
    Door("a clone of a hub with metadata of each split", "README.md data/train/1.jpg data/train/metadata.csv data/test/2.jpg data/test/metadata.csv", "imagefolder", 2,
         "file_name n image", {"train": 1, "test": 1}, "README.md: about & splits by folder: test, train", {"file_name": "data/test/2.jpg"},
         {"data/train/metadata.csv": "file_name,n\n1.jpg,1\n", "data/test/metadata.csv": "file_name,n\n2.jpg,2\n"}),
    Door("metadata of all splits", "train/1.jpg test/2.jpg metadata.csv", "imagefolder", 2, "file_name image", {"train": 1, "test": 1},
         texts={"metadata.csv": "file_name\ntrain/1.jpg\ntest/2.jpg\n"}),
    Door("metadata of each class", "cat/1.jpg cat/metadata.csv dog/1.jpg dog/metadata.csv", "imagefolder", 2, "file_name n image label",
         first={"label": 0, "file_name": "cat/1.jpg"}, texts={"cat/metadata.csv": "file_name,n\n1.jpg,1\n", "dog/metadata.csv": "file_name,n\n1.jpg,2\n"}),
    Door("metadata with two images a row", "1.jpg 1d.png metadata.csv", "imagefolder", 1, "file_name depth_file_name image depth",
         texts={"metadata.csv": "file_name,depth_file_name\n1.jpg,1d.png\n"}),
    Door("metadata naming what is not there, skipped", "1.jpg metadata.csv", "imagefolder", 1, "file_name image", says="2.jpg & no such file",
         texts={"metadata.csv": "file_name\n1.jpg\n2.jpg\n"}, options={"on_error": "skip"}),
    # Folders of tables
    Door("one table and a README", "data.csv README.md", "csv", 2, "n word", says="1 table (csv) & README.md: about the data"),
    Door("a clone of a hub", "README.md .gitattributes data/train-00000-of-00002.parquet data/train-00001-of-00002.parquet data/test-00000-of-00001.parquet",
         "parquet", 6, "n word", {"train": 4, "test": 2}, "README.md"),
    Door("a hub's converted branch", "default/train/0000.parquet default/test/0000.parquet", "parquet", 4, "n word", {"train": 2, "test": 2}),
    Door("a clone of a hub with a picture", "README.md cover.jpg data/train-00000-of-00001.parquet", "parquet", 2, "n word", {"train": 2}, "cover.jpg: media"),
    Door("what Spark wrote", "_SUCCESS part-0.parquet part-1.parquet", "parquet", 4, "n word", says="2 tables (parquet) & _SUCCESS"),
    Door("years as folders", "year=2020/a.parquet year=2021/a.parquet", "parquet", 4, "n word year", first={"year": 2020}),
    Door("splits of JSON lines", "data/train.jsonl data/validation.jsonl LICENSE", "jsonl", 4, "n word", {"train": 2, "validation": 2}),
    Door("JSON arrays", "train.json test.json README.md", "jsonl", 4, "n word", {"train": 2, "test": 2}, texts={"train.json": ARRAY, "test.json": ARRAY}),
    Door("tables in folders that say nothing", "walk/1.csv run/1.csv", "csv", 4, "n word", says="names of the folders (run, walk) are not in the rows"),
    Door("a table and its vocabulary", "data.parquet vocab.txt config.json", "parquet", 2, "n word", says="vocab.txt: not parquet & config.json"),
    Door("one kind of several, forced", "a.csv b.parquet", "csv", 2, "n word", says="b.parquet: not csv", options={"source_format": "csv"}),
    Door("a table with names of images", "photos/1.jpg list.csv", "csv", 1, "path image", texts={"list.csv": "path\nphotos/1.jpg\n"},
         options={"media": {"image": "path"}}, src="list.csv"),
    Door("a table with ids of images", "photos/1.jpg list.csv", "csv", 1, "id image", first={"id": 1}, texts={"list.csv": "id\n1\n"},
         options={"media": {"image": "photos/{id}.jpg"}}, src="list.csv"),
    # Tars, arrays, datasets
    Door("tars", "a-0.tar a-1.tar README.md a-0.tar.md5", "webdataset", 4, "__key__ txt", says="2 tars & README.md: not a tar"),
    Door("tars in train/ and val/", "train/0.tar train/1.tar val/0.tar", "webdataset", 6, "__key__ txt", {"train": 4, "val": 2}, "train (2 tars)"),
    Door("tars called as splits are", "data/train-0.tar data/test-0.tar", "webdataset", 4, "__key__ txt", {"train": 2, "test": 2}),
    Door("one tar", "a.tar", "webdataset", 2, "__key__ txt", src="a.tar", says="a tar"),
    Door("an Atlas dataset", "d.atlasset/", "atlas", 2, "x", src="d.atlasset", says="atlas.json"),
    # Files
    Door("a table", "t.csv", "csv", 2, "n word", src="t.csv", says="extension .csv"),
    Door("a table without extension", "t", "csv", 2, "n word", src="t", says="text with commas", texts={"t": TABLE}),
    Door("a table in UTF-16", "t.csv", "csv", 2, "n word", src="t.csv", texts={"t.csv": TABLE.encode("utf-16")}),
    Door("a table in Latin-1, said", "t.csv", "csv", 1, "n", src="t.csv", texts={"t.csv": "n\nné\n".encode("latin1")}, first={"n": "né"}, options={"encoding": "latin1"}),
    Door("JSON lines", "t.jsonl", "jsonl", 2, "n word", src="t.jsonl"),
    Door("a JSON array", "t.json", "jsonl", 2, "n word", src="t.json", texts={"t.json": ARRAY}),
    Door("Parquet by another name", "t.bin", "parquet", 2, "n word", src="t.bin", texts={"t.bin": b"parquet"}),
    Door("arrays of one file alone in its folder", "x.npz README.txt", "npz", 3, "a b", says="x.npz is its only file & README.txt"),
    Door("an array", "x.npy", "npy", 3, "value", src="x.npy"),
]  # fmt: skip

REFUSALS = [
    # What only a person can decide
    Refusal("loose images beside classes", "cat/1.jpg dog/1.jpg cover.jpg", "2 media files in class folders & 1 in none (such as cover.jpg) & --from classes & --from samples"),
    Refusal("a test split without classes", "train/cat/1.jpg train/dog/1.jpg test/1.jpg", "test/1.jpg & --from classes"),
    Refusal("splits beside a folder that is none", "train/a/1.jpg test/a/1.jpg extra/a/1.jpg", "train & extra & --from classes"),
    Refusal("as many texts as images", "cat/1.jpg cat/a.txt dog/1.jpg dog/b.txt", "2 other files & --from classes & --from samples"),
    Refusal("images and labels of YOLO", "images/1.jpg images/2.jpg labels/1.txt labels/2.txt classes.txt", "labels & --from samples & metadata.jsonl"),
    Refusal("images and masks", "images/1.jpg masks/1.png", "masks & --from samples"),
    Refusal("masks with the names of the images", "images/7.jpg masks/7.png", "masks/7.png as images/7.mask.png & convert"),
    Refusal("masks of each split", "train/images/7.jpg train/masks/7.png val/images/7.jpg val/masks/7.png", "train/masks/7.png as train/images/7.mask.png"),
    Refusal("masks beside the split they describe", "train/1.jpg train/2.jpg train_masks/1_mask.gif train_masks/2_mask.gif", "train_masks & metadata.jsonl",
            {"train_masks/1_mask.gif": b"GIF89a", "train_masks/2_mask.gif": b"GIF89a"}),
    Refusal("labels beside each split", "train/1.png train_labels/1.png val/2.png val_labels/2.png", "train_labels/1.png as train/1.label.png"),
    Refusal("masks among loose images", "1.jpg 1_mask.png 2.jpg 2_mask.png", "2 files seem to describe others & 1_mask.png (of 1.jpg) & 1.mask.png"),
    Refusal("masks among the images of classes", "good/a.png good/a_mask.png bad/b.png bad/b_mask.png bad/b_mask_1.png", "3 files seem to & b_mask.png (of b.png) & --from classes"),
    Refusal("a cover in the folder of the classes", "pets/cat/1.jpg pets/dog/1.jpg pets/dog/2.jpg pets/cover.jpg", "1 in none (such as pets/cover.jpg)"),
    Refusal("a cover above the folder of the classes", "in/pets/cat/1.jpg in/pets/dog/1.jpg in/cover.jpg", "1 in none (such as in/cover.jpg)"),
    Refusal("a cover in a folder called images", "images/cat/1.jpg images/dog/1.jpg images/cover.jpg", "1 in none (such as images/cover.jpg)"),
    Refusal("a README and a licence alone", "README.md LICENSE", "only files about the data & README.md"),
    Refusal("COCO", "train2017/1.jpg val2017/2.jpg annotations/instances.json", "annotations & metadata.jsonl"),
    Refusal("a table that names the images", "photos/1.jpg photos/2.jpg train.csv", "'path' & --media image=path & train.csv",
            {"train.csv": "path,y\nphotos/1.jpg,1\nphotos/2.jpg,2\n"}),
    Refusal("a table with names from another folder", "train/1.jpg train/2.jpg train.csv", "'id' & 'image=train/{id}'", {"train.csv": "id,y\n1.jpg,1\n2.jpg,2\n"}),
    Refusal("a table with ids", "train/1.jpg train/2.jpg train.csv", "'id' & 'image=train/{id}.jpg'", {"train.csv": "id,y\n1,1\n2,2\n"}),
    Refusal("class folders and a table that names them", "cat/1.jpg dog/1.jpg all.csv", "'file' & --from classes & --media image=file",
            {"all.csv": "file,y\ncat/1.jpg,1\ndog/1.jpg,2\n"}),
    Refusal("an array of JSON that names images", "pics/1.jpg pics/2.jpg talk.json", "'image' & --media 'image_file=pics/{image}'",
            {"talk.json": '[{"image": "1.jpg", "n": 1}, {"image": "2.jpg", "n": 2}]'}),
    Refusal("a table of sounds without a header", "wavs/a.wav wavs/b.wav metadata.csv", "no line with the columns' names & 'a'", {"metadata.csv": "a|x\nb|y\n"}),
    Refusal("a pattern of a column that is not there", "photos/1.jpg list.csv", "no column 'key' & id", {"list.csv": "id\n1\n"},
            {"media": {"image": "photos/{key}.jpg"}}, "list.csv"),
    Refusal("tables of two kinds", "a.csv b.parquet", "--from csv & --from parquet"),
    Refusal("a table and many texts", "a.csv 1.txt 2.txt 3.txt 4.txt", "1 table & 4 other files & --from csv"),
    Refusal("two datasets of a hub", "en/train-00000-of-00001.parquet fr/train-00000-of-00001.parquet README.md", "en, fr & convert one"),
    Refusal("a list of labels that is no table", "pics/1.jpg pics/2.jpg labels.txt", "labels.txt & metadata.csv & --from samples", {"labels.txt": "1.jpg 0\n2.jpg 1\n"}),
    Refusal("annotations of all images in one file", "images/1.jpg images/2.jpg instances.json", "instances.json & metadata.csv",
            {"instances.json": '{"images": [{"file_name": "1.jpg"}, {"file_name": "2.jpg"}]}'}),
    Refusal("HDF5 files", "a.h5 b.h5 README.md", "a.h5: .h5 files are not read & --from samples"),
    Refusal("tars and images", "a.tar cat/1.jpg dog/1.jpg", "1 tar & 2 files of images & --from webdataset & --from classes"),
    Refusal("a downloads folder", "a.pdf b.docx c.jpg d.exe", "different kinds & --from samples"),
    # What cannot be read
    Refusal("a link out", "src/cat/1.jpg src/dog=>../away away/1.jpg", "dog -> ../away & --follow-links", src="src"),
    Refusal("a link to a device", "cat/1.jpg=>/dev/zero cat/2.jpg", "cat/1.jpg: not a file but a device"),
    Refusal("a pipe called like an image", "cat/1.jpg| cat/2.jpg dog/1.jpg", "cat/1.jpg: not a file but a pipe & --skip-errors"),
    Refusal("a link to nothing called like an image", "cat/1.jpg=>gone.jpg cat/2.jpg dog/1.jpg", "cat/1.jpg: a link to gone.jpg, which does not exist"),
    Refusal("two empty images", "cat/1.jpg! cat/2.jpg dog/1.jpg!", "2 of 3 examples & cat/1.jpg & dog/1.jpg & --skip-errors"),
    Refusal("metadata naming what is not there", "1.jpg metadata.csv", "2.jpg & no such file", {"metadata.csv": "file_name\n1.jpg\n2.jpg\n"}),
    Refusal("nothing", "a/ .hidden", "no files"),
    Refusal("classes without classes", "1.jpg 2.jpg", "no image, audio or video file is in a class folder", options={"source_format": "classes"}),
    Refusal("a folder of zips", "a.zip b.zip", "a.zip: an archive & unzip a.zip"),
    Refusal("a zip", "a.zip", "a zip archive & unzip a.zip -d a", src="a.zip"),
    Refusal("a workbook", "a.xlsx", "save the table as CSV", {"a.xlsx": b"PK\x03\x04rest"}, src="a.xlsx"),
    Refusal("one image", "a.jpg", "one image file & folder per class", src="a.jpg"),
    Refusal("the index of a dataset", "d.atlasset/", "give its folder", src="d.atlasset/atlas.json"),
    Refusal("a JSON array of numbers", "t.json", "not of objects", {"t.json": "[1, 2]"}, src="t.json"),
    Refusal("an option for others", "cat/1.jpg dog/1.jpg", "--media & csv & this is classes", options={"media": {"image": "path"}}),
    Refusal("an encoding nobody knows", "t.csv", "klingon & no such encoding", options={"encoding": "klingon"}, src="t.csv"),
]  # fmt: skip


def _parquet() -> bytes:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    out = io.BytesIO()
    pq.write_table(pa.table({"n": [1, 2], "word": ["one", "two"]}), out)
    return out.getvalue()


def _npy() -> bytes:
    out = io.BytesIO()
    np.save(out, np.arange(3, dtype=np.int32))
    return out.getvalue()


def _npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.arange(3), b=np.ones((3, 2)))
    return out.getvalue()


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("x.txt", "y.txt"):
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(name.encode()))
    return out.getvalue()


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("cat/1.txt", "x")
    return out.getvalue()


CONTENT: Mapping[str, Callable[[], bytes]] = {
    "jpg": lambda: b"\xff\xd8\xff\xe0 an image", "jpeg": lambda: b"\xff\xd8\xff\xe0 another", "png": lambda: b"\x89PNG\r\n\x1a\n an image", "heic": lambda: b"\0\0\0\x18ftypheic",
    "mov": lambda: b"\0\0\0\x14ftypqt  ", "wav": lambda: b"RIFF\0\0\0\0WAVEfmt ", "csv": TABLE.encode, "jsonl": LINES.encode, "json": lambda: b'{"n": 1}',
    "parquet": _parquet, "npy": _npy, "npz": _npz, "tar": _tar, "zip": _zip,
}  # fmt: skip


def build(root: Path, files: str, texts: Mapping[str, str | bytes]) -> None:
    for word in files.split():
        name, arrow, target = word.partition("=>")
        path = root / name.rstrip("|!")
        path.parent.mkdir(parents=True, exist_ok=True)
        if arrow:
            path.symlink_to(target)
        elif name.endswith("|"):
            os.mkfifo(path)
        elif name.endswith(".atlasset/"):
            with AtlasDatasetWriter(path) as writer:
                writer.extend([{"x": 1}, {"x": 2}])
        elif name.endswith("/"):
            path.mkdir()
        else:
            text = texts.get(name, b"" if name.endswith("!") else CONTENT.get(path.suffix[1:].lower(), lambda path=path: path.name.encode())())
            text = _parquet() if text == b"parquet" else text
            path.write_bytes(text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize("door", DOORS, ids=[door.name for door in DOORS])
def test_becomes(tmp_path: Path, door: Door) -> None:
    root = tmp_path / "in"
    build(root, door.files, door.texts)
    looked = convert(root / door.src, tmp_path / "out", dry_run=True, **door.options)
    assert not (tmp_path / "out").exists()
    done = convert(root / door.src, tmp_path / "out", **door.options)
    ds = AtlasDataset(tmp_path / "out")
    assert (done.format, done.rows, sorted(ds.schema.names), dict(ds.splits)) == (door.format, door.rows, sorted(door.columns.split()), dict(door.splits))
    assert len(ds) == door.rows and {name: ds[0][name] for name in door.first} == dict(door.first)
    told = "\n".join((done.why, *done.notes, *done.left_out, *done.skipped))
    assert all(words in told for words in door.says.split(" & ")), told
    assert "left out" not in done.why  # the notes and the list say it
    assert (looked.format, looked.why, looked.left_out) == (done.format, done.why, done.left_out)


@pytest.mark.parametrize("refusal", REFUSALS, ids=[refusal.name for refusal in REFUSALS])
def test_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    root = tmp_path / "in"
    build(root, refusal.files, refusal.texts)
    with pytest.raises(AtlasError) as caught:
        convert(root / refusal.src, tmp_path / "out", **refusal.options)
    assert all(words in str(caught.value) for words in refusal.words.split(" & ")), str(caught.value)
    assert str(root) in str(caught.value) and not (tmp_path / "out" / "atlas.json").exists()


def test_the_table_is_long_enough() -> None:
    names = [entry.name for entry in (*DOORS, *REFUSALS)]
    assert len(names) >= 100 and len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet", "rows.jsonl", "rows.arrow"])
@pytest.mark.parametrize("inner", ["", "data"])
def test_pointers_of_git_lfs_are_named(tmp_path, name, inner):
    folder = tmp_path / "clone" / inner
    folder.mkdir(parents=True)
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n")
    for src in (tmp_path / "clone", folder / name):
        with pytest.raises(UnsupportedError, match=rf"{name}: a Git LFS pointer, not the file itself; fetch the file with: git lfs pull"):
            convert(src, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_delta_table_is_named(tmp_path):
    folder = tmp_path / "rows"
    (folder / "_delta_log").mkdir(parents=True)
    (folder / "_delta_log" / "00.json").write_text('{"add": {"path": "a.csv"}}\n')
    (folder / "a.csv").write_text("p\n1\n")
    (folder / "deleted.csv").write_text("p\n2\n")
    with pytest.raises(UnsupportedError, match=r"rows: a Delta table, whose log says which files count; write it as Parquet first"):
        convert(folder, tmp_path / "out")
    assert convert(folder, tmp_path / "out", source_format="csv").rows == 2
