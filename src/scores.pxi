# Residuals and leverages of rows, as robust covariances weigh them.
#
#     u_i = y_i - v - sum_j b_j z_ij        h_i = c + sum_k (sum_{j >= k} L_jk z_ij)^2        z_ij = x_ij - m_j


cdef inline void _scores(
    const floating* x,
    Py_ssize_t row,
    Py_ssize_t column,
    Py_ssize_t p,
    Py_ssize_t m,
    const double* means,
    const double* b,
    double v,
    const double* L,            # L', its row k from j = 0 on, 0 below the diagonal; NULL for no leverages
    double c,
    double* z,                  # workspace of p vectors
    double* prediction,         # OUT: of LANES rows
    double* h,                  # OUT
) noexcept nogil:
    """Of m rows, at most LANES: each in a lane. Four columns of L at a time hide what an addition takes."""
    cdef Py_ssize_t i, j, k
    cdef vec s = vec_set(v), t0, t1, t2, t3, zv
    for j in range(p):
        for i in range(m):
            z[j * LANES + i] = <double> x[i * row + j * column] - means[j]
        for i in range(m, LANES):
            z[j * LANES + i] = 0.0
        s += vec_load_f64(z + j * LANES) * vec_set(b[j])
    vec_store(prediction, s)
    if L == NULL:
        return
    s = vec_set(c)
    k = 0
    while k + 4 <= p:
        t0 = t1 = t2 = t3 = vec_zero()
        for j in range(k, p):
            zv = vec_load_f64(z + j * LANES)
            t0 += zv * vec_set(L[k * p + j])
            t1 += zv * vec_set(L[(k + 1) * p + j])
            t2 += zv * vec_set(L[(k + 2) * p + j])
            t3 += zv * vec_set(L[(k + 3) * p + j])
        s += (t0 * t0 + t1 * t1) + (t2 * t2 + t3 * t3)
        k += 4
    for k in range(k, p):
        t0 = vec_zero()
        for j in range(k, p):
            t0 += vec_load_f64(z + j * LANES) * vec_set(L[k * p + j])
        s += t0 * t0
    vec_store(h, s)


def scores_work_size(Py_ssize_t p):
    """Length of the float64 workspace of `scores`."""
    return (p + 2) * LANES


def scores(
    const floating[:, :] X,
    const double[:] y,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[::1] means,
    const double[::1] coef,
    double level,
    const double[:, ::1] root,
    double one,
    double[::1] work,
    double[::1] u,              # OUT
    double[::1] h,              # OUT
):
    """u = y - level - (x - means) coef and h = one + |root (x - means)|^2 of the rows lo to hi.

    X of any strides that are whole numbers.  `root` is upper triangular, (p, p), or of no rows: then h is left as it
    is.  `work` is as long as `scores_work_size` says.
    """
    cdef Py_ssize_t p = X.shape[1], item = sizeof(floating), i, j, m
    cdef Py_ssize_t row = X.strides[0] // item, column = X.strides[1] // item
    cdef const floating* x = &X[0, 0] if p else NULL
    cdef const double* L = &root[0, 0] if root.shape[0] else NULL
    cdef const double* b = &coef[0] if p else NULL
    cdef const double* k = &means[0] if p else NULL
    cdef double* found = &work[p * LANES]
    cdef strided given = _strided_of_column(y)
    cdef bint leverage = root.shape[0] > 0 or (p == 0 and h.shape[0] > 0)
    with nogil:
        for i from lo <= i < hi by LANES:
            m = min(LANES, hi - i)
            found[LANES] = one
            _scores(x + i * row, row, column, p, m, k, b, level, L, one, &work[0], found, found + LANES)
            for j in range(m):
                u[i - lo + j] = _number(given, i + j, 0) - found[j]
                if leverage:
                    h[i - lo + j] = found[LANES + j] if p else one
