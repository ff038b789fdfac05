# For other Cython modules that choose code by level.
cdef bint runs_v3() noexcept nogil
cdef bint runs_v4() noexcept nogil
