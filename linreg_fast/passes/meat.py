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
    root        L' of S^-1 = L L', upper triangular, (r, r)
    one         1 over the sum of the weights, 0 without an intercept
    size        of the residuals of each target: they are summed up as multiples of it
    far         whether means have rounded by what is not nothing beside the spread of their columns
    """

    live: NDArray[np.intp]
    means: Vector
    coef: Matrix
    level: Vector
    root: Matrix
    one: float
    size: Vector
    far: bool


def _piece(fitted: Fitted, X: Any, at: int, to: int) -> Any:
    """Some rows of the columns that take part, in C order: where they are, or copied in cache."""
    part = X[at:to]
    return (
        part
        if part.flags.c_contiguous and len(fitted.live) == X.shape[1]
        else np.ascontiguousarray(part[:, fitted.live])
    )


def of_rows(data: Table, fitted: Fitted, power: int, n_threads: int | None) -> Matrix:
    """sum of w^2 u^2 / (1 - h)^power [1, z][1, z]' for each target, in units of `size`^2, and w [1, z]: all as
    (n_targets + 1, 1 + r, 1 + r), the last of which has its first row alone, for `about_true_means`.

    Raises
    ------
    ValueError
        A leverage of 1, where one is divided by: its row is named.
    """
    r, k = len(fitted.live), len(fitted.coef)
    work_size, size = levels.kernels.moments_sizes(r, 1, data.n_rows)
    scores_size = levels.kernels.scores_work_size(r)
    nothing = fitted.root[:0]
    some = max(64, PIECE // (r + 4))
    shift = np.append(fitted.means, 0.0)

    def of_piece(X: Any, Y: Any, w: Any, lo: int, hi: int, work: Vector, out: Vector) -> None:
        sums = out[: -r - 1].reshape(k, size)
        scores, moments = levels.scores[data.dtype], levels.moments[data.dtype]
        room = np.split(work, [work_size, work_size + scores_size, work_size + scores_size + some])
        for at in range(lo, hi, some):
            to = min(at + some, hi)
            part, y, weight = _piece(fitted, X, at, to), Y[at:to], None if w is None else np.asarray(w[at:to])
            f, h = room[2][: to - at], room[3][: to - at]
            if fitted.far:
                out[-r - 1 :] += _weight_and_sums(part - fitted.means, weight)
            for t in range(k):
                root = fitted.root if power and t == 0 else nothing
                level = float(fitted.level[t])
                scores(part, y[:, t], 0, to - at, fitted.means, fitted.coef[t], level, root, fitted.one, room[1], f, h)
                if power and t == 0:
                    _to_divisors(h, weight, data.frequency, power, at)
                f /= fitted.size[t]
                np.multiply(f, f, out=f)
                if power:
                    f /= h
                if weight is not None:
                    f *= weight if data.frequency else np.square(weight)
                    f[weight == 0] = 0.0  # such a row is not there, whatever it holds
                moments(part, y[:, t : t + 1], f, 0, to - at, shift, room[0], sums[t])

    seconds = rates.row_seconds(data.X.dtype.itemsize * r + 8 * k, 3 * r * (r + 4) * k)
    need = blocks.Need(work_size + scores_size + 2 * some, k * size + r + 1, seconds)
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


def _to_divisors(h: Vector, w: Vector | None, frequency: bool, power: int, at: int) -> None:
    """(1 - h)^power in place of leverages over weights h."""
    if w is not None:
        if not frequency:
            np.multiply(h, w, out=h)
        h[w == 0] = 0.0
    if h.max(initial=0.0) >= 1.0 - FULL:
        raise _Alone(at + int(np.argmax(h)))
    np.subtract(1.0, h, out=h)
    if power == 2:
        np.multiply(h, h, out=h)


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
    kernel, work = levels.scores[data.dtype], np.empty(levels.kernels.scores_work_size(r))
    some = max(64, PIECE // (r + 4))
    first = 0
    for X, Y, w, lo, hi in data.pieces(0, data.n_rows):
        for at in range(lo, hi, some):
            n = min(at + some, hi) - at
            part, weight = _piece(fitted, X, at, at + n), None if w is None else np.asarray(w[at : at + n])
            Z = part - fitted.means
            if fitted.far:
                sums += _weight_and_sums(Z, weight)
            S = np.empty((k, n, r + 1))
            u = np.empty(n)
            for t in range(k):
                level = float(fitted.level[t])
                kernel(
                    part, Y[at : at + n, t], 0, n, fitted.means, fitted.coef[t], level, fitted.root[:0], 0.0, work, u, u
                )
                u /= fitted.size[t]
                if weight is not None:
                    u *= weight
                    u[weight == 0], Z[weight == 0] = 0.0, 0.0  # such a row is not there, whatever it holds
                S[t, :, 0] = u
                np.multiply(u[:, None], Z, out=S[t, :, 1:])
            yield first + at - lo, S
        first += hi - lo
