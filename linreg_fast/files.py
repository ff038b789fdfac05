# SPDX-License-Identifier: BSD-3-Clause
"""Tables in files -> arrays and back, for the command line, by way of pyarrow.

Only the columns that a fit uses are read. Missing values are found in Arrow's own columns, before an
array is made; row numbers count the rows of the file from 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMATS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
}
OUTPUTS = (".csv", ".parquet")


@dataclass(slots=True)
class Frame:
    """The columns of a file that a fit uses.

    X is float64, or float32 where every feature is, in F order. `left_out` maps each column that is not
    of numbers to its type; `rows` holds the row numbers in the file where rows were dropped.
    """

    X: NDArray[Any]
    y: NDArray[np.float64]
    weight: NDArray[np.float64] | None
    features: list[str]
    target: str
    weight_name: str | None
    left_out: dict[str, str]
    dropped: int
    rows: NDArray[np.intp] | None


def read(
    path: Path,
    target: str,
    features: Sequence[str] | None = None,
    weight: str | None = None,
    drop_missing: bool = False,
) -> Frame:
    """Read target, features and weight; without `features` every other column of numbers is one.

    Raises
    ------
    OSError
        No such file.
    TypeError
        A column asked for by name that is not of numbers.
    ValueError
        Another kind of file, an unknown column, a missing value without `drop_missing`, no feature, no row.
    """
    schema = _schema(path)
    asked = [target] if weight is None else [target, weight]
    _check_names(path, schema.names, [*asked, *(features or ())])
    # Text in the first rows stays text; anything else is known for certain once the column is read.
    maybe = [f.name for f in schema if f.name not in asked and (_is_number(f.type) or str(f.type) == "null")]
    wanted = list(maybe if features is None else features)
    _check_names(path, schema.names, [*asked, *wanted])
    table = _columns(path, [*asked, *wanted])
    types = {field.name: field.type for field in table.schema}
    for name in asked if features is None else [*asked, *wanted]:
        if not _is_number(types[name]):
            raise TypeError(f"column {name!r} is not of numbers: its type is {types[name]}")
    wanted = [name for name in wanted if _is_number(types[name])]
    used = {*asked, *wanted}
    left_out = {f.name: str(types.get(f.name, f.type)) for f in schema if f.name not in used}
    if not wanted:
        raise ValueError(f"{path} has no column of numbers beside {', '.join(asked)}")
    table = table.select([*asked, *wanted])
    present = _present_rows(table, drop_missing)
    dropped = 0
    if present is not None:
        dropped = len(present) - int(present.sum())
        if dropped == len(present):
            raise ValueError(f"every row of {path} has a missing value in a column in use")
        table = table.filter(present)
    return Frame(
        X=_matrix(table, wanted),
        y=_vector(table, target),
        weight=None if weight is None else _vector(table, weight),
        features=wanted,
        target=target,
        weight_name=weight,
        left_out={} if features is not None else left_out,
        dropped=dropped,
        rows=None if present is None else np.flatnonzero(present),
    )


def read_features(path: Path, features: Sequence[str]) -> NDArray[Any]:
    """The columns of a file to predict from, NaN where a value is missing.

    Raises
    ------
    OSError, TypeError, ValueError
        As in `read`.
    """
    _check_names(path, _schema(path).names, features)
    table = _columns(path, features)
    for field in table.schema:
        if not (_is_number(field.type) or str(field.type) == "null"):
            raise TypeError(f"column {field.name!r} is not of numbers: its type is {field.type}")
    return _matrix(table, features)


def fault(frame: Frame) -> str | None:
    """The first value that no fit can use, by the names and row numbers of the file; None without any."""
    columns = [(name, frame.X[:, j]) for j, name in enumerate(frame.features)]
    columns.append((frame.target, frame.y))
    faults = [(name, column, np.isinf(column)) for name, column in columns]
    if frame.weight is not None and frame.weight_name is not None:
        faults.append((frame.weight_name, frame.weight, np.isinf(frame.weight) | (frame.weight < 0)))
    found = [(int(bad.argmax()), name, column) for name, column, bad in faults if bad.any()]
    if not found:
        return None
    row, name, column = min(found, key=lambda one: one[0])
    return f"column {name!r} has {column[row]} at row {row if frame.rows is None else frame.rows[row]}"


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


def _format(path: Path) -> str:
    for suffix, name in FORMATS.items():
        if path.name.lower().endswith(suffix):
            if not path.is_file():
                raise FileNotFoundError(f"there is no file {path}")
            return name
    raise ValueError(f"{path} is of no known kind: its name must end in one of {', '.join(FORMATS)}")


def _schema(path: Path) -> Any:
    """Names and types of all columns; for CSV the types of its first megabyte."""
    form = _format(path)
    if form == "csv":
        import pyarrow as pa
        from pyarrow import csv

        try:
            with csv.open_csv(path, parse_options=_parse_options(path)) as reader:
                return reader.schema
        except pa.ArrowInvalid:  # among others: one row is longer than that
            return _columns(path, ()).schema
    if form == "parquet":
        from pyarrow import parquet

        return parquet.read_schema(path)
    return _ipc(path).schema


def _columns(path: Path, names: Sequence[str]) -> Any:
    """The table of these columns, of all for none."""
    form = _format(path)
    if form == "csv":
        return _csv(path, names)
    if form == "parquet":
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            return file.read(list(names)).select(list(names))
    schema = _ipc(path).schema
    return _ipc(path, [schema.get_field_index(name) for name in names]).read_all().select(list(names))


def _csv(path: Path, names: Sequence[str]) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    options = {
        "parse_options": _parse_options(path),
        "convert_options": csv.ConvertOptions(include_columns=list(names)),
    }
    try:
        return csv.read_csv(path, **options)
    except pa.ArrowInvalid:
        # Types come from the first megabyte. Later rows disagree: infer them from the whole file.
        with pa.input_stream(path) as stream:
            text = stream.read()
        size = min(max(len(text), 1), 2**31 - 1)
        return csv.read_csv(pa.BufferReader(text), read_options=csv.ReadOptions(block_size=size), **options)


def _parse_options(path: Path) -> Any:
    from pyarrow import csv

    return csv.ParseOptions(delimiter="\t" if path.name.lower().endswith(".tsv") else ",")


def _ipc(path: Path, fields: list[int] | None = None) -> Any:
    """A reader of an Arrow file, which Feather is too, or else of an Arrow stream."""
    import pyarrow as pa

    options = pa.ipc.IpcReadOptions(included_fields=fields)
    source = pa.memory_map(str(path))
    try:
        return pa.ipc.open_file(source, options=options)
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source, options=options)


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind))


def _check_names(path: Path, known: Sequence[str], names: Sequence[str]) -> None:
    counts, asked = Counter(known), Counter(names)
    for name in names:
        if name not in counts:
            raise ValueError(f"{path} has no column {name!r}; its columns are {', '.join(known)}")
        if counts[name] > 1:
            raise ValueError(f"{path} has {counts[name]} columns named {name!r}")
        if asked[name] > 1:
            raise ValueError(f"column {name!r} is asked for twice: among target, weight and features it may stand once")


def _present_rows(table: Any, drop_missing: bool) -> NDArray[np.bool_] | None:
    """Where no value is missing; None if none is anywhere."""
    import pyarrow.compute as pc

    present = None
    faults = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        missing = pc.is_null(column, nan_is_null=True)
        first = pc.index(missing, True).as_py()
        if first < 0:
            continue
        faults.append((first, name))
        if drop_missing:
            here = ~missing.to_numpy()
            present = here if present is None else present & here
    if faults and not drop_missing:
        row, name = min(faults, key=lambda one: one[0])
        raise ValueError(
            f"column {name!r} has a missing value at row {row}; --drop-missing leaves out rows with missing values"
        )
    return present


def _matrix(table: Any, names: Sequence[str]) -> NDArray[Any]:
    import pyarrow as pa

    single = all(table.schema.field(name).type in (pa.float32(), pa.float16()) for name in names)
    X = np.empty((table.num_rows, len(names)), dtype=np.float32 if single else np.float64, order="F")
    for j, name in enumerate(names):
        X[:, j] = _vector(table, name)
    return X


def _vector(table: Any, name: str) -> NDArray[np.float64]:
    column: NDArray[np.float64] = table[name].cast("float64", safe=False).to_numpy()
    return column
