# SPDX-License-Identifier: BSD-3-Clause
"""Gradient descent, on the moments or on the data; both follow the same iterates.

    J(b) = 1/(2 sum w) (sum_i w_i r_i^2 + l2 ||b||^2)         b := b - learning_rate dJ/db

With scale the iteration runs on centred columns of unit standard deviation and carries no intercept, so
that raw data converge; without it on the raw columns and intercept, as in the textbook.
"""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from linreg_fast import plan_costs
from linreg_fast.algebra.centred import centre, points_of_sums
from linreg_fast.algebra.digits import FULL_DIGITS, ROUNDING, cholesky_delta, digits_of, vanished
from linreg_fast.algebra.precision import EPS, Vector, any_range
from linreg_fast.algebra.sums import Sums
from linreg_fast.inputs.table import Table
from linreg_fast.options import DescentOptions
from linreg_fast.passes import levels
from linreg_fast.passes.residuals import fold_cost
from linreg_fast.solvers.descent_problem import (
    Evaluator,
    Quadratic,
    largest_eigenvalue,
    power_iteration,
    quadratic_of,
)
from linreg_fast.solvers.factor import cholesky
from linreg_fast.solvers.problem import Problem
from linreg_fast.solvers.refinement import CANCELLED, residual_squares
from linreg_fast.solvers.solution import Solution, caller_level

NOISE = 1e-12  # rounding of a cost, relative to J0
CALL_STEPS_FLOPS = 2e8  # of one call of the inner loop: KeyboardInterrupt is seen in between


class ConvergenceWarning(UserWarning):
    """Gradient descent stopped before its gradient was small enough."""


class LearningRateError(ValueError):
    """The learning rate is too large: the iteration diverges. `largest_stable` says how large it may be."""

    def __init__(self, rate: float, largest_stable: float, steps: int) -> None:
        self.learning_rate, self.largest_stable, self.n_iter = rate, largest_stable, steps
        super().__init__(
            f"gradient descent diverges at learning_rate={rate:.6g} (seen after {steps} steps); "
            f"the largest stable rate is {largest_stable:.6g}"
        )


@any_range
def solve(problem: Problem) -> Solution:
    """Gradient descent, on the moments or on the data, as the plan says.

    Raises
    ------
    LearningRateError
        The iteration diverges.

    Warns
    -----
    ConvergenceWarning
        `max_iter` steps did not suffice.
    """
    rows, options, kind = problem.rows, problem.options, problem.plan.passes
    if rows.n_targets != 1:
        raise ValueError(f"solver 'gd' takes one target, there are {rows.n_targets}: fit them one by one")
    if options.on_collinear != "min_norm":
        raise ValueError(
            f"solver 'gd' does not see collinear columns: on_collinear={options.on_collinear!r} needs another"
        )
    chosen = options.descent or DescentOptions()
    chosen = replace(chosen, coef_init=chosen.start(rows.n_features, options.fit_intercept))
    # the moments give the learning rate and the digits, wherever p x p numbers are affordable
    M = problem.sums if kind == "moments" or rows.n_features <= plan_costs.EXACT_L else None
    data = None
    if kind == "data":
        assert isinstance(rows, Table)
        data = replace(rows, X=rows.X[:], order="F") if rows.apart else rows  # put together once, not at each step
    quadratic = quadratic_of(problem, M, chosen.scale)
    ended = _descended(quadratic, chosen, None if data is None else Evaluator(quadratic, data, problem), M is not None)
    coef, intercept = quadratic.coefficients(ended.z)
    solution = _finish(problem, M, coef, intercept if options.fit_intercept else 0.0, ended)
    if M is not None and options.fit_intercept and chosen.scale:  # b0 = mean_y - mean b in each step
        solution.origin, _ = points_of_sums(M, centre(M, True, 0.0), coef[None])
    return solution


class _Ended(NamedTuple):
    """Where the iteration ended."""

    status: int  # 1: converged; 2: diverged; 3: stopped by the callback; 0: out of steps
    n_iter: int
    z: Vector
    gradient: float  # its largest component
    history: Vector
    converged: bool = False


def _descended(quadratic: Quadratic, chosen: DescentOptions, evaluate: Evaluator | None, has_moments: bool) -> _Ended:
    """Run the iteration, on the moments without `evaluate`."""
    if not math.isfinite(quadratic.J0):
        raise ValueError("the squares of y leave the range of float64, and so does the cost that descends: scale y")
    tiny = np.flatnonzero(~np.isfinite(quadratic.scale))
    if tiny.size:
        raise ValueError(
            f"column {tiny[0]} of X is so small that its coefficient leaves the range of float64; scale it"
        )
    exact = has_moments and len(quadratic.c) <= plan_costs.EXACT_L
    by_moments = has_moments or evaluate is None
    L = largest_eigenvalue(quadratic, exact) if by_moments else power_iteration(evaluate)  # type: ignore[arg-type]
    rate = chosen.learning_rate if chosen.learning_rate is not None else (1.0 / L if L > 0 else 1.0)
    largest = (4.0 / 3.0 if chosen.momentum == "nesterov" else 2.0) / L if L > 0 else math.inf
    if exact and rate > largest * (1 + 1e-9):
        raise LearningRateError(rate, largest, 0)
    tol = chosen.tol * float(np.abs(quadratic.raw(quadratic.c)).max(initial=0.0)) if chosen.tol > 0 else -1.0
    step = functools.partial(_on_moments, quadratic) if evaluate is None else functools.partial(_on_data, evaluate)
    ended = step(chosen, rate, tol)
    if ended.status == 2:
        stable = largest if exact else _stable_rate(ended.history, rate, largest)
        raise LearningRateError(rate, stable, ended.n_iter)
    # with tol=0 all steps are what was asked for
    converged = ended.status == 1 or (ended.status == 0 and chosen.tol == 0)
    if ended.status == 0 and not converged:
        warnings.warn(
            f"gradient descent did not converge in {ended.n_iter} steps: the largest component of the gradient is "
            f"{ended.gradient:.3g}, {tol:.3g} was asked for; raise max_iter, use momentum='nesterov' or a closed form",
            ConvergenceWarning,
            stacklevel=caller_level(),
        )
    return ended._replace(converged=converged)


def _finish(problem: Problem, M: Sums | None, coef: Vector, intercept: float, ended: _Ended) -> Solution:
    """Sums of squares and digits of where the iteration ended."""
    rows, options = problem.rows, problem.options
    l2, workers, y_unit, digits = options.l2, options.workers, 1.0, 0.0
    if M is None:
        assert isinstance(rows, Table)
        n_samples, sum_weight = rows.n_present(), rows.sum_weight()
        tss = _total_squares(rows, options.fit_intercept)
    else:
        C = centre(M, options.fit_intercept, 0.0)
        n_samples, sum_weight = M.n_rows, M.sum_weight
        tss, y_unit = float(C.target_squares[0]), 1.0 / float(M.target_unit[0])
        digits = _digits(M, coef, intercept, options.fit_intercept, l2)
    history = ended.history
    rss = 2 * sum_weight * float(history[-1]) - (l2 * float(coef @ coef) if l2 else 0.0)
    if y_unit != 1.0:
        unpenalised = Problem(rows, replace(options, l2=0.0), problem.asked)
        unpenalised.sums, unpenalised.centred = problem.sums, C
        rss = residual_squares(unpenalised, np.ldexp(coef[C.live], C.target_exponents[0] - C.exponents), 0)
    elif rss <= CANCELLED * tss:
        rss = 2 * fold_cost(rows, coef, intercept, workers)
        # what is left of the last costs, which are differences from J0, may be below zero
        history[-1] = (rss + l2 * float(coef @ coef)) / (2 * sum_weight)
        lost = history < NOISE * tss / (2 * sum_weight)
        history[lost] = np.maximum(history[lost], history[-1])
    return Solution(
        coef=coef[None],
        intercept=np.array([intercept]),
        rss=np.array([rss]),
        tss=np.array([tss]),
        rank=rows.n_features,
        rcond=math.nan,
        digits=digits,
        path=("gd",),
        y_unit=np.array([y_unit]),
        n_samples=n_samples,
        sum_weight=sum_weight,
        reason=f"{problem.plan.reason}; passes over the {problem.plan.passes}",
        converged=ended.converged,
        n_iter=ended.n_iter,
        history=history,
    )


def _total_squares(data: Table, fit_intercept: bool) -> float:
    """Sum of squares of y, about its mean where there is an intercept."""
    y = np.asarray(data.Y[:, 0], dtype=np.float64)
    w = np.ones(len(y)) if data.w is None else np.asarray(data.w, dtype=np.float64)
    y = np.where(w != 0, y, 0.0)
    return float(w @ (y - (w @ y / w.sum() if fit_intercept else 0.0)) ** 2)


def _stable_rate(history: Vector, rate: float, bound: float) -> float:
    """The largest stable rate from the growth of the cost: its top component grows by |1 - rate L| a step."""
    with np.errstate(all="ignore"):
        growth = math.sqrt(history[-1] / history[-2]) if len(history) > 1 and history[-2] > 0 else math.nan
    seen = 2 * rate / (1 + growth) if math.isfinite(growth) and growth > 1 else math.inf
    return min(bound, seen)


def _on_moments(quadratic: Quadratic, chosen: DescentOptions, rate: float, tol: float) -> _Ended:
    """The inner loop of the kernels, in calls short enough to be interrupted."""
    n = len(quadratic.c)
    state = np.zeros((6, n))
    start = quadratic.start(chosen.coef_init)
    state[0] = start
    state[1] = start
    if len(quadratic.shift):
        state[1, -1] = start[-1] + quadratic.shift[:-1] @ start[:-1] - quadratic.shift[-1]
    history = np.empty(chosen.max_iter + 1)
    A, c = np.ascontiguousarray(quadratic.A), np.ascontiguousarray(quadratic.c)
    stride = 1 if chosen.callback is not None else max(1, int(CALL_STEPS_FLOPS / (2.0 * n * n + 20 * n + 1)))
    status = steps = 0
    while True:
        last = min(steps + stride, chosen.max_iter)
        status, steps = levels.kernels.descent(
            A, c, quadratic.J0, quadratic.shift, rate, chosen.momentum == "nesterov", tol, steps, last, state, history
        )
        if chosen.callback is not None and status != 2 and steps:
            coef, intercept = quadratic.coefficients(state[0])
            if chosen.callback(steps, max(float(history[steps]), 0.0), coef, intercept):
                status = status or 3
        if status or steps == chosen.max_iter:
            break
    return _Ended(status, steps, state[0], float(np.abs(state[5]).max(initial=0.0)), history[: steps + 1].copy())


def _on_data(evaluate: Evaluator, chosen: DescentOptions, rate: float, tol: float) -> _Ended:
    """The same iteration with one pass over the data for each step."""
    quadratic, nesterov = evaluate.quadratic, chosen.momentum == "nesterov"
    z = quadratic.start(chosen.coef_init)
    step, g_last = np.zeros_like(z), np.zeros_like(z)
    history: list[float] = []
    noise = NOISE * abs(quadratic.J0)
    status = t = 0
    largest = math.inf
    for t in range(chosen.max_iter + 1):
        cost, g = evaluate(z)
        history.append(cost)
        largest = float(np.abs(g).max(initial=0.0))
        rising = len(history) > 3 and all(history[-i] > history[-i - 1] + noise for i in (1, 2, 3))
        if not (math.isfinite(cost) and math.isfinite(largest)) or cost > 3 * history[0] + noise:
            status = 2
        elif largest <= tol:
            status = 1
        elif rising and not nesterov:
            status = 2
        if chosen.callback is not None and t and status != 2:
            coef, intercept = quadratic.coefficients(z)
            if chosen.callback(t, cost, coef, intercept):
                status = status or 3
        if status or t == chosen.max_iter:
            break
        momentum = (t - 1.0) / (t + 2.0) if nesterov and t > 1 else 0.0
        step = momentum * step - rate * (g + momentum * (g - g_last))
        g_last = g
        z = z + step
    return _Ended(status, t, z, largest, np.array(history))


def _digits(M: Sums, coef: Vector, intercept: float, fit_intercept: bool, l2: float) -> float:
    """Digits from the step that one Newton iteration would still take, and from the conditioning."""
    C = centre(M, fit_intercept, l2)
    if not len(C.live):
        return FULL_DIGITS
    best, _, rcond = cholesky(C)
    if best is None:
        return 0.0
    exact = np.ldexp(best[:, 0], C.exponents - C.target_exponents[0])
    b = coef[C.live]
    if vanished(best, exact[:, None]):
        return 0.0
    delta = cholesky_delta(C, best, rcond)[0] * np.abs(best).max(initial=0.0)
    error = np.abs(b - exact) + np.ldexp(delta, C.exponents - C.target_exponents[0])
    size = ROUNDING * max(float(np.abs(best).max(initial=0.0)), math.sqrt(C.target_squares[0]))
    digits = digits_of(np.abs(exact), error, np.ldexp(size, C.exponents - C.target_exponents[0]))
    if not fit_intercept:
        return digits
    m, m_y = M.shift + C.means / M.unit, float(M.target_shift[0] + M.target_mean[0] / M.target_unit[0])
    b0 = m_y - m[C.live] @ exact
    terms = abs(m_y) + float(np.abs(m[C.live] * exact).sum())
    error_0 = abs(intercept - b0) + EPS * terms
    error_0 += np.abs(m[C.live]) @ np.ldexp(delta, C.exponents - C.target_exponents[0])
    return min(digits, digits_of(np.array([abs(b0)]), np.array([error_0]), ROUNDING * terms))
