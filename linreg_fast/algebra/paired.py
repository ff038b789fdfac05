# SPDX-License-Identifier: BSD-3-Clause
"""Sums in double-double: brought to another shift, centred and equilibrated without loss."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.pairs import (
    add,
    multiply,
    pairs,
    two_sum,
)
from linreg_fast.algebra.precision import DD_UNIT, EPS, Matrix, Vector, any_range


@dataclass(slots=True)
class PairedSums:
    """Cross products of [W, 1, V] = [X - k, 1, y - ky] over rows, as pairs, and how good they are.

    They add, subtract and move to another shift; nothing in them is ever written to.
    """

    M: Matrix  # (m, m, 2), symmetric; V'V is 0 off its diagonal
    noise: Vector  # (m,), error of the sums of squares by what went in and out
    unit: float  # the least relative error of the sums
    shift: Vector | None  # k and ky, (m - 1,); None before the first rows where none was given
    n_samples: int  # rows of non-zero weight
    p: int  # columns of X, and where the 1 is

    @classmethod
    def empty(cls, p: int, n_targets: int, unit: float, shift: Vector | None) -> Self:
        """Of no rows."""
        m = p + 1 + n_targets
        return cls(np.zeros((m, m, 2)), np.zeros(m), unit, shift, 0, p)

    @property
    def sum_weight(self) -> float:
        """Sum of the weights; the number of rows without any."""
        return float(self.M[self.p, self.p, 0])

    @property
    def known_shift(self) -> Vector:
        """The shift; ValueError without rows."""
        if self.shift is None or self.n_samples == 0:
            raise ValueError("there are no rows in these moments yet")
        return self.shift

    def errors(self) -> Vector:
        """Error to expect of each sum of squares: what went through it, and at least rounding of what it is."""
        least = self.unit * np.diagonal(self.M[..., 0])
        least[self.p] = 0.0
        return np.asarray(np.maximum(self.noise, least))

    def part(self, features: NDArray[np.intp], targets: NDArray[np.intp]) -> PairedSums:
        """The sums of some columns of X and y, in that order, with the `errors` for their noise."""
        shift, p = self.known_shift, self.p
        if len(features) == p and len(features) + len(targets) == len(shift):
            order = np.concatenate([features, p + targets])
            if (order[1:] > order[:-1]).all():
                return PairedSums(self.M, self.errors(), self.unit, shift, self.n_samples, p)
        at = np.concatenate([features, [p], p + 1 + targets])
        kept = shift[np.concatenate([features, p + targets])]
        return PairedSums(self.M[np.ix_(at, at)], self.errors()[at], self.unit, kept, self.n_samples, len(features))

    def moved_to(self, shift: Vector) -> PairedSums:
        """The same rows about another shift; without rows, no rows there."""
        if self.shift is shift or self.n_samples == 0:
            return replace(self, shift=shift)
        if (self.known_shift == shift).all():
            return replace(self, shift=shift)
        M, noise = moved(self.M, self.errors(), self.unit, self.p, shift_between(shift, self.known_shift, self.p))
        return replace(self, M=M, noise=noise, shift=shift)

    def __add__(self, other: PairedSums) -> PairedSums:
        return self._with(other, 1)

    def __sub__(self, other: PairedSums) -> PairedSums:
        """Without the rows of the other, which this one has seen.

        Raises
        ------
        ValueError
            It has not.
        """
        found, p = self._with(other, -1), self.p
        total, noise = found.M, found.noise
        squares, least = np.diagonal(total[..., 0]), np.maximum(noise, self.errors())
        if found.n_samples == 0 and (np.abs(squares) <= 8 * least).all():
            total, noise = np.zeros_like(total), np.zeros_like(noise)
        elif found.n_samples <= 0 or squares[p] <= 0 or (squares < -8 * least).any():
            raise ValueError(
                f"the rows to take out were not all added: {found.n_samples} rows with a sum of weights of "
                f"{squares[p]:g} and a least sum of squares of {squares.min():g} would be left"
            )
        at = np.arange(len(total))
        total[at, at] = np.where(total[at, at, :1] > 0, total[at, at], 0.0)
        return replace(found, M=total, noise=noise)

    def _with(self, other: PairedSums, sign: int) -> PairedSums:
        """The rows of the other, about the same shift, added or subtracted."""
        with np.errstate(over="ignore", invalid="ignore"):
            total = add(self.M, sign * other.M)
        if not np.isfinite(total).all():
            raise ValueError("the sums of squares of the columns of X or y leave the range of float64: scale them")
        unit = max(self.unit, other.unit) if self.n_samples else other.unit
        count = self.n_samples + sign * other.n_samples
        return PairedSums(total, np.hypot(self.noise, other.noise), unit, other.shift, count, self.p)

    def scaled(self, factor: float) -> PairedSums:
        """All weights times a factor."""
        return replace(self, M=multiply(self.M, pairs(np.array(factor))), noise=self.noise * factor)


class About(NamedTuple):
    """Sums about the means, or about 0 without an intercept."""

    M: Matrix
    noise: Vector
    near: Vector  # how far from the shift that is
    mean: Matrix  # as pairs, of [X, 1, y]


class Doubt(NamedTuple):
    """What the noise of the sums is worth once they are centred, for columns of X and y."""

    x: Vector  # square roots of the errors of the sums of squares
    z: Vector  # how far from the shift the columns are
    root: float  # sqrt(unit N): the error of a sum is that times x
    weight: float  # error of N, the sum of the weights

    def of_squares(self, b: Vector, live: NDArray[np.intp], y: int) -> float:
        """Error of the sum of squares of y - X b, y being that column and X the live ones."""
        size = np.abs(b)
        x, z = self.x[y] + size @ self.x[live], self.z[y] + size @ self.z[live]
        return float(x * (x + 2 * self.root * z) + z * z * self.weight)


@dataclass(slots=True)
class Equations:
    """A beta = c in pairs: columns centred about their means, or as they are without an intercept.

    A = e (S + l2) e and c = e S_xy over the columns `live` that vary at all, e powers of two; b = beta e.
    """

    live: NDArray[np.intp]
    A: Matrix  # (p, p, 2)
    c: Matrix  # (p, n_targets, 2)
    S_yy: Matrix  # (n_targets, 2)
    e: NDArray[np.int64]  # exponents of two
    m: Matrix  # means of the live columns, (p, 2), and of y, (n_targets, 2); 0 without an intercept
    m_y: Matrix
    noise: float  # error of A relative to its diagonal
    noise_c: Vector  # error of c, one for each target
    noise_m: Vector  # error of the means
    noise_m_y: Vector
    l2: float
    sum_weight: Matrix  # (2,)
    lost: NDArray[np.intp]  # columns that vary, but by less than the sums can tell
    doubt: Doubt  # of [X, 1, y]
    own: Vector  # roots of what of the diagonal of A is of the columns, not of the penalty
    constant_y: NDArray[np.bool_]  # targets of which the algebra has left no more than its own rounding


def moved(M: Matrix, noise: Vector, unit: float, p: int, delta: Matrix) -> tuple[Matrix, Vector]:
    """Moments and noise of [W - delta, 1, V - delta] from those of [W, 1, V]: M - T - T', T = delta (s - N delta / 2)'.

    delta has pairs for all columns, (0, 0) at the 1 in position p.
    """
    s, N = M[p], M[p, p]
    T = multiply(delta[:, None], add(s, multiply(delta, -0.5 * N))[None, :])
    out = add(M, -add(T, T.swapaxes(0, 1)))
    y = out[p + 1 :, p + 1 :]
    if len(y) > 1:
        y[~np.eye(len(y), dtype=bool)] = 0.0  # not kept
    size = np.abs(delta[:, 0])
    rounding = DD_UNIT * (N[0] * size * size + 2 * size * np.abs(s[:, 0]))
    return out, noise + 2 * size * (np.sqrt(unit * N[0]) * np.sqrt(noise)) + size * size * noise[p] + rounding


def centre(part: PairedSums, fit_intercept: bool) -> About:
    """The sums of a `part` about the means, or about 0 without an intercept."""
    M, noise, unit, shift, p = part.M, part.noise, part.unit, part.known_shift, part.p
    k = np.concatenate([shift[:p], [0.0], shift[p:]])
    if fit_intercept:
        # any float64 near the mean will do: the square of what it misses by is below the digits of pairs
        near = M[p, :, 0] / M[p, p, 0]
        near[p] = 0.0
    else:
        near = -k
    mean = pairs(*two_sum(k, near))
    squares = np.diagonal(M[..., 0])
    if fit_intercept and unit >= EPS and (2 * M[p, p, 0] * near * near <= squares)[squares > 0].all():
        # what float64 rounds here is less than the noise of the sums
        hi = M[..., 0] - np.outer(near, M[p, :, 0])
        hi[p], hi[:, p] = 0.0, 0.0
        hi[p, p] = M[p, p, 0]
        y = hi[p + 1 :, p + 1 :]
        y[~np.eye(len(y), dtype=bool)] = 0.0  # not kept
        return About(pairs(hi), noise + unit * squares, near, mean)
    centred, error = moved(M, noise, unit, p, pairs(near))
    mean[:, 1] += centred[p, :, 0] / M[p, p, 0]
    return About(centred, error, near, mean)


@any_range
def equations(part: PairedSums, fit_intercept: bool, l2: float) -> Equations:
    """Centre, or take back the shift, and equilibrate the sums of a `part`."""
    M, noise, unit, shift, p = part.M, part.noise, part.unit, part.known_shift, part.p
    N = M[p, p]
    centred, error, near, mean = centre(part, fit_intercept)
    spread = np.diagonal(centred[..., 0]).copy()
    with np.errstate(over="ignore"):
        # of a constant the algebra on pairs leaves their rounding, by the shift
        constant = N[0] * DD_UNIT * (shift[:p] ** 2 + mean[:p, 0] ** 2)
    live = np.flatnonzero(spread[:p] > 4 * error[:p])
    # a square that rounding took below 0 is as lost as one above
    lost = np.flatnonzero((spread[:p] <= 4 * error[:p]) & (np.abs(spread[:p]) > constant))
    A = centred[np.ix_(live, live)] if len(live) < p else centred[:p, :p].copy()
    if l2:
        at = np.arange(len(live))
        A[at, at] = add(A[at, at], pairs(np.full(len(live), l2)))
    diagonal = A[np.arange(len(live)), np.arange(len(live)), 0]
    e = -np.round(0.5 * np.log2(diagonal)).astype(np.int64)
    scale = np.ldexp(1.0, e)[:, None]
    A *= scale[:, None]
    A *= scale  # in two steps: the square of a scale may overflow
    # what the noise of the sums is worth in A, relative to its diagonal: x of the columns' own, z of the shift's
    N_hi, size = float(N[0]), np.abs(near)
    N_noise = noise[p] / N_hi
    root = math.sqrt(unit * N_hi)
    x = np.sqrt(noise)
    at_live = np.sqrt(diagonal)
    x_most = float((x[live] / at_live).max(initial=0.0))
    z_most = float((size[live] / at_live).max(initial=0.0))
    relative = x_most**2 + 2 * x_most * z_most * root + z_most**2 * N_hi * (N_noise + DD_UNIT) + DD_UNIT
    x_y, z_y = x[p + 1 :], size[p + 1 :]
    noise_c = x_most * x_y + root * (x_most * z_y + z_most * x_y) + z_most * z_y * N_hi * (N_noise + DD_UNIT)
    noise_mean = math.sqrt(unit / N_hi) * x + size * N_noise + DD_UNIT * (size + np.abs(mean[:, 0]))
    if not fit_intercept:
        mean, noise_mean = np.zeros_like(mean), np.zeros_like(noise_mean)
    S_yy = centred[np.arange(p + 1, len(M)), np.arange(p + 1, len(M))]
    least_y = N[0] * DD_UNIT * (shift[p:] ** 2 + mean[p + 1 :, 0] ** 2)
    return Equations(
        live=live,
        A=A,
        c=centred[live, p + 1 :] * scale[:, None],
        S_yy=np.where(S_yy[:, :1] > 0, S_yy, 0.0),
        e=e,
        m=mean[live],
        m_y=mean[p + 1 :],
        noise=relative,
        noise_c=noise_c,
        noise_m=noise_mean[live],
        noise_m_y=noise_mean[p + 1 :],
        l2=l2,
        sum_weight=N,
        lost=lost,
        doubt=Doubt(x, size, root, N_hi * (N_noise + DD_UNIT)),
        own=np.minimum(1.0, np.sqrt(spread[live]) * scale[:, 0]) if l2 else np.ones(len(live)),
        constant_y=S_yy[:, 0] <= least_y,
    )


def keep(E: Equations, kept: NDArray[np.intp]) -> Equations:
    """The equations of some of the columns."""
    return replace(
        E,
        live=E.live[kept],
        A=E.A[np.ix_(kept, kept)],
        c=E.c[kept],
        e=E.e[kept],
        m=E.m[kept],
        noise_m=E.noise_m[kept],
        own=E.own[kept],
    )


def shift_between(new: Vector, old: Vector, p: int) -> Matrix:
    """new - old as pairs, exactly, with (0, 0) for the 1: what `moved` takes to bring moments to a new shift."""
    return pairs(*(np.insert(part, p, 0.0) for part in two_sum(new, -old)))


CHEAP = 2.0**22  # n p^2 up to which it does so anyway: about ten milliseconds
FEW = 16  # columns up to which it costs no more than a few passes of refinement
WIDEST = 400  # columns up to which that is feasible at all


def affordable(n_rows: int, p: int) -> bool:
    """Whether a pass in double-double for all cross products is little beside the passes of refinement."""
    return p <= FEW or n_rows * float(p) ** 2 <= CHEAP
