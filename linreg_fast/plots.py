# SPDX-License-Identifier: BSD-3-Clause
"""Pictures, with matplotlib (the extra "plot")."""

from __future__ import annotations

from typing import Any

import numpy as np

from linreg_fast.inference.significance import interval
from linreg_fast.inputs.checks import chosen_features
from linreg_fast.many.fits import Fits
from linreg_fast.moments.penalties import CrossValidation, Path

LEGEND_COLUMNS = 12  # more columns than that are told apart by no legend
PANELS = 8  # pictures one below the other


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
    Figure = _figure()
    coef = found.coef if found.coef.ndim == 2 else found.coef[:, target]
    figure = Figure(figsize=(7, 4.5 if validation is None else 7), layout="constrained")
    axes = figure.subplots(1 if validation is None else 2, 1, sharex=True, squeeze=False)[:, 0]
    order = np.argsort(found.l2s, kind="stable")
    p = coef.shape[1]
    for j in range(p):
        name = found.feature_names[j] if found.feature_names else f"column {j}"
        axes[0].plot(found.l2s[order], coef[order, j], label=name)
    axes[0].axhline(0.0, color="0.6", linewidth=0.8)
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
        fit.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    ValueError, IndexError
        A column or a row that is not there.
    """
    Figure = _figure()
    columns = chosen_features(features, fits.n_features, fits.feature_names)
    columns = columns[:PANELS] if features is None else columns
    rows = np.arange(len(fits)) if where is None else np.arange(len(fits))[np.asarray(where)]
    label, x = fits.time_axis()
    figure = Figure(figsize=(8, 1 + 2.2 * len(columns)), layout="constrained")
    axes = figure.subplots(len(columns), 1, sharex=True, squeeze=False)[:, 0]
    banded = hasattr(fits, "stderr")
    freedom = (fits.n_samples - fits.rank - fits.fit_intercept)[rows]
    for axis, j in zip(axes, columns, strict=True):
        coef = fits.coef[rows, j]
        axis.plot(x[rows], coef, linewidth=1.2)
        if banded:
            lower, upper = interval(coef, fits.stderr[rows, j], level, freedom).T
            axis.fill_between(x[rows], lower, upper, alpha=0.25, linewidth=0)
        if np.nanmin(coef, initial=0.0) <= 0 <= np.nanmax(coef, initial=0.0):
            axis.axhline(0.0, color="0.6", linewidth=0.8)
        axis.set_ylabel(fits.feature_names[j] if fits.feature_names else f"column {j}")
    axes[-1].set_xlabel(label)
    axes[0].set_title("coefficients" + f" and their {100 * level:g} % intervals" * banded, fontsize="medium")
    return figure


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('pictures need matplotlib: pip install "linreg_fast[plot]"') from None
    return Figure
