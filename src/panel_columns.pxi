# Row block -> panel of narrow.pxi: column j of the rows in hand at  a[j * stride + t].


cdef void _pack_columns_c(
    const floating* x,
    Py_ssize_t ld,
    Py_ssize_t p,
    Py_ssize_t m,
    Py_ssize_t stride,
    const double* k,
    double* a,                  # OUT
    const char* ahead,          # NULL: none
    Py_ssize_t step,
) noexcept nogil:
    """Columns of X - k, C order: m rows of p numbers, ld numbers apart, from x on.

    Two lines are asked for at each turn of VEC_TURNED columns, `step` bytes after the last two.

    LANES rows of VEC_TURNED columns are transposed in registers, or of two.  The last columns are some of those
    before them once more, where p is no multiple of VEC_TURNED.
    """
    cdef Py_ssize_t t, j = 0, whole = m // LANES * LANES
    cdef vec kv
    while p >= VEC_TURNED and p - j > VEC_PAIR:
        j = min(j, p - VEC_TURNED)
        kv = vec_turn_shift(k + j)
        for t from 0 <= t < whole by LANES:
            if LANES == 8 and ahead != NULL:
                vec_prefetch(ahead)
                vec_prefetch(ahead + LINE)
                ahead += step
            vec_turn(x + t * ld + j, ld, kv, a + j * stride + t, stride)
        j += VEC_TURNED
    if j < p and 0 < VEC_PAIR <= p:
        j = min(j, p - VEC_PAIR)
        kv = vec_pair_shift(k + j)
        for t from 0 <= t < whole by LANES:
            vec_turn_pair(x + t * ld + j, ld, kv, a + j * stride + t, stride)
        j += VEC_PAIR
    for j in range(j, p):
        kv = vec_set(k[j])
        for t from 0 <= t < whole by LANES:
            vec_store(a + j * stride + t, vec_gather(x + t * ld + j, ld) - kv)
    for t in range(whole, m):
        for j in range(p):
            a[j * stride + t] = <double> x[t * ld + j] - k[j]


cdef void _pack_columns_f(
    const floating* x,
    Py_ssize_t ld,
    const size_t* addresses,
    Py_ssize_t i,
    Py_ssize_t p,
    Py_ssize_t m,
    Py_ssize_t stride,
    const double* k,
    double* a,                  # OUT
    Py_ssize_t asked,
) noexcept nogil:
    """Columns of X - k, column by column: m rows from row i on, columns as for `_column_at`.

    The lines of the first `asked` columns of the next panel are asked for.
    """
    cdef Py_ssize_t t, j, whole = m // LANES * LANES
    cdef const floating* column
    cdef vec kv
    for j in range(p):
        column = _column_at(x, ld, addresses, j) + i
        if j < asked:
            for t from 0 <= t < stride by LINE // <Py_ssize_t> sizeof(floating):
                vec_prefetch(column + stride + t)
        kv = vec_set(k[j])
        for t from 0 <= t < whole by LANES:
            vec_store(a + j * stride + t, vec_load(column + t) - kv)
        for t in range(whole, m):
            a[j * stride + t] = <double> column[t] - k[j]


cdef inline void _pack_column(strided y, Py_ssize_t j, Py_ssize_t m, double k, double* column) noexcept nogil:
    """Y_j - k, m rows from the first of y on, and the lines of as many more are asked for; weights likewise."""
    cdef Py_ssize_t t, whole = 0
    cdef const double* dense = <const double*> (y.at + j * y.column)
    if y.row == sizeof(double):
        whole = m // LANES * LANES
        for t from 0 <= t < m by LINE // <Py_ssize_t> sizeof(double):
            vec_prefetch(dense + m + t)
        for t from 0 <= t < whole by LANES:
            vec_store(column + t, vec_load_f64(dense + t) - vec_set(k))
    for t in range(whole, m):
        column[t] = _number(y, t, j) - k


cdef inline void _clear_row(Py_ssize_t columns, Py_ssize_t stride, double* row) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(columns):
        row[j * stride] = 0.0


cdef double _sum_weights(
    Py_ssize_t m,
    Py_ssize_t whole,
    Py_ssize_t columns,
    Py_ssize_t stride,
    double* w,                  # IN: m weights, OUT: 0 beyond them up to `whole`
    double* b,                  # IN, OUT
) noexcept nogil:
    """Sum of the weights, NaN where one is negative: the caller looks for the row at fault.

    A row of weight 0 is cleared in the panel, whatever it holds.
    """
    cdef Py_ssize_t t
    cdef double s = _total_weight(w, m, whole)
    if not vec_positive(w, whole):
        for t in range(m):
            if w[t] == 0.0:
                _clear_row(columns, stride, b + t)
    return s
