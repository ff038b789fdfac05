# SPDX-License-Identifier: BSD-3-Clause
"""The cost J(b) and its gradient, one pass over the rows each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from linreg_fast.algebra.precision import Vector
from linreg_fast.inputs.checks import number, one_of, vector
from linreg_fast.inputs.missing import of_complete_rows
from linreg_fast.inputs.table import Table, first_fault, table
from linreg_fast.options import MISSING
from linreg_fast.passes.residuals import pass_gradient, row_pass
from linreg_fast.passes.threads import threads


def cost(
    X: Any,
    y: Any,
    coef: Any,
    intercept: float = 0.0,
    *,
    sample_weight: Any = None,
    missing: str = "raise",
    n_threads: int | None = None,
) -> float:
    """Cost J(b) = 1/(2 sum w) sum_i w_i (intercept + x_i coef - y_i)^2, in one pass.

    Parameters
    ----------
    X, y, sample_weight
        As in `fit`, one target.
    coef : array_like of shape (n_features,)
    intercept : float
    missing : {"raise", "drop"}
        As in `fit`: "drop" takes the rows without NaN or null.
    n_threads : int, optional

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        As in `fit`.
    """
    data, b, b0 = _point(X, y, coef, intercept, sample_weight)
    workers = _checked(missing, n_threads)

    def of_rows(rows: Table) -> float:
        out = row_pass("cost", rows, b, b0, workers, 2)
        return float(out[0] / _sum_weight(rows, out))

    return of_complete_rows(of_rows, data, missing)


def gradient(
    X: Any,
    y: Any,
    coef: Any,
    intercept: float = 0.0,
    *,
    sample_weight: Any = None,
    missing: str = "raise",
    n_threads: int | None = None,
) -> tuple[float, Vector, float]:
    """Cost J(b) and its gradient in coef and intercept, in one pass.

    Parameters
    ----------
    X, y, coef, intercept, sample_weight, missing, n_threads
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
    data, b, b0 = _point(X, y, coef, intercept, sample_weight)
    workers = _checked(missing, n_threads)

    def of_rows(rows: Table) -> Vector:
        out = pass_gradient(rows, b, b0, workers)
        out /= _sum_weight(rows, out)
        return out

    out = of_complete_rows(of_rows, data, missing)
    return float(out[0]), out[1:-2], float(out[-2])


def _checked(missing: str, n_threads: int | None) -> int | None:
    one_of(missing, "missing", MISSING)
    return None if n_threads is None else threads(n_threads)


def _point(X: Any, y: Any, coef: Any, intercept: float, sample_weight: Any) -> tuple[Table, Vector, float]:
    data = table(X, y, sample_weight)
    if data.n_targets != 1:
        raise ValueError(f"y must have one target, got shape {data.Y.shape}")
    b = vector(coef, "coef", data.n_features)
    return data, b, number(intercept, "intercept")


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
