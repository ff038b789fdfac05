"""Columns of pieces of any length into blocks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import linreg_fast
from linreg_fast.streams import readers
from linreg_fast.streams.blocks import block_rows, fill

P = 3


def pieces_of(table, lengths, dtypes):
    """The rows of a table in pieces, each column of its own dtype, three pieces to a place."""
    at = 0
    for i, n in enumerate(lengths):
        columns = [table[at : at + n, j].astype(dtype) for j, dtype in enumerate(dtypes)]
        yield f"file {i // 3}", at, columns
        at += n


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("first_whole", [True, False])
@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("kinds", ["float64", "float32", "mixed"])
def test_blocks_hold_all_rows_once(monkeypatch, across, first_whole, n_targets, kinds):
    monkeypatch.setattr(readers, "batch_rows", lambda width: 64)
    width = P + n_targets + 1
    size = block_rows(width)
    x = {"float64": ["f8"] * P, "float32": ["f4"] * P, "mixed": ["f8", "i4", "f4"]}[kinds]
    rng = np.random.default_rng(0)
    for trial in range(60):
        lengths = [int(n) for n in rng.choice([1, 5, 15, 16, 17, 63, 64, 65, 130, 300], int(rng.integers(1, 9)))]
        table = rng.integers(-99, 99, (sum(lengths), width)).astype(float)
        spare: list = []
        given = pieces_of(table, lengths, [*x, *["f8"] * (n_targets + 1)])
        blocks = fill(given, P, n_targets, True, n_targets == 1, spare, across, first_whole)
        found, sizes = [], []
        for block in blocks:
            rows = np.column_stack([block.X[:], block.y, block.w])
            for row in (0, len(rows) - 1):
                number = block.place(row)[1]
                np.testing.assert_array_equal(table[number], rows[row])
            found.append(rows)
            sizes.append(len(rows))
        np.testing.assert_array_equal(np.concatenate(found), table, err_msg=f"trial {trial}")
        assert max(sizes) <= size
        assert len(spare) <= 1
        if first_whole and across:
            assert sizes[0] == size or len(sizes) == 1
        if across:
            assert min(sizes[:-1], default=size) > width  # no block before the last one has fewer rows than columns


def test_long_pieces_are_not_copied(monkeypatch):
    monkeypatch.setattr(readers, "batch_rows", lambda width: 64)
    columns = [np.arange(192.0) + j for j in range(5)]
    seen = 0
    for block in fill([("t", 0, list(columns))], 3, 1, True, True, []):
        assert block.X.addresses.tolist() == [c.ctypes.data + 8 * seen for c in columns[:3]]
        assert np.shares_memory(block.y, columns[3])
        assert np.shares_memory(block.w, columns[4])
        seen += len(block.X)
    assert seen == 192


def test_batches_without_rows():
    rng = np.random.default_rng(0)
    columns = [pa.array(rng.standard_normal(9)) for _ in "ab"]
    columns.append(pa.array(2.0 * columns[0].to_numpy() - columns[1].to_numpy()))
    whole = pa.RecordBatch.from_arrays(columns, names=list("abc"))
    empty = pa.RecordBatch.from_arrays([pa.array([], pa.float64())] * 3, names=list("abc"))
    fit = linreg_fast.fit_stream([empty, whole, empty, whole[:0], whole], target="c")
    assert fit.n_samples == 18
    np.testing.assert_allclose(fit.coef, [2.0, -1.0], rtol=1e-14)
