# SPDX-License-Identifier: BSD-3-Clause
"""Rows by a formula: what it learns in a first look at them, and its columns block by block."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from linreg_fast.inputs import formula_text, formulas
from linreg_fast.inputs.arrays import array_of
from linreg_fast.streams import csv_kinds, files, frames, readers
from linreg_fast.streams.blocks import Block, block_rows, fill
from linreg_fast.streams.choice import Choice, check_names
from linreg_fast.streams.csv_options import CsvOptions
from linreg_fast.streams.rounded import Noticed
from linreg_fast.streams.sources import END, Source, opening

Specification = dict[str, Any]
Batches = Callable[[Sequence[str]], Iterator[tuple[str, int, Any]]]  # some columns: (where, row, record batch)


class Asked(NamedTuple):
    """What a user asks: the formula, levels of categories that are given, the column of weights, what is missing."""

    text: str
    levels: Mapping[str, Sequence[Any]]
    weight: str | None
    missing: str


class Rows(NamedTuple):
    """Rows by the names of their columns, in parts.

    `kinds` are the Arrow types of the columns, `orders` the levels of categories that have an order of their own;
    `parts` give record batches with some columns, again only if `again`.
    """

    where: str
    kinds: Mapping[str, Any]
    orders: Mapping[str, Sequence[Any]]
    parts: Sequence[Batches]
    again: bool
    n_rows: Callable[[], int | None]
    identity: str
    noticed: Noticed


def source_of(rows: Rows, asked: Asked) -> tuple[Source, Specification]:
    """The source of the columns of a formula, and its specification.

    Raises
    ------
    ImportError, TypeError, ValueError
        A formula that cannot be read or says what is not allowed; columns that are not there or of no use; levels that
        cannot be learnt, as the rows come once.
    """
    known = [name for name in rows.kinds if name != asked.weight]
    if asked.weight is not None:
        check_names(rows.where, list(rows.kinds), [asked.weight])
    form = formula_text.parse(asked.text, known)
    categories = [
        name
        for name in form.columns
        if name in form.categories or (rows.kinds[name] is not None and formulas.is_category(rows.kinds[name]))
    ]
    for name in form.targets:
        if name in categories:
            raise TypeError(f"column {name!r} on the left of the formula is not of numbers but of categories")
    for name in asked.levels:
        if name not in categories:
            raise ValueError(f"levels are given of {name!r}, which is no category of the formula")
    unknown = [name for name in categories if name not in asked.levels]
    if (unknown or form.stateful) and not rows.again:
        what = " and ".join(map(repr, unknown)) or ", ".join(form.stateful)
        hint = "give levels={column: [..]}, " if unknown else ""
        raise ValueError(f"{what} is learnt from all rows in a first look, but these come once; {hint}or a callable")
    found, whole = _looked_at(rows, form, unknown)
    levels = {}
    for name in categories:
        if name in asked.levels:
            levels[name] = formulas.as_levels(name, asked.levels[name])
        else:
            order = rows.orders.get(name)
            present = found[name]
            values = sorted(present) if order is None else [level for level in order if level in present]
            levels[name] = formulas.as_levels(name, values)
    spec = formulas.learnt(form, levels, whole, asked.text)
    return _source(rows, spec, asked), spec


def _looked_at(rows: Rows, form: formula_text.Asked, unknown: list[str]) -> tuple[dict[str, set[Any]], dict[str, Any]]:
    """The levels that are there, and the numbers of complete rows where transforms learn from them."""
    found: dict[str, set[Any]] = {name: set() for name in unknown}
    kept: dict[str, list[Any]] = {name: [] for name in form.columns if form.stateful}
    columns = form.columns if form.stateful else unknown
    for part in rows.parts if columns else ():
        with closing(part(columns)) as batches:  # type: ignore[type-var]
            for where, _, batch in batches:
                numbers, gone = {}, np.zeros(batch.num_rows, dtype=bool)
                for name in columns:
                    column = column_of(batch, name, where)
                    if name in found:
                        try:
                            found[name].update(formulas.distinct(column))
                        except TypeError:
                            raise TypeError(f"column {name!r} of {where} is of {column.type}, no category") from None
                    if form.stateful:
                        gone |= column.is_null().to_numpy(zero_copy_only=False)
                        if not formulas.is_category(column) and name not in form.categories:
                            numbers[name] = array_of(_chunked(column), f"column {name!r} of {where}").array
                            gone |= np.isnan(numbers[name])
                for name, values in numbers.items():
                    kept[name].append(values[~gone])
    return found, {name: np.concatenate(values) for name, values in kept.items() if values}


def _chunked(column: Any) -> Any:
    import pyarrow as pa

    return pa.chunked_array([column])


def column_of(batch: Any, name: str, where: str) -> Any:
    """A column of a record batch, by its name."""
    index = batch.schema.get_field_index(name)
    if index < 0:
        raise ValueError(f"{where} has no column {name!r}; its columns are {', '.join(batch.schema.names)}")
    return batch.column(index)


def _source(rows: Rows, spec: dict[str, Any], asked: Asked) -> Source:
    weighted = asked.weight is not None
    columns = [*spec["names"], *spec["target_names"], *([asked.weight] if weighted else [])]
    shape = len(spec["names"]), len(spec["target_names"]), weighted, len(spec["target_names"]) == 1
    needed = [*spec["columns"], *([asked.weight] if asked.weight is not None else [])]
    step = block_rows(len(columns))

    def pieces(batches: Iterator[tuple[str, int, Any]]) -> Iterator[tuple[str, int, list[Any]]]:
        for where, row, batch in batches:
            used = {name: column_of(batch, name, where) for name in needed}
            for at in range(0, batch.num_rows, step):
                part = {name: _chunked(column.slice(at, step)) for name, column in used.items()}
                made = formulas.make(spec, part, where, row + at)
                if made.missing is not None and asked.missing == "raise":
                    name, first = made.missing
                    raise ValueError(
                        f"column {name!r} has a missing value at row {row + at + first} of {where}; "
                        'missing="drop" leaves out rows with missing values'
                    )
                if made.rounded is not None and rows.noticed.wanted(0, row + at):
                    name, one = made.rounded
                    rows.noticed.add(0, row + at, where, f"column {name!r}", one)
                arrays = [*made.X, *made.Y]
                if asked.weight is not None:
                    arrays.append(array_of(part[asked.weight], f"column {asked.weight!r} of {where}").array)
                yield where, row + at, arrays

    def blocks(part: Batches, ahead: bool) -> Iterator[Block]:
        with closing(part(needed)) as batches:  # type: ignore[type-var]
            yield from fill(pieces(batches), *shape, [], across=True, first_whole=len(rows.parts) == 1)

    return Source(
        [lambda ahead, part=part: blocks(part, ahead) for part in rows.parts],  # type: ignore[misc]
        rows.again,
        spec["names"],
        columns,
        {},
        rows.n_rows,
        "|".join([rows.identity, spec["text"], *columns]),
        step,
        rows.noticed,
    )


def of_batches(batches: Any) -> Rows:
    """Data frames one after the other, one alone, or anything else that `fit_stream` takes as such.

    Raises
    ------
    TypeError, ValueError
        Something that is no data frame; no batch.
    """
    open_, again = opening(batches)
    opened = open_()
    first = next(opened, END)
    if first is END:
        raise ValueError("there are no rows to fit: there is no batch")
    if not frames.is_frame(first):
        raise TypeError(f"a formula is for data frames; batch 0 is {type(first).__name__}")
    kinds, _ = frames.columns(first, "batch 0")
    unread = [opened]

    def part(columns: Sequence[str]) -> Iterator[tuple[str, int, Any]]:
        def items() -> Iterator[Any]:
            if unread:
                yield first
                yield from unread.pop()
            else:
                yield from open_()

        for i, item in enumerate(items()):
            where, row = f"batch {i}", 0
            if not frames.is_frame(item):
                raise TypeError(f"{where} must be a data frame, as the first is; it is {type(item).__name__}")
            for batch in frames.batches(item, where, list(columns)):
                yield where, row, batch
                row += batch.num_rows

    orders = _orders(first)
    return Rows("batch 0", kinds, orders, [part], again, lambda: None, "|".join(kinds), Noticed())


def _orders(frame: Any) -> dict[str, Sequence[Any]]:
    """Levels of the categories of a frame of pandas or Polars that have an order of their own."""
    if hasattr(frame, "iloc"):
        dtypes = {str(name): dtype for name, dtype in frame.dtypes.items()}
        return {name: dtype.categories.tolist() for name, dtype in dtypes.items() if hasattr(dtype, "categories")}
    if type(frame).__module__.partition(".")[0] == "polars":
        return {n: list(d.categories) for n, d in frame.schema.items() if type(d).__name__ == "Enum"}
    return {}


def of_files(path: str | os.PathLike[str], csv: CsvOptions | None) -> Rows:
    """A table in files, as `fit_file` takes them.

    Raises
    ------
    OSError, TypeError, ValueError
        No such file; one whose columns have no names.
    """
    import pyarrow as pa

    found = files.find(path)
    if csv is not None and found.form != "csv":
        raise TypeError(f"csv is for files of text; {found.paths[0]} is none")
    if found.form == "npy":
        raise TypeError(f"{path} has no names of columns, which a formula goes by")
    listed = files.columns_of(found, csv or CsvOptions())
    kinds = dict(listed[0].kinds) | dict.fromkeys(found.keys[0] if found.keys else {})
    kinds = {name: pa.string() if str(kind) == "categorical" else kind for name, kind in kinds.items()}
    text = [name for name, kind in kinds.items() if kind is not None and formulas.is_category(kind)]
    of_numbers = [name for name in kinds if name not in text]
    table = files.table_of(found, listed, Choice(of_numbers, of_numbers, {}), csv or CsvOptions())
    if found.form == "csv":
        table.types = csv_kinds.types_to_read(kinds, of_numbers) | dict.fromkeys(text, pa.string())
    noticed = table.noticed

    def part(pieces: list[readers.Piece], columns: Sequence[str]) -> Iterator[tuple[str, int, Any]]:
        chosen = replace(table, columns=list(columns), features=list(columns))
        for file, row, batch in readers.record_batches(chosen, pieces):
            yield file.name, row, batch

    wide = replace(table, columns=list(kinds)[:8])
    parts = [lambda columns, pieces=pieces: part(pieces, columns) for pieces in readers.parts(wide)]
    return Rows(str(path), kinds, {}, parts, True, lambda: table.n_rows, table.identity(), noticed)
