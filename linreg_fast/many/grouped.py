# SPDX-License-Identifier: BSD-3-Clause
"""A fit for the rows of each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from linreg_fast.inputs.checks import one_of
from linreg_fast.inputs.named import taken_apart
from linreg_fast.inputs.table import table
from linreg_fast.many.fits import About, Fits, checked_stats
from linreg_fast.many.frames import library_of
from linreg_fast.many.presence import rows_present
from linreg_fast.many.stack import Asked, Problems, solved
from linreg_fast.options import MISSING, FitOptions
from linreg_fast.passes.keys import Keyed, keyed
from linreg_fast.passes.progress import Report, reporting


def grouped(
    X: Any,
    y: Any,
    groups: Any,
    *,
    stats: str | Sequence[str] = (),
    sample_weight: Any = None,
    missing: str = "raise",
    fit_intercept: bool = True,
    l2: float = 0.0,
    n_threads: int | None = None,
    progress: bool | Report = False,
) -> Fits:
    """Fit a linear model to the rows of each group.

    Rows are read where they lie and brought together group by group; keys are counted, the data are not sorted.

    Parameters
    ----------
    X, y, sample_weight
        As for `fit`; y may have several targets.
    groups : array_like of shape (n_samples,), or several columns of keys
        The group of each row: integers, text, dates, or categories. Several columns are a data frame, a dict of
        columns, a tuple of them, or an array of two dimensions: a group is then each combination that occurs. Where y
        names a column of X, the name of another one, or a list of names.
    stats : str or sequence of str
        Which of "stderr", "tvalues", "rss", "r2" are columns of `Fits.to_frame`; as attributes all of them are there.
    missing : {"raise", "drop"}
        "drop" leaves out rows with NaN or null in X, y, the weights or a key, and counts them in `Fits.n_dropped`; a
        group may then have no row left.
    fit_intercept, l2
        As for `fit`.
    n_threads : int, optional
    progress : bool or callable
        As for `fit`, in groups.

    Returns
    -------
    Fits
        One fit for each group, in the ascending order of `Fits.groups`, of categories in theirs. All that a `LinearFit`
        has is there: errors, R2, digits.

    Raises
    ------
    TypeError
        Keys that cannot be told apart or sorted; what `fit` raises.
    ValueError
        NaN, infinity or a negative weight, with the row, and a note that names the group; a missing key, with its row.

    Warns
    -----
    RankWarning
        Groups with too few rows or dependent columns: how many and the first of them. They have the solution of least
        norm, a `rank` less than the columns and no standard errors; beside a constant column, which has the coefficient
        0, the others have theirs.

    Notes
    -----
    A group whose closed form would have fewer than 10 digits is fitted by itself, as `fit` does it. A million rows in
    10,000 groups take some 30 ms on two threads.

    Examples
    --------
    >>> import numpy as np
    >>> from linreg_fast import grouped
    >>> x = np.array([0.0, 1.0, 2.0, 0.0, 1.0, 2.0])
    >>> fits = grouped(x, [1.0, 3.0, 5.0, 0.0, -1.0, -2.0], list("aaabbb"))
    >>> fits.groups.tolist(), fits.coef[:, 0].tolist()
    (['a', 'b'], [2.0, -1.0])
    """
    one_of(missing, "missing", MISSING)
    asked = checked_stats(stats)
    options = FitOptions(l2=l2, fit_intercept=fit_intercept, missing=missing, n_threads=n_threads)
    library, names = library_of(X, groups, y), groups if isinstance(groups, list) else [groups]
    targets = None
    if isinstance(y, str) or isinstance(sample_weight, str):
        by_name = bool(names) and all(isinstance(name, str) for name in names)
        others = {f"groups[{j}]": name for j, name in enumerate(names)} if by_name else {"groups": groups}
        named = taken_apart(X, y, {"sample_weight": sample_weight, **others})
        X, y, targets = named.X, named.y, named.target_names
        sample_weight, *columns = named.others
        groups = dict(zip(names, columns, strict=True)) if by_name else columns[0]
    data = table(X, y, sample_weight)
    data.target_names = targets or data.target_names
    by_key = keyed(groups, data.n_rows, data.labels)
    problems, n_dropped = Problems(by_key.order, by_key.bounds), 0
    if missing == "drop":
        problems, n_dropped = _present(by_key, *rows_present(data, True))
    elif by_key.without.size:
        raise ValueError(
            f"groups has a missing key at row {by_key.without[0]} ({by_key.without.size} in all); "
            'missing="drop" leaves such rows out'
        )
    about = About(
        None if data.names is None else tuple(data.names),
        options.fit_intercept,
        options.l2,
        by_key.keys,
        library,
        n_dropped,
        asked,
    )

    def called(i: int) -> str:
        key = [column[i] for column in by_key.keys.values()]
        plain = [value.item() if isinstance(value, np.generic) else value for value in key]
        return f"group {plain[0] if len(plain) == 1 else tuple(plain)!r}"

    with reporting(progress) as report:
        return Fits(solved(data, problems, Asked(options, report, called)), about)


def _present(by_key: Keyed, present: Any, n_dropped: int) -> tuple[Problems, int]:
    """The rows of each group that take part, and how many do not."""
    order, bounds = by_key.order, by_key.bounds
    if present is None:
        return Problems(order, bounds), len(by_key.without)
    n_dropped += int(np.count_nonzero(present[by_key.without]))
    there = present[order]
    before = np.concatenate([[0], np.cumsum(there)])
    return Problems(order[there], before[bounds]), n_dropped
