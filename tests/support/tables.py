"""Tables: arrays otherwise in memory, files of every form, and those that live beside the checkout."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, feather, parquet

ROOT = Path(__file__).resolve().parents[2]  # of the checkout
DATA = ROOT.parent / "shared" / "data"  # beside the checkout, not in it


def shared(name):
    """Where a file of the data beside the checkout is; the test is skipped where it is not there."""
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{name} is not in {DATA}: it is not part of the project")
    return path


# The same numbers, otherwise in memory; float32 rounds them.
LAYOUTS = {
    "C": lambda X: np.array(X, order="C"),
    "F": np.asfortranarray,
    "float32": np.float32,
    "strided": lambda X: X[::-1].copy()[::-1],
}


def write(table, path, rows=3000):
    """Write a table in the form that the suffix names, at most so many rows in a row group or a record batch."""
    name = path.name
    if name.endswith(".csv"):
        csv.write_csv(table, path)
    elif name.endswith(".csv.gz"):
        sink = io.BytesIO()
        csv.write_csv(table, sink)
        path.write_bytes(gzip.compress(sink.getvalue()))
    elif name.endswith(".tsv"):
        csv.write_csv(table, path, csv.WriteOptions(delimiter="\t"))
    elif name.endswith(".parquet"):
        parquet.write_table(table, path, row_group_size=rows)
    elif name.endswith(".feather"):
        feather.write_feather(table, str(path), chunksize=rows)  # compressed, as .arrow and .ipc are not
    else:
        new = pa.ipc.new_stream if "stream" in name else pa.ipc.new_file
        with pa.OSFile(str(path), "wb") as sink, new(sink, table.schema) as writer:
            writer.write_table(table, rows)
    return path
