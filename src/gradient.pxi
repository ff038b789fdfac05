# Residual, cost and gradient over a row range, each row read from memory once.
#
#     r_i = b0 + x_i b - y_i      out = [1/2 sum w_i r_i^2,  sum w_i r_i x_i,  sum w_i r_i,  sum w_i]
#
# The caller divides by sum w.  Both products are taken from a chunk of rows while it is in cache.

cdef enum:
    HELD_VECS = 4               # of g, up to which each is held for a chunk of rows: those have 64 of them or more


cdef inline vec _four_rows(const floating* z, Py_ssize_t p, const double* r, Py_ssize_t rest) noexcept nogil:
    """LANES columns of X'r over ROWS_AT_ONCE rows; `rest` of them, the others 0, where it is not 0."""
    if rest:
        return (r[0] * vec_first(z, rest) + r[1] * vec_first(z + p, rest)) + (
            r[2] * vec_first(z + 2 * p, rest) + r[3] * vec_first(z + 3 * p, rest)
        )
    return (r[0] * vec_load(z) + r[1] * vec_load(z + p)) + (r[2] * vec_load(z + 2 * p) + r[3] * vec_load(z + 3 * p))


cdef inline void _gradient_rows_c(
    const floating* x,
    Py_ssize_t p,
    Py_ssize_t m,
    const double* r,
    Py_ssize_t ahead,
    double* g,                  # IN, OUT
) noexcept nogil:
    """g += X'r for m rows in C order, ROWS_AT_ONCE of them to a reading of g.

    Lines `ahead` bytes further on, those of the next chunk, are asked for meanwhile.  Of few columns on v4
    each vector of g stays in its register for all rows; at 4 lanes that gains nothing.
    """
    cdef Py_ssize_t i, j, u
    cdef Py_ssize_t whole = p // LANES * LANES, rest = p - whole, alone = p if VEC_MASKED else whole
    cdef Py_ssize_t fours = m // ROWS_AT_ONCE * ROWS_AT_ONCE
    cdef Py_ssize_t held = whole if VEC_MASKED and whole <= HELD_VECS * LANES else 0
    cdef const floating* row
    cdef vec v
    for j from LANES <= j < held by LANES:
        v = vec_load_f64(g + j)
        for i from 0 <= i < fours by ROWS_AT_ONCE:
            v += _four_rows(x + i * p + j, p, r + i, 0)
        vec_store(g + j, v)
    if VEC_MASKED and rest:
        v = vec_first_f64(g + whole, rest)
        for i from 0 <= i < fours by ROWS_AT_ONCE:
            v += _four_rows(x + i * p + whole, p, r + i, rest)
        vec_store_first(g + whole, v, rest)
    if held:
        v = vec_load_f64(g)
    for i from 0 <= i < fours by ROWS_AT_ONCE:
        row = x + i * p
        for u from 0 <= u < ROWS_AT_ONCE * p * <Py_ssize_t> sizeof(floating) by 64:
            vec_prefetch(<const char*> row + ahead + u)
        if held:
            v += _four_rows(row, p, r + i, 0)
        for j from held <= j < whole by LANES:
            vec_store(g + j, vec_load_f64(g + j) + _four_rows(row + j, p, r + i, 0))
        for j in range(alone, p):
            g[j] += (r[i] * row[j] + r[i + 1] * row[p + j]) + (r[i + 2] * row[2 * p + j] + r[i + 3] * row[3 * p + j])
    if held:
        vec_store(g, v)
    for i in range(fours, m):
        row = x + i * p
        for j from 0 <= j < whole by LANES:
            vec_store(g + j, vec_load_f64(g + j) + r[i] * vec_load(row + j))
        for j in range(whole, p):
            g[j] += r[i] * row[j]


cdef inline void _gradient_next_c(
    const floating* x,
    Py_ssize_t p,
    const double* b,
    double b0,
    double* r,                  # IN: w_i r_i of these rows, OUT: predictions of the next
    double* g,                  # IN, OUT
) noexcept nogil:
    """g += X'r for ROWS_AT_ONCE rows in C order, and b0 + x_i b for as many that follow them.

    The first are in cache while the others come from memory: neither waits for the other
    (20,000 x 1,000 on one thread: 12.3 GB/s without, 17.2 with).
    """
    cdef Py_ssize_t j, whole = p // LANES * LANES, rest = p - whole, alone = p if VEC_MASKED else whole
    cdef const floating* z = x + ROWS_AT_ONCE * p
    cdef double r0 = r[0], r1 = r[1], r2 = r[2], r3 = r[3], t0 = b0, t1 = b0, t2 = b0, t3 = b0
    cdef vec s0, s1, s2, s3, bv
    s0 = s1 = s2 = s3 = vec_zero()
    for j from 0 <= j < whole by LANES:
        bv = vec_load_f64(b + j)
        s0 += vec_load(z + j) * bv
        s1 += vec_load(z + p + j) * bv
        s2 += vec_load(z + 2 * p + j) * bv
        s3 += vec_load(z + 3 * p + j) * bv
        vec_store(
            g + j,
            vec_load_f64(g + j)
            + (
                (r0 * vec_load(x + j) + r1 * vec_load(x + p + j))
                + (r2 * vec_load(x + 2 * p + j) + r3 * vec_load(x + 3 * p + j))
            ),
        )
    if VEC_MASKED and rest:
        bv = vec_first_f64(b + whole, rest)
        s0 += vec_first(z + whole, rest) * bv
        s1 += vec_first(z + p + whole, rest) * bv
        s2 += vec_first(z + 2 * p + whole, rest) * bv
        s3 += vec_first(z + 3 * p + whole, rest) * bv
        vec_store_first(g + whole, vec_first_f64(g + whole, rest) + _four_rows(x + whole, p, r, rest), rest)
    for j in range(alone, p):
        t0 += z[j] * b[j]
        t1 += z[p + j] * b[j]
        t2 += z[2 * p + j] * b[j]
        t3 += z[3 * p + j] * b[j]
        g[j] += (r0 * x[j] + r1 * x[p + j]) + (r2 * x[2 * p + j] + r3 * x[3 * p + j])
    vec_sum_four(s0, s1, s2, s3, t0, t1, t2, t3, r)


cdef inline void _gradient_rows_f(
    const floating* x,
    Py_ssize_t ld,
    Py_ssize_t p,
    Py_ssize_t m,
    const double* r,
    double* g,                  # IN, OUT
) noexcept nogil:
    """g += X'r for m rows in F order, four columns to a reading of r."""
    cdef Py_ssize_t t, j, whole = m // LANES * LANES
    cdef const floating* c
    cdef vec s0, s1, s2, s3, rv
    cdef double t0, t1, t2, t3
    for j from 0 <= j < p - 3 by 4:
        c = x + j * ld
        s0 = s1 = s2 = s3 = vec_zero()
        for t from 0 <= t < whole by LANES:
            rv = vec_load_f64(r + t)
            s0 += vec_load(c + t) * rv
            s1 += vec_load(c + ld + t) * rv
            s2 += vec_load(c + 2 * ld + t) * rv
            s3 += vec_load(c + 3 * ld + t) * rv
        t0 = t1 = t2 = t3 = 0.0
        for t in range(whole, m):
            t0 += c[t] * r[t]
            t1 += c[ld + t] * r[t]
            t2 += c[2 * ld + t] * r[t]
            t3 += c[3 * ld + t] * r[t]
        g[j] += vec_sum(s0) + t0
        g[j + 1] += vec_sum(s1) + t1
        g[j + 2] += vec_sum(s2) + t2
        g[j + 3] += vec_sum(s3) + t3
    for j in range(p // 4 * 4, p):
        c = x + j * ld
        s0 = vec_zero()
        t0 = 0.0
        for t from 0 <= t < whole by LANES:
            s0 += vec_load(c + t) * vec_load_f64(r + t)
        for t in range(whole, m):
            t0 += c[t] * r[t]
        g[j] += vec_sum(s0) + t0


cdef void _gradient(
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
    cdef Py_ssize_t rows = _chunk_rows(p * sizeof(floating), c_order)
    cdef Py_ssize_t i, j, t, m, first, chunks = 0
    cdef double* r = work
    cdef double* wv = work + CHUNK_ROWS_MAX
    cdef double* g = wv + CHUNK_ROWS_MAX
    cdef double[2] sums
    cdef double part = 0.0
    cdef bint predicted = False, weighted = w.at != NULL
    sums[0] = sums[1] = 0.0
    for j in range(p):
        g[j] = 0.0
    for i from lo <= i < hi by rows:
        m = min(rows, hi - i)
        if not predicted:
            _predict_rows(x, ld, c_order, p, i, m, b, b0, 0, r)
        part += _residual(_from_row(y, i), _from_row(w, i), m, wv, r, sums)
        predicted = c_order and rows == ROWS_AT_ONCE and i + 2 * rows <= hi
        t = 0
        if predicted:
            predicted = wv[0] != 0.0 and wv[1] != 0.0 and wv[2] != 0.0 and wv[3] != 0.0
        if predicted:
            _gradient_next_c(x + i * ld, p, b, b0, r, g)
            t = m
        while t < m:
            # runs of rows that are there: 0 * NaN would not be 0
            while t < m and wv[t] == 0.0:
                t += 1
            first = t
            while weighted and t < m and wv[t] != 0.0:
                t += 1
            if not weighted:
                t = m
            if c_order:
                _gradient_rows_c(x + (i + first) * ld, p, t - first, r + first, rows * p * sizeof(floating), g)
            else:
                _gradient_rows_f(x + i + first, ld, p, t - first, r + first, g)
        chunks += 1
        if chunks == CHUNKS_PER_FLUSH or i + rows >= hi:
            out[0] += part
            out[1 + p] += sums[0]
            out[2 + p] += sums[1]
            part = sums[0] = sums[1] = 0.0
            for j in range(p):
                out[1 + j] += g[j]
                g[j] = 0.0
            chunks = 0


def gradient_c(
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
    """out += [1/2 sum w_i r_i^2, sum w_i r_i x_i, sum w_i r_i, sum w_i] over the rows lo to hi, X in C order.

    w may be None; the last sum is NaN where a weight is negative; `work` is as long as `row_work_size` says;
    `out` has p + 3 numbers, all sums float64.
    """
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    cdef const double* b = &coef[0] if X.shape[1] else NULL
    with nogil:
        _gradient(
            x, X.shape[1], X.shape[1] > 1, X.shape[1], _strided_of_column(y), _strided_of_column(w),
            lo, hi, b, intercept, &work[0], &out[0],
        )


def gradient_f(
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
    """`gradient_c` for X in F order."""
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    cdef const double* b = &coef[0] if X.shape[1] else NULL
    with nogil:
        _gradient(
            x, X.shape[0], False, X.shape[1], _strided_of_column(y), _strided_of_column(w),
            lo, hi, b, intercept, &work[0], &out[0],
        )
