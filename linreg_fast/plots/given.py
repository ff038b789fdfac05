# SPDX-License-Identifier: BSD-3-Clause
"""The rows of a picture as they are handed in, and what their columns are called."""

from __future__ import annotations

from typing import Any, NamedTuple

from linreg_fast.inputs.named import columns_by_name, names_columns, taken_apart
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
    frame, unit = X, ""
    names = fit.feature_names
    if isinstance(sample_weight, str) or names_columns(X, y):
        asked = y if isinstance(y, str) else y[target]
        unit = unit_of(frame, asked)
        if names is not None:  # other columns are none of the fit's
            others = [*([y] if isinstance(y, str) else y), *([sample_weight] * isinstance(sample_weight, str))]
            X = columns_by_name(X, list(dict.fromkeys([*names, *others])))
        named = taken_apart(X, y, {"sample_weight": sample_weight})
        target_name: Any = asked
        X = named.X if names is None else columns_by_name(X, names)
        y, (sample_weight,) = named.y, named.others
    else:
        X = X if names is None else columns_by_name(X, names)
        target_name = getattr(y, "name", None)
        unit = unit_of(y)
    data = table(X, y, sample_weight)
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
