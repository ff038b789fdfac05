# SPDX-License-Identifier: BSD-3-Clause
"""What follows from a fit beside its coefficients: errors, covariances, tests, intervals, criteria."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra import bread
from linreg_fast.algebra.bread import Bread, Robust
from linreg_fast.inference import significance, summary


class FTest(NamedTuple):
    """An F statistic, its p-value, and its degrees of freedom; arrays over the targets where y had two dimensions."""

    statistic: Any
    pvalue: Any
    df_num: int
    df_denom: int


class TTest(NamedTuple):
    """Estimates of linear combinations of the coefficients, one in a row, and what is known of each."""

    estimate: NDArray[np.float64]
    stderr: NDArray[np.float64]
    statistic: NDArray[np.float64]
    pvalue: NDArray[np.float64]
    conf_int: NDArray[np.float64]


class Inferred:
    """The statistics of a fit. Each is made when it is asked for, of numbers alone.

    Student's t and F are used throughout, never their limits for many rows: statsmodels takes the normal distribution
    for its robust errors unless told otherwise.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        coef: NDArray[np.float64]
        intercept: Any
        solver: str
        l2: float
        active: Any
        rank: int
        fit_intercept: bool
        n_samples: int
        n_features: int
        n_targets: int
        sum_weight: float
        _spread: NDArray[np.float64] | None
        _bread: Bread | NDArray[np.float64] | None
        _robust: Robust | None
        _weighted: bool
        _y_unit: Any
        r2: Any

        @property
        def _squares(self) -> tuple[Any, Any, Any]: ...

    @property
    def residual_std(self) -> Any:
        """Residual standard deviation, sqrt(rss / (n - rank - 1)); NaN with no degree of freedom left."""
        return significance.residual_deviation(self._squares[0], self._freedom, self._y_unit)

    @property
    def _freedom(self) -> int:
        """Degrees of freedom of the residuals."""
        return self.n_samples - self.rank - self.fit_intercept

    @property
    def stderr(self) -> Any:
        """Standard errors of the coefficients, in the shape of `coef`: residual_std sqrt((X'WX)^-1_jj), or those
        of `cov_type`.

        Weights count as relative precisions, as in statsmodels' WLS; X is centred where there is an intercept.
        NaN below full rank, for columns that are constant or were dropped, without degrees of freedom, with a
        penalty and for gradient descent.
        """
        return self._errors(slice(0, self.n_features))

    @property
    def intercept_stderr(self) -> Any:
        """Standard error of the intercept, or of each target's; NaN where `stderr` is, and where none was fitted."""
        error = self._errors(slice(self.n_features, None))[..., 0]
        return float(error) if error.ndim == 0 else error

    @property
    def tvalues(self) -> Any:
        """t statistics of the coefficients, coef / stderr, in the shape of `coef`; NaN where `stderr` is."""
        return significance.ratio(self.coef, self.stderr)

    @property
    def intercept_tvalue(self) -> Any:
        """t statistic of the intercept, or of each target's; NaN where `intercept_stderr` is."""
        t = significance.ratio(self.intercept, self.intercept_stderr)
        return float(t) if t.ndim == 0 else t

    @property
    def pvalues(self) -> Any:
        """Two-sided p-values of `tvalues`, by Student's t with n - rank - 1 degrees of freedom (n - rank without
        an intercept; the number of clusters less 1 for clustered errors): how likely a statistic at least as large is
        where the true coefficient is 0."""
        return significance.two_sided(self.tvalues, self._t_freedom)

    @property
    def intercept_pvalue(self) -> Any:
        """Two-sided p-value of `intercept_tvalue`, or of each target's."""
        p = significance.two_sided(self.intercept_tvalue, self._t_freedom)
        return float(p) if p.ndim == 0 else p

    def conf_int(self, level: float = 0.95) -> NDArray[np.float64]:
        """Confidence intervals of the coefficients: coef -+ t stderr.

        Parameters
        ----------
        level : float
            Probability that an interval covers the true coefficient, between 0 and 1.

        Returns
        -------
        ndarray of shape (n_features, 2) or (n_targets, n_features, 2)
            Lower and upper ends; NaN where `stderr` is.

        Raises
        ------
        TypeError, ValueError
            `level` is not a number between 0 and 1.
        """
        return significance.interval(self.coef, self.stderr, level, self._t_freedom)

    def intercept_conf_int(self, level: float = 0.95) -> NDArray[np.float64]:
        """Confidence interval of the intercept, as `conf_int` has those of the coefficients.

        Returns
        -------
        ndarray of shape (2,) or (n_targets, 2)
        """
        return significance.interval(self.intercept, self.intercept_stderr, level, self._t_freedom)

    def _errors(self, part: slice) -> NDArray[np.float64]:
        if self._robust is not None:
            kept, C = self._about_means()
            full = np.full((self.n_targets, self.n_features + 1), np.nan)
            if self.fit_intercept:
                C = bread.about_zero(C, kept.means)
                full[:, -1] = C[:, 0, 0]
            full[:, kept.live] = np.diagonal(C, axis1=1, axis2=2)[:, int(self.fit_intercept) :]
            with np.errstate(all="ignore"):
                roots = np.sqrt(full[:, part])
            return np.asarray(roots if self.coef.ndim == 2 else roots[0])
        spread = np.full(self.n_features + 1, np.nan) if self._spread is None else self._spread
        return significance.standard_errors(self._squares[0], self._freedom, self._y_unit, spread[part])

    @property
    def cov_type(self) -> str:
        """What `stderr` and all that follows take the errors for: "nonrobust" (equal and independent), "HC3" ..."""
        return "nonrobust" if self._robust is None else self._robust.kind

    @property
    def _t_freedom(self) -> int:
        """Degrees of freedom of t statistics."""
        return self._freedom if self._robust is None else self._robust.freedom

    def cov(self) -> NDArray[np.float64]:
        """Covariances of the coefficients, by `cov_type`.

        Without robust errors s^2 (X'WX)^-1, s being `residual_std`; made about the means of the columns, so that
        offsets cost no digits.

        Returns
        -------
        ndarray of shape (n_features + 1, n_features + 1), or (n_targets, ..) for y of two dimensions
            The intercept first; without one (n_features, n_features). NaN where `stderr` is.

        Raises
        ------
        ValueError
            A fit that does not keep them: one of a polynomial, one of many fits, one that was saved with more than
            100 columns.
        """
        first = int(self.fit_intercept)
        size = self.n_features + first
        out = np.full((self.n_targets, size, size), np.nan)
        if self._known:
            kept, C = self._about_means()
            at = np.concatenate([np.zeros(first, dtype=np.intp), kept.live + first])
            out[:, at[:, None], at] = bread.about_zero(C, kept.means) if first else C
            if self._robust is None:  # the errors know more digits than sums that cancel
                diagonal = np.arange(size)
                errors = np.atleast_2d(self._errors(slice(None)))
                out[:, diagonal, diagonal] = np.square(np.roll(errors, 1, axis=1) if first else errors[:, :-1])
        return out if self.coef.ndim == 2 else out[0]

    @property
    def _known(self) -> bool:
        """Whether there are errors at all: not below full rank, with a penalty, or by gradient descent."""
        return self._spread is not None or self._robust is not None

    def _kept(self) -> Bread:
        """The inverse of the cross products of the columns."""
        kept = self._bread
        if kept is None:
            why = "below full rank, with a penalty and by gradient descent there are none"
            if self._known:
                why = "polynomials, one of many fits, and saved fits of more than 100 columns have their errors alone"
            raise ValueError(f"this fit keeps no covariances: {why}")
        return bread.of_small(kept, self.n_features, self.n_targets) if isinstance(kept, np.ndarray) else kept

    def _about_means(self) -> tuple[Bread, NDArray[np.float64]]:
        """Covariances of [the prediction at the means, the coefficients], (n_targets, q, q)."""
        kept = self._kept()
        if self._robust is not None:
            return kept, self._robust.matrix
        first = int(self.fit_intercept)
        C = np.zeros((self.n_targets, len(kept.live) + first, len(kept.live) + first))
        C[:, first:, first:] = kept.inverse()
        if first:
            C[:, 0, 0] = 1.0 / self.sum_weight
        with np.errstate(all="ignore"):
            return kept, C * np.square(np.reshape(self.residual_std, (-1, 1, 1)))

    @property
    def r2_adjusted(self) -> Any:
        """1 - (1 - r2) (n - 1) / (n - rank - 1), n in place of n - 1 without an intercept; NaN with no degree of
        freedom left."""
        freedom = self._freedom if self._freedom > 0 else math.nan
        return 1.0 - (1.0 - self.r2) * (self.n_samples - self.fit_intercept) / freedom

    @property
    def log_likelihood(self) -> Any:
        """Of normal errors of the variance that makes it largest: -n/2 (log(2 pi rss / n) + 1).

        NaN with weights that are not counts: the logarithms of the weights, half of whose sum belongs to it, are not
        kept.
        """
        n, rss = self.n_samples, self._squares[0]
        with np.errstate(all="ignore"):
            log = np.log(rss) + 2.0 * np.log(self._y_unit) - math.log(n)
            found = np.where(self._weighted, np.nan, -0.5 * n * (math.log(2.0 * math.pi) + log + 1.0))
        return float(found) if found.ndim == 0 else found

    @property
    def aic(self) -> Any:
        """Akaike's criterion, 2 k - 2 log_likelihood with k = rank and 1 for the intercept, as statsmodels counts."""
        return self.criterion(2.0)

    @property
    def bic(self) -> Any:
        """The Bayesian criterion, k log n - 2 log_likelihood, k as for `aic`."""
        return self.criterion(math.log(self.n_samples))

    def criterion(self, penalty: float, count_variance: bool = False) -> Any:
        """penalty k - 2 log_likelihood.

        Parameters
        ----------
        penalty : float
            2 for AIC, log(n_samples) for BIC.
        count_variance : bool
            Whether the variance of the errors is one of the k parameters, as in R, or not, as in statsmodels.
        """
        k = self.rank + self.fit_intercept + count_variance
        return penalty * k - 2.0 * self.log_likelihood

    def f_test(self) -> FTest:
        """Whether all coefficients but the intercept are 0: (ess / rank) / (rss / (n - rank - 1)).

        With robust errors the Wald test of the same.

        Returns
        -------
        FTest
            NaN where there is no coefficient, or no degree of freedom left, and for a fit within bounds.
        """
        if self._robust is not None:
            kept, C = self._about_means()
            b = np.atleast_2d(self.coef)[:, kept.live]
            return self._wald(b, C[:, int(self.fit_intercept) :, int(self.fit_intercept) :])
        rss, ess, _ = self._squares
        # within bounds the statistic does not have this distribution
        freedom = max(self._freedom, 0) if self.active is None else 0
        with np.errstate(all="ignore"):
            F = np.divide(np.divide(ess, self.rank or math.nan), np.divide(rss, freedom or math.nan))
        return FTest(_plain(F), _plain(significance.f_beyond(F, self.rank, freedom)), self.rank, freedom)

    def wald_test(self, R: Any, q: Any = 0.0) -> FTest:
        """Whether R theta = q, theta being [intercept, coefficients]: (R theta - q)'(R cov R')^-1 (R theta - q) / m.

        Parameters
        ----------
        R : array_like of shape (m, n_features + 1), or of one dimension for one restriction
            The intercept first; (m, n_features) without one.
        q : float or array_like of shape (m,)

        Returns
        -------
        FTest
            By F with m degrees of freedom, and those of t.

        Raises
        ------
        ValueError
            Shapes that do not fit, restrictions that depend on each other, a fit that keeps no covariances.
        """
        estimate, V = self._combined(R, q)
        return self._wald(estimate, V)

    def t_test(self, R: Any, q: Any = 0.0, level: float = 0.95) -> TTest:
        """Each row of R theta - q by itself: estimate, standard error, t, p-value and interval.

        Parameters and errors as for `wald_test`; the rows of the results are those of R, with a leading axis for
        several targets.
        """
        estimate, V = self._combined(R, q)
        with np.errstate(all="ignore"):
            stderr = np.sqrt(np.diagonal(V, axis1=1, axis2=2))
            t = estimate / stderr
        freedom = self._t_freedom
        found = estimate, stderr, t, significance.two_sided(t, freedom)
        ends = significance.interval(estimate, stderr, level, freedom)
        return TTest(*(a if self.coef.ndim == 2 else a[0] for a in (*found, ends)))

    def _combined(self, R: Any, q: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """R theta - q and its covariances, with an axis for the targets first."""
        first = int(self.fit_intercept)
        R = np.atleast_2d(np.asarray(R, dtype=np.float64))
        size = self.n_features + first
        if R.ndim != 2 or R.shape[1] != size:
            what = "the intercept and the columns" if first else "the columns"
            raise ValueError(f"R must have {size} columns, for {what}; it has shape {R.shape}")
        q = np.asarray(q, dtype=np.float64)
        if q.shape not in ((), (len(R),)):
            raise ValueError(f"q must be a number or have shape ({len(R)},), one for each row of R; got {q.shape}")
        theta = np.atleast_2d(self.coef)
        if first:
            theta = np.column_stack([np.atleast_1d(self.intercept), theta])
        estimate = theta @ R.T - q
        if not self._known:
            return estimate, np.full((self.n_targets, len(R), len(R)), np.nan)
        kept, C = self._about_means()
        about = R[:, np.concatenate([np.zeros(first, dtype=np.intp), kept.live + first])]
        if first:
            about[:, 1:] -= R[:, :1] * kept.means  # a combination of the prediction at the means and the coefficients
        V = about @ C @ about.T
        absent = np.setdiff1d(np.arange(self.n_features), kept.live) + first
        unknown = (R[:, absent] != 0).any(axis=1)
        V[:, unknown, :] = V[:, :, unknown] = np.nan
        return estimate, V

    def _wald(self, estimate: NDArray[np.float64], V: NDArray[np.float64]) -> FTest:
        m, freedom = estimate.shape[1], max(self._t_freedom, 0)
        F = np.full(len(estimate), np.nan)
        for t, (d, C) in enumerate(zip(estimate, V, strict=True)):
            scale = np.sqrt(np.diagonal(C))
            if m and np.isfinite(C).all() and (scale > 0).all():
                A = C / np.multiply.outer(scale, scale)
                if np.linalg.matrix_rank(A, hermitian=True) < m:
                    raise ValueError("the restrictions depend on each other, or on what the errors cannot tell")
                z = d / scale
                F[t] = z @ np.linalg.solve(A, z) / m
        found = F if self.coef.ndim == 2 else F[0]
        return FTest(_plain(found), _plain(significance.f_beyond(found, m, freedom)), m, freedom)

    def summary(self, level: float = 0.95) -> str:
        """The fit as text: what it is of, then a line for each coefficient with its error, t, p-value and interval.

        Parameters
        ----------
        level : float
            Of the intervals.
        """
        return summary.text(self, level)

    def _repr_html_(self) -> str:
        return summary.html(self)

    def to_frame(self, level: float = 0.95, library: str | None = None) -> Any:
        """One row for each coefficient, the intercept first.

        Parameters
        ----------
        level : float
            Of the intervals.
        library : {"pandas", "polars", "pyarrow"}, optional
            Whose frame it is; by default of the first of them that is installed.

        Returns
        -------
        DataFrame or Table
            Columns term, estimate, std_error, statistic, p_value, conf_low, conf_high, and with several targets target.

        Raises
        ------
        ImportError
            The library is not installed.
        """
        return summary.frame(self, level, library)

    def vif(self) -> NDArray[np.float64]:
        """Variance inflation factors, 1 / (1 - R2 of a column on all others), in the order of the columns.

        Of the centred columns where there is an intercept. NaN where `stderr` is.

        Returns
        -------
        ndarray of shape (n_features,)

        Raises
        ------
        ValueError
            A fit that keeps no covariances, as for `cov`.
        """
        out = np.full(self.n_features, np.nan)
        if self._spread is not None:
            kept = self._kept()
            A = kept.inverse()
            scale = np.sqrt(np.diagonal(A))
            out[kept.live] = np.diagonal(np.linalg.inv(A / np.multiply.outer(scale, scale)))
        return out


def _plain(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else value
