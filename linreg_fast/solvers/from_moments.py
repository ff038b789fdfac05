# SPDX-License-Identifier: BSD-3-Clause
"""Normal equations: the closed form from moments alone, when there are no rows to go back to.

The sums are pairs (double-double), and every algebra on them before the factorisation is too: a shift is
taken away or put back without the loss that float64 would have. How good the sums themselves are is
carried along as `noise`, the error of each sum of squares. The errors of a sum of products and of a sum are
taken to be

    |d G_ij| <= sqrt(noise_i noise_j),    |d s_j| <= sqrt(unit N noise_j),

unit being the relative rounding of the sums, 2^-53 or 2^-100.

A Gram matrix holds the squares of the singular values: one that is known to eta = `Equations.noise`, relative
to its diagonal, says nothing of singular values below sqrt(eta) times the largest. The rank is therefore
decided on eigenvalues at 8 p eta: dependent columns of float64 sums are those whose singular values are below
some 1e-7, where QR of the rows would resolve 1e-12.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np

from linreg_fast.algebra import paired, room
from linreg_fast.algebra.bread import Spread, about
from linreg_fast.algebra.centred import Centred, at_means, in_user_units, origin
from linreg_fast.algebra.digits import FULL_DIGITS, ROUNDING, digits_of, vanished
from linreg_fast.algebra.factors import pivoted_svd, rank_of_rounded
from linreg_fast.algebra.minimum_norm import independent, minimum_norm
from linreg_fast.algebra.paired import Equations, PairedSums, keep
from linreg_fast.algebra.pairs import add, multiply, pairs, product
from linreg_fast.algebra.pairs import cholesky as pairs_cholesky
from linreg_fast.algebra.precision import DD_UNIT, EPS, Matrix, Vector, any_range
from linreg_fast.options import FitOptions
from linreg_fast.passes import levels
from linreg_fast.plan_costs import SMALL_COLUMNS
from linreg_fast.solvers import closed_form, small, spread
from linreg_fast.solvers.closed_form import RANK_TOLERANCE
from linreg_fast.solvers.factor import Factor, check_solution, cholesky, in_rows
from linreg_fast.solvers.problem import Problem
from linreg_fast.solvers.small import SmallFit
from linreg_fast.solvers.solution import ConditionWarning, Solution, caller_level, collinear_columns, constant_columns

REASON = "moments: p^2 numbers, solved without the rows"
RANK_MARGIN = 8.0  # times p and the noise: eigenvalues below may be 0
CHOLESKY_MARGIN = 10.0  # times p and the noise: a condition number beyond asks for the eigenvalues
POOR = 1e-3  # relative error of the coefficients that is worth a ConditionWarning
UNKNOWN = 8.0  # times the error of a sum of squares: one that is not larger is not known
LOST = 0.1  # of the sum of squares of y: where as much of it is not known, r2 has no digit
MAX_STEPS = 8  # of refinement
TINY = 2.0**-1022
LAST_PLACE = 2.0**-60  # corrections of this size, of the largest coefficient, end it
MEANS_ROUNDING = 2.0**-46  # of its terms: the most that the rounding of the means may excuse in an intercept of 0
SURE_CONTRACTION = 1e-6  # predicted by the condition number; a larger one has to be seen


_kernels = levels.kernels


_spare: list[Vector] = []  # workspaces, as many as threads were here at once; append and pop are atomic


def of_few_columns(part: PairedSums, options: FitOptions, one_target: bool) -> SmallFit | None:
    """The closed form in one kernel, without LAPACK.

    None where `solve` has to look: beside many columns those that are constant, lost or too ill-conditioned, sums that
    know more than float64 holds, and all that asks for a warning.
    """
    p, shift = part.p, part.known_shift
    if not 0 < p <= SMALL_COLUMNS or part.unit < EPS:
        return None
    k = len(shift) - p
    work_size, size = _kernels.paired_sizes(p, k)
    try:
        work = _spare.pop()
    except IndexError:
        work = np.empty(work_size)
    if len(work) < work_size:
        work = np.empty(work_size)
    res = np.empty(size)
    found = _kernels.paired_solve(part.M, part.noise, part.unit, shift, p, options.fit_intercept, options.l2, work, res)
    _spare.append(work)
    if found is None:
        return None
    return small.view(res, found, p, k, one_target)


@any_range
def solve(problem: Problem, E: Equations) -> Solution:
    """Solve by Cholesky, or by the eigenvalues where conditioning asks for it; `problem` is of a table without rows.

    Raises
    ------
    numpy.linalg.LinAlgError
        Dependent columns with `on_collinear` "raise".

    Warns
    -----
    RankWarning
        Columns are dependent as far as the moments can tell.
    ConditionWarning
        Fewer than three digits of the coefficients may be right, or none of the sum of squares of y; or a column is
        lost in the rounding of its sums.
    """
    room.for_lapack()
    constant = constant_columns(problem, E.live)
    solution, kept = _solve(problem, E)
    solution.collinear = tuple(sorted({*constant, *solution.collinear}))
    if problem.options.on_collinear == "drop":
        solution.dropped = tuple(sorted({*constant, *solution.dropped}))
    if len(E.lost):
        warnings.warn(
            f"the columns {problem.named(E.lost)} vary by less than their sums can tell so far from the shift: their "
            'coefficients are taken for 0; give a shift nearer to the rows, or precision="extended"',
            ConditionWarning,
            stacklevel=caller_level(),
        )
        solution.digits = 0.0
    if solution.ess is not None and np.isnan(solution.ess).any():
        warnings.warn(
            "the sum of squares of y is lost in the rounding of all that has gone through it: rss, r2 and the standard "
            "errors are NaN; sum up the rows that are left once more",
            ConditionWarning,
            stacklevel=caller_level(),
        )
    point = None
    if problem.options.fit_intercept:
        mean = np.zeros((problem.rows.n_features, 2))
        mean[E.live] = E.m
        point = at_means(solution.coef, mean, E.m_y)
    solution.spread = about(_spread(problem, kept, solution), point)
    return solution


def _solve(problem: Problem, E: Equations) -> tuple[Solution, Equations]:
    """The solution, and the equations of the columns that it is of."""
    p, n_targets = E.c.shape[:2]
    if p == 0:
        return finish(problem, E, Scaled(np.zeros((0, n_targets, 2)), 0, 1.0, ("mean",), "", None)), E
    A, c = np.ascontiguousarray(E.A[..., 0]), np.ascontiguousarray(E.c[..., 0])
    simple = Centred(E.live, A, c, E.S_yy[:, 0], E.e, np.zeros(n_targets, np.int64), E.m[:, 0], 0.0, E.l2)
    beta, R, gram_rcond = cholesky(simple)
    if beta is not None and gram_rcond >= CHOLESKY_MARGIN * p * max(E.noise, EPS):
        factor = Factor(R, None, None, 1 / math.sqrt(gram_rcond), 1 / gram_rcond)
        solution = _refined(problem, E, factor, beta, ("cholesky",), "")
        _warn_poor(E, gram_rcond)
        return solution, E
    path, reason = (
        ("cholesky", "svd"),
        "the condition of the columns is beyond what cholesky of their moments can decide",
    )
    exact = E.noise < EPS / 2  # the sums know more than float64 holds
    sigma, Vt = pivoted_svd(E.A, E.noise) if exact else _eigen(A)
    # at most 1/2, so that one direction is left where nothing at all is sure
    unsure = min(0.5, math.sqrt(RANK_MARGIN * p * E.noise))
    if exact and not E.l2:
        mean = np.ldexp(np.abs(E.m[:, 0]), E.e)
        rank = rank_of_rounded(sigma, Vt, mean, E.own, float(E.sum_weight[0]), unsure * float(sigma[0]))
    else:
        rank = int(np.count_nonzero(sigma > max(RANK_TOLERANCE * math.sqrt(p), unsure) * sigma[0]))
    collinear = collinear_columns(problem, E.live, Vt[:rank], problem.asked.n_rows) if rank < p else ()
    if rank < p and problem.options.on_collinear == "drop":
        solution, kept = _solve(problem, keep(E, independent(Vt[:rank])))
        solution.path = (*path, *solution.path)
        solution.reason = f"rank {rank} of {p}: dependent columns dropped"
        solution.collinear = collinear
        solution.dropped = tuple(int(j) for j in np.setdiff1d(E.live, kept.live))
        return solution, kept
    if rank < p:
        reason += f"; rank {rank} of {p}: minimum norm"
    gram_rcond = float(sigma[rank - 1] / sigma[0]) ** 2
    kappa = 1 / math.sqrt(gram_rcond)
    factor = Factor(None, Vt[:rank], sigma[:rank], kappa, 1 / gram_rcond, Vt[rank:])
    in_pairs = pairs_cholesky(E.A) if exact and rank == p else None
    if in_pairs is not None:  # what float64 holds of a factor corrects nothing beyond a kappa of some 1e13
        factor = Factor(
            in_rows(in_pairs[..., 0]), None, None, kappa, max(1.0, DD_UNIT / EPS / gram_rcond), pairs=in_pairs
        )
    beta = _apply(factor, c)
    if rank == p and not exact:
        check_solution(simple, beta, "eigenvalue", closed_form.ROWS_MARGIN)
    solution = _refined(problem, E, factor, beta, path, reason)
    solution.collinear = collinear
    _warn_poor(E, gram_rcond)
    return solution, E


def _warn_poor(E: Equations, gram_rcond: float) -> None:
    if E.noise / gram_rcond > POOR:
        warnings.warn(
            f"the columns are too ill-conditioned for their moments (rcond {math.sqrt(gram_rcond):.1e}): few or no "
            "digits of the coefficients may be right; fit the rows themselves, use precision='extended' or a penalty",
            ConditionWarning,
            stacklevel=caller_level(),
        )


def _refined(
    problem: Problem, E: Equations, factor: Factor, beta: Matrix, path: tuple[str, ...], reason: str
) -> Solution:
    """The solution from what a factor gives: corrected in pairs where the sums are worth it, of minimum norm."""
    rank = len(E.live) if factor.Vt is None else len(factor.Vt)
    found, left = pairs(beta), 0.0
    if E.noise < EPS / 2 or E.A[..., 1].any():
        # brought here in pairs, A may know more than its noise says, and than a factor in float64 keeps
        found, left = refine(E, factor, found)
    if factor.Vt is not None and rank < len(E.live):
        least, growth = minimum_norm(factor.Vt, factor.null, E.e, found[..., 0], factor.kappa)
        found = pairs(least)
        left += EPS * growth
    return finish(problem, E, Scaled(found, rank, 1 / factor.kappa, path, reason, factor, left))


def _spread(problem: Problem, E: Equations, solution: Solution) -> Spread | None:
    """Standard errors over the residual standard deviation; None below full rank and with a penalty."""
    if E.l2 or solution.rank < len(E.live):
        return None
    factor, fit_intercept = solution.factor, problem.options.fit_intercept
    scale = spread.Scale(
        problem.rows.n_features, problem.rows.n_targets, E.live, E.e, np.ldexp(E.m, E.e[:, None]), fit_intercept
    )
    lost = factor is not None and factor.gain * EPS > spread.LOSS
    if lost and E.noise < EPS / 2 and len(E.live) <= paired.WIDEST:
        found = spread.unscaled_pairs(E.A, scale, E.sum_weight)
        if found is not None:
            return found
    return spread.unscaled(factor, scale, float(E.sum_weight[0]))


def _eigen(A: Matrix) -> tuple[Vector, Matrix]:
    """Singular values of the columns, descending, and V', from the eigenvalues of their Gram matrix."""
    import scipy.linalg

    values, V = scipy.linalg.eigh(A, check_finite=False)
    return np.sqrt(np.maximum(values[::-1], 0.0)), np.ascontiguousarray(V.T[::-1])


def _apply(factor: Factor, h: Matrix) -> Matrix:
    """A^-1 h, or the pseudo-inverse times h, for all targets."""
    return np.column_stack([factor.solve(column) for column in h.T])


def refine(E: Equations, factor: Factor, beta: Matrix) -> tuple[Matrix, float]:
    """Corrections of beta from residuals in pairs, and the size of what is left, of the largest coefficient."""
    before, expected = math.inf, 10 * EPS * factor.gain
    for _ in range(MAX_STEPS):
        h = add(E.c, -product(E.A, beta))
        d = _apply(factor, h[..., 0])
        sizes = np.abs(beta[..., 0]) / E.own[:, None]
        most = float(sizes.max(initial=0.0))
        least = float(sizes[sizes > ROUNDING * most].min(initial=most))
        size = float(np.abs(d).max(initial=0.0))
        if not size < before / 2:
            break
        beta, before = add(beta, pairs(d)), size
        # or the next one would be of this size
        sure = expected <= SURE_CONTRACTION and expected * size <= LAST_PLACE * least
        if sure or size <= LAST_PLACE * least:
            return beta, 0.0
    return beta, before / most if most > 0 else 0.0


class Scaled(NamedTuple):
    """What a factorisation gives in the scaled columns: beta, (p, n_targets, 2), and how far to trust it."""

    beta: Matrix
    rank: int
    rcond: float
    path: tuple[str, ...]
    reason: str
    factor: Factor | None
    left: float = 0.0  # size of the next correction, of the largest coefficient


def finish(problem: Problem, E: Equations, scaled: Scaled) -> Solution:
    """Coefficients in the user's units, intercept, sums of squares and digits."""
    beta = scaled.beta
    n_targets = beta.shape[1]
    simple = Centred(
        E.live, E.A[..., 0], E.c[..., 0], E.S_yy[:, 0], E.e, np.zeros(n_targets, np.int64), E.m[:, 0], 0.0, E.l2
    )
    coef = in_user_units(problem.rows, simple, beta[..., 0])
    scale = np.ldexp(1.0, E.e)[:, None, None]
    b = beta * scale
    # each of these sums is rounded once
    left_sides, right_sides = [np.repeat(E.m[:, None], n_targets, axis=1), beta], [b, E.c]
    if E.l2:
        left_sides, right_sides = [*left_sides, b * E.l2], [*right_sides, b]
    terms = multiply(np.concatenate(left_sides), np.concatenate(right_sides))
    p = len(beta)
    intercept, rss, ess, tss = np.empty(n_targets), np.empty(n_targets), np.empty(n_targets), E.S_yy[:, 0].copy()
    for t in range(n_targets):
        intercept[t] = _sum(E.m_y[t], -terms[:p, t])
        # b'S b + l2 b'b = b'c, and the penalty is no part of the residuals: S_yy - 2 b'c + b'S b
        rss[t] = max(0.0, _sum(E.S_yy[t], -terms[p:, t]))
        ess[t] = _sum(terms[p:, t]) if rss[t] > 0 else E.S_yy[t, 0]
    digits = 0.0 if vanished(beta[..., 0], coef[:, E.live].T, E.own) else FULL_DIGITS
    for t in range(n_targets):
        size = np.abs(beta[:, t, 0])
        most = float(size.max(initial=0.0))
        delta = scaled.left + (E.noise + E.noise_c[t] / most) / scaled.rcond**2 if most > 0 else scaled.left
        error = float(E.noise_m_y[t] + E.noise_m @ np.abs(b[:, t, 0]))
        zero = ROUNDING * max(most, math.sqrt(E.S_yy[t, 0])) if scaled.rank == p else 0.0
        # columns that are small beside a penalty round by as much less, and so do their coefficients
        slopes = digits_of(size, delta * most * E.own / E.own.max(initial=TINY), zero * E.own)
        terms_0 = abs(float(E.m_y[t, 0])) + float(np.abs(E.m[:, 0]) @ np.abs(b[:, t, 0]))
        # an intercept within the rounding of the means that it is made of is none
        zero_0 = max(ROUNDING * terms_0, min(error, MEANS_ROUNDING * terms_0))
        error += delta * most * float(np.abs(E.m[:, 0] * scale[:, 0, 0]).sum())
        b0 = digits_of(np.abs(intercept[t : t + 1]), np.array([error]), zero_0)
        digits = min(digits, slopes, b0)
        if E.constant_y[t]:
            continue
        doubt = E.doubt.of_squares(b[:, t, 0], E.live, len(E.doubt.x) - n_targets + t)
        doubt += p * delta * most * (E.noise * most + float(E.noise_c[t]))
        if not rss[t] > UNKNOWN * doubt and doubt > 0:
            rss[t] = math.nan
        if not LOST * tss[t] >= UNKNOWN * doubt:
            rss[t] = ess[t] = math.nan
            tss[t] = tss[t] if tss[t] > UNKNOWN * doubt else math.nan
    return Solution(
        coef=coef,
        intercept=intercept,
        rss=rss,
        tss=tss,
        y_unit=np.ones(n_targets),
        ess=ess,
        rank=scaled.rank,
        rcond=scaled.rcond,
        digits=digits,
        path=scaled.path,
        reason=scaled.reason or REASON,
        beta=beta[..., 0],
        factor=scaled.factor,
        n_samples=problem.asked.n_rows,
        sum_weight=float(E.sum_weight[0]),
        origin=_origin(coef, E),
    )


def _origin(coef: Matrix, E: Equations) -> Vector | None:
    mean = np.zeros((coef.shape[1], 2))
    mean[E.live] = E.m
    return origin(coef, mean, E.m_y, np.sqrt(np.maximum(E.S_yy[:, 0], 0.0)) / math.sqrt(E.sum_weight[0]))


def _sum(*terms: Matrix) -> float:
    """Sum of the numbers of several pairs, rounded once."""
    return math.fsum(np.concatenate([term.ravel() for term in terms]).tolist())
