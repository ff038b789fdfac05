# SPDX-License-Identifier: BSD-3-Clause
"""What `linreg-fast bench` measures of small fits: each kind of input against `lstsq` on a design that is ready."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

import linreg_fast
from linreg_fast.bench.timing import NUMPY, OURS, Array, Effort, Row, Side, measured

ROWS, COLUMNS = 100, 4
GROUP_SIZE = 50  # rows, on average, of what `group_rows` counts


def _answer(fit: linreg_fast.LinearFit) -> Array:
    return np.append(fit.intercept, fit.coef)


class Kind(NamedTuple):
    """A small fit: what it is called, X as numbers, X and y as they are handed in, options."""

    what: str
    X: Array
    given: Any
    y: Any
    options: dict[str, Any]


def _kinds() -> Iterator[Kind]:
    rng = np.random.default_rng(ROWS + COLUMNS)
    wide = rng.standard_normal((ROWS, 2 * COLUMNS))
    X = wide[:, :COLUMNS].copy()
    y = 1.0 + X.sum(axis=1) + 0.5 * rng.standard_normal(ROWS)
    whole = np.round(100 * X).astype(np.int64)
    single = X.astype(np.float32)
    lists = X.tolist(), y.tolist()
    yield Kind("fit, strided X", wide[:, :COLUMNS], wide[:, :COLUMNS], y, {})
    yield Kind("fit, X of one dimension", wide[:, :1], wide[:, 0], y, {})
    yield Kind("fit, X of whole numbers", whole, whole, y, {})
    yield Kind("fit, X and y of whole numbers", whole, whole, np.round(100 * y).astype(np.int64), {})
    yield Kind("fit, float32 X", single, single, y, {})
    yield Kind("fit, weights of 1", X, X, y, {"sample_weight": np.ones(ROWS)})
    yield Kind("fit, lists", X, lists[0], lists[1], {})
    yield Kind("fit, y without noise", X, X, 1.0 + X.sum(axis=1), {})
    yield Kind('fit, precision="extended"', X, X, y, {"precision": "extended"})
    if find_spec("pandas"):
        frame = importlib.import_module("pandas").DataFrame(X, columns=[f"x{j}" for j in range(COLUMNS)])
        yield Kind("fit, pandas", X, frame, y, {})


def small_rows(effort: Effort, threads: int) -> list[Row]:
    """Fits of 100 rows, and the solution of their moments; NumPy's time is that of `lstsq` on [1 X] in float64."""
    rows = []
    for what, X, given, y, options in _kinds():
        ours = Side(functools.partial(linreg_fast.fit, given, y, **options), _answer)
        rows.append(measured(what, X, {OURS: ours} | _lstsq(X, y), 0.0, 0.0, effort, threads))
    moments = linreg_fast.Moments(X.shape[1]).update(X, y)
    sides = {OURS: Side(moments.solve, _answer)} | _lstsq(X, y)
    return [*rows, measured("Moments.solve", X, sides, 0.0, 0.0, effort, threads)]


def _lstsq(X: Array, y: Any) -> dict[str, Side]:
    A, y = np.column_stack([np.ones(len(X)), X]), np.asarray(y, dtype=np.float64)
    return {NUMPY: Side(lambda: np.linalg.lstsq(A, y, rcond=None)[0], np.ravel)}


def group_rows(n: int, p: int, effort: Effort, threads: int) -> list[Row]:
    """Moments of groups by unsorted whole keys, and their solutions one by one; beside one fit of all rows."""
    rng = np.random.default_rng(n + p)
    X, y, keys = rng.standard_normal((n, p)), rng.standard_normal(n), rng.integers(0, n // GROUP_SIZE, n)
    what = f"{len(np.unique(keys)):,} groups"
    one = Side(lambda: linreg_fast.fit(X, y))
    nbytes, flops = X.nbytes + y.nbytes + keys.nbytes, float(n) * p * (p + 1)

    def solved() -> list[linreg_fast.LinearFit]:
        return [M.solve() for M in linreg_fast.by_group(X, y, keys).values()]

    return [
        measured(name, X, {OURS: Side(call), "one fit": one}, nbytes, flops, effort, threads)
        for name, call in (
            (f"by_group, {what}", lambda: linreg_fast.by_group(X, y, keys)),
            (f"by_group and solve, {what}", solved),
        )
    ]
