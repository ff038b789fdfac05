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
    out = np.empty((*np.shape(hi), 2))
    out[..., 0], out[..., 1] = hi, lo
    return out


def _normal(s: Array, e: Array) -> Array:
    """Pairs of s + e, e being small beside s (Dekker's fast TwoSum)."""
    out = np.empty((*np.shape(s), 2))
    hi = out[..., 0]
    np.add(s, e, out=hi)
    out[..., 1] = e - (hi - s)
    return out


def add(a: Array, b: Array) -> Array:
    """Sum of pairs: relative error 2^-104 unless hi + hi cancels, then 2^-104 of the larger one's lo."""
    s, e = two_sum(a[..., 0], b[..., 0])
    return _normal(s, e + (a[..., 1] + b[..., 1]))


def multiply(a: Array, b: Array) -> Array:
    """Product of pairs."""
    p, e = two_product(a[..., 0], b[..., 0])
    return _normal(p, e + (a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]))


def divide(a: Array, b: Array) -> Array:
    """Quotient of pairs: two steps of long division."""
    q = a[..., 0] / b[..., 0]
    rest = add(a, -multiply(pairs(q), b))
    return _normal(q, rest[..., 0] / b[..., 0])


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


def add_to(left: Array, right: Array) -> None:
    """left += right, flat arrays of pairs."""
    left[:] = add(left.reshape(-1, 2), right.reshape(-1, 2)).ravel()


def square_root(a: Array) -> Array:
    """Square root of positive pairs: one Newton step from the rounded one."""
    r = np.sqrt(a[..., 0])
    rest = add(a, -multiply(pairs(r), pairs(r)))
    hi, lo = two_sum(r, rest[..., 0] / (2 * r))
    return np.stack([hi, lo], axis=-1)


def cholesky(A: Array) -> Array | None:
    """R of A = R'R in pairs, (p, p, 2); None if A is not positive definite."""
    p = len(A)
    rest, R = A.copy(), np.zeros_like(A)
    for i in range(p):
        if not rest[i, i, 0] > 0:
            return None
        R[i, i:] = divide(rest[i, i:], square_root(rest[i, i])[None])
        row = R[i, i + 1 :]
        rest[i + 1 :, i + 1 :] = add(rest[i + 1 :, i + 1 :], -multiply(row[:, None], row[None]))
    return R


def solve_upper(R: Array, B: Array) -> Array:
    """R^-1 B in pairs, for the upper triangle R, (p, p, 2), and B, (p, m, 2)."""
    rest, X = B.copy(), np.zeros_like(B)
    for i in range(len(R) - 1, -1, -1):
        X[i] = divide(rest[i], R[i, i][None])
        rest[:i] = add(rest[:i], -multiply(R[:i, i, None], X[i][None]))
    return X


def solve_transposed(R: Array, B: Array) -> Array:
    """R^-T B in pairs, for the upper triangle R, (p, p, 2), and B, (p, m, 2)."""
    rest, Z = B.copy(), np.zeros_like(B)
    for i in range(len(R)):
        Z[i] = divide(rest[i], R[i, i][None])
        rest[i + 1 :] = add(rest[i + 1 :], -multiply(R[i, i + 1 :, None], Z[i][None]))
    return Z
