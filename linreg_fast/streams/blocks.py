# SPDX-License-Identifier: BSD-3-Clause
"""Pieces of columns -> row blocks as the passes read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.columns import Columns, readable
from linreg_fast.streams import readers

SLICE_BYTES = 64 << 20  # of an array in a batch at a time, between two looks at progress and checkpoint


class Place(NamedTuple):
    """Where rows of a block come from: from row `at` of the block on, row `row` and following of `where`."""

    at: int
    where: str
    row: int


class Block(NamedTuple):
    """Some rows. They are overwritten once the next block is asked for."""

    X: Any
    y: Any
    w: Any
    places: list[Place]

    def place(self, row: int) -> tuple[str, int]:
        """What a row of the block belongs to, and its number there."""
        place = max(p for p in self.places if p.at <= row)
        return place.where, place.row + row - place.at


def block_rows(width: int) -> int:
    """Rows of a block of so many columns: those of a batch of files, and more of them than columns."""
    return max(readers.batch_rows(width), 2 * width + 2)


def tuple_blocks(batches: Iterator[tuple[str, Any]]) -> Iterator[Block]:
    """Blocks of batches (X, y) or (X, y, sample_weight); long arrays are cut into slices of some megabytes."""
    for where, batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            what = f"{len(batch)} of them" if isinstance(batch, (tuple, list)) else type(batch).__name__
            raise TypeError(f"{where} must be (X, y) or (X, y, sample_weight), as the first is; it is {what}")
        X, y, w = batch if len(batch) == 3 else (*batch, None)
        arrays = [a for a in (X, y, w) if a is not None]
        step = max(1, SLICE_BYTES // max(1, X.strides[0])) if _in_rows(X) else 0
        if not step or not all(isinstance(a, np.ndarray) and len(a) == len(X) for a in arrays):
            yield Block(X, y, w, [Place(0, where, 0)])
            continue
        for at in range(0, max(1, len(X)), step):
            rows = slice(at, at + step)
            yield Block(X[rows], y[rows], None if w is None else w[rows], [Place(0, where, at)])


def _in_rows(X: Any) -> bool:
    """Whether a slice of rows is as good an array as the whole."""
    return isinstance(X, np.ndarray) and X.ndim in (1, 2) and X.flags.c_contiguous


def slices(
    where: str, array: NDArray[Any], columns: list[int], p: int, k: int, weighted: bool, one_target: bool
) -> Iterator[Block]:
    """Blocks of the rows of a long array in C order, of which the passes copy what they need into cache row by row."""
    first, last = min(columns[:p]), max(columns[:p])
    count = max(1, len(array) * array.strides[0] // SLICE_BYTES)
    bounds = [len(array) * i // count for i in range(count + 1)]
    for lo, hi in pairwise(bounds):
        rows = array[lo:hi]
        X = rows[:, first : last + 1] if columns[:p] == [*range(first, last + 1)] else rows[:, columns[:p]]
        y = rows[:, columns[p]] if one_target else rows[:, columns[p : p + k]]
        yield Block(X, y, rows[:, columns[-1]] if weighted else None, [Place(0, where, lo)])


def fill(
    pieces: Iterable[tuple[str, int, list[NDArray[Any]]]],
    n_features: int,
    n_targets: int,
    weighted: bool,
    one_target: bool,
    spare: list[NDArray[np.float64]],
    across: bool = False,
    first_whole: bool = False,
) -> Iterator[Block]:
    """Blocks of at most `block_rows` rows: the columns of a long piece where they lie, short pieces copied together.

    With `across` a block may hold rows of several pieces' places; with `first_whole` the first one has fewer rows than
    a block may have only if there are no more. Memory to copy into is taken from `spare`, where there is some, and
    left there: to touch new pages takes as long as to fill them.
    """
    p, k, width = n_features, n_targets, n_features + n_targets + weighted
    size = block_rows(width)
    usual = size // 4, 2 * width + 2  # rows of a long piece, and of the least block before one
    long, least = (size + 1, size) if first_whole else usual
    memory: NDArray[np.float64] | None = None
    at = 0
    places: list[Place] = []

    def room(rows: int) -> NDArray[np.float64]:
        nonlocal memory
        if memory is None:
            try:
                memory = spare.pop()
            except IndexError:
                memory = np.empty(width * size)
        return memory[: width * rows].reshape(width, rows)

    def copied() -> Block:
        # contiguous columns, as the kernels read them in place
        for j in range(1, width if at < size else 0):
            memory[j * at : (j + 1) * at] = memory[j * size : j * size + at]  # type: ignore[index]
        full = room(at)
        return Block(full[:p].T, full[p] if one_target else full[p : p + k].T, full[-1] if weighted else None, places)

    def direct(arrays: list[NDArray[Any]], rows: slice, place: Place) -> Block:
        columns = [array[rows] for array in arrays]
        single = all(readable(column, np.float32) for column in columns[:p])
        for j, column in enumerate(columns):
            together = p <= j < p + k and not one_target
            if together or not (readable(column) or (single and j < p)):
                columns[j] = room(size)[j, : len(column)]
                columns[j][:] = column
        y = columns[p] if one_target else room(size)[p : p + k, : len(columns[0])].T
        return Block(Columns(columns[:p]), y, columns[-1] if weighted else None, [place])

    try:
        for where, row, arrays in pieces:
            n = len(arrays[0])
            done = 0
            while done < n:
                is_long = n - done >= long
                if is_long and at >= least:
                    yield copied()
                    at, places = 0, []
                if is_long and not at:
                    m = min(size, n - done)
                    block = direct(arrays, slice(done, done + m), Place(0, where, row + done))
                    yield block
                    block.X.release()
                    del block
                    done += m
                    long, least = usual
                    continue
                m = min((least if is_long else size) - at, n - done)
                for column, array in zip(room(size), arrays, strict=True):
                    column[at : at + m] = array[done : done + m]
                if not (places and places[-1].where == where):
                    places.append(Place(at, where, row + done))
                at += m
                done += m
                if at == size or (done == n and not across):
                    yield copied()
                    at, places = 0, []
                    long, least = usual
            arrays.clear()
        if at:
            yield copied()
    finally:
        if memory is not None:
            spare.append(memory)
