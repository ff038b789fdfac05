# SPDX-License-Identifier: BSD-3-Clause
"""What single rows do to a fit: residuals, leverages, and what follows from them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inference.inferred import Inferred
from linreg_fast.inputs.table import Table, matrix
from linreg_fast.passes import meat

INTERVALS = ("confidence", "prediction")


class Influence(NamedTuple):
    """What each row does to a fit. Arrays of shape (n,), with several targets (n, n_targets) but for `leverage`.

    Weighted residuals, sqrt(w) u, take the place of residuals u throughout. Of a row of weight 0 `leverage` is 0, and
    all but `residuals` NaN.

    residuals           u = y - prediction
    leverage            h = w z'(X'WX)^-1 z, the share of a row in its own prediction
    student_internal    u / (s sqrt(1 - h)), s being `residual_std`
    student_external    the same with s from all other rows
    cooks_distance      internal^2 h / (1 - h) / k, k being the number of coefficients, the intercept one of them
    dffits              external sqrt(h / (1 - h))
    press               sum of (u / (1 - h))^2: the squares of the errors at rows left out of the fit one by one
    durbin_watson       sum of squares of differences of consecutive residuals over that of residuals: 2 without
                        correlation of consecutive rows
    jarque_bera         statistic n/6 (S^2 + (K - 3)^2 / 4) of their skewness S and kurtosis K
    jarque_bera_pvalue  of normal residuals, by its limit for many rows, chi squared with 2 degrees of freedom
    """

    residuals: NDArray[np.float64]
    leverage: NDArray[np.float64]
    student_internal: NDArray[np.float64]
    student_external: NDArray[np.float64]
    cooks_distance: NDArray[np.float64]
    dffits: NDArray[np.float64]
    press: Any
    durbin_watson: Any
    jarque_bera: Any
    jarque_bera_pvalue: Any


class Interval(NamedTuple):
    """Predictions, and the ends of their intervals, each (n,) or (n, n_targets)."""

    prediction: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


def of_rows(fit: Inferred, data: Table) -> Influence:
    """See `LinearFit.influence`."""
    fitted = fitted_of(fit)
    U, h = meat.residuals(data, fitted)
    U *= fitted.size
    freedom, k = fit._freedom, fit.rank + fit.fit_intercept
    w = np.ones(len(h)) if data.w is None else np.asarray(data.w, dtype=np.float64)
    there = w != 0
    with np.errstate(all="ignore"):
        e = np.sqrt(w)[:, None] * np.where(there[:, None], U, 0.0)
        s = np.reshape(fit.residual_std, (1, -1))
        rest = np.maximum(1.0 - h, 0.0)[:, None]
        rest[rest <= meat.FULL] = np.nan  # a row that alone tells a coefficient has no residual
        internal = e / (s * np.sqrt(rest))
        external = internal * np.sqrt((freedom - 1) / np.maximum(freedom - internal**2, 0.0))
        lever = h[:, None] / rest
        parts = [internal, external, internal**2 * lever / k, external * np.sqrt(lever)]
        press = np.nansum((e / rest) ** 2, axis=0)
        e = e[there]
        squares = (e**2).sum(axis=0)
        watson = (np.diff(e, axis=0) ** 2).sum(axis=0) / squares
        about = e - e.mean(axis=0)
        second = (about**2).mean(axis=0)
        skew, kurtosis = (about**3).mean(axis=0) / second**1.5, (about**4).mean(axis=0) / second**2
        bera = len(e) / 6 * (skew**2 + (kurtosis - 3) ** 2 / 4)
    for part in parts:
        part[~there] = np.nan
    single = fit.coef.ndim == 1
    numbers = [float(a[0]) if single else a for a in (press, watson, bera, np.exp(-bera / 2))]
    arrays = [a[:, 0] if single else a for a in (U, *parts)]
    return Influence(arrays[0], h, *arrays[1:], *numbers)


def with_interval(
    fit: Inferred, X: Any, predictions: NDArray[np.float64], names: tuple[str, ...] | None, kind: str, level: float
) -> Interval:
    """See `LinearFit.predict`: prediction -+ t sqrt(z'Cz), for a new row and sqrt(z'Cz + s^2), about the means."""
    from linreg_fast.inference.significance import interval

    data = matrix(X, fit.n_features, names)
    single = fit.coef.ndim == 1
    variance = np.full((data.n_rows, fit.n_targets), np.nan)
    if fit._known:
        kept, C = fit._about_means()
        at = 0
        for part, _, _, lo, hi in data.pieces(0, data.n_rows):
            for first in range(lo, hi, 4096):
                Z = np.subtract(part[first : min(first + 4096, hi)][:, kept.live], kept.means, dtype=np.float64)
                if fit.fit_intercept:
                    Z = np.concatenate([np.ones((len(Z), 1)), Z], axis=1)
                for t in range(fit.n_targets):
                    variance[at : at + len(Z), t] = np.einsum("ij,ij->i", Z @ C[t], Z)
                at += len(Z)
    with np.errstate(all="ignore"):
        if kind == "prediction":
            variance += np.square(np.reshape(fit.residual_std, (1, -1)))
        stderr = np.sqrt(variance)
    ends = interval(predictions, stderr[:, 0] if single else stderr, level, fit._t_freedom)
    return Interval(predictions, ends[..., 0], ends[..., 1])


def fitted_of(fit: Inferred) -> meat.Fitted:
    """What residuals and leverages are made of."""
    if fit._spread is None:
        of = {
            "within bounds": fit.active is not None,
            "with a penalty": fit.l2,
            "of gradient descent": fit.solver == "gd",
        }
        why = next((what for what, so in of.items() if so), "below full rank")
        raise ValueError(f'a fit {why} has no standard errors, and no robust ones; see on_collinear="drop"')
    kept = fit._kept()
    coef = np.atleast_2d(fit.coef)[:, kept.live]
    size = np.atleast_1d(fit.residual_std)
    inverse = kept.inverse()
    scale = np.sqrt(np.diagonal(inverse))
    correlation = inverse / np.multiply.outer(scale, scale)
    try:
        root = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:  # so ill-conditioned that the inverse has rounded to an indefinite one
        values, vectors = np.linalg.eigh(correlation)
        root = np.asarray(np.linalg.qr((vectors * np.sqrt(np.maximum(values, 0.0))).T, mode="r")).T
    return meat.Fitted(
        kept.live,
        kept.means,
        np.ascontiguousarray(coef),
        kept.level,
        np.ascontiguousarray((scale[:, None] * root).T),
        1.0 / fit.sum_weight if fit.fit_intercept else 0.0,
        np.where((size > 0) & np.isfinite(size), size, 1.0),
        np.zeros(len(coef)),
    )
