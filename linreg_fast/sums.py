# SPDX-License-Identifier: BSD-3-Clause
"""Sums over the rows of a table: what the closed form needs of the data, p^2 numbers whatever the number of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast import double_double, inputs, levels, passes

SHIFT_ROWS = 256  # leading rows whose mean is the shift
SHIFT_LIMIT = 25.0  # N mu^2 / S_jj beyond which the shift is taken again: it would cost 1.4 digits
DD_FLOPS = 30  # float64 operations for each double-double product and its sum
RANGE = (2.0**-800, 2.0**1000)  # of sum w (x - k)^2, outside of which columns are scaled first

# Whatever the caller has NumPy do about them: what must not leave the range of float64 is looked at.
any_range = np.errstate(over="ignore", under="ignore")

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the rows of one table, of W = (X - k) d and V = (Y - ky) dy with powers of two d, dy.

    n_rows counts rows of non-zero weight; N = sum w, G = W'wW, s = W'w1, q = W'wV, t = V'w1,
    u = diag V'wV. d and dy are 1 unless the squares would leave the range of float64.
    """

    n_rows: int
    N: float
    G: Matrix
    s: Vector
    q: Matrix
    t: Vector
    u: Vector
    k: Vector
    ky: Vector
    d: Vector
    dy: Vector

    @property
    def mean(self) -> Vector:
        """Mean of each column of W."""
        return self.s / self.N


@any_range
def of_table(
    data: inputs.Table,
    fit_intercept: bool,
    n_threads: int,
    progress: Callable[[int, int], object] | None = None,
) -> Sums:
    """Moments of a table: one pass, and another one only where the first shows it is needed.

    The shift is the mean of the leading rows, 0 without an intercept. The pass is repeated with the
    mean it found where the leading rows were far from it, and with columns scaled by powers of two
    where squares overflow or vanish.

    Raises
    ------
    ValueError
        NaN, infinity or a negative weight in the data, with the first row and column; no row of
        positive weight.
    """
    p, n_targets = data.n_features, data.n_targets
    shift = leading_mean(data) if fit_intercept else np.zeros(p + n_targets)
    scale = np.ones(p + n_targets)
    # A shift that is not finite comes from NaN or infinity in the leading rows: one pass would only confirm it.
    M = cross_products(data, shift, scale, n_threads, progress) if np.isfinite(shift).all() else np.full((1, 1), np.nan)
    if not in_range(M, data, shift):
        M, scale, shift = _rescaled(data, shift, fit_intercept, n_threads, progress)
    if not M[p, p] > 0:
        raise ValueError("sample_weight has no positive weight: no row is left to fit")
    if fit_intercept:
        N, s = M[p, p], _without(M[p], p)
        squares = _without(np.diagonal(M), p)
        centre = s * (s / N)  # s * s may leave the range of float64 where the weights are large or small
        far = centre > SHIFT_LIMIT * (squares - centre)
        if far.any():
            shift = shift + np.where(far & (squares > 0), s / N / scale, 0.0)
            M = cross_products(data, shift, scale, n_threads, progress)
    n_rows = data.n_rows if data.w is None else int(np.count_nonzero(data.w))
    return of_cross_products(M, p, n_rows, shift, scale)


def of_cross_products(M: Matrix, p: int, n_rows: int, shift: Vector, scale: Vector) -> Sums:
    """The parts of M, the cross products of [X, 1, Y] shifted and scaled, X having p columns."""
    return Sums(
        n_rows=n_rows,
        N=float(M[p, p]),
        G=M[:p, :p],
        s=M[p, :p],
        q=M[:p, p + 1 :],
        t=M[p, p + 1 :],
        u=np.diagonal(M)[p + 1 :],
        k=shift[:p],
        ky=shift[p:],
        d=scale[:p],
        dy=scale[p:],
    )


def leading_mean(data: inputs.Table) -> Vector:
    """Mean of the leading rows of non-zero weight, of the columns of X and y."""
    shift = np.zeros(data.n_features + data.n_targets)
    X, Y, w = data.X, data.Y, data.w
    order: Any = data.order or ("F" if data.apart else "C")
    if not data.order:
        rows = slice(0, SHIFT_ROWS) if w is None else np.flatnonzero(w)[:SHIFT_ROWS]
        X, Y, _ = data.converted(rows)
        X, w = np.asarray(X, order=order), None
    levels.shift[order, data.dtype](X, Y, w, SHIFT_ROWS, shift)
    return shift


def cross_products(
    data: inputs.Table,
    shift: Vector,
    scale: Vector,
    n_threads: int,
    progress: Callable[[int, int], object] | None,
) -> Matrix:
    """The cross products M of [W, 1, V], symmetric, 0 off the diagonal of V'V."""
    p, n_targets = data.n_features, data.n_targets
    out = sum_moments(data, shift, n_threads, scale, progress)
    M = np.empty((p + 1 + n_targets, p + 1 + n_targets))
    levels.kernels.moments_unpack(out, p, n_targets, M)
    return M


def sum_moments(
    data: inputs.Table,
    shift: Vector,
    n_threads: int,
    scale: Vector | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Vector:
    """What the moments kernel sums up over all rows, for `moments_unpack`; columns scaled where asked."""
    p, n_targets, single = data.n_features, data.n_targets, data.dtype == "float32"
    work_size, size = levels.kernels.moments_sizes(p, n_targets, data.n_rows)
    scaled = scale is not None and not (scale == 1.0).all()
    kernel = levels.moments["C" if scaled else data.order or "C", "float64" if scaled else data.dtype]
    zero = np.zeros(p + n_targets)
    down, up = (zero, zero) if scale is None else (np.minimum(scale, 1.0), np.maximum(scale, 1.0))

    def rows(lo: int, hi: int, work: Vector, out: Vector) -> None:
        if data.apart and not scaled:
            levels.kernels.moments_apart(data.X.addresses, single, data.Y, data.w, lo, hi, shift, work, out)
            return
        for X, Y, w, first, last in data.pieces(lo, hi):
            if scale is None or not scaled:
                kernel(X, Y, w, first, last, shift, work, out)
                continue
            for at in range(first, last, data.piece_rows()):
                to = min(at + data.piece_rows(), last)
                # scaled down first: the difference of two finite numbers may overflow
                W = (X[at:to].astype(np.float64) * down[:p] - (shift * down)[:p]) * up[:p]
                V = (Y[at:to] * down[p:] - (shift * down)[p:]) * up[p:]
                kernel(np.ascontiguousarray(W), V, None if w is None else w[at:to], 0, to - at, zero, work, out)

    item = data.X.dtype.itemsize
    seconds = passes.row_seconds(item * p + 8 * n_targets, p * (p + 1 + 2 * n_targets))
    return passes.sum_rows(rows, data.n_rows, work_size, size, seconds, n_threads, progress)


def dd_cross_products(
    data: inputs.Table,
    shift: Vector,
    scale: Vector,
    n_threads: int,
    progress: Callable[[int, int], object] | None = None,
) -> Matrix:
    """`cross_products` summed up in double-double: pairs, (m, m, 2), of W = (X - k) d as exact pairs."""
    p, n_targets = data.n_features, data.n_targets
    m = p + 1 + n_targets
    kernel = levels.dd_moments[data.order or "C", data.dtype]
    scaled = shift * scale

    def rows(lo: int, hi: int, work: Vector, out: Vector) -> None:
        for X, Y, w, first, last in data.pieces(lo, hi):
            kernel(X, Y, w, first, last, scale, scaled, work, out.reshape(m, m, 2))

    products = (p + 1) * (p + 2) // 2 + n_targets * (p + 2)
    seconds = passes.row_seconds(data.X.dtype.itemsize * p + 8 * n_targets, DD_FLOPS * products)
    work_size = levels.kernels.dd_moments_work_size(p, n_targets)
    out = passes.sum_rows(rows, data.n_rows, work_size, 2 * m * m, seconds, n_threads, progress, double_double.add_to)
    M = out.reshape(m, m, 2)
    below = np.tril_indices(m, -1)
    M[below] = M.swapaxes(0, 1)[below]
    return M


def in_range(M: Matrix, data: inputs.Table, shift: Vector) -> bool:
    """Whether every sum is finite and no square vanished that should not have."""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = M.sum()  # may overflow where no element did
    if not (np.isfinite(whole) or np.isfinite(M).all()):
        return False
    p = data.n_features
    squares = M.diagonal()
    if np.isfinite(whole) and squares.min() >= RANGE[0] and squares.max() <= RANGE[1]:
        return True
    squares = _without(squares, p)
    if not (((squares >= RANGE[0]) & (squares <= RANGE[1])) | (squares == 0.0)).all():
        return False
    # A square of 0 is a constant column, as any x != k differs from it by a part in 2^53 at least,
    # unless k is so small that squares of that vanish too.
    doubtful = np.flatnonzero((squares == 0.0) & (np.abs(shift) < 2.0**-450))
    return not any(_varies(data, int(j), float(shift[j])) for j in doubtful)


def _without(a: Vector, i: int) -> Vector:
    return np.concatenate([a[:i], a[i + 1 :]])


def _varies(data: inputs.Table, j: int, value: float) -> bool:
    """Whether column j of [X, Y] differs from a value in any row of non-zero weight."""
    column = data.X[:, j] if j < data.n_features else data.Y[:, j - data.n_features]
    step = data.piece_rows() * (data.n_features + data.n_targets)
    for at in range(0, data.n_rows, step):
        differs = np.asarray(column[at : at + step]) != value
        if data.w is not None:
            differs &= np.asarray(data.w[at : at + step]) != 0
        if differs.any():
            return True
    return False


def _rescaled(
    data: inputs.Table,
    shift: Vector,
    fit_intercept: bool,
    n_threads: int,
    progress: Callable[[int, int], object] | None,
) -> tuple[Matrix, Vector, Vector]:
    """The pass with columns scaled by powers of two, after the numbers themselves were looked at."""
    fault = inputs.first_fault(data)
    if fault is not None:
        raise ValueError(fault)
    if data.w is not None and not (np.asarray(data.w) > 0).any():
        raise ValueError("sample_weight has no positive weight: no row is left to fit")
    p = data.n_features
    largest = np.zeros(p + data.n_targets)
    if not np.isfinite(shift).all():
        # the sum of the leading rows overflowed: any value of the column will do
        first = 0 if data.w is None else int(np.flatnonzero(np.asarray(data.w))[0])
        row = np.concatenate([np.asarray(a[first], dtype=np.float64) for a in (data.X, data.Y)])
        shift = np.where(np.isfinite(shift), shift, row)
    for at in range(0, data.n_rows, data.piece_rows()):
        to = min(at + data.piece_rows(), data.n_rows)
        present = slice(None) if data.w is None else np.asarray(data.w[at:to]) != 0
        for part, a in ((slice(0, p), data.X), (slice(p, None), data.Y)):
            piece = np.asarray(a[at:to])[present].astype(np.float64)
            if len(piece):
                with np.errstate(over="ignore"):
                    # half of each: the difference of two finite numbers may overflow
                    gap = np.abs(piece / 2 - shift[part] / 2).max(axis=0)
                largest[part] = np.maximum(largest[part], gap)
    exponent = np.where(largest > 0, -np.frexp(largest)[1] - 1, 0)
    scale = np.ldexp(1.0, np.clip(exponent, -1022, 1023))
    M = cross_products(data, shift, scale, n_threads, progress)
    if not np.isfinite(M).all():
        raise ValueError("cross products of X and y overflow even after scaling; sample_weight may be too large")
    return M, scale, shift
