# SPDX-License-Identifier: BSD-3-Clause
"""The rows that many fits run over, in their order: one group after the other, without those that take no part."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.labels import along
from linreg_fast.inputs.named import taken_apart
from linreg_fast.inputs.table import Table, table
from linreg_fast.many.laying import Laid
from linreg_fast.many.presence import rows_present
from linreg_fast.many.times import Times, first_backwards, read_times
from linreg_fast.moments.groups import _ordered


class Rows(NamedTuple):
    """A table of one target, its rows in order, and their times where there are some."""

    data: Table
    laid: Laid
    times: Times | None


def read_rows(X: Any, y: Any, given: dict[str, Any], missing: str, by_index: bool = False) -> Rows:
    """Check what a user hands in; `given` holds sample_weight, on and groups, each of which may name a column of X.

    by_index    whether the index of X holds the times where `on` does not
    """
    targets = None
    if isinstance(y, str) or any(isinstance(value, str) for value in given.values()):
        named = taken_apart(X, y, given)
        X, y, targets = named.X, named.y, named.target_names
        given = dict(zip(given, named.others, strict=True))
    data = table(X, y, given["sample_weight"])
    data.target_names = targets or data.target_names
    if not data.one_target:
        raise ValueError(f"y must have one dimension: one target; got {data.n_targets} of them")
    if not data.n_features:
        raise ValueError(f"X has no columns: shape {data.X.shape}")
    present, data.n_dropped = rows_present(data, missing != "raise")
    laid = _laid(data, given["groups"], present, missing == "drop")
    on = given["on"]
    if on is None and by_index and data.labels is not None:
        on = data.labels.index
    if on is None:
        return Rows(data, laid, None)
    times = read_times(on, data.n_rows, data.labels)
    return Rows(data, laid, times if laid.order is None else times._replace(values=times.values[laid.order]))


def check_forward(times: Times, laid: Laid) -> None:
    """Raise ValueError where a time goes back."""
    back = first_backwards(times.values, laid.bounds)
    if back is None:
        return
    row, before = (back, back - 1) if laid.order is None else laid.order[[back, back - 1]].tolist()
    later, earlier = (np.datetime64(int(v), "ns") if times.dates else v for v in times.values[[back, back - 1]])
    where = "the row before it" if laid.order is None else f"row {before}, before it in its group,"
    raise ValueError(f"on must not go back: it has {later} at row {row}, and {where} has {earlier}; sort the rows")


def _laid(data: Table, groups: Any, present: NDArray[np.bool_] | None, drop: bool) -> Laid:
    """The rows in the order that windows run over; rows that are dropped have no place there."""
    order, bounds = None, np.array([0, data.n_rows])
    if groups is not None:
        keys = np.asarray(along(groups, "groups", data.labels))
        if keys.shape != (data.n_rows,):
            raise ValueError(f"groups must have shape ({data.n_rows},), one group for each row of X; got {keys.shape}")
        of_groups = _ordered(keys)
        order, bounds = of_groups.order, of_groups.bounds
    if present is not None:
        at_positions = present if order is None else present[order]
        if not drop:
            return Laid(data.n_rows, order, bounds, 1, present=at_positions)
        order = np.flatnonzero(present) if order is None else order[at_positions]
        bounds = np.concatenate([[0], np.cumsum(at_positions)])[bounds]
        bounds = np.unique(bounds) if len(order) else np.array([0, 0])
    return Laid(data.n_rows, order, bounds, 1)
