# SPDX-License-Identifier: BSD-3-Clause
"""From blocks and parts to moments, and from those to a fit."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from linreg_fast import fitting
from linreg_fast.algebra import sums
from linreg_fast.algebra.sums import Sums
from linreg_fast.inputs.table import Table
from linreg_fast.moments.moments import Moments
from linreg_fast.passes import pool
from linreg_fast.passes.progress import Report
from linreg_fast.result import LinearFit
from linreg_fast.streams import checkpoints
from linreg_fast.streams.blocks import Block
from linreg_fast.streams.rows import Stream

CHECKPOINT_SECONDS = 5.0  # between two writes of the state
READERS = 5  # of parts at once: each fills some 60 MB


def fit_rows(stream: Stream, checkpoint: Path | None, report: Report | None) -> LinearFit:
    """The fit of a stream: in memory where it is short, from its moments and, where it can be read again, refined."""
    options = stream.options
    if len(stream.source.parts) > 1:
        moments = _sum_up(stream, None, checkpoint, report)
    else:
        with closing(stream.tables()) as tables:
            first = next(tables, None)
            if first is None:
                raise stream.nothing_left()
            if first[2].n_rows < stream.source.whole:
                return _noted(_fit_in_memory(stream, *first[1:], report), stream)
            moments = _sum_up(stream, chain([first], tables), checkpoint, report)
    if stream.source.again:
        fit = fitting.fit_sums(stream, to_sums(moments, options.fit_intercept), options)
    else:
        moments.feature_names = None if stream.names is None else tuple(stream.names)
        targets = None if stream.one_target or stream.n_targets > 1 else [0]
        fit = moments.solve(l2=options.l2, fit_intercept=options.fit_intercept, targets=targets, bounds=options.bounds)
    if checkpoint is not None:
        checkpoints.remove(checkpoint)
    return _noted(fit, stream)


def _fit_in_memory(stream: Stream, block: Block, data: Table, report: Report | None) -> LinearFit:
    """The fit of a table that is one block."""
    data, dropped = stream.checked(block, data)
    stream.count(0, data.n_rows, dropped)
    if not data.n_rows:
        raise stream.nothing_left()
    data.names, data.one_target = stream.names, stream.one_target
    return fitting.fit_table(data, stream.options, report)


def _noted(fit: LinearFit, stream: Stream) -> LinearFit:
    """The fit with what was done to the table: columns left out, rows dropped."""
    reason, left_out = fit.reason, stream.source.left_out
    if stream.dropped:
        reason += f"; {stream.dropped} row{'s' * (stream.dropped > 1)} with missing values dropped"
    precision = stream.options.precision
    targets = None if stream.target_names is None else tuple(stream.target_names)
    noted = {"left_out": left_out, "n_dropped": stream.dropped, "target_names": targets}
    return fit.__replace__(reason=reason, precision=precision, **noted)


class Step(NamedTuple):
    """How far the sums are.

    Blocks or parts that are done, rows that were read, the sums, and what a checkpoint keeps of it: the last block,
    or of parts the number of blocks so far.
    """

    done: int
    rows: int
    moments: Moments
    last: Table | int


def _sum_up(
    stream: Stream,
    tables: Iterable[tuple[int, Block, Table]] | None,
    checkpoint: Path | None,
    report: Report | None,
) -> Moments:
    """The moments of all rows, from the checkpoint on where there is one: of the tables, or else part by part."""
    kind = "extended" if stream.options.precision == "extended" and not stream.source.again else "auto"
    identity = "|".join([stream.source.identity, kind, stream.options.missing])
    before, moments = None, None
    if checkpoint is not None and checkpoint.exists():
        before, moments = checkpoints.load(checkpoint, identity)
    rows, saved = 0, time.monotonic()
    if tables is None:
        steps = _by_part(stream, kind, before, moments)
    else:
        steps = _by_block(stream, tables, kind, before, moments, checkpoint)
    with closing(steps):
        for done, rows, moments, last in steps:
            if report is not None:
                report(rows, stream.source.rows())
            if checkpoint is not None and time.monotonic() - saved >= CHECKPOINT_SECONDS:
                state = {"identity": identity, "done": done, "rows": rows, "n_rows": stream.n_rows}
                state |= {"dropped": stream.dropped, "holes": stream.holes}
                state["last"] = last if isinstance(last, int) else checkpoints.fingerprint(last)
                checkpoints.save(checkpoint, state, moments)
                saved = time.monotonic()
    if moments is None or not moments.n_samples:
        raise stream.nothing_left()
    if report is not None:
        report(rows, rows)
    stream.source.noticed.over = True
    return moments


def _by_block(
    stream: Stream,
    tables: Iterable[tuple[int, Block, Table]],
    kind: str,
    before: dict[str, Any] | None,
    moments: Moments | None,
    checkpoint: Path | None,
) -> Generator[Step, None, None]:
    """Add one block after the other; those that a checkpoint has counted are read and skipped."""
    rows, skipped, i = 0, 0 if before is None else before["done"], -1
    other = f"{checkpoint} was written for other rows; remove it to start anew"
    for i, block, data in tables:
        rows += data.n_rows
        if before is not None and i < skipped:
            if i + 1 == skipped:
                if (rows, checkpoints.fingerprint(data)) != (before["rows"], before["last"]):
                    raise ValueError(other)
                stream.n_rows, stream.dropped, stream.holes = before["n_rows"], before["dropped"], before["holes"]
            continue
        if moments is None:
            moments = Moments(stream.n_features, stream.n_targets, precision=kind)
        stream.count(i, *update(stream, moments, block, data, stream.options.workers))
        yield Step(i + 1, rows, moments, data)
    if i + 1 < skipped:
        raise ValueError(other)


class Part(NamedTuple):
    """What the rows of a part sum up to; counts of its rows and blocks, and (block, rows used, rows left out)."""

    moments: Moments | None
    rows: int
    blocks: int
    counts: list[tuple[int, int, int]]


def _by_part(
    stream: Stream, kind: str, before: dict[str, Any] | None, moments: Moments | None
) -> Generator[Step, None, None]:
    """Merge the sums of one part after the other, as many parts being read at a time as there are threads.

    The parts, each with a shift of its own, and the order of merging depend on the source alone.
    """
    parts = stream.source.parts
    readers = min(stream.options.workers, len(parts), READERS)
    skipped = rows = blocks = 0
    if before is not None:
        with closing(stream.tables(parts[0](False))) as tables:
            next(tables)  # for the columns, where no part is left to read
        skipped, rows, blocks = before["done"], before["rows"], before["last"]
        stream.n_rows, stream.dropped, stream.holes = before["n_rows"], before["dropped"], before["holes"]
    stop = threading.Event()
    calls = [functools.partial(_sum_part, stream, part, kind, stop) for part in parts[skipped:]]
    found: Generator[Part, None, None] = pool.in_order(calls, readers) if readers > 1 else (call() for call in calls)
    try:
        for done, part in enumerate(found, skipped + 1):
            for block, n_rows, dropped in part.counts:
                stream.count(blocks + block, n_rows, dropped)
            rows, blocks = rows + part.rows, blocks + part.blocks
            if part.moments is not None:
                moments = part.moments if moments is None else moments.merge(part.moments)
                yield Step(done, rows, moments, blocks)
    finally:
        stop.set()
        found.close()


def _sum_part(stream: Stream, part: Callable[[bool], Iterator[Block]], kind: str, stop: threading.Event) -> Part:
    """The sums of one part, by this thread alone; of some of it once `stop` is set."""
    moments, rows, i = None, 0, -1
    counts = []
    with closing(stream.tables(part(False))) as tables:
        for i, block, data in tables:
            if stop.is_set():
                break
            rows += data.n_rows
            if moments is None:
                moments = Moments(stream.n_features, stream.n_targets, precision=kind)
            counts.append((i, *update(stream, moments, block, data, 1)))
    return Part(moments, rows, i + 1, counts)


def update(
    stream: Stream, moments: Moments, block: Block, data: Table, n_threads: int, follow: bool = True
) -> tuple[int, int]:
    """Add a block to the sums, as `Moments.add`; its rows that were used, and those that were left out."""
    try:
        moments.add(data, n_threads, follow)
    except ValueError as error:
        used, dropped = stream.checked(block, data)
        if used is data:
            raise ValueError(f"{block.places[0].where}: {error}") from None
        moments.add(used, n_threads, follow)
        return used.n_rows, dropped
    return data.n_rows, 0


def to_sums(moments: Moments, fit_intercept: bool) -> Sums:
    """The moments about the mean, or about 0 without an intercept, rounded to float64."""
    p, k = moments.n_features, moments.n_targets
    shift = moments.mean if fit_intercept else np.zeros(p + k)
    about = Moments(p, k, shift=shift, precision=moments.precision).merge(moments)
    return sums.of_cross_products(about.cross_products(), p, moments.n_samples, shift, np.ones(p + k))
