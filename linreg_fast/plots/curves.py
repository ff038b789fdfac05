# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of what runs on: coefficients over the penalty and over the rows, cost over the steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from linreg_fast.algebra.precision import Vector
from linreg_fast.inference.significance import interval
from linreg_fast.inputs.checks import chosen_features
from linreg_fast.many.fits import Fits
from linreg_fast.moments.penalties import CrossValidation, Path
from linreg_fast.plots.figures import GREY, name_of, new_figure, plain
from linreg_fast.result import LinearFit

LEGEND_COLUMNS = 12  # more columns than that are told apart by no legend
PANELS = 8  # pictures one below the other
ENDS = 0.01, 0.99  # of all values, which are shown where the rest would take WIDER times their room
WIDER = 4.0


def path(found: Path, validation: CrossValidation | None = None, *, target: int = 0) -> Any:
    """Draw the coefficients over the penalty and, below, the cross-validated error.

    Parameters
    ----------
    found : Path
        From `l2_path`.
    validation : CrossValidation, optional
        From `cross_validate`; the best penalty is marked in both pictures.
    target : int
        Column of y whose coefficients are drawn.

    Returns
    -------
    matplotlib.figure.Figure
        To show, or to save with ``savefig``. A penalty of 0 stands at the left end of the logarithmic axis.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    figure = new_figure(7, 4.5 if validation is None else 7)
    coef = found.coef if found.coef.ndim == 2 else found.coef[:, target]
    axes = figure.subplots(1 if validation is None else 2, 1, sharex=True, squeeze=False)[:, 0]
    order = np.argsort(found.l2s, kind="stable")
    p = coef.shape[1]
    for j in range(p):
        axes[0].plot(found.l2s[order], coef[order, j], label=name_of(found.feature_names or None, j))
    axes[0].axhline(0.0, color=GREY, linewidth=0.8)
    axes[0].set_ylabel("coefficient")
    if 0 < p <= LEGEND_COLUMNS:
        axes[0].legend()
    drawn = found.l2s
    if validation is not None:
        drawn = np.concatenate([drawn, validation.l2s])
        order = np.argsort(validation.l2s, kind="stable")
        mse = validation.mse if validation.mse.ndim == 2 else validation.mse.mean(axis=2)
        for fold in mse:
            axes[1].plot(validation.l2s[order], fold[order], color="0.8", linewidth=0.8)
        axes[1].plot(validation.l2s[order], validation.mean_mse[order], color="C0")
        axes[1].set_ylabel("mean squared error, held out")
        for axis in axes:
            axis.axvline(validation.best_l2, color="0.4", linestyle="--", linewidth=0.8)
    positive = drawn[drawn > 0]
    if len(positive):
        axes[-1].set_xscale("symlog", linthresh=float(positive.min()), linscale=0.5)
    if drawn.min() < drawn.max():
        axes[-1].set_xlim(float(drawn.min()), float(drawn.max()))
    axes[-1].set_xlabel("penalty l2")
    return figure


def rolling(fits: Fits, features: Any = None, *, where: Any = None, level: float = 0.95) -> Any:
    """Draw coefficients over the rows, and the band of their confidence intervals where there are standard errors.

    Parameters
    ----------
    fits : Fits
        From `rolling`, `expanding` or `recursive`; with ``stats=["stderr"]`` there is a band.
    features : sequence of int or str, optional
        Columns to draw, one below the other; the first eight by default.
    where : array_like of bool or int, optional
        The rows to draw, as those of one group.
    level : float
        Of the band.

    Returns
    -------
    matplotlib.figure.Figure
        Over the times of the rows where these have some, else over their numbers. A line is broken where there is no
        fit. Where a few values, as those of windows that have just begun, would flatten all others, they lie beyond
        the axis, and the title says which share of them does.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    ValueError, IndexError
        A column or a row that is not there.
    """
    columns = chosen_features(features, fits.n_features, fits.feature_names)
    columns = columns[:PANELS] if features is None else columns
    rows = np.arange(len(fits)) if where is None else np.arange(len(fits))[np.asarray(where)]
    label, x = fits.time_axis()
    figure = new_figure(8, 1 + 2.2 * len(columns))
    axes = figure.subplots(len(columns), 1, sharex=True, squeeze=False)[:, 0]
    banded = hasattr(fits, "stderr")
    freedom = (fits.n_samples - fits.rank - fits.fit_intercept)[rows]
    beyond = 0.0
    for axis, j in zip(axes, columns, strict=True):
        coef = fits.coef[rows, j]
        axis.plot(x[rows], coef, linewidth=1.2)
        seen = [coef]
        if banded:
            lower, upper = interval(coef, fits.stderr[rows, j], level, freedom).T
            axis.fill_between(x[rows], lower, upper, alpha=0.25, linewidth=0)
            seen += [lower, upper]
        beyond = max(beyond, _narrowed(axis, np.concatenate(seen)))
        if np.nanmin(coef, initial=0.0) <= 0 <= np.nanmax(coef, initial=0.0):
            axis.axhline(0.0, color=GREY, linewidth=0.8)
        axis.set_ylabel(name_of(fits.feature_names or None, j))
    axes[-1].set_xlabel(plain(label))
    title = "coefficients" + f" and their {100 * level:g} % intervals" * banded
    axes[0].set_title(title + f"; up to {100 * beyond:.1g} % lie beyond an axis" * (beyond > 0), fontsize="medium")
    return figure


def _narrowed(axis: Any, values: Vector) -> float:
    """Show where nearly all values lie, where few of them, as of the first rows of a window, would flatten the rest.

    The share of them that lies beyond the axis.
    """
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0
    low, high = np.quantile(values, ENDS)
    pad = 0.2 * (high - low)
    if not 0.0 < WIDER * (high - low) < values.max() - values.min():
        return 0.0
    axis.set_ylim(low - pad, high + pad)
    return float(np.mean((values < low - pad) | (values > high + pad)))


def descent(*fits: LinearFit) -> Any:
    """Draw the cost of gradient descent over its steps, and how far it is above the lowest cost of all.

    Parameters
    ----------
    *fits : LinearFit
        By solver "gd", one line each.

    Returns
    -------
    matplotlib.figure.Figure
        Both axes of costs are logarithmic, the left one of J(b) = rss / (2 sum w), the right one of its distance from
        the lowest J that any of the fits came to.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError, ValueError
        No fit, or one without a history of its cost.
    """
    if not fits:
        raise TypeError("descent draws fits by gradient descent: give one or several")
    for i, fit in enumerate(fits):
        if getattr(fit, "cost_history", None) is None:
            solver = getattr(fit, "solver", None)
            what = f"by solver {solver!r}" if solver else f"a {type(fit).__name__}"
            raise ValueError(f'fit {i} has no cost_history: it is {what}, not by solver="gd"')
    figure = new_figure(10, 4.2)
    left, right = figure.subplots(1, 2)
    histories = [np.asarray(fit.cost_history) for fit in fits]
    lowest = min(float(history.min()) for history in histories)
    for i, (fit, history) in enumerate(zip(fits, histories, strict=True)):
        steps = np.arange(len(history))
        label = f"fit {i}: {fit.n_iter:,} steps, {'converged' if fit.converged else 'not converged'}"
        left.plot(steps, history, label=label)
        above = history - lowest
        right.plot(steps[above > 0], above[above > 0], label=label)
    for axes, what in ((left, "cost J"), (right, "cost above the lowest")):
        axes.set_xlabel("step")
        axes.set_ylabel(what)
        # linear where a cost of 0 has no place on a logarithmic axis
        if axes is left and lowest <= 0:
            continue
        axes.set_yscale("log")
    left.legend(fontsize="small")
    return figure
