# SPDX-License-Identifier: BSD-3-Clause
"""What `linreg-fast bench` holds a fit against: NumPy, and the other libraries that are installed."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from linreg_fast.bench.timing import NUMPY, SMALL_ROWS, Array, Side, timed

PEER_SECONDS = 20.0  # a peer that would take longer for one call is left out
PEER_BYTES = 2.5e9  # and one that would need more memory, the table with it


def _normal_equations(X: Array, y: Array, w: Array | None = None) -> Array:
    """[b0, b] as NumPy users write it, weights by rows scaled with their roots."""
    A = np.column_stack([np.ones(len(X)), X])
    if w is not None:
        root = np.sqrt(w)
        A *= root[:, None]
        y = y * root if y.ndim == 1 else y * root[:, None]
    return np.asarray(np.linalg.solve(A.T @ A, A.T @ y))


def numpy_side(X: Array, y: Array, w: Array | None = None) -> dict[str, Side]:
    """NumPy's fit: lstsq of few rows, the normal equations of more."""
    if len(X) <= SMALL_ROWS:
        A = np.column_stack([np.ones(len(X)), X])
        return {NUMPY: Side(lambda: np.linalg.lstsq(A, y, rcond=None)[0], np.ravel)}
    return {NUMPY: Side(lambda: _normal_equations(X, y, w), np.ravel)}


def _sklearn(module: str, X: Array, y: Array, threads: int) -> Side:
    model = importlib.import_module(module).LinearRegression(n_jobs=threads)
    return Side(lambda: model.fit(X, y), lambda model: np.append(model.intercept_, model.coef_), True)


def _statsmodels(X: Array, y: Array, threads: int) -> Side:
    OLS = importlib.import_module("statsmodels.regression.linear_model").OLS
    add_constant = importlib.import_module("statsmodels.tools").add_constant
    return Side(lambda: OLS(y, add_constant(X)).fit(), lambda result: np.asarray(result.params), True)


def _polars_ols(X: Array, y: Array, threads: int) -> Side:
    pl = importlib.import_module("polars")
    ols = importlib.import_module("polars_ols")
    frame = pl.from_numpy(X).with_columns(pl.Series("y", y))
    columns = [pl.col(name) for name in frame.columns[:-1]]
    fit = ols.compute_least_squares(pl.col("y"), *columns, add_intercept=True, mode="coefficients").alias("b")

    def answer(result: Any) -> Array:
        b = list(result["b"][0].values())
        return np.array([b[-1], *b[:-1]])

    return Side(lambda: frame.select(fit), answer, True)


# package, memory that a fit was seen to take in sizes of X, side
PEERS: dict[str, tuple[str, float, Callable[[Array, Array, int], Side]]] = {
    "scikit-learn": ("sklearn", 2.3, functools.partial(_sklearn, "sklearn.linear_model")),
    "scikit-learn-intelex": ("sklearnex", 0, functools.partial(_sklearn, "sklearnex.linear_model")),
    "statsmodels": ("statsmodels", 4.6, _statsmodels),
    "polars-ols": ("polars_ols", 3.6, _polars_ols),
}
# of all peers the packages: these have no fit of one table, or none that is theirs
PACKAGES = {name: package for name, (package, _, _) in PEERS.items()}
PACKAGES |= {"polars_ds": "polars_ds", "DuckDB": "duckdb", "SciPy": "scipy"}


def installed_peers(X: Array, y: Array, threads: int) -> tuple[dict[str, Side], tuple[str, ...]]:
    """The peers that are installed, and notes on those that one call would be too much for."""
    sides: dict[str, Side] = {}
    notes = []
    for name, (package, copies, make) in PEERS.items():
        if find_spec(package) is None:
            continue
        if (1 + copies) * X.nbytes > PEER_BYTES:
            notes.append(f"{name} left out: it would need about {(1 + copies) * X.nbytes / 1e9:.1f} GB")
            continue
        part = min(max(len(X) // 20, 2 * X.shape[1]), len(X))
        try:
            some = make(X[:part], y[:part], threads)
            some.call()
            expected = timed(some.call) * len(X) / part
            if expected > PEER_SECONDS:
                notes.append(f"{name} left out: it would take about {expected:.0f} s")
            else:
                sides[name] = make(X, y, threads)
        except Exception as error:  # a peer that does not work with what is installed beside it
            notes.append(f"{name} failed: {type(error).__name__}: {error}")
    return sides, tuple(notes)
