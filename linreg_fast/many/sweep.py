# SPDX-License-Identifier: BSD-3-Clause
"""The fits of all windows: many at a time in the kernel, and those it is not sure of one by one."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from linreg_fast.algebra.precision import Vector
from linreg_fast.fitting import fit
from linreg_fast.inputs.table import Table
from linreg_fast.many.answers import AHEAD, Answers, of_fit
from linreg_fast.many.laying import Laid, Positions
from linreg_fast.options import FitOptions
from linreg_fast.passes import blocks, levels
from linreg_fast.passes.progress import Report
from linreg_fast.solvers import small
from linreg_fast.solvers.refinement import AUTO_DIGITS
from linreg_fast.solvers.solution import RankWarning

FIT_SECONDS = 0.1e-6  # a fit of few columns
ENTRY_SECONDS = 2e-9  # and for each entry of its sums and of what solves them


def fit_seconds(p: int) -> float:
    """Expected seconds of a fit of p columns in the lanes, with its sums."""
    return FIT_SECONDS + ENTRY_SECONDS * (p + 2) ** 2 * (1 + p / 16)


def sweep(answers: Answers, report: Report | None) -> None:
    """Fit all windows."""
    laid, options = answers.laid, answers.options
    reading = Reading(answers.data, laid)
    doubtful: list[Positions] = []

    def some(lo: int, hi: int, work: Any, out: Any) -> None:
        doubtful.append(_some(answers, reading, lo, hi))

    need = blocks.Need(1, 1, fit_seconds(answers.data.n_features))
    blocks.sum_rows(some, laid.n_positions, need, options.n_threads, report)
    each_alone(answers, reading, doubtful)


def each_alone(answers: Answers, reading: Reading, windows: list[Positions]) -> None:
    """Fit each of these windows by itself, as `fit` does it: start, stop and position, in columns."""
    together = np.hstack([np.empty((3, 0), dtype=np.intp), *windows])
    for start, stop, at in together[:, np.argsort(together[2])].T.tolist():
        _one(answers, reading, (start, stop), at)


def _some(answers: Answers, reading: Reading, lo: int, hi: int) -> Positions:
    """The windows of positions lo to hi; those in doubt: start, stop and position."""
    laid = answers.laid
    windows, counts = laid.windows(lo, hi)
    at = np.arange(lo, hi)
    if answers.step > 1:
        kept = (at if laid.order is None else laid.order[at]) % answers.step == 0
        windows, counts, at = windows[:, kept], counts[kept], at[kept]
    answers.put_counts(at, counts)
    full = windows[1] > windows[0]
    if not full.all():
        kept = np.flatnonzero(full)
        windows, at = windows.take(kept, axis=1), at.take(kept)
    if not len(at):
        return np.empty((3, 0), dtype=np.intp)
    a, b = int(windows[0].min()), int(windows[1].max())
    longest = int((windows[2] - windows[0]).max())
    rows = reading.rows(a, b)
    work = np.empty(levels.kernels.window_work_size(answers.data.n_features, longest))
    found, options = answers.room(len(at), at), answers.options
    kernel = levels.window_fits["float32" if rows.X.dtype == np.float32 else "float64"]
    kernel(*rows, windows - a, longest, options.fit_intercept, options.l2, work, *found)
    doubt = answers.put(found, at, AUTO_DIGITS)
    return np.vstack([windows[:2, doubt], at[doubt]])


class Part(NamedTuple):
    """Some rows as the kernels read them."""

    X: Any
    y: Any
    w: Any
    left: Vector | None  # of each weight at the next row
    order: Positions | None  # where the rows lie; None: as they are


class Reading:
    """The rows that may lie in windows, read where they are or converted, and how their weights fade."""

    def __init__(self, data: Table, laid: Laid) -> None:
        self.data, self.laid, self.order = data, laid, laid.rows_present()

    def rows(self, a: int, b: int) -> Part:
        """Rows a to b, in place or converted."""
        data, order = self.data, None if self.order is None else self.order[a:b]
        left = self.laid.fading(a, b)
        if data.order:
            part = slice(a, b) if order is None else slice(None)
            return Part(data.X[part], data.Y[part, 0], None if data.w is None else data.w[part], left, order)
        X, Y, w = data.converted(slice(a, b) if order is None else order)
        return Part(X, Y[:, 0], w, left, None)

    def window(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        """X, y and weights of a window, the newest row the last."""
        X, y, w, _, order = self.rows(start, stop)
        if order is not None:
            X, y, w = X[order], y[order], None if w is None else w[order]
        faded = self.laid.faded(start, stop)
        if faded is not None:
            w = faded if w is None else w * faded
        return np.ascontiguousarray(X), np.ascontiguousarray(y), w


def _one(answers: Answers, reading: Reading, window: tuple[int, int], at: int) -> None:
    """The fit of one window, with all that `fit` does."""
    X, y, w = reading.window(*window)
    options, p = answers.options, X.shape[1]
    found = small.of_arrays(X, y, w, options)
    values: dict[str, Any]
    if isinstance(found, small.SmallFit):
        values = found._asdict() | {"rank": p}
        if found.spread is None:
            del values["spread"]
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RankWarning)  # one for all windows follows
            try:
                one = fit(X, y, sample_weight=w, fit_intercept=options.fit_intercept, l2=options.l2, n_threads=1)
            except ValueError as error:
                error.add_note(f"in the window of {len(X)} rows that ends at position {at}")
                raise
        values = of_fit(one)
    answers.put_one(at, values, _centre(X, y, w, values, options) if AHEAD.intersection(answers.asked) else None)


def _centre(X: Any, y: Any, w: Any, values: dict[str, Any], options: FitOptions) -> Vector:
    """The newest row and the prediction there, from differences to that row."""
    x, coef = np.asarray(X[-1], dtype=np.float64), values["coef"]
    if not options.fit_intercept:
        return np.append(x, np.vdot(x, coef))
    rest = np.average((y - y[-1]) - ((X - x) * coef).sum(axis=1), weights=w)
    return np.append(x, y[-1] + rest)
