"""Fits, merges and choices from moments; cross-validation beside NumPy on the rows.

Run:  python -m pytest benchmarks/bench_moments.py --benchmark-enable --benchmark-json=moments.json
"""

from __future__ import annotations

import numpy as np
import pytest
from conftest import table

from linreg_fast import Moments, by_group, cross_validate, fit, l2_path, stepwise

N, P = 20_000, 50


@pytest.mark.parametrize("l2", [0.0, 10.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_solve(benchmark, l2, fit_intercept):
    """Floor: 1 ms at 50 columns, for any penalty."""
    X, y = table(N, P)
    M = Moments(P).update(X, y)
    expected = fit(X, y, l2=l2, fit_intercept=fit_intercept)
    np.testing.assert_allclose(M.solve(l2=l2, fit_intercept=fit_intercept).coef, expected.coef, rtol=1e-9)
    benchmark.group = f"Moments.solve, {P} columns"
    benchmark(lambda: M.solve(l2=l2, fit_intercept=fit_intercept))


@pytest.mark.parametrize("side", ["linreg_fast", "numpy"])
def test_cross_validate(benchmark, side):
    """Floor: 100 ms for 100 penalties x 10 folds at 50 columns, whatever the number of rows."""
    X, y = table(N, P)
    l2s, groups = np.logspace(-3, 5, 100), np.arange(N) * 10 // N
    folds = list(by_group(X, y, groups).values())

    def by_rows():
        errors = np.empty((10, 100))
        for i in range(10):
            inside, outside = groups != i, groups == i
            m, m_y = X[inside].mean(axis=0), y[inside].mean()
            W, V, Z = X[inside] - m, y[inside] - m_y, X[outside] - m
            G, c = W.T @ W, W.T @ V
            for j, l2 in enumerate(l2s):
                errors[i, j] = np.mean((y[outside] - m_y - Z @ np.linalg.solve(G + l2 * np.eye(P), c)) ** 2)
        return errors

    benchmark.group = f"100 penalties x 10 folds, {P} columns"
    np.testing.assert_allclose(cross_validate(folds, l2s).mse, by_rows(), rtol=1e-9)
    benchmark((lambda: cross_validate(folds, l2s)) if side == "linreg_fast" else by_rows)


def test_path(benchmark):
    X, y = table(N, P)
    M = Moments(P).update(X, y)
    benchmark(lambda: l2_path(M, np.logspace(-3, 5, 100)))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_stepwise(benchmark, direction):
    X, y = table(N, P)
    M = Moments(P).update(X, y)
    benchmark(lambda: stepwise(M, direction=direction))


@pytest.mark.parametrize("precision", ["auto", "extended"])
@pytest.mark.parametrize("rows", [100, 10_000, N * 10])
def test_update(benchmark, rows, precision):
    X, y = table(N * 10, 10)
    M = Moments(10, precision=precision).update(X, y)
    benchmark.group = f"Moments.update, {rows} x 10"
    benchmark(lambda: M.update(X[:rows], y[:rows]))


def test_merge(benchmark):
    X, y = table(N, P)
    M, part = Moments(P).update(X, y), Moments(P).update(X, y)
    part = Moments(P, shift=M.shift).merge(part)
    benchmark(lambda: M.merge(part))


def test_bytes(benchmark):
    X, y = table(N, P)
    M = Moments(P).update(X, y)
    benchmark(lambda: Moments.from_bytes(M.to_bytes()))
