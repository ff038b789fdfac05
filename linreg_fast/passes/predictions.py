# SPDX-License-Identifier: BSD-3-Clause
"""Predictions over all rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.precision import Vector
from linreg_fast.inputs.table import matrix


def evaluate(chebyshev: Vector, x: Any, out: Vector | None = None) -> Vector:
    """sum_k b_k T_k((x - c) / unit) by Clenshaw's recurrence; `chebyshev` is [c, unit, b_0, b_1 ..]."""
    data = matrix(x, 1)
    out = check_out(out, (data.n_rows,), data.X)
    u = np.asarray(data.X[:, 0], dtype=np.float64)
    c, unit, *b = chebyshev.tolist()
    t = 2 * (u - c) / unit
    last, value = np.zeros_like(t), np.zeros_like(t)
    for coefficient in b[:0:-1]:
        last, value = value, coefficient + t * value - last
    out[:] = b[0] + t / 2 * value - last
    return out


def check_out(out: NDArray[np.float64] | None, shape: tuple[int, ...], X: NDArray[Any]) -> NDArray[np.float64]:
    """Where to write predictions: the array the user gave, or a new one."""
    if out is None:
        return np.empty(shape)
    if not isinstance(out, np.ndarray) or out.dtype != np.float64 or not out.dtype.isnative:
        raise TypeError("out must be an array of native float64")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if not out.flags.writeable or not out.flags.aligned or np.may_share_memory(out, X):
        raise ValueError("out must be writeable and aligned and must not overlap X")
    return out
