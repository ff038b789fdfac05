# SPDX-License-Identifier: BSD-3-Clause
"""Passes over the rows: row blocks, the thread pool, merging in block order.

Row blocks depend on the problem's shape alone, never on the number of threads, and their results
are merged along a binary tree over the block index: any number of threads gives the same bits.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

# Two cores of a Zen 3 server; the rates are those that benchmarks/plans.py fits to measured times.
READ_RATE = 8.4e9  # bytes a second and thread
PACK_RATE = 9.9e9  # bytes a second and thread laid out for the tiles, in cache
PRODUCT_RATE = 28e9  # float64 operations a second and thread, of the tiles
DISPATCH_SECONDS = 30e-6  # one submit to the pool and the wait for it
THREADED_SECONDS = 1e-3  # work below stays on the calling thread: two were no faster under 0.7 to 1.3 ms
BLOCK_SECONDS = 4 * DISPATCH_SECONDS  # the least work of a row block
MERGE_SHARE = 1 / 30  # a block's merging may cost this share of its work
MAX_BLOCKS = 64  # also the largest number of threads of use to one pass
CALL_SECONDS = 0.02  # longest kernel call: KeyboardInterrupt is seen in between

_threads_set: int | None = None
_pool: ThreadPoolExecutor | None = None
_pool_size = 0
_pool_lock = threading.Lock()


def _drop_pool() -> None:
    """In a forked child the pool's threads do not exist: it is made anew when next needed."""
    global _pool, _pool_size, _pool_lock
    _pool, _pool_size, _pool_lock = None, 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_pool)


def usable_processors() -> int:
    """Processors that this process may use: affinity, and on Linux the cgroup's quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    return int(min(count, _cgroup_processors()))


@functools.cache
def _cgroup_processors() -> float:
    """Processors' worth of time that the cgroup grants; read once, as each call of `threads` asks for it."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        return math.inf if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return math.inf


def set_num_threads(n: int | None) -> None:
    """Set the number of threads that every later call uses by default.

    Parameters
    ----------
    n : int or None
        At least 1, or -1 for all processors that this process may use. None takes the setting back:
        LINREG_FAST_NUM_THREADS counts again, else OMP_NUM_THREADS, else the usable processors.
    """
    global _threads_set
    _threads_set = None if n is None else _check_threads(n, "n")


def _check_threads(n: Any, name: str) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"{name} must be an integer or None, not {type(n).__name__}")
    if n == 0 or n < -1:
        raise ValueError(f"{name} must be at least 1, or -1 for all processors; got {n}")
    return usable_processors() if n == -1 else int(n)


def threads(requested: int | None = None) -> int:
    """Number of threads: the argument, the setting, the environment, the usable processors; 1 in a Dask worker."""
    if requested is not None:
        return _check_threads(requested, "n_threads")
    if _threads_set is not None:
        return _threads_set
    for variable in ("LINREG_FAST_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(variable, "").split(",")[0].strip()
        if text.isdecimal() and int(text) > 0:
            return int(text)
    if threading.current_thread().name.startswith("Dask"):
        return 1
    return usable_processors()


def _executor(workers: int) -> ThreadPoolExecutor:
    """The pool of this process, with at least so many threads."""
    global _pool, _pool_size
    from concurrent.futures import ThreadPoolExecutor

    with _pool_lock:
        if _pool is None or _pool_size < workers:
            # A smaller pool is left to finish what other threads gave it, then its threads end.
            if _pool is not None:
                _pool.shutdown(wait=False)
            _pool, _pool_size = ThreadPoolExecutor(workers, thread_name_prefix="linreg_fast"), workers
        return _pool


def submit(n_threads: int, function: Callable[..., Any], *args: Any) -> Any:
    """A future of the pool; where that takes none, as while the interpreter ends, the work is done here."""
    from concurrent.futures import Future

    try:
        return _executor(n_threads).submit(function, *args)
    except RuntimeError:
        future: Future[Any] = Future()
        future.set_result(function(*args))
        return future


def in_order(calls: Iterable[Callable[[], Any]], n_threads: int) -> Generator[Any, None, None]:
    """What each of many calls returns, in their order; n_threads of the pool are at work ahead of whoever asks.

    Closed early, it waits for the calls that run and drops the others.
    """
    pending: deque[Any] = deque()
    try:
        for call in calls:
            pending.append(submit(n_threads, call))
            if len(pending) > n_threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        _join(pending)


def row_seconds(row_bytes: float, row_flops: float) -> float:
    """Expected seconds a row on one thread: reading it from memory or working on it, whichever is longer."""
    return max(row_bytes / READ_RATE, work_seconds(row_bytes, row_flops))


def work_seconds(row_bytes: float, row_flops: float) -> float:
    """Expected seconds a row on one thread of laying it out and multiplying it, once it is in cache."""
    return row_bytes / PACK_RATE + row_flops / PRODUCT_RATE


def count_blocks(n_rows: int, seconds_per_row: float, size: int) -> int:
    """Number of row blocks of a pass whose partial results have `size` numbers: a power of two.

    A power of two, so that as many threads get equal shares. A block is long enough to be worth a
    turn of a thread, and to be worth the merging of its result.
    """
    merge = 3 * 8 * size / READ_RATE
    most = n_rows * seconds_per_row / max(BLOCK_SECONDS, merge / MERGE_SHARE)
    return 1 << (max(1, min(MAX_BLOCKS, int(most))).bit_length() - 1)


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


def _join(futures: Iterable[Any]) -> None:
    """Wait for the helpers: one that has not started finds no block left, one that runs is in its last."""
    for future in futures:
        if not future.cancel():
            future.exception()


def fold(
    n_rows: int,
    n_blocks: int,
    one_block: Callable[[int, int], Any],
    merge: Callable[[Any, Any], Any],
    n_threads: int,
    progress: Callable[[int, int], object] | None = None,
    stop: list[BaseException] | None = None,
) -> Any:
    """Merge what `one_block(lo, hi)` makes of each row block, in block order, on up to n_threads threads.

    The calling thread works too, and workers submit nothing: concurrent calls cannot wait for each
    other. An exception, KeyboardInterrupt among them, is put into `stop` and ends every thread at its
    next block, or sooner if `one_block` looks at `stop`.
    """
    bounds = [n_rows * i // n_blocks for i in range(n_blocks + 1)]
    tree = _Tree(n_blocks, merge)
    numbers = itertools.count()
    done = itertools.count(1)
    stop = [] if stop is None else stop
    lock = threading.Lock()

    def work(report: bool) -> None:
        try:
            while not stop:
                with lock:
                    i = next(numbers)
                if i >= n_blocks:
                    return
                tree.add(i, one_block(bounds[i], bounds[i + 1]))
                with lock:
                    rows = bounds[next(done)]
                if report and progress is not None:
                    progress(rows, n_rows)
        except BaseException as error:
            stop.append(error)
            raise

    futures: list[Any] = []
    try:
        for _ in range(min(n_threads, n_blocks) - 1):
            futures.append(_executor(n_threads - 1).submit(work, False))
    except RuntimeError:
        # The interpreter is shutting down, or another thread just replaced the pool by a larger one:
        # this thread does what no helper does.
        pass
    try:
        work(True)
        _join(futures)
    except BaseException as error:
        stop.append(error)
        _join(futures)
        raise
    if stop:
        raise stop[0]
    if progress is not None:
        progress(n_rows, n_rows)
    return tree.result


def sum_rows(
    kernel: Callable[[int, int, Any, Any], None],
    n_rows: int,
    work_size: int,
    size: int,
    seconds_per_row: float,
    n_threads: int | None,
    progress: Callable[[int, int], object] | None = None,
    add: Callable[[np.ndarray, np.ndarray], object] = np.ndarray.__iadd__,
) -> np.ndarray:
    """Sum over all rows of what `kernel(lo, hi, work, out)` adds to `out`, an array of `size` zeros.

    `work` is a float64 workspace of `work_size`, one for each thread; `add(left, right)` adds right to
    left in place; `n_threads` None is the default number, which is asked for only where there is work for it.
    """
    n_blocks = count_blocks(n_rows, seconds_per_row, size)
    # Rows of one kernel call: a multiple of every panel height, so that few panels are cut short.
    step = max(1024, int(CALL_SECONDS / seconds_per_row) // 1024 * 1024)
    if n_blocks == 1 and n_rows <= step and progress is None:
        out = np.zeros(size)
        kernel(0, n_rows, np.empty(work_size), out)
        return out
    n_threads = 1 if n_rows * seconds_per_row < THREADED_SECONDS else n_threads or threads()
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
    sum_rows(lambda lo, hi, work, out: kernel(lo, hi, work), n_rows, work_size, 1, seconds_per_row, n_threads)
