# SPDX-License-Identifier: BSD-3-Clause
"""Times of rows and lengths of time as numbers of one unit."""

from __future__ import annotations

import datetime
import math
import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.labels import Labels, along

# what a text says of a length, in nanoseconds; months and years have no fixed length
UNITS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
LENGTH = re.compile(r"\s*(\d+(?:\.\d+)?)?\s*([a-zA-Z]+)\s*")
LARGEST = 2**62  # differences of times stay in range


class Times(NamedTuple):
    """The time of each row: nanoseconds since 1970 where these were dates, else numbers."""

    values: NDArray[Any]  # int64 or float64
    dates: bool

    def as_float(self) -> Times:
        """The same numbers as float64."""
        return self._replace(values=self.values.astype(np.float64))


def read_times(on: Any, n_rows: int, labels: Labels | None) -> Times:
    """The times that `on` holds, one for each row.

    Raises
    ------
    TypeError
        Neither dates nor numbers.
    ValueError
        Another number of them; one that is missing, or so far off that nanoseconds do not reach there.
    """
    given = along(on, "on", labels)
    array = _array(given)
    if array.shape != (n_rows,):
        raise ValueError(f"on must have shape ({n_rows},), one time for each row of X; got {array.shape}")
    if array.dtype.kind == "M":
        missing = np.flatnonzero(np.isnat(array))
        if missing.size:
            raise ValueError(f"on has no time at row {missing[0]}; leave out such rows first")
        values = array.astype("datetime64[ns]")
        far = np.flatnonzero(values.astype(array.dtype) != array)
        if far.size or (n_rows and max(abs(int(values.min().view("i8"))), abs(int(values.max().view("i8")))) > LARGEST):
            row = int(far[0]) if far.size else int(np.argmax(np.abs(values.view("i8").astype(np.float64))))
            raise ValueError(f"on has {array[row]} at row {row}, out of the reach of nanoseconds; give numbers")
        return Times(values.view(np.int64), True)
    if array.dtype.kind in "iu":
        if n_rows and max(abs(int(array.min())), abs(int(array.max()))) > LARGEST:
            raise ValueError("on has integers beyond 2^62; give floats")
        return Times(array.astype(np.int64), False)
    if array.dtype.kind != "f":
        raise TypeError(f"on holds neither dates nor numbers: its dtype is {array.dtype}")
    values = array.astype(np.float64)
    missing = np.flatnonzero(~np.isfinite(values))
    if missing.size:
        raise ValueError(f"on has {values[missing[0]]} at row {missing[0]}; leave out such rows first")
    return Times(values, False)


def _array(on: Any) -> NDArray[Any]:
    """Dates with a time zone as UTC."""
    if getattr(getattr(on, "dtype", None), "tz", None) is not None:  # of pandas
        return np.asarray(on.to_numpy(dtype="datetime64[ns]"))
    if type(on).__module__.startswith("pyarrow") and hasattr(on, "to_numpy"):
        return np.asarray(on.to_numpy(zero_copy_only=False) if hasattr(on, "buffers") else on.to_numpy())
    array = np.asarray(on)
    if (
        array.dtype.kind == "O"
        and array.size
        and all(isinstance(t, (datetime.date, np.datetime64)) for t in array.flat)
    ):
        zone = [
            t.astimezone(datetime.UTC).replace(tzinfo=None) if getattr(t, "tzinfo", None) else t for t in array.flat
        ]
        array = np.array(zone, dtype="datetime64[us]").reshape(array.shape)
    return array


def read_length(value: Any, name: str, times: Times) -> int | float:
    """A length of time in the unit of the times.

    Raises
    ------
    TypeError, ValueError
        A length of days for times that are numbers, or a number for dates; one that is not greater than 0.
    """
    nanoseconds = _nanoseconds(value, name)
    if nanoseconds is None:
        if times.dates:
            raise TypeError(
                f'{name} must be a length of time as on holds dates: "30min", "7D" or a timedelta; got {value!r}'
            )
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{name} must be a number as on holds numbers; got {value!r}")
        length: int | float = (
            int(value) if times.values.dtype.kind == "i" and value == math.floor(value) else float(value)
        )
    else:
        if not times.dates:
            raise TypeError(f"{name} is {value!r}, a length of time, but on holds numbers: give a number")
        length = nanoseconds
    if not 0 < length < math.inf:
        raise ValueError(f"{name} must be greater than 0; got {value!r}")
    return min(length, LARGEST) if isinstance(length, int) else length


def _nanoseconds(value: Any, name: str) -> int | None:
    """Of a text, a timedelta of any library; None for what is no length of time."""
    if isinstance(value, str):
        found = LENGTH.fullmatch(value)
        unit = None if found is None else UNITS.get(_unit(found[2]))
        if found is None or unit is None:
            raise ValueError(f"{name} is {value!r}; a length of time is a number and one of {', '.join(_SHOWN)}")
        return round(float(found[1] or 1) * unit)
    if isinstance(value, np.timedelta64):
        if np.datetime_data(value)[0] in ("generic", "Y", "M"):
            raise TypeError(f"{name} is {value!r}, of no fixed length")
        return int(value.astype("timedelta64[ns]").astype(np.int64))
    if isinstance(value, datetime.timedelta):
        return (
            (value.days * 86_400 + value.seconds) * UNITS["s"]
            + value.microseconds * UNITS["us"]
            + int(getattr(value, "nanoseconds", 0))
        )
    return None


_SHOWN = ("ns", "us", "ms", "s", "min", "h", "D", "W")


def _unit(text: str) -> str:
    """In lower case, but for M, which is a month elsewhere, and T, which was a minute."""
    return text if text in ("M", "T") else text.lower()


def first_backwards(values: NDArray[Any], bounds: NDArray[np.intp]) -> int | None:
    """Where in the order a time is before the one above it in its group."""
    back = values[1:] < values[:-1]
    back[bounds[1:-1] - 1] = False
    found = np.flatnonzero(back)
    return int(found[0]) + 1 if found.size else None
