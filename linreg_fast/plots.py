# SPDX-License-Identifier: BSD-3-Clause
"""Pictures, with matplotlib (the extra "plot")."""

from __future__ import annotations

from typing import Any

import numpy as np

from linreg_fast.moments.penalties import CrossValidation, Path

LEGEND_COLUMNS = 12  # more columns than that are told apart by no legend


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
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('pictures need matplotlib: pip install "linreg_fast[plot]"') from None
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
