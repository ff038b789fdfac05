"""What a user may hand in: every layout, dtype and container, and every wrong one."""

from __future__ import annotations

import hashlib
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from conftest import FIT_TOLERANCE, problem

import linreg_fast
from linreg_fast import inputs

SOLVERS = ("auto", "cholesky", "qr", "svd", "gd")
GD = {"max_iter": 5, "tol": 0}  # steps enough to see that they are the same


def options(solver):
    return GD if solver == "gd" else {}


def whole_problem(n=120, p=4, low=-9):
    """Whole numbers, so that every dtype holds them."""
    rng = np.random.default_rng([n, p])
    X = rng.integers(low, 10, (n, p)).astype(float)
    return X, X @ np.arange(1.0, p + 1) + rng.integers(0, 5, n)


def assert_same_fit(a, b, tolerance=FIT_TOLERANCE["float64"]):
    scale = max(1.0, float(np.abs(b.coef).max(initial=0.0)), float(np.abs(np.asarray(b.intercept)).max()))
    np.testing.assert_allclose(a.coef, b.coef, rtol=tolerance, atol=tolerance * scale)
    np.testing.assert_allclose(a.intercept, b.intercept, rtol=tolerance, atol=tolerance * scale)
    assert a.rank == b.rank
    assert a.n_samples == b.n_samples


# layouts


def every_layout(X, folder):
    """The same numbers, otherwise in memory."""
    read_only = X.copy()
    read_only.setflags(write=False)
    wide = np.full((2 * len(X), 3 * X.shape[1]), np.nan)
    wide[::2, ::3] = X
    raw = np.frombuffer(b"\0" + X.tobytes(), dtype=np.uint8)
    unaligned = raw[1:].view(np.float64).reshape(X.shape)
    assert not unaligned.flags.aligned
    np.save(folder / "X.npy", X)
    np.save(folder / "XF.npy", np.asfortranarray(X))
    return {
        "F": np.asfortranarray(X),
        "transposed": np.ascontiguousarray(X.T).T,
        "read-only": read_only,
        "memory map": np.load(folder / "X.npy", mmap_mode="r"),
        "memory map in F order": np.load(folder / "XF.npy", mmap_mode="r"),
        "reversed rows": np.ascontiguousarray(X[::-1])[::-1],
        "reversed columns": np.ascontiguousarray(X[:, ::-1])[:, ::-1],
        "every second": wide[::2, ::3],
        "unaligned": unaligned,
        "byte-swapped": X.astype(X.dtype.newbyteorder()),
        "list": X.tolist(),
        "tuples": tuple(map(tuple, X.tolist())),
        "masked": np.ma.array(X),
        "matrix": X.view(type("Sub", (np.ndarray,), {})),
    }


@pytest.mark.parametrize("solver", SOLVERS)
def test_layouts(solver, tmp_path):
    X, y, _, _ = problem(300, 4, offset=2.0)
    expected = linreg_fast.fit(X, y, solver=solver, **options(solver))
    for name, other in every_layout(X, tmp_path).items():
        found = linreg_fast.fit(other, y, solver=solver, **options(solver))
        try:
            assert_same_fit(found, expected)
        except AssertionError as error:
            raise AssertionError(f"layout {name}: {error}") from None


def test_reading_in_place_gives_the_bits_of_a_writable_copy(tmp_path):
    X, y, _, _ = problem(300, 4)
    expected = linreg_fast.fit(X, y)
    for name, other in every_layout(X, tmp_path).items():
        if name in ("read-only", "memory map"):
            assert (linreg_fast.fit(other, y).coef == expected.coef).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_layouts_of_y_and_weights(weighted, tmp_path):
    X, y, _, _ = problem(300, 4)
    w = np.random.default_rng(0).random(300) + 0.5
    expected = linreg_fast.fit(X, y, sample_weight=w if weighted else None)
    for name, other in every_layout(y[:, None], tmp_path).items():
        found = linreg_fast.fit(X, other, sample_weight=w if weighted else None)
        assert found.coef.shape == (1, 4), name
        np.testing.assert_allclose(found.coef[0], expected.coef, rtol=1e-12, err_msg=name)
    if weighted:
        for other in (w.tolist(), w[::-1].copy()[::-1], w.astype(">f8"), pd.Series(w), pl.Series(w), pa.array(w)):
            assert_same_fit(linreg_fast.fit(X, y, sample_weight=other), expected)


def test_layouts_of_a_table_of_many_pieces(monkeypatch):
    """Converted piece by piece: pieces of rows join without a gap."""
    monkeypatch.setattr(inputs, "CONVERT_BYTES", 1)
    X, y, _, _ = problem(1000, 3, offset=5.0)
    w = np.arange(1000.0) % 7
    expected = linreg_fast.fit(X, y, sample_weight=w)
    for other in (X[::-1].copy()[::-1], X.astype(">f8"), X.tolist()):
        assert_same_fit(linreg_fast.fit(other, y, sample_weight=w), expected)
        found, at = linreg_fast.gradient(other, y, np.ones(3), 1.0, sample_weight=w), np.ones(3)
        np.testing.assert_allclose(found[1], linreg_fast.gradient(X, y, at, 1.0, sample_weight=w)[1], rtol=1e-12)
        np.testing.assert_allclose(expected.predict(other), expected.predict(X), rtol=1e-13)


def test_broadcast_rows():
    """Stride 0: no memory, and a rank of 1 beside the other column."""
    X = np.broadcast_to(np.array([[1.0, 2.0]]), (50, 2))
    fit = linreg_fast.fit(X, np.full(50, 3.0))
    assert fit.rank == 0
    np.testing.assert_allclose(fit.predict(X), 3.0)
    with pytest.warns(linreg_fast.RankWarning):
        fit = linreg_fast.fit(np.broadcast_to(np.arange(50.0)[:, None], (50, 3)), np.arange(50.0))
    assert fit.rank == 1
    np.testing.assert_allclose(fit.coef, 1 / 3)


# dtypes


@pytest.mark.parametrize(
    "dtype",
    ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "g", "O", ">f4", ">f8", ">i4", "<u2"],
)
def test_dtypes(dtype):
    X, y = whole_problem(low=0)
    expected = linreg_fast.fit(X, y)
    w = np.arange(120) % 3
    weighted = linreg_fast.fit(X, y, sample_weight=w)
    for order in "CF":
        other = np.array(X, dtype=dtype, order=order)
        assert_same_fit(linreg_fast.fit(other, y), expected)
        assert_same_fit(linreg_fast.fit(other, y.astype(dtype)), expected)
        assert_same_fit(linreg_fast.fit(other, y, sample_weight=w.astype(dtype)), weighted)
        assert linreg_fast.fit(other, y).coef.dtype == np.float64
        np.testing.assert_allclose(expected.predict(other), expected.predict(X), rtol=1e-14)


def test_bool():
    rng = np.random.default_rng(0)
    X, y = rng.random((100, 3)) < 0.5, rng.random(100) < 0.5
    assert_same_fit(linreg_fast.fit(X, y), linreg_fast.fit(X.astype(float), y.astype(float)))


def test_float32_is_widened_before_anything_is_subtracted():
    X = (np.random.default_rng(0).standard_normal((2000, 3)) + 1e4).astype(np.float32)
    y = X.astype(float) @ [1.0, 2.0, 3.0]
    assert_same_fit(linreg_fast.fit(X, y), linreg_fast.fit(X.astype(float), y))


def test_objects_that_are_numbers():
    from decimal import Decimal
    from fractions import Fraction

    X = np.array([[1, 2.5], [Fraction(1, 4), Decimal("0.5")], [True, np.float32(3)], [0, 10**20]], dtype=object)
    y = [1.0, 2.0, 4.0, 3.0]
    assert_same_fit(linreg_fast.fit(X, y), linreg_fast.fit(X.astype(float), y))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones((5, 2)) * 1j, "X is complex"),
        ([["a", "b"]] * 5, "dtype <U1, which is not a number"),
        (np.full((5, 2), "2020-01-01", dtype="datetime64[D]"), "subtract a date"),
        (np.full((5, 2), 3, dtype="timedelta64[s]"), "divide by a unit"),
        (np.array([[1, 2], [3, "x"], [4, 5], [6, 7], [8, 9]], dtype=object), "'x' of type str at row 1, column 1"),
        (np.array([[1, "2"], [3, 4], [4, 5], [6, 7], [8, 9]], dtype=object), "'2' of type str at row 0, column 1"),
        (np.array([[1, 2], [3, 4], [4, 5], [6, 7], [8, 9j]], dtype=object), "9j of type complex at row 4, column 1"),
        (
            np.array([[1, 2], [pd.Timestamp(0), 4], [4, 5], [6, 7], [8, 9]], dtype=object),
            "Timestamp at row 1, column 0",
        ),
        (np.zeros(5, dtype=[("a", float), ("b", float)]), "not a number"),
        (pd.DataFrame({"a": range(5), "city": list("abcde")}), "column 'city' of X"),
        (pd.DataFrame({"a": range(5), "day": pd.date_range("2020-01-01", periods=5)}), "column 'day' of X"),
        (pd.DataFrame({"a": pd.Categorical(list("abcde"))}), "column 'a' of X"),
        (pl.DataFrame({"a": range(5), "city": list("abcde")}), "column 'city' of X"),
        (pa.table({"a": range(5), "city": list("abcde")}), "column 'city' of X"),
    ],
)
def test_kinds_that_are_no_numbers(value, message):
    with pytest.raises(TypeError, match=message):
        linreg_fast.fit(value, np.arange(5.0))


@pytest.mark.parametrize("where", ["X", "y"])
def test_numbers_beyond_the_range_of_float64(where):
    large, small = [[0], [1], [10**400], [3], [4]], np.arange(5.0)[:, None]
    pair = (large, small) if where == "X" else (small, large)
    with pytest.raises(ValueError, match=f"{where} has a number at row 2, column 0 that is beyond the range"):
        linreg_fast.fit(*pair)
    long = np.arange(5, dtype=np.longdouble)[:, None]
    long[2] = np.longdouble(2) ** 5000
    if np.isinf(long[2, 0]):
        pytest.skip("longdouble is float64 here")
    pair = (long, small) if where == "X" else (small, long)
    for call in (linreg_fast.fit, linreg_fast.Moments(1).update):
        with pytest.warns(linreg_fast.PrecisionWarning), pytest.raises(ValueError, match=f"{where} has inf at row 2"):
            call(*pair)


@pytest.mark.parametrize("bad", [np.ones(5) * 1j, list("abcde"), pd.Series(list("abcde")), {"a": 1}, object()])
def test_y_and_weights_that_are_no_numbers(bad):
    X = np.arange(10.0).reshape(5, 2)
    with pytest.raises(TypeError, match="y "):
        linreg_fast.fit(X, bad)
    with pytest.raises(TypeError, match="sample_weight "):
        linreg_fast.fit(X, np.arange(5.0), sample_weight=bad)


@pytest.mark.parametrize("value", [[[1, 2], [3]], [[1, 2], [3, 4, 5], [6, 7]]])
def test_ragged_lists(value):
    with pytest.raises((TypeError, ValueError), match="X "):
        linreg_fast.fit(value, np.arange(float(len(value))))


def test_none_among_objects_is_missing():
    X = np.array([[1, 2], [3, None], [4, 5], [6, 7], [8, 9]], dtype=object)
    with pytest.raises(ValueError, match="X has NaN at row 1, column 1"):
        linreg_fast.fit(X, np.arange(5.0))


def test_masked_values_are_an_error_and_a_mask_of_nothing_is_not():
    X, y, _, _ = problem(50, 2)
    masked = np.ma.array(X, mask=False)
    assert_same_fit(linreg_fast.fit(masked, y), linreg_fast.fit(X, y))
    masked[7, 1] = np.ma.masked
    with pytest.raises(ValueError, match=r"X has a masked value at \(7, 1\)"):
        linreg_fast.fit(masked, y)
    with pytest.raises(ValueError, match=r"y has a masked value at \(3,\)"):
        linreg_fast.fit(X, np.ma.array(y, mask=np.arange(50) == 3))


# frames


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
    assert_same_fit(found, expected)
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
    assert_same_fit(linreg_fast.fit(X, make(y)), linreg_fast.fit(X, y))
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
        assert_same_fit(linreg_fast.fit(X, frame), expected)


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
    assert_same_fit(linreg_fast.fit(OnlyArray(X), OnlyArray(y)), expected)
    with pytest.raises(TypeError, match="complex"):
        linreg_fast.fit(OnlyArray(X * 1j), y)


@pytest.mark.filterwarnings("ignore:.*interchange protocol.*")
@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_interchange_protocol(library):
    X, y = whole_problem()
    found = linreg_fast.fit(OnlyInterchange(frames(X)[library]), y)
    assert_same_fit(found, linreg_fast.fit(X, y))
    assert found.feature_names == ("height", "width", "depth", "mass")


# shapes


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((0, 2)), np.ones(0), "no rows"),
        ([], [], "no rows|dimensions"),
        (np.ones((5, 2)), np.ones(4), r"X has shape \(5, 2\), y \(4,\)"),
        (np.ones((5, 2)), np.ones((1, 5)), r"X has shape \(5, 2\), y \(1, 5\)"),
        (np.ones((5, 2, 1)), np.ones(5), r"X must have one or two dimensions, got shape \(5, 2, 1\)"),
        (np.ones((5, 2)), np.ones((5, 1, 1)), r"y must have one or two dimensions, got shape \(5, 1, 1\)"),
        (np.ones((5, 2)), np.ones((5, 0)), "y has no columns"),
        (3.0, np.ones(5), "X must have one or two dimensions, got a single number"),
        (np.ones((5, 2)), 3.0, "y must have one or two dimensions, got a single number"),
        (pd.DataFrame({"a": []}, dtype=float), [], "no rows"),
    ],
)
def test_shapes_that_do_not_fit(X, y, message):
    with pytest.raises(ValueError, match=message):
        linreg_fast.fit(X, y)
    with pytest.raises(ValueError, match=message):
        linreg_fast.cost(X, y, np.ones(2))


def test_names_that_do_not_fit():
    with pytest.raises(ValueError, match="feature_names has 3 names for the 2 columns"):
        linreg_fast.fit(np.ones((5, 2)), np.ones(5), feature_names=["a", "b", "c"])


@pytest.mark.parametrize("shape", [(4,), (5, 1), (6,), ()])
def test_weights_of_another_shape(shape):
    with pytest.raises(ValueError, match="sample_weight must have"):
        linreg_fast.fit(np.ones((5, 2)), np.ones(5), sample_weight=np.ones(shape))


# numbers that are none


def places(n):
    """First, last, and the edges of panels, shift rows and converted pieces."""
    return sorted({0, 1, 63, 64, 255, 256, 257, n // 2, n - 1})


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("layout", ["C", "F", "float32", "F float32", "strided"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(bad, layout, solver):
    """Row and column of the first one, before any solver sees it and with no warning."""
    n, p = 600, 3
    X, y, _, _ = problem(n, p)
    w = np.ones(n)
    what = "NaN" if np.isnan(bad) else str(bad)
    for row in places(n):
        for column in range(p):
            broken = X.astype(np.float32 if "float32" in layout else np.float64, order="F" if "F" in layout else "C")
            broken[row, column] = bad
            broken[min(row + 5, n - 1) :, p - 1] = bad  # a later one is not the first
            if row == n - 1 and column < p - 1:
                broken[row, p - 1] = 1.0
            broken = broken[::-1].copy()[::-1] if layout == "strided" else broken
            for weights in (None, w):
                with pytest.raises(ValueError, match=f"^X has {what} at row {row}, column {column}"):
                    linreg_fast.fit(broken, y, sample_weight=weights, solver=solver, **options(solver))
    ready = X.astype(np.float32 if "float32" in layout else np.float64, order="F" if "F" in layout else "C")
    ready = ready[::-1].copy()[::-1] if layout == "strided" else ready
    for row in places(n):
        broken = y.copy()
        broken[row:] = bad
        with pytest.raises(ValueError, match=f"^y has {what} at row {row};"):
            linreg_fast.fit(ready, broken, solver=solver, **options(solver))
        broken = w.copy()
        broken[row] = bad
        with pytest.raises(ValueError, match=f"^sample_weight has {str(bad).lower()} at row {row};"):
            linreg_fast.fit(ready, y, sample_weight=broken, solver=solver, **options(solver))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_in_cost_and_gradient(bad):
    X, y, coef, b0 = problem(600, 3)
    for function in (linreg_fast.cost, linreg_fast.gradient):
        for row in places(600):
            broken = X.copy()
            broken[row, 1] = bad
            with pytest.raises(ValueError, match=f"^X has .* at row {row}, column 1"):
                function(broken, y, coef, b0)
            broken = y.copy()
            broken[row] = bad
            with pytest.raises(ValueError, match=f"^y has .* at row {row}"):
                function(X, broken, coef, b0)
        with pytest.raises(ValueError, match=r"coef has .* at position 1"):
            function(X, y, [1.0, bad, 2.0], b0)
        with pytest.raises(ValueError, match="intercept must be finite"):
            function(X, y, coef, bad)


def test_not_finite_in_a_wide_table():
    X, y, _, _ = problem(5, 9)
    X[3, 7] = np.nan
    with pytest.raises(ValueError, match="X has NaN at row 3, column 7"):
        linreg_fast.fit(X, y)
    X, y, _, _ = problem(5, 9)
    y[2] = np.inf
    with pytest.raises(ValueError, match="y has inf at row 2"):
        linreg_fast.fit(X, y)
    X, y, _, _ = problem(5, 9)
    with pytest.raises(ValueError, match=r"sample_weight has -1.0 at row 4"):
        linreg_fast.fit(X, y, sample_weight=[1, 1, 1, 1, -1])


def test_not_finite_in_one_of_several_targets():
    X, y, _, _ = problem(300, 3)
    Y = np.column_stack([y, y, y])
    Y[256, 1] = np.nan
    with pytest.raises(ValueError, match="y has NaN at row 256, column 1"):
        linreg_fast.fit(X, Y)


@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_out_of_range(solver):
    X, y, _, _ = problem(300, 3)
    for row in places(300):
        w = np.ones(300)
        w[row] = -0.5
        with pytest.raises(
            ValueError, match=f"sample_weight has -0.5 at row {row}; weights must be finite and not neg"
        ):
            linreg_fast.fit(X, y, sample_weight=w, solver=solver, **options(solver))
    with pytest.raises(ValueError, match="sample_weight"):
        linreg_fast.fit(X, y, sample_weight=np.zeros(300), solver=solver, **options(solver))
    for function in (linreg_fast.cost, linreg_fast.gradient):
        with pytest.raises(ValueError, match=r"sample_weight has -0\.5"):
            function(X, y, np.ones(3), sample_weight=w)
        with pytest.raises(ValueError, match="sample_weight"):
            function(X, y, np.ones(3), sample_weight=np.zeros(300))


def test_weights_all_zero_in_a_wide_table():
    X, y, _, _ = problem(5, 9)
    with pytest.raises(ValueError, match="no positive weight"):
        linreg_fast.fit(X, y, sample_weight=np.zeros(5))


@pytest.mark.parametrize("solver", SOLVERS)
def test_rows_of_weight_zero_may_hold_anything(solver):
    X, y, _, _ = problem(600, 3)
    w = np.random.default_rng(1).random(600) + 0.5
    absent = np.zeros(600, bool)
    absent[places(600)] = True
    w[absent] = 0.0
    expected = linreg_fast.fit(X[~absent], y[~absent], sample_weight=w[~absent], solver=solver, **options(solver))
    X[absent], y[absent] = np.nan, -np.inf
    for other in (X, np.asfortranarray(X), X[::-1].copy()[::-1]):
        found = linreg_fast.fit(other, y, sample_weight=w, solver=solver, **options(solver))
        assert_same_fit(found, expected)
        np.testing.assert_allclose(found.rss, expected.rss, rtol=1e-13, atol=1e-14 * expected.tss)
        np.testing.assert_allclose(found.tss, expected.tss, rtol=1e-12)


# nothing is written


def checksum(*arrays):
    return [hashlib.sha256(np.asarray(a).tobytes()).hexdigest() for a in arrays]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("layout", ["C", "F", "float32", "strided", "int64", "wide", "scaled"])
def test_inputs_are_never_written_to(layout, solver):
    n, p = (6, 9) if layout == "wide" else (300, 3)
    if layout == "wide" and solver in ("cholesky", "qr"):
        pytest.skip(f"{solver} does not take more columns than rows")
    X, y, _, _ = problem(n, p)
    X = {
        "F": np.asfortranarray(X),
        "float32": X.astype(np.float32),
        "strided": X[::-1].copy()[::-1],
        "int64": (X * 100).astype(np.int64),
        "scaled": X * 1e200,
    }.get(layout, X)
    w = np.random.default_rng(0).integers(0, 3, n).astype(float)
    w[0] = 1.0
    before = checksum(X, y, w)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", linreg_fast.RankWarning)
        for weights in (None, w):
            fit = linreg_fast.fit(X, y, sample_weight=weights, solver=solver, **options(solver))
            fit.predict(X)
            if layout != "scaled":
                linreg_fast.cost(X, y, fit.coef, fit.intercept, sample_weight=weights)
                linreg_fast.gradient(X, y, fit.coef, fit.intercept, sample_weight=weights)
            assert checksum(X, y, w) == before


def test_a_failed_call_changes_nothing():
    X, y, _, _ = problem(300, 3)
    X[299, 2] = np.nan
    before = checksum(X, y)
    for solver in SOLVERS:
        with pytest.raises(ValueError, match="row 299"):
            linreg_fast.fit(X, y, solver=solver, **options(solver))
    assert checksum(X, y) == before


@pytest.mark.parametrize("names", [[0, 1, 2], [1, "a", (2, 3)], ["a", None, "b"]])
@pytest.mark.parametrize("kind", [float, int, "Float64"])
def test_frames_whose_column_names_are_not_text(names, kind):
    X, y, _, _ = problem(50, 3)
    X = np.round(4 * X)
    frame = pd.DataFrame(X, columns=names).astype(kind)
    fit = linreg_fast.fit(frame, y)
    assert fit.feature_names == tuple(str(name) for name in frame.columns.tolist())
    assert_same_fit(fit, linreg_fast.fit(X, y))


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
    with pytest.raises(TypeError, match="y has dtype Categorical"):
        linreg_fast.fit(np.arange(3.0), y)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "X is a NoneType, not an array of numbers"),
        ({"a": 1}, "X is a dict, not an array"),
        (iter([1.0, 2.0]), "X is a list_iterator, not an array"),
        (scipy.sparse.csr_array(np.eye(3)), "X is a csr_array, not an array of numbers; sparse input is not supported"),
    ],
)
def test_things_that_are_no_array(value, message):
    with pytest.raises(TypeError, match=message):
        linreg_fast.fit(value, np.arange(3.0))
    with pytest.raises(TypeError, match=message):
        linreg_fast.fit(np.eye(3)[:, :2], np.arange(3.0), solver="svd").predict(value)


@pytest.mark.parametrize("names", ["ab", b"ab", {"a", "b"}, 2])
def test_feature_names_that_are_no_sequence_of_names(names):
    with pytest.raises(TypeError, match="feature_names must be a sequence of names"):
        linreg_fast.fit(np.eye(5)[:, :2], np.arange(5.0), feature_names=names)


@pytest.mark.parametrize(
    ("l2", "error"),
    [
        ([], TypeError),
        ("", TypeError),
        (None, TypeError),
        (False, TypeError),
        (np.True_, TypeError),
        (np.array([1.0, 2.0]), TypeError),
        (pd.NA, TypeError),
        (10**400, ValueError),
        (-np.float64(1), ValueError),
    ],
)
def test_penalties_that_are_none(l2, error):
    with pytest.raises(error, match="l2 must be"):
        linreg_fast.fit(np.eye(5)[:, :2], np.arange(5.0), l2=l2)


# numbers that float64 does not hold


@pytest.mark.parametrize("dtype", ["int64", "uint64", "longdouble"])
@pytest.mark.parametrize("where", ["X", "y", "sample_weight"])
def test_numbers_that_are_rounded(dtype, where):
    a = {"X": np.arange(12.0).reshape(6, 2) ** 2, "y": np.arange(6.0), "sample_weight": np.ones(6)}
    a[where] = a[where].astype(dtype)
    if dtype == "longdouble" and np.finfo(dtype).nmant == 52:
        pytest.skip("longdouble is float64 here")
    plain = linreg_fast.fit(**a)  # small ones are not
    a[where].flat[3] = 2**53
    linreg_fast.fit(**a)
    a[where].flat[3] += 1
    place = {"X": "row 1, column 1"}.get(where, "row 3")
    with pytest.warns(
        linreg_fast.PrecisionWarning, match=rf"{where} has 9007199254740993(\.0)? of .* at {place}"
    ) as caught:
        fit = linreg_fast.fit(**a)
    assert caught[0].filename == __file__
    assert np.isfinite(fit.coef).all()
    assert plain.digits > 5


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_large_integers_that_float64_holds(dtype):
    """Even ones, up to the last there is; the largest of the dtype is not one of them."""
    last = np.iinfo(dtype).max
    X = np.array([0, 2**53 + 2, 2**62, last - 2**11 + 1], dtype=dtype)
    linreg_fast.fit(X, np.arange(4.0))
    X[1] = last
    with pytest.warns(linreg_fast.PrecisionWarning, match=f"X has {last} of {dtype} at row 1"):
        linreg_fast.fit(X[:, None], np.arange(4.0)).predict([[1.0]])


def test_prediction_from_numbers_that_are_rounded():
    fit = linreg_fast.fit(np.arange(4.0), np.arange(4.0))
    with pytest.warns(linreg_fast.PrecisionWarning, match="X has -9007199254740993 of int64 at row 0") as caught:
        fit.predict(np.array([[-(2**53) - 1]]))
    assert caught[0].filename == __file__


def test_large_coefficients_do_not_overflow_in_the_checks():
    X, y = np.eye(3), np.zeros(3)
    cost, gradient, _ = linreg_fast.gradient(X * 1e-150, y, np.array([1e200, 1.0, 1.0]))
    assert cost == pytest.approx(1e100 / 6)
    assert gradient[0] == pytest.approx(1e-100 / 3)
    cost, gradient, _ = linreg_fast.gradient(X, y, np.array([1e140, 1.0, 1.0]))
    assert cost == pytest.approx(1e280 / 6)
