# SPDX-License-Identifier: BSD-3-Clause
"""fit_stream and fit_file: tables larger than memory, block by block into the moments.

Rows that can be read again get what a table in memory gets: QR or SVD where the conditioning asks for it, and
refinement, each of them another reading. Rows that come once are solved from their moments.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from linreg_fast.inputs.missing import complete
from linreg_fast.options import FitOptions, limits
from linreg_fast.passes.progress import Report, reporting
from linreg_fast.result import LinearFit
from linreg_fast.robust import NONROBUST, Keyed, Sandwich, with_covariances
from linreg_fast.streams import formulas, sources
from linreg_fast.streams.choice import Roles, warn_left_out
from linreg_fast.streams.csv_options import CsvOptions, csv_options
from linreg_fast.streams.rows import Stream
from linreg_fast.streams.sources import Source
from linreg_fast.streams.standard_input import readable
from linreg_fast.streams.summing import fit_rows


def fit_stream(
    batches: Any,
    *,
    target: str | Sequence[str] | None = None,
    features: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    sample_weight: str | None = None,
    fit_intercept: bool = True,
    l2: float = 0.0,
    positive: bool = False,
    bounds: Any = None,
    precision: str = "auto",
    missing: str = "raise",
    cov: str = NONROBUST,
    groups: str | None = None,
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
        - a `polars.LazyFrame`, whose batches are collected one by one;
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
        Columns to explain it by; without it all other columns of numbers of the first batch that are neither an index
        nor row numbers without a name. A column without a value in the first batch is one of numbers if a later batch
        says so; of rows that come once it is taken for one.
    exclude : sequence of str, optional
        Columns that are no features, where `features` is not given.
    sample_weight : str, optional
        Column of weights.
    fit_intercept : bool
    l2 : float
        Penalty, as in `fit`.
    positive, bounds
        Bounds of the coefficients, as in `fit`.
    precision : {"auto", "fast", "extended"}
    cov : {"nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster"}
        As in `fit`; robust ones take one more reading.
    groups : str, optional
        Column of the keys of clusters, which are numbers; it is no feature.
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
    LeftOutWarning
        Columns that nobody excluded take no part.
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
    options = FitOptions(
        precision=precision,
        l2=l2,
        fit_intercept=fit_intercept,
        missing=missing,
        n_threads=n_threads,
        bounds=limits(positive, bounds),
    )
    roles = without_keys(Roles(target, features, sample_weight, exclude), groups)
    if isinstance(batches, (str, os.PathLike)):
        with readable(batches) as path:
            stream = Stream(sources.of_files(path, roles), options)
            asked = of_stream(cov, keyed_tables(stream, roles, groups, functools.partial(sources.of_files, path)))
            fit = fit_source(stream, checkpoint, progress, asked)
    else:
        stream = Stream(sources.of_batches(batches, roles), options)
        asked = of_stream(cov, keyed_tables(stream, roles, groups, functools.partial(sources.of_batches, batches)))
        fit = fit_source(stream, checkpoint, progress, asked)
    warn_left_out(stream.source.left_out)
    stream.source.noticed.warn(stream.names)
    return fit


def fit_file(
    path: str | os.PathLike[str],
    *,
    target: Any = None,
    features: Sequence[Any] | None = None,
    exclude: Sequence[Any] = (),
    sample_weight: Any = None,
    formula: str | None = None,
    levels: Mapping[str, Sequence[Any]] | None = None,
    csv: Mapping[str, Any] | None = None,
    fit_intercept: bool = True,
    solver: str = "auto",
    l2: float = 0.0,
    positive: bool = False,
    bounds: Any = None,
    precision: str = "auto",
    missing: str = "raise",
    cov: str = NONROBUST,
    groups: str | None = None,
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
        names: Parquet, text (.csv, .tsv, and .txt, which a folder may have for notes and is read by its own name or a
        pattern; each of them plain or as .gz, .zst, .bz2 or .lz4), Arrow and Feather, .npy. Folders named key=value
        give a column `key` where all its values are numbers. "-" is standard input.
    target : str or sequence of str
        Column to explain, or columns; for .npy files its position, by default the last.
    features : sequence of str, optional
        Columns to explain it by, for .npy files positions; without it all other columns of numbers that are neither the
        index of a data frame (which Parquet and Feather files of pandas hold as columns) nor row numbers without a
        name (as R and pandas write them to CSV). A column of text in which most fields are numbers is one of numbers.
    exclude : sequence of str, optional
        Columns that are no features, where `features` is not given.
    sample_weight : str, optional
        Column of weights.
    formula : str, optional
        In place of `target`, `features` and `exclude`, with `levels` of its categories: see `fit_formula`.
    levels : dict, optional
    csv : dict, optional
        How text is written, as far as that differs from the usual: "delimiter" (a comma; a tab in .tsv), "decimal",
        "thousands", "null_values" (tokens that stand for a missing value, beside an empty field, NA, NaN, null ...),
        "encoding", "quote" ("" for none), "comment" (what a line to be passed over starts with), "skip_rows" (lines
        before the head), "header" (True; False for columns that are named by their positions; or the names).
    solver : {"auto", "cholesky", "qr", "svd", "gd"}
        As in `fit`; gradient descent iterates on the moments.
    fit_intercept, l2, positive, bounds, precision, missing, cov, groups, checkpoint, progress, n_threads
        As in `fit_stream`.

    Returns
    -------
    LinearFit

    Raises
    ------
    TypeError, ValueError
        As in `fit_stream`, with the file, the row in it and the column; files of several kinds, or whose columns
        differ; a damaged file; a field of a column of numbers that is no number; an option of `csv` that is not known.
    OSError
        No such file; one that cannot be read; a checkpoint that cannot be written.

    Warns
    -----
    LeftOutWarning
        Columns that nobody excluded take no part.
    RankWarning, ConditionWarning, ConvergenceWarning
        As in `fit`.
    """
    options = FitOptions(
        solver=solver,
        precision=precision,
        l2=l2,
        fit_intercept=fit_intercept,
        missing=missing,
        n_threads=n_threads,
        bounds=limits(positive, bounds),
    )
    if formula is not None:
        if Roles(target, features, None, exclude) != Roles():
            raise TypeError("formula names the columns of the fit: it stands in place of target, features and exclude")
        by_name = formulas.Asked(formula, levels or {}, sample_weight, missing)
        if fit_intercept is not True:
            raise TypeError('a formula says itself whether there is an intercept: "y ~ 0 + x" has none')
        if groups is not None:
            raise TypeError("groups of a fit by a formula are for rows in memory: see linreg_fast.robust")
        return by_formula(path, of_csv(csv), by_name, options, (checkpoint, progress, of_stream(cov)))
    if levels is not None:
        raise TypeError("levels are those of the categories of a formula")
    with readable(path) as copy:
        roles = without_keys(Roles(target, features, sample_weight, exclude), groups)
        source = sources.of_files(copy, roles, of_csv(csv))
        stream = Stream(source, options)
        open_ = functools.partial(sources.of_files, copy, csv=of_csv(csv))
        asked = of_stream(cov, keyed_tables(stream, roles, groups, open_))
        fit = fit_source(stream, checkpoint, progress, asked)
    warn_left_out(stream.source.left_out)
    stream.source.noticed.warn()
    return fit


def by_formula(
    given: Any,
    csv: CsvOptions | None,
    asked: formulas.Asked,
    options: FitOptions,
    how: tuple[str | os.PathLike[str] | None, bool | Report, Sandwich],
) -> LinearFit:
    """The fit of rows by a formula; `how` are further arguments of `fit_source`."""
    with readable(given) if isinstance(given, (str, os.PathLike)) else nullcontext() as path:
        rows = formulas.of_batches(given) if path is None else formulas.of_files(path, csv)
        if not rows.again and options.on_collinear != "min_norm":
            raise ValueError("on_collinear is for rows that can be read again; these come once")
        stream, spec = formula_stream(rows, asked, options)
        fit = fit_source(stream, *how).__replace__(formula=spec)
    stream.source.noticed.warn()
    return fit


def formula_stream(
    rows: formulas.Rows, asked: formulas.Asked, options: FitOptions
) -> tuple[Stream, formulas.Specification]:
    """The columns of a formula as a stream, and by which specification they are made."""
    source, spec = formulas.source_of(rows, asked)
    return Stream(source, replace(options, fit_intercept=spec["intercept"])), spec


def of_csv(given: Mapping[str, Any] | None) -> CsvOptions | None:
    """Options of text, None where nobody gave some."""
    return None if given is None else csv_options(given)


def fit_source(
    stream: Stream, checkpoint: str | os.PathLike[str] | None, progress: bool | Report, asked: Sandwich
) -> LinearFit:
    """The fit of a source, with the covariances asked for; `stream` has what was found on the way."""
    robust = asked.kind != NONROBUST
    if robust and not stream.source.again:
        raise ValueError(
            f'cov="{asked.kind}" reads the rows twice, which these batches do not allow: hand over a callable, a path, '
            "a list or a data frame"
        )
    with reporting(progress) as report:
        fit = fit_rows(stream, None if checkpoint is None else Path(checkpoint), report)
    return with_covariances(fit, stream, asked, stream.options.workers) if robust else fit


def of_stream(cov: str, groups: Any = None) -> Sandwich:
    """The covariances that are asked for of a stream: those that add over its rows in any order."""
    if cov == "HAC":
        raise ValueError('cov="HAC" is for rows in memory')
    return Sandwich(cov, groups)


def without_keys(roles: Roles, groups: str | None) -> Roles:
    """The roles of columns, the keys of clusters being no feature."""
    if groups is None or roles.features is not None or groups in roles.exclude:
        return roles
    return replace(roles, exclude=(*roles.exclude, groups))


def keyed_tables(stream: Stream, roles: Roles, groups: str | None, open_: Callable[[Roles], Source]) -> Any:
    """What yields the rows of a stream once more, with the keys in a column; None without one."""
    if groups is None:
        return None

    def tables() -> Iterator[Keyed]:
        source = open_(replace(roles, target=[*roles.targets, groups], features=stream.names, exclude=()))
        for _, block, data in Stream(source, stream.options).tables():
            keys, rows = data.Y[:, -1], replace(data, Y=data.Y[:, :-1])
            if stream.options.missing == "drop":
                rows = complete(rows, empty=True)
                keys = keys if rows.numbers is None else keys[rows.numbers]
            gone = np.flatnonzero(np.isnan(keys))
            if gone.size:
                row = int(gone[0]) if rows.numbers is None else int(rows.numbers[gone[0]])
                where, row = block.place(row)
                raise ValueError(f"column {groups!r} has no key at row {row} of {where}: every row needs a cluster")
            yield rows, np.array(keys)

    return tables
