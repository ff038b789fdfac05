"""Fits near the ends of the range of float64, and beside large offsets."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from conftest import CLOSED, intercepts, solvers
from support.exact import exact_fit, worst_lre
from support.problems import problem, whole_problem

import linreg_fast
from linreg_fast import Moments, RankWarning

pytestmark = pytest.mark.numerics


@solvers
@pytest.mark.parametrize("precision", ["auto", "extended"])
@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e300, 1e-300])
def test_scale_of_x(solver, scale, precision):
    X, y, _, _ = problem(200, 3, offset=1.0)
    fit = linreg_fast.fit(X, y, solver=solver, precision=precision)
    scaled = linreg_fast.fit(X * scale, y, solver=solver, precision=precision)
    assert scaled.digits > 11
    np.testing.assert_allclose(scaled.coef * scale, fit.coef, rtol=1e-12)
    assert scaled.intercept == pytest.approx(fit.intercept, rel=1e-11)
    assert scaled.rss == pytest.approx(fit.rss, rel=1e-10)
    np.testing.assert_allclose(scaled.predict(X * scale), fit.predict(X), rtol=1e-11)


@solvers
@pytest.mark.parametrize("precision", ["auto", "extended"])
@pytest.mark.parametrize("scale", [1e150, 1e-150, 1e-300])
def test_scale_of_y(solver, scale, precision):
    X, y, _, _ = problem(200, 3, offset=1.0)
    fit = linreg_fast.fit(X, y, solver=solver, precision=precision)
    scaled = linreg_fast.fit(X, y * scale, solver=solver, precision=precision)
    assert scaled.digits > 11
    np.testing.assert_allclose(scaled.coef / scale, fit.coef, rtol=1e-12)
    assert scaled.intercept / scale == pytest.approx(fit.intercept, rel=1e-11)
    if scale > 1e-200:  # below, rss itself leaves the range of float64
        assert scaled.r2 == pytest.approx(fit.r2, rel=1e-10)


@solvers
@intercepts
@pytest.mark.parametrize("order", ["C", "F"])
def test_columns_of_very_different_scale(solver, fit_intercept, order):
    X, y, _, _ = problem(200, 3)
    D = np.array([1e150, 1.0, 1e-150])
    fit = linreg_fast.fit(X, y, solver=solver, fit_intercept=fit_intercept)
    scaled = linreg_fast.fit(np.asarray(X * D, order=order), y, solver=solver, fit_intercept=fit_intercept)
    np.testing.assert_allclose(scaled.coef * D, fit.coef, rtol=1e-12)
    assert scaled.rank == 3


@pytest.mark.parametrize("precision", ["auto", "extended"])
def test_subnormal_column(precision):
    """Its numbers have few bits, its slope is large: the fitted values are those of the same column in range."""
    X, y, _, _ = problem(200, 3)
    X[:, 1] = np.round(X[:, 1] * 1e3) / 1e3
    tiny = X.copy()
    tiny[:, 1] *= 1e-310
    back = X.copy()
    back[:, 1] = np.ldexp(tiny[:, 1], 1000) / 2.0**-30  # what is left of the column, in range
    fit = linreg_fast.fit(tiny, y * 1e-10, precision=precision)
    expected = linreg_fast.fit(back, y * 1e-10, precision=precision)
    np.testing.assert_allclose(fit.coef[[0, 2]], expected.coef[[0, 2]], rtol=1e-11)
    assert fit.rank == 3
    assert fit.rss == pytest.approx(expected.rss, rel=1e-9)


def test_coefficient_out_of_range_names_its_column():
    X, y, _, _ = problem(200, 2)
    X[:, 1] *= 1e-310
    with pytest.raises(ValueError, match=r"coefficient of column 1 \('b'\) of X leaves the range of float64"):
        linreg_fast.fit(X, y * 1e10, feature_names=["a", "b"])


def test_float32_at_the_end_of_its_range():
    X, y, _, _ = problem(200, 3)
    fit = linreg_fast.fit((X * 1e37).astype(np.float32), y)
    expected = linreg_fast.fit((X * 1e37).astype(np.float32).astype(float) / 1e37, y)
    np.testing.assert_allclose(fit.coef * 1e37, expected.coef, rtol=1e-12)


@pytest.mark.parametrize("value", [1.7e308, -1.7e308])
def test_largest_numbers(value):
    """Sums of leading rows and differences of finite numbers may overflow."""
    x = np.linspace(-1.0, 1.0, 300) * value
    fit = linreg_fast.fit(x, np.linspace(-1.0, 1.0, 300))
    assert fit.slope * value == pytest.approx(1.0, rel=1e-12)


@solvers
@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_weights_near_the_ends_of_the_range(solver, scale):
    X, y, _, _ = problem(60, 3)
    w = np.random.default_rng(0).uniform(0.5, 2.0, 60)
    fit, other = (linreg_fast.fit(X, y, sample_weight=v, solver=solver) for v in (w, w * scale))
    np.testing.assert_allclose(other.coef, fit.coef, rtol=1e-10)
    np.testing.assert_allclose(other.stderr, fit.stderr, rtol=1e-10)
    np.testing.assert_allclose([other.r2, other.rss / scale, other.tss / scale], [fit.r2, fit.rss, fit.tss], rtol=1e-10)


def test_weights_that_reach_from_end_to_end():
    X, y, _, _ = problem(60, 3)
    w = np.where(np.arange(60) < 30, 1e300, 1e-300)
    np.testing.assert_allclose(
        linreg_fast.fit(X, y, sample_weight=w).coef, linreg_fast.fit(X[:30], y[:30]).coef, rtol=1e-10
    )


@pytest.mark.parametrize(
    "options", [{"solver": "qr"}, {"precision": "extended"}, {"l2": 2.0}, {"fit_intercept": False}]
)
@pytest.mark.parametrize("noise", [0.0, 1e-5, 0.1])
def test_sums_of_squares_beyond_the_range(options, noise):
    """r2 and stderr are those of other units of y, rss and tss what float64 can hold of them."""
    X, y, _, _ = problem(60, 3, noise=noise)
    fit = linreg_fast.fit(X, y, **options)
    for scale in (1e200, 1e-200):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            scaled = linreg_fast.fit(X, y * scale, **options)
            assert scaled.rss == scaled.tss == scaled.cost == (np.inf if scale > 1 and noise else 0.0) or not noise
            assert scaled.tss == (np.inf if scale > 1 else 0.0)
        np.testing.assert_allclose(scaled.coef, fit.coef * scale, rtol=1e-10)
        assert scaled.r2 == pytest.approx(fit.r2, abs=1e-12)
        if noise:
            np.testing.assert_allclose(scaled.stderr, fit.stderr * scale, rtol=1e-8)
            assert scaled.residual_std == pytest.approx(fit.residual_std * scale, rel=1e-8)


def test_descent_of_squares_beyond_the_range():
    X, y, _, _ = problem(60, 3)
    fit, scaled = (linreg_fast.fit(X, y * s, solver="gd", max_iter=20_000) for s in (1.0, 1e-200))
    np.testing.assert_allclose(scaled.coef, fit.coef * 1e-200, rtol=1e-6)
    assert scaled.r2 == pytest.approx(fit.r2, abs=1e-9)
    for passes in ("moments", "data"):
        with pytest.raises(ValueError, match=r"squares of .*y leave the range of float64"):
            linreg_fast.fit(X, y * 1e200, solver="gd", passes=passes)


def test_one_target_of_another_size():
    X, y, _, _ = problem(60, 3)
    fit, several = linreg_fast.fit(X, y), linreg_fast.fit(X, np.column_stack([y, y * 1e200, y * 1e-200]))
    np.testing.assert_allclose(several.r2, fit.r2, rtol=1e-12)
    np.testing.assert_allclose(several.stderr / np.array([[1.0], [1e200], [1e-200]]), [fit.stderr] * 3, rtol=1e-9)


@pytest.mark.parametrize("offset", [1e6, 1e9, 1e12])
@pytest.mark.parametrize("where", ["x", "y", "both"])
def test_residuals_beside_offsets(offset, where):
    """A small rss is not that of the rounding of an offset."""
    X, y, _, _ = problem(100, 2, noise=1e-4)
    X, y = np.round(X * 2**10), np.round(y * 2**10)  # offsets are added exactly
    fit = linreg_fast.fit(X, y, precision="extended")
    X, y = X + offset * (where != "y"), y + offset * (where != "x")
    assert fit.rss < 1e-6 * fit.tss
    for other in (X, X.astype(np.float64, order="F"), X[:, ::-1][:, ::-1]):
        found = linreg_fast.fit(other, y)
        assert found.rss == pytest.approx(fit.rss, rel=1e-6)
        np.testing.assert_allclose(found.stderr, fit.stderr, rtol=1e-6)


@solvers
@pytest.mark.parametrize("shape", [(60, 3), (3, 6)])
@pytest.mark.parametrize("scale", [1e-290, 1e-160, 1.0, 1e160, 1e290])
@pytest.mark.parametrize("l2", [0.0, 1.0])
def test_whatever_numpy_is_told_about_rounding(solver, shape, scale, l2):
    X, y, _, _ = problem(*shape)
    if shape[0] < shape[1] and solver in ("cholesky", "qr"):
        return  # no unique solution, or hardly
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", RankWarning)
        expected = linreg_fast.fit(X * scale, y, solver=solver, l2=l2)
        with np.errstate(all="raise"):
            fit = linreg_fast.fit(X * scale, y, solver=solver, l2=l2)
    assert (fit.coef == expected.coef).all()
    assert np.isfinite(fit.coef).all()


@pytest.mark.parametrize(
    "settings", [{}, *({"precision": p} for p in ("fast", "extended")), {"solver": "qr"}, {"solver": "svd"}]
)
@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-200, 1e100, 1e200, 1e300])
def test_only_the_ratios_of_weights_count(scale, settings):
    """Whatever their scale, and without a word of NumPy's."""
    X, y = whole_problem(30, 3)[:2]
    w = 1.0 + np.arange(30) % 7
    expected = linreg_fast.fit(X, y, sample_weight=w, **settings)
    with np.errstate(all="raise"):
        fit = linreg_fast.fit(X, y, sample_weight=scale * w, **settings)
        found = fit.r2, *fit.stderr, fit.intercept_stderr
    exact = exact_fit(X, y, True, scale * w)
    assert worst_lre([*fit.coef, fit.intercept], exact) >= fit.digits - 1.5
    assert fit.digits > 12
    np.testing.assert_allclose(found, [expected.r2, *expected.stderr, expected.intercept_stderr], rtol=1e-10)
    assert fit.sum_weight == pytest.approx((scale * w).sum())
    assert fit.n_samples == 30


def test_an_exact_fit_with_huge_weights():
    x = np.arange(6.0)
    with np.errstate(all="raise"):
        fit = linreg_fast.fit(x, 2 * x + 1, sample_weight=np.full(6, 1e200), precision="extended")
        assert (fit.slope, fit.intercept, fit.r2) == (2.0, 1.0, 1.0)
        assert fit.stderr[0] < 1e-30


def test_descent_of_a_penalty_beyond_the_range():
    X, y = whole_problem()
    with pytest.raises(ValueError, match="l2 beside the squares of X leaves the range of float64"):
        linreg_fast.fit(X * 2.0**-300, y, solver="gd", l2=2.0**800)


# what is promised of coefficients at the ends of the range


def vanishing():
    """Problems with a slope that is not 0, but is in float64: X, y and the options."""
    X, y = whole_problem(20, 2)
    return {
        "small columns under a penalty": (X * 2.0**-200, y * 2.0**-100, {"l2": 2.0**800}),
        "subnormal column under a penalty": (X * [1.0, 2.0**-1060], y * 2.0**-100, {"l2": 1.0}),
        "large columns": (X * 2.0**500, y * 2.0**-600, {}),
        "one large column": (X * [1.0, 2.0**700], y * 2.0**-400, {}),
        "no more rows than columns": (X[:2] * 2.0**500, y[:2] * 2.0**-600, {"fit_intercept": False}),
    }


@pytest.mark.parametrize("precision", ["fast", "auto", "extended"])
@pytest.mark.parametrize("kind", vanishing())
def test_no_digits_of_a_coefficient_that_vanishes(kind, precision):
    X, y, options = vanishing()[kind]
    for solver in CLOSED if precision == "auto" and len(y) > 2 else ("auto",):
        fit = linreg_fast.fit(X, y, precision=precision, solver=solver, **options)
        assert (fit.coef == 0).any(), "float64 holds it"
        assert fit.digits == 0, solver


def test_no_digits_of_a_coefficient_of_moments_that_vanishes():
    X, y, options = vanishing()["small columns under a penalty"]
    fit = Moments(2).update(X, y).solve(**options)
    assert (fit.coef == 0).all()
    assert fit.digits == 0


@pytest.mark.parametrize("precision", ["fast", "auto", "extended"])
def test_digits_of_subnormal_coefficients(precision):
    """A slope with few bits would be worth as little in the intercept where the column is large."""
    x = np.array([-5.0, 1.0, 3.0, 7.0, -9.0, 2.0, 12.0])[:, None]
    X, y = x * 2.0**970, x[:, 0] * 1.3 * 2.0**-90 + 2.0**-110
    fit = linreg_fast.fit(X, y, precision=precision)
    assert worst_lre([*fit.coef, fit.intercept], exact_fit(X, y)) >= fit.digits - 1.5
    assert fit.digits < 10


@pytest.mark.parametrize("solver", CLOSED)
def test_digits_of_an_intercept_under_tiny_weights(solver):
    """Squares of y over tiny weights leave the range, which is no rounding of the mean."""
    X, y = whole_problem(20, 2)
    y = y - X @ [1.0, 2.0] + X @ [1.0, 1.0] + np.arange(20.0) % 3 * 2.0**-30
    w = 1.0 + np.arange(20) % 3
    *_, intercept = exact_fit(X, y, True, w)
    y = y - float(intercept) * (1 - 2.0**-20)
    plain = linreg_fast.fit(X, y, sample_weight=w, solver=solver, precision="fast")
    fit = linreg_fast.fit(X, y * 2.0**520, sample_weight=w * 2.0**-90, solver=solver, precision="fast")
    assert plain.digits < 12
    assert fit.digits == pytest.approx(plain.digits, abs=0.5)


@pytest.mark.parametrize("solver", ["auto", "svd"])
def test_dependent_columns_from_end_to_end(solver):
    """Their exponents are further apart than float64 reaches."""
    X, y = whole_problem(20, 2)
    X = np.column_stack([X, X[:, 0]]) * [2.0**600, 2.0**-600, 2.0**600]
    with pytest.warns(RankWarning):
        fit = linreg_fast.fit(X, y, solver=solver)
    assert fit.rank == 2
    np.testing.assert_allclose(fit.coef[0], fit.coef[2], rtol=1e-12)
    np.testing.assert_allclose(fit.coef[1], linreg_fast.fit(X[:, :2], y).coef[1], rtol=1e-12)


def test_standard_errors_of_subnormal_columns():
    """Beyond the range inf, or not known where only what they are a product of is; never inf in its place."""
    X, y = whole_problem(40, 2)
    y = y + np.arange(40) % 3 * 4.0
    plain = linreg_fast.fit(X, y)
    for exponent in (-1000, -1020, -1035, -1060):
        for unit in (0, -40, -60):
            scaled = np.column_stack([X[:, 0], np.ldexp(X[:, 1], exponent)])
            try:
                fit = linreg_fast.fit(scaled, y * 2.0**unit)
            except ValueError:
                continue  # the coefficient itself is beyond it
            true = math.log2(plain.stderr[1]) + unit - exponent
            assert fit.stderr[0] == pytest.approx(plain.stderr[0] * 2.0**unit, rel=1e-6)
            if np.isfinite(fit.stderr[1]):
                assert math.log2(fit.stderr[1]) == pytest.approx(true, abs=1e-6)
                assert exponent >= -1020
            else:
                assert np.isnan(fit.stderr[1]) == (true < 1024)


@pytest.mark.parametrize("options", [{}, {"precision": "extended"}, {"solver": "qr"}, {"solver": "svd"}])
@pytest.mark.parametrize("exponent", [-1030, -1045, -1060])
def test_subnormal_columns_cost_no_digit(exponent, options):
    """Their means are kept in scaled columns: in the user's they have 5 to 14 digits, and with them the intercept."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((40, 2))
    y = np.ldexp(3.0 + X.sum(axis=1) + rng.standard_normal(40), -300)
    X = np.ldexp(X, exponent)
    fit = linreg_fast.fit(X, y, **options)
    reached = worst_lre([*fit.coef, fit.intercept], exact_fit(X, y))
    assert reached >= (15.5 if "precision" in options else 14.0)
    assert fit.digits <= reached + 1.0
    ordinary = linreg_fast.fit(np.ldexp(X, 1000), y, **options)
    assert fit.intercept_stderr == pytest.approx(ordinary.intercept_stderr, rel=1e-13)
