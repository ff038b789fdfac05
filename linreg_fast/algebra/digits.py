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
LEAST_SHARE = 2.0**-10  # of a column in its penalised norm: it is not small beside the penalty
STANDS_OUT = 1e3  # of times its error that a coefficient is known beside a penalty
NO_SHARE = 2.0**-900  # of which float64 does not hold the products
ROUNDING = 2.0**-50  # of the terms that a coefficient is made of: one below may be exactly 0, and counts as 0


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


def beside_penalty(size: Vector, error: Vector, small: NDArray[np.bool_]) -> tuple[Vector, Vector]:
    """Sizes and errors of coefficients: nothing is known of one beside a penalty that does not stand out of its error.

    `small` are those whose columns are small beside it, and whose coefficients may be so as well: even 0 is no sign.
    """
    lost = small & (size <= STANDS_OUT * error)
    return np.where(lost, np.maximum(size, error), size), np.where(lost, np.maximum(size, error), error)


def expected_digits(
    beta: Matrix,
    delta: Vector,
    size_y: Vector,
    intercept: Vector,
    terms: Vector,
    lever: Vector,
    own: Vector | float = 1.0,
    graded: bool = False,
) -> float:
    """Correct decimal digits to expect of the worst coefficient; those that may be exactly 0 do not count.

    delta is the error of beta relative to its largest component: a small component has fewer digits. `size_y` is the
    norm of y in the units of beta, 0 for a solution of minimum norm, whose small components are no rounding of large
    ones; `terms` is the sum of the sizes of what an intercept is made of, and delta times
    `lever` what the error of beta is worth in it. `own` are the shares of columns in their penalised norms: those that
    are small beside a penalty round by as much less, and so do their coefficients where the factor is `graded`.
    """
    if not beta.size:
        delta = np.zeros(beta.shape[1])  # nothing but the intercept
    size = np.abs(beta)
    most = size.max(axis=0, initial=0.0)
    share = np.reshape(own, (-1, 1))
    zero = ROUNDING * np.where(size_y > 0, np.maximum(most, size_y), 0.0) * share
    error = np.broadcast_to(delta * most * (share if graded else 1.0), size.shape)
    slopes = digits_of(*beside_penalty(size, error, share < LEAST_SHARE), zero)
    rounding = EPS * terms + np.where(most > 0, delta * lever, 0.0)
    return min(slopes, digits_of(np.abs(intercept), rounding, ROUNDING * terms))


def intercepts(coef: Matrix, k: Vector, mu: Vector, ky: Vector, mu_y: Vector) -> Vector:
    """b0 = (ky + mu_y) - sum_j (k_j + mu_j) b_j, rounded once."""
    product, error = two_product(np.stack([k, mu])[:, None], -coef)
    terms = np.concatenate([ky[:, None], mu_y[:, None], *product, *error], axis=1)
    return np.array([math.fsum(row) for row in terms.tolist()])


def vanished(beta: Matrix, coef: Matrix, own: Vector | float = 1.0) -> bool:
    """Whether a coefficient that counts, beta in scaled columns, is 0 in the user's units: float64 has no digit of it.

    Both are (p, n_targets); `own` as in `expected_digits`.
    """
    size = np.abs(beta)
    share = np.reshape(own, (-1, 1))
    return bool(((coef == 0) & (size > ROUNDING * size.max(axis=0, initial=0.0) * share) | (share < NO_SHARE)).any())


def digits_held(coef: NDArray[np.float64], intercept: NDArray[np.float64]) -> float:
    """Decimal digits that float64 has of the smallest coefficient that is not 0: fewer where it is subnormal."""
    values = np.abs(np.append(coef, intercept))
    least = float(values[values > 0].min(initial=1.0))
    return 1075 * math.log10(2) + math.log10(min(least, 2.0**-1022))
