# SPDX-License-Identifier: BSD-3-Clause
"""Moments as bytes, the same on every machine: a header, little-endian float64, names, a checksum."""

from __future__ import annotations

import json
import struct
from typing import NamedTuple

import numpy as np

from linreg_fast.algebra.precision import DD_UNIT, EPS, Matrix, Vector
from linreg_fast.saved import framed

UNITS = {"auto": EPS, "extended": DD_UNIT}  # precision, and relative rounding of the sums of a batch
MAGIC = b"linreg_fast.Moments\x00"
VERSION = 2
# precision, shift given, n_features, n_targets, n_samples, unit, bytes of the names, rows dropped from version 2 on
HEADERS = {1: struct.Struct("<BBqqqdq"), 2: struct.Struct("<BBqqqdqq")}
LARGEST = 1 << 20  # columns that a saved state may claim to have


class State(NamedTuple):
    """What a `Moments` holds; M is (m, m, 2) and symmetric, m = n_features + n_targets + 1."""

    n_features: int
    n_targets: int
    n_samples: int
    precision: str
    unit: float
    shift: Vector | None
    noise: Vector
    M: Matrix
    feature_names: tuple[str, ...] | None
    n_dropped: int = 0


def pack(state: State) -> bytes:
    """The state as bytes."""
    names = b"" if state.feature_names is None else json.dumps(state.feature_names).encode()
    header = HEADERS[VERSION].pack(
        list(UNITS).index(state.precision),
        state.shift is not None,
        state.n_features,
        state.n_targets,
        state.n_samples,
        state.unit,
        len(names),
        state.n_dropped,
    )
    shift = np.zeros(len(state.M) - 1) if state.shift is None else state.shift
    upper = np.triu_indices(len(state.M))
    arrays = [a.astype("<f8").tobytes() for a in (shift, state.noise, state.M[upper])]
    return framed.frame(MAGIC, VERSION, header, *arrays, names)


def unpack(data: bytes) -> State:
    """What `pack` wrote. Nothing in it is executed, and no more is allocated than it is long.

    Raises
    ------
    ValueError
        Not a whole state: cut short, too long, changed on the way, or of another version.
    """
    version = min(max(framed.version_of(data, MAGIC), 1), VERSION)
    body, header = framed.unframe(data, MAGIC, version, "linreg_fast.Moments"), HEADERS[version]
    if len(body) < header.size:
        raise ValueError(f"not a saved linreg_fast.Moments: {len(data)} bytes")
    precision, shifted, p, n_targets, n_samples, unit, names_size, *dropped = header.unpack_from(body)
    if not (0 <= p <= LARGEST and 1 <= n_targets <= LARGEST and 0 <= names_size <= len(body) and precision < 2):
        raise ValueError(f"a saved Moments cannot have {p} features, {n_targets} targets and {names_size} bytes")
    width = p + n_targets
    n_sums = (width + 1) * (width + 2) // 2
    size = header.size + 8 * (width + width + 1 + 2 * n_sums) + names_size
    if len(body) != size:
        more = len(data) - len(body)
        known = f"a saved Moments of {p} features and {n_targets} targets has {size + more} bytes"
        raise ValueError(f"{known}, not {len(data)}")
    numbers = np.frombuffer(body, "<f8", 2 * width + 1 + 2 * n_sums, header.size).astype(np.float64)
    shift, noise, upper = np.split(numbers, [width, 2 * width + 1])
    M = np.zeros((width + 1, width + 1, 2))
    rows, columns = np.triu_indices(width + 1)
    M[rows, columns] = M[columns, rows] = upper.reshape(n_sums, 2)
    squares = np.diagonal(M[..., 0])
    sound = np.isfinite(numbers).all() and (squares >= 0).all() and (noise >= 0).all()
    n_dropped = dropped[0] if dropped else 0
    if not sound or n_samples < 0 or n_dropped < 0 or unit not in UNITS.values() or (n_samples > 0) != (squares[p] > 0):
        raise ValueError("a saved Moments has sums that no rows can have")
    names = _names(bytes(body[size - names_size :]), p) if names_size else None
    kept = shift.copy() if shifted else None
    return State(p, n_targets, n_samples, list(UNITS)[precision], unit, kept, noise.copy(), M, names, n_dropped)


def _names(text: bytes, p: int) -> tuple[str, ...]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"a saved Moments has names that are not JSON: {error}") from None
    if not isinstance(names, list) or len(names) != p or not all(isinstance(name, str) for name in names):
        raise ValueError(f"a saved Moments has names that do not fit {p} features")
    return tuple(names)
