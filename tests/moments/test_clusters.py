"""Errors by clusters from moments alone, held against the rows themselves."""

from __future__ import annotations

import numpy as np
import pytest

import linreg_fast
from linreg_fast import Moments, by_group, cluster_bootstrap, cluster_cov, cluster_jackknife, fit

pytestmark = pytest.mark.numerics


def table(seed=0, n=300, p=3, offset=0.0):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 17, n)
    X = rng.normal(size=(n, p)) + offset + 0.3 * groups[:, None]
    y = X[:, 0] + rng.normal(size=17)[groups] + rng.normal(size=n)
    return X, y, groups


def near(found, expected, rtol=1e-9):
    scale = np.sqrt(np.multiply.outer(np.diagonal(expected), np.diagonal(expected)))
    assert np.abs((found - expected) / scale).max() < rtol


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_as_from_the_rows(fit_intercept, offset):
    if offset and not fit_intercept:
        pytest.skip("columns that are nearly constant, without an intercept: their own condition is 1e6")
    X, y, groups = table(offset=offset)
    parts = by_group(X, y, groups)
    whole = fit(X, y, cov="cluster", groups=groups, fit_intercept=fit_intercept)
    near(cluster_cov(parts, fit_intercept=fit_intercept), whole.cov(), 1e-8)
    G, n, k = 17, 300, 3 + fit_intercept
    near(cluster_cov(parts, "CR0", fit_intercept=fit_intercept) * G / (G - 1) * (n - 1) / (n - k), whole.cov(), 1e-8)


def from_definition(X, y, groups, power):
    """A (sum of X_g'(I - H_gg)^power u_g squared) A of the rows."""
    D = np.column_stack([np.ones(len(X)), X])
    A = np.linalg.inv(D.T @ D)
    u = y - D @ (A @ (D.T @ y))
    meat = np.zeros_like(A)
    for g in np.unique(groups):
        rows = groups == g
        values, vectors = np.linalg.eigh(np.eye(rows.sum()) - D[rows] @ A @ D[rows].T)
        v = D[rows].T @ (vectors * values**power) @ vectors.T @ u[rows]
        meat += np.outer(v, v)
    return A @ meat @ A


@pytest.mark.parametrize(("kind", "power"), [("CR0", 0.0), ("CR2", -0.5), ("CR3", -1.0)])
def test_by_definition(kind, power):
    X, y, groups = table(1)
    near(cluster_cov(by_group(X, y, groups), kind), from_definition(X, y, groups, power))


def test_jackknife_is_the_fits_without_each_cluster():
    X, Y, groups = table(2)[0], np.random.default_rng(3).normal(size=(300, 2)), table(2)[2]
    found = cluster_jackknife(by_group(X, Y, groups), target=1)
    for i, g in enumerate(np.unique(groups)):
        without = fit(X[groups != g], Y[groups != g, 1])
        np.testing.assert_allclose(found.coef[i], [without.intercept, *without.coef], rtol=1e-9, atol=1e-12)
    near(found.cov, 16 / 17 * cluster_cov(by_group(X, Y, groups), "CR3", target=1))


def test_bootstraps_are_fits_of_what_was_drawn():
    X, y, groups = table(4, offset=100.0)
    parts = by_group(X, y, groups)
    whole = fit(X, y)
    found = cluster_bootstrap(parts, 20, seed=5)
    counts = np.random.default_rng(5).multinomial(17, np.full(17, 1 / 17), 20)
    for count, coef in zip(counts, found.coef, strict=True):
        drawn = fit(X, y, sample_weight=count[groups].astype(float))
        np.testing.assert_allclose(coef, [drawn.intercept, *drawn.coef], rtol=1e-8, atol=1e-9)
    found = cluster_bootstrap(parts, 20, wild=True, seed=5)
    signs = 2 * np.random.default_rng(5).integers(0, 2, (20, 17)) - 1
    residuals = y - whole.predict(X)
    for sign, coef in zip(signs, found.coef, strict=True):
        drawn = fit(X, whole.predict(X) + sign[groups] * residuals)
        np.testing.assert_allclose(coef, [drawn.intercept, *drawn.coef], rtol=1e-8, atol=1e-9)
    again = cluster_bootstrap(parts, 20, wild=True, seed=5)
    assert (again.coef == found.coef).all()
    many = cluster_bootstrap(parts, 4000, wild=True, seed=6).cov
    near(many, cluster_cov(parts, "CR0"), 0.2)  # what its covariance is but for the draws


def test_moments_that_travelled_and_were_merged():
    X, y, groups = table(6)
    halves = [by_group(X[rows], y[rows], groups[rows]) for rows in (slice(0, 150), slice(150, 300))]
    merged = {
        g: sum((Moments.from_bytes(half[g].to_bytes()) for half in halves if g in half), start=Moments(3))
        for g in range(17)
    }
    near(cluster_cov(merged, "CR2"), cluster_cov(by_group(X, y, groups), "CR2"))


def test_many_small_clusters_and_fixed_effects():
    X, y, groups = table(7)
    dummy = np.column_stack([X, (groups == 3).astype(float)])
    parts = by_group(dummy, y, groups)
    assert np.isfinite(cluster_cov(parts, "CR2")).all()
    for call in (lambda: cluster_cov(parts, "CR3"), lambda: cluster_jackknife(parts)):
        with pytest.raises(ValueError, match="group 3 alone tells a coefficient"):
            call()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: {0: parts[0]}, "1 cluster with rows"),
        (
            lambda parts: {**parts, "x": Moments(2).update(np.eye(3)[:, :2], np.arange(3.0))},
            "group 'x' are of 2 columns",
        ),
    ],
)
def test_what_cannot_be(change, message):
    X, y, groups = table()
    with pytest.raises(ValueError, match=message):
        cluster_cov(change(by_group(X, y, groups)))
    with pytest.raises(ValueError, match="kind must be one of"):
        cluster_cov(by_group(X, y, groups), "CR4")
    with pytest.raises(ValueError, match="target must be less than 1"):
        cluster_cov(by_group(X, y, groups), target=1)
    with pytest.raises(ValueError, match="depend on each other"):
        cluster_cov(by_group(np.column_stack([X, X[:, 0]]), y, groups))
    assert linreg_fast.cluster_cov is cluster_cov
