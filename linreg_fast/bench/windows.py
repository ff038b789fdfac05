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

GROUP_SIZE = 100  # rows, on average
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
    with_errors = Side(lambda: rolling(window, stats=["stderr", "r2"]), lambda fits: fits.stderr[-1])
    others = _with_errors(X, y, window) if peers else {}
    rows.append(row("rolling, errors and R2", sides={OURS: with_errors, "rolling": Side(ours.call)} | others))
    keys = np.random.default_rng(n).integers(0, max(n // GROUP_SIZE, 1), n)
    short = Side(lambda: rolling(GROUP_SIZE // 2))
    in_groups = Side(lambda: rolling(GROUP_SIZE // 2, groups=keys))
    rows.append(row(f"rolling, {GROUP_SIZE // 2} rows in groups", sides={OURS: in_groups, "no groups": short}))
    more = {
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
        v, A, calls = _last_windows(X, y, window)
        sides["statsmodels"] = Side(
            lambda: RollingOLS(v, A, window=window).fit(params_only=True),
            lambda f: np.asarray(f.params)[-1],
            True,
            calls,
        )
        notes.append(f"statsmodels' time is that of {STATSMODELS} windows, for all of them")
    if find_spec("polars_ols") and 4 * X.nbytes < PEER_BYTES:
        sides["polars-ols"] = _polars_ols(X, y, window)
    if find_spec("polars_ds") and 4 * X.nbytes < PEER_BYTES:
        sides["polars_ds"] = _polars_ds(X, y, window)
    return sides, notes


def _last_windows(X: Array, y: Array, window: int) -> tuple[Array, Array, int]:
    """y and [1 X] of as many windows as a slow side is measured on, and how often they are in all."""
    some = slice(-(window + STATSMODELS), None)
    return y[some], np.column_stack([np.ones(len(X)), X])[some], max(len(X) // STATSMODELS, 1)


def _with_errors(X: Array, y: Array, window: int) -> dict[str, Side]:
    """Standard errors and R2 of windows: no other library that is measured here has them."""
    if not find_spec("statsmodels"):
        return {}
    RollingOLS = importlib.import_module("statsmodels.regression.rolling").RollingOLS
    v, A, calls = _last_windows(X, y, window)

    def call() -> tuple[Array, Array]:
        fits = RollingOLS(v, A, window=window).fit()
        return np.asarray(fits.bse), np.asarray(fits.rsquared)

    return {"statsmodels": Side(call, lambda found: found[0][-1, 1:], True, calls)}


def _polars_ds(X: Array, y: Array, window: int) -> Side:
    pl = importlib.import_module("polars")
    pds = importlib.import_module("polars_ds")
    frame = pl.from_numpy(X).with_columns(pl.Series("y", y))
    fit = pds.rolling_lin_reg(*frame.columns[:-1], target="y", window_size=window, add_bias=True).alias("b")

    def answer(result: Any) -> Array:
        b = result["b"][-1]["coeffs"]
        return np.array([b[-1], *b[:-1]])

    return Side(lambda: frame.select(fit), answer, True)


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
