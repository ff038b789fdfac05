# SPDX-License-Identifier: BSD-3-Clause
"""Fits of groups and of windows of a table in a file, written as a table."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import linreg_fast
from linreg_fast.cli import pictures
from linreg_fast.cli.arguments import names


class ManyAsked(NamedTuple):
    """What is typed, as it is typed."""

    target: list[str]
    features: str
    exclude: str
    weight: str
    by: str
    rolling: str
    on: str
    stats: str
    output: Path | None
    plot: Path | None


def fit_many(file: Path, asked: ManyAsked, csv: Any, *, drop: bool, **options: Any) -> None:
    """Fit each group, or each window of the rows, and write the fits.

    Raises
    ------
    OSError, TypeError, ValueError
        No such file or column, several targets, options that do not go together.
    """
    import typer

    from linreg_fast.cli import tables
    from linreg_fast.streams.standard_input import readable

    if asked.output is not None:
        tables.check_output(asked.output)
    targets = [name for one in asked.target for name in names(one)]
    if len(targets) > 1:
        raise ValueError(f"--by and --rolling fit one target; got {', '.join(targets)}")
    if asked.on and not asked.rolling:
        raise ValueError("--on is for --rolling")
    with readable(file) as path:
        table = tables.read_columns(Path(path), csv)
    keys, weight = names(asked.by), names(asked.weight)
    roles = [*keys, *weight, *names(asked.on)]
    excluded = names(asked.exclude)
    kept = names(asked.features)
    wanted = {*targets, *roles, *(kept or table.column_names)} - {*excluded}
    for name in [*targets, *roles, *kept, *excluded]:
        if name not in table.column_names:
            raise ValueError(f"{file} has no column {name!r}; its columns are {', '.join(table.column_names)}")
    table = table.select([name for name in table.column_names if name in wanted])
    options |= {
        "missing": "drop" if drop else "raise",
        "stats": names(asked.stats),
        "sample_weight": weight[0] if weight else None,
    }
    if asked.rolling:
        if len(keys) > 1:
            raise ValueError(f"--rolling goes by one column of keys; got {', '.join(keys)}")
        options |= {"on": asked.on or None, "groups": keys[0] if keys else None}
        fits = linreg_fast.rolling(table, targets[0], _window(asked.rolling), **options)
    else:
        fits = linreg_fast.grouped(table, targets[0], keys if len(keys) > 1 else keys[0], **options)
    if asked.plot is not None:
        pictures.draw_fits(asked.plot, fits, over_rows=bool(asked.rolling))
    text = tables.write_table(fits.to_frame(), asked.output)
    if asked.output is None:
        typer.echo(text, nl=False)


def _window(text: str) -> int | float | str:
    """A number where the text is one, else a length of time."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text
