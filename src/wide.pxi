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

cdef enum:
    IN_L2 = 262144              # bytes of column groups, or of M, that stay in any L2 while the strips of three go by
    MOST_OF_L2 = 1048576        # bytes of column groups where L2 is larger: half of it
    PAD = 8                     # numbers between column groups, or all of them would fall into one set of L1
    ROWS_WIDE = 256             # a tile's four streams are then 4 x 8 kB on v3: L1; fewer updates of M
    FEW = 64                    # columns up to which a panel of ROWS_LEAST rows or more is made to fit L1
    PANEL_L1 = 24576            # bytes of such a panel, with the targets of one tile
    ROWS_LEAST = 64
    FEW_TARGETS = 3


cdef extern from "cache.h" nogil:
    long cache_l2()


# The order of the tiles follows the machine's L2; what each of them adds up does not.
cdef Py_ssize_t strip_bytes = max(<Py_ssize_t> IN_L2, min(<Py_ssize_t> MOST_OF_L2, <Py_ssize_t> cache_l2() // 2))


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


cdef inline bint _is_large(Py_ssize_t size) noexcept nogil:
    return size * <Py_ssize_t> sizeof(double) > IN_L2


cdef inline Py_ssize_t _vecs_of_next_tile(Py_ssize_t vecs) noexcept nogil:
    """Of so many vectors those of the next tile: no last tile of a single one, which is all latency."""
    if TILE_VECS < vecs < 2 * TILE_VECS:
        return (vecs + 1) // 2
    return min(<Py_ssize_t> TILE_VECS, vecs)


cdef void _wide_products(
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
    cdef Py_ssize_t block = max(<Py_ssize_t> 1, strip_bytes // (m * LANES * <Py_ssize_t> sizeof(double)))
    cdef Py_ssize_t first, v, q, c, width, last
    cdef double* at
    for first from 0 <= first < nq by block:
        v = width = 0
        while v + width < nv:
            v += width
            width = _vecs_of_next_tile(nv - v)
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
    const size_t* addresses,
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
            _pack_x_f(x, ld, addresses, i, p, m, stride, k, b)
        for j in range(p, px):
            for t in range(m):
                b[j // LANES * stride + t * LANES + j % LANES] = _number(y, i + t, j - p) - k[j]
        if weighted:
            for t in range(m):
                wv[t] = _number(w, i + t, 0)
            sum_w += _total_weight(wv, m, whole)
            _weigh(wv, whole, stride, nq, b, a)
        else:
            sum_w += m
        for j in range(p, px):
            at = j // LANES * stride + j % LANES
            squares[j - p] += _column_product(a + at, b + at, whole)
        _sum_groups(a, nq, whole, stride, sums)
        _lines_of_next_panel(
            x + (i + rows) * ld, p * sizeof(floating) if c_order else 0, _from_row(y, i + rows), nv,
            ny if px == p else 0, rows, &ahead, &ahead_y,
        )
        _wide_products(a, b, stride, whole, px, nv, to, part, &ahead)
        j = 0
        while j < ny and px == p:
            width = _vecs_of_next_tile(ny - j)
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
