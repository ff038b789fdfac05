# SPDX-License-Identifier: BSD-3-Clause
"""The meat of robust covariances: sums over all rows of products of scores, about the means of the columns.

The score of a row is w u [1, x - mean], u being its residual. Residuals are made row by row, of differences from the
means, never out of sums of squares: an offset of the columns costs no digit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.inputs.table import Table
from linreg_fast.passes import blocks, levels, rates

PIECE = 1 << 15  # numbers of columns that are less their means at once: 256 kB, half of a small L2 cache
FULL = 2.0**-40  # what rounding leaves of 1 less a leverage of 1


class Fitted(NamedTuple):
    """A fit as its residuals and leverages are made of it, all in the columns `live`.

    means, coef (n_targets, r), level (n_targets,): the prediction at x is level + coef'(x - means)
    root        L of S^-1 = L L', (r, r)
    one         1 over the sum of the weights, 0 without an intercept
    size        of the residuals of each target: they are summed up as multiples of it
    """

    live: NDArray[np.intp]
    means: Vector
    coef: Matrix
    level: Vector
    root: Matrix
    one: float
    size: Vector

    @property
    def intercept(self) -> bool:
        return self.one > 0


def centred(fitted: Fitted, X: Any) -> Matrix:
    """x - mean of some rows, in C order."""
    some = X if len(fitted.live) == X.shape[1] else X[:, fitted.live]
    return np.subtract(some, fitted.means, dtype=np.float64, order="C")


def residuals(fitted: Fitted, Z: Matrix, Y: Any, work: Vector, leverage: bool) -> tuple[Matrix, Vector | None]:
    """Those of some centred rows over `size`, (n, n_targets), and their leverages over their weights."""
    n, k = len(Z), len(fitted.coef)
    coef = np.concatenate([fitted.coef, fitted.root.T]) if leverage else fitted.coef
    b0 = np.zeros(len(coef))
    b0[:k] = fitted.level
    out = np.empty((n, len(coef)))
    levels.predict["C", "float64"](Z, 0, n, np.ascontiguousarray(coef), b0, work, out)
    U = (np.asarray(Y, dtype=np.float64) - out[:, :k]) / fitted.size
    return U, fitted.one + np.einsum("ij,ij->i", out[:, k:], out[:, k:]) if leverage else None


def of_rows(data: Table, fitted: Fitted, power: int, n_threads: int | None) -> Matrix:
    """sum of w^2 u^2 / (1 - h)^power [1, z][1, z]' for each target, in units of `size`^2, and w [1, z]: all as
    (n_targets + 1, 1 + r, 1 + r), the last of which has its first row alone, for `about_true_means`.

    Raises
    ------
    ValueError
        A leverage of 1, where one is divided by: its row is named.
    """
    r, k = len(fitted.live), len(fitted.coef)
    moments = levels.moments["float64"]
    work_size, size = levels.kernels.moments_sizes(r, 1, data.n_rows)
    predict_size = levels.kernels.row_work_size(r)
    zero = np.zeros(r + 1)

    def of_piece(X: Any, Y: Any, w: Any, lo: int, hi: int, work: Vector, out: Vector) -> None:
        some = max(64, PIECE // (2 * r + k + 1))
        sums = out[: -r - 1].reshape(k, size)
        for at in range(lo, hi, some):
            to = min(at + some, hi)
            Z = centred(fitted, X[at:to])
            U, h = residuals(fitted, Z, Y[at:to], work[work_size:], power > 0)
            weight = None if w is None else np.asarray(w[at:to])
            out[-r - 1 :] += _weight_and_sums(Z, weight)
            factor: Any = 1.0
            if h is not None:
                h = h if weight is None or data.frequency else h * weight
                if weight is not None:
                    h[weight == 0] = 0.0  # such a row is not there, whatever it holds
                if h.max(initial=0.0) >= 1.0 - FULL:
                    raise _Alone(at + int(np.argmax(h)))
                factor = 1.0 / (1.0 - h) if power == 1 else 1.0 / np.square(1.0 - h)
            if weight is not None:
                factor = factor * (weight if data.frequency else np.square(weight))
            for t in range(k):
                f = np.square(U[:, t]) * factor
                if weight is not None:
                    f[weight == 0] = 0.0
                moments(Z, U[:, t : t + 1], f, 0, to - at, zero, work[:work_size], sums[t])

    seconds = rates.row_seconds(8 * r + 8 * k, 4 * r * (r + 4) * k)
    need = blocks.Need(work_size + predict_size, k * size + r + 1, seconds)
    try:
        out = blocks.sum_over(data, of_piece, need, n_threads)
    except _Alone as error:
        row = error.row if data.numbers is None else int(data.numbers[error.row])
        raise ValueError(
            f"row {row} has a leverage of 1, as the only one that tells a coefficient: HC2 and HC3 divide by 1 less "
            "it; leave the row out, or take HC1"
        ) from None
    last = np.zeros((r + 1, r + 1))
    last[0] = out[-r - 1 :]
    return np.stack([*(_unpacked(part, r) for part in out[: -r - 1].reshape(k, size)), last])


def _weight_and_sums(Z: Matrix, w: Vector | None) -> Vector:
    """Sums of w [1, z]."""
    if w is None:
        return np.concatenate([[len(Z)], Z.sum(axis=0)])
    there = Z if w.all() else np.where((w == 0)[:, None], 0.0, Z)
    return np.concatenate([[w.sum()], np.einsum("i,ij->j", w, there)])


def about_true_means(M: Matrix, sums: Vector) -> Matrix:
    """Products of scores with z less its mean sum w z / sum w, which float64 has rounded away from an offset of x.

    An offset of 1e6 times the spread costs ten digits otherwise.
    """
    delta = sums[1:] / sums[0]
    out = M.copy()
    out[..., 1:, :] -= delta[:, None] * M[..., :1, :]
    out[..., :, 1:] -= out[..., :, :1] * delta
    return out


class _Alone(Exception):
    """A row of leverage 1."""

    def __init__(self, row: int) -> None:
        self.row = row


def _unpacked(part: Vector, r: int) -> Matrix:
    """[1, z][1, z]' of what the moments kernel leaves."""
    M = np.empty((r + 2, r + 2))
    levels.kernels.moments_unpack(part, r, 1, M)
    out = np.empty((r + 1, r + 1))
    out[1:, 1:] = np.triu(M[:r, :r]) + np.triu(M[:r, :r], 1).T
    out[0, 0], out[0, 1:], out[1:, 0] = M[r, r], M[r, :r], M[r, :r]
    return out


def scores(data: Table, fitted: Fitted, sums: Vector) -> Any:
    """Yield (first row, scores of some rows (n_targets, n, 1 + r) over `size`), in their order.

    `sums` are those of w [1, z] of the rows so far, for `about_true_means`.
    """
    r, k = len(fitted.live), len(fitted.coef)
    work = np.empty(levels.kernels.row_work_size(r))
    some = max(64, PIECE // (2 * r + k + 1))
    first = 0
    for X, Y, w, lo, hi in data.pieces(0, data.n_rows):
        for at in range(lo, hi, some):
            to = min(at + some, hi)
            Z = centred(fitted, X[at:to])
            U, _ = residuals(fitted, Z, Y[at:to], work, False)
            sums += _weight_and_sums(Z, None if w is None else np.asarray(w[at:to]))
            if w is not None:
                weight = np.asarray(w[at:to])
                U = U * weight[:, None]
                U[weight == 0], Z[weight == 0] = 0.0, 0.0  # such a row is not there, whatever it holds
            one = np.concatenate([np.ones((to - at, 1)), Z], axis=1)
            yield first + at - lo, U.T[:, :, None] * one
        first += hi - lo
