# SPDX-License-Identifier: BSD-3-Clause
"""What a fit says of each row: fitted value, residual, standardised residual, leverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.inputs.missing import of_complete_rows
from linreg_fast.inputs.table import Rows, Table, first_fault
from linreg_fast.moments.moments import Moments
from linreg_fast.passes import predictions
from linreg_fast.passes.threads import threads
from linreg_fast.result import LinearFit

ALONE = 1e-10  # 1 - leverage below which a row is fitted by itself: its standardised residual is 0 / 0
STEP_NUMBERS = 1 << 18  # of some rows at once: 2 MB, which stay in the cache


class Seen(NamedTuple):
    """Some rows as the fit sees them, those that take part; `rows` are their numbers."""

    rows: Vector
    fitted: Vector
    residual: Vector
    standardised: Vector
    leverage: Vector
    missing: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fit and what is needed of its rows to say how each of them stands to the others.

    middle  means of the columns, 0 without an intercept
    basis   (n_features, rank): B with B B' the inverse of X'WX, centred where there is an intercept
    share   1 / sum w, what an intercept adds to each leverage
    """

    fit: LinearFit
    target: int
    deviation: float
    middle: Vector
    basis: Matrix
    share: float

    @property
    def parameters(self) -> int:
        return self.fit.rank + self.fit.fit_intercept

    def leverage(self, X: Any) -> Vector:
        """1 / sum w + |B'(x - middle)|^2 of rows: the diagonal of the hat matrix over the weights."""
        rank = self.basis.shape[1]
        origin = np.append(self.middle, np.zeros(rank))
        # by our kernel: BLAS would start threads of its own beside those that share the rows
        Z = predictions.predict(design(self.fit, X), self.basis.T, 0.0, None, None, 1, origin)
        return np.asarray(np.einsum("ij,ij->i", Z, Z) + self.share)

    def predict(self, X: Any) -> Vector:
        """Of the target, on this thread."""
        values = self.fit.predict(X[:, 0] if self.fit._chebyshev is not None else X, n_threads=1)
        return np.asarray(values if values.ndim == 1 else values[:, self.target])

    def of_rows(self, data: Table, lo: int, hi: int) -> Seen:
        """Rows without those that have a missing value, or a weight of 0.

        Raises
        ------
        ValueError
            Infinity, with its row and column.
        """
        parts = []
        for X, Y, w, first, last in data.pieces(lo, hi):
            x, y = X[first:last], np.asarray(Y[first:last, self.target])
            fitted = self.predict(x)
            residual = y - fitted
            root = np.ones(1) if w is None else np.sqrt(w[first:last])
            leverage = self.leverage(x) * root**2
            with np.errstate(divide="ignore", invalid="ignore"):
                standardised = root * residual / (self.deviation * np.sqrt(1.0 - leverage))
            standardised = np.where(1.0 - leverage > ALONE, standardised, np.nan)
            parts.append((fitted, residual, standardised, leverage, np.broadcast_to(root, len(y)) > 0))
        fitted, residual, standardised, leverage, weighs = (np.concatenate(part) for part in zip(*parts, strict=True))
        missing = weighs & ~np.isfinite(residual)
        n_missing = int(np.count_nonzero(missing))
        if n_missing:
            fault = first_fault(data.taken(lo + np.flatnonzero(missing)))
            if fault is not None and "has NaN" not in fault:
                raise ValueError(fault)
        kept = weighs & ~missing
        numbers = np.arange(lo, hi) if data.numbers is None else data.numbers[lo:hi]
        found: list[Any] = [numbers, fitted, residual, standardised, leverage]
        if not kept.all():
            found = [part[kept] for part in found]
        return Seen._make([*found, n_missing])


def fitted_of(fit: LinearFit, rows: Rows, target: int, n_threads: int | None) -> Fitted:
    """The fit beside the cross products of its columns over all rows: one pass.

    The hat matrix is that of the columns, with the penalty where there is one; of columns that depend on each other as
    many directions count as the fit has rank.

    Raises
    ------
    ValueError
        No rows; a fit without a residual deviation, as where there are no more rows than coefficients.
    """
    p = len(fit.coef) if fit.coef.ndim == 1 else fit.coef.shape[1]
    workers = threads(n_threads)

    def summed(data: Table) -> Moments:
        moments = Moments(p, data.n_targets)
        if fit._chebyshev is None:
            return of_complete_rows(lambda whole: moments.add(whole, workers), data, "drop", empty=True)
        step = max(1, STEP_NUMBERS // (p + 1))
        for X, Y, w, first, last in data.pieces(0, data.n_rows):
            for at in range(first, last, step):
                to = min(at + step, last)
                weights = None if w is None else w[at:to]
                moments.update(design(fit, X[at:to]), Y[at:to], weights, missing="drop", n_threads=workers)
        return moments

    moments = rows.fold(summed, Moments.merge)
    if moments is None or not moments.n_samples:
        raise ValueError("there are no rows to draw, or none of positive weight")
    deviation = float(np.atleast_1d(fit.residual_std)[target])
    if not np.isfinite(deviation):
        raise ValueError("the fit has no residual deviation: no degree of freedom is left")
    middle = moments.mean[:p] if fit.fit_intercept else np.zeros(p)
    about = Moments(p, moments.n_targets, shift=np.append(middle, moments.mean[p:])).merge(moments)
    gram = about.cross_products()[:p, :p] + fit.l2 * np.eye(p)
    scale = np.sqrt(np.diagonal(gram))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    kept = slice(max(0, p - fit.rank), None)
    values, vectors = np.maximum(values[kept], np.finfo(float).tiny), vectors[:, kept]
    basis = vectors / np.sqrt(values) / scale[:, None]
    return Fitted(fit, target, deviation, middle, basis, 1.0 / moments.sum_weight if fit.fit_intercept else 0.0)


def design(fit: LinearFit, X: Any) -> Matrix:
    """The columns that the fit is linear in: of a polynomial the Chebyshev polynomials of x."""
    series = fit._chebyshev
    if series is None:
        return np.asarray(X, dtype=np.float64)
    u = (np.asarray(X, dtype=np.float64)[:, 0] - series[0]) / series[1]
    return np.asarray(chebvander(u, len(series) - 3)[:, 1:])
