# SPDX-License-Identifier: BSD-3-Clause
"""Cross products of the columns over all rows, in float64 and in double-double."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from linreg_fast.algebra.centred import Centred
from linreg_fast.algebra.pairs import (
    add,
    add_to,
    divide,
    multiply,
)
from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.algebra.sums import Sums
from linreg_fast.inputs.table import Rows, Table
from linreg_fast.options import FitOptions
from linreg_fast.passes import blocks, levels, rates
from linreg_fast.passes.progress import Report

SHIFT_ROWS = 256  # leading rows whose mean is the shift
DD_FLOPS = 30  # float64 operations for each double-double product and its sum


def leading_mean(data: Table) -> Vector:
    """Mean of the leading rows of non-zero weight, of the columns of X and y."""
    shift = np.zeros(data.n_features + data.n_targets)
    X, Y, w = data.X, data.Y, data.w
    if not data.order:
        rows = slice(0, SHIFT_ROWS) if w is None else np.flatnonzero(w)[:SHIFT_ROWS]
        X, Y, _ = data.converted(rows)
        X, w = np.asarray(X, order="F" if data.apart else "C"), None
    levels.shift[data.dtype](X, Y, w, SHIFT_ROWS, shift)
    return shift


def cross_products(
    data: Table,
    shift: Vector,
    scale: Vector,
    n_threads: int,
    progress: Report | None,
) -> Matrix:
    """The cross products M of [W, 1, V], symmetric, 0 off the diagonal of V'V."""
    p, n_targets = data.n_features, data.n_targets
    out = sum_moments(data, shift, n_threads, scale, progress)
    M = np.empty((p + 1 + n_targets, p + 1 + n_targets))
    levels.kernels.moments_unpack(out, p, n_targets, M)
    return M


def sum_moments(
    data: Table,
    shift: Vector,
    n_threads: int,
    scale: Vector | None = None,
    progress: Report | None = None,
) -> Vector:
    """What the moments kernel sums up over all rows, for `moments_unpack`; columns scaled where asked."""
    p, n_targets, single = data.n_features, data.n_targets, data.dtype == "float32"
    work_size, size = levels.kernels.moments_sizes(p, n_targets, data.n_rows)
    scaled = scale is not None and not (scale == 1.0).all()
    kernel = levels.moments["float64" if scaled else data.dtype]
    item = data.X.dtype.itemsize
    seconds = rates.row_seconds(item * p + 8 * n_targets, p * (p + 1 + 2 * n_targets))
    need = blocks.Need(work_size, size, seconds)
    if data.apart and not scaled:

        def by_address(lo: int, hi: int, work: Vector, out: Vector) -> None:
            levels.kernels.moments_by_address(data.X.addresses, single, data.Y, data.w, lo, hi, shift, work, out)

        return blocks.sum_rows(by_address, data.n_rows, need, n_threads, progress)

    positive = data.w is not None

    def plain(X: Any, Y: Any, w: Any, lo: int, hi: int, work: Vector, out: Vector) -> None:
        nonlocal positive
        kernel(X, Y, w, lo, hi, shift, work, out)
        if positive and not w[lo:hi].min() > 0:  # here they are in cache: whoever counts rows need not read them again
            positive = False

    if scale is None or not scaled:
        total = blocks.sum_over(data, plain, need, n_threads, progress)
        data.positive = positive
        return total
    zero, down, up = np.zeros(p + n_targets), np.minimum(scale, 1.0), np.maximum(scale, 1.0)

    def rescaled(X: Any, Y: Any, w: Any, lo: int, hi: int, work: Vector, out: Vector) -> None:
        for at in range(lo, hi, data.piece_rows()):
            to = min(at + data.piece_rows(), hi)
            # scaled down first: the difference of two finite numbers may overflow
            W = (X[at:to].astype(np.float64) * down[:p] - (shift * down)[:p]) * up[:p]
            V = (Y[at:to] * down[p:] - (shift * down)[p:]) * up[p:]
            kernel(np.ascontiguousarray(W), V, None if w is None else w[at:to], 0, to - at, zero, work, out)

    return blocks.sum_over(data, rescaled, need, n_threads, progress)


def target_sums(data: Table, shift: Vector, n_threads: int) -> Vector:
    """What the kernel of many targets on one X sums up over all rows, for `target_fits`."""
    p, n_targets = data.n_features, data.n_targets
    work_size, size = levels.kernels.target_sums_sizes(p, n_targets, data.n_rows)
    kernel = levels.target_sums[data.dtype]

    def plain(X: Any, Y: Any, w: Any, lo: int, hi: int, work: Vector, out: Vector) -> None:
        kernel(X, Y, w, lo, hi, shift, work, out)

    need = blocks.Need(work_size, size, target_seconds(p, n_targets))
    return blocks.sum_over(data, plain, need, n_threads)


def target_seconds(p: int, n_targets: int) -> float:
    """Expected seconds a row of `target_sums` on one thread."""
    return rates.row_seconds(8 * n_targets, 2 * p * n_targets)


def target_rows(sums: Vector, p: int, n_targets: int) -> Matrix:
    """What `target_sums` found as rows: those of X, of 1, and the squares."""
    rows = sums.reshape(-(-p // levels.kernels.lanes) * levels.kernels.lanes + 2, -1)[:, :n_targets]
    return np.vstack([rows[:p], rows[-2:]])


def each_part(
    call: Callable[[int, int, int], None],
    n_targets: int,
    most: int,
    seconds: float,
    options: FitOptions,
    progress: Report | None,
) -> None:
    """`call(lo, hi, n_threads)` for all targets, up to `most` at a time, of which each such part takes some seconds.

    Short parts are for a thread each; the rows of long ones for all threads.
    """
    within = options.workers if seconds > blocks.CALL_SECONDS else 1
    n_parts = -(-n_targets // most)
    workers = options.workers if within == 1 and n_parts * seconds > rates.THREADED_SECONDS else 1

    def part(lo: int, hi: int) -> None:
        call(lo, hi, within)

    if n_parts:
        blocks.fold(n_targets, n_parts, part, lambda left, right: None, workers, progress)


def dd_cross_products(
    data: Table,
    shift: Vector,
    scale: Vector,
    n_threads: int,
    progress: Report | None = None,
) -> Matrix:
    """`cross_products` summed up in double-double: pairs, (m, m, 2), of W = (X - k) d as exact pairs."""
    p, n_targets = data.n_features, data.n_targets
    m = p + 1 + n_targets
    kernel = levels.dd_moments[data.dtype]
    scaled = shift * scale

    def pairs_of(X: Any, Y: Any, w: Any, lo: int, hi: int, work: Vector, out: Vector) -> None:
        kernel(X, Y, w, lo, hi, scale, scaled, work, out.reshape(m, m, 2))

    flops = DD_FLOPS * ((p + 1) * (p + 2) // 2 + n_targets * (p + 2))
    seconds = rates.row_seconds(data.X.dtype.itemsize * p + 8 * n_targets, flops)
    need = blocks.Need(levels.kernels.dd_moments_work_size(p, n_targets), 2 * m * m, seconds)
    out = blocks.sum_over(data, pairs_of, need, n_threads, progress, add_to)
    M = out.reshape(m, m, 2)
    below = np.tril_indices(m, -1)
    M[below] = M.swapaxes(0, 1)[below]
    return M


class CentredPairs(NamedTuple):
    """The centred problem in pairs: A, the means of its columns in the units of the sums, the sum of weights."""

    gram: Matrix
    means: Matrix
    sum_weight: Matrix


def gram_pairs(rows: Rows, M: Sums, C: Centred, fit_intercept: bool, n_threads: int) -> CentredPairs:
    """A of `C`, without its penalty, as pairs from a pass in them."""
    shift, units = np.concatenate([M.shift, M.target_shift]), np.concatenate([M.unit, M.target_unit])
    P = rows.fold(functools.partial(dd_cross_products, shift=shift, scale=units, n_threads=n_threads), add)
    p = rows.n_features
    N, s = P[p, p], P[C.live, p]
    mu = divide(s, N[None]) if fit_intercept else np.zeros_like(s)
    scale = np.ldexp(1.0, C.exponents - (np.frexp(M.unit[C.live])[1] - 1))
    A = add(P[np.ix_(C.live, C.live)], -multiply(s[:, None], mu[None])) * (scale[:, None] * scale)[..., None]
    return CentredPairs(A, mu, N)
