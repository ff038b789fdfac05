# SPDX-License-Identifier: BSD-3-Clause
"""The same fit on dask arrays and data frames: each chunk becomes moments where it lies, only these travel.

Every task is a pure function of its chunks, so that one that is run again, after a worker was lost, counts
nothing twice and gives the same bits. Partial results are merged along a binary tree over the numbers of the chunks,
whichever task holds which of them: the bits do not depend on where chunks lie.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask
import numpy as np
from dask.core import flatten
from numpy.typing import NDArray

from linreg_fast import fitting, inputs, sums
from linreg_fast.moments import Moments
from linreg_fast.result import LinearFit
from linreg_fast.streams import to_sums
from linreg_fast.sums import Vector

MERGED = 16  # partial results that one task merges: a power of two, for the binary tree
# Of chunks that lie in workers already one task takes several: a scheduler needs 2 to 4 ms a task, in which 20 MB
# of narrow chunks are summed up. No more than LOT_BYTES, which a worker may have to fetch from its disk; and one
# chunk a task where their partial results, which are merged here, are large.
LOT_BYTES = 128 << 20
PARTS_BYTES = 32 << 20


def fit(
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    fit_intercept: bool = True,
    l2: float = 0.0,
    precision: str = "auto",
    compute: bool = True,
) -> Any:
    """Fit a linear model to chunks of rows on the scheduler in use: a cluster's, or threads of this process.

    The shift is taken from the first chunk that has rows; the moments of each chunk are then summed up by one thread
    where the chunk lies, and p^2 numbers a chunk are merged in a tree. Refinement, where the digits ask for it, is a
    few more rounds of the same kind. Chunks that are persisted are summed up several a task; others, one by one as
    they are computed, so that no more of them are in memory at once than the scheduler wants.

    Parameters
    ----------
    X : dask array of shape (n_samples, n_features) or (n_samples,), or dask data frame
        Chunks of rows, of any lengths, known or not; columns in several chunks are brought together.
    y : dask array of shape (n_samples,) or (n_samples, n_targets), dask series or data frame; str or list of str
        With the rows of X chunk by chunk; the names of columns of a data frame X, which are then not among the
        features.
    sample_weight : dask array or series of shape (n_samples,), or str, optional
    fit_intercept, l2, precision
        As in `linreg_fast.fit`.
    compute : bool
        False hands back the graph as a `Delayed` that computes to the `LinearFit`. It is solved from the moments
        alone, with "extended" from moments in double-double: refinement would decide on further rounds as it goes.

    Returns
    -------
    LinearFit or dask.delayed.Delayed

    Raises
    ------
    TypeError
        Not dask collections; columns that are not of numbers.
    ValueError
        Shapes or chunks that do not match, no rows; NaN, infinity or negative weights: the chunk, the row in it and
        the column are named.

    Warns
    -----
    RankWarning, ConditionWarning
        As in `linreg_fast.fit`.

    Examples
    --------
    >>> import dask.array as da, linreg_fast.dask
    >>> x = da.arange(8.0, chunks=3)
    >>> line = linreg_fast.dask.fit(x, 1 + 2 * x)
    >>> line.slope, line.intercept
    (2.0, 1.0)
    """
    if precision not in fitting.PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(fitting.PRECISIONS)}; got {precision!r}")
    l2 = inputs.number(l2, "l2", least=0.0)
    chunks = _chunks(X, y, sample_weight)
    kind = "extended" if precision == "extended" and not compute else "auto"
    shift = chunks.shift(compute)
    one = functools.partial(_moments, n_features=chunks.n_features, n_targets=chunks.n_targets, precision=kind)
    if not compute:
        moments = chunks.folded(one, operator.add, shift)
        return dask.delayed(_solve)(moments, chunks.names, l2, fit_intercept, chunks.one_target)
    M = to_sums(_present(chunks.fold(one, operator.add, shift)), bool(fit_intercept))
    return fitting.fit_sums(chunks, M, "auto", bool(fit_intercept), l2, precision, 1)


@dataclass(slots=True)
class Chunks:
    """Chunks of rows as one table: as much of `inputs.Table` as solvers ask for."""

    blocks: list[tuple[Any, Any, Any]]  # X, y and weights, delayed or futures; y of None are columns of X
    sizes: list[int | None]
    read: Callable[..., inputs.Table]
    n_features: int
    n_targets: int
    one_target: bool
    names: list[str] | None
    weighted: bool

    @property
    def n_rows(self) -> int:
        """Rows of the chunks whose length is known."""
        return sum(size or 0 for size in self.sizes)

    def shift(self, compute: bool) -> Any:
        """The mean of the leading rows of the first chunk that has some, or a delayed one of a chunk known to."""
        known = [i for i, size in enumerate(self.sizes) if size]
        if known and (known[0] == 0 or self.sizes[known[0] - 1] is not None):
            return self._shift_of(known[0])
        if not compute:
            return self._shift_of(0)
        for i, size in enumerate(self.sizes):
            if size != 0:
                (shift,) = dask.compute(self._shift_of(i))
                if shift is not None:
                    return shift
        return None

    def _shift_of(self, i: int) -> Any:
        return dask.delayed(_on_chunk, pure=False)(_shift, self.read, i, *self.blocks[i])

    def folded(self, function: Callable[..., Any], merge: Callable[[Any, Any], Any], *args: Any) -> Any:
        """Delayed: what `function(table, *args)` makes of the rows of each chunk, merged; None without rows."""
        # one task hands the function to all others: it may hold p^2 numbers
        given = dask.delayed(functools.partial(_unless_empty, function), traverse=False)
        task = dask.delayed(_on_chunk, pure=False)
        parts = [task(given, self.read, i, *block, *args) for i, block in enumerate(self.blocks)]
        task = dask.delayed(_merged, pure=False)
        while len(parts) > 1:
            parts = [task(parts[i : i + MERGED], merge) for i in range(0, len(parts), MERGED)]
        return parts[0]

    def fold(self, function: Callable[..., Any], merge: Callable[[Any, Any], Any], *args: Any) -> Any:
        """The same, computed: where chunks lie in workers already, by several of them a task."""
        lots = self._lots()
        if lots is None:
            (total,) = dask.compute(self.folded(function, merge, *args))
            return total
        client = self.blocks[0][0].client
        if args:
            args = client.gather(client.compute(list(args)))
        n, given = len(self.blocks), functools.partial(_unless_empty, function)
        jobs = []
        try:
            for worker, lot in lots:
                blocks = [self.blocks[i] for i in lot]
                where = {"workers": worker, "allow_other_workers": True, "pure": False}
                jobs.append(client.submit(_on_chunks, given, merge, self.read, n, lot, blocks, *args, **where))
            parts: dict[tuple[int, int], Any] = {}
            for found in client.gather(jobs):
                parts |= found
        finally:
            for job in jobs:
                job.release()
        return _merge_siblings(parts, n, merge)[_root(n)]

    def _lots(self) -> list[tuple[str, list[int]]] | None:
        """Worker, and numbers of chunks that lie there, LOT_BYTES of them; None where some lie in no worker yet."""
        values = [value for block in self.blocks for value in block if value is not None]
        width = self.n_features + self.n_targets + 1
        if not all(_is_future(value) for value in values) or 8 * width**2 * len(self.blocks) > PARTS_BYTES:
            return None
        client = values[0].client
        if client.asynchronous or any(value.client is not client for value in values):
            return None
        where, sizes = client.who_has(values), client.nbytes([value.key for value in values], summary=False)
        lots: list[tuple[str, list[int]]] = []
        filled: dict[str, tuple[list[int], int]] = {}  # the last lot of each worker and its bytes
        for i, block in enumerate(self.blocks):
            holders = where.get(block[0].key)
            if not holders:
                return None
            worker = min(holders)
            size = sum(sizes.get(value.key, 0) for value in block if value is not None)
            lot, so_far = filled.get(worker, ([], 0))
            if not lot or so_far + size > LOT_BYTES:
                lot, so_far = [], 0
                lots.append((worker, lot))
            lot.append(i)
            filled[worker] = lot, so_far + size
        return lots


def _chunks(X: Any, y: Any, sample_weight: Any) -> Chunks:
    """Check the collections and take them apart."""
    frame = _is_frame(X)
    if not (frame or _is_array(X)):
        raise TypeError(f"X must be a dask array or data frame, not {type(X).__name__}; linreg_fast.fit takes others")
    features: list[str] | None = None
    targets, weight = [y] if isinstance(y, str) else y, sample_weight
    if isinstance(targets, list):
        if not frame:
            raise TypeError("y names columns: X must be a dask data frame then")
        used = [*targets, *([weight] if isinstance(weight, str) else [])]
        for name in used:
            if name not in list(X.columns):
                raise ValueError(f"X has no column {name!r}; its columns are {', '.join(map(str, X.columns))}")
        features = [name for name in X.columns if name not in used]
        n_targets, one_target = len(targets), isinstance(y, str)
    else:
        if isinstance(weight, str):
            raise TypeError("sample_weight names a column: y must name one too")
        if not (_is_frame(y) or _is_array(y)):
            raise TypeError(f"y must be a dask array, series or data frame, not {type(y).__name__}")
        features = list(X.columns) if frame else None
        one_target = y.ndim == 1
        n_targets = 1 if one_target else int(y.shape[1])
    if features is not None:
        for name in [*features, *(targets if isinstance(targets, list) else [])]:
            if X.dtypes[name].kind not in "fiub":
                raise TypeError(
                    f"column {name!r} of X has dtype {X.dtypes[name]}, which is not a number; leave it out first"
                )
    elif X.ndim > 2:
        raise ValueError(f"X must have one or two dimensions, got shape {X.shape}")
    n_features = len(features) if features is not None else 1 if X.ndim == 1 else int(X.shape[1])
    given = [("X", X), ("y", None if isinstance(targets, list) else y), ("sample_weight", weight)]
    parts: list[list[Any]] = []
    sizes: list[int | None] = []
    for name, value in given:
        if value is None or isinstance(value, str):
            parts.append([])
            continue
        if not (_is_frame(value) or _is_array(value)):
            raise TypeError(f"{name} must be a dask array or series, not {type(value).__name__}")
        found, lengths = _blocks(value, sizes, alone=sum(dask.is_dask_collection(one) for _, one in given) == 1)
        sizes = sizes or lengths
        if len(found) != len(sizes):
            raise ValueError(f"{name} has {len(found)} chunks of rows, X has {len(sizes)}")
        if any(None not in (a, b) and a != b for a, b in zip(lengths, sizes, strict=True)):
            raise ValueError(f"{name} has {sum(n or 0 for n in lengths)} rows, X has {sum(n or 0 for n in sizes)}")
        parts.append(found)
    blocks = [tuple(part[i] if part else None for part in parts) for i in range(len(sizes))]
    columns = targets if isinstance(targets, list) else None
    read = functools.partial(
        _table, features=features, targets=columns, weight=weight if isinstance(weight, str) else None
    )
    names = None if features is None else [str(name) for name in features]
    return Chunks(blocks, sizes, read, n_features, n_targets, one_target, names, weight is not None)  # type: ignore[arg-type]


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
        if not _is_future(chunk):
            chunk = graph.get(getattr(chunk, "target", None))  # another name of a chunk of a data frame
        if not _is_future(chunk):
            return []
        found.append(chunk)
    return found


def _is_future(value: Any) -> bool:
    return type(value).__module__.startswith("distributed") and hasattr(value, "client")


def _table(
    X: Any, y: Any, w: Any, features: list[str] | None, targets: list[str] | None, weight: str | None
) -> inputs.Table:
    """One chunk as a table."""
    if targets is not None:
        y = X[targets[0]] if len(targets) == 1 else X[targets]
        w = X[weight] if weight is not None else w
    if features is not None:
        X = X[features]
    return inputs.table(_values(X), _values(y), None if w is None else _values(w), features, empty=True)


def _values(value: Any) -> NDArray[Any]:
    """The numbers of a chunk, NaN where a value of a data frame is missing."""
    if isinstance(value, np.ndarray) or not hasattr(value, "to_numpy"):
        return np.asarray(value)
    kinds = {value.dtype} if value.ndim == 1 else set(value.dtypes)
    if all(isinstance(kind, np.dtype) for kind in kinds):
        return np.asarray(value.to_numpy())
    return np.asarray(value.to_numpy(dtype=np.float64, na_value=np.nan))


def _on_chunk(function: Any, read: Any, i: int, X: Any, y: Any, w: Any, *args: Any) -> Any:
    try:
        return function(read(X, y, w), *args)
    except (TypeError, ValueError) as error:
        raise type(error)(f"chunk {i}: {error}") from None


def _shift(data: inputs.Table) -> Vector | None:
    """The mean of the leading rows, None without any; NaN among them is found when they are summed up."""
    if not data.n_rows or (data.w is not None and not np.any(data.w)):
        return None
    shift = sums.leading_mean(data)
    return shift if np.isfinite(shift).all() else None


def _moments(data: inputs.Table, shift: Vector | None, n_features: int, n_targets: int, precision: str) -> Moments:
    moments = Moments(n_features, n_targets, shift=shift, precision=precision)
    return moments.update(data.X, data.Y, data.w, n_threads=1)


def _unless_empty(function: Callable[..., Any], data: inputs.Table, *args: Any) -> Any:
    return function(data, *args) if data.n_rows else None


def _on_chunks(
    function: Any, merge: Any, read: Any, n: int, numbers: list[int], blocks: list[tuple[Any, Any, Any]], *args: Any
) -> dict[tuple[int, int], Any]:
    """What `function` makes of some of n chunks, merged where siblings are among them."""
    parts = {(0, i): _on_chunk(function, read, i, *block, *args) for i, block in zip(numbers, blocks, strict=True)}
    return _merge_siblings(parts, n, merge)


def _merged(parts: list[Any], merge: Callable[[Any, Any], Any]) -> Any:
    return _merge_siblings({(0, i): part for i, part in enumerate(parts)}, len(parts), merge)[_root(len(parts))]


def _merge_siblings(
    parts: dict[tuple[int, int], Any], n: int, merge: Callable[[Any, Any], Any]
) -> dict[tuple[int, int], Any]:
    """Merge parts as far as siblings are there: by level and position in the binary tree over n chunks.

    None is a part without rows.
    """
    for level in range(_root(n)[0]):
        for i in sorted(i for at, i in parts if at == level and i % 2 == 0):
            if i + 1 < n and (level, i + 1) not in parts:
                continue
            left, right = parts.pop((level, i)), parts.pop((level, i + 1), None)
            whole = right if left is None else left if right is None else merge(left, right)
            parts[level + 1, i // 2] = whole
        n = (n + 1) // 2
    return parts


def _root(n: int) -> tuple[int, int]:
    return (n - 1).bit_length(), 0


def _present(moments: Moments | None) -> Moments:
    if moments is None or not moments.n_samples:
        raise ValueError("there are no rows to fit, or none of positive weight")
    return moments


def _solve(
    moments: Moments | None, names: list[str] | None, l2: float, fit_intercept: bool, one_target: bool
) -> LinearFit:
    moments = _present(moments).copy()
    moments.feature_names = None if names is None else tuple(names)
    return moments.solve(l2=l2, fit_intercept=fit_intercept, targets=0 if one_target else range(moments.n_targets))
