# SPDX-License-Identifier: BSD-3-Clause
"""The same fit on dask arrays and data frames: each chunk becomes moments where it lies, only these travel."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import dask

from linreg_fast import fitting
from linreg_fast.algebra.precision import Vector
from linreg_fast.dask.collections import chunks_of
from linreg_fast.inputs.rounding import Rounded, warn_rounded
from linreg_fast.inputs.table import Table
from linreg_fast.moments.moments import Moments
from linreg_fast.options import FitOptions
from linreg_fast.result import LinearFit
from linreg_fast.robust import NONROBUST, with_covariances
from linreg_fast.streams.fitting import of_stream
from linreg_fast.streams.summing import to_sums


def fit(
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    fit_intercept: bool = True,
    l2: float = 0.0,
    precision: str = "auto",
    missing: str = "raise",
    cov: str = NONROBUST,
    compute: bool = True,
) -> Any:
    """Fit a linear model to chunks of rows on the scheduler in use: a cluster's, or threads of this process.

    The shift is taken from the first chunk that has rows; the moments of each chunk are then summed up by one thread
    where the chunk lies, and p^2 numbers a chunk are merged in a tree. Refinement, where the digits ask for it, is a
    few more rounds of the same kind. Chunks that are persisted are summed up several a task; others, one by one as
    they are computed, so that no more of them are in memory at once than the scheduler wants.

    Parameters
    ----------
    X : dask array of shape (n_samples, n_features) or (n_samples,), or dask data frame
        Chunks of rows, of any lengths, known or not; columns in several chunks are brought together.
    y : dask array of shape (n_samples,) or (n_samples, n_targets), dask series or data frame; str or list of str
        With the rows of X chunk by chunk, aligned by label within a chunk where both are of pandas; the names of
        columns of a data frame X, which are then not among the features, and columns that are not of numbers are left
        out.
    sample_weight : dask array or series of shape (n_samples,), or str, optional
    fit_intercept, l2, precision
        As in `linreg_fast.fit`.
    missing : {"raise", "drop"}
        As in `linreg_fast.fit`.
    cov : {"nonrobust", "HC0", "HC1", "HC2", "HC3"}
        As in `linreg_fast.fit`; robust ones take one more round over the chunks.
    compute : bool
        False hands back the graph as a `Delayed` that computes to the `LinearFit`. It is solved from the moments
        alone, with "extended" from moments in double-double: refinement would decide on further rounds as it goes.

    Returns
    -------
    LinearFit or dask.delayed.Delayed

    Raises
    ------
    TypeError
        Not dask collections; columns that are not of numbers.
    ValueError
        Shapes or chunks that do not match, no rows; NaN, infinity or negative weights: the chunk, the row in it and
        the column are named.

    Warns
    -----
    RankWarning, ConditionWarning, PrecisionWarning, LeftOutWarning
        As in `linreg_fast.fit`.

    Examples
    --------
    >>> import dask.array as da, linreg_fast.dask
    >>> x = da.arange(8.0, chunks=3)
    >>> line = linreg_fast.dask.fit(x, 1 + 2 * x)
    >>> line.slope, line.intercept
    (2.0, 1.0)
    """
    options = FitOptions(precision=precision, l2=l2, fit_intercept=fit_intercept, missing=missing, n_threads=1)
    if cov == "cluster":
        raise ValueError(
            'cov="cluster" is for rows in memory and files; of chunks sum up `Moments` for each cluster, which '
            "add, and use `cluster_cov`"
        )
    asked = of_stream(cov)
    if asked.kind != NONROBUST and not compute:
        raise ValueError(f'cov="{cov}" reads the rows twice: it needs compute=True')
    chunks = chunks_of(X, y, sample_weight, missing)
    kind = "extended" if precision == "extended" and not compute else "auto"
    shift = chunks.shift(compute)
    one = SumUp(chunks.n_features, chunks.n_targets, kind)
    if not compute:
        part = chunks.folded(one, operator.add, shift)
        return dask.delayed(_solve)(part, chunks.names, options, chunks.one_target, chunks.left_out)
    part = _present(chunks.fold(one, operator.add, shift))
    chunks.n_dropped = part.n_dropped
    fit = fitting.fit_sums(chunks, to_sums(part.moments, options.fit_intercept), options)
    return fit if asked.kind == NONROBUST else with_covariances(fit, chunks, asked, 1)


@dataclass(slots=True)
class Part:
    """The moments of some chunks, how many of their rows were dropped, and the first number that was rounded."""

    moments: Moments
    n_dropped: int
    rounded: tuple[str, Rounded, list[str] | None] | None

    def __add__(self, other: Part) -> Part:
        moments, rounded = self.moments + other.moments, self.rounded or other.rounded
        return Part(moments, self.n_dropped + other.n_dropped, rounded)


@dataclass(slots=True)
class SumUp:
    """What is made of each chunk; of one without rows too, which may have dropped some."""

    n_features: int
    n_targets: int
    precision: str
    of_empty = True

    def __call__(self, data: Table, shift: Vector | None) -> Part:
        moments = Moments(self.n_features, self.n_targets, shift=shift, precision=self.precision)
        rounded = None if data.rounded is None else (*data.rounded, data.names if data.rounded[0] == "X" else None)
        return Part(moments.add(data, 1), data.n_dropped, rounded)


def _present(part: Part | None) -> Part:
    """The sums of all rows, if there are some, once it was told what was rounded."""
    if part is None or not part.moments.n_samples:
        if part is not None and part.n_dropped:
            raise ValueError(f"every row has a missing value in a column in use: {part.n_dropped} of them were dropped")
        raise ValueError("there are no rows to fit, or none of positive weight")
    if part.rounded is not None:
        name, found, names = part.rounded
        warn_rounded(found, name, names)
    return part


def _solve(
    part: Part | None, names: list[str] | None, options: FitOptions, one_target: bool, left_out: dict[str, str]
) -> LinearFit:
    part = _present(part)
    moments = part.moments.copy()
    moments.n_dropped = part.n_dropped
    moments.feature_names = None if names is None else tuple(names)
    targets = 0 if one_target else range(moments.n_targets)
    fit = moments.solve(l2=options.l2, fit_intercept=options.fit_intercept, targets=targets)
    return fit.__replace__(left_out=left_out)
