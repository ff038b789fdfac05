# SPDX-License-Identifier: BSD-3-Clause
"""What the command line writes: tables, facts and JSON on stdout, warnings and progress on stderr; rich draws."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

BAR_SECONDS = 1.0  # a fit that is over sooner shows no progress bar
PIPE_WIDTH = 1000  # columns of a table where no terminal limits them


def console() -> Any:
    """Stdout as rich sees it, without markup: names of columns are printed as they are."""
    from rich.console import Console

    stdout = Console(markup=False, highlight=False, emoji=False)
    if not stdout.is_terminal:
        stdout.width = PIPE_WIDTH
    return stdout


def print_table(heads: list[str], rows: Sequence[tuple[str, ...]], right: tuple[int, ...] = ()) -> None:
    """Rows of text under heads, the columns at the positions `right` to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for i, head in enumerate(heads):
        table.add_column(head, justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def print_facts(facts: dict[str, str]) -> None:
    """Names and what they are, one a line."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(f" {name}", value)
    console().print(table)


def print_json(value: Any) -> None:
    """One JSON object on stdout; JSON has no NaN or infinity, so they become null."""
    print(json.dumps(finite(value), allow_nan=False))


def finite(value: Any) -> Any:
    """The same with None for each NaN and infinity."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def warn(message: object) -> None:
    """One line on stderr."""
    print(f"warning: {message}", file=sys.stderr)
