# Sums over all rows up to each one, whose weights may fade: kept in double-double about a shift that follows the mean
# of the rows so far, added to block by block.
#
# A state is [rows, share, k, hi, lo]: how many rows are in it; what is left of the weights that it began with, 0 where
# a group began in between; the shift [X, 0, y]; the sums of `windowed` as pairs.

cdef enum:
    ROWS_TO_MOVE = 64           # that come one by one from one move of the shift to the next

# What must be left of the rows before a block at its last one: the shift follows the mean, which an outlier that fades
# takes along, and sums about one that stayed behind would be of the rounding of its square.
cdef double LEAST_SHARE_OF_BLOCK = 0.0625


cdef inline Py_ssize_t _state_size(Py_ssize_t p) noexcept nogil:
    return p + 4 + 2 * _entries(p)


cdef inline Py_ssize_t _sum_at(Py_ssize_t p, Py_ssize_t i) noexcept nogil:
    """Where among the entries the sum of column i is, that of the weights being in the place of column p."""
    return i * (2 * p + 5 - i) // 2 + p - i if i <= p else p * (p + 5) // 2 + 1


def running_state_size(Py_ssize_t p):
    """Length of a state of p columns."""
    return _state_size(p)


cdef inline void _add_to_pair(double* hi, double* lo, double a, double b) noexcept nogil:
    """hi + lo += a + b."""
    cdef double s = hi[0] + a, z = s - hi[0]
    cdef double rest = ((hi[0] - (s - z)) + (a - z)) + (lo[0] + b)
    hi[0] = s + rest
    lo[0] = rest - (hi[0] - s)


cdef inline void _times_pair(double* hi, double* lo, double a, double b) noexcept nogil:
    """hi + lo becomes its product with a + b."""
    cdef double p = hi[0] * a
    cdef double rest = fma(hi[0], a, -p) + (hi[0] * b + lo[0] * a)
    hi[0] = p + rest
    lo[0] = rest - (hi[0] - p)


cdef inline void _add_product_of_pairs(
    double* hi, double* lo, double a, double b, double c, double d, double sign
) noexcept nogil:
    """hi + lo += sign (a + b) (c + d)."""
    _times_pair(&a, &b, c, d)
    _add_to_pair(hi, lo, sign * a, sign * b)


cdef inline void _exact_difference(double a, double b, double* hi, double* lo) noexcept nogil:
    cdef double z
    hi[0] = a - b
    z = hi[0] - a
    lo[0] = (a - (hi[0] - z)) - (b + z)


cdef void _move_state(double* state, Py_ssize_t p, const double* shift) noexcept nogil:
    """The sums of a state about another shift [X, 0, y]."""
    cdef Py_ssize_t entries = _entries(p), m = p + 2, i, j, e = 0
    cdef double* k = state + 2
    cdef double* hi = k + m
    cdef double* lo = hi + entries
    cdef Py_ssize_t ones = _sum_at(p, p)
    cdef double a, b, c, d, s, t
    cdef Py_ssize_t si, sj
    # G_ij - d_i s_j - d_j (s_i - N d_i): entries of two columns first, while the sums s are what they were
    for i in range(m):
        for j in range(i, m):
            if i != p and j != p:
                _exact_difference(shift[i], k[i], &a, &b)
                _exact_difference(shift[j], k[j], &c, &d)
                si = _sum_at(p, i)
                sj = _sum_at(p, j)
                s, t = hi[si], lo[si]
                _add_product_of_pairs(&s, &t, hi[ones], lo[ones], a, b, -1.0)
                _add_product_of_pairs(hi + e, lo + e, a, b, hi[sj], lo[sj], -1.0)
                _add_product_of_pairs(hi + e, lo + e, c, d, s, t, -1.0)
            e += 1
    for i in range(m):
        if i != p:
            si = _sum_at(p, i)
            _exact_difference(shift[i], k[i], &a, &b)
            _add_product_of_pairs(hi + si, lo + si, hi[ones], lo[ones], a, b, -1.0)
            k[i] = shift[i]


cdef void _follow_mean(double* state, Py_ssize_t p, double* shift) noexcept nogil:
    """The shift moves to the mean of what is in the state; `shift` is room for it."""
    cdef Py_ssize_t m = p + 2, ones = _sum_at(p, p), i
    cdef double* hi = state + 2 + m
    if not hi[ones] > 0.0:
        return
    for i in range(m):
        shift[i] = 0.0 if i == p else state[2 + i] + hi[_sum_at(p, i)] / hi[ones]
        if not isfinite(shift[i]):
            return
    _move_state(state, p, shift)


cdef void _fade(double* state, Py_ssize_t p, double share) noexcept nogil:
    cdef Py_ssize_t entries = _entries(p), e
    cdef double* hi = state + p + 4
    state[1] *= share
    if share != 1.0:
        for e in range(entries):
            _times_pair(hi + e, hi + entries + e, share, 0.0)


cdef void _begin_state(
    const floating* x, windowed* g, Py_ssize_t at, double* state
) noexcept nogil:
    """Without a row, about the values of row `at`."""
    cdef Py_ssize_t j, row = at if g.order == NULL else g.order[at]
    for j in range(_state_size(g.p)):
        state[j] = 0.0
    if g.shifted:
        for j in range(g.p):
            state[2 + j] = x[row * g.row + j * g.column]
        state[2 + g.p + 1] = _number(g.y, row, 0)


def running_work_size(Py_ssize_t p):
    """Length of the float64 workspace of `running_fits`."""
    return _window_size(p, 0) + (_entries(p) + p + 2) * LANES + _lane_fits_size(p)


def running_fits(
    const floating[:, :] X,
    const double[:] y,
    const double[:] w,
    const double[::1] left,
    const Py_ssize_t[::1] order,
    const unsigned char[::1] fresh,
    Py_ssize_t lo,
    bint fit_intercept,
    double l2,
    double[::1] state,          # IN, OUT
    double[::1] work,
    double[:, ::1] coef,        # OUT, and the next three, as in `window_fits`; of no rows where only the state counts
    double[:, ::1] numbers,
    double[:, ::1] spread,
    double[:, ::1] centre,
):
    """The fit of all rows up to each one, from row lo of the order on, those before being in the state.

    fresh       1 for each row of the order that begins a group, or None
    """
    cdef windowed g = _windowed(X, y, w, left, order)
    cdef Py_ssize_t p = g.p, entries = _entries(g.p), i = lo, j, lane, r, e, t, stop, hi, last
    cdef double* s = &state[0]
    cdef double* pairs = s + p + 4
    cdef double* room
    cdef double* sums
    cdef double* shifts
    cdef double share
    cdef lane_fits f
    cdef vec fade
    g.shifted = fit_intercept
    hi = order.shape[0] if order is not None else X.shape[0]
    with nogil:
        room = _laid_out(&g, &work[0], 0)
        sums = room + _lane_fits_size(p)
        shifts = sums + entries * LANES
        f = _lane_fits(p, room)
        while i < hi:
            if s[0] == 0.0 or (fresh is not None and fresh[i]):
                share = 1.0 if s[0] == 0.0 and not (fresh is not None and fresh[i]) else 0.0
                _begin_state(&X[0, 0], &g, i, s)
                s[1] = share
            elif g.shifted:
                _follow_mean(s, p, g.shift)
            stop = min(hi, i + min(g.most, max(LANES, <Py_ssize_t> s[0] // LANES * LANES)))
            share = 1.0
            for j in range(i + 1, stop):
                if g.left != NULL:
                    share *= g.left[j - 1]
                if share < LEAST_SHARE_OF_BLOCK or (fresh is not None and fresh[j]):
                    stop = j
                    break
            for j in range(p + 2):
                g.shift[j] = s[2 + j]
            for e in range(entries):
                g.carry[e] = 0.0
            g.anchor, g.after = i, -1
            _sum_after(&X[0, 0], &g, stop)
            share = g.left[i - 1] if g.left != NULL and i > 0 else 1.0
            last = stop - i - 1
            if coef.shape[0]:
                for j in range(p + 2):
                    vec_store(shifts + j * LANES, vec_set(g.shift[j]))
                for t from 0 <= t <= last by LANES:
                    fade = vec_load_f64(g.faded + t) * vec_set(share)
                    for e in range(entries):
                        vec_store(
                            sums + e * LANES, vec_load_f64(g.prefix + e * g.ld + t) + fade * vec_set(pairs[e])
                        )
                    _solve_lanes(sums, shifts, p, fit_intercept, l2, False, &f)
                    for lane in range(min(LANES, last + 1 - t)):
                        r = i - lo + t + lane
                        _put_lane(&f, p, lane, r, coef, numbers, spread, centre)
            _fade(s, p, share * g.faded[last])
            for e in range(entries):
                _add_to_pair(pairs + e, pairs + entries + e, g.prefix[e * g.ld + last], 0.0)
            s[0] += last + 1
            i = stop


def running_merge(
    double[:, ::1] states,      # IN, OUT
    Py_ssize_t p,
    double[::1] room,           # as long as one of them
):
    """Each state, of the rows of one stretch, becomes that of all rows up to its end."""
    cdef Py_ssize_t i, e, entries = _entries(p)
    cdef double* before
    cdef double* s
    with nogil:
        for i in range(1, states.shape[0]):
            before, s = &states[i - 1, 0], &states[i, 0]
            if s[1] == 0.0 or before[0] == 0.0:
                continue
            for e in range(_state_size(p)):
                room[e] = before[e]
            _move_state(&room[0], p, s + 2)
            _fade(&room[0], p, s[1])
            for e in range(p + 4, p + 4 + entries):
                _add_to_pair(s + e, s + e + entries, room[e], room[e + entries])
            s[0] += before[0]


def running_update(
    double[::1] state,          # IN, OUT
    const double[::1] x,
    double y,
    double weight,
    double share,
    bint fit_intercept,
    double[::1] work,           # p + 2 numbers
):
    """Add a row to a state, the weights in which fade to a share; False, and nothing done, where it is not finite."""
    cdef Py_ssize_t p = x.shape[0], entries = _entries(p), m = p + 2, i, j, e = 0
    cdef double* s = &state[0]
    cdef double* hi = s + p + 4
    cdef double a, b, c, d
    cdef double all = 0.0 * y
    cdef double* room = &work[0]
    cdef long long rows = <long long> s[0]
    for i in range(p):
        all += 0.0 * x[i]
    if all != 0.0 or state.shape[0] != _state_size(p):
        return False
    if rows == 0:
        s[1] = 1.0
        for i in range(m):
            s[2 + i] = 0.0
        if fit_intercept:
            for i in range(p):
                s[2 + i] = x[i]
            s[2 + p + 1] = y
    _fade(s, p, share)
    for i in range(m):
        a, b = 1.0, 0.0
        if i != p:
            _exact_difference(x[i] if i < p else y, s[2 + i], &a, &b)
        _times_pair(&a, &b, weight, 0.0)
        for j in range(i, m):
            c, d = 1.0, 0.0
            if j != p:
                _exact_difference(x[j] if j < p else y, s[2 + j], &c, &d)
            _add_product_of_pairs(hi + e, hi + entries + e, a, b, c, d, 1.0)
            e += 1
    rows += 1
    s[0] = <double> rows
    if fit_intercept and (rows % ROWS_TO_MOVE == 0 or (rows < ROWS_TO_MOVE and rows & (rows - 1) == 0)):
        _follow_mean(s, p, room)
    return True
