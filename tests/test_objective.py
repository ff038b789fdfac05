"""cost and gradient, against their NumPy twin and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.problems import problem

import linreg_fast
from linreg_fast import reference

pytestmark = pytest.mark.numerics


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("weighted", [False, True])
def test_cost_and_gradient(dtype, order, weighted):
    X, y, coef, b0 = problem(500, 4, offset=1.0)
    X = np.asarray(X, dtype=dtype, order=order)
    w = np.random.default_rng(0).integers(0, 3, 500).astype(float) if weighted else None
    total = 500 if w is None else w.sum()
    twin = reference.gradient(X, y, w, coef * 2, b0)[:-1] / total
    cost, slopes, intercept = linreg_fast.gradient(X, y, coef * 2, b0, sample_weight=w)
    np.testing.assert_allclose([cost, *slopes, intercept], twin, rtol=1e-12)
    assert linreg_fast.cost(X, y, coef * 2, b0, sample_weight=w) == pytest.approx(twin[0], rel=1e-13)
    assert isinstance(cost, float)
    assert isinstance(intercept, float)
    fit = linreg_fast.fit(X, y, sample_weight=w)
    at_fit = linreg_fast.gradient(X, y, fit.coef, fit.intercept, sample_weight=w)
    assert at_fit[0] == pytest.approx(fit.cost, rel=1e-9)
    np.testing.assert_allclose([*at_fit[1], at_fit[2]], 0.0, atol=1e-12)


def test_cost_and_gradient_check_their_arguments():
    X, y, coef, b0 = problem(50, 3)
    for function in (linreg_fast.cost, linreg_fast.gradient):
        with pytest.raises(ValueError, match=r"coef must have shape \(3,\), got \(2,\)"):
            function(X, y, coef[:2], b0)
        with pytest.raises(ValueError, match="y must have one target"):
            function(X, np.column_stack([y, y]), coef, b0)
        with pytest.raises(TypeError, match="intercept must be a number"):
            function(X, y, coef, "zero")
        with pytest.raises(TypeError, match="coef"):
            function(X, y, ["a", "b", "c"], b0)


@given(st.integers(0, 2**31), st.integers(1, 6), st.booleans())
def test_gradient_is_that_of_the_cost(seed, p, weighted):
    """Central differences of a quadratic are exact but for rounding."""
    rng = np.random.default_rng(seed)
    X, y, b = rng.standard_normal((40, p)), rng.standard_normal(40), rng.standard_normal(p + 1)
    w = rng.random(40) if weighted else None

    def J(b):
        return linreg_fast.cost(X, y, b[:p], b[p], sample_weight=w)

    _, slopes, intercept = linreg_fast.gradient(X, y, b[:p], b[p], sample_weight=w)
    for j, found in enumerate([*slopes, intercept]):
        h = np.zeros(p + 1)
        h[j] = 0.5
        assert found == pytest.approx(J(b + h) - J(b - h), abs=1e-12 * (1 + J(b)), rel=1e-11)


def test_large_coefficients_do_not_overflow_in_the_checks():
    X, y = np.eye(3), np.zeros(3)
    cost, gradient, _ = linreg_fast.gradient(X * 1e-150, y, np.array([1e200, 1.0, 1.0]))
    assert cost == pytest.approx(1e100 / 6)
    assert gradient[0] == pytest.approx(1e-100 / 3)
    cost, gradient, _ = linreg_fast.gradient(X, y, np.array([1e140, 1.0, 1.0]))
    assert cost == pytest.approx(1e280 / 6)
