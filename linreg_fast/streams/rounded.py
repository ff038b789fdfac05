# SPDX-License-Identifier: BSD-3-Clause
"""The first number of a source that float64 rounds, whichever thread comes upon it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from linreg_fast.inputs.rounding import Rounded, warn_rounded


@dataclass(slots=True)
class Noticed:
    """What is to be warned of once, when all rows are read: `first` by batch or file and row, and its argument.

    Whoever reads rows asks whether any of them is `wanted` before it looks at them; once they have all been read, as
    `over` says, none is.
    """

    first: tuple[tuple[int, int], str, Rounded] | None = None
    over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wanted(self, part: int, row: int) -> bool:
        """Whether a number in this row, or further down in its batch or file, could be the first."""
        return not self.over and (self.first is None or (part, row) < self.first[0])

    def add(self, part: int, row: int, where: str, name: str, found: Rounded) -> None:
        """A number of the rows from `row` of `where` on, the rows of which may not be all that there is."""
        at = part, row + found.row
        found = found._replace(row=at[1], of=f" of {where}")
        with self.lock:
            if self.first is None or at < self.first[0]:
                self.first = at, name, found

    def warn(self, names: list[str] | None = None) -> None:
        """Warn of it, if there is one; `names` are those of the columns of X, where these are known by numbers."""
        if self.first is not None:
            _, name, found = self.first
            warn_rounded(found, name, names if name == "X" else None)
