# SPDX-License-Identifier: BSD-3-Clause
"""Fits of all rows up to each one, the weights of older ones fading or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from linreg_fast.inputs.checks import integer, one_of
from linreg_fast.many.answers import Answers, checked_stats
from linreg_fast.many.rows import check_forward, read_rows
from linreg_fast.many.running import run
from linreg_fast.many.state import State
from linreg_fast.options import MISSING, FitOptions
from linreg_fast.passes.progress import Report, reporting


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
) -> Any:
    """Fit all rows up to each one."""
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
) -> Any:
    """Fit all rows up to each one, older ones with less weight."""
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
) -> Any:
    half_life, min_periods, stats = asked
    one_of(missing, "missing", MISSING)
    wanted = checked_stats(stats)
    data, laid, times = read_rows(X, y, given, missing, by_index=isinstance(half_life, str))
    if times is not None:
        check_forward(times, laid)
        laid.times = times
    elif isinstance(half_life, str):
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
    return answers.fits(state)
