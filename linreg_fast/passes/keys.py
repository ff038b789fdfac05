# SPDX-License-Identifier: BSD-3-Clause
"""Keys of rows: which different ones there are, and the rows of each, counted and not sorted."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast import sequences
from linreg_fast.inputs.arrays import column_at, column_names, frame_of
from linreg_fast.inputs.labels import Labels, along
from linreg_fast.passes import levels

SPARE, MOST_CODES = 2, 1 << 16  # different codes that may be counted, for each row and beside
Codes = NDArray[np.int64]


class Keyed(NamedTuple):
    """The rows by their keys: those of group i are order[bounds[i] : bounds[i + 1]], ascending."""

    order: NDArray[np.intp]
    bounds: NDArray[np.intp]
    keys: dict[str, NDArray[Any]]  # of the groups, ascending
    without: NDArray[np.intp]  # rows whose key is missing


class _Coded(NamedTuple):
    """A column of keys as numbers from `least` on, below 0 from there where one is missing."""

    codes: Codes
    least: int
    n_codes: int
    values: Any  # of the codes, ascending; None where they are their own


def keyed(groups: Any, n_rows: int, labels: Labels | None) -> Keyed:
    """The rows by the keys of one column or of several.

    Raises
    ------
    TypeError
        Keys that cannot be compared.
    ValueError
        Another number of them than of rows.
    """
    names, columns = _columns_of(groups)
    parts = []
    for name, column in zip(names, columns, strict=True):
        column = along(column, name, labels)
        if np.shape(column) != (n_rows,):
            raise ValueError(f"{name} must have shape ({n_rows},), one group for each row of X; got {np.shape(column)}")
        parts.append(_coded(column, name))
    codes, least, n_codes = parts[0].codes, parts[0].least, parts[0].n_codes
    missing = parts[0].codes < least if parts[0].values is not None else None
    if len(parts) > 1:
        codes, missing, n_codes = _combined(parts), np.zeros(n_rows, dtype=bool), 1
        for part in parts:
            missing |= part.codes < part.least
            n_codes *= part.n_codes
        least = 0
    without = np.flatnonzero(missing) if missing is not None else np.zeros(0, dtype=np.intp)
    there = None
    if without.size:
        there = np.flatnonzero(~np.asarray(missing))
        codes = codes[there]
    if n_codes > SPARE * (n_rows + MOST_CODES):
        present, where = np.unique(codes, return_inverse=True)
        present, codes, least = present - least, where.astype(np.int64), 0
        counts = np.bincount(codes, minlength=len(present))
        after = np.cumsum(counts) - counts
        starts = after.copy()
    else:
        counts = np.bincount(codes - least if least else codes, minlength=n_codes)
        present = np.flatnonzero(counts)
        after = np.cumsum(counts) - counts
        starts = after[present]
    bounds = np.append(starts, len(codes)).astype(np.intp)
    order = np.empty(len(codes), dtype=np.intp)
    levels.kernels.counted_order(codes, least, after, order)
    keys: dict[str, NDArray[Any]] = {}
    rest: Any = present
    for name, part in reversed(list(zip(names, parts, strict=True))):
        rest, code = np.divmod(rest, part.n_codes) if len(parts) > 1 else (None, rest)
        keys[name] = code + part.least if part.values is None else part.values[code]
    return Keyed(order if there is None else there[order], bounds, dict(reversed(keys.items())), without)


def codes_of(groups: Any, keys: dict[str, NDArray[Any]], n_rows: int) -> NDArray[np.intp]:
    """The number of the fit that each row's key has.

    Raises
    ------
    ValueError
        A key that no fit has, or as many columns of keys as the fits have not.
    """
    names, columns = _columns_of(groups)
    if len(names) != len(keys):
        raise ValueError(f"the fits have {len(keys)} columns of keys ({', '.join(keys)}), groups has {len(names)}")
    lists = [np.asarray(column).tolist() for column in columns]
    if any(len(column) != n_rows for column in lists):
        raise ValueError(f"groups must have {n_rows} keys, one for each row of X")
    known = {key: i for i, key in enumerate(zip(*(column.tolist() for column in keys.values()), strict=True))}
    found = np.empty(n_rows, dtype=np.intp)
    for row, key in enumerate(zip(*lists, strict=True)):
        if key not in known:
            raise ValueError(f"groups has {key[0] if len(key) == 1 else key!r} at row {row}, of which there is no fit")
        found[row] = known[key]
    return found


def columns_of(groups: Any) -> dict[str, Any]:
    """The columns of keys by their names."""
    names, columns = _columns_of(groups)
    return dict(zip(names, columns, strict=True))


def _columns_of(groups: Any) -> tuple[list[str], list[Any]]:
    """The names of the columns of keys, and these."""
    if isinstance(groups, dict):
        return [str(name) for name in groups], list(groups.values())
    frame = frame_of(groups, "groups")
    names = None if frame is None or len(getattr(frame, "shape", ())) != 2 else column_names(frame)
    if names is not None:
        return names, [column_at(frame, j) for j in range(len(names))]
    if isinstance(groups, tuple):
        return [f"groups[{j}]" for j in range(len(groups))], list(groups)
    if isinstance(groups, np.ndarray) and groups.ndim == 2:
        return [f"groups[{j}]" for j in range(groups.shape[1])], list(groups.T)
    name = getattr(groups, "name", None)
    return [name if isinstance(name, str) and name else "groups"], [groups]


def _combined(parts: list[_Coded]) -> Codes:
    """One code of those of several columns, the last one changing fastest."""
    codes = parts[0].codes - parts[0].least
    total = parts[0].n_codes
    for part in parts[1:]:
        total *= part.n_codes
        if total >= 1 << 62:
            raise ValueError("groups has columns with too many different keys together")
        codes = codes * part.n_codes + (part.codes - part.least)
    return codes


def _coded(column: Any, name: str) -> _Coded:
    package = type(column).__module__.partition(".")[0]
    if package == "pandas":
        found = _of_pandas(column)
        if found is not None and hasattr(column.dtype, "categories"):  # in an order of their own
            return _Coded(found[0], 0, max(len(found[1]), 1), found[1])
        if found is not None:
            return _sorted(*found, name)
        column = column.to_numpy()
    elif package in ("polars", "pyarrow"):
        found = _of_arrow(column)
        if found is not None:
            return _sorted(*found, name)
        column = column.to_numpy()
    array = np.asarray(column)
    kind = array.dtype.kind
    if kind in "iub":
        return _of_integers(array)
    if kind == "f" or kind in "mM":
        holes = np.isnan(array) if kind == "f" else np.isnat(array)
        values, codes = np.unique(array, return_inverse=True)
        codes = codes.astype(np.int64)
        codes[holes] = -1
        values = values[~(np.isnan(values) if kind == "f" else np.isnat(values))]
        return _Coded(codes, 0, max(len(values), 1), values)
    if kind in "US":
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
        codes = np.empty(len(array), dtype=np.int64)
        width = array.dtype.itemsize
        if not width or not len(array):
            return _Coded(np.zeros(len(array), dtype=np.int64), 0, 1, array[:1].copy())
        first = sequences.coded_bytes(array.view(np.uint8).reshape(len(array), width), codes)
        return _sorted(codes, array[first], name)
    if kind != "O":
        raise TypeError(f"{name} has dtype {array.dtype}, which is none of keys")
    codes = np.empty(len(array), dtype=np.int64)
    try:
        different = sequences.coded_objects(array.tolist(), codes)
    except TypeError as error:
        raise TypeError(f"{name} has values that are no keys: {error}") from None
    objects = np.empty(len(different), dtype=object)
    objects[:] = different
    return _sorted(codes, objects, name)


def _of_integers(array: NDArray[Any]) -> _Coded:
    """Integers are their own codes, but for those that lie far apart."""
    if not len(array):
        return _Coded(np.zeros(0, dtype=np.int64), 0, 1, array)
    least, most = int(array.min()), int(array.max())
    if most - least < SPARE * (len(array) + MOST_CODES) and most < 1 << 62:
        codes = np.ascontiguousarray(array, dtype=np.int64)
        if array.dtype.kind == "b":
            return _Coded(codes, least, most - least + 1, np.arange(least, most + 1).astype(bool))
        return _Coded(codes, least, most - least + 1, None)
    values, codes = np.unique(array, return_inverse=True)
    return _Coded(codes.astype(np.int64), 0, len(values), values)


def _of_pandas(column: Any) -> tuple[Codes, Any] | None:
    """Codes and values of pandas' own kinds; None of NumPy's numbers and dates."""
    pandas = sys.modules["pandas"]
    if not hasattr(column, "dtype") or (isinstance(column.dtype, np.dtype) and column.dtype.kind != "O"):
        return None
    if isinstance(column.dtype, pandas.CategoricalDtype):
        held = column.cat if hasattr(column, "cat") else column
        return np.asarray(held.codes, dtype=np.int64), held.categories.to_numpy()
    codes, values = pandas.factorize(column)
    values = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    return codes.astype(np.int64), values


def _of_arrow(column: Any) -> tuple[Codes, Any] | None:
    """Codes and values of text and of dictionaries; None of numbers and dates."""
    column = column.to_arrow() if hasattr(column, "to_arrow") else column
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    numeric = pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_temporal(column.type)
    if numeric and not column.null_count:
        return None
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    indices = column.indices.fill_null(-1) if column.indices.null_count else column.indices
    values = column.dictionary.to_numpy(zero_copy_only=False)
    return indices.to_numpy(zero_copy_only=False).astype(np.int64), values


def _sorted(codes: Codes, values: Any, name: str) -> _Coded:
    """The codes in the order of their values."""
    try:
        place = np.argsort(values, kind="stable")
    except TypeError:
        raise TypeError(f"{name} has keys that cannot be sorted, as text among numbers cannot") from None
    if (place[1:] > place[:-1]).all():
        return _Coded(codes, 0, max(len(values), 1), values)
    rank = np.empty(len(values) + 1, dtype=np.int64)
    rank[place], rank[-1] = np.arange(len(values)), -1
    return _Coded(rank[codes], 0, max(len(values), 1), values[place])
