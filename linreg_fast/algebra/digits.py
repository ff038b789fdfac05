# SPDX-License-Identifier: BSD-3-Clause
"""How many decimal digits of a coefficient can be trusted."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.centred import Centred
from linreg_fast.algebra.pairs import two_product
from linreg_fast.algebra.precision import EPS, Matrix, Vector

FULL_DIGITS = 15.95  # -log10(EPS)
NOTHING = 2.0**-46  # of the spread of y: an intercept below may be rounding of the mean


def cholesky_delta(C: Centred, beta: Matrix, gram_rcond: float) -> Vector:
    """Relative error to expect of beta from the rounding of A, and of c, to which large residuals add theirs."""
    rss = np.maximum(C.target_squares - np.einsum("jt,jt->t", beta, C.cross), 0.0)
    most = np.maximum(np.abs(beta).max(axis=0), np.finfo(float).tiny)
    return np.asarray(EPS * (1 + C.worst_offset) / gram_rcond * np.maximum(1.0, np.sqrt(rss) / most))


def qr_delta(R: Matrix, p: int, kappa: float) -> Vector:
    """Relative error to expect of beta from QR: eps kappa (1 + kappa tan t), t the angle of residual and fit."""
    fitted = np.linalg.norm(R[:p, p:], axis=0)
    residual = np.linalg.norm(np.triu(R[p:, p:]), axis=0)
    tan = residual / np.maximum(fitted, EPS * residual + np.finfo(float).tiny)
    return np.asarray(EPS * kappa * (1 + kappa * tan))


def digits_of(size: Vector, error: Vector, negligible: Vector | float = 0.0) -> float:
    """Correct decimal digits of the worst of some coefficients of a size, |b_j|, known but for an error.

    A coefficient of a size up to `negligible` may be exactly 0 and does not count.
    """
    counts = size > negligible
    worst = float(np.max(error[counts] / size[counts], initial=EPS))
    return max(0.0, min(-math.log10(worst), FULL_DIGITS)) if worst < math.inf else 0.0


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
    b0 = np.abs(intercept)
    own = np.abs(m_y) + np.where(b0 > NOTHING * spread, spread, 0.0)
    rounding = EPS * (own + np.abs(coef * m).sum(axis=1)) + np.where(most > 0, delta * lever, 0.0)
    slopes = digits_of(np.where(most > 0, least, 0.0), delta * most)
    return min(slopes, digits_of(b0, rounding))


def intercepts(coef: Matrix, k: Vector, mu: Vector, ky: Vector, mu_y: Vector) -> Vector:
    """b0 = (ky + mu_y) - sum_j (k_j + mu_j) b_j, rounded once."""
    product, error = two_product(np.stack([k, mu])[:, None], -coef)
    terms = np.concatenate([ky[:, None], mu_y[:, None], *product, *error], axis=1)
    return np.array([math.fsum(row) for row in terms.tolist()])


def digits_held(coef: NDArray[np.float64]) -> float:
    """Decimal digits that float64 has of the smallest coefficient that is not 0: fewer where it is subnormal."""
    least = float(np.abs(coef[coef != 0]).min(initial=1.0))
    return 1075 * math.log10(2) + math.log10(min(least, 2.0**-1022))
