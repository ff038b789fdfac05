# The closed form of few columns without a call into Python or LAPACK: for those a microsecond counts.
# Shift, moments and solve.pxi in one call.

from cpython.buffer cimport Py_buffer, PyBUF_RECORDS_RO, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer

cdef enum:
    SMALL = 64                  # columns: p^3 work of 0.1 ms, less than the calls it saves

small_columns = SMALL


def small_work_size(Py_ssize_t p, Py_ssize_t n_targets, Py_ssize_t n_rows):
    """Length of the float64 workspace of `small`, for at most n_rows rows, and of `small_solve`."""
    work, out = moments_sizes(p, n_targets, n_rows)
    return work + out + (p + 2) * (p + 1 + n_targets) + _solve_size(p) + p + n_targets


def small_result_size(Py_ssize_t p, Py_ssize_t n_targets):
    """Length of what `_solve_small` leaves."""
    return n_targets * (p + 3) + 2 * p + 5 + n_targets + _triangle_size(p)


cdef inline tuple _scalars(const double* res, Py_ssize_t p, Py_ssize_t n_targets):
    cdef const double* tail = res + n_targets * (p + 3)
    return (
        res[n_targets * p], res[n_targets * (p + 1)], res[n_targets * (p + 2)], tail[0], tail[1], tail[2],
        tail[2 * p + 4 + n_targets] > 0.0,
    )


def small_solve(
    const double[::1] out,
    Py_ssize_t p,
    Py_ssize_t n_targets,
    bint fit_intercept,
    double l2,
    const double[::1] shift,
    double[::1] work,
    double[::1] res,            # OUT
):
    """The closed form from what `moments` summed up; None if it declines.

    res     as in `_solve_small`; (b_0, rss, tss, digits, rcond, sum w, far) of it are returned, the first three of
            the first target
    """
    cdef int status
    cdef double* M = &work[0]
    with nogil:
        _unpack_moments(&out[0], p, n_targets, M)
        status = _solve_small(
            M, p, n_targets, fit_intercept, l2, &shift[0], M + (p + 2) * (p + 1 + n_targets), &res[0]
        )
    return None if status else _scalars(&res[0], p, n_targets)


cdef int _small(
    const floating* x,
    Py_ssize_t ld,
    bint c_order,
    Py_ssize_t n,
    Py_ssize_t p,
    strided y,
    Py_ssize_t n_targets,
    strided w,
    Py_ssize_t shift_rows,
    bint fit_intercept,
    double l2,
    double* work,
    double* res,                # OUT
) noexcept nogil:
    cdef Py_ssize_t i, size = _moments_size(p, n_targets)
    cdef double* out = work
    cdef double* M = out + size
    cdef double* shift = M + (p + 2) * (p + 1 + n_targets)
    cdef double* rest = shift + p + n_targets
    for i in range(size):
        out[i] = 0.0
    for i in range(p + n_targets):
        shift[i] = 0.0
    if fit_intercept:
        _shift(x, ld, c_order, p, n, y, n_targets, w, shift_rows, shift)
    _moments(x, ld, NULL, c_order, p, y, n_targets, w, 0, n, shift, rest, out)
    _unpack_moments(out, p, n_targets, M)
    return _solve_small(M, p, n_targets, fit_intercept, l2, shift, rest, res)


cdef struct given:
    # the arrays of a fit, as they are read
    const char* x
    bint single                 # X of float32
    bint c_order
    Py_ssize_t ld
    Py_ssize_t n
    Py_ssize_t p
    Py_ssize_t n_targets
    strided y
    strided w                   # w.at NULL: none


cdef bint _strided_of_buffer(const Py_buffer* a, Py_ssize_t n, strided* y) noexcept nogil:
    """Whether a holds columns of n float64 that can be read in place, or one, described in y."""
    if not 1 <= a.ndim <= 2 or a.shape[0] != n or a.format[0] != c"d" or a.format[1] != 0:
        return False
    y.at = <const char*> a.buf
    y.row = a.strides[0]
    y.column = a.strides[1] if a.ndim == 2 else 0
    return True


cdef bint _given(const Py_buffer* X, const Py_buffer* y, const Py_buffer* w, given* g) noexcept nogil:
    """Whether the arrays, w of which may be NULL, are such that kernels read them in place; described in g."""
    cdef bint f_order
    g.w.at = NULL
    g.w.row = g.w.column = 0
    if X.ndim != 2 or X.format[1] != 0 or (X.format[0] != c"d" and X.format[0] != c"f"):
        return False
    g.x, g.single, g.n, g.p = <const char*> X.buf, X.format[0] == c"f", X.shape[0], X.shape[1]
    if not 0 < g.p <= SMALL or g.n == 0 or not _strided_of_buffer(y, g.n, &g.y):
        return False
    g.n_targets = y.shape[1] if y.ndim == 2 else 1
    if g.n_targets == 0 or (w != NULL and (w.ndim != 1 or not _strided_of_buffer(w, g.n, &g.w))):
        return False
    g.c_order = X.strides[0] == g.p * X.itemsize and (g.p == 1 or X.strides[1] == X.itemsize)
    f_order = X.strides[1] == g.n * X.itemsize and X.strides[0] == X.itemsize
    g.ld = g.p if g.c_order else g.n
    return (g.c_order or f_order) and <size_t> X.buf % X.itemsize == 0


def small(
    X,
    y,
    w,
    Py_ssize_t shift_rows,
    bint fit_intercept,
    double l2,
    work,
    res,                        # OUT
):
    """Shift, moments and closed form in one call; None if it declines.

    All arrays are read through the buffer protocol itself, as typed memoryviews of them would take longer
    than the arithmetic: X of float64 or float32 in C or F order, y and w (or None) of float64, y with one
    dimension or two.  Any other layout or dtype, and whatever `small_solve` declines, is declined.

    shift_rows  leading rows whose mean is the shift
    work        as long as `small_work_size` says
    res         as in `small_solve`, and returned
    """
    cdef Py_buffer[5] a                         # X, y, work, res, w
    cdef given g
    cdef Py_ssize_t i, held = 0
    cdef int status = 1
    try:
        for array in (X, y, work, res, w)[:5 if w is not None else 4]:
            PyObject_GetBuffer(array, &a[held], PyBUF_RECORDS_RO)
            held += 1
        if not _given(&a[0], &a[1], &a[4] if held == 5 else NULL, &g):
            return None
        with nogil:
            if g.single:
                status = _small(
                    <const float*> g.x, g.ld, g.c_order, g.n, g.p, g.y, g.n_targets, g.w, shift_rows, fit_intercept,
                    l2, <double*> a[2].buf, <double*> a[3].buf,
                )
            else:
                status = _small(
                    <const double*> g.x, g.ld, g.c_order, g.n, g.p, g.y, g.n_targets, g.w, shift_rows, fit_intercept,
                    l2, <double*> a[2].buf, <double*> a[3].buf,
                )
        return None if status else _scalars(<const double*> a[3].buf, g.p, g.n_targets)
    finally:
        for i in range(held):
            PyBuffer_Release(&a[i])
