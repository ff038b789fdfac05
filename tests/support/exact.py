"""Least squares, minimum norm and ridge in rational numbers, and how near a value is to them."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def rational(v) -> Fraction:
    """A whole number or a fraction as it is; of NumPy's, what float64 holds."""
    return Fraction(v if isinstance(v, int | Fraction) else float(v))


def dot(u, v) -> Fraction:
    return sum((a * b for a, b in zip(u, v, strict=True)), Fraction(0))


# how near


def lre(value: float, exact: Fraction) -> float:
    """Log relative error: correct decimal digits of a value, at most 17 (identical)."""
    error = abs(Fraction(float(value)) - exact)
    if exact:
        error /= abs(exact)
    return min(17.0, 17.0 if not error else _minus_log10(error))


def _minus_log10(x: Fraction) -> float:
    """Of a fraction that may be too small or too large for a float."""
    return math.log10(x.denominator) - math.log10(x.numerator)


def worst_lre(values, exact) -> float:
    """The least LRE of several coefficients."""
    return min(lre(value, Fraction(true)) for value, true in zip(values, exact, strict=True))


def ulps(values, exact):
    """Distance from the exact values in units of the last place, of the worst."""
    return max(
        abs(Fraction(float(v)) - t) / Fraction(float(np.spacing(abs(float(t)))))
        for v, t in zip(values, exact, strict=True)
    )


# solutions


def _whole(numbers) -> tuple[list[int], Fraction]:
    """Whole numbers and their unit: numbers = whole numbers * unit, exactly."""
    fractions = [rational(v) for v in numbers]
    below = math.lcm(*(v.denominator for v in fractions))
    whole = [v.numerator * (below // v.denominator) for v in fractions]
    above = math.gcd(*whole) or 1
    return [v // above for v in whole], Fraction(above, below)


def solve_exactly(A, b) -> list[Fraction] | None:
    """A^-1 b in rational numbers (Bareiss 1968: no fractions on the way); None if A is singular."""
    rows = [_whole([*row, v])[0] for row, v in zip(A, b, strict=True)]
    size, before = len(rows), 1
    for i in range(size):
        pivot = next((r for r in range(i, size) if rows[r][i]), None)
        if pivot is None:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(i + 1, size):
            rows[r] = [(rows[i][i] * v - rows[r][i] * u) // before for v, u in zip(rows[r], rows[i], strict=True)]
        before = rows[i][i]
    x = [Fraction(0)] * size
    for i in reversed(range(size)):
        x[i] = (rows[i][size] - dot(rows[i][i + 1 : size], x[i + 1 :])) / rows[i][i]
    return x


def exact_fit(X, y, fit_intercept=True, w=None) -> list[Fraction] | None:
    """Least squares in rational numbers: slopes, then the intercept; None below full rank."""
    n = len(y)
    given = [*zip(*X, strict=True), *[[1.0] * n] * fit_intercept]
    columns, units = zip(*map(_whole, given), strict=True)
    target, unit = _whole(y)
    weights = [1] * n if w is None else _whole(w)[0]
    weighted = [[a * b for a, b in zip(weights, column, strict=True)] for column in columns]
    gram = [[sum(map(int.__mul__, left, right)) for right in columns] for left in weighted]
    b = solve_exactly(gram, [sum(map(int.__mul__, left, target)) for left in weighted])
    return b and [v * unit / u for v, u in zip(b, units, strict=True)]


def exact_ridge(X, y, l2, fit_intercept=True, w=None) -> list[Fraction]:
    """Slopes, then the intercept, that minimise the rss and l2 ||slopes||^2: a row of weight l2 for each slope."""
    n, p = np.shape(X)
    rows = np.column_stack([X, np.ones((n, int(fit_intercept)))])
    weights = np.concatenate([np.ones(n) if w is None else w, np.full(p, float(l2))])
    penalised = np.vstack([rows, np.eye(p, rows.shape[1])])
    return exact_fit(penalised, np.concatenate([y, np.zeros(p)]), False, weights)


def echelon(rows) -> tuple[list[list[Fraction]], list[int]]:
    """The rows of the reduced echelon form that are not 0, and the columns of their pivots (Gauss-Jordan)."""
    rows, pivots = [list(row) for row in rows], []
    for j in range(len(rows[0])):
        i = len(pivots)
        at = next((k for k in range(i, len(rows)) if rows[k][j]), None)
        if at is None:
            continue
        rows[i], rows[at] = rows[at], rows[i]
        rows[i] = [v / rows[i][j] for v in rows[i]]
        for k, row in enumerate(rows):
            if k != i and row[j]:
                rows[k] = [a - row[j] * b for a, b in zip(row, rows[i], strict=True)]
        pivots.append(j)
    return rows[: len(pivots)], pivots


def exact_minimum_norm(X, y, fit_intercept=True) -> tuple[list[Fraction], list[int]]:
    """Least squares of least ||slopes||, and the first columns that are independent: slopes, then the intercept.

    Z = B C, C being the reduced echelon form of the centred columns Z and B those with a pivot;
    b = C'(CC')^-1 (B'B)^-1 B'v.
    """
    Z, v = [[rational(a) for a in row] for row in X], [rational(t) for t in y]
    mean, level = [Fraction(0)] * len(Z[0]), Fraction(0)
    if fit_intercept:
        mean, level = [sum(column) / len(v) for column in zip(*Z, strict=True)], sum(v) / len(v)
    Z = [[a - m for a, m in zip(row, mean, strict=True)] for row in Z]
    C, pivots = echelon(Z)
    B = [[row[j] for row in Z] for j in pivots]
    least = solve_exactly([[dot(a, c) for c in B] for a in B], [dot(a, [t - level for t in v]) for a in B])
    g = solve_exactly([[dot(a, c) for c in C] for a in C], least)
    slopes = [dot([row[j] for row in C], g) for j in range(len(mean))]
    return [*slopes, *[level - dot(mean, slopes)] * fit_intercept], pivots
