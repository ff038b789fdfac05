# Many targets on one X: their sums with its columns, and all their fits from one factor.


cdef inline Py_ssize_t _targets_size(Py_ssize_t p, Py_ssize_t n_targets) noexcept nogil:
    """Length of `out`: X'wV, p rounded up to whole vectors of rows, w'V, the squares of V."""
    return (_groups(p) * LANES + 2) * _groups(n_targets) * LANES


def target_sums_sizes(Py_ssize_t p, Py_ssize_t n_targets, Py_ssize_t n_rows):
    """Lengths of the float64 buffers of `target_sums`: (work, out)."""
    cdef Py_ssize_t rows = _panel_rows(p, n_rows), out = _targets_size(p, n_targets)
    return (2 * _groups(p) + TILE_VECS) * (rows * LANES + PAD) + rows + out + LINE // sizeof(double), out


cdef inline void _ask_for_targets(strided y, Py_ssize_t lo, Py_ssize_t hi, Py_ssize_t n_targets) noexcept nogil:
    """The lines of some targets that lie side by side, of rows lo to hi: none of what lies between the rows.

    To L2: in L1 they would drive out the panels that are worked on.
    """
    cdef Py_ssize_t t, j
    for t in range(lo, hi):
        for j from 0 <= j < n_targets by LINE // sizeof(double):
            vec_prefetch_l2(y.at + t * y.row + j * sizeof(double))


cdef void _target_sums(
    const floating* x,
    Py_ssize_t ld,
    bint c_order,
    Py_ssize_t p,
    strided y,
    Py_ssize_t n_targets,
    strided w,                  # w.at NULL: none
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double* k,
    double* work,
    double* out,                # IN, OUT
) noexcept nogil:
    cdef bint weighted = w.at != NULL
    cdef Py_ssize_t rows = _panel_rows(p, hi - lo), stride = rows * LANES + PAD
    cdef Py_ssize_t nv = _groups(p), ny = _groups(n_targets), to = ny * LANES, size = _targets_size(p, n_targets)
    # panels start at a cache line, or every second vector of v4 would straddle two
    cdef double* b = <double*> ((<Py_ssize_t> work + LINE - 1) // LINE * LINE)
    cdef double* by = b + nv * stride
    cdef double* a = by + TILE_VECS * stride if weighted else b
    cdef double* wv = by + (TILE_VECS + nv) * stride
    cdef double* part = wv + rows
    cdef double* sums = part + nv * LANES * to
    cdef Py_ssize_t i, t, q, j, m, whole, width, n, panels = 0, next_rows, part_rows
    cdef strided at
    for t in range((nv + TILE_VECS) * stride):
        b[t] = 0.0
    for t in range(size):
        part[t] = 0.0
    for i from lo <= i < hi by rows:
        m = min(rows, hi - i)
        whole = (m + TILE_STEP - 1) // TILE_STEP * TILE_STEP
        for t in range(m, whole):
            # only at the end of the range: rows of zeros
            for q in range(nv + TILE_VECS):
                vec_store(b + q * stride + t * LANES, vec_zero())
        if c_order:
            _pack_x_c(x + i * ld, p, m, stride, k, b)
        else:
            _pack_x_f(x, ld, NULL, i, p, m, stride, k, b)
        if weighted:
            for t in range(m):
                wv[t] = _number(w, i + t, 0)
            _total_weight(wv, m, whole)
            _weigh(wv, whole, stride, nv, b, a)
        j = 0
        while j < ny:
            width = _vecs_of_next_tile(ny - j)
            n = min(n_targets - j * LANES, width * LANES)
            at = _from_column(_from_row(y, i), j * LANES)
            next_rows, part_rows = min(rows, hi - i - m) if y.column == sizeof(double) else 0, rows // (nv + 1) + 1
            _ask_for_targets(at, m, m + min(part_rows, next_rows), n)
            _pack_y(
                at, n, m, stride, k + p + j * LANES, wv if weighted else NULL, by, sums + j * LANES,
                sums + to + j * LANES,
            )
            for q in range(nv):
                # some at a time: there is room for few lines on their way
                t = m + (q + 1) * part_rows
                _ask_for_targets(at, min(t, m + next_rows), min(t + part_rows, m + next_rows), n)
                tile(
                    a + q * stride, by, stride, whole, part + q * LANES * to + j * LANES, to,
                    min(<Py_ssize_t> LANES, p - q * LANES), width, <const char*> by, 0,
                )
            j += width
        panels += 1
        if panels == PANELS_PER_FLUSH or i + rows >= hi:
            panels = 0
            for t in range(size):
                out[t] += part[t]
                part[t] = 0.0


def target_sums(
    const floating[:, :] X,
    const double[:, :] Y,
    const double[:] w,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[::1] shift,
    double[::1] work,
    double[::1] out,            # IN, OUT
):
    """Cross products of [X - k, 1] with Y - ky, and the squares of Y - ky, over the rows lo to hi, added to `out`.

    X in C or F order; `shift` is [k, ky]; `target_fits` reads `out`.
    """
    cdef bint c_order = _in_c_order(X.shape, X.strides, sizeof(floating))
    cdef Py_ssize_t ld = X.shape[1] if c_order else X.shape[0]
    with nogil:
        _target_sums(
            &X[0, 0], ld, c_order, X.shape[1], _strided_of_targets(Y), Y.shape[1], _strided_of_column(w), lo, hi,
            &shift[0], &work[0], &out[0],
        )


def target_fits(
    const double[:, ::1] M,
    const double[::1] shift,
    const double[::1] products,
    bint fit_intercept,
    double l2,
    bint constants,
    double[::1] work,
    double[:, ::1] coef,        # OUT
    double[:, ::1] numbers,     # OUT: rows b_0, rss, tss, digits, the predictions at the means of the columns
    double[::1] columns,        # OUT: h_1 .. h_p, h_0 as in `_solve_small`, the means of the columns, rcond
):
    """The fits of all targets on the same columns; digits are NaN where one has to be solved by itself.

    M           the cross products of [X - k, 1], or more
    shift       [k, ky], 0 without an intercept
    products    what `target_sums` found
    constants   whether columns without squares are constant: their coefficients are 0 then, and h NaN
    work        as long as `stack_sums_work_size` says
    """
    cdef Py_ssize_t n_targets = coef.shape[0], p = coef.shape[1], to = _groups(n_targets) * LANES
    cdef Py_ssize_t i, j, e = 0, t, count
    cdef const double* sums = &products[0] + _groups(p) * LANES * to
    cdef double* S = &work[0] + _lane_fits_size(p)
    cdef double* k = S + _triangle(p) * LANES
    cdef double[8] k_y
    cdef lane_fits f
    cdef lane_columns c
    with nogil:
        f = _lane_fits(p, &work[0])
        for i in range(p + 1):
            _to(k, i, vec_set(shift[i]) if i < p else vec_zero())
            for j in range(i, p + 1):
                _to(S, e, vec_set(M[i, j]))
                e += 1
            e += 1                          # of X with y, which is in `products`
        c = _factor_columns(S, k, p, fit_intercept, l2, constants, &f)
        _to(f.b, 0, c.rcond)
        columns[2 * p + 1] = sqrt(f.b[0])
        for i in range(p + 1):
            columns[i] = f.h[i * LANES]
        for i in range(p):
            columns[p + 1 + i] = f.mean[i * LANES]
        for t from 0 <= t < n_targets by LANES:
            count = min(<Py_ssize_t> LANES, n_targets - t)
            for i in range(p):
                _to(f.rhs, i, vec_load_f64(&products[i * to + t]))
            for i in range(LANES):
                k_y[i] = shift[p + t + min(i, count - 1)]
            _solve_target_lanes(
                &c, _at(S, p * (p + 5) // 2), vec_load_f64(sums + t), vec_load_f64(sums + to + t),
                vec_load_f64(k_y), k, p, fit_intercept, l2, &f,
            )
            for i in range(count):
                for j in range(p):
                    coef[t + i, j] = f.b[j * LANES + i]
                for j in range(4):
                    numbers[j, t + i] = f.numbers[j * LANES + i]
                numbers[4, t + i] = f.mean[p * LANES + i]
