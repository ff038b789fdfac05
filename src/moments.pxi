# Cross products: of narrow tables without many targets by narrow.pxi, of all others by wide.pxi.
#
#     M = sum_i w_i z_i z_i'      z_i = [x_i - k, 1, y_i - ky],  upper triangle, without Y'Y off its diagonal


cdef inline Py_ssize_t _moments_size(Py_ssize_t p, Py_ssize_t n_targets) noexcept nogil:
    """Length of `out`."""
    return _narrow_size(p, n_targets) if _is_narrow(p, n_targets) else _wide_size(p, n_targets)


def moments_sizes(Py_ssize_t p, Py_ssize_t n_targets, Py_ssize_t n_rows):
    """Lengths of the float64 buffers of `moments`: (work, out)."""
    cdef Py_ssize_t out = _moments_size(p, n_targets)
    if _is_narrow(p, n_targets):
        return _narrow_work_size(p, n_targets, n_rows), out
    cdef Py_ssize_t rows = _panel_rows(p, n_rows)
    cdef Py_ssize_t groups = 2 * _groups(_rows_of_m(p, n_targets)) + TILE_VECS
    return groups * (LANES * rows + PAD) + rows + (0 if _is_large(out) else out) + 8, out


cdef inline void _moments(
    const floating* x,
    Py_ssize_t ld,
    const size_t* addresses,    # NULL, or those of the columns, which lie apart; c_order is False then
    bint c_order,
    Py_ssize_t p,
    strided y,
    Py_ssize_t n_targets,
    strided w,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double* k,
    double* work,
    double* out,                # IN, OUT
) noexcept nogil:
    if _is_narrow(p, n_targets):
        _narrow(x, ld, addresses, c_order, p, y, n_targets, w, lo, hi, k, work, out)
    else:
        _wide(x, ld, addresses, c_order, p, y, n_targets, w, lo, hi, k, work, out)


cdef bint _in_c_order(const Py_ssize_t* shape, const Py_ssize_t* strides, Py_ssize_t item) except -1:
    """Whether rows lie one after the other, else columns do; an array of which both is true is in C order."""
    if (shape[1] == 1 or strides[1] == item) and (shape[0] == 1 or strides[0] == shape[1] * item):
        return True
    if (shape[0] == 1 or strides[0] == item) and (shape[1] == 1 or strides[1] == shape[0] * item):
        return False
    if shape[0] == 0 or shape[1] == 0:
        return True
    raise ValueError("X is neither C- nor F-contiguous")


def moments(
    const floating[:, :] X,
    const double[:, :] Y,
    const double[:] w,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[::1] shift,
    double[::1] work,
    double[::1] out,            # IN, OUT
):
    """Cross products of [X - k, 1, Y - ky] over the rows lo to hi, X in C or F order, added to `out`.

    `shift` is [k, ky]; `w` may be None; `work` and `out` are as long as `moments_sizes` says and
    `moments_unpack` reads `out`.  float32 is widened before the shift is subtracted; all sums are float64.
    """
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    cdef bint c_order = _in_c_order(X.shape, X.strides, sizeof(floating))
    with nogil:
        if c_order:
            _moments(
                x, X.shape[1], NULL, True, X.shape[1], _strided_of_targets(Y), Y.shape[1], _strided_of_column(w),
                lo, hi, &shift[0], &work[0], &out[0]
            )
        else:
            _moments(
                x, X.shape[0], NULL, False, X.shape[1], _strided_of_targets(Y), Y.shape[1], _strided_of_column(w),
                lo, hi, &shift[0], &work[0], &out[0]
            )


def moments_by_address(
    const size_t[::1] columns,
    bint single,
    const double[:, :] Y,
    const double[:] w,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[::1] shift,
    double[::1] work,
    double[::1] out,            # IN, OUT
):
    """`moments` for columns that lie apart: their addresses, of float32 if `single`, else of float64."""
    cdef const size_t* at = &columns[0]
    with nogil:
        if single:
            _moments[float](
                NULL, 0, at, False, columns.shape[0], _strided_of_targets(Y), Y.shape[1], _strided_of_column(w),
                lo, hi, &shift[0], &work[0], &out[0]
            )
        else:
            _moments[double](
                NULL, 0, at, False, columns.shape[0], _strided_of_targets(Y), Y.shape[1], _strided_of_column(w),
                lo, hi, &shift[0], &work[0], &out[0]
            )


cdef void _unpack_moments(const double* out, Py_ssize_t p, Py_ssize_t n_targets, double* M) noexcept nogil:
    """The first p + 1 rows of M, X'wX from its diagonal on, and a row that has y'wy below each column of Y."""
    cdef Py_ssize_t nv = _groups(p), ny = _groups(n_targets), n = p + 1 + n_targets, ld = (nv + ny) * LANES
    cdef Py_ssize_t nq = _groups(_rows_of_m(p, n_targets)), i, j, c
    cdef bint few = n_targets <= FEW_TARGETS
    cdef const double* sums = out + nq * LANES * ld
    cdef const double* sums_y = sums + p if few else sums + nq * LANES
    cdef const double* squares = sums + (nq + ny) * LANES
    if _is_narrow(p, n_targets):
        _narrow_unpack(out, p, n_targets, M)
        return
    for i in range(p):
        for j in range(i, p):
            M[i * n + j] = out[i * ld + j]
        for j in range(n_targets):
            c = p + j if few else nv * LANES + j
            M[i * n + p + 1 + j] = out[c * ld + i] if few and c >= nv * LANES else out[i * ld + c]
        M[i * n + p] = M[p * n + i] = sums[i]
    M[p * n + p] = out[_wide_size(p, n_targets) - 1]
    for j in range(n_targets):
        M[p * n + p + 1 + j] = sums_y[j]
        M[(p + 1) * n + p + 1 + j] = squares[j]


def moments_unpack(
    const double[::1] out,
    Py_ssize_t p,
    Py_ssize_t n_targets,
    double[:, ::1] M,           # OUT
):
    """The symmetric matrix M of `moments`, columns in the order X, 1, Y; 0 where it was not computed."""
    cdef Py_ssize_t n = p + 1 + n_targets, i, j
    cdef double* squares
    with nogil:
        _unpack_moments(&out[0], p, n_targets, &M[0, 0])
        squares = &M[0, 0] + (p + 1) * n
        for i in range(n - 1, p, -1):           # the row of the squares last
            for j in range(p + 1, n):
                M[i, j] = squares[j] if i == j else 0.0
        for i in range(n):
            for j in range(min(i, p + 1)):
                M[i, j] = M[j, i]
