"""Random problems at every scale against exact solutions: no door promises digits that it has not."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from support.exact import exact_fit, exact_minimum_norm, exact_ridge, lre, rational
from support.stress import generator

import linreg_fast
from linreg_fast import Moments

pytestmark = [pytest.mark.stress, pytest.mark.numerics]

COUNT = 1200
SLACK = 1.5  # digits that a promise may be too many
LARGEST = Fraction(np.finfo(float).max)
NEGLIGIBLE = Fraction(2) ** -50  # of the terms of a coefficient: one below may be exactly 0


@dataclass
class Case:
    """A problem in float64, and what is asked."""

    X: np.ndarray
    y: np.ndarray
    w: np.ndarray | None
    l2: float
    fit_intercept: bool
    dependent: bool

    def exact(self):
        """Slopes, then the intercept; None where they are not unique."""
        if self.dependent and not self.l2:
            coef, _ = exact_minimum_norm(self.X, self.y, self.fit_intercept)
            return coef
        if self.l2:
            return exact_ridge(self.X, self.y, self.l2, self.fit_intercept, self.w)
        return exact_fit(self.X, self.y, self.fit_intercept, self.w)

    def negligible(self, coef):
        """The size below which each of the exact coefficients counts as 0."""
        w = [Fraction(1)] * len(self.y) if self.w is None else [rational(v) for v in self.w]
        total = sum(w)

        def norm_and_mean(column):
            values = [rational(v) for v in column]
            mean = sum(a * v for a, v in zip(w, values, strict=True)) / total if self.fit_intercept else Fraction(0)
            return _root(sum(a * (v - mean) ** 2 for a, v in zip(w, values, strict=True))), mean

        columns, (size_y, mean_y) = [norm_and_mean(c) for c in self.X.T], norm_and_mean(self.y)
        # under a penalty the rounding of a column is that of its own numbers, what it is divided by is more
        norms = [_root(norm**2 + rational(self.l2)) for norm, _ in columns]
        slopes = coef[: len(columns)]
        most = max([size_y, *(abs(b) * norm for b, norm in zip(slopes, norms, strict=True))])
        terms = abs(mean_y) + size_y / _root(total) + sum(abs(b * m) for b, (_, m) in zip(slopes, columns, strict=True))
        own = [most * (norm / all_of_it**2 if norm else 1) for (norm, _), all_of_it in zip(columns, norms, strict=True)]
        return [NEGLIGIBLE * size for size in (*own, terms)][: len(coef)]


def _root(x):
    """A root of a fraction, to a few digits, whatever its size."""
    if not x:
        return Fraction(0)
    e = (x.numerator.bit_length() - x.denominator.bit_length()) // 2
    return Fraction(math.sqrt(x / Fraction(4) ** e)) * Fraction(2) ** e


def reach(rng, size):
    """Exponents of two: 0, small, up to 300, or to the ends of float64."""
    most = rng.choice([0, 10, 300, 300, 1000])
    return rng.integers(-most, most + 1, size).clip(-1040, 960)


def case(rng):
    """Small tables: whole or real numbers, offsets, noise, weights, penalties, dependent columns, every scale."""
    p, n = int(rng.integers(1, 6)), int(rng.integers(2, 25))
    whole = rng.random() < 0.4
    X = rng.integers(-9, 10, (n, p)).astype(float) if whole else rng.standard_normal((n, p))
    dependent = whole and p > 1 and rng.random() < 0.5
    if dependent:
        X[:, -1] = X[:, 0] * rng.integers(1, 4) - (X[:, 1] if p > 2 else 0)
    y = X @ rng.integers(-3, 4, p) + rng.choice([0.0, 1e-8, 1.0]) * rng.integers(-5, 6, n)
    if rng.random() < 0.5:
        X += rng.choice([1.0, 1e3, 1e8]) * rng.integers(-3, 4, 1 if dependent else p)
        y += rng.choice([0.0, 1.0, 1e6])
    exponents = reach(rng, 1 if dependent else p)
    X, y = np.ldexp(X, exponents), np.ldexp(y, reach(rng, 1))
    w = None
    if rng.random() < 0.3 and not dependent:
        w = np.ldexp(rng.integers(0, 4, n), reach(rng, 1))
    l2 = 0.0
    if rng.random() < 0.3:  # of the size of a column, or any
        exponent = 2 * rng.choice(exponents) + rng.integers(-20, 20) if rng.random() < 0.5 else reach(rng, 1)[0]
        l2 = math.ldexp(1.0, int(np.clip(exponent, -1000, 1000)))
    return Case(X, y, w, l2, bool(rng.random() < 0.7), dependent)


def doors(one):
    """Names and calls of the ways to the same fit."""
    options = {"l2": one.l2, "fit_intercept": one.fit_intercept}
    for precision in ("auto", "fast", "extended"):
        yield precision, lambda p=precision: linreg_fast.fit(one.X, one.y, sample_weight=one.w, precision=p, **options)
        yield (
            f"float columns, {precision}",
            lambda p=precision: linreg_fast.fit(
                np.asfortranarray(one.X), one.y[:, None], sample_weight=one.w, precision=p, **options
            ),
        )
    for solver in ("cholesky", "qr", "svd"):
        yield solver, lambda s=solver: linreg_fast.fit(one.X, one.y, sample_weight=one.w, solver=s, **options)
    for precision in ("auto", "extended"):
        yield (
            f"moments, {precision}",
            lambda p=precision: Moments(one.X.shape[1], precision=p).update(one.X, one.y, one.w).solve(**options),
        )

    def blocks(precision):
        cut = len(one.y) // 2
        for part in (slice(0, cut), slice(cut, None)):
            yield (one.X[part], one.y[part]) if one.w is None else (one.X[part], one.y[part], one.w[part])

    for precision in ("auto", "extended"):
        yield f"stream, {precision}", lambda p=precision: linreg_fast.fit_stream(blocks(p), precision=p, **options)


def test_no_door_promises_too_much():
    for number in range(COUNT):
        one = case(generator(number))
        exact, judged = None, False
        for name, call in doors(one):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    fit = call()
                except (ValueError, np.linalg.LinAlgError):
                    continue
            if not judged:
                exact, judged = one.exact(), True
                least = exact and one.negligible(exact)
            if exact is None or max(map(abs, exact)) > LARGEST:
                continue
            if fit.rank < one.X.shape[1] and not one.dependent:
                continue  # dependent as far as float64 can tell
            found = [*fit.coef.ravel(), *np.ravel(fit.intercept)][: len(exact)]
            for b, true, zero in zip(found, exact, least, strict=True):
                if abs(true) <= 8 * zero:
                    continue
                # below 0 there are no digits
                assert max(0.0, lre(b, true)) >= fit.digits - SLACK, (
                    f"problem {number}, {name}: {fit.digits:.1f} digits promised of {float(true)}, {b} found; {one}"
                )
