# SPDX-License-Identifier: BSD-3-Clause
"""Many targets on one X, each in its own problem: one factor for all of them, and one pass over their rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.fitting import fit_table
from linreg_fast.inputs.missing import of_complete_rows
from linreg_fast.inputs.table import Table
from linreg_fast.many import screening
from linreg_fast.many.fits import About
from linreg_fast.many.laying import Positions
from linreg_fast.many.stack import Arrays, Asked, constant_columns, doubtful, one_by_one, outweighed
from linreg_fast.options import FitOptions
from linreg_fast.passes import levels, products
from linreg_fast.passes.progress import Report
from linreg_fast.result import LinearFit

MOST_COLUMNS = 128  # whose factor, a vector for each number of it, stays in cache
TARGETS = 512  # whose sums are held at a time: rows of them that are long enough to be read at speed


def of_targets(data: Table, options: FitOptions, report: Report | None) -> tuple[Arrays, About]:
    """What `Fits` hold of the problem of each target."""
    n_rows, names = data.n_present(), data.target_names
    holes = np.zeros(data.n_targets, dtype=bool)
    if options.missing == "drop":
        data = screening.without_holes(data)
        holes = screening.holes_of(data.Y, data.w)
    arrays = _found(data, options, report)
    constant = constant_columns(arrays)
    arrays["rank"] -= constant.sum(axis=1)
    doubt = doubtful(arrays) | (data.n_present() <= arrays["rank"]) | outweighed(arrays["sum_weight"])
    which = np.flatnonzero(doubt | holes)

    def by_itself(t: int) -> LinearFit:
        name = None if names is None else [names[t]]
        one = replace(data, Y=data.Y[:, [t]], target_names=name, one_target=True)
        return of_complete_rows(lambda rows: fit_table(rows, options), one, options.missing)

    asked = Asked(options, report, lambda t: f"target {t if names is None else names[t]}")
    one_by_one(arrays, which, by_itself, asked, constant)
    keys = {} if names is None else {"target": np.array(names, dtype=str)}
    feature_names = None if data.names is None else tuple(data.names)
    n_dropped = int((n_rows - arrays["n_samples"]).sum())
    return arrays, About(feature_names, options.fit_intercept, options.l2, keys, n_dropped=n_dropped)


def _found(data: Table, options: FitOptions, report: Report | None) -> Arrays:
    """The fits of all targets from the sums of the columns and theirs; NaN where the kernel finds nothing."""
    n, p = data.n_targets, data.n_features
    coef, origin, spread, numbers = (
        np.empty((n, p)),
        np.empty((n, p + 1)),
        np.empty((n, p + 1)),
        np.full((5, n), np.nan),
    )
    columns = np.full(2 * p + 2, np.nan)  # of all parts the same: what the columns alone decide
    if 0 < p <= MOST_COLUMNS:
        shift = np.zeros(p + n)
        alone = replace(data, Y=data.Y[:, :0], target_names=None)
        if options.fit_intercept:
            shift[:p] = products.leading_mean(alone)
        M = products.cross_products(alone, shift[:p], np.ones(p), options.workers, None)
        squareless = np.flatnonzero(np.diagonal(M)[:p] == 0.0) if options.l2 == 0.0 else np.arange(0)
        constants = squareless.size > 0 and _all_same(data, squareless, shift)

        def some(lo: int, hi: int, n_threads: int) -> None:
            rows = replace(data, Y=data.Y[:, lo:hi], target_names=None)
            numbers[:, lo:hi] = _some(rows, (M, constants), options, n_threads, coef[lo:hi], columns)
            origin[lo:hi, :p], origin[lo:hi, p] = columns[p + 1 : -1], numbers[4, lo:hi]
            spread[lo:hi] = columns[: p + 1]

        products.each_part(some, n, TARGETS, data.n_rows * products.target_seconds(p, TARGETS), options, report)
    arrays: Arrays = {"coef": coef, "origin": origin, "spread": spread, "rcond": np.full(n, columns[-1])}
    for name, values in zip(("intercept", "rss", "tss", "digits"), numbers, strict=False):
        arrays[name] = values
    arrays["solver"] = np.zeros(n, dtype=np.uint8)
    arrays["n_samples"], arrays["rank"] = np.full(n, data.n_present()), np.full(n, p)
    arrays["sum_weight"] = np.full(n, data.sum_weight())
    return arrays


def _all_same(data: Table, columns: Positions, shift: Vector) -> bool:
    """Whether all numbers of these columns, in rows of non-zero weight, are the shift: squares may vanish too."""
    X = np.asarray(data.X[:, columns], dtype=np.float64)
    same = shift[columns] == X
    return bool(same.all() if data.w is None else same[np.asarray(data.w) != 0].all())


def _some(
    rows: Table, known: tuple[Matrix, bool], options: FitOptions, n_threads: int, coef: Matrix, columns: Vector
) -> Matrix:
    """Some of the targets, from the cross products of the columns: their coefficients, and numbers as of the kernel."""
    p, n = rows.n_features, rows.n_targets
    shift = products.leading_mean(rows) if options.fit_intercept else np.zeros(p + n)
    sums = products.target_sums(rows, shift, n_threads)
    work, numbers = np.empty(levels.kernels.stack_sums_work_size(p)), np.empty((5, n))
    M, constants = known
    how = (options.fit_intercept, options.l2, constants)
    levels.kernels.target_fits(M, shift, sums, *how, work, coef, numbers, columns)
    return numbers
