# SPDX-License-Identifier: BSD-3-Clause
"""What is running: for bug reports and beside every benchmark."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from linreg_fast import cpu
from linreg_fast.passes import levels
from linreg_fast.passes.threads import threads, usable_processors


def show_config() -> dict[str, Any]:
    """Versions, levels, threads and the BLAS in use, as a dictionary.

    Returns
    -------
    dict
        "version", "python", "numpy", "machine", "level" (the one that runs), "lanes" (float64 in one
        vector), "levels_built", "levels_supported", "threads", "processors", "blas".
    """
    from linreg_fast import __version__

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "version": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "level": levels.level,
        "lanes": levels.kernels.lanes,
        "levels_built": list(levels.built),
        "levels_supported": list(cpu.levels()),
        "threads": threads(),
        "processors": usable_processors(),
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
    }
