# SPDX-License-Identifier: BSD-3-Clause
"""Passes over the rows: row blocks, the thread pool, merging in block order.

Row blocks depend on the problem's shape alone, never on the number of threads, and their results
are merged along a binary tree over the block index: any number of threads gives the same bits.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from linreg_fast import cpu

# Two cores of a Zen 3 server; the rates are those that benchmarks/plans.py fits to measured times.
READ_RATE = 7.6e9  # bytes a second and thread
PACK_RATE = 23e9  # bytes a second and thread laid out for the tiles, in cache
PRODUCT_RATE = 32e9  # float64 operations a second and thread, of the tiles
DISPATCH_SECONDS = 30e-6  # one submit to the pool and the wait for it
STREAM_RATE = 16e9  # bytes a second and thread of rows multiplied by vectors as they come, and for each product
STREAM_SECONDS = 1e-9  # a row beside that
THREADED_SECONDS = 1e-3  # work below stays on the calling thread: two were no faster under 0.5 to 1 ms
BLOCK_SECONDS = 4 * DISPATCH_SECONDS  # the least work of a row block
SPIN_SECONDS = 200e-6  # awake while the last helper works: being woken takes 50 to 150 us
MERGE_SHARE = 1 / 30  # a block's merging may cost this share of its work
MAX_BLOCKS = 64  # also the largest number of threads of use to one pass
CALL_SECONDS = 0.02  # longest kernel call: KeyboardInterrupt is seen in between

_threads_set: int | None = None


class _Helper:
    """A thread of the pool, asleep on `ready` until there is a task for it."""

    __slots__ = ("moved", "number", "processor", "ready", "task")

    def __init__(self) -> None:
        self.ready = threading.Lock()
        self.ready.acquire()
        self.task: tuple[Callable[[], object], threading.Lock] | None = None
        self.number = 0  # of the thread, to the operating system
        self.processor = -1  # that it ran on last
        self.moved: set[int] | None = None  # its processors, while it is kept away from some


class _Pool:
    """The helpers of a process: the idle ones, and how many there are."""

    __slots__ = ("count", "idle", "lock")

    def __init__(self) -> None:
        self.idle: list[_Helper] = []
        self.count = 0
        self.lock = threading.Lock()


_pool = _Pool()


def _renew_pool() -> None:
    """A new pool: in a forked child the threads of the old one do not exist."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_pool)


def _dismiss() -> None:
    """End the pool: an interrupt may have come between the taking of a helper and its task."""
    old = _pool
    _renew_pool()
    while old.idle:
        old.idle.pop().ready.release()


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


def _serve(helper: _Helper, pool: _Pool) -> None:
    """What a helper's thread runs."""
    helper.number = threading.get_native_id()
    while pool is _pool:
        helper.ready.acquire()
        if helper.task is None:
            return
        call, over = helper.task
        helper.task = None
        call()
        del call  # with all that it holds
        if helper.moved:
            with suppress(OSError):
                os.sched_setaffinity(0, helper.moved)
            helper.moved = None
        helper.processor = cpu.processor()
        pool.idle.append(helper)
        over.release()


def _help(call: Callable[[], object], most: int, taken: set[int]) -> threading.Lock | None:
    """Have a helper make a call that never raises; the lock is released when that is done.

    None where all of at most `most` helpers are busy, or no thread can be started, as while the
    interpreter ends. `taken` are the processors of the threads that work with it.
    """
    pool = _pool
    try:
        helper = pool.idle.pop()
    except IndexError:
        with pool.lock:
            if pool.count >= most:
                return None
            pool.count += 1
        helper = _Helper()
        try:
            threading.Thread(target=_serve, args=(helper, pool), name="linreg_fast", daemon=True).start()
        except RuntimeError:
            with pool.lock:
                pool.count -= 1
            return None
    if helper.processor >= 0:
        # Linux wakes a thread beside its waker, where it waits for a tick of some milliseconds, rather than on a
        # processor that sleeps, if that is a virtual one or all were busy of late.
        with suppress(OSError):
            mine = os.sched_getaffinity(helper.number)
            if taken and not mine <= taken:
                os.sched_setaffinity(helper.number, mine - taken)
                helper.moved = mine
    taken.add(helper.processor)
    over = threading.Lock()
    over.acquire()
    helper.task = call, over
    helper.ready.release()
    return over


def submit(function: Callable[..., Any], *args: Any) -> Any:
    """A future of the pool; where that takes none, as while the interpreter ends, the work is done here."""
    from concurrent.futures import Future

    future: Future[Any] = Future()
    call = functools.partial(_settle, future, functools.partial(function, *args))
    if _help(call, sys.maxsize, set()) is None:
        call()
    return future


def _settle(future: Any, call: Callable[[], Any]) -> None:
    """Make a call for a future that was not cancelled."""
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)


def in_order(calls: Iterable[Callable[[], Any]], n_threads: int) -> Generator[Any, None, None]:
    """What each of many calls returns, in their order; n_threads of the pool are at work ahead of whoever asks.

    The same threads all along, as each has memory of its own that it fills again. Closed early, it waits for
    the calls that run and drops the others.
    """
    from concurrent.futures import Future
    from queue import SimpleQueue

    waiting: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
    pending: deque[Future[Any]] = deque()

    def work(share: set[int] | None) -> None:
        with _kept_to(share):
            while (call := waiting.get()) is not None:
                call()

    shares = _shares(n_threads)
    ends = [end for share in shares if (end := _help(functools.partial(work, share), sys.maxsize, set())) is not None]
    try:
        for call in calls:
            future: Future[Any] = Future()
            pending.append(future)
            waiting.put(functools.partial(_settle, future, call))
            if not ends:  # no thread can be started, as while the interpreter ends
                waiting.put(None)
                work(None)
            if len(pending) > n_threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        for _ in ends:
            waiting.put(None)
        for end in ends:
            end.acquire()


def _shares(n_threads: int) -> list[set[int] | None]:
    """Processors for each of some threads, none of them shared; None where there are too few."""
    processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [set(processors[i::n_threads]) if len(processors) >= n_threads else None for i in range(n_threads)]


@contextmanager
def _kept_to(processors: set[int] | None) -> Iterator[None]:
    """Keep the calling thread to some processors.

    Threads that wait for one another, as for the interpreter's lock, would be woken beside each other over and over:
    see `_help`. Two readers of a file then shared one processor for as long as it took, the other one idle.
    """
    before = None
    if processors:
        with suppress(OSError):
            before = os.sched_getaffinity(0)
            os.sched_setaffinity(0, processors & before or before)
    try:
        yield
    finally:
        if before:
            with suppress(OSError):
                os.sched_setaffinity(0, before)


def row_seconds(row_bytes: float, row_flops: float) -> float:
    """Expected seconds a row on one thread: reading it from memory or working on it, whichever is longer."""
    return max(row_bytes / READ_RATE, work_seconds(row_bytes, row_flops))


def work_seconds(row_bytes: float, row_flops: float) -> float:
    """Expected seconds a row on one thread of laying it out and multiplying it, once it is in cache."""
    return row_bytes / PACK_RATE + row_flops / PRODUCT_RATE


def stream_seconds(row_bytes: float, products: int) -> float:
    """Expected seconds a row on one thread of its products with vectors, those after the first out of the cache."""
    return row_bytes / STREAM_RATE * (0.75 + 0.25 * products) + STREAM_SECONDS * products


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

    def work(helper: bool = True) -> None:
        try:
            while left and not stop:
                # helpers that others kept busy until now come later
                while not helper and len(ends) < min(n_threads - 1, len(left) - 1):
                    end = _help(work, n_threads - 1, taken)
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
        _dismiss()
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
