# Cross products of many small groups of rows, wherever the rows of a group lie: gathered into cache, then summed up
# as any others.

cdef enum:
    ROWS_AHEAD = 24             # whose lines are asked for: some 100 ns of gathering


def counted_order(
    const long long[::1] keys,
    long long least,
    Py_ssize_t[::1] after,      # IN, OUT: where rows of the key least + i begin in `order`; after them, where they end
    Py_ssize_t[::1] order,      # OUT
):
    """The rows in the order of their keys, those of one key in the order they have."""
    cdef Py_ssize_t i, j, n = keys.shape[0]
    with nogil:
        for i in range(n):
            j = <Py_ssize_t> (keys[i] - least)
            order[after[j]] = i
            after[j] += 1


def groups_work_size(Py_ssize_t p, Py_ssize_t n_targets, Py_ssize_t most):
    """Length of the float64 workspace of `moments_of_groups`, of groups of up to `most` rows."""
    work, out = moments_sizes(p, n_targets, most)
    return max(work, (p + 2) * (p + 1 + n_targets)) + out + most * (p + n_targets + 1)


cdef void _gather(
    const floating* x,
    Py_ssize_t row,
    Py_ssize_t column,
    Py_ssize_t p,
    strided y,
    Py_ssize_t n_targets,
    strided w,
    const Py_ssize_t* order,
    Py_ssize_t count,
    Py_ssize_t left,            # rows in the order after those
    floating* to_x,             # OUT: rows of p
    double* to_y,               # OUT: rows of n_targets
    double* to_w,               # OUT
) noexcept nogil:
    cdef Py_ssize_t i, j, soon
    cdef const floating* r
    for i in range(count):
        if i + ROWS_AHEAD < count + left:
            soon = order[i + ROWS_AHEAD]
            vec_prefetch(y.at + soon * y.row)
            r = x + soon * row
            if column == 1:
                for j from 0 <= j < p by LINE // <Py_ssize_t> sizeof(floating):
                    vec_prefetch(r + j)
                vec_prefetch(r + p - 1)
            else:
                for j in range(p):
                    vec_prefetch(r + j * column)
        r = x + order[i] * row
        for j in range(p):
            to_x[i * p + j] = r[j * column]
        for j in range(n_targets):
            to_y[i * n_targets + j] = _number(y, order[i], j)
        if w.at != NULL:
            to_w[i] = _number(w, order[i], 0)


cdef bint _sound(const double* M, Py_ssize_t p, Py_ssize_t m) noexcept nogil:
    """Whether sums, as pairs, are finite, in range and about a shift near enough: `Moments.update` takes those once."""
    cdef Py_ssize_t i
    cdef double s, square, N = M[2 * (p * m + p)], all = 0.0
    if not N > 0.0:
        return False
    for i in range(m * m):
        all += 0.0 * M[2 * i]   # NaN if any is not finite
    if all != 0.0:
        return False
    for i in range(m):
        if i == p:
            continue
        square, s = M[2 * (i * m + i)], M[2 * (p * m + i)]
        if not (square >= LEAST_SQUARE and square <= MOST_SQUARE):
            return False
        if not s * (s / N) <= SHIFT_LIMIT * (square - s * (s / N)):
            return False
    return True


def moments_of_groups(
    const floating[:, :] X,
    const double[:, :] Y,
    const double[:] w,
    const Py_ssize_t[::1] order,
    const Py_ssize_t[::1] bounds,
    Py_ssize_t lo,
    Py_ssize_t hi,
    Py_ssize_t most,
    const double[::1] shift,
    double[::1] work,
    double[:, :, :, ::1] M,     # OUT
    double[:, ::1] noise,       # OUT
    Py_ssize_t[::1] n_rows,     # OUT
):
    """Cross products of [X - k, 1, Y - ky] of the groups lo to hi, as pairs, and the errors of their squares.

    The rows of group g are order[bounds[g]] to order[bounds[g + 1] - 1].  n_rows is how many of them there are of
    non-zero weight, or -1 where the group has to be taken by itself: one of more than `most` rows, or without a row,
    or whose sums are out of range or too far from the shift.
    """
    cdef Py_ssize_t p = X.shape[1], n_targets = Y.shape[1], m = p + 1 + n_targets
    cdef Py_ssize_t size = _moments_size(p, n_targets), g, i, j, count
    cdef const floating* x = &X[0, 0] if X.shape[0] and p else NULL
    cdef Py_ssize_t row = X.strides[0] // <Py_ssize_t> sizeof(floating)
    cdef Py_ssize_t column = X.strides[1] // <Py_ssize_t> sizeof(floating)
    cdef strided y = _strided_of_targets(Y), v = _strided_of_column(w), to_y, to_w
    cdef double* out = &work[0]
    cdef double* at_y = out + size
    cdef double* at_w = at_y + most * n_targets
    cdef floating* at_x = <floating*> (at_w + most)
    cdef double* rest = at_w + most + most * p
    cdef double* pairs
    to_y.at, to_y.row, to_y.column = <const char*> at_y, n_targets * sizeof(double), sizeof(double)
    to_w.at, to_w.row, to_w.column = NULL, sizeof(double), 0
    if v.at != NULL:
        to_w.at = <const char*> at_w
    with nogil:
        for g in range(lo, hi):
            count = bounds[g + 1] - bounds[g]
            n_rows[g] = -1
            if count > most or count <= 0:
                continue
            _gather(
                x, row, column, p, y, n_targets, v, &order[bounds[g]], count, order.shape[0] - bounds[g + 1],
                at_x, at_y, at_w
            )
            for i in range(size):
                out[i] = 0.0
            _moments(at_x, p, NULL, True, p, to_y, n_targets, to_w, 0, count, &shift[0], rest, out)
            _unpack_moments(out, p, n_targets, rest)
            pairs = &M[g, 0, 0, 0]
            for i in range(2 * m * m):
                pairs[i] = 0.0
            for i in range(p + 1):
                for j in range(i, m):
                    pairs[2 * (i * m + j)] = pairs[2 * (j * m + i)] = rest[i * m + j]
            for j in range(n_targets):
                i = p + 1 + j
                pairs[2 * (i * m + i)] = rest[(p + 1) * m + i]
            for i in range(m):
                noise[g, i] = EPS * pairs[2 * (i * m + i)]
            if v.at == NULL:
                noise[g, p] = 0.0   # counts are exact
            if not _sound(pairs, p, m):
                continue
            n_rows[g] = count
            if v.at != NULL:
                for i in range(count):
                    n_rows[g] -= at_w[i] == 0.0
