"""Floors of accuracy on random problems, against exact solutions in whole numbers."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
from support.exact import worst_lre

import linreg_fast

pytestmark = pytest.mark.numerics

COUNT = 2000
RESIDUALS = (0.0, 1e-6, 0.1, 100.0)  # of y, beside columns of size 1
OFFSETS = (0.0, 1e4, 1e8)
RANKED = 1e11  # condition up to which `extended` must be full


def whole(a):
    """Whole numbers and their exponent: a = numbers 2^exponent, exactly."""
    exponent = min((int(np.frexp(v)[1]) - 53 for v in a if v), default=0)
    return [int(Fraction(float(v)) * Fraction(2) ** -exponent) for v in a], exponent


def exact_fit(X, y):
    """Intercept and slopes of the least-squares fit, without rounding (Bareiss 1968: no fractions on the way)."""
    columns = [whole(np.ones(len(y))), *(whole(x) for x in X.T), whole(y)]
    size = X.shape[1] + 1
    M = [[sum(a * b for a, b in zip(left, right, strict=True)) for right, _ in columns] for left, _ in columns[:-1]]
    before = 1
    for i in range(size):
        pivot = next(r for r in range(i, size) if M[r][i])
        M[i], M[pivot] = M[pivot], M[i]
        for r in range(i + 1, size):
            M[r] = [(M[i][i] * v - M[r][i] * u) // before for v, u in zip(M[r], M[i], strict=True)]
        before = M[i][i]
    b = [Fraction(0)] * size
    for i in range(size - 1, -1, -1):
        b[i] = (M[i][size] - sum((M[i][j] * b[j] for j in range(i + 1, size)), Fraction(0))) / M[i][i]
    return [v * Fraction(2) ** (columns[-1][1] - e) for v, (_, e) in zip(b, columns, strict=False)]


@dataclass
class Case:
    seed: int
    X: np.ndarray
    y: np.ndarray
    exact: list
    kappa: float

    def fit(self, precision):
        """The fit, the digits it has, and whether it reported a rank under p."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("always", linreg_fast.RankWarning)
            with warnings.catch_warnings(record=True) as caught:
                fit = linreg_fast.fit(self.X, self.y, precision=precision)
        reported = [w.category for w in caught] == [linreg_fast.RankWarning]
        assert reported == (fit.rank < self.X.shape[1]), f"seed {self.seed}"
        return fit, worst_lre([fit.intercept, *fit.coef], self.exact), reported


def case(seed):
    """Condition 1 to 1e14 x residual x offset x scales 1e-8 to 1e8 of the columns."""
    rng = np.random.default_rng(seed)
    p = int(rng.integers(1, 7))
    n = int(rng.integers(12, 41))
    kappa = 10 ** rng.uniform(0, 14)
    U, V = (np.linalg.qr(rng.standard_normal(shape))[0] for shape in ((n, p), (p, p)))
    X = (U * np.geomspace(1, 1 / kappa, p)) @ V.T * math.sqrt(n)
    y = X @ rng.standard_normal(p) + rng.choice(RESIDUALS) * rng.standard_normal(n) + 3
    X = (X + rng.choice(OFFSETS)) * 10.0 ** (8 * rng.integers(-1, 2, p))
    Z = X - X[0]
    Z -= Z.mean(axis=0)
    sigma = np.linalg.svd(Z / np.linalg.norm(Z, axis=0), compute_uv=False)
    return Case(seed, X, y, exact_fit(X, y), sigma[0] / sigma[-1])


def gelsy(case):
    """Digits of the strongest of the usual solvers, without a cut-off that the scales of the columns would meet."""
    A = np.column_stack([np.ones(len(case.y)), case.X])
    b, *_ = scipy.linalg.lstsq(A, case.y, cond=1e-300, lapack_driver="gelsy")
    return worst_lre(b, case.exact)


@pytest.mark.slow
def test_floors():
    gaps = []
    for seed in range(COUNT):
        one = case(seed)
        where = f"seed {seed}, condition {one.kappa:.1e}"
        peer = gelsy(one)
        for precision in ("auto", "extended"):
            fit, digits, reported = one.fit(precision)
            if reported:
                assert one.kappa > RANKED, f"{where}: rank {fit.rank}"
                continue  # the solution of minimum norm is another one
            gaps.append(fit.digits - digits)
            assert gaps[-1] <= 1.5, f"{where}, {precision}: {fit.digits:.2f} digits promised, {digits:.2f} reached"
            floor = min(9.0, peer - 1) if precision == "auto" else 14.5 if one.kappa <= RANKED else 13.0
            assert digits >= floor, f"{where}, {precision}: {digits:.2f} digits, gelsy {peer:.2f}, {fit.solver_path}"
    assert len(gaps) > 1.5 * COUNT
    assert np.quantile(gaps, 0.99) <= 1.0
    assert abs(np.median(gaps)) < 2.0
