# Cross products of a panel, register-blocked.
#
#     M = sum_i w_i z_i z_i'      z_i = [x_i - k, 1, y_i - ky],  upper triangle, without Y'Y off its diagonal
#
# A few targets fill up the last column group of X or are rows of M below it.  More are packed some vectors at a
# time, for one tile across all of X, and then no longer needed: they stay in L1 whatever their number.
#
# Sums have four levels, so that rounding errors grow with the square root of short chains: a panel
# (registers), PANELS_PER_FLUSH panels (workspace), the row range (out), the row blocks (merged in
# pairs by the caller).  Where M leaves L2 the second level is left out: clearing and adding up that
# workspace took a fifth of the time of 1,000 columns, and tables that wide have few panels in a block.
#
# Narrow tables without many targets have a kernel of their own, in narrow.pxi.

cdef extern from "tile.h" nogil:
    const int TILE_VECS
    const int TILE_STEP
    void tile(
        const double* a,
        const double* b,
        Py_ssize_t stride,
        Py_ssize_t n,
        double* out,
        Py_ssize_t ld,
        Py_ssize_t rows,
        Py_ssize_t vecs,
        const char* ahead,
        Py_ssize_t step,
    )
    void tile_corner(
        const double* a,
        const double* b,
        Py_ssize_t stride,
        Py_ssize_t n,
        double* out,
        Py_ssize_t ld,
        const char* ahead,
        Py_ssize_t step,
    )

cdef enum:
    IN_L2 = 262144              # bytes of column groups, or of M, that stay in L2 while the strips of three go by
    PAD = 8                     # numbers between column groups, or all of them would fall into one set of L1
    ROWS_WIDE = 256             # a tile's four streams are then 4 x 8 kB on v3: L1; fewer updates of M
    FEW = 64                    # columns up to which a panel of ROWS_LEAST rows or more is made to fit L1
    PANEL_L1 = 24576            # bytes of such a panel, with the targets of one tile
    ROWS_LEAST = 64
    FEW_TARGETS = 3


cdef inline Py_ssize_t _groups(Py_ssize_t columns) noexcept nogil:
    return (columns + LANES - 1) // LANES


cdef inline Py_ssize_t _panel_rows(Py_ssize_t p, Py_ssize_t n_rows) noexcept nogil:
    cdef Py_ssize_t rows = ROWS_WIDE
    if p <= FEW:
        rows = max(<Py_ssize_t> ROWS_LEAST, min(rows, PANEL_L1 // ((_groups(p) + TILE_VECS) * LANES) // 64 * 8))
    return min(rows, (n_rows + TILE_STEP - 1) // TILE_STEP * TILE_STEP)


cdef inline Py_ssize_t _rows_of_m(Py_ssize_t p, Py_ssize_t n_targets) noexcept nogil:
    """Columns of X, and of a few targets."""
    return p + n_targets if n_targets <= FEW_TARGETS else p


cdef inline Py_ssize_t _wide_size(Py_ssize_t p, Py_ssize_t n_targets) noexcept nogil:
    """Length of `out`: X'w[X, Y] in whole vectors, sums of X and of Y, squares of Y, sum w."""
    cdef Py_ssize_t nq = _groups(_rows_of_m(p, n_targets)), ny = _groups(n_targets)
    return (nq * LANES * (_groups(p) + ny) + nq + 2 * ny) * LANES + 1


cdef inline Py_ssize_t _moments_size(Py_ssize_t p, Py_ssize_t n_targets) noexcept nogil:
    """Length of `out`."""
    return _narrow_size(p, n_targets) if _is_narrow(p, n_targets) else _wide_size(p, n_targets)


cdef inline bint _is_large(Py_ssize_t size) noexcept nogil:
    return size * <Py_ssize_t> sizeof(double) > IN_L2


def moments_sizes(Py_ssize_t p, Py_ssize_t n_targets, Py_ssize_t n_rows):
    """Lengths of the float64 buffers of `moments_c` and `moments_f`: (work, out)."""
    cdef Py_ssize_t out = _moments_size(p, n_targets)
    if _is_narrow(p, n_targets):
        return _narrow_work_size(p, n_targets, n_rows), out
    cdef Py_ssize_t rows = _panel_rows(p, n_rows)
    cdef Py_ssize_t groups = 2 * _groups(_rows_of_m(p, n_targets)) + TILE_VECS
    return groups * (LANES * rows + PAD) + rows + (0 if _is_large(out) else out) + 8, out


cdef inline Py_ssize_t _width(Py_ssize_t vecs) noexcept nogil:
    """Of so many vectors those of the next tile: no last tile of a single one, which is all latency."""
    if TILE_VECS < vecs < 2 * TILE_VECS:
        return (vecs + 1) // 2
    return min(<Py_ssize_t> TILE_VECS, vecs)


cdef void _cross(
    const double* a,
    const double* b,
    Py_ssize_t stride,
    Py_ssize_t m,
    Py_ssize_t n_rows,
    Py_ssize_t nv,
    Py_ssize_t ld,
    double* out,                # IN, OUT
    lines_ahead* ahead,
) noexcept nogil:
    """M += (w X)'X of one panel: the triangle of nv column groups, and all rows of M below it; a = w b, or b."""
    cdef Py_ssize_t nq = _groups(n_rows)
    cdef Py_ssize_t block = max(<Py_ssize_t> 1, IN_L2 // (m * LANES * <Py_ssize_t> sizeof(double)))
    cdef Py_ssize_t first, v, q, c, width, last
    cdef double* at
    for first from 0 <= first < nq by block:
        v = width = 0
        while v + width < nv:
            v += width
            width = _width(nv - v)
            last = v + width - 2                # here the corner takes the last two row tiles
            for q in range(first, min(first + block, nq)):
                if q < nv and (q > last if width > 1 else q > v):
                    continue
                at = out + q * LANES * ld
                if q == last and width > 1:
                    tile_corner(a + q * stride, b + q * stride, stride, m, at + q * LANES, ld, ahead.at, ahead.step)
                else:
                    c = max(q, v) if q < nv else v
                    tile(
                        a + q * stride, b + c * stride, stride, m, at + c * LANES, ld,
                        min(<Py_ssize_t> LANES, n_rows - q * LANES), v + width - c, ahead.at, ahead.step,
                    )
                _next_tile(ahead, a)


cdef void _wide(
    const floating* x,
    Py_ssize_t ld,
    const size_t* apart,
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
    cdef Py_ssize_t rows = _panel_rows(p, hi - lo), stride = rows * LANES + PAD
    cdef Py_ssize_t px = _rows_of_m(p, n_targets), nq = _groups(px), nv = _groups(p), ny = _groups(n_targets)
    cdef Py_ssize_t to = (nv + ny) * LANES
    cdef Py_ssize_t size = _wide_size(p, n_targets)
    # panels start at a cache line, or every second vector of v4 would straddle two
    cdef double* b = <double*> ((<Py_ssize_t> work + LINE - 1) // LINE * LINE)
    cdef double* by = b + nq * stride           # of a few targets at a time: L1
    cdef double* a = by + TILE_VECS * stride if weighted else b
    cdef double* wv = by + (TILE_VECS + nq) * stride
    cdef double* part = out if _is_large(size) else wv + rows
    cdef double* sums = part + nq * LANES * to
    cdef double* sums_y = sums + nq * LANES
    cdef double* squares = sums_y + ny * LANES
    cdef Py_ssize_t i, t, q, j, m, at, whole, width, panels = 0
    cdef double sum_w = 0.0
    cdef lines_ahead ahead, ahead_y
    for t in range((nq + TILE_VECS) * stride):
        b[t] = 0.0
    if part != out:
        for t in range(size):
            part[t] = 0.0
    for i from lo <= i < hi by rows:
        m = min(rows, hi - i)
        whole = (m + TILE_STEP - 1) // TILE_STEP * TILE_STEP
        for t in range(m, whole):
            # only at the end of the range: rows of zeros
            for q in range(nq + TILE_VECS):
                vec_store(b + q * stride + t * LANES, vec_zero())
        if c_order:
            _pack_x_c(x + i * ld, p, m, stride, k, b)
        else:
            _pack_x_f(x, ld, apart, i, p, m, stride, k, b)
        for j in range(p, px):
            for t in range(m):
                b[j // LANES * stride + t * LANES + j % LANES] = _number(y, i + t, j - p) - k[j]
        if weighted:
            for t in range(m):
                wv[t] = _number(w, i + t, 0)
            sum_w += _weight_of(wv, m, whole)
            _weigh(wv, whole, stride, nq, b, a)
        else:
            sum_w += m
        for j in range(p, px):
            at = j // LANES * stride + j % LANES
            squares[j - p] += _column_product(a + at, b + at, whole)
        _sum_groups(a, nq, whole, stride, sums)
        _ask(
            x + (i + rows) * ld, p * sizeof(floating) if c_order else 0, _from_row(y, i + rows), nv,
            ny if px == p else 0, rows, &ahead, &ahead_y,
        )
        _cross(a, b, stride, whole, px, nv, to, part, &ahead)
        j = 0
        while j < ny and px == p:
            width = _width(ny - j)
            _pack_y(
                _from_column(_from_row(y, i), j * LANES), min(n_targets - j * LANES, width * LANES), m, stride,
                k + p + j * LANES, wv if weighted else NULL, by, sums_y + j * LANES, squares + j * LANES,
            )
            for q in range(nv):
                tile(
                    a + q * stride, by, stride, whole, part + q * LANES * to + (nv + j) * LANES, to,
                    min(<Py_ssize_t> LANES, p - q * LANES), width, ahead.at, ahead.step,
                )
                _next_tile(&ahead, a)
            j += width
        panels += 1
        if panels == PANELS_PER_FLUSH or i + rows >= hi:
            out[size - 1] += sum_w
            sum_w = 0.0
            panels = 0
            if part != out:
                for t in range(size - 1):
                    out[t] += part[t]
                    part[t] = 0.0


cdef inline void _ask(
    const void* x,
    Py_ssize_t x_bytes,         # of a row, 0 in F order
    strided y,
    Py_ssize_t nv,
    Py_ssize_t ny,
    Py_ssize_t rows,
    lines_ahead* ahead,         # OUT
    lines_ahead* then,          # OUT
) noexcept nogil:
    """The lines of the next panel, evenly over the tiles: those of X, then those of Y where its rows are dense."""
    cdef Py_ssize_t tiles = nv * ((ny + TILE_VECS - 1) // TILE_VECS) + (nv * nv + 2 * nv) // (2 * TILE_VECS)
    cdef Py_ssize_t y_bytes = y.row if y.column == sizeof(double) and y.row > 0 else 0
    cdef Py_ssize_t for_y = 0
    if y_bytes:
        for_y = min(tiles - (x_bytes > 0), tiles * y_bytes // (x_bytes + y_bytes))
    ahead.at = <const char*> x if x_bytes else y.at
    ahead.tiles = tiles - for_y
    ahead.step = x_bytes // ahead.tiles + 1 if ahead.tiles and x_bytes else 0
    ahead.tile = rows * ahead.step
    ahead.columns = then.columns = NULL
    ahead.then = then
    then.at = y.at
    then.tiles = for_y
    then.step = y_bytes // for_y + 1 if for_y else 0
    then.tile = rows * then.step
    then.then = NULL
    if ahead.tiles == 0:
        ahead[0] = then[0]


cdef inline void _moments(
    const floating* x,
    Py_ssize_t ld,
    const size_t* apart,        # NULL, or the addresses of the columns, which lie apart; c_order is False then
    bint c_order,
    Py_ssize_t p,
    strided y,
    Py_ssize_t n_targets,
    strided w,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double* k,
    double* work,
    double* out,                # IN, OUT
) noexcept nogil:
    if _is_narrow(p, n_targets):
        _narrow(x, ld, apart, c_order, p, y, n_targets, w, lo, hi, k, work, out)
    else:
        _wide(x, ld, apart, c_order, p, y, n_targets, w, lo, hi, k, work, out)


cdef inline strided _of_targets(const double[:, :] Y) noexcept nogil:
    cdef strided y
    y.at = <const char*> &Y[0, 0]
    y.row = Y.strides[0]
    y.column = Y.strides[1]
    return y


cdef inline strided _of_column(const double[:] w) noexcept nogil:
    """`at` is NULL for None."""
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
            x, X.shape[1], NULL, True, X.shape[1], _of_targets(Y), Y.shape[1], _of_column(w),
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
            x, X.shape[0], NULL, False, X.shape[1], _of_targets(Y), Y.shape[1], _of_column(w),
            lo, hi, &shift[0], &work[0], &out[0]
        )


def moments_apart(
    const size_t[::1] columns,
    bint single,
    const double[:, :] Y,
    const double[:] w,
    Py_ssize_t lo,
    Py_ssize_t hi,
    const double[::1] shift,
    double[::1] work,
    double[::1] out,            # IN, OUT
):
    """`moments_c` for columns that lie apart: their addresses, of float32 if `single`, else of float64."""
    cdef const size_t* at = &columns[0]
    with nogil:
        if single:
            _moments[float](
                NULL, 0, at, False, columns.shape[0], _of_targets(Y), Y.shape[1], _of_column(w),
                lo, hi, &shift[0], &work[0], &out[0]
            )
        else:
            _moments[double](
                NULL, 0, at, False, columns.shape[0], _of_targets(Y), Y.shape[1], _of_column(w),
                lo, hi, &shift[0], &work[0], &out[0]
            )


cdef void _unpack(const double* out, Py_ssize_t p, Py_ssize_t n_targets, double* M) noexcept nogil:
    """The first p + 1 rows of M, X'wX from its diagonal on, and a row that has y'wy below each column of Y."""
    cdef Py_ssize_t nv = _groups(p), ny = _groups(n_targets), n = p + 1 + n_targets, ld = (nv + ny) * LANES
    cdef Py_ssize_t nq = _groups(_rows_of_m(p, n_targets)), i, j, c
    cdef bint few = n_targets <= FEW_TARGETS
    cdef const double* sums = out + nq * LANES * ld
    cdef const double* sums_y = sums + p if few else sums + nq * LANES
    cdef const double* squares = sums + (nq + ny) * LANES
    if _is_narrow(p, n_targets):
        _narrow_unpack(out, p, n_targets, M)
        return
    for i in range(p):
        for j in range(i, p):
            M[i * n + j] = out[i * ld + j]
        for j in range(n_targets):
            c = p + j if few else nv * LANES + j
            M[i * n + p + 1 + j] = out[c * ld + i] if few and c >= nv * LANES else out[i * ld + c]
        M[i * n + p] = M[p * n + i] = sums[i]
    M[p * n + p] = out[_wide_size(p, n_targets) - 1]
    for j in range(n_targets):
        M[p * n + p + 1 + j] = sums_y[j]
        M[(p + 1) * n + p + 1 + j] = squares[j]


def moments_unpack(
    const double[::1] out,
    Py_ssize_t p,
    Py_ssize_t n_targets,
    double[:, ::1] M,           # OUT
):
    """The symmetric matrix M of `moments_c`, columns in the order X, 1, Y; 0 where it was not computed."""
    cdef Py_ssize_t n = p + 1 + n_targets, i, j
    cdef double* squares
    with nogil:
        _unpack(&out[0], p, n_targets, &M[0, 0])
        squares = &M[0, 0] + (p + 1) * n
        for i in range(n - 1, p, -1):           # the row of the squares last
            for j in range(p + 1, n):
                M[i, j] = squares[j] if i == j else 0.0
        for i in range(n):
            for j in range(min(i, p + 1)):
                M[i, j] = M[j, i]
