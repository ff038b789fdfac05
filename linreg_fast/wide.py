# SPDX-License-Identifier: BSD-3-Clause
"""Minimum norm for no more rows than columns, where p x p moments would be a waste."""

from __future__ import annotations

import math

import numpy as np

from linreg_fast import inputs
from linreg_fast.closed_form import (
    CONSTANT,
    EPS,
    FULL_DIGITS,
    RANK_TOLERANCE,
    Solution,
    collinear_columns,
    constant_columns,
    expected_digits,
    independent,
    intercepts,
    minimum_norm,
    thin_svd,
)


def solve_wide(data: inputs.Table, fit_intercept: bool, l2: float, on_collinear: str = "min_norm") -> Solution:
    """Minimum norm for no more rows than columns: SVD of the centred, scaled rows themselves.

    The rank is that of columns scaled to equal norm, the norm that of the coefficients in the user's units.
    No p x p matrix is made: the cost is n^2 p and one float64 copy of X, centred.
    """
    w = None if data.w is None else np.asarray(data.w, dtype=np.float64)
    X = np.array(data.X, dtype=np.float64)
    Y = np.array(data.Y, dtype=np.float64)
    unit = 1.0
    if not (np.isfinite(X).all() and np.isfinite(Y).all() and (w is None or (np.isfinite(w) & (w >= 0)).all())):
        fault = inputs.first_fault(data)
        if fault is not None:
            raise ValueError(fault)
    if w is not None:
        X, Y, w = X[w != 0], Y[w != 0], w[w != 0]
        if not len(w):
            raise ValueError("sample_weight has no positive weight: no row is left to fit")
        unit = float(w.max())
        w = w / unit
    n, p = X.shape
    m, m_y = np.zeros(p), np.zeros(Y.shape[1])
    if fit_intercept:
        # about the first row, so that a constant column is centred to exactly 0
        m = X[0] + np.average(X - X[0], axis=0, weights=w)
        m_y = Y[0] + np.average(Y - Y[0], axis=0, weights=w)
    root = np.ones((n, 1)) if w is None else np.sqrt(w)[:, None]
    Z, V = (X - m) * root, (Y - m_y) * root
    largest = np.abs(Z).max(axis=0)
    live = np.flatnonzero(largest > CONSTANT * np.abs(m))
    Z = Z[:, live]
    collinear: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    if not l2:
        collinear = constant_columns(data, live, on_collinear)
        dropped = collinear if on_collinear == "drop" else ()
    # A penalty is in the user's units; without one columns are equilibrated, their largest element brought
    # to 1 first so that the squares stay in range.
    e = np.zeros(len(live), dtype=np.int64)
    if not l2:
        e = -np.frexp(largest[live])[1].astype(np.int64)
        Z = np.ldexp(Z, e)
        more = -np.round(0.5 * np.log2(np.einsum("ij,ij->j", Z, Z))).astype(np.int64)
        Z, e = np.ldexp(Z, more), e + more
    coef = np.zeros((Y.shape[1], p))
    residual = V
    rank, rcond, digits = 0, 1.0, FULL_DIGITS
    if len(live):
        U, sigma, Vt = thin_svd(Z)
        rank = int(np.count_nonzero(sigma > RANK_TOLERANCE * math.sqrt(len(live)) * sigma[0]))
        deficient = rank < len(live) and not l2
        if deficient:
            part = collinear_columns(data, live, Vt[:rank], on_collinear, n)
            collinear = tuple(sorted({*collinear, *part}))
            if on_collinear == "drop":
                kept = independent(Vt[:rank])
                dropped = tuple(sorted({*dropped, *(int(j) for j in np.setdiff1d(live, live[kept]))}))
                live, e, Z, deficient = live[kept], e[kept], Z[:, kept], False
                U, sigma, Vt = thin_svd(Z)
        inverse = 1 / sigma[:rank] if not l2 else sigma[:rank] / (sigma[:rank] ** 2 + l2 / unit)
        beta = Vt[:rank].T @ (inverse[:, None] * (U[:, :rank].T @ V))
        if deficient:
            beta = minimum_norm(Vt[:rank], None, e, beta, 1.0)
        coef[:, live] = np.ldexp(beta, e[:, None]).T
        residual = V - Z @ beta
        rcond = float(sigma[rank - 1] / sigma[0])
        tan = np.linalg.norm(residual, axis=0) / np.maximum(np.linalg.norm(V, axis=0), np.finfo(float).tiny)
        delta = EPS / rcond * (1 + tan / rcond)
        spread = np.abs(m[live]) @ np.ldexp(1.0, e) * np.abs(beta).max(axis=0, initial=0.0)
        digits = expected_digits(beta, delta, coef, m, m_y, spread, fit_intercept)
    zero = np.zeros_like
    return Solution(
        coef=coef,
        intercept=intercepts(coef, m, zero(m), m_y, zero(m_y)) if fit_intercept else zero(m_y),
        rss=np.einsum("ij,ij->j", residual, residual) * unit,
        tss=np.einsum("ij,ij->j", V, V) * unit,
        rank=rank,
        rcond=rcond,
        digits=digits,
        path=("svd",),
        reason=f"{n} rows for {p} columns: {'ridge' if l2 else 'columns dropped' if dropped else 'minimum norm'}",
        collinear=collinear,
        dropped=dropped,
    )
