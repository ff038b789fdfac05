# Sums kept as pairs -> coefficients: centred in double-double, factored in float64, corrected by residuals in
# double-double, so that no order of summation costs a digit.
#
# The same steps and the same estimates as in linreg_fast/algebra/paired.py and solvers/from_moments.py, which take
# over wherever this declines: a column that is constant, lost or out of range, columns too ill-conditioned, sums that
# know more than float64 holds, and whatever asks for a warning.

cdef double DD_UNIT = 2.0 ** -100
cdef double CHOLESKY_MARGIN = 10.0
cdef double POOR = 1e-3
cdef double UNKNOWN = 8.0
cdef double LAST_PLACE = 2.0 ** -60
cdef double SURE_CONTRACTION = 1e-6
cdef double MEANS_ROUNDING = 2.0 ** -46
cdef double LEAST_PAIR = 2.0 ** -700        # of sums of squares: products of pairs stay exact between these
cdef double MOST_PAIR = 2.0 ** 900
cdef double NEGLIGIBLE = 2.0 ** -90
cdef double WHOLE = 2.0 ** 56               # times the error of a sum of squares: one that is larger has all its digits

paired_constants = {
    "DD_UNIT": DD_UNIT,
    "CHOLESKY_MARGIN": CHOLESKY_MARGIN,
    "POOR": POOR,
    "UNKNOWN": UNKNOWN,
    "LAST_PLACE": LAST_PLACE,
    "SURE_CONTRACTION": SURE_CONTRACTION,
    "MEANS_ROUNDING": MEANS_ROUNDING,
    "NEGLIGIBLE": NEGLIGIBLE,
}


cdef inline Py_ssize_t _paired_size(Py_ssize_t p, Py_ssize_t n_targets) noexcept nogil:
    cdef Py_ssize_t width = _groups(p + 1 + n_targets) * LANES
    return (2 * (p + 1) + 11) * width + (2 * p + 9) * _groups(p) * LANES + 2 * LANES


def paired_sizes(Py_ssize_t p, Py_ssize_t n_targets):
    """Lengths of the float64 buffers of `paired_solve`: (work, res)."""
    return _paired_size(p, n_targets), n_targets * (p + 5) + 2 * p + 5 + _triangle_size(p)


cdef inline void _store_pair(double* hi, double* lo, dd s) noexcept nogil:
    """s as pairs, hi + lo rounded to hi."""
    cdef vec t = s.hi + s.lo
    cdef vec z = t - s.hi
    vec_store(hi, t)
    vec_store(lo, (s.hi - (t - z)) + (s.lo - z))


cdef inline dd _load_pair(const double* hi, const double* lo) noexcept nogil:
    cdef dd s
    s.hi = vec_load_f64(hi)
    s.lo = vec_load_f64(lo)
    return s


cdef inline void _add_number(double* hi, double* lo, double a) noexcept nogil:
    """hi + lo += a, the rounding of hi going to lo."""
    cdef double t = hi[0] + a
    cdef double z = t - hi[0]
    lo[0] += (hi[0] - (t - z)) + (a - z)
    hi[0] = t


cdef inline void _joined(dd s, double* lanes, double* pair) noexcept nogil:
    """The sum of all lanes of s as a pair."""
    pair[0] = pair[1] = 0.0
    _store_dd(lanes, s)
    _join_lanes(pair, lanes)


cdef struct paired:
    # Sums [W, 1, V] of m columns, the 1 at p, as high and low parts in rows of width numbers, and what is known of them
    Py_ssize_t p
    Py_ssize_t m
    Py_ssize_t width
    double N                    # sum of the weights
    double N_noise              # its relative error
    double root                 # sqrt(unit N)
    double algebra              # relative rounding of all that is done with the sums
    double* hi                  # (p + 1, width): of X and 1 with all columns
    double* lo
    double* q_hi                # (width,): sums of squares
    double* q_lo
    double* u_hi                # s - N d / 2
    double* u_lo
    double* m_hi                # means
    double* m_lo
    double* d                   # where the sums are brought to, from the shift
    double* k                   # the shift
    double* x                   # square roots of the errors of the sums of squares
    double* error               # of the means
    double* seen                # sums of squares as they came in


cdef bint _unpack_paired(
    const double* M, const double* noise, double unit, const double* k, bint fit_intercept, paired* s
) noexcept nogil:
    """Take the sums apart, and where they are to be brought to; False where they are out of range."""
    cdef Py_ssize_t i, j, p = s.p, m = s.m, width = s.width
    cdef double square
    for i in range(p + 1):
        for j in range(m):
            s.hi[i * width + j] = M[2 * (i * m + j)]
            s.lo[i * width + j] = M[2 * (i * m + j) + 1]
        for j in range(m, width):
            s.hi[i * width + j] = s.lo[i * width + j] = 0.0
    s.N = s.hi[p * width + p]
    if not (s.N > 0.0) or not isfinite(s.N):
        return False
    s.N_noise = noise[p] / s.N
    s.root = sqrt(unit * s.N)
    s.algebra = fmin(unit, DD_UNIT)
    for j in range(width):
        s.q_hi[j] = s.q_lo[j] = s.d[j] = s.k[j] = s.x[j] = 0.0
    for j in range(m):
        square = s.q_hi[j] = M[2 * (j * m + j)]
        s.q_lo[j] = M[2 * (j * m + j) + 1]
        s.seen[j] = square
        if j == p:
            continue
        if not (square >= LEAST_PAIR and square <= MOST_PAIR):
            return False
        s.k[j] = k[j] if j < p else k[j - 1]
        s.d[j] = s.hi[p * width + j] / s.N if fit_intercept else -s.k[j]
        s.x[j] = sqrt(fmax(noise[j], unit * square))
    return True


cdef bint _centre_paired(double unit, bint fit_intercept, const double* noise, paired* s) noexcept nogil:
    """M - T - T', T = d (s - N d / 2)', and the means; False where a column does not vary as far as the sums know."""
    cdef Py_ssize_t i, j, p = s.p, width = s.width
    cdef vec d, z, t
    cdef dd a
    cdef double error, size
    for j from 0 <= j < width by LANES:
        d = vec_load_f64(s.d + j)
        a = _load_pair(s.hi + p * width + j, s.lo + p * width + j)
        _add_product(&a, vec_set(-0.5) * d, vec_set(s.hi[p * width + p]), vec_set(s.lo[p * width + p]))
        _store_pair(s.u_hi + j, s.u_lo + j, a)
    for i in range(p + 1):
        for j from 0 <= j < width by LANES:
            a = _load_pair(s.hi + i * width + j, s.lo + i * width + j)
            _add_product(&a, vec_set(-s.d[i]), vec_load_f64(s.u_hi + j), vec_load_f64(s.u_lo + j))
            d = vec_zero() - vec_load_f64(s.d + j)
            _add_product(&a, d, vec_set(s.u_hi[i]), vec_set(s.u_lo[i]))
            _store_pair(s.hi + i * width + j, s.lo + i * width + j, a)
    for j from 0 <= j < width by LANES:
        d = vec_load_f64(s.d + j)
        a = _load_pair(s.q_hi + j, s.q_lo + j)
        _add_product(&a, vec_set(-2.0) * d, vec_load_f64(s.u_hi + j), vec_load_f64(s.u_lo + j))
        _store_pair(s.q_hi + j, s.q_lo + j, a)
        # k + d, and what d misses the mean by
        a.lo = vec_load_f64(s.k + j)
        t = a.lo + d
        z = t - a.lo
        a.lo = (a.lo - (t - z)) + (d - z)
        a.hi = t
        if fit_intercept:
            a.lo += vec_load_f64(s.hi + p * width + j) * vec_set(1.0 / s.N)
        _store_pair(s.m_hi + j, s.m_lo + j, a)
    for j in range(s.m):
        size = fabs(s.d[j])
        s.error[j] = 0.0
        if fit_intercept:
            s.error[j] = (
                s.root / s.N * s.x[j] + size * s.N_noise + s.algebra * (size + fabs(s.m_hi[j]))
            )
        if j == p:
            continue
        error = s.x[j] + size * s.root
        error = error * error + size * size * noise[p] + unit * s.seen[j]
        error += s.algebra * size * (s.N * size + 2.0 * fabs(s.u_hi[j]))
        if not s.q_hi[j] > 4.0 * error:
            return False
        if not s.q_hi[j] > DD_UNIT * s.N * (s.k[j] * s.k[j] + s.m_hi[j] * s.m_hi[j]):
            return False
    return True


cdef double _corrected(
    const paired* s,
    const double* R,            # A = R'R, rows of whole vectors
    const double* roots,
    double rcond,               # of A
    double last,                # size of a correction that may be left, of the largest component
    const double* c,            # as pairs, 0 from p on
    const double* c_lo,
    double* beta,               # OUT: likewise
    double* beta_lo,
    double* d,
) noexcept nogil:
    """beta = A^-1 c by corrections from residuals in double-double; its largest component, -1 if they do not shrink."""
    cdef Py_ssize_t p = s.p, width = s.width, ld = _groups(p) * LANES, i, j
    cdef double most, step, before = INFINITY
    # a correction is shorter than the one before by this factor or less, as long as the factor says what it should
    cdef double q = 10.0 * EPS / rcond
    cdef dd a, r
    for i in range(ld):
        beta[i] = c[i]
        beta_lo[i] = 0.0
    _substituted(R, roots, p, ld, beta)
    while True:
        for i from 0 <= i < ld by LANES:
            r = _load_pair(c + i, c_lo + i)
            for j in range(p):
                a = _load_pair(s.hi + j * width + i, s.lo + j * width + i)
                _add_product(&r, vec_set(-beta[j]), a.hi, a.lo)
                _add_product(&r, vec_set(-beta_lo[j]), a.hi, a.lo)
            vec_store(d + i, r.hi + r.lo)
        for i in range(p, ld):
            d[i] = 0.0
        _substituted(R, roots, p, ld, d)
        most = step = 0.0
        for i in range(p):
            _add_number(beta + i, beta_lo + i, d[i])
            most = fmax(most, fabs(beta[i]))
            step = fmax(step, fabs(d[i]))
        if step <= last * most or (q <= SURE_CONTRACTION and q * step <= last * most):
            return most
        if not step < 0.5 * before:
            return -1.0
        before = step


cdef bint _deviations_in_pairs(
    const paired* s,
    const double* R,
    const double* roots,
    const double* e,
    double rcond,
    double last,
    bint fit_intercept,
    double* work,
    double* h,                  # OUT
    double* inverse,            # OUT: the upper triangle of S^-1
) noexcept nogil:
    """As `_deviations`, each of them from a solution of A z = c in pairs; False if it declines."""
    cdef Py_ssize_t p = s.p, ld = _groups(p) * LANES, i, j
    cdef double* z = work
    cdef double* z_lo = z + ld
    cdef double* c = z_lo + ld
    cdef double* c_lo = c + ld
    cdef double* d = c_lo + ld
    cdef double[2] pair
    cdef dd a
    h[p] = NAN
    for j in range(p + 1 if fit_intercept else p):
        for i in range(ld):
            c[i] = c_lo[i] = 0.0
        if j < p:
            c[j] = 1.0
        else:
            for i in range(p):
                c[i] = s.m_hi[i] * e[i]
                c_lo[i] = s.m_lo[i] * e[i]
        if _corrected(s, R, roots, rcond, last, c, c_lo, z, z_lo, d) < 0.0:
            return False
        if j < p:
            h[j] = sqrt(z[j] + z_lo[j]) * e[j]
            for i in range(j + 1):
                inverse[_in_triangle(i, j, p)] = (z[i] + z_lo[i]) * e[i] * e[j]
        else:
            a.hi = a.lo = vec_zero()
            for i from 0 <= i < ld by LANES:
                _add_pair_product(&a, _load_pair(z + i, z_lo + i), vec_load_f64(c + i), vec_load_f64(c_lo + i))
            _joined(a, s.seen + s.width, pair)
            h[p] = sqrt(1.0 / s.N + pair[0])
    return True


cdef int _solve_paired(
    const double* M,
    const double* noise,
    double unit,
    const double* k,
    Py_ssize_t p,
    Py_ssize_t n_targets,
    bint fit_intercept,
    double l2,
    double* work,
    double* res,                # OUT
    double* whole,              # OUT: all digits of the sums, [b, b_0 of the shifted problem] as pairs; or NULL
) noexcept nogil:
    """Coefficients and what is known of them; 1 if declined."""
    cdef paired s
    cdef Py_ssize_t width, ld = _groups(p) * LANES, i, j
    cdef int exponent = 0
    cdef double* R = work                       # upper triangle, rows of ld numbers
    cdef double* X = R + p * ld
    cdef double* e = X + p * ld
    cdef double* roots = e + ld
    cdef double* rest = roots + ld              # of a target
    cdef double* at = rest + 7 * ld
    cdef double* tail = res + n_targets * (p + 3)
    cdef double* inverse = tail + 2 * p + 5 + 2 * n_targets
    cdef double x_most = 0.0, z_most = 0.0, square, relative, rcond, worst = EPS, lever = 0.0, last = LAST_PLACE
    s.p = p
    s.m = p + 1 + n_targets
    s.width = width = _groups(s.m) * LANES
    s.hi = at
    s.lo = s.hi + (p + 1) * width
    s.q_hi = s.lo + (p + 1) * width
    s.q_lo = s.q_hi + width
    s.u_hi = s.q_lo + width
    s.u_lo = s.u_hi + width
    s.m_hi = s.u_lo + width
    s.m_lo = s.m_hi + width
    s.d = s.m_lo + width
    s.k = s.d + width
    s.x = s.k + width
    s.error = s.x + width
    s.seen = s.error + width
    if not _unpack_paired(M, noise, unit, k, fit_intercept, &s):
        return 1
    if not _centre_paired(unit, fit_intercept, noise, &s):
        return 1
    for i in range(p):
        square = s.hi[i * width + i] + l2
        if not (square > 0.0 and square - l2 >= LEAST_SHARE * l2):
            return 1
        frexp(square, &exponent)
        e[i] = ldexp(1.0, -(exponent >> 1))
        x_most = fmax(x_most, s.x[i] / sqrt(square))
        z_most = fmax(z_most, fabs(s.d[i]) / sqrt(square))
        lever += fabs(s.m_hi[i]) * e[i]
    for i in range(p * ld):
        R[i] = 0.0
    for i in range(p):
        for j in range(p):
            s.hi[i * width + j] *= e[i] * e[j]
            s.lo[i * width + j] *= e[i] * e[j]
        _add_number(s.hi + i * width + i, s.lo + i * width + i, l2 * e[i] * e[i])
        for j in range(i, p):
            R[i * ld + j] = s.hi[i * width + j]
    rcond = _factored(R, p, ld, X, inverse, roots, rest)
    relative = x_most * (x_most + 2.0 * z_most * s.root) + z_most * z_most * s.N * (s.N_noise + s.algebra)
    relative += s.algebra
    if not (rcond >= CHOLESKY_MARGIN * p * fmax(relative, EPS) and relative <= POOR * rcond):
        return 1
    tail[2 * p + 4 + n_targets] = 0.0
    if whole != NULL:
        last = DD_UNIT / rcond
    for j in range(n_targets):
        if not _solve_paired_target(
            &s, n_targets, j, R, roots, e, l2, x_most, z_most, relative, rcond, last, lever, rest, res, &worst,
            NULL if whole == NULL else whole + 2 * (p + 1) * j, fit_intercept,
        ):
            return 1
    tail[0] = fmax(0.0, fmin(FULL_DIGITS, -log10(worst)))
    tail[1] = sqrt(rcond)
    tail[2] = s.N
    for i in range(p):
        tail[p + 4 + i] = s.m_hi[i]
    if whole != NULL and l2 == 0.0:
        return 0 if _deviations_in_pairs(&s, R, roots, e, rcond, last, fit_intercept, rest, tail + 3, inverse) else 1
    _in_units(e, p, inverse)
    _deviations(X, p, ld, e, s.k, s.d, s.N, fit_intercept, rest, tail + 3)
    return 0


cdef void _about_the_shift(
    const paired* s,
    Py_ssize_t y,               # the column of the target
    const double* b,
    const double* b_lo,
    bint fit_intercept,
    double* whole,              # OUT
) noexcept nogil:
    """Coefficients, and the intercept that goes with columns and targets about the shift, as pairs."""
    cdef Py_ssize_t p = s.p, i
    cdef const double* rest = s.hi + p * s.width    # N times what d misses the mean by
    cdef double[2] pair
    cdef dd a
    a.hi = a.lo = vec_zero()
    for i in range(p):
        whole[2 * i] = b[i]
        whole[2 * i + 1] = b_lo[i]
    whole[2 * p] = whole[2 * p + 1] = 0.0
    if not fit_intercept:
        return
    for i from 0 <= i < _groups(p) * LANES by LANES:
        _add_pair_product(
            &a, _load_pair(b + i, b_lo + i), vec_load_f64(s.d + i), vec_load_f64(rest + i) * vec_set(1.0 / s.N)
        )
    _joined(a, s.seen + s.width, pair)
    whole[2 * p] = s.d[y]
    whole[2 * p + 1] = rest[y] / s.N - pair[1]
    _add_number(whole + 2 * p, whole + 2 * p + 1, -pair[0])


cdef bint _solve_paired_target(
    const paired* s,
    Py_ssize_t n_targets,
    Py_ssize_t t,
    const double* R,            # A = R'R, rows of whole vectors
    const double* roots,
    const double* e,
    double l2,
    double x_most,              # noise of a column, and how far from the shift it is, over its norm
    double z_most,
    double relative,            # error of A
    double rcond,               # of A
    double last,                # size of a correction that may be left
    double lever,               # what an error of beta is worth in the intercept
    double* work,
    double* res,                # OUT
    double* worst,              # IN, OUT: relative error of a coefficient
    double* whole,              # OUT, or NULL
    bint fit_intercept,
) noexcept nogil:
    """The part of `_solve_paired` that target t takes; False if it declines."""
    cdef Py_ssize_t p = s.p, width = s.width, ld = _groups(p) * LANES, y = p + 1 + t, i
    cdef double* beta = work    # as pairs
    cdef double* beta_lo = beta + ld
    cdef double* c = beta_lo + ld
    cdef double* c_lo = c + ld
    cdef double* b = c_lo + ld  # in the user's units
    cdef double* b_lo = b + ld
    cdef double* d = b_lo + ld
    cdef double* lanes = s.seen + width
    cdef double* origin = res + n_targets * (p + 3) + p + 4
    cdef double most, step, before, error, noise, q, z, b0, rss, terms, v, zero = ROUNDING, known = UNKNOWN
    cdef double[2] pair
    cdef dd a, r, penalty
    if whole != NULL:
        zero, known = NEGLIGIBLE, UNKNOWN * WHOLE
    for i in range(p):
        c[i] = s.hi[i * width + y] * e[i]
        c_lo[i] = s.lo[i * width + y] * e[i]
    for i in range(p, ld):
        c[i] = c_lo[i] = b[i] = b_lo[i] = 0.0
    most = _corrected(s, R, roots, rcond, last, c, c_lo, beta, beta_lo, d)
    if most < 0.0:
        return False
    for i in range(p):
        if whole != NULL:       # several corrections may leave more than half an ulp in the low part
            q = beta[i]
            beta[i] = q + beta_lo[i]
            beta_lo[i] -= beta[i] - q
        b[i] = beta[i] * e[i]
        b_lo[i] = beta_lo[i] * e[i]
        res[t * p + i] = b[i]
        if beta[i] != 0.0 and not (fabs(b[i]) >= LEAST_COEF):
            return False
    if not isfinite(most):
        return False
    # b'S b + l2 b'b = b'c, and the penalty is no part of the residuals: S_yy - 2 b'c + b'S b
    a.hi = a.lo = r.hi = r.lo = vec_zero()
    for i from 0 <= i < ld by LANES:
        _add_pair_product(&a, _load_pair(beta + i, beta_lo + i), vec_load_f64(c + i), vec_load_f64(c_lo + i))
        if l2 > 0.0:
            penalty.hi = vec_product(vec_set(l2), vec_load_f64(b + i))
            penalty.lo = vec_product_error(vec_set(l2), vec_load_f64(b + i), penalty.hi)
            penalty.lo += vec_set(l2) * vec_load_f64(b_lo + i)
            _add_pair_product(&a, _load_pair(b + i, b_lo + i), penalty.hi, penalty.lo)
        _add_pair_product(&r, _load_pair(b + i, b_lo + i), vec_load_f64(s.m_hi + i), vec_load_f64(s.m_lo + i))
    _joined(a, lanes, pair)
    rss = (s.q_hi[y] - pair[0]) + (s.q_lo[y] - pair[1])
    res[n_targets * (p + 2) + t] = s.q_hi[y]
    res[n_targets * (p + 4) + 2 * p + 5 + t] = fmin(pair[0], s.q_hi[y])
    _joined(r, lanes, pair)
    b0, q = s.m_hi[y], s.m_lo[y] - pair[1]
    _add_number(&b0, &q, -pair[0])
    b0 += q
    res[n_targets * p + t] = b0
    # what all that is worth
    noise = s.root * (x_most * fabs(s.d[y]) + z_most * s.x[y]) + x_most * s.x[y]
    noise += z_most * fabs(s.d[y]) * s.N * (s.N_noise + s.algebra)
    step = (relative * most + noise) / rcond    # error of beta
    error = s.error[y]
    before = zero * fmax(most, sqrt(s.q_hi[y]))
    terms, v = fabs(s.m_hi[y]), s.m_lo[y]
    q, z = s.x[y], fabs(s.d[y])
    for i in range(p):
        error += s.error[i] * fabs(b[i])
        q += s.x[i] * fabs(b[i])
        z += fabs(s.d[i] * b[i])
        terms += fabs(s.m_hi[i] * b[i])
        v -= s.m_lo[i] * b[i]
        if fabs(beta[i]) > before:
            worst[0] = fmax(worst[0], step / fabs(beta[i]))
    origin[p + t] = s.m_hi[y] + v
    if terms > (1.0 + FAR) * (fabs(s.m_hi[y]) + sqrt(s.q_hi[y]) / sqrt(s.N)):
        origin[p + n_targets] = 1.0
    # an intercept within the rounding of the means that it is made of is none
    if fabs(b0) > fmax(zero * terms, fmin(error, MEANS_ROUNDING * terms)):
        worst[0] = fmax(worst[0], (error + step * lever) / fabs(b0))
    q = q * (q + 2.0 * s.root * z) + z * z * s.N * (s.N_noise + s.algebra) + p * step * (relative * most + noise)
    if not (UNKNOWN * q <= POOR * s.q_hi[y]):
        return False
    res[n_targets * (p + 1) + t] = rss if rss > known * q else NAN
    if whole != NULL:
        _about_the_shift(s, y, b, b_lo, fit_intercept, whole)
    return isfinite(b0)


cdef inline tuple _paired_scalars(const double* res, Py_ssize_t p, Py_ssize_t n_targets):
    return (*_scalars(res, p, n_targets), res[n_targets * (p + 4) + 2 * p + 5])


def paired_solve(
    M,
    noise,
    double unit,
    shift,
    Py_ssize_t p,
    bint fit_intercept,
    double l2,
    work,
    res,                        # OUT
):
    """The closed form from sums kept as pairs; None if it declines.

    The arrays are read through the buffer protocol itself, as in `small`; they are contiguous float64.

    M       (m, m, 2) pairs, cross products of [X - k, 1, y - ky], with m = p + 1 + n_targets
    noise   (m,) errors of the sums of squares; unit is the least relative one
    shift   [k, ky]
    work    as long as `paired_sizes` says
    res     as in `_solve_small`, rss being NaN where the errors leave nothing of it, and before S^-1 for each target
            the part of tss that the fit explains; (b_0, rss, tss, digits, rcond, sum w, far) and that are returned, the
            first three and the last of the first target
    """
    cdef Py_buffer[5] a                         # M, noise, shift, work, res
    cdef Py_ssize_t n_targets = 0, i, held = 0
    cdef int status = 1
    try:
        for array in (M, noise, shift, work, res):
            PyObject_GetBuffer(array, &a[held], PyBUF_SIMPLE)
            held += 1
        n_targets = a[1].len // <Py_ssize_t> sizeof(double) - 1 - p
        if 0 < p <= SMALL and n_targets > 0 and unit >= EPS:
            with nogil:
                status = _solve_paired(
                    <const double*> a[0].buf, <const double*> a[1].buf, unit, <const double*> a[2].buf, p, n_targets,
                    fit_intercept, l2, <double*> a[3].buf, <double*> a[4].buf, NULL,
                )
        return None if status else _paired_scalars(<const double*> a[4].buf, p, n_targets)
    finally:
        for i in range(held):
            PyBuffer_Release(&a[i])
