# SPDX-License-Identifier: BSD-3-Clause
"""Whatever rows come from -> blocks of arrays, in order, once or as often as they are asked for.

Arrow is the common ground: data frames, cursors and files become record batches, of which the columns in
use are read where they lie. Short batches, and columns that are not of float64, are copied into one block of columns
that is used again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.rounding import find_rounded
from linreg_fast.passes import pool
from linreg_fast.streams import arrow, files, frames, readers
from linreg_fast.streams.blocks import Block, block_rows, fill, slices, tuple_blocks
from linreg_fast.streams.choice import Roles, choose
from linreg_fast.streams.csv_options import CsvOptions
from linreg_fast.streams.rounded import Noticed

END: Any = object()


@dataclass(slots=True)
class Source:
    """Rows to be read block by block, in one part or in several that may be read at once.

    `parts` give the blocks of each part, from its first row on, again only if `again`; with True they read ahead of
    whoever asks for the blocks, on threads of their own.
    """

    parts: list[Callable[[bool], Iterator[Block]]]
    again: bool
    names: list[str] | None = None  # of the features
    columns: list[str] | None = None  # of features, targets and weight
    left_out: dict[str, str] = field(default_factory=dict)
    rows: Callable[[], int | None] = lambda: None  # how many there are, as far as that is known by now
    identity: str = ""  # differs from that of another source, where that can be told without reading
    whole: int = 0  # a first block of fewer rows is the last one too
    noticed: Noticed = field(default_factory=Noticed)

    def blocks(self, ahead: bool = False) -> Iterator[Block]:
        """All blocks, one part after the other."""
        return chain.from_iterable(part(ahead) for part in self.parts)


def of_batches(batches: Any, roles: Roles) -> Source:
    """The source that an argument of `fit_stream` stands for.

    Raises
    ------
    TypeError, ValueError
        Something that has no batches, or no such columns in the first of them.
    """
    given = batches if isinstance(batches, tuple) else (batches,)
    if any(isinstance(one, np.ndarray) for one in given):
        raise TypeError("batches must be an iterable: for arrays, or memory maps, give [(X, y)]")
    open_, again = opening(batches)
    opened = open_()
    first = next(opened, END)
    if first is END:
        raise ValueError("there are no rows to fit: there is no batch")
    unread: list[Iterator[Any]] = [chain([first], opened)]

    def batch_by_batch() -> Iterator[tuple[str, Any]]:
        items = unread.pop() if unread else open_()
        return ((f"batch {i}", item) for i, item in enumerate(items))

    if isinstance(first, (tuple, list)):
        if roles != Roles():
            raise TypeError(
                "target, features, exclude and sample_weight name columns of data frames; the batches are tuples"
            )
        return Source([lambda ahead: tuple_blocks(batch_by_batch())], again)
    if roles.target is None:
        raise TypeError("target must name the column to explain: the batches are data frames")
    if not np.iterable(roles.target):
        raise TypeError(f"target must be a column's name, or a list of names, not {roles.target!r}")
    kinds, indices = frames.columns(first, "batch 0")
    if again:
        _look_on(kinds, open_)
    else:  # whose rows are read once: without values so far, and missing ones of numbers
        kinds = {name: None if str(kind) == "null" else kind for name, kind in kinds.items()}
    chosen = choose("batch 0", kinds, roles, indices)
    columns, noticed = chosen.columns, Noticed()

    def pieces() -> Iterator[tuple[str, int, list[NDArray[Any]]]]:
        for i, (where, item) in enumerate(batch_by_batch()):
            if not frames.is_frame(item):
                raise TypeError(f"{where} must be a data frame, as the first is; it is {type(item).__name__}")
            row = 0
            for batch in frames.batches(item, where, columns):
                arrays = arrow.arrays(batch, columns, where)
                if noticed.wanted(i, row) and (found := arrow.first_rounded(batch, columns)):
                    noticed.add(i, row, where, f"column {found[0]!r}", found[1])
                yield where, row, arrays
                row += batch.num_rows

    shape = len(chosen.features), len(roles.targets), roles.weight is not None, not roles.several
    return Source(
        [lambda ahead: fill(pieces(), *shape, [])],
        again,
        chosen.features,
        columns,
        chosen.left_out,
        identity="|".join(columns),
        noticed=noticed,
    )


def _look_on(kinds: dict[str, Any], open_: Callable[[], Iterator[Any]]) -> None:
    """Find the types of columns that have no value in the first batch, in later ones."""
    unknown = [name for name, kind in kinds.items() if str(kind) == "null"]
    if not unknown:
        return
    for i, item in enumerate(open_()):
        if not frames.is_frame(item):
            return  # told when it is read
        found, _ = frames.columns(item, f"batch {i}", unknown)
        kinds |= {name: found[name] for name in unknown if name in found}
        unknown = [name for name in unknown if str(kinds[name]) == "null"]
        if not unknown:
            return


def opening(batches: Any) -> tuple[Callable[[], Iterator[Any]], bool]:
    """What gives the batches from the first one on, and whether it does so more than once."""
    if hasattr(batches, "to_batches") and hasattr(batches, "scanner"):  # an Arrow dataset
        return lambda: iter(batches.to_batches()), True
    if frames.is_lazy(batches):
        return lambda: iter(frames.collected(batches)), True
    if frames.is_frame(batches):
        return lambda: iter(frames.whole(batches)), True
    if hasattr(batches, "fetchmany"):
        return lambda: frames.fetched(batches), False
    if callable(batches):
        return lambda: iter(batches()), True
    try:
        own = iter(batches) is batches
    except TypeError:
        raise TypeError(f"batches must be an iterable or a callable, not {type(batches).__name__}") from None
    return lambda: iter(batches), not (own or hasattr(batches, "read_next_batch"))


def of_files(path: Any, roles: Roles, csv: CsvOptions | None = None) -> Source:
    """The rows of a file, of the files that a pattern stands for, or of a folder.

    Raises
    ------
    OSError, TypeError, ValueError
        As in `files.open_table`.
    """
    table = files.open_table(path, roles, csv)
    weighted = roles.weight is not None
    p, k = len(table.features), len(table.columns) - len(table.features) - weighted

    parts = readers.parts(table)
    shape = p, k, weighted, not roles.several
    spare: list[NDArray[np.float64]] = []

    def blocks(part: list[readers.Piece], ahead: bool) -> Iterator[Block]:
        batches = readers.batches(table, part, ahead)
        with closing(_ahead(batches) if ahead else batches) as pieces:
            yield from fill(pieces, *shape, spare, across=True, first_whole=len(parts) == 1)

    def npy_blocks(ahead: bool) -> Iterator[Block]:
        arrays, columns = list(readers.npy_arrays(table)), [int(name) for name in table.columns]
        if all(array.flags.c_contiguous and len(array) >= block_rows(len(columns)) for _, array in arrays):
            return chain.from_iterable(slices(where, array, columns, *shape) for where, array in arrays)
        return fill(npy_pieces(arrays, columns), *shape, spare, across=True, first_whole=True)

    def npy_pieces(arrays: list[tuple[str, NDArray[Any]]], columns: list[int]) -> Iterator[Any]:
        for i, (where, array) in enumerate(arrays):
            for j in columns:
                if table.noticed.wanted(i, 0) and (found := find_rounded(array[:, j])):
                    table.noticed.add(i, 0, where, f"column {str(j)!r}", found)
            yield where, 0, [array[:, j] for j in columns]

    return Source(
        [npy_blocks] if table.form == "npy" else [partial(blocks, part) for part in parts],
        True,
        None if table.form == "npy" else table.features,
        table.columns,
        table.left_out,
        lambda: table.n_rows,
        table.identity(),
        block_rows(len(table.columns)),
        table.noticed,
    )


def _ahead(items: Iterator[Any]) -> Generator[Any, None, None]:
    """The items of an iterator, the next one being made on a thread of the pool while the last one is worked on."""
    pending = pool.submit(next, items, END)
    try:
        while (item := pending.result()) is not END:
            pending = pool.submit(next, items, END)
            yield item
    finally:
        if not pending.cancel():
            pending.exception()  # wait for it: an iterator that runs cannot be closed
        items.close()  # type: ignore[attr-defined]
