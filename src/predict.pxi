# Predictions, a chunk of rows at a time.
#
#     yhat_i = b0 + sum_j x_ij b_j
#
# A chunk is as many rows as the caches hold beside everything else, so that a second product over
# the same rows (gradient.pxi) does not go to memory again.
#
# Each memory order has an entry of its own, here and in cost.pxi and gradient.pxi: decided at run time instead,
# the order made 1,000 x 10 numbers in F order take 10 to 12 % longer, and one call with a constant in each branch
# was not compiled into two loops either.

cdef enum:
    ROWS_AT_ONCE = 4            # rows that share one reading of b or g
    LONG_ROW = 3072             # bytes of a row from which on the processor's own prefetching does better than ours
    CHUNK_BYTES_C = 8192        # a quarter of L1: this chunk, and the next one asked for meanwhile
    CHUNK_BYTES_F = 2097152     # columns are read in long runs for the sake of the prefetcher: a share of L3
    CHUNK_ROWS_MIN = 8
    CHUNK_ROWS_MAX = 1024
    AHEAD = 4096                # bytes between a row and the line asked for beside it


cdef inline Py_ssize_t _chunk_rows(Py_ssize_t row_bytes, bint c_order) noexcept nogil:
    cdef Py_ssize_t budget = CHUNK_BYTES_C if c_order else CHUNK_BYTES_F
    cdef Py_ssize_t rows = budget // max(row_bytes, <Py_ssize_t> 1) // 8 * 8
    if c_order and row_bytes >= LONG_ROW:
        return ROWS_AT_ONCE
    return min(max(rows, <Py_ssize_t> CHUNK_ROWS_MIN), <Py_ssize_t> CHUNK_ROWS_MAX)


cdef inline Py_ssize_t _single_rows(Py_ssize_t row_bytes, bint c_order) noexcept nogil:
    """Rows of a chunk that is read once."""
    return _chunk_rows(row_bytes, True) if c_order else CHUNK_ROWS_MAX


cdef inline void _predict_rows_c(
    const floating* x,
    Py_ssize_t p,
    Py_ssize_t m,
    const double* b,
    double b0,
    Py_ssize_t ahead,
    double* r,                  # OUT
) noexcept nogil:
    """r_i = b0 + x_i b for m rows in C order, ROWS_AT_ONCE of them to a reading of b.

    Lines `ahead` bytes further on are asked for meanwhile; 0 for none, and none for long rows.
    """
    cdef Py_ssize_t i, j, u
    cdef Py_ssize_t whole = p // LANES * LANES, rest = p - whole, alone = p if VEC_MASKED else whole
    cdef const floating* row
    cdef vec s0, s1, s2, s3, bv
    cdef double t0, t1, t2, t3
    for i from 0 <= i < m - ROWS_AT_ONCE + 1 by ROWS_AT_ONCE:
        row = x + i * p
        s0 = s1 = s2 = s3 = vec_zero()
        if ahead and p * <Py_ssize_t> sizeof(floating) < LONG_ROW:
            for u from 0 <= u < ROWS_AT_ONCE * p * <Py_ssize_t> sizeof(floating) by 64:
                vec_prefetch(<const char*> row + ahead + u)
        for j from 0 <= j < whole by LANES:
            bv = vec_load_f64(b + j)
            s0 += vec_load(row + j) * bv
            s1 += vec_load(row + p + j) * bv
            s2 += vec_load(row + 2 * p + j) * bv
            s3 += vec_load(row + 3 * p + j) * bv
        if VEC_MASKED and rest:
            bv = vec_first_f64(b + whole, rest)
            s0 += vec_first(row + whole, rest) * bv
            s1 += vec_first(row + p + whole, rest) * bv
            s2 += vec_first(row + 2 * p + whole, rest) * bv
            s3 += vec_first(row + 3 * p + whole, rest) * bv
        t0 = t1 = t2 = t3 = b0
        for j in range(alone, p):
            t0 += row[j] * b[j]
            t1 += row[p + j] * b[j]
            t2 += row[2 * p + j] * b[j]
            t3 += row[3 * p + j] * b[j]
        vec_sum_four(s0, s1, s2, s3, t0, t1, t2, t3, r + i)
    for i in range(m // ROWS_AT_ONCE * ROWS_AT_ONCE, m):
        row = x + i * p
        s0 = vec_zero()
        t0 = b0
        for j from 0 <= j < whole by LANES:
            s0 += vec_load(row + j) * vec_load_f64(b + j)
        if VEC_MASKED and rest:
            s0 += vec_first(row + whole, rest) * vec_first_f64(b + whole, rest)
        for j in range(alone, p):
            t0 += row[j] * b[j]
        r[i] = vec_sum(s0) + t0


cdef inline void _predict_rows_f(
    const floating* x,
    Py_ssize_t ld,
    Py_ssize_t p,
    Py_ssize_t m,
    const double* b,
    double b0,
    double* r,                  # OUT
) noexcept nogil:
    """r_i = b0 + x_i b for m rows in F order, four columns to a reading of r."""
    cdef Py_ssize_t t, j, whole = m // LANES * LANES
    cdef const floating* c
    for t in range(m):
        r[t] = b0
    for j from 0 <= j < p - 3 by 4:
        c = x + j * ld
        for t from 0 <= t < whole by LANES:
            vec_store(
                r + t,
                vec_load_f64(r + t)
                + (
                    (b[j] * vec_load(c + t) + b[j + 1] * vec_load(c + ld + t))
                    + (b[j + 2] * vec_load(c + 2 * ld + t) + b[j + 3] * vec_load(c + 3 * ld + t))
                ),
            )
        for t in range(whole, m):
            r[t] += (b[j] * c[t] + b[j + 1] * c[ld + t]) + (b[j + 2] * c[2 * ld + t] + b[j + 3] * c[3 * ld + t])
    for j in range(p // 4 * 4, p):
        c = x + j * ld
        for t from 0 <= t < whole by LANES:
            vec_store(r + t, vec_load_f64(r + t) + b[j] * vec_load(c + t))
        for t in range(whole, m):
            r[t] += b[j] * c[t]


cdef inline void _predict_rows(
    const floating* x,
    Py_ssize_t ld,
    bint c_order,
    Py_ssize_t p,
    Py_ssize_t lo,
    Py_ssize_t m,
    const double* b,
    double b0,
    Py_ssize_t ahead,
    double* r,                  # OUT
) noexcept nogil:
    """r_i = b0 + x_i b for the m rows from lo on.

    A single column lies in memory in both orders; the callers say F, which takes LANES rows at a time.
    """
    if c_order:
        _predict_rows_c(x + lo * ld, p, m, b, b0, ahead, r)
    else:
        _predict_rows_f(x + lo, ld, p, m, b, b0, r)


def row_work_size(Py_ssize_t p):
    """Length of the float64 workspace of the predict, cost and gradient kernels."""
    return 2 * CHUNK_ROWS_MAX + 2 * LANES + p


cdef void _predict(
    const floating* x,
    Py_ssize_t ld,
    bint c_order,
    Py_ssize_t p,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[:, ::1] coef,
    const double[::1] intercept,
    double* work,
    double[:, :] out,           # OUT
) noexcept nogil:
    cdef Py_ssize_t rows = _single_rows(p * sizeof(floating), c_order)
    cdef Py_ssize_t i, t, m, target
    for i from lo <= i < hi by rows:
        m = min(rows, hi - i)
        for target in range(out.shape[1]):
            _predict_rows(x, ld, c_order, p, i, m, &coef[target, 0] if p else NULL, intercept[target], AHEAD, work)
            for t in range(m):
                out[i + t, target] = work[t]


def predict_c(
    const floating[:, ::1] X,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[:, ::1] coef,
    const double[::1] intercept,
    double[::1] work,
    double[:, :] out,           # OUT
):
    """out[i, t] = intercept[t] + X[i] coef[t] for the rows lo to hi, X in C order."""
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    with nogil:
        _predict(x, X.shape[1], X.shape[1] > 1, X.shape[1], lo, hi, coef, intercept, &work[0], out)


def predict_f(
    const floating[::1, :] X,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[:, ::1] coef,
    const double[::1] intercept,
    double[::1] work,
    double[:, :] out,           # OUT
):
    """`predict_c` for X in F order."""
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    with nogil:
        _predict(x, X.shape[0], False, X.shape[1], lo, hi, coef, intercept, &work[0], out)
