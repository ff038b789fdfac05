# SPDX-License-Identifier: BSD-3-Clause
"""What `linreg-fast bench` measures: fits, passes and descent on tables of several shapes, and their growth."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import linreg_fast
from linreg_fast import cpu
from linreg_fast.bench.peers import installed_peers, numpy_side
from linreg_fast.bench.small_inputs import group_rows, small_rows
from linreg_fast.bench.stacks import stack_rows
from linreg_fast.bench.timing import FULL, NUMPY, OURS, QUICK, SMALL_ROWS, Array, Effort, Row, Side, measured, pinned
from linreg_fast.bench.windows import window_rows
from linreg_fast.passes import levels

NUMPY_BYTES = 5e8  # tables above are held in two layouts at once, which leaves no room for NumPy's copy
PRODUCT_ROWS = 2_000  # of a product that stands between two fits
STEPS = 1_000  # of gradient descent

# rows, columns, and what is measured beside the fit
SHAPES: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (10_000_000, 8, ("layouts", "passes", "descent", "precision")),
    (1_000_000, 10, ("layouts",)),
    (3_000_000, 17, ()),
    (1_000_000, 50, ("layouts", "passes")),
    (200_000, 200, ("layouts", "products")),
    (60_000, 333, ()),
    (20_000, 1_000, ("layouts", "passes")),
    (100_000, 10, ()),
    (1_000, 10, ()),
    (100, 3, ()),
)
GROUPED = (1_000_000, 5)
TARGETS = (100_000, 20, 50)
GROWTH = ((100_000, 1_000_000, 10_000_000), 10)
WINDOWS = (1_000_000, 5, 250)


def generate(n: int, p: int) -> tuple[Array, Array]:
    """X of standard normal columns about offsets of 0 to 1, and y = 1 + sum X + noise; seeded."""
    rng = np.random.default_rng(n + p)
    X = rng.standard_normal((n, p))
    X += rng.random(p)
    y = X.sum(axis=1)
    y += 1.0 + 0.5 * rng.standard_normal(n)
    return X, y


def _coefficients(fit: linreg_fast.LinearFit) -> Array:
    return np.append(fit.intercept, fit.coef)


def _ours(X: Array, y: Array, **options: Any) -> Side:
    return Side(lambda: linreg_fast.fit(X, y, **options), _coefficients)


def shape_rows(n: int, p: int, parts: tuple[str, ...], effort: Effort, threads: int, peers: bool) -> list[Row]:
    """The rows of one table of numbers: its fit, and what `parts` names."""
    X, y = generate(n, p)
    read, product = X.nbytes + y.nbytes, float(n) * p * (p + 1)
    ours = _ours(X, y)
    others, notes = installed_peers(X, y, threads) if peers else ({}, ())
    row = functools.partial(measured, X=X, nbytes=read, flops=product, effort=effort, threads=threads)
    rows = [row("fit", sides={OURS: ours} | numpy_side(X, y) | others, notes=notes)]
    del others
    if "layouts" in parts:
        F = np.asfortranarray(X)
        room = X.nbytes <= NUMPY_BYTES
        sides = {OURS: _ours(F, y), "C order": ours} | (numpy_side(F, y) if room else {})
        rows.append(row("fit, F order", sides=sides))
        del F, sides
        f = X.astype(np.float32)
        sides = {OURS: _ours(f, y), "float64": ours} | (numpy_side(f, y) if room else {})
        rows.append(row("fit, float32", sides=sides, nbytes=f.nbytes + y.nbytes))
        del f, sides
        w = np.linspace(0.5, 1.5, n)
        sides = {OURS: _ours(X, y, sample_weight=w), "no weights": Side(ours.call)} | numpy_side(X, y, w)
        rows.append(row("fit, weights", sides=sides, nbytes=read + w.nbytes))
        del w, sides
    if "products" in parts:
        some = X[:PRODUCT_ROWS]  # whose product leaves threads of NumPy's BLAS awake

        def after_product() -> linreg_fast.LinearFit:
            some.T @ some
            return linreg_fast.fit(X, y)

        sides = {OURS: Side(after_product, _coefficients), "fit alone": ours}
        rows.append(row("product of NumPy and fit", sides=sides))
    if "precision" in parts:
        fast = _ours(X, y, precision="fast")
        for precision in ("auto", "extended"):
            sides = {OURS: _ours(X, y, precision=precision), "fast": fast}
            rows.append(row(f'fit, precision="{precision}"', sides=sides))
    if "passes" in parts:
        rows += _pass_rows(X, y, row)
    if "descent" in parts:
        b = np.zeros(p)
        sides = {
            OURS: _ours(X, y, solver="gd", max_iter=STEPS, tol=0.0),
            "one fit": ours,
            NUMPY: Side(lambda: X.T @ (X @ b - y), calls=STEPS),
        }
        note = f"NumPy's time is that of one gradient, {STEPS:,} times"
        rows.append(row(f"{STEPS:,} descent steps", sides=sides, notes=(note,)))
    return rows


def _pass_rows(X: Array, y: Array, row: Callable[..., Row]) -> list[Row]:
    """Gradient, cost and predictions: one read each, for predictions one write of n numbers too."""
    n, p = X.shape
    b, out = np.full(p, 0.5), np.empty(n)
    fit = linreg_fast.fit(X, y)
    gradient = {
        OURS: Side(lambda: linreg_fast.gradient(X, y, b), lambda result: result[1]),
        NUMPY: Side(lambda: X.T @ (X @ b - y), lambda result: result / n),
    }
    cost = {
        OURS: Side(lambda: linreg_fast.cost(X, y, b), np.atleast_1d),
        NUMPY: Side(lambda: np.sum((X @ b - y) ** 2) / (2 * n), np.atleast_1d),
    }
    predict = {
        OURS: Side(lambda: fit.predict(X, out=out), np.asarray),
        NUMPY: Side(lambda: X @ fit.coef + fit.intercept, np.asarray),
    }
    return [
        row("gradient", sides=gradient, flops=0.0),
        row("cost", sides=cost, flops=0.0),
        row("predict", sides=predict, flops=0.0, nbytes=X.nbytes + out.nbytes),
    ]


def target_rows(n: int, p: int, k: int, effort: Effort, threads: int) -> list[Row]:
    """A fit of several targets."""
    X, y = generate(n, p)
    Y = y[:, None] + np.arange(k) * X[:, :1]
    ours = Side(lambda: linreg_fast.fit(X, Y), lambda fit: np.vstack([fit.intercept, fit.coef.T]).ravel())
    sides = {OURS: ours} | numpy_side(X, Y)
    flops = float(n) * p * (p + 1 + 2 * (k - 1))
    return [measured(f"fit, {k} targets", X, sides, X.nbytes + Y.nbytes, flops, effort, threads)]


def growth_rows(counts: tuple[int, ...], p: int, effort: Effort, threads: int) -> list[Row]:
    """Fits of the first rows of one table, more and more of them, against the time a row of the fewest."""
    X, y = generate(counts[-1], p)
    first, rows = counts[0], []
    base = _ours(X[:first], y[:first])
    for n in counts[1:]:
        sides = {OURS: _ours(X[:n], y[:n]), f"time a row at {first:,}": Side(base.call, calls=n // first)}
        nbytes, flops = 8.0 * n * (p + 1), float(n) * p * (p + 1)
        rows.append(measured("fit, growth with rows", X[:n], sides, nbytes, flops, effort, threads))
    return rows


def level_rows(level: str, effort: Effort, threads: int) -> list[Row]:
    """The fits of the tables that have layouts at a forced level, in a process of its own."""
    code = f"from linreg_fast.bench import cases; cases.print_fits(cases.{effort!r}, {threads})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LINREG_FAST_LEVEL": level},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    rows: list[Row] = json.loads(done.stdout)
    return [row | {"what": f"{row['what']}, level {level}"} for row in rows]


def print_fits(effort: Effort, threads: int) -> None:
    """The other side of `level_rows`: the rows as JSON on stdout."""
    with pinned(threads):
        shapes = [shape[:2] for shape in _shapes(effort) if "layouts" in shape[2]]
        rows = [row for n, p in shapes for row in shape_rows(n, p, (), effort, threads, False)]
    print(json.dumps(rows))


def _shapes(effort: Effort) -> list[tuple[int, int, tuple[str, ...]]]:
    return [(_fewer(n, effort), min(p, effort.max_columns), parts) for n, p, parts in SHAPES]


def _fewer(n: int, effort: Effort) -> int:
    return max(n // effort.shrink, min(n, 2 * SMALL_ROWS))


def cases(
    quick: bool = False, peers: bool = True, other_levels: bool = False, threads: int = 1
) -> list[Callable[[], list[Row]]]:
    """All measurements, one call for each table of numbers, each giving rows; to be called within `pinned`.

    Parameters
    ----------
    quick : bool
        A fiftieth of the rows and few rounds: shows that it works, and little about speed.
    peers : bool
        Measure other libraries that are installed beside NumPy.
    other_levels : bool
        Measure the fits at the lower levels of the kernels too.
    threads : int

    Returns
    -------
    list of callables
        Each returns a list of rows, dictionaries with "what", "rows", "columns", "seconds" (by side), "limit"
        (seconds or None), "read_rate" (bytes a second), "product_rate" (operations a second), "notes".
    """
    effort = QUICK if quick else FULL
    n, p, k = TARGETS
    found: list[Callable[[], list[Row]]] = [
        functools.partial(shape_rows, *shape, effort, threads, peers) for shape in _shapes(effort)
    ]
    found.append(functools.partial(small_rows, effort, threads))
    found.append(functools.partial(group_rows, _fewer(GROUPED[0], effort), GROUPED[1], effort, threads))
    rows, columns, window = WINDOWS
    found.append(lambda: window_rows(generate(_fewer(rows, effort), columns), window, effort, threads, peers))
    found.append(functools.partial(stack_rows, effort, threads, peers))
    found.append(functools.partial(target_rows, _fewer(n, effort), p, k, effort, threads))
    counts = tuple(_fewer(n, effort) for n in GROWTH[0])
    found.append(functools.partial(growth_rows, counts, GROWTH[1], effort, threads))
    if other_levels:
        for level in levels.LEVELS:
            if level in levels.built and level in cpu.levels() and level != levels.level:
                found.append(functools.partial(level_rows, level, effort, threads))
    return found
