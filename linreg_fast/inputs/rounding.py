# SPDX-License-Identifier: BSD-3-Clause
"""Numbers that float64 rounds: the first one of an array, and one warning of it for a whole call."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.callers import caller_level

WIDER = "lLqQg"  # codes of dtypes whose numbers float64 may not hold
WHOLE = 2**53  # up to which float64 holds every integer
FEW = 1 << 13  # numbers that are squared without a second thread
PIECE_BYTES = 1 << 20  # of an array that is looked at at a time


class PrecisionWarning(UserWarning):
    """Numbers were rounded on their way to float64: integers beyond 2^53, or longdouble."""


class Rounded(NamedTuple):
    """The first number that conversion to float64 changes; `column` is None in an array of one dimension.

    `of` says what the rows belong to, where they are not all that there is: " of chunk 3".
    """

    value: Any
    kind: str
    row: int
    column: int | None = None
    of: str = ""


def find_rounded(a: NDArray[Any]) -> Rounded | None:
    """The first number of an array of numbers that conversion to float64 changes."""
    if a.dtype.char not in WIDER or not a.size:
        return None
    if a.dtype.kind != "f" and a.size <= FEW:
        rounded = a.astype(np.float64)
        if np.vdot(rounded, rounded) < float(WHOLE**2):  # no sum of squares is less than one of them: half the time
            return None
    if a.dtype.kind != "f" and int(a.max()) <= WHOLE and int(a.min()) >= -WHOLE:
        return None
    step = max(1, PIECE_BYTES // (8 * max(1, a[:1].size)))
    for at in range(0, len(a), step):
        piece = a[at : at + step]
        with np.errstate(invalid="ignore", over="ignore"):
            rounded = piece.astype(np.float64)
            changed = (rounded.astype(a.dtype) != piece) & (piece == piece)
        if a.dtype.kind != "f":
            changed |= rounded >= float(2 ** (64 - (a.dtype.kind == "i")))  # whose way back is not defined
        if changed.any():
            place = tuple(int(i) for i in np.argwhere(changed)[0])
            return Rounded(piece[place], str(a.dtype), at + place[0], place[1] if place[1:] else None)
    return None


def find_rounded_object(rounded: NDArray[np.float64], exact: Callable[[int], Any], kind: str) -> Rounded | None:
    """The same for numbers of any other kind, `exact` giving that of each place in `rounded`, in C order."""
    with np.errstate(invalid="ignore"):
        places = np.flatnonzero(np.abs(rounded) >= WHOLE)
    for place in places.tolist():
        value = exact(place)
        if not isinstance(value, (float, np.floating)) and value != float(rounded.flat[place]):
            at = [int(i) for i in np.unravel_index(place, rounded.shape)]
            return Rounded(value, kind, at[0] if at else 0, at[1] if at[1:] else None)
    return None


def warn_rounded(found: Rounded | None, name: str, columns: list[str] | None = None) -> bool:
    """Warn of a number that is rounded, if there is one; whether there is."""
    if found is None:
        return False
    where = f"row {found.row}" if found.column is None else f"row {found.row}, column {found.column}"
    if columns is not None and len(columns) > (found.column or 0):
        where += f" ({columns[found.column or 0]!r})"
    where += found.of
    warnings.warn(
        f"{name} has {found.value!s} of {found.kind} at {where}, which float64 rounds; subtract an origin first",
        PrecisionWarning,
        stacklevel=caller_level(),
    )
    return True
