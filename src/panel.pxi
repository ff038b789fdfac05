# Row block -> panel: rows shifted, widened to float64 and laid out for the tiles.
#
# A panel holds `rows` rows of Z = [X - k, 1, Y - ky], LANES columns side by side ("a column group"):
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
    const size_t* apart,
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
        if apart != NULL:
            for t in range(m):
                if floating is float:
                    vec_store(a + q * stride + t * LANES, vec_collect_f32(apart + q * LANES, i + t) - kv)
                else:
                    vec_store(a + q * stride + t * LANES, vec_collect_f64(apart + q * LANES, i + t) - kv)
            continue
        for t in range(m):
            vec_store(a + q * stride + t * LANES, vec_gather(x + q * LANES * ld + i + t, ld) - kv)
    for j in range(groups * LANES, p):
        column = _column_at(x, ld, apart, j) + i
        for t in range(m):
            tail[t * LANES + j - groups * LANES] = <double> column[t] - k[j]


cdef inline const floating* _column_at(
    const floating* x, Py_ssize_t ld, const size_t* apart, Py_ssize_t j
) noexcept nogil:
    """Column j of a table whose columns are ld numbers apart, or each at an address of its own."""
    return x + j * ld if apart == NULL else <const floating*> apart[j]


cdef struct strided:
    # numbers `row` bytes apart down the rows, and `column` bytes from one column to the next
    const char* at
    Py_ssize_t row
    Py_ssize_t column


cdef inline double _number(strided y, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    return (<const double*> (y.at + i * y.row + j * y.column))[0]


cdef inline strided _from_row(strided y, Py_ssize_t i) noexcept nogil:
    """The same from row i on; none stays none."""
    if y.at != NULL:
        y.at += i * y.row
    return y


cdef inline void _pack_target(
    strided y,
    Py_ssize_t j,
    Py_ssize_t m,
    double k,
    const double* w,
    bint weighted,
    double* v,
    double* column,             # OUT
    double* sum_v,              # IN, OUT
    double* sum_vv,             # IN, OUT
) noexcept nogil:
    """One column Y_j - k of the panel."""
    cdef Py_ssize_t t
    cdef vec wv, s1 = vec_zero(), s2 = vec_zero()
    if weighted:
        for t in range(m):
            # a row of weight 0 is not there, whatever it holds
            v[t] = _number(y, t, j) - k if w[t] != 0.0 else 0.0
            column[t * LANES] = v[t]
    else:
        for t in range(m):
            v[t] = _number(y, t, j) - k
            column[t * LANES] = v[t]
    for t from 0 <= t < m by LANES:
        wv = vec_load_f64(w + t) * vec_load_f64(v + t)
        s1 += wv
        s2 += wv * vec_load_f64(v + t)
    sum_v[0] += vec_sum(s1)
    sum_vv[0] += vec_sum(s2)


cdef inline void _pack_targets(
    strided y,
    Py_ssize_t j,
    Py_ssize_t m,
    const double* k,
    const double* w,
    double* group,              # OUT
    double* sum_v,              # IN, OUT
    double* sum_vv,             # IN, OUT
) noexcept nogil:
    """A column group of Y - k from LANES targets that lie side by side in memory, from column j on."""
    cdef Py_ssize_t t
    cdef vec v, wv, kv = vec_load_f64(k), s1 = vec_zero(), s2 = vec_zero()
    for t in range(m):
        v = vec_zero()
        if w[t] != 0.0:
            v = vec_load_f64(<const double*> (y.at + t * y.row) + j) - kv
        vec_store(group + t * LANES, v)
        wv = w[t] * v
        s1 += wv
        s2 += wv * v
    vec_store(sum_v, vec_load_f64(sum_v) + s1)
    vec_store(sum_vv, vec_load_f64(sum_vv) + s2)


cdef inline void _pack_y(
    strided y,                  # from the first of the m rows on
    Py_ssize_t n_targets,
    Py_ssize_t p,
    Py_ssize_t m,
    Py_ssize_t stride,
    const double* ky,
    const double* w,
    bint weighted,
    double* v,
    double* a,                  # OUT
    double* sums,               # OUT
) noexcept nogil:
    """Columns Y - ky of the panel, and the sums that need no product with X.

    w       the weights of the m rows, 1 if there are none, 0 beyond them up to a multiple of LANES
    v       workspace of as many numbers, 0 beyond the m rows
    sums    += [sum w, sum w v_1 .. sum w v_k, sum w v_1^2 .. sum w v_k^2]
    """
    cdef Py_ssize_t t, c, j = 0
    cdef vec s = vec_zero()
    cdef bint side_by_side = y.column == sizeof(double)
    if weighted:
        for t from 0 <= t < m by LANES:
            s += vec_load_f64(w + t)
        sums[0] += vec_sum(s)
    else:
        sums[0] += m
    while j < n_targets:
        c = p + 1 + j
        if LANES > 1 and side_by_side and c % LANES == 0 and j + LANES <= n_targets:
            _pack_targets(
                y, j, m, ky + j, w, a + c // LANES * stride, sums + 1 + j, sums + 1 + n_targets + j
            )
            j += LANES
        else:
            _pack_target(
                y, j, m, ky[j], w, weighted, v, a + c // LANES * stride + c % LANES, sums + 1 + j,
                sums + 1 + n_targets + j,
            )
            j += 1


cdef inline void _weigh(
    const double* w,
    Py_ssize_t m,
    Py_ssize_t stride,
    Py_ssize_t n_rows,
    Py_ssize_t n_cols,
    double* a,                  # IN, OUT
    double* b,                  # OUT
) noexcept nogil:
    """b = w * a over the first n_cols column groups; rows of weight 0 are cleared in both."""
    cdef Py_ssize_t t, q
    cdef double* column
    cdef bint absent = False
    for t in range(m):
        absent |= w[t] == 0.0
    if absent:
        for q in range(n_rows):
            for t in range(m):
                if w[t] == 0.0:
                    vec_store(a + q * stride + t * LANES, vec_zero())
    for q in range(n_cols):
        column = a + q * stride
        for t in range(m):
            vec_store(b + q * stride + t * LANES, w[t] * vec_load_f64(column + t * LANES))


# The panels of narrow.pxi: column j of the rows in hand at  a[j * stride + t].


cdef void _columns_c(
    const floating* x,
    Py_ssize_t ld,
    Py_ssize_t p,
    Py_ssize_t m,
    Py_ssize_t stride,
    const double* k,
    double* a,                  # OUT
) noexcept nogil:
    """Columns of X - k, C order: m rows of p numbers, ld numbers apart, from x on.

    LANES rows of LANES columns are transposed in registers, or of two.  The last columns are some of those
    before them once more, where p is no multiple of LANES.
    """
    cdef Py_ssize_t t, j = 0, whole = m // LANES * LANES
    cdef vec kv
    while p >= LANES and p - j > VEC_PAIR:
        j = min(j, p - LANES)
        kv = vec_load_f64(k + j)
        for t from 0 <= t < whole by LANES:
            vec_turn(x + t * ld + j, ld, kv, a + j * stride + t, stride)
        j += LANES
    if j < p and 0 < VEC_PAIR <= p:
        j = min(j, p - VEC_PAIR)
        for t from 0 <= t < whole by LANES:
            vec_turn_pair(x + t * ld + j, ld, k + j, a + j * stride + t, stride)
        j += VEC_PAIR
    for j in range(j, p):
        kv = vec_set(k[j])
        for t from 0 <= t < whole by LANES:
            vec_store(a + j * stride + t, vec_gather(x + t * ld + j, ld) - kv)
    for t in range(whole, m):
        for j in range(p):
            a[j * stride + t] = <double> x[t * ld + j] - k[j]


cdef void _columns_f(
    const floating* x,
    Py_ssize_t ld,
    const size_t* apart,
    Py_ssize_t i,
    Py_ssize_t p,
    Py_ssize_t m,
    Py_ssize_t stride,
    const double* k,
    double* a,                  # OUT
    Py_ssize_t asked,
) noexcept nogil:
    """Columns of X - k, column by column: m rows from row i on, columns as for `_column_at`.

    The lines of the first `asked` columns of the next panel are asked for.
    """
    cdef Py_ssize_t t, j, whole = m // LANES * LANES
    cdef const floating* column
    cdef vec kv
    for j in range(p):
        column = _column_at(x, ld, apart, j) + i
        if j < asked:
            for t from 0 <= t < stride by LINE // <Py_ssize_t> sizeof(floating):
                vec_prefetch(column + stride + t)
        kv = vec_set(k[j])
        for t from 0 <= t < whole by LANES:
            vec_store(a + j * stride + t, vec_load(column + t) - kv)
        for t in range(whole, m):
            a[j * stride + t] = <double> column[t] - k[j]


cdef inline void _column_of_y(strided y, Py_ssize_t j, Py_ssize_t m, double k, double* column) noexcept nogil:
    """Y_j - k, m rows from the first of y on, and the lines of as many more are asked for; weights likewise."""
    cdef Py_ssize_t t, whole = 0
    cdef const double* dense = <const double*> (y.at + j * y.column)
    if y.row == sizeof(double):
        whole = m // LANES * LANES
        for t from 0 <= t < m by LINE // <Py_ssize_t> sizeof(double):
            vec_prefetch(dense + m + t)
        for t from 0 <= t < whole by LANES:
            vec_store(column + t, vec_load_f64(dense + t) - vec_set(k))
    for t in range(whole, m):
        column[t] = _number(y, t, j) - k


cdef inline void _clear_row(Py_ssize_t columns, Py_ssize_t stride, double* row) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(columns):
        row[j * stride] = 0.0


cdef double _sum_weights(
    Py_ssize_t m,
    Py_ssize_t whole,
    Py_ssize_t columns,
    Py_ssize_t stride,
    double* w,                  # IN: m weights, OUT: 0 beyond them up to `whole`
    double* b,                  # IN, OUT
) noexcept nogil:
    """Sum of the weights, NaN where one is negative: the caller looks for the row at fault.

    A row of weight 0 is cleared in the panel, whatever it holds.
    """
    cdef Py_ssize_t t
    cdef vec s = vec_zero()
    cdef bint negative = False
    for t in range(m, whole):
        w[t] = 0.0
    if not vec_positive(w, whole):
        for t in range(m):
            negative |= w[t] < 0.0
            if w[t] == 0.0:
                _clear_row(columns, stride, b + t)
    for t from 0 <= t < whole by LANES:
        s += vec_load_f64(w + t)
    return NAN if negative else vec_sum(s)
