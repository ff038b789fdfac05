# SPDX-License-Identifier: BSD-3-Clause
"""How many threads a call may use."""

from __future__ import annotations

import functools
import math
import os
import threading
from typing import Any

from linreg_fast.inputs.checks import integer

_threads_set: int | None = None


def usable_processors() -> int:
    """Processors that this process may use: affinity, and on Linux the cgroup's quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    return int(min(count, _cgroup_processors()))


@functools.cache
def _cgroup_processors() -> float:
    """Processors' worth of time that the cgroup grants; read once, as each call of `threads` asks for it."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        return math.inf if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return math.inf


def set_num_threads(n: int | None) -> None:
    """Set the number of threads that every later call uses by default.

    Parameters
    ----------
    n : int or None
        At least 1, or -1 for all processors that this process may use. None takes the setting back:
        LINREG_FAST_NUM_THREADS counts again, else OMP_NUM_THREADS, else the usable processors.
    """
    global _threads_set
    _threads_set = None if n is None else check_threads(n, "n")


def check_threads(n: Any, name: str) -> int:
    """A number of threads that was asked for, -1 standing for all processors."""
    n = integer(n, name)
    if n == 0 or n < -1:
        raise ValueError(f"{name} must be at least 1, or -1 for all processors; got {n}")
    return usable_processors() if n == -1 else n


def threads(requested: int | None = None) -> int:
    """Number of threads: the argument, the setting, the environment, the usable processors; 1 in a Dask worker."""
    if requested is not None:
        return check_threads(requested, "n_threads")
    if _threads_set is not None:
        return _threads_set
    for variable in ("LINREG_FAST_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(variable, "").split(",")[0].strip()
        if text.isdecimal() and int(text) > 0:
            return int(text)
    if threading.current_thread().name.startswith("Dask"):
        return 1
    return usable_processors()
