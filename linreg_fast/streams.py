# SPDX-License-Identifier: BSD-3-Clause
"""fit_stream and fit_file: tables larger than memory, block by block into the moments.

Rows that can be read again get what a table in memory gets: QR or SVD where the conditioning asks for it, and
refinement, each of them another reading. Rows that come once are solved from their moments.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast import checkpoints, files, fitting, inputs, passes, planning, sources, sums
from linreg_fast.moments import Moments
from linreg_fast.result import LinearFit
from linreg_fast.sources import Block, Source

MISSING = ("raise", "drop")
HINT = 'missing="drop" leaves out rows with missing values'
CHECKPOINT_SECONDS = 5.0  # between two writes of the state
READERS = 5  # of parts at once: each fills some 60 MB

Report = Callable[[int, "int | None"], object]


def fit_stream(
    batches: Any,
    *,
    target: str | Sequence[str] | None = None,
    features: Sequence[str] | None = None,
    sample_weight: str | None = None,
    fit_intercept: bool = True,
    l2: float = 0.0,
    precision: str = "auto",
    missing: str = "raise",
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | Report = False,
    n_threads: int | None = None,
) -> LinearFit:
    """Fit a linear model to rows that come in batches; memory holds one batch and p^2 numbers.

    Parameters
    ----------
    batches : iterable, callable, cursor or path
        - an iterable of tuples (X, y) or (X, y, sample_weight), as `fit` takes them; memory maps count as one batch:
          ``[(X, y)]``;
        - an iterable of data frames or Arrow record batches, a `pyarrow.RecordBatchReader`, a data frame, or anything
          else that hands itself over as an Arrow stream, such as DuckDB's ``con.sql(query)``;
        - a DB-API cursor that has executed a query;
        - a callable that returns one of these iterables, anew at each call;
        - a path: what `fit_file` takes, a folder of .npy files among others.

        A callable, a path, a data frame and an iterable that is no iterator, such as a list, can be read again: their
        fits are refined where the digits ask for it, up to full precision with "extended", at one more reading a
        pass. From iterators, readers and cursors everything is taken at the first reading; "extended" then sums up
        in double-double.
    target : str or sequence of str
        Column to explain, for data frames; several give a fit with several targets. For .npy files the position of
        the column, by default the last.
    features : sequence of str, optional
        Columns to explain it by; without it all other columns of numbers of the first batch.
    sample_weight : str, optional
        Column of weights.
    fit_intercept : bool
    l2 : float
        Penalty, as in `fit`.
    precision : {"auto", "fast", "extended"}
    missing : {"raise", "drop"}
        What to do about rows with NaN or null; `reason` of the result counts the rows that were dropped. Infinity is
        always an error.
    checkpoint : path, optional
        File to keep the state in, written anew every few seconds and removed at the end. Where it is there already,
        the rows counted in it are skipped: the same call resumes after a kill, with the same bits in the end.
    progress : bool or callable
        True draws a bar with rows, rate and time left (needs rich); a callable is called as progress(rows_done, rows)
        with None for a number that is not known.
    n_threads : int, optional

    Returns
    -------
    LinearFit

    Raises
    ------
    TypeError
        Data that are not real numbers, something that has no batches.
    ValueError
        Shapes or columns that do not match, no rows, NaN, infinity or negative weights: the batch, the row in it and
        the column are named. A checkpoint of other rows.
    OSError
        A checkpoint that cannot be written; the one before stays as it is.

    Warns
    -----
    RankWarning, ConditionWarning
        As in `fit`.

    Examples
    --------
    >>> import numpy as np, linreg_fast
    >>> x = np.arange(8.0)
    >>> fit = linreg_fast.fit_stream((x[i : i + 2], 1 + 2 * x[i : i + 2]) for i in range(0, 8, 2))
    >>> fit.slope, fit.intercept, fit.n_samples
    (2.0, 1.0, 8)
    """
    if isinstance(batches, (str, os.PathLike)):
        read = functools.partial(sources.of_files, batches, target, features, sample_weight)
    else:
        read = functools.partial(sources.of_batches, batches, target, features, sample_weight)
    return fit_source(read, fit_intercept, "auto", l2, precision, missing, checkpoint, progress, n_threads)[0]


def fit_file(
    path: str | os.PathLike[str],
    *,
    target: Any = None,
    features: Sequence[Any] | None = None,
    sample_weight: Any = None,
    fit_intercept: bool = True,
    solver: str = "auto",
    l2: float = 0.0,
    precision: str = "auto",
    missing: str = "raise",
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | Report = False,
    n_threads: int | None = None,
) -> LinearFit:
    """Fit a linear model to a table in one file or in several, whatever their size.

    Only the columns in use are read, and decoded while the rows before are summed up. A table of no more than some
    megabytes is fitted in memory.

    Parameters
    ----------
    path : str or path
        A file, a pattern such as "data/*.parquet", or a folder with all the files under it, in the order of their
        names: Parquet, CSV (.csv, .csv.gz, .tsv), Arrow and Feather, .npy. Folders named key=value give a column
        `key` where all its values are numbers.
    target : str or sequence of str
        Column to explain, or columns; for .npy files its position, by default the last.
    features : sequence of str, optional
        Columns to explain it by, for .npy files positions; without it all other columns of numbers.
    sample_weight : str, optional
        Column of weights.
    solver : {"auto", "cholesky", "qr", "svd", "gd"}
        As in `fit`; gradient descent iterates on the moments.
    fit_intercept, l2, precision, missing, checkpoint, progress, n_threads
        As in `fit_stream`.

    Returns
    -------
    LinearFit

    Raises
    ------
    TypeError, ValueError
        As in `fit_stream`, with the file, the row in it and the column; files of several kinds, or whose columns
        differ; a damaged file.
    OSError
        No such file; one that cannot be read; a checkpoint that cannot be written.

    Warns
    -----
    RankWarning, ConditionWarning, ConvergenceWarning
        As in `fit`.
    """
    planning.check_solver(solver)
    read = functools.partial(sources.of_files, path, target, features, sample_weight)
    return fit_source(read, fit_intercept, solver, l2, precision, missing, checkpoint, progress, n_threads)[0]


def fit_source(
    read: Callable[..., Source],
    fit_intercept: bool,
    solver: str,
    l2: float,
    precision: str,
    missing: str,
    checkpoint: str | os.PathLike[str] | None,
    progress: bool | Report,
    n_threads: int | None,
) -> tuple[LinearFit, Stream]:
    """The fit of the source that `read()` opens, and what was found on the way.

    Where the first lines of a text file are not as the others, `read(exact=True)` opens it once more.
    """
    if precision not in fitting.PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(fitting.PRECISIONS)}; got {precision!r}")
    if missing not in MISSING:
        raise ValueError(f"missing must be one of {', '.join(MISSING)}; got {missing!r}")
    l2 = inputs.number(l2, "l2", least=0.0)
    workers = passes.threads(n_threads)
    save = None if checkpoint is None else Path(checkpoint)
    with _bar(progress) as report:
        try:
            stream = Stream(read(), missing, bool(fit_intercept), workers)
            fit = _fit(stream, solver, l2, precision, save, report)
        except files.TypesDifferError:
            stream = Stream(read(exact=True), missing, bool(fit_intercept), workers)
            fit = _fit(stream, solver, l2, precision, save, report)
    return fit, stream


@dataclass(slots=True)
class Stream:
    """The rows of a source as one table that is read block by block: as much of `inputs.Table` as solvers ask for.

    `holes` are the blocks in which rows with missing values were found and left out, `dropped` such rows.
    """

    source: Source
    missing: str
    fit_intercept: bool
    workers: int
    n_features: int = 0
    n_targets: int = 0
    n_rows: int = 0
    weighted: bool = False
    one_target: bool = True
    names: list[str] | None = None
    dropped: int = 0
    holes: list[int] = field(default_factory=list)

    def tables(self, blocks: Iterable[Block] | None = None) -> Generator[tuple[int, Block, inputs.Table], None, None]:
        """Number, block and table of some blocks, by default of all from the first one on."""
        for i, block in enumerate(self.source.blocks(self.workers > 1) if blocks is None else blocks):
            where = block.places[0].where
            try:
                data = inputs.table(block.X, block.y, block.w, empty=True)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{where}: {error}") from None
            if not self.n_targets:
                self.names = self.source.names or data.names
                self.n_features, self.n_targets, self.one_target = data.n_features, data.n_targets, data.one_target
            self.weighted = self.weighted or data.w is not None
            found, known = (data.n_features, data.n_targets), (self.n_features, self.n_targets)
            if found != known and not (data.n_rows == 0 and data.one_feature):
                raise ValueError(f"{where} has (columns of X, columns of y) = {found}, those before have {known}")
            if data.names is not None and data.names != self.names:
                raise ValueError(f"{where} has the columns {data.names}, those before {self.names}")
            yield i, block, data

    def fold(self, function: Callable[[inputs.Table], Any], merge: Callable[[Any, Any], Any]) -> Any:
        """Read all rows again and merge in their order what `function` makes of each block."""
        total, rows, holes = None, 0, set(self.holes)
        with closing(self.tables()) as tables:
            for i, _, data in tables:
                if i in holes:
                    data = present_rows(data)[0]
                rows += data.n_rows
                if data.n_rows:
                    part = function(data)
                    total = part if total is None else merge(total, part)
        if rows != self.n_rows:
            raise ValueError(f"the source has {rows} rows when it is read again, it had {self.n_rows} before")
        return total

    def checked(self, block: Block, data: inputs.Table) -> tuple[inputs.Table, int]:
        """The rows of a block without those that have missing values, where these are to be dropped, and how many had.

        Raises
        ------
        ValueError
            A value that no fit can use, named by its column and its row in a batch or a file.
        """
        bad = inputs.find_fault(data)
        dropped = 0
        if bad is not None and np.isnan(bad.value) and self.missing == "drop":
            data, kept = present_rows(data)
            dropped = len(block.X) - len(kept)
            bad = inputs.find_fault(data)
            bad = bad and bad._replace(row=int(kept[bad.row]))
        if bad is None:
            return data, dropped
        where, row = block.place(bad.row)
        place = f"row {row}" if where == self.source.only else f"row {row} of {where}"
        if self.source.columns:
            first = {"X": 0, "y": self.n_features, "sample_weight": self.n_features + self.n_targets}[bad.name]
            label = f"column {self.source.columns[first + bad.column]!r}"
        elif bad.name == "X":
            label = f"column {bad.column if self.names is None else repr(self.names[bad.column])} of X"
        else:
            label = bad.name if self.n_targets == 1 or bad.name != "y" else f"column {bad.column} of y"
        if np.isnan(bad.value):
            raise ValueError(f"{label} has a missing value at {place}; {HINT}")
        raise ValueError(f"{label} has {bad.value} at {place}")

    def count(self, block: int, n_rows: int, dropped: int) -> None:
        """Count the rows of a block that were used, and those that were left out."""
        self.n_rows += n_rows
        if dropped:
            self.holes.append(block)
            self.dropped += dropped

    def nothing_left(self) -> ValueError:
        """The error for a source without a row to fit."""
        if self.dropped:
            return ValueError(f"every row of {self.source.only or 'the source'} has a missing value in a column in use")
        return ValueError("there are no rows to fit, or none of positive weight")


def present_rows(data: inputs.Table) -> tuple[inputs.Table, NDArray[np.intp]]:
    """The rows without NaN, and their numbers; a row of weight 0 is not there, whatever it holds."""
    parts = [data.X, data.Y, *([] if data.w is None else [data.w[:, None]])]
    missing = np.zeros(data.n_rows, dtype=bool)
    for part in parts:
        if part.dtype.kind == "f":
            missing |= np.isnan(part).any(axis=1)
    if data.w is not None:
        missing &= np.asarray(data.w) != 0
    kept = np.flatnonzero(~missing)
    w = None if data.w is None else data.w[kept]
    return inputs.table(data.X[kept], data.Y[kept], w, data.names, empty=True), kept


def _fit(
    stream: Stream, solver: str, l2: float, precision: str, checkpoint: Path | None, report: Report | None
) -> LinearFit:
    if len(stream.source.parts) > 1:
        moments = _sum_up(stream, None, precision, checkpoint, report)
    else:
        with closing(stream.tables()) as tables:
            first = next(tables, None)
            if first is None:
                raise stream.nothing_left()
            if first[2].n_rows < stream.source.whole:
                return _fit_in_memory(stream, *first[1:], solver, l2, precision, report)
            moments = _sum_up(stream, chain([first], tables), precision, checkpoint, report)
    if not stream.source.again:
        moments.feature_names = None if stream.names is None else tuple(stream.names)
        fit = moments.solve(l2=l2, fit_intercept=stream.fit_intercept)
        if stream.n_targets == 1 and not stream.one_target:
            fit = moments.solve(l2=l2, fit_intercept=stream.fit_intercept, targets=[0])
    else:
        M = to_sums(moments, stream.fit_intercept)
        fit = fitting.fit_sums(stream, M, solver, stream.fit_intercept, l2, precision, stream.workers)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return _noted(fit, stream, precision)


def _fit_in_memory(
    stream: Stream, block: Block, data: inputs.Table, solver: str, l2: float, precision: str, report: Report | None
) -> LinearFit:
    """The fit of a table that is one block."""
    data, dropped = stream.checked(block, data)
    stream.count(0, data.n_rows, dropped)
    if not data.n_rows:
        raise stream.nothing_left()
    fit = fitting.fit(
        data.X[:],
        data.Y[:, 0] if stream.one_target else data.Y,
        sample_weight=data.w,
        fit_intercept=stream.fit_intercept,
        solver=solver,
        precision=precision,
        l2=l2,
        feature_names=stream.names,
        n_threads=stream.workers,
        progress=report or False,
    )
    return _noted(fit, stream, precision)


def _noted(fit: LinearFit, stream: Stream, precision: str) -> LinearFit:
    reason = fit.reason
    if stream.dropped:
        reason += f"; {stream.dropped} row{'s' * (stream.dropped > 1)} with missing values dropped"
    return fit.__replace__(reason=reason, precision=precision)


class Step(NamedTuple):
    """How far the sums are.

    Blocks or parts that are done, rows that were read, the sums, and what a checkpoint keeps of it: the last block,
    or of parts the number of blocks so far.
    """

    done: int
    rows: int
    moments: Moments
    last: inputs.Table | int


def _sum_up(
    stream: Stream,
    tables: Iterable[tuple[int, Block, inputs.Table]] | None,
    precision: str,
    checkpoint: Path | None,
    report: Report | None,
) -> Moments:
    """The moments of all rows, from the checkpoint on where there is one: of the tables, or else part by part."""
    kind = "extended" if precision == "extended" and not stream.source.again else "auto"
    identity = "|".join([stream.source.identity, kind, stream.missing])
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
    return moments


def _by_block(
    stream: Stream,
    tables: Iterable[tuple[int, Block, inputs.Table]],
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
        stream.count(i, *_update(stream, moments, block, data, stream.workers))
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
    readers = min(stream.workers, len(parts), READERS)
    skipped = rows = blocks = 0
    if before is not None:
        with closing(stream.tables(parts[0](False))) as tables:
            next(tables)  # for the columns, where no part is left to read
        skipped, rows, blocks = before["done"], before["rows"], before["last"]
        stream.n_rows, stream.dropped, stream.holes = before["n_rows"], before["dropped"], before["holes"]
    stop = threading.Event()
    calls = [functools.partial(_sum_part, stream, part, kind, stop) for part in parts[skipped:]]
    found: Generator[Part, None, None] = passes.in_order(calls, readers) if readers > 1 else (call() for call in calls)
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
            counts.append((i, *_update(stream, moments, block, data, 1)))
    return Part(moments, rows, i + 1, counts)


def _update(stream: Stream, moments: Moments, block: Block, data: inputs.Table, n_threads: int) -> tuple[int, int]:
    """Add a block to the sums; its rows that were used, and those that were left out."""
    try:
        moments.update(data.X, data.Y, data.w, n_threads=n_threads)
    except ValueError as error:
        used, dropped = stream.checked(block, data)
        if used is data:
            raise ValueError(f"{block.places[0].where}: {error}") from None
        moments.update(used.X, used.Y, used.w, n_threads=n_threads)
        return used.n_rows, dropped
    return data.n_rows, 0


def to_sums(moments: Moments, fit_intercept: bool) -> sums.Sums:
    """The moments about the mean, or about 0 without an intercept, rounded to float64."""
    p, k = moments.n_features, moments.n_targets
    shift = moments.mean if fit_intercept else np.zeros(p + k)
    about = Moments(p, k, shift=shift, precision=moments.precision).merge(moments)
    return sums.of_cross_products(about.cross_products(), p, moments.n_samples, shift, np.ones(p + k))


@contextmanager
def _bar(progress: bool | Report) -> Iterator[Report | None]:
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
