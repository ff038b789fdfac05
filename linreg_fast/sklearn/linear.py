# SPDX-License-Identifier: BSD-3-Clause
"""LinearRegression and Ridge, with scikit-learn's parameters and attributes."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted, validate_data

from linreg_fast.algebra import paired
from linreg_fast.algebra.precision import Vector
from linreg_fast.fitting import fit as fit_arrays
from linreg_fast.fitting import fit_table
from linreg_fast.inputs.table import table
from linreg_fast.moments.moments import Moments
from linreg_fast.options import PRECISIONS, SOLVERS, FitOptions, descent_options
from linreg_fast.passes import predictions
from linreg_fast.passes.table_sums import FirstPass
from linreg_fast.result import LinearFit
from linreg_fast.sklearn.rows import FLOATS, checked, kept, sparse_moments, sums_of
from linreg_fast.solvers.small import SMALL_SIZE

ITERATIVE = ("lsqr", "sparse_cg", "sag", "saga", "lbfgs")  # solvers of scikit-learn's Ridge: "auto" in their place


class LinearModel(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """What the estimators share: the fit, the moments that are kept, predictions."""

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012
        "fit_intercept": ["boolean"],
        "copy_X": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "positive": ["boolean"],
        "precision": [StrOptions(set(PRECISIONS))],
    }

    fit_: Any
    _origin: Vector | None

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the rows of X, which is neither copied nor written to.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self
        """
        with _whole(self):
            self._check_parameters()
            X, y, w = checked(self, X, y, sample_weight, sparse=self._takes_sparse(), reset=True)
            self._one_target = y.ndim == 1
            self.__dict__.pop("moments_", None)
            self._fit_checked(X, y, w)
        return self

    def _fit_checked(self, X: Any, y: Any, w: Any) -> None:
        if scipy.sparse.issparse(X):
            self.moments_ = sparse_moments(X, y, w)
            self._solve_moments()
        elif np.ndim(self._penalty()):
            n_targets = 1 if y.ndim == 1 else y.shape[1]
            self.moments_ = Moments(X.shape[1], n_targets).update(X, y, w, n_threads=self._threads())
            self._solve_moments()
        else:
            self._fit_rows(X, y, w, float(self._penalty()))

    def _fit_rows(self, X: Any, y: Any, w: Any, l2: float) -> None:
        """Fit arrays that were checked, by one pass whose sums are kept where that takes little memory."""
        n, p = X.shape
        asked = self._asked()
        solver_options = {} if self._solver() != "gd" else self._descent()
        keep, large = kept(n, p), X.size > SMALL_SIZE
        lean = large and keep and n >= p and not solver_options and not self.positive
        data = table(X, y, w) if keep else None
        sums = None if data is None else sums_of(data, self.fit_intercept, asked["n_threads"] if large else 1)
        if lean and data is not None and sums is not None:
            options = FitOptions(**asked, l2=l2, descent=descent_options(asked["solver"], solver_options))
            found = fit_table(data, options, None, FirstPass(sums.M[..., 0].copy(), sums.known_shift))
        else:
            found = fit_arrays(X, y, sample_weight=w, l2=l2, positive=self.positive, **asked, **solver_options)
        if sums is not None:
            self.moments_ = Moments.of_sums(sums)
        self._set(found)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit these rows together with all before, exactly: in whatever chunks they come, also after `fit`.

        The state is `moments_`, cross products; the rows are not kept. A failed call leaves it as it was.

        Raises
        ------
        ValueError
            Another number of columns or targets; a fit before whose cross products were not kept.
        """
        self._check_parameters()
        first = not hasattr(self, "n_features_in_")
        if not first and not hasattr(self, "moments_"):
            raise ValueError(
                f"the fit before kept no cross products of {self.n_features_in_} columns: begin with partial_fit"
            )
        with _whole(self):
            X, y, w = checked(self, X, y, sample_weight, sparse=self._takes_sparse(), reset=first)
            state = Moments(X.shape[1], 1 if y.ndim == 1 else y.shape[1]) if first else self.moments_
            if not first and (
                state.n_targets != (1 if y.ndim == 1 else y.shape[1]) or self._one_target != (y.ndim == 1)
            ):
                raise ValueError(f"y has shape {y.shape}, the rows before have {state.n_targets} targets")
            if scipy.sparse.issparse(X):
                self.moments_ = state + sparse_moments(X, y, w)
            else:
                self.moments_ = state.copy().update(X, y, w, n_threads=self._threads())
            self._one_target = y.ndim == 1
            self._choose()
            self._solve_moments()
        return self

    def solve(self) -> Self:
        """Fit the rows seen so far once more with the parameters as they are now, from `moments_`, without the rows."""
        check_is_fitted(self, "moments_")
        with _whole(self):
            self._check_parameters()
            self._choose()
            self._solve_moments()
        return self

    def _solve_moments(self) -> None:
        k, l2 = self.moments_.n_targets, self._penalty()
        if np.ndim(l2) == 0:
            self._set(self._of_moments(float(l2), 0 if self._one_target else list(range(k))))
            return
        if len(l2) != k:
            raise ValueError(f"Number of targets and number of penalties do not correspond: {len(l2)} != {k}")
        fits = [self._of_moments(float(a), t) for t, a in enumerate(l2)]
        self._set(fits[0])
        self.coef_ = np.stack([fit.coef for fit in fits])
        self.intercept_ = np.array([fit.intercept for fit in fits]) if self.fit_intercept else 0.0
        self.digits_, self.fit_, self._origin = min(fit.digits for fit in fits), tuple(fits), None

    def _of_moments(self, l2: float, targets: Any) -> LinearFit:
        return self.moments_.solve(l2=l2, fit_intercept=self.fit_intercept, targets=targets, positive=self.positive)

    def _set(self, found: LinearFit) -> None:
        """The attributes of a fit."""
        self.fit_ = found
        self.coef_ = found.coef.copy()
        b0 = found.intercept if self.fit_intercept else 0.0
        self.intercept_ = np.float64(b0) if isinstance(b0, float) else b0.copy()
        self.solver_, self.digits_ = found.solver, found.digits
        self._origin = found._origin

    def predict(self, X: Any) -> Any:
        """Predictions X coef_' + intercept_, of shape (n_samples,) or (n_samples, n_targets), float64."""
        if not hasattr(self, "coef_"):
            check_is_fitted(self)
        if not (
            type(X) is np.ndarray and X.ndim == 2 and X.dtype in FLOATS and X.shape[1] == self.n_features_in_ and len(X)
        ):
            return self._predict_checked(X)
        if hasattr(self, "feature_names_in_"):
            return self._predict_checked(X)  # which says that X has no names
        found = self._of_array(X)
        if not np.isfinite(found).all():
            validate_data(self, X, reset=False)  # NaN or infinity is an error, as scikit-learn has it
        return found

    def _predict_checked(self, X: Any) -> Any:
        X = validate_data(self, X, reset=False, accept_sparse=("csr", "csc", "coo"), dtype=FLOATS)
        return X @ self.coef_.T + self.intercept_ if scipy.sparse.issparse(X) else self._of_array(X)

    def _of_array(self, X: Any) -> Any:
        fit = self.fit_
        origin = self._origin
        if origin is not None and not (
            np.array_equal(np.ravel(self.coef_), np.ravel(fit.coef)) and np.all(self.intercept_ == fit.intercept)
        ):
            origin = None  # somebody has set others
        return predictions.predict(
            X,
            np.asarray(self.coef_),
            self.intercept_ if self.fit_intercept else np.zeros(len(np.atleast_2d(self.coef_))),
            None,
            None,
            None,
            origin,
        )

    def _check_parameters(self) -> None:
        parameters: Any = tuple(getattr(self, name) for name in self._parameter_constraints)
        try:
            _check_parameters(type(self), *parameters)  # type: ignore[arg-type]
        except TypeError as error:
            if "unhashable" not in str(error):
                raise
            self._validate_params()

    def _asked(self) -> dict[str, Any]:
        return {
            "solver": self._solver(),
            "precision": self.precision,
            "fit_intercept": bool(self.fit_intercept),
            "n_threads": self._threads(),
        }

    def _choose(self) -> None:
        """What is to be chosen from the moments before they are solved."""

    def _takes_sparse(self) -> bool:
        return True

    def _penalty(self) -> Any:
        return 0.0

    def _solver(self) -> str:
        return str(self.solver)

    def _descent(self) -> dict[str, Any]:
        return {}

    def _threads(self) -> int | None:
        return None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self._takes_sparse()
        return tags


@contextmanager
def _whole(estimator: LinearModel) -> Iterator[None]:
    """Leave an estimator as it was where a step fails."""
    state: dict[str, Any] = estimator.__dict__
    before = dict(state)
    try:
        yield
    except BaseException:
        state.clear()
        state.update(before)
        raise


@functools.lru_cache(128, typed=True)
def _check_parameters(cls: Any, *parameters: Any) -> None:
    """Raise InvalidParameterError; those that were checked once are not checked again."""
    names = dict(zip(cls._parameter_constraints, parameters, strict=True))
    validate_parameter_constraints(cls._parameter_constraints, names, caller_name=cls.__name__)


class LinearRegression(LinearModel):
    """Ordinary least squares, in place of `sklearn.linear_model.LinearRegression`.

    Parameters
    ----------
    fit_intercept : bool, default=True
    copy_X : bool, default=True
        Ignored: X is never copied nor written to.
    tol : float, default=1e-6
        Stops solver="gd"; the closed forms need none.
    n_jobs : int, default=None
        Threads; None and -1 for the default of the library, see `linreg_fast.set_num_threads`.
    positive : bool, default=False
        Coefficients of at least 0.
    solver : {"auto", "cholesky", "qr", "svd", "gd"}, default="auto"
    precision : {"fast", "auto", "extended"}, default="auto"

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
    intercept_ : float or ndarray of shape (n_targets,)
    rank_ : int
        Rank of the centred columns.
    singular_ : ndarray of shape (min(n_samples, n_features),)
        Singular values of the centred columns, from their cross products: those below 1e-8 of the largest are
        rounding.
    n_features_in_, feature_names_in_
    solver_ : str
        The solver that delivered.
    digits_ : float
        Correct decimal digits to expect of the worst coefficient.
    fit_ : LinearFit
        The result with its standard errors, intervals and tests.
    moments_ : Moments
        The sums that `partial_fit` goes on with; of up to 1,000 columns after `fit`.
    """

    _parameter_constraints = {  # noqa: RUF012
        **LinearModel._parameter_constraints,
        "n_jobs": [None, Integral],
        "solver": [StrOptions(set(SOLVERS))],
    }

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        copy_X: bool = True,
        tol: float = 1e-6,
        n_jobs: int | None = None,
        positive: bool = False,
        solver: str = "auto",
        precision: str = "auto",
    ) -> None:
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.tol = tol
        self.n_jobs = n_jobs
        self.positive = positive
        self.solver = solver
        self.precision = precision

    def _set(self, found: LinearFit) -> None:
        super()._set(found)
        self.rank_ = found.rank

    @property
    def singular_(self) -> Vector:
        """Singular values of the centred columns, in descending order."""
        if not hasattr(self, "moments_"):
            raise AttributeError("singular_ is there after fit with up to 1,000 columns")
        moments = self.moments_
        part = moments.part(np.arange(moments.n_features), np.arange(moments.n_targets))
        p, n = moments.n_features, moments.n_samples
        gram = paired.centre(part, bool(self.fit_intercept)).M[:p, :p, 0]
        values: Vector = np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0))[: min(n, p)]
        return values

    def _takes_sparse(self) -> bool:
        return not self.positive  # as scikit-learn's

    def _descent(self) -> dict[str, Any]:
        return {"tol": self.tol}

    def _threads(self) -> int | None:
        return None if self.n_jobs is None or self.n_jobs < 1 else int(self.n_jobs)


class Ridge(LinearModel):
    """Least squares with a penalty, in place of `sklearn.linear_model.Ridge`.

    Parameters
    ----------
    alpha : float or ndarray of shape (n_targets,), default=1.0
    fit_intercept : bool, default=True
    copy_X : bool, default=True
        Ignored: X is never copied nor written to.
    max_iter : int, default=None
        Steps of solver="gd".
    tol : float, default=1e-4
        Stops solver="gd"; the closed forms need none.
    solver : {"auto", "cholesky", "qr", "svd", "gd"}, default="auto"
        Those of scikit-learn that iterate ("lsqr", "sparse_cg", "sag", "saga", "lbfgs") mean "auto".
    positive : bool, default=False
        Coefficients of at least 0.
    random_state : default=None
        Ignored: nothing is random.
    precision : {"fast", "auto", "extended"}, default="auto"

    Attributes
    ----------
    coef_, intercept_, n_features_in_, feature_names_in_, solver_, digits_, fit_, moments_
        As for `LinearRegression`; `fit_` is a tuple of one for each target where alpha differs between them.
    n_iter_ : None or ndarray of shape (n_targets,)
        Steps of solver="gd".
    """

    _parameter_constraints = {  # noqa: RUF012
        **LinearModel._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="left"), np.ndarray],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "solver": [StrOptions({*SOLVERS, *ITERATIVE})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        alpha: Any = 1.0,
        *,
        fit_intercept: bool = True,
        copy_X: bool = True,
        max_iter: int | None = None,
        tol: float = 1e-4,
        solver: str = "auto",
        positive: bool = False,
        random_state: Any = None,
        precision: str = "auto",
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.max_iter = max_iter
        self.tol = tol
        self.solver = solver
        self.positive = positive
        self.random_state = random_state
        self.precision = precision

    def _fit_rows(self, X: Any, y: Any, w: Any, l2: float) -> None:
        try:
            super()._fit_rows(X, y, w, l2)
        except np.linalg.LinAlgError:
            if self.solver != "cholesky":
                raise
            # scikit-learn's goes on by its svd then; `solver_` says what was used
            self._set(fit_arrays(X, y, sample_weight=w, l2=l2, **(self._asked() | {"solver": "auto"})))

    def _set(self, found: LinearFit) -> None:
        super()._set(found)
        if found.n_targets == 1:
            self.coef_ = self.coef_.reshape(-1)  # of a y with one column too, as scikit-learn has it
        self.n_iter_ = np.full(found.n_targets, found.n_iter) if found.solver == "gd" else None

    def _penalty(self) -> Any:
        alpha = self.alpha
        if isinstance(alpha, np.ndarray):
            alpha = alpha.ravel()
            return float(alpha[0]) if len(alpha) == 1 else alpha
        return float(alpha)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.positive and self.solver not in ("auto", "lbfgs"):
            raise ValueError(
                f"solver={self.solver!r} does not support positive fitting. Please set the solver to "
                "'auto' or 'lbfgs', or set `positive=False`"
            )

    def _solver(self) -> str:
        return "auto" if self.solver in ITERATIVE else str(self.solver)

    def _descent(self) -> dict[str, Any]:
        return {"tol": self.tol} | ({} if self.max_iter is None else {"max_iter": int(self.max_iter)})
