# SPDX-License-Identifier: BSD-3-Clause
"""Chunks of dask collections as one table: tasks where they lie, and their results merged in a tree.

Every task is a pure function of its chunks, so that one that is run again, after a worker was lost, counts
nothing twice and gives the same bits. Partial results are merged along a binary tree over the numbers of the chunks,
whichever task holds which of them: the bits do not depend on where chunks lie.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask
import numpy as np

from linreg_fast.algebra.precision import Vector
from linreg_fast.inputs.table import Table
from linreg_fast.passes import products

MERGED = 16  # partial results that one task merges: a power of two, for the binary tree
# Of chunks that lie in workers already one task takes several: a scheduler needs 2 to 4 ms a task, in which 20 MB
# of narrow chunks are summed up. No more than LOT_BYTES, which a worker may have to fetch from its disk; and one
# chunk a task where their partial results, which are merged here, are large.
LOT_BYTES = 128 << 20
PARTS_BYTES = 32 << 20


@dataclass(slots=True)
class Chunks:
    """Chunks of rows as one table: as much of `inputs.Table` as solvers ask for."""

    blocks: list[tuple[Any, Any, Any]]  # X, y and weights, delayed or futures; y of None are columns of X
    sizes: list[int | None]
    read: Callable[..., Table]
    n_features: int
    n_targets: int
    one_target: bool
    names: list[str] | None
    weighted: bool
    left_out: dict[str, str]  # columns that are not of numbers, and why
    n_dropped: int = 0  # rows with missing values, once they are counted
    target_names: list[str] | None = None

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
        if not all(is_future(value) for value in values) or 8 * width**2 * len(self.blocks) > PARTS_BYTES:
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


def is_future(value: Any) -> bool:
    """Whether value stands for a chunk that a worker of a cluster holds; distributed is not imported to tell."""
    return type(value).__module__.startswith("distributed") and hasattr(value, "client")


def _on_chunk(function: Any, read: Any, i: int, X: Any, y: Any, w: Any, *args: Any) -> Any:
    try:
        data = read(X, y, w)
        if data.rounded is not None:
            name, found = data.rounded
            data.rounded = name, found._replace(of=f" of chunk {i}")
        return function(data, *args)
    except (TypeError, ValueError) as error:
        raise type(error)(f"chunk {i}: {error}") from None


def _shift(data: Table) -> Vector | None:
    """The mean of the leading rows, None without any; NaN among them is found when they are summed up."""
    if not data.n_rows or (data.w is not None and not np.any(data.w)):
        return None
    shift = products.leading_mean(data)
    return shift if np.isfinite(shift).all() else None


def _unless_empty(function: Callable[..., Any], data: Table, *args: Any) -> Any:
    return function(data, *args) if data.n_rows or getattr(function, "of_empty", False) else None


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
