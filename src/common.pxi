# What every part needs: numbers wherever they lie in memory, and the sizes that several kernels keep to.

cdef enum:
    LINE = 64                   # bytes of a cache line
    PANELS_PER_FLUSH = 64       # short chains of additions, as in wide.pxi


cdef struct strided:
    # numbers `row` bytes apart down the rows, and `column` bytes from one column to the next
    const char* at
    Py_ssize_t row
    Py_ssize_t column


cdef inline double _number(strided y, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    return (<const double*> (y.at + i * y.row + j * y.column))[0]


cdef inline strided _from_row(strided y, Py_ssize_t i) noexcept nogil:
    """The same from row i on; none stays none."""
    if y.at != NULL:
        y.at += i * y.row
    return y


cdef inline strided _from_column(strided y, Py_ssize_t j) noexcept nogil:
    y.at += j * y.column
    return y


cdef inline Py_ssize_t _groups(Py_ssize_t columns) noexcept nogil:
    return (columns + LANES - 1) // LANES


cdef inline strided _strided_of_targets(const double[:, :] Y) noexcept nogil:
    """`at` is NULL without a target."""
    cdef strided y
    y.at = <const char*> &Y[0, 0] if Y.shape[1] else NULL
    y.row = Y.strides[0]
    y.column = Y.strides[1]
    return y


cdef inline strided _strided_of_column(const double[:] w) noexcept nogil:
    """`at` is NULL for None."""
    cdef strided v
    v.at = NULL
    v.row = v.column = 0
    if w is not None:
        v.at = <const char*> &w[0]
        v.row = w.strides[0]
    return v
