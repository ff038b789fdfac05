# SPDX-License-Identifier: BSD-3-Clause
"""Progress in rows: a callable of the user's, or a bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Report = Callable[[int, "int | None"], object]


@contextmanager
def reporting(progress: bool | Report, console: Any = None, after: float = 0.0) -> Iterator[Report | None]:
    """What `progress` asks for: nothing, a callable, or a bar that is taken down at the end.

    console     where rich draws the bar; its own by default
    after       seconds from the start on that the bar is drawn
    """
    if callable(progress) or not progress:
        yield progress or None
        return
    try:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        raise TypeError('progress=True needs rich: pip install "linreg_fast[stream]"; or give a callable') from None
    columns = (
        TextColumn("{task.completed:,.0f} rows"),
        BarColumn(),
        TextColumn("{task.fields[rate]:,.0f} rows/s"),
        TimeRemainingColumn(),
    )
    start = time.perf_counter()
    bar = Progress(*columns, console=console, transient=after > 0)
    task = bar.add_task("rows", total=None, rate=0.0)

    def report(done: int, total: int | None) -> None:
        seconds = time.perf_counter() - start
        if seconds >= after:
            bar.start()
        bar.update(task, completed=done, total=total, rate=done / max(seconds, 1e-9))

    try:
        yield report
    finally:
        bar.stop()
