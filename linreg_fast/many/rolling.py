# SPDX-License-Identifier: BSD-3-Clause
"""Fits over windows of rows or of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.checks import integer, number, one_of
from linreg_fast.inputs.labels import along
from linreg_fast.inputs.named import taken_apart
from linreg_fast.inputs.table import Table, table
from linreg_fast.many.answers import Answers, checked_stats
from linreg_fast.many.laying import Laid
from linreg_fast.many.presence import rows_present
from linreg_fast.many.sweep import sweep
from linreg_fast.many.times import Times, first_backwards, read_length, read_times
from linreg_fast.moments.groups import _ordered
from linreg_fast.options import FitOptions
from linreg_fast.passes.progress import Report, reporting

MISSING = ("raise", "drop", "skip")
CLOSED = ("right", "left", "both", "neither")


def rolling(
    X: Any,
    y: Any,
    window: Any,
    *,
    min_periods: int | None = None,
    on: Any = None,
    closed: str = "right",
    groups: Any = None,
    sample_weight: Any = None,
    half_life: Any = None,
    step: int = 1,
    missing: str = "raise",
    fit_intercept: bool = True,
    l2: float = 0.0,
    stats: Sequence[str] = (),
    n_threads: int | None = None,
    progress: bool | Report = False,
) -> Any:
    """Fit a linear model over a window that moves along the rows."""
    one_of(missing, "missing", MISSING)
    one_of(closed, "closed", CLOSED)
    step = integer(step, "step", 1)
    asked = checked_stats(stats)
    options = FitOptions(l2=l2, fit_intercept=fit_intercept, n_threads=n_threads)
    given = {"sample_weight": sample_weight, "on": on, "groups": groups}
    targets = None
    if isinstance(y, str) or any(isinstance(value, str) for value in given.values()):
        named = taken_apart(X, y, given)
        X, y, (sample_weight, on, groups), targets = named.X, named.y, named.others, named.target_names
    data = table(X, y, sample_weight)
    data.target_names = targets or data.target_names
    if not data.one_target:
        raise ValueError(f"y must have one dimension: one target; got {data.n_targets} of them")
    present, n_dropped = rows_present(data, missing != "raise")
    laid = _laid(data, groups, present, missing == "drop")
    index = data.labels.index if on is None and data.labels is not None and not _counts(window) else None
    if on is None and index is None:
        laid.window = integer(window, "window", 1)
        laid.least = laid.window if min_periods is None else integer(min_periods, "min_periods", 1)
        if laid.least > laid.window:
            raise ValueError(f"min_periods is {laid.least}, more than the {laid.window} rows of a window")
        if closed != "right":
            raise ValueError('closed is for windows of time; rows have closed="right"')
    else:
        _set_times(laid, read_times(index if on is None else on, data.n_rows, data.labels), window, half_life)
        laid.with_left, laid.with_right = closed in ("left", "both"), closed in ("right", "both")
        laid.least = 1 if min_periods is None else integer(min_periods, "min_periods", 1)
    if half_life is not None and laid.left is None:
        laid.left = number(half_life, "half_life", above=0.0)
    laid.least = max(laid.least, data.n_features + options.fit_intercept)
    answers = Answers(data, laid, options, asked, step)
    with reporting(progress) as report:
        sweep(answers, report)
    answers.warn()
    return answers.arrays


def _counts(window: Any) -> bool:
    """Whether a window is a number of rows."""
    return isinstance(window, (int, np.integer)) and not isinstance(window, (bool, np.timedelta64))


def _laid(data: Table, groups: Any, present: NDArray[np.bool_] | None, drop: bool) -> Laid:
    """The rows in the order that windows run over; rows that are dropped have no place there."""
    order, bounds = None, np.array([0, data.n_rows])
    if groups is not None:
        keys = np.asarray(along(groups, "groups", data.labels))
        if keys.shape != (data.n_rows,):
            raise ValueError(f"groups must have shape ({data.n_rows},), one group for each row of X; got {keys.shape}")
        of_groups = _ordered(keys)
        order, bounds = of_groups.order, of_groups.bounds
    if present is not None:
        at_positions = present if order is None else present[order]
        if not drop:
            return Laid(data.n_rows, order, bounds, 1, present=at_positions)
        order = np.flatnonzero(present) if order is None else order[at_positions]
        bounds = np.concatenate([[0], np.cumsum(at_positions)])[bounds]
        bounds = np.unique(bounds) if len(order) else np.array([0, 0])
    return Laid(data.n_rows, order, bounds, 1)


def _set_times(laid: Laid, times: Times, window: Any, half_life: Any) -> None:
    """Windows of time, and weights that fade with time."""
    length = read_length(window, "window", times)
    values = times.values if laid.order is None else times.values[laid.order]
    if isinstance(length, float):
        values = values.astype(np.float64)
    back = first_backwards(values, laid.bounds)
    if back is not None:
        row, before = (back, back - 1) if laid.order is None else laid.order[[back, back - 1]].tolist()
        shown = [np.datetime64(int(v), "ns") if times.dates else v for v in times.values[[row, before]]]
        where = "the row before it" if laid.order is None else f"row {before}, before it in its group,"
        raise ValueError(f"on must not go back: it has {shown[0]} at row {row}, and {where} has {shown[1]}; sort the rows")
    laid.times, laid.window = Times(values, times.dates), length
    if half_life is not None:
        laid.left = float(read_length(half_life, "half_life", times))
