# The shift: a row near the data, subtracted before anything is squared, so that no offset costs a digit.
#
#     k_j = x_1j + mean over the leading rows of (x_ij - x_1j)


cdef inline void _sum_rows(
    const floating* x,
    Py_ssize_t ld,
    bint c_order,
    Py_ssize_t p,
    Py_ssize_t m,
    const floating* start,
    double* sums,               # IN, OUT
) noexcept nogil:
    """sums_j += sum_i (x_ij - start_j) over m rows from x on, in four sums a column."""
    cdef Py_ssize_t i, j = 0, row = ld if c_order else 1, column = 1 if c_order else ld
    cdef const floating* c
    cdef double k, t0, t1, t2, t3
    cdef vec kv, s0, s1, s2, s3
    while c_order and j + LANES <= p:
        c = x + j
        kv = vec_load(start + j)
        s0 = s1 = s2 = s3 = vec_zero()
        for i from 0 <= i <= m - 4 by 4:
            s0 += vec_load(c) - kv
            s1 += vec_load(c + ld) - kv
            s2 += vec_load(c + 2 * ld) - kv
            s3 += vec_load(c + 3 * ld) - kv
            c += 4 * ld
        for i in range(m % 4):
            s0 += vec_load(c + i * ld) - kv
        vec_store(sums + j, vec_load_f64(sums + j) + ((s0 + s1) + (s2 + s3)))
        j += LANES
    for j in range(j, p):
        c = x + j * column
        k = start[j * column]
        t0 = t1 = t2 = t3 = 0.0
        for i from 0 <= i <= m - 4 by 4:
            t0 += c[0] - k
            t1 += c[row] - k
            t2 += c[2 * row] - k
            t3 += c[3 * row] - k
            c += 4 * row
        for i in range(m % 4):
            t0 += c[i * row] - k
        sums[j] += (t0 + t1) + (t2 + t3)


cdef inline double _sum_column(strided y, Py_ssize_t j, Py_ssize_t lo, Py_ssize_t hi, double k) noexcept nogil:
    """sum_i (y_ij - k) over the rows lo to hi, in four sums."""
    cdef Py_ssize_t i, whole = lo + (hi - lo) // 4 * 4
    cdef double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0
    for i from lo <= i < whole by 4:
        s0 += _number(y, i, j) - k
        s1 += _number(y, i + 1, j) - k
        s2 += _number(y, i + 2, j) - k
        s3 += _number(y, i + 3, j) - k
    for i in range(whole, hi):
        s0 += _number(y, i, j) - k
    return (s0 + s1) + (s2 + s3)


cdef void _shift(
    const floating* x,
    Py_ssize_t ld,
    bint c_order,
    Py_ssize_t p,
    Py_ssize_t n,
    strided y,
    Py_ssize_t n_targets,
    strided w,
    Py_ssize_t n_rows,
    double* shift,              # OUT
) noexcept nogil:
    """k_j = x_1j + mean(x_ij - x_1j) over the first n_rows rows of non-zero weight; ky likewise."""
    cdef bint weighted = w.at != NULL
    cdef Py_ssize_t i, j, t, m, first = 0, count = 0
    cdef Py_ssize_t row_step = ld if c_order else 1, column_step = 1 if c_order else ld
    for j in range(p + n_targets):
        shift[j] = 0.0
    while weighted and first < n and _number(w, first, 0) == 0.0:
        first += 1
    i = first
    while i < n and count < n_rows:
        # a run of rows that are there
        m = min(n - i, n_rows - count)
        if weighted:
            t = 0
            while t < m and _number(w, i + t, 0) != 0.0:
                t += 1
            m = t
        _sum_rows(x + i * row_step, ld, c_order, p, m, x + first * row_step, shift)
        if y.column == sizeof(double) and y.row % <Py_ssize_t> sizeof(double) == 0:
            _sum_rows(
                <const double*> (y.at + i * y.row), y.row // <Py_ssize_t> sizeof(double), True, n_targets, m,
                <const double*> (y.at + first * y.row), shift + p,
            )
        else:
            for j in range(n_targets):
                shift[p + j] += _sum_column(y, j, i, i + m, _number(y, first, j))
        count += m
        i += m
        while weighted and i < n and _number(w, i, 0) == 0.0:
            i += 1
    if count == 0:
        return
    for j in range(p):
        shift[j] = <double> x[first * row_step + j * column_step] + shift[j] / count
    for j in range(n_targets):
        shift[p + j] = _number(y, first, j) + shift[p + j] / count


def shift(
    const floating[:, :] X,
    const double[:, :] Y,
    const double[:] w,
    Py_ssize_t n_rows,
    double[::1] shift,          # OUT
):
    """The shift [k, ky]: the mean of the first n_rows rows of non-zero weight, X in C or F order.

    Taken about the first row, so that k equals the value of a constant column exactly.
    """
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    cdef bint c_order = _in_c_order(X.shape, X.strides, sizeof(floating))
    cdef Py_ssize_t ld = X.shape[1] if c_order else X.shape[0]
    with nogil:
        _shift(
            x, ld, c_order, X.shape[1], X.shape[0],
            _strided_of_targets(Y), Y.shape[1], _strided_of_column(w), n_rows, &shift[0],
        )
