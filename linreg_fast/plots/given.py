# SPDX-License-Identifier: BSD-3-Clause
"""The rows of a picture as they are handed in, and what their columns are called."""

from __future__ import annotations

from typing import Any, NamedTuple

from linreg_fast.inputs.named import names_columns, rows_of_fit
from linreg_fast.inputs.table import Table, table
from linreg_fast.plots.figures import plain, unit_of
from linreg_fast.result import LinearFit

MOST = 3  # features that a title names


class Labels(NamedTuple):
    """What the axes say."""

    target: str
    features: str
    target_unit: str = ""
    feature_unit: str = ""


class Given(NamedTuple):
    """The rows, and what their columns are called."""

    data: Table
    labels: Labels


def given_table(fit: LinearFit, X: Any, y: Any, sample_weight: Any, target: int = 0) -> Given:
    """The rows of a fit, columns by their names where the fit and X have some.

    Raises
    ------
    TypeError, ValueError
        Other shapes or columns than those of the fit.
    """
    frame, names = X, fit.feature_names
    if names_columns(X, y):
        target_name: Any = y if isinstance(y, str) else y[target]
        unit = unit_of(frame, target_name)
    else:
        target_name, unit = getattr(y, "name", None), unit_of(y)
    named = rows_of_fit(fit, X, y, {"sample_weight": sample_weight})
    data = table(named.X, named.y, named.others[0])
    polynomial = fit._chebyshev is not None
    p = 1 if polynomial else fit.n_features
    if data.n_features != p or data.n_targets != fit.n_targets:
        raise ValueError(
            f"X has {data.n_features} columns and y {data.n_targets}; the fit is of {p} and {fit.n_targets}"
        )
    if not isinstance(target_name, str):
        target_name = data.target_names[target] if data.target_names else "y" if data.one_target else f"y {target}"
    known = list(names or data.names or [])
    first = known[0] if known else "x"
    feature_unit = unit_of(frame, first) or (unit_of(frame) if data.n_features == 1 else "")
    return Given(data, labels_of(target_name, known, p, unit, feature_unit))


def labels_of(target: str, names: list[str], count: int, unit: str = "", feature_unit: str = "") -> Labels:
    """Labels of a fit of so many columns, by their names where these are known."""
    if not names:
        features = "x" if count == 1 else f"{count} columns"
    elif count <= MOST:
        features = ", ".join(names)
    else:
        features = f"{', '.join(names[: MOST - 1])} and {count - MOST + 1} more"
    return Labels(plain(target), plain(features), unit, feature_unit)
