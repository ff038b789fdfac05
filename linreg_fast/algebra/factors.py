# SPDX-License-Identifier: BSD-3-Clause
"""Triangles and singular values of p x p matrices over SciPy's LAPACK."""

from __future__ import annotations

import math

import numpy as np

from linreg_fast.algebra.pairs import add, divide, multiply
from linreg_fast.algebra.precision import EPS, Matrix, Vector

ROUNDED = 4.0, 0.5  # roundings of its spread and of its mean that a dependent column may have come through


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


def rank_of_rounded(sigma: Vector, Vt: Matrix, mean: Vector, size: Vector, sum_weight: float, noise: float) -> int:
    """How many directions of the columns Z e that `pivoted_svd` found are not null.

    A direction v is null where numbers that are off by no more than their own rounding could make it so:
    ||Z v|| <= eps sum_j |v_j| e_j (4 ||x_j - mean|| + sqrt(N) |mean| / 2). Rounding to nearest leaves some third of
    that. `mean` and `size` are those of the scaled columns, `noise` is what the sums leave of a singular value.
    """
    rounding = EPS * (np.abs(Vt) @ (ROUNDED[1] * math.sqrt(sum_weight) * mean + ROUNDED[0] * size))
    return int(np.count_nonzero(sigma > np.hypot(rounding, noise)))
