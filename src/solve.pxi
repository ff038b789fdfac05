# Moments of few columns -> coefficients, without LAPACK.
#
# The same steps as in algebra/centred.py and solvers/closed_form.py, which take over wherever this declines:
# a column that is constant or out of range, a shift that turns out badly chosen, too ill-conditioned columns.

# Explained where Python has them under the same names; a test holds both equal.
cdef double EPS = 2.0 ** -53
cdef double FULL_DIGITS = 15.95
cdef double RCOND_CHOLESKY = 1e-13
cdef double SHIFT_LIMIT = 25.0
cdef double ROUNDING = 2.0 ** -50
cdef double FAR = 8.0
cdef double LEAST_SQUARE = 2.0 ** -800
cdef double MOST_SQUARE = 2.0 ** 1000
cdef double LEAST_SHARE = 2.0 ** -20    # of a penalised square that is the column's own
cdef double LEAST_COEF = 2.0 ** -1000   # far from where float64 has fewer digits, or none

solve_constants = {
    "EPS": EPS,
    "FULL_DIGITS": FULL_DIGITS,
    "RCOND_CHOLESKY": RCOND_CHOLESKY,
    "SHIFT_LIMIT": SHIFT_LIMIT,
    "ROUNDING": ROUNDING,
    "FAR": FAR,
    "RANGE": (LEAST_SQUARE, MOST_SQUARE),
}


cdef inline void _axpy(Py_ssize_t lo, Py_ssize_t hi, double a, const double* x, double* y) noexcept nogil:
    """y += a x over lo to hi."""
    cdef Py_ssize_t j
    for j in range(lo, hi):
        y[j] += a * x[j]


cdef inline double _dot(Py_ssize_t lo, Py_ssize_t hi, const double* x, const double* y) noexcept nogil:
    """Sum of x y from lo on, in whole vectors up to hi."""
    cdef Py_ssize_t j = lo
    cdef double first = 0.0
    cdef vec s = vec_zero()
    while j < hi and j % LANES != 0:
        first += x[j] * y[j]
        j += 1
    for j from j <= j < hi by LANES:
        s += vec_load_f64(x + j) * vec_load_f64(y + j)
    return first + vec_sum(s)


cdef inline Py_ssize_t _triangle_size(Py_ssize_t p) noexcept nogil:
    """Length of the upper triangle of a matrix, row by row."""
    return p * (p + 1) // 2


cdef inline Py_ssize_t _in_triangle(Py_ssize_t i, Py_ssize_t j, Py_ssize_t p) noexcept nogil:
    """Where entry (i, j) of it stands."""
    return i * (2 * p - i - 1) // 2 + j


cdef double _inverse_norm(
    const double* R,
    Py_ssize_t p,
    Py_ssize_t ld,
    double* X,                  # OUT: R^-1 in rows of ld numbers
    double* inverse,            # OUT: the upper triangle of X X'
    double* columns,            # workspace of p numbers
) noexcept nogil:
    """1-norm of (R'R)^-1 = X X' for an upper triangle R."""
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
            inverse[_in_triangle(i, j, p)] = vec_sum(s)
            g = fabs(inverse[_in_triangle(i, j, p)])
            columns[j] += g
            if j > i:
                columns[i] += g
    for i in range(p):
        norm = fmax(norm, columns[i])
    return norm


cdef double _factored(
    double* R,                  # IN: A, its upper triangle in rows of ld numbers; OUT: R of A = R'R
    Py_ssize_t p,
    Py_ssize_t ld,
    double* X,                  # OUT: R^-1
    double* inverse,            # OUT: the upper triangle of A^-1
    double* roots,              # OUT: what the rows of R were divided by
    double* columns,            # workspace of p numbers
) noexcept nogil:
    """The reciprocal condition number of A in the 1-norm; 0 where A is not positive definite."""
    cdef Py_ssize_t i, j
    cdef double norm = 0.0, sum
    for i in range(p):
        sum = 0.0
        for j in range(p):
            sum += fabs(R[min(i, j) * ld + max(i, j)])
        norm = fmax(norm, sum)
    if not isfinite(norm):
        return 0.0
    for i in range(p):
        if not (R[i * ld + i] > 0.0):
            return 0.0
        roots[i] = sqrt(R[i * ld + i])
        for j in range(i, p):
            R[i * ld + j] /= roots[i]
        for j in range(i + 1, p):
            _axpy(j, p, -R[i * ld + j], R + i * ld, R + j * ld)
    return fmin(1.0, 1.0 / (norm * _inverse_norm(R, p, ld, X, inverse, columns)))


cdef void _substituted(
    const double* R, const double* roots, Py_ssize_t p, Py_ssize_t ld, double* beta
) noexcept nogil:
    """beta = (R'R)^-1 beta, in whole vectors that are 0 from p on."""
    cdef Py_ssize_t i
    for i in range(p):
        beta[i] /= roots[i]
        _axpy(i + 1, p, -beta[i], R + i * ld, beta)
    for i in range(p - 1, -1, -1):
        beta[i] = (beta[i] - _dot(i + 1, ld, R + i * ld, beta)) / R[i * ld + i]


cdef void _deviations(
    const double* X,
    Py_ssize_t p,
    Py_ssize_t ld,
    const double* e,
    const double* k,
    const double* mu,
    double N,
    bint fit_intercept,
    double* work,               # p numbers
    double* h,                  # OUT
) noexcept nogil:
    """h_1 .. h_p, h_0: h_j^2 is the diagonal of S^-1 = e X X' e, h_0^2 = 1/N + m'S^-1 m with m = k + mu."""
    cdef Py_ssize_t i, j
    cdef double square
    for j in range(p):
        work[j] = 0.0
    for i in range(p):
        square = 0.0
        for j in range(i, p):
            square += X[i * ld + j] * X[i * ld + j]
        h[i] = sqrt(square) * e[i]
        _axpy(i, p, (k[i] + mu[i]) * e[i], X + i * ld, work)
    square = 1.0 / N
    for j in range(p):
        square += work[j] * work[j]
    h[p] = sqrt(square) if fit_intercept else NAN


cdef inline void _in_units(const double* e, Py_ssize_t p, double* inverse) noexcept nogil:
    """S^-1 = e A^-1 e, the upper triangle."""
    cdef Py_ssize_t i, j
    for i in range(p):
        for j in range(i, p):
            inverse[_in_triangle(i, j, p)] *= e[i] * e[j]


cdef int _solve_small(
    const double* M,
    Py_ssize_t p,
    Py_ssize_t n_targets,
    bint fit_intercept,
    double l2,
    const double* k,
    double* work,
    double* res,                # OUT
) noexcept nogil:
    """Coefficients and what is known of them from the moments M that `_unpack_moments` leaves; 1 if declined.

    res     [b, b_0, rss, tss, digits, rcond, sum w, h_1 .. h_p, h_0, c, v, far, S^-1]: b one row of p for each target,
            the next three one number for each, digits those of the worst coefficient.  h are the standard errors over
            the residual standard deviation: h_j^2 is the diagonal of S^-1, h_0^2 = 1/N + m'S^-1 m.  c are the means of
            the columns and v the prediction there, one for each target: see `origin`.  Of S^-1 the upper triangle
    """
    cdef Py_ssize_t ld = _groups(p) * LANES, n = p + 1 + n_targets, i, j
    cdef double N = M[p * n + p], rho = 0.0, square, rcond, pivot, worst = 0.0, lever = 0.0
    cdef double* R = work                       # upper triangle, rows of ld numbers
    cdef double* X = R + p * ld
    cdef double* e = X + p * ld
    cdef double* mu = e + ld
    cdef double* roots = mu + ld
    cdef double* rhs = roots + ld
    cdef double* tail = res + n_targets * (p + 3)
    cdef double* c = tail + p + 4
    if not (N > 0.0) or not isfinite(N):
        return 1
    for i in range(n_targets):
        square = M[(p + 1) * n + p + 1 + i]
        pivot = M[p * n + p + 1 + i] * M[p * n + p + 1 + i] / N if fit_intercept else 0.0
        if not (square >= LEAST_SQUARE and square <= MOST_SQUARE and pivot <= SHIFT_LIMIT * (square - pivot)):
            return 1
    for i in range(p):
        square = M[i * n + i]
        if not (square >= LEAST_SQUARE and square <= MOST_SQUARE):
            return 1
        mu[i] = M[p * n + i] / N if fit_intercept else 0.0
        square -= M[p * n + i] * mu[i]
        if fit_intercept and not (square > 0.0 and M[p * n + i] * mu[i] <= SHIFT_LIMIT * square):
            return 1
        rho = fmax(rho, M[p * n + i] * mu[i] / square)
        if not (square >= LEAST_SHARE * l2):
            return 1
        e[i] = ldexp(1.0, -<int> rint(0.5 * log2(square + l2)))
    for i in range(p * ld):
        R[i] = 0.0
    for i in range(p):
        for j in range(i, p):
            R[i * ld + j] = (M[i * n + j] - M[p * n + i] * mu[j]) * e[i] * e[j]
        R[i * ld + i] += l2 * e[i] * e[i]
    rcond = _factored(R, p, ld, X, tail + 2 * p + 5 + n_targets, roots, res)
    if not (rcond >= RCOND_CHOLESKY):
        return 1
    _in_units(e, p, tail + 2 * p + 5 + n_targets)
    c[p + n_targets] = 0.0
    for i in range(p):
        c[i] = k[i] + mu[i] if fit_intercept else 0.0
        lever += fabs(c[i]) * e[i]
    for i in range(n_targets):
        if not _solve_target(
            M, p, n_targets, i, fit_intercept, l2, k, R, roots, e, mu, EPS * (1.0 + rho) / rcond, lever, rhs, res,
            &worst,
        ):
            return 1
    tail[0] = fmax(fmin(FULL_DIGITS, -log10(worst)), 0.0) if worst > 0.0 else FULL_DIGITS
    tail[1] = sqrt(rcond)
    tail[2] = N
    _deviations(X, p, ld, e, k, mu, N, fit_intercept, rhs, tail + 3)
    return 0


cdef bint _solve_target(
    const double* M,
    Py_ssize_t p,
    Py_ssize_t n_targets,
    Py_ssize_t t,
    bint fit_intercept,
    double l2,
    const double* k,
    const double* R,            # A = R'R, rows of whole vectors
    const double* roots,        # what its rows were divided by: exact solutions stay exact
    const double* e,
    const double* mu,
    double delta,               # error of beta relative to its largest component
    double lever,               # what an error of beta is worth in the intercept
    double* work,
    double* res,                # OUT
    double* worst,              # IN, OUT: relative error of a coefficient
) noexcept nogil:
    """The part of `_solve_small` that target t takes; False if a coefficient leaves the range of float64."""
    cdef Py_ssize_t ld = _groups(p) * LANES, n = p + 1 + n_targets, y = p + 1 + t, i
    cdef double* beta = work
    cdef double* rhs = beta + ld
    cdef double* b = res + t * p
    cdef double s = M[p * n + y], tss = M[(p + 1) * n + y], rss, m_y = 0.0, v, square, error, b0
    cdef double most = 0.0, least = INFINITY
    cdef double* c = res + n_targets * (p + 3) + p + 4
    cdef dd sum0
    sum0.hi = sum0.lo = vec_zero()
    if fit_intercept:
        tss -= s * s / M[p * n + p]
        sum0.hi = vec_set(k[p + t])
        sum0.lo = vec_set(s / M[p * n + p])
        m_y = k[p + t] + s / M[p * n + p]
    for i in range(p, ld):
        beta[i] = 0.0
    for i in range(p):
        beta[i] = rhs[i] = (M[i * n + y] - mu[i] * s) * e[i]
    _substituted(R, roots, p, ld, beta)
    rss = tss
    error = fabs(m_y) + sqrt(fmax(tss, 0.0)) / sqrt(M[p * n + p])     # the mean of y rounds by its spread
    v, square = m_y, error
    for i in range(p):
        b[i] = beta[i] * e[i]
        if beta[i] != 0.0 and not (fabs(b[i]) >= LEAST_COEF):
            return False
        rss -= beta[i] * rhs[i] + l2 * b[i] * b[i]
        most = fmax(most, fabs(beta[i]))
        if fit_intercept:
            _add_product(&sum0, vec_set(-b[i]), vec_set(k[i]), vec_set(mu[i]))
            error += fabs(c[i] * b[i])
            v -= ((k[i] - c[i]) + mu[i]) * b[i]
    c[p + t] = v
    if error > (1.0 + FAR) * square:
        c[p + n_targets] = 1.0
    if most > 0.0:  # large residuals add their rounding to that of rhs
        delta *= fmax(1.0, sqrt(fmax(rss, 0.0)) / most)
        square = ROUNDING * fmax(most, sqrt(fmax(tss, 0.0)))
        for i in range(p):
            if fabs(beta[i]) > square:
                least = fmin(least, fabs(beta[i]))
        worst[0] = fmax(worst[0], delta * most / least)
    b0 = (vec_sum(sum0.hi) + vec_sum(sum0.lo)) / LANES
    if fabs(b0) > ROUNDING * error:
        worst[0] = fmax(worst[0], (EPS * error + delta * most * lever) / fabs(b0))
    res[n_targets * p + t] = b0
    res[n_targets * (p + 1) + t] = fmax(rss, 0.0)
    res[n_targets * (p + 2) + t] = tss
    return isfinite(b0) and isfinite(most)


cdef inline Py_ssize_t _solve_size(Py_ssize_t p) noexcept nogil:
    return (2 * p + 5) * _groups(p) * LANES
