# SPDX-License-Identifier: BSD-3-Clause
"""Double-double arithmetic on arrays of pairs (hi, lo), the last axis: about 106 bits of each number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b and its rounding error (Knuth)."""
    s = a + b
    z = s - a
    return s, (a - (s - z)) + (b - z)


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """a * b and its rounding error (Dekker 1971; Veltkamp's splitting)."""
    p = a * b
    with np.errstate(over="ignore", invalid="ignore"):
        c, d = a * 134217729.0, b * 134217729.0
        ah, bh = c - (c - a), d - (d - b)
        al, bl = a - ah, b - bh
        error = ((ah * bh - p) + ah * bl + al * bh) + al * bl
    return p, np.where(np.isfinite(error), error, 0.0)


def pairs(hi: Array, lo: Array | float = 0.0) -> Array:
    """Pairs of two arrays, their last axis new."""
    return np.stack([hi, np.broadcast_to(lo, np.shape(hi))], axis=-1)


def add(a: Array, b: Array) -> Array:
    """Sum of pairs: relative error 2^-104 unless hi + hi cancels, then 2^-104 of the larger one's lo."""
    s, e = two_sum(a[..., 0], b[..., 0])
    hi, lo = two_sum(s, e + (a[..., 1] + b[..., 1]))
    return np.stack([hi, lo], axis=-1)


def multiply(a: Array, b: Array) -> Array:
    """Product of pairs."""
    p, e = two_product(a[..., 0], b[..., 0])
    hi, lo = two_sum(p, e + (a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]))
    return np.stack([hi, lo], axis=-1)


def divide(a: Array, b: Array) -> Array:
    """Quotient of pairs: two steps of long division."""
    q = a[..., 0] / b[..., 0]
    rest = add(a, -multiply(pairs(q), b))
    hi, lo = two_sum(q, rest[..., 0] / b[..., 0])
    return np.stack([hi, lo], axis=-1)


def total(a: Array) -> Array:
    """Sum of pairs over the first axis, in pairs of terms."""
    while len(a) > 1:
        half = len(a) // 2
        rest = a[2 * half :]
        a = add(a[:half], a[half : 2 * half])
        if len(rest):
            a = np.concatenate([a, rest])
    return a[0] if len(a) else np.zeros(a.shape[1:])


def product(A: Array, B: Array) -> Array:
    """Matrix product A'B of pairs, (p, m, 2) and (p, k, 2)."""
    return total(multiply(A[:, :, None], B[:, None, :]))
