# SPDX-License-Identifier: BSD-3-Clause
"""Columns of Arrow record batches -> arrays of real numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.rounding import Rounded, find_rounded, find_rounded_object

FLOATS = {"halffloat": "float16", "float": "float32", "double": "float64"}  # NumPy's names of Arrow's types


def is_number(kind: Any) -> bool:
    """Whether an Arrow type is one of real numbers; None stands for numbers that are no Arrow column."""
    from pyarrow import types

    return kind is None or bool(
        types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)
    )


def arrays(batch: Any, names: Sequence[str], where: str) -> list[NDArray[Any]]:
    """The columns of an Arrow record batch as arrays of real numbers, NaN where a value is missing.

    Without missing values a column of floats or integers is not copied.

    Raises
    ------
    TypeError, ValueError
        A column that is not of numbers here, or not there at all.
    """
    from pyarrow import lib, types

    out = []
    schema = batch.schema
    for name in names:
        index = schema.get_field_index(name)
        if index < 0:
            raise ValueError(f"{where} has no column {name!r}; its columns are {', '.join(schema.names)}")
        column = batch.column(index)
        if column.type.id == lib.Type_DOUBLE and len(column) and not column.null_count:  # where microseconds count
            out.append(np.frombuffer(column.buffers()[1], np.float64, len(column), 8 * column.offset))
            continue
        if not (is_number(column.type) or types.is_null(column.type)):
            raise TypeError(f"column {name!r} of {where} is not of numbers: its type is {column.type}")
        out.append(numbers(column))
    return out


def first_rounded(batch: Any, names: Sequence[str]) -> tuple[str, Rounded] | None:
    """The first number of some columns of an Arrow record batch that float64 does not hold, and its column."""
    from pyarrow import types

    found = []
    for name in names:
        column = batch.column(batch.schema.get_field_index(name))
        kind = column.type
        if types.is_decimal(kind):
            one = find_rounded_object(numbers(column), partial(_value, column), str(kind))
        elif types.is_integer(kind) and kind.bit_width == 64 and len(column):
            given = np.frombuffer(column.buffers()[1], str(kind), len(column), 8 * column.offset)
            if column.null_count:
                given = np.where(_bits(column.buffers()[0], column.offset, len(column)), given, 0)
            one = find_rounded(given)
        else:
            continue
        if one is not None:
            found.append((name, one))
    return min(found, key=lambda one: one[1].row, default=None)


def _value(column: Any, i: int) -> Any:
    return column[i].as_py()


def numbers(column: Any) -> NDArray[Any]:
    """The numbers of an Arrow array, of its own memory where none is missing.

    Not its `to_numpy`, which imports pandas, and `cast` and `fill_null` import all of pyarrow.compute: more than a
    million rows take to be read and summed up.
    """
    from pyarrow import types

    if not len(column):
        return np.empty(0)
    if not (types.is_integer(column.type) or types.is_floating(column.type) or types.is_boolean(column.type)):
        column = column.cast("float64")
    at, n = column.offset, len(column)
    valid, values = column.buffers()
    if types.is_boolean(column.type):
        array = _bits(values, at, n)
    else:
        dtype = np.dtype(FLOATS.get(str(column.type), str(column.type)))
        array = np.frombuffer(values, dtype, n, at * dtype.itemsize)
    if column.null_count:
        array = array.astype(np.float64)
        array[~_bits(valid, at, n)] = np.nan
    return array


def _bits(buffer: Any, at: int, n: int) -> NDArray[np.bool_]:
    """n bits from a position on."""
    packed = np.frombuffer(buffer, np.uint8)
    return np.unpackbits(packed[at // 8 : (at + n + 7) // 8], bitorder="little")[at % 8 :][:n].view(np.bool_)
