"""CSV: headers, encodings, wrong lines, and what the messages name."""

import gzip

import pytest

from atlas_ds import AtlasDataset
from atlas_ds.bridge import convert, open_source
from atlas_ds.bridge.files.encodings import find_encoding, known_encoding
from atlas_ds.bridge.source import ReadOptions, Refused
from atlas_ds.errors import AtlasError, CorruptError, SchemaError


def source(path, data, **options):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return open_source(path, "csv", ReadOptions(**options))


def read(path, data, **options):
    """Examples, or the text of the error in the place of a refused one."""
    found = source(path, data, **options)
    rows = [str(row.error) if isinstance(row, Refused) else row for row, _ in found.examples()]
    assert len(rows) == found.total
    return rows


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.csv"


def test_index_column(path):
    found = source(path, ",n\n0,5\n1,6\n")
    assert [row for row, _ in found.examples()] == [{"index": 0, "n": 5}, {"index": 1, "n": 6}]
    assert any("'index'" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("p,q,p\n1,2,3\n", "columns 1 and 3 are both called 'p'"),
        ("p,,q\n1,2,3\n", "column 2 has no name"),
        ("p,q,\n1,2,\n", "column 3 has no name.*at the end of every line"),
        (",index\n1,2\n", "column 1 has no name"),
        ("1,1\n2,3\n", "both called '1'.*header line, add one"),
        ('p,"q\n1,2\n', "line 1: the header: a quote"),
        ("\r\n\r\n", "empty"),
        ("p,q\n\n", "no rows"),
    ],
)
def test_headers_that_are_refused(path, text, words):
    with pytest.raises(AtlasError, match=words):
        source(path, text)


def test_a_header_of_numbers_is_noted(path):
    assert any("only numbers" in note for note in source(path, "1,2\n3,4\n").notes)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("word\nred\n\nblue\n", [{"word": "red"}, {"word": "blue"}]),
        ("sep=|\np|q\n1|a,b\n", [{"p": 1, "q": "a,b"}]),
        ('"p;1";"q,r,s"\n1;2\n', [{"p;1": 1, "q,r,s": 2}]),
        ('p,q\r\n1,"a\r\nb"\r\n', [{"p": 1, "q": "a\r\nb"}]),
        ("p;q\n1,5;x\n", [{"p": "1,5", "q": "x"}]),
        ('p,q\n1,"say ""no"""\n', [{"p": 1, "q": 'say "no"'}]),
        ("p,q\n1,x\0y\n", [{"p": 1, "q": "x\0y"}]),
        ("\n\np,q\n1,x", [{"p": 1, "q": "x"}]),
    ],
)
def test_shapes(path, text, rows):
    assert read(path, text) == rows


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_encodings_are_found(path, encoding):
    data = "name,n\nZoë,1\n日本語の名前,2\n".encode(encoding)
    wanted = [{"name": "Zoë", "n": 1}, {"name": "日本語の名前", "n": 2}]
    assert read(path, data) == wanted
    assert read(path, gzip.compress(data)) == wanted


def test_encoding_as_told(path):
    assert read(path, "p,q\n1,naïve\n".encode("latin1"), encoding="latin1") == [{"p": 1, "q": "naïve"}]
    assert read(path, "\ufeffp,q\n1,ï\n".encode("utf-16-be"), encoding="UTF-16BE") == [{"p": 1, "q": "ï"}]
    with pytest.raises(AtlasError, match=r"t\.csv: encoding .lattin1.: no such encoding; did you mean latin"):
        known_encoding("lattin1", path)
    with pytest.raises(AtlasError, match=r"t\.csv: encoding .base64.: not an encoding of text"):
        known_encoding("base64", path)


def test_zero_bytes_are_not_always_utf16():
    assert find_encoding(b"p,q\n1,a\0b\n") == "utf-8-sig"
    assert find_encoding("p,q\n1,2\n".encode("utf-16-le")) == "utf-16-le"


def test_cut_utf16_names_it(path):
    with pytest.raises(CorruptError, match="UTF-16"):
        source(path, "p,q\n1,x\n".encode("utf-16") + b"z")


def test_wrong_lines_are_refused_one_by_one(path):
    data = b'p,q\n1,a\n2\n3,b,c\n4,d\xe9\n"5\n5",x,y\n6,"w"v\n7,z\n'
    rows = read(path, data)
    assert rows[0] == {"p": 1, "q": "a"}
    wanted = ("line 3: 1 cell,", "line 4: 3 cells, but the header has 2", "line 5: not UTF-8 (byte 0xe9)", "lines 6 to 7: 3", "line 8: text follows")
    assert [words in row for row, words in zip(rows[1:6], wanted, strict=True)] == [True] * 5
    assert rows[6] == {"p": 7, "q": "z"}


def test_all_wrong_lines_are_told_at_once(path, tmp_path):
    path.write_text("p,q\n1,2\n3\n4,5,6\n")
    with pytest.raises(SchemaError, match=r"(?s)2 of 3 .*line 3.*line 4"):
        convert(path, tmp_path / "out")
    done = convert(path, tmp_path / "out", on_error="skip")
    assert done.rows == 1 and len(done.skipped) == 2 and list(AtlasDataset(tmp_path / "out")) == [{"p": 1, "q": 2}]


def test_an_open_quote_loses_one_line_only(path):
    rows = read(path, 'p,q\n1,a\n2,"b\n3,c\n4,d\n')
    assert rows[0] == {"p": 1, "q": "a"} and rows[2:] == [{"p": 3, "q": "c"}, {"p": 4, "q": "d"}]
    assert 'line 3: a quote (") opens here and is never closed' in rows[1]


def test_bad_bytes_far_behind(path):
    lines = [f"{i},text {i}" for i in range(5000)]
    data = ("p,q\n" + "\n".join(lines)).encode() + b"\n5000,\xff\n5001,NA\nNA,z\n"
    rows = read(path, data)
    assert len(rows) == 5003 and "line 5002: not UTF-8" in rows[5000] and rows[4999]["q"] == "text 4999"
    assert any("'NA' (1 cell," in note for note in source(path, data).notes)


def test_places_of_values_that_the_writer_refuses(path):
    found = source(path, 'p,q\n"a\nb",1\n\nc,2\n')
    assert found.place(0).endswith("t.csv: line 3") and found.place(1).endswith("t.csv: line 5") and found.place(0).endswith("line 3")


def test_notes_say_why_a_column_is_text(path):
    notes = source(path, "p,q,r\n1,NA,1.5\n2,3,1,5\n1x,4,2.5\n".replace("1,5\n1x", "1.50\n1x")).notes
    assert any(note.startswith("p: text, because of '1x' (t.csv, line 4)") for note in notes)
    assert any(note.startswith("q: text, because of 'NA'") for note in notes)
    assert any(note.startswith("r: text, because of numbers of different spelling") for note in notes)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("5.1,setosa", "holds numbers such as '5.1'"),
        ("red,7", "holds numbers such as '7'"),
        ("1.5,2.5", "only numbers"),
        ("red,blue", None),
        (",0", None),  # pandas, which numbers columns behind its index
        ("2024-05-01,v2", None),
    ],
)
def test_numbers_in_the_first_line_are_noted(path, header, words):
    notes = [note for note in source(path, header + "\n4,x\n").notes if "used as the header" in note]
    assert len(notes) == (words is not None) and (words is None or words in notes[0])


@pytest.mark.parametrize("header", ["0.5,0.5", "7,0,0", "a,3,3"])
def test_a_doubled_number_may_be_no_header(path, header):
    with pytest.raises(SchemaError, match=r"are both called '.*rename one of them; if the file has no header line, add one"):
        source(path, header + "\n")


@pytest.mark.parametrize("cell", ["007", "+5", "1_000", "0x1F", " 5", "1e5", "12e4567", "-0", "1" * 30])
def test_a_first_cell_that_looks_like_a_number_is_noted(path, cell):
    found = source(path, f"p,q\n{cell},x\n8,y\n")
    assert [row["p"] for row, _ in found.examples()] == [cell, "8"]
    assert any(note.startswith(f"p: text, because of {cell!r} (t.csv, line 2), which would not be written back unchanged as a number") for note in found.notes)
    assert not any(note.startswith("q:") for note in found.notes)


def test_reasons_say_what_the_cell_is(path):
    notes = source(path, "p,q\n1,true\nseven,maybe\n").notes
    assert "p: text, because of 'seven' (t.csv, line 3), which is not a number" in notes
    assert "q: text, because of 'maybe' (t.csv, line 3), while the cells before are true or false" in notes


def test_spaces_of_names_are_noted(path):
    found = source(path, "p, q\n1, x\n")
    assert list(found.examples()) == [({"p": 1, " q": " x"}, None)]
    assert "names of columns keep their spaces: ' q'; cells also do" in found.notes


def test_many_columns_are_counted(path):
    names, cells = ",".join(f"c{i}" for i in range(40)), ",".join("1" if i else "x" for i in range(40))
    assert source(path, f"{names}\n{cells}\n").notes == ("types found in the text: 1 columns str, 39 columns int",)


def test_lines_too_long_may_lack_quotes(path):
    long, short = read(path, "p;q\na;b;c\nd\n")
    assert long.endswith("line 2: 3 cells, but the header has 2 (line 1); write cells that hold ';' in quotes, or correct the line")
    assert short.endswith("line 3: 1 cell, but the header has 2 (line 1); correct the line")


@pytest.mark.parametrize(("text", "hint"), [("5 €", "--encoding cp1252"), ("Zoë", "--encoding latin1 (or cp1252, if it was written on Windows)")])
def test_bad_bytes_name_the_likely_encoding(path, text, hint):
    (row,) = read(path, b"p\n" + text.encode("cp1252") + b"\n")
    assert row.endswith(hint)
    assert read(path, path.read_bytes(), encoding="cp1252") == [{"p": text}]


@pytest.mark.parametrize(("header", "mark"), [("p q", "' '"), ("p::q", "'::'"), ("p^q", "'^'"), ("word", None), ("p q,r", None)])
def test_other_delimiters_are_noted(path, header, mark):
    notes = [note for note in source(path, f"{header}\n{','.join('x' * (header.count(',') + 1))}\n").notes if note.startswith("one column")]
    assert notes == ([f"one column, {header!r}; if {mark} separates several, write a comma, tab, semicolon or bar instead"] if mark else [])


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32"])
def test_the_encoding_is_detected_with_the_format(tmp_path, encoding):
    for name in ("t.csv", "t"):  # by its name, and by its first line
        (tmp_path / name).write_bytes("name,n\nZoë,1\n日本語の名前,2\n".encode(encoding))
        done = convert(tmp_path / name, tmp_path / "out", overwrite=True, progress=False)
        assert done.format == "csv" and list(AtlasDataset(tmp_path / "out")) == [{"name": "Zoë", "n": 1}, {"name": "日本語の名前", "n": 2}]
