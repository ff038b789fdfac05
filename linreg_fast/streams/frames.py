# SPDX-License-Identifier: BSD-3-Clause
"""Data frames, tables, queries and cursors -> Arrow record batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from linreg_fast.inputs.kinds import no_number, of_pandas
from linreg_fast.streams.csv_kinds import by_name

SCHEMA_ROWS = 1000
FETCH_ROWS = 10_000  # asked of a cursor at a time


def is_lazy(value: Any) -> bool:
    """Whether it is a query of Polars that has not run."""
    return type(value).__module__.partition(".")[0] == "polars" and type(value).__name__ == "LazyFrame"


def is_frame(value: Any) -> bool:
    """Whether it is a data frame, a table, or a query, which hand themselves over as Arrow, again and again."""
    if isinstance(value, (list, tuple, np.ndarray)) or hasattr(value, "read_next_batch"):
        return False
    if hasattr(value, "fetchmany") and not _is_relation(value):
        return False
    return any(hasattr(value, name) for name in ("__arrow_c_stream__", "__arrow_c_array__", "__dataframe__"))


def _is_relation(value: Any) -> bool:
    """Whether it is a query of DuckDB, which runs anew whenever it is read."""
    return type(value).__name__ == "DuckDBPyRelation" and hasattr(value, "__arrow_c_stream__")


def columns(value: Any, where: str, names: Sequence[str] | None = None) -> tuple[dict[str, Any], list[str]]:
    """Arrow types of the columns of a data frame by name, and which of them were an index.

    With `names` of those columns, as far as they are there.
    """
    if find_spec("pyarrow") is None:
        raise TypeError('data frames and files need pyarrow: pip install "linreg_fast[stream]"')
    import pyarrow as pa

    if not is_frame(value):
        raise TypeError(f"{where} must be (X, y), (X, y, sample_weight) or a data frame; it is {type(value).__name__}")
    package = type(value).__module__.partition(".")[0]
    if package == "pandas":
        found = _pandas_columns(value, where, names)
        return found, []
    if package == "polars":
        wide = {name: str(kind) for name, kind in value.schema.items() if "Int128" in str(kind)}
        rest = [name for name in value.columns if name not in wide]
        schema = pa.RecordBatchReader.from_stream(value.head(0).select(rest)).schema
        kinds = by_name(where, schema)
        return {name: wide[name] if name in wide else kinds[name] for name in value.columns}, []
    schema = getattr(value, "schema", None)
    if not isinstance(schema, pa.Schema):
        opened = whole(value)
        schema = opened[0].schema if isinstance(opened, list) else opened.schema
    return by_name(where, schema), of_pandas(schema)[0]


def _pandas_columns(frame: Any, where: str, names: Sequence[str] | None) -> dict[str, Any]:
    """Arrow types of the columns of a pandas frame: of its first rows, of all where these are without a value."""
    import pyarrow as pa

    if names is not None:
        frame = frame[[name for name in names if name in frame.columns]]
    # what Arrow does not have
    odd = {str(name): str(dtype) for name, dtype in frame.dtypes.items() if no_number(dtype) in ("complex", "sparse")}
    if odd:
        names = [str(name) for name in frame.columns]
        rest = frame[[name for name in frame.columns if str(name) not in odd]]
        kinds = _pandas_columns(rest, where, None)
        return {name: odd[name] if name in odd else kinds[name] for name in names}
    kinds = by_name(where, _from_pandas(frame.head(SCHEMA_ROWS), where).schema)
    for name in [name for name, kind in kinds.items() if pa.types.is_null(kind)]:
        position = list(map(str, frame.columns)).index(name)
        kinds[name] = _from_pandas(frame.iloc[:, [position]], where).schema.types[0]
    return kinds


def whole(value: Any) -> Any:
    """A data frame, a table, or anything else that hands itself over as Arrow, in record batches of all its columns.

    A frame of pandas or Polars is one item: which of its columns can be Arrow's is asked later.
    """
    import pyarrow as pa

    if isinstance(value, pa.RecordBatch) or type(value).__module__.partition(".")[0] in ("pandas", "polars"):
        return [value]
    if hasattr(value, "__arrow_c_array__") and not hasattr(value, "__arrow_c_stream__"):
        return [pa.record_batch(value)]
    if not hasattr(value, "__arrow_c_stream__"):
        import pyarrow.interchange

        value = pyarrow.interchange.from_dataframe(value)
    return pa.RecordBatchReader.from_stream(value)


def batches(value: Any, where: str, names: Sequence[str]) -> Any:
    """A data frame in record batches that have some columns, as far as they are there."""
    import pyarrow as pa

    package = type(value).__module__.partition(".")[0]
    if package == "pandas":
        known = [j for j, name in enumerate(map(str, value.columns)) if name in names]
        return _from_pandas(value.iloc[:, known], where).to_batches()
    if package == "polars":
        value = value.select([name for name in value.columns if name in names])
        return pa.RecordBatchReader.from_stream(value)
    return whole(value)


def _from_pandas(frame: Any, where: str) -> Any:
    """A pandas frame as an Arrow table without its index."""
    import pyarrow as pa

    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, OverflowError):
        for j, name in enumerate(frame.columns):
            fault = _odd_value(frame.iloc[:, j].tolist())
            if fault is not None:
                raise TypeError(f"column {str(name)!r} of {where} has {fault}") from None
        raise


def _odd_value(values: Sequence[Any]) -> str | None:
    """The first value that Arrow cannot put beside those before it, and its row."""
    import pyarrow as pa

    try:
        pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, OverflowError):
        good, bad = 0, len(values)  # rows that are known to go together, and not to
        while bad - good > 1:
            middle = (good + bad) // 2
            try:
                pa.array(values[:middle], from_pandas=True)
                good = middle
            except (pa.ArrowException, TypeError, OverflowError):
                bad = middle
        value = values[bad - 1]
        return f"values of several types, {value!r} of type {type(value).__name__} at row {bad - 1} among them"
    return None


def collected(query: Any) -> Iterator[Any]:
    """What a query of Polars gives, in frames as they come where it can do that."""
    if not hasattr(query, "collect_batches"):
        return iter([query.collect()])
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Polars calls it unstable
        return iter(query.collect_batches(maintain_order=True))


def fetched(cursor: Any) -> Iterator[Any]:
    """The rows of a cursor that has executed, as Arrow batches."""
    import pyarrow as pa

    if cursor.description is None:
        raise ValueError("the cursor has no rows: execute a query first")
    names = [str(column[0]) for column in cursor.description]
    row = 0
    while rows := cursor.fetchmany(FETCH_ROWS):
        columns = list(zip(*rows, strict=True))
        try:
            yield pa.record_batch([pa.array(column) for column in columns], names=names)
        except (pa.ArrowException, TypeError, OverflowError):
            for name, column in zip(names, columns, strict=True):
                fault = _odd_value(column)
                if fault is not None:
                    raise TypeError(f"column {name!r} of batch {row // FETCH_ROWS} of the query has {fault}") from None
            raise
        row += len(rows)
    if not row:
        raise ValueError("the query has no rows")
