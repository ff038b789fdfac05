# SPDX-License-Identifier: BSD-3-Clause
"""Many fits as bytes, the same on every machine: a header in JSON, little-endian arrays, a checksum."""

from __future__ import annotations

import json
import math
import os
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.saved import framed

MAGIC = b"linreg_fast.Fits\x00"
VERSION = 1
LENGTH = struct.Struct("<q")
SOLVERS = ("cholesky", "qr", "svd", "mean")
LIBRARIES = ("numpy", "pandas", "polars", "pyarrow")
# Arrays: the dtype, and the length of the axes behind that of the fits: p columns, k targets where there are several.
HELD = {
    "coef": ("<f8", "kp"),
    "intercept": ("<f8", "k"),
    "rss": ("<f8", "k"),
    "tss": ("<f8", "k"),
    "ess": ("<f8", "k"),
    "r2": ("<f8", "k"),
    "stderr": ("<f8", "kp"),
    "tvalues": ("<f8", "kp"),
    "intercept_stderr": ("<f8", "k"),
    "intercept_tvalue": ("<f8", "k"),
    "residual": ("<f8", "k"),
    "prediction": ("<f8", "k"),
    "digits": ("<f8", ""),
    "rcond": ("<f8", ""),
    "sum_weight": ("<f8", ""),
    "n_samples": ("<i8", ""),
    "rank": ("<i8", ""),
    "collinear": ("|b1", "p"),
    "solver": ("|u1", ""),
    "spread": ("<f8", "P"),
    "origin": ("<f8", "O"),
}
STATS = ("stderr", "tvalues", "rss", "r2", "n_samples", "residual", "prediction", "rank", "digits")
INSIDE = ("spread", "origin", "solver")  # what nobody sees
KEY = re.compile(r"<[iuf][248]|\|[biu]1|<U\d{1,6}|<M8\[(?:Y|M|W|D|h|m|s|ms|us|ns)\]")


def pack(arrays: dict[str, NDArray[Any]], about: dict[str, Any]) -> bytes:
    """The arrays of many fits, and what holds for all of them, as bytes.

    Raises
    ------
    TypeError
        Keys of a kind that cannot be written.
    """
    held = {name: np.ascontiguousarray(array, dtype=HELD[name][0]) for name, array in arrays.items()}
    keys, written = [], []
    for name, array in about["keys"].items():
        if array.dtype.kind == "O":
            _check_plain(array, name)
            keys.append([name, array.tolist()])
            continue
        kept = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        if not KEY.fullmatch(kept.dtype.str):
            raise TypeError(f"keys {name!r} of dtype {array.dtype} cannot be saved")
        keys.append([name, kept.dtype.str])
        written.append(kept)
    header = {
        "fits": len(held["coef"]),
        "features": held["coef"].shape[-1],
        "targets": held["coef"].shape[1] if held["coef"].ndim == 3 else None,
        "arrays": list(held),
        "keys": keys,
        **{name: about[name] for name in ("feature_names", "fit_intercept", "l2", "library", "n_dropped", "stats")},
    }
    text = json.dumps(header).encode()
    return framed.frame(
        MAGIC, VERSION, LENGTH.pack(len(text)), text, *(a.tobytes() for a in [*held.values(), *written])
    )


def unpack(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What `pack` wrote. Nothing in it is executed, and no more is allocated than it is long.

    Raises
    ------
    ValueError
        Not whole fits: cut short, too long, changed on the way, or of another version.
    """
    body = framed.unframe(data, MAGIC, VERSION, "linreg_fast.Fits")
    length = LENGTH.unpack_from(body)[0] if len(body) >= LENGTH.size else -1
    if not 0 <= length <= len(body) - LENGTH.size:
        raise ValueError(f"not a saved linreg_fast.Fits: {len(data)} bytes")
    try:
        header = json.loads(bytes(body[LENGTH.size : LENGTH.size + length]))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"saved Fits have a header that is not JSON: {error}") from None
    about = _checked(header)
    n, k = header["fits"], header["targets"]
    rest, at = body[LENGTH.size + length :], 0
    layout: list[tuple[str, str, tuple[int, ...]]] = [
        (name, HELD[name][0], (n, *_axes(HELD[name][1], header["features"], k))) for name in header["arrays"]
    ]
    layout += [(name, kind, (n,)) for name, kind in header["keys"] if isinstance(kind, str)]
    size = sum(np.dtype(kind).itemsize * math.prod(shape) for _, kind, shape in layout)
    if size != len(rest):
        raise ValueError(f"saved Fits of {n} fits have {size} bytes of numbers, not {len(rest)}")
    found = []
    for _, kind, shape in layout:
        dtype = np.dtype(kind)
        if not dtype.itemsize * math.prod(shape):
            found.append(np.empty(shape, dtype.newbyteorder("=")))
            continue
        read = np.frombuffer(rest, dtype, math.prod(shape), at).reshape(shape)
        found.append(read.astype(dtype.newbyteorder("=")))
        at += dtype.itemsize * math.prod(shape)
    arrays = dict(zip(header["arrays"], found, strict=False))
    written = iter(found[len(arrays) :])
    for name, kind in header["keys"]:
        about["keys"][name] = next(written) if isinstance(kind, str) else _objects(kind)
    _check_numbers(arrays, header["features"])
    return arrays, about


def save(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace a file by one with these bytes."""
    framed.replace_file(Path(os.fsdecode(path)), data, "the fits")


def _axes(axes: str, p: int, k: int | None) -> tuple[int, ...]:
    """The lengths of the axes behind the first one."""
    count = 1 if k is None else k
    lengths = {"p": (p,), "P": (p + 1,), "O": (p + count,), "k": () if k is None else (k,)}
    return tuple(length for axis in axes for length in lengths[axis])


def _checked(header: Any) -> dict[str, Any]:
    """What holds for all fits, each field looked at."""
    fields = {"fits", "features", "targets", "arrays", "keys"}
    fields |= {"feature_names", "fit_intercept", "l2", "library", "n_dropped", "stats"}
    if not isinstance(header, dict) or set(header) != fields:
        raise ValueError(f"saved Fits have other fields than {', '.join(sorted(fields))}")
    n, p, k, names = (header[name] for name in ("fits", "features", "targets", "feature_names"))
    arrays, keys = header["arrays"], header["keys"]

    def counts(value: Any, least: int = 0) -> bool:
        return type(value) is int and least <= value < 2**48

    faults = {
        "fits": not counts(n),
        "features": not counts(p),
        "targets": not (k is None or counts(k, 1)),
        "n_dropped": not counts(header["n_dropped"]),
        "feature_names": not (names is None or (_are_texts(names) and len(names) == p)),
        "fit_intercept": type(header["fit_intercept"]) is not bool,
        "l2": type(header["l2"]) is not float or not 0 <= header["l2"] < math.inf,
        "library": header["library"] not in LIBRARIES,
        "stats": not _are_texts(header["stats"]) or not set(header["stats"]) <= set(STATS),
        "arrays": not _are_texts(arrays) or not {"coef", "intercept"} <= set(arrays) <= set(HELD),
        "keys": not isinstance(keys, list) or not all(_is_key(key, n) for key in keys),
    }
    faults["arrays"] = faults["arrays"] or len(set(arrays)) < len(arrays)
    faults["keys"] = faults["keys"] or len({key[0] for key in keys}) < len(keys)
    for name, fault in faults.items():
        if fault:
            raise ValueError(f"saved Fits cannot have {name} {str(header[name])[:80]}")
    about = {name: header[name] for name in ("fit_intercept", "l2", "library", "n_dropped")}
    about |= {"feature_names": None if names is None else tuple(names), "stats": tuple(header["stats"]), "keys": {}}
    return about


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_key(key: Any, n: int) -> bool:
    if not (isinstance(key, list) and len(key) == 2 and isinstance(key[0], str)):
        return False
    kind = key[1]
    if isinstance(kind, str):
        return KEY.fullmatch(kind) is not None
    return isinstance(kind, list) and len(kind) == n and all(_is_plain(item) for item in kind)


def _is_plain(item: Any) -> bool:
    return item is None or type(item) in (str, int, bool) or (type(item) is float and math.isfinite(item))


def _check_plain(array: NDArray[Any], name: str) -> None:
    for item in array.tolist():
        if not _is_plain(item):
            raise TypeError(f"keys {name!r} with {item!r} of type {type(item).__name__} cannot be saved")


def _objects(items: list[Any]) -> NDArray[Any]:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _check_numbers(arrays: dict[str, NDArray[Any]], p: int) -> None:
    """Raise ValueError for numbers that no fit has."""
    ranges = {"n_samples": (0, 2**62), "rank": (0, p), "solver": (0, len(SOLVERS) - 1), "digits": (0, 16)}
    for name, (least, most) in ranges.items():
        values = arrays.get(name, np.zeros(0))
        if ((values < least) | (values > most)).any():
            raise ValueError(f"saved Fits have {name} that no fit has")
