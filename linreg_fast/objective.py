# SPDX-License-Identifier: BSD-3-Clause
"""The cost J(b) and its gradient, one pass over the rows each."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

from linreg_fast import inputs, levels, passes
from linreg_fast.sums import Vector


def cost(
    X: Any,
    y: Any,
    coef: Any,
    intercept: float = 0.0,
    *,
    sample_weight: Any = None,
    n_threads: int | None = None,
) -> float:
    """Cost J(b) = 1/(2 sum w) sum_i w_i (intercept + x_i coef - y_i)^2, in one pass.

    Parameters
    ----------
    X, y, sample_weight
        As in `fit`, one target.
    coef : array_like of shape (n_features,)
    intercept : float
    n_threads : int, optional

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        As in `fit`.
    """
    data, b, b0, workers = _point(X, y, coef, intercept, sample_weight, n_threads)
    out = _row_pass("cost", data, b, b0, workers, 2)
    return float(out[0] / _sum_weight(data, out))


def gradient(
    X: Any,
    y: Any,
    coef: Any,
    intercept: float = 0.0,
    *,
    sample_weight: Any = None,
    n_threads: int | None = None,
) -> tuple[float, Vector, float]:
    """Cost J(b) and its gradient in coef and intercept, in one pass.

    Parameters
    ----------
    X, y, coef, intercept, sample_weight, n_threads
        As in `cost`.

    Returns
    -------
    cost : float
    grad_coef : ndarray of shape (n_features,)
        1/(sum w) sum_i w_i r_i x_i, with r_i = intercept + x_i coef - y_i.
    grad_intercept : float
        1/(sum w) sum_i w_i r_i.

    Raises
    ------
    TypeError, ValueError
        As in `fit`.
    """
    data, b, b0, workers = _point(X, y, coef, intercept, sample_weight, n_threads)
    out = pass_gradient(data, b, b0, workers)
    out /= _sum_weight(data, out)
    return float(out[0]), out[1:-2], float(out[-2])


def _point(
    X: Any, y: Any, coef: Any, intercept: float, sample_weight: Any, n_threads: int | None
) -> tuple[inputs.Table, Vector, float, int | None]:
    data = inputs.table(X, y, sample_weight)
    if data.n_targets != 1:
        raise ValueError(f"y must have one target, got shape {data.Y.shape}")
    b = inputs.vector(coef, "coef", data.n_features)
    workers = None if n_threads is None else passes.threads(n_threads)
    return data, b, inputs.number(intercept, "intercept"), workers


def _sum_weight(data: inputs.Table, result: Vector) -> float:
    """Sum of the weights, the last number of a pass, once all of them have been found to be numbers."""
    if not math.isfinite(np.vdot(result, result)):  # squares that overflow are looked at too: no harm
        fault = inputs.first_fault(data)
        if fault is not None:
            raise ValueError(fault)
    total = float(result[-1])
    if not 0 < total < math.inf:
        raise ValueError(f"sample_weight sums to {total}: no row is left, or the weights are too large")
    return total


def pass_gradient(data: inputs.Table, b: Vector, b0: float, n_threads: int | None) -> Vector:
    """[1/2 sum w r^2, sum w r x, sum w r, sum w] over all rows, r = b0 + x b - y; one target."""
    return _row_pass("gradient", data, b, b0, n_threads, data.n_features + 3)


def pass_cost(data: inputs.Table, b: Vector, b0: float, n_threads: int | None, target: int = 0) -> float:
    """1/2 sum w r^2 over all rows, r = b0 + x b - y."""
    return float(_row_pass("cost", data, b, b0, n_threads, 2, target)[0])


def fold_cost(data: Any, b: Vector, b0: float, n_threads: int | None, target: int = 0) -> float:
    """`pass_cost` of rows that may be read piece by piece."""
    one = functools.partial(pass_cost, b=b, b0=b0, n_threads=n_threads, target=target)
    return float(data.fold(one, operator.add))


def _row_pass(
    name: str, data: inputs.Table, b: Vector, b0: float, n_threads: int | None, size: int, target: int = 0
) -> Vector:
    kernel = getattr(levels, name)[data.order or "C", data.dtype]

    def rows(lo: int, hi: int, work: Vector, out: Vector) -> None:
        for X, Y, w, first, last in data.pieces(lo, hi):
            kernel(X, Y[:, target], w, first, last, b, b0, work, out)

    p = data.n_features
    seconds = passes.stream_seconds(data.X.dtype.itemsize * p + 8, 2 if name == "gradient" else 1)
    work_size = levels.kernels.row_work_size(p)
    return passes.sum_rows(rows, data.n_rows, work_size, size, seconds, n_threads)


def count_present(data: inputs.Table) -> tuple[int, float]:
    """Number of rows of non-zero weight, sum of the weights."""
    if data.w is None:
        return data.n_rows, float(data.n_rows)
    return int(np.count_nonzero(data.w)), float(np.sum(data.w, dtype=np.float64))
