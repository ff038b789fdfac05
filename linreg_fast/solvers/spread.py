# SPDX-License-Identifier: BSD-3-Clause
"""Standard errors: s sqrt((X'WX)^-1_jj) from a factor of A = H^-T H^-1, the centred and scaled Gram matrix.

With A = e S e and S the centred Gram matrix the variance of the slopes over s^2 is that of S^-1, of the
intercept 1/N + m'S^-1 m, m being the means of the columns (Seber and Lee 2003, section 3.11).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra import paired
from linreg_fast.algebra.bread import Bread, Spread
from linreg_fast.algebra.centred import scaled_means
from linreg_fast.algebra.paired import WIDEST
from linreg_fast.algebra.pairs import add, cholesky, divide, multiply, pairs, solve_transposed, square_root, total
from linreg_fast.algebra.precision import EPS, Matrix
from linreg_fast.solvers.factor import Factor, inverse_squares
from linreg_fast.solvers.problem import Problem

LOSS = 1e-14  # relative error of the factor beyond which "extended" makes another one in double-double


class Scale(NamedTuple):
    """How the columns of a factor stand to those of the user: which they are, by which powers of two.

    `means` are theirs as pairs, (p, 2), in the columns of the factor: those of subnormal columns would round.
    """

    n_features: int
    n_targets: int
    live: NDArray[np.intp]
    exponents: NDArray[np.int64]
    means: Matrix
    fit_intercept: bool


def _bread(scale: Scale, triangle: Matrix | None, root: Matrix | None) -> Bread:
    """About 0: whoever knows the means puts them in."""
    nowhere, level = np.zeros(len(scale.live)), np.zeros(scale.n_targets)
    return Bread(scale.live, nowhere, level, scale.exponents, triangle, root)


def unscaled(factor: Factor | None, scale: Scale, N: float, n_threads: int = 1) -> Spread | None:
    """From the factor of a solver, N = sum w; None below full rank."""
    means = np.ascontiguousarray(scale.means[:, 0])
    half = np.zeros((0, 0))
    if factor is None:
        squares = np.zeros(1)
    elif factor.R is not None:
        squares = inverse_squares(factor.R, means, n_threads)
    elif factor.Vt is not None and factor.sigma is not None and len(factor.Vt) == len(scale.live):
        half = factor.Vt.T / factor.sigma
        squares = np.append(np.einsum("ij,ij->i", half, half), np.sum((means @ half) ** 2))
    else:
        return None
    out = np.full(scale.n_features + 1, np.nan)
    with np.errstate(over="ignore"):
        out[scale.live] = np.ldexp(np.sqrt(squares[:-1]), scale.exponents)
    if scale.fit_intercept:
        out[-1] = np.hypot(np.sqrt(1 / N), np.sqrt(squares[-1]))
    R = None if factor is None else factor.R
    return Spread(out, _bread(scale, R, None if R is not None else half))


def unscaled_pairs(A: Matrix, scale: Scale, N: Matrix) -> Spread | None:
    """The same from A, (p, p, 2), and N as pairs; None where A has no Cholesky factor in pairs."""
    R = cholesky(A)
    if R is None:
        return None
    p = len(A)
    right = np.concatenate([pairs(np.eye(p)), scale.means[:, None]], axis=1)
    Z = solve_transposed(R, right)
    squares = total(multiply(Z, Z)) if p else np.zeros((1, 2))
    squares[-1] = add(squares[-1], divide(pairs(np.array(1.0)), N))
    roots = square_root(squares)[:, 0]
    out = np.full(scale.n_features + 1, np.nan)
    with np.errstate(over="ignore"):
        out[scale.live] = np.ldexp(roots[:-1], scale.exponents)
    if scale.fit_intercept:
        out[-1] = roots[-1]
    return Spread(out, _bread(scale, None, np.ascontiguousarray(Z[:, :p, 0].T)))


def spread_of(problem: Problem, factor: Factor | None, refined: bool) -> Spread | None:
    """`unscaled` of a problem; from one more pass in double-double where that is asked for and is worth it.

    It is where the factor at hand has lost digits, or where the pass is short.
    """
    M, C = problem.sums, problem.centred
    p, live = len(C.live), C.live
    shift = pairs(np.ldexp(M.shift[live], C.exponents))
    means = add(shift, pairs(scaled_means(M, C)))
    scale = Scale(
        problem.rows.n_features, problem.rows.n_targets, live, C.exponents, means, problem.options.fit_intercept
    )
    plain = unscaled(factor, scale, M.sum_weight, problem.options.workers)
    if not refined or plain is None or factor is None or p > WIDEST:
        return plain
    if factor.gain * EPS <= LOSS and M.n_rows * float(p) ** 2 > paired.CHEAP:
        return plain
    A, mu, N = problem.pairs
    found = unscaled_pairs(A, scale._replace(means=add(shift, scaled_means(M, C, mu))), N)
    return plain if found is None else found
