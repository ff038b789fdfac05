# SPDX-License-Identifier: BSD-3-Clause
"""Files -> Arrow record batches, a few megabytes at a time."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.streams import arrow, csv_text

BATCH_BYTES = 8 << 20  # of the columns in use of one record batch of a Parquet file, decoded: a share of the caches
PART_BYTES = 16 << 20  # of the columns in use of a part of Parquet files, at least
READ_BYTES = 1 << 13  # of one read of a Parquet file
GROUP_ROWS = 1 << 15  # of a row group that is decoded whole, at least: each column is opened by itself
GROUP_BYTES = 32 << 20  # of its columns in use, at most


class TypesDifferError(ValueError):
    """Later rows of a text file are of another type than the first ones."""


@dataclass(slots=True)
class Files:
    """One table in one or several files, and the columns of it that a fit uses.

    `columns` are the features, then the targets, then the weight; `left_out` maps each column that is not of
    numbers to its type; `keys` holds for each file the columns that stand in its path as key=value.
    """

    paths: list[Path]
    form: str
    columns: list[str]
    features: list[str]
    left_out: dict[str, str]
    keys: list[dict[str, float]]
    types: dict[str, Any] = field(default_factory=dict)  # to parse text as
    n_rows: int | None = None  # an estimate for text
    footers: list[Any] = field(default_factory=list)  # of Parquet files: their row groups, read once

    def identity(self) -> str:
        """What tells these files from others, and from themselves once they were written again."""
        parts = [f"{path}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in self.paths]
        return "|".join([*parts, *self.columns])


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
    TypesDifferError
        Text whose types were not those of its first rows.
    TypeError, ValueError, OSError
        A file that is damaged or changed, named.
    """
    import pyarrow as pa

    for i, groups, row in pieces:
        path, keys = files.paths[i], files.keys[i] if files.keys else {}
        columns = [name for name in files.columns if name not in keys]
        try:
            if groups is not None:
                found = _parquet_batches(path, columns, groups, files.footers[i], threads)
            else:
                found = {"csv": _csv_batches, "ipc": _ipc_batches}[files.form](path, columns, files)
            for batch in found:
                for name, value in keys.items():
                    if name in files.columns:
                        batch = batch.append_column(name, pa.array(np.full(batch.num_rows, value)))
                n, arrays = batch.num_rows, arrow.arrays(batch, files.columns, path.name)
                del batch
                yield path.name, row, arrays
                row += n
        except pa.ArrowInvalid as error:
            raise ValueError(f"{path}: {error}") from error
        except OSError as error:
            raise OSError(f"{path}: {error}") from error


def batch_rows(width: int) -> int:
    """Rows of one record batch of so many columns."""
    return max(1024, BATCH_BYTES // (8 * width))


def npy_arrays(files: Files) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield (file, its rows) of .npy files, mapped into memory."""
    for path in files.paths:
        yield path.name, np.load(path, mmap_mode="r")


def check_kinds(path: Path, kinds: dict[str, Any], columns: Sequence[str], first: Path) -> None:
    """Raise where a file lacks a column in use, or has it of another type than numbers."""
    for name in columns:
        if name not in kinds:
            raise ValueError(f"{path} has no column {name!r}, which {first.name} has")
        if not arrow.is_number(kinds[name]) and str(kinds[name]) != "null":
            raise TypeError(f"column {name!r} is of numbers in {first.name}, in {path} its type is {kinds[name]}")


def _csv_batches(path: Path, columns: list[str], files: Files) -> Iterator[Any]:
    import pyarrow as pa

    names: list[str] | None = None
    rows = 0
    for text, part in csv_text.chunks(path):
        if names and csv_text.is_blank(text):
            continue
        if names is None:
            found = csv_text.read(path, csv_text.head(text), None).column_names
            check_kinds(path, dict.fromkeys(found), columns, files.paths[0])
        types = {name: files.types[name] for name in columns}
        try:
            table = csv_text.read(path, text, names, include_columns=columns, column_types=types)
        except pa.ArrowInvalid as error:
            raise TypesDifferError(f"{path}: {error}") from error
        names = found
        rows += table.num_rows
        if part and len(files.paths) == 1:
            files.n_rows = math.ceil(rows / part)
        yield from table.to_batches()


def _parquet_batches(path: Path, columns: list[str], groups: list[int], footer: Any, threads: bool) -> Iterator[Any]:
    from pyarrow import parquet

    most = GROUP_BYTES // (8 * len(columns))
    whole = all(GROUP_ROWS <= footer.row_group(group).num_rows <= most for group in groups)
    # pyarrow's default, whole row groups read and decoded ahead, touches several times the memory for the first time
    with parquet.ParquetFile(path, metadata=footer, pre_buffer=False, buffer_size=READ_BYTES) as file:
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
    if hasattr(reader, "num_record_batches"):
        for i in range(reader.num_record_batches):
            yield reader.get_batch(i)
    else:
        yield from reader


def ipc(path: Path, fields: list[int] | None = None) -> Any:
    """A reader of an Arrow file, which Feather is too, or else of an Arrow stream."""
    import pyarrow as pa

    options = pa.ipc.IpcReadOptions(included_fields=fields)
    source = pa.OSFile(str(path))
    try:
        return pa.ipc.open_file(source, options=options)
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source, options=options)
