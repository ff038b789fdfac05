# SPDX-License-Identifier: BSD-3-Clause
"""Tables to predict from, and predictions as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.streams import csv_text
from linreg_fast.streams.files import check_names, find, kinds_of
from linreg_fast.streams.readers import Files, TypesDifferError, batches, parts

OUTPUTS = (".csv", ".parquet")


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
    paths, form, keys = find(path)
    found = [kinds_of(one, form, exact) for one in paths]
    kinds = found[0][0]
    check_names(path, [*kinds, *(keys[0] if keys else ())], features)
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
