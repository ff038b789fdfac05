# Cross products in double-double, one pass.
#
#     M = sum_i w_i z_i z_i'      z_i = [x_i - k, 1, y_i - ky],  upper triangle, without Y'Y off its diagonal
#
# z is an exact pair, products and sums are those of pairs.pxi.  Lanes are rows; the sums of a panel stay
# in registers and those of the row range in the workspace, where their lanes are joined at the end.

cdef enum:
    DD_ROWS = 64                # rows of a panel, a multiple of LANES: 64 x 10 pairs are 10 kB


cdef void _dd_moments(
    const floating* x,
    Py_ssize_t row_step,
    Py_ssize_t column_step,
    Py_ssize_t p,
    strided y,
    Py_ssize_t n_targets,
    strided w,                  # w.at NULL: none
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double* scale,
    const double* shift,
    double* work,
    double* out,                # IN, OUT
) noexcept nogil:
    cdef Py_ssize_t q = p + 1 + n_targets, i, j, a, r, m, last
    cdef double* z = work                       # each column of the panel: DD_ROWS pairs, LANES high, LANES low parts
    cdef double* u = z + 2 * q * DD_ROWS        # a column times the weights
    cdef double* there = u + 2 * DD_ROWS        # the weights
    cdef double* value = there + DD_ROWS
    cdef double* sums = value + LANES
    cdef const double* left
    cdef double* at
    cdef bint whole, weighted = w.at != NULL
    cdef double weight
    cdef dd s
    cdef vec v, wv
    for i in range((p + 1) * q + n_targets):
        vec_store(sums + 2 * i * LANES, vec_zero())
        vec_store(sums + (2 * i + 1) * LANES, vec_zero())
    for a from lo <= a < hi by DD_ROWS:
        m = min(<Py_ssize_t> DD_ROWS, hi - a)
        last = (m + LANES - 1) // LANES * LANES
        whole = last == m
        for r in range(last):
            weight = (_number(w, a + r, 0) if weighted else 1.0) if r < m else 0.0
            there[r] = weight if weight >= 0.0 else NAN     # the caller looks for the row at fault
            if weight == 0.0:
                whole = False               # a row of weight 0 is not there, whatever it holds
        for j in range(q):
            at = z + 2 * j * DD_ROWS
            for r from 0 <= r < last by LANES:
                if j < p and whole:
                    v = vec_gather(x + (a + r) * row_step + j * column_step, row_step) * scale[j]
                else:
                    for i in range(LANES):
                        value[i] = 0.0
                        if there[r + i] != 0.0:
                            if j < p:
                                value[i] = <double> x[(a + r + i) * row_step + j * column_step] * scale[j]
                            elif j == p:
                                value[i] = 1.0
                            else:
                                value[i] = _number(y, a + r + i, j - p - 1) * scale[j - 1]
                    v = vec_load_f64(value)
                if j == p:
                    s.hi, s.lo = v, vec_zero()
                else:
                    s = _difference(v, vec_set(shift[j] if j < p else shift[j - 1]))
                    if not whole:
                        for i in range(LANES):
                            value[i] = 1.0 if there[r + i] != 0.0 else 0.0
                        v = vec_load_f64(value)
                        s.hi, s.lo = s.hi * v, s.lo * v
                _store_dd(at + 2 * r, s)
        for i in range(q):
            left = z + 2 * i * DD_ROWS
            if weighted:
                for r from 0 <= r < last by LANES:
                    s = _load_dd(left + 2 * r)
                    wv = vec_load_f64(there + r)
                    v = vec_product(wv, s.hi)
                    s.lo = vec_product_error(wv, s.hi, v) + wv * s.lo
                    s.hi = v
                    _store_dd(u + 2 * r, s)
                left = u
            for j in range(i, q if i <= p else i + 1):
                at = sums + 2 * LANES * (i * q + j if i <= p else (p + 1) * q + i - p - 1)
                s = _load_dd(at)
                for r from 0 <= r < last by LANES:
                    v = vec_load_f64(left + 2 * r)
                    wv = vec_load_f64(left + 2 * r + LANES)
                    _add_pair_product(&s, _load_dd(z + 2 * j * DD_ROWS + 2 * r), v, wv)
                _store_dd(at, s)
    for i in range(q):
        for j in range(i, q if i <= p else i + 1):
            _join_lanes(out + 2 * (i * q + j), sums + 2 * LANES * (i * q + j if i <= p else (p + 1) * q + i - p - 1))


cdef inline Py_ssize_t _dd_moments_size(Py_ssize_t p, Py_ssize_t n_targets) noexcept nogil:
    cdef Py_ssize_t q = p + 1 + n_targets
    return (2 * q + 3) * DD_ROWS + (1 + 2 * ((p + 1) * q + n_targets)) * LANES


def dd_moments_work_size(Py_ssize_t p, Py_ssize_t n_targets):
    """Length of the float64 workspace of `dd_moments`."""
    return _dd_moments_size(p, n_targets)


def dd_moments(
    const floating[:, :] X,
    const double[:, :] Y,
    const double[:] w,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[::1] scale,
    const double[::1] shift,
    double[::1] work,
    double[:, :, ::1] out,      # IN, OUT
):
    """out += M over the rows lo to hi in double-double, X in any layout.

    scale   powers of two, p for the columns of X and n_targets for those of Y
    shift   [k, ky] of the scaled columns
    out     (p + 1 + n_targets, p + 1 + n_targets, 2), pairs hi, lo; the upper triangle is added to; sum w is NaN
            where a weight is negative
    """
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    cdef Py_ssize_t row_step = X.strides[0] // <Py_ssize_t> sizeof(floating)
    cdef Py_ssize_t column_step = X.strides[1] // <Py_ssize_t> sizeof(floating)
    with nogil:
        _dd_moments(
            x, row_step, column_step, X.shape[1], _strided_of_targets(Y), Y.shape[1], _strided_of_column(w), lo, hi,
            &scale[0], &shift[0], &work[0], &out[0, 0, 0],
        )
