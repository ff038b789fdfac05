# SPDX-License-Identifier: BSD-3-Clause
"""Standard errors: s sqrt((X'WX)^-1_jj) from a factor of A = H^-T H^-1, the centred and scaled Gram matrix.

With A = e S e and S the centred Gram matrix the variance of the slopes over s^2 is that of S^-1, of the
intercept 1/N + m'S^-1 m, m being the means of the columns (Seber and Lee 2003, section 3.11).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra import paired
from linreg_fast.algebra.centred import Centred
from linreg_fast.algebra.factors import Factor
from linreg_fast.algebra.paired import WIDEST
from linreg_fast.algebra.pairs import add, cholesky, divide, multiply, pairs, solve_transposed, square_root, total
from linreg_fast.algebra.precision import EPS, Matrix, Vector
from linreg_fast.algebra.sums import Sums
from linreg_fast.passes.products import gram_pairs

LOSS = 1e-14  # relative error of the factor beyond which "extended" makes another one in double-double


def unscaled(M: Sums, C: Centred, factor: Factor | None, n_features: int, fit_intercept: bool) -> Vector | None:
    """Standard errors over the residual standard deviation, (n_features + 1,), the intercept last.

    NaN for columns that are not in `C`, and without an intercept; None below full rank.  The last use of a
    factor: R^-1 takes the place of R, which the factor no longer has.
    """
    from scipy.linalg import lapack

    p = len(C.live)
    if factor is None:
        half = np.zeros((0, 0))
    elif factor.R is not None:
        half, factor.R = lapack.dtrtri(factor.R, overwrite_c=True)[0], None
    elif factor.Vt is not None and factor.sigma is not None and len(factor.Vt) == p:
        half = factor.Vt.T / factor.sigma
    else:
        return None
    m = M.k[C.live] + C.mu[C.live] / M.d[C.live]
    out = np.full(n_features + 1, np.nan)
    with np.errstate(over="ignore"):
        out[C.live] = np.ldexp(np.sqrt(np.einsum("ij,ij->i", half, half)), C.e)
    if fit_intercept:
        out[-1] = np.hypot(np.sqrt(1 / M.N), np.linalg.norm(np.einsum("i,ij->j", np.ldexp(m, C.e), half)))
    return out


def unscaled_pairs(A: Matrix, e: NDArray[np.int64], m: Matrix, N: Matrix) -> tuple[Vector, float] | None:
    """The same from A, (p, p, 2), exponents e, means m, (p, 2), and N as pairs: slopes and intercept."""
    R = cholesky(A)
    if R is None:
        return None
    p = len(A)
    right = np.concatenate([pairs(np.eye(p)), m[:, None] * np.ldexp(1.0, e)[:, None, None]], axis=1)
    Z = solve_transposed(R, right)
    squares = total(multiply(Z, Z)) if p else np.zeros((1, 2))
    squares[-1] = add(squares[-1], divide(pairs(np.array(1.0)), N))
    roots = square_root(squares)[:, 0]
    with np.errstate(over="ignore"):
        return np.ldexp(roots[:-1], e), float(roots[-1])


def unscaled_extended(
    data: Any, M: Sums, C: Centred, factor: Factor | None, fit_intercept: bool, n_threads: int
) -> Vector | None:
    """`unscaled` from one more pass in double-double, where the factor at hand has lost digits or the pass is short."""
    p = len(C.live)
    plain = unscaled(M, C, factor, data.n_features, fit_intercept)
    if plain is None or factor is None or p > WIDEST:
        return plain
    if factor.gain * EPS <= LOSS and M.n_rows * float(p) ** 2 > paired.CHEAP:
        return plain
    A, mu, N = gram_pairs(data, M, C, fit_intercept, n_threads)
    m = add(pairs(M.k[C.live]), mu / M.d[C.live, None])
    found = unscaled_pairs(A, C.e, m, N)
    if found is not None:
        plain[C.live] = found[0]
        if fit_intercept:
            plain[-1] = found[1]
    return plain
