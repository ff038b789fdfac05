# SPDX-License-Identifier: BSD-3-Clause
"""The picture of a fit of one feature: rows, line and band."""

from __future__ import annotations

from typing import Any

import numpy as np

from linreg_fast.inference.significance import interval
from linreg_fast.inputs.checks import chosen_targets
from linreg_fast.inputs.table import Table
from linreg_fast.passes.progress import Report, reporting
from linreg_fast.plots import clouds
from linreg_fast.plots.clouds import GRID, POINTS, Cloud, Range, Reading
from linreg_fast.plots.figures import LINE, new_figure, with_unit
from linreg_fast.plots.fitted import fitted_of
from linreg_fast.plots.given import given_table
from linreg_fast.plots.residuals import draw_cloud
from linreg_fast.result import LinearFit

PLACES = 400  # along the line


def fit_line(
    fit: LinearFit,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    target: int = 0,
    level: float = 0.95,
    n_threads: int | None = None,
    progress: bool | Report = False,
) -> Any:
    """Draw the rows of a simple regression or of a polynomial, its line, and the band in which the line lies.

    Up to 20,000 rows each is a point; more are counted in the cells of a grid, block by block.

    Parameters
    ----------
    fit : LinearFit
        Of one feature.
    X : array_like of shape (n_samples,) or (n_samples, 1)
        A data frame has the column by its name, and may have others.
    y : array_like of shape (n_samples,) or (n_samples, n_targets), or str
    sample_weight : array_like of shape (n_samples,) or str, optional
        The weights of the fit, if it had some.
    target : int
        Column of y.
    level : float
        Of the confidence band of the mean; there is none with a penalty.
    n_threads : int, optional
    progress : bool or callable
        As for `fit`; rows are counted over all readings.

    Returns
    -------
    matplotlib.figure.Figure
        With units on the axes, as `diagnostics`.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError, ValueError
        A fit of several features; X, y or weights that do not fit; no rows.
    """
    figure = new_figure(8, 5.5)
    if fit.n_features != 1 and fit._chebyshev is None:
        raise ValueError(f"a line is drawn for one feature; this fit has {fit.n_features}: see diagnostics")
    t = int(chosen_targets(target, fit.n_targets)[0])
    given = given_table(fit, X, y, sample_weight, t)
    with reporting(progress) as report:
        reading = Reading(given.data, 3, report, n_threads)
        fitted = fitted_of(fit, given.data, t, n_threads)
        reading.over = 1

        def values(data: Table, lo: int, hi: int) -> list[Any]:
            parts = [(X[a:b, 0], Y[a:b, t]) for X, Y, _, a, b in data.pieces(lo, hi)]
            x, v = (np.concatenate([np.asarray(p[k], dtype=np.float64) for p in parts]) for k in (0, 1))
            return [x, v]

        ranges = reading.fold(lambda data, lo, hi: Range.of(values(data, lo, hi)), Range.merge)
        if given.data.n_rows <= POINTS:
            cloud = Cloud(*values(given.data, 0, given.data.n_rows))
        else:
            edges = ranges.edges(0), ranges.edges(1)

            def counts(data: Table, lo: int, hi: int) -> Any:
                x, v = values(data, lo, hi)
                return clouds.counted(x, v, *edges)

            cloud = Cloud(*edges, reading.fold(counts, np.add))
    axes = figure.subplots()
    drawn = draw_cloud(axes, cloud, 1 if cloud.counts is None else cloud.counts.max())
    if drawn is not None:
        figure.colorbar(drawn, label=f"rows in a cell, {GRID} x {GRID} of them")
    x = np.linspace(ranges.low[0], ranges.high[0], PLACES)[:, None]
    line = fitted.predict(x)
    if not fit.l2:
        freedom = fit.n_samples - fitted.parameters
        lower, upper = interval(line, fitted.deviation * np.sqrt(fitted.leverage(x)), level, freedom).T
        axes.fill_between(x[:, 0], lower, upper, color=LINE, alpha=0.25, linewidth=0, label=f"{100 * level:g} % band")
    r2 = float(np.atleast_1d(fit.r2)[t])
    axes.plot(x[:, 0], line, color=LINE, linewidth=1.6, label=f"fit, R² {r2:.4g}")
    axes.legend()
    labels = given.labels
    axes.set(
        xlabel=with_unit(labels.features, labels.feature_unit), ylabel=with_unit(labels.target, labels.target_unit)
    )
    axes.set_title(f"{labels.target} by {labels.features}: {fit.n_samples:,} rows", fontsize="medium")
    return figure
