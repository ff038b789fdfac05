# SPDX-License-Identifier: BSD-3-Clause
"""The kernels of the level that this process runs, chosen once at import.

One source is compiled for each x86-64 level, in two units.  The best level that the processor and its
operating system run is taken, unless the environment variable LINREG_FAST_LEVEL names one.
"""

from __future__ import annotations

import importlib
import os
from types import SimpleNamespace
from typing import Any

from linreg_fast import cpu

LEVELS = ("v4", "v3", "baseline")  # best first
UNITS = ("kernels", "row_kernels")  # of each level


def of_level(level: str) -> Any:
    """The kernels of both units of a level, in one namespace, and the name of the level."""
    units = [importlib.import_module(f"linreg_fast.{unit}_{level}") for unit in UNITS]
    names = {name: value for unit in units for name, value in vars(unit).items() if not name.startswith("_")}
    return SimpleNamespace(level=level, **names)


def _choose() -> tuple[str, Any, tuple[str, ...]]:
    """The name and the kernels of the level to run, and the names of all levels that were built.

    A level is checked against the processor before its modules are imported: already their first
    instructions may be too new.  A level that should import and does not is an error, not skipped.
    """
    from importlib.util import find_spec

    built = tuple(level for level in LEVELS if find_spec(f"linreg_fast.kernels_{level}") is not None)
    runs = cpu.levels()
    forced = os.environ.get("LINREG_FAST_LEVEL", "")
    if forced and forced not in LEVELS:
        raise ImportError(f"LINREG_FAST_LEVEL={forced!r} is not a level; the levels are {', '.join(LEVELS)}")
    if forced and forced not in built:
        raise ImportError(f"LINREG_FAST_LEVEL={forced!r} was not built; this build has {', '.join(built)}")
    if forced and forced not in runs:
        raise ImportError(f"LINREG_FAST_LEVEL={forced!r} needs a processor with x86-64-{forced}; this one runs {runs}")
    chosen = forced or next(level for level in LEVELS if level in built and level in runs)
    return chosen, of_level(chosen), built


level, kernels, built = _choose()


C_TYPES = {"float64": "double", "float32": "float"}


def _by_dtype(name: str) -> dict[str, Any]:
    """The specialisations of a kernel by dtype of X, in C or F order: no dispatch at the call."""
    return {dtype: getattr(kernels, name)[c_type] for dtype, c_type in C_TYPES.items()}


def _by_layout(name: str) -> dict[tuple[str, str], Any]:
    """The same of a kernel that has an entry for each memory order, by (order, dtype)."""
    return {(order, dtype): kernel for order in "CF" for dtype, kernel in _by_dtype(f"{name}_{order.lower()}").items()}


moments = _by_dtype("moments")
moments_of_groups = _by_dtype("moments_of_groups")
shift = _by_dtype("shift")
scores = _by_dtype("scores")
window_fits = _by_dtype("window_fits")
stack = _by_dtype("stack")
target_sums = _by_dtype("target_sums")
window_sums = _by_dtype("window_sums")
running_fits = _by_dtype("running_fits")
refine = _by_dtype("refine")
dd_moments = _by_dtype("dd_moments")
predict = _by_layout("predict")
cost = _by_layout("cost")
gradient = _by_layout("gradient")
