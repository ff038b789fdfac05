"""Numbers that float64 rounds: one warning a call, with column and first row, through every door."""

from __future__ import annotations

import warnings
from decimal import Decimal
from fractions import Fraction

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import linreg_fast
import linreg_fast.dask
from linreg_fast import PrecisionWarning
from linreg_fast.inputs import rounding

N = 30
LARGE = 2**53 + 1
VALUES = [0, 7, 2**53, 2**60, *range(4, N)]
ROUNDED = [*VALUES[:5], LARGE, -LARGE, *VALUES[7:]]
MISSING = [*ROUNDED[:20], None, *ROUNDED[21:]]
B = np.arange(N) ** 2 % 11 + 0.5
Y = np.arange(N) % 7.0
WEIGHTS = np.where(np.arange(N) == 20, 0.0, 1.0)

COLUMNS = {
    "pandas int64": lambda v: pd.DataFrame({"b": B, "k": v}),
    "pandas Int64": lambda v: pd.DataFrame({"b": B, "k": pd.array(v, dtype="Int64")}),
    "pandas int64[pyarrow]": lambda v: pd.DataFrame({"b": B, "k": pd.array(v, dtype="int64[pyarrow]")}),
    "pandas objects": lambda v: pd.DataFrame({"b": B, "k": pd.Series(v, dtype=object)}),
    "pandas decimals": lambda v: pd.DataFrame({"b": B, "k": [None if i is None else Decimal(i) for i in v]}),
    "polars": lambda v: pl.DataFrame({"b": B, "k": pl.Series(v, dtype=pl.Int64)}),
    "polars Int128": lambda v: pl.DataFrame({"b": B, "k": pl.Series(v, dtype=pl.Int128)}),
    "polars Decimal": lambda v: pl.DataFrame(
        {"b": B, "k": pl.Series([None if i is None else Decimal(i) for i in v], dtype=pl.Decimal(30, 0))}
    ),
    "Arrow": lambda v: pa.table({"b": B, "k": pa.array(v, pa.int64())}),
    "Arrow decimal": lambda v: pa.table({"b": B, "k": pa.array(v, pa.decimal128(30, 0))}),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("values", [ROUNDED, MISSING], ids=["whole", "with missing values"])
def test_columns_of_frames(name, values):
    if name == "pandas int64" and values is MISSING:
        pytest.skip("float64 already")
    frame = COLUMNS[name](values)
    text = rf"X has {LARGE} of .* at row 5, column 1 \('k'\), which float64 rounds"
    with pytest.warns(PrecisionWarning, match=text) as caught:
        linreg_fast.fit(frame, Y, sample_weight=WEIGHTS)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    linreg_fast.fit(COLUMNS[name](VALUES), Y)  # no warning of what float64 holds


def test_objects_and_lists():
    for make in (list, lambda v: np.array(v, dtype=object), lambda v: [Fraction(i) for i in v]):
        with pytest.warns(PrecisionWarning, match=f"X has {LARGE} of .* at row 5,") as caught:
            linreg_fast.fit(make(ROUNDED), Y)
        assert len(caught) == 1
        linreg_fast.fit(make(VALUES), Y)
    rows = [[i, b] for i, b in zip([2**70 + 1, *ROUNDED[1:]], B.tolist(), strict=True)]
    with pytest.warns(PrecisionWarning, match=f"X has {2**70 + 1} of object at row 0, column 0, which"):
        linreg_fast.fit(np.array(rows, dtype=object), Y)


def doors():
    frame = pd.DataFrame({"b": B, "k": ROUNDED, "y": ROUNDED[::-1], "w": np.abs(ROUNDED)})
    X, y, w = frame[["b", "k"]], frame["y"], frame["w"]
    groups = np.arange(N) % 3
    lazy = dd.from_pandas(frame, npartitions=2)
    arrays = [da.from_array(a.to_numpy(), chunks=15) for a in (X["k"], y, w)]
    return {
        "fit": lambda: linreg_fast.fit(X, y, sample_weight=w),
        "fit by name": lambda: linreg_fast.fit(frame, "y", sample_weight="w"),
        "fit, svd": lambda: linreg_fast.fit(X, y, sample_weight=w, solver="svd"),
        "fit, extended": lambda: linreg_fast.fit(X["k"].to_numpy(), y, sample_weight=w, precision="extended"),
        "cost": lambda: linreg_fast.cost(X, y, [0.0, 1.0], sample_weight=w),
        "gradient": lambda: linreg_fast.gradient(X, y, [0.0, 1.0], sample_weight=w),
        "Moments": lambda: linreg_fast.Moments(2).update(X, y, w),
        "by_group": lambda: linreg_fast.by_group(X, y, groups, sample_weight=w),
        "fit_polynomial": lambda: linreg_fast.fit_polynomial(X["k"], y, 1, sample_weight=w),
        "dask frame": lambda: linreg_fast.dask.fit(lazy, "y", sample_weight="w"),
        "dask arrays": lambda: linreg_fast.dask.fit(*arrays[:2], sample_weight=arrays[2], precision="extended"),
        "dask, delayed": lambda: linreg_fast.dask.fit(*arrays[:2], compute=False).compute(),
        "predict": lambda: linreg_fast.fit(B, Y).predict(pl.DataFrame({"b": ROUNDED})),
    }


@pytest.mark.parametrize("door", list(doors()))
def test_one_warning_a_call(door):
    with dask.config.set(scheduler="sync"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        doors()[door]()
    caught = [w for w in caught if w.category is not linreg_fast.ConditionWarning]
    assert [w.category for w in caught] == [PrecisionWarning]
    assert f"has {LARGE} of int64 at row 5" in str(caught[0].message)
    if "delayed" not in door:
        assert caught[0].filename == __file__
    names = {"fit_polynomial": "x has", "dask frame": "('k') of chunk 0", "predict": "('b')", "dask arrays": "chunk 0"}
    assert names.get(door, "") in str(caught[0].message)


def test_the_row_is_that_of_what_was_handed_in():
    """Where y is aligned by its labels, the row of X that the number stands beside."""
    X = pd.DataFrame({"b": B}, index=np.arange(N))
    y = pd.Series(ROUNDED, index=X.index)
    with pytest.warns(PrecisionWarning, match=rf"y has -?{LARGE} of int64 at row [56]"):
        linreg_fast.fit(X, y.iloc[::-1])


@pytest.mark.parametrize("n", [3, rounding.FEW + 3])
def test_the_last_whole_numbers_that_float64_holds(n):
    """Found alike where a sum of squares says that there are none, and where the largest and the least do."""
    for dtype, values in (
        (np.int64, [2**53, -(2**53), 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), -(2**63) + 1]),
        (np.uint64, [2**53, 2**53 + 1, 2**64 - 1, 2**63]),
    ):
        for value in values:
            for a in (np.ones(n, dtype), np.ones((n, 2), dtype)[::-1], np.ones((n, 2), dtype, order="F")):
                a[1] = value
                found = rounding.find_rounded(a)
                assert (found is None) == (int(float(value)) == value), value
                assert found is None or (found.value, found.row) == (value, 1)
