"""Data frames, series and whatever else brings columns with it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from support.compare import assert_same_coefficients
from support.problems import problem, whole_problem

import linreg_fast
from linreg_fast.inputs import arrays
from linreg_fast.inputs.table import table as table_of


def frames(X):
    names = ["height", "width", "depth", "mass"]
    plain = pd.DataFrame(X, columns=names)
    return {
        "pandas": plain,
        "pandas, mixed": plain.astype({"width": "float32", "mass": "float64", "depth": "int64"}),
        "pandas, nullable": plain.astype({"height": "Int64", "width": "Float64", "depth": "Int8", "mass": "Float32"}),
        "pandas, Arrow": plain.astype("float64[pyarrow]"),
        "pandas, Arrow integers": plain.astype("int32[pyarrow]"),
        "polars": pl.DataFrame(X, schema=names, orient="row"),
        "polars, mixed": pl.DataFrame(X, schema=names, orient="row").with_columns(pl.col("width").cast(pl.Int16)),
        "polars, lazy": pl.DataFrame(X, schema=names, orient="row").lazy(),
        "pyarrow": pa.table({name: X[:, j] for j, name in enumerate(names)}),
        "pyarrow, chunked": pa.concat_tables(
            [pa.table({name: part[:, j] for j, name in enumerate(names)}) for part in np.array_split(X, 3)]
        ),
    }


@pytest.mark.parametrize("name", list(frames(np.zeros((3, 4)))))
def test_frames(name):
    X, y = whole_problem()
    expected = linreg_fast.fit(X, y)
    found = linreg_fast.fit(frames(X)[name], y)
    assert_same_coefficients(found, expected)
    assert found.feature_names == ("height", "width", "depth", "mass")
    np.testing.assert_allclose(found.predict(frames(X)[name]), expected.predict(X), rtol=1e-13)
    named = linreg_fast.fit(frames(X)[name], y, feature_names=list("abcd"))
    assert named.feature_names == tuple("abcd")


@pytest.mark.parametrize(
    "make",
    [
        pd.Series,
        lambda y: pd.Series(y, dtype="Float64"),
        lambda y: pd.Series(y, dtype="int64[pyarrow]"),
        pl.Series,
        pa.array,
        lambda y: pa.chunked_array([y[:50], y[50:]]),
    ],
)
def test_series_as_y_and_as_one_feature(make):
    X, y = whole_problem()
    assert_same_coefficients(linreg_fast.fit(X, make(y)), linreg_fast.fit(X, y))
    assert linreg_fast.fit(X, make(y)).coef.ndim == 1
    assert linreg_fast.fit(make(X[:, 0]), y).slope == pytest.approx(linreg_fast.fit(X[:, 0], y).slope, rel=1e-12)


def test_name_of_a_series():
    X, y = whole_problem()
    assert linreg_fast.fit(pd.Series(X[:, 0], name="height"), y).feature_names == ("height",)
    assert linreg_fast.fit(pl.Series("height", X[:, 0]), y).feature_names == ("height",)


def test_frame_as_several_targets():
    X, y = whole_problem()
    expected = linreg_fast.fit(X, np.column_stack([y, -y]))
    for frame in (pd.DataFrame({"a": y, "b": -y}), pl.DataFrame({"a": y, "b": -y})):
        assert_same_coefficients(linreg_fast.fit(X, frame), expected)


@pytest.mark.parametrize(
    "dtype", ["Int64", "Float64", "boolean", "float64[pyarrow]", "int64[pyarrow]", "bool[pyarrow]"]
)
def test_pandas_missing_values_name_row_and_column(dtype):
    values = [True, False] * 20 if "bool" in dtype else list(range(40))
    frame = pd.DataFrame({"a": np.arange(40.0) ** 2, "b": pd.array(values, dtype=dtype)})
    y = np.arange(40.0)
    assert linreg_fast.fit(frame, y).rank == 2
    frame.loc[11, "b"] = pd.NA
    with pytest.raises(ValueError, match=r"X has NaN at row 11, column 1 \('b'\)"):
        linreg_fast.fit(frame, y)
    with pytest.raises(ValueError, match="y has NaN at row 11"):
        linreg_fast.fit(y, frame["b"])
    w = np.where(np.arange(40) == 11, 0.0, 1.0)
    assert linreg_fast.fit(frame, y, sample_weight=w).n_samples == 39


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Float64, pl.Boolean])
def test_polars_and_arrow_missing_values_name_row_and_column(dtype):
    values = [i % 2 if dtype == pl.Boolean else i for i in range(40)]
    values[11] = None
    frame = pl.DataFrame({"a": np.arange(40.0) ** 2, "b": pl.Series(values).cast(dtype)})
    for table in (frame, frame.to_arrow()):
        with pytest.raises(ValueError, match=r"X has NaN at row 11, column 1 \('b'\)"):
            linreg_fast.fit(table, np.arange(40.0))


class OnlyArray:
    """Knows NumPy's protocol and nothing else."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


class OnlyInterchange:
    """Knows the data frame interchange protocol and nothing else."""

    def __init__(self, frame):
        self.frame = frame

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return self.frame.__dataframe__(nan_as_null, allow_copy)


def test_array_protocol():
    X, y = whole_problem()
    expected = linreg_fast.fit(X, y)
    assert_same_coefficients(linreg_fast.fit(OnlyArray(X), OnlyArray(y)), expected)
    with pytest.raises(TypeError, match="complex"):
        linreg_fast.fit(OnlyArray(X * 1j), y)


@pytest.mark.filterwarnings("ignore:.*interchange protocol.*")
@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_interchange_protocol(library):
    X, y = whole_problem()
    found = linreg_fast.fit(OnlyInterchange(frames(X)[library]), y)
    assert_same_coefficients(found, linreg_fast.fit(X, y))
    assert found.feature_names == ("height", "width", "depth", "mass")


@pytest.mark.parametrize("names", [[0, 1, 2], [1, "a", (2, 3)], ["a", None, "b"]])
@pytest.mark.parametrize("kind", [float, int, "Float64"])
def test_frames_whose_column_names_are_not_text(names, kind):
    X, y, _, _ = problem(50, 3)
    X = np.round(4 * X)
    frame = pd.DataFrame(X, columns=names).astype(kind)
    fit = linreg_fast.fit(frame, y)
    assert fit.feature_names == tuple(str(name) for name in frame.columns.tolist())
    assert_same_coefficients(fit, linreg_fast.fit(X, y))


@pytest.mark.parametrize(
    "frame",
    [pd.DataFrame(np.ones((5, 3)), columns=list("aab")), pa.table([np.ones(5), np.ones(5)], names=["a", "a"])],
)
def test_frames_with_a_column_name_twice(frame):
    with pytest.raises(ValueError, match=r"columns of X share a name: \['a', 'a'"):
        linreg_fast.fit(frame, np.arange(5.0))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.Series([1, "2", 3.0, 4, 5], dtype=object), "column 'a' of X has '2' of type str at row 1"),
        (pd.Series([1, 2j, 3.0, 4, 5], dtype=object), "column 'a' of X has 2j of type complex at row 1"),
        (pd.arrays.SparseArray([0.0, 0, 1, 0, 0]), r"column 'a' of X has dtype Sparse\[float64.*to_dense"),
        (np.ones(5) * 1j, "column 'a' of X has dtype complex128"),
    ],
)
def test_columns_that_hold_no_numbers(column, message):
    with pytest.raises(TypeError, match=message):
        linreg_fast.fit(pd.DataFrame({"b": range(5), "a": column}), np.arange(5.0))


@pytest.mark.parametrize("y", [pd.Series(pd.Categorical([3, 1, 2])), pl.Series(["a", "b", "a"], dtype=pl.Categorical)])
def test_categories_are_no_numbers_in_a_series_either(y):
    with pytest.raises(TypeError, match=r"y has dtype (category|Categorical), which is not a number"):
        linreg_fast.fit(np.arange(3.0), y)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_columns_of_large_frames_are_read_where_they_are(monkeypatch, kind, dtype):
    monkeypatch.setattr(arrays, "APART_BYTES", 1)
    X, y, *_ = problem(500, 3, offset=10.0)
    X = X.astype(dtype)
    columns = {name: pa.array(X[:, j]) for j, name in enumerate("abc")}
    frame = pa.table(columns)
    frame = {"pandas": lambda: frame.to_pandas(split_blocks=True), "polars": lambda: pl.from_arrow(frame)}.get(
        kind, lambda: frame
    )()
    data = table_of(frame, y)
    assert data.apart
    assert data.names == ["a", "b", "c"]
    assert data.X.addresses.tolist() == [column.buffers()[1].address for column in columns.values()]
    np.testing.assert_allclose(linreg_fast.fit(frame, y).coef, linreg_fast.fit(X, y).coef, rtol=1e-13)


@pytest.mark.parametrize("order", ["C", "F"])
def test_large_frames_of_one_block_are_arrays(monkeypatch, order):
    monkeypatch.setattr(arrays, "APART_BYTES", 1)
    X, y, *_ = problem(500, 3)
    data = table_of(pd.DataFrame(np.array(X, order=order), copy=False), y)
    assert data.order == order
    assert not data.apart


def test_columns_of_large_frames_that_need_a_copy(monkeypatch):
    """Missing values, other dtypes and several chunks: an array, and the same fits and errors as of small frames."""
    monkeypatch.setattr(arrays, "APART_BYTES", 1)
    X, y, *_ = problem(500, 3)
    whole = pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]})
    for frame in (
        pa.table([*whole.columns[:2], pa.array(np.arange(500))], names=list("abc")),
        pl.concat([pl.from_arrow(whole[:100]), pl.from_arrow(whole[100:])], rechunk=False),
    ):
        names = list("abc")
        expected = np.column_stack([np.asarray(frame[name].to_numpy(), dtype=float) for name in names])
        np.testing.assert_allclose(linreg_fast.fit(frame, y).coef, linreg_fast.fit(expected, y).coef, rtol=1e-13)
    missing = pl.from_arrow(whole).with_columns(b=pl.when(pl.int_range(500) != 7).then(pl.col("b")))
    with pytest.raises(ValueError, match=r"X has NaN at row 7, column 1 \('b'\)"):
        linreg_fast.fit(missing, y)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_frames_of_one_block_and_of_several(dtype):
    """A small frame is read as the block it is; one of the same numbers that is put together gives the same fit."""
    X = np.random.default_rng(5).standard_normal((40, 3)).astype(dtype)
    y = X.sum(axis=1, dtype=np.float64) + X[:, 0] ** 2
    block = pd.DataFrame(X, columns=["a", "b", "c"])
    several = pd.DataFrame({"a": X[:, 0]})
    several["b"], several["c"] = X[:, 1], X[:, 2]
    expected = linreg_fast.fit(X, y)
    for frame in (block, block.iloc[:, :3], several, block[["a", "b", "c"]], several.copy()):
        fit = linreg_fast.fit(frame, y)
        np.testing.assert_allclose(fit.coef, expected.coef, rtol=1e-13)
        assert fit.feature_names == ("a", "b", "c")
    mixed = block.assign(d=np.arange(40) + 2**53)
    with pytest.warns(linreg_fast.PrecisionWarning, match="'d'"):
        linreg_fast.fit(mixed, y)
    with pytest.raises(ValueError, match="share a name"):
        linreg_fast.fit(pd.DataFrame(X, columns=["a", "b", "a"]), y)
