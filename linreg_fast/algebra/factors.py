# SPDX-License-Identifier: BSD-3-Clause
"""Factorisations of p x p matrices over SciPy's LAPACK, what they solve, and whether to believe them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from linreg_fast.algebra.centred import Centred
from linreg_fast.algebra.pairs import add, divide, multiply, pairs, solve_transposed, solve_upper
from linreg_fast.algebra.precision import EPS, Matrix, Vector


@dataclass(slots=True)
class Factor:
    """A solver's factorisation of A: R'R, or V diag(sigma^2) V' over the singular values kept.

    `pairs` is R in double-double, where float64 does not hold enough of it.
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
        from scipy.linalg import lapack

        if self.pairs is not None:
            return solve_upper(self.pairs, solve_transposed(self.pairs, pairs(h)[:, None]))[:, 0, 0]
        if self.R is not None:
            return np.asarray(lapack.dpotrs(self.R, h)[0])
        assert self.Vt is not None
        assert self.sigma is not None
        return np.asarray(self.Vt.T @ ((self.Vt @ h) / self.sigma**2))


def cholesky(C: Centred) -> tuple[Matrix | None, Matrix, float]:
    """beta of A beta = c, R of A = R'R, the reciprocal condition number of A; None if A is not positive definite."""
    from scipy.linalg import lapack

    R, info = lapack.dpotrf(C.gram.T)  # symmetric, and in LAPACK's order as it is
    if info != 0:
        return None, R, 0.0
    norm = lapack.dlange("1", C.gram.T)
    rcond, info = lapack.dpocon(R, norm)
    beta, info = lapack.dpotrs(R, C.cross)
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
        norm = np.abs(C.gram).sum(axis=0).max()
    # not NumPy's product: it may come with a BLAS of its own, whose threads those of SciPy's would hold up
    residual = np.abs(blas.dgemm(1.0, C.gram.T, beta) - C.cross).max()
    size = norm * np.abs(beta).max(initial=0.0) + math.sqrt(C.target_squares.max())  # |c| <= |columns| |y|
    bound = margin * len(C.gram) * EPS * (1 + C.worst_offset) * size
    if not residual <= bound:
        raise np.linalg.LinAlgError(
            f"LAPACK's {name} solution leaves a residual of {residual:.1e} where {bound:.1e} is the most that "
            "rounding explains: the BLAS or LAPACK library in use computes wrong results"
        )


def merge_triangles(upper: Matrix, lower: Matrix) -> Matrix:
    """R of two of them, or of one and rows, one above the other."""
    return np.asarray(np.linalg.qr(np.vstack([upper, lower]), mode="r"))


def triangle_rcond(R: Matrix) -> float:
    """Reciprocal condition number of an upper triangle in the 1-norm, as LAPACK estimates it; 0 if singular."""
    from scipy.linalg import lapack

    if not np.diagonal(R).all():
        return 0.0
    rcond, _ = lapack.dtrcon(np.asfortranarray(R))
    return float(rcond)


def solve_triangle(R: Matrix, p: int) -> Matrix:
    """R_11^-1 R_12 of an upper triangle whose first p columns are R_11; LinAlgError if R_11 is singular."""
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


def svd_loss(A: Matrix, svd: tuple[Matrix, Vector, Matrix]) -> float:
    """By how much A V = U diag(sigma) fails, in roundings of A, at least 1: divide and conquer leaves some tens."""
    U, sigma, Vt = svd
    return max(1.0, float(np.abs(A @ Vt.T - U * sigma).max()) / (EPS * float(sigma[0])))


def pivoted_svd(A: Matrix, noise: float) -> tuple[Vector, Matrix]:
    """Singular values of the columns whose Gram matrix A is known in pairs, descending, and V'.

    The SVD of R of A = R'R, Cholesky with diagonal pivots; pivots up to p times the noise of A are 0.
    """
    p = len(A)
    rest, R = A.copy(), np.zeros((p, p))
    rank = p
    for i in range(p):
        diagonal = np.diagonal(rest[..., 0])
        j = int(np.argmax(diagonal))
        if diagonal[j] <= p * noise:
            rank = i
            break
        row = rest[j].copy()
        R[i] = row[:, 0] / math.sqrt(diagonal[j])
        rest = add(rest, -multiply(row[:, None], divide(row, row[j][None])[None, :]))
        rest[j], rest[:, j] = 0.0, 0.0
    _, sigma, Vt = thin_svd(R)
    sigma[rank:] = 0.0
    return sigma, Vt
