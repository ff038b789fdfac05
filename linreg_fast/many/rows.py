# SPDX-License-Identifier: BSD-3-Clause
"""The rows that many fits run over, in their order: one group after the other, without those that take no part."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.labels import along
from linreg_fast.inputs.named import taken_apart
from linreg_fast.inputs.table import Table, table
from linreg_fast.many.frames import library_of
from linreg_fast.many.laying import Laid
from linreg_fast.many.presence import rows_present
from linreg_fast.many.times import Times, first_backwards, read_times
from linreg_fast.passes.keys import columns_of, keyed


class Rows(NamedTuple):
    """A table of one target, its rows in order, their times where there are some, and what they are known by."""

    data: Table
    laid: Laid
    times: Times | None  # at the positions of the order
    keys: dict[str, NDArray[Any]]  # of the rows as they lie
    index: Any  # of pandas
    library: str


def read_rows(X: Any, y: Any, given: dict[str, Any], missing: str, by_index: bool, in_place: bool) -> Rows:
    """Check what a user hands in; `given` holds sample_weight, on and groups, each of which may name a column of X.

    by_index    whether the index of X holds the times where `on` does not
    in_place    whether rows that take no part keep their place among those that do
    """
    library, called, targets = library_of(X, *given.values()), dict(given), None
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
    index = None if data.labels is None else data.labels.index
    laid, keys = _laid(data, given["groups"], present, missing, in_place)
    if isinstance(called["groups"], str) and len(keys) == 1:
        keys = dict(zip([called["groups"]], keys.values(), strict=True))
    of_time = by_index and index is not None and getattr(index.dtype, "kind", "") == "M"
    on = index if given["on"] is None and of_time else given["on"]
    if on is None:
        return Rows(data, laid, None, keys, index, library)
    times = read_times(on, data.n_rows, data.labels)
    name = called["on"] if isinstance(called["on"], str) else "on"
    keys = {**keys, name: times.values.view("datetime64[ns]") if times.dates else times.values}
    at_positions = times if laid.order is None else times._replace(values=times.values[laid.order])
    return Rows(data, laid, at_positions, keys, index, library)


def check_forward(times: Times, laid: Laid) -> None:
    """Raise ValueError where a time goes back."""
    back = first_backwards(times.values, laid.bounds)
    if back is None:
        return
    row, before = (back, back - 1) if laid.order is None else laid.order[[back, back - 1]].tolist()
    later, earlier = (np.datetime64(int(v), "ns") if times.dates else v for v in times.values[[back, back - 1]])
    where = "the row before it" if laid.order is None else f"row {before}, before it in its group,"
    raise ValueError(f"on must not go back: it has {later} at row {row}, and {where} has {earlier}; sort the rows")


def _laid(
    data: Table, groups: Any, present: NDArray[np.bool_] | None, missing: str, in_place: bool
) -> tuple[Laid, dict[str, NDArray[Any]]]:
    """The rows in the order that windows run over, and the keys of their groups; rows dropped have no place there."""
    order, bounds, keys = None, np.array([0, data.n_rows]), {}
    if groups is not None:
        by_key = keyed(groups, data.n_rows, data.labels)
        order, bounds = by_key.order, by_key.bounds
        if by_key.without.size and missing == "raise":
            raise ValueError(
                f"groups has a missing key at row {by_key.without[0]} ({by_key.without.size} in all); "
                'missing="drop" leaves such rows out'
            )
        there = slice(None) if present is None else present[by_key.without]
        data.n_dropped += len(by_key.without[there])
        columns = columns_of(groups).items()
        keys = {name: np.array(along(column, name, data.labels)) for name, column in columns}
    if present is not None:
        at_positions = present if order is None else present[order]
        if in_place:
            return Laid(order, bounds, 1, present=at_positions), keys
        order = np.flatnonzero(present) if order is None else order[at_positions]
        bounds = np.unique(np.concatenate([[0], np.cumsum(at_positions)])[bounds])
    return Laid(order, bounds if len(bounds) > 1 else np.array([0, 0]), 1), keys
