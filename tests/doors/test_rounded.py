"""A whole number that float64 rounds: one warning a call through every door, with the first row and the column."""

from __future__ import annotations

import decimal
import warnings

import dask.array
import dask.dataframe
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from support.tables import write
from typer.testing import CliRunner

import linreg_fast
import linreg_fast.dask
from linreg_fast import PrecisionWarning
from linreg_fast.cli import commands
from linreg_fast.streams import readers

N, FIRST = 5_000, 1_234  # rows, and the first that is rounded
VALUE = 2**55 + 8 * FIRST + 1


def columns(first=FIRST):
    """a that float64 holds, b that it rounds in two rows, y; all of them whole."""
    a = np.arange(N, dtype=np.int64) ** 2 % 1001
    b = np.arange(N, dtype=np.int64) * 8 + 2**55
    if first is not None:
        b[[first, -1]] += 1
    return {"a": a, "b": b, "y": np.arange(N, dtype=np.int64) % 7}


def pieces(table, size=999):
    return [table[at : at + size] for at in range(0, N, size)]


def arrays(table):
    return np.column_stack([table["a"], table["b"]]), table["y"].astype(float)


def in_file(name, rows=999):
    def fit(table, folder):
        return linreg_fast.fit_file(write(pa.table(table), folder / name, rows), target="y")

    return fit


def npy(table, folder, order="C"):
    np.save(folder / "t.npy", np.asarray(np.column_stack(list(table.values())), order=order))
    return linreg_fast.fit_file(folder / "t.npy")


def in_folder(table, folder):
    for i, part in enumerate(pieces(pd.DataFrame(table))):
        write(pa.table(part), folder / f"{i}.parquet")
    return linreg_fast.fit_file(folder, target="y")


def terminal(table, folder):
    path = write(pa.table(table), folder / "t.csv")
    result = CliRunner().invoke(commands.application(), ["fit", str(path), "--target", "y"])
    assert result.exit_code == 0, result.output
    for line in result.stderr.split("warning: ")[1:]:
        warnings.warn(" ".join(line.split()), PrecisionWarning, stacklevel=2)


def frame(table):
    return pd.DataFrame(table)


def batches(table, size=999):
    X, y = arrays(table)
    return [(X[at : at + size], y[at : at + size]) for at in range(0, N, size)]


# (door, what the message says of the place)
AT = f"row {FIRST}, column 1"
NAMED = f"{AT} ('b')"
ALONE = f"row {FIRST} of t."
IN_BATCH = f"row {FIRST - 999} of batch 1, which"
DOORS = {
    "arrays": (lambda t, _: linreg_fast.fit(*arrays(t)), AT),
    "F order": (lambda t, _: linreg_fast.fit(np.asfortranarray(arrays(t)[0]), arrays(t)[1]), AT),
    "lists": (lambda t, _: linreg_fast.fit(*(a.tolist() for a in arrays(t))), AT),
    "objects": (lambda t, _: linreg_fast.fit(arrays(t)[0].astype(object), arrays(t)[1]), AT),
    "y": (lambda t, _: linreg_fast.fit(t["a"], t["b"]), f"y has {VALUE}"),
    "weights": (lambda t, _: linreg_fast.fit(t["a"], t["y"], sample_weight=t["b"]), f"sample_weight has {VALUE}"),
    "pandas": (lambda t, _: linreg_fast.fit(frame(t), "y"), NAMED),
    "nullable": (lambda t, _: linreg_fast.fit(frame(t).convert_dtypes(), "y"), NAMED),
    "polars": (lambda t, _: linreg_fast.fit(pl.DataFrame(t), "y"), NAMED),
    "polars Int128": (lambda t, _: linreg_fast.fit(pl.DataFrame(t).cast(pl.Int128), "y"), NAMED),
    "lazy": (lambda t, _: linreg_fast.fit(pl.LazyFrame(t), "y"), NAMED),
    "arrow": (lambda t, _: linreg_fast.fit(pa.table(t), "y"), NAMED),
    "cost": (lambda t, _: linreg_fast.cost(*arrays(t), [0.0, 0.0], 0.0), AT),
    "gradient": (lambda t, _: linreg_fast.gradient(*arrays(t), [0.0, 0.0], 0.0), AT),
    "moments": (lambda t, _: linreg_fast.Moments(2).update(*arrays(t)), AT),
    "groups": (lambda t, _: linreg_fast.by_group(*arrays(t), t["a"] % 3), AT),
    "stream of arrays": (lambda t, _: linreg_fast.fit_stream(batches(t)), f"row {FIRST - 999}, column 1 of batch 1"),
    "stream of arrays, once": (lambda t, _: linreg_fast.fit_stream(iter(batches(t))), "column 1 of batch 1"),
    "stream of pandas": (lambda t, _: linreg_fast.fit_stream(pieces(frame(t)), target="y"), IN_BATCH),
    "stream of polars": (lambda t, _: linreg_fast.fit_stream(pieces(pl.DataFrame(t)), target="y"), IN_BATCH),
    "stream of a query": (lambda t, _: linreg_fast.fit_stream(pl.LazyFrame(t), target="y"), "'b'"),
    "stream of a reader": (lambda t, _: linreg_fast.fit_stream(pa.table(t).to_reader(999), target="y"), IN_BATCH),
    "csv": (in_file("t.csv"), ALONE),
    "csv.gz": (in_file("t.csv.gz"), ALONE),
    "parquet": (in_file("t.parquet"), ALONE),
    "feather": (in_file("t.feather"), ALONE),
    "arrow file": (in_file("t.arrow"), ALONE),
    "npy": (npy, ALONE),
    "npy, F order": (lambda t, folder: npy(t, folder, "F"), ALONE),
    "folder": (in_folder, f"row {FIRST - 999} of 1.parquet"),
    "command line": (terminal, ALONE),
    "dask frame": (lambda t, _: linreg_fast.dask.fit(dask.dataframe.from_pandas(frame(t), npartitions=3), "y"), "'b'"),
    "dask array": (
        lambda t, _: linreg_fast.dask.fit(
            *(dask.array.from_array(a, chunks=999) for a in (arrays(t)[0][:, 1:], t["y"]))
        ),
        "of chunk 1",
    ),
}


def told(door, table, folder):
    """The warnings of a door; those of dependent columns and the like are not asked for."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        door(table, folder)
    return [one for one in caught if one.category is PrecisionWarning]


@pytest.fixture(params=[None, "small parts"])
def parts(request, monkeypatch):
    """Files in one part, or in several that are read at once."""
    if request.param:
        monkeypatch.setattr(readers, "PART_BYTES", 1 << 14)


@pytest.mark.parametrize("door", DOORS)
def test_one_warning_a_call(door, parts, tmp_path):
    call, place = DOORS[door]
    (warning,) = told(call, columns(), tmp_path)
    assert warning.filename == __file__
    assert place in str(warning.message)
    assert f"{VALUE} of " in str(warning.message)


@pytest.mark.parametrize("door", DOORS)
def test_none_where_float64_holds_all(door, parts, tmp_path):
    assert told(DOORS[door][0], columns(None), tmp_path) == []


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "t.csv"])
def test_missing_values_decimals_and_several_columns(name, tmp_path):
    """The first row of all columns, in that row the first column; what lies under a missing value is nothing."""
    table = pa.table(columns())
    c = pa.array([decimal.Decimal(2**60 + 1) if i in (77, 500) else None if i == 30 else i for i in range(N)])
    table = table.append_column("c", c.cast(pa.decimal128(30, 0)))
    (warning,) = told(
        lambda t, f: linreg_fast.fit_file(write(t, f / name), target="y", missing="drop"), table, tmp_path
    )
    assert f"column 'c' has {2**60 + 1} of " in str(warning.message)
    assert "row 77 of t." in str(warning.message)


def test_fractions_beyond_2_to_53_are_no_whole_numbers(tmp_path):
    """1e300 and 2^53 with a point are rounded as every decimal is."""
    text = "a,y\n" + "".join(f"{i}e300,{i}\n{2**60 + i}.0,{i * i}\n" for i in range(50))
    (tmp_path / "t.csv").write_text(text)
    assert told(lambda t, f: linreg_fast.fit_file(f / "t.csv", target="y"), None, tmp_path) == []
