"""Moments as bytes: the same bits come back, and nothing else is believed."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from support.problems import problem

from linreg_fast import Moments
from linreg_fast.saved import framed
from linreg_fast.saved.moments import HEADERS, MAGIC, VERSION

BODY = len(MAGIC) + framed.VERSION_SIZE
HEADER = HEADERS[VERSION]


def test_bytes_come_back_with_the_same_bits():
    pd = pytest.importorskip("pandas")
    X, y, _, _ = problem(100, 3, offset=1e3)
    named = pd.DataFrame(X, columns=["a", "b", "ü"])
    states = [
        Moments(3),
        Moments(3, 2, shift=np.arange(5.0), precision="extended"),
        Moments(0).update(np.empty((5, 0)), np.arange(5.0)),
        Moments(3).update(X[:50], y[:50]).update(X[50:], y[50:]),
        Moments(3, 2).update(named, np.column_stack([y, y * y]), np.arange(100.0)),
    ]
    for state in states:
        data = state.to_bytes()
        back = Moments.from_bytes(data)
        assert back.to_bytes() == data
        assert back == state
        assert Moments.from_bytes(memoryview(bytearray(data))) == state
        assert back.feature_names == state.feature_names
        assert back.precision == state.precision
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(state, protocol)) == state
        assert copy.copy(state) == copy.deepcopy(state) == state
        if state.n_samples:
            assert back.solve().coef.tobytes() == state.solve().coef.tobytes()
            assert back.update(X[:, : back.n_features], np.ones((100, back.n_targets))) != state
            assert state.to_bytes() == data


def test_bytes_are_checked():
    X, y, _, _ = problem(100, 2)
    data = Moments(2).update(X, y).to_bytes()
    for size in range(len(data)):
        with pytest.raises(ValueError, match=r"saved|whole"):
            Moments.from_bytes(data[:size])
    for at in range(len(data)):
        for mask in (0x01, 0x10, 0xFF):
            with pytest.raises(ValueError, match=r"saved|whole"):
                Moments.from_bytes(data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :])
    with pytest.raises(ValueError, match="whole"):
        Moments.from_bytes(data + b"\0")
    for wrong in (None, "text", 5, [1]):
        with pytest.raises(TypeError, match="must be bytes"):
            Moments.from_bytes(wrong)


def test_bytes_of_today_are_read_tomorrow():
    """Another layout needs another version: this one, of rows whose sums are whole, is in files already."""
    moments = Moments(1, shift=[0.0, 0.0]).update([[1.0], [3.0]], [2.0, 5.0])
    data = moments.to_bytes()
    assert (data[:22].hex(), len(data)) == (b"linreg_fast.Moments\0\2\0".hex(), 72 + 8 * (2 + 3 + 12) + 16)
    assert np.frombuffer(data, "<i8", 3, 24).tolist() == [1, 1, 2]  # columns, targets, rows
    assert np.frombuffer(data, "<f8", 12, 72 + 40)[::2].tolist() == [10.0, 4.0, 17.0, 2.0, 7.0, 29.0]
    assert framed.digest(data[:-16]) == data[-16:]


def forged(data, at, kind, value):
    """Bytes with one number replaced and a checksum that fits."""
    body = bytearray(data[: -framed.DIGEST_SIZE])
    body[at : at + 8] = np.array([value], kind).tobytes()
    return bytes(body) + framed.digest(body)


def test_forged_bytes_cannot_make_it_allocate_or_lie():
    X, y, _, _ = problem(100, 2)
    data = Moments(2).update(X, y).to_bytes()
    sizes_at = BODY + HEADER.size - 6 * 8
    for field, value in (
        (0, 2**62),
        (0, 10**6),
        (0, -1),
        (0, 1),
        (1, 2**40),
        (1, 0),
        (2, -5),
        (2, 0),
        (4, 2**62),
        (4, 3),
        (5, -1),
    ):
        with pytest.raises(ValueError, match="saved"):
            Moments.from_bytes(forged(data, sizes_at + 8 * field, "<i8", value))
    with pytest.raises(ValueError, match="no rows can have"):
        Moments.from_bytes(forged(data, sizes_at + 24, "<f8", 0.5))  # unit
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="no rows can have"):
            Moments.from_bytes(forged(data, BODY + HEADER.size, "<f8", value))


def test_rows_that_were_dropped_are_kept():
    """In the bytes too, and states of version 1, which did not have them, still load."""
    x = np.array([1.0, 2.0, np.nan, 4.0])
    moments = Moments(1).update(x, 2 * np.arange(4.0), missing="drop")
    assert Moments.from_bytes(moments.to_bytes()).n_dropped == 1
    body = framed.unframe(moments.to_bytes(), MAGIC, VERSION, "Moments")
    old = HEADERS[1].pack(*HEADER.unpack_from(body)[:-1])
    found = Moments.from_bytes(framed.frame(MAGIC, 1, old, bytes(body[HEADER.size :])))
    assert found.n_dropped == 0
    assert found.solve().slope == moments.solve().slope
    with pytest.raises(ValueError, match="version 3 of the format; this one reads 2"):
        Moments.from_bytes(framed.frame(MAGIC, 3, bytes(body)))
