"""Properties of least squares, on problems that hypothesis makes up."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from conftest import CLOSED
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.compare import coefficients
from support.exact import exact_fit, lre, worst_lre

import linreg_fast
from linreg_fast import RankWarning

pytestmark = pytest.mark.numerics

whole = st.integers(-20, 20).map(float)


@st.composite
def small_problems(draw, full_rank=True):
    """Whole numbers, so that an exact solution is cheap."""
    p = draw(st.integers(1, 4))
    n = draw(st.integers(p + 2, 12))
    X = draw(arrays(float, (n, p), elements=whole))
    y = draw(arrays(float, n, elements=whole))
    if full_rank:
        assume(np.linalg.matrix_rank(np.column_stack([X, np.ones(n)])) == p + 1)
    return X, y


@given(small_problems(), st.booleans(), st.sampled_from(["fast", "auto"]), st.sampled_from(CLOSED))
def test_digits_are_honest(data, fit_intercept, precision, solver):
    """The digits promised are there; a coefficient of exactly 0 does not count, but is not far off."""
    X, y = data
    exact = exact_fit(X, y, fit_intercept)
    fit = linreg_fast.fit(X, y, fit_intercept=fit_intercept, precision=precision, solver=solver)
    found = coefficients(fit)
    assert fit.rank == X.shape[1]
    for value, true in zip(found, exact, strict=True):
        if true != 0:
            assert lre(value, true) >= fit.digits - 1.5
        else:
            assert abs(value) <= 1e-9
    tolerance = 1e-11 * max(1.0, max(abs(float(v)) for v in exact))
    np.testing.assert_allclose(found, [float(v) for v in exact], rtol=1e-9, atol=tolerance)


@given(small_problems(), st.booleans())
def test_exact_rank_of_dependent_columns(data, fit_intercept):
    X, y = data
    X = np.column_stack([X, X[:, 0] - 2 * X[:, -1]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = linreg_fast.fit(X, y, fit_intercept=fit_intercept)
    centred = X - X.mean(axis=0) if fit_intercept else X
    assert fit.rank == np.linalg.matrix_rank(centred) == X.shape[1] - 1
    # a last column of zeros is constant, not dependent
    assert [w.category for w in caught] == [RankWarning] * bool(np.ptp(X[:, -1]) if fit_intercept else X[:, -1].any())
    exact = [float(v) for v in exact_fit(X[:, :-1], y, fit_intercept)]
    expected = X[:, :-1] @ exact[: X.shape[1] - 1] + (exact[-1] if fit_intercept else 0.0)
    np.testing.assert_allclose(fit.predict(X), expected, rtol=1e-8, atol=1e-8 * (1 + abs(y).max()))


@given(small_problems(), st.randoms())
def test_order_of_rows_does_not_matter(data, random):
    X, y = data
    order = list(range(len(y)))
    random.shuffle(order)
    a, b = linreg_fast.fit(X, y), linreg_fast.fit(X[order], y[order])
    np.testing.assert_allclose(b.coef, a.coef, rtol=1e-9, atol=1e-11 * (1 + abs(a.coef).max()))


@given(small_problems(), st.integers(-30, 30).filter(bool), st.integers(-100, 100))
def test_affine_y(data, a, c):
    X, y = data
    fit, moved = linreg_fast.fit(X, y), linreg_fast.fit(X, a * y + c)
    scale = abs(a) * (1 + abs(fit.coef).max() + abs(fit.intercept)) + abs(c)
    np.testing.assert_allclose(moved.coef, a * fit.coef, rtol=1e-9, atol=1e-11 * scale)
    assert moved.intercept == pytest.approx(a * fit.intercept + c, rel=1e-9, abs=1e-10 * scale)


@given(small_problems(), st.lists(st.integers(-60, 60), min_size=4, max_size=4), st.sampled_from(CLOSED))
def test_columns_scaled_by_powers_of_two(data, exponents, solver):
    """fit(X D) = D^-1 fit(X), to the last bit."""
    X, y = data
    D = np.ldexp(1.0, exponents[: X.shape[1]])
    fit = linreg_fast.fit(X, y, solver=solver, precision="fast")
    scaled = linreg_fast.fit(X * D, y, solver=solver, precision="fast")
    assert (scaled.coef * D == fit.coef).all()
    assert scaled.intercept == fit.intercept
    assert scaled.rss == fit.rss


@given(small_problems(), st.integers(1, 5))
def test_duplication_is_weight(data, times):
    X, y = data
    stacked = linreg_fast.fit(np.tile(X, (times, 1)), np.tile(y, times))
    weighted = linreg_fast.fit(X, y, sample_weight=np.full(len(y), float(times)))
    fit = linreg_fast.fit(X, y)
    assert stacked.rank == weighted.rank == fit.rank
    scale = 1e-11 * (1 + abs(fit.coef).max())
    np.testing.assert_allclose(stacked.coef, fit.coef, rtol=1e-9, atol=scale)
    np.testing.assert_allclose(weighted.coef, fit.coef, rtol=1e-9, atol=scale)


@given(small_problems(), st.integers(1, 70), st.sampled_from([np.nan, np.inf, 1e300, 0.0]))
def test_appended_rows_of_weight_zero(data, count, value):
    X, y = data
    w = np.concatenate([np.ones(len(y)), np.zeros(count)])
    longer = np.vstack([X, np.full((count, X.shape[1]), value)]), np.concatenate([y, np.full(count, value)])
    fit, more = linreg_fast.fit(X, y, sample_weight=w[: len(y)]), linreg_fast.fit(*longer, sample_weight=w)
    # The moments skip such rows. The residuals, summed where rss nearly vanishes, are taken four rows at a time:
    # the last rows have other neighbours then, and the rounding that is all of rss may differ.
    assert (more.coef == fit.coef).all()
    assert (more.intercept, more.tss, more.solver_path, more.rank) == (
        fit.intercept,
        fit.tss,
        fit.solver_path,
        fit.rank,
    )
    assert (more.rcond, more.digits) == (fit.rcond, fit.digits)
    assert more.rss == pytest.approx(fit.rss, rel=1e-12, abs=1e-28 * len(y) * max(np.abs(y).max(), 1.0) ** 2)
    assert fit.n_samples == more.n_samples == len(y)


@given(small_problems(full_rank=False))
def test_another_column_never_raises_rss(data):
    X, y = data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankWarning)
        rss = [linreg_fast.fit(X[:, :p], y).rss for p in range(X.shape[1] + 1)]
    assert all(b <= a + 1e-9 * (1 + rss[0]) for a, b in itertools.pairwise(rss))


@given(small_problems())
def test_residuals_are_orthogonal_to_the_columns(data):
    X, y = data
    fit = linreg_fast.fit(X, y)
    r = y - fit.predict(X)
    scale = 1e-11 * (1 + abs(y).max()) * (1 + abs(X).max()) * (1 + abs(fit.coef).max())
    np.testing.assert_allclose(X.T @ r, 0.0, atol=scale * len(y))
    assert r.sum() == pytest.approx(0.0, abs=scale * len(y))


@given(small_problems(), st.booleans())
def test_weighted_fit_is_exact_too(data, fit_intercept):
    X, y = data
    w = 1.0 + np.arange(len(y)) % 5
    exact = exact_fit(X, y, fit_intercept, w)
    fit = linreg_fast.fit(X, y, sample_weight=w, fit_intercept=fit_intercept)
    found = coefficients(fit)
    nonzero = [(value, true) for value, true in zip(found, exact, strict=True) if true]
    if nonzero:
        assert worst_lre(*zip(*nonzero, strict=True)) >= fit.digits - 1.5
