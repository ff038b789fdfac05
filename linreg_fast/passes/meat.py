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

PIECE = 1 << 17  # numbers of rows read twice in a row: 1 MB, an L2 cache; smaller pieces wait for each other
FULL = 2.0**-40  # what rounding leaves of 1 less a leverage of 1


class Fitted(NamedTuple):
    """A fit as its residuals and leverages are made of it, all in the columns `live`.

    means, coef (n_targets, r), level (n_targets,): the prediction at x is level + coef'(x - means)
    root        L' of S^-1 = L L', upper triangular, (r, r)
    one         1 over the sum of the weights, 0 without an intercept
    size        of the residuals of each target: they are summed up as multiples of it
    low         what float64 has rounded away from `level`, as `mean_scores` finds it
    """

    live: NDArray[np.intp]
    means: Vector
    coef: Matrix
    level: Vector
    root: Matrix
    one: float
    size: Vector
    low: Vector


def _piece(fitted: Fitted, X: Any, at: int, to: int) -> Any:
    """Some rows of the columns that take part, in C order: where they are, or copied in cache."""
    part = X[at:to]
    return (
        part
        if part.flags.c_contiguous and len(fitted.live) == X.shape[1]
        else np.ascontiguousarray(part[:, fitted.live])
    )


def of_rows(data: Table, fitted: Fitted, power: int, n_threads: int | None) -> Matrix:
    """sum of w^2 u^2 / (1 - h)^power [1, z][1, z]' for each target, (n_targets, 1 + r, 1 + r), in units of `size`^2.

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
        sums = out.reshape(k, size)
        scores, moments = levels.scores[data.dtype], levels.moments[data.dtype]
        room = np.split(work, [work_size, work_size + scores_size, work_size + scores_size + some])
        for at in range(lo, hi, some):
            to = min(at + some, hi)
            part, y, weight = _piece(fitted, X, at, to), Y[at:to], None if w is None else np.asarray(w[at:to])
            f, h = room[2][: to - at], room[3][: to - at]
            for t in range(k):
                root = fitted.root if power and t == 0 else nothing
                level, low = float(fitted.level[t]), float(fitted.low[t])
                scores(
                    part, y[:, t], 0, to - at, fitted.means, fitted.coef[t], level, low, root, fitted.one, room[1], f, h
                )  # fmt: skip
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
    need = blocks.Need(work_size + scores_size + 2 * some, k * size, seconds)
    try:
        out = blocks.sum_over(data, of_piece, need, n_threads)
    except _Alone as error:
        row = error.row if data.numbers is None else int(data.numbers[error.row])
        raise ValueError(
            f"row {row} has a leverage of 1, as the only one that tells a coefficient: HC2 and HC3 divide by 1 less "
            "it; leave the row out, or take HC1"
        ) from None
    return np.stack([_unpacked(part, r) for part in out.reshape(k, size)])


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


def mean_scores(data: Table, fitted: Fitted, n_threads: int | None) -> Vector:
    """sum of w [1, z_1 .. z_r, u_1 ..]: the means that are 0 but for what float64 has rounded away from offsets."""
    r, k = len(fitted.live), len(fitted.coef)
    some = max(64, PIECE // (r + 4))
    scores_size = levels.kernels.scores_work_size(r)

    def of_piece(X: Any, Y: Any, w: Any, lo: int, hi: int, work: Vector, out: Vector) -> None:
        kernel = levels.scores[data.dtype]
        for at in range(lo, hi, some):
            n = min(at + some, hi) - at
            part, u = _piece(fitted, X, at, at + n), work[scores_size:][:n]
            weight = np.ones(n) if w is None else np.asarray(w[at : at + n], dtype=np.float64)
            there = weight != 0
            Z = np.where(there[:, None], part - fitted.means, 0.0)
            out[0] += weight.sum()
            out[1 : r + 1] += np.einsum("i,ij->j", weight, Z)
            for t in range(k):
                y, b, level = Y[at : at + n, t], fitted.coef[t], float(fitted.level[t])
                kernel(part, y, 0, n, fitted.means, b, level, 0.0, fitted.root[:0], 0.0, work[:scores_size], u, u)
                out[r + 1 + t] += np.sum(np.where(there, u * weight, 0.0))

    seconds = rates.row_seconds(data.X.dtype.itemsize * r + 8 * k, 4 * r * (k + 2))
    return blocks.sum_over(data, of_piece, blocks.Need(scores_size + some, 1 + r + k, seconds), n_threads)


def about_true_means(M: Matrix, delta: Vector) -> Matrix:
    """Products of scores with z - delta in place of z."""
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


def residuals(data: Table, fitted: Fitted) -> tuple[Matrix, Vector]:
    """Residuals over `size`, (n, n_targets), and leverages, (n,), 0 for rows of weight 0."""
    r, k = len(fitted.live), len(fitted.coef)
    kernel, work = levels.scores[data.dtype], np.empty(levels.kernels.scores_work_size(r))
    U, h = np.empty((data.n_rows, k)), np.full(data.n_rows, fitted.one)
    some, u, at = max(64, PIECE // (r + 4)), np.empty(data.n_rows), 0
    for X, Y, w, lo, hi in data.pieces(0, data.n_rows):
        for first in range(lo, hi, some):
            n = min(first + some, hi) - first
            part, lever = _piece(fitted, X, first, first + n), h[at : at + n]
            for t in range(k):
                y, b, root = Y[first : first + n, t], fitted.coef[t], fitted.root if t == 0 else fitted.root[:0]
                level, low = float(fitted.level[t]), float(fitted.low[t])
                kernel(part, y, 0, n, fitted.means, b, level, low, root, fitted.one, work, u[:n], lever)
                np.divide(u[:n], fitted.size[t], out=U[at : at + n, t])
            if w is not None:
                weight = np.asarray(w[first : first + n])
                lever *= 1.0 if data.frequency else weight
                lever[weight == 0] = 0.0
            at += n
    return U, h


def scores(data: Table, fitted: Fitted) -> Any:
    """Yield (first row, scores of some rows (n_targets, n, 1 + r) over `size`), in their order."""
    r, k = len(fitted.live), len(fitted.coef)
    kernel, work = levels.scores[data.dtype], np.empty(levels.kernels.scores_work_size(r))
    some = max(64, PIECE // (r + 4))
    first = 0
    for X, Y, w, lo, hi in data.pieces(0, data.n_rows):
        for at in range(lo, hi, some):
            n = min(at + some, hi) - at
            part, weight = _piece(fitted, X, at, at + n), None if w is None else np.asarray(w[at : at + n])
            Z = part - fitted.means
            S = np.empty((k, n, r + 1))
            u = np.empty(n)
            for t in range(k):
                y, b = Y[at : at + n, t], fitted.coef[t]
                level, low = float(fitted.level[t]), float(fitted.low[t])
                kernel(part, y, 0, n, fitted.means, b, level, low, fitted.root[:0], 0.0, work, u, u)
                u /= fitted.size[t]
                if weight is not None:
                    u *= weight
                    u[weight == 0], Z[weight == 0] = 0.0, 0.0  # such a row is not there, whatever it holds
                S[t, :, 0] = u
                np.multiply(u[:, None], Z, out=S[t, :, 1:])
            yield first + at - lo, S
        first += hi - lo
