# SPDX-License-Identifier: BSD-3-Clause
"""What `linreg-fast bench` measures of many fits: groups, stacks of problems, many targets, many candidates."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

import linreg_fast
from linreg_fast.bench.timing import NUMPY, OURS, Array, Effort, Row, Side, measured

ROWS, COLUMNS, GROUP_SIZE = 1_000_000, 5, 100  # of the groups
PROBLEMS = (100_000, 60, 5)
TARGETS = (1_000, 20, 10_000)  # rows, columns, targets
CANDIDATES = (10_000, 5_000, 5)  # rows, candidates, controls
LOOPED = 500  # problems that a loop is measured on; its time is that of so many more
PRODUCT = "one product"  # of matrices, by NumPy, that has as many operations


def stack_rows(effort: Effort, threads: int, peers: bool) -> list[Row]:
    """All of them, of tables that are made here."""
    row = functools.partial(measured, effort=effort, threads=threads)
    shrink = effort.shrink
    rows = _grouped(ROWS // shrink, COLUMNS, row, peers)
    rows.append(_batched(PROBLEMS[0] // shrink, *PROBLEMS[1:], row))
    n, p, k = TARGETS
    rows.append(_targets(n, p, k // shrink, row))
    n, k, q = CANDIDATES
    return [*rows, _candidates(n, k // shrink, q, row)]


def _made(*shape: int) -> tuple[Array, Array]:
    """X, the last axis its columns, and y = 1 + sum X + noise."""
    rng = np.random.default_rng(shape[0] + shape[-1])
    X = rng.standard_normal(shape)
    return X, 1.0 + X.sum(axis=-1) + 0.5 * rng.standard_normal(shape[:-1])


def _first(fits: Any) -> Array:
    return np.append(fits.intercept[0], fits.coef[0])


def _grouped(n: int, p: int, row: Callable[..., Row], peers: bool) -> list[Row]:
    """Groups by keys of several kinds, the rows in no order; one column against the aggregates of a database."""
    X, y = _made(n, p)
    keys = np.random.default_rng(n).integers(0, n // GROUP_SIZE, n)
    names = np.array([f"g{key:05d}" for key in range(n // GROUP_SIZE)])[keys]
    what = f"{n // GROUP_SIZE:,} groups"
    size: dict[str, float] = {"nbytes": X.nbytes + y.nbytes + keys.nbytes, "flops": float(n) * (p + 2) * (p + 3)}
    ours = Side(lambda: linreg_fast.grouped(X, y, keys), _first)
    others = _of_groups(X, y, keys) if peers else {}
    rows = [row(f"grouped, {what}", X=X, sides={OURS: ours} | others, **size)]
    sides = {OURS: Side(lambda: linreg_fast.grouped(X, y, names), _first), "whole keys": ours}
    rows.append(row("grouped, keys of text", X=X, sides=sides, **size))
    x = X[:, :1].copy()
    one = Side(lambda: linreg_fast.grouped(x, y, keys), _first)
    others = _of_database(x, y, keys) if peers else {}
    size = {"nbytes": x.nbytes + y.nbytes + keys.nbytes, "flops": 12.0 * n}
    return [*rows, row(f"grouped, {what}", X=x, sides={OURS: one} | others, **size)]


def _of_groups(X: Array, y: Array, keys: Array) -> dict[str, Side]:
    """Libraries with regressions by group that are installed."""
    sides: dict[str, Side] = {}
    if not find_spec("polars"):
        return sides
    pl = importlib.import_module("polars")
    frame = pl.from_numpy(X).with_columns(pl.Series("y", y), pl.Series("key", keys))
    columns = frame.columns[:-2]

    def answer(result: Any) -> Array:
        b = result.filter(pl.col("key") == keys.min())["b"][0]
        b = list(b.values()) if isinstance(b, dict) else b.to_list()
        return np.array([b[-1], *b[:-1]])

    if find_spec("polars_ds"):
        fit = importlib.import_module("polars_ds").lin_reg(*columns, target="y", add_bias=True).alias("b")
        sides["polars_ds"] = Side(lambda: frame.group_by("key").agg(fit), answer, True)
    if find_spec("polars_ols"):
        ols = importlib.import_module("polars_ols")
        of = [pl.col(name) for name in columns]
        fit_ols = ols.compute_least_squares(pl.col("y"), *of, add_intercept=True, mode="coefficients").alias("b")
        sides["polars-ols"] = Side(lambda: frame.group_by("key").agg(fit_ols), answer, True)
    return sides


def _of_database(x: Array, y: Array, keys: Array) -> dict[str, Side]:
    """DuckDB, if it is installed, with the table in memory."""
    if not find_spec("duckdb"):
        return {}
    duckdb = importlib.import_module("duckdb")
    base = duckdb.connect()
    columns = {"x": x[:, 0].copy(), "y": y, "key": keys}
    base.register("given", columns)
    base.execute("CREATE TABLE held AS SELECT * FROM given")
    base.unregister("given")
    query = "SELECT key, regr_intercept(y, x) a, regr_slope(y, x) b FROM held GROUP BY key"

    def answer(found: Any) -> Array:
        at = int(np.argmin(found["key"]))
        return np.array([found["a"][at], found["b"][at]])

    return {"DuckDB": Side(lambda: base.execute(query).fetchnumpy(), answer, True)}


def _batched(count: int, n: int, p: int, row: Callable[..., Row]) -> Row:
    """Problems of one shape: NumPy's stacked products and solutions, and loops of SciPy and NumPy."""
    X, y = _made(count, n, p)

    def stacked() -> Array:
        means, y_means = X.mean(axis=1, keepdims=True), y.mean(axis=1)
        W = X - means
        G, c = np.matmul(W.swapaxes(1, 2), W), np.matmul(W.swapaxes(1, 2), (y - y_means[:, None])[..., None])
        b = np.linalg.solve(G, c)[..., 0]
        return np.column_stack([y_means - (means[:, 0] * b).sum(axis=1), b])

    def looped(solve: Any) -> Array:
        A = np.concatenate([np.ones((some, n, 1)), X[:some]], axis=2)
        return np.array([solve(A[i], y[i])[0] for i in range(some)])

    some = min(count, LOOPED)
    calls = max(count // some, 1)
    gelsy = functools.partial(importlib.import_module("scipy.linalg").lstsq, lapack_driver="gelsy", check_finite=False)
    sides = {
        OURS: Side(lambda: linreg_fast.batched(X, y), _first),
        NUMPY: Side(stacked, lambda b: b[0]),
        "SciPy": Side(lambda: looped(gelsy), lambda b: b[0], calls=calls),
        "lstsq in a loop": Side(
            lambda: looped(functools.partial(np.linalg.lstsq, rcond=None)), lambda b: b[0], calls=calls
        ),
    }
    note = f"NumPy's time is that of products and solve, stacked; SciPy's, as lstsq's, of {some} problems, for all"
    size = {"nbytes": X.nbytes + y.nbytes, "flops": float(count) * n * (p + 2) * (p + 3)}
    return row(f"batched, {count:,} problems", X=X[0], sides=sides, notes=(note,), **size)


def _targets(n: int, p: int, k: int, row: Callable[..., Row]) -> Row:
    """One X and many targets, each a problem of its own."""
    X, y = _made(n, p)
    Y = y[:, None] + np.random.default_rng(k).standard_normal((n, k))
    sides = {OURS: Side(lambda: linreg_fast.batched(X, Y)), PRODUCT: Side(lambda: X.T @ Y)}
    return row(f"batched, {k:,} targets", X=X, sides=sides, nbytes=Y.nbytes, flops=2.0 * n * p * k)


def _candidates(n: int, k: int, q: int, row: Callable[..., Row]) -> Row:
    """Many columns, each in its own problem beside the same controls."""
    X, _ = _made(n, k)
    C, y = _made(n, q)
    D = np.column_stack([np.ones(n), C, y])
    sides = {OURS: Side(lambda: linreg_fast.batched(X, y, controls=C)), PRODUCT: Side(lambda: D.T @ X)}
    return row(f"batched, {k:,} candidates", X=X, sides=sides, nbytes=X.nbytes, flops=2.0 * n * (q + 2) * k)
