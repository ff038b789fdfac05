# SPDX-License-Identifier: BSD-3-Clause
"""RidgeCV: the penalty chosen by leaving out rows one by one, by folds, or from moments alone."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any, Self

import numpy as np
import scipy.sparse
import sklearn
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV
from sklearn.utils import assert_all_finite
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_scalar

from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.moments.moments import Moments
from linreg_fast.options import PRECISIONS
from linreg_fast.result import LinearFit
from linreg_fast.sklearn import leave_one_out
from linreg_fast.sklearn.linear import LinearModel, Ridge
from linreg_fast.sklearn.rows import sparse_moments

GCV = "gcv"


class RidgeCV(LinearModel):
    """Ridge regression with its penalty chosen, in place of `sklearn.linear_model.RidgeCV`.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,), default=(0.1, 1.0, 10.0)
        Penalties to choose from, more than 0.
    fit_intercept : bool, default=True
    scoring : str or callable, default=None
        None for the mean squared error of rows that are left out, or with `cv` for r2.
    cv : int, splitter, iterable, "gcv" or None, default=None
        None leaves out each row in turn, exactly, at one more pass over the rows. "gcv" takes generalised
        cross-validation from the moments instead, without another pass; `partial_fit` does so always.
    gcv_mode : {"auto", "svd", "eigen"}, default=None
        Ignored: the shape of X decides.
    store_cv_results : bool, default=False
        Keep `cv_results_`, with cv=None.
    alpha_per_target : bool, default=False
        A penalty for each target, with cv=None or "gcv".
    precision : {"fast", "auto", "extended"}, default="auto"

    Attributes
    ----------
    alpha_ : float or ndarray of shape (n_targets,)
    best_score_ : float or ndarray of shape (n_targets,)
        Score of `alpha_`; the errors count negatively.
    cv_results_ : ndarray of shape (n_samples, n_alphas) or (n_samples, n_targets, n_alphas)
        Squared errors of the rows that were left out, times their weights; their predictions with `scoring`.
    coef_, intercept_, n_features_in_, feature_names_in_, solver_, digits_, fit_, moments_
        As for `Ridge`.
    """

    _parameter_constraints = {  # noqa: RUF012
        "alphas": ["array-like", Real],
        "fit_intercept": ["boolean"],
        "scoring": [str, callable, None],
        "cv": ["cv_object", StrOptions({GCV})],
        "gcv_mode": [StrOptions({"auto", "svd", "eigen", "gram", "cov"}), None],
        "store_cv_results": ["boolean"],
        "alpha_per_target": ["boolean"],
        "precision": [StrOptions(set(PRECISIONS))],
    }
    positive = False
    solver = "auto"

    def __init__(
        self,
        alphas: Any = (0.1, 1.0, 10.0),
        *,
        fit_intercept: bool = True,
        scoring: Any = None,
        cv: Any = None,
        gcv_mode: Any = None,
        store_cv_results: bool = False,
        alpha_per_target: bool = False,
        precision: str = "auto",
    ) -> None:
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.cv = cv
        self.gcv_mode = gcv_mode
        self.store_cv_results = store_cv_results
        self.alpha_per_target = alpha_per_target
        self.precision = precision

    def _fit_checked(self, X: Any, y: Any, w: Any) -> None:
        self.__dict__.pop("cv_results_", None)
        alphas = self._alphas()
        Y = y[:, None] if y.ndim == 1 else y
        if isinstance(self.cv, str):
            self.moments_ = self._moments(X, Y, w)
            self._choose()
            self._solve_moments()
            return
        if self.cv is None:
            self._leave_one_out(X, Y, w, alphas)
        else:
            self._by_folds(X, y, w, alphas)
        super()._fit_checked(X, y, w)

    def _moments(self, X: Any, Y: Matrix, w: Any) -> Moments:
        if scipy.sparse.issparse(X):
            return sparse_moments(X, Y, w)
        return Moments(X.shape[1], Y.shape[1]).update(X, Y, w)

    def _by_folds(self, X: Any, y: Any, w: Any, alphas: Vector) -> None:
        for name in ("store_cv_results", "alpha_per_target"):
            if getattr(self, name):
                raise ValueError(f"cv!=None and {name}=True are incompatible")
        assert_all_finite(X, input_name="X")  # before each fold complains of its own
        ridge = Ridge(fit_intercept=self.fit_intercept, precision=self.precision)
        if sklearn.get_config()["enable_metadata_routing"]:
            ridge.set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        search = GridSearchCV(ridge, {"alpha": alphas}, cv=self.cv, scoring=self.scoring, refit=False)
        search.fit(X, y, **({} if w is None else {"sample_weight": w}))
        self.alpha_, self.best_score_ = float(search.best_params_["alpha"]), float(search.best_score_)

    def _leave_one_out(self, X: Any, Y: Matrix, w: Any, alphas: Vector) -> None:
        n, k = Y.shape
        parts = self._errors(X, Y, w, alphas)
        if self.scoring is None and not self.store_cv_results:
            squares = np.zeros((k, len(alphas)))
            for _, e in parts:
                squares += np.einsum("ika,ika->ka", e, e)
            self._take(alphas, -squares / n)
            return
        e = np.empty((n, k, len(alphas)))
        for rows, part in parts:
            e[rows] = part
        if self.scoring is None:
            results = e**2
            self._take(alphas, -results.mean(axis=0))
        else:
            root = 1.0 if w is None else np.where(w > 0, np.sqrt(w), 1.0)[:, None, None]
            results = Y[:, :, None] - e / root
            scorer = check_scoring(_Given(), scoring=self.scoring, allow_none=False)
            if self.alpha_per_target and k > 1:
                found = [
                    [scorer(_Given(), r[:, a], Y[:, t]) for a in range(len(alphas))]
                    for t, r in enumerate(results.swapaxes(0, 1))
                ]
            else:
                shape = (n,) if self._one_target else (n, k)
                found = [
                    [scorer(_Given(), results[:, :, a].reshape(shape), Y.reshape(shape)) for a in range(len(alphas))]
                ]
            self._take(alphas, np.array(found))
        if self.store_cv_results:
            self.cv_results_ = results[:, 0] if self._one_target else results

    def _errors(self, X: Any, Y: Matrix, w: Any, alphas: Vector) -> Iterator[tuple[slice, Any]]:
        fit_intercept = bool(self.fit_intercept)
        if X.shape[1] > len(Y):
            return leave_one_out.by_rows(X, Y, w, fit_intercept, alphas)
        return leave_one_out.by_columns(X, Y, w, self._moments(X, Y, w), fit_intercept, alphas)

    def _choose(self) -> None:
        alphas = self._alphas()
        self._take(alphas, -leave_one_out.generalised(self.moments_, bool(self.fit_intercept), alphas).T)

    def _take(self, alphas: Vector, scores: Matrix) -> None:
        """The best penalty by scores of shape (n_targets or 1, n_alphas)."""
        if self.alpha_per_target and len(scores) > 1:
            best = scores.argmax(axis=1)
            self.alpha_, self.best_score_ = alphas[best], scores[np.arange(len(scores)), best]
            return
        mean = scores.mean(axis=0)
        self.alpha_, self.best_score_ = float(alphas[mean.argmax()]), float(mean.max())

    def _alphas(self) -> Vector:
        given = list(np.ravel(np.asarray(self.alphas, dtype=object)))
        for i, alpha in enumerate(given):
            name = "alphas" if len(given) == 1 else f"alphas[{i}]"
            check_scalar(alpha, name, target_type=Real, min_val=0.0, include_boundaries="neither")
        return np.array(given, dtype=np.float64)

    def _set(self, found: LinearFit) -> None:
        super()._set(found)
        if found.n_targets == 1:
            self.coef_ = self.coef_.reshape(-1)

    def _penalty(self) -> Any:
        return self.alpha_


class _Given(BaseEstimator):
    """What a scorer takes for an estimator whose predictions are there already."""

    _estimator_type = "regressor"

    def fit(self, X: Any, y: Any = None) -> Self:
        return self

    def predict(self, X: Any) -> Any:
        return X
