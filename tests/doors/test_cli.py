"""The command line, as a user types it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from pyarrow import csv
from rich.console import Console
from support.tables import shared, write
from typer.testing import CliRunner

import linreg_fast
from linreg_fast.bench import cases as bench_cases
from linreg_fast.bench import report, timing
from linreg_fast.cli import commands, demo, tables
from linreg_fast.passes.progress import reporting

TREES = demo.TREES
# Volume on girth and height as R's lm prints it.
TREES_R = {"intercept": -57.9877, "Girth": 4.7082, "Height": 0.3393}


def run(*args, code=0):
    """Run the command line in this process and check its exit code."""
    result = CliRunner().invoke(commands.application(), [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


def run_json(*args):
    """What a command prints as one JSON object; NaN and Infinity are not JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(run(*args, "--json").stdout, parse_constant=refuse)


def error(*args):
    """What a command that fails says: one line, nothing on stdout."""
    result = run(*args, code=1)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.fixture
def table(tmp_path):
    """Thirty rows y = 1 + 2 a - b + 3 flag, and columns of other kinds."""
    rng = np.random.default_rng(1)
    a, b, flag = rng.standard_normal(30), rng.standard_normal(30), rng.random(30) < 0.5
    return pa.table(
        {
            "a": a,
            "name": ["some"] * 30,
            "b": b,
            "flag": flag,
            "y": 1.0 + 2.0 * a - b + 3.0 * flag,
            "w": rng.random(30),
        }
    )


def with_value(table, name, row, value):
    """The table with one value of one column changed."""
    values = table[name].to_pylist()
    values[row] = value
    return table.set_column(table.schema.get_field_index(name), name, [pa.array(values, table[name].type)])


def test_fit_says_what_r_says():
    fit = run_json("fit", TREES, "--target", "Volume")
    values = dict(zip(["intercept", *fit["feature_names"]], [fit["intercept"], *fit["coef"]], strict=True))
    assert values == pytest.approx(TREES_R, abs=5e-5)
    assert fit["r2"] == pytest.approx(0.948, abs=5e-4)
    assert fit["residual_std"] == pytest.approx(3.882, abs=5e-4)
    assert fit["target"] == "Volume"
    assert (fit["left_out"], fit["dropped_rows"], fit["n_samples"]) == ({}, 0, 31)
    assert set(fit["plan"]) == {"solver", "reason", "seconds"}
    assert fit["seconds"] > 0


def test_fit_prints_coefficients_and_how_they_came_about():
    out = run("fit", TREES, "--target", "Volume").stdout
    for text in ("-57.98765892", "4.70816", "0.33925", "R2", "0.94795", "3.88183", "31", "cholesky", "2 of 2"):
        assert text in out
    assert "left out" not in out


@pytest.mark.parametrize("name", ["t.csv", "t.CSV", "t.csv.gz", "t.tsv", "t.parquet", "t.arrow", "t.feather", "t.ipc"])
def test_every_form_of_table(table, tmp_path, name):
    path = write(table, tmp_path / name.lower()).rename(tmp_path / name)
    fit = run_json("fit", path, "--target", "y", "--weight", "w")
    assert fit["feature_names"] == ["a", "b", "flag"]
    assert fit["left_out"] == {"name": "text"}
    X = np.column_stack([table[c].to_numpy(zero_copy_only=False).astype(float) for c in ("a", "b", "flag")])
    expected = linreg_fast.fit(np.asfortranarray(X), table["y"].to_numpy(), sample_weight=table["w"].to_numpy())
    assert fit["coef"] == pytest.approx(expected.coef.tolist(), rel=1e-13)
    assert fit["intercept"] == pytest.approx(expected.intercept, rel=1e-13)


def test_arrow_stream_and_compressed_feather(table, tmp_path):
    stream = run_json("fit", write(table, tmp_path / "stream.arrow"), "--target", "y")
    packed = tmp_path / "packed.feather"
    with pa.ipc.new_file(str(packed), table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    assert stream["coef"] == run_json("fit", packed, "--target", "y")["coef"]


def test_options_reach_the_fit(table, tmp_path):
    path = write(table, tmp_path / "t.parquet")
    fit = run_json(
        *("fit", path, "--target", "y", "--features", "b,a", "--solver", "svd", "--l2", "0.5"),
        *("--no-intercept", "--threads", "1"),
    )
    X = np.column_stack([table["b"].to_numpy(), table["a"].to_numpy()])
    expected = linreg_fast.fit(X, table["y"].to_numpy(), solver="svd", l2=0.5, fit_intercept=False)
    assert fit["feature_names"] == ["b", "a"]
    assert fit["coef"] == pytest.approx(expected.coef.tolist(), rel=1e-13)
    assert (fit["solver"], fit["l2"], fit["fit_intercept"], fit["intercept"]) == ("svd", 0.5, False, 0.0)


def test_left_out_columns_are_named(table, tmp_path):
    out = run("fit", write(table, tmp_path / "t.csv"), "--target", "y").stdout
    assert "left out" in out
    assert "name (text)" in out


def test_single_precision(table, tmp_path):
    single = table.select(["a", "b"]).cast(pa.schema([("a", pa.float32()), ("b", pa.float32())]))
    path = write(single.append_column("y", table["y"]), tmp_path / "t.parquet")
    fit = run_json("fit", path, "--target", "y")
    expected = linreg_fast.fit(np.column_stack([single["a"].to_numpy(), single["b"].to_numpy()]), table["y"].to_numpy())
    assert fit["coef"] == pytest.approx(expected.coef.tolist(), rel=1e-13)


def test_other_kinds_of_numbers(tmp_path):
    rows = range(6)
    table = pa.table(
        {
            "y": pa.array([1, 3, 5, 7, 9, 12], pa.uint8()),
            "decimal": pa.array([float(i) for i in rows]).cast(pa.decimal128(10, 2)),
            "nothing": pa.nulls(6),
            "day": pa.array(rows, pa.date32()),
        }
    )
    fit = run_json("fit", write(table, tmp_path / "t.parquet"), "--target", "y")
    assert fit["feature_names"] == ["decimal"]
    assert fit["left_out"] == {"nothing": "no value in any row", "day": "dates or times"}


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
@pytest.mark.parametrize("column", ["a", "y", "w", "flag"])
def test_missing_value_is_named_or_its_row_dropped(table, tmp_path, kind, column):
    path = write(with_value(table, column, 7, None), tmp_path / f"t{kind}")
    message = error("fit", path, "--target", "y", "--weight", "w")
    assert f"{column!r} has a missing value at row 7" in message
    assert "--drop-missing" in message
    fit = run_json("fit", path, "--target", "y", "--weight", "w", "--drop-missing")
    assert (fit["dropped_rows"], fit["n_samples"]) == (1, 29)
    assert (
        "1 with missing values dropped" in run("fit", path, "--target", "y", "--weight", "w", "--drop-missing").stdout
    )
    whole = write(pa.concat_tables([table.slice(0, 7), table.slice(8)]).combine_chunks(), tmp_path / f"whole{kind}")
    expected = run_json("fit", whole, "--target", "y", "--weight", "w")["coef"]
    assert fit["coef"] == pytest.approx(expected, rel=1e-13)  # other rows are neighbours in a vector


def test_nan_is_missing_and_the_first_row_is_named(table, tmp_path):
    path = write(with_value(with_value(table, "b", 4, float("nan")), "a", 9, None), tmp_path / "t.parquet")
    assert "'b' has a missing value at row 4" in error("fit", path, "--target", "y")
    assert run_json("fit", path, "--target", "y", "--drop-missing")["dropped_rows"] == 2
    assert run_json("fit", path, "--target", "y", "--features", "flag")["dropped_rows"] == 0


@pytest.mark.parametrize("column", ["b", "y"])
def test_infinity_is_named_by_its_row_in_the_file(table, tmp_path, column):
    path = write(with_value(with_value(table, "a", 2, None), column, 20, -np.inf), tmp_path / "t.csv")
    told = f"error: column {column!r} has -inf at row 20 of t.csv; drop or fill such rows first"
    assert error("fit", path, "--target", "y", "--drop-missing") == told


def test_negative_weight_is_named_by_its_row_in_the_file(table, tmp_path):
    path = write(with_value(with_value(table, "a", 2, None), "w", 20, -0.5), tmp_path / "t.csv")
    assert "'w' has -0.5 at row 20" in error("fit", path, "--target", "y", "--weight", "w", "--drop-missing")


@pytest.mark.parametrize(
    "args", [("--target", "z"), ("--target", "y", "--features", "a,z"), ("--target", "y", "--weight", "z")]
)
def test_unknown_column_is_answered_with_the_known_ones(table, tmp_path, args):
    message = error("fit", write(table, tmp_path / "t.parquet"), *args)
    assert "no column 'z'" in message
    assert "a, name, b, flag, y, w" in message


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--target", "name"), "'name' is not of numbers: its type is string"),
        (("--target", "y", "--weight", "name"), "'name' is not of numbers"),
        (("--target", "y", "--features", "a,name"), "'name' is not of numbers"),
        (("--target", "y", "--features", "a,y"), "'y' is asked for twice"),
        (("--target", "y", "--features", "a,a"), "'a' is asked for twice"),
        (("--target", "y", "--solver", "newton"), "solver must be one of"),
        (("--target", "y", "--l2", "-1"), "l2"),
        (("--target", "y", "--threads", "0"), "n_threads"),
        (("--target", "y", "--save", "no/such/folder"), "no/such/folder"),
    ],
)
def test_wrong_options_are_told(table, tmp_path, args, text):
    assert text in error("fit", write(table, tmp_path / "t.csv"), *args)


def test_wrong_files_are_told(tmp_path):
    (tmp_path / "empty.csv").touch()
    (tmp_path / "head.csv").write_text("x,y\n")
    (tmp_path / "ragged.csv").write_text("x,y\n1,2\n3\n")
    (tmp_path / "twice.csv").write_text("x,x,y\n1,2,3\n")
    (tmp_path / "text.csv").write_text("x,y\na,1\n")
    (tmp_path / "gone.csv").write_text("x,y\n,1\n2,\n")
    (tmp_path / "no.parquet").write_text("x")
    (tmp_path / "no.arrow").write_text("x")
    (tmp_path / "table.xlsx").touch()
    for name, text in {
        "none.csv": "there is no file",
        "table.xlsx": "must end in one of .csv, .tsv",
        "empty.csv": "empty.csv is empty",
        "ragged.csv": "ragged.csv has 1 field for 2 columns in row 1: '3'",
        "twice.csv": "2 columns named 'x'",
        "text.csv": "no column of numbers beside y",
        "no.parquet": "Parquet",
        "no.arrow": "",
        "head.csv": "y",
    }.items():
        assert text in error("fit", tmp_path / name, "--target", "y")
    assert "every row" in error("fit", tmp_path / "gone.csv", "--target", "y", "--drop-missing")


def test_types_are_those_of_the_whole_csv_file(tmp_path):
    """The first megabyte shows integers and an empty column; the last row shows more."""
    rows = 200_000
    with open(tmp_path / "t.csv", "w") as file:
        file.write("x,y,code,empty\n")
        file.writelines(f"{i},{2 * i},{i},\n" for i in range(rows))
        file.write("0.5,1.0,A7,4\n")
    message = error("fit", tmp_path / "t.csv", "--target", "y", "--drop-missing")
    assert f"column 'code' has 'A7' at row {rows}, which is not a number; --null A7 declares it" in message
    fit = run_json("fit", tmp_path / "t.csv", "--target", "y", "--drop-missing", "--exclude", "code")
    assert fit["feature_names"] == ["x", "empty"]
    assert fit["left_out"] == {"code": "excluded"}
    assert (fit["dropped_rows"], fit["n_samples"], fit["intercept"]) == (rows, 1, 1.0)


def test_rows_longer_than_a_megabyte(tmp_path):
    columns = 300
    row = ",".join(f"{j}.5{'0' * 4000}" for j in range(columns))
    (tmp_path / "t.csv").write_text("\n".join([",".join(f"c{j}" for j in range(columns)), row, row]))
    X = tables.read_rows(tmp_path / "t.csv", ["c7", f"c{columns - 1}"]).X
    assert X.tolist() == [[7.5, columns - 0.5]] * 2


def test_warning_of_the_library_is_one_line(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,y\n1,2,1\n2,4,2\n3,6,4\n5,10,6\n")
    result = run("fit", tmp_path / "t.csv", "--target", "y")
    assert result.stderr.startswith("warning: rank 1 of 2")
    assert result.stderr.count("\n") == 1


def test_json_has_null_for_what_is_not_a_number(tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n1,2\n2,4\n")
    fit = run_json("fit", tmp_path / "t.csv", "--target", "y")
    assert fit["residual_std"] is None


def test_gradient_descent(tmp_path):
    fit = run_json("fit", TREES, "--target", "Volume", "--solver", "gd")
    assert fit["coef"] == pytest.approx([4.7081605, 0.33925123], rel=1e-6)
    assert fit["converged"]
    out = run("fit", TREES, "--target", "Volume", "--solver", "gd").stdout
    assert f"{fit['n_iter']}, converged" in out


def test_names_are_printed_as_they_are(tmp_path):
    (tmp_path / "t.csv").write_text("[red]a[/red],:smile:,y\n1,2,3\n2,2,4\n3,1,7\n")
    out = run("fit", tmp_path / "t.csv", "--target", "y").stdout
    assert "[red]a[/red]" in out
    assert ":smile:" in out


def test_predict_with_what_fit_saved(table, tmp_path):
    path, model = write(table, tmp_path / "t.parquet"), tmp_path / "model.json"
    run("fit", path, "--target", "y", "--features", "flag,a", "--save", model)
    saved = linreg_fast.LinearFit.load(model)
    X = np.column_stack([table["flag"].to_numpy(zero_copy_only=False), table["a"].to_numpy()])
    expected = saved.predict(np.asfortranarray(X.astype(float))).tolist()
    printed = run("predict", path, "--model", model).stdout
    assert printed.splitlines()[0] == "prediction"
    assert [float(line) for line in printed.splitlines()[1:]] == expected
    for name, read in (("out.csv", csv.read_csv), ("out.parquet", pyarrow.parquet.read_table)):
        assert run("predict", path, "--model", model, "--output", tmp_path / name).output == ""
        assert read(tmp_path / name).to_pydict() == {"prediction": expected}
    assert "written to .csv or .parquet" in error("predict", path, "--model", model, "--output", tmp_path / "out.txt")


def test_predict_keeps_rows_with_missing_values(table, tmp_path):
    model = tmp_path / "model.json"
    run("fit", write(table, tmp_path / "t.csv"), "--target", "y", "--save", model)
    result = run("predict", write(with_value(table, "a", 3, None), tmp_path / "holes.csv"), "--model", model)
    assert result.stdout.splitlines()[4] == "nan"
    assert len(result.stdout.splitlines()) == 31
    assert result.stderr == "warning: 1 of 30 rows have missing values: nan is predicted for them\n"


def test_predict_errors(table, tmp_path):
    path, model = write(table, tmp_path / "t.csv"), tmp_path / "model.json"
    assert "model.json" in error("predict", path, "--model", model)
    linreg_fast.fit(np.arange(4.0), np.arange(4.0)).save(model)
    assert "no column names" in error("predict", path, "--model", model)
    linreg_fast.fit(np.arange(4.0), np.arange(4.0), feature_names=["name"]).save(model)
    assert "column 'name'" in error("predict", path, "--model", model)
    linreg_fast.fit(np.arange(4.0), np.arange(4.0), feature_names=["z"]).save(model)
    assert "no column 'z'" in error("predict", path, "--model", model)
    model.write_text("{}")
    assert "not a saved" in error("predict", path, "--model", model)


def test_predict_with_several_targets(table, tmp_path):
    model = tmp_path / "model.json"
    linreg_fast.fit(np.arange(4.0), np.eye(4)[:, :2], feature_names=["a"]).save(model)
    out = run("predict", write(table, tmp_path / "t.csv"), "--model", model).stdout
    assert out.startswith("prediction_0,prediction_1\n")


def test_plan():
    chosen = run_json("plan", 1_000_000, 20, "--targets", 2, "--order", "F", "--threads", 1)
    expected = linreg_fast.plan((1_000_000, 20, 2), order="F", n_threads=1)
    assert (chosen["solver"], chosen["reason"], chosen["seconds"]) == (
        expected.solver,
        expected.reason,
        expected.seconds,
    )
    assert len(chosen["candidates"]) == len(expected.candidates)
    out = run("plan", 1_000_000, 20, "--dtype", "int32").stdout
    assert "chosen" in out
    assert "int32" in out
    assert expected.reason in out
    assert "not possible" in run("plan", 10, 20).stdout
    assert "order must be" in error("plan", 10, 2, "--order", "K")
    assert "no such" in error("plan", 10, 2, "--dtype", "no such")
    assert "rows > 0" in error("plan", 0, 2)


def test_info():
    assert run_json("info") == linreg_fast.show_config()
    out = run("info").stdout
    assert linreg_fast.__version__ in out
    assert linreg_fast.show_config()["level"] in out


def test_bench(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_cases, "QUICK", timing.Effort(1e-4, 1e-4, 1, 1 << 20, 50, 1_000, 20, False))
    file = tmp_path / "bench.json"
    out = run("bench", "--quick", "--no-peers", "--threads", 1, "--json", file).stdout
    kept = json.loads(file.read_text())
    heads = report.columns(kept["rows"])
    assert heads == ["what", "rows x columns", "linreg_fast", "limit", "NumPy", "SciPy", "beside"]
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for row in kept["rows"]:
        assert " ".join(report.cells(row, heads)).strip() in lines
        assert min(row["seconds"].values()) > 0
    said = {row["what"] for row in kept["rows"]}
    assert {"fit", "fit, weights", "gradient", "predict", "1,000 descent steps", "fit, growth with rows"} <= said
    assert kept["about"]["config"]["threads"] == 1
    assert linreg_fast.show_config()["level"] in out
    assert "no/such" in error("bench", "--quick", "--json", tmp_path / "no/such/file")
    assert "n_threads" in error("bench", "--threads", 0)


def test_demo(tmp_path):
    picture = tmp_path / "picture.png"
    out = run("demo", "--rows", 2000, "--picture", picture).stdout
    for text in (
        "-57.987658918",
        "4.708160503",
        "0.339251234",
        "times as long",
        "largest difference",
        str(picture),
        "█",
    ):
        assert text in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    largest = float(out.rpartition("largest difference:")[2])
    assert largest < 1e-12


def test_demo_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    picture = tmp_path / "picture.png"
    assert "linreg_fast[plot]" in run("demo", "--rows", 2000, "--picture", picture).stdout
    assert not picture.exists()


def test_demo_fits_a_terminal_of_80_columns(tmp_path):
    console = Console(file=io.StringIO(), width=80)
    demo.trees(console, tmp_path / "picture.png")
    demo.against_numpy(console, 2000)
    columns = [line for line in console.file.getvalue().splitlines() if line.startswith("  ")]
    assert max(map(len, columns)) <= 80
    assert sum(line.startswith("  intercept") and len(line.split()) == 4 for line in columns) == 2


@pytest.mark.parametrize("steps", [1, 2, 59, 60, 1000])
def test_curve_has_the_asked_size_and_falls(steps):
    lines = demo.curve(np.geomspace(1e3, 1e-9, steps), 60, 8)
    assert len(lines) == 8
    blocks = [line.partition("|")[2] for line in lines]
    assert max(map(len, blocks)) == min(steps, 60)
    assert [len(b) for b in blocks] == sorted(len(b) for b in blocks)
    if steps > 1:
        assert "1.0e+03" in lines[0]
        assert "1.0e-09" in lines[-1]


def test_bar_comes_late_and_only_on_a_terminal():
    def drawn(progress, after):
        console = Console(file=io.StringIO(), force_terminal=True, force_interactive=True)
        with reporting(progress, console, after) as report:
            if report is not None:
                report(1, 4)
                report(4, 4)
        return console.file.getvalue()

    assert "rows" in drawn(True, 1e-9)
    assert drawn(True, 60.0) == ""
    assert drawn(False, 0.0) == ""


def test_missing_extra_is_named(monkeypatch, capsys):
    monkeypatch.setattr(commands, "find_spec", lambda name: None if name == "rich" else "there")
    with pytest.raises(SystemExit) as raised:
        commands.main()
    assert raised.value.code == 1
    assert capsys.readouterr().err == 'linreg-fast needs rich: pip install "linreg_fast[cli]"\n'


def test_as_a_process(tmp_path):
    def process(*args):
        command = [sys.executable, "-W", "error", "-m", "linreg_fast.cli", *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, cwd=Path(commands.__file__).parents[1])

    good = process("fit", TREES, "--target", "Volume", "--json")
    assert (good.returncode, good.stderr) == (0, "")
    assert json.loads(good.stdout)["feature_names"] == ["Girth", "Height"]
    bad = process("fit", tmp_path / "none.csv", "--target", "y")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr == f"error: there is no file {tmp_path / 'none.csv'}\n"


def reference(path, target, leave_out=()):
    """Names, rows without missing values, and least squares on centred columns of equal length."""
    table = csv.read_csv(path)
    numbers = [f.name for f in table.schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)]
    names = [name for name in numbers if name not in (target, *leave_out)]
    Z = np.column_stack([table[name].to_numpy() for name in [*names, target]]).astype(float)
    Z = Z[~np.isnan(Z).any(axis=1)]
    mean = Z.mean(axis=0)
    C = Z - mean
    scale = np.linalg.norm(C[:, :-1], axis=0)
    scale[scale == 0] = np.inf
    coef = np.linalg.lstsq(C[:, :-1] / scale, C[:, -1], rcond=1e-10)[0] / scale
    return names, Z, coef, mean[-1] - mean[:-1] @ coef


@pytest.mark.parametrize(
    ("name", "target", "left_out"),
    [
        ("diamonds.csv", "price", ["cut", "color", "clarity"]),
        ("nlswork.csv", "ln_wage", []),
    ],
)
def test_real_tables(name, target, left_out):
    path = shared(name)
    fit = run_json("fit", path, "--target", target, "--drop-missing")
    names, Z, coef, intercept = reference(path, target)
    assert list(fit["left_out"]) == left_out
    assert fit["feature_names"] == names
    assert fit["n_samples"] == len(Z)
    assert fit["coef"] == pytest.approx(coef.tolist(), rel=1e-9)
    assert fit["intercept"] == pytest.approx(intercept, rel=1e-9)


def test_flights_of_which_year_is_constant(tmp_path):
    """dep_time is 100 hour + minute: together the three leave no unique answer, two of them do."""
    path = shared("nycflights.csv")
    names, _, coef, intercept = reference(path, "arr_delay", ["dep_time"])
    fit = run_json("fit", path, "--target", "arr_delay", "--drop-missing", "--features", ",".join(names))
    assert fit["coef"][names.index("year")] == 0.0
    assert fit["coef"] == pytest.approx(coef.tolist(), rel=1e-9)
    assert fit["intercept"] == pytest.approx(intercept, rel=1e-9)


def test_flights_with_dependent_columns(tmp_path):
    """What is unique is compared: the other coefficients, and the predictions."""
    path, model = shared("nycflights.csv"), tmp_path / "model.json"
    result = run("fit", path, "--target", "arr_delay", "--drop-missing", "--save", model)
    assert result.stderr.startswith("warning: rank")
    names, Z, coef, intercept = reference(path, "arr_delay")
    fit = linreg_fast.LinearFit.load(model)
    assert fit.feature_names == tuple(names)
    unique = [j for j, name in enumerate(names) if name not in ("dep_time", "hour", "minute")]
    assert fit.coef[unique] == pytest.approx(coef[unique], rel=1e-9)
    predicted = csv.read_csv(io.BytesIO(run("predict", path, "--model", model).stdout_bytes))["prediction"].to_numpy()
    assert np.abs(predicted - (intercept + Z[:, :-1] @ coef)).max() <= 1e-9 * np.abs(predicted).max()


def test_real_missing_values_are_named(tmp_path):
    message = error("fit", shared("nlswork.csv"), "--target", "ln_wage")
    assert "'union' has a missing value at row 0" in message
    lines = shared("nycflights.csv").read_text().splitlines()
    cells = lines[1235].split(",")
    cells[lines[0].split(",").index("dep_delay")] = "NA"
    lines[1235] = ",".join(cells)
    (tmp_path / "flights.csv").write_text("\n".join(lines))
    assert "'dep_delay' has a missing value at row 1234" in error(
        "fit", tmp_path / "flights.csv", "--target", "arr_delay"
    )


def test_folder_and_checkpoint(table, tmp_path):
    (tmp_path / "parts").mkdir()
    for i in range(3):
        write(table.slice(10 * i, 10), tmp_path / "parts" / f"{i}.parquet")
    fit = run_json("fit", tmp_path / "parts", "--target", "y", "--checkpoint", tmp_path / "state")
    whole = run_json("fit", write(table, tmp_path / "t.parquet"), "--target", "y")
    assert fit["coef"] == whole["coef"]
    assert fit["n_samples"] == 30
    assert "at row 7 of 1.parquet" in error(
        "fit", write(with_value(table, "a", 7, None), tmp_path / "parts" / "1.parquet").parent, "--target", "y"
    )


def test_errors_by_clusters_and_other_robust_ones(tmp_path):
    rng = np.random.default_rng(0)
    table = {"x": rng.normal(size=60), "key": np.arange(60) % 7, "y": rng.normal(size=60)}
    file = tmp_path / "t.csv"
    file.write_text(
        "x,key,y\n"
        + "".join(
            f"{x!r},{k},{y!r}\n" for x, k, y in zip(*map(list, map(np.ndarray.tolist, table.values())), strict=True)
        )
    )
    X, y = table["x"][:, None], table["y"]
    for options, fit in (
        (("--cluster", "key"), linreg_fast.fit(X, y, cov="cluster", groups=table["key"])),
        (("--features", "x", "--cov", "HC3"), linreg_fast.fit(X, y, cov="HC3")),
    ):
        run("fit", file, "--target", "y", "--save", tmp_path / "fit.json", *options)
        saved = linreg_fast.LinearFit.load(tmp_path / "fit.json")
        np.testing.assert_allclose(saved.stderr, fit.stderr, rtol=1e-10)
        assert saved.cov_type == fit.cov_type
    assert "--cluster is for --target" in error("fit", file, "--target", "y", "--cluster", "key", "--cov", "HC3")
