# Many small problems at once: the sums of each one, then the closed forms of LANES of them side by side.


cdef inline Py_ssize_t _triangle(Py_ssize_t p) noexcept nogil:
    """Entries of the upper triangle of [X, 1, y]'[X, 1, y]."""
    return (p + 2) * (p + 3) // 2


cdef struct fits_found:
    # where the results of problems go, each a row; NULL: nobody asks
    double* coef                # p numbers
    double* numbers             # b_0, rss, tss, digits, rcond
    double* spread              # h_1 .. h_p, h_0 as in `_solve_small`
    double* centre              # the means of the columns, and the prediction there


cdef fits_found _fits_found(
    double[:, ::1] coef, double[:, ::1] numbers, double[:, ::1] spread, double[:, ::1] centre
) noexcept nogil:
    cdef fits_found to
    to.coef = &coef[0, 0] if coef.shape[1] else NULL
    to.numbers, to.spread, to.centre = &numbers[0, 0], &spread[0, 0], &centre[0, 0]
    return to


cdef void _put_fits(
    const lane_fits* f, Py_ssize_t p, const Py_ssize_t* which, Py_ssize_t filled, const fits_found* to
) noexcept nogil:
    """The lanes that are filled, to the rows `which` of the results."""
    cdef Py_ssize_t q, j, r
    for q in range(filled):
        r = which[q]
        for j in range(p):
            to.coef[r * p + j] = f.b[j * LANES + q]
        for j in range(4):
            to.numbers[r * 5 + j] = f.numbers[j * LANES + q]
        to.numbers[r * 5 + 4] = sqrt(f.columns[q])
        for j in range(p + 1):
            to.spread[r * (p + 1) + j] = f.h[j * LANES + q]
            to.centre[r * (p + 1) + j] = f.mean[j * LANES + q]


def stack_sums_work_size(Py_ssize_t p):
    """Length of the float64 workspace of `stack_of_sums`."""
    return _lane_fits_size(p) + (_triangle(p) + p + 2) * LANES


def stack_of_sums(
    const double[:, ::1] S,
    const double[:, ::1] shifts,
    Py_ssize_t lo,
    Py_ssize_t hi,
    bint fit_intercept,
    double l2,
    double[::1] work,
    double[:, ::1] coef,        # OUT
    double[:, ::1] numbers,     # OUT: b_0, rss, tss, digits, rcond
    double[:, ::1] spread,      # OUT: h_1 .. h_p, h_0 as in `_solve_small`
    double[:, ::1] centre,      # OUT: the means of the columns, and the prediction there
):
    """Problems lo to hi from their sums; digits are NaN where one has to be solved by itself.

    S           of each problem the upper triangle of [X - k, 1, y - k_y]'W[X - k, 1, y - k_y], row after row
    shifts      [k, 0, k_y] of each, 0 without an intercept
    """
    cdef Py_ssize_t p = shifts.shape[1] - 2, entries = _triangle(p), i, e, q, filled
    cdef double* sums
    cdef double* k
    cdef lane_fits f
    cdef fits_found to
    cdef Py_ssize_t[16] which
    if hi <= lo:
        return
    with nogil:
        f = _lane_fits(p, &work[0])
        to = _fits_found(coef, numbers, spread, centre)
        sums = &work[0] + _lane_fits_size(p)
        k = sums + entries * LANES
        for i from lo <= i < hi by LANES:
            filled = min(<Py_ssize_t> LANES, hi - i)
            for q in range(LANES):
                which[q] = i + min(q, filled - 1)       # the last one again in lanes that nobody reads
                for e in range(entries):
                    sums[e * LANES + q] = S[which[q], e]
                for e in range(p + 2):
                    k[e * LANES + q] = shifts[which[q], e]
            _solve_lanes(sums, k, p, fit_intercept, l2, False, &f)
            _put_fits(&f, p, &which[0], filled, &to)


cdef bint _all_same(
    const floating* x, Py_ssize_t step, Py_ssize_t count, strided w, double value
) noexcept nogil:
    """Whether all numbers in rows of non-zero weight are this one."""
    cdef Py_ssize_t i
    for i in range(count):
        if <double> x[i * step] != value and (w.at == NULL or _number(w, i, 0) != 0.0):
            return False
    return True


def stack_work_size(Py_ssize_t p, Py_ssize_t n_targets, Py_ssize_t most, Py_ssize_t gathered):
    """Length of the float64 workspace of `stack`, of problems of up to `most` rows, `gathered` if they are."""
    work, out = moments_sizes(p, n_targets, most)
    return (
        stack_sums_work_size(p) + (p + 2) * (p + 1 + n_targets) + p + n_targets + out
        + gathered * (p + n_targets + 1) + work
    )


def stack(
    const floating[:, :] X,
    const double[:, :] Y,
    const double[:] w,
    const Py_ssize_t[::1] order,
    const Py_ssize_t[::1] bounds,
    Py_ssize_t lo,
    Py_ssize_t hi,
    Py_ssize_t gathered,
    Py_ssize_t shift_rows,
    bint fit_intercept,
    double l2,
    double[::1] work,
    double[:, ::1] coef,        # OUT
    double[:, ::1] numbers,     # OUT
    double[:, ::1] spread,      # OUT
    double[:, ::1] centre,      # OUT
):
    """The fits of problems lo to hi, a row of the results for each of their targets; digits as in `stack_of_sums`.

    Columns that are constant in a problem, beside an intercept, or 0 without one, have the coefficient 0 there and NaN
    in `spread`.

    The rows of problem g are order[bounds[g]] to order[bounds[g + 1] - 1], or bounds[g] to bounds[g + 1] - 1 of X in C
    or F order where order is None.  Of a problem without rows nothing is written, nor of one of more than `gathered`
    rows that have an order.

    gathered    most rows of a problem that are brought together
    shift_rows  leading rows whose mean is the shift
    """
    cdef Py_ssize_t p = X.shape[1], n_targets = Y.shape[1], m = p + 1 + n_targets, entries = _triangle(p)
    cdef Py_ssize_t size = _moments_size(p, n_targets), g, i, j, e, t, count, filled = 0
    cdef Py_ssize_t row = X.strides[0] // <Py_ssize_t> sizeof(floating)
    cdef Py_ssize_t column = X.strides[1] // <Py_ssize_t> sizeof(floating)
    cdef bint in_place = order is None, c_order = True
    cdef const floating* x = &X[0, 0] if X.shape[0] else NULL
    cdef const floating* from_x
    cdef strided y = _strided_of_targets(Y), v = _strided_of_column(w), at_y, at_w
    cdef Py_ssize_t ld = p
    cdef double* lanes = &work[0]
    cdef double* sums = lanes + _lane_fits_size(p)
    cdef double* k = sums + entries * LANES
    cdef double* M = k + (p + 2) * LANES
    cdef double* shift = M + (p + 2) * m
    cdef double* out = shift + p + n_targets
    cdef double* to_y = out + size
    cdef double* to_w = to_y + gathered * n_targets
    cdef floating* to_x = <floating*> (to_w + gathered)
    cdef double* rest = to_w + gathered + gathered * p
    cdef lane_fits f
    cdef fits_found to
    cdef Py_ssize_t[16] which
    if hi <= lo:
        return
    if in_place:
        c_order = _in_c_order(X.shape, X.strides, sizeof(floating))
        ld = p if c_order else X.shape[0]
    with nogil:
        f = _lane_fits(p, lanes)
        to = _fits_found(coef, numbers, spread, centre)
        for i in range((entries + p + 2) * LANES):
            sums[i] = 0.0
        for g in range(lo, hi):
            count = bounds[g + 1] - bounds[g]
            if count <= 0 or (not in_place and count > gathered):
                continue
            if in_place:
                from_x = x + bounds[g] * (ld if c_order else 1)
                at_y, at_w = _from_row(y, bounds[g]), _from_row(v, bounds[g])
            else:
                _gather(
                    x, row, column, p, y, n_targets, v, &order[bounds[g]], count, order.shape[0] - bounds[g + 1],
                    to_x, to_y, to_w
                )
                from_x = to_x
                at_y.at, at_y.row, at_y.column = <const char*> to_y, n_targets * sizeof(double), sizeof(double)
                at_w.at, at_w.row, at_w.column = NULL, sizeof(double), 0
                if v.at != NULL:
                    at_w.at = <const char*> to_w
            for i in range(size):
                out[i] = 0.0
            for i in range(p + n_targets):
                shift[i] = 0.0
            if fit_intercept:
                _shift(from_x, ld, c_order, p, count, at_y, n_targets, at_w, shift_rows, shift)
            _moments(from_x, ld, NULL, c_order, p, at_y, n_targets, at_w, 0, count, shift, rest, out)
            _unpack_moments(out, p, n_targets, M)
            for j in range(p):
                # squares may have vanished too
                if M[j * m + j] == 0.0 and not _all_same(
                    from_x + j * (1 if c_order else ld), ld if c_order else 1, count, at_w, shift[j]
                ):
                    M[j * m + j] = NAN
            for t in range(n_targets):
                e = filled
                for i in range(p + 1):
                    for j in range(i, p + 1):
                        sums[e] = M[i * m + j]
                        e += LANES
                    sums[e] = M[i * m + p + 1 + t]
                    e += LANES
                sums[e] = M[(p + 1) * m + p + 1 + t]
                for j in range(p):
                    k[j * LANES + filled] = shift[j]
                k[(p + 1) * LANES + filled] = shift[p + t]
                which[filled] = g * n_targets + t
                filled += 1
                if filled == LANES:
                    _solve_lanes(sums, k, p, fit_intercept, l2, l2 == 0.0, &f)
                    _put_fits(&f, p, &which[0], filled, &to)
                    filled = 0
        if filled:
            _solve_lanes(sums, k, p, fit_intercept, l2, l2 == 0.0, &f)
            _put_fits(&f, p, &which[0], filled, &to)
