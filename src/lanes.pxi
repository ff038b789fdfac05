# The closed form of LANES problems side by side: each number of solve.pxi is a vector over them.
#
# The same steps and the same limits, by U'DU instead of R'R; a problem that does not pass them is left to whoever
# asks, to be solved one by one.

cdef extern from "lanes.h" nogil:
    vec vec_choose(vec a, vec b, vec x, vec y)
    vec vec_abs(vec v)
    vec vec_root(vec v)
    vec vec_scale(vec v)
    vec vec_log10(vec v)
    vec vec_larger(vec a, vec b)

cdef double LEAST_PIVOT = 2.0 ** -60    # below, the estimate of the condition says no more
cdef double TINY = 2.0 ** -1000


cdef struct lane_fits:
    # what `_solve_lanes` finds, in vectors, and its room
    double* b                   # p of them
    double* numbers             # b_0, rss, tss, digits, which are NaN where a problem is declined
    double* h                   # h_1 .. h_p, h_0: see `_solve_small`
    double* mean                # of the columns, and the prediction there
    double* U                   # rows of p: D on the diagonal, U above it, its inverse V below, turned
    double* e
    double* mu
    double* rhs
    double* beta
    double* alive               # 1; 0 of columns that are constant, which are left out: see `_factor_columns`
    double* columns             # afterwards the reciprocal of the condition number that was estimated


cdef inline Py_ssize_t _lane_fits_size(Py_ssize_t p) noexcept nogil:
    return (p * p + 9 * p + 6) * LANES


cdef lane_fits _lane_fits(Py_ssize_t p, double* work) noexcept nogil:
    cdef lane_fits f
    f.b = work
    f.numbers = f.b + p * LANES
    f.h = f.numbers + 4 * LANES
    f.mean = f.h + (p + 1) * LANES
    f.U = f.mean + (p + 1) * LANES
    f.e = f.U + p * p * LANES
    f.mu = f.e + p * LANES
    f.rhs = f.mu + p * LANES
    f.beta = f.rhs + p * LANES
    f.alive = f.beta + p * LANES
    f.columns = f.alive + p * LANES
    return f


cdef inline vec _at(const double* a, Py_ssize_t i) noexcept nogil:
    return vec_load_f64(a + i * LANES)


cdef inline void _to(double* a, Py_ssize_t i, vec v) noexcept nogil:
    vec_store(a + i * LANES, v)


cdef inline vec _within(vec a, vec b, vec good) noexcept nogil:
    """`good` where a <= b, NaN elsewhere."""
    return vec_choose(a, b, good, vec_set(NAN))


cdef vec _factor_lanes(const lane_fits* f, Py_ssize_t p, vec good) noexcept nogil:
    """A becomes U and D; good over its condition number in the 1-norm, NaN where it is not positive definite.

    f.h becomes D^-1, f.beta the diagonal of the inverse; A comes in the upper triangle of f.U.
    """
    cdef double* U = f.U
    cdef double* columns = f.columns
    cdef Py_ssize_t i, j, q
    cdef vec norm = vec_zero(), inverse = vec_zero(), d, s
    for i in range(p):
        s = vec_zero()
        for j in range(p):
            s += vec_abs(_at(U, min(i, j) * p + max(i, j)))
        norm = vec_larger(norm, s)
    for i in range(p):
        d = _at(U, i * p + i)
        good = _within(vec_set(LEAST_PIVOT), d, good)
        for j in range(i + 1, p):
            s = _at(U, i * p + j) / d
            _to(columns, j, s)
        for j in range(i + 1, p):
            s = _at(columns, j)
            for q in range(j, p):
                _to(U, j * p + q, _at(U, j * p + q) - s * _at(U, i * p + q))
        for j in range(i + 1, p):
            _to(U, i * p + j, _at(columns, j))
    # V_ij = -U_ij - sum U_iq V_qj over i < q < j
    for j in range(p):
        for i in range(j - 1, -1, -1):
            s = _at(U, i * p + j)
            for q in range(i + 1, j):
                s += _at(U, i * p + q) * _at(U, j * p + q)
            _to(U, j * p + i, -s)
        _to(columns, j, vec_zero())
    # entries of V D^-1 V', from rows i and j <= i of V, whose columns begin at i
    for i in range(p):
        d = vec_set(1.0) / _at(U, i * p + i)
        _to(f.h, i, d)
    for i in range(p - 1, -1, -1):
        for j in range(i + 1):
            s = _at(f.h, i) if i == j else _at(f.h, i) * _at(U, i * p + j)
            for q in range(i + 1, p):
                s += _at(f.h, q) * _at(U, q * p + i) * _at(U, q * p + j)
            if i == j:
                _to(f.beta, i, s)
            s = vec_abs(s)
            _to(columns, j, _at(columns, j) + s)
            if i != j:
                _to(columns, i, _at(columns, i) + s)
    for i in range(p):
        inverse = vec_larger(inverse, _at(columns, i))
    return good / (norm * inverse)


cdef struct lane_columns:
    # what `_factor_columns` finds beside f: whether all is well, NaN where not, and what the digits depend on
    vec good
    vec rho
    vec rcond


cdef lane_columns _factor_columns(
    const double* S,
    const double* k,
    Py_ssize_t p,
    bint fit_intercept,
    double l2,
    bint constants,
    const lane_fits* f,         # OUT: mu, e, U, h, the means of the columns, and which are alive
) noexcept nogil:
    """What the columns of X alone decide, of sums about shifts as for `_solve_lanes`.

    With `constants` a column without squares is one of numbers that all are its shift: the caller has looked.  It has
    an equation of its own, 1 b = 0, and NaN for h.
    """
    cdef Py_ssize_t i, j, at
    cdef vec one = vec_set(1.0), zero = vec_zero(), N = _at(S, p * (p + 5) // 2)
    cdef vec square, product, e, s, v, alive
    cdef lane_columns c
    c.good = _within(vec_set(LEAST_COEF), N, one)
    c.rho = zero
    at = 0
    for i in range(p):
        square = _at(S, at)
        s = _at(S, at + p - i)
        alive = vec_choose(square, zero, zero, one) if constants else one
        _to(f.alive, i, alive)
        square = vec_choose(alive, zero, one, square)
        c.good = _within(vec_set(LEAST_SQUARE), square, _within(square, vec_set(MOST_SQUARE), c.good))
        v = zero
        if fit_intercept:
            v = s / N
            product = s * v
            square -= product
            c.good = _within(product, vec_set(SHIFT_LIMIT) * square, c.good)
            c.rho = vec_larger(c.rho, product / square)
        c.good = _within(vec_set(LEAST_SHARE * l2), square, _within(vec_set(LEAST_SQUARE), square, c.good))
        _to(f.mu, i, v)
        _to(f.mean, i, _at(k, i) + v)
        _to(f.e, i, vec_scale(square + vec_set(l2)))
        at += p + 2 - i
    at = 0
    for i in range(p):
        e = _at(f.e, i)
        s = _at(S, at + p - i)
        for j in range(i, p):
            _to(f.U, i * p + j, (_at(S, at + j - i) - s * _at(f.mu, j)) * e * _at(f.e, j))
        s = vec_choose(_at(f.alive, i), zero, one, _at(f.U, i * p + i))
        _to(f.U, i * p + i, s + vec_set(l2) * e * e)
        at += p + 2 - i
    c.rcond = _factor_lanes(f, p, c.good)
    c.good = _within(vec_set(RCOND_CHOLESKY), c.rcond, c.good)
    # h from the diagonal of the inverse, and from m = k + mu times V
    square = one / N
    for j in range(p):
        s = zero
        for i in range(j + 1):
            v = _at(f.mean, i) * _at(f.e, i) * _at(f.alive, i)
            s += v if i == j else v * _at(f.U, j * p + i)
        square += s * s * _at(f.h, j)
    for i in range(p):
        _to(f.h, i, vec_choose(_at(f.alive, i), zero, vec_set(NAN), vec_root(_at(f.beta, i)) * _at(f.e, i)))
    _to(f.h, p, vec_root(square) if fit_intercept else vec_set(NAN))
    return c


cdef void _solve_target_lanes(
    const lane_columns* of_columns,
    vec N,
    vec t,
    vec tss,
    vec k_y,
    const double* k,
    Py_ssize_t p,
    bint fit_intercept,
    double l2,
    const lane_fits* f,         # IN: what `_factor_columns` found, and X'wy about the shift in rhs; OUT
) noexcept nogil:
    """The fits of targets whose sums with 1, y and X about the shift k_y are t, tss and f.rhs."""
    cdef Py_ssize_t i, j
    cdef vec one = vec_set(1.0), zero = vec_zero(), rho = of_columns.rho, rcond = of_columns.rcond
    cdef vec square, product, e, s
    cdef vec good = of_columns.good, lever = zero, rss, error, m_y = zero, v, most = zero, least = vec_set(INFINITY)
    cdef vec b, beta, delta, worst
    cdef dd sum0
    good = _within(vec_set(LEAST_SQUARE), tss, _within(tss, vec_set(MOST_SQUARE), good))
    if fit_intercept:
        m_y = t / N
        product = t * m_y
        tss -= product
        good = _within(product, vec_set(SHIFT_LIMIT) * tss, good)
    for i in range(p):
        s = (_at(f.rhs, i) - _at(f.mu, i) * t) * _at(f.e, i)
        _to(f.rhs, i, s)
        for j in range(i):
            s -= _at(f.U, j * p + i) * _at(f.columns, j)
        _to(f.columns, i, s)
    for i in range(p - 1, -1, -1):
        s = _at(f.columns, i) / _at(f.U, i * p + i)
        for j in range(i + 1, p):
            s -= _at(f.U, i * p + j) * _at(f.beta, j)
        _to(f.beta, i, s)
    rss = tss
    sum0.hi, sum0.lo = k_y, m_y
    m_y = k_y + m_y
    square = error = vec_abs(m_y) + vec_root(vec_larger(tss, zero)) / vec_root(N)
    v = m_y
    for i in range(p):
        beta, e = _at(f.beta, i), _at(f.e, i)
        b = beta * e
        _to(f.b, i, b)
        # a coefficient that is not 0 is far from where float64 has fewer digits
        good = _within(vec_set(LEAST_COEF), vec_choose(vec_abs(beta), zero, one, vec_abs(b)), good)
        rss -= beta * _at(f.rhs, i) + vec_set(l2) * b * b
        most = vec_larger(most, vec_abs(beta))
        s = _at(f.mean, i)
        if fit_intercept:
            _add_product(&sum0, -b, _at(k, i), _at(f.mu, i))
            error += vec_abs(s * b)
            v -= ((_at(k, i) - s) + _at(f.mu, i)) * b
            lever += vec_abs(s) * e * _at(f.alive, i)
    _to(f.mean, p, v)
    rss = vec_larger(rss, zero)
    delta = vec_set(EPS) * (one + rho) / rcond * vec_larger(one, vec_root(rss) / most)
    square = vec_set(ROUNDING) * vec_larger(most, vec_root(vec_larger(tss, zero)))
    for i in range(p):
        s = vec_abs(_at(f.beta, i))
        least = vec_choose(s, square, least, vec_choose(s, least, s, least))
    worst = vec_choose(most, zero, zero, delta * most / least)
    b = sum0.hi + sum0.lo
    s = vec_choose(most, zero, zero, delta * most * lever)
    worst = vec_larger(
        worst, vec_choose(vec_abs(b), vec_set(ROUNDING) * error, zero, (vec_set(EPS) * error + s) / vec_abs(b))
    )
    good = _within(vec_abs(b), vec_set(MOST_SQUARE), good)
    _to(f.columns, 0, rcond)
    _to(f.numbers, 0, b)
    _to(f.numbers, 1, rss)
    _to(f.numbers, 2, tss)
    s = -vec_log10(vec_larger(worst, vec_set(TINY)))
    _to(f.numbers, 3, good * vec_larger(zero, vec_choose(s, vec_set(FULL_DIGITS), s, vec_set(FULL_DIGITS))))


cdef void _solve_lanes(
    const double* S,
    const double* k,
    Py_ssize_t p,
    bint fit_intercept,
    double l2,
    bint constants,             # see `_factor_columns`
    const lane_fits* f,         # OUT
) noexcept nogil:
    """The closed forms of sums about shifts: those of `_solve_small`, and their digits.

    S       upper triangles of [X - k, 1, y - k_y]'[X - k, 1, y - k_y], row after row
    k       [k, 0, k_y], 0 without an intercept
    """
    cdef Py_ssize_t i, at = 0, ones = p * (p + 5) // 2
    cdef lane_columns c = _factor_columns(S, k, p, fit_intercept, l2, constants, f)
    for i in range(p):
        _to(f.rhs, i, _at(S, at + p + 1 - i))
        at += p + 2 - i
    _solve_target_lanes(
        &c, _at(S, ones), _at(S, ones + 1), _at(S, ones + 2), _at(k, p + 1), k, p, fit_intercept, l2, f
    )
