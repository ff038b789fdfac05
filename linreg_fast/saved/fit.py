# SPDX-License-Identifier: BSD-3-Clause
"""What a saved LinearFit may hold: every field is looked at before any of them is used."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.options import PRECISIONS

FORMAT = "linreg_fast.LinearFit"
FORMAT_VERSION = 1
SOLVERS = {"cholesky", "qr", "svd", "gd", "mean"}
MOST = 2**63  # of anything that is counted


def checked(state: dict[str, Any]) -> dict[str, Any]:
    """The fields of a fit from what may be anything, or a ValueError that names the one at fault."""
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(f"not a saved {FORMAT}")
    if state.get("version") != FORMAT_VERSION:
        raise ValueError(f"saved by version {state.get('version')} of the format; this one reads {FORMAT_VERSION}")
    values: dict[str, Any] = {}

    def take(name: str, holds: Callable[[Any], Any], convert: Callable[[Any], Any] = _itself) -> Any:
        if name not in state:
            raise ValueError(f"not a whole {FORMAT}: {name} is missing")
        found = state[name]
        try:
            value = convert(found)
            good = bool(holds(value))
        except (AttributeError, OverflowError, TypeError, ValueError):
            good = False
        if not good:
            shown = repr(found)
            shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
            raise ValueError(f"not a whole {FORMAT}: {name} cannot be {shown}")
        values[name] = value
        return value

    for name in ("n_features", "n_iter"):
        take(name, lambda v: type(v) is int and 0 <= v < MOST)
    for name in ("n_samples", "n_targets"):
        take(name, lambda v: type(v) is int and 0 < v < MOST)
    p, n_targets = values["n_features"], values["n_targets"]
    take("rank", lambda v: type(v) is int and 0 <= v <= p)
    for name in ("converged", "fit_intercept"):
        take(name, lambda v: type(v) is bool)
    take("solver", lambda v: v in SOLVERS)
    take("solver_path", lambda v: v and set(v) <= SOLVERS and v[-1] == values["solver"], _tuple)
    take("precision", lambda v: v in PRECISIONS)
    take("reason", lambda v: type(v) is str)
    take("digits", lambda v: type(v) is float and 0 <= v < 16)
    take("rcond", lambda v: type(v) is float and (v >= 0 or v != v), lambda v: math.nan if v is None else v)
    take("sum_weight", lambda v: type(v) is float and 0 < v < math.inf)
    take("l2", lambda v: type(v) is float and 0 <= v < math.inf)
    shapes = [(n_targets, p), (p,)] if n_targets == 1 else [(n_targets, p)]
    coef = take("coef", lambda v: v.shape in shapes and _finite(v), _numbers)
    many = () if coef.ndim == 1 else (n_targets,)
    take("intercept", lambda v: np.shape(v) == many and _finite(v), _number_or_numbers)
    for name in ("rss", "tss"):
        take(name, lambda v: np.shape(v) == many and not (np.asarray(v) < 0).any(), _known_or_not)
    take("ess", lambda v: np.shape(v) == many and np.asarray(v).dtype == float, _known_or_not)
    take("y_unit", lambda v: np.shape(v) in ((), many) and (np.frexp(v)[0] == 0.5).all(), _number_or_numbers)
    length = values["n_iter"] + 1
    take("cost_history", lambda v: v is None or v.shape == (length,), _numbers)
    take("spread", lambda v: v is None or (v.shape == (p + 1,) and not (v < 0).any()), _numbers)
    take("chebyshev", lambda v: v is None or (v.shape == (p + 3,) and _finite(v) and v[1] > 0), _numbers)
    named = "feature_names"
    take(named, lambda v: v is None or (len(v) == p and all(type(name) is str for name in v)), _tuple)
    take("collinear", lambda v: all(type(j) is int and 0 <= j < p for j in v), _tuple)
    take("dropped", lambda v: set(v) <= set(values["collinear"]), _tuple)
    return values


def _itself(value: Any) -> Any:
    return value


def _tuple(value: Any) -> tuple[Any, ...] | None:
    if value is not None and type(value) not in (list, tuple):
        raise TypeError
    return None if value is None else tuple(value)


def _numbers(value: Any) -> NDArray[np.float64] | None:
    """A list of numbers, or of lists of them, as float64, None in it being NaN."""
    if value is None:
        return None
    if type(value) is not list:
        raise TypeError
    return np.array(value, dtype=np.float64)


def _number_or_numbers(value: Any) -> Any:
    return value if type(value) is float else _numbers(value)


def _known_or_not(value: Any) -> Any:
    return math.nan if value is None else _number_or_numbers(value)


def _finite(value: Any) -> bool:
    return bool(np.isfinite(value).all())
