"""Bounds on coefficients: against SciPy, exact cases, the conditions of Karush, Kuhn and Tucker, every way in."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy.optimize import lsq_linear
from support.exact import exact_fit

import linreg_fast
from linreg_fast import LinearFit, Moments, RankWarning, fit

INF = math.inf


def random_problem(seed):
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(30, 200)), int(rng.integers(1, 13))
    X = rng.standard_normal((n, p)) @ rng.standard_normal((p, p)) + 3 * rng.standard_normal(p)
    y = X @ rng.standard_normal(p) + rng.standard_normal(n) + 5
    lo, hi = -rng.random(p), rng.random(p)
    lo[rng.random(p) < 0.3], hi[rng.random(p) < 0.3] = -INF, INF
    return X, y, lo, hi


def by_scipy(X, y, lo, hi, l2, fit_intercept):
    A, b = (X - X.mean(axis=0), y - y.mean()) if fit_intercept else (X, y)
    A, b = np.vstack([A, math.sqrt(l2) * np.eye(X.shape[1])]), np.append(b, np.zeros(X.shape[1]))
    return lsq_linear(A, b, (lo, hi), method="bvls", tol=1e-15, max_iter=1000)


@pytest.mark.parametrize("l2", [0.0, 2.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_against_scipy(l2, fit_intercept):
    seen = set()
    for seed in range(80):
        X, y, lo, hi = random_problem(seed)
        found, scipys = (
            fit(X, y, bounds=(lo, hi), l2=l2, fit_intercept=fit_intercept),
            by_scipy(X, y, lo, hi, l2, fit_intercept),
        )
        np.testing.assert_allclose(found.coef, scipys.x, rtol=1e-9, atol=1e-9 * np.abs(scipys.x).max())
        np.testing.assert_array_equal(found.active, scipys.active_mask)
        residuals = y - found.predict(X)
        np.testing.assert_allclose(found.rss, math.fsum(residuals**2), rtol=1e-9)
        seen |= set(found.active.tolist())
    assert seen == {-1, 0, 1}


def test_the_conditions_hold_and_no_errors_are_claimed():
    X, y, lo, hi = random_problem(5)
    found = fit(X, y, bounds=(lo, hi))
    gradient = (X - X.mean(axis=0)).T @ (y - found.predict(X))
    size = np.linalg.norm(X - X.mean(axis=0), axis=0) * np.linalg.norm(y - y.mean())
    assert (np.abs(gradient[found.active == 0]) <= 1e-11 * size[found.active == 0]).all()
    assert (gradient[found.active == -1] <= 0).all()
    assert (gradient[found.active == 1] >= 0).all()
    np.testing.assert_array_equal(found.coef[found.active == -1], lo[found.active == -1])
    np.testing.assert_array_equal(found.coef[found.active == 1], hi[found.active == 1])
    assert np.isnan(found.stderr).all()
    assert np.isnan(found.intercept_stderr)
    assert np.isnan(found.pvalues).all()
    assert np.isnan(found.f_test().pvalue)
    with pytest.raises(ValueError, match="within bounds has no standard errors"):
        fit(X, y, bounds=(lo, hi), cov="HC1")


def test_exact_cases():
    """Orthogonal columns: each coefficient is that of its own regression, cut off; whole numbers throughout."""
    X = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    y = X @ [3.0, -2.0, 5.0] + 7
    found = fit(X, y, positive=True)
    np.testing.assert_array_equal(found.coef, [3.0, 0.0, 5.0])
    assert found.intercept == 7.0
    np.testing.assert_array_equal(found.active, [0, -1, 0])
    found = fit(X, y, bounds=([-1.0, -1.0, -INF], 4.0))
    np.testing.assert_array_equal(found.coef, [3.0, -1.0, 4.0])
    np.testing.assert_array_equal(found.active, [0, -1, 1])
    assert found.rss == pytest.approx(8.0, rel=1e-14)


def test_of_the_free_columns_it_is_their_least_squares():
    rng = np.random.default_rng(0)
    X = rng.integers(-20, 20, (40, 4)).astype(float)
    y = X @ [2.0, -3.0, 0.0, 1.0] + rng.integers(-4, 5, 40)
    found = fit(X, y, positive=True)
    free = np.flatnonzero(found.active == 0)
    assert 1 not in free
    *coef, intercept = exact_fit(X[:, free], y)
    np.testing.assert_allclose(found.coef[free], np.array(coef, float), rtol=1e-13)
    np.testing.assert_allclose(found.intercept, float(intercept), rtol=1e-13)
    digits = -np.log10(max(abs(float(c) / b - 1) for b, c in zip(found.coef[free], coef, strict=True)) + 1e-17)
    assert digits >= found.digits - 0.5


def test_where_no_bound_matters_it_is_the_fit():
    X, y, _, _ = random_problem(3)
    plain, wide = fit(X, y), fit(X, y, bounds=(-1e9, 1e9))
    np.testing.assert_allclose(wide.coef, plain.coef, rtol=1e-10)
    np.testing.assert_allclose(wide.r2, plain.r2, rtol=1e-10)
    assert not wide.active.any()
    assert plain.active is None


def test_several_targets_and_weights():
    X, y, lo, hi = random_problem(11)
    Y = np.column_stack([y, -y, y**2])
    w = np.random.default_rng(0).integers(0, 3, len(y))
    found = fit(X, Y, bounds=(lo, hi), sample_weight=w)
    repeated = np.repeat(np.arange(len(y)), w)
    for t in range(3):
        one = fit(X[repeated], Y[repeated, t], bounds=(lo, hi))
        np.testing.assert_allclose(found.coef[t], one.coef, rtol=1e-10, atol=1e-12)
        np.testing.assert_array_equal(found.active[t], one.active)
    assert found.active.shape == (3, X.shape[1])


def test_every_way_in_agrees(tmp_path):
    rng = np.random.default_rng(1)
    X = rng.integers(-9, 10, (300, 4)).astype(float)
    y = X @ [1.0, -2.0, 3.0, 0.0] + rng.integers(-3, 4, 300)
    box = ([0.0, -INF, -1.0, -2.0], [0.5, INF, 2.0, 2.0])
    expected = fit(X, y, bounds=box, l2=3.0)
    halves = [(X[:100], y[:100]), (X[100:], y[100:])]
    np.savetxt(tmp_path / "t.csv", np.column_stack([X, y]), delimiter=",", header="a,b,c,d,y", comments="")
    for found in (
        Moments(4).update(X, y).solve(bounds=box, l2=3.0),
        linreg_fast.fit_stream(halves, bounds=box, l2=3.0),
        linreg_fast.fit_stream(iter(halves), bounds=box, l2=3.0),
        linreg_fast.fit_file(tmp_path / "t.csv", target="y", bounds=box, l2=3.0),
        fit(X, y, bounds=box, l2=3.0, precision="extended"),
        fit(X, y, bounds=box, l2=3.0, n_threads=1),
        fit(X.astype(np.float32), y, bounds=box, l2=3.0),
    ):
        np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-12)
        np.testing.assert_array_equal(found.active, expected.active)
    some = Moments(4).update(X, y).solve(features=[2, 0], positive=True)
    np.testing.assert_allclose(some.coef, fit(X[:, [2, 0]], y, positive=True).coef, rtol=1e-12)


def test_saved_and_loaded(tmp_path):
    X, y, lo, hi = random_problem(5)
    found = fit(X, y, bounds=(lo, hi))
    found.save(tmp_path / "fit.json")
    again = LinearFit.load(tmp_path / "fit.json")
    np.testing.assert_array_equal(again.active, found.active)
    assert again.active.dtype == np.int8
    state = found.to_dict()
    state["active"] = [5] * len(lo)
    with pytest.raises(ValueError, match="active cannot be"):
        LinearFit.from_dict(state)


def test_far_columns_cost_no_digit():
    X, y, lo, hi = random_problem(7)
    X, y = np.round(X * 64) / 64, np.round(y * 64) / 64
    near, far = fit(X, y, bounds=(lo, hi)), fit(X + 2.0**20, y, bounds=(lo, hi))
    np.testing.assert_allclose(far.coef, near.coef, rtol=1e-9, atol=1e-12)


def test_dependent_columns():
    rng = np.random.default_rng(2)
    X = rng.integers(-9, 10, (50, 3)).astype(float)
    y = X @ [1.0, 2.0, -3.0] + rng.integers(-3, 4, 50)
    twice = np.column_stack([X, X[:, 0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit(twice, y, positive=True)
    alone = fit(X, y, positive=True)
    assert found.coef[0] + found.coef[3] == pytest.approx(alone.coef[0], rel=1e-12)
    assert found.rss == pytest.approx(alone.rss, rel=1e-12)
    with pytest.warns(RankWarning, match="have no bounds and depend on others"):
        free = fit(twice, y, bounds=(-INF, INF))
    assert free.rss == pytest.approx(fit(X, y).rss, rel=1e-10)
    wide = fit(rng.standard_normal((10, 30)), rng.standard_normal(10), positive=True)
    assert (wide.coef >= 0).all()
    constant = fit(np.column_stack([X, np.ones(50)]), y, positive=True)
    np.testing.assert_allclose(constant.coef, [*alone.coef, 0.0], rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"bounds": (1.0, 0.0)}, ValueError, "cross"),
        ({"bounds": ([0.0, 2.0], [1.0, 1.0])}, ValueError, "of column 1 cross"),
        ({"bounds": ([0.0] * 3, 1.0)}, ValueError, "3 numbers for 2 columns"),
        ({"bounds": (0.0, np.nan)}, ValueError, "NaN"),
        ({"bounds": (INF, INF)}, ValueError, "leave no number"),
        ({"bounds": 1.0}, TypeError, "pair"),
        ({"bounds": ("a", 1.0)}, TypeError, "numbers"),
        ({"positive": "yes"}, TypeError, "positive must be True or False"),
        ({"positive": True, "bounds": (-2.0, -1.0)}, ValueError, "cross"),
        ({"positive": True, "solver": "gd"}, ValueError, 'bounds need solver="auto"'),
        ({"positive": True, "solver": "qr"}, ValueError, 'bounds need solver="auto"'),
        ({"positive": True, "solver": "svd"}, ValueError, 'bounds need solver="auto"'),
        ({"positive": True, "on_collinear": "drop"}, ValueError, "on_collinear"),
    ],
)
def test_bad_bounds(options, error, match):
    X, y = np.arange(12.0).reshape(6, 2) ** 2, np.arange(6.0)
    with pytest.raises(error, match=match):
        fit(X, y, **options)
    if "solver" not in options and "on_collinear" not in options:
        with pytest.raises(error, match=match):
            Moments(2).update(X, y).solve(**options)
        with pytest.raises(error, match=match):
            linreg_fast.fit_stream([(X, y)], **options)


def test_a_constant_column_whose_bounds_leave_out_zero_is_named():
    X = np.column_stack([np.arange(6.0), np.ones(6)])
    with pytest.raises(ValueError, match=r"\[1\] do not vary, and their bounds leave out 0"):
        fit(X, np.arange(6.0), bounds=([0.0, 1.0], [2.0, 2.0]))
