# SPDX-License-Identifier: BSD-3-Clause
"""Moments of the rows of each group: the folds of leave-one-group-out."""

from __future__ import annotations

from typing import Any

import numpy as np

from linreg_fast.algebra.paired import PairedSums
from linreg_fast.algebra.pairs import pairs
from linreg_fast.algebra.precision import EPS, Matrix, Vector
from linreg_fast.inputs.table import Table, first_fault, table
from linreg_fast.moments.moments import Moments
from linreg_fast.passes import levels, products, table_sums
from linreg_fast.passes.threads import threads

SMALL_BYTES = 1 << 20  # of the rows of a group, up to which one kernel call sums them up


def by_group(
    X: Any,
    y: Any,
    groups: Any,
    *,
    sample_weight: Any = None,
    precision: str = "auto",
    n_threads: int | None = None,
) -> dict[Any, Moments]:
    """Moments of the rows of each group, all with one shift: the folds of leave-one-group-out.

    The rows of one group after the other are copied.

    Parameters
    ----------
    X, y, sample_weight
        As for `fit`.
    groups : array_like of shape (n_samples,)
        The group of each row: any values that NumPy can sort.
    precision, n_threads
        As for `Moments` and `Moments.update`.

    Returns
    -------
    dict
        From each value of `groups`, ascending, to its `Moments`.

    Raises
    ------
    TypeError, ValueError
        As for `Moments.update`; rows in errors count within the group, which a note names.
    """
    data = table(X, y, sample_weight)
    workers = threads(n_threads)
    groups = np.asarray(groups)
    if groups.shape != (data.n_rows,):
        raise ValueError(f"groups must have shape ({data.n_rows},), one group for each row of X; got {groups.shape}")
    shift = (
        products.leading_mean(data) if data.w is None or np.any(data.w) else np.zeros(data.n_features + data.n_targets)
    )
    if not np.isfinite(shift).all():
        raise ValueError(first_fault(data) or "the sum of the leading rows leaves the range of float64: scale them")
    try:
        order = np.argsort(groups, kind="stable")
    except TypeError as error:
        raise TypeError(f"groups has values that cannot be sorted, as None among text cannot: {error}") from None
    values, first, counts = np.unique(groups[order], return_index=True, return_counts=True)
    names = None if data.names is None else tuple(data.names)
    w = None if data.w is None else data.w[order]
    data = table(data.X[order], data.Y[order], w)
    most = SMALL_BYTES // (8 * (data.n_features + data.n_targets + 1))
    if precision == "auto" and data.order and counts.max(initial=0) <= most:
        M, n_rows, sound = _sums(data, shift, first, counts)
    else:
        M, n_rows, sound = np.zeros((0, 0, 0, 2)), counts, np.zeros(len(counts), dtype=bool)
    found = {}
    for i, value in enumerate(values.tolist()):
        if sound[i]:
            noise = EPS * np.diagonal(M[i, ..., 0])
            if w is None:
                noise[data.n_features] = 0.0  # counts are exact
            sums = PairedSums(M[i], noise, EPS, shift, int(n_rows[i]), data.n_features)
            part = Moments.of_sums(sums, precision, names)
        else:
            part = Moments(data.n_features, data.n_targets, shift=shift, precision=precision)
            part.feature_names = names
            rows = slice(first[i], first[i] + counts[i])
            try:
                part.update(data.X[rows], data.Y[rows], None if w is None else data.w[rows], n_threads=workers)  # type: ignore[index]
            except ValueError as error:
                error.add_note(f"rows are counted within group {value!r}")
                raise
        found[value] = part
    return found


def _sums(data: Table, shift: Vector, first: Any, counts: Any) -> tuple[Matrix, Any, Any]:
    """Cross products of [X - k, 1, y - ky] of small groups of rows, as pairs, their rows, and which are good.

    Those are not that `Moments.update` would take once more, or refuse. One kernel call a group, and checks of all
    groups at once.
    """
    p, n_targets = data.n_features, data.n_targets
    m = p + 1 + n_targets
    work_size, size = levels.kernels.moments_sizes(p, n_targets, int(counts.max(initial=0)))
    kernel = levels.moments[data.dtype]
    work, out, M = np.empty(work_size), np.empty(size), np.zeros((len(counts), m, m))
    for i, (at, count) in enumerate(zip(first.tolist(), counts.tolist(), strict=True)):
        out.fill(0.0)
        kernel(data.X, data.Y, data.w, at, at + count, shift, work, out)
        levels.kernels.moments_unpack(out, p, n_targets, M[i])
    n_rows = counts if data.w is None else np.add.reduceat(np.asarray(data.w) != 0, first, dtype=np.int64)
    squares = np.diagonal(M, axis1=1, axis2=2)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        sound = np.isfinite(M).all(axis=(1, 2)) & (n_rows > 0)
        mean = M[:, p] / M[:, p, p, None]
        near = M[:, p, p, None] * mean * mean <= table_sums.SHIFT_LIMIT * (squares - M[:, p] * mean)
        inside = (squares >= table_sums.RANGE[0]) & (squares <= table_sums.RANGE[1])
    near[:, p] = inside[:, p] = True
    return pairs(M), n_rows, sound & (near & inside).all(axis=1)
