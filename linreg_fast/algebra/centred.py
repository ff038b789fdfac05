# SPDX-License-Identifier: BSD-3-Clause
"""The problem in centred columns that are scaled by powers of two to a norm between 0.7 and 1.4.

Neither an offset nor a unit then costs a digit, and the condition number is that of the columns alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.precision import EPS, Matrix, Vector
from linreg_fast.algebra.sums import Sums
from linreg_fast.inputs.table import Table

CONSTANT = 4 * EPS  # a column that varies by less of its own value is constant


@dataclass(slots=True)
class Centred:
    """The problem in centred columns, scaled by powers of two: A beta = c.

    A = e (S + l2 d^2) e and c = e (q - s t'/N) over the columns `live` that vary at all;
    b = beta e d / dy; S_yy are the centred squares of the targets, N mu^2 / S_jj at most rho.
    """

    live: NDArray[np.intp]
    A: Matrix
    c: Matrix
    S_yy: Vector
    e: NDArray[np.int64]  # exponents of two, of e d, and of dy
    ey: NDArray[np.int64]
    mu: Vector
    rho: float
    l2: float


def centre(M: Sums, fit_intercept: bool, l2: float) -> Centred:
    """The centred, equilibrated problem of some moments, by algebra alone."""
    mu = M.mean if fit_intercept else np.zeros_like(M.s)
    c = M.q - np.outer(mu, M.t) if fit_intercept else M.q
    S_yy = np.maximum(M.u - M.t * (M.t / M.N), 0.0) if fit_intercept else M.u
    squares = np.diagonal(M.G)
    spread = np.maximum(squares - M.s * mu, 0.0)
    # |W| <= 4 eps |k| in every row makes the sum of squares at most that; the reverse holds but for
    # columns that vary in few rows only, and those the exact rank decision further down must see.
    with np.errstate(over="ignore"):
        floor = M.N * (CONSTANT * np.abs(M.k) * M.d) ** 2 if fit_intercept else np.zeros_like(spread)
    live = np.flatnonzero((squares > 0) & ((spread > floor) | (M.N < 2)) & (spread > 0))
    rho = 0.0
    if fit_intercept and live.size:
        rho = float(np.max(M.N * mu[live] ** 2 / spread[live]))
    # one fresh array and no other of its size: a page that is touched first takes longer than the arithmetic
    A = np.outer(M.s[live], mu[live])
    np.subtract(M.G if len(live) == len(squares) else M.G[np.ix_(live, live)], A, out=A)
    d_exponent = np.frexp(M.d[live])[1] - 1
    size = np.log2(np.diagonal(A))
    if l2:
        size = np.logaddexp2(size, math.log2(l2) + 2 * d_exponent)  # l2 d^2 itself may overflow
    # e d must be a float64 itself, which bounds it for subnormal columns
    e = np.minimum(-np.round(0.5 * size).astype(np.int64), 1023 - d_exponent)
    scale = np.ldexp(1.0, e)
    A *= scale
    A *= scale[:, None]
    exponents = e + d_exponent
    if l2:
        A[np.diag_indices_from(A)] += np.ldexp(l2, 2 * exponents)
    return Centred(live, A, c[live] * scale[:, None], S_yy, exponents, np.frexp(M.dy)[1] - 1, mu, rho, l2)


def keep(C: Centred, kept: NDArray[np.intp]) -> Centred:
    """The problem of some of its columns."""
    return replace(C, live=C.live[kept], A=C.A[np.ix_(kept, kept)], c=C.c[kept], e=C.e[kept])


def in_user_units(data: Table, C: Centred, beta: Matrix) -> Matrix:
    """Coefficients of the user's columns, (n_targets, n_features), from those of the scaled ones."""
    coef = np.zeros((data.n_targets, data.n_features))
    with np.errstate(over="ignore"):
        coef[:, C.live] = np.ldexp(beta, C.e[:, None] - C.ey[None, :]).T
    check_range(data, coef)
    return coef


def check_range(data: Table, coef: Matrix) -> None:
    """An error that names the first coefficient that float64 cannot hold."""
    finite = np.isfinite(coef)
    if not finite.all():
        j = int(np.argwhere(~finite)[0, 1])
        name = f" ({data.names[j]!r})" if data.names else ""
        raise ValueError(f"the coefficient of column {j}{name} of X leaves the range of float64; scale the column")
