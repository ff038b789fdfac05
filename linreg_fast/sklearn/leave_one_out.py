# SPDX-License-Identifier: BSD-3-Clause
"""Errors of ridge regression at rows that are left out one by one, for many penalties at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse

from linreg_fast.algebra import paired
from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.moments.moments import Moments

BLOCK = 1 << 20  # numbers of a block of rows


def about_means(moments: Moments, fit_intercept: bool) -> tuple[Matrix, Matrix, Vector]:
    """Cross products of X with itself and with y, and of each y, about their means, or about 0."""
    p, k = moments.n_features, moments.n_targets
    M = paired.centre(moments.part(np.arange(p), np.arange(k)), fit_intercept).M[..., 0]
    return M[:p, :p], M[:p, p + 1 :], np.diagonal(M)[p + 1 :]


def generalised(moments: Moments, fit_intercept: bool, alphas: Vector) -> Matrix:
    """Generalised cross-validation, (rss / n) / (1 - df / n)^2, of shape (n_alphas, n_targets), from moments alone.

    Golub, Heath and Wahba (1979).
    """
    S, c, squares = about_means(moments, fit_intercept)
    values, V = scipy.linalg.eigh(S)
    s, n = np.maximum(values, 0.0), moments.n_samples
    z2, d = (V.T @ c) ** 2, s + alphas[:, None]
    rss = np.maximum(squares - ((s + 2 * alphas[:, None]) / d**2) @ z2, 0.0)
    left = 1.0 - ((s / d).sum(axis=1) + fit_intercept) / n
    return np.asarray(rss / n / left[:, None] ** 2)


def by_columns(
    X: Any, y: Matrix, w: Vector | None, moments: Moments, fit_intercept: bool, alphas: Vector
) -> Iterator[tuple[slice, Any]]:
    """Blocks of rows, and sqrt(w) times the error of each where it is left out, (n_rows, n_targets, n_alphas).

    e / (1 - h), h being the leverage, from the eigenvalues of the cross products of the columns.
    """
    (n, p), k = X.shape, y.shape[1]
    S, c, _ = about_means(moments, fit_intercept)
    mean = moments.mean if fit_intercept else np.zeros(p + k)
    values, V = scipy.linalg.eigh(S)
    inverse = 1.0 / (np.maximum(values, 0.0)[:, None] + alphas)
    beta = (V.T @ c)[:, :, None] * inverse[:, None, :]
    step = max(1, BLOCK // max(p, k * len(alphas), 1))
    for at in range(0, n, step):
        rows = slice(at, min(at + step, n))
        # of few columns the difference is taken first: no offset then costs a digit
        Z = X[rows] @ V - mean[:p] @ V if scipy.sparse.issparse(X) else (X[rows] - mean[:p]) @ V
        h = (Z * Z) @ inverse + (1.0 / moments.sum_weight if fit_intercept else 0.0)
        e = (y[rows] - mean[p:])[:, :, None] - (Z @ beta.reshape(p, -1)).reshape(len(Z), k, -1)
        if w is not None:
            h *= w[rows, None]
            e *= np.sqrt(w[rows])[:, None, None]
        yield rows, e / (1.0 - h)[:, None, :]


def by_rows(X: Any, y: Matrix, w: Vector | None, fit_intercept: bool, alphas: Vector) -> Iterator[tuple[slice, Any]]:
    """The same for fewer rows than columns, from the cross products of the rows."""
    n = len(y)
    weights = np.ones(n) if w is None else w
    root = np.sqrt(weights)
    total = weights.sum()
    if scipy.sparse.issparse(X):
        m = X.T @ weights / total if fit_intercept else np.zeros(X.shape[1])
        Xm = X @ m
        K = (X @ X.T).toarray() - Xm[:, None] - Xm + m @ m
    else:
        Z = X - weights @ X / total if fit_intercept else X.astype(np.float64)
        K = Z @ Z.T
    y = y - weights @ y / total if fit_intercept else y
    K *= root * root[:, None]
    if fit_intercept:
        # the direction of the intercept, of which centring leaves rounding, is made the last one and taken out whole
        u = root / np.linalg.norm(root)
        K += (2.0 * np.trace(K) + 1.0) * np.outer(u, u)
    values, Q = scipy.linalg.eigh(K)
    values = np.maximum(values, 0.0)
    rest = alphas / (values[:, None] + alphas)
    if fit_intercept:
        rest[-1] = 0.0
    r = np.einsum("ij,jk,ja->ika", Q, Q.T @ (y * root[:, None]), rest, optimize=True)
    left = (Q * Q) @ rest  # 1 - h, of which h would leave nothing beside a small penalty
    yield slice(0, n), r / left[:, None, :]
