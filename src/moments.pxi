# Cross products of a panel, register-blocked.
#
#     M = sum_i w_i z_i z_i'      z_i = [x_i - k, 1, y_i - ky],  upper triangle, without Y'Y off its diagonal
#
# Sums have four levels, so that rounding errors grow with the square root of short chains: a panel
# (registers), PANELS_PER_FLUSH panels (workspace), the row range (out), the row blocks (merged in
# pairs by the caller).  Where M leaves L2 the second level is left out: clearing and adding up that
# workspace took a fifth of the time of 1,000 columns, and tables that wide have few panels in a block.
#
# Narrow tables have a kernel of their own, in narrow.pxi.

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
    )
    void tile_corner(
        const double* a,
        const double* b,
        Py_ssize_t stride,
        Py_ssize_t n,
        double* out,
        Py_ssize_t ld,
    )

cdef enum:
    IN_L2 = 262144              # bytes of column groups, or of M, that stay in L2 while the strips of three go by
    PAD = 8                     # numbers between column groups, or all of them would fall into one set of L1
    ROWS_WIDE = 256             # a tile's four streams are then 4 x 8 kB on v3: L1; fewer updates of M


cdef inline Py_ssize_t _groups(Py_ssize_t columns) noexcept nogil:
    return (columns + LANES - 1) // LANES


cdef inline Py_ssize_t _panel_rows(Py_ssize_t n_rows) noexcept nogil:
    return min(<Py_ssize_t> ROWS_WIDE, (n_rows + TILE_STEP - 1) // TILE_STEP * TILE_STEP)


cdef inline Py_ssize_t _moments_size(Py_ssize_t p, Py_ssize_t n_targets) noexcept nogil:
    """Length of `out`."""
    if _is_narrow(p, n_targets):
        return _narrow_size(p, n_targets)
    return _groups(p + 1 + n_targets) * _groups(p) * LANES * LANES + 1 + 2 * n_targets


cdef inline bint _is_large(Py_ssize_t size) noexcept nogil:
    return size * <Py_ssize_t> sizeof(double) > IN_L2


def moments_sizes(Py_ssize_t p, Py_ssize_t n_targets, Py_ssize_t n_rows):
    """Lengths of the float64 buffers of `moments_c` and `moments_f`: (work, out)."""
    cdef Py_ssize_t out = _moments_size(p, n_targets)
    if _is_narrow(p, n_targets):
        return _narrow_work_size(p, n_targets, n_rows), out
    cdef Py_ssize_t rows = _panel_rows(n_rows)
    cdef Py_ssize_t nq = _groups(p + 1 + n_targets), nv = _groups(p)
    return (nq + nv) * (LANES * rows + PAD) + 2 * rows + (0 if _is_large(out) else out) + 8, out


cdef void _cross(
    const double* a,
    const double* b,
    Py_ssize_t stride,
    Py_ssize_t m,
    Py_ssize_t n_columns,
    Py_ssize_t nv,
    double* out,                # IN, OUT
) noexcept nogil:
    """M += Z'(w Z) of one panel: the triangle of the column groups of X, and all of 1 and Y with them.

    b = w a, or a itself.
    """
    cdef Py_ssize_t ld = nv * LANES, nq = _groups(n_columns)
    cdef Py_ssize_t block = max(<Py_ssize_t> 1, IN_L2 // (m * LANES * <Py_ssize_t> sizeof(double)))
    cdef Py_ssize_t first, v, q, c, width, last
    cdef double* at
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
                at = out + q * LANES * ld
                if q == last and width > 1:
                    tile_corner(a + q * stride, b + q * stride, stride, m, at + q * LANES, ld)
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
                    )


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
    cdef Py_ssize_t n_columns = p + 1 + n_targets
    cdef Py_ssize_t rows = _panel_rows(hi - lo), stride = rows * LANES + PAD
    cdef Py_ssize_t nq = _groups(n_columns), nv = _groups(p)
    cdef Py_ssize_t size = _moments_size(p, n_targets)
    # panels start at a cache line, or every second vector of v4 would straddle two
    cdef double* a = <double*> ((<Py_ssize_t> work + LINE - 1) // LINE * LINE)
    cdef double* b = a + nq * stride
    cdef double* wv = b + nv * stride
    cdef double* v = wv + rows
    cdef double* part = v + rows
    cdef double* one = a + p // LANES * stride + p % LANES
    cdef double* sums = part + size - 1 - 2 * n_targets
    cdef Py_ssize_t i, t, q, m, whole, panels = 0
    cdef strided y_panel = y
    if _is_large(size):
        part = out
        sums = out + size - 1 - 2 * n_targets
    for t in range(nq * stride):
        a[t] = 0.0
    for t in range(rows):
        wv[t] = 0.0 if weighted else 1.0
        v[t] = 0.0
        one[t * LANES] = 1.0
    if part != out:
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
            _pack_x_c(x + i * ld, p, m, stride, k, a)
        else:
            _pack_x_f(x, ld, apart, i, p, m, stride, k, a)
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
        _cross(a, b if weighted else a, stride, whole, n_columns, nv, part)
        panels += 1
        if part != out and (panels == PANELS_PER_FLUSH or i + rows >= hi):
            for t in range(size):
                out[t] += part[t]
                part[t] = 0.0
            panels = 0


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
    cdef Py_ssize_t ld = _groups(p) * LANES, n = p + 1 + n_targets, sums = _groups(n) * LANES * ld
    cdef Py_ssize_t i, j
    if _is_narrow(p, n_targets):
        _narrow_unpack(out, p, n_targets, M)
        return
    for i in range(p):
        for j in range(i, p):
            M[i * n + j] = out[i * ld + j]
        for j in range(p, n):
            # 1 and Y have rows of their own, unless they fit beside the last columns of X
            M[i * n + j] = out[i * ld + j] if j < ld else out[j * ld + i]
        M[p * n + i] = M[i * n + p]
    M[p * n + p] = out[sums]
    for j in range(n_targets):
        M[p * n + p + 1 + j] = out[sums + 1 + j]
        M[(p + 1) * n + p + 1 + j] = out[sums + 1 + n_targets + j]


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
