# SPDX-License-Identifier: BSD-3-Clause
"""Dependent columns: which of them to keep, and of all solutions the one of least norm in the user's units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.precision import EPS, Matrix

FAR_APART = 500  # exponents of columns: squares of their scales leave float64
PART = 1e-6  # of a unit vector in the null space: columns with less do not take part in the dependency


def independent(V: Matrix) -> NDArray[np.intp]:
    """As many independent columns as there are rows in V, whose rows are orthonormal: the first ones there are.

    A column is left out that depends on those before it, as R's lm does; the rows span what the columns
    of a problem span, and are not closer to each other than those for being ill-conditioned.
    """
    rank, p = V.shape
    Q, kept = np.zeros((rank, 0)), []
    for j in range(p):
        v = V[:, j] - Q @ (Q.T @ V[:, j])
        v -= Q @ (Q.T @ v)
        size = float(np.linalg.norm(v))
        if size > PART:
            Q = np.column_stack([Q, v / size])
            kept.append(j)
            if len(kept) == rank:
                return np.array(kept, dtype=np.intp)
    import scipy.linalg

    return np.sort(scipy.linalg.qr(V, mode="r", pivoting=True)[1][:rank])


def minimum_norm(
    V: Matrix, null: Matrix | None, e: NDArray[np.int64], beta: Matrix, kappa: float
) -> tuple[Matrix, float]:
    """Of all beta with the same V beta that for which ||2^e beta||, the norm in the user's units, is least.

    The other number is what errors of the null space may have grown by on the way.

    The rows of V, (rank, p), are orthonormal and span what the equilibrated columns do; those of `null`, where
    they are known, the rest; `kappa` is the condition number that both were found through.
    """
    if null is None or len(null) > len(V):
        return _least_of_rows(V, e, beta), 1.0
    # each dependency with one of the columns of the largest coefficients to itself: its small entries are rounding
    order = np.argsort(-e, kind="stable")
    pivots = order[independent(null[:, order])]
    inverse = np.linalg.inv(null[:, pivots])
    basis = inverse @ null
    basis[np.abs(basis) <= 16 * len(e) * EPS * kappa] = 0.0
    least = beta.copy()
    for rows in _apart(basis) if e.max() - e.min() > FAR_APART else [np.arange(len(basis))]:
        columns = np.flatnonzero(basis[rows].any(axis=0)) if len(rows) < len(basis) else np.arange(len(e))
        least[columns] = _least_along(basis[np.ix_(rows, columns)], e[columns], beta[columns])
    return least, float(np.linalg.norm(inverse, 2))


def _least_along(basis: Matrix, e: NDArray[np.int64], beta: Matrix) -> Matrix:
    """Of all beta - basis' g that for which ||2^e beta|| is least."""
    scale = np.ldexp(1.0, np.maximum(e - e.max(), -FAR_APART))[:, None]
    g, rest = _project(scale * basis.T, scale * beta)
    # rows of large columns keep their fit, those of small ones their part in the norm: whichever rounds less
    rounding = np.abs(beta) + np.abs(basis.T) @ np.abs(g)
    least: Matrix = np.where(np.linalg.norm(rest, axis=0) < scale * rounding, rest / scale, beta - basis.T @ g)
    return least


def _apart(basis: Matrix) -> list[NDArray[np.intp]]:
    """Rows in groups that share no column, so that float64 need not reach from one to the other."""
    groups: list[tuple[list[int], NDArray[np.bool_]]] = []
    for i, row in enumerate(basis != 0):
        touched = [group for group in groups if (group[1] & row).any()]
        groups = [group for group in groups if not (group[1] & row).any()]
        rows = [at for group in touched for at in group[0]]
        groups.append(([*rows, i], np.any([row, *(seen for _, seen in touched)], axis=0)))
    return [np.array(rows) for rows, _ in groups]


def _project(A: Matrix, B: Matrix) -> tuple[Matrix, Matrix]:
    """X and B - A X of least squares whose rows differ by many orders of magnitude.

    Householder reflections with pivots among the columns and the rows: stable row by row (Powell and Reid 1969).
    """
    from scipy.linalg import lapack

    A, B = A.copy(), B.copy()
    m, r = A.shape
    H, tau = np.zeros((m, r)), np.zeros(r)
    columns, rows = np.arange(r), np.arange(m)
    for k in range(r):
        j = k + int(np.argmax(np.abs(A[k:, k:]).max(axis=0)))
        A[:, [k, j]], columns[[k, j]] = A[:, [j, k]], columns[[j, k]]
        i = k + int(np.argmax(np.abs(A[k:, k])))
        for a in (A, B, H, rows):
            a[[k, i]] = a[[i, k]]
        v = A[k:, k].copy()
        v /= v[0]  # the largest: its square cannot vanish
        v[0] += float(np.linalg.norm(v))
        tau[k] = 2 / float(v @ v)
        A[k:, k:] -= np.outer(tau[k] * v, v @ A[k:, k:])
        B[k:] -= np.outer(tau[k] * v, v @ B[k:])
        H[k:, k] = v
    X, rest, out = np.empty((r, B.shape[1])), B.copy(), np.empty_like(B)
    X[columns] = lapack.dtrtrs(np.asfortranarray(A[:r]), B[:r])[0]
    rest[:r] = 0.0
    for k in range(r - 1, -1, -1):
        v = H[k:, k]
        rest[k:] -= np.outer(tau[k] * v, v @ rest[k:])
    out[rows] = rest
    return X, out


def _least_of_rows(V: Matrix, e: NDArray[np.int64], beta: Matrix) -> Matrix:
    """2^-e times the minimum-norm solution b of W b = V beta, W = V 2^-e, by QR of W' with its rows sorted by size."""
    from scipy.linalg import lapack

    scale = np.ldexp(1.0, e.min() - e)[:, None]
    W = scale * V.T
    order = np.argsort(-np.abs(W).max(axis=1), kind="stable")
    QR, pivots, tau, _, _ = lapack.dgeqp3(np.asfortranarray(W[order]))
    rank, n_targets = len(V), beta.shape[1]
    y = np.zeros((len(e), n_targets), order="F")
    y[:rank] = lapack.dtrtrs(np.asfortranarray(QR[:rank]), (V @ beta)[pivots - 1], trans=1)[0]
    out = np.empty_like(beta)
    out[order] = lapack.dormqr("L", "N", QR, tau, y, max(1, 64 * n_targets))[0]
    return np.asarray(out * scale)
