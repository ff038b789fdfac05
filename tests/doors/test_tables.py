"""The same table through every door for files and streams: the same columns, the same names, the same messages."""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import warnings

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import csv, feather, parquet
from typer.testing import CliRunner

import linreg_fast
from linreg_fast.cli import commands, tables
from linreg_fast.cli.arguments import command_line, names
from linreg_fast.streams import rows
from linreg_fast.streams.frames import columns

N = 60


def run(*args, code=0, input=None):
    result = CliRunner().invoke(commands.application(), [str(arg) for arg in args], input=input)
    assert result.exit_code == code, result.output
    return result


class Found:
    """What a door found: names, columns left out, rows dropped, coefficients; its warning."""

    def __init__(self, names, left_out, dropped, coef, warning):
        self.names, self.left_out, self.dropped, self.coef, self.warning = names, left_out, dropped, coef, warning


def through(door, monkeypatch, frame, folder, **settings):
    """Fit a table through a door."""
    if door.startswith("command line"):
        return by_terminal(door, frame, folder, settings)
    streams = []
    init = rows.Stream.__init__

    def noting(self, *args, **kwargs):
        init(self, *args, **kwargs)
        streams.append(self)

    with monkeypatch.context() as patched, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        patched.setattr(rows.Stream, "__init__", noting)
        fit = DOORS[door](frame, folder, settings | {"target": "y"})
    told = [w for w in caught if issubclass(w.category, linreg_fast.LeftOutWarning)]
    assert len(told) <= 1
    assert all(w.filename == __file__ for w in told)
    stream = streams[-1]
    assert stream.source.left_out == getattr(fit, "left_out", stream.source.left_out)
    return Found(
        fit.feature_names, stream.source.left_out, stream.dropped, fit.coef, str(told[0].message) if told else ""
    )


def by_terminal(door, frame, folder, settings):
    path = write(frame, folder / f"t.{door.split()[-1]}")
    args = ["--json"]
    for name in ("features", "exclude"):
        if name in settings:
            args += [f"--{name}", ",".join(f'"{one}"' for one in settings[name])]
    args += ["--drop-missing"] * (settings.get("missing") == "drop")
    result = CliRunner().invoke(commands.application(), ["fit", str(path), "--target", "y", *args])
    if result.exit_code:
        raise ValueError(result.stderr)
    fit = json.loads(result.stdout)
    told = [line for line in result.stderr.splitlines() if "left out" in line]
    return Found(
        tuple(fit["feature_names"]), fit["left_out"], fit["dropped_rows"], np.array(fit["coef"]), "".join(told)
    )


def write(frame, path):
    """A pandas frame with its index, as pandas writes it."""
    suffix = path.suffix
    if suffix == ".csv":
        frame.to_csv(path)
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        feather.write_feather(pa.Table.from_pandas(frame), str(path))
    return path


DOORS = {
    "fit_file csv": lambda f, folder, s: linreg_fast.fit_file(write(f, folder / "t.csv"), **s),
    "fit_file parquet": lambda f, folder, s: linreg_fast.fit_file(write(f, folder / "t.parquet"), **s),
    "fit_file feather": lambda f, folder, s: linreg_fast.fit_file(write(f, folder / "t.feather"), **s),
    "fit_stream of a path": lambda f, folder, s: linreg_fast.fit_stream(write(f, folder / "t.parquet"), **s),
    "fit_stream of tables": lambda f, folder, s: linreg_fast.fit_stream([pa.Table.from_pandas(f)], **s),
    "fit_stream of batches once": lambda f, folder, s: linreg_fast.fit_stream(
        iter(pa.Table.from_pandas(f).to_batches(max_chunksize=25)), **s
    ),
}
TERMINALS = ("command line csv", "command line parquet")
every_door = pytest.mark.parametrize("door", [*DOORS, *TERMINALS])
arrow_doors = pytest.mark.parametrize("door", [door for door in [*DOORS, *TERMINALS] if not door.endswith("csv")])
csv_doors = pytest.mark.parametrize("door", [door for door in [*DOORS, *TERMINALS] if door.endswith("csv")])


@pytest.fixture
def frame():
    """y = 2 a - b, text, a date."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(-50, 50, (2, N)).astype(float)
    days = pd.date_range("2026-01-01", periods=N)
    return pd.DataFrame({"a": a, "name": "some text", "b": b, "day": days, "y": 2 * a - b})


@every_door
def test_text_is_left_out_with_one_warning(door, monkeypatch, frame, tmp_path):
    found = through(door, monkeypatch, frame.set_index("a").reset_index(), tmp_path)
    assert found.names == ("a", "b")
    assert found.left_out["name"] == "text"
    assert set(found.left_out) - {""} == {"name", "day"}
    assert "'name' (text)" in found.warning
    np.testing.assert_allclose(found.coef, [2.0, -1.0], rtol=1e-12)


@every_door
def test_what_a_user_excludes_or_does_not_ask_for_is_no_reason_to_warn(door, monkeypatch, frame, tmp_path):
    excluded = ["name", "day"] + [""] * door.endswith("csv")
    found = through(door, monkeypatch, frame, tmp_path, exclude=excluded)
    assert (found.names, found.warning) == (("a", "b"), "")
    assert found.left_out == dict.fromkeys(excluded, "excluded")
    found = through(door, monkeypatch, frame, tmp_path, features=["b", "a"])
    assert (found.names, found.warning, found.left_out) == (("b", "a"), "", {})


INDICES = {
    "without a name": (lambda f: f.set_index(f.index**2).rename_axis(None), ["__index_level_0__"]),
    "named": (lambda f: f.set_index((f.index**2).rename("code")), ["code"]),
    "of several": (lambda f: f.set_index([f.index % 7, f.index % 5]).rename_axis(["u", "v"]), ["u", "v"]),
}


@arrow_doors
@pytest.mark.parametrize("kind", INDICES)
def test_an_index_is_not_a_column(door, monkeypatch, frame, tmp_path, kind):
    make, levels = INDICES[kind]
    table = make(frame.drop(columns=["name", "day"]))
    found = through(door, monkeypatch, table, tmp_path)
    assert found.names == ("a", "b")
    assert found.left_out == dict.fromkeys(levels, "index of a data frame")
    assert repr(levels[0]) in found.warning
    found = through(door, monkeypatch, table, tmp_path, features=["a", levels[0]])
    assert found.names == ("a", levels[0])


@csv_doors
@pytest.mark.parametrize("header", ["", "Unnamed: 0"])
def test_row_numbers_are_not_a_column(door, monkeypatch, frame, tmp_path, header):
    table = frame[["a", "b", "y"]].rename_axis(header or None)
    found = through(door, monkeypatch, table, tmp_path)
    assert found.names == ("a", "b")
    assert found.left_out == {header: "row numbers without a name"}
    assert repr(header) in found.warning
    found = through(door, monkeypatch, table, tmp_path, features=[header, "a"])
    assert found.names == (header, "a")


def test_index_of_a_file_that_lost_its_metadata(frame, tmp_path):
    table = pa.Table.from_pandas(frame[["a", "b", "y"]].set_index(frame.index**2)).replace_schema_metadata(None)
    parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.warns(linreg_fast.LeftOutWarning, match=r"__index_level_0__"):
        assert linreg_fast.fit_file(tmp_path / "t.parquet", target="y").feature_names == ("a", "b")


@every_door
def test_a_column_without_any_value(door, monkeypatch, frame, tmp_path):
    table = frame[["a", "b", "y"]].assign(late=None)
    if door == "fit_stream of batches once":
        with pytest.raises(ValueError, match="column 'late' has a missing value at row 0"):
            through(door, monkeypatch, table, tmp_path)
        return
    found = through(door, monkeypatch, table, tmp_path)
    assert found.names == ("a", "b")
    assert found.left_out["late"] == "no value in any row"
    assert "'late' (no value in any row)" in found.warning


def test_a_column_without_a_value_in_the_first_batch(frame, tmp_path):
    """Of tables, of batches that come once, and of files: one of numbers."""
    late = frame.index.to_numpy() % 4.0
    late[:20] = np.nan
    whole = frame[["a", "b"]].assign(late=late, y=frame.y + 3 * np.nan_to_num(late))
    cut = [whole.iloc[i : i + 20].assign(late=None if i == 0 else late[i : i + 20]) for i in range(0, N, 20)]
    parts = [pa.Table.from_pandas(part, preserve_index=False) for part in cut]
    assert str(parts[0].schema.field("late").type) == "null"
    for i, part in enumerate(parts):
        parquet.write_table(part, tmp_path / f"{i}.parquet")
    for fit in (
        lambda **s: linreg_fast.fit_stream(parts, target="y", **s),
        lambda **s: linreg_fast.fit_stream(cut, target="y", **s),
        lambda **s: linreg_fast.fit_stream(iter(parts), target="y", **s),
        lambda **s: linreg_fast.fit_stream(lambda: iter(parts), target="y", **s),
        lambda **s: linreg_fast.fit_file(tmp_path, target="y", **s),
    ):
        with pytest.raises(ValueError, match="'late' has a missing value at row 0"):
            fit()
        found = fit(missing="drop")
        assert (found.feature_names, found.n_samples) == (("a", "b", "late"), 40)
        np.testing.assert_allclose(found.coef, [2.0, -1.0, 3.0], rtol=1e-10)


def test_pandas_column_that_shows_its_numbers_late():
    values = [None] * 1500 + [float(i % 7) for i in range(500)]
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object), "a": np.arange(2000.0), "y": np.arange(2000.0)})
    fit = linreg_fast.fit_stream(frame, target="y", missing="drop")
    assert (fit.feature_names, fit.n_samples) == (("x", "a"), 500)
    frame.loc[1999, "x"] = "seven"
    with pytest.raises(
        TypeError, match=r"column 'x' of batch 0 has values of several types, 'seven' of type str at row 1999"
    ):
        linreg_fast.fit_stream(frame, target="y", missing="drop")


def test_polars_queries_and_wide_integers():
    frame = pl.DataFrame({"x": np.arange(100.0), "z": np.arange(100) % 7, "y": 2 * np.arange(100.0)})
    for settings in ({}, {"precision": "extended"}):
        fit = linreg_fast.fit_stream(frame.lazy().with_columns(pl.col("z") + 1), target="y", **settings)
        np.testing.assert_allclose(fit.coef, [2.0, 0.0], atol=1e-12)
    wide = frame.with_columns(pl.col("z").cast(pl.Int128))
    for value in (wide, wide.lazy(), [wide]):
        with pytest.raises(TypeError, match=r"column 'z' cannot be read: its type is Int128.*cast it to Int64"):
            linreg_fast.fit_stream(value, target="y")
        assert linreg_fast.fit_stream(value, target="y", exclude=["z"]).slope == pytest.approx(2.0)
    assert columns(wide, "here")[0]["z"] == "Int128"


def test_duckdb_relation_is_read_again_and_again():
    relation = duckdb.connect().sql(
        "select i::double as x, (i % 7)::integer as z, 2.0 * i + 1 as y from range(5000) t(i)"
    )
    for settings in ({}, {"precision": "extended"}):
        fit = linreg_fast.fit_stream(relation, target="y", **settings)
        assert fit.n_samples == 5000
        np.testing.assert_allclose([*fit.coef, fit.intercept], [2.0, 0.0, 1.0], atol=1e-9)


def test_every_row_missing_names_the_first(tmp_path):
    (tmp_path / "t.csv").write_text("x,z,y\n1,,1\n2,,3\n3,,2\n,5,7\n")
    with pytest.raises(
        ValueError, match=r"every row has a missing value: column 'z' has the first, at row 0 of t\.csv"
    ):
        linreg_fast.fit_file(tmp_path / "t.csv", target="y", missing="drop")


# predict


@pytest.fixture
def model(tmp_path):
    x = np.arange(6.0)
    linreg_fast.fit(np.column_stack([x, x**2]), 1 + x, feature_names=["x", "z"]).save(tmp_path / "model.json")
    return tmp_path / "model.json"


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.feather", "t.csv.gz"])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_predict_for_a_table_without_rows(tmp_path, name, n_targets):
    x = np.arange(6.0)
    Y = (1 + x) if n_targets == 1 else np.column_stack([x, -x])
    linreg_fast.fit(np.column_stack([x, x**2]), Y, feature_names=["x", "z"]).save(tmp_path / "model.json")
    empty = pa.table({"x": pa.array([], pa.float64()), "id": pa.array([], pa.string()), "z": pa.array([], pa.int64())})
    path = tmp_path / name
    if name == "t.parquet":
        parquet.write_table(empty, path)
    elif name == "t.feather":
        feather.write_feather(empty, str(path))
    else:
        path.write_bytes(gzip.compress(b"x,id,z\n") if name.endswith("gz") else b"x,id,z\n")
    head = "prediction" if n_targets == 1 else "prediction_0,prediction_1"
    assert run("predict", path, "--model", tmp_path / "model.json").stdout == head + "\n"
    assert run("predict", path, "--model", tmp_path / "model.json", "--id", "id").stdout == f"id,{head}\n"
    run("predict", path, "--model", tmp_path / "model.json", "--output", tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet").num_rows == 0


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather"])
def test_predict_carries_columns_over(tmp_path, model, suffix):
    table = pa.table(
        {"code, old": ["007", "a,b", None, 'q"'], "x": [0.0, 1.0, 2.0, 3.0], "z": [0, 1, 4, 9], "n": [7, 8, 9, 1]}
    )
    path = tmp_path / f"t{suffix}"
    {".csv": csv.write_csv, ".parquet": parquet.write_table, ".feather": lambda t, p: feather.write_feather(t, str(p))}[
        suffix
    ](table, path)
    run("predict", path, "--model", model, "--id", '"code, old",n', "--output", tmp_path / "out.parquet")
    out = parquet.read_table(tmp_path / "out.parquet")
    assert out.column_names == ["code, old", "n", "prediction"]
    assert out["code, old"].to_pylist() == ["007", "a,b", None, 'q"']
    assert list(map(int, out["n"].to_pylist())) == [7, 8, 9, 1]
    np.testing.assert_allclose(out["prediction"].to_numpy(), [1.0, 2.0, 3.0, 4.0], rtol=1e-12)
    printed = run("predict", path, "--model", model, "--id", '"code, old"').stdout
    head, first, *_ = printed.splitlines()
    assert head == '"code, old",prediction'
    name, _, value = first.partition(",")
    assert name == '"007"'
    assert float(value) == pytest.approx(1.0, rel=1e-12)
    assert "no column 'nix'" in run("predict", path, "--model", model, "--id", "nix", code=1).stderr


def test_predict_names_a_token_that_is_no_number(tmp_path, model):
    (tmp_path / "t.csv").write_text("x,z\n1,2\n2,?\n3,4\n")
    message = run("predict", tmp_path / "t.csv", "--model", model, code=1).stderr
    assert "t.csv: column 'z' has '?' at row 1, which is not a number; --null '?' declares it" in message
    result = run("predict", tmp_path / "t.csv", "--model", model, "--null", "?")
    assert result.stdout.splitlines()[2] == "nan"
    (tmp_path / "h.csv").write_text("x,z\n0x1F,2\n2,3\n")
    assert "column 'x' has '0x1F' at row 0" in run("predict", tmp_path / "h.csv", "--model", model, code=1).stderr


# the command line


def test_options_of_text_on_the_command_line(tmp_path):
    text = "# stand 2026\nStück;Größe;Preis\n1.000;?;2.001,5\n2.000;1,5;4.001,5\n3.000;2,0;6.001,5\n4.000;7,0;8.001,5\n"
    (tmp_path / "t.txt").write_bytes(text.encode("cp1252"))
    given = [
        "--delimiter",
        ";",
        "--decimal",
        ",",
        "--thousands",
        ".",
        "--null",
        "?",
        "--encoding",
        "cp1252",
        "--comment",
        "#",
    ]
    out = run("fit", tmp_path / "t.txt", "--target", "Preis", "--features", " Stück ", "--json", *given)
    fit = json.loads(out.stdout)
    assert (fit["feature_names"], fit["n_samples"], fit["coef"]) == (["Stück"], 4, [2.0])
    run("fit", tmp_path / "t.txt", "--target", "Preis", "--features", "Stück", "--save", tmp_path / "m.json", *given)
    predicted = run("predict", tmp_path / "t.txt", "--model", tmp_path / "m.json", "--id", "Größe", *given).stdout
    assert predicted.splitlines()[2].startswith('"1,5",4001.5')
    (tmp_path / "e.csv").write_text("a;b;y\n1,5;2;3\n2,5;4;5\n3;5;7,5\n")
    message = run("fit", tmp_path / "e.csv", "--target", "y", code=1).stderr
    assert "e.csv has 2 fields for 1 column in row 0" in message
    assert "--delimiter ';' --decimal , would read it" in message
    assert run(
        "fit", tmp_path / "e.csv", "--target", "y", "--features", "a", "--delimiter", ";", "--decimal", ","
    ).stdout


@pytest.mark.parametrize("pack", [bytes, gzip.compress, "parquet"])
def test_standard_input(tmp_path, model, pack, monkeypatch):
    text = b"x,z,y\n0,0,1\n1,2,3\n2,1,5\n3,5,7\n"
    if pack == "parquet":
        sink = io.BytesIO()
        parquet.write_table(csv.read_csv(io.BytesIO(text)), sink)
        given = sink.getvalue()
    else:
        given = pack(text)
    fit = json.loads(run("fit", "-", "--target", "y", "--features", "x", "--json", input=given).stdout)
    assert fit["coef"] == [2.0]
    assert len(run("predict", "-", "--model", model, input=given).stdout.splitlines()) == 5
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    assert linreg_fast.fit_file("-", target="y", features=["x"]).slope == pytest.approx(2.0, rel=1e-15)
    bad = run("fit", "-", "--target", "y", input=b"x,y\n1,2\n?,3\n5,6\n", code=1).stderr
    assert bad.startswith("error: standard input: column 'x' has '?' at row 1")


def test_several_targets_on_the_command_line(tmp_path):
    (tmp_path / "t.csv").write_text('x,y,"z, net"\n' + "".join(f"{i},{2 * i},{5 - i}\n" for i in range(9)))
    for args in (["--target", 'y, "z, net"'], ["--target", "y", "--target", '"z, net"']):
        fit = json.loads(run("fit", tmp_path / "t.csv", *args, "--json").stdout)
        assert (fit["target"], fit["feature_names"]) == (["y", "z, net"], ["x"])
        np.testing.assert_allclose(fit["coef"], [[2.0], [-1.0]], rtol=1e-12)
        out = run("fit", tmp_path / "t.csv", *args).stdout
        assert "coefficient for z, net" in out


def test_names_as_they_are_typed():
    assert names("") == []
    assert names(" a, b ,c") == ["a", "b", "c"]
    assert names('"a, b" , "say ""hi""",""') == ["a, b", 'say "hi"', ""]
    assert names("a b,c d") == ["a b", "c d"]
    for text in ('"a', '"a" b,c'):
        with pytest.raises(ValueError, match="double quotes"):
            names(text)
    assert command_line("x; csv={'delimiter': '\\t'} would read it") == "x; --delimiter tab would read it"
    assert command_line("csv={'null_values': ['n a']} declares") == "--null 'n a' declares"


# damaged files


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    rng = np.random.default_rng(0)
    table = pa.table({"x": rng.standard_normal(3000), "z": rng.integers(0, 9, 3000), "y": rng.standard_normal(3000)})
    parquet.write_table(table, folder / "t.parquet", row_group_size=500)
    feather.write_feather(table, str(folder / "t.feather"))
    feather.write_feather(table, str(folder / "packed.feather"), compression="zstd")
    csv.write_csv(table, folder / "t.csv")
    text = (folder / "t.csv").read_bytes()
    (folder / "t.csv.gz").write_bytes(gzip.compress(text))
    (folder / "t.csv.zst").write_bytes(pa.compress(text, "zstd", asbytes=True))
    np.save(folder / "t.npy", np.column_stack([table["x"], table["y"]]))
    return folder


FILES = ["t.parquet", "t.feather", "packed.feather", "t.csv.gz", "t.csv.zst", "t.npy"]


@pytest.mark.parametrize("door", ["fit_file", "fit_stream", "command line"])
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0.1, 0.6, 0.98])
def test_a_file_that_ends_too_soon_is_named(whole, tmp_path, door, name, keep):
    data = (whole / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * keep)])
    target = None if name == "t.npy" else "y"
    if door == "command line":
        if name != "t.npy":
            assert f"error: {path}" in run("fit", path, "--target", "y", code=1).stderr
        return
    with pytest.raises(ValueError, match=re.escape(str(path))):
        getattr(linreg_fast, door)(path, target=target)


@pytest.mark.filterwarnings("ignore::linreg_fast.LeftOutWarning")
@pytest.mark.parametrize("name", [*FILES, "t.csv"])
def test_changed_bytes_end_in_an_error_of_ours_or_in_a_fit(whole, tmp_path, name):
    data = (whole / name).read_bytes()
    rng = np.random.default_rng(len(name))
    path = tmp_path / name
    unnamed = []
    for trial in range(60):
        changed = bytearray(data)
        near = [len(data), 200, 200][trial % 3]
        for at in rng.integers(0, min(near, len(data)), 4):
            at = len(data) - 1 - at if trial % 3 == 2 else at
            changed[at] = rng.integers(256)
        path.write_bytes(changed)
        try:
            linreg_fast.fit_file(path, target=None if name == "t.npy" else "y")
        except (ValueError, TypeError) as error:
            unnamed += [str(error)] * (name not in str(error) and "at row" not in str(error))
    assert unnamed == []


def test_a_damaged_footer_and_a_damaged_head(whole, tmp_path):
    data = (whole / "t.parquet").read_bytes()
    footer = int.from_bytes(data[-8:-4], "little")
    path = tmp_path / "t.parquet"
    path.write_bytes(data[: -footer - 8] + data[-footer // 2 :])
    with pytest.raises(ValueError, match=re.escape(str(path))):
        linreg_fast.fit_file(path, target="y")
    path = tmp_path / "t.npy"
    array = (whole / "t.npy").read_bytes()
    for old, new in ((b"(3000, 2)", b"(3000, 2 "), (b"(3000, 2)", b"(9999, 9)"), (b"'descr'", b"'desc\n'")):
        path.write_bytes(array.replace(old, new))
        with pytest.raises(ValueError, match=re.escape(str(path))):
            linreg_fast.fit_file(path)


def test_row_after_which_packed_text_is_damaged(tmp_path):
    rows = "".join(f"{i},{i * i % 1013}.25,{2 * i}\n" for i in range(1_000_000))
    packed = bytearray(gzip.compress(("x,z,y\n" + rows).encode(), 1))
    packed[-len(packed) // 8 :] = bytes(len(packed) // 8 + 1)
    (tmp_path / "t.csv.gz").write_bytes(packed)
    with pytest.raises(ValueError, match=r"t\.csv\.gz is damaged: .*, after row [1-9]\d{5}$"):
        linreg_fast.fit_file(tmp_path / "t.csv.gz", target="y")


def test_rows_to_predict_from_npy(tmp_path):
    np.save(tmp_path / "t.npy", np.arange(12.0).reshape(4, 3))
    rows = tables.read_rows(tmp_path / "t.npy", ["2", "0"], ["1"])
    assert rows.X.tolist() == [[2, 0], [5, 3], [8, 6], [11, 9]]
    assert rows.carried["1"].tolist() == [1, 4, 7, 10]
