"""The command line: fits of groups and of windows as tables."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from pyarrow import csv
from typer.testing import CliRunner

import linreg_fast
from linreg_fast.cli import commands


def run(*args, code=0):
    """Run the command line in this process and check its exit code."""
    result = CliRunner().invoke(commands.application(), [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    when = np.datetime64("2024-01-01", "s") + np.cumsum(rng.integers(1, 9000, 80)).astype("timedelta64[s]")
    return pa.table(
        {
            "when": when,
            "shop": ["a, b", "c"] * 40,
            "size": rng.integers(0, 2, 80),
            "x": rng.normal(size=80),
            "z": rng.normal(size=80),
            "y": rng.normal(size=80),
            "w": rng.uniform(1, 2, 80),
        }
    )


def written(table, folder, form):
    path = folder / f"table.{form}"
    if form == "csv":
        csv.write_csv(table, path)
    else:
        pyarrow.parquet.write_table(table, path)
    return path


def column(table, name):
    return np.asarray(table[name].to_numpy())


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_windows_of_time(table, tmp_path, form):
    path, out = written(table, tmp_path, form), tmp_path / f"fits.{form}"
    options = ["--rolling", "12h", "--on", "when", "--by", "shop", "--stats", "stderr,r2", "--weight", "w"]
    run("fit", path, "--target", "y", "--features", "x,z", *options, "--output", out)
    found = csv.read_csv(out) if form == "csv" else pyarrow.parquet.read_table(out)
    X, y = np.column_stack([column(table, "x"), column(table, "z")]), column(table, "y")
    groups, on, w = table["shop"].to_pylist(), column(table, "when"), column(table, "w")
    fits = linreg_fast.rolling(X, y, "12h", on=on, groups=groups, sample_weight=w, stats=["stderr", "r2"])
    np.testing.assert_allclose(column(found, "z").astype(float), fits.coef[:, 1], rtol=1e-9)
    np.testing.assert_allclose(column(found, "stderr_x").astype(float), fits.stderr[:, 0], rtol=1e-9)
    assert found["shop"].to_pylist() == groups


def test_windows_of_rows_are_printed(table, tmp_path):
    text = run("fit", written(table, tmp_path, "csv"), "--target", "y", "--features", "x", "--rolling", "20").stdout
    found = csv.read_csv(io.BytesIO(text.encode()))
    fits = linreg_fast.rolling(column(table, "x"), column(table, "y"), 20)
    np.testing.assert_allclose(column(found, "x").astype(float), fits.coef[:, 0], rtol=1e-9)


@pytest.mark.parametrize("keys", ["shop", "shop,size"])
def test_groups(table, tmp_path, keys):
    text = run("fit", written(table, tmp_path, "csv"), "--target", "y", "--features", "x", "--by", keys).stdout
    found = csv.read_csv(io.BytesIO(text.encode()))
    names = keys.split(",")
    assert found.column_names[: len(names)] == names
    for row in found.to_pylist():
        part = np.logical_and.reduce([column(table, name) == row[name] for name in names])
        one = linreg_fast.fit(column(table, "x")[part], column(table, "y")[part])
        np.testing.assert_allclose([row["x"], row["intercept"]], [one.slope, one.intercept], rtol=1e-9)
        assert row["n_samples"] == part.sum()


WRONG = [
    (["--target", "y,x", "--by", "shop"], "--by and --rolling fit one target"),
    (["--target", "y", "--by", "shop", "--on", "when"], "--on is for --rolling"),
    (["--target", "y", "--on", "when"], "--on, --stats and --output are for --by and --rolling"),
    (["--target", "y", "--by", "shop", "--json"], "--json is not for --by and --rolling"),
    (["--target", "y", "--by", "nowhere"], "has no column 'nowhere'"),
    (["--target", "y", "--rolling", "5", "--by", "shop,size"], "--rolling goes by one column of keys"),
    (["--target", "y", "--rolling", "12h"], "a length of time needs on"),
    (["--target", "y", "--rolling", "5", "--output", "fits.txt"], "written to .csv or .parquet"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "text"), WRONG)
def test_wrong_options_are_told(table, tmp_path, args, text):
    result = run("fit", written(table, tmp_path, "csv"), *args, code=1)
    assert result.stdout == ""
    assert text in result.stderr.splitlines()[-1]
