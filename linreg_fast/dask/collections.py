# SPDX-License-Identifier: BSD-3-Clause
"""Dask arrays and data frames, checked and taken apart into chunks of rows."""

from __future__ import annotations

import functools
from typing import Any

import dask
import numpy as np
from dask.core import flatten
from numpy.typing import NDArray

from linreg_fast.dask.chunks import Chunks, is_future
from linreg_fast.inputs.table import Table, table


def chunks_of(X: Any, y: Any, sample_weight: Any) -> Chunks:
    """Chunks of a table whose columns y and weights are, by name, or of collections beside each other."""
    if not (_is_frame(X) or _is_array(X)):
        raise TypeError(f"X must be a dask array or data frame, not {type(X).__name__}; linreg_fast.fit takes others")
    targets = [y] if isinstance(y, str) else y if isinstance(y, list) else None
    weight = sample_weight if isinstance(sample_weight, str) else None
    features: list[str] | None
    if targets is not None:
        features = _other_columns(X, targets, weight)
        n_targets, one_target = len(targets), isinstance(y, str)
    else:
        if weight is not None:
            raise TypeError("sample_weight names a column: y must name one too")
        if not (_is_frame(y) or _is_array(y)):
            raise TypeError(f"y must be a dask array, series or data frame, not {type(y).__name__}")
        features = list(X.columns) if _is_frame(X) else None
        one_target = y.ndim == 1
        n_targets = 1 if one_target else int(y.shape[1])
    n_features = _count_features(X, features, targets or [])
    blocks, sizes = _side_by_side(X, y if targets is None else None, sample_weight if weight is None else None)
    read = functools.partial(_table, features=features, targets=targets, weight=weight)
    names = None if features is None else [str(name) for name in features]
    return Chunks(blocks, sizes, read, n_features, n_targets, one_target, names, sample_weight is not None)


def _other_columns(X: Any, targets: list[str], weight: str | None) -> list[str]:
    """The features of a data frame whose targets, and weights, are columns too."""
    if not _is_frame(X):
        raise TypeError("y names columns: X must be a dask data frame then")
    used = [*targets, *([] if weight is None else [weight])]
    for name in used:
        if name not in list(X.columns):
            raise ValueError(f"X has no column {name!r}; its columns are {', '.join(map(str, X.columns))}")
    return [name for name in X.columns if name not in used]


def _count_features(X: Any, features: list[str] | None, targets: list[str]) -> int:
    """How many they are, all of numbers."""
    if features is None:
        if X.ndim > 2:
            raise ValueError(f"X must have one or two dimensions, got shape {X.shape}")
        return 1 if X.ndim == 1 else int(X.shape[1])
    for name in [*features, *targets]:
        if X.dtypes[name].kind not in "fiub":
            raise TypeError(
                f"column {name!r} of X has dtype {X.dtypes[name]}, which is not a number; leave it out first"
            )
    return len(features)


def _side_by_side(X: Any, y: Any, sample_weight: Any) -> tuple[list[tuple[Any, Any, Any]], list[int | None]]:
    """Chunks of the same rows of each collection, None for one that is not there, and their lengths."""
    given = {"X": X, "y": y, "sample_weight": sample_weight}
    alone = sum(dask.is_dask_collection(value) for value in given.values()) == 1
    parts: list[list[Any]] = []
    sizes: list[int | None] = []
    for name, value in given.items():
        if value is None:
            parts.append([])
            continue
        if not (_is_frame(value) or _is_array(value)):
            raise TypeError(f"{name} must be a dask array or series, not {type(value).__name__}")
        found, lengths = _blocks(value, sizes, alone)
        sizes = sizes or lengths
        if len(found) != len(sizes):
            raise ValueError(f"{name} has {len(found)} chunks of rows, X has {len(sizes)}")
        if any(None not in (a, b) and a != b for a, b in zip(lengths, sizes, strict=True)):
            raise ValueError(f"{name} has {sum(n or 0 for n in lengths)} rows, X has {sum(n or 0 for n in sizes)}")
        parts.append(found)
    blocks = [tuple(part[i] if part else None for part in parts) for i in range(len(sizes))]
    return blocks, sizes  # type: ignore[return-value]


def _is_array(value: Any) -> bool:
    return dask.is_dask_collection(value) and hasattr(value, "rechunk")


def _is_frame(value: Any) -> bool:
    return dask.is_dask_collection(value) and hasattr(value, "npartitions") and hasattr(value, "map_partitions")


def _blocks(value: Any, sizes: list[int | None], alone: bool) -> tuple[list[Any], list[int | None]]:
    """Chunks of rows, cut as `sizes` says where both are known, and their lengths: futures, or else delayed."""
    if not _is_array(value):
        found = _futures(value) or list(value.to_delayed())
        if len(found) != value.npartitions and not alone:
            # of fewer columns dask reads more files at once, and would of X others than of y
            found = list(value.to_delayed(optimize_graph=False))
        return found, [None] * len(found)
    if value.ndim == 2 and len(value.chunks[1]) > 1:
        value = value.rechunk({1: -1})
    lengths = [None if n != n else int(n) for n in value.chunks[0]]
    if sizes and None not in sizes and None not in lengths and sizes != lengths and sum(sizes) == sum(lengths):  # type: ignore[arg-type]
        value, lengths = value.rechunk({0: tuple(sizes)}), sizes
    return _futures(value) or list(value.to_delayed().ravel()), lengths


def _futures(value: Any) -> list[Any]:
    """The chunks of a collection that is persisted on a cluster, in their order; nothing for others."""
    graph = value.__dask_graph__()
    found = []
    for key in flatten(value.__dask_keys__()):
        chunk = graph[key]
        if not is_future(chunk):
            chunk = graph.get(getattr(chunk, "target", None))  # another name of a chunk of a data frame
        if not is_future(chunk):
            return []
        found.append(chunk)
    return found


def _table(X: Any, y: Any, w: Any, features: list[str] | None, targets: list[str] | None, weight: str | None) -> Table:
    """One chunk as a table."""
    if targets is not None:
        y = X[targets[0]] if len(targets) == 1 else X[targets]
        w = X[weight] if weight is not None else w
    if features is not None:
        X = X[features]
    return table(_values(X), _values(y), None if w is None else _values(w), features, empty=True)


def _values(value: Any) -> NDArray[Any]:
    """The numbers of a chunk, NaN where a value of a data frame is missing."""
    if isinstance(value, np.ndarray) or not hasattr(value, "to_numpy"):
        return np.asarray(value)
    kinds = {value.dtype} if value.ndim == 1 else set(value.dtypes)
    if all(isinstance(kind, np.dtype) for kind in kinds):
        return np.asarray(value.to_numpy())
    return np.asarray(value.to_numpy(dtype=np.float64, na_value=np.nan))
