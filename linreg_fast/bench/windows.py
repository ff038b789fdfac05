# SPDX-License-Identifier: BSD-3-Clause
"""What `linreg-fast bench` measures of many fits: windows of rows and of time, and all rows so far."""

from __future__ import annotations

import functools
import importlib
from importlib.util import find_spec
from typing import Any

import numpy as np

import linreg_fast
from linreg_fast.bench.peers import PEER_BYTES
from linreg_fast.bench.timing import NUMPY, OURS, Array, Effort, Row, Side, measured

LOOPED, STATSMODELS = 20, 500  # windows that a slow side is measured on; its time is that of so many more


def window_rows(table: tuple[Array, Array], window: int, effort: Effort, threads: int, peers: bool) -> list[Row]:
    """Rolling fits of a table, with what is asked for beside coefficients, and those of all rows so far."""
    X, y = table
    n, p = X.shape
    times = np.arange(n, dtype=np.float64)

    def last(fits: Any) -> Array:
        return np.append(fits.intercept[-1], fits.coef[-1])

    ours = Side(lambda: linreg_fast.rolling(X, y, window, n_threads=threads), last)
    others, notes = _peers(X, y, window) if peers else ({}, [])
    flops = float(n) * (p + 2) * (p + 3) * 2
    row = functools.partial(measured, X=X, nbytes=X.nbytes + y.nbytes, effort=effort, threads=threads, flops=flops)
    notes += [f"NumPy's time is that of lstsq of {LOOPED} windows, for all of them"]
    rows = [
        row(f"rolling, {window} rows", sides={OURS: ours, NUMPY: _looped(X, y, window)} | others, notes=tuple(notes))
    ]
    rolling = functools.partial(linreg_fast.rolling, X, y, n_threads=threads)
    more = {
        "rolling, errors and R2": lambda: rolling(window, stats=["stderr", "r2"]),
        "rolling, time": lambda: rolling(float(window), on=times),
        "expanding": lambda: linreg_fast.expanding(X, y, n_threads=threads),
        "recursive": lambda: linreg_fast.recursive(X, y, half_life=window, n_threads=threads),
    }
    return rows + [row(what, sides={OURS: Side(call), "rolling": Side(ours.call)}) for what, call in more.items()]


def _looped(X: Array, y: Array, window: int) -> Side:
    """lstsq of the last windows, one after the other."""
    n = len(X)

    def call() -> Array:
        for i in range(n - LOOPED + 1, n + 1):
            A = np.column_stack([np.ones(window), X[i - window : i]])
            b = np.linalg.lstsq(A, y[i - window : i], rcond=None)[0]
        return np.asarray(b)

    return Side(call, np.asarray, calls=max(n // LOOPED, 1))


def _peers(X: Array, y: Array, window: int) -> tuple[dict[str, Side], list[str]]:
    """Libraries with rolling regressions that are installed, and notes on them."""
    sides: dict[str, Side] = {}
    notes: list[str] = []
    if find_spec("statsmodels"):
        RollingOLS = importlib.import_module("statsmodels.regression.rolling").RollingOLS
        some = slice(-(window + STATSMODELS), None)
        A, v = np.column_stack([np.ones(len(X)), X])[some], y[some]
        calls = max(len(X) // STATSMODELS, 1)
        sides["statsmodels"] = Side(
            lambda: RollingOLS(v, A, window=window).fit(params_only=True),
            lambda f: np.asarray(f.params)[-1],
            True,
            calls,
        )
        notes.append(f"statsmodels' time is that of {STATSMODELS} windows, for all of them")
    if find_spec("polars_ols") and 4 * X.nbytes < PEER_BYTES:
        sides["polars-ols"] = _polars_ols(X, y, window)
    return sides, notes


def _polars_ols(X: Array, y: Array, window: int) -> Side:
    pl = importlib.import_module("polars")
    ols = importlib.import_module("polars_ols")
    frame = pl.from_numpy(X).with_columns(pl.Series("y", y))
    columns = [pl.col(name) for name in frame.columns[:-1]]
    fit = ols.compute_rolling_least_squares(
        pl.col("y"),
        *columns,
        add_intercept=True,
        mode="coefficients",
        rolling_kwargs=ols.RollingKwargs(window_size=window),
    ).alias("b")

    def answer(result: Any) -> Array:
        b = list(result["b"][-1].values())
        return np.array([b[-1], *b[:-1]])

    return Side(lambda: frame.select(fit), answer, True)
