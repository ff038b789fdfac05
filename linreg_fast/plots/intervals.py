# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of coefficients with their intervals: those of one fit, and of each group."""

from __future__ import annotations

from typing import Any

import numpy as np

from linreg_fast.inference.significance import interval
from linreg_fast.inputs.checks import chosen_features, chosen_targets
from linreg_fast.many.fits import Fits
from linreg_fast.plots.figures import GREY, LINE, name_of, new_figure, plain
from linreg_fast.result import LinearFit

ROWS = 40  # coefficients below each other
GROUPS = 60  # groups below each other: of more their distribution is drawn
PANELS = 6  # pictures side by side
WIDE = 100.0  # largest coefficient over the smallest beyond which their axis is no linear one


def coefficients(fit: LinearFit, features: Any = None, *, level: float = 0.95, target: int = 0) -> Any:
    """Draw the coefficients with their confidence intervals.

    Parameters
    ----------
    fit : LinearFit
    features : sequence of int or str, optional
        Columns to draw, in that order; by default all of them, of more than 40 those of largest t statistic, which the
        title says.
    level : float
        Of the intervals.
    target : int
        Column of y.

    Returns
    -------
    matplotlib.figure.Figure
        The numbers stand at the right. Coefficients that differ in size by more than a hundred times are drawn on a
        symmetric logarithmic axis.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    ValueError, IndexError
        A column or target that is not there, a level out of range.
    """
    columns = np.asarray(chosen_features(features, fit.n_features, fit.feature_names), dtype=np.intp)
    t = int(chosen_targets(target, fit.n_targets)[0])
    coef, stderr = (np.atleast_2d(a)[t] for a in (fit.coef, fit.stderr))
    ends = np.atleast_3d(fit.conf_int(level))[t] if fit.coef.ndim == 2 else fit.conf_int(level)
    title = "coefficients" + f" and their {100 * level:g} % intervals" * bool(np.isfinite(ends).any())
    if features is None and len(columns) > ROWS:
        with np.errstate(divide="ignore", invalid="ignore"):
            size = np.abs(coef / stderr) if np.isfinite(stderr).any() else np.abs(coef)
        columns = np.sort(np.argsort(-np.nan_to_num(size), kind="stable")[:ROWS])
        title += f", the {ROWS} most distinct from 0 of {fit.n_features}"
    figure = new_figure(8, 1.2 + 0.3 * len(columns))
    axes = figure.subplots()
    place = np.arange(len(columns))
    value, reach = coef[columns], np.abs(ends[columns] - coef[columns, None]).T
    axes.errorbar(value, place, xerr=reach, fmt="o", markersize=4, capsize=2.5, linewidth=1.2)
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    axes.set_yticks(place, [name_of(fit.feature_names, j) for j in columns])
    axes.set_ylim(len(columns) - 0.5, -0.5)
    numbers = axes.twinx()
    numbers.set_ylim(axes.get_ylim())
    numbers.set_yticks(place, [_text(b, half) for b, half in zip(value, reach[0], strict=True)], fontsize="small")
    numbers.tick_params(length=0)
    sizes = np.abs(value[np.isfinite(value) & (value != 0)])
    what = "change of the target for one more of the column"
    if sizes.size and sizes.max() > WIDE * sizes.min():
        axes.set_xscale("symlog", linthresh=10.0 ** np.ceil(np.log10(sizes.min())), linscale=0.7)
        what += ", symmetric logarithmic axis"
    axes.set_xlabel(what)
    axes.set_title(title, fontsize="medium")
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    return figure


def _text(value: float, reach: float) -> str:
    return f"{_short(value, 4)} ± {_short(reach, 2)}" if np.isfinite(reach) else _short(value, 4)


def _short(value: float, digits: int) -> str:
    """A number of a few digits, as whole as people write it where it is large."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if 10 ** (digits - 1) <= abs(rounded) < 1e7 else f"{rounded:.{digits}g}"


def grouped(fits: Fits, features: Any = None, *, level: float = 0.95) -> Any:
    """Draw the coefficients of each group with their confidence intervals; of many groups, how they are distributed.

    Parameters
    ----------
    fits : Fits
        From `grouped` or `batched`; with ``stats=["stderr"]`` there are intervals.
    features : sequence of int or str, optional
        Columns to draw, side by side; the first six by default.
    level : float
        Of the intervals.

    Returns
    -------
    matplotlib.figure.Figure
        Up to 60 groups stand below each other in the order of the fits; of more there is a histogram, in which the
        hundredth part at either end is gathered in the last bars. Groups without a fit of full rank are left out: the
        title says how many.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    ValueError, IndexError
        A column that is not there, several targets, a level out of range.
    """
    if fits.coef.ndim > 2:
        raise ValueError("groups of several targets are drawn one target at a time")
    columns = chosen_features(features, fits.n_features, fits.feature_names)
    columns = columns[:PANELS] if features is None else columns
    n = len(fits)
    single = n <= GROUPS
    figure = new_figure(2.0 + 3.0 * len(columns), max(3.5, 1.2 + 0.19 * n) if single else 4.0)
    panels = figure.subplots(1, len(columns), sharey=single, squeeze=False)[0]
    freedom = fits.n_samples - fits.rank - fits.fit_intercept
    banded = hasattr(fits, "stderr")
    whole = fits.rank == fits.n_features
    for axes, j in zip(panels, columns, strict=True):
        coef = np.where(whole, fits.coef[:, j], np.nan)
        if single:
            reach = None
            if banded:
                reach = np.abs(interval(coef, fits.stderr[:, j], level, freedom) - coef[:, None]).T
            axes.errorbar(coef, np.arange(n), xerr=reach, fmt="o", markersize=3.5, linewidth=1.0)
            if np.nanmin(coef, initial=np.inf) < 0 < np.nanmax(coef, initial=-np.inf):
                axes.axvline(0.0, color=GREY, linewidth=0.8)
            axes.grid(color="0.92")
            axes.set_axisbelow(True)
        else:
            _histogram(axes, coef)
        axes.set_xlabel(f"coefficient of {name_of(fits.feature_names, j)}")
    if single:
        panels[0].set_yticks(np.arange(n), [_key(key) for key in fits.groups], fontsize="small")
        panels[0].set_ylim(n - 0.5, -0.5)
    else:
        panels[0].set_ylabel("groups")
    title = f"{n:,} groups" + f", {100 * level:g} % intervals" * (single and banded)
    title += f"; {np.count_nonzero(~whole):,} left out, below full rank" * (not whole.all())
    figure.suptitle(title, fontsize="medium")
    return figure


def _key(key: Any) -> str:
    return plain(", ".join(map(str, key)) if isinstance(key, tuple) else key)


def _histogram(axes: Any, coef: Any) -> None:
    """Where the coefficients lie, with their median."""
    there = coef[np.isfinite(coef)]
    if not there.size:
        return
    low, high = np.quantile(there, (0.01, 0.99))
    pad = 0.0 if low < high else 0.5
    axes.hist(np.clip(there, low, high), bins=np.linspace(low - pad, high + pad, 61), color="C0", alpha=0.8)
    axes.axvline(float(np.median(there)), color=LINE, linewidth=1.2, label=f"median {np.median(there):.4g}")
    if low < 0 < high:
        axes.axvline(0.0, color=GREY, linewidth=0.8)
    axes.legend(fontsize="small")
