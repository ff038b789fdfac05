# SPDX-License-Identifier: BSD-3-Clause
"""Dependent columns in double-double: their null space, and the solution of least norm along it."""

from __future__ import annotations

import math

import numpy as np

from linreg_fast.algebra import paired
from linreg_fast.algebra.centred import Centred
from linreg_fast.algebra.minimum_norm import independent, minimum_norm
from linreg_fast.algebra.pairs import add, cholesky, pairs, product, solve_transposed, solve_upper
from linreg_fast.algebra.precision import EPS, Matrix
from linreg_fast.solvers.factor import Factor
from linreg_fast.solvers.problem import Problem

ROUNDED_ZERO = 2.0**-90  # of coefficients of size 1: what is smaller is 0
PAIR_NOISE = 2.0**-98  # of sums and of algebra in pairs


def null_pairs(problem: Problem, factor: Factor) -> tuple[Matrix, float] | None:
    """Rows N of N A = 0 in pairs, and the condition number they were found through, from a pass in double-double.

    Each row is a dependent column less its regression on independent ones. None where that is too much work.
    """
    assert factor.Vt is not None
    C = problem.centred
    p = len(C.live)
    if p > paired.WIDEST:
        return None
    A = problem.pairs.gram
    kept = independent(factor.Vt)
    rest = np.setdiff1d(np.arange(p), kept)
    R = cholesky(A[np.ix_(kept, kept)])
    if R is None:
        return None
    T = solve_upper(R, solve_transposed(R, A[np.ix_(kept, rest)]))
    T[np.abs(T[..., 0]) <= ROUNDED_ZERO] = 0.0
    null = np.zeros((len(rest), p, 2))
    null[np.arange(len(rest)), rest, 0] = 1.0
    null[:, kept] = -T.swapaxes(0, 1)
    return null, float(np.linalg.cond(R[..., 0]))


def least_norm(
    factor: Factor, C: Centred, beta: Matrix, digits: float, null: tuple[Matrix, float] | None
) -> tuple[Matrix, float]:
    """beta of least norm in the user's units, as pairs, and its digits.

    Of beta + N'g the one for which g solves N D N' g = -N D beta, D being squares of the units.
    """
    assert factor.Vt is not None
    if null is not None:
        N, kappa = null
        scale = np.ldexp(1.0, C.exponents - C.exponents.max())[:, None]
        half = N.swapaxes(0, 1) * scale[:, None]
        K = product(half, half)
        R = cholesky(K)
        if R is not None:
            g = solve_upper(R, solve_transposed(R, product(half, (beta * scale)[:, None])))
            least = add(beta, -product(N, g)[:, 0])
            size = np.abs(beta[:, 0]) + np.abs(N[..., 0]).T @ np.abs(g[:, 0, 0])
            noise = PAIR_NOISE * (kappa**2 + float(np.linalg.cond(_unit_diagonal(K[..., 0])))) * size
            counts = np.abs(least[:, 0]) > noise
            worst = float((noise[counts] / np.abs(least[counts, 0])).max(initial=EPS))
            return least, max(0.0, min(digits, -math.log10(worst)))
    # the null space is known to float64 only, and so is what of it makes the norm least
    rounded, growth = minimum_norm(factor.Vt, factor.null, C.exponents, beta[:, :1], factor.kappa)
    size = np.abs(np.concatenate([rounded[:, 0], beta[:, 0]]))
    least_size = size[size > 0].min(initial=size.max())
    if least_size > 0:
        digits = max(0.0, min(digits, -math.log10(4 * EPS * growth * factor.kappa * size.max() / least_size)))
    return pairs(rounded[:, 0]), digits


def _unit_diagonal(K: Matrix) -> Matrix:
    root = 1 / np.sqrt(np.diagonal(K))
    return np.asarray(K * root * root[:, None])
