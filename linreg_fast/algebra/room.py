# SPDX-License-Identifier: BSD-3-Clause
"""Room for LAPACK in the address space: OpenBLAS waits for ever, or ends the process, where it finds none.

It maps a buffer for each thread that starts with it, and one at the first call of each thread that calls it while
others do. Under a limit, such as RLIMIT_AS, it asks for these again and again.
"""

from __future__ import annotations

import mmap
import os
import sys

import numpy as np

BUFFER = 40 << 20  # bytes that OpenBLAS maps for a call, or a thread with its stack: 32 MB and 8 MB
LIBRARIES = 96 << 20  # that loading SciPy's LAPACK takes beside
VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
_ready = 0  # the process that has made its first calls


def for_lapack() -> None:
    """Make sure that the next calls of LAPACK and BLAS find their memory; a process's first ones are made here.

    Raises
    ------
    MemoryError
        They would not.
    """
    global _ready
    if os.name != "posix":
        return
    if _ready == os.getpid():
        _reserve(BUFFER)
        return
    loaded = "scipy.linalg.lapack" in sys.modules
    _reserve(BUFFER * ((2 if loaded else 3) + _threads()) + (0 if loaded else LIBRARIES))
    try:
        from scipy.linalg import lapack
    except ImportError as error:
        if "failed to map" in str(error) or "allocate memory" in str(error):
            raise MemoryError(f"no memory to load SciPy's LAPACK: {error}") from error
        raise
    lapack.dpotrf(np.eye(2))
    np.linalg.qr(np.eye(2))  # NumPy may come with another OpenBLAS
    _ready = os.getpid()


def _reserve(size: int) -> None:
    """Map so many bytes and give them back, untouched."""
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError as error:
        text = f"LAPACK needs {size >> 20} MB of address space, more than a limit of this process leaves"
        raise MemoryError(text) from error


def _threads() -> int:
    """Threads that OpenBLAS starts at most."""
    for variable in VARIABLES:
        text = os.environ.get(variable, "").strip()
        if text.isdecimal() and int(text) > 0:
            return int(text) - 1
    try:
        return len(os.sched_getaffinity(0)) - 1
    except AttributeError:
        return (os.cpu_count() or 1) - 1
