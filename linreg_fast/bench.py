# SPDX-License-Identifier: BSD-3-Clause
"""What `linreg-fast bench` measures: linreg_fast against the machine's limits, NumPy and the peers that are installed.

    limit = max(bytes to read / rate of reading, operations / rate of a matrix product)

All sides of a row run in the same rounds, each round in a new random order, and the two rates are sides like
any other. Medians are reported; answers are compared outside the timing, so that no side is fast and wrong.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

import linreg_fast
from linreg_fast import cpu, levels

Array = NDArray[Any]
Row = dict[str, Any]

OURS, NUMPY = "linreg_fast", "NumPy"
TOLERANCE = 1e-6  # of answers, relative to the largest component
SHORT_SECONDS = 1e-3  # a call that takes less is repeated for each reading of the clock
SMALL_ROWS = 1_000  # at most so many rows are held against lstsq and not against the limit
PEER_SECONDS = 20.0  # a peer that would take longer for one call is left out
PEER_BYTES = 2.5e9  # and one that would need more memory, the table with it
NUMPY_BYTES = 5e8  # tables above are held in two layouts at once, which leaves no room for NumPy's copy
STEPS = 1_000  # of gradient descent

# rows, columns, and what is measured beside the fit
SHAPES: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (10_000_000, 8, ("layouts", "passes", "descent", "precision")),
    (1_000_000, 10, ("layouts",)),
    (1_000_000, 50, ("layouts", "passes")),
    (200_000, 200, ("layouts",)),
    (20_000, 1_000, ("layouts", "passes")),
    (100_000, 10, ()),
    (1_000, 10, ()),
    (100, 3, ()),
)
TARGETS = (100_000, 20, 50)
GROWTH = ((100_000, 1_000_000, 10_000_000), 10)


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


def generate(n: int, p: int) -> tuple[Array, Array]:
    """X of standard normal columns about offsets of 0 to 1, and y = 1 + sum X + noise; seeded."""
    rng = np.random.default_rng(n + p)
    X = rng.standard_normal((n, p))
    X += rng.random(p)
    y = X.sum(axis=1)
    y += 1.0 + 0.5 * rng.standard_normal(n)
    return X, y


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


# The machine's limits


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


# Timing


def _settle() -> None:
    """Wait until no thread of this process spins.

    Those of OpenBLAS do for 0.1 s after each call, and would take a processor from the side that comes next.
    """
    for _ in range(100):
        before = time.process_time()
        time.sleep(0.005)
        if time.process_time() - before < 0.0005:
            return


def _timed(call: Callable[[], object]) -> float:
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
                times[name].append(_timed(sides[name].call))
    finally:
        gc.enable()
    return {name: float(np.median(taken)) * sides[name].calls for name, taken in times.items()}, notes


def _row(
    what: str,
    X: Array,
    sides: dict[str, Side],
    nbytes: float,
    flops: float,
    effort: Effort,
    threads: int,
    notes: tuple[str, ...] = (),
) -> Row:
    """One row of the table: seconds of all sides, rates and limit of the same rounds. The side after ours that is
    neither NumPy nor a peer is what ours is held against."""
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


# What is measured


def _coefficients(fit: linreg_fast.LinearFit) -> Array:
    return np.append(fit.intercept, fit.coef)


def _ours(X: Array, y: Array, **options: Any) -> Side:
    return Side(lambda: linreg_fast.fit(X, y, **options), _coefficients)


def _normal_equations(X: Array, y: Array, w: Array | None = None) -> Array:
    """[b0, b] as NumPy users write it, weights by rows scaled with their roots."""
    A = np.column_stack([np.ones(len(X)), X])
    if w is not None:
        root = np.sqrt(w)
        A *= root[:, None]
        y = y * root if y.ndim == 1 else y * root[:, None]
    return np.asarray(np.linalg.solve(A.T @ A, A.T @ y))


def _numpy(X: Array, y: Array, w: Array | None = None) -> dict[str, Side]:
    if len(X) <= SMALL_ROWS:
        A = np.column_stack([np.ones(len(X)), X])
        return {NUMPY: Side(lambda: np.linalg.lstsq(A, y, rcond=None)[0], np.ravel)}
    return {NUMPY: Side(lambda: _normal_equations(X, y, w), np.ravel)}


def _sklearn(module: str, X: Array, y: Array, threads: int) -> Side:
    model = importlib.import_module(module).LinearRegression(n_jobs=threads)
    return Side(lambda: model.fit(X, y), lambda model: np.append(model.intercept_, model.coef_), True)


def _statsmodels(X: Array, y: Array, threads: int) -> Side:
    OLS = importlib.import_module("statsmodels.regression.linear_model").OLS
    add_constant = importlib.import_module("statsmodels.tools").add_constant
    return Side(lambda: OLS(y, add_constant(X)).fit(), lambda result: np.asarray(result.params), True)


def _polars_ols(X: Array, y: Array, threads: int) -> Side:
    pl = importlib.import_module("polars")
    ols = importlib.import_module("polars_ols")
    frame = pl.from_numpy(X).with_columns(pl.Series("y", y))
    columns = [pl.col(name) for name in frame.columns[:-1]]
    fit = ols.compute_least_squares(pl.col("y"), *columns, add_intercept=True, mode="coefficients").alias("b")

    def answer(result: Any) -> Array:
        b = list(result["b"][0].values())
        return np.array([b[-1], *b[:-1]])

    return Side(lambda: frame.select(fit), answer, True)


# package, memory that a fit was seen to take in sizes of X, side
PEERS: dict[str, tuple[str, float, Callable[[Array, Array, int], Side]]] = {
    "scikit-learn": ("sklearn", 2.3, functools.partial(_sklearn, "sklearn.linear_model")),
    "scikit-learn-intelex": ("sklearnex", 0, functools.partial(_sklearn, "sklearnex.linear_model")),
    "statsmodels": ("statsmodels", 4.6, _statsmodels),
    "polars-ols": ("polars_ols", 3.6, _polars_ols),
}


def _peers(X: Array, y: Array, threads: int) -> tuple[dict[str, Side], tuple[str, ...]]:
    """The peers that are installed, and notes on those that one call would be too much for."""
    sides: dict[str, Side] = {}
    notes = []
    for name, (package, copies, make) in PEERS.items():
        if find_spec(package) is None:
            continue
        if (1 + copies) * X.nbytes > PEER_BYTES:
            notes.append(f"{name} left out: it would need about {(1 + copies) * X.nbytes / 1e9:.1f} GB")
            continue
        part = min(max(len(X) // 20, 2 * X.shape[1]), len(X))
        try:
            some = make(X[:part], y[:part], threads)
            some.call()
            expected = _timed(some.call) * len(X) / part
            if expected > PEER_SECONDS:
                notes.append(f"{name} left out: it would take about {expected:.0f} s")
            else:
                sides[name] = make(X, y, threads)
        except Exception as error:  # a peer that does not work with what is installed beside it
            notes.append(f"{name} failed: {type(error).__name__}: {error}")
    return sides, tuple(notes)


def shape_rows(n: int, p: int, parts: tuple[str, ...], effort: Effort, threads: int, peers: bool) -> list[Row]:
    """The rows of one table of numbers: its fit, and what `parts` names."""
    X, y = generate(n, p)
    read, product = X.nbytes + y.nbytes, float(n) * p * (p + 1)
    ours = _ours(X, y)
    others, notes = _peers(X, y, threads) if peers else ({}, ())
    row = functools.partial(_row, X=X, nbytes=read, flops=product, effort=effort, threads=threads)
    rows = [row("fit", sides={OURS: ours} | _numpy(X, y) | others, notes=notes)]
    del others
    if "layouts" in parts:
        F = np.asfortranarray(X)
        room = X.nbytes <= NUMPY_BYTES
        rows.append(row("fit, F order", sides={OURS: _ours(F, y), "C order": ours} | (_numpy(F, y) if room else {})))
        del F
        f = X.astype(np.float32)
        sides = {OURS: _ours(f, y), "float64": ours} | (_numpy(f, y) if room else {})
        rows.append(row("fit, float32", sides=sides, nbytes=f.nbytes + y.nbytes))
        del f, sides
        w = np.linspace(0.5, 1.5, n)
        sides = {OURS: _ours(X, y, sample_weight=w), "no weights": Side(ours.call)} | _numpy(X, y, w)
        rows.append(row("fit, weights", sides=sides, nbytes=read + w.nbytes))
        del w, sides
    if "precision" in parts:
        fast = _ours(X, y, precision="fast")
        for precision in ("auto", "extended"):
            sides = {OURS: _ours(X, y, precision=precision), "fast": fast}
            rows.append(row(f'fit, precision="{precision}"', sides=sides))
    if "passes" in parts:
        rows += _pass_rows(X, y, row)
    if "descent" in parts:
        b = np.zeros(p)
        sides = {
            OURS: _ours(X, y, solver="gd", max_iter=STEPS, tol=0.0),
            "one fit": ours,
            NUMPY: Side(lambda: X.T @ (X @ b - y), calls=STEPS),
        }
        note = f"NumPy's time is that of one gradient, {STEPS:,} times"
        rows.append(row(f"{STEPS:,} descent steps", sides=sides, notes=(note,)))
    return rows


def _pass_rows(X: Array, y: Array, row: Callable[..., Row]) -> list[Row]:
    """Gradient, cost and predictions: one read each, for predictions one write of n numbers too."""
    n, p = X.shape
    b, out = np.full(p, 0.5), np.empty(n)
    fit = linreg_fast.fit(X, y)
    gradient = {
        OURS: Side(lambda: linreg_fast.gradient(X, y, b), lambda result: result[1]),
        NUMPY: Side(lambda: X.T @ (X @ b - y), lambda result: result / n),
    }
    cost = {
        OURS: Side(lambda: linreg_fast.cost(X, y, b), np.atleast_1d),
        NUMPY: Side(lambda: np.sum((X @ b - y) ** 2) / (2 * n), np.atleast_1d),
    }
    predict = {
        OURS: Side(lambda: fit.predict(X, out=out), np.asarray),
        NUMPY: Side(lambda: X @ fit.coef + fit.intercept, np.asarray),
    }
    return [
        row("gradient", sides=gradient, flops=0.0),
        row("cost", sides=cost, flops=0.0),
        row("predict", sides=predict, flops=0.0, nbytes=X.nbytes + out.nbytes),
    ]


def target_rows(n: int, p: int, k: int, effort: Effort, threads: int) -> list[Row]:
    """A fit of several targets."""
    X, y = generate(n, p)
    Y = y[:, None] + np.arange(k) * X[:, :1]
    ours = Side(lambda: linreg_fast.fit(X, Y), lambda fit: np.vstack([fit.intercept, fit.coef.T]).ravel())
    sides = {OURS: ours} | _numpy(X, Y)
    flops = float(n) * p * (p + 1 + 2 * (k - 1))
    return [_row(f"fit, {k} targets", X, sides, X.nbytes + Y.nbytes, flops, effort, threads)]


def growth_rows(counts: tuple[int, ...], p: int, effort: Effort, threads: int) -> list[Row]:
    """Fits of the first rows of one table, more and more of them, against the time a row of the fewest."""
    X, y = generate(counts[-1], p)
    first, rows = counts[0], []
    base = _ours(X[:first], y[:first])
    for n in counts[1:]:
        sides = {OURS: _ours(X[:n], y[:n]), f"time a row at {first:,}": Side(base.call, calls=n // first)}
        nbytes, flops = 8.0 * n * (p + 1), float(n) * p * (p + 1)
        rows.append(_row("fit, growth with rows", X[:n], sides, nbytes, flops, effort, threads))
    return rows


def level_rows(level: str, effort: Effort, threads: int) -> list[Row]:
    """The fits of the tables that have layouts at a forced level, in a process of its own."""
    code = f"from linreg_fast import bench; bench.print_fits(bench.{effort!r}, {threads})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LINREG_FAST_LEVEL": level},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    rows: list[Row] = json.loads(done.stdout)
    return [row | {"what": f"{row['what']}, level {level}"} for row in rows]


def print_fits(effort: Effort, threads: int) -> None:
    """The other side of `level_rows`: the rows as JSON on stdout."""
    with pinned(threads):
        shapes = [shape[:2] for shape in _shapes(effort) if "layouts" in shape[2]]
        rows = [row for n, p in shapes for row in shape_rows(n, p, (), effort, threads, False)]
    print(json.dumps(rows))


def _shapes(effort: Effort) -> list[tuple[int, int, tuple[str, ...]]]:
    return [(_fewer(n, effort), min(p, effort.max_columns), parts) for n, p, parts in SHAPES]


def _fewer(n: int, effort: Effort) -> int:
    return max(n // effort.shrink, min(n, 2 * SMALL_ROWS))


def cases(
    quick: bool = False, peers: bool = True, other_levels: bool = False, threads: int = 1
) -> list[Callable[[], list[Row]]]:
    """All measurements, one call for each table of numbers, each giving rows; to be called within `pinned`.

    Parameters
    ----------
    quick : bool
        A fiftieth of the rows and few rounds: shows that it works, and little about speed.
    peers : bool
        Measure other libraries that are installed beside NumPy.
    other_levels : bool
        Measure the fits at the lower levels of the kernels too.
    threads : int

    Returns
    -------
    list of callables
        Each returns a list of rows, dictionaries with "what", "rows", "columns", "seconds" (by side), "limit"
        (seconds or None), "read_rate" (bytes a second), "product_rate" (operations a second), "notes".
    """
    effort = QUICK if quick else FULL
    n, p, k = TARGETS
    found: list[Callable[[], list[Row]]] = [
        functools.partial(shape_rows, *shape, effort, threads, peers) for shape in _shapes(effort)
    ]
    found.append(functools.partial(target_rows, _fewer(n, effort), p, k, effort, threads))
    counts = tuple(_fewer(n, effort) for n in GROWTH[0])
    found.append(functools.partial(growth_rows, counts, GROWTH[1], effort, threads))
    if other_levels:
        for level in levels.LEVELS:
            if level in levels.built and level in cpu.levels() and level != levels.level:
                found.append(functools.partial(level_rows, level, effort, threads))
    return found


# Showing it


def about(rows: list[Row], threads: int) -> dict[str, Any]:
    """What ran: the configuration, the processor, the versions of the peers, the median rates of all rows."""
    return {
        "config": linreg_fast.show_config(),
        "processor": _processor(),
        "threads": threads,
        "blas_pinned": find_spec("threadpoolctl") is not None,
        "peers": {name: version(name) for name, (package, _, _) in PEERS.items() if find_spec(package)},
        "read_rate": float(np.median([row["read_rate"] for row in rows])),
        "product_rate": float(np.median([row["product_rate"] for row in rows])),
    }


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def columns(rows: list[Row]) -> list[str]:
    """Heads of the table: of the peers only those that were measured."""
    seen = [name for name in (NUMPY, *PEERS) if any(name in row["seconds"] for row in rows)]
    return ["what", "rows x columns", OURS, "limit", *seen, "beside"]


def cells(row: Row, heads: list[str]) -> tuple[str, ...]:
    """One row as text: our time, our time over the limit, the others' over ours, ours over what stands beside it."""
    seconds = row["seconds"]
    ours = seconds[OURS]
    limit = "-" if row["limit"] is None else f"{ours / row['limit']:.2f}"
    others = [_ratio(seconds[name] / ours) if name in seconds else "-" for name in heads[4:-1]]
    base = next((name for name in seconds if name not in (OURS, NUMPY, *PEERS)), None)
    beside = f"{ours / seconds[base]:.2f} x {base}" if base else ""
    return (row["what"], f"{row['rows']:,} x {row['columns']:,}", duration(ours), limit, *others, beside)


def _ratio(times: float) -> str:
    return f"{times:.3g}" if times < 100 else f"{times:,.0f}"


def duration(seconds: float) -> str:
    """Three digits in s, ms or us."""
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e6:.3g} us"


def legend(what_ran: dict[str, Any]) -> str:
    """What the columns mean and what ran, in a few sentences."""
    config = what_ran["config"]
    peers = "".join(f", {name} {number}" for name, number in what_ran["peers"].items())
    pinned = "" if what_ran["blas_pinned"] else " (BLAS as it likes: threadpoolctl is not installed)"
    return (
        f"limit: our time over max(bytes / {what_ran['read_rate'] / 1e9:.1f} GB/s, operations / "
        f"{what_ran['product_rate'] / 1e9:.0f} GFLOP/s), the rates of reading and of a matrix product in the same "
        f"rounds; other libraries: their time over ours; medians. {what_ran['processor']}, level {config['level']}, "
        f"{what_ran['threads']} threads{pinned}, NumPy {config['numpy']} with {config['blas']}{peers}."
    )
