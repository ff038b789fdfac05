# SPDX-License-Identifier: BSD-3-Clause
"""Choosing columns from moments alone: stepwise selection."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra import paired, room
from linreg_fast.algebra.precision import EPS, Matrix
from linreg_fast.inputs.checks import chosen_features, chosen_targets
from linreg_fast.moments.moments import Moments, check_moments
from linreg_fast.result import LinearFit

FULLY_EXPLAINED = 8.0  # times p and the noise of the sums: a share of tss that a residual cannot be told from 0 at
DEPENDENT = 1e-10  # share of its variance that a column must have of its own to be chosen


@dataclass(frozen=True, slots=True)
class Stepwise:
    """Columns chosen one by one.

    Attributes
    ----------
    features : tuple of int
        Positions of the columns chosen, ascending.
    feature_names : tuple of str or None
    criterion : str
    value : float
        The criterion of the columns chosen.
    steps : tuple of (str, int, float)
        "add" or "drop", which column, the criterion after it.
    fit : LinearFit
        On the columns chosen.
    """

    features: tuple[int, ...]
    feature_names: tuple[str, ...] | None
    criterion: str
    value: float
    steps: tuple[tuple[str, int, float], ...]
    fit: LinearFit


def stepwise(
    moments: Moments,
    *,
    criterion: str = "bic",
    direction: str = "forward",
    features: Sequence[int | str] | None = None,
    fit_intercept: bool = True,
    target: int = 0,
) -> Stepwise:
    """Choose columns one by one, each time the step that lowers the criterion most, until none does.

    The criterion is n log(2 pi rss / n) + n + c k, the Gaussian -2 log L + c k with k coefficients, the
    intercept among them; c = 2 for AIC (Akaike 1974), log n for BIC (Schwarz 1978); n counts rows of
    non-zero weight. A column that depends on those chosen already is never added.

    Parameters
    ----------
    moments : Moments
    criterion : {"bic", "aic"}
    direction : {"forward", "backward", "both"}
        "forward" starts without columns and adds, "backward" starts with all and drops, "both" starts
        without and does either.
    features : sequence of int or str, optional
        The columns to choose from; all by default.
    fit_intercept : bool
    target : int
        Column of y.

    Returns
    -------
    Stepwise

    Raises
    ------
    TypeError, ValueError
        Not a Moments; unknown criterion, direction, column or target; no rows.
    """
    if criterion not in ("aic", "bic"):
        raise ValueError(f"criterion must be aic or bic, got {criterion!r}")
    if direction not in ("forward", "backward", "both"):
        raise ValueError(f"direction must be forward, backward or both, got {direction!r}")
    check_moments(moments)
    columns = chosen_features(features, moments.n_features, moments.feature_names)
    targets = chosen_targets(target, moments.n_targets)
    if len(targets) != 1:
        raise ValueError(f"target must be one column of y, got {target!r}")
    E = paired.equations(moments.part(columns, targets), bool(fit_intercept), 0.0)
    n, p, S_yy = moments.n_samples, len(E.live), float(E.S_yy[0, 0])
    least = max(FULLY_EXPLAINED * max(p, 1) * max(E.noise, EPS) * S_yy, 1e-300)
    cost = 2.0 if criterion == "aic" else math.log(n)

    def value(rss: float, k: int) -> float:
        return n * math.log(2 * math.pi * max(rss, least) / n) + n + cost * (k + bool(fit_intercept))

    T = np.empty((p + 1, p + 1))
    T[:p, :p], T[p, :p], T[:p, p], T[p, p] = E.A[..., 0], E.c[:, 0, 0], E.c[:, 0, 0], S_yy
    start = _independent(T[:p, :p]) if direction == "backward" else ()
    chosen, now, steps = _search(T, start, value, direction)
    found = tuple(sorted(int(j) for j in columns[E.live[chosen]]))
    names = moments.feature_names
    return Stepwise(
        features=found,
        feature_names=None if names is None else tuple(names[j] for j in found),
        criterion=criterion,
        value=now,
        steps=tuple((what, int(columns[E.live[j]]), after) for what, j, after in steps),
        fit=moments.solve(features=found, fit_intercept=fit_intercept, targets=target),
    )


def _search(
    T: Matrix, start: Iterable[int], value: Callable[[float, int], float], direction: str
) -> tuple[NDArray[np.bool_], float, list[tuple[str, int, float]]]:
    """The columns that no step betters, their value and the steps from `start` to them; T = [A c; c' S_yy] is swept."""
    p = len(T) - 1
    variances = np.diagonal(T)[:p].copy()
    chosen = np.zeros(p, dtype=bool)
    for j in start:
        _sweep(T, j)
        chosen[j] = True
    steps: list[tuple[str, int, float]] = []
    now = value(float(T[p, p]), int(chosen.sum()))
    while True:
        pivots = np.diagonal(T)[:p]
        possible = chosen | (pivots > DEPENDENT * variances)
        # rss is less by T_jy^2 / T_jj with j added, and more by as much, T_jj being negative, with j dropped
        rss = T[p, p] - T[:p, p] ** 2 / np.where(possible, pivots, 1.0)
        k = int(chosen.sum())
        candidates = [
            (value(float(rss[j]), k + (-1 if chosen[j] else 1)), j)
            for j in np.flatnonzero(possible).tolist()
            if direction == "both" or chosen[j] == (direction == "backward")
        ]
        best, j = min(candidates, default=(math.inf, 0))
        if not best < now:
            return chosen, now, steps
        _sweep(T, j)
        chosen[j], now = not chosen[j], best
        steps.append(("add" if chosen[j] else "drop", j, best))


def _independent(A: Matrix) -> Any:
    """Columns that do not depend on each other, by Cholesky with pivots."""
    room.for_lapack()
    from scipy.linalg import lapack

    if not len(A):
        return np.arange(0)
    _, pivots, rank, _ = lapack.dpstrf(A, tol=DEPENDENT)
    return pivots[:rank] - 1


def _sweep(T: Matrix, k: int) -> None:
    """Add column k to those that T is the residual of, or take it out again (the sweep operator, Beaton 1964).

    Swept on the columns S, [A c; c' S_yy] becomes [-A_ss^-1, A_ss^-1 A_sr; ., A_rr - A_rs A_ss^-1 A_sr].
    """
    pivot, row = T[k, k], T[k].copy()
    T -= np.outer(row, row / pivot)
    T[k] = T[:, k] = row / abs(pivot)
    T[k, k] = -1.0 / pivot
