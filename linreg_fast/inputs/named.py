# SPDX-License-Identifier: BSD-3-Clause
"""Targets and weights that are columns of X, by their names; the features are the other columns of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from linreg_fast.inputs import formulas
from linreg_fast.inputs.arrays import APART_BYTES, column_at, column_names, dtypes_of, frame_of
from linreg_fast.inputs.kinds import is_object, listed, no_feature, of_pandas, warn_left_out


@dataclass(slots=True)
class Named:
    """A data frame taken apart: features, targets, weights and whatever else was asked for by name."""

    X: Any
    y: Any
    others: list[Any]  # for each of the others asked for, a column, or what was given in place of a name
    target_names: list[str] | None
    left_out: dict[str, str] = field(default_factory=dict)


def names_columns(X: Any, y: Any) -> bool:
    """Whether y names columns of X: one, or a list of them where X is a data frame."""
    if isinstance(y, str):
        return True
    text = isinstance(y, (list, tuple)) and bool(y) and all(isinstance(name, str) for name in y)
    return text and not isinstance(X, (np.ndarray, list, tuple))


def taken_apart(X: Any, y: Any, others: dict[str, Any]) -> Named:
    """The columns of X that y names, and those that one of `others` does, and all the rest as features.

    Raises
    ------
    TypeError
        X is no data frame.
    ValueError
        A column that is not there, or asked for twice; none is left.
    """
    by_name = [name for name in others.values() if isinstance(name, str)]
    if not names_columns(X, y):
        argument = next(argument for argument, name in others.items() if isinstance(name, str))
        raise TypeError(f"{argument} names a column: y must name one too")
    frame = frame_of(X, "X")
    names = None if frame is None else column_names(frame)
    if names is None:
        raise TypeError(f"y names a column: X must be a data frame then, not a {type(X).__name__}")
    targets = [y] if isinstance(y, str) else list(y)
    asked = [*targets, *by_name]
    check_asked(names, asked)
    rest = {j: name for j, name in enumerate(names) if name not in asked}
    types, (indices, _) = dtypes_of(frame), of_pandas(getattr(frame, "schema", None))
    left_out = {}
    for j, name in rest.items():
        why = no_feature(name, types[j], indices, column_at(frame, j) if is_object(types[j]) else ())
        if why is not None:
            left_out[name] = why
    kept = [j for j, name in rest.items() if name not in left_out]
    check_some(kept, asked, left_out)
    warn_left_out(left_out)
    at = [names.index(name) for name in targets]
    return Named(
        _columns(frame, kept),
        column_at(frame, at[0]) if isinstance(y, str) else _columns(frame, at),
        [column_at(frame, names.index(value)) if isinstance(value, str) else value for value in others.values()],
        targets,
        left_out,
    )


def columns_by_name(X: Any, wanted: Sequence[str]) -> Any:
    """Those columns of a data frame, in that order; anything else as it is."""
    frame = frame_of(X, "X")
    names = None if frame is None else column_names(frame)
    if names is None or names == list(wanted):
        return X if frame is None else frame
    lost = [name for name in wanted if name not in names]
    if lost:
        word = "column" if len(lost) == 1 else "columns"
        quoted = ", ".join(map(repr, lost))
        raise ValueError(f"X has no {word} {quoted}, which the fit is of; its columns are {', '.join(names)}")
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise ValueError(f"X has {names.count(twice[0])} columns {twice[0]!r}")
    return _columns(frame, [names.index(name) for name in wanted])


def rows_of_fit(fit: Any, X: Any, y: Any, others: dict[str, Any]) -> Named:
    """The rows that a fit is of, or others like them: its columns by their names, or those that its formula makes.

    Raises
    ------
    TypeError, ValueError
        As `taken_apart` and `columns_by_name`.
    """
    targets = [] if not names_columns(X, y) else [y] if isinstance(y, str) else list(y)
    asked = [*targets, *(name for name in others.values() if isinstance(name, str))]
    if fit.formula is None and (not asked or fit.feature_names is None):
        if asked:
            return taken_apart(X, y, others)
        return Named(
            X if fit.feature_names is None else columns_by_name(X, fit.feature_names), y, [*others.values()], None
        )
    held = list(others.values())
    if asked:
        some = columns_by_name(X, list(dict.fromkeys(asked)))
        frame, names = frame_of(some, "X"), list(dict.fromkeys(asked))
        at = {name: column_at(frame, j) for j, name in enumerate(names)}
        held = [at[value] if isinstance(value, str) else value for value in held]
        if targets:
            y = at[y] if isinstance(y, str) else columns_by_name(some, targets)
    if fit.formula is None:
        made = columns_by_name(X, fit.feature_names)
    else:
        made = np.concatenate([part for _, _, part in formulas.blocks(fit.formula, X)])
    return Named(made, y, held, targets or None)


def check_asked(names: Sequence[str], asked: Sequence[str]) -> None:
    """Raise ValueError for a column that is not there, that is there twice or that is asked for twice."""
    for name in asked:
        if name not in names:
            raise ValueError(f"X has no column {name!r}; its columns are {', '.join(names)}")
        if asked.count(name) > 1:
            raise ValueError(f"column {name!r} is asked for twice")
    if len(set(names)) < len(names):
        raise ValueError(f"columns of X share a name: {list(names)}")


def check_some(kept: Sequence[Any], asked: Sequence[str], left_out: dict[str, str]) -> None:
    """Raise ValueError where no feature is left."""
    if not kept:
        why = f"; left out are {listed(left_out)}" if left_out else ""
        raise ValueError(f"X has no column of numbers beside {', '.join(asked)}{why}")


def _columns(frame: Any, at: list[int]) -> Any:
    """Some columns of a data frame, without a copy where they are side by side or large."""
    if not hasattr(frame, "iloc"):
        names = column_names(frame) or []
        return frame.select([names[j] for j in at])
    if at == list(range(at[0], at[-1] + 1)):
        return frame.iloc[:, at[0] : at[-1] + 1]
    if 8 * len(frame) * len(at) < APART_BYTES:
        return frame.iloc[:, at]
    return type(frame)({frame.columns[j]: frame.iloc[:, j] for j in at}, copy=False)
