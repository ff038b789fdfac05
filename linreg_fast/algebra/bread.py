# SPDX-License-Identifier: BSD-3-Clause
"""What a fit keeps of its cross products: the inverse of the centred ones, or what makes it when asked for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra import room
from linreg_fast.algebra.precision import Matrix, Vector


class Bread(NamedTuple):
    """S^-1 of the centred and weighted cross products S of the columns that a fit is of: the bread of a sandwich.

    live        their positions among all columns
    means       what they are centred about, (r,); 0 without an intercept
    level       the predictions at the means, one for each target; 0 without an intercept
    exponents   e of the scaled columns, (r,): S^-1 = 2^e A^-1 2^e
    triangle    R of A = R'R, in rows that may be longer; or None and
    root        G of A^-1 = G G'; or None and
    packed      A^-1, its upper triangle row by row
    """

    live: NDArray[np.intp]
    means: Vector
    level: Vector
    exponents: NDArray[np.int64]
    triangle: Matrix | None = None
    root: Matrix | None = None
    packed: Vector | None = None

    def inverse(self) -> Matrix:
        """S^-1, (r, r)."""
        r = len(self.live)
        if self.packed is not None:
            upper = np.zeros((r, r))
            upper[np.triu_indices(r)] = self.packed
            A = upper + np.triu(upper, 1).T
        elif self.root is not None:
            A = self.root @ self.root.T
        else:
            A = _of_triangle(self.triangle, r)
        with np.errstate(over="ignore", under="ignore"):  # of extreme columns
            return np.ldexp(A, np.add.outer(self.exponents, self.exponents))


class Spread(NamedTuple):
    """Standard errors over the residual standard deviation, (n_features + 1,), the intercept last, and their bread.

    NaN for columns that take no part, and without an intercept; no bread where it is not kept.
    """

    errors: Vector
    bread: Bread | None


class Robust(NamedTuple):
    """Covariances that do not take errors for equal and independent.

    matrix      those of [the prediction at the means, the coefficients of the columns of the bread], (n_targets, q, q);
                without the first of them where no intercept was fitted
    freedom     degrees of freedom of the t statistics
    note        what was chosen, in a few words
    """

    kind: str
    matrix: Matrix
    freedom: int
    note: str


def _of_triangle(R: Matrix | None, r: int) -> Matrix:
    assert R is not None
    if r == 0:
        return np.zeros((0, 0))
    room.for_lapack()
    from scipy.linalg import lapack

    upper, info = lapack.dpotri(np.asfortranarray(R[:, :r]), lower=0)
    if info != 0:
        raise np.linalg.LinAlgError("the triangle of the cross products has a 0 on its diagonal")
    upper = np.triu(upper)
    return np.asarray(upper + np.triu(upper, 1).T)


def of_small(res: Vector, p: int, n_targets: int) -> Bread:
    """What the kernels of few columns leave: see `_solve_small` for the places."""
    means, level = np.split(res[n_targets * (p + 3) + p + 4 :][: p + n_targets], [p])
    nothing = np.zeros(p, dtype=np.int64)
    return Bread(np.arange(p), means, level, nothing, packed=res[len(res) - p * (p + 1) // 2 :])


def about(spread: Spread | None, point: Vector | None) -> Spread | None:
    """With the means and the predictions there that `centred.at_means` found; without an intercept they are 0."""
    if spread is None or spread.bread is None or point is None:
        return spread
    kept, k = spread.bread, len(spread.bread.level)
    return spread._replace(bread=kept._replace(means=point[:-k][kept.live], level=point[-k:]))


def about_zero(C: Matrix, means: Vector) -> Matrix:
    """Covariances of [b_0, b_1 ..] from those C, (.., r + 1, r + 1), of [the prediction at the means, b_1 ..].

    b_0 = a - m'b: var b_0 = var a - 2 m'cov(a, b) + m'cov(b) m.
    """
    out = C.copy()
    across = C[..., 1:, 0] - C[..., 1:, 1:] @ means
    out[..., 1:, 0] = out[..., 0, 1:] = across
    out[..., 0, 0] = C[..., 0, 0] - C[..., 0, 1:] @ means - across @ means
    return out
