# SPDX-License-Identifier: BSD-3-Clause
"""Checks of single arguments: numbers, vectors, columns that are picked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.arrays import array_of
from linreg_fast.inputs.rounding import PrecisionWarning as PrecisionWarning

Float = np.dtype(np.float64)
CONVERT_BYTES = 1 << 20  # of one converted piece of rows: a share of L2


def one_of(value: Any, name: str, choices: Sequence[Any]) -> None:
    """Raise ValueError, naming the choices, for a value that is none of them."""
    if type(value) is str and value in choices:
        return
    if not (value is None or isinstance(value, str)) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(c for c in choices if c is not None)}; got {value!r}")


def integer(value: Any, name: str, least: int | None = None) -> int:
    """An integer, at least `least`; True and False are none."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def plain(a: Any) -> bool:
    """Whether a is an array of native float64, and no more than that."""
    return type(a) is np.ndarray and a.dtype is Float


def vector(value: Any, name: str, length: int) -> NDArray[np.float64]:
    """A finite float64 vector of a given length, for coefficients and the like."""
    plain = type(value) is np.ndarray and value.dtype is Float and value.shape == (length,) and value.flags.carray
    if plain and math.isfinite(np.vdot(value, value)):  # vdot does not warn of squares that overflow
        return value  # type: ignore[no-any-return]
    array = np.ascontiguousarray(array_of(value, name).array, dtype=np.float64)
    if array.shape != (length,):
        raise ValueError(f"{name} must have shape ({length},), got {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ValueError(f"{name} has {array[bad[0]]} at position {bad[0]}")
    return array


def number(value: Any, name: str, *, least: float = -np.inf, above: float = -np.inf) -> float:
    """A finite real number, at least `least` and more than `above`."""
    if isinstance(value, (bool, np.bool_, str, bytes)) or (
        not np.isscalar(value) and not getattr(value, "ndim", 1) == 0
    ):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    try:
        result = float(value)
    except TypeError:
        raise TypeError(f"{name} must be a real number, not {type(value).__name__}") from None
    except OverflowError:
        result = math.inf  # an int
    if not math.isfinite(result) or result < least or result <= above:
        bound = f"at least {least:g}" if above == -np.inf and least > -np.inf else f"more than {above:g}"
        raise ValueError(f"{name} must be finite{f' and {bound}' if bound[-3:] != 'inf' else ''}, got {value}")
    return result


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
