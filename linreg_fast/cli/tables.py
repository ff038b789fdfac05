# SPDX-License-Identifier: BSD-3-Clause
"""Tables to predict from, and predictions as tables."""

from __future__ import annotations

import csv as text_csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs import formula_text
from linreg_fast.result import LinearFit
from linreg_fast.streams import files, formulas, readers
from linreg_fast.streams.choice import Choice, check_names
from linreg_fast.streams.csv_options import CsvOptions

OUTPUTS = (".csv", ".parquet")


class Rows(NamedTuple):
    """Rows to predict from: features in F order, NaN where a value is missing, and columns that are carried over."""

    X: Any
    carried: dict[str, Any]


def read_rows(path: Path, features: Sequence[str], ids: Sequence[str] = (), csv: CsvOptions | None = None) -> Rows:
    """The columns of a table to predict from, and others that go into the predictions as they are.

    Raises
    ------
    OSError, TypeError, ValueError
        No such file, columns that are not there or not of numbers.
    """
    found = files.find(path)
    if csv is not None and found.form != "csv":
        raise TypeError(f"options of text are not for {path}")
    columns = files.columns_of(found, csv or CsvOptions())
    check_names(path, [*columns[0].kinds, *(found.keys[0] if found.keys else ())], features)
    check_names(path, list(columns[0].kinds), ids)
    chosen = Choice(list(features), list(features), {})
    table = files.table_of(found, columns, chosen, csv or CsvOptions())
    if found.form == "npy":
        blocks = [[array[:, int(name)] for name in features] for _, array in readers.npy_arrays(table)]
    else:
        pieces = [piece for part in readers.parts(table) for piece in part]
        blocks = [arrays for _, _, arrays in readers.batches(table, pieces)]
    X = np.empty((sum(len(block[0]) for block in blocks), len(features)), order="F")
    at = 0
    for part in blocks:
        for j, column in enumerate(part):
            X[at : at + len(column), j] = column
        at += len(part[0])
    return Rows(X, _carried(found, columns, table, ids) if ids else {})


def read_by_formula(path: Path, fit: LinearFit, ids: Sequence[str], csv: CsvOptions | None) -> Rows:
    """The columns that a fit by a formula predicts from, as an Arrow table in place of X."""
    import pyarrow as pa

    assert fit.formula is not None
    rows = formulas.of_files(path, csv)
    needed = formula_text.parse(fit.formula["text"], fit.formula["columns"]).features
    check_names(path, list(rows.kinds), needed)
    check_names(path, list(rows.kinds), ids)
    batches = [batch.select(needed) for part in rows.parts for _, _, batch in part(needed)]
    X = pa.Table.from_batches(batches) if batches else pa.table({name: [] for name in needed})
    if not ids:
        return Rows(X, {})
    found = files.find(path)
    columns = files.columns_of(found, csv or CsvOptions())
    table = files.table_of(found, columns, Choice([], [], {}), csv or CsvOptions())
    return Rows(X, _carried(found, columns, table, ids))


def _carried(found: files.Found, columns: Any, table: readers.Files, ids: Sequence[str]) -> dict[str, Any]:
    """Columns of a table as they are."""
    import pyarrow as pa

    if found.form == "npy":
        return {n: np.concatenate([a[:, int(n)] for _, a in readers.npy_arrays(table)]) for n in ids}
    table.columns, table.types = list(ids), dict.fromkeys(ids, pa.string())  # of text the text, 007 too
    pieces = [piece for part in readers.parts(table) for piece in part]
    batches = [batch for _, _, batch in readers.record_batches(table, pieces)]
    kinds = {name: pa.string() if found.form == "csv" else columns[0].kinds[name] for name in ids}
    return {n: pa.chunked_array([batch.column(n) for batch in batches], None if batches else kinds[n]) for n in ids}


def read_columns(path: Path, csv: CsvOptions | None) -> Any:
    """All columns of a table, of the types that they have or that their text says.

    Raises
    ------
    OSError, TypeError, ValueError
        No such file, one of arrays without names.
    """
    import pyarrow as pa

    found = files.find(path)
    if csv is not None and found.form != "csv":
        raise TypeError(f"options of text are not for {path}")
    if found.form == "npy":
        raise TypeError(f"{path} has no names of columns, which the fits of windows and groups go by")
    columns = files.columns_of(found, csv or CsvOptions())
    kinds = columns[0].kinds
    table = files.table_of(found, columns, Choice(list(kinds), list(kinds), {}), csv or CsvOptions())
    table.columns, table.types = list(kinds), dict(kinds)
    pieces = [piece for part in readers.parts(table) for piece in part]
    return pa.Table.from_batches([batch for _, _, batch in readers.record_batches(table, pieces)], pa.schema(kinds))


def check_output(path: Path) -> None:
    """Raise ValueError, naming the formats, for a file that predictions cannot be written to."""
    if not path.name.lower().endswith(OUTPUTS):
        raise ValueError(f"predictions are written to {' or '.join(OUTPUTS)}; got {path}")


def write(predictions: NDArray[np.float64], carried: dict[str, Any], path: Path | None) -> bytes:
    """Predictions as a table with the column `prediction`, one for each target where there are more.

    The columns carried over come first. Without a path the table comes back as CSV.
    """
    import pyarrow as pa

    if predictions.ndim == 1:
        columns = {"prediction": predictions}
    else:
        columns = {f"prediction_{t}": np.ascontiguousarray(predictions[:, t]) for t in range(predictions.shape[1])}
    twice = [name for name in carried if name in columns]
    if twice:
        raise ValueError(f"column {twice[0]!r} cannot be carried over: the predictions have that name")
    return write_table(pa.table(carried | columns), path)


def write_table(table: Any, path: Path | None) -> bytes:
    """A table as CSV or Parquet; without a path it comes back as CSV."""
    import pyarrow as pa
    from pyarrow import parquet

    if path is not None and path.name.lower().endswith(".parquet"):
        parquet.write_table(table, path)
        return b""
    sink = pa.BufferOutputStream()
    head = io.StringIO()
    text_csv.writer(head, lineterminator="\n").writerow(table.column_names)
    sink.write(head.getvalue().encode())
    _write_rows(table, sink)
    text: bytes = sink.getvalue().to_pybytes()
    if path is None:
        return text
    path.write_bytes(text)
    return b""


def _write_rows(table: Any, sink: Any) -> None:
    """Rows as CSV, with quotes around text only where some of it needs them."""
    import pyarrow as pa
    from pyarrow import csv

    plain = pa.BufferOutputStream()
    try:
        csv.write_csv(table, plain, csv.WriteOptions(include_header=False, quoting_style="none"))
        sink.write(plain.getvalue())
    except pa.ArrowInvalid:
        csv.write_csv(table, sink, csv.WriteOptions(include_header=False))
