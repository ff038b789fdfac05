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

from linreg_fast import closed_form, inputs, levels, objective
from linreg_fast.centred import CONSTANT, centre
from linreg_fast.closed_form import FULL_DIGITS
from linreg_fast.double_double import EPS
from linreg_fast.sums import Matrix, Sums, Vector

MAX_ITER = 1000
TOL = 1e-8  # of the largest component of the gradient, relative to that at b = 0
EXACT_L = 1024  # unknowns up to which the largest eigenvalue is computed: p^3 work of a quarter second
POWER_STEPS = 30  # passes that estimate it beyond
POWER_MARGIN = 1.1  # a power iteration approaches from below
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
    gradient: float
    digits: float = 0.0


@dataclass(slots=True)
class _Problem:
    """J(z) = 1/2 z'Az - c'z + J0 and the way from z to coefficients and back.

    shift is [k, ky] where z = [b, b0 + k b - ky] (the textbook iteration), of length 0 where
    b = scale z and b0 = mean_y - mean b.
    """

    A: Matrix
    c: Vector
    J0: float
    shift: Vector
    scale: Vector
    mean: Vector
    mean_y: float

    def coefficients(self, z: Vector) -> tuple[Vector, float]:
        if len(self.shift):
            return z[:-1].copy(), float(z[-1])
        b = z * self.scale
        return b, float(self.mean_y - self.mean @ b)

    def start(self, init: NDArray[np.float64] | None) -> Vector:
        z = np.zeros(len(self.c))
        if init is not None:
            p = len(self.scale)
            z[:p] = init[:p] / np.where(self.scale > 0, self.scale, 1.0)
            if len(self.shift) and len(init) > p:
                z[p] = init[p]
        return z


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
    problem = _problem(data, M, fit_intercept, l2, chosen.scale, n_threads)
    if not math.isfinite(problem.J0):
        raise ValueError("the squares of y leave the range of float64, and so does the cost that descends: scale y")
    tiny = np.flatnonzero(~np.isfinite(problem.scale))
    if tiny.size:
        raise ValueError(
            f"column {tiny[0]} of X is so small that its coefficient leaves the range of float64; scale it"
        )
    L = _largest_eigenvalue(problem, data, n_threads, l2)
    exact = M is not None and len(problem.c) <= EXACT_L
    rate = chosen.learning_rate if chosen.learning_rate is not None else (1.0 / L if L > 0 else 1.0)
    nesterov = chosen.momentum == "nesterov"
    largest = (4.0 / 3.0 if nesterov else 2.0) / L if L > 0 else math.inf
    if exact and rate > largest * (1 + 1e-9):
        raise LearningRateError(rate, largest, 0)
    tol = chosen.tol * float(np.abs(_raw(problem, problem.c)).max(initial=0.0)) if chosen.tol > 0 else -1.0
    run = _on_moments if kind == "moments" else _on_data
    status, steps, z, gradient, history = run(problem, data, chosen, rate, nesterov, tol, l2, n_threads)
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
    done = Descended(coef, intercept, steps, converged, history, gradient)
    if M is not None:
        done.digits = _digits(M, coef, intercept, fit_intercept, l2)
    return done


def _problem(
    data: inputs.Table, M: Sums | None, fit_intercept: bool, l2: float, scale: bool, n_threads: int
) -> _Problem:
    p = data.n_features
    if M is None:
        return _problem_of_columns(data, fit_intercept, scale)
    if scale:
        C = centre(M, fit_intercept, 0.0)
        D = np.zeros(p)
        spread = np.diagonal(C.A) / M.N
        D[C.live] = 1 / np.sqrt(spread)
        A, c = np.zeros((p, p)), np.zeros(p)
        A[np.ix_(C.live, C.live)] = C.A / M.N * D[C.live] * D[C.live, None]
        c[C.live] = C.c[:, 0] / M.N * D[C.live]
        factor = np.zeros(p)
        factor[C.live] = np.ldexp(D[C.live], C.e)
        if l2:  # factor**2 may overflow, and 0 * inf would be NaN
            A[np.diag_indices(p)] += l2 / M.N * factor**2
        back = 1 / M.dy[0]
        mean, mean_y = M.k + C.mu / M.d, float(M.ky[0] + (M.t[0] / M.N * back if fit_intercept else 0.0))
        # in the units of y, as a learning rate is meant for J of y itself
        return _Problem(A, c * back, C.S_yy[0] / (2 * M.N) * back * back, np.zeros(0), factor, mean, mean_y)
    if not ((M.d == 1).all() and (M.dy == 1).all()):
        raise ValueError("squares of X or y leave the range of float64: scale the columns, or use scale=True")
    A = M.G / M.N
    A[np.diag_indices(p)] += l2 / M.N
    c, shift = M.q[:, 0] / M.N, np.zeros(0)
    if fit_intercept:
        A = np.block([[A, M.s[:, None] / M.N], [M.s / M.N, np.ones((1, 1))]])
        c = np.append(c, M.t[0] / M.N)
        shift = np.append(M.k, M.ky[0])
    return _Problem(A, c, M.u[0] / (2 * M.N), shift, np.ones(p), np.zeros(p), 0.0)


def _problem_of_columns(data: inputs.Table, fit_intercept: bool, scale: bool) -> _Problem:
    """What the iteration on the data needs where p x p moments are too large: means and deviations."""
    p = data.n_features
    N, sums = 0.0, np.zeros(p + 1)
    squares = np.zeros(p + 1)
    first: Vector | None = None
    for at in range(0, data.n_rows, data.piece_rows()):
        to = min(at + data.piece_rows(), data.n_rows)
        Z = np.hstack([data.X[at:to].astype(np.float64), data.Y[at:to].astype(np.float64)])
        w = np.ones(to - at) if data.w is None else np.asarray(data.w[at:to], dtype=np.float64)
        Z, w = Z[w != 0], w[w != 0]
        if first is None and len(Z):
            first = Z[0].copy() if fit_intercept else np.zeros(p + 1)
        if len(Z):
            Z -= first
        N += w.sum()
        sums += w @ Z
        squares += w @ (Z * Z)
    if first is None or not (np.isfinite(squares).all() and N > 0):
        raise ValueError(
            inputs.first_fault(data)
            or (N > 0 and "squares of X or y leave the range of float64: scale the columns, or use passes='moments'")
            or "sample_weight has no positive weight: no row is left to fit"
        )
    mean = first + sums / N if fit_intercept else np.zeros(p + 1)
    variance = squares / N - (sums / N) ** 2 * fit_intercept
    deviation = np.sqrt(np.maximum(variance, 0.0))
    if not scale:
        unknowns = p + fit_intercept
        shift = np.zeros(unknowns) if fit_intercept else np.zeros(0)
        c = np.ones(unknowns)  # replaced by the gradient at 0, one pass
        problem = _Problem(np.zeros((0, 0)), c, 0.0, shift, np.ones(p), np.zeros(p), 0.0)
    else:
        varies = deviation[:p] > CONSTANT * np.abs(mean[:p])
        with np.errstate(over="ignore"):
            factor = np.where(varies, 1 / np.where(varies, deviation[:p], 1.0), 0.0)
        problem = _Problem(np.zeros((0, 0)), np.ones(p), 0.0, np.zeros(0), factor, mean[:p], float(mean[p]))
    problem.J0 = float(squares[p] / (2 * N))
    return problem


def _raw(problem: _Problem, g: Vector) -> Vector:
    """The gradient in the unknowns of the iteration from that in z."""
    if not len(problem.shift):
        return g
    out = g.copy()
    out[:-1] += problem.shift[:-1] * g[-1]
    return out


def _largest_eigenvalue(problem: _Problem, data: inputs.Table, n_threads: int, l2: float) -> float:
    """L: exactly for few unknowns, a bound from above for more, by power iteration on the data without moments."""
    if len(problem.A) == 0 and len(problem.c):
        return _power_iteration(problem, data, n_threads, l2)
    H = problem.A
    if len(problem.shift):
        T = np.eye(len(H))
        T[-1, :-1] = problem.shift[:-1]
        H = T.T @ H @ T
    if len(H) == 0:
        return 0.0
    if len(H) > EXACT_L:
        return float(np.abs(H).sum(axis=1).max())
    import scipy.linalg

    return float(scipy.linalg.eigvalsh(H, check_finite=False, subset_by_index=[len(H) - 1, len(H) - 1])[0])


def _power_iteration(problem: _Problem, data: inputs.Table, n_threads: int, l2: float) -> float:
    """L from products with the Hessian, each one pass: the gradient at v less that at 0."""
    evaluate = _Evaluator(problem, data, l2, n_threads)
    n = len(problem.c)
    zero = evaluate(np.zeros(n))[1]
    problem.c = -zero
    v = np.cos(np.arange(n) * 1.7) + 0.1
    v /= np.linalg.norm(v)
    L = 0.0
    for _ in range(POWER_STEPS):
        Hv = evaluate(v)[1] - zero
        before, L = L, float(np.linalg.norm(Hv))
        if L == 0.0:
            break
        v = Hv / L
        if abs(L - before) < 1e-3 * L:
            break
    return POWER_MARGIN * L


def _stable_rate(history: Vector, rate: float, bound: float) -> float:
    """The largest stable rate from the growth of the cost: its top component grows by |1 - rate L| a step."""
    with np.errstate(all="ignore"):
        growth = math.sqrt(history[-1] / history[-2]) if len(history) > 1 and history[-2] > 0 else math.nan
    seen = 2 * rate / (1 + growth) if math.isfinite(growth) and growth > 1 else math.inf
    return min(bound, seen)


def _on_moments(
    problem: _Problem,
    data: inputs.Table,
    chosen: Options,
    rate: float,
    nesterov: bool,
    tol: float,
    l2: float,
    n_threads: int,
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
            A, c, problem.J0, problem.shift, rate, nesterov, tol, steps, last, state, history
        )
        if chosen.callback is not None and status != 2 and steps:
            coef, intercept = problem.coefficients(state[0])
            if chosen.callback(steps, float(history[steps]), coef, intercept):
                status = status or 3
        if status or steps == chosen.max_iter:
            break
    return status, steps, state[0], float(np.abs(state[5]).max(initial=0.0)), history[: steps + 1].copy()


class _Evaluator:
    """Cost and gradient in the unknowns of the iteration, one pass over the data for each."""

    def __init__(self, problem: _Problem, data: inputs.Table, l2: float, n_threads: int) -> None:
        self.problem, self.data, self.l2, self.n_threads = problem, data, l2, n_threads
        self.N = float(data.n_rows if data.w is None else np.sum(data.w, dtype=np.float64))

    def __call__(self, z: Vector) -> tuple[float, Vector]:
        b, b0 = self.problem.coefficients(z)
        if not len(self.problem.shift) and not self.problem.mean.any() and self.problem.mean_y == 0.0:
            b0 = 0.0
        out = objective.pass_gradient(self.data, b, b0, self.n_threads)
        # b'b may overflow, and 0 * inf would be NaN
        cost = (out[0] + (0.5 * self.l2 * (b @ b) if self.l2 else 0.0)) / self.N
        g = (out[1:-2] + self.l2 * b) / self.N
        g0 = out[-2] / self.N
        if len(self.problem.shift):
            return cost, np.append(g, g0)
        return cost, self.problem.scale * (g - self.problem.mean * g0)


def _on_data(
    problem: _Problem,
    data: inputs.Table,
    chosen: Options,
    rate: float,
    nesterov: bool,
    tol: float,
    l2: float,
    n_threads: int,
) -> tuple[int, int, Vector, float, Vector]:
    """The same iteration with one pass over the data for each step."""
    evaluate = _Evaluator(problem, data, l2, n_threads)
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
