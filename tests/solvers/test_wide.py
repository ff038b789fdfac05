"""No more rows than columns: minimum norm and ridge, refined through the dual problem."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest
from support.compare import coefficients
from support.exact import exact_minimum_norm, exact_ridge, lre, worst_lre

import linreg_fast
from linreg_fast import RankWarning
from linreg_fast.solvers import wide

pytestmark = pytest.mark.numerics


def exact(X, y, fit_intercept, w=None, l2=0.0):
    """Minimum norm, which takes no weights where every row is fitted, or ridge."""
    return exact_ridge(X, y, l2, fit_intercept, w) if l2 else exact_minimum_norm(X, y, fit_intercept)[0]


def fit(X, y, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", RankWarning)
        return linreg_fast.fit(X, y, **options)


def wide_problem(n, p, seed=0, offset=0.0):
    rng = np.random.default_rng([seed, n, p])
    return rng.standard_normal((n, p)) + offset, rng.standard_normal(n) + offset


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [(2, 2), (2, 5), (4, 4), (5, 9), (7, 30)])
@pytest.mark.parametrize("offset", [0.0, 1e6, 1e12])
@pytest.mark.parametrize("l2", [0.0, 1e-6, 3.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_extended_is_full(fit_intercept, shape, offset, l2, weighted):
    if offset == 1e12 and not fit_intercept:
        return  # the rows are those of one row, to float64
    X, y = wide_problem(*shape, offset=offset)
    w = np.random.default_rng(0).uniform(0.5, 2.0, shape[0]) if weighted else None
    one = fit(X, y, sample_weight=w, l2=l2, fit_intercept=fit_intercept, precision="extended")
    assert worst_lre(coefficients(one), exact(X, y, fit_intercept, w, l2)) >= 15.0
    assert one.digits >= 15.0


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("offset", [0.0, 1e6, 1e12])
@pytest.mark.parametrize("precision", ["fast", "auto"])
@pytest.mark.parametrize("l2", [0.0, 1.0])
def test_digits_are_honest(fit_intercept, offset, precision, l2):
    if offset == 1e12 and not fit_intercept:
        return
    for seed in range(10):
        X, y = wide_problem(3, 6, seed, offset)
        one = fit(X, y, fit_intercept=fit_intercept, precision=precision, l2=l2)
        assert worst_lre(coefficients(one), exact(X, y, fit_intercept, l2=l2)) >= one.digits - 1.5
        assert precision == "fast" or one.digits >= 10


def test_ill_conditioned_rows():
    X, y = wide_problem(4, 8)
    X[3] = X[0] + 1e-7 * X[3]
    expected = exact(X, y, True)
    for precision, least in (("auto", 9), ("extended", 15)):
        assert worst_lre(coefficients(fit(X, y, precision=precision)), expected) >= least


@pytest.mark.parametrize("epsilon", [1e-5, 1e-8, 1e-9, 1e-10, 1e-11])
def test_digits_where_rows_are_nearly_dependent(epsilon):
    """The terms of b = D'u cancel: u is as large as the square of the condition number."""
    X, y = np.column_stack([np.ones(3), epsilon * np.eye(3)]), np.array([1.0, 2.0, 3.0])
    expected = exact(X, y, False)
    for precision in ("auto", "extended"):
        one = fit(X, y, fit_intercept=False, precision=precision)
        assert worst_lre(coefficients(one), expected) >= one.digits - 1.5


def test_digits_of_an_intercept_beside_centred_columns():
    X, y = wide_problem(3, 8)
    X, y = np.concatenate([X, -X]), np.concatenate([y, y])
    y += 1e-6 - y.mean()
    one = fit(X, y, precision="fast")
    mean = sum(Fraction(v) for v in y.tolist()) / 6
    assert lre(one.intercept, mean) >= one.digits - 1.5
    assert one.digits <= 11


def test_columns_of_very_different_size():
    X, y = wide_problem(3, 5)
    X *= 10.0 ** np.array([0, 8, -8, 3, -20])
    one = fit(X, y, precision="extended")
    assert worst_lre(coefficients(one), exact(X, y, True)) >= 15.0


@pytest.mark.parametrize("precision", ["fast", "extended"])
@pytest.mark.parametrize("scale", [1e-250, 1e250])
def test_columns_from_end_to_end_of_the_range(precision, scale):
    """As many columns as rows: every one of them is needed."""
    X, y = wide_problem(3, 3)
    X[:, 1] *= scale
    X[:, 2] /= scale
    one = fit(X, y, fit_intercept=False, precision=precision)
    assert worst_lre(coefficients(one), exact(X, y, False)) >= (15.0 if precision == "extended" else 12.0)
    X, y = wide_problem(3, 5)
    X[:, 1] *= scale
    assert fit(X, y, precision=precision).rank == 2
    assert fit(X, y, on_collinear="drop", precision=precision).dropped == (2, 3, 4)


def test_piece_by_piece(monkeypatch):
    X, y = wide_problem(4, 50)
    whole = fit(X, y, precision="extended")
    monkeypatch.setattr(wide, "PAIR_BYTES", 1)
    pieces = fit(X, y, precision="extended")
    np.testing.assert_allclose(pieces.coef, whole.coef, rtol=2.0**-52)


def test_several_targets():
    X, y = wide_problem(4, 9, offset=5.0)
    Y = np.column_stack([y, 1e200 * y**2, 1e-200 * y**3])
    several = fit(X, Y, precision="extended")
    for t in range(3):
        assert worst_lre([*several.coef[t], several.intercept[t]], exact(X, Y[:, t], True)) >= 15.0
    np.testing.assert_array_equal(several.r2, 1.0)


def test_rows_that_repeat_are_not_refined():
    """D D' is singular: the coefficients of the SVD stand, with their digits."""
    X, y = wide_problem(4, 9)
    X, y = np.vstack([X, X[:2]]), np.append(y, y[:2] + np.array([1.0, -1.0]))
    one = fit(X, y, precision="extended")
    mean = X[:4], np.append(y[:2] + np.array([0.5, -0.5]), y[2:4])
    assert 10 < one.digits < 15.9
    np.testing.assert_allclose(one.coef, fit(*mean, sample_weight=[2.0, 2, 1, 1]).coef, rtol=1e-9)


@pytest.mark.parametrize("precision", ["fast", "extended"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_few_columns_that_vary(precision, fit_intercept):
    """Dummy variables, most of them without a row: fewer columns than rows are left."""
    group = np.array([0, 3, 3, 7, 0, 7, 3, 0])
    X, y = (group[:, None] == np.arange(10)).astype(float), np.arange(8.0) ** 2
    for on_collinear in ("min_norm", "drop"):
        one = fit(X, y, precision=precision, fit_intercept=fit_intercept, on_collinear=on_collinear)
        assert one.rank == 3 - fit_intercept
        means = {g: y[group == g].mean() for g in (0, 3, 7)}
        np.testing.assert_allclose(one.predict(X), [means[g] for g in group], rtol=1e-13)


def test_dropped_columns():
    X, y = wide_problem(3, 5)
    one = fit(X, y, on_collinear="drop", precision="extended")
    assert one.dropped == (2, 3, 4)
    assert worst_lre([*one.coef[:2], one.intercept], exact(X[:, :2], y, True)) >= 15.0


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e300])
@pytest.mark.parametrize("precision", ["fast", "extended"])
def test_units_of_x(scale, precision):
    X, y = wide_problem(4, 7)
    for l2 in (0.0, 1.0):
        one = fit(X * scale, y, l2=l2, precision=precision)
        expected = [float(v * Fraction(scale)) for v in exact(X * scale, y, True, l2=l2)[:-1]]
        np.testing.assert_allclose(one.coef * scale, expected, rtol=1e-11)


def test_residuals_of_ridge():
    X, y = wide_problem(4, 7)
    w = np.array([1.0, 2.0, 0.5, 4.0])
    for fit_intercept in (True, False):
        one = fit(X, y, sample_weight=w, l2=1e-3, fit_intercept=fit_intercept, precision="extended")
        b = exact(X, y, fit_intercept, w, 1e-3)
        left = [
            Fraction(float(v)) - sum(Fraction(float(a)) * c for a, c in zip(row, b[:7], strict=True)) - sum(b[7:])
            for row, v in zip(X, y, strict=True)
        ]
        rss = sum(Fraction(float(a)) * r * r for a, r in zip(w, left, strict=True))
        assert one.rss == pytest.approx(float(rss), rel=1e-13)
