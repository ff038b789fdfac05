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
    IN_L2 = 262144              # bytes of column groups that stay in L2 while the strips of three go by
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
    cdef Py_ssize_t block = max(<Py_ssize_t> 1, IN_L2 // (m * LANES * <Py_ssize_t> sizeof(double)))
    cdef Py_ssize_t first, v, q, c, width, last
    cdef double* at
    cdef tile_ahead nowhere
    nowhere.at = <const char*> a
    nowhere.step = 0
    nowhere.jump = 0
    for first from 0 <= first < nq by block:
        v = width = 0
        while v + width < nv:
            v += width
            width = min(<Py_ssize_t> TILE_VECS, nv - v)
            if TILE_VECS < nv - v < 2 * TILE_VECS:
                width = (nv - v + 1) // 2   # no last tile of a single vector, which is all latency
            last = v + width - 2            # here the corner takes the last two row tiles
            for q in range(first, min(first + block, nq)):
                if q >= v and q < nv and (q > last if width > 1 else q > v):
                    continue
                if lines <= 0:
                    ahead = nowhere
                at = out + q * LANES * ld
                if q == last and width > 1:
                    tile_corner(a + q * stride, b + q * stride, stride, m, at + q * LANES, ld, ahead)
                else:
                    c = max(q, v) if q < nv else v
                    tile(
                        a + q * stride,
                        b + c * stride,
                        stride,
                        m,
                        at + c * LANES,
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
    strided y,
    Py_ssize_t n_targets,
    strided w,                  # w.at NULL: none
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double* k,
    double* work,
    double* out,                # IN, OUT
) noexcept nogil:
    cdef bint weighted = w.at != NULL
    cdef Py_ssize_t n_columns = p + 1 + n_targets
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
    cdef strided y_panel = y
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
                wv[t] = _number(w, i + t, 0)
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
        y_panel.at = y.at + i * y.row
        _pack_y(y_panel, n_targets, p, m, stride, k + p, wv, weighted, v, a, sums)
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


cdef inline strided _of_targets(const double[:, :] Y) noexcept nogil:
    cdef strided y
    y.at = <const char*> &Y[0, 0]
    y.row = Y.strides[0]
    y.column = Y.strides[1]
    return y


cdef inline strided _of_weights(const double[:] w) noexcept nogil:
    """w.at is NULL for None."""
    cdef strided v
    v.at = NULL
    v.row = v.column = 0
    if w is not None:
        v.at = <const char*> &w[0]
        v.row = w.strides[0]
    return v


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
        _moments(
            x, X.shape[1], True, X.shape[1], _of_targets(Y), Y.shape[1], _of_weights(w),
            lo, hi, &shift[0], &work[0], &out[0]
        )


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
        _moments(
            x, X.shape[0], False, X.shape[1], _of_targets(Y), Y.shape[1], _of_weights(w),
            lo, hi, &shift[0], &work[0], &out[0]
        )


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


cdef inline void _sum_rows(
    const floating* x,
    Py_ssize_t ld,
    bint c_order,
    Py_ssize_t p,
    Py_ssize_t m,
    const floating* start,
    double* sums,               # IN, OUT
) noexcept nogil:
    """sums_j += sum_i (x_ij - start_j) over m rows from x on, four rows to an update of a sum."""
    cdef Py_ssize_t i, j, whole = m // 4 * 4
    cdef const floating* c
    cdef double k, s0, s1, s2, s3
    if c_order:
        for i from 0 <= i < whole by 4:
            for j in range(p):
                k = start[j]
                sums[j] += ((x[j] - k) + (x[ld + j] - k)) + ((x[2 * ld + j] - k) + (x[3 * ld + j] - k))
            x += 4 * ld
        for i in range(whole, m):
            for j in range(p):
                sums[j] += <double> x[j] - <double> start[j]
            x += ld
        return
    for j in range(p):
        c = x + j * ld
        k = start[j * ld]
        s0 = s1 = s2 = s3 = 0.0
        for i from 0 <= i < whole by 4:
            s0 += c[i] - k
            s1 += c[i + 1] - k
            s2 += c[i + 2] - k
            s3 += c[i + 3] - k
        for i in range(whole, m):
            s0 += c[i] - k
        sums[j] += (s0 + s1) + (s2 + s3)


cdef void _shift(
    const floating* x,
    Py_ssize_t ld,
    bint c_order,
    Py_ssize_t p,
    Py_ssize_t n,
    strided y,
    Py_ssize_t n_targets,
    strided w,
    Py_ssize_t n_rows,
    double* shift,              # OUT
) noexcept nogil:
    """k_j = x_1j + mean(x_ij - x_1j) over the first n_rows rows of non-zero weight; ky likewise."""
    cdef bint weighted = w.at != NULL
    cdef Py_ssize_t i, j, t, m, first = 0, count = 0
    cdef Py_ssize_t row_step = ld if c_order else 1, column_step = 1 if c_order else ld
    cdef double k, s
    for j in range(p + n_targets):
        shift[j] = 0.0
    while weighted and first < n and _number(w, first, 0) == 0.0:
        first += 1
    i = first
    while i < n and count < n_rows:
        # a run of rows that are there
        m = min(n - i, n_rows - count)
        if weighted:
            t = 0
            while t < m and _number(w, i + t, 0) != 0.0:
                t += 1
            m = t
        _sum_rows(x + i * row_step, ld, c_order, p, m, x + first * row_step, shift)
        for j in range(n_targets):
            k = _number(y, first, j)
            s = 0.0
            for t in range(i, i + m):
                s += _number(y, t, j) - k
            shift[p + j] += s
        count += m
        i += m
        while weighted and i < n and _number(w, i, 0) == 0.0:
            i += 1
    if count == 0:
        return
    for j in range(p):
        shift[j] = <double> x[first * row_step + j * column_step] + shift[j] / count
    for j in range(n_targets):
        shift[p + j] = _number(y, first, j) + shift[p + j] / count


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
        _shift(
            x, X.shape[1], True, X.shape[1], X.shape[0],
            _of_targets(Y), Y.shape[1], _of_weights(w), n_rows, &shift[0],
        )


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
        _shift(
            x, X.shape[0], False, X.shape[1], X.shape[0],
            _of_targets(Y), Y.shape[1], _of_weights(w), n_rows, &shift[0],
        )
