# SPDX-License-Identifier: BSD-3-Clause
"""Moments of the rows of each group: the folds of leave-one-group-out."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from linreg_fast.algebra.pairs import pairs
from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.inputs.checks import one_of
from linreg_fast.inputs.labels import along
from linreg_fast.inputs.missing import complete, of_complete_rows
from linreg_fast.inputs.named import taken_apart
from linreg_fast.inputs.table import Table, first_fault, table
from linreg_fast.moments.moments import Moments
from linreg_fast.options import MISSING
from linreg_fast.passes import levels, products, table_sums
from linreg_fast.passes.threads import threads

SMALL_BYTES = 1 << 20  # of the rows of a group, up to which one kernel call sums them up


def by_group(
    X: Any,
    y: Any,
    groups: Any,
    *,
    sample_weight: Any = None,
    missing: str = "raise",
    precision: str = "auto",
    n_threads: int | None = None,
) -> dict[Any, Moments]:
    """Moments of the rows of each group, all with one shift: the folds of leave-one-group-out.

    The rows of one group after the other are copied.

    Parameters
    ----------
    X, y, sample_weight
        As for `fit`.
    groups : array_like of shape (n_samples,), or str
        The group of each row: any values that NumPy can sort; a series of pandas beside others goes by its labels. The
        name of a column of X where y names one too.
    missing : {"raise", "drop"}
        "drop" leaves out rows with NaN or null in X, y or the weights; `Moments.n_dropped` counts those of a group.
    precision, n_threads
        As for `Moments` and `Moments.update`.

    Returns
    -------
    dict
        From each value of `groups`, ascending, to its `Moments`.

    Raises
    ------
    TypeError, ValueError
        As for `Moments.update`; a note names the group.
    """
    one_of(missing, "missing", MISSING)
    targets = None
    if isinstance(groups, str):
        named = taken_apart(X, y, {"sample_weight": sample_weight, "groups": groups})
        X, y, (sample_weight, groups), targets = named.X, named.y, named.others, named.target_names
    data = table(X, y, sample_weight)
    data.target_names = targets or data.target_names
    workers = threads(n_threads)
    groups = np.asarray(along(groups, "groups", data.labels))
    if groups.shape != (data.n_rows,):
        raise ValueError(f"groups must have shape ({data.n_rows},), one group for each row of X; got {groups.shape}")
    shift = _shift(data)
    if missing == "drop" and not np.isfinite(shift).all():
        shift = _shift(complete(data))
    if not np.isfinite(shift).all():
        raise ValueError(first_fault(data) or "the sum of the leading rows leaves the range of float64: scale them")
    try:
        order = np.argsort(groups, kind="stable")
    except TypeError as error:
        raise TypeError(f"groups has values that cannot be sorted, as None among text cannot: {error}") from None
    values, first, counts = np.unique(groups[order], return_index=True, return_counts=True)
    names = None if data.names is None else tuple(data.names)
    w = None if data.w is None else data.w[order]
    data = data.taken(order)
    most = SMALL_BYTES // (8 * (data.n_features + data.n_targets + 1))
    if precision == "auto" and data.order and counts.max(initial=0) <= most:
        M, n_rows, sound = _sums(data, shift, first, counts)
    else:
        M, n_rows, sound = np.zeros((0, 0, 0, 2)), counts, np.zeros(len(counts), dtype=bool)
    found = {}
    for i, value in enumerate(values.tolist()):
        part = Moments(data.n_features, data.n_targets, precision=precision)
        part.feature_names, part._shift = names, shift
        if sound[i]:
            part._M, part.n_samples = M[i], int(n_rows[i])
            part._noise = part._unit * np.diagonal(M[i, ..., 0])
            if w is None:
                part._noise[data.n_features] = 0.0  # counts are exact
        else:
            rows = slice(first[i], first[i] + counts[i])
            try:
                of_complete_rows(partial(part.add, n_threads=workers), data.taken(rows), missing, empty=True)
            except ValueError as error:
                error.add_note(f"the row is in group {value!r}")
                raise
        found[value] = part
    return found


def _shift(data: Table) -> Vector:
    """The mean of the leading rows, 0 where no row is there."""
    there = data.n_rows and (data.w is None or np.any(data.w))
    return products.leading_mean(data) if there else np.zeros(data.n_features + data.n_targets)


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
