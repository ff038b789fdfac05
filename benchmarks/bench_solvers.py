"""Solvers against pure NumPy: fit with an intercept by each solver, normal equations on the other side.

Run:  python -m pytest benchmarks/bench_solvers.py --benchmark-enable --benchmark-json=solvers.json
"""

from __future__ import annotations

import numpy as np
import pytest
from bench_kernels import run, shapes, sides
from conftest import table

import linreg_fast
from linreg_fast import reference


@shapes
@sides
@pytest.mark.parametrize("solver", ["auto", "qr", "svd", "gd"])
def test_fit(benchmark, n, p, side, solver):
    if side == "numpy" and solver != "auto":
        pytest.skip("the NumPy side is the same for every solver")
    X, y = table(n, p)

    def ours():
        return linreg_fast.fit(X, y, solver=solver).coef

    def theirs():
        return reference.normal_equations(X, y)[0]

    run(benchmark, f"fit ({solver})", n, p, side, ours, theirs, 1e-4 if solver == "gd" else 1e-8)


@pytest.mark.parametrize(
    ("dtype", "order", "weighted"),
    [("float64", "F", False), ("float32", "C", False), ("float32", "F", False), ("float64", "C", True)],
    ids=["F", "float32", "float32-F", "weighted"],
)
@sides
def test_fit_layouts(benchmark, dtype, order, weighted, side):
    n, p = 1_000_000, 10
    X, y = table(n, p, order, dtype)
    w = np.linspace(0.5, 1.5, n) if weighted else None

    def ours():
        return linreg_fast.fit(X, y, sample_weight=w).coef

    def theirs():
        A = np.column_stack([np.ones(n), X])
        return np.linalg.solve(A.T @ (A if w is None else A * w[:, None]), A.T @ (y if w is None else w * y))[1:]

    name = f"fit ({dtype}, {order}{', weights' if weighted else ''})"
    run(benchmark, name, n, p, side, ours, theirs, 1e-5 if dtype == "float32" else 1e-8)


@pytest.mark.parametrize("n_targets", [50])
@sides
def test_fit_targets(benchmark, n_targets, side):
    n, p = 100_000, 20
    X, y = table(n, p)
    Y = y[:, None] + np.arange(n_targets) * X[:, :1]

    def ours():
        return linreg_fast.fit(X, Y).coef.T

    def theirs():
        A = np.column_stack([np.ones(n), X])
        return np.linalg.solve(A.T @ A, A.T @ Y)[1:]

    run(benchmark, f"fit ({n_targets} targets)", n, p, side, ours, theirs, 1e-8)
