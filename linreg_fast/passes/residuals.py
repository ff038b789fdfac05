# SPDX-License-Identifier: BSD-3-Clause
"""Residuals, cost and gradient over all rows, in float64 and in double-double."""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from linreg_fast.algebra.pairs import add, add_to
from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.inputs.table import Rows, Table
from linreg_fast.passes import blocks, levels, rates

REFINE_FLOPS = 60  # float64 operations for each element of X, TwoProd and TwoSum twice


def pass_pairs(
    rows: Rows,
    target: int,
    scale: Vector,
    shift: Vector,
    b: Matrix,
    n_threads: int,
    *,
    columns: bool = True,
) -> Matrix:
    """[g_1 .. g_p, g_0, rss] as pairs, in one pass; without the columns of X for `columns` False."""
    one = functools.partial(
        pass_pairs_table, target=target, scale=scale, shift=shift, b=b, n_threads=n_threads, columns=columns
    )
    return np.asarray(rows.fold(one, add))


def pass_pairs_table(
    data: Table,
    target: int,
    scale: Vector,
    shift: Vector,
    b: Matrix,
    n_threads: int,
    columns: bool,
) -> Matrix:
    """`pass_pairs` over the rows of one table."""
    p = data.n_features if columns else 0
    kernel = levels.refine[data.dtype]

    def pairs_of(X: Any, Y: Any, w: Any, lo: int, hi: int, work: Vector, out: Vector) -> None:
        kernel(X if columns else X[:, :0], Y[:, target], w, lo, hi, scale, shift, b, work, out.reshape(p + 2, 2))

    seconds = rates.row_seconds(data.X.dtype.itemsize * p + 8, REFINE_FLOPS * (p + 1))
    need = blocks.Need(levels.kernels.refine_work_size(p), 2 * (p + 2), seconds)
    return blocks.sum_over(data, pairs_of, need, n_threads, add=add_to).reshape(p + 2, 2)


def pass_gradient(data: Table, b: Vector, b0: float, n_threads: int | None) -> Vector:
    """[1/2 sum w r^2, sum w r x, sum w r, sum w] over all rows, r = b0 + x b - y; one target."""
    return row_pass("gradient", data, b, b0, n_threads, data.n_features + 3)


def pass_cost(data: Table, b: Vector, b0: float, n_threads: int | None, target: int = 0) -> float:
    """1/2 sum w r^2 over all rows, r = b0 + x b - y."""
    return float(row_pass("cost", data, b, b0, n_threads, 2, target)[0])


def fold_cost(rows: Rows, b: Vector, b0: float, n_threads: int | None, target: int = 0) -> float:
    """`pass_cost` of rows that may be read piece by piece."""
    one = functools.partial(pass_cost, b=b, b0=b0, n_threads=n_threads, target=target)
    return float(rows.fold(one, operator.add))


def row_pass(name: str, data: Table, b: Vector, b0: float, n_threads: int | None, size: int, target: int = 0) -> Vector:
    """What the row kernel `name`, of cost or gradient, sums up over all rows: `size` numbers."""
    kernel = getattr(levels, name)[data.order or "C", data.dtype]

    def of_rows(X: Any, Y: Any, w: Any, lo: int, hi: int, work: Vector, out: Vector) -> None:
        kernel(X, Y[:, target], w, lo, hi, b, b0, work, out)

    seconds = rates.stream_seconds(data.X.dtype.itemsize * data.n_features + 8, 2 if name == "gradient" else 1)
    need = blocks.Need(levels.kernels.row_work_size(data.n_features), size, seconds)
    return blocks.sum_over(data, of_rows, need, n_threads)
