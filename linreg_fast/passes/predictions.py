# SPDX-License-Identifier: BSD-3-Clause
"""Predictions over all rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.precision import Vector
from linreg_fast.inputs.table import matrix
from linreg_fast.passes import blocks, levels, rates
from linreg_fast.passes.threads import threads

CENTRED_SIZE = 1 << 15  # numbers that are less their means at once: 256 kB, half of a small L2 cache


def predict(
    X: Any,
    coef: NDArray[np.float64],
    intercept: Any,
    names: tuple[str, ...] | None,
    out: NDArray[np.float64] | None,
    n_threads: int | None,
    origin: Vector | None = None,
) -> NDArray[np.float64]:
    """intercept + X coef', (n,) or for two dimensions of `coef` (n, n_targets); X has the columns `names`.

    With an origin [c, v] the same as v + (X - c) coef'.
    """
    n_features = coef.shape[-1]
    data = matrix(X, n_features, names)
    n = data.n_rows
    out = check_out(out, (n,) if coef.ndim == 1 else (n, len(coef)), data.X)
    if n == 0:
        return out
    coef = np.ascontiguousarray(coef if coef.ndim == 2 else coef[None])
    n_targets = len(coef)
    intercept = np.array(intercept if origin is None else origin[n_features:], dtype=np.float64).reshape(n_targets)
    target = out.reshape(n, 1) if out.ndim == 1 and out.flags.c_contiguous else out[:, None] if out.ndim == 1 else out
    kernel = levels.predict[data.order or "C", data.dtype]
    centred = levels.predict["C", "float64"]
    some = max(1, CENTRED_SIZE // max(1, n_features))

    def rows(lo: int, hi: int, work: NDArray[np.float64]) -> None:
        at = lo
        for piece, _, _, first, last in data.pieces(lo, hi):
            if origin is not None:
                for i in range(first, last, some):
                    Z = np.subtract(piece[i : min(i + some, last)], origin[:n_features], dtype=np.float64, order="C")
                    centred(Z, 0, len(Z), coef, intercept, work, target[at : at + len(Z)])
                    at += len(Z)
            elif data.order:
                kernel(piece, first, last, coef, intercept, work, target)
            else:
                kernel(piece, first, last, coef, intercept, work, target[at : at + last - first])
                at += last - first

    row_bytes = data.X.dtype.itemsize * n_features + 8 * n_targets
    seconds = rates.stream_seconds(row_bytes, n_targets)
    size = levels.kernels.row_work_size(n_features)
    blocks.each_rows(rows, n, size, seconds, None if n_threads is None else threads(n_threads))
    return out


@np.errstate(all="ignore")
def evaluate(chebyshev: Vector, x: Any, out: Vector | None = None) -> Vector:
    """sum_k b_k T_k((x - c) / unit) by Clenshaw's recurrence; `chebyshev` is [c, unit, b_0, b_1 ..].

    Far out of [-1, 1] it is infinite or NaN.
    """
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
