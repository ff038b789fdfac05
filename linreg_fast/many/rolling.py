# SPDX-License-Identifier: BSD-3-Clause
"""Fits over windows of rows or of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from linreg_fast.inputs.checks import integer, one_of
from linreg_fast.many.answers import Answers, checked_stats
from linreg_fast.many.rows import check_forward, read_rows
from linreg_fast.many.sweep import sweep
from linreg_fast.many.times import read_length
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
    counted = on is None and (type(window) is int or isinstance(window, np.integer)) and not isinstance(window, np.timedelta64)
    data, laid, times = read_rows(X, y, given, missing, by_index=not counted)
    if times is None:
        laid.window = integer(window, "window", 1)
        laid.least = laid.window if min_periods is None else integer(min_periods, "min_periods", 1)
        if laid.least > laid.window:
            raise ValueError(f"min_periods is {laid.least}, more than the {laid.window} rows of a window")
        if closed != "right":
            raise ValueError('closed is for windows of time; rows have closed="right"')
    else:
        check_forward(times, laid)
        laid.window = read_length(window, "window", times)
        laid.times = times.as_float() if isinstance(laid.window, float) else times
        laid.with_left, laid.with_right = closed in ("left", "both"), closed in ("right", "both")
        laid.least = 1 if min_periods is None else integer(min_periods, "min_periods", 1)
    laid.set_half_life(half_life)
    laid.least = max(laid.least, data.n_features + options.fit_intercept)
    answers = Answers(data, laid, options, asked, step)
    with reporting(progress) as report:
        sweep(answers, report)
    answers.warn()
    return answers.arrays
