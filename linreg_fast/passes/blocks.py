# SPDX-License-Identifier: BSD-3-Clause
"""Passes over the rows: row blocks, handed to threads and merged in block order.

Row blocks depend on the problem's shape alone, never on the number of threads, and their results
are merged along a binary tree over the block index: any number of threads gives the same bits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from linreg_fast import cpu
from linreg_fast.inputs.table import Table
from linreg_fast.passes import pool, rates
from linreg_fast.passes.pool import dismiss
from linreg_fast.passes.progress import Report
from linreg_fast.passes.rates import count_blocks
from linreg_fast.passes.threads import threads

SPIN_SECONDS = 200e-6  # awake while the last helper works: being woken takes 50 to 150 us
CALL_SECONDS = 0.02  # longest kernel call: KeyboardInterrupt is seen in between


class _Tree:
    """Partial results merged along a binary tree over the block index, each as soon as its sibling is there."""

    def __init__(self, n_blocks: int, merge: Callable[[Any, Any], Any]) -> None:
        self.n_blocks, self.merge = n_blocks, merge
        self.waiting: dict[tuple[int, int], Any] = {}
        self.lock = threading.Lock()
        self.result: Any = None

    def add(self, index: int, value: Any) -> None:
        level, count = 0, self.n_blocks
        while count > 1:
            sibling = index ^ 1
            if sibling < count:
                with self.lock:
                    other = self.waiting.pop((level, sibling), None)
                    if other is None:
                        self.waiting[level, index] = value
                        return
                value = self.merge(other, value) if sibling < index else self.merge(value, other)
            level, count, index = level + 1, (count + 1) // 2, index // 2
        self.result = value


def fold(
    n_rows: int,
    n_blocks: int,
    one_block: Callable[[int, int], Any],
    merge: Callable[[Any, Any], Any],
    n_threads: int,
    progress: Report | None = None,
    stop: list[BaseException] | None = None,
) -> Any:
    """Merge what `one_block(lo, hi)` makes of each row block, in block order, on up to n_threads threads.

    The calling thread works too, and helpers ask for none: concurrent calls cannot wait for each
    other. An exception, KeyboardInterrupt among them, is put into `stop` and ends every thread at its
    next block, or sooner if `one_block` looks at `stop`.
    """
    bounds = [n_rows * i // n_blocks for i in range(n_blocks + 1)]
    tree = _Tree(n_blocks, merge)
    left, done = list(range(n_blocks - 1, -1, -1)), []  # append and pop are atomic
    stop = [] if stop is None else stop
    ends: list[threading.Lock] = []
    taken = {cpu.processor()}
    most = n_threads - 1  # helpers

    def work(helper: bool = True) -> None:
        nonlocal most
        try:
            while left and not stop:
                # helpers that others kept busy until now come later
                while not helper and len(ends) < min(n_threads - 1, len(left) - 1):
                    try:
                        end = pool.help_with(work, most, taken)
                    except (RuntimeError, MemoryError):  # no more threads: on with those that are there
                        most = 0
                        continue
                    if end is None:
                        break
                    ends.append(end)
                try:
                    i = left.pop()
                except IndexError:
                    return
                tree.add(i, one_block(bounds[i], bounds[i + 1]))
                done.append(i)
                if not helper and progress is not None:
                    progress(bounds[len(done)], n_rows)
        except BaseException as error:
            stop.append(error)

    work(helper=False)
    while True:
        try:
            for end in ends:
                deadline = time.perf_counter() + SPIN_SECONDS
                while end.locked() and time.perf_counter() < deadline:
                    time.sleep(0)
                with end:
                    pass
            break
        except BaseException as error:  # an interrupt
            stop.append(error)
    if stop:
        dismiss()
        raise stop[0]
    if progress is not None:
        progress(n_rows, n_rows)
    return tree.result


class Need(NamedTuple):
    """What a pass takes: numbers of workspace for each thread, numbers of its result, expected seconds a row."""

    work_size: int
    size: int
    seconds: float


def sum_over(
    data: Table,
    kernel: Callable[[Any, Any, Any, int, int, Any, Any], object],
    need: Need,
    n_threads: int | None,
    progress: Report | None = None,
    add: Callable[[np.ndarray, np.ndarray], object] = np.ndarray.__iadd__,
) -> np.ndarray:
    """Sum over the rows of a table of what `kernel(X, Y, w, lo, hi, work, out)` adds to `out`; as `sum_rows`."""

    def rows(lo: int, hi: int, work: np.ndarray, out: np.ndarray) -> None:
        for X, Y, w, first, last in data.pieces(lo, hi):
            kernel(X, Y, w, first, last, work, out)

    return sum_rows(rows, data.n_rows, need, n_threads, progress, add)


def sum_rows(
    kernel: Callable[[int, int, Any, Any], object],
    n_rows: int,
    need: Need,
    n_threads: int | None,
    progress: Report | None = None,
    add: Callable[[np.ndarray, np.ndarray], object] = np.ndarray.__iadd__,
) -> np.ndarray:
    """Sum over all rows of what `kernel(lo, hi, work, out)` adds to `out`, an array of zeros.

    `add(left, right)` adds right to left in place; `n_threads` None is the default number, which is asked for only
    where there is work for it.
    """
    work_size, size, seconds_per_row = need
    n_blocks = count_blocks(n_rows, seconds_per_row, size)
    # Rows of one kernel call: a multiple of every panel height, so that few panels are cut short.
    step = max(1024, int(CALL_SECONDS / seconds_per_row) // 1024 * 1024)
    if n_blocks == 1 and n_rows <= step and progress is None:
        out = np.zeros(size)
        kernel(0, n_rows, np.empty(work_size), out)
        return out
    n_threads = 1 if n_rows * seconds_per_row < rates.THREADED_SECONDS else n_threads or threads()
    local = threading.local()
    free: list[np.ndarray] = []
    stop: list[BaseException] = []

    def one_block(lo: int, hi: int) -> np.ndarray:
        if not hasattr(local, "work"):
            local.work = np.empty(work_size)
        try:
            out = free.pop()
            out.fill(0.0)
        except IndexError:
            out = np.zeros(size)
        for at in range(lo, hi, step):
            if stop:
                break
            kernel(at, min(at + step, hi), local.work, out)
        return out

    def merge(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        add(left, right)
        free.append(right)
        return left

    total: np.ndarray = fold(n_rows, n_blocks, one_block, merge, n_threads, progress, stop)
    return total


def each_rows(
    kernel: Callable[[int, int, Any], None],
    n_rows: int,
    work_size: int,
    seconds_per_row: float,
    n_threads: int | None,
) -> None:
    """Call `kernel(lo, hi, work)` for all rows; the kernel writes what it finds into rows of its own."""
    sum_rows(lambda lo, hi, work, out: kernel(lo, hi, work), n_rows, Need(work_size, 1, seconds_per_row), n_threads)
