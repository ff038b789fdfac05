"""Every kind of column through every door: used, left out for a reason that is told once, or an error that names it."""

from __future__ import annotations

import decimal
import warnings

import dask.dataframe
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

import linreg_fast
import linreg_fast.dask
from linreg_fast import LeftOutWarning

N = 40
COUNT = np.arange(N)
DAYS = pd.date_range("2026-01-01", periods=N)
USED = ""

# kind: (a column of it, what becomes of it)
KINDS = {
    "float64": (COUNT % 5 * 0.5, USED),
    "float32": ((COUNT % 5 * 0.5).astype(np.float32), USED),
    "int8": ((COUNT % 5).astype(np.int8), USED),
    "uint64": ((COUNT % 5).astype(np.uint64), USED),
    "bool": (COUNT % 3 > 0, USED),
    "nullable integers": (pd.array(COUNT % 5, dtype="Int64"), USED),
    "nullable bool": (pd.array(COUNT % 3 > 0, dtype="boolean"), USED),
    "objects that are integers": (np.array([int(i % 5) for i in COUNT], object), USED),
    "decimals": (np.array([decimal.Decimal(int(i % 5)) for i in COUNT], object), USED),
    "text": (np.array([f"t{i % 3}" for i in COUNT], object), "text"),
    "strings of pandas": (pd.array([f"t{i % 3}" for i in COUNT], dtype="string"), "text"),
    "categories of text": (pd.Categorical([f"t{i % 3}" for i in COUNT]), "a categorical"),
    "categories of numbers": (pd.Categorical(COUNT % 3), "a categorical"),
    "times": (DAYS, "dates or times"),
    "durations": (pd.to_timedelta(COUNT, unit="h"), "dates or times"),
    "dates": (np.array([day.date() for day in DAYS], object), "dates or times"),
    "lists": (pd.Series([[1, 2]] * N), "nested"),
    "bytes": (np.array([b"ab"] * N, object), "binary"),
    "complex": (COUNT * 1j, "complex"),
    "nothing": (np.array([None] * N, object), "no value in any row"),
    "numbers and text": (np.array([1, "x"] * (N // 2), object), TypeError),
}


def arrow(frame):
    return pa.Table.from_pandas(frame, preserve_index=False)


def in_file(write, name):
    def fit(frame, folder):
        write(frame, folder / name)
        return linreg_fast.fit_file(folder / name, target="y")

    return fit


def duck(frame, _):
    rows = arrow(frame)
    return linreg_fast.fit(duckdb.from_arrow(rows), "y")


DOORS = {
    "pandas": lambda f, _: linreg_fast.fit(f, "y"),
    "arrow": lambda f, _: linreg_fast.fit(arrow(f), "y"),
    "polars": lambda f, _: linreg_fast.fit(pl.from_arrow(arrow(f)), "y"),
    "duckdb": duck,
    "stream of pandas": lambda f, _: linreg_fast.fit_stream([f], target="y"),
    "stream of arrow": lambda f, _: linreg_fast.fit_stream(arrow(f), target="y"),
    "stream of polars": lambda f, _: linreg_fast.fit_stream(pl.from_arrow(arrow(f)), target="y"),
    "parquet": in_file(lambda f, path: f.to_parquet(path, index=False), "t.parquet"),
    "feather": in_file(lambda f, path: feather.write_feather(arrow(f), str(path)), "t.feather"),
    "csv": in_file(lambda f, path: f.to_csv(path, index=False), "t.csv"),
    "dask": lambda f, _: linreg_fast.dask.fit(dask.dataframe.from_pandas(f, npartitions=2), "y"),
}
# What a door cannot see: a file of text has no types, Dask makes text of objects, Polars and DuckDB numbers of
# categories of them.
TEXT_IN_CSV = ("categories of text", "durations", "lists", "bytes", "complex")
TEXT_IN_DASK = (*("objects that are integers", "decimals", "dates", "lists", "bytes", "nothing", "numbers and text"),)
OTHERWISE = {
    **{("csv", kind): "text" for kind in TEXT_IN_CSV},
    **{("dask", kind): "text" for kind in TEXT_IN_DASK},
    **{(door, "categories of numbers"): USED for door in ("csv", "polars", "stream of polars", "duckdb")},
    ("csv", "numbers and text"): ValueError,
    ("duckdb", "categories of text"): "text",
}
NO_ARROW = ("complex", "numbers and text")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("door", DOORS)
def test_kind_through_door(door, kind, tmp_path):
    column, expected = KINDS[kind]
    if kind in NO_ARROW and door not in ("pandas", "stream of pandas", "csv", "dask"):
        with pytest.raises((pa.ArrowException, TypeError)):
            arrow(pd.DataFrame({"c": column}))
        return  # there is no such column
    expected = OTHERWISE.get((door, kind), expected)
    a = COUNT % 7 * 1.0
    frame = pd.DataFrame({"a": a, "c": column, "y": 2 * a + COUNT % 2})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if isinstance(expected, type):
            with pytest.raises(expected, match=r"column 'c'.*'x'.*row 1"):
                DOORS[door](frame, tmp_path)
            return
        fit = DOORS[door](frame, tmp_path)
    told = [str(one.message) for one in caught if one.category is LeftOutWarning]
    assert fit.feature_names == (("a",) if expected else ("a", "c"))
    assert fit.left_out == ({"c": expected} if expected else {})
    assert len(told) == bool(expected)
    assert all(f"'c' ({expected})" in text for text in told)


@pytest.mark.parametrize("name", [None, "id", "Unnamed: 0", ""])
@pytest.mark.parametrize("door", DOORS)
def test_an_index_and_row_numbers_are_no_feature(door, name, tmp_path):
    """The index of a frame of pandas, wherever it is kept as a column, and numbers of rows without a name."""
    a = COUNT % 7 * 1.0
    frame = pd.DataFrame({"a": a, "y": 2 * a + COUNT % 2}, index=pd.Index(COUNT[::-1] + 5, name=name))
    kept = pa.Table.from_pandas(frame)
    by_metadata = door in ("arrow", "stream of arrow", "parquet", "feather")
    if door in ("parquet", "feather"):
        (parquet.write_table if door == "parquet" else feather.write_feather)(kept, str(tmp_path / "t"))
        (tmp_path / "t").rename(tmp_path / f"t.{door}")

        def fit():
            return linreg_fast.fit_file(tmp_path / f"t.{door}", target="y")
    elif by_metadata:

        def fit():
            return linreg_fast.fit(kept, "y") if door == "arrow" else linreg_fast.fit_stream(kept, target="y")
    elif name in (None, "id") or (name == "" and ("polars" in door or door == "duckdb")):
        return  # an index that is no column; Polars and DuckDB give every column a name
    else:
        frame.insert(0, name, COUNT)

        def fit():
            return DOORS[door](frame.reset_index(drop=True), tmp_path)

    with pytest.warns(LeftOutWarning, match="index of a data frame" if by_metadata else "row numbers without a name"):
        found = fit()
    assert found.feature_names == ("a",)
    assert len(found.left_out) == 1
