# SPDX-License-Identifier: BSD-3-Clause
"""Progress in rows: a callable of the user's, or a bar, by rich in a terminal and by tqdm in a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
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
    elif console is None and _in_notebook() and find_spec("tqdm") is not None:
        with _notebook_bar() as report:
            yield report
    else:
        with _terminal_bar(console, after) as report:
            yield report


def _in_notebook() -> bool:
    """Whether a kernel of IPython runs this process; IPython is not imported to tell."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


@contextmanager
def _notebook_bar() -> Iterator[Report]:
    """By tqdm: widgets where there are some, else text."""
    if find_spec("ipywidgets") is None:
        from tqdm import tqdm
    else:
        from tqdm.notebook import tqdm

    with tqdm(unit=" rows", unit_scale=True) as bar:

        def report(done: int, total: int | None) -> None:
            if total != bar.total:
                bar.reset(total)
            bar.update(done - bar.n)

        yield report


@contextmanager
def _terminal_bar(console: Any, after: float) -> Iterator[Report]:
    """By rich."""
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
