"""The command line: pictures of fits of files, from as many readings as they take."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from pyarrow import csv
from typer.testing import CliRunner

from linreg_fast.cli import commands

pytest.importorskip("matplotlib")
from linreg_fast.plots import residuals


def run(*args, code=0):
    result = CliRunner().invoke(commands.application(), [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def drawn(monkeypatch):
    """The figures that `residuals` draws."""
    figures, real = [], residuals._draw

    def noted(*args):
        figures.append(real(*args))
        return figures[-1]

    monkeypatch.setattr(residuals, "_draw", noted)
    return figures


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
@pytest.mark.parametrize("many", [False, True])
def test_diagnostics_of_a_file(tmp_path, monkeypatch, drawn, name, many):
    n = 30_000 if many else 300
    x = np.random.default_rng(0).integers(0, 100, n).astype(float)
    y = 3 * x + np.arange(n) % 7
    holes = x.copy()
    holes[11] = np.nan
    table = pa.table({"x": pa.array(holes, from_pandas=True), "t": ["text"] * n, "y": y})
    if name.endswith("csv"):
        csv.write_csv(table, tmp_path / name)
    else:
        pa.parquet.write_table(table, tmp_path / name, row_group_size=5000)
    said = run(
        "fit", tmp_path / name, "--target", "y", "--exclude", "t", "--drop-missing", "--plot", tmp_path / "p.png"
    )
    assert "1 with missing values dropped" in said.output
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    (figure,) = drawn
    assert figure.get_suptitle().startswith(f"y by x: {n - 1:,} rows")
    shown = figure.axes[0].collections[0]
    counts = np.ma.filled(shown.get_array(), 0).sum() if many else len(shown.get_offsets())
    assert counts == n - 1


def test_pictures_of_groups_and_windows(tmp_path):
    rng = np.random.default_rng(0)
    table = pa.table({"k": ["a", "b"] * 40, "x": rng.normal(size=80), "y": rng.normal(size=80)})
    csv.write_csv(table, tmp_path / "t.csv")
    for options in (["--by", "k"], ["--rolling", "20", "--stats", "stderr"]):
        out = tmp_path / f"{options[0][2:]}.svg"
        run("fit", tmp_path / "t.csv", "--target", "y", "--features", "x", *options, "--plot", out)
        assert "<svg" in out.read_text()


@pytest.mark.parametrize(
    ("plot", "text"), [("p.gif", "a picture is one of .png"), ("no/such/p.png", "there is no folder")]
)
def test_a_picture_that_cannot_be_written_is_told_before_any_work(tmp_path, plot, text):
    said = run("fit", tmp_path / "missing.csv", "--target", "y", "--plot", tmp_path / plot, code=1)
    assert text in said.output


def test_several_targets_have_no_picture(tmp_path):
    csv.write_csv(pa.table({"x": [1.0, 2, 4], "y": [1.0, 3, 2], "z": [1.0, 0, 2]}), tmp_path / "t.csv")
    said = run("fit", tmp_path / "t.csv", "--target", "y,z", "--plot", tmp_path / "p.png", code=1)
    assert "--plot is for one target" in said.output
    assert not (tmp_path / "p.png").exists()
