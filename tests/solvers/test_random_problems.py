"""Floors of accuracy on random problems, against exact solutions in whole numbers."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.linalg
from support.exact import exact_fit, worst_lre

import linreg_fast

pytestmark = pytest.mark.numerics

COUNT = 2000
RESIDUALS = (0.0, 1e-6, 0.1, 100.0)  # of y, beside columns of size 1
OFFSETS = (0.0, 1e4, 1e8)
RANKED = 1e11  # condition up to which `extended` must be full


@dataclass
class Case:
    seed: int
    X: np.ndarray
    y: np.ndarray
    exact: list  # from the intercept upwards
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
    *slopes, intercept = exact_fit(X, y)
    sigma = np.linalg.svd(Z / np.linalg.norm(Z, axis=0), compute_uv=False)
    return Case(seed, X, y, [intercept, *slopes], sigma[0] / sigma[-1])


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
