# SPDX-License-Identifier: BSD-3-Clause
"""Many problems, each of some rows of a table: side by side in the kernel, and one by one where that is not sure."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.fitting import fit_table
from linreg_fast.inputs.callers import caller_level
from linreg_fast.inputs.table import Table, first_fault
from linreg_fast.many.fits import SOLVERS
from linreg_fast.options import FitOptions
from linreg_fast.passes import blocks, levels, rates
from linreg_fast.passes.products import SHIFT_ROWS
from linreg_fast.passes.progress import Report
from linreg_fast.result import LinearFit
from linreg_fast.solvers.refinement import AUTO_DIGITS, CANCELLED
from linreg_fast.solvers.small import WEIGHT_RANGE
from linreg_fast.solvers.solution import RankWarning

LANE_COLUMNS = 32  # up to which problems are solved side by side
GATHER_BYTES = 1 << 20  # of the rows of a problem, up to which they are brought together
GATHER_SECONDS = 8e-9  # a row that lies anywhere
PROBLEM_SECONDS = 0.2e-6  # beside its rows

Arrays = dict[str, NDArray[Any]]


class Problems(NamedTuple):
    """The rows of problem i are order[bounds[i] : bounds[i + 1]], or these rows themselves where order is None."""

    order: NDArray[np.intp] | None
    bounds: NDArray[np.intp]

    def rows(self, i: int) -> Any:
        """What picks the rows of a problem."""
        lo, hi = self.bounds[i], self.bounds[i + 1]
        return slice(lo, hi) if self.order is None else self.order[lo:hi]


class Asked(NamedTuple):
    """How problems are to be solved, and what they are called in messages."""

    options: FitOptions
    report: Report | None
    called: Callable[[int], str]


def solved(data: Table, problems: Problems, asked: Asked) -> Arrays:
    """What `Fits` hold of each problem."""
    n, p, k = len(problems.bounds) - 1, data.n_features, data.n_targets
    found = nothing_found(n * k, p)
    counts, sum_weight = _weighed(data, problems)
    lanes = 0 < p <= LANE_COLUMNS
    if lanes and n:
        _side_by_side(data, problems, asked, found)
    arrays = arranged(found, n, p, None if data.one_target else k)
    constant = constant_columns(arrays)
    arrays["n_samples"], arrays["rank"] = counts, np.where(counts > 0, p - constant.sum(axis=1), 0)
    if sum_weight is not None:
        arrays["sum_weight"] = sum_weight
    doubt = doubtful(arrays) | (counts <= arrays["rank"])
    if sum_weight is not None:
        doubt |= outweighed(sum_weight)

    def by_itself(i: int) -> LinearFit:
        return fit_table(data.taken(problems.rows(i)), asked.options)

    one_by_one(arrays, np.flatnonzero(doubt & (counts > 0)), by_itself, asked, constant)
    for name in ("digits", "rcond"):
        arrays[name][counts == 0] = 0.0
    for name in ("coef", "intercept", "rss", "tss"):
        arrays[name][counts == 0] = np.nan
    return arrays


def nothing_found(n: int, p: int) -> Arrays:
    """Room for what the kernels find of n fits."""
    shapes = {"coef": p, "numbers": 5, "spread": p + 1, "centre": p + 1}
    return {name: np.full((n, width), np.nan) for name, width in shapes.items()}


def arranged(found: Arrays, n: int, p: int, k: int | None) -> Arrays:
    """What the kernels found, as `Fits` hold it; k targets, None where there is one without an axis of its own."""
    count = 1 if k is None else k
    numbers, centre = found["numbers"].reshape(n, count, 5), found["centre"].reshape(n, count, p + 1)
    several = (count,) if k is not None else ()
    arrays = {"coef": found["coef"].reshape(n, *several, p)}
    for j, name in enumerate(("intercept", "rss", "tss")):
        arrays[name] = np.ascontiguousarray(numbers[..., j]).reshape(n, *several)
    arrays["digits"] = numbers[..., 3].min(axis=1)  # NaN where any target's is
    arrays["rcond"] = numbers[:, 0, 4].copy()
    arrays["spread"] = np.ascontiguousarray(found["spread"].reshape(n, count, p + 1)[:, 0])
    arrays["origin"] = np.concatenate([centre[:, 0, :p], centre[..., p]], axis=1)
    arrays["solver"] = np.zeros(n, dtype=np.uint8)
    return arrays


def doubtful(arrays: Arrays) -> NDArray[np.bool_]:
    """The fits that the kernel is not sure of, or whose rss has lost too many digits."""
    doubt = ~(arrays["digits"] >= AUTO_DIGITS)
    kept = arrays["rss"] > CANCELLED * arrays["tss"]
    return doubt | ~(kept.all(axis=1) if kept.ndim == 2 else kept)


def constant_columns(arrays: Arrays) -> NDArray[np.bool_]:
    """Which columns the kernels have left out of which fits."""
    left_out: NDArray[np.bool_] = np.isnan(arrays["spread"][:, :-1])
    left_out &= ~np.isnan(arrays["digits"])[:, None]
    return left_out


def on_the_same_rows(data: Table, found: Arrays, n: int, p: int) -> tuple[Arrays, NDArray[np.bool_]]:
    """What the kernels found of n problems on all rows of a table, and which of them they are not sure of."""
    arrays = arranged(found, n, p, None)
    n_present = data.n_present()
    arrays["n_samples"], arrays["rank"] = np.full(n, n_present), np.full(n, p)
    arrays["sum_weight"] = np.full(n, data.sum_weight())
    return arrays, doubtful(arrays) | (n_present <= p) | outweighed(arrays["sum_weight"])


def outweighed(sum_weight: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where sums over rows with these weights may leave float64."""
    return ~((sum_weight >= WEIGHT_RANGE[0]) & (sum_weight <= WEIGHT_RANGE[1]))


def one_by_one(
    arrays: Arrays,
    which: NDArray[np.intp],
    by_itself: Callable[[int], LinearFit],
    asked: Asked,
    constant: NDArray[np.bool_] | None = None,
) -> None:
    """The fits of those numbers, each with all that `fit` does, and one warning of those below full rank.

    `constant` are the columns that were left out of fits that are there already.
    """
    n, p = len(arrays["coef"]), arrays["coef"].shape[-1]
    low: list[int] = []
    if constant is not None and constant.any():
        alone = np.zeros(n, dtype=bool)
        alone[which] = True
        arrays["collinear"] = constant & ~alone[:, None]
        low = np.flatnonzero(arrays["collinear"].any(axis=1)).tolist()
    if len(which) and "ess" not in arrays:
        arrays["ess"] = arrays["tss"] - arrays["rss"]
    for done, i in enumerate(which.tolist()):
        if asked.report is not None:
            asked.report(n - len(which) + done, n)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RankWarning)  # one of all problems follows
                fit = by_itself(i)
        except ValueError as error:
            error.add_note(f"the row is in {asked.called(i)}")
            raise
        for name in ("coef", "intercept", "rss", "tss", "ess", "digits", "rcond", "rank", "n_samples"):
            arrays[name][i] = getattr(fit, name)
        if "sum_weight" in arrays:
            arrays["sum_weight"][i] = fit.sum_weight
        arrays["solver"][i] = SOLVERS.index(fit.solver)
        arrays["spread"][i] = np.nan if fit._spread is None else fit._spread
        if fit._origin is None:
            arrays["origin"][i, :p], arrays["origin"][i, p:] = 0.0, fit.intercept
        else:
            arrays["origin"][i] = fit._origin
        if fit.rank < p:
            low.append(i)
            arrays.setdefault("collinear", np.zeros((n, p), dtype=bool))
            arrays["collinear"][i, list(fit.collinear)] = True
    if asked.report is not None and len(which):
        asked.report(n, n)
    if low:
        warnings.warn(
            f"{len(low)} of {n} problems have too few rows or linearly dependent columns, the first of them "
            f"{asked.called(min(low))}: the minimum-norm solution was taken there, 0 for a constant column; see rank",
            RankWarning,
            stacklevel=caller_level(),
        )


def _weighed(data: Table, problems: Problems) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Rows of non-zero weight of each problem, and the sum of their weights where there are any."""
    counts = np.diff(problems.bounds).astype(np.int64)
    if data.w is None:
        return counts, None
    w = np.asarray(data.w, dtype=np.float64)
    if not (np.isfinite(np.add.reduce(w)) and w.min(initial=0.0) >= 0):
        fault = first_fault(data)
        if fault is not None:
            raise ValueError(fault)
    w = w if problems.order is None else w[problems.order]
    of_rows = np.repeat(np.arange(len(counts)), counts)
    first = problems.bounds[0]
    part = w[first : first + len(of_rows)]
    present = np.bincount(of_rows, weights=part != 0, minlength=len(counts))
    sums = np.bincount(of_rows, weights=part, minlength=len(counts))
    return present.astype(np.int64), sums.astype(np.float64)


def _side_by_side(data: Table, problems: Problems, asked: Asked, found: Arrays) -> None:
    """What the kernel finds of the problems; NaN where it finds nothing."""
    n, p, k = len(problems.bounds) - 1, data.n_features, data.n_targets
    bounds, order, options = problems.bounds, problems.order, asked.options
    largest = int(np.diff(bounds).max(initial=0))
    gathered = 0 if order is None else min(largest, GATHER_BYTES // (8 * (p + k + 1)))
    kernel = levels.stack[data.dtype]
    outs = found["coef"], found["numbers"], found["spread"], found["centre"]
    how = (SHIFT_ROWS, options.fit_intercept, options.l2)
    piece = data.piece_rows()

    def some(lo: int, hi: int, work: NDArray[Any], out: NDArray[Any]) -> None:
        if data.order:
            kernel(data.X, data.Y, data.w, order, bounds, lo, hi, gathered, *how, work, *outs)
            return
        while lo < hi:  # converted some problems at a time
            to = max(lo + 1, min(hi, int(np.searchsorted(bounds, bounds[lo] + piece, side="right")) - 1))
            first, last = int(bounds[lo]), int(bounds[to])
            if last > first:
                X, Y, w = data.converted(slice(first, last) if order is None else order[first:last])
                of_piece = [array[lo * k : to * k] for array in outs]
                kernel(X, Y, w, None, bounds[lo : to + 1] - first, 0, to - lo, 0, *how, work, *of_piece)
            lo = to

    a_row = rates.row_seconds(data.X.dtype.itemsize * p + 8 * k, p * (p + 1 + 2 * k))
    a_row += 0.0 if order is None else GATHER_SECONDS
    seconds = PROBLEM_SECONDS * k + p**3 * 1e-9 + a_row * float(bounds[-1] - bounds[0]) / n
    work_size = levels.kernels.stack_work_size(p, k, largest, gathered)
    blocks.sum_rows(some, n, blocks.Need(work_size, 1, seconds), options.n_threads, asked.report)
