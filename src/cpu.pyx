# SPDX-License-Identifier: BSD-3-Clause
"""Which levels this processor runs, and which processor this is.  Built with baseline flags: it must load anywhere."""

cdef extern from "cpu.h" nogil:
    bint cpu_runs_v3()
    bint cpu_runs_v4()
    int cpu_processor()


cdef bint runs_v3() noexcept nogil:
    return cpu_runs_v3()


cdef bint runs_v4() noexcept nogil:
    return cpu_runs_v4()


def levels():
    """Names of the levels this processor and its operating system run, best first."""
    return ("v4",) * runs_v4() + ("v3",) * runs_v3() + ("baseline",)


def processor():
    """Number of the processor that the calling thread runs on, -1 where the system does not say."""
    return cpu_processor()
