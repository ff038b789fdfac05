# SPDX-License-Identifier: BSD-3-Clause
"""How `linreg-fast bench` measures: all sides of a row in the same rounds, beside the machine's limits.

    limit = max(bytes to read / rate of reading, operations / rate of a matrix product)

Each round is in a new random order, and the two rates are sides like any other. Medians are reported; answers
are compared outside the timing, so that no side is fast and wrong.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

import linreg_fast

Array = NDArray[Any]
Row = dict[str, Any]

OURS, NUMPY = "linreg_fast", "NumPy"  # the sides that every machine has
TOLERANCE = 1e-6  # of answers, relative to the largest component
SHORT_SECONDS = 1e-3  # a call that takes less is repeated for each reading of the clock
SMALL_ROWS = 1_000  # at most so many rows are held against lstsq and not against the limit


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: seconds for each side of a row and the most rounds, and the size of what is measured."""

    seconds: float = 1.0
    peer_seconds: float = 4.0
    rounds: int = 15
    read_bytes: int = 1 << 28  # beyond any cache
    product_size: int = 1500
    shrink: int = 1  # tables have so many times fewer rows
    max_columns: int = 1 << 30
    settle: bool = True  # wait for idle threads before each call


FULL = Effort()
QUICK = Effort(0.05, 0.1, 3, 1 << 25, 400, 50, 60, False)


@dataclass(frozen=True, slots=True)
class Side:
    """One contender: what is timed, and the numbers in its result that must agree with those of the others."""

    call: Callable[[], Any]
    answer: Callable[[Any], Array] | None = None
    peer: bool = False  # may fail or be slow: left out with a note
    calls: int = 1  # stands for so many calls


@contextlib.contextmanager
def pinned(threads: int) -> Iterator[None]:
    """So many threads for linreg_fast and, where threadpoolctl is installed, for BLAS."""
    os.environ.setdefault("POLARS_MAX_THREADS", str(threads))  # read when polars is imported
    linreg_fast.set_num_threads(threads)
    try:
        if find_spec("threadpoolctl") is None:
            yield
        else:
            with importlib.import_module("threadpoolctl").threadpool_limits(threads):
                yield
    finally:
        linreg_fast.set_num_threads(None)


def reader(nbytes: int, threads: int) -> Callable[[], object]:
    """A call that reads so many bytes from memory on so many threads.

    The maximum of each part: NumPy's vectorised loop reads faster than memory delivers, and unlike a dot
    product it brings no threads of its own.
    """
    parts = np.array_split(np.ones(nbytes // 8), threads)
    pool = ThreadPoolExecutor(threads)

    return lambda: list(pool.map(np.max, parts))


def multiplier(size: int) -> Callable[[], object]:
    """A call that multiplies two square float64 matrices: 2 size^3 operations."""
    A = np.random.default_rng(0).standard_normal((size, size))
    out = np.empty_like(A)
    return lambda: np.matmul(A, A, out=out)


@functools.cache
def _probes(effort: Effort, threads: int) -> dict[str, Side]:
    return {
        "read": Side(reader(effort.read_bytes, threads)),
        "product": Side(multiplier(effort.product_size)),
    }


def _settle() -> None:
    """Wait until no thread of this process spins.

    Those of OpenBLAS do for 0.1 s after each call, and would take a processor from the side that comes next.
    """
    for _ in range(100):
        before = time.process_time()
        time.sleep(0.005)
        if time.process_time() - before < 0.0005:
            return


def timed(call: Callable[[], object]) -> float:
    """Seconds of a call; the mean of several where one is short beside the clock and the first cache misses."""
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    if seconds < SHORT_SECONDS:
        repeat = int(2 * SHORT_SECONDS / seconds) + 1
        start = time.perf_counter()
        for _ in range(repeat):
            call()
        seconds = (time.perf_counter() - start) / repeat
    return seconds


def interleaved(sides: dict[str, Side], effort: Effort = FULL) -> tuple[dict[str, float], list[str]]:
    """Median seconds of each side, and notes on those left out; one call of each warms up and is checked.

    A slow side takes part in fewer rounds, spread over all of them.

    Raises
    ------
    ArithmeticError
        A side that is no peer has another answer than the first one.
    """
    rounds: dict[str, int] = {}
    notes: list[str] = []
    reference: Array | None = None
    for name, side in sides.items():
        start = time.perf_counter()
        try:
            result = side.call()
        except Exception as error:
            if not side.peer:
                raise
            notes.append(f"{name} failed: {type(error).__name__}: {error}")
            continue
        seconds = time.perf_counter() - start
        if side.answer is not None:
            answer = np.asarray(side.answer(result), dtype=np.float64)
            reference = answer if reference is None else reference
            difference = float(np.abs(answer - reference).max() / np.abs(reference).max())
            if not difference <= TOLERANCE:
                notes.append(f"{name} has another answer, by {difference:.1e}")
                if not side.peer:
                    raise ArithmeticError(notes[-1])
                continue
        del result
        least, budget = (1, effort.peer_seconds) if side.peer else (3, effort.seconds)
        rounds[name] = min(max(int(budget / seconds), least), effort.rounds)
    most = max(rounds.values())
    times: dict[str, list[float]] = {name: [] for name in rounds}
    shuffle = random.Random(0)
    gc.disable()
    try:
        for i in range(most):
            due = [name for name, count in rounds.items() if (i + 1) * count // most > i * count // most]
            # what ran before leaves caches and clock in its own state
            for name in shuffle.sample(due, len(due)):
                if effort.settle:
                    _settle()
                times[name].append(timed(sides[name].call))
    finally:
        gc.enable()
    return {name: float(np.median(taken)) * sides[name].calls for name, taken in times.items()}, notes


def measured(
    what: str,
    X: Array,
    sides: dict[str, Side],
    nbytes: float,
    flops: float,
    effort: Effort,
    threads: int,
    notes: tuple[str, ...] = (),
) -> Row:
    """One row of the table: seconds of all sides, rates and limit of the same rounds.

    The first side that is neither ours, NumPy nor a peer is what ours is held against in the last column.
    """
    probes = _probes(effort, threads)
    seconds, more = interleaved(sides | probes, effort)
    rates = {
        "read_rate": effort.read_bytes / seconds.pop("read"),
        "product_rate": 2.0 * effort.product_size**3 / seconds.pop("product"),
    }
    limit = max(nbytes / rates["read_rate"], flops / rates["product_rate"]) if len(X) > SMALL_ROWS else None
    n, p = X.shape
    where = f"{what}, {n:,} x {p:,}"
    return {
        "what": what,
        "rows": n,
        "columns": p,
        "seconds": seconds,
        "limit": limit,
        **rates,
        "notes": [f"{where}: {note}" for note in (*notes, *more)],
    }
