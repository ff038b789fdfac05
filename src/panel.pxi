# Row block -> panel: rows shifted, widened to float64 and laid out for the tiles.
#
# A panel holds `rows` rows of X - k or of Y - ky, LANES columns side by side ("a column group"):
# element (t, c) is at  a[(c // LANES) * stride + t * LANES + c % LANES].  A tile then reads any
# column group as one dense stream, and one vector of padding at most is carried along.


cdef inline void _pack_x_c(
    const floating* x,
    Py_ssize_t p,
    Py_ssize_t m,
    Py_ssize_t stride,
    const double* k,
    double* a,                  # OUT
) noexcept nogil:
    """Rows of X - k into the panel, C order: m rows of p numbers from x on, in the order of memory."""
    cdef Py_ssize_t t, q, j
    cdef Py_ssize_t groups = p // LANES
    cdef double* tail = a + groups * stride
    for t in range(m):
        for q in range(groups):
            vec_store(a + q * stride + t * LANES, vec_load(x + q * LANES) - vec_load_f64(k + q * LANES))
        for j in range(groups * LANES, p):
            tail[t * LANES + j - groups * LANES] = <double> x[j] - k[j]
        x += p


cdef inline void _pack_x_f(
    const floating* x,
    Py_ssize_t ld,
    const size_t* addresses,
    Py_ssize_t i,
    Py_ssize_t p,
    Py_ssize_t m,
    Py_ssize_t stride,
    const double* k,
    double* a,                  # OUT
) noexcept nogil:
    """Rows of X - k into the panel, column by column: m rows from row i on, columns as for `_column_at`.

    LANES columns are read side by side and each row of them gathered in registers.
    """
    cdef Py_ssize_t t, q, j
    cdef Py_ssize_t groups = p // LANES
    cdef double* tail = a + groups * stride
    cdef const floating* column
    cdef vec kv
    for q in range(groups):
        kv = vec_load_f64(k + q * LANES)
        if addresses != NULL:
            for t in range(m):
                if floating is float:
                    vec_store(a + q * stride + t * LANES, vec_collect_f32(addresses + q * LANES, i + t) - kv)
                else:
                    vec_store(a + q * stride + t * LANES, vec_collect_f64(addresses + q * LANES, i + t) - kv)
            continue
        for t in range(m):
            vec_store(a + q * stride + t * LANES, vec_gather(x + q * LANES * ld + i + t, ld) - kv)
    for j in range(groups * LANES, p):
        column = _column_at(x, ld, addresses, j) + i
        for t in range(m):
            tail[t * LANES + j - groups * LANES] = <double> column[t] - k[j]


cdef inline const floating* _column_at(
    const floating* x, Py_ssize_t ld, const size_t* addresses, Py_ssize_t j
) noexcept nogil:
    """Column j of a table whose columns are ld numbers apart, or each at an address of its own."""
    return x + j * ld if addresses == NULL else <const floating*> addresses[j]


cdef inline void _pack_targets(
    const char* y,
    Py_ssize_t row,             # bytes
    Py_ssize_t groups,
    Py_ssize_t m,
    Py_ssize_t stride,
    const double* k,
    const double* w,            # NULL: none
    double* a,                  # OUT
    double* sum_v,              # IN, OUT
    double* sum_vv,             # IN, OUT
) noexcept nogil:
    """Column groups of Y - k from targets that lie side by side, and the sums that need no product with X."""
    cdef Py_ssize_t t, q, whole = m // 4 * 4 if w == NULL else 0
    cdef const char* at
    cdef double* group
    cdef vec kv, v, v0, v1, v2, v3, s, ss
    for q in range(groups):
        at = y + q * LANES * sizeof(double)
        group = a + q * stride
        kv = vec_load_f64(k + q * LANES)
        s = ss = vec_zero()
        for t from 0 <= t < whole by 4:
            # four rows to an update of the sums, whose latency would count
            v0 = vec_load_f64(<const double*> at) - kv
            v1 = vec_load_f64(<const double*> (at + row)) - kv
            v2 = vec_load_f64(<const double*> (at + 2 * row)) - kv
            v3 = vec_load_f64(<const double*> (at + 3 * row)) - kv
            vec_store(group + t * LANES, v0)
            vec_store(group + (t + 1) * LANES, v1)
            vec_store(group + (t + 2) * LANES, v2)
            vec_store(group + (t + 3) * LANES, v3)
            s += (v0 + v1) + (v2 + v3)
            ss += (v0 * v0 + v1 * v1) + (v2 * v2 + v3 * v3)
            at += 4 * row
        for t in range(whole, m):
            # a row of weight 0 is not there, whatever it holds
            v = vec_load_f64(<const double*> at) - kv if w == NULL or w[t] != 0.0 else vec_zero()
            vec_store(group + t * LANES, v)
            if w != NULL:
                s += w[t] * v
                ss += (w[t] * v) * v
            else:
                s += v
                ss += v * v
            at += row
        vec_store(sum_v + q * LANES, vec_load_f64(sum_v + q * LANES) + s)
        vec_store(sum_vv + q * LANES, vec_load_f64(sum_vv + q * LANES) + ss)


cdef inline void _gather_targets(
    strided y,                  # from the first target on
    Py_ssize_t width,
    Py_ssize_t m,
    double* group,              # OUT
) noexcept nogil:
    """The first `width` columns of a column group of Y, wherever they lie."""
    cdef Py_ssize_t t = 0, j
    cdef const double* at = <const double*> y.at
    if width == LANES and y.row == sizeof(double) and y.column % <Py_ssize_t> sizeof(double) == 0:
        for t from 0 <= t < m // LANES * LANES by VEC_TURNED:
            vec_turn(at + t, y.column // <Py_ssize_t> sizeof(double), vec_zero(), group + t * LANES, LANES)
    for t in range(m // LANES * LANES if t else 0, m):
        for j in range(width):
            group[t * LANES + j] = _number(y, t, j)


cdef inline void _pack_y(
    strided y,                  # from the first of the m rows on, and the first of the targets
    Py_ssize_t n_targets,
    Py_ssize_t m,
    Py_ssize_t stride,
    const double* ky,
    const double* w,            # NULL: none
    double* a,                  # OUT
    double* sum_v,              # IN, OUT
    double* sum_vv,             # IN, OUT
) noexcept nogil:
    """Columns v = Y - ky of the panel, 0 beyond n_targets; sum w v and sum w v^2 in whole vectors."""
    cdef Py_ssize_t j = 0, i, t, width
    cdef double[8] k
    cdef double* group
    if y.column == sizeof(double):
        _pack_targets(y.at, y.row, n_targets // LANES, m, stride, ky, w, a, sum_v, sum_vv)
        j = n_targets // LANES * LANES
    for j from j <= j < n_targets by LANES:
        width = min(<Py_ssize_t> LANES, n_targets - j)
        group = a + j // LANES * stride
        for i in range(LANES):
            k[i] = ky[j + i] if i < width else 0.0
        if width < LANES:
            for t in range(m):
                vec_store(group + t * LANES, vec_zero())
        _gather_targets(_from_column(y, j), width, m, group)
        _pack_targets(<const char*> group, LANES * sizeof(double), 1, m, stride, k, w, group, sum_v + j, sum_vv + j)


cdef inline double _total_weight(double* w, Py_ssize_t m, Py_ssize_t whole) noexcept nogil:
    """Sum of m weights, made 0 beyond them up to `whole`; NaN where one is negative: the caller looks for it."""
    cdef Py_ssize_t t
    cdef vec s = vec_zero()
    cdef bint negative = False
    for t in range(m, whole):
        w[t] = 0.0
    for t in range(m):
        negative |= w[t] < 0.0
    for t from 0 <= t < whole by LANES:
        s += vec_load_f64(w + t)
    return NAN if negative else vec_sum(s)


cdef inline void _weigh(
    const double* w,
    Py_ssize_t m,
    Py_ssize_t stride,
    Py_ssize_t groups,
    double* b,                  # IN, OUT
    double* a,                  # OUT
) noexcept nogil:
    """a = w * b; rows of weight 0 are cleared in both."""
    cdef Py_ssize_t t, q
    cdef double* column
    cdef bint absent = False
    for t in range(m):
        absent |= w[t] == 0.0
    if absent:
        for q in range(groups):
            for t in range(m):
                if w[t] == 0.0:
                    vec_store(b + q * stride + t * LANES, vec_zero())
    for q in range(groups):
        column = b + q * stride
        for t in range(m):
            vec_store(a + q * stride + t * LANES, w[t] * vec_load_f64(column + t * LANES))


cdef inline void _sum_groups(
    const double* a,
    Py_ssize_t groups,
    Py_ssize_t m,
    Py_ssize_t stride,
    double* sums,               # IN, OUT
) noexcept nogil:
    """Sums of the columns of a panel, m a multiple of TILE_STEP."""
    cdef Py_ssize_t t, q
    cdef vec s0, s1
    for q in range(groups):
        s0 = s1 = vec_zero()
        for t from 0 <= t < m by 4:
            s0 += vec_load_f64(a + t * LANES) + vec_load_f64(a + (t + 1) * LANES)
            s1 += vec_load_f64(a + (t + 2) * LANES) + vec_load_f64(a + (t + 3) * LANES)
        vec_store(sums + q * LANES, vec_load_f64(sums + q * LANES) + (s0 + s1))
        a += stride


cdef inline double _column_product(const double* a, const double* b, Py_ssize_t m) noexcept nogil:
    """Sum of the products of two columns of column groups, m a multiple of TILE_STEP."""
    cdef Py_ssize_t t
    cdef double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0
    for t from 0 <= t < m * LANES by 4 * LANES:
        s0 += a[t] * b[t]
        s1 += a[t + LANES] * b[t + LANES]
        s2 += a[t + 2 * LANES] * b[t + 2 * LANES]
        s3 += a[t + 3 * LANES] * b[t + 3 * LANES]
    return (s0 + s1) + (s2 + s3)
