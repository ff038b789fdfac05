# SPDX-License-Identifier: BSD-3-Clause
"""Kinds of columns: which are numbers and which are left out, by one rule for every library and every door.

Numbers are booleans, integers, floats and decimals, with missing values or without, and objects that are all numbers.
A categorical is none, whatever its categories are. A column that is asked for, as each one of X is in `fit(X, y)`, has
to be of numbers; where a table holds the target too, the other columns that are not of numbers, an index, and row
numbers without a name are left out, and named.
"""

from __future__ import annotations

import datetime
import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from linreg_fast.inputs.callers import caller_level

NOTHING = "no value in any row"
INDEX = re.compile(r"__index_level_\d+__|__null_dask_index__")  # as pandas and Dask name an index without a name
UNNAMED = re.compile(r"\s*|Unnamed: \d+")  # row numbers, as they are written and as pandas reads them
TOLD = 10  # columns in a message
# the types of NumPy, pandas, Polars and Arrow as they write themselves
NUMBERS = re.compile(r"u?int\d+|float\d*|longdouble|double|half_?float|bool(ean)?|decimal\w*(\(.*\))?")
OTHERS = (
    ("a categorical", re.compile(r"categor|enum|dictionary")),
    ("nested", re.compile(r"(large_|fixed_size_)?list|array|struct|map|(dense|sparse)_union|\[\(")),
    ("dates or times", re.compile(r"date|time|duration|period|interval|month")),
    ("text", re.compile(r"(large_)?(str|utf8)|[<>|=]?[us]\d+$")),
    ("complex", re.compile(r"complex")),
    ("sparse", re.compile(r"sparse")),
    ("binary", re.compile(r"(large_|fixed_size_)?binary|bytes|void|[|]v\d")),
    (NOTHING, re.compile(r"null|na$")),
)


MISSING = ("NAType", "NaTType")  # of pandas
# objects of Python
OBJECTS: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("text", (str,)),
    ("dates or times", (datetime.date, datetime.time, datetime.timedelta)),
    ("nested", (list, tuple, dict, set, np.ndarray)),
    ("complex", (complex, np.complexfloating)),
    ("binary", (bytes, bytearray)),
)


class LeftOutWarning(UserWarning):
    """Columns that are not of numbers were left out of a table that holds the target too; the result names them."""


def is_object(dtype: Any) -> bool:
    """Whether only the values of a column tell what it is."""
    return dtype.kind == "O" if isinstance(dtype, np.dtype) else str(dtype) == "Object"


def no_number(dtype: Any) -> str | None:
    """Why a column of a type of NumPy, pandas, Polars or Arrow is not of numbers, in a word; None where it is.

    A dtype of None stands for numbers whose type is not known.
    """
    if dtype is None or (isinstance(dtype, np.dtype) and dtype.kind in "fiub"):  # the common case
        return None
    kind = str(dtype).lower().removesuffix("[pyarrow]")
    if NUMBERS.fullmatch(kind):
        return None
    return next((word for word, pattern in OTHERS if pattern.match(kind)), f"of type {dtype}")


def no_number_among(values: Iterable[Any]) -> str | None:
    """The same of a column of objects, all of one kind or of nothing; a bad value among numbers is an error later."""
    found = NOTHING
    for value in values:
        if value is None or type(value).__name__ in MISSING or (isinstance(value, float) and value != value):
            continue
        kind = next((word for word, types in OBJECTS if isinstance(value, types)), None)
        if kind is None or found not in (NOTHING, kind):
            return None
        found = kind
    return found


def no_feature(name: str, dtype: Any, indices: Sequence[str] = (), values: Iterable[Any] = ()) -> str | None:
    """Why a column that nobody asked for is no feature; None where it is one.

    `indices` are those that were the index of a data frame; of a column of objects its `values` tell.
    """
    if name in indices or INDEX.fullmatch(name):
        return "index of a data frame"
    why = no_number_among(values) if is_object(dtype) else no_number(dtype)
    if why != NOTHING and UNNAMED.fullmatch(name):  # without a value too: what follows the last delimiter of each row
        return "row numbers without a name"
    return why


def of_pandas(schema: Any) -> tuple[list[str], list[str]]:
    """The columns of an Arrow schema that were the index of a pandas data frame, and those that were categoricals."""
    try:
        known = json.loads((schema.metadata or {})[b"pandas"])
        indices = [name for name in known["index_columns"] if isinstance(name, str)]
        return indices, [one["name"] for one in known["columns"] if one["pandas_type"] == "categorical"]
    except (AttributeError, KeyError, TypeError, ValueError):
        return [], []


def check_number(dtype: Any, where: str) -> None:
    """Raise for the type of a column that has to be of numbers; `where` names the column."""
    why = None if is_object(dtype) else no_number(dtype)  # of objects the values tell
    if why is None:
        return
    if why == NOTHING:
        raise ValueError(f"{where} has {NOTHING}; leave it out")
    hint = {"sparse": "is not supported; sparse.to_dense() makes it dense"}.get(
        why, "is not a number; leave it out or encode it as numbers first"
    )
    raise TypeError(f"{where} has dtype {dtype}, which {hint}")


def listed(left_out: Mapping[str, str]) -> str:
    """Columns and why they are left out, for a message."""
    told = [f"{name!r} ({reason})" for name, reason in left_out.items()]
    more = f" and {len(told) - TOLD} more" if len(told) > TOLD else ""
    return ", ".join(told[:TOLD]) + more


def warn_left_out(left_out: Mapping[str, str], hint: str = "") -> None:
    """Warn once of all columns that a user did not exclude."""
    if left_out:
        what = "a column is" if len(left_out) == 1 else f"{len(left_out)} columns are"
        warnings.warn(f"{what} left out: {listed(left_out)}{hint}", LeftOutWarning, stacklevel=caller_level())
