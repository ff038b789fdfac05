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
from collections.abc import Sequence

import numpy as np

from linreg_fast.algebra import factors, paired
from linreg_fast.algebra.centred import Centred, in_user_units
from linreg_fast.algebra.digits import FULL_DIGITS
from linreg_fast.algebra.factors import Factor
from linreg_fast.algebra.minimum_norm import independent, minimum_norm
from linreg_fast.algebra.paired import Equations, keep
from linreg_fast.algebra.pairs import add, divide, multiply, pairs, product
from linreg_fast.algebra.precision import EPS, Matrix, Vector, any_range
from linreg_fast.inputs.table import Table
from linreg_fast.options import ON_COLLINEAR
from linreg_fast.solvers import closed_form, spread
from linreg_fast.solvers.closed_form import RANK_TOLERANCE
from linreg_fast.solvers.solution import ConditionWarning, Solution, caller_level, collinear_columns, constant_columns

RANK_MARGIN = 8.0  # times p and the noise: eigenvalues below may be 0
CHOLESKY_MARGIN = 10.0  # times p and the noise: a condition number beyond asks for the eigenvalues
POOR = 1e-3  # relative error of the coefficients that is worth a ConditionWarning
MAX_STEPS = 8  # of refinement
LAST_PLACE = 2.0**-60  # corrections of this size, of the largest coefficient, end it
SURE_CONTRACTION = 1e-6  # predicted by the condition number; a larger one has to be seen


@any_range
def solve(E: Equations, n_features: int, names: Sequence[str] | None, on_collinear: str = ON_COLLINEAR[0]) -> Solution:
    """Solve by Cholesky, or by the eigenvalues where conditioning asks for it.

    Raises
    ------
    numpy.linalg.LinAlgError
        Dependent columns with `on_collinear` "raise".

    Warns
    -----
    RankWarning
        Columns are dependent as far as the moments can tell.
    ConditionWarning
        Fewer than three digits of the coefficients may be right.
    """
    p, n_targets = E.c.shape[:2]
    # the shape, for what closed_form says of columns
    shape = Table(np.empty((0, n_features)), np.empty((0, n_targets)), None, "C", "float64")
    shape.names = None if names is None else list(names)
    some_constant = p < n_features and not E.l2
    constant = constant_columns(shape, E.live, on_collinear) if some_constant else ()
    if p == 0:
        solution = _finish(E, shape, np.zeros((0, n_targets, 2)), 0, 1.0, ("mean",), "", None)
        solution.collinear = constant
        solution.dropped = constant if on_collinear == "drop" else ()
        return solution
    A, c = np.ascontiguousarray(E.A[..., 0]), np.ascontiguousarray(E.c[..., 0])
    exact = E.noise < EPS / 2  # the sums know more than float64 holds
    path: tuple[str, ...] = ("cholesky",)
    reason, rank = "", p
    collinear: tuple[int, ...] = ()
    least = CHOLESKY_MARGIN * p * max(E.noise, EPS)
    simple = Centred(E.live, A, c, E.S_yy[:, 0], E.e, np.zeros(n_targets, np.int64), E.m[:, 0], 0.0, E.l2)
    beta, R, gram_rcond = factors.cholesky(simple)
    if beta is not None and gram_rcond >= least:
        factor = Factor(R, None, None, 1 / math.sqrt(gram_rcond), 1 / gram_rcond)
    else:
        path = ("cholesky", "svd")
        reason = "the condition of the columns is beyond what cholesky of their moments can decide"
        sigma, Vt = _pivoted_svd(E.A, E.noise) if exact else _eigen(A)
        # at most 1/2, so that one direction is left where nothing at all is sure
        cut = min(0.5, max(RANK_TOLERANCE * math.sqrt(p), math.sqrt(RANK_MARGIN * p * E.noise)))
        rank = int(np.count_nonzero(sigma > cut * sigma[0]))
        if rank < p:
            collinear = collinear_columns(shape, E.live, Vt[:rank], on_collinear)
            if on_collinear == "drop":
                some = keep(E, independent(Vt[:rank]))
                solution = solve(some, n_features, names)
                solution.path = (*path, *solution.path)
                solution.reason = f"rank {rank} of {p}: dependent columns dropped"
                solution.collinear = tuple(sorted({*constant, *collinear}))
                solution.dropped = tuple(int(j) for j in np.setdiff1d(np.arange(n_features), some.live))
                return solution
            reason += f"; rank {rank} of {p}: minimum norm"
        gram_rcond = float(sigma[rank - 1] / sigma[0]) ** 2
        factor = Factor(None, Vt[:rank], sigma[:rank], 1 / math.sqrt(gram_rcond), 1 / gram_rcond, Vt[rank:])
        beta = _apply(factor, c)
        if rank == p and not exact:
            factors.check_solution(simple, beta, "eigenvalue", closed_form.ROWS_MARGIN)
    found = pairs(beta)
    left = 0.0
    if exact:
        found, left = _refine(E, factor, found)
    if rank < p:
        assert factor.Vt is not None
        least, growth = minimum_norm(factor.Vt, factor.null, E.e, found[..., 0], factor.kappa)
        found = pairs(least)
        left += EPS * growth
    solution = _finish(E, shape, found, rank, math.sqrt(gram_rcond), path, reason, factor, left)
    solution.collinear = tuple(sorted({*constant, *collinear}))
    solution.dropped = constant if on_collinear == "drop" else ()
    if E.noise / gram_rcond > POOR:
        warnings.warn(
            f"the columns are too ill-conditioned for their moments (rcond {math.sqrt(gram_rcond):.1e}): few or no "
            "digits of the coefficients may be right; fit the rows themselves, use precision='extended' or a penalty",
            ConditionWarning,
            stacklevel=caller_level(),
        )
    return solution


@any_range
def unscaled(E: Equations, solution: Solution, N: Matrix, n_features: int, fit_intercept: bool) -> Vector | None:
    """Standard errors over the residual standard deviation, as `inference.unscaled` has them from a table."""
    from scipy.linalg import lapack

    if E.l2:
        return None
    if solution.dropped:
        E = keep(E, np.flatnonzero(~np.isin(E.live, solution.dropped)))
    if solution.rank < len(E.live):
        return None
    out = np.full(n_features + 1, np.nan)
    factor = solution.factor
    lost = factor is not None and factor.gain * EPS > spread.LOSS
    if lost and E.noise < EPS / 2 and len(E.live) <= paired.WIDEST:
        found = spread.unscaled_pairs(E.A, E.e, E.m, N)
        if found is not None:
            out[E.live] = found[0]
            out[-1] = found[1] if fit_intercept else np.nan
            return out
    if factor is None:
        half = np.zeros((0, 0))
    elif factor.R is not None:
        half = lapack.dtrtri(factor.R)[0]
    else:
        assert factor.Vt is not None
        assert factor.sigma is not None
        half = factor.Vt.T / factor.sigma
    with np.errstate(over="ignore"):
        out[E.live] = np.ldexp(np.linalg.norm(half, axis=1), E.e)
    if fit_intercept:
        out[-1] = math.hypot(1 / math.sqrt(N[0]), float(np.linalg.norm(np.ldexp(E.m[:, 0], E.e) @ half)))
    return out


def _eigen(A: Matrix) -> tuple[Vector, Matrix]:
    """Singular values of the columns, descending, and V', from the eigenvalues of their Gram matrix."""
    import scipy.linalg

    values, V = scipy.linalg.eigh(A, check_finite=False)
    return np.sqrt(np.maximum(values[::-1], 0.0)), np.ascontiguousarray(V.T[::-1])


def _pivoted_svd(A: Matrix, noise: float) -> tuple[Vector, Matrix]:
    """The same with all the digits of pairs: the SVD of R of A = R'R, Cholesky with diagonal pivots."""
    p = len(A)
    rest, R = A.copy(), np.zeros((p, p))
    for i in range(p):
        diagonal = np.diagonal(rest[..., 0])
        j = int(np.argmax(diagonal))
        if diagonal[j] <= p * noise:
            break
        row = rest[j].copy()
        R[i] = row[:, 0] / math.sqrt(diagonal[j])
        rest = add(rest, -multiply(row[:, None], divide(row, row[j][None])[None, :]))
        rest[j], rest[:, j] = 0.0, 0.0
    _, sigma, Vt = factors.thin_svd(R)
    return sigma, Vt


def _apply(factor: Factor, h: Matrix) -> Matrix:
    """A^-1 h, or the pseudo-inverse times h, for all targets."""
    return np.column_stack([factor.solve(column) for column in h.T])


def _refine(E: Equations, factor: Factor, beta: Matrix) -> tuple[Matrix, float]:
    """Corrections of beta from residuals in pairs, and the size of what is left, of the largest coefficient."""
    before, expected = math.inf, 10 * EPS * factor.gain
    for _ in range(MAX_STEPS):
        h = add(E.c, -product(E.A, beta))
        d = _apply(factor, h[..., 0])
        most = float(np.abs(beta[..., 0]).max(initial=0.0))
        size = float(np.abs(d).max(initial=0.0))
        if not size < before / 2:
            break
        beta, before = add(beta, pairs(d)), size
        # or the next one would be of this size
        sure = expected <= SURE_CONTRACTION and expected * size <= LAST_PLACE * most
        if sure or size <= LAST_PLACE * most:
            return beta, 0.0
    return beta, before / most if most > 0 else 0.0


def _finish(
    E: Equations,
    shape: Table,
    beta: Matrix,
    rank: int,
    rcond: float,
    path: tuple[str, ...],
    reason: str,
    factor: Factor | None,
    left: float = 0.0,
) -> Solution:
    """Coefficients in the user's units, intercept, sums of squares and digits."""
    n_targets = beta.shape[1]
    simple = Centred(
        E.live, E.A[..., 0], E.c[..., 0], E.S_yy[:, 0], E.e, np.zeros(n_targets, np.int64), E.m[:, 0], 0.0, E.l2
    )
    coef = in_user_units(shape, simple, beta[..., 0])
    scale = np.ldexp(1.0, E.e)[:, None, None]
    b = beta * scale
    # each of these sums is rounded once
    left_sides, right_sides = [np.repeat(E.m[:, None], n_targets, axis=1), beta], [b, E.c]
    if E.l2:
        left_sides, right_sides = [*left_sides, b * E.l2], [*right_sides, b]
    terms = multiply(np.concatenate(left_sides), np.concatenate(right_sides))
    p = len(beta)
    intercept, rss, ess = np.empty(n_targets), np.empty(n_targets), np.empty(n_targets)
    for t in range(n_targets):
        intercept[t] = _sum(E.m_y[t], -terms[:p, t])
        # b'S b + l2 b'b = b'c, and the penalty is no part of the residuals: S_yy - 2 b'c + b'S b
        rss[t] = max(0.0, _sum(E.S_yy[t], -terms[p:, t]))
        ess[t] = _sum(terms[p:, t]) if rss[t] > 0 else E.S_yy[t, 0]
    digits = FULL_DIGITS
    for t in range(n_targets):
        size = np.abs(beta[:, t, 0])
        most = float(size.max(initial=0.0))
        size = size[size > 0]
        delta = left
        if size.size:
            delta += (E.noise + E.noise_c[t] / most) / rcond**2
            digits = min(digits, -math.log10(max(delta * most / float(size.min()), EPS)))
        b0 = abs(float(intercept[t]))
        if b0 > 0:
            error = float(E.noise_m_y[t] + E.noise_m @ np.abs(b[:, t, 0]))
            error += delta * most * float(np.abs(E.m[:, 0] * scale[:, 0, 0]).sum())
            digits = min(digits, -math.log10(max(error / b0, EPS)))
    return Solution(
        coef=coef,
        intercept=intercept,
        rss=rss,
        tss=E.S_yy[:, 0],
        y_unit=np.ones(n_targets),
        ess=ess,
        rank=rank,
        rcond=rcond,
        digits=max(0.0, min(digits, FULL_DIGITS)),
        path=path,
        reason=reason,
        beta=beta[..., 0],
        factor=factor,
    )


def _sum(*terms: Matrix) -> float:
    """Sum of the numbers of several pairs, rounded once."""
    return math.fsum(np.concatenate([term.ravel() for term in terms]).tolist())
