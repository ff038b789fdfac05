# SPDX-License-Identifier: BSD-3-Clause
"""One target, and many columns each in its own problem beside the same controls: one pass over the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.fitting import fit_table
from linreg_fast.inputs.arrays import array_of
from linreg_fast.inputs.missing import of_complete_rows
from linreg_fast.inputs.table import Table, table
from linreg_fast.many.fits import About
from linreg_fast.many.stack import LANE_COLUMNS, Arrays, Asked, nothing_found, on_the_same_rows, one_by_one
from linreg_fast.options import FitOptions
from linreg_fast.passes import levels, products
from linreg_fast.passes.progress import Report
from linreg_fast.result import LinearFit

CANDIDATES = 512  # whose sums are held at a time
WHOLE = 1 << 20  # numbers that are looked at at a time


def checked(X: Any, y: Any, controls: Any, sample_weight: Any) -> Table:
    """The candidates and the target as a table.

    Raises
    ------
    ValueError
        Shapes that do not fit each other.
    """
    data = table(X, y, sample_weight)
    if not data.one_target:
        raise ValueError(f"beside controls y must have one dimension, got shape {data.Y.shape}")
    if np.shape(controls) != (data.n_rows, *np.shape(controls)[1:2]):
        raise ValueError(f"controls must have shape ({data.n_rows}, q), got {np.shape(controls)}")
    return data


def solved(data: Table, controls: Any, options: FitOptions, report: Report | None) -> tuple[Arrays, About]:
    """What `Fits` hold of the problem of each candidate."""
    given = array_of(controls, "controls")
    C = np.asarray(given.array, dtype=np.float64)
    n_rows, names = data.n_present(), data.names
    shared = np.column_stack([C, np.asarray(data.Y[:, 0], dtype=np.float64)])  # what is in all problems: q + 1 columns
    if options.missing == "drop":
        held = without_holes(table(shared, np.zeros(len(shared)), data.w))
        if held.numbers is not None:
            data, shared = data.taken(held.numbers), shared[held.numbers]
    n, p = data.n_features, shared.shape[1]
    found = nothing_found(n, p)
    if p <= LANE_COLUMNS and data.order:
        alone = Table(shared, shared[:, :0], data.w, "C", "float64")
        shift = products.leading_mean(alone) if options.fit_intercept else np.zeros(p)
        M = products.cross_products(alone, shift, np.ones(p), options.workers, None)
        # of each problem the columns [x_j, controls, 1, y]; the others are [controls, y, 1]
        inner = np.array([*range(p - 1), p, p - 1])
        block = M[np.ix_(inner, inner)][np.triu_indices(p + 1)]

        def some(lo: int, hi: int, n_threads: int) -> None:
            _some(data, shared, block, options, found, (lo, hi, n_threads))

        products.each_part(some, n, CANDIDATES, data.n_rows * products.target_seconds(p, CANDIDATES), options, report)
    arrays, doubt = on_the_same_rows(data, found, n, p)

    def by_itself(j: int) -> LinearFit:
        X = np.column_stack([np.asarray(data.X[:, j], dtype=np.float64), shared[:, :-1]])
        one = replace(table(X, shared[:, -1], data.w), numbers=data.numbers)
        return of_complete_rows(lambda rows: fit_table(rows, options), one, options.missing)

    which = np.flatnonzero(doubt)
    one_by_one(arrays, which, by_itself, Asked(options, report, lambda j: f"column {j if names is None else names[j]}"))
    keys = {} if names is None else {"column": np.array(names, dtype=str)}
    feature_names = None
    if given.names is not None and C.ndim == 2:
        feature_names = ("column", *given.names)
    n_dropped = int((n_rows - arrays["n_samples"]).sum())
    return arrays, About(feature_names, options.fit_intercept, options.l2, keys, n_dropped=n_dropped)


def _some(
    data: Table,
    shared: NDArray[np.float64],
    block: NDArray[np.float64],
    options: FitOptions,
    found: Arrays,
    part: tuple[int, int, int],
) -> None:
    """The candidates of one part: their sums with what all problems share, and from these each problem's."""
    lo, hi, n_threads = part
    count, p = hi - lo, shared.shape[1]
    candidates = data.X[:, lo:hi]
    if candidates.dtype != np.float64:
        candidates = candidates.astype(np.float64)
    rows = Table(shared, candidates, data.w, "C", "float64")
    shift = products.leading_mean(rows) if options.fit_intercept else np.zeros(p + count)
    sums = products.target_rows(products.target_sums(rows, shift, n_threads), p, count)
    S = np.empty((count, p + 2 + len(block)))
    S[:, 0] = sums[p + 1]
    S[:, 1:p], S[:, p], S[:, p + 1] = sums[: p - 1].T, sums[p], sums[p - 1]
    S[:, p + 2 :] = block
    shifts = np.empty((count, p + 2))
    shifts[:, 0], shifts[:, 1:p], shifts[:, p], shifts[:, p + 1] = shift[p:], shift[: p - 1], 0.0, shift[p - 1]
    work = np.empty(levels.kernels.stack_sums_work_size(p))
    outs = [found[name][lo:hi] for name in ("coef", "numbers", "spread", "centre")]
    levels.kernels.stack_of_sums(S, shifts, 0, count, options.fit_intercept, options.l2, work, *outs)


def holes_of(A: NDArray[Any], w: NDArray[Any] | None) -> NDArray[np.bool_]:
    """Which columns have a missing value in a row of non-zero weight."""
    found = np.zeros(A.shape[1], dtype=bool)
    if A.dtype.kind != "f":
        return found
    step = max(1, WHOLE // max(A.shape[1], 1))
    for lo in range(0, len(A), step):
        holes = np.isnan(A[lo : lo + step])
        found |= (holes if w is None else holes & (w[lo : lo + step, None] != 0)).any(axis=0)
    return found


def without_holes(data: Table) -> Table:
    """The rows that have no missing value in X or the weights, whatever the targets have; itself where that is all."""
    holes = np.zeros(data.n_rows, dtype=bool)
    step = data.piece_rows()
    for lo in range(0, data.n_rows, step):
        part = np.asarray(data.X[lo : lo + step])
        holes[lo : lo + step] = np.isnan(part).any(axis=1) if part.dtype.kind == "f" else False
    if data.w is not None:
        w = np.asarray(data.w, dtype=np.float64)
        holes = (holes & (w != 0)) | np.isnan(w)
    return data if not holes.any() else data.taken(np.flatnonzero(~holes))
