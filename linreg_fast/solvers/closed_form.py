# SPDX-License-Identifier: BSD-3-Clause
"""Closed form: cholesky, qr and svd over SciPy's LAPACK, and the way from one to the next.

All three work on columns that are centred about their means and scaled by powers of two to a norm
between 0.7 and 1.4, so that neither an offset nor a unit costs a digit. Cholesky squares the condition
number and costs one pass; QR does not and costs another; the SVD is taken of R, where rank is in doubt.
BLAS and LAPACK are called from the calling thread only.
"""

from __future__ import annotations

import functools
import math
import warnings
from typing import NamedTuple

import numpy as np

from linreg_fast.algebra.centred import Centred, in_user_units, scaled_means
from linreg_fast.algebra.digits import cholesky_delta, expected_digits, intercepts, qr_delta, vanished
from linreg_fast.algebra.factors import (
    merge_triangles,
    pivoted_svd,
    rank_of_rounded,
    solve_triangle,
    svd_loss,
    thin_svd,
    triangle_rcond,
)
from linreg_fast.algebra.minimum_norm import independent, minimum_norm
from linreg_fast.algebra.paired import WIDEST
from linreg_fast.algebra.pairs import cholesky as pairs_cholesky
from linreg_fast.algebra.precision import DD_UNIT, EPS, Matrix, Vector
from linreg_fast.algebra.sums import Sums
from linreg_fast.inputs.table import Table
from linreg_fast.passes import blocks, rates
from linreg_fast.solvers.factor import Factor, check_solution, cholesky, in_rows
from linreg_fast.solvers.problem import Problem
from linreg_fast.solvers.solution import ConditionWarning, Solution, caller_level, collinear_columns

RCOND_CHOLESKY = 1e-13  # of the Gram matrix; under it the columns' condition number exceeds 3e6: QR
PIVOT_MARGIN = 8.0  # times p eps: what is left of a pivot may be rounding; of dependent columns up to 2.4 was seen
RANK_TOLERANCE = 2.0**-40  # times sqrt(p): singular values below are rounding, whatever the number of rows
DOUBT = 1e-11  # singular values below are looked at in double-double: QR of the rows cannot tell them from rounding
PAIR_WORK = 2.0**31  # rows times columns squared up to which that is feasible: a second or two
ROWS_MARGIN = 1e4  # times p eps: rounding that millions of rows leave in R
QR_BLOCK_BYTES = 1 << 18  # of rows that are prepared and factorised at once: L2
QR_MERGE_BYTES = 1 << 23  # of rows whose R is merged in pairs with others


class Scaled(NamedTuple):
    """What a factorisation gives: coefficients of the scaled columns, and how far to trust them."""

    beta: Matrix
    rank: int
    rcond: float
    delta: Vector  # error to expect of beta, relative to its largest component
    factor: Factor | None


def solve(problem: Problem, path: tuple[str, ...] = ()) -> Solution:
    """Solve by the solver asked for, or by cholesky -> qr -> svd as the conditioning asks for with "auto".

    `path` holds the solvers that were tried before: with "auto" the next one is taken.

    Raises
    ------
    numpy.linalg.LinAlgError
        A solver asked for by name that cannot deliver: "cholesky" or "qr" on dependent columns; dependent
        columns with `on_collinear` "raise".
    """
    C, solver = problem.centred, problem.options.solver
    p = len(C.live)
    if p == 0:
        nothing = Scaled(np.zeros((0, problem.rows.n_targets)), 0, 1.0, np.zeros(0), None)
        return _finish(problem, nothing, ("mean",), "")
    tried = path
    reason = "" if not tried else f"refinement did not contract after {tried[-1]}"
    if solver == "cholesky" or (solver == "auto" and not tried):
        scaled, reason = _by_cholesky(problem)
        if scaled is not None:
            return _finish(problem, scaled, ("cholesky",), "")
        path = ("cholesky",)
    R = _qr_rows(problem)
    rcond = triangle_rcond(R[:p, :p])
    if solver == "qr" or (solver == "auto" and "qr" not in tried):
        path += ("qr",)
        if rcond >= 10 * p * RANK_TOLERANCE * math.sqrt(p):
            return _finish(problem, _by_triangle(C, R, rcond), path, reason)
    svd = thin_svd(R[:p, :p])
    sigma, Vt = svd[1:]
    rank = int(np.count_nonzero(sigma > RANK_TOLERANCE * math.sqrt(p) * sigma[0]))
    if sigma[-1] <= DOUBT * sigma[0] and not C.l2 and p <= WIDEST and problem.sums.n_rows * float(p) ** 2 <= PAIR_WORK:
        rank, kappa = _rank_in_pairs(problem)
        if rank == p:
            reason = (
                f"{reason}; " * bool(reason) + "rank decided in double-double, in which the columns were factorised"
            )
            by_name = () if path[-1:] == ("qr",) else ("svd",)
            return _finish(problem, _by_pairs(problem, R, kappa), (*path, *by_name), reason)
    if rank == p and solver != "svd" and "qr" not in tried:
        return _finish(problem, _by_triangle(C, R, float(sigma[-1] / sigma[0])), path, reason)
    if solver == "qr":
        raise np.linalg.LinAlgError(
            f'the columns of X have rank {rank}, not {p}: qr has no unique solution; use solver="auto" or "svd"'
        )
    path = (*path, "svd")
    if rank == p:
        return _finish(problem, _by_singular_values(C, R, svd, rank), path, reason)
    collinear = collinear_columns(problem, C.live, Vt[:rank], problem.sums.n_rows)
    if problem.options.on_collinear == "drop":
        some = problem.of_columns(independent(Vt[:rank]))
        solution = solve(some)
        solution.path, solution.reduced = (*path, *solution.path), some
        solution.dropped = tuple(int(j) for j in np.setdiff1d(C.live, some.centred.live))
        solution.reason = f"rank {rank} of {p}: dependent columns dropped"
    else:
        reason = f"{reason}; " * bool(reason) + f"rank {rank} of {p}: minimum norm"
        solution = _finish(problem, _by_singular_values(C, R, svd, rank), path, reason)
    solution.collinear = collinear
    return solution


def _by_cholesky(problem: Problem) -> tuple[Scaled | None, str]:
    """The solution of R'R beta = c; None, and why, where "auto" has to go on."""
    C, solver = problem.centred, problem.options.solver
    p = len(C.live)
    beta, triangle, gram_rcond = cholesky(C, problem.options.workers)
    doubtful = beta is not None and (gram_rcond < RCOND_CHOLESKY or _rounding_alone(C.gram, triangle))
    if doubtful and solver == "cholesky" and gram_rcond >= p * EPS:
        # pivots of dependent columns are rounding, which may well exceed p eps: the rows themselves say how small
        # they are, where dependent columns have p eps squared
        gram_rcond = min(gram_rcond, _gram_rcond_of_rows(problem))
    rcond = math.sqrt(gram_rcond)
    # under p eps, whether potrf got through is an accident of rounding
    if beta is None or gram_rcond < p * EPS:
        if solver == "cholesky":
            raise np.linalg.LinAlgError(
                "the cross products of X are not positive definite: its columns are linearly dependent, or nearly; "
                'use solver="auto" or "svd"'
            )
        return None, "cholesky failed: the columns are dependent, or nearly"
    if doubtful and solver == "auto":
        return None, f"rcond {rcond:.1e} of the columns is too small for cholesky"
    if gram_rcond < RCOND_CHOLESKY:
        warnings.warn(
            f"the columns are too ill-conditioned for cholesky (rcond {rcond:.1e}): few or no digits of the "
            'coefficients may be right; use solver="auto", "qr" or "svd"',
            ConditionWarning,
            stacklevel=caller_level(),
        )
    factor = Factor(triangle, None, None, 1 / rcond, 1 / gram_rcond)
    return Scaled(beta, p, rcond, cholesky_delta(C, beta, gram_rcond), factor), ""


def _rounding_alone(A: Matrix, R: Matrix) -> bool:
    """Whether a pivot of A = R'R may be nothing but the rounding of what was subtracted to make it.

    That is so of dependent columns in whatever order the sums behind A and R were taken; with no more than a few
    hundred of them `RCOND_CHOLESKY` is the stricter test.
    """
    pivots = np.square(np.diagonal(R))
    return bool((pivots <= PIVOT_MARGIN * len(A) * EPS * (np.diagonal(A) - pivots)).any())


def _gram_rcond_of_rows(problem: Problem) -> float:
    """The reciprocal condition number of A by QR of the rows, which does not square it: right down to EPS^2."""
    from scipy.linalg import lapack

    C = problem.centred
    p = len(C.live)
    R = _qr_rows(problem)[:p, :p]
    if not np.diagonal(R).all():
        return 0.0
    rcond, _ = lapack.dpocon(np.asfortranarray(R), lapack.dlange("1", C.gram.T))
    return float(rcond)


def _rank_in_pairs(problem: Problem) -> tuple[int, float]:
    """The rank, and the condition number of the columns, from their cross products in double-double."""
    M, C = problem.sums, problem.centred
    sigma, Vt = pivoted_svd(problem.pairs.gram, DD_UNIT)
    mean = np.ldexp(np.abs(M.shift[C.live] + C.means[C.live] / M.unit[C.live]), C.exponents)
    # what the sums themselves leave of a square: 3 units were seen of 20,000 rows
    noise = math.sqrt(DD_UNIT * max(1.0, math.sqrt(M.n_rows) / 8)) * sigma[0]
    rank = rank_of_rounded(sigma, Vt, mean, np.sqrt(np.diagonal(C.gram)), M.sum_weight, noise)
    return rank, float(sigma[0] / sigma[-1]) if rank == len(sigma) else math.inf


def _by_pairs(problem: Problem, R: Matrix, kappa: float) -> Scaled:
    """The solution of R beta = z as a start, and a factor in double-double that corrects it."""
    C = problem.centred
    p = len(C.live)
    in_pairs = pairs_cholesky(problem.pairs.gram)
    if in_pairs is None:
        raise np.linalg.LinAlgError("the columns of X are too close to dependent for double-double")
    beta = solve_triangle(R, p) if np.diagonal(R)[:p].all() else np.zeros((p, R.shape[1] - p))
    gain = max(1.0, kappa * kappa * DD_UNIT / EPS)
    factor = Factor(in_rows(in_pairs[..., 0]), None, None, kappa, gain, pairs=in_pairs)
    return Scaled(beta, p, 1 / kappa, qr_delta(R, p, kappa), factor)


def _by_triangle(C: Centred, R: Matrix, rcond: float) -> Scaled:
    """The solution of R beta = z, [R z] being the QR factor of all columns."""
    p = len(C.live)
    beta = solve_triangle(R, p)
    check_solution(C, beta, "QR", ROWS_MARGIN)
    factor = Factor(in_rows(R[:p, :p]), None, None, 1 / rcond, 1 / rcond)
    return Scaled(beta, p, rcond, qr_delta(R, p, 1 / rcond), factor)


def _by_singular_values(C: Centred, R: Matrix, svd: tuple[Matrix, Vector, Matrix], rank: int) -> Scaled:
    """The solution of R beta = z over the largest `rank` singular values, of least norm in the user's units."""
    U, sigma, Vt = svd
    p = len(sigma)
    rcond = float(sigma[rank - 1] / sigma[0]) if rank else 0.0
    beta = Vt[:rank].T @ ((U[:, :rank].T @ R[:p, p:]) / sigma[:rank, None])
    check_solution(C, beta, "SVD", ROWS_MARGIN + RANK_TOLERANCE / EPS)
    delta = qr_delta(R, p, 1 / rcond) * svd_loss(R[:p, :p], svd)
    if rank < p:
        beta, growth = minimum_norm(Vt[:rank], Vt[rank:], C.exponents, beta, 1 / rcond)
        delta *= growth
    factor = Factor(None, Vt[:rank], sigma[:rank], 1 / rcond, 1 / rcond, Vt[rank:])
    return Scaled(beta, rank, rcond, delta, factor)


def _qr_rows(problem: Problem) -> Matrix:
    """R of the QR factorisation of [(W - mu) e, V - t/N], sqrt(w) times each row, and the rows of l2."""
    C = problem.centred
    p, width = len(C.live), len(C.live) + problem.rows.n_targets
    R: Matrix = problem.rows.fold(functools.partial(_qr_table, M=problem.sums, C=C), merge_triangles)
    if C.l2:
        penalty = np.zeros((p, width))
        penalty[:, :p] = np.diag(math.sqrt(C.l2) * np.ldexp(1.0, C.exponents))
        # longest rows first: below short ones they would round those away (Cox and Higham 1998)
        rows = np.vstack([R, penalty])
        order = np.argsort(-np.abs(rows[:, :p]).max(axis=1, initial=0.0), kind="stable")
        R = np.asarray(np.linalg.qr(rows[order], mode="r"))
    if not (np.isfinite(R).all() and R[:p, :p].any()):
        raise np.linalg.LinAlgError(
            "LAPACK's QR of columns that vary is zero or not finite: the BLAS or LAPACK library in use computes wrong "
            "results"
        )
    if len(R) < width:
        R = np.vstack([R, np.zeros((width - len(R), width))])
    return R * np.where(np.diagonal(R) < 0, -1.0, 1.0)[:, None]


def _qr_table(data: Table, M: Sums, C: Centred) -> Matrix:
    """R of the rows of one table: row blocks one after the other in the calling thread, merged in pairs."""
    p, n_targets = len(C.live), data.n_targets
    k, d, mu = M.shift[C.live], M.unit[C.live], C.means[C.live]
    scale = np.ldexp(1.0, C.exponents - (np.frexp(d)[1] - 1))
    about_mean = C.means.any() or M.shift.any() or M.target_shift.any()
    t_mean = M.target_mean if about_mean else np.zeros_like(M.target_sums)
    width = p + n_targets
    n_blocks = rates.power_of_two(data.n_rows * 8 * width / QR_MERGE_BYTES)

    def factor(lo: int, hi: int) -> Matrix:
        R = np.zeros((0, width))
        step = max(4 * width, QR_BLOCK_BYTES // (8 * width))
        for at in range(lo, hi, step):
            to = min(at + step, hi)
            Z = np.empty((to - at, width), order="F")
            Z[:, :p] = ((data.X[at:to][:, C.live].astype(np.float64) - k) * d - mu) * scale
            Z[:, p:] = (data.Y[at:to].astype(np.float64) - M.target_shift) * M.target_unit - t_mean
            if data.w is not None:
                w = np.asarray(data.w[at:to], dtype=np.float64)
                Z = Z[w != 0] * np.sqrt(w[w != 0])[:, None]
            R = merge_triangles(R, Z)
        return R

    R: Matrix = blocks.fold(data.n_rows, n_blocks, factor, merge_triangles, 1)
    return R


def _finish(problem: Problem, scaled: Scaled, path: tuple[str, ...], reason: str) -> Solution:
    """From beta to the coefficients in the user's units, the intercept, the residual and the digits."""
    M, C, beta = problem.sums, problem.centred, scaled.beta
    coef = in_user_units(problem.rows, C, beta)
    # S_yy - beta'c - l2 b'b loses what cancels, which the caller makes good with a cost pass where it matters
    root = math.sqrt(C.l2) * np.ldexp(beta, C.exponents[:, None]) if C.l2 else np.zeros_like(beta)  # 0 * inf is NaN
    penalty = np.einsum("jt,jt->t", root, root)
    rss = np.maximum(C.target_squares - np.einsum("jt,jt->t", beta, C.cross) - penalty, 0.0)
    back = np.ldexp(1.0, -C.target_exponents)
    mu, mu_y = C.means / M.unit, M.target_mean * back
    intercept = np.zeros(problem.rows.n_targets)
    if problem.options.fit_intercept:
        # in scaled columns, as a subnormal coefficient has lost digits
        k, ky = np.ldexp(M.shift[C.live], C.exponents), np.ldexp(M.target_shift, C.target_exponents)
        intercept = intercepts(beta.T, k, scaled_means(M, C), ky, M.target_mean) * back
    m, m_y = M.shift + mu, M.target_shift + mu_y
    lever = np.ldexp(np.abs(m[C.live]), C.exponents).sum() * np.abs(beta).max(axis=0, initial=0.0) * back
    spread = np.sqrt(C.target_squares) / math.sqrt(M.sum_weight) * back  # by which the mean of y rounds
    size_y = np.sqrt(C.target_squares) * (scaled.rank == len(C.live))
    terms = np.abs(m_y) + spread + np.abs(coef * m).sum(axis=1)
    digits = expected_digits(beta, scaled.delta, size_y, intercept, terms, lever, C.own, path[-1] == "cholesky")
    return Solution(
        coef=coef,
        intercept=intercept,
        rss=rss,
        tss=C.target_squares.copy(),
        y_unit=back,
        rank=scaled.rank,
        rcond=scaled.rcond,
        digits=0.0 if vanished(beta, coef[:, C.live].T, C.own) else digits,
        path=path,
        reason=reason,
        beta=beta,
        factor=scaled.factor,
        n_samples=M.n_rows,
        sum_weight=M.sum_weight,
    )
