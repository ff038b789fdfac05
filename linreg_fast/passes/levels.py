# SPDX-License-Identifier: BSD-3-Clause
"""The kernels of the level that this process runs, chosen once at import.

One source is compiled for each x86-64 level.  The best level that the processor and its operating
system run is taken, unless the environment variable LINREG_FAST_LEVEL names one.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from linreg_fast import cpu

LEVELS = ("v4", "v3", "baseline")  # best first


def _choose() -> tuple[str, Any, tuple[str, ...]]:
    """The name and the module of the level to run, and the names of all levels that were built.

    A level is checked against the processor before its module is imported: already its first
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
    return chosen, importlib.import_module(f"linreg_fast.kernels_{chosen}"), built


level, kernels, built = _choose()


def _by_layout(name: str) -> dict[tuple[str, str], Any]:
    """The specialisations of a kernel by (memory order, dtype) of X: no dispatch at the call."""
    return {
        (order, dtype): getattr(kernels, f"{name}_{order.lower()}")[c_type]
        for order in "CF"
        for dtype, c_type in (("float64", "double"), ("float32", "float"))
    }


moments = _by_layout("moments")
shift = _by_layout("shift")
predict = _by_layout("predict")
cost = _by_layout("cost")
gradient = _by_layout("gradient")
refine = _by_layout("refine")
dd_moments = _by_layout("dd_moments")
