# Cross products of narrow tables: the lanes of a vector are rows.
#
#     M = sum_i w_i z_i z_i'      z_i = [x_i - k, y_i - ky],  and sum_i w_i z_i, sum_i w_i
#
# A panel holds its columns one after the other, `stride` numbers apart, so that a product of two
# columns needs no broadcast and no vector is padded.  What is added up has LANES partial sums an
# element, too many for the caches where tables are wide; wide.pxi has the kernel for those, and the levels of
# sums are as there.

cdef enum:
    MOST_NARROW = 256           # columns of X and Y
    MOST_PRODUCTS = 68 * 68     # of them, as below: 64 columns and one or two targets
    MANY_OF_BOTH = 8            # columns of X, and half as many as of Y, from which on a vector may hold targets
    MANY_PRODUCTS = 400         # of them
    PANEL_NUMBERS = 2048        # of a panel: 16 kB, L1 also holds the rows it was made of
    PANEL_LEAST = 96            # rows of a panel at least, fewer cost a tile too much before and after its loop
    PANEL_MOST = 128
    # At 8 lanes sums and tiles are twice as large.  Few columns: short panels, or rows, panel and sums together
    # leave L1 (1,000,000 x 10: 128 rows 40 % slower); many: long ones, that the sums are read and written less often.
    PANEL_V4_FEW = 32           # columns
    PANEL_V4_SHORT = 64
    PANEL_V4_LONG = 192
    TURN_SHARE = 20             # of 100 lines of the next panel, asked for while rows are turned
    PANEL_STEP = 8              # rows of a panel are a multiple of this, whatever the level


cdef inline bint _is_narrow(Py_ssize_t p, Py_ssize_t n_targets) noexcept nogil:
    if p >= MANY_OF_BOTH and n_targets >= 2 * MANY_OF_BOTH and p * n_targets >= MANY_PRODUCTS:
        return False                # sums of one number each instead of LANES: those of LANES leave L1
    return p + n_targets <= MOST_NARROW and (p + DOT_ROWS) * (p + n_targets + DOT_ROWS) <= MOST_PRODUCTS


cdef inline Py_ssize_t _narrow_rows(Py_ssize_t columns, Py_ssize_t n_rows) noexcept nogil:
    cdef Py_ssize_t rows = max(<Py_ssize_t> PANEL_LEAST, min(<Py_ssize_t> PANEL_MOST, PANEL_NUMBERS // columns))
    if LANES == 8:
        rows = PANEL_V4_SHORT if columns <= PANEL_V4_FEW else PANEL_V4_LONG
    rows = min(rows, n_rows)
    return (rows + PANEL_STEP - 1) // PANEL_STEP * PANEL_STEP


cdef inline Py_ssize_t _narrow_padded(Py_ssize_t columns) noexcept nogil:
    """Columns of the panel: the last rows of a tile may be of zeros."""
    return (columns + DOT_ROWS - 1) // DOT_ROWS * DOT_ROWS


cdef inline Py_ssize_t _narrow_size(Py_ssize_t p, Py_ssize_t n_targets) noexcept nogil:
    """Length of `out`: rows of M for X, the sums of all columns, the squares of Y, sum w."""
    return (p + 1) * (p + n_targets) + n_targets + 1


cdef inline Py_ssize_t _narrow_part_size(Py_ssize_t p, Py_ssize_t columns) noexcept nogil:
    """Length of `part`: the strips of rows that X has a part in, the diagonal tiles of the others, the sums."""
    cdef Py_ssize_t padded = _narrow_padded(columns), strips = _narrow_padded(p)
    return (strips * padded + (padded - strips) * DOT_ROWS + padded) * LANES


cdef inline Py_ssize_t _narrow_work_size(Py_ssize_t p, Py_ssize_t n_targets, Py_ssize_t n_rows) noexcept nogil:
    cdef Py_ssize_t columns = p + n_targets
    cdef Py_ssize_t numbers = (_narrow_padded(columns) + DOT_ROWS + 1) * _narrow_rows(columns, n_rows)
    return numbers + _narrow_part_size(p, columns) + 8


cdef void _narrow_products(
    const double* w,            # NULL: none
    double* a,
    const double* b,
    Py_ssize_t stride,
    Py_ssize_t m,
    Py_ssize_t p,
    Py_ssize_t columns,
    double* part,               # IN, OUT
    double* sums,               # IN, OUT
    lines_ahead ahead,
) noexcept nogil:
    """part += B'wB of one panel, from each strip of rows on to the right; sums += B'w.

    Of Y'Y the diagonal strips alone.  `a` has room for the weighted columns of one strip.
    """
    cdef Py_ssize_t ld = _narrow_padded(columns)
    cdef Py_ssize_t r, c, width
    cdef const double* rows
    cdef double* at = part
    for r from 0 <= r < columns by DOT_ROWS:
        if r >= p:
            ld = DOT_ROWS
        rows = b + r * stride
        c = r if r < p else 0
        if w != NULL:
            dots_diagonal_weighted(w, a, rows, stride, m, at + c * LANES, ld, sums + r * LANES, ahead.at, ahead.step)
            rows = a
        else:
            dots_diagonal(w, a, rows, stride, m, at + c * LANES, ld, sums + r * LANES, ahead.at, ahead.step)
        _next_tile(&ahead, b)
        c = r + DOT_ROWS
        while c < columns and r < p:
            width = min(<Py_ssize_t> DOT_COLS, columns - c)
            if DOT_COLS < columns - c < 2 * DOT_COLS:
                width = (columns - c + 1) // 2      # no tile of a single column, which is all latency
            dots(rows, b + c * stride, stride, m, at + c * LANES, ld, width, ahead.at, ahead.step)
            _next_tile(&ahead, b)
            c += width
        at += DOT_ROWS * ld * LANES


cdef inline Py_ssize_t _narrow_tiles(Py_ssize_t p, Py_ssize_t columns) noexcept nogil:
    """How many tiles `_narrow_products` takes."""
    cdef Py_ssize_t r, tiles = 0
    for r from 0 <= r < columns by DOT_ROWS:
        tiles += 1
        if r < p and r + DOT_ROWS < columns:
            tiles += (columns - r - DOT_ROWS + DOT_COLS - 1) // DOT_COLS
    return tiles


cdef void _narrow(
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
    cdef Py_ssize_t columns = p + n_targets, padded = _narrow_padded(columns)
    cdef Py_ssize_t rows = _narrow_rows(columns, hi - lo)
    cdef double* b = <double*> ((<Py_ssize_t> work + LINE - 1) // LINE * LINE)
    cdef double* a = b + padded * rows
    cdef double* wv = a + DOT_ROWS * rows
    cdef double* part = wv + rows
    cdef Py_ssize_t size = _narrow_part_size(p, columns)
    cdef double* sums = part + size - padded * LANES
    cdef double sum_w = 0.0
    cdef Py_ssize_t i, j, m, whole, panels = 0
    # targets side by side are turned like rows of X
    cdef bint y_rows = (
        n_targets >= LANES and y.column == sizeof(double) and y.row > 0 and y.row % <Py_ssize_t> sizeof(double) == 0
    )
    # C order: tiles ask for lines evenly, as a core has some twenty of them under way at once; where rows of Y
    # are long those have a share of the tiles
    cdef Py_ssize_t row_bytes = p * sizeof(floating), tiles = _narrow_tiles(p, columns)
    cdef Py_ssize_t for_y = min(tiles - 1, tiles * y.row // (row_bytes + y.row)) if y_rows else 0
    # at 8 lanes a share of them while rows are turned: the tiles alone would ask in bursts for more than are under way
    cdef Py_ssize_t turns = (p + VEC_TURNED - 1 - VEC_PAIR) // VEC_TURNED if LANES == 8 and p >= VEC_TURNED else 0
    cdef Py_ssize_t turn_step = LANES * row_bytes * TURN_SHARE // (100 * turns) if turns else 0
    cdef Py_ssize_t step = (LANES * row_bytes - turns * turn_step) // (tiles - for_y) + 1
    cdef const char* next_panel
    # F order: a tile asks for a column, and the columns that no tile is left for are asked for before
    cdef Py_ssize_t asked = max(<Py_ssize_t> 0, p - tiles)
    cdef lines_ahead ahead, ahead_y
    cdef strided y_panel = y, w_panel = w
    ahead_y.step = LANES * y.row // for_y + 1 if for_y else 0
    ahead_y.tile = rows // LANES * ahead_y.step
    ahead_y.columns = NULL
    ahead_y.tiles = for_y
    ahead_y.following = NULL
    ahead.following = &ahead_y if for_y else NULL
    for i in range(columns * rows, padded * rows):
        b[i] = 0.0
    for i in range(size):
        part[i] = 0.0
    for i from lo <= i < hi by rows:
        m = min(rows, hi - i)
        whole = (m + PANEL_STEP - 1) // PANEL_STEP * PANEL_STEP
        if c_order:
            next_panel = <const char*> (x + (i + rows) * ld)
            _pack_columns_c(x + i * ld, ld, p, m, rows, k, b, next_panel if turns else NULL, turn_step)
            ahead.at = next_panel + turns * rows // LANES * turn_step
            ahead.step = step
            ahead.tile = rows // LANES * step
            ahead.columns = NULL
            ahead.tiles = tiles - for_y
        else:
            _pack_columns_f(x, ld, addresses, i, p, m, rows, k, b, asked)
            ahead.at = <const char*> (_column_at(x, ld, addresses, asked) + i + rows)
            ahead.step = LANES * sizeof(floating)
            ahead.tile = ld * sizeof(floating)
            ahead.columns = addresses + asked if addresses != NULL else NULL
            ahead.tiles = p - asked
        y_panel.at = y.at + i * y.row
        ahead_y.at = y_panel.at + rows * y.row
        if y_rows:
            _pack_columns_c(
                <const double*> y_panel.at, y.row // sizeof(double), n_targets, m, rows, k + p, b + p * rows,
                NULL, 0,
            )
        else:
            for j in range(n_targets):
                _pack_column(y_panel, j, m, k[p + j], b + (p + j) * rows)
        for j in range(m, whole):
            # only at the end of the range: rows of zeros
            _clear_row(columns, rows, b + j)
        if weighted:
            w_panel.at = w.at + i * w.row
            _pack_column(w_panel, 0, m, 0.0, wv)
            sum_w += _sum_weights(m, whole, columns, rows, wv, b)
        else:
            sum_w += m
        _narrow_products(wv if weighted else NULL, a, b, rows, whole, p, columns, part, sums, ahead)
        panels += 1
        if panels == PANELS_PER_FLUSH or i + rows >= hi:
            _narrow_flush(p, columns, part, out)
            out[_narrow_size(p, n_targets) - 1] += sum_w
            sum_w = 0.0
            panels = 0


cdef void _narrow_flush(
    Py_ssize_t p,
    Py_ssize_t columns,
    double* part,               # IN, OUT
    double* out,                # IN, OUT
) noexcept nogil:
    """Sum up the lanes of part into out, and clear part."""
    cdef Py_ssize_t padded = _narrow_padded(columns), strips = _narrow_padded(p), i, j
    cdef Py_ssize_t size = _narrow_part_size(p, columns)
    cdef double* squares = part + strips * padded * LANES
    cdef double* sums = part + size - padded * LANES
    cdef double* at
    for i in range(p):
        for j in range(i, columns):
            out[j] += vec_sum(vec_load_f64(part + (i * padded + j) * LANES))
        out += columns
    for j in range(columns):
        out[j] += vec_sum(vec_load_f64(sums + j * LANES))
    out += columns
    for j in range(p, columns):
        i = (j - strips) * DOT_ROWS + j % DOT_ROWS          # in the strips of Y alone
        at = part + j * (padded + 1) * LANES if j < strips else squares + i * LANES
        out[j - p] += vec_sum(vec_load_f64(at))
    for i in range(size):
        part[i] = 0.0


cdef void _narrow_unpack(const double* out, Py_ssize_t p, Py_ssize_t n_targets, double* M) noexcept nogil:
    cdef Py_ssize_t columns = p + n_targets, n = columns + 1, i, j
    for i in range(p):
        for j in range(i, columns):
            M[i * n + j + (j >= p)] = out[j]
        out += columns
    for j in range(columns):
        M[p * n + j + (j >= p)] = out[j]
    out += columns
    for i in range(p):
        M[i * n + p] = M[p * n + i]
    for j in range(n_targets):
        M[(p + 1) * n + p + 1 + j] = out[j]
    M[p * n + p] = out[n_targets]
