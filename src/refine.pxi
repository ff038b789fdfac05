# Residual and gradient of the normal equations in double-double, one fused pass.
#
#     z_ij = x_ij - k_j,  r_i = y_i - k_y - b_0 - sum_j z_ij b_j
#     rss = sum w_i r_i^2,  g_j = sum w_i z_ij r_i,  g_0 = sum w_i r_i
#
# Numbers are the pairs of pairs.pxi.  The shift k is subtracted exactly, as a pair, so that no sum is larger
# than the spread of the columns: an offset costs no digit.  Lanes are rows, so a lane's sums run down the
# rows and are joined at the end of the range.


cdef void _refine(
    const floating* x,
    Py_ssize_t row_step,
    Py_ssize_t column_step,
    Py_ssize_t p,
    strided y,
    strided w,                  # w.at NULL: none
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double* scale,
    const double* shift,
    const double* b,
    double* work,
    double* out,                # IN, OUT
) noexcept nogil:
    cdef double* z = work                           # LANES rows of x - k: LANES high parts, LANES low parts a column
    cdef double* g = work + 2 * p * LANES           # sums of a column: LANES high parts, LANES low parts
    cdef double* lane = g + 2 * (p + 2) * LANES     # y and w of LANES rows
    cdef Py_ssize_t i, j, u, m
    cdef Py_ssize_t y_step = y.row // <Py_ssize_t> sizeof(double), w_step = w.row // <Py_ssize_t> sizeof(double)
    cdef const double* y0 = <const double*> y.at
    cdef const double* w0 = <const double*> w.at
    cdef bint whole, weighted = w.at != NULL
    cdef dd r, rss, s, g0
    cdef vec v, wv, x_hi, u_hi, u_lo
    for j in range(2 * (p + 2) * LANES):
        g[j] = 0.0
    rss.hi = rss.lo = g0.hi = g0.lo = vec_zero()
    for i from lo <= i < hi by LANES:
        m = min(<Py_ssize_t> LANES, hi - i)
        whole = m == LANES
        if weighted and whole:
            for u in range(LANES):
                whole = whole and w0[(i + u) * w_step] != 0.0
        wv = vec_set(1.0)
        if whole:
            v = vec_gather(y0 + i * y_step, y_step) * scale[p]
            if weighted:
                wv = vec_gather(w0 + i * w_step, w_step)
        else:
            # a row of weight 0 is not there, whatever it holds
            for u in range(LANES):
                lane[u] = lane[LANES + u] = 0.0
                if u < m:
                    lane[LANES + u] = w0[(i + u) * w_step] if weighted else 1.0
                    if lane[LANES + u] != 0.0:
                        lane[u] = y0[(i + u) * y_step] * scale[p]
            v = vec_load_f64(lane)
            wv = vec_load_f64(lane + LANES)
        r = _difference(v, vec_set(shift[p]))
        _add(&r, vec_set(-b[2 * p]), vec_set(-b[2 * p + 1]))
        for j in range(p):
            if whole:
                v = vec_gather(x + i * row_step + j * column_step, row_step) * scale[j]
            else:
                for u in range(LANES):
                    lane[u] = 0.0
                    if lane[LANES + u] != 0.0:
                        lane[u] = <double> x[(i + u) * row_step + j * column_step] * scale[j]
                v = vec_load_f64(lane)
            s = _difference(v, vec_set(shift[j]))
            _store_dd(z + 2 * j * LANES, s)
            _add_pair_product(&r, s, vec_set(-b[2 * j]), vec_set(-b[2 * j + 1]))
        # renormalise: |r.hi| >= |r.lo| holds unless hi cancelled, and then TwoSum is still exact
        v = r.hi + r.lo
        x_hi = v - r.hi
        r.lo = (r.hi - (v - x_hi)) + (r.lo - x_hi)
        r.hi = v
        if weighted:
            u_hi = vec_product(wv, r.hi)
            u_lo = vec_product_error(wv, r.hi, u_hi) + wv * r.lo
        else:
            # only the lanes beyond the last row have weight 0 here, and their shift must not count
            u_hi = r.hi if whole else r.hi * wv
            u_lo = r.lo if whole else r.lo * wv
        _add_pair_product(&rss, r, u_hi, u_lo)
        _add(&g0, u_hi, u_lo)
        for j in range(p):
            s = _load_dd(g + 2 * j * LANES)
            _add_pair_product(&s, _load_dd(z + 2 * j * LANES), u_hi, u_lo)
            _store_dd(g + 2 * j * LANES, s)
    _store_dd(g + 2 * p * LANES, g0)
    _store_dd(g + 2 * (p + 1) * LANES, rss)
    for j in range(p + 2):
        _join_lanes(out + 2 * j, g + 2 * j * LANES)


def refine_work_size(Py_ssize_t p):
    """Length of the float64 workspace of `refine`."""
    return (4 * p + 8) * LANES


def refine(
    const floating[:, :] X,
    const double[:] y,
    const double[:] w,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[::1] scale,
    const double[::1] shift,
    const double[:, ::1] coef,
    double[::1] work,
    double[:, ::1] out,         # IN, OUT
):
    """out += [g_1 .. g_p, g_0, rss] over the rows lo to hi in double-double, X in any layout.

    scale   powers of two, p for the columns of X and one for y
    shift   [k, k_y] of the scaled columns and the scaled y
    coef    (p + 1, 2): the coefficients of the scaled columns as pairs hi, lo; the intercept last
    out     (p + 2, 2), pairs
    """
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    cdef Py_ssize_t row_step = X.strides[0] // <Py_ssize_t> sizeof(floating)
    cdef Py_ssize_t column_step = X.strides[1] // <Py_ssize_t> sizeof(floating)
    with nogil:
        _refine(
            x, row_step, column_step, X.shape[1], _strided_of_column(y), _strided_of_column(w), lo, hi, &scale[0],
            &shift[0], &coef[0, 0], &work[0], &out[0, 0],
        )


def double_double_works(double a, double b):
    """Whether a b is recovered exactly as a rounded product and its error, and a + b as sum and error.

    False where a compiler or a processor flag rounds otherwise than IEEE 754; a = 1 + 2^-30 and
    b = 1 + 2^-30 leave 2^-60.
    """
    cdef dd s
    cdef vec p = vec_product(vec_set(a), vec_set(b))
    s.hi = vec_set(1.0)
    s.lo = vec_zero()
    _add(&s, vec_product_error(vec_set(a), vec_set(b), p), vec_zero())
    return vec_sum(s.lo) == LANES * 2.0 ** -60 and vec_sum(s.hi) == LANES
