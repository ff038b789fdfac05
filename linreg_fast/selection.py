# SPDX-License-Identifier: BSD-3-Clause
"""Choosing a penalty and columns from moments alone: cross-validation, the path over l2, stepwise selection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from linreg_fast import normal_equations
from linreg_fast.columns import chosen_features, chosen_targets
from linreg_fast.double_double import EPS, add, multiply, pairs, product, total
from linreg_fast.moments import Moments
from linreg_fast.normal_equations import Equations
from linreg_fast.result import LinearFit
from linreg_fast.sums import Matrix, Vector

SPREAD_LIMIT = 10  # exponents of two between the norms of columns, beyond which eigenvalues lose the small ones
EIGEN_RCOND = 1e-10  # of the Gram matrix with its penalty; below, each penalty is solved with its own checks
FULLY_EXPLAINED = 8.0  # times p and the noise of the sums: a share of tss that a residual cannot be told from 0 at
CANCELLED = 1e-6  # share of the sum of squares of y that a residual one may fall to before it is taken of pairs
DEPENDENT = 1e-10  # share of its variance that a column must have of its own to be chosen


@dataclass(frozen=True, slots=True)
class Path:
    """Coefficients over the penalty.

    Attributes
    ----------
    l2s : ndarray of shape (n_l2,)
    coef : ndarray of shape (n_l2, n_features) or (n_l2, n_targets, n_features)
        The latter for moments of several targets.
    intercept : ndarray of shape (n_l2,) or (n_l2, n_targets)
    feature_names : tuple of str or None
    """

    l2s: Vector
    coef: Matrix
    intercept: Matrix
    feature_names: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Errors on held-out folds over the penalty, and the fit at the best one.

    Attributes
    ----------
    l2s : ndarray of shape (n_l2,)
    mse : ndarray of shape (n_folds, n_l2) or (n_folds, n_l2, n_targets)
        Weighted mean squared error on each fold of the fit to all others.
    mean_mse : ndarray of shape (n_l2,)
        Over the rows of all folds, and the targets.
    best_l2 : float
        Where it is least.
    fit : LinearFit
        The fit of all folds together there.
    """

    l2s: Vector
    mse: Matrix
    mean_mse: Vector
    best_l2: float
    fit: LinearFit


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


def l2_path(
    moments: Moments,
    l2s: Any,
    *,
    features: Sequence[int | str] | None = None,
    fit_intercept: bool = True,
) -> Path:
    """Coefficients for each of several penalties, from one eigen-decomposition of the Gram matrix.

    Parameters
    ----------
    moments : Moments
    l2s : array_like of shape (n_l2,)
        Penalties, finite and at least 0.
    features, fit_intercept
        As for `Moments.solve`.

    Warns
    -----
    RankWarning, ConditionWarning
        As `Moments.solve` does, for penalties that do not make up for dependent columns.
    """
    _check_moments(moments)
    penalties = _penalties(l2s)
    columns = chosen_features(features, moments.n_features, moments.feature_names)
    targets = chosen_targets(None, moments.n_targets)
    coef, intercept = _solve_all(moments, columns, targets, fit_intercept, penalties)
    names = None if moments.feature_names is None else tuple(moments.feature_names[j] for j in columns)
    if moments.n_targets == 1:
        return Path(penalties, coef[:, 0], intercept[:, 0], names)
    return Path(penalties, coef, intercept, names)


def cross_validate(
    folds: Sequence[Moments],
    l2s: Any,
    *,
    features: Sequence[int | str] | None = None,
    fit_intercept: bool = True,
) -> CrossValidation:
    """Exact cross-validation of the penalty: each fold predicted by the fit to all others.

    The fit to the others is that of all moments less those of the fold; its error on the fold is a quadratic
    form in the moments of the fold. A mean squared error is known to about 1e-16 of the variance of y in the
    fold, as sums of squares are.

    Parameters
    ----------
    folds : sequence of Moments
        At least two, none empty. Shared shifts make it exact; others are brought to that of the first.
        Groups as folds, see `by_group`, make it leave-one-group-out.
    l2s : array_like of shape (n_l2,)
        Penalties, finite and at least 0.
    features, fit_intercept
        As for `Moments.solve`.

    Returns
    -------
    CrossValidation

    Raises
    ------
    TypeError, ValueError
        Fewer than two folds, an empty fold, folds that do not fit together, a penalty out of range.

    Warns
    -----
    RankWarning, ConditionWarning
        As `Moments.solve` does, for penalties that do not make up for dependent columns.
    """
    penalties = _penalties(l2s)
    if isinstance(folds, Moments) or not np.iterable(folds):
        raise TypeError(f"folds must be a sequence of Moments, not a {type(folds).__name__}")
    folds = list(folds)
    if len(folds) < 2:
        raise ValueError(f"cross-validation needs at least two folds, got {len(folds)}")
    for i, fold in enumerate(folds):
        if not isinstance(fold, Moments):
            raise TypeError(f"folds must be Moments; folds[{i}] is a {type(fold).__name__}")
        if not fold.n_samples:
            raise ValueError(f"folds[{i}] has no rows")
    total = folds[0].copy()
    for fold in folds[1:]:
        total += fold
    columns = chosen_features(features, total.n_features, total.feature_names)
    targets = chosen_targets(None, total.n_targets)
    mse = np.empty((len(folds), len(penalties), len(targets)))
    weights = np.array([fold.sum_weight for fold in folds])
    for i, fold in enumerate(folds):
        others = total - fold
        coef, intercept = _solve_all(others, columns, targets, fit_intercept, penalties, shifted=True)
        held_out = fold
        if (fold.shift != total.shift).any():  # type: ignore[union-attr]
            held_out = Moments(total.n_features, total.n_targets, shift=total.shift, precision=fold.precision) + fold
        mse[i] = _rss(held_out, columns, targets, fit_intercept, coef, intercept) / weights[i]
    mean = (weights[:, None, None] * mse).sum(axis=0).mean(axis=1) / weights.sum()
    best = float(penalties[int(np.argmin(mean))])
    return CrossValidation(
        l2s=penalties,
        mse=mse[:, :, 0] if total.n_targets == 1 else mse,
        mean_mse=mean,
        best_l2=best,
        fit=total.solve(l2=best, features=features, fit_intercept=fit_intercept),
    )


def _check_moments(moments: Any) -> None:
    if not isinstance(moments, Moments):
        raise TypeError(f"moments must be Moments, not a {type(moments).__name__}: Moments(n_features).update(X, y)")


def _penalties(l2s: Any) -> Vector:
    try:
        values = np.array(l2s, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"l2s must be a sequence of numbers: {error}") from None
    if values.ndim != 1 or not len(values):
        raise ValueError(f"l2s must have one dimension and a penalty at least, got shape {values.shape}")
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(f"l2s must be finite and at least 0, got {values[~(np.isfinite(values) & (values >= 0))][0]}")
    return values


def _solve_all(
    moments: Moments, columns: Any, targets: Any, fit_intercept: bool, l2s: Vector, *, shifted: bool = False
) -> tuple[Matrix, Matrix]:
    """coef (n_l2, n_targets, p) and intercept (n_l2, n_targets); of [X - k, y - ky] if `shifted`."""
    p = len(columns)
    M, noise, unit, shift = moments._part(columns, targets)
    E = normal_equations.equations(M, noise, unit, shift, p, fit_intercept, 0.0)
    coef = np.zeros((len(l2s), len(targets), p))
    rest = _by_eigenvalues(E, l2s, coef)
    names = None if moments.feature_names is None else [moments.feature_names[j] for j in columns]
    for i in rest:
        one = normal_equations.equations(M, noise, unit, shift, p, fit_intercept, float(l2s[i]))
        coef[i] = normal_equations.solve(one, p, names).coef
    if not fit_intercept:
        return coef, np.zeros(coef.shape[:2])
    _, _, near, mean = normal_equations.centre(M, noise, unit, shift, p, True)
    m = near if shifted else mean[:, 0]
    return coef, m[p + 1 :] - coef @ m[:p]


def _by_eigenvalues(E: Equations, l2s: Vector, coef: Matrix) -> Any:
    """Fill in coef where the eigenvalues of the Gram matrix are good enough for it; the other positions.

    A penalty is on coefficients of one common unit, so columns may be scaled by a common factor only; where
    their norms differ too much for that, none is.
    """
    import scipy.linalg

    every = np.arange(len(l2s))
    if not len(E.live):
        return every[:0]
    if E.noise < EPS / 2 or E.e.max() - E.e.min() > SPREAD_LIMIT:
        return every
    common = int(E.e.max())
    scale = np.ldexp(1.0, common - E.e)
    values, V = scipy.linalg.eigh(E.A[..., 0] * scale * scale[:, None], check_finite=False)
    values = np.maximum(values, 0.0)
    penalties = np.ldexp(l2s, 2 * common)
    good = values[0] + penalties >= EIGEN_RCOND * (values[-1] + penalties)
    z = V.T @ (E.c[..., 0] * scale[:, None])
    inverse = 1.0 / (values + penalties[good, None])
    beta = V @ (inverse[:, :, None] * z)  # (n_good, p, n_targets)
    found = np.zeros((int(good.sum()), *coef.shape[1:]))
    found[:, :, E.live] = np.ldexp(beta, common).swapaxes(1, 2)
    coef[good] = found
    return every[~good]


def _rss(held_out: Moments, columns: Any, targets: Any, fit_intercept: bool, coef: Matrix, intercept: Matrix) -> Matrix:
    """Residual sums of squares (n_l2, n_targets) of given fits on other rows; the intercepts are of [X - k, y - ky].

    About the means of these rows: S_yy - 2 b'c + b'S b + N (mean y - intercept - mean b)^2.
    """
    p = len(columns)
    M, noise, unit, shift = held_out._part(columns, targets)
    centred, _, near, _ = normal_equations.centre(M, noise, unit, shift, p, fit_intercept)
    at = np.arange(p + 1, len(M))
    S, c, S_yy = centred[:p, :p], centred[:p, p + 1 :], centred[at, at]
    gap = near[p + 1 :] - intercept - coef @ near[:p] if fit_intercept else np.zeros_like(intercept)
    within = S_yy[:, 0] + np.einsum("ltp,ltp->lt", coef, coef @ S[..., 0] - 2 * c[..., 0].T)
    cancelled = within <= (CANCELLED * S_yy[:, 0] if unit >= EPS else math.inf)
    for i in np.flatnonzero(cancelled.any(axis=1)):
        b = pairs(coef[i].T)
        within[i] = add(S_yy, total(multiply(b, add(product(S, b), -2 * c))))[:, 0]
    return np.asarray(np.maximum(within, 0.0) + M[p, p, 0] * gap * gap)


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

    Returns
    -------
    Stepwise

    Raises
    ------
    TypeError, ValueError
        Unknown criterion, direction, column or target; no rows.
    """
    if criterion not in ("aic", "bic"):
        raise ValueError(f"criterion must be aic or bic, got {criterion!r}")
    if direction not in ("forward", "backward", "both"):
        raise ValueError(f"direction must be forward, backward or both, got {direction!r}")
    _check_moments(moments)
    columns = chosen_features(features, moments.n_features, moments.feature_names)
    targets = chosen_targets(target, moments.n_targets)
    if len(targets) != 1:
        raise ValueError(f"target must be one column of y, got {target!r}")
    E = normal_equations.equations(*moments._part(columns, targets), len(columns), bool(fit_intercept), 0.0)
    S_yy = float(E.S_yy[0, 0])
    n, p = moments.n_samples, len(E.live)
    least = max(FULLY_EXPLAINED * max(p, 1) * max(E.noise, EPS) * S_yy, 1e-300)
    cost = 2.0 if criterion == "aic" else math.log(n)

    def value(rss: float, k: int) -> float:
        return n * math.log(2 * math.pi * max(rss, least) / n) + n + cost * (k + bool(fit_intercept))

    T = np.empty((p + 1, p + 1))
    T[:p, :p], T[p, :p], T[:p, p], T[p, p] = E.A[..., 0], E.c[:, 0, 0], E.c[:, 0, 0], S_yy
    variances = np.diagonal(T)[:p].copy()
    chosen = np.zeros(p, dtype=bool)
    if direction == "backward":
        for j in _independent(T[:p, :p]):
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
            break
        _sweep(T, j)
        chosen[j], now = not chosen[j], best
        steps.append(("add" if chosen[j] else "drop", int(columns[E.live[j]]), best))
    found = tuple(sorted(int(j) for j in columns[E.live[chosen]]))
    names = moments.feature_names
    return Stepwise(
        features=found,
        feature_names=None if names is None else tuple(names[j] for j in found),
        criterion=criterion,
        value=now,
        steps=tuple(steps),
        fit=moments.solve(features=found, fit_intercept=fit_intercept, targets=target),
    )


def _independent(A: Matrix) -> Any:
    """Columns that do not depend on each other, by Cholesky with pivots."""
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
