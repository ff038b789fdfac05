# SPDX-License-Identifier: BSD-3-Clause
"""Rows as a picture shows them: each as a point where they are few, else counted in the cells of a grid.

Counts are whole numbers, so that the order of blocks and the number of threads change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.precision import Vector
from linreg_fast.inputs.table import Rows, Table
from linreg_fast.passes import blocks
from linreg_fast.passes.progress import Report
from linreg_fast.passes.threads import threads
from linreg_fast.plots.fitted import STEP_NUMBERS

POINTS = 20_000  # rows that are drawn one by one
GRID = 180  # cells along each axis
BLOCKS = 32  # of a table that threads take in turn
TREND = 40  # parts of the rows, along x, whose mean of y is drawn
MANTISSA = 9  # bits of a number that `sorted_place` keeps: 0.2 %
SORTED = 1 << (MANTISSA + 9)

Pair = tuple[Vector, Vector]


class Cloud(NamedTuple):
    """Points, or with `counts` the edges of cells and how many rows lie in each, (cells along x, along y)."""

    x: Vector
    y: Vector
    counts: NDArray[np.int64] | None = None

    def trend(self) -> Pair:
        """Means of y over parts of the rows along x, as many rows in each."""
        if self.counts is None:
            order = np.argsort(self.x, kind="stable")
            parts = np.array_split(order, max(1, min(TREND, len(order) // 40)))
            return (
                np.array([self.x[part].mean() for part in parts]),
                np.array([self.y[part].mean() for part in parts]),
            )
        along = self.counts.sum(axis=1)
        x, y = (self.x[1:] + self.x[:-1]) / 2, (self.y[1:] + self.y[:-1]) / 2
        ends = np.cumsum(along)
        part = np.minimum((ends - along / 2) * TREND // ends[-1], TREND - 1).astype(np.intp)
        rows = np.bincount(part, along, TREND)
        some = rows > 0
        with np.errstate(invalid="ignore"):
            return (
                (np.bincount(part, along * x, TREND) / rows)[some],
                (np.bincount(part, self.counts @ y, TREND) / rows)[some],
            )


class Reading:
    """Rows that are read several times, each time with a report of how far that is."""

    def __init__(self, rows: Rows, passes: int, report: Report | None, n_threads: int | None) -> None:
        self.rows, self.passes, self.report, self.workers = rows, passes, report, threads(n_threads)
        self.over = 0  # readings

    def fold(self, function: Callable[[Table, int, int], Any], merge: Callable[[Any, Any], Any]) -> Any:
        """Merge what `function(table, lo, hi)` makes of some rows at a time, in any order; None without rows."""
        done, n_rows = 0, self.rows.n_rows

        def told(at: int, _: int | None) -> None:
            if self.report is not None:
                self.report(self.over * n_rows + done + at, self.passes * n_rows)

        def of_table(data: Table) -> Any:
            nonlocal done
            step = max(1024, STEP_NUMBERS // (data.n_features + 8))
            stop: list[BaseException] = []

            def one_block(lo: int, hi: int) -> Any:
                total = None
                for at in range(lo, hi, step):
                    if stop:
                        break
                    part = function(data, at, min(at + step, hi))
                    total = part if total is None else merge(total, part)
                return total

            n_blocks = max(1, min(BLOCKS, data.n_rows // step))
            found = blocks.fold(data.n_rows, n_blocks, one_block, merge, self.workers, told, stop)
            done += data.n_rows
            return found

        total = self.rows.fold(of_table, merge)
        self.over += 1
        return total


class Range(NamedTuple):
    """Least and largest of some numbers."""

    low: Vector
    high: Vector

    @classmethod
    def of(cls, values: list[Vector]) -> Range:
        """Of each array, NaN in it left out; infinity the wrong way round where that leaves nothing."""
        return cls(
            np.array([np.fmin.reduce(v, initial=np.inf) for v in values]),
            np.array([np.fmax.reduce(v, initial=-np.inf) for v in values]),
        )

    def merge(self, other: Range) -> Range:
        return Range(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def edges(self, k: int) -> Vector:
        """Of the cells of a grid along the numbers k."""
        low, high = self.low[k], self.high[k]
        if not low < high:
            low, high = (low - 0.5, high + 0.5) if np.isfinite(low) else (0.0, 1.0)
        return np.linspace(low, high, GRID + 1)


def counted(x: Vector, y: Vector, x_edges: Vector, y_edges: Vector) -> NDArray[np.int64]:
    """How many rows lie in each cell of a grid, those with NaN in none; (GRID, GRID)."""
    at = _cells(x, x_edges) * GRID + _cells(y, y_edges)
    bad = np.isnan(x) | np.isnan(y)
    return np.bincount(at[~bad] if bad.any() else at, minlength=GRID * GRID).reshape(GRID, GRID)


def _cells(v: Vector, edges: Vector) -> NDArray[np.intp]:
    with np.errstate(invalid="ignore"):
        cells: NDArray[np.intp] = ((v - edges[0]) * (GRID / (edges[-1] - edges[0]))).astype(np.intp)
    np.clip(cells, 0, GRID - 1, out=cells)
    return cells


def sorted_place(v: Vector) -> NDArray[np.intp]:
    """Numbers as whole numbers below SORTED, in their order: sign, exponent and MANTISSA leading bits of a float32."""
    with np.errstate(over="ignore"):
        places = (v.astype(np.float32).view(np.int32) >> (23 - MANTISSA)).astype(np.intp)
    # of negative numbers, whose sign bit is set, from -SORTED / 2 up as they fall
    return np.where(places >= 0, places + SORTED // 2, -1 - places)


def of_places(places: NDArray[np.intp]) -> Vector:
    """The middle of the numbers that `sorted_place` takes for the same."""
    half = SORTED // 2
    bits = np.where(places >= half, places - half, half - 1 - places).astype(np.uint32)
    low = (bits << (23 - MANTISSA)).view(np.float32).astype(np.float64)
    high = ((bits + np.uint32(1)) << (23 - MANTISSA)).view(np.float32).astype(np.float64)
    return np.where(places >= half, 1.0, -1.0) * (low + np.where(np.isfinite(high), high, low)) / 2
