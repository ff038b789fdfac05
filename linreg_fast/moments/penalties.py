# SPDX-License-Identifier: BSD-3-Clause
"""Choosing a penalty from moments alone: the path over l2, cross-validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from linreg_fast.algebra import paired, room
from linreg_fast.algebra.paired import Equations
from linreg_fast.algebra.pairs import add, multiply, pairs, product, total
from linreg_fast.algebra.precision import EPS, Matrix, Vector
from linreg_fast.inputs.checks import chosen_features, chosen_targets
from linreg_fast.moments.moments import Moments, check_moments
from linreg_fast.options import FitOptions
from linreg_fast.passes.progress import Report, reporting
from linreg_fast.result import LinearFit
from linreg_fast.solvers import from_moments

SPREAD_LIMIT = 10  # exponents of two between the norms of columns, beyond which eigenvalues lose the small ones
EIGEN_RCOND = 1e-10  # of the Gram matrix with its penalty; below, each penalty is solved with its own checks
CANCELLED = 1e-6  # share of the sum of squares of y that a residual one may fall to before it is taken of pairs


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
        Mean over the rows of all folds, and over the targets.
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

    Returns
    -------
    Path

    Raises
    ------
    TypeError, ValueError
        Not a Moments, no rows, unknown columns, a penalty out of range.

    Warns
    -----
    RankWarning, ConditionWarning
        As `Moments.solve` does, for penalties that do not make up for dependent columns.
    """
    check_moments(moments)
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
    progress: bool | Report = False,
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
    progress : bool or callable
        As for `fit`; counted are the rows that the folds done so far are of.

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
    done = 0
    with reporting(progress) as report:
        for i, fold in enumerate(folds):
            others = total - fold
            coef, intercept = _solve_all(others, columns, targets, fit_intercept, penalties, shifted=True)
            held_out = fold
            if (fold.shift != total.shift).any():  # type: ignore[union-attr]
                own = Moments(total.n_features, total.n_targets, shift=total.shift, precision=fold.precision)
                held_out = own + fold
            mse[i] = _rss(held_out, columns, targets, fit_intercept, coef, intercept) / weights[i]
            done += fold.n_samples
            if report is not None:
                report(done, total.n_samples)
    mean = (weights[:, None, None] * mse).sum(axis=0).mean(axis=1) / weights.sum()
    best = float(penalties[int(np.argmin(mean))])
    return CrossValidation(
        l2s=penalties,
        mse=mse[:, :, 0] if total.n_targets == 1 else mse,
        mean_mse=mean,
        best_l2=best,
        fit=total.solve(l2=best, features=features, fit_intercept=fit_intercept),
    )


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
    part = moments.part(columns, targets)
    E = paired.equations(part, fit_intercept, 0.0)
    coef = np.zeros((len(l2s), len(targets), p))
    rest = _by_eigenvalues(E, l2s, coef)
    for i in rest:
        options = FitOptions(l2=float(l2s[i]), fit_intercept=fit_intercept, precision=moments.precision, n_threads=1)
        problem = moments.problem(options, columns, len(targets), False)
        one = paired.equations(part, fit_intercept, float(l2s[i]))
        coef[i] = from_moments.solve(problem, one).coef
    if not fit_intercept:
        return coef, np.zeros(coef.shape[:2])
    about = paired.centre(part, True)
    m = about.near if shifted else about.mean[:, 0]
    return coef, m[p + 1 :] - coef @ m[:p]


def _by_eigenvalues(E: Equations, l2s: Vector, coef: Matrix) -> Any:
    """Fill in coef where the eigenvalues of the Gram matrix are good enough for it; the other positions.

    A penalty is on coefficients of one common unit, so columns may be scaled by a common factor only; where
    their norms differ too much for that, none is.
    """
    room.for_lapack()
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
    part = held_out.part(columns, targets)
    about = paired.centre(part, fit_intercept)
    centred, near = about.M, about.near
    at = np.arange(p + 1, len(centred))
    S, c, S_yy = centred[:p, :p], centred[:p, p + 1 :], centred[at, at]
    gap = near[p + 1 :] - intercept - coef @ near[:p] if fit_intercept else np.zeros_like(intercept)
    within = S_yy[:, 0] + np.einsum("ltp,ltp->lt", coef, coef @ S[..., 0] - 2 * c[..., 0].T)
    cancelled = within <= (CANCELLED * S_yy[:, 0] if part.unit >= EPS else math.inf)
    for i in np.flatnonzero(cancelled.any(axis=1)):
        b = pairs(coef[i].T)
        within[i] = add(S_yy, total(multiply(b, add(product(S, b), -2 * c))))[:, 0]
    return np.asarray(np.maximum(within, 0.0) + part.sum_weight * gap * gap)
