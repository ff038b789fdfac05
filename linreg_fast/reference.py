# SPDX-License-Identifier: BSD-3-Clause
"""The NumPy twin of every kernel: the oracle of the tests and the baseline of the benchmarks.

Written to be obviously right, not fast. Nothing in the package imports it. A BLAS rounds as its kernels for the
processor at hand happen to add, 140 eps of the sum over absolute values of 1,000 products with those for AVX-512:
what is compared to the last bits is summed up in pairs, and only the code that NumPy users write has `@`.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.pairs import pairs, total, two_product

Array = NDArray[np.float64]


def _present(X: NDArray[Any], Y: NDArray[Any], w: NDArray[Any] | None) -> tuple[Array, Array, Array]:
    """X, Y and weights as float64, without the rows of weight 0."""
    weights = np.ones(len(X)) if w is None else np.asarray(w, dtype=np.float64)
    there = weights != 0
    return np.asarray(X, dtype=np.float64)[there], np.asarray(Y, dtype=np.float64)[there], weights[there]


def products(A: Array, B: Array) -> Array:
    """A'B, each entry rounded once."""
    if not (A.size and B.size):
        return np.zeros((A.shape[1], B.shape[1]))
    most = float(np.abs(A).max()) * float(np.abs(B).max()) * len(A)
    if most < 2.0**53 and all((a == np.rint(a)).all() for a in (A, B)):
        return np.asarray(A.T @ B)  # of whole numbers, whose sums are exact in any order
    return np.array([total(pairs(*two_product(column[:, None], B)))[:, 0] for column in A.T])


def moments(X: NDArray[Any], Y: NDArray[Any], w: NDArray[Any] | None, shift: Array) -> Array:
    """M = sum_i w_i z_i z_i' with z_i = [x_i - k, 1, y_i - ky] and shift = [k, ky]; Y'Y off its diagonal is 0.

    Parameters
    ----------
    X : ndarray of shape (n, p)
    Y : ndarray of shape (n, k)
    w : ndarray of shape (n,) or None
        A row of weight 0 is not there, whatever it holds.
    shift : ndarray of shape (p + k,)

    Returns
    -------
    ndarray of shape (p + 1 + k, p + 1 + k)
    """
    X, Y, w = _present(X, Y, w)
    p = X.shape[1]
    Z = np.hstack([X - shift[:p], np.ones((len(X), 1)), Y - shift[p:]])
    M = products(Z, w[:, None] * Z)
    M[p + 1 :, p + 1 :] = np.diag(np.diagonal(M)[p + 1 :])
    return np.asarray(M)


def shift(X: NDArray[Any], Y: NDArray[Any], w: NDArray[Any] | None, n_rows: int) -> Array:
    """[k, ky] = z_1 + mean(z_i - z_1) over the first n_rows rows z = [x, y] of non-zero weight; 0 without any."""
    X, Y, _ = _present(X, Y, w)
    Z = np.hstack([X, Y])[:n_rows]
    return np.asarray(Z[0] + (Z - Z[0]).mean(axis=0)) if len(Z) else np.zeros(Z.shape[1])


def predict(X: NDArray[Any], coef: Array, intercept: Array) -> Array:
    """yhat_it = intercept_t + x_i coef_t, for coef of shape (k, p) and intercept of shape (k,)."""
    return np.asarray(intercept + products(coef.T, X.T.astype(np.float64)).T)


def cost(X: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None, coef: Array, intercept: float) -> float:
    """1/2 sum_i w_i r_i^2 with r_i = intercept + x_i coef - y_i: J(b) before it is divided by sum w."""
    return float(gradient(X, y, w, coef, intercept)[0])


def gradient(X: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None, coef: Array, intercept: float) -> Array:
    """[1/2 sum w_i r_i^2, sum w_i r_i x_i, sum w_i r_i, sum w_i]: cost, slopes, intercept, and what to divide by."""
    X, y, w = _present(X, y, w)
    r = intercept + products(coef[:, None], X.T)[0] - y
    cost, slopes = 0.5 * math.fsum(w * r * r), products((w * r)[:, None], X)[0]
    return np.concatenate([[cost], slopes, [math.fsum(w * r), math.fsum(w)]])


def descent(
    X: NDArray[Any],
    y: NDArray[Any],
    learning_rate: float,
    n_steps: int,
    *,
    w: NDArray[Any] | None = None,
    fit_intercept: bool = True,
    nesterov: bool = False,
    l2: float = 0.0,
    start: Array | None = None,
) -> tuple[Array, Array]:
    """Gradient descent on the raw columns and the intercept.

    Textbook: b := b - rate g(b).  Nesterov: a := b + m (b - b_last), b := a - rate g(a), with
    m = (t - 1) / (t + 2) at step t = 0, 1, 2 ..., and m = 0 in the first two.

    Returns
    -------
    iterates : ndarray of shape (n_steps + 1, p) or, with the intercept last, (n_steps + 1, p + 1)
    costs : ndarray of shape (n_steps + 1,)
        J(b) = (sum_i w_i r_i^2 + l2 ||slopes||^2) / (2 sum w) of each of them.
    """
    X, y, w = _present(X, y, w)
    p = X.shape[1]
    A = np.hstack([X, np.ones((len(X), int(fit_intercept)))])
    penalty = l2 * (np.arange(A.shape[1]) < p)

    def J(b: Array) -> float:
        r = (A * b).sum(axis=1) - y
        return float(((w * r * r).sum() + (penalty * b * b).sum()) / (2 * w.sum()))

    def dJ(b: Array) -> Array:
        r = (A * b).sum(axis=1) - y
        return np.asarray((((w * r)[:, None] * A).sum(axis=0) + penalty * b) / w.sum())

    b = np.zeros(A.shape[1]) if start is None else np.array(start, dtype=np.float64)
    last, iterates, costs = b, [b], [J(b)]
    for t in range(n_steps):
        m = (t - 1) / (t + 2) if nesterov and t > 1 else 0.0
        ahead = b + m * (b - last)
        last, b = b, ahead - learning_rate * dJ(ahead)
        iterates.append(b)
        costs.append(J(b))
    return np.array(iterates), np.array(costs)


def refine(
    X: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None, scale: Array, shift: Array, coef: Array
) -> list[Fraction]:
    """[g_1 .. g_p, g_0, rss] in rational numbers, exactly; rss = sum w r^2, g_0 = sum w r, g_j = sum w z_j r.

    z_j and v are x_j and y times `scale` less `shift`, both of length p + 1; the rows of `coef` are pairs
    hi, lo that stand for hi + lo, the intercept last; r_i = v_i - b_0 - z_i b.
    """
    X, y, w = _present(X, y, w)
    b = [Fraction(float(hi)) + Fraction(float(lo)) for hi, lo in coef]
    unit, k = ([Fraction(float(s)) for s in a] for a in (scale, shift))
    sums = [Fraction(0)] * (len(b) + 1)
    for row, target, weight in zip(X, y, w, strict=True):
        z = [Fraction(float(v)) * s - u for v, s, u in zip(row, unit, k, strict=False)] + [Fraction(1)]
        r = Fraction(float(target)) * unit[-1] - k[-1] - sum(u * v for u, v in zip(z, b, strict=True))
        terms = [u * r for u in z] + [r * r]
        sums = [total + Fraction(float(weight)) * term for total, term in zip(sums, terms, strict=True)]
    return sums


def dd_moments(
    X: NDArray[Any], Y: NDArray[Any], w: NDArray[Any] | None, scale: Array, shift: Array
) -> list[list[Fraction]]:
    """`moments` in rational numbers, exactly, of z = [x d - k, 1, y dy - ky], scale = [d, dy], shift = [k, ky]."""
    X, Y, w = _present(X, Y, w)
    p, q = X.shape[1], X.shape[1] + 1 + Y.shape[1]
    unit, k = ([Fraction(float(s)) for s in a] for a in (scale, shift))
    M = [[Fraction(0)] * q for _ in range(q)]
    for row, weight in zip(np.hstack([X, Y]), w, strict=True):
        z = [Fraction(float(v)) * s - u for v, s, u in zip(row, unit, k, strict=True)]
        z.insert(p, Fraction(1))
        for i in range(q):
            for j in range(q):
                M[i][j] += Fraction(float(weight)) * z[i] * z[j] if min(i, j) <= p or i == j else 0
    return M


def small(X: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None, fit_intercept: bool, l2: float) -> Array:
    """[b_1 .. b_p, b_0, rss, tss]: (Z'WZ + l2 I) b = Z'Wv with Z and v centred about their weighted means.

    Through LAPACK: right to some eps times the condition number of Z'WZ.
    """
    X, y, w = _present(X, y, w)
    m = np.average(X, axis=0, weights=w) if fit_intercept else np.zeros(X.shape[1])
    m_y = np.average(y, weights=w) if fit_intercept else 0.0
    Z, v = X - m, y - m_y
    b = np.linalg.solve(Z.T @ (w[:, None] * Z) + l2 * np.eye(len(m)), Z.T @ (w * v))
    return np.concatenate([b, [m_y - m @ b, w @ (v - Z @ b) ** 2, w @ v**2]])


def scores(
    X: NDArray[Any], y: Array, about: tuple[Array, float], coef: Array, root: Array, one: float
) -> tuple[Array, Array]:
    """Residuals and leverages: u = y - level - (x - means) coef, h = one + |root (x - means)|^2, row by row.

    `about` is (means, level).
    """
    means, level = about
    Z = X.astype(np.float64) - means
    return y - (level + products(Z.T, coef[:, None])[:, 0]), one + (products(Z.T, root.T) ** 2).sum(axis=1)


def triangle(A: Array) -> Array:
    """R of A = R'R, row by row."""
    rest, R = A.copy(), np.zeros_like(A)
    for i in range(len(A)):
        R[i, i:] = rest[i, i:] / math.sqrt(rest[i, i])
        rest[i:, i:] -= R[i, i:, None] * R[i, i:]
    return R


def inverse_triangle(R: Array) -> Array:
    """R^-1, from its last row upwards."""
    X = np.zeros_like(R)
    for i in range(len(R) - 1, -1, -1):
        X[i, i] = 1.0
        X[i] = (X[i] - products(R[i, i + 1 :, None], X[i + 1 :])[0]) / R[i, i]
    return X


def paired_solve(M: Array, shift: Array, p: int, fit_intercept: bool, l2: float, t: int = 0) -> list[Fraction]:
    """[b_1 .. b_p, b_0, rss, tss] of target t in rational numbers, exactly, from pairs M of [X - k, 1, y - ky]."""
    y = p + 1 + t
    at = [*range(p), p, y]
    G = [[Fraction(float(M[i, j, 0])) + Fraction(float(M[i, j, 1])) for j in at] for i in at]
    k = [*(Fraction(float(v)) for v in shift[:p]), Fraction(-1), Fraction(float(shift[p + t]))]
    return _solved_exactly(G, k, fit_intercept, l2)


def extended(
    X: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None, fit_intercept: bool, l2: float
) -> list[Fraction]:
    """[b_1 .. b_p, b_0, rss, tss] of one target in rational numbers, exactly."""
    p = X.shape[1]
    G = dd_moments(X, y[:, None], w, np.ones(p + 1), np.zeros(p + 1))
    return _solved_exactly(G, [*[Fraction(0)] * p, Fraction(-1), Fraction(0)], fit_intercept, l2)


def stack_of_sums(S: Array, shift: Array, fit_intercept: bool, l2: float) -> list[Fraction]:
    """[b_1 .. b_p, b_0, rss, tss] of one problem in rational numbers, exactly, from its triangle about [k, 0, ky]."""
    m = len(shift)
    G = [[Fraction(0)] * m for _ in range(m)]
    for i, j, value in zip(*np.triu_indices(m), S, strict=True):
        G[i][j] = G[j][i] = Fraction(float(value))
    k = [*(Fraction(float(v)) for v in shift[:-2]), Fraction(-1), Fraction(float(shift[-1]))]
    return _solved_exactly(G, k, fit_intercept, l2)


def target_sums(X: NDArray[Any], Y: Array, w: Array | None, shift: Array) -> Array:
    """Cross products of [X - k, 1] with Y - ky, and a row of the squares of Y - ky; shift = [k, ky]."""
    p = X.shape[1]
    M = moments(X, Y, w, shift)
    return np.vstack([M[: p + 1, p + 1 :], np.diagonal(M)[p + 1 :]])


def stack(
    X: NDArray[Any], y: Array, w: Array | None, rows: NDArray[np.intp], fit_intercept: bool, l2: float
) -> list[Fraction]:
    """The same of the problem of some rows."""
    return extended(X[rows], y[rows], None if w is None else w[rows], fit_intercept, l2)


def _solved_exactly(G: list[list[Fraction]], k: list[Fraction], fit_intercept: bool, l2: float) -> list[Fraction]:
    """`paired_solve` from the cross products G of [X - k, 1, y - ky], k = [k, -1, ky]."""
    p = len(k) - 2
    N = G[p][p]
    s = [row[p] for row in G]
    about = [s[i] / N if fit_intercept else -k[i] for i in range(p + 2)]
    S = [
        [G[i][j] - about[i] * s[j] - s[i] * about[j] + N * about[i] * about[j] for j in range(p + 2)]
        for i in range(p + 2)
    ]
    A = [[S[i][j] + (Fraction(l2) if i == j else 0) for j in range(p)] + [S[i][p + 1]] for i in range(p)]
    for i in range(p):
        for row in (*A[:i], *A[i + 1 :]):
            factor = row[i] / A[i][i]
            row[i:] = [a - factor * b for a, b in zip(row[i:], A[i][i:], strict=True)]
    b = [A[i][p] / A[i][i] for i in range(p)]
    b0 = k[-1] + about[-1] - sum(b[i] * (k[i] + about[i]) for i in range(p))
    fitted = sum(b[i] * S[i][p + 1] for i in range(p)) + Fraction(l2) * sum(v * v for v in b)
    return [*b, b0, S[-1][-1] - fitted, S[-1][-1]]


def normal_equations(X: NDArray[Any], y: NDArray[Any]) -> tuple[Array, float]:
    """Slopes and intercept by b = (A'A)^-1 A'y with A = [1 X]: the closed form as NumPy users write it."""
    A = np.column_stack([np.ones(len(X)), X])
    b = np.linalg.solve(A.T @ A, A.T @ y)
    return b[1:], float(b[0])


def gradient_descent(
    X: NDArray[Any], y: NDArray[Any], learning_rate: float, n_steps: int
) -> tuple[Array, float, list[float]]:
    """Slopes, intercept and costs of the textbook loop: predict, residual, gradient, step."""
    m = len(y)
    b, b0, costs = np.zeros(X.shape[1]), 0.0, []
    for _ in range(n_steps):
        r = X @ b + b0 - y
        costs.append(float(r @ r) / (2 * m))
        b = b - learning_rate * (X.T @ r) / m
        b0 -= learning_rate * float(r.sum()) / m
    return b, b0, costs


def window_sums(
    X: NDArray[Any],
    y: Array,
    w: Array | None,
    left: Array | None,
    order: NDArray[np.intp] | None,
    window: tuple[int, int],
    shift: Array,
) -> Array:
    """The upper triangle of Z'WZ, Z = [X, 1, y] - shift, over the rows order[start] to order[stop - 1].

    left[i] is what is left of the weight of the i-th row of the order at the next one.
    """
    start, stop = window
    rows = np.arange(start, stop) if order is None else order[start:stop]
    Z = np.column_stack([X[rows], np.ones(len(rows)), y[rows]]).astype(np.float64) - shift
    weights = np.ones(len(rows)) if w is None else w[rows].astype(np.float64)
    if left is not None:
        weights = weights * np.array([math.prod(left[i : stop - 1]) for i in range(start, stop)])
    return products(Z * weights[:, None], Z)[np.triu_indices(Z.shape[1])]


def put_fits(places: NDArray[np.intp], found: list[Array], results: list[Array | None]) -> None:
    """The columns of what was found of fits, one array for each result or None, to the rows `places` of the results."""
    for values, result in zip(found, results, strict=True):
        if result is not None:
            result[places] = values


def windows_by_rows(bounds: NDArray[np.intp], length: int) -> list[list[int]]:
    """Start, stop and anchor of the window of up to `length` rows that ends with each row, within its group."""
    found = []
    for lo, hi in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        found += [[max(lo, i + 1 - length), i + 1, lo + (i - lo) // length * length] for i in range(lo, hi)]
    return found


def windows_by_time(times: NDArray[Any], bounds: NDArray[np.intp], length: Any, closed: str) -> list[list[int]]:
    """The positions in the window of each row, whose times ascend within each group."""
    found = []
    for lo, hi in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        for i in range(lo, hi):
            passed = [times[i] - times[j] for j in range(lo, i + 1)]  # rows after this one are in no window of it
            new = [d < length or (closed in ("left", "both") and d == length) for d in passed]
            old = [d > 0 or closed in ("right", "both") for d in passed]
            found.append([lo + j for j in range(len(passed)) if new[j] and old[j]])
    return found
