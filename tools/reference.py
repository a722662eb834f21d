"""Writes docs/reference.md from docstrings and signatures: `python tools/reference.py`.

It reads source, imports nothing of it, and writes the same page for the same source. A parameter
without a text, a text without a parameter, and a public method without a docstring are errors.

Docstrings are in numpy style: a summary, then Parameters, Returns, Raises, Attributes. Types are in
the signature only. `docs/X.md` and `FORMAT.md` in a text become links.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "atlas_ds"
PAGE = ROOT / "docs" / "reference.md"
WIDTH = 100  # of a signature
HEAD = """\
<!-- Written by tools/reference.py from the docstrings: change those, then run `make reference`. -->
# Reference

`import atlas_ds as atlas`. Everything here is covered by the compatibility promise of 2.x; anything
not named here may change. Where only some strings are possible, they are listed as types. The
commands are in [command line](guide/command-line.md).

"""
PARTS = (  # headings, and what is under them, below the package
    ("", ("AtlasDatasetWriter", "AtlasDataset", "concat", "dataset.concat.Concat")),
    ("", ("Loader", "loader.stats.Stats", "Sampler", "Mix")),
    (
        "Functions",
        (
            "collate",
            "download",
            "merge_parts",
            "shuffle",
            "verify",
            "dataset.verify.Report",
            "repair",
            "rewrite.repair.RepairReport",
        ),
    ),
    ("Other formats", ("convert", "bridge.Converted", "import_atlas_v1", "import_huggingface", "to_huggingface")),
    (
        "WebDataset",
        (
            "import_webdataset",
            "bridge.Imported",
            "open_tar",
            "bridge.TarDataset",
            "export_webdataset",
            "bridge.Exported",
        ),
    ),
    ("Arrow and Parquet", ("export_parquet", "bridge.to_arrow")),
    ("Values and schemas", ("Media", "Ragged", "Schema")),
)
NAMED = {"bridge.to_arrow": "atlas_ds.bridge.to_arrow"}  # what `import atlas_ds` alone does not have
LIKE_DATASETS = ("Concat", "TarDataset")  # their methods are in a table: AtlasDataset explains them
SPECIAL = {"__getitem__": "{}[{}]", "__len__": "len({})", "__iter__": "iter({})"}
SECTION = re.compile(r"^(Parameters|Attributes|Returns|Raises)\n-{3,}\n", re.MULTILINE)
PLAIN = {  # annotations in the words of a page
    "SupportsIndex": "int", "os.PathLike[str]": "PathLike", "np.ndarray": "array", "str | os.PathLike[str]": "path",
    "str | Path": "path", "Any": "any", "object": "any", "ExampleT": "example", "T": "result", "Name": "name",
    "SupportsRows[T]": "dataset",
}  # fmt: skip
Function = ast.FunctionDef
Entries = list[tuple[str, str]]
Types = dict[str, str]


class Found(NamedTuple):
    """A definition, and the module that has it."""

    node: ast.ClassDef | Function | ast.Assign
    module: str


class Method(NamedTuple):
    """All definitions of a method, overloads first, and their module. above: the method it overrides."""

    definitions: list[Function]
    module: str
    above: Method | None = None

    @property
    def described(self) -> Function:
        """The definition with the docstring: where a method has none, that of its base class."""
        last = self.definitions[-1]
        return last if self.above is None or ast.get_docstring(last) else self.above.described

    @property
    def is_property(self) -> bool:
        return any(ast.unparse(mark) == "property" for mark in self.definitions[-1].decorator_list)


class Doc(NamedTuple):
    """A docstring, taken apart. entries: by section, names (or types), each with its text."""

    text: str
    entries: dict[str, Entries]


# --- source ---


def file_of(module: str) -> Path:
    place = ROOT / "src" / Path(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


@cache
def parse(module: str) -> ast.Module:
    return ast.parse(file_of(module).read_text(), module)


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a module or class, and of what is there for type checkers only."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from statements(node.body)


def find(module: str, name: str) -> Found | None:
    """Where a name of a module is defined, through imports of this package."""
    found = None
    for node in statements(parse(module).body):
        if isinstance(node, ast.ClassDef | Function | ast.Assign) and name_of(node) == name:
            found = Found(node, module)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                if (alias.asname or alias.name) == name and file_of(node.module or "").exists():
                    found = find(node.module or "", alias.name)
    return found


def name_of(node: ast.ClassDef | Function | ast.Assign) -> str:
    return ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else node.name


def bases(found: Found) -> Iterator[Found]:
    """The classes of this package that a class inherits from."""
    assert isinstance(found.node, ast.ClassDef)
    for base in found.node.bases:
        base = base.value if isinstance(base, ast.Subscript) else base
        above = find(found.module, base.id) if isinstance(base, ast.Name) else None
        if above is not None and isinstance(above.node, ast.ClassDef):
            yield above


def methods_of(found: Found) -> dict[str, Method]:
    """Public methods and properties of a class, inherited ones first."""
    assert isinstance(found.node, ast.ClassDef)
    out: dict[str, Method] = {}
    for above in bases(found):
        out |= methods_of(above)
    own: dict[str, Method] = {}
    for node in statements(found.node.body):
        if isinstance(node, Function) and (node.name[0] != "_" or node.name in SPECIAL):
            own.setdefault(node.name, Method([], found.module, out.get(node.name))).definitions.append(node)
    return out | own


def fields_of(found: Found) -> list[ast.AnnAssign]:
    """The fields of a dataclass or TypedDict, inherited ones first."""
    assert isinstance(found.node, ast.ClassDef)
    above = [field for base in bases(found) for field in fields_of(base)]
    return above + [node for node in found.node.body if isinstance(node, ast.AnnAssign)]


def init_of(found: Found) -> Function:
    """What a class is made with; of a dataclass, its fields."""
    assert isinstance(found.node, ast.ClassDef)
    for node in found.node.body:
        if isinstance(node, Function) and node.name == "__init__":
            return node
    made = ast.parse("def __init__(self): ...").body[0]
    assert isinstance(made, Function)
    fields = fields_of(found)
    made.args.args = [ast.arg(ast.unparse(field.target), field.annotation) for field in fields]
    made.args.defaults = [field.value for field in fields if field.value is not None]
    return made


# --- docstrings ---


def doc_of(node: ast.ClassDef | Function, where: str) -> Doc:
    text = ast.get_docstring(node)
    if not text:
        raise SystemExit(f"{where}: no docstring")
    first, *rest = SECTION.split(text)
    sections = zip(rest[::2], rest[1::2], strict=True)
    return Doc(first.strip(), {name: entries_of(body, where) for name, body in sections})


def entries_of(body: str, where: str) -> Entries:
    found: list[tuple[str, list[str]]] = []
    for line in body.rstrip().splitlines():
        if line and line[0] != " ":
            found.append((line.strip(), []))
        elif found:
            found[-1][1].append(line)
        elif line.strip():
            raise SystemExit(f"{where}: {line.strip()!r} belongs to nothing")
    return [(name, one_line(" ".join(lines))) for name, lines in found]


def one_line(text: str) -> str:
    return " ".join(text.split())


# --- signatures ---


def arguments(node: Function) -> list[ast.arg]:
    """Without those that exist only to be refused with a good error."""
    args = node.args
    named = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    extra = [one for one in (args.vararg, args.kwarg) if one is not None and one.arg not in ("others", "more")]
    return [one for one in (*named, *extra) if one.arg not in ("self", "cls")]


def signature(name: str, node: Function, module: str) -> str:
    args = node.args
    positional = [*args.posonlyargs, *args.args]
    defaults = [*[None] * (len(positional) - len(args.defaults)), *args.defaults, *args.kw_defaults]
    named = zip([*positional, *args.kwonlyargs], defaults, strict=True)
    parts = {one.arg: with_default(one, value, module) for one, value in named if one.arg not in ("self", "cls")}
    keyword = [parts.pop(one.arg) for one in args.kwonlyargs]
    extra = [f"**{args.kwarg.arg}"] if args.kwarg and args.kwarg.arg != "others" else []
    call = f"{name}({', '.join([*parts.values(), *['*'][: len(keyword)], *keyword, *extra])})"
    return textwrap.fill(call, WIDTH, subsequent_indent=" " * (len(name) + 1), break_on_hyphens=False)


def with_default(one: ast.arg, value: ast.expr | None, module: str) -> str:
    return one.arg if value is None else f"{one.arg}={value_text(value, module)}"


def value_text(value: ast.expr, module: str) -> str:
    """A default; of a constant of the package, its value."""
    found = find(module, value.id) if isinstance(value, ast.Name) else None
    if found is not None and isinstance(found.node, ast.Assign):
        return value_text(found.node.value, found.module)
    if isinstance(value, ast.BinOp):
        left, right = (int(value_text(side, module)) for side in (value.left, value.right))
        return f"{left << right if isinstance(value.op, ast.LShift) else left * right:_}"
    return (
        json.dumps(value.value, ensure_ascii=False)
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
        else ast.unparse(value)
    )


def types_of(annotation: ast.expr | None, module: str) -> list[str]:
    """The alternatives of an annotation; a name that stands for a Literal or union is written out."""
    if annotation is None:
        return []
    text = ast.unparse(annotation)
    if text in PLAIN:
        return [PLAIN[text]]
    if isinstance(annotation, ast.BinOp):
        left, right = types_of(annotation.left, module), types_of(annotation.right, module)
        return [*left[:-1], "path"] if left[-1:] == ["str"] and right in (["PathLike"], ["Path"]) else [*left, *right]
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        options = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        return [value_text(one, module) for one in options]
    found = find(module, annotation.id) if isinstance(annotation, ast.Name) else None
    if found is not None and isinstance(found.node, ast.Assign):
        return types_of(found.node.value, found.module)
    if isinstance(annotation, ast.Subscript):
        inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        return [f"{ast.unparse(annotation.value)}[{', '.join(' | '.join(types_of(one, module)) for one in inner)}]"]
    if isinstance(annotation, ast.List):
        return [f"[{', '.join(' | '.join(types_of(one, module)) for one in annotation.elts)}]"]
    return [text]


def type_text(annotations: list[ast.expr | None], module: str) -> str:
    found = list(dict.fromkeys(one for annotation in annotations for one in types_of(annotation, module)))
    found.sort(key=lambda one: one == "None")
    return ", ".join(f"`{one}`" for one in found)


def parameters(method: Method, doc: Doc, where: str) -> tuple[Entries, Types]:
    """The parameters with their texts, and their types; SystemExit if the signature has others."""
    *overloads, node = method.definitions
    types: Types = {}
    for one in arguments(node):
        marked = [
            other.annotation
            for overload in overloads or [node]
            for other in arguments(overload)
            if other.arg == one.arg
        ]
        types[one.arg] = type_text(marked, method.module)
    entries = doc.entries.get("Parameters", [])
    told = [name.strip() for names, _ in entries for name in names.split(",")]
    if sorted(told) != sorted(types):
        raise SystemExit(f"{where}: the docstring has the parameters {told}, the signature {list(types)}")
    passed = passed_on(node, method.module)
    return [
        (", ".join(passed) if node.args.kwarg and names == node.args.kwarg.arg else names, text)
        for names, text in entries
    ], types


def passed_on(node: Function, module: str) -> list[str]:
    """The names that `**options: Unpack[Options]` takes."""
    annotation = node.args.kwarg.annotation if node.args.kwarg else None
    if not (isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Name)):
        return []
    found = find(module, annotation.slice.id)
    return [ast.unparse(field.target) for field in fields_of(found)] if found else []


# --- the page ---


def linked(text: str) -> str:
    """Paths of pages as links, seen from docs/."""
    page = r"(?<![\w/(\[])docs/((?:guide/)?([\w-]+)\.md(?:#[\w-]+)?)"
    text = re.sub(page, lambda found: f"[{found[2].replace('-', ' ')}]({found[1]})", text)
    return re.sub(
        r"(?<![\w/(\[])FORMAT\.md(#[\w-]+)?", lambda found: f"[FORMAT.md](../FORMAT.md{found[1] or ''})", text
    )


def cell(text: str) -> str:
    return linked(text).replace("|", "\\|")


def coded(names: str) -> str:
    return ", ".join(f"`{name.strip()}`" for name in names.split(","))


def paragraphs(text: str) -> str:
    """A docstring as Markdown: paragraphs on one line, indented blocks as code, lists as they are."""
    out = []
    for block in re.split(r"\n\s*\n", text):
        if block.startswith("    "):
            out.append(f"```text\n{textwrap.dedent(block)}\n```")
        else:
            out.append(linked(block if block.startswith("- ") else one_line(block)))
    return "\n\n".join(out)


def type_for(names: str, types: Types) -> str:
    found = [one for name in names.split(",") for one in re.findall("`[^`]+`", types.get(name.strip(), ""))]
    return ", ".join(sorted(dict.fromkeys(found), key=lambda one: one == "`None`"))


def table(kind: str, entries: Entries, types: Types) -> str:
    rows = [f"| {coded(names)} | {cell(type_for(names, types))} | {cell(text)} |" for names, text in entries]
    return "\n".join([f"| {kind} | type | |", "|---|---|---|", *rows]) if rows else ""


def bullets(entries: Entries, types: Types) -> str:
    kinds = [type_for(names, types) for names, _ in entries]
    lines = [
        f"- {coded(names)}{f' ({kind})' if kind else ''}: {linked(text)}"
        for (names, text), kind in zip(entries, kinds, strict=True)
    ]
    return "\n".join(lines)


def outcome(doc: Doc) -> str:
    """What a docstring says of results and errors, as a list."""
    lines = []
    for kind in ("Returns", "Raises"):
        lines += [
            f"- {kind} {coded(name)}{': ' if text else ''}{linked(text)}" for name, text in doc.entries.get(kind, [])
        ]
    return "\n".join(lines)


def joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def function_text(name: str, method: Method, level: int) -> str:
    doc, call = doc_of(method.described, name), signature(name, method.definitions[0], method.module)
    told = table("argument", *parameters(method, doc, name))
    return joined(f"{'#' * level} {name}", f"```text\n{call}\n```", paragraphs(doc.text), told, outcome(doc))


def method_text(owner: str, name: str, method: Method, level: int) -> str:
    where = f"{owner}.{name}"
    doc = doc_of(method.described, where)
    told, rest = bullets(*parameters(method, doc, where)), outcome(doc)
    told += "\n" if told and rest else ""
    head = f"{'#' * level} `{call_of(owner, where, name, method)}`"
    return joined(head, paragraphs(doc.text), told + rest)


def call_of(owner: str, where: str, name: str, method: Method) -> str:
    """How a method is called, on one line."""
    if name in SPECIAL:
        return SPECIAL[name].format(owner, *(one.arg for one in arguments(method.definitions[-1])))
    return one_line(signature(where, method.definitions[0], method.module))


def methods_table(owner: str, methods: dict[str, Method]) -> str:
    rows = []
    for name, method in methods.items():
        doc = doc_of(method.described, f"{owner}.{name}")
        parameters(method, doc, f"{owner}.{name}")
        rows.append(f"| `{call_of('ds', name, name, method)}` | {cell(one_line(doc.text))} |")
    return "\n".join(["| method | |", "|---|---|", *rows])


def attributes_text(found: Found, doc: Doc, having: dict[str, Method]) -> str:
    """What the docstring of a class names, with the types of its fields, then its properties."""
    types = {ast.unparse(field.target): type_text([field.annotation], found.module) for field in fields_of(found)}
    entries = list(doc.entries.get("Attributes", []))
    for name, method in having.items():
        if method.is_property:
            own = doc_of(method.described, name)
            entries.append((name, one_line(own.text)))
            types[name] = type_text([method.definitions[-1].returns], method.module)
    return table("attribute", entries, types)


def class_text(name: str, found: Found, level: int) -> str:
    assert isinstance(found.node, ast.ClassDef)
    doc, having = doc_of(found.node, name), methods_of(found)
    call = told = ""
    if "Parameters" in doc.entries:
        made = init_of(found)
        call = f"```text\n{signature(name, made, found.module)}\n```"
        told = table("argument", *parameters(Method([made], found.module), doc, name))
    attributes = attributes_text(found, doc, having)
    methods = {
        member: method
        for member, method in having.items()
        if not method.is_property and (member not in SPECIAL or ast.get_docstring(method.described))
    }
    head = joined(f"{'#' * level} {name}", call, paragraphs(doc.text), told, outcome(doc), attributes)
    if name in LIKE_DATASETS:
        return joined(head, methods_table(name, methods))
    return joined(head, *(method_text(name, member, method, level + 1) for member, method in methods.items()))


def entry(path: str, level: int, name: str = "") -> str:
    module, _, last = f"{PACKAGE}.{path}".rpartition(".")
    found = find(module, last)
    if found is None or isinstance(found.node, ast.Assign):
        raise SystemExit(f"{path}: not found")
    if isinstance(found.node, Function):
        return function_text(name or last, Method([found.node], found.module), level)
    return class_text(name or last, found, level)


def exported(module: str) -> list[str]:
    found = find(module, "__all__")
    assert found is not None and isinstance(found.node, ast.Assign)
    return list(ast.literal_eval(found.node.value))


def types_text() -> str:
    """atlas.types: what its docstring says, the functions, then the classes."""
    module = f"{PACKAGE}.types"
    names = sorted((name for name in exported(module) if name != "Schema"), key=lambda name: name[0].isupper())
    head = paragraphs(ast.get_docstring(parse(module)) or "")
    return joined("## atlas.types", head, *(entry(f"types.{name}", 3, f"types.{name}") for name in names))


def errors_text() -> str:
    module = f"{PACKAGE}.errors"
    rows = ["| error | is also | when |", "|---|---|---|"]
    for node in parse(module).body:
        if isinstance(node, ast.ClassDef) and node.name in exported(module):
            also = [ast.unparse(base) for base in node.bases if ast.unparse(base) != "AtlasError"]
            when = cell(one_line(doc_of(node, node.name).text))
            rows.append(f"| `{node.name}` | {', '.join(f'`{base}`' for base in also)} | {when} |")
    return joined("## atlas.errors", paragraphs(ast.get_docstring(parse(module)) or ""), "\n".join(rows))


def page() -> str:
    """The text of docs/reference.md."""
    parts = []
    for title, paths in PARTS:
        parts.append(f"## {title}" if title else "")
        parts += [entry(path, 3 if title else 2, NAMED.get(path, "")) for path in paths]
    return HEAD + joined(*parts, types_text(), errors_text()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
