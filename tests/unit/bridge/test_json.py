"""JSON: lines, arrays, and what a dict would lose."""

import gzip
import json
import math

import pytest

from atlas_ds import AtlasDataset
from atlas_ds.bridge import convert, open_source
from atlas_ds.bridge.files import json_rows
from atlas_ds.bridge.source import ReadOptions, Refused
from atlas_ds.errors import AtlasError, CorruptError, SchemaError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.jsonl"


def source(path, data, **options):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return open_source(path, "jsonl", ReadOptions(**options))


def read(path, data, **options):
    found = source(path, data, **options)
    rows = [str(row.error) if isinstance(row, Refused) else row for row, _ in found.examples()]
    assert len(rows) == found.total
    return rows


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_arrays(path, indent, encoding):
    rows = [{"id": i, "name": f"é{i}", "tags": ["a"] * (i % 3)} for i in range(50)]
    assert read(path, json.dumps(rows, indent=indent, ensure_ascii=False).encode(encoding)) == rows


def test_arrays_are_read_piece_by_piece(path, monkeypatch):
    rows = [{"n": i, "text": 'x,]}"\\' * (i % 40), "deep": [[{}]]} for i in range(300)]
    for piece in (1, 7, 64, 1000):
        monkeypatch.setattr(json_rows, "PIECE", piece)
        monkeypatch.setattr(json_rows, "_refuse_one_object", lambda *given: None)
        assert read(path, json.dumps(rows, indent=1)) == rows


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"p": 1},\n {"p": 2},\n]', "line 3, column 1"),
        ('[{"p": 1},\n {"p": 2', "line 2"),
        ('[{"p": 1},\n {"p": 2}', "never closed"),
        ('[{"p": 1} {"p": 2}]', "comma"),
        ('[{"p": 1}]\n{}', "text after the end"),
        ("[]", "no rows"),
        ('{\n  "p": 1,\n  "q": 2\n}\n', "over many lines.*jq"),
        ('{"count": 2, "items": [\n{"p": 1},\n{"p": 2}]}\n', "'items'.*jq"),
        ("{}\n{}\n", "empty"),
    ],
)
def test_shapes_that_are_refused(path, text, words):
    with pytest.raises(AtlasError, match=words) as caught:
        read(path, text)
    assert "t.jsonl" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"p": 1, "p": 2}', "the key 'p' occurs twice"),
        ('{"p": 1, "q": {"r": 1, "r": 1}}', "the key 'r' occurs twice"),
        ('{"p": 2e308}', "too large for a float64"),
        ('{"p": 1, "q": [-2e308]}', "too large for a float64"),
        ('{"p": ' + "9" * 5000 + "}", "thousands of digits"),
        ('{"p": 1,}', "line 2, column 9"),
        ('{"p": 1', "line 2, column 8"),
        ("[1, 2]", "but an array"),
        ("null", "but null"),
        ('"p"', "but a string"),
        ("7", "but a number"),
        ('{"p": ' + "[" * 99_999 + "]" * 99_999 + "}", "nested too deeply"),
    ],
)
def test_wrong_rows_are_refused_and_the_rest_read(path, line, words):
    rows = read(path, f'{{"p": 5}}\n{line}\n\n{{"p": 6}}\n')
    assert rows[0]["p"] == 5 and rows[2]["p"] == 6 and words in rows[1] and "line 2" in rows[1]


def test_wrong_items_of_an_array(path):
    rows = read(path, '[{"p": 1},\n{"p": 1, "p": 2},\n4,\n{"p": %s},\n{"p": 3}]' % ("9" * 5000))
    assert rows[0] == {"p": 1} and rows[4] == {"p": 3}
    assert "line 2: the key 'p'" in rows[1] and "line 3: not a JSON object" in rows[2] and "line 4: an integer" in rows[3]


def test_bytes_that_are_not_utf8(path):
    rows = read(path, b'{"p": "ok"}\n{"p": "caf\xe9"}\n{"p": "end"}\n')
    assert rows[::2] == [{"p": "ok"}, {"p": "end"}] and "line 2: not UTF-8 (byte 0xe9)" in rows[1]
    assert "line 1: not UTF-8" in read(path, b'[{"p": "caf\xe9"}]')[0]
    assert read(path, b'{"p": "caf\xe9"}\n', encoding="latin1") == [{"p": "café"}]


def test_numbers_that_json_has_not(path):
    rows = read(path, '{"p": NaN}\n{"p": -Infinity}\n')
    assert math.isnan(rows[0]["p"]) and rows[1]["p"] == -math.inf


def test_chats_come_back(path, tmp_path):
    chats = [
        {"id": "a", "messages": [{"role": "user", "content": "hi: \u2603 \n\t\"x\""}, {"role": "assistant", "content": None, "tool_calls": [{"n": 1.5}]}]},
        {"id": "b", "messages": []},
    ]
    path.write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    convert(path, tmp_path / "out")
    assert list(AtlasDataset(tmp_path / "out")) == chats


def test_whole_numbers_beyond_64_bits_are_refused(path, tmp_path):
    path.write_text('{"p": 1}\n{"p": 18446744073709551616}\n')
    with pytest.raises(AtlasError, match=r"t\.jsonl: line 2: column 'p'"):
        convert(path, tmp_path / "out")


def test_whole_numbers_among_decimals(path):
    rows = read(path, '{"p": 0.5}\n{"p": 3}\n{"p": 9007199254740993}\n')
    assert rows[:2] == [{"p": 0.5}, {"p": 3.0}] and isinstance(rows[1]["p"], float) and "line 3" in rows[2] and "too long" in rows[2]


def test_many_shapes_of_rows(path):
    rows = [{f"k{i % 100}": i, f"m{i // 100}": i, "all": i} for i in range(6000)]  # each of another shape
    found = source(path, "".join(json.dumps(row) + "\n" for row in rows))
    assert found.total == 6000 and len(found.schema) == 161 and str(found.schema["all"]) == "int64"


def test_all_rows_wrong(path, tmp_path):
    path.write_text("word\nother\n")
    with pytest.raises(CorruptError, match=r"(?s)2 of 2 .*line 1.*line 2"):
        convert(path, tmp_path / "out", source_format="jsonl")
    path.write_text('{"p": 1, "p": 1}\n')
    with pytest.raises(SchemaError, match="occurs twice"):
        convert(path, tmp_path / "out", source_format="jsonl")


def test_objects_over_many_lines_one_after_another(path):
    with pytest.raises(SchemaError, match=r"JSON objects over many lines each; .*jq -c \. t\.jsonl > t-lines\.jsonl$"):
        source(path, '{\n "p": [{"q": 1}]\n}\n{\n "p": [{"q": 2}]\n}\n')


def test_rows_under_a_key_name_the_file(tmp_path):
    text = json.dumps({"the rows": [{"p": 1}], "n": 2}, indent=1)
    with pytest.raises(SchemaError) as caught:
        source(tmp_path / "my file.json", text)
    assert """jq -c '.["the rows"][]' 'my file.json' > 'my file.jsonl'""" in str(caught.value)
    assert "writer.extend(json.load(open('my file.json'))['the rows'])" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("t.json", {"version": "1", "rows": [{"p": 1}]}, """jq -c '.["rows"][]' t.json > t.jsonl"""),
        ("t.json", {"p": {"0": 1}, "q": {"0": 2}}, "orient='records'"),
        ("t.jsonl", {"rows": [{"p": 1}]}, None),
        ("t.json", [{"rows": [{"p": 1}]}], None),
    ],
)
def test_one_object_is_one_row_and_noted(tmp_path, name, value, words):
    found = source(tmp_path / name, json.dumps(value))
    assert [row for row, _ in found.examples()] == (value if isinstance(value, list) else [value])
    notes = [note for note in found.notes if "one object, so one row" in note]
    assert len(notes) == (words is not None) and (words is None or words in notes[0])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"p": 1},', "line 2, column 9: not JSON: a comma follows the object; remove it"),
        ('{"p": "cut of', "not JSON: "),
        ('{"p": [1, 2', "not JSON: the line ends inside the object; is it truncated?"),
        ('{"p": 1} x', "not JSON: Extra data; correct it"),
        ('{"p": 1}{"p": 3}', "column 9: not JSON: another object on the same line"),
        ('{"p": None}', "written as Python prints it; write it with json.dumps"),
        ("{'p': 1}", "written as Python prints it; write it with json.dumps"),
        ('{"p": "a\tb"}', "not JSON: Invalid control character; correct it"),
    ],
)
def test_what_is_wrong_with_a_line(path, line, words):
    good, bad, last = read(path, '{"p": 0}\n' + line + '\n{"p": 2}\n')
    assert good == {"p": 0} and last == {"p": 2} and words in bad and "at;" not in bad


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"p": 1},\n{"p": 2},]', "line 2, column 10: not JSON: a comma before the ]; remove it"),
        ('[{"p": 1},\n{"p": 2', "line 2, column 8: not JSON: the file ends inside the array; is it truncated?"),
        ('[{"p": 1} {"p": 2}]', "line 1, column 11: a comma or ] is missing"),
    ],
)
def test_what_is_wrong_with_an_array(path, text, words):
    with pytest.raises(CorruptError) as caught:
        read(path, text)
    assert words in str(caught.value)


def test_a_first_line_longer_than_one_piece_is_a_row(path):
    rows = [{"v": list(range(200_000))}, {"v": [1]}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    assert len(text) > json_rows.PIECE
    assert read(path, text) == rows


def test_a_folder_of_packed_arrays(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.json.gz").write_bytes(gzip.compress(json.dumps([{"n": 1, "w": name}, {"n": 2, "w": name}], indent=1).encode()))
    done = convert(tmp_path / "in", tmp_path / "out", progress=False)
    assert done.format == "jsonl" and list(AtlasDataset(tmp_path / "out")) == [{"n": n, "w": w} for w in "ab" for n in (1, 2)]


@pytest.mark.parametrize("row", ['{"p": "x", "p": "y"}', '{"p": [1], "q": 1, "q": 2}', '{"p": 2e308, "new": 1}'])
@pytest.mark.parametrize("form", ["{}\n{}\n{}\n", "[{},\n{},\n{}]"], ids=["lines", "array"])
def test_a_refused_row_has_no_say_in_the_types(path, tmp_path, form, row):
    path.write_text(form.format('{"p": 1}', row, '{"p": 2}'))
    done = convert(path, tmp_path / "out", on_error="skip", progress=False)
    assert done.lost == 1 and dict(done.columns) == {"p": "int64"} and list(AtlasDataset(tmp_path / "out")) == [{"p": 1}, {"p": 2}]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([[1, 2], [], [3]], "list(int64)"),
        ([[], [0.5], [1.5, 2.0]], "list(float64)"),
        ([[True], [False], []], "list(bool)"),
        ([[1], None, []], "list(int64)"),
        ([[], [], []], "object"),
        ([[1, 0.5], [1], [2]], "object"),
        ([[1], [0.5], [2]], "object"),
        ([[1, None], [1], [2]], "object"),
        ([[True], [1], [2]], "object"),
        ([[2**63], [1], [2]], "object"),
        ([["a"], [], [1]], "object"),
        ([[[1]], [], [1]], "object"),
        ([[1], "x", 1], "object"),
    ],
    ids=str,
)
@pytest.mark.parametrize("array", [True, False])
def test_lists_of_numbers(tmp_path, values, kind, array):
    """The first pass sees all rows, so that no later one can break the type."""
    rows = [{"n": i, "c": value} for i, value in enumerate(values)]
    path = tmp_path / "t.json"
    path.write_text(json.dumps(rows) if array else "\n".join(map(json.dumps, rows)))
    done = convert(path, tmp_path / "out")
    ds = AtlasDataset(tmp_path / "out")
    assert str(ds.schema["c"].type) == kind and ds.schema["c"].nullable == (None in values and kind != "object")
    assert repr(list(ds)) == repr(rows)
    assert len(done.notes) == ("x" in values)
