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
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast import inputs, passes
from linreg_fast.centred import Centred, in_user_units, keep
from linreg_fast.double_double import EPS, two_product
from linreg_fast.minimum_norm import PART, independent, minimum_norm
from linreg_fast.sums import Matrix, Sums, Vector

FULL_DIGITS = 15.95  # -log10(EPS)
RCOND_CHOLESKY = 1e-13  # of the Gram matrix; under it the columns' condition number exceeds 3e6: QR
ON_COLLINEAR = ("min_norm", "drop", "raise")
NOTHING = 2.0**-46  # of the spread of y: an intercept below may be rounding of the mean
RANK_TOLERANCE = 2.0**-40  # times sqrt(p): singular values below are rounding, whatever the number of rows
ROWS_MARGIN = 1e4  # times p eps: rounding that millions of rows leave in R
QR_BLOCK_BYTES = 1 << 18  # of rows that are prepared and factorised at once: L2
QR_MERGE_BYTES = 1 << 23  # of rows whose R is merged in pairs with others


def caller_level() -> int:
    """The stacklevel that makes a warning point at the line that called the library, however deep it is raised."""
    level, frame = 1, sys._getframe(1)
    # through decorators of NumPy too
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in (
        "linreg_fast",
        "numpy",
    ):
        level, frame = level + 1, frame.f_back
    return level


class RankWarning(UserWarning):
    """The columns are linearly dependent: the minimum-norm solution was taken, or columns were dropped."""


class ConditionWarning(UserWarning):
    """A solver that was asked for by name met a problem too ill-conditioned for it."""


@dataclass(slots=True)
class Solution:
    """Coefficients in the user's units and what is known about them; sums of squares in units of y_unit^2."""

    coef: Matrix  # (n_targets, n_features)
    intercept: Vector  # (n_targets,)
    rss: Vector
    tss: Vector
    rank: int
    rcond: float
    digits: float
    path: tuple[str, ...]
    y_unit: Vector  # (n_targets,), powers of two
    reason: str = ""
    ess: Vector | None = None  # tss - rss where it is known better than their difference
    beta: Matrix | None = None  # coefficients of the columns of `Centred`, and what solves for corrections
    factor: Factor | None = None
    centred: Centred | None = None  # of the columns kept, where some were dropped
    collinear: tuple[int, ...] = ()  # columns that take part in a dependency, and those of them dropped
    dropped: tuple[int, ...] = ()


@dataclass(slots=True)
class Factor:
    """A solver's factorisation of A: R'R, or V diag(sigma^2) V' over the singular values kept."""

    R: Matrix | None
    Vt: Matrix | None
    sigma: Vector | None
    kappa: float  # condition number of the columns
    gain: float  # kappa^2 for Cholesky, kappa for QR and SVD: what a correction contracts by, over eps
    null: Matrix | None = None  # rows that complete Vt

    def solve(self, h: Vector) -> Vector:
        """A^-1 h, or the pseudo-inverse times h."""
        from scipy.linalg import lapack

        if self.R is not None:
            return np.asarray(lapack.dpotrs(self.R, h)[0])
        assert self.Vt is not None
        assert self.sigma is not None
        return np.asarray(self.Vt.T @ ((self.Vt @ h) / self.sigma**2))


def solve(
    data: inputs.Table,
    M: Sums,
    C: Centred,
    solver: str,
    fit_intercept: bool,
    path: tuple[str, ...] = (),
    on_collinear: str = "min_norm",
) -> Solution:
    """Solve by `solver`, or by cholesky -> qr -> svd as the conditioning asks for with "auto".

    `path` holds the solvers that were tried before: with "auto" the next one is taken.

    Raises
    ------
    numpy.linalg.LinAlgError
        A solver asked for by name that cannot deliver: "cholesky" or "qr" on dependent columns; dependent
        columns with `on_collinear` "raise".
    """
    p = len(C.live)
    if p == 0:
        beta = np.zeros((0, data.n_targets))
        return _finish(data, M, C, fit_intercept, beta, 0, 1.0, np.zeros(0), ("mean",), "", None)
    tried = path
    reason = "" if not tried else f"refinement did not contract after {tried[-1]}"
    if solver == "cholesky" or (solver == "auto" and not tried):
        solution, reason = _by_cholesky(data, M, C, fit_intercept, solver)
        if solution is not None:
            return solution
        path = ("cholesky",)
    R = _qr_rows(data, M, C)
    rcond = _triangle_rcond(R[:p, :p])
    if solver == "qr" or (solver == "auto" and "qr" not in tried):
        path += ("qr",)
        if rcond >= 10 * p * RANK_TOLERANCE * math.sqrt(p):
            return _by_triangle(data, M, C, fit_intercept, R, rcond, path, reason)
    U, sigma, Vt = thin_svd(R[:p, :p])
    rank = int(np.count_nonzero(sigma > RANK_TOLERANCE * math.sqrt(p) * sigma[0]))
    if rank == p and solver != "svd" and "qr" not in tried:
        return _by_triangle(data, M, C, fit_intercept, R, float(sigma[-1] / sigma[0]), path, reason)
    if solver == "qr":
        raise np.linalg.LinAlgError(
            f'the columns of X have rank {rank}, not {p}: qr has no unique solution; use solver="auto" or "svd"'
        )
    path = (*path, "svd")
    if rank < p:
        collinear = collinear_columns(data, C.live, Vt[:rank], on_collinear)
        reason = f"{reason}; " * bool(reason) + f"rank {rank} of {p}: minimum norm"
    if rank < p and on_collinear == "drop":
        some = keep(C, independent(Vt[:rank]))
        solution = solve(data, M, some, solver, fit_intercept)
        solution.path, solution.centred = (*path, *solution.path), some
        solution.dropped = tuple(int(j) for j in np.setdiff1d(C.live, some.live))
        solution.reason = f"rank {rank} of {p}: dependent columns dropped"
    else:
        solution = _by_singular_values(data, M, C, fit_intercept, R, (U, sigma, Vt), rank, path, reason)
    if rank < p:
        solution.collinear = collinear
    return solution


def _by_cholesky(
    data: inputs.Table, M: Sums, C: Centred, fit_intercept: bool, solver: str
) -> tuple[Solution | None, str]:
    """The solution of R'R beta = c; None, and why, where "auto" has to go on."""
    p = len(C.live)
    beta, triangle, gram_rcond = cholesky(C)
    rcond = math.sqrt(gram_rcond)
    # under p eps, whether potrf got through is an accident of rounding
    if beta is None or gram_rcond < p * EPS:
        if solver == "cholesky":
            raise np.linalg.LinAlgError(
                "the cross products of X are not positive definite: its columns are linearly dependent, or nearly; "
                'use solver="auto" or "svd"'
            )
        return None, "cholesky failed: the columns are dependent, or nearly"
    if gram_rcond < RCOND_CHOLESKY:
        if solver == "auto":
            return None, f"rcond {rcond:.1e} of the columns is too small for cholesky"
        warnings.warn(
            f"the columns are too ill-conditioned for cholesky (rcond {rcond:.1e}): few or no digits of the "
            'coefficients may be right; use solver="auto", "qr" or "svd"',
            ConditionWarning,
            stacklevel=caller_level(),
        )
    factor = Factor(triangle, None, None, 1 / rcond, 1 / gram_rcond)
    delta = cholesky_delta(C, beta, gram_rcond)
    return _finish(data, M, C, fit_intercept, beta, p, rcond, delta, ("cholesky",), "", factor), ""


def _by_singular_values(
    data: inputs.Table,
    M: Sums,
    C: Centred,
    fit_intercept: bool,
    R: Matrix,
    svd: tuple[Matrix, Vector, Matrix],
    rank: int,
    path: tuple[str, ...],
    reason: str,
) -> Solution:
    """The solution of R beta = z over the largest `rank` singular values, of least norm in the user's units."""
    U, sigma, Vt = svd
    p = len(sigma)
    rcond = float(sigma[rank - 1] / sigma[0]) if rank else 0.0
    beta = Vt[:rank].T @ ((U[:, :rank].T @ R[:p, p:]) / sigma[:rank, None])
    check_solution(C, beta, "SVD", ROWS_MARGIN + RANK_TOLERANCE / EPS)
    growth = 1.0
    if rank < p:
        beta, growth = minimum_norm(Vt[:rank], Vt[rank:], C.e, beta, 1 / rcond)
    factor = Factor(None, Vt[:rank], sigma[:rank], 1 / rcond, 1 / rcond, Vt[rank:])
    delta = _qr_delta(R, p, 1 / rcond) * growth
    return _finish(data, M, C, fit_intercept, beta, rank, rcond, delta, path, reason, factor)


def collinear_columns(
    data: inputs.Table, live: NDArray[np.intp], V: Matrix, on_collinear: str, n_rows: int | None = None
) -> tuple[int, ...]:
    """The columns that take part in a dependency, and the warning or the error that says so.

    V, (rank, p), has orthonormal rows that span what the equilibrated columns do.
    """
    null = np.sqrt(np.maximum(1.0 - np.einsum("ij,ij->j", V, V), 0.0))  # length of unit vectors in the null space
    columns = live[null > PART]
    rank, p = V.shape
    named = _named(data, columns)
    which = f"{n_rows} rows cannot determine {p} columns" if n_rows else f"the columns {named} depend on each other"
    if on_collinear == "raise":
        raise np.linalg.LinAlgError(f"rank {rank} of {p}: {which}")
    outcome = "the solution of minimum norm was taken"
    if on_collinear == "drop":
        dropped = np.setdiff1d(live, live[independent(V)])
        outcome = f"the columns {_named(data, dropped)} were dropped"
    warnings.warn(f"rank {rank} of {p}: {which}; {outcome}", RankWarning, stacklevel=caller_level())
    return tuple(int(j) for j in columns)


def constant_columns(data: inputs.Table, live: NDArray[np.intp], on_collinear: str) -> tuple[int, ...]:
    """The columns that do not vary, which depend on the intercept or, without one, are 0."""
    if len(live) == data.n_features:
        return ()
    columns = np.setdiff1d(np.arange(data.n_features), live)
    if on_collinear == "raise":
        raise np.linalg.LinAlgError(
            f"the columns {_named(data, columns)} of X are constant: leave them out, or the intercept"
        )
    return tuple(int(j) for j in columns)


def _named(data: inputs.Table, columns: NDArray[np.intp]) -> str:
    shown = [data.names[j] if data.names else int(j) for j in columns[:10]]
    return f"{shown}{' and others' if len(columns) > 10 else ''}"


def _by_triangle(
    data: inputs.Table,
    M: Sums,
    C: Centred,
    fit_intercept: bool,
    R: Matrix,
    rcond: float,
    path: tuple[str, ...],
    reason: str,
) -> Solution:
    """The solution of R beta = z, [R z] being the QR factor of all columns."""
    p = len(C.live)
    beta = _solve_triangle(R, p)
    check_solution(C, beta, "QR", ROWS_MARGIN)
    factor = Factor(np.asfortranarray(R[:p, :p]), None, None, 1 / rcond, 1 / rcond)
    delta = _qr_delta(R, p, 1 / rcond)
    return _finish(data, M, C, fit_intercept, beta, p, rcond, delta, path, reason, factor)


def cholesky(C: Centred) -> tuple[Matrix | None, Matrix, float]:
    """beta of A beta = c, R of A = R'R, the reciprocal condition number of A; None if A is not positive definite."""
    from scipy.linalg import lapack

    R, info = lapack.dpotrf(C.A.T)  # symmetric, and in LAPACK's order as it is
    if info != 0:
        return None, R, 0.0
    norm = lapack.dlange("1", C.A.T)
    rcond, info = lapack.dpocon(R, norm)
    beta, info = lapack.dpotrs(R, C.c)
    if info != 0:
        raise np.linalg.LinAlgError(f"LAPACK's dpotrs returned with status {info}")
    check_solution(C, beta, "Cholesky", 100, norm)
    return beta, R, float(rcond)


def check_solution(C: Centred, beta: Matrix, name: str, margin: float, norm: float | None = None) -> None:
    """Whether beta solves the normal equations but for rounding, `margin` p eps: a broken library is noticed.

    The moments were summed by kernels of this package, the factor comes from LAPACK. The residual of a
    backward stable solution is small whatever the condition number.  `norm` is that of A, where it is known.
    """
    from scipy.linalg import blas

    if norm is None:
        norm = np.abs(C.A).sum(axis=0).max()
    # not NumPy's product: it may come with a BLAS of its own, whose threads those of SciPy's would hold up
    residual = np.abs(blas.dgemm(1.0, C.A.T, beta) - C.c).max()
    size = norm * np.abs(beta).max(initial=0.0) + math.sqrt(C.S_yy.max())  # |c| <= |columns| |y|
    bound = margin * len(C.A) * EPS * (1 + C.rho) * size
    if not residual <= bound:
        raise np.linalg.LinAlgError(
            f"LAPACK's {name} solution leaves a residual of {residual:.1e} where {bound:.1e} is the most that "
            "rounding explains: the BLAS or LAPACK library in use computes wrong results"
        )


def _qr_rows(data: Any, M: Sums, C: Centred) -> Matrix:
    """R of the QR factorisation of [(W - mu) e, V - t/N], sqrt(w) times each row, and the rows of l2."""
    p, width = len(C.live), len(C.live) + data.n_targets
    R: Matrix = data.fold(functools.partial(_qr_table, M=M, C=C), _merge_triangles)
    if C.l2:
        penalty = np.zeros((p, width))
        penalty[:, :p] = np.diag(math.sqrt(C.l2) * np.ldexp(1.0, C.e))
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


def _qr_table(data: inputs.Table, M: Sums, C: Centred) -> Matrix:
    """R of the rows of one table: row blocks one after the other in the calling thread, merged in pairs."""
    p, n_targets = len(C.live), data.n_targets
    k, d, mu = M.k[C.live], M.d[C.live], C.mu[C.live]
    scale = np.ldexp(1.0, C.e - (np.frexp(d)[1] - 1))
    t_mean = M.t / M.N if C.mu.any() or M.k.any() or M.ky.any() else np.zeros_like(M.t)
    width = p + n_targets
    n_blocks = passes.count_blocks(data.n_rows, 8 * width / QR_MERGE_BYTES * passes.BLOCK_SECONDS, 0)

    def factor(lo: int, hi: int) -> Matrix:
        R = np.zeros((0, width))
        step = max(4 * width, QR_BLOCK_BYTES // (8 * width))
        for at in range(lo, hi, step):
            to = min(at + step, hi)
            Z = np.empty((to - at, width), order="F")
            Z[:, :p] = ((data.X[at:to][:, C.live].astype(np.float64) - k) * d - mu) * scale
            Z[:, p:] = (data.Y[at:to].astype(np.float64) - M.ky) * M.dy - t_mean
            if data.w is not None:
                w = np.asarray(data.w[at:to], dtype=np.float64)
                Z = Z[w != 0] * np.sqrt(w[w != 0])[:, None]
            R = _merge_triangles(R, Z)
        return R

    R: Matrix = passes.fold(data.n_rows, n_blocks, factor, _merge_triangles, 1)
    return R


def _merge_triangles(upper: Matrix, lower: Matrix) -> Matrix:
    """R of two of them, or of one and rows, one above the other."""
    return np.asarray(np.linalg.qr(np.vstack([upper, lower]), mode="r"))


def _triangle_rcond(R: Matrix) -> float:
    from scipy.linalg import lapack

    if not np.diagonal(R).all():
        return 0.0
    rcond, _ = lapack.dtrcon(np.asfortranarray(R))
    return float(rcond)


def _solve_triangle(R: Matrix, p: int) -> Matrix:
    from scipy.linalg import lapack

    beta, info = lapack.dtrtrs(np.asfortranarray(R[:p, :p]), R[:p, p:])
    if info != 0:
        raise np.linalg.LinAlgError("LAPACK's dtrtrs met a zero on the diagonal of R")
    return np.asarray(beta)


def thin_svd(A: Matrix) -> tuple[Matrix, Vector, Matrix]:
    """The thin SVD, by divide and conquer or, where that does not converge, by QR iteration."""
    import scipy.linalg

    try:
        return scipy.linalg.svd(A, full_matrices=False, check_finite=False, lapack_driver="gesdd")  # type: ignore[no-any-return]
    except np.linalg.LinAlgError:
        return scipy.linalg.svd(A, full_matrices=False, check_finite=False, lapack_driver="gesvd")  # type: ignore[no-any-return]


def cholesky_delta(C: Centred, beta: Matrix, gram_rcond: float) -> Vector:
    """Relative error to expect of beta from the rounding of A, and of c, to which large residuals add theirs."""
    rss = np.maximum(C.S_yy - np.einsum("jt,jt->t", beta, C.c), 0.0)
    most = np.maximum(np.abs(beta).max(axis=0), np.finfo(float).tiny)
    return np.asarray(EPS * (1 + C.rho) / gram_rcond * np.maximum(1.0, np.sqrt(rss) / most))


def _qr_delta(R: Matrix, p: int, kappa: float) -> Vector:
    """Relative error to expect of beta from QR: eps kappa (1 + kappa tan t), t the angle of residual and fit."""
    fitted = np.linalg.norm(R[:p, p:], axis=0)
    residual = np.linalg.norm(np.triu(R[p:, p:]), axis=0)
    tan = residual / np.maximum(fitted, EPS * residual + np.finfo(float).tiny)
    return np.asarray(EPS * kappa * (1 + kappa * tan))


def _finish(
    data: inputs.Table,
    M: Sums,
    C: Centred,
    fit_intercept: bool,
    beta: Matrix,
    rank: int,
    rcond: float,
    delta: Vector,
    path: tuple[str, ...],
    reason: str,
    factor: Factor | None,
) -> Solution:
    """From beta to the coefficients in the user's units, the intercept, the residual and the digits."""
    coef = in_user_units(data, C, beta)
    # S_yy - beta'c - l2 b'b loses what cancels, which the caller makes good with a cost pass where it matters
    root = math.sqrt(C.l2) * np.ldexp(beta, C.e[:, None]) if C.l2 else np.zeros_like(beta)  # 0 * inf would be NaN
    penalty = np.einsum("jt,jt->t", root, root)
    rss = np.maximum(C.S_yy - np.einsum("jt,jt->t", beta, C.c) - penalty, 0.0)
    back = np.ldexp(1.0, -C.ey)
    mu, mu_y = C.mu / M.d, M.t / M.N * back
    intercept = np.zeros(data.n_targets)
    if fit_intercept:
        intercept = intercepts(coef, M.k, mu, M.ky, mu_y)
    m, m_y = M.k + mu, M.ky + mu_y
    lever = np.ldexp(np.abs(m[C.live]), C.e).sum() * np.abs(beta).max(axis=0, initial=0.0) * back
    return Solution(
        coef=coef,
        intercept=intercept,
        rss=rss,
        tss=C.S_yy.copy(),
        y_unit=back,
        rank=rank,
        rcond=rcond,
        digits=expected_digits(beta, delta, coef, m, m_y, lever, np.sqrt(C.S_yy / M.N) * back, intercept),
        path=path,
        reason=reason,
        beta=beta,
        factor=factor,
    )


def expected_digits(
    beta: Matrix,
    delta: Vector,
    coef: Matrix,
    m: Vector,
    m_y: Vector,
    lever: Vector,
    spread: Vector,
    intercept: Vector,
) -> float:
    """Correct decimal digits to expect of the worst coefficient; those that are exactly 0 do not count.

    delta is the error of beta relative to its largest component: a small component has fewer digits.
    delta times lever is what that error is worth in the intercept, beside the rounding of its terms. The mean of y
    rounds by its spread; where nothing else is left of the intercept, as of centred columns, that does not count.
    """
    if not beta.size:
        delta = np.zeros(beta.shape[1])  # nothing but the intercept
    size = np.abs(beta)
    most = size.max(axis=0, initial=0.0)
    least = np.where(size > 0, size, np.inf).min(axis=0, initial=np.inf)
    error = [delta * np.where(most > 0, most / least, 0.0)]
    b0 = np.abs(intercept)
    own = np.abs(m_y) + np.where(b0 > NOTHING * spread, spread, 0.0)
    rounding = EPS * (own + np.abs(coef * m).sum(axis=1)) + np.where(most > 0, delta * lever, 0.0)
    error.append(rounding[b0 > 0] / b0[b0 > 0])
    worst = float(np.concatenate(error).max(initial=EPS))
    return max(0.0, min(-math.log10(worst), FULL_DIGITS)) if worst < math.inf else 0.0


def intercepts(coef: Matrix, k: Vector, mu: Vector, ky: Vector, mu_y: Vector) -> Vector:
    """b0 = (ky + mu_y) - sum_j (k_j + mu_j) b_j, rounded once."""
    product, error = two_product(np.stack([k, mu])[:, None], -coef)
    terms = np.concatenate([ky[:, None], mu_y[:, None], *product, *error], axis=1)
    return np.array([math.fsum(row) for row in terms.tolist()])
