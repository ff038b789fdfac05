# The closed form of few columns with all digits of float64, in one call: shift, cross products in double-double, and
# paired.pxi.  Where those leave too little of the squares of the residuals, they are summed up themselves.

cdef double SURE_DIGITS = 12.0      # by estimates that are 1 to 3 digits on the safe side below 15
cdef double ROW_UNIT = 2.0 ** -103  # relative error of sums of few rows in double-double; 2^-98.4 was seen of 20,000
cdef double FEW_ROWS = 200.0


cdef inline Py_ssize_t _dd_work_size(Py_ssize_t p, Py_ssize_t n_targets) noexcept nogil:
    """Of whatever is needed at one time."""
    return max(max(_dd_moments_size(p, n_targets), _paired_size(p, n_targets)), (4 * p + 8) * LANES + 2 * (p + 2))


def extended_sizes(Py_ssize_t p, Py_ssize_t n_targets):
    """Lengths of the float64 buffers of `extended`: (work, res)."""
    cdef Py_ssize_t m = p + 1 + n_targets
    return 2 * m * m + 3 * m + 2 * n_targets * (p + 1) + _dd_work_size(p, n_targets), paired_sizes(p, n_targets)[1]


cdef int _extended(
    const floating* x,
    const given* g,
    Py_ssize_t shift_rows,
    bint fit_intercept,
    double l2,
    double* work,
    double* res,                # OUT
) noexcept nogil:
    cdef Py_ssize_t p = g.p, n_targets = g.n_targets, m = p + 1 + n_targets, i, j, t
    cdef Py_ssize_t row_step = g.ld if g.c_order else 1, column_step = 1 if g.c_order else g.ld
    cdef double* M = work
    cdef double* noise = M + 2 * m * m
    cdef double* shift = noise + m
    cdef double* one = shift + m
    cdef double* whole = one + m
    cdef double* rest = whole + 2 * n_targets * (p + 1)
    cdef double* sums = rest + (4 * p + 8) * LANES
    cdef double unit = ROW_UNIT * fmax(1.0, g.n / FEW_ROWS), rss, tss
    for i in range(m):
        shift[i], one[i] = 0.0, 1.0
    for i in range(2 * m * m):
        M[i] = 0.0
    if fit_intercept:
        _shift(x, g.ld, g.c_order, p, g.n, g.y, n_targets, g.w, shift_rows, shift)
    _dd_moments(x, row_step, column_step, p, g.y, n_targets, g.w, 0, g.n, one, shift, rest, M)
    for i in range(m):
        noise[i] = unit * M[2 * (i * m + i)]
        for j in range(min(i, p + 1)):
            M[2 * (i * m + j)] = M[2 * (j * m + i)]
            M[2 * (i * m + j) + 1] = M[2 * (j * m + i) + 1]
    if g.w.at == NULL:
        noise[p] = 0.0          # counts are exact
    if _solve_paired(M, noise, unit, shift, p, n_targets, fit_intercept, l2, rest, res, whole):
        return 1
    if not (res[n_targets * (p + 3)] >= SURE_DIGITS):
        return 1
    for t in range(n_targets):
        if isfinite(res[n_targets * (p + 1) + t]):
            continue
        for i in range(2 * (p + 2)):
            sums[i] = 0.0
        # the place of y in the shift is behind the columns: the first target's becomes that of each in turn
        shift[p] = shift[p + t]
        _refine(
            x, row_step, column_step, p, _from_column(g.y, t), g.w, 0, g.n, one, shift, whole + 2 * t * (p + 1), rest,
            sums,
        )
        rss = fmax(0.0, sums[2 * (p + 1)] + sums[2 * (p + 1) + 1])
        tss = res[n_targets * (p + 2) + t]
        if not rss <= tss:
            return 1
        res[n_targets * (p + 1) + t] = rss
        res[n_targets * (p + 4) + 2 * p + 5 + t] = tss - rss
    return 0


def extended(
    X,
    y,
    w,
    Py_ssize_t shift_rows,
    bint fit_intercept,
    double l2,
    work,
    res,                        # OUT
):
    """`small` in double-double; None if it declines, which it does too where fewer than 12 digits are sure.

    work        as long as `extended_sizes` says
    res         as in `paired_solve`, and returned
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
                status = _extended(
                    <const float*> g.x, &g, shift_rows, fit_intercept, l2, <double*> a[2].buf, <double*> a[3].buf
                )
            else:
                status = _extended(
                    <const double*> g.x, &g, shift_rows, fit_intercept, l2, <double*> a[2].buf, <double*> a[3].buf
                )
        return None if status else _paired_scalars(<const double*> a[3].buf, g.p, g.n_targets)
    finally:
        for i in range(held):
            PyBuffer_Release(&a[i])
