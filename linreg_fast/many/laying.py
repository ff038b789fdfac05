# SPDX-License-Identifier: BSD-3-Clause
"""Windows laid over rows: where each starts and stops, and the row that it shares with those around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.checks import number
from linreg_fast.many.times import Times, read_length
from linreg_fast.passes import levels

Positions = NDArray[np.intp]


@dataclass(slots=True)
class Laid:
    """The rows in the order that windows run over, one group after the other, and how windows lie there.

    A position counts rows of that order. With `present`, of all rows those that may lie in windows at all, positions of
    windows count only these: what is not present keeps its place in the stretch of a window and has no part in it.
    """

    order: Positions | None  # the row at each position; None: as they lie
    bounds: Positions  # where groups begin, and the end of the last one
    least: int  # rows that a window must have
    times: Times | None = None
    window: int | float = 1  # rows, or a length of time
    with_left: bool = False
    with_right: bool = True
    left: float | None = None  # half-life of weights, in rows or in time
    present: NDArray[np.bool_] | None = None  # of each position
    before: Positions | None = field(default=None, init=False)  # how many are present before each position
    places: Positions | None = field(default=None, init=False)  # of those that are present

    def __post_init__(self) -> None:
        if self.present is not None:
            self.before = np.concatenate([[0], np.cumsum(self.present)])
            self.places = np.flatnonzero(self.present)

    def set_half_life(self, half_life: Any) -> None:
        """What fades is the weight of rows, by their number or by their times."""
        if half_life is None:
            return
        if self.times is None:
            self.left = number(half_life, "half_life", above=0.0)
        else:
            self.left = float(read_length(half_life, "half_life", self.times))

    @property
    def n_positions(self) -> int:
        return int(self.bounds[-1])

    def windows(self, lo: int, hi: int) -> tuple[Positions, Positions]:
        """Start, stop and anchor of the window of each position lo to hi, and its rows.

        Where these are too few stop is start.
        """
        out = np.empty((3, hi - lo), dtype=np.intp)
        if self.times is not None:
            kind = "double" if self.times.values.dtype.kind == "f" else "long long"
            levels.kernels.windows_by_time[kind](
                self.times.values, self.bounds, self.window, self.with_left, self.with_right, lo, hi, out
            )
        else:
            # a window longer than all rows is as one of all of them, whatever the number
            length = min(int(self.window), max(self.n_positions, 1))
            levels.kernels.windows_by_rows(self.bounds, length, lo, hi, out)
        if self.before is not None:
            out = self.before[out]
        counts = out[1] - out[0]
        np.copyto(out[1], out[0], where=counts < self.least)
        return out, counts

    def rows(self, lo: int, hi: int) -> Positions:
        """The rows of the table at positions lo to hi."""
        return np.arange(lo, hi) if self.order is None else self.order[lo:hi]

    def rows_present(self) -> Positions | None:
        """The rows of the table that may lie in windows, in their order; None: all, as they lie."""
        if self.places is None:
            return self.order
        return self.places if self.order is None else self.order[self.places]

    def fading(self, lo: int, hi: int) -> NDArray[np.float64] | None:
        """For positions lo to hi of those present, what is left of the weight of each at the next one; None: all."""
        if self.left is None:
            return None
        if self.times is None and self.places is None:  # each row is one after the other
            fading = np.full(hi - lo, np.exp2(-1.0 / self.left))
            fading[self.n_positions - 1 - lo :] = 1.0  # after the last one there is none
            return fading
        passed = np.zeros(hi - lo)
        steps = np.diff(self._when(lo, hi + 1))
        passed[: len(steps)] = np.maximum(steps, 0)  # none from one group to the next
        return np.exp2(-passed / self.left)

    def faded(self, lo: int, hi: int) -> NDArray[np.float64] | None:
        """The same of what is left at the last of them, no product of roundings."""
        if self.left is None:
            return None
        when = self._when(lo, hi)
        return np.asarray(np.exp2(-(when[-1] - when) / self.left))

    def _when(self, lo: int, hi: int) -> NDArray[Any]:
        """Times, or places, of those present from lo up to hi or the last one."""
        if self.places is None:
            return np.arange(lo, min(hi, self.n_positions)) if self.times is None else self.times.values[lo:hi]
        places = self.places[lo:hi]
        return places if self.times is None else np.asarray(self.times.values[places])
