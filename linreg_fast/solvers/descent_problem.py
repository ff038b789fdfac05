# SPDX-License-Identifier: BSD-3-Clause
"""What gradient descent iterates on: J in the unknowns of the iteration, its gradient, its largest eigenvalue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.centred import centre
from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.algebra.sums import Sums
from linreg_fast.inputs.table import Table, first_fault
from linreg_fast.passes import residuals
from linreg_fast.plan_costs import POWER_STEPS
from linreg_fast.solvers.problem import Problem

POWER_MARGIN = 1.1  # a power iteration approaches from below


@dataclass(slots=True)
class Quadratic:
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
        """Slopes and intercept at z."""
        if len(self.shift):
            return z[:-1].copy(), float(z[-1])
        b = z * self.scale
        return b, float(self.mean_y - self.mean @ b)

    def start(self, init: NDArray[np.float64] | None) -> Vector:
        """z at the coefficients to start from, 0 without any."""
        z = np.zeros(len(self.c))
        if init is not None:
            p = len(self.scale)
            z[:p] = init[:p] / np.where(self.scale > 0, self.scale, 1.0)
            if len(self.shift) and len(init) > p:
                z[p] = init[p]
        return z

    def raw(self, g: Vector) -> Vector:
        """The gradient in the unknowns of the iteration from that in z."""
        if not len(self.shift):
            return g
        out = g.copy()
        out[:-1] += self.shift[:-1] * g[-1]
        return out


def quadratic_of(problem: Problem, M: Sums | None, scale: bool) -> Quadratic:
    """J of the moments, or of passes over the data where M is None."""
    fit_intercept, l2, p = problem.options.fit_intercept, problem.options.l2, problem.rows.n_features
    if M is None:
        assert isinstance(problem.rows, Table)
        return _of_columns(problem.rows, fit_intercept, scale)
    if scale:
        return _of_scaled_moments(M, fit_intercept, l2)
    if not ((M.unit == 1).all() and (M.target_unit == 1).all()):
        raise ValueError("squares of X or y leave the range of float64: scale the columns, or use scale=True")
    A = M.gram / M.sum_weight
    A[np.diag_indices(p)] += l2 / M.sum_weight
    c, shift = M.cross[:, 0] / M.sum_weight, np.zeros(0)
    if fit_intercept:
        A = np.block([[A, M.sums[:, None] / M.sum_weight], [M.sums / M.sum_weight, np.ones((1, 1))]])
        c = np.append(c, M.target_sums[0] / M.sum_weight)
        shift = np.append(M.shift, M.target_shift[0])
    return Quadratic(A, c, M.target_squares[0] / (2 * M.sum_weight), shift, np.ones(p), np.zeros(p), 0.0)


def _of_scaled_moments(M: Sums, fit_intercept: bool, l2: float) -> Quadratic:
    """J of centred columns of unit standard deviation."""
    p = len(M.shift)
    C = centre(M, fit_intercept, 0.0)
    D = np.zeros(p)
    spread = np.diagonal(C.gram) / M.sum_weight
    D[C.live] = 1 / np.sqrt(spread)
    A, c = np.zeros((p, p)), np.zeros(p)
    A[np.ix_(C.live, C.live)] = C.gram / M.sum_weight * D[C.live] * D[C.live, None]
    c[C.live] = C.cross[:, 0] / M.sum_weight * D[C.live]
    factor = np.zeros(p)
    factor[C.live] = np.ldexp(D[C.live], C.exponents)
    if l2:  # factor**2 may overflow, and 0 * inf would be NaN
        A[np.diag_indices(p)] += l2 / M.sum_weight * factor**2
        if not np.isfinite(A).all():
            raise ValueError("l2 beside the squares of X leaves the range of float64: scale the columns")
    back = 1 / M.target_unit[0]
    mean, mean_y = M.shift + C.means / M.unit, float(M.target_shift[0] + M.target_mean[0] * back * fit_intercept)
    # in the units of y, as a learning rate is meant for J of y itself
    return Quadratic(
        A, c * back, C.target_squares[0] / (2 * M.sum_weight) * back * back, np.zeros(0), factor, mean, mean_y
    )


def _of_columns(data: Table, fit_intercept: bool, scale: bool) -> Quadratic:
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
            first_fault(data)
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
        quadratic = Quadratic(np.zeros((0, 0)), c, 0.0, shift, np.ones(p), np.zeros(p), 0.0)
    else:
        varies = deviation[:p] > 0
        with np.errstate(over="ignore"):
            factor = np.where(varies, 1 / np.where(varies, deviation[:p], 1.0), 0.0)
        quadratic = Quadratic(np.zeros((0, 0)), np.ones(p), 0.0, np.zeros(0), factor, mean[:p], float(mean[p]))
    quadratic.J0 = float(squares[p] / (2 * N))
    return quadratic


class Evaluator:
    """Cost and gradient in the unknowns of the iteration, one pass over the data for each."""

    def __init__(self, quadratic: Quadratic, data: Table, problem: Problem) -> None:
        self.quadratic, self.data = quadratic, data
        self.l2, self.n_threads = problem.options.l2, problem.options.workers
        self.N = data.sum_weight()

    def __call__(self, z: Vector) -> tuple[float, Vector]:
        b, b0 = self.quadratic.coefficients(z)
        if not len(self.quadratic.shift) and not self.quadratic.mean.any() and self.quadratic.mean_y == 0.0:
            b0 = 0.0
        out = residuals.pass_gradient(self.data, b, b0, self.n_threads)
        # b'b may overflow, and 0 * inf would be NaN
        cost = (out[0] + (0.5 * self.l2 * (b @ b) if self.l2 else 0.0)) / self.N
        g = (out[1:-2] + self.l2 * b) / self.N
        g0 = out[-2] / self.N
        if len(self.quadratic.shift):
            return cost, np.append(g, g0)
        return cost, self.quadratic.scale * (g - self.quadratic.mean * g0)


def largest_eigenvalue(quadratic: Quadratic, exact: bool) -> float:
    """L of the Hessian in the unknowns of the iteration, or a bound from above."""
    H = quadratic.A
    if len(quadratic.shift):
        T = np.eye(len(H))
        T[-1, :-1] = quadratic.shift[:-1]
        H = T.T @ H @ T
    if len(H) == 0:
        return 0.0
    if not exact:
        return float(np.abs(H).sum(axis=1).max())
    import scipy.linalg

    return float(scipy.linalg.eigvalsh(H, check_finite=False, subset_by_index=[len(H) - 1, len(H) - 1])[0])


def power_iteration(evaluate: Evaluator) -> float:
    """L from products with the Hessian, each one pass: the gradient at v less that at 0, which is kept as -c."""
    quadratic, n = evaluate.quadratic, len(evaluate.quadratic.c)
    zero = evaluate(np.zeros(n))[1]
    quadratic.c = -zero
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
