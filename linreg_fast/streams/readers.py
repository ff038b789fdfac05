# SPDX-License-Identifier: BSD-3-Clause
"""Files -> Arrow record batches, a few megabytes at a time."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.streams import arrow, csv_kinds, csv_text
from linreg_fast.streams.csv_options import CsvOptions
from linreg_fast.streams.csv_text import Text
from linreg_fast.streams.damage import map_npy, named
from linreg_fast.streams.rounded import Noticed

BATCH_BYTES = 8 << 20  # of the columns in use of one record batch of a Parquet file, decoded: a share of the caches
PART_BYTES = 16 << 20  # of the columns in use of a part of Parquet files, at least
READ_BYTES = 1 << 13  # of one read of a Parquet file
GROUP_ROWS = 1 << 15  # of a row group that is decoded whole, at least: each column is opened by itself
GROUP_BYTES = 32 << 20  # of its columns in use, at most


@dataclass(slots=True)
class Files:
    """One table in one or several files, and the columns of it that a fit uses.

    `columns` are the features, then the targets, then the weight; `left_out` maps each column that takes no part to
    the reason; `keys` holds for each file the columns that stand in its path as key=value.
    """

    paths: list[Path]
    form: str
    columns: list[str]
    features: list[str]
    left_out: dict[str, str]
    keys: list[dict[str, float]]
    csv: CsvOptions = field(default_factory=CsvOptions)
    types: dict[str, Any] = field(default_factory=dict)  # to parse text as
    n_rows: int | None = None  # an estimate for text
    footers: list[Any] = field(default_factory=list)  # of Parquet files: their row groups, read once
    noticed: Noticed = field(default_factory=Noticed)
    dictionaries: list[str] = field(default_factory=list)  # columns of Parquet files to read as codes of their values

    def identity(self) -> str:
        """What tells these files from others, and from themselves once they were written again."""
        parts = [f"{path}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in self.paths]
        return "|".join([*parts, *self.columns, *([repr(self.csv)] if self.form == "csv" else [])])


class Piece(NamedTuple):
    """Some row groups of a file, all where there are none to tell apart, and the row that they start at."""

    file: int
    groups: list[int] | None
    row: int


def parts(files: Files) -> list[list[Piece]]:
    """The table cut where it may be read by several readers at once: row groups of Parquet files, the rest not at all.

    Small row groups, and small files, stand together up to PART_BYTES.
    """
    if files.form != "parquet":
        return [[Piece(i, None, 0) for i in range(len(files.paths))]]
    least = PART_BYTES // (8 * len(files.columns))
    out: list[list[Piece]] = [[]]
    rows = 0
    for i, footer in enumerate(files.footers):
        first = 0
        for group in range(footer.num_row_groups):
            n = footer.row_group(group).num_rows
            if rows >= least:
                out.append([])
                rows = 0
            if out[-1] and out[-1][-1].file == i:
                out[-1][-1].groups.append(group)  # type: ignore[union-attr]
            else:
                out[-1].append(Piece(i, [group], first))
            rows += n
            first += n
    return out


def batches(
    files: Files, pieces: Sequence[Piece], threads: bool = True
) -> Generator[tuple[str, int, list[NDArray[Any]]], None, None]:
    """Yield (file, row of the file, the columns in use of some rows from there on), in order.

    With `threads` Arrow decodes columns of Parquet files on its own ones. Whoever empties the list frees the memory of
    the rows before the next ones are read.

    Raises
    ------
    TypeError, ValueError, OSError
        A file that is damaged or changed, named; fields of text that are no numbers, by column and row.
    """
    noticed = files.noticed
    for piece in pieces:
        for path, row, batch in record_batches(files, [piece], threads):
            arrays = arrow.arrays(batch, files.columns, path.name)
            if noticed.wanted(piece.file, row) and (found := arrow.first_rounded(batch, files.columns)):
                noticed.add(piece.file, row, path.name, f"column {found[0]!r}", found[1])
            del batch
            yield path.name, row, arrays


def record_batches(
    files: Files, pieces: Sequence[Piece], threads: bool = True
) -> Generator[tuple[Path, int, Any], None, None]:
    """Yield (file, row of the file, the columns in use of some rows from there on as an Arrow record batch)."""
    import pyarrow as pa

    for i, groups, row in pieces:
        path, keys = files.paths[i], files.keys[i] if files.keys else {}
        columns = [name for name in files.columns if name not in keys]
        with named(path):
            if groups is not None:
                found = _parquet_batches(files, i, columns, groups, threads)
            else:
                found = {"csv": _csv_batches, "ipc": _ipc_batches}[files.form](path, columns, files)
            while (batch := next(found, None)) is not None:
                for name, value in keys.items():
                    if name in files.columns:
                        batch = batch.append_column(name, pa.array(np.full(batch.num_rows, value)))
                n = batch.num_rows
                yield path, row, batch
                del batch
                row += n


def batch_rows(width: int) -> int:
    """Rows of one record batch of so many columns."""
    return max(1024, BATCH_BYTES // (8 * width))


def npy_arrays(files: Files) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield (file, its rows) of .npy files, mapped into memory."""
    for path in files.paths:
        yield path.name, map_npy(path)


def check_kinds(path: Path, kinds: dict[str, Any], columns: Sequence[str], first: Path) -> None:
    """Raise where a file lacks a column in use, or has it of another type than numbers."""
    for name in columns:
        if name not in kinds:
            raise ValueError(f"{path} has no column {name!r}, which {first.name} has")
        if not arrow.is_number(kinds[name]) and str(kinds[name]) != "null":
            raise TypeError(f"column {name!r} is of numbers in {first.name}, in {path} its type is {kinds[name]}")


@contextmanager
def text_errors(text: Text, row: Sequence[int] = ()) -> Iterator[None]:
    """Errors of a file of text with its name, and the row after which it could not be read any more."""
    try:
        with named(text.path):
            yield
    except ValueError as error:
        if not row or not isinstance(error.__cause__, (OSError, UnicodeError)):
            raise
        raise ValueError(f"{error}, after row {row[0] - 1}" if row[0] else str(error)) from error.__cause__


def _csv_batches(path: Path, columns: list[str], files: Files) -> Iterator[Any]:
    text = Text(path, files.csv)
    types = {name: files.types[name] for name in columns}
    row = [0]
    with text_errors(text, row):
        for chunk in csv_text.chunks(text):
            if not row[0]:
                check_kinds(path, dict.fromkeys(chunk.names), columns, files.paths[0])
            try:
                table = csv_text.read(text, chunk, columns, types)
            except ValueError as error:
                raise csv_kinds.fault(text, chunk, types, row[0], error) from None
            file = files.paths.index(path)
            if files.noticed.wanted(file, row[0]) and (found := csv_kinds.first_rounded(text, chunk, table)):
                files.noticed.add(file, row[0], path.name, f"column {found[0]!r}", found[1])
            row[0] += table.num_rows
            if chunk.part and len(files.paths) == 1:
                files.n_rows = math.ceil(row[0] / chunk.part)
            yield from table.to_batches()


def parquet_file(path: Path, **settings: Any) -> Any:
    """A Parquet file whose footer cannot ask for more than the file holds."""
    from pyarrow import parquet

    size = max(1, path.stat().st_size)
    limits = {"thrift_string_size_limit": size, "thrift_container_size_limit": size}
    return parquet.ParquetFile(path, **limits, **settings)


def _parquet_batches(files: Files, i: int, columns: list[str], groups: list[int], threads: bool) -> Iterator[Any]:
    path, footer = files.paths[i], files.footers[i]
    most = GROUP_BYTES // (8 * len(columns))
    whole = all(GROUP_ROWS <= footer.row_group(group).num_rows <= most for group in groups)
    # pyarrow's default, whole row groups read and decoded ahead, touches several times the memory for the first time
    settings = {"metadata": footer, "pre_buffer": False, "buffer_size": READ_BYTES}
    with parquet_file(path, read_dictionary=files.dictionaries, **settings) as file:
        if not whole:
            yield from file.iter_batches(batch_rows(len(columns)), groups, columns, use_threads=threads)
            return
        for group in groups:
            yield from _row_group(file, group, columns, threads).to_batches()


def _row_group(file: Any, group: int, columns: list[str], threads: bool) -> Any:
    """A row group as a table, on one thread column by column: pages are decoded in memory that is still in cache."""
    if threads:
        return file.read_row_group(group, columns, use_threads=True)
    import pyarrow as pa

    return pa.table([file.read_row_group(group, [name], use_threads=False).column(name) for name in columns], columns)


def _ipc_batches(path: Path, columns: list[str], files: Files) -> Iterator[Any]:
    schema = ipc(path).schema
    reader = ipc(path, [schema.get_field_index(name) for name in columns])
    many = hasattr(reader, "num_record_batches")
    for batch in map(reader.get_batch, range(reader.num_record_batches)) if many else reader:
        batch.validate()  # that its buffers are as long as it says
        yield batch


def ipc(path: Path, fields: list[int] | None = None) -> Any:
    """A reader of an Arrow file, which Feather is too, or else of an Arrow stream."""
    import pyarrow as pa

    options = pa.ipc.IpcReadOptions(included_fields=fields)
    # mapped: what a damaged file says of its lengths is not allocated before it is read
    source = pa.memory_map(str(path)) if path.stat().st_size else pa.BufferReader(b"")
    try:
        return pa.ipc.open_file(source, options=options)
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source, options=options)
