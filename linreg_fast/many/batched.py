# SPDX-License-Identifier: BSD-3-Clause
"""Stacks of problems: each with its own rows, or with one X or one y for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.checks import one_of
from linreg_fast.inputs.table import Table, table
from linreg_fast.many import screening
from linreg_fast.many.fits import About, Fits, checked_stats
from linreg_fast.many.frames import library_of
from linreg_fast.many.presence import rows_present
from linreg_fast.many.stack import Asked, Problems, solved
from linreg_fast.many.targets import of_targets
from linreg_fast.options import MISSING, FitOptions
from linreg_fast.passes.progress import Report, reporting


def batched(
    X: Any,
    y: Any,
    *,
    offsets: Any = None,
    controls: Any = None,
    sample_weight: Any = None,
    stats: str | Sequence[str] = (),
    missing: str = "raise",
    fit_intercept: bool = True,
    l2: float = 0.0,
    n_threads: int | None = None,
    progress: bool | Report = False,
) -> Fits:
    """Fit a stack of linear models in one call.

    Parameters
    ----------
    X, y : array_like
        What the problems are of:

        - X of shape (B, n, p) and y of (B, n) or (B, n, k): B problems of n rows, of k targets each;
        - X of shape (N, p) and y of (N,) or (N, k) with `offsets`: problems of any number of rows, one after the other;
        - X of shape (n, p) and y of (n, B): one X and B targets, a problem each;
        - X of shape (n, B), y of (n,) and `controls` of (n, q): each column of X in its own problem, beside the
          controls, which are the same in all of them.

        float64 and float32 in C order are read where they are; a stack of another layout is copied.
    offsets : array_like of int, shape (B + 1,), optional
        Problem i has the rows offsets[i] to offsets[i + 1] - 1; ascending, from 0 to N.
    controls : array_like of shape (n, q), optional
        With q = 0 each column of X is alone in its problem.
    sample_weight : array_like, optional
        A weight for each row, of the shape of y without its targets.
    stats : str or sequence of str
        Which of "stderr", "tvalues", "rss", "r2" are columns of `Fits.to_frame`; as attributes all of them are there.
    missing : {"raise", "drop"}
        "drop" leaves out, in each problem by itself, rows with NaN, and counts them in `Fits.n_dropped`, over all
        problems; `Fits.n_samples` says what is left in each. A problem may have no row left.
    fit_intercept, l2
        As for `fit`.
    n_threads : int, optional
    progress : bool or callable
        As for `fit`, in problems.

    Returns
    -------
    Fits
        One fit for each problem, in their order. Beside controls the coefficient of a column of X is the first one,
        those of the controls follow.

    Raises
    ------
    TypeError, ValueError
        Shapes that do not fit each other; NaN, infinity or a negative weight, with the row, counted over all problems,
        and a note that names the problem; what `fit` raises.

    Warns
    -----
    RankWarning
        Problems with too few rows or dependent columns: how many and the first of them. They have the solution of least
        norm, a `rank` less than the columns and no standard errors; beside a constant column, which has the coefficient
        0, the others have theirs.

    Notes
    -----
    A problem whose closed form would have fewer than 10 digits is fitted by itself, as `fit` does it.

    Examples
    --------
    >>> import numpy as np
    >>> from linreg_fast import batched
    >>> X = np.array([[[0.0], [1.0], [2.0]], [[0.0], [1.0], [3.0]]])
    >>> y = np.array([[1.0, 3.0, 5.0], [0.0, -1.0, -3.0]])
    >>> fits = batched(X, y)
    >>> fits.coef[:, 0].tolist(), fits.intercept.tolist()
    ([2.0, -1.0], [1.0, 0.0])
    """
    one_of(missing, "missing", MISSING)
    asked = checked_stats(stats)
    options = FitOptions(l2=l2, fit_intercept=fit_intercept, missing=missing, n_threads=n_threads)
    if np.ndim(X) == 3 or offsets is not None:
        if controls is not None:
            raise ValueError("controls are for one y and X of shape (n, B); these problems have their own rows")
        if np.ndim(X) == 3 and offsets is not None:
            raise ValueError("offsets are for X of shape (N, p); a stack of shape (B, n, p) needs none")
        data, bounds = _stacked(X, y, sample_weight) if offsets is None else _ragged(X, y, sample_weight, offsets)
        with reporting(progress) as report:
            return _of_rows(data, bounds, options, report, (library_of(X, y), asked))
    with reporting(progress) as report:
        if controls is not None:
            data = screening.checked(X, y, controls, sample_weight)
            arrays, about = screening.solved(data, controls, options, report)
        else:
            data = table(X, y, sample_weight)
            if data.one_target:
                raise ValueError(
                    f"X has shape {data.X.shape} and y ({data.n_rows},), which is one problem: use fit, or give "
                    "offsets, controls, or y of shape (n, B)"
                )
            arrays, about = of_targets(data, options, report)
    return Fits(arrays, about._replace(library=library_of(X, y), stats=asked))


def _stacked(X: Any, y: Any, w: Any) -> tuple[Table, NDArray[np.intp]]:
    """The rows of all problems as one table, and where those of each begin."""
    X, y = np.asarray(X), np.asarray(y)
    n_problems, n, p = X.shape
    if y.ndim not in (2, 3) or y.shape[:2] != (n_problems, n):
        raise ValueError(
            f"y must have shape ({n_problems}, {n}) or ({n_problems}, {n}, k) beside X {X.shape}; got {y.shape}"
        )
    if w is not None:
        w = np.asarray(w)
        if w.shape != (n_problems, n):
            raise ValueError(f"sample_weight must have shape ({n_problems}, {n}), got {w.shape}")
        w = w.reshape(-1)
    data = table(X.reshape(n_problems * n, p), y.reshape(n_problems * n, *y.shape[2:]), w, empty=True)
    return data, np.arange(n_problems + 1, dtype=np.intp) * n


def _ragged(X: Any, y: Any, w: Any, offsets: Any) -> tuple[Table, NDArray[np.intp]]:
    """The table as it is, and where problems begin in it."""
    data = table(X, y, w, empty=True)
    bounds = np.asarray(offsets)
    if bounds.ndim != 1 or len(bounds) == 0 or bounds.dtype.kind not in "iu":
        raise TypeError(f"offsets must be integers of one dimension, got {bounds.dtype} of shape {bounds.shape}")
    if bounds[0] != 0 or bounds[-1] != data.n_rows:
        raise ValueError(f"offsets must go from 0 to the {data.n_rows} rows of X, got {bounds[0]} to {bounds[-1]}")
    bounds = bounds.astype(np.intp)
    back = np.flatnonzero(np.diff(bounds) < 0)
    if back.size:
        raise ValueError(
            f"offsets must ascend; {bounds[back[0] + 1]} follows {bounds[back[0]]} at position {back[0] + 1}"
        )
    return data, bounds


def _of_rows(
    data: Table, bounds: NDArray[np.intp], options: FitOptions, report: Report | None, seen: tuple[str, tuple[str, ...]]
) -> Fits:
    """The fits of problems with rows of their own."""
    library, stats = seen
    problems, n_dropped = Problems(None, bounds), 0
    if options.missing == "drop":
        present, n_dropped = rows_present(data, True)
        if present is not None:
            before = np.concatenate([[0], np.cumsum(present)])
            problems = Problems(np.flatnonzero(present), before[bounds])

    def called(i: int) -> str:
        return f"problem {i} (rows {bounds[i]} to {bounds[i + 1] - 1})"

    arrays = solved(data, problems, Asked(options, report, called))
    names = None if data.names is None else tuple(data.names)
    about = About(names, options.fit_intercept, options.l2, {}, library, n_dropped, stats)
    return Fits(arrays, about)
