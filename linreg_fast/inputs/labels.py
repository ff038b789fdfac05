# SPDX-License-Identifier: BSD-3-Clause
"""Rows by their labels: objects of pandas beside each other are aligned, everything else goes by position."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Labels(NamedTuple):
    """The index of an object of pandas, and which argument that was: the first one that has an index."""

    index: Any
    name: str


def order_along(index: Any, name: str, labels: Labels) -> NDArray[np.intp] | None:
    """Positions of the rows of `name` in the order of `labels`; None where they are in that order, or fewer or more.

    Raises
    ------
    ValueError
        Labels that are not the same ones, or not unique.
    """
    given = labels.index
    if index is given or len(index) != len(given) or index.equals(given):
        return None
    hint = "reset_index(drop=True) of both, or to_numpy(), fits by position"
    for one, whose in ((given, labels.name), (index, name)):
        if not one.is_unique:
            twice = one[one.duplicated()].tolist()[0]
            raise ValueError(
                f"{labels.name} and {name} have other row labels, and {whose} has {twice!r} twice: they cannot be "
                f"aligned; {hint}"
            )
    order: NDArray[np.intp] = index.get_indexer(given)
    lost = np.flatnonzero(order < 0)
    if lost.size:
        label = given[lost[:1]].tolist()[0]
        raise ValueError(
            f"{name} has no row labelled {label!r}, which {labels.name} has at row {lost[0]} "
            f"({lost.size} of {len(given)} labels are not there); {hint}"
        )
    return order


def along(value: Any, name: str, labels: Labels | None) -> Any:
    """Something of one dimension, with the rows of an object of pandas in the order of `labels`."""
    if labels is None or not type(value).__module__.startswith("pandas") or not hasattr(value, "iloc"):
        return value
    order = order_along(value.index, name, labels)
    return value if order is None else value.iloc[order]


def like(given: Any, values: NDArray[np.float64], names: Sequence[str] | None) -> Any:
    """Predictions in the library of the rows they are for, with the index of pandas; an array of all other rows."""
    package, kind = type(given).__module__.partition(".")[0], type(given).__name__
    if package == "narwhals":
        return like(given.to_native(), values, names)
    if package not in ("pandas", "polars") or kind not in ("DataFrame", "LazyFrame", "Series"):
        return values
    library = sys.modules[package]
    index = {"index": given.index} if package == "pandas" else {}
    if values.ndim == 1:
        return (
            library.Series(data=values, name="prediction", **index) if index else library.Series("prediction", values)
        )
    names = names or [f"prediction_{t}" for t in range(values.shape[1])]
    return library.DataFrame({name: values[:, t] for t, name in enumerate(names)}, **index)
