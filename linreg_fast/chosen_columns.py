# SPDX-License-Identifier: BSD-3-Clause
"""Columns of X and y that a user picks, by position or by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def chosen_features(features: Sequence[int | str] | None, count: int, names: tuple[str, ...] | None) -> Any:
    """Positions of the columns of X asked for, in that order; of all by default."""
    if features is None:
        return np.arange(count)
    if isinstance(features, (str, bytes)) or not np.iterable(features):
        raise TypeError(f"features must be a sequence of positions or names, not {features!r} alone")
    found = []
    for feature in features:
        if isinstance(feature, str):
            if names is None or feature not in names:
                known = "the columns have no names" if names is None else list(names)
                raise ValueError(f"features has {feature!r}; {known}")
            found.append(names.index(feature))
        else:
            found.append(_position(feature, "features", count))
    if len(set(found)) < len(found):
        raise ValueError(f"features has a column twice: {list(features)}")
    return np.array(found, dtype=np.intp)


def chosen_targets(targets: int | Sequence[int] | None, count: int) -> Any:
    """Positions of the columns of y asked for; of all by default."""
    if targets is None:
        return np.arange(count)
    chosen = [targets] if np.ndim(targets) == 0 else list(targets)  # type: ignore[arg-type]
    if not chosen:
        raise ValueError("targets is empty")
    return np.array([_position(target, "targets", count) for target in chosen], dtype=np.intp)


def _position(value: Any, name: str, count: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} has {value!r}; it must hold positions{' or names' * (name == 'features')}")
    if not 0 <= value < count:
        raise ValueError(f"{name} has {value}; there are {count} columns, from 0")
    return int(value)
