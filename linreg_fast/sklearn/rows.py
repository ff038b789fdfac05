# SPDX-License-Identifier: BSD-3-Clause
"""What scikit-learn's users hand in, checked as they expect it, and its sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from sklearn.utils.validation import _check_sample_weight, validate_data

from linreg_fast.algebra.paired import PairedSums
from linreg_fast.algebra.pairs import pairs
from linreg_fast.algebra.precision import EPS
from linreg_fast.inputs.table import Table
from linreg_fast.moments.moments import Moments
from linreg_fast.passes import products, table_sums
from linreg_fast.passes.threads import threads

FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
KEPT_COLUMNS = 1000  # whose cross products an estimator keeps: some 16 MB
WIDE_COLUMNS = 100  # the same where there are fewer rows than columns, and the solver itself needs no cross products
SPARSE_COLUMNS = 4000  # whose cross products are taken of a sparse matrix: some 512 MB


def plain(X: Any, y: Any, sample_weight: Any) -> bool:
    """Whether arrays are read as they are: what remains to be looked for the fit itself finds."""
    if type(X) is not np.ndarray or type(y) is not np.ndarray or X.ndim != 2 or not 1 <= y.ndim <= 2:
        return False
    if X.dtype not in FLOATS or y.dtype is not FLOATS[0] or not X.size or not y.size or len(y) != len(X):
        return False
    w = sample_weight
    if w is None:
        return True
    whole = type(w) is np.ndarray and w.dtype is FLOATS[0] and w.shape == (len(X),)
    return bool(whole and w.min() >= 0)


def checked(estimator: Any, X: Any, y: Any, sample_weight: Any, *, sparse: bool, reset: bool) -> tuple[Any, Any, Any]:
    """X, y and weights as arrays of floats, with the errors and the names that scikit-learn asks for."""
    if plain(X, y, sample_weight) and (reset or X.shape[1] == getattr(estimator, "n_features_in_", None)):
        named = hasattr(estimator, "feature_names_in_")
        if reset:
            estimator.n_features_in_ = X.shape[1]
            if named:
                del estimator.feature_names_in_
        if reset or not named:
            return X, y, sample_weight
    # what is not finite in dense rows the sums show: clean ones are not read once more for it
    X, y = validate_data(
        estimator,
        X,
        y,
        reset=reset,
        accept_sparse=("csr", "csc") if sparse else False,
        dtype=FLOATS,
        ensure_all_finite=scipy.sparse.issparse(X),
        y_numeric=True,
        multi_output=True,
    )
    if sample_weight is not None:
        sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    return X, np.asarray(y, np.float64), sample_weight


def kept(n: int, p: int) -> bool:
    """Whether the cross products of so many rows and columns are kept."""
    return p <= (KEPT_COLUMNS if n >= p else WIDE_COLUMNS)


def sums_of(data: Table, fit_intercept: bool, n_threads: int | None) -> PairedSums | None:
    """Cross products of a table by one pass; None where they leave the range of float64, or numbers are not finite."""
    p, k = data.n_features, data.n_targets
    shift = products.leading_mean(data) if fit_intercept else np.zeros(p + k)
    if not np.isfinite(shift).all():
        return None
    M = products.cross_products(data, shift, np.ones(p + k), threads(n_threads), None)
    if not table_sums.in_range(M, data, shift) or not M[p, p] > 0:
        return None
    noise = EPS * np.diagonal(M)
    if data.w is None:
        noise[p] = 0.0  # counts are exact
    return PairedSums(pairs(M), noise, EPS, shift, data.n_present(), p)


def sparse_moments(X: Any, y: Any, w: Any) -> Moments:
    """Moments of a sparse X by SciPy's products, about 0 in X: what centring costs is in their noise.

    Raises
    ------
    ValueError
        So many columns that their cross products would not fit.
    """
    n, p = X.shape
    if p > SPARSE_COLUMNS:
        raise ValueError(
            f"sparse X has {p:,} columns, whose {p:,}^2 cross products take {16 * p * p / 2**30:.1f} GB: at most "
            f"{SPARSE_COLUMNS:,} are taken. Choose columns (SelectKBest, TruncatedSVD), or use an iterative solver "
            'such as scikit-learn\'s own Ridge(solver="sparse_cg")'
        )
    Y = y[:, None] if y.ndim == 1 else y
    weights = np.ones(n) if w is None else w
    centre = np.average(Y, axis=0, weights=weights)
    V = Y - centre
    k, X = Y.shape[1], X.astype(np.float64)
    M = np.zeros((p + 1 + k, p + 1 + k))
    weighted = X if w is None else X.multiply(w[:, None]).tocsr()
    wV = V * weights[:, None]
    M[:p, :p] = (weighted.T @ X).toarray()
    M[p, :p] = X.T @ weights
    M[:p, p + 1 :] = X.T @ wV
    M[p, p], M[p, p + 1 :] = weights.sum(), wV.sum(axis=0)
    M[np.arange(p + 1, p + 1 + k), np.arange(p + 1, p + 1 + k)] = np.einsum("it,it->t", V, wV)
    M[:p, p], M[p + 1 :, :p], M[p + 1 :, p] = M[p, :p], M[:p, p + 1 :].T, M[p, p + 1 :]
    # SciPy adds one product after the other: their rounding grows like the root of their number
    unit = EPS * max(1.0, np.sqrt(n) / 8)
    noise = unit * np.diagonal(M)
    shift = np.concatenate([np.zeros(p), centre])
    n_rows = n if w is None else int(np.count_nonzero(w))
    return Moments.of_sums(PairedSums(pairs(M), noise, unit, shift, n_rows, p))
