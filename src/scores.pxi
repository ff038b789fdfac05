# Residuals and leverages of rows, as robust covariances weigh them.
#
#     u_i = (y_i - v) - (v_lo + sum_j b_j z_ij)    h_i = c + sum_k (sum_{j >= k} L_jk z_ij)^2    z_ij = x_ij - m_j


cdef enum:
    SCORE_ROWS = 64             # of a panel: 10 columns are 5 kB


cdef inline void _scores(
    const double* z,
    Py_ssize_t p,
    const double* b,
    double v_lo,
    const double* L,            # L', its row k from j = 0 on, 0 below the diagonal; NULL for no leverages
    double c,
    double* prediction,         # OUT: of LANES rows
    double* h,                  # OUT
) noexcept nogil:
    """Of LANES rows, each in a lane of a panel. Four columns of L at a time hide what an addition takes."""
    cdef Py_ssize_t j, k = 0
    cdef vec s = vec_set(v_lo), t0, t1, t2, t3, zv
    for j in range(p):
        s += vec_load_f64(z + j * SCORE_ROWS) * vec_set(b[j])
    vec_store(prediction, s)
    if L == NULL:
        return
    s = vec_set(c)
    while k + 4 <= p:
        t0 = t1 = t2 = t3 = vec_zero()
        for j in range(k, p):
            zv = vec_load_f64(z + j * SCORE_ROWS)
            t0 += zv * vec_set(L[k * p + j])
            t1 += zv * vec_set(L[(k + 1) * p + j])
            t2 += zv * vec_set(L[(k + 2) * p + j])
            t3 += zv * vec_set(L[(k + 3) * p + j])
        s += (t0 * t0 + t1 * t1) + (t2 * t2 + t3 * t3)
        k += 4
    for k in range(k, p):
        t0 = vec_zero()
        for j in range(k, p):
            t0 += vec_load_f64(z + j * SCORE_ROWS) * vec_set(L[k * p + j])
        s += t0 * t0
    vec_store(h, s)


def scores_work_size(Py_ssize_t p):
    """Length of the float64 workspace of `scores`."""
    return p * SCORE_ROWS + 2 * LANES


def scores(
    const floating[:, ::1] X,
    const double[:] y,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[::1] means,
    const double[::1] coef,
    double level,
    double low,
    const double[:, ::1] root,
    double one,
    double[::1] work,
    double[::1] u,              # OUT
    double[::1] h,              # OUT
):
    """u = (y - level) - (low + (x - means) coef) and h = one + |root (x - means)|^2 of the rows lo to hi.

    `root` is upper triangular, (p, p), or of no rows: then h is left as it
    is.  `work` is as long as `scores_work_size` says.
    """
    cdef Py_ssize_t p = X.shape[1], first, i, j, m, whole
    cdef const floating* x = &X[0, 0] if p else NULL
    cdef const double* L = &root[0, 0] if root.shape[0] else NULL
    cdef const double* b = &coef[0] if p else NULL
    cdef const double* k = &means[0] if p else NULL
    cdef double* z = &work[0]
    cdef double* found = z + p * SCORE_ROWS
    cdef strided given = _strided_of_column(y)
    with nogil:
        for first from lo <= first < hi by SCORE_ROWS:
            m = min(SCORE_ROWS, hi - first)
            whole = (m + LANES - 1) // LANES * LANES
            if p:
                _pack_columns_c(x + first * p, p, p, m, SCORE_ROWS, k, z, NULL, 0)
            for j in range(p):
                for i in range(m, whole):
                    z[j * SCORE_ROWS + i] = 0.0
            for i from 0 <= i < whole by LANES:
                _scores(z + i, p, b, low, L, one, found, found + LANES)
                for j in range(min(LANES, m - i)):
                    u[first - lo + i + j] = (_number(given, first + i + j, 0) - level) - found[j]
                if L != NULL:
                    for j in range(min(LANES, m - i)):
                        h[first - lo + i + j] = found[LANES + j]
