# SPDX-License-Identifier: BSD-3-Clause
"""The cost J(b) and its gradient, one pass over the rows each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from linreg_fast.algebra.precision import Vector
from linreg_fast.inputs.checks import number, vector
from linreg_fast.inputs.table import Table, first_fault, table
from linreg_fast.passes.residuals import pass_gradient, row_pass
from linreg_fast.passes.threads import threads


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
    out = row_pass("cost", data, b, b0, workers, 2)
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
) -> tuple[Table, Vector, float, int | None]:
    data = table(X, y, sample_weight)
    if data.n_targets != 1:
        raise ValueError(f"y must have one target, got shape {data.Y.shape}")
    b = vector(coef, "coef", data.n_features)
    workers = None if n_threads is None else threads(n_threads)
    return data, b, number(intercept, "intercept"), workers


def _sum_weight(data: Table, result: Vector) -> float:
    """Sum of the weights, the last number of a pass, once all of them have been found to be numbers."""
    if not math.isfinite(np.vdot(result, result)):  # squares that overflow are looked at too: no harm
        fault = first_fault(data)
        if fault is not None:
            raise ValueError(fault)
    total = float(result[-1])
    if not 0 < total < math.inf:
        raise ValueError(f"sample_weight sums to {total}: no row is left, or the weights are too large")
    return total
