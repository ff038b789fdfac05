# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's estimators over the moments, with scikit-learn (the extra "sklearn")."""

from __future__ import annotations

from linreg_fast.sklearn.linear import LinearRegression, Ridge
from linreg_fast.sklearn.ridge_cv import RidgeCV

__all__ = ["LinearRegression", "Ridge", "RidgeCV"]
