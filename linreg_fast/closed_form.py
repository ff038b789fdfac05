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
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast import inputs, passes
from linreg_fast.double_double import two_product
from linreg_fast.sums import Matrix, Sums, Vector

EPS = 2.0**-53
FULL_DIGITS = 15.95  # -log10(EPS)
RCOND_CHOLESKY = 1e-13  # of the Gram matrix; under it the columns' condition number exceeds 3e6: QR
ON_COLLINEAR = ("min_norm", "drop", "raise")
PART = 1e-6  # of a unit vector in the null space: columns with less do not take part in the dependency
RANK_TOLERANCE = 2.0**-40  # times sqrt(p): singular values below are rounding, whatever the number of rows
CONSTANT = 4 * EPS  # a column that varies by less of its own value is constant
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


@dataclass(slots=True)
class Centred:
    """The problem in centred columns, scaled by powers of two: A beta = c.

    A = e (S + l2 d^2) e and c = e (q - s t'/N) over the columns `live` that vary at all;
    b = beta e d / dy; S_yy are the centred squares of the targets, N mu^2 / S_jj at most rho.
    """

    live: NDArray[np.intp]
    A: Matrix
    c: Matrix
    S_yy: Vector
    e: NDArray[np.int64]  # exponents of two, of e d, and of dy
    ey: NDArray[np.int64]
    mu: Vector
    rho: float
    l2: float


def centre(M: Sums, fit_intercept: bool, l2: float) -> Centred:
    """The centred, equilibrated problem of some moments, by algebra alone."""
    mu = M.mean if fit_intercept else np.zeros_like(M.s)
    S = M.G - np.outer(M.s, mu) if fit_intercept else M.G.copy()
    c = M.q - np.outer(mu, M.t) if fit_intercept else M.q
    S_yy = np.maximum(M.u - M.t * (M.t / M.N), 0.0) if fit_intercept else M.u
    spread = np.maximum(np.diagonal(S), 0.0)
    # |W| <= 4 eps |k| in every row makes the sum of squares at most that; the reverse holds but for
    # columns that vary in few rows only, and those the exact rank decision further down must see.
    with np.errstate(over="ignore"):
        floor = M.N * (CONSTANT * np.abs(M.k) * M.d) ** 2 if fit_intercept else np.zeros_like(spread)
    live = np.flatnonzero((np.diagonal(M.G) > 0) & ((spread > floor) | (M.N < 2)) & (spread > 0))
    rho = 0.0
    if fit_intercept and live.size:
        rho = float(np.max(M.N * mu[live] ** 2 / spread[live]))
    A = S[np.ix_(live, live)]
    d_exponent = np.frexp(M.d[live])[1] - 1
    size = np.log2(np.diagonal(A))
    if l2:
        size = np.logaddexp2(size, math.log2(l2) + 2 * d_exponent)  # l2 d^2 itself may overflow
    # e d must be a float64 itself, which bounds it for subnormal columns
    e = np.minimum(-np.round(0.5 * size).astype(np.int64), 1023 - d_exponent)
    scale = np.ldexp(1.0, e)
    A = A * scale * scale[:, None]
    exponents = e + d_exponent
    if l2:
        A[np.diag_indices_from(A)] += np.ldexp(l2, 2 * exponents)
    return Centred(live, A, c[live] * scale[:, None], S_yy, exponents, np.frexp(M.dy)[1] - 1, mu, rho, l2)


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
        path = ("cholesky",)
        best, triangle, gram_rcond = cholesky(C)
        # under p eps, whether potrf got through is an accident of rounding
        if best is not None and gram_rcond >= p * EPS and (gram_rcond >= RCOND_CHOLESKY or solver == "cholesky"):
            if gram_rcond < RCOND_CHOLESKY:
                warnings.warn(
                    f"the columns are too ill-conditioned for cholesky (rcond {math.sqrt(gram_rcond):.1e}): few or no "
                    'digits of the coefficients may be right; use solver="auto", "qr" or "svd"',
                    ConditionWarning,
                    stacklevel=caller_level(),
                )
            delta = _cholesky_delta(C, best, gram_rcond)
            factor = Factor(triangle, None, None, 1 / math.sqrt(gram_rcond), 1 / gram_rcond)
            return _finish(data, M, C, fit_intercept, best, p, math.sqrt(gram_rcond), delta, path, "", factor)
        if solver == "cholesky":
            raise np.linalg.LinAlgError(
                "the cross products of X are not positive definite: its columns are linearly dependent, or nearly; "
                'use solver="auto" or "svd"'
            )
        reason = (
            "cholesky failed: the columns are dependent, or nearly"
            if best is None or gram_rcond < p * EPS
            else f"rcond {math.sqrt(gram_rcond):.1e} of the columns is too small for cholesky"
        )
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
    rcond = float(sigma[rank - 1] / sigma[0]) if rank else 0.0
    beta = Vt[:rank].T @ ((U[:, :rank].T @ R[:p, p:]) / sigma[:rank, None])
    collinear: tuple[int, ...] = ()
    growth = 1.0
    check_solution(C, beta, "SVD", ROWS_MARGIN + RANK_TOLERANCE / EPS)
    if rank < p:
        collinear = collinear_columns(data, C.live, Vt[:rank], on_collinear)
        if on_collinear == "drop":
            some = keep(C, independent(Vt[:rank]))
            solution = solve(data, M, some, solver, fit_intercept)
            solution.path, solution.centred = (*path, *solution.path), some
            solution.collinear = collinear
            solution.dropped = tuple(int(j) for j in np.setdiff1d(C.live, some.live))
            solution.reason = f"rank {rank} of {p}: dependent columns dropped"
            return solution
        reason = f"{reason}; " * bool(reason) + f"rank {rank} of {p}: minimum norm"
        beta, growth = minimum_norm(Vt[:rank], Vt[rank:], C.e, beta, 1 / rcond)
    factor = Factor(None, Vt[:rank], sigma[:rank], 1 / rcond, 1 / rcond, Vt[rank:])
    delta = _qr_delta(R, p, 1 / rcond) * growth
    solution = _finish(data, M, C, fit_intercept, beta, rank, rcond, delta, path, reason, factor)
    solution.collinear = collinear
    return solution


def keep(C: Centred, kept: NDArray[np.intp]) -> Centred:
    """The problem of some of its columns."""
    return replace(C, live=C.live[kept], A=C.A[np.ix_(kept, kept)], c=C.c[kept], e=C.e[kept])


def independent(V: Matrix) -> NDArray[np.intp]:
    """As many independent columns as there are rows in V, whose rows are orthonormal: the first ones there are.

    A column is left out that depends on those before it, as R's lm does; the rows span what the columns
    of a problem span, and are not closer to each other than those for being ill-conditioned.
    """
    rank, p = V.shape
    Q, kept = np.zeros((rank, 0)), []
    for j in range(p):
        v = V[:, j] - Q @ (Q.T @ V[:, j])
        v -= Q @ (Q.T @ v)
        size = float(np.linalg.norm(v))
        if size > PART:
            Q = np.column_stack([Q, v / size])
            kept.append(j)
            if len(kept) == rank:
                return np.array(kept, dtype=np.intp)
    import scipy.linalg

    return np.sort(scipy.linalg.qr(V, mode="r", pivoting=True)[1][:rank])


def minimum_norm(
    V: Matrix, null: Matrix | None, e: NDArray[np.int64], beta: Matrix, kappa: float
) -> tuple[Matrix, float]:
    """Of all beta with the same V beta that for which ||2^e beta||, the norm in the user's units, is least.

    The other number is what errors of the null space may have grown by on the way.

    The rows of V, (rank, p), are orthonormal and span what the equilibrated columns do; those of `null`, where
    they are known, the rest; `kappa` is the condition number that both were found through.
    """
    if null is None or len(null) > len(V):
        return _least_of_rows(V, e, beta), 1.0
    # each dependency with one of the columns of the largest coefficients to itself: its small entries are rounding
    order = np.argsort(-e, kind="stable")
    pivots = order[independent(null[:, order])]
    inverse = np.linalg.inv(null[:, pivots])
    basis = inverse @ null
    basis[np.abs(basis) <= 16 * len(e) * EPS * kappa] = 0.0
    scale = np.ldexp(1.0, e - e.max())[:, None]
    g, rest = _project(scale * basis.T, scale * beta)
    # rows of large columns keep their fit, those of small ones their part in the norm: whichever rounds less
    rounding = np.abs(beta) + np.abs(basis.T) @ np.abs(g)
    least = np.where(np.linalg.norm(rest, axis=0) < scale * rounding, rest / scale, beta - basis.T @ g)
    return least, float(np.linalg.norm(inverse, 2))


def _project(A: Matrix, B: Matrix) -> tuple[Matrix, Matrix]:
    """X and B - A X of least squares whose rows differ by many orders of magnitude.

    Householder reflections with pivots among the columns and the rows: stable row by row (Powell and Reid 1969).
    """
    A, B = A.copy(), B.copy()
    m, r = A.shape
    H, tau = np.zeros((m, r)), np.zeros(r)
    columns, rows = np.arange(r), np.arange(m)
    for k in range(r):
        j = k + int(np.argmax(np.abs(A[k:, k:]).max(axis=0)))
        A[:, [k, j]], columns[[k, j]] = A[:, [j, k]], columns[[j, k]]
        i = k + int(np.argmax(np.abs(A[k:, k])))
        for a in (A, B, H, rows):
            a[[k, i]] = a[[i, k]]
        v = A[k:, k].copy()
        v /= v[0]  # the largest: its square cannot vanish
        v[0] += float(np.linalg.norm(v))
        tau[k] = 2 / float(v @ v)
        A[k:, k:] -= np.outer(tau[k] * v, v @ A[k:, k:])
        B[k:] -= np.outer(tau[k] * v, v @ B[k:])
        H[k:, k] = v
    X, rest, out = np.empty((r, B.shape[1])), B.copy(), np.empty_like(B)
    X[columns] = _solve_triangle(np.hstack([A[:r], B[:r]]), r)
    rest[:r] = 0.0
    for k in range(r - 1, -1, -1):
        v = H[k:, k]
        rest[k:] -= np.outer(tau[k] * v, v @ rest[k:])
    out[rows] = rest
    return X, out


def _least_of_rows(V: Matrix, e: NDArray[np.int64], beta: Matrix) -> Matrix:
    """2^-e times the minimum-norm solution b of W b = V beta, W = V 2^-e, by QR of W' with its rows sorted by size."""
    from scipy.linalg import lapack

    scale = np.ldexp(1.0, e.min() - e)[:, None]
    W = scale * V.T
    order = np.argsort(-np.abs(W).max(axis=1), kind="stable")
    QR, pivots, tau, _, _ = lapack.dgeqp3(np.asfortranarray(W[order]))
    rank, n_targets = len(V), beta.shape[1]
    y = np.zeros((len(e), n_targets), order="F")
    y[:rank] = lapack.dtrtrs(np.asfortranarray(QR[:rank]), (V @ beta)[pivots - 1], trans=1)[0]
    out = np.empty_like(beta)
    out[order] = lapack.dormqr("L", "N", QR, tau, y, max(1, 64 * n_targets))[0]
    return np.asarray(out * scale)


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
    columns = np.setdiff1d(np.arange(data.n_features), live)
    if on_collinear == "raise" and len(columns):
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

    A_F = np.asfortranarray(C.A)
    R, info = lapack.dpotrf(A_F)
    if info != 0:
        return None, R, 0.0
    norm = np.abs(C.A).sum(axis=0).max()
    rcond, info = lapack.dpocon(R, norm)
    beta, info = lapack.dpotrs(R, C.c)
    if info != 0:
        raise np.linalg.LinAlgError(f"LAPACK's dpotrs returned with status {info}")
    check_solution(C, beta, "Cholesky", 100)
    return beta, R, float(rcond)


def check_solution(C: Centred, beta: Matrix, name: str, margin: float) -> None:
    """Whether beta solves the normal equations but for rounding, `margin` p eps: a broken library is noticed.

    The moments were summed by kernels of this package, the factor comes from LAPACK. The residual of a
    backward stable solution is small whatever the condition number.
    """
    norm = np.abs(C.A).sum(axis=0).max()
    residual = np.abs(C.A @ beta - C.c).max()
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


def _cholesky_delta(C: Centred, beta: Matrix, gram_rcond: float) -> Vector:
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
        digits=expected_digits(beta, delta, coef, m, m_y, lever, intercept),
        path=path,
        reason=reason,
        beta=beta,
        factor=factor,
    )


def in_user_units(data: inputs.Table, C: Centred, beta: Matrix) -> Matrix:
    """Coefficients of the user's columns, (n_targets, n_features), from those of the scaled ones."""
    coef = np.zeros((data.n_targets, data.n_features))
    with np.errstate(over="ignore"):
        coef[:, C.live] = np.ldexp(beta, C.e[:, None] - C.ey[None, :]).T
    check_range(data, coef)
    return coef


def check_range(data: inputs.Table, coef: Matrix) -> None:
    """An error that names the first coefficient that float64 cannot hold."""
    bad = np.argwhere(~np.isfinite(coef))
    if bad.size:
        j = int(bad[0, 1])
        name = f" ({data.names[j]!r})" if data.names else ""
        raise ValueError(f"the coefficient of column {j}{name} of X leaves the range of float64; scale the column")


def expected_digits(
    beta: Matrix,
    delta: Vector,
    coef: Matrix,
    m: Vector,
    m_y: Vector,
    lever: Vector,
    intercept: Vector,
) -> float:
    """Correct decimal digits to expect of the worst coefficient; those that are exactly 0 do not count.

    delta is the error of beta relative to its largest component: a small component has fewer digits.
    delta times lever is what that error is worth in the intercept, beside the rounding of its terms.
    """
    if not beta.size:
        delta = np.zeros(beta.shape[1])  # nothing but the intercept
    size = np.abs(beta)
    most = size.max(axis=0, initial=0.0)
    least = np.where(size > 0, size, np.inf).min(axis=0, initial=np.inf)
    error = [delta * np.where(most > 0, most / least, 0.0)]
    b0 = np.abs(intercept)
    rounding = EPS * (np.abs(m_y) + np.abs(coef * m).sum(axis=1)) + np.where(most > 0, delta * lever, 0.0)
    error.append(rounding[b0 > 0] / b0[b0 > 0])
    worst = float(np.concatenate(error).max(initial=EPS))
    return max(0.0, min(-math.log10(worst), FULL_DIGITS)) if worst < math.inf else 0.0


def intercepts(coef: Matrix, k: Vector, mu: Vector, ky: Vector, mu_y: Vector) -> Vector:
    """b0 = (ky + mu_y) - sum_j (k_j + mu_j) b_j, rounded once."""
    terms = [ky[:, None], mu_y[:, None]]
    for a in (k, mu):
        terms += [-part for part in two_product(np.broadcast_to(a, coef.shape), coef)]
    return np.array([math.fsum(row) for row in np.hstack(terms).tolist()])
