# SPDX-License-Identifier: BSD-3-Clause
"""Whatever rows come from -> blocks of arrays, in order, once or as often as they are asked for.

Arrow is the common ground: data frames, cursors and files become record batches, of which the columns in
use are read where they lie. Short batches, and columns that are not of float64, are copied into one block of columns
that is used again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast import arrow, files, passes
from linreg_fast.columns import Columns, readable

SCHEMA_ROWS = 1000
FETCH_ROWS = 10_000  # asked of a cursor at a time
SLICE_BYTES = 64 << 20  # of an array in a batch at a time, between two looks at progress and checkpoint
END: Any = object()


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
        return Source([lambda ahead: _tuple_blocks(batch_by_batch())], again)
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
        [lambda ahead: _fill(pieces(), *shape, [])],
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

    parts = files.parts(table)
    shape = p, k, weighted, not several
    spare: list[NDArray[np.float64]] = []

    def blocks(part: list[files.Piece], ahead: bool) -> Iterator[Block]:
        batches = files.batches(table, part, ahead)
        with closing(_ahead(batches) if ahead else batches) as pieces:
            yield from _fill(pieces, *shape, spare, across=True, first_whole=len(parts) == 1)

    def npy_blocks(ahead: bool) -> Iterator[Block]:
        arrays, columns = list(files.npy_arrays(table)), [int(name) for name in table.columns]
        if all(array.flags.c_contiguous and len(array) >= block_rows(len(columns)) for _, array in arrays):
            return chain.from_iterable(_slices(where, array, columns, *shape) for where, array in arrays)
        pieces = ((where, 0, [array[:, j] for j in columns]) for where, array in arrays)
        return _fill(pieces, *shape, spare, across=True, first_whole=True)

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


def block_rows(width: int) -> int:
    """Rows of a block of so many columns: those of a batch of files, and more of them than columns."""
    return max(files.batch_rows(width), 2 * width + 2)


def _tuple_blocks(batches: Iterator[tuple[str, Any]]) -> Iterator[Block]:
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


def _slices(
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


def _fill(
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


def _ahead(items: Iterator[Any]) -> Generator[Any, None, None]:
    """The items of an iterator, the next one being made on a thread of the pool while the last one is worked on."""
    pending = passes.submit(next, items, END)
    try:
        while (item := pending.result()) is not END:
            pending = passes.submit(next, items, END)
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
