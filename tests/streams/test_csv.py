"""CSV as the world writes it: quotes, line breaks, decimal commas, missing values, comments, encodings."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import random
import re

import numpy as np
import pyarrow as pa
import pytest

import linreg_fast
from linreg_fast.streams import csv_kinds, csv_text, records, tokens
from linreg_fast.streams.csv_options import CsvOptions, csv_options
from linreg_fast.streams.csv_text import Text

QUIET = pytest.mark.filterwarnings("ignore::linreg_fast.LeftOutWarning")


@pytest.fixture
def pieces(monkeypatch):
    """Small files are read in many pieces."""
    monkeypatch.setattr(csv_text, "CSV_BYTES", 1 << 12)
    monkeypatch.setattr(csv_text, "CSV_BLOCK", 1 << 10)


@QUIET
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("where", ["every row", "one row", "stray quotes"])
def test_line_breaks_in_quotes(tmp_path, pieces, newline, where):
    """The fields hold what looks like rows of the table, and doubled quotes."""
    n = 3000
    rows = ["x,note,y"]
    for i in range(n):
        note = '"a ""quoted"" note' + newline + f'{i},9,9"' if where == "every row" or i == 1700 else "plain"
        note = '3" pipe' if where == "stray quotes" and i % 3 == 0 else note
        rows.append(f"{i},{note},{2 * i + 1}")
    (tmp_path / "t.csv").write_text(newline.join(rows), newline="")
    fit = linreg_fast.fit_file(tmp_path / "t.csv", target="y")
    assert (fit.n_samples, fit.slope, fit.intercept) == (n, 2.0, 1.0)


def test_line_breaks_in_quotes_of_a_large_file(tmp_path):
    """More than a piece of a file, of which one field is longer than a block of the parser."""
    n = 60_001
    with open(tmp_path / "t.csv", "w") as file:
        file.write("x,note,y\n")
        for i in range(n):
            note = ("1,2,3\n" * (1 << 18)) if i == 30_000 else f"line\n{i},0,0\n" * 5
            file.write(f'{i},"{note}",{2 * i}\n')
    fit = linreg_fast.fit_file(tmp_path / "t.csv", target="y", features=["x"])
    assert (fit.n_samples, fit.slope) == (n, 2.0)


def test_records_of_random_text():
    """Wherever a text is cut, records before the cut and after it are those of Python's reader."""
    rng = random.Random(0)
    for _ in range(2000):
        text = "".join(
            rng.choice(['"', '""', ",", "\n", "a", 'b"', ',"', '"\n', "x,y\n"]) for _ in range(rng.randrange(40))
        )
        whole = _records(text)
        cut = records.last_record(memoryview(text.encode()), '"', ",")
        before, after = _records(text[: cut.end]), _records(text[cut.end :])
        assert before + after == whole, text
        if cut.end < len(text) and "\n" in text[cut.end :]:
            assert len(after) == 1 or after == [], text  # no whole record is left
        if cut.end and not cut.broken:
            assert len(before) == text[: cut.end].count("\n"), text


def _records(text):
    """Records by a reader that looks at one character after the other; the last may be without an end."""
    found, record, state = [], "", "start"
    for c in text:
        record += c
        if state == "quoted":
            if c == '"':
                state = "quote"
            continue
        if state == "quote":
            if c == '"':
                state = "quoted"
                continue
            state = "plain"
        if state == "start" and c == '"':
            state = "quoted"
        elif c == "\n":
            found.append(record)
            record, state = "", "start"
        else:
            state = "start" if c == "," else "plain"
    return found + ([record] if record else [])


def test_quote_that_is_never_closed(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text('x,y\n1,2\n"3,4\n5,6\n')
    with pytest.raises(ValueError, match=r"t\.csv: a quote is opened and never closed, at '\"3,4"):
        linreg_fast.fit_file(tmp_path / "t.csv", target="y")
    monkeypatch.setattr(csv_text, "CSV_BYTES", 64)
    monkeypatch.setattr(csv_text, "RECORD_BYTES", 256)
    (tmp_path / "t.csv").write_text('x,y\n1,2\n"3,4\n' + "5,6\n" * 1000)
    with pytest.raises(ValueError, match=r"t\.csv has a quote that is not closed in .* from '\"3,4"):
        linreg_fast.fit_file(tmp_path / "t.csv", target="y")
    (tmp_path / "t.csv").write_text('x,y,z\n1,2,"a\n2,4,b\n3,6,c\n')
    with pytest.warns(linreg_fast.LeftOutWarning, match="'z'"):
        assert linreg_fast.fit_file(tmp_path / "t.csv", target="y", csv={"quote": ""}).slope == 2.0


X = [1.5, 1234.25, -2.0, 1234567.5, 0.25, 7.0]
Y = [2 * x + 1 for x in X]


def european(value):
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


# name, text (of columns x and y, y = 2 x + 1), options
WRITTEN = {
    "semicolons": ("\n".join(["x;y", *(f"{x};{y}" for x, y in zip(X, Y, strict=True))]), {"delimiter": ";"}),
    "european": (
        "\n".join(["x;y", *(f"{european(x)};{european(y)}" for x, y in zip(X, Y, strict=True))]),
        {"delimiter": ";", "decimal": ",", "thousands": "."},
    ),
    "american": (
        "\n".join(["x,y", *(f'"{x:,.2f}","{y:,.2f}"' for x, y in zip(X, Y, strict=True))]),
        {"thousands": ","},
    ),
    "swiss": (
        "\n".join(["x;y", *(f"{x:,.2f};{y:,.2f}".replace(",", "\u2019") for x, y in zip(X, Y, strict=True))]),
        {"delimiter": ";", "thousands": "\u2019"},
    ),
    "bars": ("\n".join(["x|y", *(f"{x}|{y}" for x, y in zip(X, Y, strict=True))]), {"delimiter": "|"}),
    "comments": (
        '# by hand, "a quote\nx,y\n' + "".join(f"{x},{y}\n# {x}\n" for x, y in zip(X, Y, strict=True)),
        {"comment": "#"},
    ),
    "preamble": (
        "a report\nof 2 columns; x\n\nx,y\n" + "".join(f"{x},{y}\n" for x, y in zip(X, Y, strict=True)),
        {"skip_rows": 2},
    ),
    "single quotes": (
        "x,name,y\n" + "".join(f"{x},'a, b\nc',{y}\n" for x, y in zip(X, Y, strict=True)),
        {"quote": "'"},
    ),
    "names given": ("".join(f"{x},{y}\n" for x, y in zip(X, Y, strict=True)), {"header": ["x", "y"]}),
}  # fmt: skip


@QUIET
@pytest.mark.parametrize("packed", ["", ".gz", ".bz2", ".zst"])
@pytest.mark.parametrize("kind", WRITTEN)
def test_text_as_it_is_written(tmp_path, kind, packed):
    text, options = WRITTEN[kind]
    path = tmp_path / f"t.txt{packed}"
    pack = {
        "": bytes,
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".zst": lambda b: pa.compress(b, "zstd", asbytes=True),
    }
    path.write_bytes(pack[packed](text.encode()))
    fit = linreg_fast.fit_file(path, target="y", csv=options)
    assert fit.feature_names == ("x",)
    assert fit.n_samples == len(X)
    np.testing.assert_allclose([fit.slope, fit.intercept], [2.0, 1.0], rtol=1e-9)


@QUIET
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig", "latin-1"])
def test_encodings(tmp_path, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes("größe,straße,y\n1,Allee,2\n2,Gäßchen,4\n4,Weg,8\n".encode(encoding))
    fit = linreg_fast.fit_file(path, target="y", csv={"encoding": encoding})
    assert (fit.feature_names, fit.slope) == (("größe",), 2.0)
    if encoding in ("cp1252", "latin-1"):
        with pytest.raises(ValueError, match=r"t\.csv is not of UTF-8.*csv=\{'encoding': 'cp1252'\} may read it"):
            linreg_fast.fit_file(path, target="y")
    if encoding == "utf-16":
        with pytest.raises(ValueError, match=r"t\.csv is not of UTF-8; csv=\{'encoding': 'utf-16'\} would read it"):
            linreg_fast.fit_file(path, target="y")


def test_byte_order_mark_before_a_quote(tmp_path):
    (tmp_path / "t.csv").write_bytes(b'\xef\xbb\xbf"x","y"\n1,2\n2,4\n3,6\n')
    assert linreg_fast.fit_file(tmp_path / "t.csv", target="y").feature_names == ("x",)


def test_columns_by_position(tmp_path):
    (tmp_path / "t.csv").write_text("1,5,2\n2,3,4\n4,4,8\n")
    fit = linreg_fast.fit_file(tmp_path / "t.csv", target=-1, features=[0], csv={"header": False})
    assert (fit.feature_names, fit.slope, fit.n_samples) == (("0",), 2.0, 3)
    fit = linreg_fast.fit_file(tmp_path / "t.csv", target="2", exclude=[1], csv={"header": False})
    assert (fit.feature_names, fit.slope) == (("0",), 2.0)


def test_null_values(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,2\n?,4\n3,-\n4,8\n9,18\nNA,1\n")
    csv = {"null_values": ["?", "-"]}
    with pytest.raises(ValueError, match=r"column 'x' has a missing value at row 1 of t.csv; missing="):
        linreg_fast.fit_file(tmp_path / "t.csv", target="y", csv=csv)
    fit = linreg_fast.fit_file(tmp_path / "t.csv", target="y", csv=csv, missing="drop")
    assert (fit.n_samples, fit.slope) == (3, 2.0)
    with pytest.raises(ValueError, match=r"column 'y' has '-' at row 2, which is not a number"):
        linreg_fast.fit_file(tmp_path / "t.csv", target="y", csv={"null_values": "?"}, missing="drop")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x;y\n1;2\n2;4\n", r"csv=\{'delimiter': ';'\} would read it"),
        ("x;y\n1,5;2,5\n2,5;4\n", r"csv=\{'delimiter': ';', 'decimal': ','\} would read it"),
        ("x;z;y\n1,5;2,5;3\n2,5;4;9\n", r"csv=\{'delimiter': ';', 'decimal': ','\} would read it"),
        ("x;y\n1.234,5;2,5\n2,5;4\n", r"csv=\{'delimiter': ';', 'decimal': ',', 'thousands': '\.'\} would read it"),
        ("x\ty\n1\t2\n2\t4\n", r"csv=\{'delimiter': '\\t'\} would read it"),
        ('x,y\n"1,234.5",2\n"2,000.0",4\n', r"column 'x' has '1,234.5' at row 0.*csv=\{'thousands': ','\} would"),
        ('x,y\n"1,5",2\n"2,5",4\n', r"column 'x' has '1,5' at row 0.*csv=\{'decimal': ','\} would read it"),
    ],
)  # fmt: skip
def test_what_would_read_a_file_of_another_habit(tmp_path, text, hint):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=r"t\.csv.*" + hint):
        linreg_fast.fit_file(tmp_path / "t.csv", target="y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\r1,2\r2,4\r", "carriage returns alone"),
        ("x, y \n1,2\n2,4\n", "no column 'y'; its columns are x,  y ; ' y ' has blanks in its name"),
    ],
)
def test_files_that_only_look_like_others(tmp_path, text, message):
    (tmp_path / "t.csv").write_bytes(text.encode())
    with pytest.raises(ValueError, match=message):
        linreg_fast.fit_file(tmp_path / "t.csv", target="y")


def test_a_delimiter_at_the_end_of_each_row_is_no_column_of_row_numbers(tmp_path):
    (tmp_path / "t.csv").write_text("x,y,\n1,2,\n2,4,\n3,6,\n")
    with pytest.warns(linreg_fast.LeftOutWarning, match="no value in any row"):
        fit = linreg_fast.fit_file(tmp_path / "t.csv", target="y")
    assert fit.slope == 2.0
    assert fit.left_out == {"": "no value in any row"}


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"sep": ";"}, TypeError, "unknown csv option 'sep'; did you mean 'delimiter'"),
        ({"delimeter": ";"}, TypeError, "did you mean 'delimiter'"),
        ({"na_values": "?"}, TypeError, "did you mean 'null_values'"),
        ({"xyz": 1}, TypeError, "they are delimiter, decimal"),
        ({"delimiter": ";;"}, ValueError, "one ASCII character"),
        ({"decimal": ""}, ValueError, "one ASCII character"),
        ({"delimiter": ",", "decimal": ","}, ValueError, "are both ','"),
        ({"decimal": ",", "thousands": ","}, ValueError, "are both ','"),
        ({"encoding": "klingon"}, ValueError, "'klingon', which Python does not know"),
        ({"skip_rows": -1}, ValueError, "at least 0"),
        ({"skip_rows": 1.5}, TypeError, "integer"),
        ({"header": "x"}, TypeError, "a list of names"),
        ({"header": ["x"]}, ValueError, "has 1 names for the 2 columns"),
        ({"null_values": [1]}, TypeError, "of text"),
        (";", TypeError, "csv must be a dict"),
    ],
)
def test_options_are_checked(tmp_path, options, error, text):
    (tmp_path / "t.csv").write_text("x,y\n1,2\n2,4\n")
    with pytest.raises(error, match=text):
        linreg_fast.fit_file(tmp_path / "t.csv", target="y", csv=options)


def test_options_of_text_are_for_text(tmp_path):
    np.save(tmp_path / "t.npy", np.ones((3, 2)))
    with pytest.raises(TypeError, match="csv is for files of text"):
        linreg_fast.fit_file(tmp_path / "t.npy", csv={"delimiter": ";"})
    assert csv_options(CsvOptions(delimiter=";")) == CsvOptions(delimiter=";")


@pytest.mark.parametrize("row", [0, 17, 90_000])
@pytest.mark.parametrize("missing", ["raise", "drop"])
@pytest.mark.parametrize("token", ["?", "n.a.", "-", "1_000", "0x1F", "1,5", "1e"])
def test_one_token_that_is_no_number(tmp_path, pieces, row, missing, token):
    rows = [f"{i},{i % 7},{2 * i}" for i in range(max(200, row + 10))]
    rows[row] = f'1,"{token}",2'
    (tmp_path / "t.csv").write_text("\n".join(["x,z,y", *rows]))
    with pytest.raises(ValueError, match=rf"t\.csv: column 'z' has '{re.escape(token)}' at row {row}, which is not a"):
        linreg_fast.fit_file(tmp_path / "t.csv", target="y", missing=missing)
    fit = linreg_fast.fit_file(tmp_path / "t.csv", target="y", missing="drop", csv={"null_values": [token]})
    assert (fit.feature_names, fit.n_samples) == (("x", "z"), len(rows) - 1)


@pytest.mark.parametrize("token", [" 5 ", "+5", "5.", ".5e1", "inf", "NaN", "5E+00", "\t5"])
def test_tokens_that_are_numbers_are_never_blamed(tmp_path, token):
    text = Text(tmp_path / "t.csv")
    text.path.write_text(f"x,y\n{token},1\n1,2\n?,3\n")
    chunk = next(csv_text.chunks(text))
    types = {"x": pa.float64(), "y": pa.float64()}
    assert "has '?' at row 12," in str(csv_kinds.fault(text, chunk, types, 10, ValueError()))


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (["a", "b", "c"], "text"),
        ([], "text"),
        (["1", "2", "?"], "number"),
        (["?", "?", "?", "?", "5"], "number"),
        (["a", "b", "c", "d", "e", "1984"], "text"),
        (["true", "false", "?"], "bool"),
        (["1,5", "2,25"], "number"),
        (["0x1F", "0xFF"], "text"),
        (["2020.01.02", "2021.03.04"], "text"),
        (["12%", "13%"], "text"),
    ],
)
def test_what_a_column_of_fields_is(fields, kind):
    assert tokens.kind(fields, CsvOptions()) == kind


def test_rows_of_other_lengths(tmp_path, pieces):
    rows = [f"{i},{i}" for i in range(1000)]
    rows[700] = "1,2,3"
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *rows]))
    with pytest.raises(ValueError, match=r"t\.csv has 3 fields for 2 columns in row 700: '1,2,3'"):
        linreg_fast.fit_file(tmp_path / "t.csv", target="y")


def test_column_without_a_value_at_first(tmp_path, pieces):
    rows = [f"{i},,{i}" for i in range(3000)] + ["5,6,7"]
    (tmp_path / "t.csv").write_text("\n".join(["x,late,y", *rows]))
    with pytest.raises(ValueError, match="column 'late' has a missing value at row 0"):
        linreg_fast.fit_file(tmp_path / "t.csv", target="y")
    (tmp_path / "t.csv").write_text("\n".join(["x,late,y", *rows[:-1]]))
    with pytest.warns(linreg_fast.LeftOutWarning, match=r"'late' \(no value in any row\)"):
        fit = linreg_fast.fit_file(tmp_path / "t.csv", target="y")
    assert fit.feature_names == ("x",)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "1.csv").write_text("x,late,y\n1,,2\n2,,4\n")
    (tmp_path / "folder" / "2.csv").write_text("x,late,y\n3,1,6\n5,2,10\n4,9,8\n")
    fit = linreg_fast.fit_file(tmp_path / "folder", target="y", missing="drop")
    assert (fit.feature_names, fit.n_samples) == (("x", "late"), 3)


def test_head_with_line_breaks_and_names_of_numbers(tmp_path):
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["size\nin m", "1.50", "true", "y"])
    writer.writerows([[i, i % 3, i % 2, 2 * i] for i in range(20)])
    (tmp_path / "t.csv").write_text(buffer.getvalue(), newline="")
    assert linreg_fast.fit_file(tmp_path / "t.csv", target="y").feature_names == ("size\nin m", "1.50", "true")
