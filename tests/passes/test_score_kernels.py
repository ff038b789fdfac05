"""Residuals and leverages of rows, as robust covariances weigh them."""

from __future__ import annotations

import numpy as np
import pytest

from linreg_fast import reference


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_scores(kernels, dtype):
    """Residuals and leverages of whole numbers to the last bit, whatever the lanes and the panels leave over."""
    rng = np.random.default_rng(8)
    for p in (0, 1, 2, 3, 4, 7, 8, 9, 10, 17):
        for n in (1, 7, 8, 9, 63, 64, 65, 130):
            X, y = rng.integers(-9, 9, (n, p)).astype(dtype), rng.integers(-9, 9, n).astype(float)
            m, b = rng.integers(-3, 3, p).astype(float), rng.integers(-3, 3, p).astype(float)
            root = np.triu(rng.integers(-3, 3, (p, p))).astype(float)
            u, h = np.full(n, np.nan), np.full(n, np.nan)
            kernels.scores(X, y, 0, n, m, b, 2.0, 1.0, root, 0.5, np.empty(kernels.scores_work_size(p)), u, h)
            expected = reference.scores(X, y, (m, 3.0), b, root, 0.5)
            assert (u == expected[0]).all(), (p, n)
            assert (h == expected[1]).all() or (p == 0 and np.isnan(h).all()), (p, n)
