# Sums over windows of rows, none of them by a subtraction.
#
# Each window holds its anchor, a row that many windows share.  Its sums are those of the rows before the anchor, from
# the window's first row on, and those of the rows from the anchor on, up to its last: suffix sums and prefix sums about
# the values of the anchor itself.  No row from outside of the window has a part in them, not even in their rounding.

cdef extern from "scan.h" nogil:
    const int SCAN_ROUNDS
    vec vec_climb(vec v, const double* f, Py_ssize_t ld)
    vec vec_descend(vec v)

cdef enum:
    WINDOW_NUMBERS = 1 << 15    # of prefix or suffix sums that are held at a time: 256 kB


cdef struct windowed:
    # rows in an order, and what is held of the windows that share an anchor; m = p + 2 columns [X, 1, y]
    strided y
    strided w                   # w.at NULL: none
    const double* left          # what is left of the weight of a row at the next one, NULL: all
    const Py_ssize_t* order     # NULL: as they lie
    Py_ssize_t row              # steps of X, in numbers
    Py_ssize_t column
    Py_ssize_t p
    bint shifted                # whether there is a shift, as beside an intercept
    Py_ssize_t most             # rows of a block
    Py_ssize_t ld
    Py_ssize_t anchor
    Py_ssize_t at               # the row whose values are the shift: the anchor, or the row before it
    Py_ssize_t first            # of the rows before the anchor
    Py_ssize_t last             # behind the rows from the anchor on
    Py_ssize_t before           # block of suffix sums that is held, counted from the anchor back; -1: none
    Py_ssize_t after            # block of prefix sums that is held, counted from the anchor on; -1: none
    double* shift               # [X, 0, y] of that row
    double* panel               # columns of a block, and the weights
    double* factors             # SCAN_ROUNDS + 1 rows: see vec_climb; and what is left of the rows before
    double* faded               # what is left of the anchor at each row of the block after it
    double* carry
    double* suffix              # (entries, ld)
    double* prefix
    double* kept                # sums behind each block before the anchor, and what is left there of its weight


cdef inline Py_ssize_t _entries(Py_ssize_t p) noexcept nogil:
    """Of the upper triangle of [X, 1, y]'[X, 1, y], row after row."""
    return (p + 2) * (p + 3) // 2


cdef inline Py_ssize_t _window_rows(Py_ssize_t p) noexcept nogil:
    return max(2, min(256, WINDOW_NUMBERS // _entries(p)) // LANES) * LANES


cdef inline Py_ssize_t _window_size(Py_ssize_t p, Py_ssize_t longest) noexcept nogil:
    cdef Py_ssize_t rows = _window_rows(p), ld = rows + LANES, entries = _entries(p)
    return (p + 2) * (ld + 1) + (SCAN_ROUNDS + 3) * ld + entries * (1 + 2 * ld) + (entries + 1) * (longest // rows + 2)


cdef double* _laid_out(windowed* g, double* work, Py_ssize_t longest) noexcept nogil:
    """Room for what is held, of windows with up to `longest` rows before their anchor; the room behind it."""
    cdef Py_ssize_t entries = _entries(g.p), i
    g.most = _window_rows(g.p)
    g.ld = g.most + LANES       # not a power of two apart, which caches do not like
    g.anchor = g.at = g.before = g.after = -1
    g.shift = work
    g.panel = g.shift + g.p + 2
    g.factors = g.panel + (g.p + 3) * g.ld
    g.faded = g.factors + (SCAN_ROUNDS + 1) * g.ld
    g.carry = g.faded + g.ld
    g.suffix = g.carry + entries
    g.prefix = g.suffix + entries * g.ld
    g.kept = g.prefix + entries * g.ld
    for i in range((SCAN_ROUNDS + 2) * g.ld):
        g.factors[i] = 1.0
    return work + _window_size(g.p, longest)


cdef void _panel_of_rows(
    const floating* x, windowed* g, Py_ssize_t lo, Py_ssize_t hi, Py_ssize_t to
) noexcept nogil:
    """[X, 1, y] - shift and the weights of the rows lo to hi as columns, the first at place `to`; zeros around them."""
    cdef Py_ssize_t i, j, t
    cdef double k
    cdef double* out
    for j in range(g.p + 3):
        out = g.panel + j * g.ld
        for i in range(to):
            out[i] = 0.0
        for i in range(to + hi - lo, (to + hi - lo + LANES - 1) // LANES * LANES):
            out[i] = 0.0
    for j in range(g.p):
        out = g.panel + j * g.ld + to - lo
        k = g.shift[j]
        if g.order == NULL:
            for i in range(lo, hi):
                out[i] = x[i * g.row + j * g.column] - k
        else:
            for i in range(lo, hi):
                out[i] = x[g.order[i] * g.row + j * g.column] - k
    out = g.panel + g.p * g.ld + to - lo
    for i in range(lo, hi):
        t = i if g.order == NULL else g.order[i]
        out[i] = 1.0
        out[g.ld + i] = _number(g.y, t, 0) - g.shift[g.p + 1]
        out[2 * g.ld + i] = 1.0 if g.w.at == NULL else _number(g.w, t, 0)


cdef void _sum_before(const floating* x, windowed* g, Py_ssize_t block) noexcept nogil:
    """Suffix sums of a block of rows before the anchor: of each row and those behind it up to the anchor."""
    cdef Py_ssize_t to = g.anchor - block * g.most, lo = to - g.most, entries = _entries(g.p), m = g.p + 2
    cdef Py_ssize_t i, j, t, e, first = max(lo, g.first)
    cdef double* kept = g.kept + block * (entries + 1)
    cdef double* carry = kept + entries + 1
    cdef double* weights = g.panel + m * g.ld - lo
    cdef double share = kept[entries]
    cdef vec a, w, v
    _panel_of_rows(x, g, first, to, first - lo)
    if g.left != NULL:
        for i in range(to - 1, first - 1, -1):
            weights[i] *= share
            if i > g.first:
                share *= g.left[i - 1]
    for e in range(entries):
        carry[e] = kept[e]
    for t from g.most - LANES >= t >= (first - lo) // LANES * LANES by LANES:
        w = vec_load_f64(g.panel + m * g.ld + t)
        e = 0
        for i in range(m):
            a = vec_load_f64(g.panel + i * g.ld + t) * w
            for j in range(i, m):
                v = vec_descend(a * vec_load_f64(g.panel + j * g.ld + t)) + vec_set(carry[e])
                vec_store(g.suffix + e * g.ld + t, v)
                carry[e] = g.suffix[e * g.ld + t]
                e += 1
    carry[entries] = share
    g.before = block


cdef void _set_factors(windowed* g, Py_ssize_t lo, Py_ssize_t hi, double share) noexcept nogil:
    """The factors of rows lo to hi; `share` is what is left of the anchor at the row before lo."""
    cdef Py_ssize_t i, s, step
    cdef double* f = g.factors - lo
    cdef double* whole = g.factors + SCAN_ROUNDS * g.ld - lo
    cdef double d
    for i in range(lo, hi):
        d = g.left[i - 1] if i > g.anchor else 1.0
        whole[i] = d if (i - lo) % LANES == 0 else whole[i - 1] * d
        share *= d
        g.faded[i - lo] = share
        if SCAN_ROUNDS > 0:
            f[i] = d
        step = 1
        for s in range(1, SCAN_ROUNDS):
            f[s * g.ld + i] = f[(s - 1) * g.ld + i] * f[(s - 1) * g.ld + max(i - step, lo)]
            step *= 2


cdef void _sum_after(const floating* x, windowed* g, Py_ssize_t hi) noexcept nogil:
    """Prefix sums of the next block of rows from the anchor on, of which those before `hi` count."""
    cdef Py_ssize_t lo = g.anchor + (g.after + 1) * g.most, m = g.p + 2, i, j, t, e
    cdef const double* whole = g.factors + SCAN_ROUNDS * g.ld
    cdef vec a, w, v, f
    hi = min(lo + g.most, hi)
    _panel_of_rows(x, g, lo, hi, 0)
    if g.left != NULL:
        _set_factors(g, lo, hi, g.faded[g.most - 1] if g.after >= 0 else 1.0)
    for t from 0 <= t < hi - lo by LANES:
        w = vec_load_f64(g.panel + m * g.ld + t)
        f = vec_load_f64(whole + t)
        e = 0
        for i in range(m):
            a = vec_load_f64(g.panel + i * g.ld + t) * w
            for j in range(i, m):
                v = vec_climb(a * vec_load_f64(g.panel + j * g.ld + t), g.factors + t, g.ld) + f * vec_set(g.carry[e])
                vec_store(g.prefix + e * g.ld + t, v)
                g.carry[e] = g.prefix[e * g.ld + t + LANES - 1]
                e += 1
    g.after += 1


cdef void _set_anchor(
    const floating* x, windowed* g, Py_ssize_t anchor, Py_ssize_t at, Py_ssize_t first
) noexcept nogil:
    """The anchor of the next windows, the first of which starts at `first`, and all that is before it."""
    cdef Py_ssize_t entries = _entries(g.p), j, e, row = at if g.order == NULL else g.order[at]
    g.anchor, g.at, g.first = anchor, at, first
    for j in range(g.p + 2):
        g.shift[j] = 0.0
    if g.shifted:
        for j in range(g.p):
            g.shift[j] = x[row * g.row + j * g.column]
        g.shift[g.p + 1] = _number(g.y, row, 0)
    for e in range(entries):
        g.kept[e] = 0.0
    g.kept[entries] = g.left[anchor - 1] if g.left != NULL and at == anchor and first < anchor else 1.0
    g.before = g.after = -1
    for j in range((anchor - first + g.most - 1) // g.most):
        _sum_before(x, g, j)
    for e in range(entries):
        g.carry[e] = 0.0


cdef struct spans:
    # windows: rows start to stop - 1 of the order, about an anchor from start to stop; none falls behind the one before
    const Py_ssize_t* start
    const Py_ssize_t* stop
    const Py_ssize_t* anchor
    Py_ssize_t n


cdef inline bint _side_by_side(const windowed* g, const spans* s, Py_ssize_t i) noexcept nogil:
    """Whether the LANES windows from i on are each one row further, in the blocks of sums that are held."""
    cdef Py_ssize_t lane, start = s.start[i], stop = s.stop[i], b = g.anchor
    if i + LANES > s.n or start + LANES > b or stop <= b:
        return False
    if (b - start - LANES) // g.most != g.before or (stop + LANES - 2 - b) // g.most != g.after:
        return False
    for lane in range(1, LANES):
        if s.start[i + lane] != start + lane or s.stop[i + lane] != stop + lane or s.anchor[i + lane] != b:
            return False
    return True


cdef Py_ssize_t _fill(
    const floating* x,
    windowed* g,
    const spans* s,
    Py_ssize_t i,
    double* sums,               # OUT: (entries, LANES)
    double* shifts,             # OUT: (p + 2, LANES)
    Py_ssize_t* which,          # OUT: the windows, -1 where there is none left
) noexcept nogil:
    """Sums of the next LANES windows from i on, those without a row passed over; the window to go on from."""
    cdef Py_ssize_t entries = _entries(g.p), filled = 0, e, j, at, b, last, lane
    cdef double* from_prefix
    cdef double* from_suffix
    cdef vec f
    for lane in range(LANES):
        which[lane] = -1
    while i < s.n and filled < LANES:
        if s.stop[i] <= s.start[i]:
            i += 1
            continue
        b = s.anchor[i]
        at = b if s.stop[i] > b else b - 1
        if b != g.anchor or at != g.at:
            last = i
            while last + 1 < s.n and s.anchor[last + 1] == b:
                last += 1
            g.last = s.stop[last]
            _set_anchor(x, g, b, at, s.start[i])
        if s.start[i] < b and (b - 1 - s.start[i]) // g.most != g.before:
            _sum_before(x, g, (b - 1 - s.start[i]) // g.most)
        while s.stop[i] > b and (s.stop[i] - 1 - b) // g.most > g.after:
            _sum_after(x, g, g.last)
        from_suffix = g.suffix + (s.start[i] - b + (g.before + 1) * g.most)
        from_prefix = g.prefix + (s.stop[i] - 1 - b - g.after * g.most)
        if filled == 0 and _side_by_side(g, s, i):
            f = vec_load_f64(g.faded + (from_prefix - g.prefix))
            for e in range(entries):
                vec_store(
                    sums + e * LANES,
                    vec_load_f64(from_prefix + e * g.ld) + f * vec_load_f64(from_suffix + e * g.ld),
                )
            for j in range(g.p + 2):
                vec_store(shifts + j * LANES, vec_set(g.shift[j]))
            for lane in range(LANES):
                which[lane] = i + lane
            return i + LANES
        for e in range(entries):
            if s.stop[i] <= b:
                sums[e * LANES + filled] = from_suffix[e * g.ld]
            elif s.start[i] >= b:
                sums[e * LANES + filled] = from_prefix[e * g.ld]
            else:
                sums[e * LANES + filled] = (
                    from_prefix[e * g.ld] + g.faded[from_prefix - g.prefix] * from_suffix[e * g.ld]
                )
        for j in range(g.p + 2):
            shifts[j * LANES + filled] = g.shift[j]
        which[filled] = i
        filled += 1
        i += 1
    return i


cdef windowed _windowed(
    const floating[:, :] X, const double[:] y, const double[:] w, const double[::1] left, const Py_ssize_t[::1] order
) noexcept nogil:
    cdef windowed g
    g.p = X.shape[1]
    g.row = X.strides[0] // <Py_ssize_t> sizeof(floating)
    g.column = X.strides[1] // <Py_ssize_t> sizeof(floating)
    g.y = _strided_of_column(y)
    g.w = _strided_of_column(w)
    g.left = &left[0] if left is not None else NULL
    g.order = &order[0] if order is not None else NULL
    return g


cdef spans _spans(const Py_ssize_t[:, ::1] windows) noexcept nogil:
    cdef spans s
    s.n = windows.shape[1]
    s.start, s.stop, s.anchor = &windows[0, 0], &windows[1, 0], &windows[2, 0]
    return s


def window_work_size(Py_ssize_t p, Py_ssize_t longest):
    """Length of the float64 workspace of windows with up to `longest` rows before their anchor."""
    return _window_size(p, longest) + (_entries(p) + p + 2) * LANES + _lane_fits_size(p)


def window_sums(
    const floating[:, :] X,
    const double[:] y,
    const double[:] w,
    const double[::1] left,
    const Py_ssize_t[::1] order,
    const Py_ssize_t[:, ::1] windows,
    Py_ssize_t longest,
    double[::1] work,
    double[:, ::1] out,         # OUT
    double[:, ::1] shifts,      # OUT
):
    """Sums of each window about its shift, the upper triangle of [X, 1, y]'W[X, 1, y]; rows without a row are left.

    left        what is left of the weight of a row of the order at the next one, or None
    order       the rows of X that count, in their order, or None
    windows     rows start, stop and anchor of the order: see `spans`
    longest     most rows of a window before its anchor
    """
    cdef windowed g = _windowed(X, y, w, left, order)
    cdef spans s = _spans(windows)
    cdef Py_ssize_t[16] which
    cdef Py_ssize_t i = 0, e, j, lane, entries = _entries(g.p)
    cdef double* sums
    cdef double* lanes
    g.shifted = True
    with nogil:
        sums = _laid_out(&g, &work[0], longest)
        lanes = sums + entries * LANES
        while i < s.n:
            i = _fill(&X[0, 0], &g, &s, i, sums, lanes, &which[0])
            for lane in range(LANES):
                if which[lane] < 0:
                    continue
                for e in range(entries):
                    out[which[lane], e] = sums[e * LANES + lane]
                for j in range(g.p + 2):
                    shifts[which[lane], j] = lanes[j * LANES + lane]


cdef void _look_at_constants(
    const floating* x,
    const windowed* g,
    Py_ssize_t start,
    Py_ssize_t stop,
    double* sums,               # IN, OUT: of one lane, and the next one
    const double* shift,
) noexcept nogil:
    """NaN in the place of squares that have vanished, though their column is not constant in the window."""
    cdef Py_ssize_t at = 0, i, j, t
    for j in range(g.p):
        if sums[at * LANES] == 0.0:
            for i in range(start, stop):
                t = i if g.order == NULL else g.order[i]
                if <double> x[t * g.row + j * g.column] != shift[j * LANES] and (
                    g.w.at == NULL or _number(g.w, t, 0) != 0.0
                ):
                    sums[at * LANES] = NAN
                    break
        at += g.p + 2 - j


cdef inline void _put_lane(
    const lane_fits* f,
    Py_ssize_t p,
    Py_ssize_t lane,
    Py_ssize_t r,
    double[:, ::1] coef,        # OUT, and the next three: row r
    double[:, ::1] numbers,
    double[:, ::1] spread,
    double[:, ::1] centre,
) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(p):
        coef[r, j] = f.b[j * LANES + lane]
    for j in range(4):
        numbers[r, j] = f.numbers[j * LANES + lane]
    numbers[r, 4] = 0.0
    for j in range(p):
        numbers[r, 4] += f.alive[j * LANES + lane]
    if spread.shape[0]:
        for j in range(p + 1):
            spread[r, j] = f.h[j * LANES + lane]
    if centre.shape[0]:
        for j in range(p + 1):
            centre[r, j] = f.mean[j * LANES + lane]


def window_fits(
    const floating[:, :] X,
    const double[:] y,
    const double[:] w,
    const double[::1] left,
    const Py_ssize_t[::1] order,
    const Py_ssize_t[:, ::1] windows,
    Py_ssize_t longest,
    bint fit_intercept,
    double l2,
    double[::1] work,
    double[:, ::1] coef,        # OUT
    double[:, ::1] numbers,     # OUT: b_0, rss, tss, digits, rank
    double[:, ::1] spread,      # OUT: h_1 .. h_p, h_0 as in `_solve_small`; of no rows where nobody asks
    double[:, ::1] centre,      # OUT: means of the columns, and the prediction there; of no rows where nobody asks
):
    """The fit of each window, as `window_sums` has them; digits are NaN where it has to be fitted by itself.

    Columns that are constant in a window, beside an intercept, or 0 without one, have the coefficient 0 there and NaN
    in `spread`.  Of windows without a row nothing is written.
    """
    cdef windowed g = _windowed(X, y, w, left, order)
    cdef spans s = _spans(windows)
    cdef Py_ssize_t[16] which
    cdef Py_ssize_t p = g.p, i = 0, lane, i_lane
    cdef double* lanes
    cdef double* sums
    cdef double* shifts
    cdef lane_fits f
    g.shifted = fit_intercept
    with nogil:
        lanes = _laid_out(&g, &work[0], longest)
        sums = lanes + _lane_fits_size(p)
        shifts = sums + _entries(p) * LANES
        f = _lane_fits(p, lanes)
        while i < s.n:
            i = _fill(&X[0, 0], &g, &s, i, sums, shifts, &which[0])
            for lane in range(LANES):
                i_lane = which[lane]
                if i_lane >= 0:
                    _look_at_constants(&X[0, 0], &g, s.start[i_lane], s.stop[i_lane], sums + lane, shifts + lane)
            _solve_lanes(sums, shifts, p, fit_intercept, l2, l2 == 0.0, &f)
            for lane in range(LANES):
                if which[lane] >= 0:
                    _put_lane(&f, p, lane, which[lane], coef, numbers, spread, centre)
