# Cross products of a panel, register-blocked.
#
#     M = sum_i w_i z_i z_i'      z_i = [x_i - k, 1, y_i - ky],  upper triangle, without Y'Y off its diagonal
#
# Sums have four levels, so that rounding errors grow with the square root of short chains: a panel
# (registers), PANELS_PER_FLUSH panels (workspace), the row range (out), the row blocks (merged in
# pairs by the caller).

cdef extern from "tile.h" nogil:
    const int TILE_VECS
    const int TILE_STEP
    ctypedef struct tile_ahead:
        const char* at
        Py_ssize_t step
        Py_ssize_t jump
    void tile(
        const double* a,
        const double* b,
        Py_ssize_t stride,
        Py_ssize_t n,
        double* out,
        Py_ssize_t ld,
        Py_ssize_t rows,
        Py_ssize_t vecs,
        tile_ahead ahead,
    )
    void tile_corner(
        const double* a,
        const double* b,
        Py_ssize_t stride,
        Py_ssize_t n,
        double* out,
        Py_ssize_t ld,
        tile_ahead ahead,
    )

cdef enum:
    PANELS_PER_FLUSH = 64
    LINE = 64                   # bytes of a cache line
    NARROW = 64                 # columns up to which lines are prefetched by hand, and panels are short
    IN_L1 = 24                  # columns up to which ROWS_NARROW rows and their panel are in L1 together
    ROWS_NARROW = 64            # rows of a panel: 64 x 10 float64 are 6 kB, L1 also holds the next one
    ROWS_WIDE = 256             # a tile's four streams are then 4 x 8 kB on v3: L1; fewer updates of M


cdef inline Py_ssize_t _groups(Py_ssize_t columns) noexcept nogil:
    return (columns + LANES - 1) // LANES


cdef inline Py_ssize_t _panel_rows(Py_ssize_t n_columns, Py_ssize_t n_rows) noexcept nogil:
    cdef Py_ssize_t rows = ROWS_NARROW if n_columns <= NARROW else ROWS_WIDE
    return min(rows, (n_rows + TILE_STEP - 1) // TILE_STEP * TILE_STEP)


def moments_sizes(Py_ssize_t p, Py_ssize_t n_targets, Py_ssize_t n_rows):
    """Lengths of the float64 buffers of `moments_c` and `moments_f`: (work, out)."""
    cdef Py_ssize_t rows = _panel_rows(p + 1 + n_targets, n_rows)
    cdef Py_ssize_t nq = _groups(p + 1 + n_targets), nv = _groups(p)
    cdef Py_ssize_t out = nq * nv * LANES * LANES + 1 + 2 * n_targets
    return ((nq + nv) * LANES + 2) * rows + out + 8, out


cdef void _cross(
    const double* a,
    const double* b,
    Py_ssize_t stride,
    Py_ssize_t m,
    Py_ssize_t n_columns,
    Py_ssize_t nv,
    double* out,                # IN, OUT
    tile_ahead ahead,
    Py_ssize_t lines,
    Py_ssize_t line_step,
) noexcept nogil:
    """M += Z'(w Z) of one panel: the triangle of the column groups of X, and all of 1 and Y with them.

    b = w a, or a itself.  The first `lines` tiles ask for the next panel, line by line.
    """
    cdef Py_ssize_t ld = nv * LANES, nq = _groups(n_columns)
    cdef Py_ssize_t v, q, c, width, last
    cdef tile_ahead nowhere
    nowhere.at = <const char*> a
    nowhere.step = 0
    nowhere.jump = 0
    v = width = 0
    while v + width < nv:
        v += width
        width = min(<Py_ssize_t> TILE_VECS, nv - v)
        if TILE_VECS < nv - v < 2 * TILE_VECS:
            width = (nv - v + 1) // 2   # no last tile of a single vector, which is all latency
        last = v + width - 2            # here the corner takes the last two row tiles
        for q in range(nq):
            if q >= v and q < nv and (q > last if width > 1 else q > v):
                continue
            if lines <= 0:
                ahead = nowhere
            if q == last and width > 1:
                tile_corner(a + q * stride, b + q * stride, stride, m, out + q * LANES * ld + q * LANES, ld, ahead)
            else:
                c = max(q, v) if q < nv else v
                tile(
                    a + q * stride,
                    b + c * stride,
                    stride,
                    m,
                    out + q * LANES * ld + c * LANES,
                    ld,
                    min(<Py_ssize_t> LANES, n_columns - q * LANES),
                    v + width - c,
                    ahead,
                )
            lines -= 1
            ahead.at += line_step


cdef void _moments(
    const floating* x,
    Py_ssize_t ld,
    bint c_order,
    Py_ssize_t p,
    const double[:, :] Y,
    const double[:] w,
    bint weighted,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double* k,
    double* work,
    double* out,                # IN, OUT
) noexcept nogil:
    cdef Py_ssize_t n_targets = Y.shape[1], n_columns = p + 1 + n_targets
    cdef Py_ssize_t rows = _panel_rows(n_columns, hi - lo), stride = rows * LANES
    cdef Py_ssize_t nq = _groups(n_columns), nv = _groups(p)
    cdef Py_ssize_t size = nq * nv * LANES * LANES + 1 + 2 * n_targets
    # panels start at a cache line, or every second vector of v4 would straddle two
    cdef double* a = <double*> ((<Py_ssize_t> work + LINE - 1) // LINE * LINE)
    cdef double* b = a + nq * stride
    cdef double* wv = b + nv * stride
    cdef double* v = wv + rows
    cdef double* part = v + rows
    cdef double* one = a + p // LANES * stride + p % LANES
    cdef double* sums = part + size - 1 - 2 * n_targets
    cdef const floating* row
    cdef Py_ssize_t i, t, q, m, whole, panels = 0
    cdef Py_ssize_t line_step, lines = 0
    cdef tile_ahead ahead
    if c_order:
        ahead.step = ld * sizeof(floating)
        ahead.jump = 0
        line_step = LINE
        if n_columns <= NARROW:
            lines = (p * sizeof(floating) + LINE - 1) // LINE
    else:
        ahead.step = ld * sizeof(floating)
        ahead.jump = LINE - TILE_STEP * ahead.step
        line_step = TILE_STEP * ahead.step
        if n_columns <= NARROW:
            lines = (p + TILE_STEP - 1) // TILE_STEP
    for t in range(nq * stride):
        a[t] = 0.0
    for t in range(rows):
        wv[t] = 0.0 if weighted else 1.0
        v[t] = 0.0
        one[t * LANES] = 1.0
    for t in range(size):
        part[t] = 0.0
    for i from lo <= i < hi by rows:
        m = min(rows, hi - i)
        if m < rows:
            for t in range(m, rows):
                wv[t] = 0.0
                v[t] = 0.0
        if weighted:
            for t in range(m):
                wv[t] = w[i + t]
                one[t * LANES] = 1.0
                if wv[t] < 0.0:
                    sums[0] = NAN       # the caller looks for the row at fault
        if c_order:
            row = x + i * ld
            _pack_x_c(row, p, m, stride, n_columns <= IN_L1, k, a)
            ahead.at = <const char*> (row + rows * ld)
        else:
            row = x + i
            _pack_x_f(row, ld, p, m, stride, k, a)
            ahead.at = <const char*> (row + rows)
        _pack_y(Y, i, p, m, stride, k + p, wv, weighted, v, a, sums)
        if weighted:
            _weigh(wv, m, stride, nq, nv, a, b)
        whole = (m + TILE_STEP - 1) // TILE_STEP * TILE_STEP
        for t in range(m, whole):
            # only at the end of the range: rows of zeros
            for q in range(nq):
                vec_store(a + q * stride + t * LANES, vec_zero())
            for q in range(nv):
                vec_store(b + q * stride + t * LANES, vec_zero())
        _cross(a, b if weighted else a, stride, whole, n_columns, nv, part, ahead, lines, line_step)
        panels += 1
        if panels == PANELS_PER_FLUSH or i + rows >= hi:
            for t in range(size):
                out[t] += part[t]
                part[t] = 0.0
            panels = 0


def moments_c(
    const floating[:, ::1] X,
    const double[:, :] Y,
    const double[:] w,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[::1] shift,
    double[::1] work,
    double[::1] out,            # IN, OUT
):
    """Cross products of [X - k, 1, Y - ky] over the rows lo to hi, X in C order, added to `out`.

    `shift` is [k, ky]; `w` may be None; `work` and `out` are as long as `moments_sizes` says and
    `moments_unpack` reads `out`.  float32 is widened before the shift is subtracted; all sums are float64.
    """
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    with nogil:
        _moments(x, X.shape[1], True, X.shape[1], Y, w, w is not None, lo, hi, &shift[0], &work[0], &out[0])


def moments_f(
    const floating[::1, :] X,
    const double[:, :] Y,
    const double[:] w,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[::1] shift,
    double[::1] work,
    double[::1] out,            # IN, OUT
):
    """`moments_c` for X in F order, read along its columns."""
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    with nogil:
        _moments(x, X.shape[0], False, X.shape[1], Y, w, w is not None, lo, hi, &shift[0], &work[0], &out[0])


cdef void _unpack(const double* out, Py_ssize_t p, Py_ssize_t n_targets, double* M) noexcept nogil:
    cdef Py_ssize_t ld = _groups(p) * LANES, n = p + 1 + n_targets, sums = _groups(n) * LANES * ld
    cdef Py_ssize_t i, j
    for i in range(p):
        for j in range(i, p):
            M[i * n + j] = M[j * n + i] = out[i * ld + j]
        for j in range(p, n):
            # 1 and Y have rows of their own, unless they fit beside the last columns of X
            M[i * n + j] = M[j * n + i] = out[i * ld + j] if j < ld else out[j * ld + i]
    for i in range(p, n):
        for j in range(p, n):
            M[i * n + j] = 0.0
    M[p * n + p] = out[sums]
    for j in range(n_targets):
        i = p + 1 + j
        M[p * n + i] = M[i * n + p] = out[sums + 1 + j]
        M[i * n + i] = out[sums + 1 + n_targets + j]


def moments_unpack(
    const double[::1] out,
    Py_ssize_t p,
    Py_ssize_t n_targets,
    double[:, ::1] M,           # OUT
):
    """The symmetric matrix M of `moments_c`, columns in the order X, 1, Y; 0 where it was not computed."""
    with nogil:
        _unpack(&out[0], p, n_targets, &M[0, 0])


cdef void _shift(
    const floating* x,
    Py_ssize_t ld,
    bint c_order,
    Py_ssize_t p,
    const double[:, :] Y,
    const double[:] w,
    bint weighted,
    Py_ssize_t n_rows,
    double* shift,              # OUT
) noexcept nogil:
    """k_j = x_1j + mean(x_ij - x_1j) over the first n_rows rows of non-zero weight; ky likewise."""
    cdef Py_ssize_t i, j, t, n = Y.shape[0], n_targets = Y.shape[1], first = 0, count = 0
    cdef Py_ssize_t row_step = ld if c_order else 1, column_step = 1 if c_order else ld
    cdef const floating* row
    cdef const floating* start
    cdef double s
    while weighted and first < n and w[first] == 0.0:
        first += 1
    for j in range(p + n_targets):
        shift[j] = 0.0
    start = x + first * row_step
    for i in range(first, n):
        if count == n_rows:
            break
        if weighted and w[i] == 0.0:
            continue
        count += 1
        row = x + i * row_step
        if c_order:
            for j in range(p):
                shift[j] += <double> row[j] - <double> start[j]
        for t in range(n_targets):
            shift[p + t] += Y[i, t] - Y[first, t]
    if count == 0:
        return
    if not c_order:
        for j in range(p):
            s = 0.0
            t = 0
            i = first
            while t < count:
                if not weighted or w[i] != 0.0:
                    s += <double> x[j * ld + i] - <double> x[j * ld + first]
                    t += 1
                i += 1
            shift[j] = s
    for j in range(p):
        shift[j] = <double> start[j * column_step] + shift[j] / count
    for t in range(n_targets):
        shift[p + t] = Y[first, t] + shift[p + t] / count


def shift_c(
    const floating[:, ::1] X,
    const double[:, :] Y,
    const double[:] w,
    Py_ssize_t n_rows,
    double[::1] shift,          # OUT
):
    """The shift [k, ky]: the mean of the first n_rows rows of non-zero weight, X in C order.

    Taken about the first row, so that k equals the value of a constant column exactly.
    """
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    with nogil:
        _shift(x, X.shape[1], True, X.shape[1], Y, w, w is not None, n_rows, &shift[0])


def shift_f(
    const floating[::1, :] X,
    const double[:, :] Y,
    const double[:] w,
    Py_ssize_t n_rows,
    double[::1] shift,          # OUT
):
    """`shift_c` for X in F order."""
    cdef const floating* x = &X[0, 0] if X.shape[1] else NULL
    with nogil:
        _shift(x, X.shape[0], False, X.shape[1], Y, w, w is not None, n_rows, &shift[0])
