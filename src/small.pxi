# The closed form of one target and few columns without a call into Python or LAPACK: for those a
# microsecond counts.  The same steps as in linreg_fast/moments.py and closed_form.py, which take over
# wherever this declines: a column that is constant or out of range, a shift that turns out badly
# chosen, columns too ill-conditioned for Cholesky.

from cpython.buffer cimport Py_buffer, PyBUF_RECORDS_RO, PyBuffer_Release, PyObject_GetBuffer

cdef enum:
    SMALL = 64                  # columns: p^3 work of 0.1 ms, less than the calls it saves

cdef double EPS = 2.0 ** -53
cdef double FULL_DIGITS = 15.95
cdef double RCOND_CHOLESKY = 1e-13      # as in closed_form.py, where they are explained
cdef double CONSTANT = 4 * 2.0 ** -53
cdef double SHIFT_LIMIT = 25.0          # as in moments.py
cdef double NOTHING = 2.0 ** -46        # as in closed_form.py
cdef double LEAST_SQUARE = 2.0 ** -800
cdef double MOST_SQUARE = 2.0 ** 1000

small_columns = SMALL


cdef inline void _axpy(Py_ssize_t lo, Py_ssize_t hi, double a, const double* x, double* y) noexcept nogil:
    """y += a x over lo to hi."""
    cdef Py_ssize_t j
    for j in range(lo, hi):
        y[j] += a * x[j]


cdef double _inverse_norm(const double* R, Py_ssize_t p, Py_ssize_t ld, double* X, double* columns) noexcept nogil:
    """1-norm of (R'R)^-1 = X X' for an upper triangle R, and X = R^-1 in rows of ld numbers.

    columns     workspace of p numbers
    """
    cdef Py_ssize_t i, j, q
    cdef double norm = 0.0, g
    cdef vec s
    for i in range(p * ld):
        X[i] = 0.0
    for i in range(p):
        columns[i] = 0.0
    for i in range(p - 1, -1, -1):
        X[i * ld + i] = 1.0
        for j in range(i + 1, p):
            _axpy(j, p, -R[i * ld + j], X + j * ld, X + i * ld)
        g = 1.0 / R[i * ld + i]
        for j in range(i, p):
            X[i * ld + j] *= g
        # row i of X X' against itself and the rows below, which are done
        for j in range(i, p):
            s = vec_zero()
            for q from j // LANES * LANES <= q < ld by LANES:
                s += vec_load_f64(X + i * ld + q) * vec_load_f64(X + j * ld + q)
            g = fabs(vec_sum(s))
            columns[j] += g
            if j > i:
                columns[i] += g
    for i in range(p):
        norm = fmax(norm, columns[i])
    return norm


cdef int _solve_small(
    const double* M,
    Py_ssize_t p,
    bint fit_intercept,
    double l2,
    const double* k,
    double* work,
    double* res,                # OUT
) noexcept nogil:
    """Coefficients and what is known of them from the moments M of [X - k, 1, y - ky]; 1 if declined.

    res     [b_1 .. b_p, b_0, rss, tss, digits, rcond, sum w, h_1 .. h_p, h_0], h being the standard errors
            over the residual standard deviation: h_j^2 is the diagonal of S^-1, h_0^2 = 1/N + m'S^-1 m
    """
    cdef Py_ssize_t ld = _groups(p) * LANES, n = p + 2, y = p + 1, i, j
    cdef double N = M[p * n + p], rho = 0.0, tss, rss, square, norm, rcond, pivot, most, least, delta
    cdef double m, m_y, spread, error, lever
    cdef double* R = work                       # upper triangle, rows of ld numbers
    cdef double* X = R + p * ld
    cdef double* e = X + p * ld
    cdef double* mu = e + ld
    cdef double* beta = mu + ld
    cdef double* rhs = beta + ld
    cdef dd sum0
    if not (N > 0.0) or not isfinite(N):
        return 1
    square = M[y * n + y]
    if not (square >= LEAST_SQUARE and square <= MOST_SQUARE):
        return 1
    tss = square
    if fit_intercept:
        tss = square - M[p * n + y] * M[p * n + y] / N
        if not (M[p * n + y] * M[p * n + y] / N <= SHIFT_LIMIT * tss):
            return 1
    for i in range(p):
        square = M[i * n + i]
        if not (square >= LEAST_SQUARE and square <= MOST_SQUARE):
            return 1
        mu[i] = M[p * n + i] / N if fit_intercept else 0.0
        square -= M[p * n + i] * mu[i]
        pivot = CONSTANT * fabs(k[i])
        if fit_intercept and not (square > N * pivot * pivot and M[p * n + i] * mu[i] <= SHIFT_LIMIT * square):
            return 1
        rho = fmax(rho, M[p * n + i] * mu[i] / square)
        e[i] = ldexp(1.0, -<int> rint(0.5 * log2(square + l2)))
    norm = 0.0
    for i in range(p * ld):
        R[i] = 0.0
    for i in range(p):
        for j in range(i, p):
            R[i * ld + j] = (M[i * n + j] - M[p * n + i] * mu[j]) * e[i] * e[j]
        R[i * ld + i] += l2 * e[i] * e[i]
        rhs[i] = (M[i * n + y] - mu[i] * M[p * n + y]) * e[i]
        beta[i] = rhs[i]
    for i in range(p):
        pivot = 0.0
        for j in range(p):
            pivot += fabs(R[min(i, j) * ld + max(i, j)])
        norm = fmax(norm, pivot)
    if not isfinite(norm):
        return 1
    # R'R = A, row by row; R'z = rhs is solved along with it
    for i in range(p):
        if not (R[i * ld + i] > 0.0):
            return 1
        pivot = sqrt(R[i * ld + i])
        for j in range(i, p):
            R[i * ld + j] /= pivot
        for j in range(i + 1, p):
            _axpy(j, p, -R[i * ld + j], R + i * ld, R + j * ld)
        beta[i] /= pivot
        for j in range(i + 1, p):
            beta[j] -= R[i * ld + j] * beta[i]
    rcond = fmin(1.0, 1.0 / (norm * _inverse_norm(R, p, ld, X, res)))
    if not (rcond >= RCOND_CHOLESKY):
        return 1
    rss = tss
    for i in range(p - 1, -1, -1):
        for j in range(i + 1, p):
            beta[i] -= R[i * ld + j] * beta[j]
        beta[i] /= R[i * ld + i]
    sum0.hi = vec_set(k[p] if fit_intercept else 0.0)
    sum0.lo = vec_set(M[p * n + y] / N if fit_intercept else 0.0)
    most = lever = 0.0
    least = INFINITY
    m_y = k[p] + M[p * n + y] / N if fit_intercept else 0.0
    spread = sqrt(fmax(tss, 0.0) / N)
    error = fabs(m_y)
    for i in range(p):
        res[i] = beta[i] * e[i]
        rss -= beta[i] * rhs[i] + l2 * res[i] * res[i]
        most = fmax(most, fabs(beta[i]))
        if beta[i] != 0.0:
            least = min(least, fabs(beta[i]))
        if fit_intercept:
            m = k[i] + mu[i]
            _add_product(&sum0, vec_set(-res[i]), vec_set(k[i]), vec_set(mu[i]))
            error += fabs(m * res[i])
            lever += fabs(m) * e[i]
    delta = EPS * (1.0 + rho) / rcond
    if most > 0.0:  # large residuals add their rounding to that of rhs
        delta *= fmax(1.0, sqrt(fmax(rss, 0.0)) / most)
    res[p] = (vec_sum(sum0.hi) + vec_sum(sum0.lo)) / LANES if fit_intercept else 0.0
    res[p + 1] = fmax(rss, 0.0)
    res[p + 2] = tss
    res[p + 3] = FULL_DIGITS
    if most > 0.0:
        res[p + 3] = fmin(res[p + 3], -log10(delta * most / least))
    if fabs(res[p]) > NOTHING * spread:     # the mean of y rounds by its spread
        error += spread
    if fit_intercept and res[p] != 0.0:
        res[p + 3] = fmin(res[p + 3], -log10((EPS * error + delta * most * lever) / fabs(res[p])))
    res[p + 3] = fmax(res[p + 3], 0.0)
    res[p + 4] = sqrt(rcond)
    res[p + 5] = N
    # S^-1 = e X X' e
    for j in range(p):
        rhs[j] = 0.0
    for i in range(p):
        square = 0.0
        for j in range(i, p):
            square += X[i * ld + j] * X[i * ld + j]
        res[p + 6 + i] = sqrt(square) * e[i]
        _axpy(i, p, (k[i] + mu[i]) * e[i], X + i * ld, rhs)
    square = 1.0 / N
    for j in range(p):
        square += rhs[j] * rhs[j]
    res[2 * p + 6] = sqrt(square) if fit_intercept else NAN
    return 0 if isfinite(res[p]) and isfinite(most) else 1


cdef inline Py_ssize_t _solve_size(Py_ssize_t p) noexcept nogil:
    return (2 * p + 4) * _groups(p) * LANES


def small_work_size(Py_ssize_t p, Py_ssize_t n_rows):
    """Length of the float64 workspace of `small`, for at most n_rows rows, and of `small_solve`."""
    work, out = moments_sizes(p, 1, n_rows)
    return work + out + (p + 2) * (p + 2) + _solve_size(p) + p + 1


cdef inline tuple _scalars(const double* found):
    return found[0], found[1], found[2], found[3], found[4], found[5]


def small_solve(
    const double[::1] out,
    Py_ssize_t p,
    bint fit_intercept,
    double l2,
    const double[::1] shift,
    double[::1] work,
    double[::1] res,            # OUT
):
    """The closed form from what `moments_c` summed up for one target; None if it declines.

    res     as in `_solve_small`, 2 p + 7 numbers; (b_0, rss, tss, digits, rcond, sum w) of it are returned
    """
    cdef int status
    cdef double* M = &work[0]
    with nogil:
        _unpack(&out[0], p, 1, M)
        status = _solve_small(M, p, fit_intercept, l2, &shift[0], M + (p + 2) * (p + 2), &res[0])
    return None if status else _scalars(&res[p])


cdef int _small(
    const floating* x,
    Py_ssize_t ld,
    bint c_order,
    Py_ssize_t n,
    Py_ssize_t p,
    strided y,
    strided w,
    Py_ssize_t shift_rows,
    bint fit_intercept,
    double l2,
    double* work,
    double* res,                # OUT
) noexcept nogil:
    cdef Py_ssize_t i, size = _moments_size(p, 1)
    cdef double* out = work
    cdef double* M = out + size
    cdef double* shift = M + (p + 2) * (p + 2)
    cdef double* rest = shift + p + 1
    for i in range(size):
        out[i] = 0.0
    for i in range(p + 1):
        shift[i] = 0.0
    if fit_intercept:
        _shift(x, ld, c_order, p, n, y, 1, w, shift_rows, shift)
    _moments(x, ld, c_order, p, y, 1, w, 0, n, shift, rest, out)
    _unpack(out, p, 1, M)
    return _solve_small(M, p, fit_intercept, l2, shift, rest, res)


cdef bint _column(const Py_buffer* a, Py_ssize_t n, strided* y) noexcept nogil:
    """Whether a is a column of n float64 that can be read in place, described in y."""
    if a.ndim != 1 or a.shape[0] != n or a.format[0] != c"d" or a.format[1] != 0:
        return False
    y.at = <const char*> a.buf
    y.row = a.strides[0]
    y.column = 0
    return True


def small(
    X,
    y,
    w,
    Py_ssize_t shift_rows,
    bint fit_intercept,
    double l2,
    work,
    res,                        # OUT
):
    """Shift, moments and closed form of one target in one call; None if it declines.

    All arrays are read through the buffer protocol itself, as typed memoryviews of them would take longer
    than the arithmetic: X of float64 or float32 in C or F order, y and w (or None) of float64.  Any other
    layout or dtype, and whatever `small_solve` declines, is declined.

    shift_rows  leading rows whose mean is the shift
    work        as long as `small_work_size` says
    res         as in `small_solve`, and returned
    """
    cdef Py_buffer[5] a                         # X, y, work, res, w
    cdef strided ys, ws
    cdef Py_ssize_t n, p, i, held = 0
    cdef int status = 1
    cdef bint c_order, f_order
    ws.at = NULL
    ws.row = ws.column = 0
    try:
        for array in (X, y, work, res, w)[:5 if w is not None else 4]:
            PyObject_GetBuffer(array, &a[held], PyBUF_RECORDS_RO)
            held += 1
        if a[0].ndim != 2 or a[0].format[1] != 0:
            return None
        n, p = a[0].shape[0], a[0].shape[1]
        if not 0 < p <= SMALL or n == 0 or not _column(&a[1], n, &ys):
            return None
        if held == 5 and not _column(&a[4], n, &ws):
            return None
        c_order = a[0].strides[0] == p * a[0].itemsize and (p == 1 or a[0].strides[1] == a[0].itemsize)
        f_order = a[0].strides[1] == n * a[0].itemsize and a[0].strides[0] == a[0].itemsize
        if not (c_order or f_order) or <size_t> a[0].buf % a[0].itemsize != 0:
            return None
        with nogil:
            if a[0].format[0] == c"d":
                status = _small(
                    <const double*> a[0].buf, p if c_order else n, c_order, n, p, ys, ws, shift_rows,
                    fit_intercept, l2, <double*> a[2].buf, <double*> a[3].buf,
                )
            elif a[0].format[0] == c"f":
                status = _small(
                    <const float*> a[0].buf, p if c_order else n, c_order, n, p, ys, ws, shift_rows,
                    fit_intercept, l2, <double*> a[2].buf, <double*> a[3].buf,
                )
        return None if status else _scalars(<const double*> a[3].buf + p)
    finally:
        for i in range(held):
            PyBuffer_Release(&a[i])
