# SPDX-License-Identifier: BSD-3-Clause
"""Tables in files -> Arrow record batches, and predictions back, by way of pyarrow.

Only the columns that a fit uses are read, a few megabytes at a time, so that memory does not grow with the
file. Row numbers count the rows of a file from 0.
"""

from __future__ import annotations

import glob
import math
import os
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from linreg_fast import arrow, csv_text

FORMATS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
    ".npy": "npy",
}
OUTPUTS = (".csv", ".parquet")
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


def open_table(
    path: str | os.PathLike[str],
    target: Sequence[str],
    features: Sequence[str] | None = None,
    weight: str | None = None,
    exact: bool = False,
) -> Files:
    """Find the files and the columns; without `features` every other column of numbers is one.

    Types of a text file are those of its first megabytes, of all its rows with `exact`.

    Raises
    ------
    OSError
        No such file.
    TypeError
        A column asked for by name that is not of numbers.
    ValueError
        Another kind of file, an unknown column, no feature, files that do not have the same columns.
    """
    paths, form, keys = _find(path)
    kinds, footer = _kinds(paths[0], form, exact)
    if form == "csv" and exact:
        for other in paths[1:]:
            others, _ = _kinds(other, form, True)
            kinds = {name: csv_text.unified(kind, others.get(name, kind)) for name, kind in kinds.items()}
    names = [*kinds, *(keys[0] if keys else {})]
    chosen, left_out = choose(path, names, kinds, target, features, weight)
    columns = [*chosen, *target, *([weight] if weight is not None else [])]
    files = Files(paths, form, columns, chosen, left_out, keys)
    files.footers.append(footer)
    if form == "csv":
        files.types = csv_text.text_types(kinds, columns)
    for other in paths[1:]:
        if form == "csv":
            break  # known once it is read
        kinds, footer = _kinds(other, form, False)
        _check_kinds(other, kinds, [name for name in columns if not keys or name not in keys[0]], paths[0])
        files.footers.append(footer)
    if form == "parquet":
        files.n_rows = sum(footer.num_rows for footer in files.footers)
    return files


def open_npy(
    path: str | os.PathLike[str], target: Sequence[Any], features: Sequence[Any] | None, weight: Any = None
) -> Files:
    """`open_table` for .npy files, whose columns are named by their positions; a target of None is the last one."""
    paths, form, _ = _find(path)
    kinds, rows = _kinds(paths[0], form, False)
    n_rows = rows

    def name(column: Any) -> str:
        column = -1 if column is None else column
        if isinstance(column, bool) or not isinstance(column, (int, np.integer)):
            raise TypeError(f"columns of .npy files are named by their positions, not by {column!r}")
        return str(column + len(kinds) if column < 0 else column)

    targets, weight = [name(one) for one in target], None if weight is None else name(weight)
    _check_sequence(features)
    wanted = None if features is None else [name(one) for one in features]
    chosen, _ = choose(path, list(kinds), kinds, targets, wanted, weight)
    files = Files(paths, form, [*chosen, *targets, *([] if weight is None else [weight])], chosen, {}, [])
    for other in paths[1:]:
        others, rows = _kinds(other, form, False)
        if len(others) != len(kinds):
            raise ValueError(f"{other} has {len(others)} columns, {paths[0].name} has {len(kinds)}")
        n_rows += rows
    files.n_rows = n_rows
    return files


def kind(path: str | os.PathLike[str]) -> str:
    """What the files are that a path, a pattern or a folder stands for: "csv", "parquet", "ipc" or "npy".

    Raises
    ------
    OSError, ValueError
        No file, or files of other kinds or of several.
    """
    return _find(path)[1]


def choose(
    where: Any,
    names: Sequence[str],
    kinds: dict[str, Any],
    target: Sequence[str],
    features: Sequence[str] | None,
    weight: str | None,
) -> tuple[list[str], dict[str, str]]:
    """The features among some columns, and the columns left out with their types.

    `kinds` has the Arrow types of the columns; one that is not in it is of numbers.
    """
    _check_sequence(features)
    asked = [*target, *([] if weight is None else [weight])]
    _check_names(where, names, [*asked, *(features or ())])
    wanted = [name for name in names if name not in asked and arrow.is_number(kinds.get(name))]
    wanted = wanted if features is None else list(features)
    _check_names(where, names, [*asked, *wanted])
    for name in asked if features is None else [*asked, *wanted]:
        if str(kinds.get(name)) == "null":
            raise ValueError(f"column {name!r} of {where} has no value in any row")
        if not arrow.is_number(kinds.get(name)):
            raise TypeError(f"column {name!r} is not of numbers: its type is {kinds[name]}")
    if not wanted:
        raise ValueError(f"{where} has no column of numbers beside {', '.join(asked)}")
    used = {*asked, *wanted}
    return wanted, {} if features is not None else {name: str(kinds[name]) for name in names if name not in used}


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


def read_features(path: Path, features: Sequence[str]) -> NDArray[Any]:
    """The columns of a table to predict from, in F order, NaN where a value is missing.

    Raises
    ------
    OSError, TypeError, ValueError
        No such file, columns that are not there or not of numbers.
    """
    try:
        return _read_features(path, features, False)
    except TypesDifferError:
        return _read_features(path, features, True)


def _read_features(path: Path, features: Sequence[str], exact: bool) -> NDArray[Any]:
    paths, form, keys = _find(path)
    found = [_kinds(one, form, exact) for one in paths]
    kinds = found[0][0]
    _check_names(path, [*kinds, *(keys[0] if keys else ())], features)
    files = Files(paths, form, list(features), list(features), {}, keys, footers=[footer for _, footer in found])
    if form == "csv":
        files.types = csv_text.text_types(kinds, features)
    pieces = [piece for part in parts(files) for piece in part]
    blocks = [arrays for _, _, arrays in batches(files, pieces)]
    X = np.empty((sum(len(block[0]) for block in blocks), len(features)), order="F")
    at = 0
    for part in blocks:
        for j, column in enumerate(part):
            X[at : at + len(column), j] = column
        at += len(part[0])
    return X


def check_output(path: Path) -> None:
    """Raise ValueError, naming the formats, for a file that predictions cannot be written to."""
    if not path.name.lower().endswith(OUTPUTS):
        raise ValueError(f"predictions are written to {' or '.join(OUTPUTS)}; got {path}")


def write(predictions: NDArray[np.float64], path: Path | None) -> bytes:
    """Predictions as a table with the column `prediction`, one for each target where there are more.

    Without a path the table comes back as CSV.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    if predictions.ndim == 1:
        columns = {"prediction": predictions}
    else:
        columns = {f"prediction_{t}": np.ascontiguousarray(predictions[:, t]) for t in range(predictions.shape[1])}
    table = pa.table(columns)
    if path is not None and path.name.lower().endswith(".parquet"):
        parquet.write_table(table, path)
        return b""
    sink = pa.BufferOutputStream()
    sink.write((",".join(columns) + "\n").encode())
    csv.write_csv(table, sink, csv.WriteOptions(include_header=False))
    text: bytes = sink.getvalue().to_pybytes()
    if path is None:
        return text
    path.write_bytes(text)
    return b""


def _find(path: str | os.PathLike[str]) -> tuple[list[Path], str, list[dict[str, float]]]:
    """The files that a path, a pattern or a folder stands for, in the order of their names, and their keys."""
    name = os.fspath(path)
    base = Path(name)
    if base.is_dir():
        found = [p for p in base.rglob("*") if p.is_file() and not _hidden(p.relative_to(base))]
        found = sorted(p for p in found if _suffix(p))
    elif not base.exists() and glob.has_magic(name):
        found = sorted(Path(p) for p in glob.glob(name, recursive=True) if Path(p).is_file())
    else:
        found = [base]
        if not _suffix(base):
            raise ValueError(f"{path} is of no known kind: its name must end in one of {', '.join(FORMATS)}")
        if not base.is_file():
            raise FileNotFoundError(f"there is no file {path}")
    if not found:
        raise FileNotFoundError(f"there is no file {path}" if glob.has_magic(name) else f"no tables are in {path}")
    forms = {p: FORMATS.get(_suffix(p)) for p in found}
    for p, form in forms.items():
        if form is None or form != forms[found[0]]:
            raise ValueError(f"{path} stands for files of several kinds, {found[0].name} and {p.name} among them")
    parts = [
        {key: unquote(value) for key, eq, value in (part.partition("=") for part in p.parent.parts) if eq}
        for p in found
    ]
    return found, str(forms[found[0]]), _numbers(parts)


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _suffix(path: Path) -> str:
    """The longest known ending of a file's name, or nothing."""
    return max((s for s in FORMATS if path.name.lower().endswith(s)), key=len, default="")


def _numbers(parts: list[dict[str, str]]) -> list[dict[str, float]]:
    """The keys that all files have and whose values are numbers."""
    if not parts[0]:
        return []
    out: list[dict[str, float]] = [{} for _ in parts]
    for key in parts[0]:
        try:
            values = [float("nan") if "HIVE_DEFAULT" in part[key] else float(part[key]) for part in parts]
        except (KeyError, ValueError):
            continue
        for one, value in zip(out, values, strict=True):
            one[key] = value
    return out if out[0] else []


def _kinds(path: Path, form: str, exact: bool) -> tuple[dict[str, Any], Any]:
    """Arrow types of all columns of a file by name, None for a .npy file's; its number of rows, or its footer."""
    import pyarrow as pa

    if form == "npy":
        try:
            array = np.lib.format.open_memmap(path, mode="r")
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if array.ndim != 2:
            raise ValueError(f"{path} must hold a table of two dimensions, it has shape {array.shape}")
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{path} has dtype {array.dtype}, which is not a number")
        return {str(j): None for j in range(array.shape[1])}, array.shape[0]
    try:
        if form == "csv":
            return csv_text.kinds(path, exact), None
        if form == "parquet":
            from pyarrow import parquet

            with parquet.ParquetFile(path) as file:
                return csv_text.by_name(path, file.schema_arrow), file.metadata
        return csv_text.by_name(path, _ipc(path).schema), None
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _check_kinds(path: Path, kinds: dict[str, Any], columns: Sequence[str], first: Path) -> None:
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
            _check_kinds(path, dict.fromkeys(found), columns, files.paths[0])
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
    schema = _ipc(path).schema
    reader = _ipc(path, [schema.get_field_index(name) for name in columns])
    if hasattr(reader, "num_record_batches"):
        for i in range(reader.num_record_batches):
            yield reader.get_batch(i)
    else:
        yield from reader


def _ipc(path: Path, fields: list[int] | None = None) -> Any:
    """A reader of an Arrow file, which Feather is too, or else of an Arrow stream."""
    import pyarrow as pa

    options = pa.ipc.IpcReadOptions(included_fields=fields)
    source = pa.OSFile(str(path))
    try:
        return pa.ipc.open_file(source, options=options)
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source, options=options)


def _check_sequence(features: Any) -> None:
    if isinstance(features, (str, bytes)) or not (features is None or np.iterable(features)):
        raise TypeError(f"features must be a sequence of columns, not {features!r} alone")


def _check_names(where: Any, known: Sequence[str], names: Sequence[str]) -> None:
    asked = Counter(names)
    for name in names:
        if name not in known:
            raise ValueError(f"{where} has no column {name!r}; its columns are {', '.join(known)}")
        if asked[name] > 1:
            raise ValueError(f"column {name!r} is asked for twice: among target, weight and features it may stand once")
