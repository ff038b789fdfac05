# SPDX-License-Identifier: BSD-3-Clause
"""Sums about a shift: what the closed form needs of the data, p^2 numbers whatever the number of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from linreg_fast.algebra.precision import Matrix, Vector


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the rows of one table, of W = (X - k) d and V = (Y - ky) dy with powers of two d, dy.

    d and dy are 1 unless the squares would leave the range of float64.
    """

    n_rows: int  # of non-zero weight
    sum_weight: float  # N = sum w
    gram: Matrix  # G = W'wW
    sums: Vector  # s = W'w1
    cross: Matrix  # q = W'wV
    target_sums: Vector  # t = V'w1
    target_squares: Vector  # u = diag V'wV
    shift: Vector  # k
    target_shift: Vector  # ky
    unit: Vector  # d
    target_unit: Vector  # dy

    @property
    def mean(self) -> Vector:
        """Mean of each column of W."""
        return self.sums / self.sum_weight

    @property
    def target_mean(self) -> Vector:
        """Mean of each column of V."""
        return self.target_sums / self.sum_weight


def of_cross_products(M: Matrix, p: int, n_rows: int, shift: Vector, scale: Vector) -> Sums:
    """The parts of M, the cross products of [X, 1, Y] shifted and scaled, X having p columns."""
    return Sums(
        n_rows=n_rows,
        sum_weight=float(M[p, p]),
        gram=M[:p, :p],
        sums=M[p, :p],
        cross=M[:p, p + 1 :],
        target_sums=M[p, p + 1 :],
        target_squares=np.diagonal(M)[p + 1 :],
        shift=shift[:p],
        target_shift=shift[p:],
        unit=scale[:p],
        target_unit=scale[p:],
    )


def without(a: Vector, i: int) -> Vector:
    """A copy of a vector without its element i."""
    return np.concatenate([a[:i], a[i + 1 :]])
