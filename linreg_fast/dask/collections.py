# SPDX-License-Identifier: BSD-3-Clause
"""Dask arrays and data frames, checked and taken apart into chunks of rows."""

from __future__ import annotations

import functools
from typing import Any

import dask
import numpy as np
from dask.core import flatten

from linreg_fast.dask.chunks import Chunks, is_future
from linreg_fast.inputs.kinds import NOTHING, check_number, is_object, no_feature, warn_left_out
from linreg_fast.inputs.missing import complete
from linreg_fast.inputs.named import check_asked, check_some
from linreg_fast.inputs.table import Table, table

HEAD_ROWS = 1000  # that tell what a column of objects holds


def chunks_of(X: Any, y: Any, sample_weight: Any, missing: str = "raise") -> Chunks:
    """Chunks of a table whose columns y and weights are, by name, or of collections beside each other."""
    if not (_is_frame(X) or _is_array(X)):
        raise TypeError(f"X must be a dask array or data frame, not {type(X).__name__}; linreg_fast.fit takes others")
    targets = [y] if isinstance(y, str) else list(y) if isinstance(y, (list, tuple)) else None
    weight = sample_weight if isinstance(sample_weight, str) else None
    left_out: dict[str, str] = {}
    features = list(X.columns) if _is_frame(X) and X.ndim == 2 else None
    if targets is not None:
        left_out = _left_out(X, targets, weight)
        features = [name for name in X.columns if name not in {*left_out, *targets, weight}]
        check_some(features, targets, left_out)
        n_targets, one_target = len(targets), isinstance(y, str)
    else:
        if weight is not None:
            raise TypeError("sample_weight names a column: y must name one too")
        if not (_is_frame(y) or _is_array(y)):
            raise TypeError(f"y must be a dask array, series or data frame, not {type(y).__name__}")
        _check_numbers(y, "y")
        one_target = y.ndim == 1
        n_targets = 1 if one_target else int(y.shape[1])
    if features is not None:
        _check_numbers(X[[*features, *(targets or []), *([] if weight is None else [weight])]], "X")
        n_features = len(features)
    else:
        if X.ndim > 2:
            raise ValueError(f"X must have one or two dimensions, got shape {X.shape}")
        n_features = 1 if X.ndim == 1 else int(X.shape[1])
    blocks, sizes = _side_by_side(X, y if targets is None else None, sample_weight if weight is None else None)
    read = functools.partial(
        _table,
        features=features,
        targets=targets and (y if isinstance(y, str) else targets),
        weight=weight,
        missing=missing,
    )
    names = None if features is None else [str(name) for name in features]
    warn_left_out(left_out)
    return Chunks(blocks, sizes, read, n_features, n_targets, one_target, names, sample_weight is not None, left_out)


def _left_out(X: Any, targets: list[str], weight: str | None) -> dict[str, str]:
    """The columns of a data frame that are not of numbers, beside targets and weights that are columns too."""
    if not (_is_frame(X) and X.ndim == 2):
        raise TypeError("y names columns: X must be a dask data frame then")
    asked = [*targets, *([] if weight is None else [weight])]
    check_asked([str(name) for name in X.columns], asked)
    found = {}
    for name, dtype in X.dtypes.items():
        if name in asked:
            continue
        # of objects the first rows tell
        first = X[[name]].get_partition(0).map_partitions(_head).compute()[name] if is_object(dtype) else ()
        why = no_feature(str(name), dtype, (), first)
        if why is not None and not (why == NOTHING and is_object(dtype) and not len(first)):
            found[str(name)] = why
    return found


def _head(frame: Any) -> Any:
    return frame.head(HEAD_ROWS)


def _check_numbers(value: Any, name: str) -> None:
    """Raise for a column of a data frame, or a series, that is not of numbers."""
    if not _is_frame(value):
        return
    if value.ndim == 1:
        check_number(value.dtype, name)
        return
    for column, dtype in value.dtypes.items():
        check_number(dtype, f"column {column!r} of {name}")


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


def _table(X: Any, y: Any, w: Any, features: Any, targets: Any, weight: str | None, missing: str) -> Table:
    """One chunk as a table, its rows aligned by their labels where they have some."""
    if targets is not None:
        y = X[targets]
        w = X[weight] if weight is not None else w
    if features is not None:
        X = X[features]
    data = table(_shown(X), _shown(y), None if w is None else _shown(w), empty=True, quiet=True)
    return complete(data, empty=True) if missing == "drop" else data


def _shown(value: Any) -> Any:
    """A chunk as `table` takes it: whatever looks like an array is one."""
    return value if hasattr(value, "iloc") else np.asarray(value)
