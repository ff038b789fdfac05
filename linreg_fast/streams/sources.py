# SPDX-License-Identifier: BSD-3-Clause
"""Whatever rows come from -> blocks of arrays, in order, once or as often as they are asked for.

Arrow is the common ground: data frames, cursors and files become record batches, of which the columns in
use are read where they lie. Short batches, and columns that are not of float64, are copied into one block of columns
that is used again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.passes import pool
from linreg_fast.streams import arrow, files, readers
from linreg_fast.streams.blocks import Block, block_rows, fill, slices, tuple_blocks

SCHEMA_ROWS = 1000
FETCH_ROWS = 10_000  # asked of a cursor at a time
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
    only: str = ""  # the one file that all rows are of
    whole: int = 0  # a first block of fewer rows is the last one too

    def blocks(self, ahead: bool = False) -> Iterator[Block]:
        """All blocks, one part after the other."""
        return chain.from_iterable(part(ahead) for part in self.parts)


def of_batches(batches: Any, target: Any, features: Sequence[Any] | None, sample_weight: Any) -> Source:
    """The source that an argument of `fit_stream` stands for.

    Raises
    ------
    TypeError, ValueError
        Something that has no batches, or no such columns in the first of them.
    """
    given = batches if isinstance(batches, tuple) else (batches,)
    if any(isinstance(one, np.ndarray) for one in given):
        raise TypeError("batches must be an iterable: for arrays, or memory maps, give [(X, y)]")
    open_, again = _opening(batches)
    opened = open_()
    first = next(opened, END)
    if first is END:
        raise ValueError("there are no rows to fit: there is no batch")
    unread: list[Iterator[Any]] = [chain([first], opened)]

    def batch_by_batch() -> Iterator[tuple[str, Any]]:
        items = unread.pop() if unread else open_()
        return ((f"batch {i}", item) for i, item in enumerate(items))

    if isinstance(first, (tuple, list)):
        if target is not None or features is not None or sample_weight is not None:
            raise TypeError("target, features and sample_weight name columns of data frames; the batches are tuples")
        return Source([lambda ahead: tuple_blocks(batch_by_batch())], again)
    if target is None:
        raise TypeError("target must name the column to explain: the batches are data frames")
    if not np.iterable(target):
        raise TypeError(f"target must be a column's name, or a list of names, not {target!r}")
    schema = _schema(first, "batch 0")
    kinds = dict(zip(schema.names, schema.types, strict=True))
    targets = [target] if isinstance(target, str) else list(target)
    names, left_out = files.choose("batch 0", schema.names, kinds, targets, features, sample_weight)
    columns = [*names, *targets, *([] if sample_weight is None else [sample_weight])]

    def pieces() -> Iterator[tuple[str, int, list[NDArray[Any]]]]:
        for where, item in batch_by_batch():
            if not _is_frame(item):
                raise TypeError(f"{where} must be a data frame, as the first is; it is {type(item).__name__}")
            row = 0
            for batch in _batches(item):
                yield where, row, arrow.arrays(batch, columns, where)
                row += batch.num_rows

    shape = len(names), len(targets), sample_weight is not None, isinstance(target, str)
    return Source(
        [lambda ahead: fill(pieces(), *shape, [])],
        again,
        names,
        columns,
        left_out,
        identity="|".join(columns),
    )


def _opening(batches: Any) -> tuple[Callable[[], Iterator[Any]], bool]:
    """What gives the batches from the first one on, and whether it does so more than once."""
    if hasattr(batches, "to_batches") and hasattr(batches, "scanner"):  # an Arrow dataset
        return lambda: iter(batches.to_batches()), True
    if _is_frame(batches):
        return lambda: iter(_batches(batches)), True
    if hasattr(batches, "fetchmany"):
        return lambda: _fetched(batches), False
    if callable(batches):
        return lambda: iter(batches()), True
    try:
        own = iter(batches) is batches
    except TypeError:
        raise TypeError(f"batches must be an iterable or a callable, not {type(batches).__name__}") from None
    return lambda: iter(batches), not (own or hasattr(batches, "read_next_batch"))


def of_files(path: Any, target: Any, features: Sequence[Any] | None, sample_weight: Any, exact: bool = False) -> Source:
    """The rows of a file, of the files that a pattern stands for, or of a folder.

    Raises
    ------
    OSError, TypeError, ValueError
        As in `files.open_table`.
    """
    several = isinstance(target, (list, tuple))
    targets = list(target) if several else [target]
    if files.kind(path) == "npy":
        table = files.open_npy(path, targets, features, sample_weight)
    else:
        if target is None:
            raise TypeError("target must name the column to explain")
        table = files.open_table(path, targets, features, sample_weight, exact)
    weighted = sample_weight is not None
    p, k = len(table.features), len(table.columns) - len(table.features) - weighted

    parts = readers.parts(table)
    shape = p, k, weighted, not several
    spare: list[NDArray[np.float64]] = []

    def blocks(part: list[readers.Piece], ahead: bool) -> Iterator[Block]:
        batches = readers.batches(table, part, ahead)
        with closing(_ahead(batches) if ahead else batches) as pieces:
            yield from fill(pieces, *shape, spare, across=True, first_whole=len(parts) == 1)

    def npy_blocks(ahead: bool) -> Iterator[Block]:
        arrays, columns = list(readers.npy_arrays(table)), [int(name) for name in table.columns]
        if all(array.flags.c_contiguous and len(array) >= block_rows(len(columns)) for _, array in arrays):
            return chain.from_iterable(slices(where, array, columns, *shape) for where, array in arrays)
        pieces = ((where, 0, [array[:, j] for j in columns]) for where, array in arrays)
        return fill(pieces, *shape, spare, across=True, first_whole=True)

    return Source(
        [npy_blocks] if table.form == "npy" else [partial(blocks, part) for part in parts],
        True,
        None if table.form == "npy" else table.features,
        table.columns,
        table.left_out,
        lambda: table.n_rows,
        table.identity(),
        table.paths[0].name if len(table.paths) == 1 else "",
        block_rows(len(table.columns)),
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


def _is_frame(value: Any) -> bool:
    if isinstance(value, (list, tuple, np.ndarray)) or hasattr(value, "read_next_batch") or hasattr(value, "fetchmany"):
        return False
    return any(hasattr(value, name) for name in ("__arrow_c_stream__", "__arrow_c_array__", "__dataframe__"))


def _schema(value: Any, where: str) -> Any:
    """Names and Arrow types of the columns of a data frame."""
    if find_spec("pyarrow") is None:
        raise TypeError('data frames and files need pyarrow: pip install "linreg_fast[stream]"')
    if not _is_frame(value):
        raise TypeError(f"{where} must be (X, y), (X, y, sample_weight) or a data frame; it is {type(value).__name__}")
    if hasattr(value, "schema") and type(value).__module__.startswith("pyarrow"):
        return value.schema
    if type(value).__module__.partition(".")[0] in ("pandas", "polars"):
        value = value.head(SCHEMA_ROWS)  # types of the others are checked batch by batch
    batches = _batches(value)
    return batches[0].schema if isinstance(batches, list) else batches.schema


def _batches(value: Any) -> Any:
    """A data frame, a table, or anything else that hands itself over as Arrow, in record batches."""
    import pyarrow as pa

    if isinstance(value, pa.RecordBatch):
        return [value]
    if type(value).__module__.partition(".")[0] == "pandas":
        value = pa.Table.from_pandas(value, preserve_index=False)
    elif hasattr(value, "__arrow_c_array__") and not hasattr(value, "__arrow_c_stream__"):
        return [pa.record_batch(value)]
    elif not hasattr(value, "__arrow_c_stream__"):
        import pyarrow.interchange

        value = pyarrow.interchange.from_dataframe(value)
    return pa.RecordBatchReader.from_stream(value)


def _fetched(cursor: Any) -> Iterator[Any]:
    """The rows of a cursor that has executed, as Arrow batches."""
    import pyarrow as pa

    if cursor.description is None:
        raise ValueError("the cursor has no rows: execute a query first")
    names = [str(column[0]) for column in cursor.description]
    empty = True
    while rows := cursor.fetchmany(FETCH_ROWS):
        empty = False
        try:
            yield pa.record_batch([pa.array(column) for column in zip(*rows, strict=True)], names=names)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise TypeError(f"a column of the query holds values of several types: {error}") from None
    if empty:
        raise ValueError("the query has no rows")
