# SPDX-License-Identifier: BSD-3-Clause
"""Sums about a shift: what the closed form needs of the data, p^2 numbers whatever the number of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from linreg_fast.algebra.precision import Matrix, Vector


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the rows of one table, of W = (X - k) d and V = (Y - ky) dy with powers of two d, dy.

    n_rows counts rows of non-zero weight; N = sum w, G = W'wW, s = W'w1, q = W'wV, t = V'w1,
    u = diag V'wV. d and dy are 1 unless the squares would leave the range of float64.
    """

    n_rows: int
    N: float
    G: Matrix
    s: Vector
    q: Matrix
    t: Vector
    u: Vector
    k: Vector
    ky: Vector
    d: Vector
    dy: Vector

    @property
    def mean(self) -> Vector:
        """Mean of each column of W."""
        return self.s / self.N


def of_cross_products(M: Matrix, p: int, n_rows: int, shift: Vector, scale: Vector) -> Sums:
    """The parts of M, the cross products of [X, 1, Y] shifted and scaled, X having p columns."""
    return Sums(
        n_rows=n_rows,
        N=float(M[p, p]),
        G=M[:p, :p],
        s=M[p, :p],
        q=M[:p, p + 1 :],
        t=M[p, p + 1 :],
        u=np.diagonal(M)[p + 1 :],
        k=shift[:p],
        ky=shift[p:],
        d=scale[:p],
        dy=scale[p:],
    )


def without(a: Vector, i: int) -> Vector:
    return np.concatenate([a[:i], a[i + 1 :]])
