# SPDX-License-Identifier: BSD-3-Clause
"""Sums in double-double: brought to another shift, centred and equilibrated without loss."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
    return out, noise + 2 * size * np.sqrt(unit * N[0] * noise) + size * size * noise[p] + rounding


def centre(
    M: Matrix, noise: Vector, unit: float, shift: Vector, p: int, fit_intercept: bool
) -> tuple[Matrix, Vector, Vector, Matrix]:
    """Moments about the means, or about 0 without an intercept.

    Parameters
    ----------
    M : (m, m, 2) pairs, cross products of [W, 1, V] = [X - k, 1, y - ky], V'V diagonal
    noise : (m,) error of the sums of squares
    unit : relative rounding of the sums
    shift : (p + n_targets,) k and ky

    Returns
    -------
    M and noise about where they were brought to, how far from the shift that is, and as pairs the means of [X, 1, y].
    """
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
        return pairs(hi), noise + unit * squares, near, mean
    centred, error = moved(M, noise, unit, p, pairs(near))
    mean[:, 1] += centred[p, :, 0] / M[p, p, 0]
    return centred, error, near, mean


@any_range
def equations(
    M: Matrix, noise: Vector, unit: float, shift: Vector, p: int, fit_intercept: bool, l2: float
) -> Equations:
    """Centre, or take back the shift, and equilibrate; arguments as for `centre`."""
    N = M[p, p]
    centred, error, near, mean = centre(M, noise, unit, shift, p, fit_intercept)
    spread = np.diagonal(centred[..., 0]).copy()
    with np.errstate(over="ignore"):
        # of a constant the algebra on pairs leaves their rounding, by the shift
        constant = N[0] * DD_UNIT * (shift[:p] ** 2 + mean[:p, 0] ** 2)
    live = np.flatnonzero(spread[:p] > 4 * error[:p])
    lost = np.flatnonzero((spread[:p] <= 4 * error[:p]) & (spread[:p] > constant))
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
    )


def keep(E: Equations, kept: NDArray[np.intp]) -> Equations:
    """The equations of some of the columns."""
    return replace(
        E, live=E.live[kept], A=E.A[np.ix_(kept, kept)], c=E.c[kept], e=E.e[kept], m=E.m[kept], noise_m=E.noise_m[kept]
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
