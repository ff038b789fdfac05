# SPDX-License-Identifier: BSD-3-Clause
"""Least squares with bounds on the coefficients, from cross products alone; the intercept is free.

The active set of Lawson and Hanson (1974, chapter 23), on A beta = c instead of the rows as Bro and de Jong (1997) have
it, with two bounds a column as Stark and Parker (1995). It starts from the solution without bounds, cut off at them.
"""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra import paired, room
from linreg_fast.algebra.paired import Equations, PairedSums
from linreg_fast.algebra.pairs import add, pairs, product
from linreg_fast.algebra.precision import DD_UNIT, EPS, Matrix, Vector
from linreg_fast.passes.products import dd_cross_products
from linreg_fast.solvers import from_moments
from linreg_fast.solvers.factor import Factor, in_rows
from linreg_fast.solvers.problem import Problem
from linreg_fast.solvers.solution import RankWarning, Solution, caller_level, constant_columns

REASON = "bounds: an active set on the cross products"
ROUNDS = 10  # times the columns, and as many more: sets that are tried
GRADIENT = 64.0  # times the noise of its terms: a gradient below is 0
PIVOT = 64.0  # times p and the noise: a column of which less is left depends on those that are free


class Box(NamedTuple):
    """A beta = c of one target, and the bounds of beta."""

    A: Matrix
    c: Vector
    lo: Vector
    hi: Vector
    noise: float


def solve(problem: Problem, E: Equations | None = None) -> Solution:
    """The least squares solution within `options.bounds`, which the problem's columns fit.

    Raises
    ------
    ValueError
        Squares of the rows leave the range of float64; a column that does not vary, with bounds that leave out 0.
    numpy.linalg.LinAlgError
        No set of bounds satisfies the conditions of Karush, Kuhn and Tucker: never seen.

    Warns
    -----
    RankWarning
        Columns without any bound depend on each other: some of their coefficients are 0.
    """
    room.for_lapack()
    options = problem.options
    assert options.bounds is not None
    if E is None:
        p, k = problem.rows.n_features, problem.rows.n_targets
        sums = _paired(problem).part(np.arange(p), np.arange(k))
        E = paired.equations(sums, options.fit_intercept, options.l2)
    lower, upper = (np.broadcast_to(b, problem.rows.n_features) for b in options.bounds)
    still = np.setdiff1d(np.arange(problem.rows.n_features), E.live)
    still = still[(lower[still] > 0) | (upper[still] < 0)]
    if len(still):
        raise ValueError(f"the columns {problem.named(still)} do not vary, and their bounds leave out 0: drop them")
    lo, hi = np.ldexp(lower[E.live], -E.e), np.ldexp(upper[E.live], -E.e)
    p, k = E.c.shape[:2]
    beta, left = np.zeros((p, k, 2)), 0.0
    sides, rank, rcond = np.zeros((k, p), np.int8), p, 1.0
    for t in range(k):
        box = Box(np.ascontiguousarray(E.A[..., 0]), E.c[:, t, 0].copy(), lo, hi, max(E.noise, EPS))
        sides[t], x, dependent = _active_set(box)
        rank = min(rank, p - len(dependent))
        if len(dependent):
            named = problem.named(E.live[dependent])
            warnings.warn(
                f"the columns {named} have no bounds and depend on others: their coefficients are 0",
                RankWarning,
                stacklevel=caller_level(),
            )
        free = np.flatnonzero((sides[t] == 0) & ~np.isin(np.arange(p), dependent))
        beta[:, t], size, inverse = _corrected(E, t, x, free)
        # a correction may step over a bound by its rounding
        cut = np.clip(beta[:, t, 0], lo, hi)
        beta[cut != beta[:, t, 0], t, 1] = 0.0
        beta[:, t, 0] = cut
        left, rcond = max(left, size), min(rcond, inverse)
    # of coefficients at bounds other than 0 the gradient is part of what the residuals have: y'y - 2 b'c + b'Sb
    gradient = add(E.c, -product(E.A, beta)) if p else E.c
    scaled = from_moments.Scaled(beta, p, rcond, ("cholesky",) if p else ("mean",), REASON, None, left)
    solution = from_moments.finish(problem, replace(E, c=add(E.c, gradient)), scaled)
    coef = solution.coef[:, E.live]
    solution.coef[:, E.live] = np.where(sides < 0, lower[E.live], np.where(sides > 0, upper[E.live], coef))
    active = np.zeros((k, problem.rows.n_features), np.int8)
    active[:, E.live] = sides
    solution.active, solution.rank = active, rank
    solution.collinear = constant_columns(problem, E.live)
    return solution


def _paired(problem: Problem) -> PairedSums:
    """The sums of a table, or of rows that were summed up, as pairs; in double-double for precision "extended"."""
    M, rows = problem.sums, problem.rows
    p, k = rows.n_features, rows.n_targets
    if (M.unit != 1).any() or (M.target_unit != 1).any():
        raise ValueError("squares of the columns of X or y leave the range of float64, which bounds need: scale them")
    shift, unit = np.concatenate([M.shift, M.target_shift]), EPS
    if problem.options.precision == "extended":
        ones = np.ones(p + k)
        dd = functools.partial(dd_cross_products, shift=shift, scale=ones, n_threads=problem.options.workers)
        total, unit = rows.fold(dd, add), DD_UNIT
    else:
        total = np.zeros((p + 1 + k, p + 1 + k, 2))
        total[:p, :p, 0] = M.gram
        total[:p, p, 0] = total[p, :p, 0] = M.sums
        total[:p, p + 1 :, 0] = M.cross
        total[p + 1 :, :p, 0] = M.cross.T
        total[p, p, 0] = M.sum_weight
        total[p, p + 1 :, 0] = total[p + 1 :, p, 0] = M.target_sums
        at = np.arange(p + 1, p + 1 + k)
        total[at, at, 0] = M.target_squares
    noise = unit * np.diagonal(total[..., 0])
    if not rows.weighted:
        noise[p] = 0.0  # counts are exact
    return PairedSums(total, noise, unit, shift, M.n_rows, p)


def _active_set(box: Box) -> tuple[NDArray[np.int8], Vector, NDArray[np.intp]]:
    """Which bound each coefficient is at (-1, 0, 1), the coefficients, and columns without bounds that depend."""
    A, c, lo, hi, noise = box
    p = len(c)
    x = np.clip(np.zeros(p), lo, hi)
    unbounded = np.isinf(lo) & np.isinf(hi)
    fixed = lo == hi
    start = _solved(A, c, noise)
    dependent = np.zeros(0, np.intp)
    if start is not None:
        x = np.clip(start, lo, hi)
        free = (x > lo) & (x < hi) & ~fixed
    else:  # columns one after the other, those that depend on the ones before stay where they are
        free = np.zeros(p, bool)
        for j in np.flatnonzero(unbounded):
            free[j] = _independent(A, free, int(j), noise)
        dependent = np.flatnonzero(unbounded & ~free)
    side = np.where(free, 0, np.where(x == lo, -1, np.where(x == hi, 1, 0))).astype(np.int8)
    refused = np.zeros(p, bool)
    refused[dependent] = True
    entered = -1
    for _ in range(ROUNDS * (p + 1)):
        x, free, side, back = _settle(box, x, free, side, entered)
        refused[:] = False
        refused[dependent] = True
        if back:  # what entered would leave at once by rounding: it is where it belongs
            refused[entered] = True
        g = c - A @ x
        doubt = GRADIENT * noise * (np.abs(c) + np.abs(A) @ np.abs(x) + np.abs(x).max(initial=0.0))
        wants = np.where(side < 0, g, np.where(side > 0, -g, np.abs(g)))
        wants[free | fixed | refused | (wants <= doubt)] = 0.0
        entered = -1
        for j in np.argsort(-wants, kind="stable"):
            if not wants[j] > 0:
                break
            if _independent(A, free, int(j), noise):
                entered = int(j)
                break
        if entered < 0:
            return side, x, dependent
        free[entered], side[entered] = True, 0
    raise np.linalg.LinAlgError("no set of bounds satisfies the conditions of Karush, Kuhn and Tucker")


def _settle(
    box: Box, x: Vector, free: NDArray[np.bool_], side: NDArray[np.int8], entered: int
) -> tuple[Vector, NDArray[np.bool_], NDArray[np.int8], bool]:
    """Solve for the free coefficients, bind those that would leave their bounds; whether `entered` was the first."""
    A, c, lo, hi, noise = box
    x, free, side, back = x.copy(), free.copy(), side.copy(), False
    first = True
    while free.any():
        F = np.flatnonzero(free)
        rest = c[F] - A[np.ix_(F, np.flatnonzero(~free))] @ x[~free]
        found = _solved(A[np.ix_(F, F)], rest, noise)
        z = np.zeros(0) if found is None else found
        if found is None:  # as good as dependent: the weakest of them goes to where it is
            z = np.asarray(np.linalg.lstsq(A[np.ix_(F, F)], rest, rcond=None)[0], np.float64)
        out = (z < lo[F]) | (z > hi[F])
        if not out.any():
            x[F] = z
            break
        step = z - x[F]
        end = np.where(z < lo[F], lo[F], hi[F])
        share = np.full(len(F), np.inf)
        share[out] = (end[out] - x[F][out]) / step[out]
        least = max(0.0, float(share.min()))
        hit = out & (share <= least)
        x[F] += least * step
        bound = F[hit]
        x[bound], free[bound] = end[hit], False
        side[bound] = np.where(end[hit] == lo[bound], -1, 1)
        back = back or (first and entered in bound and least == 0.0)
        first = False
        x[F] = np.clip(x[F], lo[F], hi[F])
    return x, free, side, back


def _solved(A: Matrix, c: Vector, noise: float) -> Vector | None:
    """A^-1 c, None where the columns are dependent as far as A can tell."""
    if not len(A):
        return c
    from scipy.linalg import cho_solve, lapack

    R, info = lapack.dpotrf(A, lower=0)
    if info != 0 or (np.diagonal(R) ** 2).min() <= PIVOT * len(A) * noise:
        return None
    return np.asarray(cho_solve((R, False), c, check_finite=False))


def _independent(A: Matrix, free: NDArray[np.bool_], j: int, noise: float) -> bool:
    """Whether enough of column j is left beside the free ones."""
    F = np.flatnonzero(free)
    if not len(F):
        return True
    z = _solved(A[np.ix_(F, F)], A[F, j], noise)
    return z is not None and bool(A[j, j] - A[F, j] @ z > PIVOT * (len(F) + 1) * noise * A[j, j])


def _corrected(E: Equations, t: int, x: Vector, free: NDArray[np.intp]) -> tuple[Matrix, float, float]:
    """Coefficients as pairs, the free ones corrected by residuals in pairs; what is left of that, and their rcond."""
    from scipy.linalg import lapack

    found = pairs(x)
    if not len(free):
        return found, 0.0, 1.0
    fixed = found.copy()
    fixed[free] = 0.0
    c = add(E.c[:, t], -product(E.A, fixed[:, None])[:, 0])[free]
    some = replace(paired.keep(E, free), c=c[:, None])
    gram = some.A[..., 0]
    values = np.linalg.eigvalsh(gram)
    inverse = math.sqrt(max(float(values[0]), EPS * float(values[-1])) / float(values[-1]))
    R, info = lapack.dpotrf(gram, lower=0)
    if info != 0:
        return found, 1.0, inverse
    factor = Factor(in_rows(np.triu(R)), None, None, 1 / inverse, 1 / inverse**2)
    better, left = from_moments.refine(some, factor, pairs(x[free])[:, None])
    found[free] = better[:, 0]
    return found, left, inverse
