"""Kernels against pure NumPy: cost, gradient, cross products, predictions, descent steps.

Run:  python -m pytest benchmarks/bench_kernels.py --benchmark-enable --benchmark-json=kernels.json
"""

from __future__ import annotations

import numpy as np
import pytest
from conftest import table

import linreg_fast
from linreg_fast import reference
from linreg_fast.inputs.table import table as table_of
from linreg_fast.passes import table_sums

SHAPES = [(100, 3), (1_000, 10), (100_000, 10), (2_000_000, 10), (1_000_000, 50), (100_000, 100)]
shapes = pytest.mark.parametrize(("n", "p"), SHAPES, ids=[f"{n}x{p}" for n, p in SHAPES])
sides = pytest.mark.parametrize("side", ["linreg_fast", "numpy"])


def run(benchmark, name: str, n: int, p: int, side: str, ours, theirs, rtol: float) -> None:
    """Time one side; that both agree is asserted once, outside the timing."""
    benchmark.group = f"{name} {n}x{p}"
    benchmark.extra_info |= {"operation": name, "rows": n, "columns": p, "side": side}
    expected = np.asarray(theirs())
    np.testing.assert_allclose(ours(), expected, rtol=rtol, atol=rtol * np.abs(expected).max())
    benchmark(ours if side == "linreg_fast" else theirs)


@shapes
@sides
def test_cost(benchmark, n, p, side):
    X, y = table(n, p)
    b = np.full(p, 0.5)
    residual = np.empty(n)

    def numpy_cost():
        np.matmul(X, b, out=residual)
        residual.__iadd__(0.25).__isub__(y)
        return residual @ residual / (2 * n)

    run(benchmark, "cost", n, p, side, lambda: linreg_fast.cost(X, y, b, 0.25), numpy_cost, 1e-10)


@shapes
@sides
def test_gradient(benchmark, n, p, side):
    X, y = table(n, p)
    b = np.full(p, 0.5)
    residual = np.empty(n)

    def numpy_gradient():
        np.matmul(X, b, out=residual)
        residual.__iadd__(0.25).__isub__(y)
        return X.T @ residual / n

    run(benchmark, "gradient", n, p, side, lambda: linreg_fast.gradient(X, y, b, 0.25)[1], numpy_gradient, 1e-9)


@shapes
@sides
def test_predict(benchmark, n, p, side):
    X, y = table(n, p)
    fit = linreg_fast.fit(X, y)
    out = np.empty(n)

    def numpy_predict():
        np.matmul(X, fit.coef, out=out)
        out.__iadd__(fit.intercept)
        return out

    run(benchmark, "predict", n, p, side, lambda: fit.predict(X, out=out), numpy_predict, 1e-10)


@shapes
@sides
def test_moments(benchmark, n, p, side):
    X, y = table(n, p)
    data = table_of(X, y)

    def ours():
        M = table_sums.of_table(data, True, 2)
        return M.gram[0] - M.sums[0] * M.mean

    def theirs():
        A = X - X.mean(axis=0)
        return (A.T @ A)[0]

    run(benchmark, "cross products", n, p, side, ours, theirs, 1e-8)


@pytest.mark.parametrize("passes", ["moments", "data"])
@pytest.mark.parametrize(("n", "p"), [(1_000, 10), (100_000, 10)], ids=["1000x10", "100000x10"])
@sides
def test_descent(benchmark, n, p, side, passes):
    """100 textbook steps; the NumPy side reads the data each step in both cases."""
    X, y = table(n, p)
    options = {"learning_rate": 0.1, "max_iter": 100, "tol": 0.0, "scale": False, "passes": passes}

    def ours():
        return linreg_fast.fit(X, y, solver="gd", **options).coef

    def theirs():
        return reference.gradient_descent(X, y, 0.1, 100)[0]

    run(benchmark, f"100 descent steps ({passes})", n, p, side, ours, theirs, 1e-8)
