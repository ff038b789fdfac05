# SPDX-License-Identifier: BSD-3-Clause
"""The factor of p x p cross products and all that is asked of it, on this thread and its helpers.

Products and triangles of a BLAS wake its own threads, which then spin for a tenth of a second on the processor that the
next pass would have. LAPACK factors the diagonal blocks, which it does on the calling thread; kernels do the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from linreg_fast.algebra.centred import Centred
from linreg_fast.algebra.pairs import pairs, solve_transposed, solve_upper
from linreg_fast.algebra.precision import EPS, Matrix, Vector
from linreg_fast.passes import blocks, levels, rates

_kernels = levels.kernels
BLOCK, COLUMNS, GROUPS = (_kernels.factor_constants[name] for name in ("BLOCK", "COLUMNS", "GROUPS"))
RATE = 1e10  # multiplications a second that the kernels do at least
PIECES = 8  # of the work between two diagonal blocks, whatever the number of threads: the same bits
SPLIT = 512  # columns beyond which it is cut into these
MOST_TURNS = 5  # of the estimate of a norm, as in LAPACK


@dataclass(slots=True)
class Factor:
    """A solver's factorisation of A: R'R, or V diag(sigma^2) V' over the singular values kept.

    R is a triangle as `in_rows` makes it; `pairs` is R in double-double, where float64 does not hold enough of it.
    """

    R: Matrix | None
    Vt: Matrix | None
    sigma: Vector | None
    kappa: float  # condition number of the columns
    gain: float  # kappa^2 for Cholesky, kappa for QR and SVD: what a correction contracts by, over eps
    null: Matrix | None = None  # rows that complete Vt
    pairs: Matrix | None = None

    def solve(self, h: Vector) -> Vector:
        """A^-1 h, or the pseudo-inverse times h."""
        if self.pairs is not None:
            return solve_upper(self.pairs, solve_transposed(self.pairs, pairs(h)[:, None]))[:, 0, 0]
        if self.R is not None:
            return solve(self.R, h[:, None])[:, 0]
        assert self.Vt is not None
        assert self.sigma is not None
        return np.asarray(self.Vt.T @ ((self.Vt @ h) / self.sigma**2))


def in_rows(R: Matrix) -> Matrix:
    """A triangle as the kernels read it: in C order, its rows filled up with zeros to whole groups of vectors."""
    p = len(R)
    out = np.zeros((p, _kernels.factor_width(p)))
    out[:, :p] = R
    return out


def cholesky(C: Centred, n_threads: int = 1) -> tuple[Matrix | None, Matrix, float]:
    """beta of A beta = c, R of A = R'R, the reciprocal condition number of A; None if A is not positive definite."""
    from scipy.linalg import lapack

    R = _triangle(C.gram, n_threads)
    if R is None:
        return None, C.gram, 0.0
    norm = float(lapack.dlange("1", C.gram.T))
    beta = solve(R, C.cross)
    check_solution(C, beta, "Cholesky", 100, norm)
    with np.errstate(over="ignore", invalid="ignore"):  # where A is singular but for rounding
        inverse = inverse_norm(lambda x: solve(R, x[:, None])[:, 0], len(R))
    return beta, R, min(1.0, 1.0 / norm / inverse) if math.isfinite(inverse) else 0.0


def _triangle(A: Matrix, n_threads: int) -> Matrix | None:
    """R of A = R'R, block row by block row; None where a pivot is not positive."""
    from scipy.linalg import lapack

    p = len(A)
    width = _kernels.factor_width(p)
    R = np.zeros((width, width))
    R[:p, :p] = A
    work = [np.empty(_kernels.factor_work_size(width)) for _ in range(PIECES if p > SPLIT else 1)]
    for first in range(0, p, BLOCK):
        last = min(first + BLOCK, p)
        L, info = lapack.dpotrf(R[first:last, first:last].T, lower=1)
        if info != 0:
            return None
        R[first:last, first:last] = L.T
        if last == p:
            break
        _kernels.factor_rows(R, first, work[0])
        groups = (width - last) // _kernels.lanes
        # equal shares of what lies above the diagonal
        cuts = [groups * (1.0 - math.sqrt(1.0 - i / len(work))) // GROUPS * GROUPS for i in range(len(work))]
        bounds = [int(cut) for cut in cuts] + [groups]

        def trailing(lo: int, hi: int, first: int = first, bounds: list[int] = bounds) -> bool:
            for i in range(lo, hi):
                if bounds[i] < bounds[i + 1]:
                    _kernels.factor_trailing(R, first, bounds[i], bounds[i + 1], work[i])
            return True

        seconds = BLOCK / 2 * (p - last) ** 2 / RATE
        _shared(trailing, len(work), seconds, n_threads)
    return R[:p]


def _shared(piece: Callable[[int, int], object], count: int, seconds: float, n_threads: int) -> object:
    """Pieces lo to hi of some work, on as many threads as it is worth; their sum."""
    if seconds < rates.THREADED_SECONDS or n_threads == 1:
        n_threads = 1
    return blocks.fold(count, count, piece, lambda left, right: left + right, n_threads)


def solve(R: Matrix, h: Matrix) -> Matrix:
    """(R'R)^-1 h of a triangle and columns h."""
    p = len(R)
    rows = np.zeros((h.shape[1], R.shape[1]))
    rows[:, :p] = h.T
    _kernels.factor_solve(R, p, rows)
    return rows[:, :p].T


def inverse_squares(R: Matrix, m: Vector, n_threads: int = 1) -> Vector:
    """The diagonal of (R'R)^-1, and m'(R'R)^-1 m behind it."""
    p = len(R)
    size = p * COLUMNS

    def columns(lo: int, hi: int) -> Vector:
        out = np.zeros(p + 1)
        _kernels.factor_inverse(R, m, lo * COLUMNS, min(hi * COLUMNS, p), np.empty(size), out)
        return out

    count = -(-p // COLUMNS)
    if count == 0:
        return np.zeros(1)
    if p <= SPLIT:
        return columns(0, count)
    return np.asarray(_shared(columns, count, p**3 / 6 / RATE, n_threads))


def inverse_norm(solve: Callable[[Vector], Vector], p: int) -> float:
    """The 1-norm of the inverse of a symmetric matrix from a few solutions: at most what it is, mostly within 3.

    Hager's method as Higham has it (ACM Transactions on Mathematical Software 14, 1988, 381-396), as in LAPACK.
    """
    v = solve(np.full(p, 1.0 / p))
    if p == 1:
        return float(abs(v[0]))
    found, signs, at = float(np.abs(v).sum()), np.where(v < 0, -1.0, 1.0), -1
    for _ in range(MOST_TURNS - 1):
        z = np.abs(solve(signs))
        j = int(np.argmax(z))
        if at >= 0 and z[j] <= z[at]:
            break
        at = j
        v = solve(np.eye(1, p, at)[0])
        before, found = found, max(found, float(np.abs(v).sum()))
        turned = np.where(v < 0, -1.0, 1.0)
        if found <= before or (turned == signs).all():
            break
        signs = turned
    wave = np.linspace(1.0, 2.0, p)
    wave[1::2] *= -1.0
    return max(found, 2.0 * float(np.abs(solve(wave)).sum()) / (3.0 * p))


def check_solution(C: Centred, beta: Matrix, name: str, margin: float, norm: float | None = None) -> None:
    """Whether beta solves the normal equations but for rounding, `margin` p eps: a broken library is noticed.

    The residual of a backward stable solution is small whatever the condition number.  `norm` is that of A, where it
    is known.
    """
    if norm is None:
        norm = np.abs(C.gram).sum(axis=0).max()
    residual = _kernels.factor_residual(C.gram, np.ascontiguousarray(beta.T), np.ascontiguousarray(C.cross.T))
    size = norm * np.abs(beta).max(initial=0.0) + math.sqrt(C.target_squares.max())  # |c| <= |columns| |y|
    bound = margin * len(C.gram) * EPS * (1 + C.worst_offset) * size
    if not residual <= bound:
        raise np.linalg.LinAlgError(
            f"LAPACK's {name} solution leaves a residual of {residual:.1e} where {bound:.1e} is the most that "
            "rounding explains: the BLAS or LAPACK library in use computes wrong results"
        )
