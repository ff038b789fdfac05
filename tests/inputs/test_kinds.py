"""Kinds of columns through every door: one table of what is used, what is left out, and what raises."""

from __future__ import annotations

import datetime
import warnings
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import dask
import dask.dataframe as dd
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import linreg_fast
import linreg_fast.dask
from linreg_fast import LeftOutWarning
from linreg_fast.inputs import arrays, kinds, named
from linreg_fast.inputs.table import table

N = 12
Z = np.arange(N) ** 2 % 7 + 1.0  # whole and positive, 7 different
FLAGS = (Z > 3).astype(float)
Y = np.arange(N) % 5 + Z
B = np.arange(N) % 4 * 1.5
DAYS = [datetime.date(2020, 1, 1 + i) for i in range(N)]

TIMES = [datetime.datetime.combine(day, datetime.time()) for day in DAYS]


class Kind(NamedTuple):
    """A column by the library that makes it: what it holds as numbers, or why it is left out."""

    make: object  # a frame of columns "b", "k" and "y" from a function of `k`
    numbers: np.ndarray | None
    why: str | None = None


def in_pandas(column):
    return lambda: pd.DataFrame({"b": B, "k": column, "y": Y})


def in_polars(column, dtype=None):
    return lambda: pl.DataFrame({"b": B, "k": pl.Series(column, dtype=dtype), "y": Y})


def in_arrow(column, kind=None):
    return lambda: pa.table({"b": B, "k": pa.array(column, kind), "y": Y})


DUCK = duckdb.connect()
WHOLE = [int(z) for z in Z]
TEXT = [f"t{z}" for z in WHOLE]
KINDS = {
    "pandas float32": Kind(in_pandas(Z.astype("f4")), Z),
    "pandas int8": Kind(in_pandas(Z.astype("i1")), Z),
    "pandas uint64": Kind(in_pandas(Z.astype("u8")), Z),
    "pandas bool": Kind(in_pandas(FLAGS == 1), FLAGS),
    "pandas Int64": Kind(in_pandas(pd.array(WHOLE, dtype="Int64")), Z),
    "pandas boolean": Kind(in_pandas(pd.array(FLAGS == 1, dtype="boolean")), FLAGS),
    "pandas Float32": Kind(in_pandas(pd.array(Z, dtype="Float32")), Z),
    "pandas int64[pyarrow]": Kind(in_pandas(pd.array(WHOLE, dtype="int64[pyarrow]")), Z),
    "pandas bool[pyarrow]": Kind(in_pandas(pd.array(FLAGS == 1, dtype="bool[pyarrow]")), FLAGS),
    "pandas decimal": Kind(in_pandas([Decimal(v) for v in WHOLE]), Z),
    "pandas decimal[pyarrow]": Kind(
        in_pandas(pd.array([Decimal(v) for v in WHOLE], dtype=pd.ArrowDtype(pa.decimal128(5, 1)))), Z
    ),
    "pandas object numbers": Kind(in_pandas(pd.Series([1, *(Fraction(v) for v in WHOLE[1:])], dtype=object)), Z),
    "polars Int16": Kind(in_polars(WHOLE, pl.Int16), Z),
    "polars Int128": Kind(in_polars(WHOLE, pl.Int128), Z),
    "polars Decimal": Kind(in_polars([Decimal(v) for v in WHOLE], pl.Decimal(10, 2)), Z),
    "polars Boolean": Kind(in_polars(FLAGS == 1), FLAGS),
    "Arrow int": Kind(in_arrow(WHOLE, pa.uint8()), Z),
    "Arrow half": Kind(in_arrow(Z.astype("f2")), Z),
    "Arrow bool": Kind(in_arrow(FLAGS == 1), FLAGS),
    "Arrow decimal": Kind(in_arrow([Decimal(v) for v in WHOLE], pa.decimal256(40, 2)), Z),
    "pandas categorical of numbers": Kind(in_pandas(pd.Categorical(WHOLE)), None, "a categorical"),
    "pandas categorical of text": Kind(in_pandas(pd.Categorical(TEXT)), None, "a categorical"),
    "pandas str": Kind(in_pandas(TEXT), None, "text"),
    "pandas string": Kind(in_pandas(pd.array(TEXT, dtype="string")), None, "text"),
    "pandas string[pyarrow]": Kind(in_pandas(pd.array(TEXT, dtype=pd.ArrowDtype(pa.string()))), None, "text"),
    "pandas text objects": Kind(in_pandas(pd.Series(TEXT, dtype=object)), None, "text"),
    "pandas datetime": Kind(in_pandas(pd.to_datetime(DAYS)), None, "dates or times"),
    "pandas datetime with zone": Kind(in_pandas(pd.to_datetime(DAYS).tz_localize("UTC")), None, "dates or times"),
    "pandas timedelta": Kind(in_pandas(pd.to_timedelta(WHOLE, unit="D")), None, "dates or times"),
    "pandas period": Kind(in_pandas(pd.period_range("2020", periods=N)), None, "dates or times"),
    "pandas complex": Kind(in_pandas(Z * 1j), None, "complex"),
    "pandas nothing": Kind(in_pandas([None] * N), None, "no value in any row"),
    "pandas null[pyarrow]": Kind(in_pandas(pd.array([None] * N, dtype=pd.ArrowDtype(pa.null()))), None, kinds.NOTHING),
    "pandas sparse": Kind(in_pandas(pd.arrays.SparseArray(Z)), None, "sparse"),
    "pandas lists[pyarrow]": Kind(
        in_pandas(pd.array([[v] for v in WHOLE], dtype=pd.ArrowDtype(pa.list_(pa.int8())))), None, "nested"
    ),
    "polars Categorical": Kind(in_polars(TEXT, pl.Categorical), None, "a categorical"),
    "polars Enum": Kind(in_polars(TEXT, pl.Enum(sorted(set(TEXT)))), None, "a categorical"),
    "polars String": Kind(in_polars(TEXT), None, "text"),
    "polars Date": Kind(in_polars(DAYS), None, "dates or times"),
    "polars Datetime": Kind(in_polars(TIMES), None, "dates or times"),
    "polars Duration": Kind(in_polars(WHOLE, pl.Duration("us")), None, "dates or times"),
    "polars Time": Kind(in_polars([datetime.time(v) for v in WHOLE]), None, "dates or times"),
    "polars Null": Kind(in_polars([None] * N), None, kinds.NOTHING),
    "polars List": Kind(in_polars([[v] for v in WHOLE]), None, "nested"),
    "polars Struct": Kind(in_polars([{"v": v} for v in WHOLE]), None, "nested"),
    "polars Binary": Kind(in_polars([b"v"] * N), None, "binary"),
    "Arrow dictionary of numbers": Kind(in_arrow(pa.array(WHOLE).dictionary_encode()), None, "a categorical"),
    "Arrow dictionary": Kind(in_arrow(pa.array(TEXT).dictionary_encode()), None, "a categorical"),
    "Arrow string": Kind(in_arrow(TEXT), None, "text"),
    "Arrow large_string": Kind(in_arrow(TEXT, pa.large_string()), None, "text"),
    "Arrow date": Kind(in_arrow(DAYS), None, "dates or times"),
    "Arrow timestamp": Kind(
        in_arrow(TIMES, pa.timestamp("ms")),
        None,
        "dates or times",
    ),
    "Arrow null": Kind(in_arrow([None] * N), None, kinds.NOTHING),
    "Arrow list": Kind(in_arrow([[v] for v in WHOLE]), None, "nested"),
    "Arrow binary": Kind(in_arrow([b"v"] * N), None, "binary"),
}
kind_by_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


def features(frame):
    return frame.select(["b", "k"]) if hasattr(frame, "select") else frame[["b", "k"]]


def chunks(frame):
    if not isinstance(frame, pd.DataFrame):
        pytest.skip("dask has frames of pandas")
    return dd.from_pandas(frame, npartitions=3)


# the target beside the table, and in it
BESIDE = {
    "fit": lambda frame: linreg_fast.fit(features(frame), frame["y"]),
    "fit, y of NumPy": lambda frame: linreg_fast.fit(features(frame), Y),
    "Moments": lambda frame: linreg_fast.Moments(2).update(features(frame), frame["y"]).solve(),
    "by_group": lambda frame: linreg_fast.by_group(features(frame), frame["y"], np.zeros(N))[0.0].solve(),
    "dask": lambda frame: linreg_fast.dask.fit(chunks(features(frame)), chunks(frame)["y"]),
}
WITHIN = {
    "fit": lambda frame: linreg_fast.fit(frame, "y"),
    "fit, several": lambda frame: linreg_fast.fit(frame, ["y"]),
    "dask": lambda frame: linreg_fast.dask.fit(chunks(frame), "y"),
}


@pytest.fixture(autouse=True)
def one_thread():
    with dask.config.set({"scheduler": "sync", "dataframe.convert-string": False}):
        yield


@kind_by_kind
@pytest.mark.parametrize("door", BESIDE)
def test_a_column_that_was_asked_for(kind, door):
    frame = kind.make()
    if kind.numbers is not None:
        expected = linreg_fast.fit(np.column_stack([B, kind.numbers]), Y)
        np.testing.assert_allclose(BESIDE[door](frame).coef, expected.coef, rtol=1e-11)
        return
    error = ValueError if kind.why == kinds.NOTHING else TypeError
    with pytest.raises(error, match="'k'"):
        BESIDE[door](frame)


@kind_by_kind
@pytest.mark.parametrize("door", WITHIN)
def test_a_column_beside_the_target(kind, door):
    frame = kind.make()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = WITHIN[door](frame)
    used = [B] if kind.numbers is None else [B, kind.numbers]
    expected = linreg_fast.fit(np.column_stack(used), Y)
    np.testing.assert_allclose(np.ravel(fit.coef), expected.coef, rtol=1e-11)
    assert fit.feature_names == ("b", "k")[: len(used)]
    assert [w.category for w in caught] == [LeftOutWarning] * (kind.numbers is None)
    if kind.numbers is None:
        assert f"'k' ({kind.why})" in str(caught[0].message)
        assert caught[0].filename == __file__


@kind_by_kind
def test_a_column_of_one_dimension(kind):
    """As X, as y and as weights."""
    column = kind.make()["k"]
    for place, name in ((0, "X"), (1, "y"), (2, "sample_weight")):
        given = [B, Y, np.ones(N)]
        given[place] = column
        if kind.numbers is None:
            with pytest.raises((TypeError, ValueError), match=name):
                linreg_fast.fit(*given[:2], sample_weight=given[2])
            continue
        expected = [B, Y, np.ones(N)]
        expected[place] = kind.numbers
        found = linreg_fast.fit(*given[:2], sample_weight=given[2])
        np.testing.assert_allclose(
            found.coef, linreg_fast.fit(*expected[:2], sample_weight=expected[2]).coef, rtol=1e-11
        )


NULLABLE = {
    "pandas Int64": lambda: in_pandas(pd.array([*WHOLE[:4], None, *WHOLE[5:]], dtype="Int64")),
    "pandas Float64": lambda: in_pandas(pd.array([*Z[:4], None, *Z[5:]], dtype="Float64")),
    "pandas boolean": lambda: in_pandas(pd.array([*(FLAGS[:4] == 1), None, *(FLAGS[5:] == 1)], dtype="boolean")),
    "pandas int64[pyarrow]": lambda: in_pandas(pd.array([*WHOLE[:4], None, *WHOLE[5:]], dtype="int64[pyarrow]")),
    "pandas decimals": lambda: in_pandas([*map(Decimal, WHOLE[:4]), None, *map(Decimal, WHOLE[5:])]),
    "pandas NA objects": lambda: in_pandas(pd.Series([*WHOLE[:4], pd.NA, *WHOLE[5:]], dtype=object)),
    "polars Int128": lambda: in_polars([*WHOLE[:4], None, *WHOLE[5:]], pl.Int128),
    "polars Decimal": lambda: in_polars([*map(Decimal, WHOLE[:4]), None, *map(Decimal, WHOLE[5:])], pl.Decimal(5, 0)),
    "polars Boolean": lambda: in_polars([*(FLAGS[:4] == 1).tolist(), None, *(FLAGS[5:] == 1).tolist()]),
    "Arrow int64": lambda: in_arrow([*WHOLE[:4], None, *WHOLE[5:]]),
    "Arrow decimal": lambda: in_arrow([*map(Decimal, WHOLE[:4]), None, *map(Decimal, WHOLE[5:])], pa.decimal128(5, 1)),
}


@pytest.mark.parametrize("name", NULLABLE)
def test_missing_values_of_every_kind(name):
    frame = NULLABLE[name]()()
    with pytest.raises(ValueError, match=r"X has NaN at row 4, column 1 \('k'\)"):
        linreg_fast.fit(frame, "y")
    numbers = FLAGS if "ool" in name else Z
    kept = np.arange(N) != 4
    expected = linreg_fast.fit(np.column_stack([B, numbers])[kept], Y[kept])
    found = linreg_fast.fit(frame, "y", missing="drop")
    np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-11)
    assert found.n_samples == N - 1


# what holds a table


def tables():
    frame = pd.DataFrame({"b": B, "k": Z, "word": TEXT, "y": Y, "y2": Y * B, "w": Z})
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    return {
        "pandas": frame,
        "polars": pl.from_pandas(frame),
        "polars, lazy": pl.from_pandas(frame).lazy(),
        "Arrow": arrow,
        "Arrow batch": arrow.to_batches()[0],
        "Arrow reader": arrow.to_reader(),
        "DuckDB": DUCK.from_arrow(arrow),
        "dask": dd.from_pandas(frame, npartitions=2),
    }


@pytest.mark.parametrize("holder", list(tables()))
@pytest.mark.parametrize("y", ["y", ["y", "y2"], ("y", "y2")])
@pytest.mark.parametrize("weight", [None, "w"])
def test_fit_by_name(holder, y, weight):
    others = [name for name in ("y2", "w") if name != weight and name not in y]
    X = np.column_stack([B, Z, *(tables()["pandas"][name] for name in others)])
    expected_y = Y if y == "y" else np.column_stack([Y, Y * B])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", linreg_fast.RankWarning)  # w and k are the same
        expected = linreg_fast.fit(X, expected_y, sample_weight=Z if weight else None)
        with pytest.warns(LeftOutWarning, match=r"'word' \(text\)"):
            found = linreg_fast.fit(tables()[holder], y, sample_weight=weight)
    np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-10, atol=1e-12)
    assert found.feature_names == ("b", "k", *others)
    assert found.coef.shape == expected.coef.shape


def test_by_name_through_every_door():
    frame = tables()["pandas"].drop(columns="word")[["b", "k", "y", "w"]]
    X = np.column_stack([B, Z])
    fit = linreg_fast.fit(X, Y, sample_weight=Z)
    assert linreg_fast.cost(frame, "y", fit.coef, fit.intercept, sample_weight="w") == pytest.approx(fit.cost)
    assert linreg_fast.gradient(frame, "y", fit.coef, fit.intercept, sample_weight="w")[0] == pytest.approx(fit.cost)
    moments = linreg_fast.Moments(2).update(frame, "y", "w")
    np.testing.assert_allclose(moments.solve().coef, fit.coef)
    assert moments.feature_names == ("b", "k")
    grouped = linreg_fast.by_group(frame, "y", np.arange(N) % 2, sample_weight="w")
    np.testing.assert_allclose(sum(grouped.values()).solve().coef, fit.coef)
    assert linreg_fast.plan(frame, "y").solver == "cholesky"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (lambda f: (f, "z"), ValueError, "X has no column 'z'; its columns are b, k, word, y, y2, w"),
        (lambda f: (f, ["y", "y"]), ValueError, "column 'y' is asked for twice"),
        (lambda f: (f, "y", "y"), ValueError, "column 'y' is asked for twice"),
        (lambda f: (f, "word"), TypeError, "y has dtype str"),
        (lambda f: (f, "y", "word"), TypeError, "sample_weight has dtype str"),
        (lambda f: (f[["word", "y"]], "y"), ValueError, r"no column of numbers beside y; left out are 'word' \(text\)"),
        (lambda f: (f.to_numpy(), "y"), TypeError, "y names a column: X must be a data frame then, not a ndarray"),
        (lambda f: (f["b"], "y"), TypeError, "y names a column: X must be a data frame then, not a Series"),
        (lambda f: (f[["b"]], f["y"], "w"), TypeError, "sample_weight names a column: y must name one too"),
        (lambda f: (pd.concat([f, f], axis=1), "b"), ValueError, "columns of X share a name"),
    ],
)
@pytest.mark.filterwarnings("ignore::linreg_fast.LeftOutWarning")
def test_names_that_do_not_fit(arguments, error, text):
    X, y, *w = arguments(tables()["pandas"])
    with pytest.raises(error, match=text):
        linreg_fast.fit(X, y, sample_weight=w[0] if w else None)


def test_a_bad_token_among_numbers_is_an_error_and_no_reason_to_leave_a_column_out():
    column = pd.Series([*WHOLE[:5], "?", *WHOLE[6:]], dtype=object)
    with pytest.raises(TypeError, match=r"column 'k' of X has '\?' of type str at row 5; it must hold numbers only"):
        linreg_fast.fit(in_pandas(column)(), "y")


def test_left_out_is_carried_with_the_table():
    with pytest.warns(LeftOutWarning):
        data = table(tables()["pandas"], "y", "w", list("xyz"))
    assert data.left_out == {"word": "text"}
    assert data.names == ["x", "y", "z"]
    assert (data.target_names, data.weight_name) == (["y"], "w")


@pytest.mark.parametrize("y", ["a", "b", "d"])
def test_columns_taken_out_of_large_frames_are_read_where_they_are(monkeypatch, y):
    monkeypatch.setattr(named, "APART_BYTES", 1)
    monkeypatch.setattr(arrays, "APART_BYTES", 1)
    columns = np.random.default_rng(0).standard_normal((4, 500))
    frame = pd.DataFrame(columns.T, columns=list("abcd"), copy=False)
    data = table(frame, y)
    rest = [j for j in range(4) if "abcd"[j] != y]
    assert not data.copies
    assert all(np.shares_memory(data.X[:, i], columns[j]) for i, j in enumerate(rest))
    found = linreg_fast.fit(frame, y)
    expected = linreg_fast.fit(columns[rest].T, columns["abcd".index(y)])
    np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-12)
