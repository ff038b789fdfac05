# SPDX-License-Identifier: BSD-3-Clause
"""A LinearFit as JSON: what is written, and a look at every field before any of them is used."""

from __future__ import annotations

import json
import math
import os
import reprlib
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.bread import Bread, Robust
from linreg_fast.options import PRECISIONS
from linreg_fast.saved import framed

FORMAT = "linreg_fast.LinearFit"
FORMAT_VERSION = 4
ADDED: dict[int, dict[str, Any]] = {
    2: {"left_out": {}, "n_dropped": 0},
    3: {"origin": None},
    4: {"bread": None, "robust": None, "weighted": False, "active": None, "formula": None, "target_names": None},
}  # fields that a version brought, and what they are in files before it
MOST_COLUMNS = 100  # whose covariances are written: p^2 / 2 numbers as text
SOLVERS = {"cholesky", "qr", "svd", "gd", "mean"}
MOST = 2**63  # of anything that is counted
CHECKSUM = "checksum"  # in files only: whoever changes a state of `described` need not know of it
SHORT = reprlib.Repr()  # of what may be long and deep
SHORT.maxstring = SHORT.maxother = SHORT.maxlong = 80


def described(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a fit but for `plan_arguments` as plain numbers, strings and lists; strict JSON has no NaN."""
    state: dict[str, Any] = {"format": FORMAT, "version": FORMAT_VERSION}
    for name, value in fields.items():
        if name != "plan_arguments":
            state[name] = _plain(value)
    return state


def _plain(value: Any) -> Any:
    if isinstance(value, Bread):
        inverse = value.inverse()
        if len(inverse) > MOST_COLUMNS or not np.isfinite(inverse).all():
            return None
        upper = inverse[np.triu_indices(len(inverse))]
        return {
            "live": value.live.tolist(),
            "means": value.means.tolist(),
            "level": value.level.tolist(),
            "inverse": upper.tolist(),
        }
    if isinstance(value, Robust):
        finite = value.matrix.shape[1] <= MOST_COLUMNS + 1 and np.isfinite(value.matrix).all()
        return dict(value._asdict(), matrix=value.matrix.tolist()) if finite else None
    if isinstance(value, np.ndarray) and value.ndim == 1 and np.isnan(value).any():
        return [None if math.isnan(v) else v for v in value.tolist()]
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, float) and math.isnan(value):
        return None
    return list(value) if isinstance(value, tuple) else value


def save(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Replace a file by one with what `described` made, and a checksum.

    Raises
    ------
    OSError
        The file cannot be written; one that was there before is whole.
    """
    text = json.dumps(state | {CHECKSUM: checksum(state)}, indent=1)
    framed.replace_file(Path(os.fsdecode(path)), text.encode(), "the fit")


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields of the fit that `save` wrote; nothing in the file is executed.

    Raises
    ------
    ValueError
        The file, which is named, is not a whole saved fit.
    """
    name = os.fsdecode(path)
    with open(path, "rb") as file:
        data = file.read()
    try:
        state = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not JSON: {error}") from None
    try:
        values = checked(state)
        if CHECKSUM not in state and state["version"] > 1:
            raise ValueError(f"not a whole {FORMAT}: {CHECKSUM} is missing")
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return values


def checksum(state: dict[str, Any]) -> str:
    """Of the JSON of a state, however it is laid out, without the checksum in it."""
    rest = {name: value for name, value in state.items() if name != CHECKSUM}
    return framed.digest(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hex()


def checked(state: dict[str, Any]) -> dict[str, Any]:
    """The fields of a fit from what may be anything, or a ValueError that names the one at fault."""
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(f"not a saved {FORMAT}")
    version = state.get("version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise ValueError(f"saved by version {version} of the format; this one reads 1 to {FORMAT_VERSION}")
    if CHECKSUM in state and not _same(state):
        raise ValueError(f"not a whole {FORMAT}: the checksum does not fit, something was lost or changed")
    for later in range(version + 1, FORMAT_VERSION + 1):
        state = state | ADDED[later]
    values: dict[str, Any] = {}

    def take(name: str, holds: Callable[[Any], Any], convert: Callable[[Any], Any] = _itself) -> Any:
        if name not in state:
            raise ValueError(f"not a whole {FORMAT}: {name} is missing")
        found = state[name]
        try:
            value = convert(found)
            good = bool(holds(value))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            good = False
        if not good:
            raise ValueError(f"not a whole {FORMAT}: {name} cannot be {SHORT.repr(found)}")
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
    take("left_out", _texts)
    take("n_dropped", lambda v: type(v) is int and 0 <= v < MOST)
    take("origin", lambda v: v is None or (v.shape == (p + n_targets,) and _finite(v)), _numbers)
    take("weighted", lambda v: type(v) is bool)
    kept = take("bread", lambda v: v is None or _is_bread(v, p, n_targets), _bread)
    size = 0 if kept is None else len(kept.live) + values["fit_intercept"]
    take("robust", lambda v: v is None or (kept is not None and _is_robust(v, (n_targets, size, size))), _robust)
    take("active", lambda v: v is None or (v.shape == coef.shape), _signs)
    several = "target_names"
    take(several, lambda v: v is None or (len(v) == n_targets and all(type(name) is str for name in v)), _tuple)
    take("formula", lambda v: v is None or _specification(v, p))
    return values


def _bread(value: Any) -> Bread | None:
    if value is None:
        return None
    live, means, level, inverse = (_numbers(value[name]) for name in ("live", "means", "level", "inverse"))
    if live is None or means is None or level is None:
        raise TypeError
    return Bread(live.astype(np.intp), means, level, np.zeros(len(live), dtype=np.int64), packed=inverse)


def _is_bread(kept: Bread, p: int, n_targets: int) -> bool:
    live, r = kept.live, len(kept.live)
    ascending = bool((np.diff(live) > 0).all()) and (r == 0 or (live[0] >= 0 and live[-1] < p))
    shapes = kept.means.shape == (r,) and kept.level.shape == (n_targets,)
    shapes = shapes and kept.packed is not None and kept.packed.shape == (r * (r + 1) // 2,)
    return ascending and shapes and _finite(kept.means) and _finite(kept.level) and _finite(kept.packed)


def _robust(value: Any) -> Robust | None:
    if value is None:
        return None
    matrix = np.array([_numbers(rows) for rows in value["matrix"]], dtype=np.float64)
    return Robust(value["kind"], matrix, value["freedom"], value["note"])


def _is_robust(found: Robust, shape: tuple[int, int, int]) -> bool:
    texts = type(found.kind) is str and type(found.note) is str
    return texts and type(found.freedom) is int and found.matrix.shape == shape and _finite(found.matrix)


def _signs(value: Any) -> NDArray[np.int8] | None:
    """Whole numbers from -1 to 1."""
    found = _numbers(value)
    if found is None:
        return None
    if not (found == np.sign(found)).all():
        raise ValueError
    return found.astype(np.int8)


def _specification(value: Any, p: int) -> bool:
    """Whether it has what a formula's specification has; what the text may say is looked at before it is evaluated."""
    lists = ("columns", "names", "target_names")
    return (
        type(value) is dict
        and type(value["text"]) is str
        and all(type(value[name]) is list and {type(text) for text in value[name]} <= {str} for name in lists)
        and len(value["names"]) == p
        and type(value["intercept"]) is bool
        and {type(value[name]) for name in ("levels", "references")} == {dict}
        and "state" in value
        and all(type(levels) is list and levels for levels in value["levels"].values())
    )


def _texts(value: Any) -> bool:
    return type(value) is dict and {type(text) for pair in value.items() for text in pair} <= {str}


def _same(state: dict[str, Any]) -> bool:
    try:
        return bool(state[CHECKSUM] == checksum(state))
    except (RecursionError, TypeError, ValueError):
        return False  # it is not what JSON can be


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
    kinds = set(map(type, value))
    if kinds == {list}:
        kinds = set(map(type, chain.from_iterable(value)))
    if not kinds <= {int, float, type(None)}:  # NumPy takes texts and True for numbers
        raise TypeError
    return np.array(value, dtype=np.float64)


def _number_or_numbers(value: Any) -> Any:
    return value if type(value) is float else _numbers(value)


def _known_or_not(value: Any) -> Any:
    return math.nan if value is None else _number_or_numbers(value)


def _finite(value: Any) -> bool:
    return bool(np.isfinite(value).all())
