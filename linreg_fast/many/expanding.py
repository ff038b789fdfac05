# SPDX-License-Identifier: BSD-3-Clause
"""Fits of all rows up to each one, the weights of older ones fading or not."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np

from linreg_fast.inputs.checks import integer, one_of
from linreg_fast.many.answers import Answers
from linreg_fast.many.fits import Fits, checked_stats
from linreg_fast.many.rows import check_forward, read_rows
from linreg_fast.many.running import run
from linreg_fast.many.state import State
from linreg_fast.options import MISSING, FitOptions
from linreg_fast.passes.progress import Report, reporting
from linreg_fast.saved.fits import STATS


def expanding(
    X: Any,
    y: Any,
    *,
    min_periods: int | None = None,
    groups: Any = None,
    sample_weight: Any = None,
    missing: str = "raise",
    fit_intercept: bool = True,
    l2: float = 0.0,
    stats: Sequence[str] = (),
    n_threads: int | None = None,
    progress: bool | Report = False,
) -> Fits:
    """Fit a linear model to all rows up to each one, one fit for each row.

    Sums are kept in double-double about a shift that follows the mean of the rows so far: an outlier in the first row,
    or offsets, cost nothing. No result depends on a row after it, not even in its last bit.

    Parameters
    ----------
    X, y, sample_weight
        As for `rolling`.
    min_periods : int, optional
        Rows from which on there is a fit; at least, and by default, as many as there are coefficients.
    groups : array_like of shape (n_samples,) or str, optional
        The rows of each group by themselves.
    missing : {"raise", "drop"}
        What to do about rows with NaN or null: raise, or leave them out; their results are NaN then.
    fit_intercept, l2, stats, n_threads, progress
        As for `rolling`.

    Returns
    -------
    Fits
        A fit for each row of X. Its `state`, which there is without groups, goes on from the last row: see `State`.

    Raises
    ------
    TypeError, ValueError
        As for `rolling`.

    Warns
    -----
    RankWarning
        Columns depend on each other, or are constant, in some fits: how many, and the first.

    Examples
    --------
    >>> import numpy as np, linreg_fast
    >>> x = np.array([0.0, 1.0, 2.0, 3.0])
    >>> fits = linreg_fast.expanding(x, np.array([1.0, 2.0, 3.0, 4.0]))
    >>> fits.coef[:, 0]
    array([nan,  1.,  1.,  1.])
    >>> fits.state.update([4.0], 5.0).n_samples
    5
    """
    options = FitOptions(l2=l2, fit_intercept=fit_intercept, n_threads=n_threads)
    given = {"sample_weight": sample_weight, "on": None, "groups": groups}
    return _run(X, y, given, options, missing, (None, min_periods, stats), progress)


def recursive(
    X: Any,
    y: Any,
    *,
    half_life: Any,
    min_periods: int | None = None,
    on: Any = None,
    groups: Any = None,
    sample_weight: Any = None,
    missing: str = "raise",
    fit_intercept: bool = True,
    l2: float = 0.0,
    stats: Sequence[str] = (),
    n_threads: int | None = None,
    progress: bool | Report = False,
) -> Fits:
    """Fit a linear model to all rows up to each one, the weights of older rows fading.

    Parameters
    ----------
    X, y, sample_weight
        As for `rolling`.
    half_life : float, str or timedelta
        Rows, or with `on` a length of time, after which the weight of a row is half of what it was; the newest row has
        the weight 1, or that of its `sample_weight`.
    min_periods, groups, missing
        As for `expanding`.
    on : array_like of shape (n_samples,) or str, optional
        The time of each row, as for `rolling`.
    fit_intercept, l2, stats, n_threads, progress
        As for `rolling`.

    Returns
    -------
    Fits
        As for `expanding`; `n_samples` counts rows, whatever is left of their weights.

    Raises
    ------
    TypeError, ValueError
        As for `rolling`.

    Warns
    -----
    RankWarning
        As for `expanding`.

    Examples
    --------
    >>> import numpy as np, linreg_fast
    >>> x = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    >>> fits = linreg_fast.recursive(x, np.array([0.0, 1.0, 2.0, 5.0, 8.0]), half_life=0.1)
    >>> fits.coef[:, 0].round(2)
    array([nan,  1.,  1.,  3.,  3.])
    """
    options = FitOptions(l2=l2, fit_intercept=fit_intercept, n_threads=n_threads)
    given = {"sample_weight": sample_weight, "on": on, "groups": groups}
    return _run(X, y, given, options, missing, (half_life, min_periods, stats), progress)


def _run(
    X: Any,
    y: Any,
    given: dict[str, Any],
    options: FitOptions,
    missing: str,
    asked: tuple[Any, int | None, Any],
    progress: bool | Report,
) -> Fits:
    half_life, min_periods, stats = asked
    one_of(missing, "missing", MISSING)
    wanted = checked_stats(stats, STATS)
    by_index = half_life is not None and not isinstance(half_life, (int, float))
    rows = read_rows(X, y, given, missing, by_index, False)
    data, laid, times = rows.data, rows.laid, rows.times
    if times is not None:
        check_forward(times, laid)
        laid.times = times
    elif isinstance(half_life, (str, datetime.timedelta, np.timedelta64)):
        raise ValueError(f"half_life is {half_life!r}: a length of time needs on, the times of the rows")
    laid.set_half_life(half_life)
    least = data.n_features + options.fit_intercept
    laid.least = least if min_periods is None else max(least, integer(min_periods, "min_periods", 1))
    last = None if laid.times is None or not laid.n_positions else float(laid.times.values[-1])
    empty = State(data.n_features, half_life=laid.left, time=last, fit_intercept=options.fit_intercept, l2=options.l2)
    answers = Answers(data, laid, options, wanted)
    with reporting(progress) as report:
        state = run(answers, empty, report)
    answers.warn()
    return answers.fits(rows, state)
