# SPDX-License-Identifier: BSD-3-Clause
"""Extra-precise refinement: residual and gradient in double-double, corrections through the factor at hand.

    repeat:  g = Z'W(v - b_0 - Zb) in double-double;  h = g - mu g_0 - l2 b;  A d = h;  b += d

Z = X - k and v = y - ky are exact pairs, so that the sums have the size of the centred columns. Only the
factor, b as pairs and p + 2 double-double sums are kept: no Q, no residuals. The limit does not depend on
the factor, which only sets the speed: an error contracts by eps kappa^2 (Cholesky) or eps kappa (QR) a pass.
"""

from __future__ import annotations

import functools
import math
import warnings
from typing import Any

import numpy as np

from linreg_fast import closed_form, inputs, levels, passes
from linreg_fast.closed_form import EPS, FULL_DIGITS, Centred, Solution
from linreg_fast.double_double import add, add_to, multiply, pairs, total, two_product
from linreg_fast.sums import Matrix, Sums, Vector

AUTO_DIGITS = 10.0  # precision="auto" refines where fewer are expected
MAX_PASSES = 8
LAST_PLACE = 2.0**-54  # a correction below is rounded away
NEGLIGIBLE = 2.0**-90  # of the largest coefficient: a coefficient below may be exactly 0
STALLED = 0.5  # a contraction worse than this is none
FLOOR = 1e-11  # of the largest coefficient: corrections that stall below are rounding, those above a bad factor
SURE_CONTRACTION = 1e-6  # predicted for the first correction; a larger one has to be seen
DD_EPS = 2.0**-106  # relative rounding of a double-double
GAIN_LIMIT = 1e-6  # share of rss that a correction may take off it in the last pass of "auto"
REFINE_FLOPS = 60  # float64 operations for each element of X, TwoProd and TwoSum twice


def _pass(
    data: Any,
    target: int,
    scale: Vector,
    shift: Vector,
    b: Matrix,
    n_threads: int,
    *,
    columns: bool = True,
) -> Matrix:
    """[g_1 .. g_p, g_0, rss] as pairs, in one pass; without the columns of X for `columns` False."""
    one = functools.partial(
        _pass_table, target=target, scale=scale, shift=shift, b=b, n_threads=n_threads, columns=columns
    )
    return np.asarray(data.fold(one, add))


def _pass_table(
    data: inputs.Table,
    target: int,
    scale: Vector,
    shift: Vector,
    b: Matrix,
    n_threads: int,
    columns: bool,
) -> Matrix:
    """`_pass` over the rows of one table."""
    p = data.n_features if columns else 0
    kernel = levels.refine[data.order or "C", data.dtype]
    out_shape = (p + 2, 2)

    def rows(lo: int, hi: int, work: Vector, out: Vector) -> None:
        for X, Y, w, first, last in data.pieces(lo, hi):
            part = X if columns else X[:, :0]
            kernel(part, Y[:, target], w, first, last, scale, shift, b, work, out.reshape(out_shape))

    seconds = passes.row_seconds(data.X.dtype.itemsize * p + 8, REFINE_FLOPS * (p + 1))
    work_size = levels.kernels.refine_work_size(p)
    out = passes.sum_rows(rows, data.n_rows, work_size, 2 * (p + 2), seconds, n_threads, add=add_to)
    return out.reshape(out_shape)


def refine(
    data: inputs.Table,
    M: Sums,
    C: Centred,
    solution: Solution,
    solver: str,
    fit_intercept: bool,
    full: bool,
    n_threads: int,
) -> Solution:
    """Refine a solution until its coefficients are full, or with `full` False until 15 digits are predicted.

    Where corrections do not contract, "auto" goes on from cholesky to qr to svd and starts again.
    """
    if not levels.kernels.double_double_works(1 + 2.0**-30, 1 + 2.0**-30):
        warnings.warn(
            "double-double arithmetic does not work in this process (a library may have switched the rounding "
            "mode or flushed subnormals): coefficients were not refined",
            closed_form.ConditionWarning,
            stacklevel=closed_form.caller_level(),
        )
        return solution
    while True:
        done = [_refine_target(data, M, C, solution, t, fit_intercept, full, n_threads) for t in range(data.n_targets)]
        if all(one is not None for one in done) or solver != "auto" or solution.path[-1] == "svd":
            break
        solution = closed_form.solve(data, M, C, "auto", fit_intercept, solution.path)
    if any(one is None for one in done):
        warnings.warn(
            f"refinement does not contract through {solution.path[-1]} (rcond {solution.rcond:.1e}): coefficients "
            f"are not refined, some {solution.digits:.0f} digits may be right",
            closed_form.ConditionWarning,
            stacklevel=closed_form.caller_level(),
        )
    digits, ess = FULL_DIGITS, solution.tss - solution.rss
    for t, one in enumerate(done):
        if one is None:
            digits = min(digits, solution.digits)
            continue
        solution.coef[t], solution.intercept[t], solution.rss[t], solution.tss[t], ess[t] = one[:5]
        digits = min(digits, one[5])
    solution.digits, solution.ess = digits, ess
    return solution


def _refine_target(
    data: inputs.Table,
    M: Sums,
    C: Centred,
    solution: Solution,
    t: int,
    fit_intercept: bool,
    full: bool,
    n_threads: int,
) -> tuple[Vector, float, float, float, float, float] | None:
    """(coef, intercept, rss, tss, ess, digits) of one target, or None where corrections do not contract."""
    live, factor = C.live, solution.factor
    p = len(live)
    to_y = float(np.ldexp(1.0, C.ey[t]))
    unit = np.ldexp(1.0, C.e)
    scale, shift = np.zeros(data.n_features + 1), np.zeros(data.n_features + 1)
    scale[live], scale[-1] = unit, to_y
    shift[live], shift[-1] = M.k[live] * unit, M.ky[t] * to_y
    mu = C.mu[live] / M.d[live] * unit
    m, mean_y = shift[live] + mu, shift[-1] + float(M.t[t] / M.N)
    penalty = C.l2 * unit**2 if C.l2 else np.zeros(p)  # 0 * inf would be NaN
    beta = pairs(solution.beta[:, t] if solution.beta is not None else np.zeros(0))
    # the intercept of the shifted problem, whose size is that of the spread of y
    b0 = pairs(np.array([M.t[t] / M.N - mu @ beta[:, 0] if fit_intercept else 0.0]))
    b = np.zeros((data.n_features + 1, 2))
    size = math.inf
    kappa, gain = (factor.kappa, EPS * factor.gain) if factor else (1.0, EPS)
    for count in range(1, MAX_PASSES + 1):
        b[live], b[-1] = beta, b0[0]
        sums = _pass(data, t, scale, shift, b, n_threads)
        g, g0, rss = sums[live], sums[-2:-1], sums[-1]
        h = g
        if fit_intercept:
            h = add(h, -multiply(pairs(mu), np.repeat(g0, p, axis=0)))
        if C.l2:
            h = add(h, -multiply(pairs(penalty), beta))
        d = factor.solve(h[:, 0]) if factor else np.zeros(0)
        mean = float(g0[0, 0] / M.N) if fit_intercept else 0.0
        # what this correction takes off the residual sum of squares, which matters where that is nearly 0
        gained = float(d @ h[:, 0]) + (g0[0, 0] ** 2 / M.N if fit_intercept else 0.0) if not C.l2 else 0.0
        beta, b0 = add(beta, pairs(d)), add(b0, pairs(np.array([mean - mu @ d])))
        d0, intercept = mean - float(m @ d), _intercept(b0[0], beta, shift[live], shift[-1]) if fit_intercept else 0.0
        before, size = size, float(np.abs(d).max(initial=0.0))
        most = float(np.abs(beta[:, 0]).max(initial=0.0))
        floor0 = max(abs(mean_y), float(np.abs(m * beta[:, 0]).max(initial=0.0)))
        # rounding of the residuals, and of the sums they enter, seen through the condition number
        spread, residual = math.sqrt(C.S_yy[t]), math.sqrt(max(0.0, float(rss[0])))
        noise = DD_EPS * kappa * (spread + most + kappa * residual)
        small = np.abs(d) <= LAST_PLACE * np.abs(beta[:, 0]) + NEGLIGIBLE * most
        small0 = abs(d0) <= LAST_PLACE * abs(intercept) + NEGLIGIBLE * floor0
        # one pass may contract by luck: no more is relied on than the condition number predicts
        expected = min(10 * gain, STALLED)
        theta = size / before if count > 1 and before > 0 else expected
        limits = most, floor0, noise, noise * float(np.linalg.norm(m))
        digits = _digits(d, d0, beta[:, 0], intercept, *limits, max(theta, expected))
        if not np.isfinite(size):
            return None
        # rss less a gain of its own size has lost digits: the next pass sums it up anew
        sure = count > 1 or theta <= SURE_CONTRACTION
        if full:
            # the correction after this one, as large as the condition number allows, would be rounded away
            left = max(theta, expected)
            enough = bool((left * np.abs(d) <= LAST_PLACE * np.abs(beta[:, 0]) + NEGLIGIBLE * most).all())
            enough &= left * (abs(d0) + size * np.abs(m).sum()) <= LAST_PLACE * abs(intercept) + NEGLIGIBLE * floor0
        else:
            enough = digits >= 15.0
        if (small.all() and small0) or (enough and sure and gained <= GAIN_LIMIT * rss[0]):
            break
        if theta > STALLED:
            if size > FLOOR * most:
                return None
            # rounding of the double-double sums, seen through the condition number: as good as it gets
            digits = _digits(d, d0, beta[:, 0], intercept, *limits, 0.5)
            break
    rounded = beta[:, :1]
    if factor and factor.Vt is not None and len(factor.Vt) < p:
        # the null space is known to float64 only, and so is what of it makes the norm least
        rounded = closed_form.minimum_norm(factor.Vt, factor.null, C.e, rounded, factor.kappa)
        moved = add(beta, -pairs(rounded[:, 0]))
        if fit_intercept:
            b0 = add(b0, total(multiply(pairs(mu), moved)[:, None]))
            intercept = _intercept(b0[0], pairs(rounded[:, 0]), shift[live], shift[-1])
        size = np.abs(np.concatenate([rounded[:, 0], beta[:, 0]]))
        least = size[size > 0].min(initial=size.max())
        if least > 0:
            digits = max(0.0, min(digits, -math.log10(4 * EPS * factor.kappa * size.max() / least)))
    coef = closed_form.in_user_units(data, C, np.repeat(rounded, data.n_targets, axis=1))[t]
    squares = pairs(np.array([M.u[t] if not fit_intercept else C.S_yy[t]]))
    if full:
        sums = _pass(data, t, scale[-1:], shift[-1:], np.zeros((1, 2)), n_threads, columns=False)
        squares = sums[1:]
        if fit_intercept:
            squares = add(squares, -multiply(sums[:1], sums[:1]) / M.N)
    rest = add(rss[None], pairs(np.array([-gained])))
    if rest[0, 0] < 0:
        rest = np.zeros((1, 2))
    back = 1 / to_y
    found = [float(pair[0, 0]) * back * back for pair in (rest, squares, add(squares, -rest))]
    return coef, intercept * back, *found, digits


def _intercept(b0: Vector, beta: Matrix, k: Vector, ky: float) -> float:
    """The intercept ky + b_0 - sum_j k_j b_j of the unshifted problem, rounded once."""
    terms = [two_product(-k, beta[:, 0]), (-k * beta[:, 1],), (b0, np.array([ky]))]
    return math.fsum(np.concatenate([part for term in terms for part in term]))


def _digits(
    d: Vector,
    d0: float,
    beta: Vector,
    b0: float,
    most: float,
    floor0: float,
    noise: float,
    noise0: float,
    theta: float,
) -> float:
    """Digits that the last correction d leaves, when the next is theta times as large, above the noise."""
    left = theta / (1 - theta) if theta < 1 else math.inf
    worst = EPS
    counts = np.abs(beta) > NEGLIGIBLE * most
    if counts.any():
        worst = max(worst, float(np.max((left * np.abs(d[counts]) + noise) / np.abs(beta[counts]))))
    if abs(b0) > NEGLIGIBLE * floor0:
        worst = max(worst, (left * abs(d0) + noise0) / abs(b0))
    return min(FULL_DIGITS, max(0.0, -math.log10(worst))) if math.isfinite(worst) else 0.0
