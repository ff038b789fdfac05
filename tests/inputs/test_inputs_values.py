"""Numbers that are none, weights out of range, numbers that float64 does not hold."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import EVERY_SOLVER
from support.compare import assert_same_coefficients
from support.problems import problem

import linreg_fast


def places(n):
    """First, last, and the edges of panels, shift rows and converted pieces."""
    return sorted({0, 1, 63, 64, 255, 256, 257, n // 2, n - 1})


@pytest.mark.parametrize("solver", EVERY_SOLVER)
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
                    linreg_fast.fit(broken, y, sample_weight=weights, solver=solver, **EVERY_SOLVER[solver])
    ready = X.astype(np.float32 if "float32" in layout else np.float64, order="F" if "F" in layout else "C")
    ready = ready[::-1].copy()[::-1] if layout == "strided" else ready
    for row in places(n):
        broken = y.copy()
        broken[row:] = bad
        with pytest.raises(ValueError, match=f"^y has {what} at row {row};"):
            linreg_fast.fit(ready, broken, solver=solver, **EVERY_SOLVER[solver])
        broken = w.copy()
        broken[row] = bad
        with pytest.raises(ValueError, match=f"^sample_weight has {str(bad).lower()} at row {row};"):
            linreg_fast.fit(ready, y, sample_weight=broken, solver=solver, **EVERY_SOLVER[solver])


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


@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_weights_out_of_range(solver):
    X, y, _, _ = problem(300, 3)
    for row in places(300):
        w = np.ones(300)
        w[row] = -0.5
        with pytest.raises(
            ValueError, match=f"sample_weight has -0.5 at row {row}; weights must be finite and not neg"
        ):
            linreg_fast.fit(X, y, sample_weight=w, solver=solver, **EVERY_SOLVER[solver])
    with pytest.raises(ValueError, match="sample_weight"):
        linreg_fast.fit(X, y, sample_weight=np.zeros(300), solver=solver, **EVERY_SOLVER[solver])
    for function in (linreg_fast.cost, linreg_fast.gradient):
        with pytest.raises(ValueError, match=r"sample_weight has -0\.5"):
            function(X, y, np.ones(3), sample_weight=w)
        with pytest.raises(ValueError, match="sample_weight"):
            function(X, y, np.ones(3), sample_weight=np.zeros(300))


def test_weights_all_zero_in_a_wide_table():
    X, y, _, _ = problem(5, 9)
    with pytest.raises(ValueError, match="no positive weight"):
        linreg_fast.fit(X, y, sample_weight=np.zeros(5))


@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_rows_of_weight_zero_may_hold_anything(solver):
    X, y, _, _ = problem(600, 3)
    w = np.random.default_rng(1).random(600) + 0.5
    absent = np.zeros(600, bool)
    absent[places(600)] = True
    w[absent] = 0.0
    expected = linreg_fast.fit(X[~absent], y[~absent], sample_weight=w[~absent], solver=solver, **EVERY_SOLVER[solver])
    X[absent], y[absent] = np.nan, -np.inf
    for other in (X, np.asfortranarray(X), X[::-1].copy()[::-1]):
        found = linreg_fast.fit(other, y, sample_weight=w, solver=solver, **EVERY_SOLVER[solver])
        assert_same_coefficients(found, expected)
        np.testing.assert_allclose(found.rss, expected.rss, rtol=1e-13, atol=1e-14 * expected.tss)
        np.testing.assert_allclose(found.tss, expected.tss, rtol=1e-12)


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
