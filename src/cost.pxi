# Cost over a row range.
#
#     J(b) = 1/2 sum_i w_i r_i^2      r_i = b0 + x_i b - y_i      divided by sum w by the caller

cdef enum:
    CHUNKS_PER_FLUSH = 64       # short chains of additions, as in wide.pxi


cdef inline double _residual(
    strided y,
    strided w,                  # w.at NULL: none
    Py_ssize_t m,
    double* wv,                 # OUT: w_i, 0 up to a multiple of LANES
    double* r,                  # IN: predictions, OUT: w_i r_i, likewise
    double* sums,               # IN, OUT: += [sum w_i r_i, sum w_i], NaN for a negative weight
) noexcept nogil:
    """1/2 sum w_i r_i^2 over m rows; a row of weight 0 is not there, whatever it holds."""
    cdef Py_ssize_t t
    cdef vec c = vec_zero(), d = vec_zero(), e = vec_zero(), wr
    cdef double s, least = 0.0
    # whole numbers apart: indexed by bytes the loops are 5 to 8 % slower
    cdef const double* y0 = <const double*> y.at
    cdef const double* w0 = <const double*> w.at
    cdef Py_ssize_t y_step = y.row // <Py_ssize_t> sizeof(double), w_step = w.row // <Py_ssize_t> sizeof(double)
    if w.at != NULL:
        for t in range(m):
            wv[t] = w0[t * w_step]
            least = min(least, wv[t])
            s = r[t] - y0[t * y_step]
            r[t] = s if wv[t] != 0.0 else 0.0
    else:
        for t in range(m):
            wv[t] = 1.0
            r[t] -= y0[t * y_step]
    for t in range(m, _groups(m) * LANES):
        wv[t] = r[t] = 0.0
    for t from 0 <= t < m by LANES:
        wr = vec_load_f64(wv + t) * vec_load_f64(r + t)
        c += wr * vec_load_f64(r + t)
        d += wr
        e += vec_load_f64(wv + t)
        vec_store(r + t, wr)
    sums[0] += vec_sum(d)
    sums[1] += NAN if least < 0.0 else vec_sum(e)
    return 0.5 * vec_sum(c)


cdef void _cost(
    const floating* x,
    Py_ssize_t ld,
    bint c_order,
    Py_ssize_t p,
    strided y,
    strided w,                  # w.at NULL: none
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double* b,
    double b0,
    double* work,
    double* out,                # IN, OUT
) noexcept nogil:
    cdef Py_ssize_t rows = _single_rows(p * sizeof(floating), c_order)
    cdef Py_ssize_t i, m, chunks = 0
    cdef double* r = work
    cdef double* wv = work + CHUNK_ROWS_MAX
    cdef double[2] sums
    cdef double part = 0.0
    sums[0] = sums[1] = 0.0
    for i from lo <= i < hi by rows:
        m = min(rows, hi - i)
        _predict_rows(x, ld, c_order, p, i, m, b, b0, AHEAD, r)
        part += _residual(_from_row(y, i), _from_row(w, i), m, wv, r, sums)
        chunks += 1
        if chunks == CHUNKS_PER_FLUSH or i + rows >= hi:
            out[0] += part
            out[1] += sums[1]
            part = sums[1] = 0.0
            chunks = 0


def cost_c(
    const floating[:, ::1] X,
    const double[:] y,
    const double[:] w,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[::1] coef,
    double intercept,
    double[::1] work,
    double[::1] out,            # IN, OUT
):
    """out += [1/2 sum_i w_i r_i^2, sum_i w_i] over the rows lo to hi, X in C order; w may be None.

    The second sum is NaN where a weight is negative.  `work` is as long as `row_work_size` says.  Sums are
    float64 whatever X holds.
    """
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    cdef const double* b = &coef[0] if X.shape[1] else NULL
    with nogil:
        _cost(
            x, X.shape[1], X.shape[1] > 1, X.shape[1], _strided_of_column(y), _strided_of_column(w),
            lo, hi, b, intercept, &work[0], &out[0],
        )


def cost_f(
    const floating[::1, :] X,
    const double[:] y,
    const double[:] w,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[::1] coef,
    double intercept,
    double[::1] work,
    double[::1] out,            # IN, OUT
):
    """`cost_c` for X in F order."""
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    cdef const double* b = &coef[0] if X.shape[1] else NULL
    with nogil:
        _cost(
            x, X.shape[0], False, X.shape[1], _strided_of_column(y), _strided_of_column(w),
            lo, hi, b, intercept, &work[0], &out[0],
        )
