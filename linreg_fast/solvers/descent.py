# SPDX-License-Identifier: BSD-3-Clause
"""Gradient descent, on the moments or on the data; both follow the same iterates.

    J(b) = 1/(2 sum w) (sum_i w_i r_i^2 + l2 ||b||^2)         b := b - learning_rate dJ/db

With scale the iteration runs on centred columns of unit standard deviation and carries no intercept, so
that raw data converge; without it on the raw columns and intercept, as in the textbook.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from linreg_fast import plan_costs
from linreg_fast.algebra import factors
from linreg_fast.algebra.centred import centre
from linreg_fast.algebra.digits import FULL_DIGITS, cholesky_delta
from linreg_fast.algebra.precision import EPS, Vector
from linreg_fast.algebra.sums import Sums
from linreg_fast.inputs.table import Table
from linreg_fast.options import DescentOptions
from linreg_fast.passes import levels
from linreg_fast.solvers.descent_problem import Evaluator, Problem, largest_eigenvalue, power_iteration, problem_of
from linreg_fast.solvers.solution import caller_level

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


@dataclass(slots=True)
class Descended:
    """Where the iteration ended."""

    coef: Vector
    intercept: float
    n_iter: int
    converged: bool
    history: Vector
    digits: float = 0.0


def descend(
    data: Table,
    M: Sums | None,
    fit_intercept: bool,
    l2: float,
    chosen: DescentOptions,
    kind: str,
    n_threads: int,
) -> Descended:
    """Run gradient descent, `kind` being "moments" or "data"; M may be None for "data" only.

    Raises
    ------
    LearningRateError
        The iteration diverges.

    Warns
    -----
    ConvergenceWarning
        `max_iter` steps did not suffice.
    """
    problem = problem_of(data, M, fit_intercept, l2, chosen.scale)
    if not math.isfinite(problem.J0):
        raise ValueError("the squares of y leave the range of float64, and so does the cost that descends: scale y")
    tiny = np.flatnonzero(~np.isfinite(problem.scale))
    if tiny.size:
        raise ValueError(
            f"column {tiny[0]} of X is so small that its coefficient leaves the range of float64; scale it"
        )
    evaluate = Evaluator(problem, data, l2, n_threads) if kind == "data" else None
    exact = M is not None and len(problem.c) <= plan_costs.EXACT_L
    L = largest_eigenvalue(problem, exact) if M is not None or evaluate is None else power_iteration(evaluate)
    rate = chosen.learning_rate if chosen.learning_rate is not None else (1.0 / L if L > 0 else 1.0)
    largest = (4.0 / 3.0 if chosen.momentum == "nesterov" else 2.0) / L if L > 0 else math.inf
    if exact and rate > largest * (1 + 1e-9):
        raise LearningRateError(rate, largest, 0)
    tol = chosen.tol * float(np.abs(problem.raw(problem.c)).max(initial=0.0)) if chosen.tol > 0 else -1.0
    ended = _on_moments(problem, chosen, rate, tol) if evaluate is None else _on_data(evaluate, chosen, rate, tol)
    status, steps, z, gradient, history = ended
    if status == 2:
        raise LearningRateError(rate, largest if exact else _stable_rate(history, rate, largest), steps)
    coef, intercept = problem.coefficients(z)
    if not fit_intercept:
        intercept = 0.0
    # with tol=0 all steps are what was asked for
    converged = status == 1 or (status == 0 and chosen.tol == 0)
    if status == 0 and not converged:
        warnings.warn(
            f"gradient descent did not converge in {steps} steps: the largest component of the gradient is "
            f"{gradient:.3g}, {tol:.3g} was asked for; raise max_iter, use momentum='nesterov' or a closed form",
            ConvergenceWarning,
            stacklevel=caller_level(),
        )
    done = Descended(coef, intercept, steps, converged, history)
    if M is not None:
        done.digits = _digits(M, coef, intercept, fit_intercept, l2)
    return done


def _stable_rate(history: Vector, rate: float, bound: float) -> float:
    """The largest stable rate from the growth of the cost: its top component grows by |1 - rate L| a step."""
    with np.errstate(all="ignore"):
        growth = math.sqrt(history[-1] / history[-2]) if len(history) > 1 and history[-2] > 0 else math.nan
    seen = 2 * rate / (1 + growth) if math.isfinite(growth) and growth > 1 else math.inf
    return min(bound, seen)


def _on_moments(
    problem: Problem, chosen: DescentOptions, rate: float, tol: float
) -> tuple[int, int, Vector, float, Vector]:
    """The inner loop of the kernels, in calls short enough to be interrupted."""
    n = len(problem.c)
    state = np.zeros((6, n))
    start = problem.start(chosen.coef_init)
    state[0] = start
    state[1] = start
    if len(problem.shift):
        state[1, -1] = start[-1] + problem.shift[:-1] @ start[:-1] - problem.shift[-1]
    history = np.empty(chosen.max_iter + 1)
    A, c = np.ascontiguousarray(problem.A), np.ascontiguousarray(problem.c)
    stride = 1 if chosen.callback is not None else max(1, int(CALL_STEPS_FLOPS / (2.0 * n * n + 20 * n + 1)))
    status = steps = 0
    while True:
        last = min(steps + stride, chosen.max_iter)
        status, steps = levels.kernels.descent(
            A, c, problem.J0, problem.shift, rate, chosen.momentum == "nesterov", tol, steps, last, state, history
        )
        if chosen.callback is not None and status != 2 and steps:
            coef, intercept = problem.coefficients(state[0])
            if chosen.callback(steps, float(history[steps]), coef, intercept):
                status = status or 3
        if status or steps == chosen.max_iter:
            break
    return status, steps, state[0], float(np.abs(state[5]).max(initial=0.0)), history[: steps + 1].copy()


def _on_data(
    evaluate: Evaluator, chosen: DescentOptions, rate: float, tol: float
) -> tuple[int, int, Vector, float, Vector]:
    """The same iteration with one pass over the data for each step."""
    problem, nesterov = evaluate.problem, chosen.momentum == "nesterov"
    z = problem.start(chosen.coef_init)
    step, g_last = np.zeros_like(z), np.zeros_like(z)
    history: list[float] = []
    noise = 1e-12 * abs(problem.J0)
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
            coef, intercept = problem.coefficients(z)
            if chosen.callback(t, cost, coef, intercept):
                status = status or 3
        if status or t == chosen.max_iter:
            break
        momentum = (t - 1.0) / (t + 2.0) if nesterov and t > 1 else 0.0
        step = momentum * step - rate * (g + momentum * (g - g_last))
        g_last = g
        z = z + step
    return status, t, z, largest, np.array(history)


def _digits(M: Sums, coef: Vector, intercept: float, fit_intercept: bool, l2: float) -> float:
    """Digits from the step that one Newton iteration would still take, and from the conditioning."""
    C = centre(M, fit_intercept, l2)
    if not len(C.live):
        return FULL_DIGITS
    best, _, rcond = factors.cholesky(C)
    if best is None:
        return 0.0
    exact = np.ldexp(best[:, 0], C.e - C.ey[0])
    b = coef[C.live]
    delta = cholesky_delta(C, best, rcond)[0] * np.abs(best).max(initial=0.0)
    error = np.abs(b - exact) + np.ldexp(delta, C.e - C.ey[0])
    pairs = [(np.abs(exact), error)]
    if fit_intercept:
        m = M.k + C.mu / M.d
        m_y = float(M.ky[0] + M.t[0] / M.N / M.dy[0])
        b0 = m_y - m[C.live] @ exact
        error_0 = abs(intercept - b0) + EPS * (abs(m_y) + np.abs(m[C.live] * exact).sum())
        error_0 += np.abs(m[C.live]) @ np.ldexp(delta, C.e - C.ey[0])
        pairs.append((np.atleast_1d(abs(b0)), np.atleast_1d(error_0)))
    digits = FULL_DIGITS
    for size, wrong in pairs:
        known = size > 0
        if known.any():
            digits = min(digits, -math.log10(max(float((wrong[known] / size[known]).max()), EPS)))
    return max(0.0, digits)
