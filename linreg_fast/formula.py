# SPDX-License-Identifier: BSD-3-Clause
"""fit_formula: a fit by a formula such as "price ~ carat + C(cut)", through formulaic (the extra "formula")."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from linreg_fast.options import FitOptions, limits
from linreg_fast.passes.progress import Report
from linreg_fast.result import LinearFit
from linreg_fast.robust import NONROBUST
from linreg_fast.streams import fitting, formulas


def fit_formula(
    formula: str,
    data: Any,
    *,
    sample_weight: str | None = None,
    levels: Mapping[str, Sequence[Any]] | None = None,
    solver: str = "auto",
    precision: str = "auto",
    l2: float = 0.0,
    on_collinear: str = "min_norm",
    missing: str = "raise",
    cov: str = NONROBUST,
    positive: Any = False,
    bounds: Any = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | Report = False,
    n_threads: int | None = None,
) -> LinearFit:
    """Fit a linear model whose columns a formula names.

    The columns that the formula makes are there for one block of rows at a time, never for the whole table.

    Parameters
    ----------
    formula : str
        As formulaic, R and statsmodels write them: ``"price ~ carat + C(cut) + poly(depth, 2)"``, ``a*b``, ``a:b``,
        ``- 1`` or ``0 +`` for no intercept, ``.`` for all other columns; several targets as ``"y1 + y2 ~ x"``. Columns
        of text and of categories are categories, columns of numbers where they stand in ``C(..)``. It may have columns,
        numbers, arithmetic, comparisons, NumPy's ufuncs (``np.sqrt(x)``) and formulaic's own functions that need no
        neighbouring rows; nothing else is evaluated.
    data : data frame, iterable of data frames, callable, or path
        As `fit_stream` and `fit_file` take them.
    sample_weight : str, optional
        Column of weights.
    levels : dict, optional
        Levels of categories by column, the reference first. Those of other categories are learnt in a first look at
        the rows: sorted, or in the order of a categorical of pandas or an Enum of Polars; of levels without a row
        there is none.
    solver, precision, l2, on_collinear, missing, cov, positive, bounds, checkpoint, progress, n_threads
        As in `fit` and `fit_stream`.

    Returns
    -------
    LinearFit
        With names such as ``C(cut)[T.Good]``, and `formula`, by which `predict` makes the same columns of other rows.

    Raises
    ------
    ImportError
        formulaic is not installed.
    TypeError, ValueError
        A formula that cannot be read; a column or a function that is not known; a level that was not there in the
        first look, named with its column and row; whatever `fit_stream` and `fit_file` say of bad rows.

    Warns
    -----
    RankWarning, ConditionWarning, ConvergenceWarning
        As in `fit`.

    Examples
    --------
    >>> import pandas as pd, linreg_fast
    >>> data = pd.DataFrame({"y": [1.0, 3.0, 2.0, 4.0], "x": [0.0, 1.0, 0.0, 1.0], "kind": list("aabb")})
    >>> fit = linreg_fast.fit_formula("y ~ x + kind", data)
    >>> fit.feature_names
    ('x', 'kind[T.b]')
    """
    options = FitOptions(
        solver=solver,
        precision=precision,
        l2=l2,
        on_collinear=on_collinear,
        missing=missing,
        n_threads=n_threads,
        bounds=limits(positive, bounds),
    )
    asked = formulas.Asked(formula, levels or {}, sample_weight, missing)
    return fitting.by_formula(data, None, asked, options, (checkpoint, progress, fitting.of_stream(cov)))
