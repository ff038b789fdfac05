# SPDX-License-Identifier: BSD-3-Clause
"""Progress of a pass: a callable of the user's, or a bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, "int | None"], object]


@contextmanager
def bar(progress: bool | Report) -> Iterator[Report | None]:
    """What `progress` asks for: nothing, a callable, or a bar that is taken down at the end."""
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
    with Progress(*columns) as bar:
        task = bar.add_task("rows", total=None, rate=0.0)

        def report(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total, rate=done / (time.perf_counter() - start))

        yield report


def reporter(progress: bool | Callable[[int, int], object]) -> Callable[[int, int], object]:
    if callable(progress):
        return progress
    try:
        from rich.progress import Progress
    except ImportError:
        raise TypeError('progress=True needs rich: pip install "linreg_fast[cli]"; or give a callable') from None
    bar = Progress()
    task = bar.add_task("rows", total=None)

    def report(done: int, total: int) -> None:
        if not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()

    return report
