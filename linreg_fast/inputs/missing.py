# SPDX-License-Identifier: BSD-3-Clause
"""Rows with missing values: left out where that is asked for, and counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.table import Table

T = TypeVar("T")


def of_complete_rows(function: Callable[[Table], T], data: Table, missing: str, *, empty: bool = False) -> T:
    """`function(data)`, with "drop" of the rows without missing values where some are what makes it fail.

    Tables without missing values are not read for it. With `empty` no row has to be left.
    """
    try:
        return function(data)
    except ValueError:
        if missing != "drop":
            raise
        kept = complete(data, empty=empty)
        if kept is data:
            raise
    return function(kept)


def complete(data: Table, *, empty: bool = False) -> Table:
    """The rows without a missing value, in X, y or the weights; the table itself where that is all of them.

    A row of weight 0 is not there, whatever it holds: it stays, and is not counted.

    Raises
    ------
    ValueError
        No row is left, unless `empty`.
    """
    missing = np.zeros(data.n_rows, dtype=bool)
    counts = np.zeros(data.n_features + data.n_targets + 1, dtype=np.int64)
    step = data.piece_rows()
    for at in range(0, data.n_rows, step):
        rows = slice(at, min(at + step, data.n_rows))
        parts = [np.asarray(data.X[rows]), np.asarray(data.Y[rows])]
        w = None if data.w is None else np.asarray(data.w[rows])[:, None]
        for part, first in zip([*parts, w], (0, data.n_features, len(counts) - 1), strict=True):
            if part is None or part.dtype.kind != "f" or not _may_miss(part):
                continue
            holes = np.isnan(part)
            if w is not None:
                holes &= w != 0
            counts[first : first + holes.shape[1]] += np.count_nonzero(holes, axis=0)
            missing[rows] |= holes.any(axis=1)
    dropped = int(np.count_nonzero(missing))
    if not dropped:
        return data
    if not empty and dropped == (data.n_rows if data.w is None else int(np.count_nonzero(data.w))):
        worst = int(np.argmax(counts))
        raise ValueError(
            f"every row has a missing value in a column in use: no row is left; {counts[worst]} of {data.n_rows} are "
            f"missing in {data.named(worst)}"
        )
    kept = data.taken(np.flatnonzero(~missing))
    kept.n_dropped += dropped
    return kept


def _may_miss(part: NDArray[Any]) -> bool:
    """Whether NaN may be among some numbers: their sum is cheaper than a look at each of them."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isnan(np.add.reduce(part, axis=None)))
