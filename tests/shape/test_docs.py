"""What README.md and docs/ show is run: every ```python block (in order, one namespace per file) and every `$ atlas-ds` line of a
```console block, in a folder where the fixtures below stand. A console line that must fail says so: `# exit code 1`.
Blocks of other kinds (```sh, ```text) are not run. Also: links lead somewhere, the reference names all that is public, and the benchmark
tables are those of the results file.
"""

from __future__ import annotations

import inspect
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import atlas_ds
from benchmarks import summary
from servers import s3

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = ("decisions",)  # written when decided, never touched again
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if not set(page.relative_to(ROOT).parts) & set(NOT_OURS)]
RUN = [page for page in PAGES if re.search(r"^```(python|console)$", page.read_text(), re.MULTILINE)]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def make_fixtures(folder: Path) -> None:
    """photos/ and news/: folders of pictures and of samples; table.csv, lines.jsonl, table.parquet, images.npy: the same 20 rows; chat.jsonl: 20 chats;
    fashion-mnist/: 1,000 and 200 pictures as IDX; tars/: two of ten samples each."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (folder / "photos" / kind).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 255, (24, 32, 3), np.uint8)
            image.fromarray(pixels).save(folder / "photos" / kind / f"{i}.jpg")
    (folder / "news").mkdir()
    for i in range(20):
        (folder / "news" / f"{i:03d}.txt").write_text(f"story number {i}")
        (folder / "news" / f"{i:03d}.json").write_text(f'{{"year": {1990 + i}}}')
    (folder / "tars").mkdir()
    for shard in range(2):
        with tarfile.open(folder / "tars" / f"pets-{shard:06d}.tar", "w") as archive:
            for i in range(10 * shard, 10 * shard + 10):
                archive.add(folder / "photos" / "cat" / f"{i % 10}.jpg", f"{i:04d}.jpg")
                for name, data in (("cls", b"%d" % (i % 2)), ("json", b'{"age": %d}' % i)):
                    entry = tarfile.TarInfo(f"{i:04d}.{name}")
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
    (folder / "chat.jsonl").write_text(
        "".join(
            json.dumps({"messages": [{"role": "user", "content": f"{i} + 1?"}, {"role": "assistant", "content": str(i + 1)}]}) + "\n" for i in range(20)
        )
    )
    (folder / "table.csv").write_text("name,year\n" + "".join(f"car {i},{1990 + i}\n" for i in range(20)))
    (folder / "lines.jsonl").write_text("".join(f'{{"name": "car {i}", "year": {1990 + i}}}\n' for i in range(20)))
    np.save(folder / "images.npy", rng.integers(0, 255, (20, 8, 8), np.uint8))
    (folder / "fashion-mnist").mkdir()
    for split, count in (("train", 1000), ("t10k", 200)):
        for kind, values in (("images-idx3", rng.integers(0, 255, (count, 28, 28), np.uint8)), ("labels-idx1", np.arange(count, dtype=np.uint8) % 10)):
            head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
            (folder / "fashion-mnist" / f"{split}-{kind}-ubyte").write_bytes(head + values.tobytes())
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"name": [f"car {i}" for i in range(20)], "year": list(range(20))}), folder / "table.parquet")


def run_command(line: str, folder: Path) -> None:
    command, _, remark = line.partition("  #")
    wanted = re.search(r"exit code (\d+)", remark)
    module = f'"{sys.executable}" -m atlas_ds'
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))}
    shell = re.sub(r"(?<![\w/.-])atlas-ds(?= )", module.replace("\\", r"\\"), command)
    done = subprocess.run(["bash", "-c", shell], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == int(wanted[1] if wanted else 0), f"{line}\n{done.stdout}{done.stderr}"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """s3://my-bucket/cars, on a real S3 that the environment names."""
    with s3.running(("my-bucket",)) as server:
        with atlas_ds.AtlasDatasetWriter(tmp_path / "cars") as writer:
            writer.extend({"label": i, "photo": bytes(300)} for i in range(1000))
        server.upload(tmp_path / "cars", "my-bucket", "cars")
        for variable, value in {"ACCESS_KEY_ID": s3.KEY, "SECRET_ACCESS_KEY": s3.SECRET, "ENDPOINT": server.endpoint, "ALLOW_HTTP": "true"}.items():
            monkeypatch.setenv(f"AWS_{variable}", value)
        yield


@pytest.mark.parametrize("page", RUN, ids=name)
def test_examples_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    text = page.read_text()
    if re.search(r"^(import|from) (\w+, )*torch\b", text, re.MULTILINE):
        pytest.importorskip("torch")
    make_fixtures(tmp_path)
    monkeypatch.chdir(tmp_path)
    if "s3://my-bucket" in text:
        request.getfixturevalue("bucket")
    namespace: dict[str, object] = {"__name__": "__docs__"}
    for block in BLOCK.finditer(text):
        kind, body = block.groups()
        line = text[: block.start()].count("\n") + 2
        if kind == "python":
            exec(compile("\n" * (line - 1) + body, str(page), "exec"), namespace)
        elif kind == "console":
            for command in re.findall(r"^\$ (.*)$", body, re.MULTILINE):
                if command.startswith("atlas-ds"):
                    run_command(command, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if not re.match(r"https?://|mailto:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), f"{name(page)}: {target}"


def test_links_within_pages_name_a_heading() -> None:
    for page in PAGES:
        for target in LINK.findall(page.read_text()):
            path, _, anchor = target.partition("#")
            other = (page.parent / path).resolve() if path else page
            if anchor and not re.match(r"https?://", target) and other.suffix == ".md":
                assert anchor in anchors(other), f"{name(page)}: {target}"


def anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub links to them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", summary.PAGES, ids=name)
def test_benchmark_tables_are_those_of_the_results(page: Path) -> None:
    shown = summary.between_marks(page.read_text())
    found = re.search(r"benchmarks/results/([\w.-]+\.json)", shown)
    assert found
    body = json.loads((ROOT / "benchmarks" / "results" / found[1]).read_text())
    assert shown == summary.PAGES[page](body, found[1]), f"{name(page)}: run python -m benchmarks.summary"


def public_names() -> list[str]:
    """Every public function, class, method, property and keyword of the package's face."""
    found = []
    for public in atlas_ds.__all__:
        thing = getattr(atlas_ds, public)
        if inspect.ismodule(thing):
            found += [f"{public}.{inner}" for inner in thing.__all__]
            continue
        found.append(public)
        found += keywords(thing, public)
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if not member.startswith("_"):
                    found.append(f"{public}.{member}")
                    found += keywords(value, f"{public}.{member}") if inspect.isfunction(value) else []
    return found


def keywords(thing: object, path: str) -> list[str]:
    if not callable(thing):
        return []
    parameters = inspect.signature(thing).parameters.values()
    return [f"{path}({p.name}=)" for p in parameters if p.name != "self" and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def test_reference_is_complete() -> None:
    words = set(re.findall(r"\w+", (ROOT / "docs" / "reference.md").read_text()))
    missing = [path for path in public_names() if re.findall(r"\w+", path)[-1] not in words]
    assert not missing, f"docs/reference.md says nothing of {missing}"
