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
    """sums_j += sum_i (x_ij - start_j) over m rows from x on, four rows to an update of a sum."""
    cdef Py_ssize_t i, j, whole = m // 4 * 4
    cdef const floating* c
    cdef double k, s0, s1, s2, s3
    if c_order:
        for i from 0 <= i < whole by 4:
            for j in range(p):
                k = start[j]
                sums[j] += ((x[j] - k) + (x[ld + j] - k)) + ((x[2 * ld + j] - k) + (x[3 * ld + j] - k))
            x += 4 * ld
        for i in range(whole, m):
            for j in range(p):
                sums[j] += <double> x[j] - <double> start[j]
            x += ld
        return
    for j in range(p):
        c = x + j * ld
        k = start[j * ld]
        s0 = s1 = s2 = s3 = 0.0
        for i from 0 <= i < whole by 4:
            s0 += c[i] - k
            s1 += c[i + 1] - k
            s2 += c[i + 2] - k
            s3 += c[i + 3] - k
        for i in range(whole, m):
            s0 += c[i] - k
        sums[j] += (s0 + s1) + (s2 + s3)


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
    cdef double k, s
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
        for j in range(n_targets):
            k = _number(y, first, j)
            s = 0.0
            for t in range(i, i + m):
                s += _number(y, t, j) - k
            shift[p + j] += s
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


def shift_c(
    const floating[:, ::1] X,
    const double[:, :] Y,
    const double[:] w,
    Py_ssize_t n_rows,
    double[::1] shift,          # OUT
):
    """The shift [k, ky]: the mean of the first n_rows rows of non-zero weight, X in C order.

    Taken about the first row, so that k equals the value of a constant column exactly.
    """
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    with nogil:
        _shift(
            x, X.shape[1], True, X.shape[1], X.shape[0],
            _of_targets(Y), Y.shape[1], _of_column(w), n_rows, &shift[0],
        )


def shift_f(
    const floating[::1, :] X,
    const double[:, :] Y,
    const double[:] w,
    Py_ssize_t n_rows,
    double[::1] shift,          # OUT
):
    """`shift_c` for X in F order."""
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    with nogil:
        _shift(
            x, X.shape[0], False, X.shape[1], X.shape[0],
            _of_targets(Y), Y.shape[1], _of_column(w), n_rows, &shift[0],
        )
