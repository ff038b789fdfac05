# SPDX-License-Identifier: BSD-3-Clause
"""A fit as a few aligned lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = 12  # coefficients that are shown; of more the first and the last
TARGETS = 6  # likewise
WIDEST = 32  # characters of a name
BETWEEN = "..."


def describe(
    title: str,
    names: Sequence[str] | None,
    coef: NDArray[np.float64],
    summary: dict[str, Any],
    facts: dict[str, str],
) -> str:
    """The lines of `repr`: the coefficients, the numbers of `summary` below them, and what is said of all targets.

    Two dimensions of `coef` make a table with a column for each target.
    """
    table = coef.ndim == 2
    several = coef if table else coef[None]
    targets, rows = _shown(len(several), TARGETS), _shown(several.shape[1], ROWS)
    lines = [["", *(BETWEEN if t is None else f" y{t}" for t in targets)]] if table else []
    for j in rows:
        if j is None:
            lines.append([BETWEEN, f" {several.shape[1] - ROWS:,} more"])
        else:
            name = f"x{j}" if names is None else _short(names[j])
            lines.append([name, *(BETWEEN if t is None else _number(several[t, j]) for t in targets)])
    for label, value in summary.items():
        each = np.atleast_1d(value)
        lines.append([label, *(BETWEEN if t is None else _number(each[t]) for t in targets)])
    widths = [max(len(line[i]) for line in lines if len(line) == len(lines[0])) for i in range(len(lines[0]))]
    widths[0] = max(len(first) for first in [*(line[0] for line in lines), *facts])
    lines += [[name, f" {fact}"] for name, fact in facts.items()]
    padded = ("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=False)) for line in lines)
    return "\n".join([title, *(f"  {line}".rstrip() for line in padded)])


def listed(texts: Sequence[str]) -> str:
    """The texts in one line, the first of many."""
    more = f" and {len(texts) - TARGETS:,} more" if len(texts) > TARGETS else ""
    return ", ".join(map(_short, texts[:TARGETS])) + more


def _shown(count: int, most: int) -> list[int | None]:
    """The places that are shown, None standing for those between."""
    if count <= most + 1:  # nothing is gained by a line that says "1 more"
        return list(range(count))
    last = most // 2
    return [*range(most - last), None, *range(count - last, count)]


def _short(name: str) -> str:
    name = name if name.isprintable() else repr(name)[1:-1]  # a line break would tear the table
    return name if len(name) <= WIDEST else f"{name[: WIDEST - len(BETWEEN)]}{BETWEEN}"


def _number(value: float) -> str:
    return f"{value: .6g}"
