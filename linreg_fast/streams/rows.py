# SPDX-License-Identifier: BSD-3-Clause
"""The rows of a source as one table that is read block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from linreg_fast.inputs.missing import complete
from linreg_fast.inputs.rounding import Rounded
from linreg_fast.inputs.table import Fault, Table, find_fault, table
from linreg_fast.options import FitOptions
from linreg_fast.streams.blocks import Block
from linreg_fast.streams.sources import Source

HINT = 'missing="drop" leaves out rows with missing values'

GONE = 1000  # blocks of which it is noted where the first missing value is


@dataclass(slots=True)
class Stream:
    """The rows of a source as one table that is read block by block: as much of `inputs.Table` as solvers ask for.

    `holes` are the blocks in which rows with missing values were found and left out, `dropped` such rows, `gone` the
    first missing values of some of them.
    """

    source: Source
    options: FitOptions
    n_features: int = 0
    n_targets: int = 0
    n_rows: int = 0
    weighted: bool = False
    one_target: bool = True
    names: list[str] | None = None
    dropped: int = 0
    holes: list[int] = field(default_factory=list)
    gone: list[tuple[str, int, str]] = field(default_factory=list)

    @property
    def left_out(self) -> dict[str, str]:
        return self.source.left_out

    @property
    def target_names(self) -> list[str] | None:
        columns = self.source.columns
        if columns is None or self.source.names is None:
            return None
        return columns[self.n_features : self.n_features + self.n_targets]

    @property
    def n_dropped(self) -> int:
        return self.dropped

    def tables(self, blocks: Iterable[Block] | None = None) -> Generator[tuple[int, Block, Table], None, None]:
        """Number, block and table of some blocks, by default of all from the first one on."""
        for i, block in enumerate(self.source.blocks(self.options.workers > 1) if blocks is None else blocks):
            where = block.places[0].where
            try:
                data = table(block.X, block.y, block.w, empty=True, quiet=True)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{where}: {error}") from None
            if not self.n_targets:
                self.names = self.source.names or data.names
                self.n_features, self.n_targets, self.one_target = data.n_features, data.n_targets, data.one_target
            self.weighted = self.weighted or data.w is not None
            found, known = (data.n_features, data.n_targets), (self.n_features, self.n_targets)
            if found != known and not (data.n_rows == 0 and data.one_feature):
                raise ValueError(f"{where} has (columns of X, columns of y) = {found}, those before have {known}")
            if data.names is not None and data.names != self.names:
                raise ValueError(f"{where} has the columns {data.names}, those before {self.names}")
            if data.rounded is not None:
                self._notice(i, block, *data.rounded)
            yield i, block, data

    def fold(self, function: Callable[[Table], Any], merge: Callable[[Any, Any], Any]) -> Any:
        """Read all rows again and merge in their order what `function` makes of each block."""
        total, rows, holes = None, 0, set(self.holes)
        with closing(self.tables()) as tables:
            for i, _, data in tables:
                if i in holes:
                    data = complete(data, empty=True)
                rows += data.n_rows
                if data.n_rows:
                    part = function(data)
                    total = part if total is None else merge(total, part)
        if rows != self.n_rows:
            raise ValueError(f"the source has {rows} rows when it is read again, it had {self.n_rows} before")
        return total

    def _notice(self, i: int, block: Block, name: str, rounded: Rounded) -> None:
        """A number of block i that float64 rounds: of a file by the name of its column."""
        where, row = block.place(rounded.row)
        if self.source.columns:
            name = self.label(Fault(name, row, rounded.column or 0, math.nan))
            rounded = rounded._replace(column=None)
        if self.source.noticed.wanted(i, row):
            self.source.noticed.add(i, row, where, name, rounded._replace(row=0))

    def checked(self, block: Block, data: Table) -> tuple[Table, int]:
        """The rows of a block without those that have missing values, where these are to be dropped, and how many had.

        Raises
        ------
        ValueError
            A value that no fit can use, named by its column and its row in a batch or a file.
        """
        bad = find_fault(data)
        dropped = 0
        if bad is not None and np.isnan(bad.value) and self.options.missing == "drop":
            if len(self.gone) < GONE:
                self.gone.append((*block.place(bad.row), self.label(bad)))
            data = complete(data, empty=True)
            dropped, kept = data.n_dropped, data.numbers
            bad = find_fault(data)
            bad = bad and bad._replace(row=bad.row if kept is None else int(kept[bad.row]))
        if bad is None:
            return data, dropped
        where, row = block.place(bad.row)
        what, hint = f"{bad.value}", "drop or fill such rows first"
        if np.isnan(bad.value):
            what, hint = "a missing value", HINT
        elif bad.name == "sample_weight":
            hint = "weights must be finite and not negative"
        raise ValueError(f"{self.label(bad)} has {what} at row {row} of {where}; {hint}")

    def label(self, bad: Fault) -> str:
        """What the column of a value is called."""
        if self.source.columns:
            first = {"X": 0, "y": self.n_features, "sample_weight": self.n_features + self.n_targets}[bad.name]
            return f"column {self.source.columns[first + bad.column]!r}"
        if bad.name == "X":
            return f"column {bad.column if self.names is None else repr(self.names[bad.column])} of X"
        return bad.name if self.n_targets == 1 or bad.name != "y" else f"column {bad.column} of y"

    def count(self, block: int, n_rows: int, dropped: int) -> None:
        """Count the rows of a block that were used, and those that were left out."""
        self.n_rows += n_rows
        if dropped:
            self.holes.append(block)
            self.dropped += dropped

    def nothing_left(self) -> ValueError:
        """The error for a source without a row to fit."""
        if self.dropped:
            where, row, label = min(self.gone, default=("", 0, ""))
            first = f": {label} has the first, at row {row} of {where}" if label else ""
            return ValueError(f"every row has a missing value{first}")
        return ValueError("there are no rows to fit, or none of positive weight")
