"""Rank that float64 factors cannot see: full up to a condition of 1e14, dependent columns whatever they are."""

from __future__ import annotations

import numpy as np
import pytest
from support.exact import exact_fit, worst_lre
from support.problems import ill_conditioned_columns

import linreg_fast


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("kappa", [1e11, 6e11, 1e12, 1e13, 1e14])
@pytest.mark.parametrize("settings", [{}, {"solver": "qr"}, {"solver": "svd"}, {"precision": "extended"}])
def test_full_rank_is_seen_and_all_digits_are_reached(kappa, noise, settings):
    for seed in range(3):
        X = ill_conditioned_columns(np.random.default_rng(seed), kappa, 30, 4)
        y = X @ np.arange(1.0, 5.0) + noise * np.random.default_rng(seed).standard_normal(len(X))
        fit = linreg_fast.fit(X, y, **settings)
        reached = worst_lre([*fit.coef, fit.intercept], exact_fit(X, y))
        assert fit.rank == 4
        assert reached >= fit.digits - 1.5
        if settings.get("precision") == "extended":
            assert reached >= 14.0


DEPENDENT = {
    "duplicate": lambda Z: Z[:, :1],
    "multiple": lambda Z: 0.1 * Z[:, :1],
    "sum": lambda Z: Z[:, :1] + Z[:, 1:2],
    "combination": lambda Z: (Z * [0.3, 0.1, -7.0]).sum(axis=1, keepdims=True),
    "mean": lambda Z: Z.mean(axis=1, keepdims=True),
    "dummies": lambda Z: np.column_stack([Z[:, 0] > 0, Z[:, 0] <= 0]),
}


@pytest.mark.parametrize("n", [12, 300, 20_000])
@pytest.mark.parametrize("kind", DEPENDENT)
@pytest.mark.parametrize("precision", ["fast", "auto", "extended"])
def test_rounded_sums_and_products_of_columns_are_dependent(kind, n, precision):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        Z = rng.standard_normal((n, 3))
        X = np.column_stack([Z, DEPENDENT[kind](Z)])
        expected = X.shape[1] - 1
        with pytest.warns(linreg_fast.RankWarning, match=f"rank {expected} of {expected + 1}"):
            fit = linreg_fast.fit(X, rng.standard_normal(n), precision=precision)
        assert fit.rank == expected
