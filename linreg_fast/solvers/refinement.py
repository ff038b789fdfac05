# SPDX-License-Identifier: BSD-3-Clause
"""Extra-precise refinement: residual and gradient in double-double, corrections through the factor at hand.

    repeat:  g = Z'W(v - b_0 - Zb) in double-double;  h = g - mu g_0 - l2 b;  A d = h;  b += d

Z = X - k and v = y - ky are exact pairs, so that the sums have the size of the centred columns. Only the
factor, b as pairs and p + 2 double-double sums are kept: no Q, no residuals. The limit does not depend on
the factor, which only sets the speed: an error contracts by eps kappa^2 (Cholesky) or eps kappa (QR) a pass.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra import paired
from linreg_fast.algebra.centred import in_user_units, scaled_means
from linreg_fast.algebra.digits import FULL_DIGITS, LEAST_SHARE, beside_penalty, digits_of, vanished
from linreg_fast.algebra.pairs import add, multiply, pairs, total, two_product
from linreg_fast.algebra.precision import EPS, Matrix, Vector
from linreg_fast.passes import levels, residuals
from linreg_fast.passes.residuals import pass_pairs
from linreg_fast.solvers import closed_form
from linreg_fast.solvers.factor import Factor
from linreg_fast.solvers.null_space import least_norm, null_pairs
from linreg_fast.solvers.problem import Problem
from linreg_fast.solvers.solution import ConditionWarning, Solution, caller_level

AUTO_DIGITS = 10.0  # precision="auto" refines where fewer are expected
MAX_PASSES = 8
LAST_PLACE = 2.0**-54  # a correction below is rounded away
NEGLIGIBLE = 2.0**-90  # of the largest coefficient: a coefficient below may be exactly 0
STALLED = 0.5  # a contraction worse than this is none
FLOOR = 1e-11  # of the largest coefficient: corrections that stall below are rounding, those above a bad factor
SURE_CONTRACTION = 1e-6  # predicted for the first correction; a larger one has to be seen
DD_EPS = 2.0**-106  # relative rounding of a double-double
HOPELESS = 1e300  # of corrections that do not contract; not infinite, of a correction of 0 nothing is left
GAIN_LIMIT = 1e-6  # share of rss that a correction may take off it in the last pass of "auto"
CANCELLED = 1e-6  # share of tss that rss may fall to before it is summed from the residuals themselves
FAR_OFF = 1e3  # of the standard deviation of y: offsets beyond cost residuals three digits


def refine(problem: Problem, solution: Solution, full: bool) -> Solution:
    """Refine a solution until its coefficients are full, or with `full` False until 15 digits are predicted.

    Where corrections do not contract, "auto" goes on from cholesky to qr to svd and starts again.
    """
    if not levels.kernels.double_double_works(1 + 2.0**-30, 1 + 2.0**-30):
        warnings.warn(
            "double-double arithmetic does not work in this process (a library may have switched the rounding "
            "mode or flushed subnormals): coefficients were not refined",
            ConditionWarning,
            stacklevel=caller_level(),
        )
        return solution
    p = len(problem.centred.live)
    while True:
        factor, null = solution.factor, None
        deficient = factor is not None and factor.Vt is not None and len(factor.Vt) < p
        if factor and deficient and (full or paired.affordable(problem.sums.n_rows, p)):
            null = null_pairs(problem, factor)
        done = [_refine_target(problem, solution, t, full, null) for t in range(problem.rows.n_targets)]
        if all(done) or problem.options.solver != "auto" or solution.path[-1] == "svd":
            break
        other = closed_form.solve(problem.of_columns(np.arange(p)), solution.path)
        if other.path == solution.path:
            break  # there is no other factor
        solution = other
    if not all(done):
        warnings.warn(
            f"refinement does not contract through {solution.path[-1]} (rcond {solution.rcond:.1e}): coefficients "
            f"are not refined, some {solution.digits:.0f} digits may be right",
            ConditionWarning,
            stacklevel=caller_level(),
        )
    digits, ess = FULL_DIGITS, solution.tss - solution.rss
    for t, one in enumerate(done):
        digits = min(digits, solution.digits if one is None else one.digits)
        if one is not None:
            solution.coef[t], solution.intercept[t] = one.coef, one.intercept
            solution.rss[t], solution.tss[t], ess[t] = one.rss, one.tss, one.ess
    solution.digits, solution.ess = digits, ess
    return solution


@dataclass(slots=True)
class _Target:
    """One target as the passes take it: columns and y times powers of two, less their shift."""

    index: int
    live: NDArray[np.intp]
    scale: Vector  # (n_features + 1,), y last
    shift: Vector
    mu: Vector  # means of the live columns less the shift, and as they are
    m: Vector
    mu_y: float
    mean_y: float
    penalty: Vector  # l2 in the units of the live columns

    def run(self, problem: Problem, beta: Matrix, b0: Matrix) -> Matrix:
        """[g_1 .. g_p, g_0, rss] as pairs at the coefficients beta, (p, 2), and the intercept b0, (1, 2)."""
        b = np.zeros((len(self.scale), 2))
        b[self.live], b[-1] = beta, b0[0]
        return pass_pairs(problem.rows, self.index, self.scale, self.shift, b, problem.options.workers)


def _target(problem: Problem, t: int) -> _Target:
    M, C = problem.sums, problem.centred
    live, unit, to_y = C.live, np.ldexp(1.0, C.exponents), float(np.ldexp(1.0, C.target_exponents[t]))
    scale, shift = np.zeros((2, problem.rows.n_features + 1))
    scale[live], scale[-1] = unit, to_y
    shift[live], shift[-1] = M.shift[live] * unit, M.target_shift[t] * to_y
    mu, mu_y = scaled_means(M, C), float(M.target_mean[t])
    penalty = C.l2 * unit * unit if C.l2 else np.zeros(len(live))  # 0 * inf would be NaN
    return _Target(t, live, scale, shift, mu, shift[live] + mu, mu_y, float(shift[-1]) + mu_y, penalty)


class _Correction(NamedTuple):
    """What one pass asks to be added to the coefficients."""

    d: Vector
    mean: float  # of the residuals
    gained: float  # what both take off the sum of squares
    fitted: float  # ||Z d||


def _correction(
    target: _Target, factor: Factor | None, N: float, sums: Matrix, beta: Matrix, fit_intercept: bool
) -> _Correction:
    h, g0 = sums[target.live], sums[-2:-1]
    if fit_intercept:
        h = add(h, -multiply(pairs(target.mu), np.repeat(g0, len(h), axis=0)))
    if target.penalty.any():
        h = add(h, -multiply(pairs(target.penalty), beta))
    d = factor.solve(h[:, 0]) if factor else np.zeros(0)
    size, size_h = float(np.abs(d).max(initial=0.0)), float(np.abs(h[:, 0]).max(initial=0.0))
    fitted = 0.0
    if size > 0 and size_h > 0:  # d'h = ||Z d||^2, whose terms may vanish
        fitted = math.sqrt(size) * math.sqrt(size_h) * math.sqrt(max(0.0, float((d / size) @ (h[:, 0] / size_h))))
    gained = float(d @ h[:, 0] + (target.penalty * d) @ (2 * beta[:, 0] + d))
    if not fit_intercept:
        return _Correction(d, 0.0, gained, fitted)
    return _Correction(d, float(g0[0, 0] / N), gained + float(g0[0, 0] ** 2 / N), fitted)


class _Refined(NamedTuple):
    """A target's refined coefficients in the user's units, its sums of squares in those of y_unit^2."""

    coef: Vector
    intercept: float
    rss: float
    tss: float
    ess: float
    digits: float


def _refine_target(
    problem: Problem, solution: Solution, t: int, full: bool, null: tuple[Matrix, float] | None
) -> _Refined | None:
    """One target refined, or None where corrections do not contract."""
    C, fit_intercept = problem.centred, problem.options.fit_intercept
    target, factor = _target(problem, t), solution.factor
    start = pairs(solution.beta[:, t] if solution.beta is not None else np.zeros(0))
    done = _corrected(problem, target, factor, start, full)
    if done is None:
        return None
    rounded, intercept, digits = done.beta[:, :1], done.intercept, done.digits
    if factor and factor.Vt is not None and len(factor.Vt) < len(done.beta):
        least, digits = least_norm(factor, C, done.beta, digits, null)
        rounded = least[:, :1]
        if fit_intercept:
            moved = add(done.beta, -least)
            b0 = add(done.b0, total(multiply(pairs(target.mu), moved)[:, None]))
            intercept = intercept_of(b0[0], least, target.shift[C.live], target.shift[-1])
    coef = in_user_units(problem.rows, C, np.repeat(rounded, problem.rows.n_targets, axis=1))[t]
    if vanished(rounded, coef[C.live, None], C.own):
        digits = 0.0
    rss = np.zeros((1, 2)) if done.rss[0, 0] < 0 else done.rss
    squares = _squares(problem, target) if full else pairs(solution.tss[t : t + 1])
    rss0, tss0, ess0 = (float(pair[0, 0]) for pair in (rss, squares, add(squares, -rss)))
    return _Refined(coef, intercept / target.scale[-1], rss0, tss0, ess0, digits)


@dataclass(slots=True)
class _Corrected:
    """Where the corrections of a target ended, in the units of its columns."""

    beta: Matrix  # pairs
    b0: Matrix  # of the shifted problem, whose size is that of the spread of y
    intercept: float
    rss: Matrix
    digits: float


def _corrected(problem: Problem, target: _Target, factor: Factor | None, beta: Matrix, full: bool) -> _Corrected | None:
    """Passes and corrections until what is left would be rounded away; None where they do not contract."""
    fit_intercept, N = problem.options.fit_intercept, problem.sums.sum_weight
    S_yy = float(problem.centred.target_squares[target.index])
    mu, m, k, ky = target.mu, target.m, target.shift[target.live], target.shift[-1]
    own = problem.centred.own
    small = np.append(np.broadcast_to(own, len(beta)) < LEAST_SHARE, False)
    b0 = pairs(np.array([target.mu_y - mu @ beta[:, 0] if fit_intercept else 0.0]))
    kappa, gain = (factor.kappa, EPS * factor.gain) if factor else (1.0, EPS)
    # one pass may contract by luck: no more is relied on than the condition number predicts
    expected = min(10 * gain, STALLED)
    size = math.inf
    for count in range(1, MAX_PASSES + 1):
        sums = target.run(problem, beta, b0)
        rss = sums[-1]
        d, mean, gained, fitted = _correction(target, factor, N, sums, beta, fit_intercept)
        beta, b0 = add(beta, pairs(d)), add(b0, pairs(np.array([mean - mu @ d])))
        d0, intercept = mean - float(m @ d), intercept_of(b0[0], beta, k, ky) if fit_intercept else 0.0
        before, size = size, fitted
        most_d = float(np.abs(d).max(initial=0.0))
        if not np.isfinite(most_d):
            return None
        # ||Z d|| contracts from pass to pass, d itself need not: rounding of the factor and of h reaches it
        # through the condition number once more
        reach = kappa * gain * fitted
        most = float(np.abs(beta[:, 0]).max(initial=0.0))
        floor0 = max(abs(target.mean_y), float(np.abs(m * beta[:, 0]).max(initial=0.0)))
        # rounding of the residuals, and of the sums they enter, seen through the condition number
        noise = reach + DD_EPS * kappa * (math.sqrt(S_yy) + most + kappa * math.sqrt(max(0.0, float(rss[0]))))
        theta = max(size / before if count > 1 and before > 0 else expected, expected)
        size_b, steps = np.append(np.abs(beta[:, 0]), abs(intercept)), np.append(np.abs(d), abs(d0))
        noises = np.append(np.full(len(d), noise) * own, noise * float(np.linalg.norm(m)))
        zero = NEGLIGIBLE * np.append(np.full(len(d), most) * own, floor0)
        error = _left(theta) * steps + noises
        digits = digits_of(*beside_penalty(size_b, error + reach * small, small), zero)
        last = LAST_PLACE * np.abs(beta[:, 0]) + NEGLIGIBLE * most * own
        last0, lever = LAST_PLACE * abs(intercept) + NEGLIGIBLE * floor0, float(np.abs(m).sum())
        if (np.abs(d) + reach <= last).all() and abs(d0) + reach * lever <= last0:
            break
        # the correction after this one, as large as the condition number allows, would be rounded away
        enough = bool((theta * np.abs(d) + reach <= last).all())
        enough = enough and theta * abs(d0) + (theta * most_d + reach) * lever <= last0
        if not full:
            enough = digits >= 15.0
        # rss less a gain of its own size has lost digits: the next pass sums it up anew
        if enough and (count > 1 or theta <= SURE_CONTRACTION) and abs(gained) <= GAIN_LIMIT * rss[0]:
            break
        if theta > STALLED:
            if most_d > FLOOR * most:
                return None
            # rounding of the double-double sums, seen through the condition number: as good as it gets
            digits = digits_of(size_b, steps + noises, zero)
            break
    return _Corrected(beta, b0, intercept, add(rss[None], pairs(np.array([-gained]))), digits)


def _left(theta: float) -> float:
    """What corrections that contract by theta still add up to, over the last one."""
    return theta / (1 - theta) if theta < 1 else HOPELESS


def _squares(problem: Problem, target: _Target) -> Matrix:
    """Sum of squares of y, about its mean where there is an intercept, from a pass over y alone."""
    zero, workers = np.zeros((1, 2)), problem.options.workers
    scale, shift = target.scale[-1:], target.shift[-1:]
    sums = pass_pairs(problem.rows, target.index, scale, shift, zero, workers, columns=False)
    if not problem.options.fit_intercept:
        return sums[1:]
    return add(sums[1:], -multiply(sums[:1], sums[:1]) / problem.sums.sum_weight)


def residual_squares(problem: Problem, beta: Vector, t: int) -> float:
    """Sum of the squared residuals in units of y from a pass in double-double: no offset costs it a digit.

    beta are coefficients of the centred columns; the intercept is the best one.
    """
    target = _target(problem, t)
    b0 = pairs(np.array([target.mu_y - target.mu @ beta if problem.options.fit_intercept else 0.0]))
    return float(target.run(problem, pairs(beta), b0)[-1, 0])


def intercept_of(b0: Vector, beta: Matrix, k: Vector, ky: float) -> float:
    """The intercept ky + b_0 - sum_j k_j b_j of the unshifted problem, rounded once."""
    terms = [two_product(-k, beta[:, 0]), (-k * beta[:, 1],), (b0, np.array([ky]))]
    return math.fsum(np.concatenate([part for term in terms for part in term]))


def sum_residuals(problem: Problem, solution: Solution) -> None:
    """rss from the residuals, one pass, where S_yy - b'c cancelled too many digits of it."""
    M, C, workers = problem.sums, problem.centred, problem.options.workers
    m, m_y = M.shift + C.means / M.unit, M.target_shift + M.target_mean / M.target_unit
    for t in np.flatnonzero(solution.rss <= CANCELLED * solution.tss).tolist():
        b, b0 = np.ascontiguousarray(solution.coef[t]), float(solution.intercept[t])
        size = abs(b0) + abs(float(m_y[t])) + float(np.abs(m) @ np.abs(b))
        if M.target_unit[t] == 1.0 and not far_off(size, M.sum_weight, float(solution.tss[t])):
            solution.rss[t] = 2 * residuals.fold_cost(problem.rows, b, b0, workers, t)
        else:
            beta = solution.beta[:, t] if solution.beta is not None else np.zeros(0)
            solution.rss[t] = residual_squares(problem, beta, t)


def far_off(size: float, N: float, tss: float) -> bool:
    """Whether terms of the prediction of a row are so large beside the spread of y that residuals lose digits."""
    return not size * size * N <= FAR_OFF**2 * tss
