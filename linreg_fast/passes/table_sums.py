# SPDX-License-Identifier: BSD-3-Clause
"""Sums of a table: one pass, and another one only where the first shows it is needed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from linreg_fast.algebra.precision import Matrix, Vector, any_range
from linreg_fast.algebra.sums import Sums, of_cross_products, without
from linreg_fast.inputs.table import Table, first_fault
from linreg_fast.passes import products
from linreg_fast.passes.products import leading_mean
from linreg_fast.passes.progress import Report

SHIFT_LIMIT = 25.0  # N mu^2 / S_jj beyond which the shift is taken again: it would cost 1.4 digits
RANGE = (2.0**-800, 2.0**1000)  # of sum w (x - k)^2, outside of which columns are scaled first


class FirstPass(NamedTuple):
    """Cross products of [X - k, 1, y - ky] that were summed up already, and the shift [k, ky] they are about."""

    M: Matrix
    shift: Vector


@any_range
def of_table(
    data: Table, fit_intercept: bool, n_threads: int, report: Report | None = None, first: FirstPass | None = None
) -> Sums:
    """Moments of a table: one pass unless `first` is it, and another one only where that shows it is needed.

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
    scale = np.ones(p + n_targets)
    if first is None:
        shift = leading_mean(data) if fit_intercept else np.zeros(p + n_targets)
        # one that is not finite comes from NaN or infinity in the leading rows: a pass would only confirm it
        finite = np.isfinite(shift).all()
        M = products.cross_products(data, shift, scale, n_threads, report) if finite else np.full((1, 1), np.nan)
    else:
        M, shift = first
    if not in_range(M, data, shift):
        M, scale, shift = _rescaled(data, shift, n_threads, report)
    if not M[p, p] > 0:
        raise ValueError("sample_weight has no positive weight: no row is left to fit")
    if fit_intercept:
        N, s = M[p, p], without(M[p], p)
        squares = without(np.diagonal(M), p)
        centre = s * (s / N)  # s * s may leave the range of float64 where the weights are large or small
        far = centre > SHIFT_LIMIT * (squares - centre)
        if far.any():
            shift = shift + np.where(far & (squares > 0), s / N / scale, 0.0)
            M = products.cross_products(data, shift, scale, n_threads, report)
    return of_cross_products(M, p, data.n_present(), shift, scale)


def in_range(M: Matrix, data: Table, shift: Vector) -> bool:
    """Whether every sum is finite and no square vanished that should not have."""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = M.sum()  # may overflow where no element did
    if not (np.isfinite(whole) or np.isfinite(M).all()):
        return False
    p = data.n_features
    squares = M.diagonal()
    if np.isfinite(whole) and squares.min() >= RANGE[0] and squares.max() <= RANGE[1]:
        return True
    squares = without(squares, p)
    if not (((squares >= RANGE[0]) & (squares <= RANGE[1])) | (squares == 0.0)).all():
        return False
    # A square of 0 is a constant column, as any x != k differs from it by a part in 2^53 at least,
    # unless k is so small that squares of that vanish too.
    doubtful = np.flatnonzero((squares == 0.0) & (np.abs(shift) < 2.0**-450))
    return not any(_varies(data, int(j), float(shift[j])) for j in doubtful)


def _varies(data: Table, j: int, value: float) -> bool:
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


def _rescaled(data: Table, shift: Vector, n_threads: int, report: Report | None) -> tuple[Matrix, Vector, Vector]:
    """The pass with columns scaled by powers of two, after the numbers themselves were looked at."""
    fault = first_fault(data)
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
    M = products.cross_products(data, shift, scale, n_threads, report)
    if not np.isfinite(M).all():
        raise ValueError("cross products of X and y overflow even after scaling; sample_weight may be too large")
    return M, scale, shift
