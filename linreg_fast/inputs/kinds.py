# SPDX-License-Identifier: BSD-3-Clause
"""Kinds of columns: which are numbers and which are left out, by one rule for every library and every door.

Numbers are booleans, integers, floats and decimals, with missing values or without, and objects that are all numbers.
A categorical is none, whatever its categories are. A column that is asked for, as each one of X is in `fit(X, y)`, has
to be of numbers; where a table holds the target too, the other columns that are not of numbers are left out, and named.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from linreg_fast.inputs.callers import caller_level

NOTHING = "no value in any row"
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


class LeftOutWarning(UserWarning):
    """Columns that are not of numbers were left out of a table that holds the target too; the result names them."""


def is_object(dtype: Any) -> bool:
    """Whether only the values of a column tell what it is."""
    return dtype.kind == "O" if isinstance(dtype, np.dtype) else str(dtype) == "Object"


def no_number(dtype: Any) -> str | None:
    """Why a column of a type of NumPy, pandas, Polars or Arrow is not of numbers, in a word; None where it is."""
    if isinstance(dtype, np.dtype) and dtype.kind in "fiub":  # the common case
        return None
    kind = str(dtype).lower().removesuffix("[pyarrow]")
    if NUMBERS.fullmatch(kind):
        return None
    return next((word for word, pattern in OTHERS if pattern.match(kind)), f"of type {dtype}")


def no_number_among(values: Iterable[Any]) -> str | None:
    """The same of a column of objects: of text alone, or of nothing; one bad value among numbers is an error later."""
    text = False
    for value in values:
        if value is None or (isinstance(value, float) and value != value) or type(value).__name__ == "NAType":
            continue
        if not isinstance(value, (str, bytes)):
            return None
        text = True
    return "text" if text else NOTHING


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


def warn_left_out(left_out: dict[str, str]) -> None:
    """One warning that names the columns left out and why."""
    if left_out:
        named = ", ".join(f"{name!r} ({why})" for name, why in left_out.items())
        warnings.warn(
            f"columns that are not of numbers were left out: {named}", LeftOutWarning, stacklevel=caller_level()
        )
