# SPDX-License-Identifier: BSD-3-Clause
"""Which rows of a table take part in many fits: those that are whole and have a weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.table import Table, first_fault


def rows_present(data: Table, drop: bool) -> tuple[NDArray[np.bool_] | None, int]:
    """The rows that take part, None for all of them, and how many are left out for missing values.

    Rows of weight 0 take no part, whatever they hold.

    Raises
    ------
    ValueError
        NaN unless these are dropped, infinity, a weight that is negative: the first row and column.
    """
    if _sound(data):
        return None, 0
    there = np.ones(data.n_rows, dtype=bool) if data.w is None else np.asarray(data.w) != 0
    n_weighed = int(np.count_nonzero(there))
    if drop:
        step = data.piece_rows()
        for at in range(0, data.n_rows, step):
            rows = slice(at, min(at + step, data.n_rows))
            for part in (data.X[rows], data.Y[rows], None if data.w is None else data.w[rows, None]):
                if part is not None and np.asarray(part).dtype.kind == "f":
                    there[rows] &= ~np.isnan(part).any(axis=1)
    weights = there.astype(np.float64) if data.w is None else np.where(there, data.w, 0.0)
    fault = first_fault(replace(data, w=weights))
    if fault is not None:
        raise ValueError(fault)
    n_present = int(np.count_nonzero(there))
    return None if n_present == data.n_rows else there, n_weighed - n_present


def _sound(data: Table) -> bool:
    """Whether no row is left out and no number is at fault, by sums, which are cheaper than a look at each number."""
    with np.errstate(over="ignore", invalid="ignore"):
        if data.w is not None and not (np.isfinite(np.add.reduce(data.w)) and data.w.min(initial=1.0) > 0):
            return False
        if not data.order:
            return False
        return bool(np.isfinite(np.add.reduce(data.X, axis=None)) and np.isfinite(np.add.reduce(data.Y, axis=None)))
