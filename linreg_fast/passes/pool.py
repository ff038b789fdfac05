# SPDX-License-Identifier: BSD-3-Clause
"""The helpers: Python threads around kernels that release the GIL."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from linreg_fast import cpu


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


def dismiss() -> None:
    """End the pool: an interrupt may have come between the taking of a helper and its task."""
    old = _pool
    _renew_pool()
    while old.idle:
        old.idle.pop().ready.release()


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


def help_with(call: Callable[[], object], most: int, taken: set[int]) -> threading.Lock | None:
    """Have a helper make a call that never raises; the lock is released when that is done.

    None where all of at most `most` helpers are busy. `taken` are the processors of the threads that work with it.

    Raises
    ------
    RuntimeError, MemoryError
        No thread can be started: a limit, or the interpreter ends. With `most` 0 none is.
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
        except BaseException:
            with pool.lock:
                pool.count -= 1
            raise
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
    """A future of the pool; where no thread can be started, as while the interpreter ends, the work is done here."""
    from concurrent.futures import Future

    future: Future[Any] = Future()
    call = functools.partial(_settle, future, functools.partial(function, *args))
    try:
        help_with(call, sys.maxsize, set())
    except (RuntimeError, MemoryError):
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
    ends: list[threading.Lock] = []
    with suppress(RuntimeError, MemoryError):  # those that could be started are enough
        for share in shares:
            end = help_with(functools.partial(work, share), sys.maxsize, set())
            assert end is not None
            ends.append(end)
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
