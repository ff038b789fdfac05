# SPDX-License-Identifier: BSD-3-Clause
"""Fits over windows of rows or of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from linreg_fast.inputs.checks import integer, one_of
from linreg_fast.many.answers import Answers
from linreg_fast.many.fits import Fits, checked_stats
from linreg_fast.many.rows import check_forward, read_rows
from linreg_fast.many.sweep import sweep
from linreg_fast.many.times import read_length
from linreg_fast.options import FitOptions
from linreg_fast.passes.progress import Report, reporting
from linreg_fast.saved.fits import STATS

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
) -> Fits:
    """Fit a linear model over a window that moves along the rows, one fit for each row.

    The sums of a window are put together from sums of parts of it, about the values of a row within it, and never by
    taking rows out again: nothing drifts, an outlier that has left leaves no trace, and no result depends on a row
    outside of its window, not even in its last bit.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features) or (n_samples,)
        As for `fit`; in the order that windows run over.
    y : array_like of shape (n_samples,) or str
        One target; the name of a column of a data frame X.
    window : int, str, timedelta or float
        A number of rows, the row itself the last of them. With `on` a length in its unit: of dates a text such as
        "30min", "12h", "365D" or "2W", or a timedelta; of numbers a number. For a data frame of pandas without `on`, a
        length of time is along its index.
    min_periods : int, optional
        Rows that a window must have; fewer give NaN. By default all rows of a window that counts rows, and of one of
        time as many as there are coefficients, which no window may have fewer of.
    on : array_like of shape (n_samples,) or str, optional
        The time of each row, dates or numbers, ascending (within each group). Of several rows with the same time each
        has those above it in its window and none of those below.
    closed : {"right", "left", "both", "neither"}
        Which ends of a window of time belong to it, as in pandas: "right" takes rows from after t - window up to t,
        "left" those from t - window on and before t, so that the row itself is not among them.
    groups : array_like of shape (n_samples,) or str, optional
        Windows run within each group: a row has only rows of its own one in its window.
    sample_weight : array_like of shape (n_samples,) or str, optional
        As for `fit`. A row of weight 0 is not there: it is skipped, and dropped where missing rows are.
    half_life : float, str or timedelta, optional
        Rows, or with `on` a length of time, after which a row's weight is half of that of the newest row of the window.
    step : int
        Only the windows of rows 0, step, 2 step, ...: results are as long.
    missing : {"raise", "drop", "skip"}
        What to do about rows with NaN or null in X, y or the weights: raise, naming the first one; leave them out
        before windows are laid, so that these reach further back; or let them keep their place in windows without a
        part in the fit. A row dropped has NaN for results; one skipped has the fit of the others in its window.
        Infinity is always an error.
    fit_intercept : bool
    l2 : float
        As for `fit`, beside the weights of the window: a newest row has the weight 1, or that of its `sample_weight`.
    stats : sequence of str
        What more to compute: "stderr", "tvalues", "rss", "r2", "n_samples", "residual" (y of the row less its fitted
        value), "prediction" (of the next row, in its group, from the fit of this one), "rank", "digits".
    n_threads : int, optional
        At most so many threads; every number gives the same bits.
    progress : bool or callable
        As for `fit`.

    Returns
    -------
    Fits
        A fit for each row of X, in its order.

    Raises
    ------
    TypeError, ValueError
        As for `fit`; times that go back or are missing, with the row; a window of another kind than `on`.

    Warns
    -----
    RankWarning
        Columns depend on each other, or are constant, in some windows: how many, and the first. `rank` says which.

    Notes
    -----
    A window that the kernel expects fewer than 10 digits of is fitted by itself, as `fit` does it. A window longer than
    the table, or than its group, has no fit by default: all is NaN there.

    Examples
    --------
    >>> import numpy as np, linreg_fast
    >>> x = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    >>> fits = linreg_fast.rolling(x, np.array([0.0, 1.0, 2.0, 5.0, 8.0]), 3)
    >>> fits.coef[:, 0]
    array([nan, nan,  1.,  2.,  3.])
    """
    one_of(missing, "missing", MISSING)
    one_of(closed, "closed", CLOSED)
    step = integer(step, "step", 1)
    asked = checked_stats(stats, STATS)
    options = FitOptions(l2=l2, fit_intercept=fit_intercept, n_threads=n_threads)
    given = {"sample_weight": sample_weight, "on": on, "groups": groups}
    rows = read_rows(X, y, given, missing, not _counts(window), missing != "drop")
    data, laid, times = rows.data, rows.laid, rows.times
    if times is None:
        if not _counts(window):
            raise ValueError(f"window is {window!r}: a length of time needs on, the times of the rows")
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
    return answers.fits(rows)


def _counts(window: Any) -> bool:
    """Whether a window is a number, of rows where there are no times."""
    return isinstance(window, (int, float, np.integer, np.floating)) and not isinstance(window, np.timedelta64)
