# SPDX-License-Identifier: BSD-3-Clause
"""Gradient descent, on the moments or on the data; both follow the same iterates.

    J(b) = 1/(2 sum w) (sum_i w_i r_i^2 + l2 ||b||^2)         b := b - learning_rate dJ/db

With scale the iteration runs on centred columns of unit standard deviation and carries no intercept, so
that raw data converge; without it on the raw columns and intercept, as in the textbook.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast import closed_form, inputs, levels
from linreg_fast.centred import centre
from linreg_fast.closed_form import FULL_DIGITS
from linreg_fast.descent_problem import Evaluator, Problem, largest_eigenvalue, power_iteration, problem_of
from linreg_fast.double_double import EPS
from linreg_fast.sums import Sums, Vector

MAX_ITER = 1000
TOL = 1e-8  # of the largest component of the gradient, relative to that at b = 0
EXACT_L = 1024  # unknowns up to which the largest eigenvalue is computed: p^3 work of a quarter second
CALL_STEPS_FLOPS = 2e8  # of one call of the inner loop: KeyboardInterrupt is seen in between
MOMENTUM = ("none", "nesterov")
PASSES = ("moments", "data")


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


@dataclass(frozen=True, slots=True)
class Options:
    """The options of solver="gd", checked.

    learning_rate   None for 1/L, L the largest eigenvalue of the Hessian of J
    max_iter        most steps
    tol             converged when max |dJ/db| <= tol max |dJ/db at 0|; 0 takes all steps
    momentum        "none" or "nesterov"
    scale           iterate on centred columns of unit standard deviation
    coef_init       start: p slopes, or p slopes and an intercept; None for zeros
    callback        called as callback(step, cost, coef, intercept) after each step; True stops
    passes          "moments", "data", or None for whichever the plan finds cheaper
    """

    learning_rate: float | None = None
    max_iter: int = MAX_ITER
    tol: float = TOL
    momentum: str = "none"
    scale: bool = True
    coef_init: NDArray[np.float64] | None = None
    callback: Callable[[int, float, Vector, float], object] | None = None
    passes: str | None = None


def options(given: dict[str, Any], n_features: int, fit_intercept: bool) -> Options:
    """Check the options a user gave.

    Raises
    ------
    TypeError, ValueError
        An option that does not exist, or a value out of its range.
    """
    names = tuple(Options.__slots__)
    for name in given:
        if name not in names:
            raise TypeError(f"unknown option {name!r} of solver 'gd'; the options are {', '.join(names)}")
    values = dict(given)
    if values.get("learning_rate") is not None:
        values["learning_rate"] = inputs.number(values["learning_rate"], "learning_rate", above=0.0)
    if "tol" in values:
        values["tol"] = inputs.number(values["tol"], "tol", least=0.0)
    max_iter = values.get("max_iter", MAX_ITER)
    if isinstance(max_iter, bool) or not isinstance(max_iter, (int, np.integer)):
        raise TypeError(f"max_iter must be an integer, not {type(max_iter).__name__}")
    if max_iter < 1:
        raise ValueError(f"max_iter must be at least 1, got {max_iter}")
    if values.get("momentum", "none") is None:
        values["momentum"] = "none"
    if values.get("momentum", "none") not in MOMENTUM:
        raise ValueError(f"momentum must be one of {', '.join(MOMENTUM)}; got {values['momentum']!r}")
    if values.get("passes") not in (None, *PASSES):
        raise ValueError(f"passes must be one of {', '.join(PASSES)}; got {values['passes']!r}")
    if values.get("callback") is not None and not callable(values["callback"]):
        raise TypeError(f"callback must be callable, not {type(values['callback']).__name__}")
    if values.get("coef_init") is not None:
        start = np.asarray(values["coef_init"])
        length = n_features + 1 if fit_intercept and start.shape == (n_features + 1,) else n_features
        values["coef_init"] = inputs.vector(start, "coef_init", length)
    return Options(**values)


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
    data: inputs.Table,
    M: Sums | None,
    fit_intercept: bool,
    l2: float,
    chosen: Options,
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
    exact = M is not None and len(problem.c) <= EXACT_L
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
            stacklevel=closed_form.caller_level(),
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


def _on_moments(problem: Problem, chosen: Options, rate: float, tol: float) -> tuple[int, int, Vector, float, Vector]:
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


def _on_data(evaluate: Evaluator, chosen: Options, rate: float, tol: float) -> tuple[int, int, Vector, float, Vector]:
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
    best, _, rcond = closed_form.cholesky(C)
    if best is None:
        return 0.0
    exact = np.ldexp(best[:, 0], C.e - C.ey[0])
    b = coef[C.live]
    delta = closed_form.cholesky_delta(C, best, rcond)[0] * np.abs(best).max(initial=0.0)
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
