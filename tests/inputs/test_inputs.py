"""What a user may hand in: every layout, dtype and shape, and every wrong one; nothing is written to."""

from __future__ import annotations

import hashlib
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from conftest import EVERY_SOLVER
from support.compare import assert_same_coefficients
from support.problems import problem, whole_problem

import linreg_fast
from linreg_fast.inputs import checks

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


@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_layouts(solver, tmp_path):
    X, y, _, _ = problem(300, 4, offset=2.0)
    expected = linreg_fast.fit(X, y, solver=solver, **EVERY_SOLVER[solver])
    for name, other in every_layout(X, tmp_path).items():
        found = linreg_fast.fit(other, y, solver=solver, **EVERY_SOLVER[solver])
        try:
            assert_same_coefficients(found, expected)
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
            assert_same_coefficients(linreg_fast.fit(X, y, sample_weight=other), expected)


def test_layouts_of_a_table_of_many_pieces(monkeypatch):
    """Converted piece by piece: pieces of rows join without a gap."""
    monkeypatch.setattr(checks, "CONVERT_BYTES", 1)
    X, y, _, _ = problem(1000, 3, offset=5.0)
    w = np.arange(1000.0) % 7
    expected = linreg_fast.fit(X, y, sample_weight=w)
    for other in (X[::-1].copy()[::-1], X.astype(">f8"), X.tolist()):
        assert_same_coefficients(linreg_fast.fit(other, y, sample_weight=w), expected)
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
        assert_same_coefficients(linreg_fast.fit(other, y), expected)
        assert_same_coefficients(linreg_fast.fit(other, y.astype(dtype)), expected)
        assert_same_coefficients(linreg_fast.fit(other, y, sample_weight=w.astype(dtype)), weighted)
        assert linreg_fast.fit(other, y).coef.dtype == np.float64
        np.testing.assert_allclose(expected.predict(other), expected.predict(X), rtol=1e-14)


def test_bool():
    rng = np.random.default_rng(0)
    X, y = rng.random((100, 3)) < 0.5, rng.random(100) < 0.5
    assert_same_coefficients(linreg_fast.fit(X, y), linreg_fast.fit(X.astype(float), y.astype(float)))


def test_float32_is_widened_before_anything_is_subtracted():
    X = (np.random.default_rng(0).standard_normal((2000, 3)) + 1e4).astype(np.float32)
    y = X.astype(float) @ [1.0, 2.0, 3.0]
    assert_same_coefficients(linreg_fast.fit(X, y), linreg_fast.fit(X.astype(float), y))


def test_objects_that_are_numbers():
    from decimal import Decimal
    from fractions import Fraction

    X = np.array([[1, 2.5], [Fraction(1, 4), Decimal("0.5")], [True, np.float32(3)], [0, 10**20]], dtype=object)
    y = [1.0, 2.0, 4.0, 3.0]
    assert_same_coefficients(linreg_fast.fit(X, y), linreg_fast.fit(X.astype(float), y))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones((5, 2)) * 1j, "X is complex"),
        ([["a", "b"]] * 5, "'a' of type str at row 0, column 0"),
        ([[1.0, 2.0]] * 3 + [[1.0, "b"]] * 2, "'b' of type str at row 3, column 1"),
        (np.array([["a", "b"]] * 5), "dtype <U1, which is not a number"),
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


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool", "object"])
def test_masked_values_are_missing_and_a_mask_of_nothing_is_not(dtype):
    X, y, _, _ = problem(50, 2)
    X = (4 * X).round().astype("int64").astype(dtype)
    masked = np.ma.array(X, mask=False)
    assert_same_coefficients(linreg_fast.fit(masked, y), linreg_fast.fit(X, y))
    masked[7, 1] = np.ma.masked
    with pytest.raises(ValueError, match="X has NaN at row 7, column 1"):
        linreg_fast.fit(masked, y)
    with pytest.raises(ValueError, match="y has NaN at row 3"):
        linreg_fast.fit(X, np.ma.array(y, mask=np.arange(50) == 3))
    kept = np.arange(50) != 7
    assert_same_coefficients(linreg_fast.fit(masked, y, missing="drop"), linreg_fast.fit(X[kept], y[kept]))
    assert np.isnan(linreg_fast.fit(X, y).predict(masked)[7])


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


# nothing is written


def checksum(*arrays):
    return [hashlib.sha256(np.asarray(a).tobytes()).hexdigest() for a in arrays]


@pytest.mark.parametrize("solver", EVERY_SOLVER)
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
            fit = linreg_fast.fit(X, y, sample_weight=weights, solver=solver, **EVERY_SOLVER[solver])
            fit.predict(X)
            if layout != "scaled":
                linreg_fast.cost(X, y, fit.coef, fit.intercept, sample_weight=weights)
                linreg_fast.gradient(X, y, fit.coef, fit.intercept, sample_weight=weights)
            assert checksum(X, y, w) == before


def test_a_failed_call_changes_nothing():
    X, y, _, _ = problem(300, 3)
    X[299, 2] = np.nan
    before = checksum(X, y)
    for solver in EVERY_SOLVER:
        with pytest.raises(ValueError, match="row 299"):
            linreg_fast.fit(X, y, solver=solver, **EVERY_SOLVER[solver])
    assert checksum(X, y) == before


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
