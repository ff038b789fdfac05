# SPDX-License-Identifier: BSD-3-Clause
"""The same fit on Spark data frames: each partition becomes moments where it lies, only these travel.

A task is a pure function of its partition, and Spark collects one result of each: a task that is run again, after it
failed or its worker was lost, counts nothing twice and gives the same bits.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from linreg_fast import fitting
from linreg_fast.algebra.precision import Vector
from linreg_fast.inputs.missing import complete
from linreg_fast.inputs.table import Table, table
from linreg_fast.moments.moments import Moments
from linreg_fast.options import FitOptions
from linreg_fast.passes import products
from linreg_fast.result import LinearFit
from linreg_fast.streams import arrow
from linreg_fast.streams.blocks import block_rows, fill
from linreg_fast.streams.choice import Roles, choose, warn_left_out
from linreg_fast.streams.rounded import Noticed
from linreg_fast.streams.rows import Stream
from linreg_fast.streams.sources import Source
from linreg_fast.streams.summing import to_sums, update

SCHEMA = "part int, found binary, error string"
OTHER_TYPE = "ArrowVectorAccessor"  # in what Spark says of a batch whose types are not those of its schema
BLOCKWISE = 16  # columns up to which the sums of each block travel by themselves: 4 kB for 8 MB of rows
BLOCKWISE_BYTES = 128 << 20  # of what later passes find in all blocks, up to which it travels so too


def fit(
    dataframe: Any,
    target: str | Sequence[str],
    *,
    features: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    sample_weight: str | None = None,
    fit_intercept: bool = True,
    l2: float = 0.0,
    precision: str = "auto",
    missing: str = "raise",
) -> LinearFit:
    """Fit a linear model to a Spark data frame, classic or of Spark Connect.

    One job reads the first rows, for the shift; one more sums up every partition by `mapInArrow`; refinement, where the
    digits ask for it, is a few more of the same kind. Each job computes the data frame anew: `persist` one that is
    dear to compute, or that does not come out the same twice.

    Parameters
    ----------
    dataframe : pyspark.sql.DataFrame
        The workers need linreg_fast and pyarrow installed.
    target : str or sequence of str
        Column to explain; several give a fit with several targets.
    features : sequence of str, optional
        Columns to explain it by; without it all other columns of numbers.
    exclude : sequence of str, optional
        Columns that are no features, where `features` is not given.
    sample_weight : str, optional
        Column of weights.
    fit_intercept, l2, precision
        As in `linreg_fast.fit`.
    missing : {"raise", "drop"}
        What to do about rows with null or NaN.

    Returns
    -------
    LinearFit
        With the bits of `fit_stream` of a list of the partitions, each one data frame, in the order of their numbers.
        Of more than 16 columns the sums of a partition travel as one: in double-double, so that other last bits are all
        but impossible.

    Raises
    ------
    TypeError
        No Spark data frame; a column asked for that is not of numbers.
    ValueError
        Columns that are not there, or are there twice; no rows; NaN, infinity or negative weights: the partition, the
        row in it and the column are named. Another number of rows when the data frame is computed again.

    Warns
    -----
    LeftOutWarning
        Columns that nobody excluded take no part.
    RankWarning, ConditionWarning, PrecisionWarning
        As in `linreg_fast.fit`.
    """
    options = FitOptions(precision=precision, l2=l2, fit_intercept=fit_intercept, missing=missing, n_threads=1)
    roles = Roles(target, features, sample_weight, exclude)
    rows = _partitions(dataframe, roles, options)
    shift = rows.shift()
    moments = rows.sum_up(shift)
    found = fitting.fit_sums(rows, to_sums(moments, fit_intercept), options)
    if rows.n_dropped:
        one = "s" * (rows.n_dropped > 1)
        found = found.__replace__(reason=f"{found.reason}; {rows.n_dropped} row{one} with missing values dropped")
    warn_left_out(rows.left_out)
    rows.noticed.warn()
    return found


class Frame(NamedTuple):
    """What a task knows of the data frame: features, targets and weight, in this order, and what is asked."""

    columns: list[str]
    n_features: int
    n_targets: int
    weighted: bool
    one_target: bool
    options: FitOptions

    def stream(self, batches: Iterable[Any], part: int) -> Stream:
        """The rows of a partition in blocks that do not depend on the batches that Spark makes of them."""
        import pyarrow

        where, noticed = f"partition {part}", Noticed()
        # short pieces: those are copied into whole blocks
        step = max(1, block_rows(len(self.columns)) // 4 - 1)

        def pieces() -> Iterator[Any]:
            row = 0
            for batch in batches:
                named = pyarrow.RecordBatch.from_arrays(batch.columns, names=self.columns)
                for at in range(0, named.num_rows, step):
                    piece = named.slice(at, step)
                    arrays = arrow.arrays(piece, self.columns, where)
                    if noticed.wanted(part, row) and (found := arrow.first_rounded(piece, self.columns)):
                        noticed.add(part, row, where, f"column {found[0]!r}", found[1])
                    yield where, row, arrays
                    row += piece.num_rows

        shape = self.n_features, self.n_targets, self.weighted, self.one_target
        names = self.columns[: self.n_features]
        source = Source(
            [lambda ahead: fill(pieces(), *shape, [], across=True)], False, names, self.columns, noticed=noticed
        )
        return Stream(source, self.options)


class Found(NamedTuple):
    """What a task made of its partition: something of each block, or of all, and how many rows and blocks it read."""

    parts: list[Any]
    rows: int
    blocks: int
    dropped: int = 0
    rounded: Any = None


@dataclass(slots=True)
class Partitions:
    """The partitions of a data frame as one table: as much of `inputs.Table` as solvers ask for."""

    dataframe: Any
    frame: Frame
    left_out: dict[str, str]
    noticed: Noticed = field(default_factory=Noticed)
    n_rows: int = 0
    n_blocks: int = 0
    n_dropped: int = 0

    @property
    def n_features(self) -> int:
        return self.frame.n_features

    @property
    def n_targets(self) -> int:
        return self.frame.n_targets

    @property
    def one_target(self) -> bool:
        return self.frame.one_target

    @property
    def weighted(self) -> bool:
        return self.frame.weighted

    @property
    def names(self) -> list[str]:
        return self.frame.columns[: self.frame.n_features]

    @property
    def target_names(self) -> list[str]:
        return self.frame.columns[self.frame.n_features :][: self.frame.n_targets]

    def shift(self) -> Vector:
        """The mean of the leading rows of the first partition that has some, as a stream of the partitions takes it.

        By a job on no more partitions than that, in which no Python worker takes part: one that is left with rows
        unread is not used again.
        """
        from pyspark.sql.functions import spark_partition_id

        p, frame = self.n_features, self.frame
        some, most = self._columns().withColumn("part", spark_partition_id()), block_rows(len(frame.columns))
        n = products.SHIFT_ROWS
        while True:
            taken = self._asked(functools.partial(some.take, n))
            for part in sorted({row[-1] for row in taken}):
                rows = np.array([tuple(row)[:-1] for row in taken if row[-1] == part][:most], dtype=np.float64)
                data = table(rows[:, :p], rows[:, p : p + frame.n_targets], rows[:, -1] if frame.weighted else None)
                data = complete(data, empty=True) if frame.options.missing == "drop" else data
                used = data.n_present()
                ends = len(taken) < n or part < taken[-1][-1] or len(rows) == most
                if used and (ends or used >= products.SHIFT_ROWS):
                    shift = products.leading_mean(data)
                    # NaN and infinity are told with their row when all rows are read
                    return np.where(np.isfinite(shift), shift, 0.0)
            if len(taken) < n:
                if not taken or frame.options.missing != "drop":
                    raise ValueError("there are no rows to fit, or none of positive weight")
                raise ValueError(f"every row has a missing value in a column in use: {len(taken)} of them were dropped")
            n *= 16

    def sum_up(self, shift: Vector) -> Moments:
        """The moments of all rows, in the order of the partitions, as a stream of them comes to them.

        Rows too far from the shift for their sums to keep their digits are summed up once more, about one of their
        own; the first of all then say where it is for everybody.
        """
        blockwise = len(self.frame.columns) <= BLOCKWISE
        near: dict[tuple[int, int], Vector] = {}
        while True:
            found = self._run(functools.partial(_sums_of, shift=shift, near=near, blockwise=blockwise))
            total = Moments(self.n_features, self.n_targets, shift=shift)
            again: dict[tuple[int, int], Vector] = {}
            for part, one in found:
                for i, state in enumerate(one.parts):
                    moments = Moments.from_bytes(state)
                    own = None if near or not moments.n_samples else total.nearer(moments.sums)
                    if own is not None:
                        again[part, i] = own
                    total.merge(moments)
            if not again:
                break
            first = next((part, i) for part, one in found for i in range(len(one.parts)))
            if first in again:
                shift = again.pop(first)
            else:
                near = again
        self._count([one for _, one in found])
        if not total.n_samples:
            raise ValueError("there are no rows to fit, or none of positive weight")
        return total

    def _count(self, found: list[Found]) -> None:
        """Note how many rows and blocks there are, and what was dropped and rounded."""
        self.n_rows, self.n_blocks = sum(one.rows for one in found), sum(one.blocks for one in found)
        self.n_dropped = sum(one.dropped for one in found)
        for one in found:
            if one.rounded is not None and (self.noticed.first is None or one.rounded[0] < self.noticed.first[0]):
                self.noticed.first = one.rounded

    def fold(self, function: Callable[[Table], Any], merge: Callable[[Any, Any], Any]) -> Any:
        """What `function` makes of all blocks, merged in their order."""
        blockwise = 16 * len(self.frame.columns) ** 2 * self.n_blocks <= BLOCKWISE_BYTES
        found = self._run(functools.partial(_made_of, function=function, merge=None if blockwise else merge))
        rows = sum(one.rows for _, one in found)
        if rows != self.n_rows:
            raise ValueError(f"the data frame has {rows} rows when it is computed again, it had {self.n_rows} before")
        return functools.reduce(merge, [made for _, one in found for made in one.parts])

    def _columns(self) -> Any:
        """The columns in use, by their places: `mapInArrow` does not take every name."""
        from pyspark.sql.functions import col

        quoted = ["`{}`".format(name.replace("`", "``")) for name in self.frame.columns]
        return self.dataframe.select([col(name).alias(f"c{j}") for j, name in enumerate(quoted)])

    def _run(self, task: Callable[[Stream, int], Found]) -> list[tuple[int, Found]]:
        """What a task makes of each partition, in their order.

        Raises
        ------
        TypeError, ValueError
            The first error, by the order of the partitions.
        """
        job = functools.partial(_on_partition, task=task, frame=self.frame)
        rows = sorted(self._asked(self._columns().mapInArrow(job, SCHEMA).collect), key=lambda row: row.part)
        for row in rows:
            if row.error is not None:
                kind, text = row.error.split(":", 1)
                raise {"TypeError": TypeError}.get(kind, ValueError)(text)
        return [(row.part, pickle.loads(row.found)) for row in rows]

    def _asked(self, action: Callable[[], list[Any]]) -> list[Any]:
        """What Spark answers.

        Raises
        ------
        TypeError
            A partition holds another type than the schema says, which Spark tells without the name of the column.
        """
        try:
            return action()
        except Exception as error:
            if OTHER_TYPE in str(error):
                self._name_column(error)
            raise

    def _name_column(self, error: Exception) -> None:
        """Raise TypeError for the first column that cannot be read by itself."""
        from pyspark.sql.functions import hash

        columns = self._columns()
        for j, name in enumerate(self.frame.columns):
            try:
                columns.select(hash(f"c{j}").alias("c")).where("c is null").count()
            except Exception as found:
                if OTHER_TYPE in str(found):
                    kind = self.dataframe.schema[name].dataType.simpleString()
                    raise TypeError(
                        f"column {name!r} is not of type {kind} in every partition, as the schema of the data frame "
                        "says: the function that makes it must hand over what it promised"
                    ) from error


def _partitions(dataframe: Any, roles: Roles, options: FitOptions) -> Partitions:
    """The data frame with the columns in use."""
    if not (hasattr(dataframe, "mapInArrow") and hasattr(dataframe, "schema")):
        kind = type(dataframe).__name__
        raise TypeError(f"dataframe must be a Spark data frame, not {kind}; linreg_fast.fit takes others")
    names = list(dataframe.columns)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"the data frame has several columns {twice!r}: rename or drop them first")
    kinds = {one.name: _kind(one.dataType) for one in dataframe.schema.fields}
    chosen = choose("the data frame", kinds, roles)
    shape = len(chosen.features), len(roles.targets), roles.weight is not None, not roles.several
    return Partitions(dataframe, Frame(chosen.columns, *shape, options), chosen.left_out)


def _kind(spark_type: Any) -> Any:
    """The Arrow type that a column of a Spark type arrives in; the name of one that Arrow does not have."""
    from pyspark.sql.pandas.types import to_arrow_type

    try:
        return to_arrow_type(spark_type)
    except Exception:
        return spark_type.simpleString()


# on the workers


def _on_partition(batches: Iterable[Any], *, task: Callable[[Stream, int], Found], frame: Frame) -> Iterator[Any]:
    """What a task makes of a partition as a batch of one row, or the error in it that a user can mend."""
    import pyarrow
    from pyspark import TaskContext

    context = TaskContext.get()
    part = 0 if context is None else context.partitionId()
    try:
        found, error = pickle.dumps(task(frame.stream(batches, part), part)), None
    except (TypeError, ValueError) as told:
        found, error = None, f"{type(told).__name__}:{told}"
    columns = {"part": (part, "int32"), "found": (found, "binary"), "error": (error, "string")}
    arrays = [pyarrow.array([value], kind) for value, kind in columns.values()]
    yield pyarrow.RecordBatch.from_arrays(arrays, names=list(columns))


def _sums_of(
    stream: Stream, part: int, *, shift: Vector, near: dict[tuple[int, int], Vector], blockwise: bool
) -> Found:
    """The sums of each block, or of all; about a shift of their own where `near` has one, brought to the common one."""
    parts: list[Moments] = []
    rows = blocks = gone = 0
    for i, block, data in stream.tables():
        own = near.get((part, i if blockwise else 0))
        moments = Moments(data.n_features, data.n_targets, shift=shift if own is None else own)
        used, dropped = update(stream, moments, block, data, 1, follow=False)
        if own is not None:
            moments = Moments(data.n_features, data.n_targets, shift=shift).merge(moments)
        rows, blocks, gone = rows + used, blocks + 1, gone + dropped
        if parts and not blockwise:
            parts[0].merge(moments)
        else:
            parts.append(moments)
    return Found([one.to_bytes() for one in parts], rows, blocks, gone, stream.source.noticed.first)


def _made_of(
    stream: Stream, part: int, *, function: Callable[[Table], Any], merge: Callable[[Any, Any], Any] | None
) -> Found:
    """What a function makes of each block, or of all."""
    parts: list[Any] = []
    rows = blocks = 0
    for _, _, data in stream.tables():
        if stream.options.missing == "drop":
            data = complete(data, empty=True)
        rows, blocks = rows + data.n_rows, blocks + 1
        if data.n_rows:
            made = function(data)
            if parts and merge is not None:
                parts[0] = merge(parts[0], made)
            else:
                parts.append(made)
    return Found(parts, rows, blocks)
