# SPDX-License-Identifier: BSD-3-Clause
"""The problem in centred columns that are scaled by powers of two to a norm between 0.7 and 1.4.

Neither an offset nor a unit then costs a digit, and the condition number is that of the columns alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.pairs import two_sum
from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.algebra.sums import Sums
from linreg_fast.inputs.table import Rows

FAR = 8.0  # times the size of y: offsets of columns beyond cost predictions a digit
LEAST_MEAN = 2.0**-960  # whose low part float64 still holds


@dataclass(slots=True)
class Centred:
    """The problem in centred columns, scaled by powers of two: A beta = c.

    A = e (S + l2 d^2) e and c = e (q - s t'/N) over the columns that vary at all; b = beta e d / dy.
    """

    live: NDArray[np.intp]  # the columns that vary
    gram: Matrix  # A
    cross: Matrix  # c
    target_squares: Vector  # S_yy, about the means
    exponents: NDArray[np.int64]  # of two: e d
    target_exponents: NDArray[np.int64]  # dy
    means: Vector  # mu = s / N of all columns, in the units of the sums; 0 without an intercept
    worst_offset: float  # rho: N mu^2 / S_jj at most
    l2: float
    own: Vector | float = 1.0  # roots of what of the diagonal of A is of the columns, not of the penalty


def centre(M: Sums, fit_intercept: bool, l2: float) -> Centred:
    """The centred, equilibrated problem of some moments, by algebra alone."""
    mu = M.mean if fit_intercept else np.zeros_like(M.sums)
    c = M.cross - np.outer(mu, M.target_sums) if fit_intercept else M.cross
    about_mean = np.maximum(M.target_squares - M.target_sums * M.target_mean, 0.0)
    S_yy = about_mean if fit_intercept else M.target_squares
    squares = np.diagonal(M.gram)
    spread = np.maximum(squares - M.sums * mu, 0.0)
    # a column is constant where its numbers are equal: its shift is that number then, and every W is 0
    live = np.flatnonzero((squares > 0) & (spread > 0))
    rho = 0.0
    if fit_intercept and live.size:
        rho = float(np.max(M.sum_weight * mu[live] ** 2 / spread[live]))
    # one fresh array and no other of its size: a page that is touched first takes longer than the arithmetic
    A = np.outer(M.sums[live], mu[live])
    np.subtract(M.gram if len(live) == len(squares) else M.gram[np.ix_(live, live)], A, out=A)
    d_exponent = np.frexp(M.unit[live])[1] - 1
    size = np.log2(np.diagonal(A))
    if l2:
        size = np.logaddexp2(size, math.log2(l2) + 2 * d_exponent)  # l2 d^2 itself may overflow
    # e d must be a float64 itself, which bounds it for subnormal columns
    e = np.minimum(-np.round(0.5 * size).astype(np.int64), 1023 - d_exponent)
    scale = np.ldexp(1.0, e)
    own = np.minimum(1.0, np.sqrt(spread[live]) * scale) if l2 else 1.0
    A *= scale
    A *= scale[:, None]
    exponents = e + d_exponent
    if l2:
        A[np.diag_indices_from(A)] += np.ldexp(l2, 2 * exponents)
    return Centred(live, A, c[live] * scale[:, None], S_yy, exponents, np.frexp(M.target_unit)[1] - 1, mu, rho, l2, own)


def scaled_means(M: Sums, C: Centred, mu: Matrix | None = None) -> Vector:
    """Means of the columns that vary less their shift, in scaled columns: in the user's those of subnormal ones round.

    mu are these means in the units of the sums, as pairs, if they are known better than C has them.
    """
    e = C.exponents - (np.frexp(M.unit[C.live])[1] - 1)
    scaled: Vector = np.ldexp(C.means[C.live], e) if mu is None else np.ldexp(mu, e[:, None])
    return scaled


def keep(C: Centred, kept: NDArray[np.intp]) -> Centred:
    """The problem of some of its columns."""
    square, own = np.ix_(kept, kept), C.own if isinstance(C.own, float) else C.own[kept]
    return replace(C, live=C.live[kept], gram=C.gram[square], cross=C.cross[kept], exponents=C.exponents[kept], own=own)


def in_user_units(rows: Rows, C: Centred, beta: Matrix) -> Matrix:
    """Coefficients of the user's columns, (n_targets, n_features), from those of the scaled ones."""
    coef = np.zeros((rows.n_targets, rows.n_features))
    with np.errstate(over="ignore"):
        coef[:, C.live] = np.ldexp(beta, C.exponents[:, None] - C.target_exponents[None, :]).T
    check_range(rows, coef)
    return coef


def at_means(coef: Matrix, mean: Matrix, mean_y: Matrix) -> Vector:
    """[c, v]: the means of the columns, rounded, and the predictions there."""
    c, left = mean.T
    return np.concatenate([c, mean_y[:, 0] + (mean_y[:, 1] - coef @ left)])


def origin(coef: Matrix, mean: Matrix, mean_y: Matrix, spread_y: Vector) -> Vector | None:
    """[c, v]: the means of the columns, rounded, and the predictions there; None where b_0 + Xb keeps its digits.

    coef is (n_targets, n_features), the means are pairs, (n, 2), and spread_y are the standard deviations of y.
    """
    c = mean[:, 0]
    size = np.abs(mean_y[:, 0]) + spread_y
    if not (np.abs(coef) @ np.abs(c) > FAR * size).any():
        return None
    point = at_means(coef, mean, mean_y)
    held = (c == 0) | (np.abs(c) >= LEAST_MEAN)
    return point if np.isfinite(point).all() and held.all() else None


def points_of_sums(M: Sums, C: Centred, coef: Matrix) -> tuple[Vector | None, Vector]:
    """`origin` and `at_means` from moments about a shift, beside an intercept."""
    back = np.ldexp(1.0, -C.target_exponents)
    mean = np.column_stack(two_sum(M.shift, C.means / M.unit))
    mean_y = np.column_stack(two_sum(M.target_shift, M.target_mean * back))
    spread_y = np.sqrt(C.target_squares) / np.sqrt(M.sum_weight) * back
    return origin(coef, mean, mean_y, spread_y), at_means(coef, mean, mean_y)


def check_range(rows: Rows, coef: Matrix) -> None:
    """An error that names the first coefficient that float64 cannot hold."""
    finite = np.isfinite(coef)
    if not finite.all():
        j = int(np.argwhere(~finite)[0, 1])
        name = f" ({rows.names[j]!r})" if rows.names else ""
        raise ValueError(f"the coefficient of column {j}{name} of X leaves the range of float64; scale the column")
