# A = R'R of many columns, and what R is good for, without the threads of a BLAS: those spin for a tenth of a second
# after each call and take a processor from the next pass.  LAPACK factors the diagonal blocks of 64 rows, which it does
# on the calling thread; here is what lies between them.
#
# R is the upper triangle of rows of `ld` numbers, whole groups of vectors; what is below the diagonal is never read.

cdef enum:
    BLOCK = 64                  # rows of a diagonal block
    SIDE = 4                    # vectors of columns that are solved for at once: chains that do not wait for each other


factor_constants = {"BLOCK": BLOCK, "COLUMNS": SIDE * LANES, "GROUPS": TILE_VECS}


def factor_width(Py_ssize_t p):
    """Numbers in a row of a triangle of p columns."""
    return (p + SIDE * LANES - 1) // (SIDE * LANES) * SIDE * LANES


def factor_work_size(Py_ssize_t width):
    """Length of the workspace of `factor_rows` and `factor_trailing`."""
    cdef Py_ssize_t rows = BLOCK * (BLOCK + SIDE * LANES)
    return max(rows, 2 * width // LANES * (BLOCK * LANES + PAD) + LINE)


def factor_rows(double[:, ::1] A, Py_ssize_t first, double[::1] work):
    """The rows of R beside a diagonal block: R_kj = R_kk^-T A_kj, in place, for 64 rows from `first` on."""
    cdef Py_ssize_t ld = A.shape[1], i, k, c
    cdef double* L = &work[0]                   # R_kk', whose rows are read
    cdef double* v = L + BLOCK * BLOCK
    cdef double* at
    cdef vec s0, s1, s2, s3, f
    with nogil:
        for i in range(BLOCK):
            for k in range(i + 1):
                L[i * BLOCK + k] = A[first + k, first + i]
        for c from first + BLOCK <= c < ld by SIDE * LANES:
            for i in range(BLOCK):
                at = &A[first + i, c]
                s0, s1 = vec_load_f64(at), vec_load_f64(at + LANES)
                s2, s3 = vec_load_f64(at + 2 * LANES), vec_load_f64(at + 3 * LANES)
                for k in range(i):
                    f = vec_set(L[i * BLOCK + k])
                    s0 -= f * vec_load_f64(v + k * SIDE * LANES)
                    s1 -= f * vec_load_f64(v + (k * SIDE + 1) * LANES)
                    s2 -= f * vec_load_f64(v + (k * SIDE + 2) * LANES)
                    s3 -= f * vec_load_f64(v + (k * SIDE + 3) * LANES)
                f = vec_set(L[i * BLOCK + i])
                s0, s1, s2, s3 = s0 / f, s1 / f, s2 / f, s3 / f
                for k in range(2):
                    vec_store(at, s0)
                    vec_store(at + LANES, s1)
                    vec_store(at + 2 * LANES, s2)
                    vec_store(at + 3 * LANES, s3)
                    at = v + i * SIDE * LANES


def factor_trailing(double[:, ::1] A, Py_ssize_t first, Py_ssize_t lo, Py_ssize_t hi, double[::1] work):
    """What is left of A beside 64 rows from `first` on: A_ij -= R_ki' R_kj, row groups lo to hi behind them.

    lo is a multiple of TILE_VECS, and hi too unless it is the last: tiles on the diagonal take two groups at a time.
    """
    cdef Py_ssize_t ld = A.shape[1], stride = BLOCK * LANES + PAD, groups = (ld - first - BLOCK) // LANES, t, q
    cdef double* b = <double*> ((<Py_ssize_t> &work[0] + LINE - 1) // LINE * LINE)
    cdef double* a = b + (groups - lo) * stride
    cdef const double* row
    cdef vec v
    cdef lines_ahead ahead
    with nogil:
        ahead.at, ahead.step, ahead.tile, ahead.tiles = <const char*> b, 0, 0, 0
        ahead.columns = NULL
        ahead.following = NULL
        for t in range(BLOCK):
            row = &A[first + t, first + BLOCK]
            for q in range(lo, groups):
                v = vec_load_f64(row + q * LANES)
                vec_store(b + (q - lo) * stride + t * LANES, v)
                if q < hi:
                    vec_store(a + (q - lo) * stride + t * LANES, vec_zero() - v)
        q = first + BLOCK + lo * LANES
        _wide_products(a, b, stride, BLOCK, (hi - lo) * LANES, groups - lo, ld, &A[q, q], &ahead)


def factor_solve(const double[:, ::1] R, Py_ssize_t p, double[:, ::1] B):
    """B = (R'R)^-1 B in place, a right side in each row, of R.shape[1] numbers that are 0 from p on."""
    cdef Py_ssize_t ld = R.shape[1], t, i
    cdef double* b
    with nogil:
        for t in range(B.shape[0]):
            b = &B[t, 0]
            for i in range(p):
                b[i] /= R[i, i]
                _axpy(i + 1, p, -b[i], &R[i, 0], b)
            for i in range(p - 1, -1, -1):
                b[i] = (b[i] - _dot(i + 1, ld, &R[i, 0], b)) / R[i, i]


def factor_inverse(
    const double[:, ::1] R,
    const double[::1] m,
    Py_ssize_t lo,
    Py_ssize_t hi,
    double[::1] work,
    double[::1] out,            # IN, OUT
):
    """Sums over columns lo to hi of X = R^-1: out_j += sum_c x_jc^2, and the last of out += sum_c (m'X)_c^2.

    lo is a multiple of SIDE * LANES, and hi too unless it is p; work is as long as p rows of so many numbers.
    """
    cdef Py_ssize_t p = m.shape[0], width = SIDE * LANES, c, i, k, last
    cdef double* x = &work[0]                   # rows of X, `width` numbers of each
    cdef const double* row
    cdef double* at
    cdef vec s0, s1, s2, s3, f, sum0, sum1, sum2, sum3
    with nogil:
        for c from lo <= c < hi by width:
            last = min(c + width, p)
            sum0 = sum1 = sum2 = sum3 = vec_zero()
            for i in range(last - 1, -1, -1):
                row = &R[i, 0]
                s0 = s1 = s2 = s3 = vec_zero()
                for k in range(i + 1, last):
                    f = vec_set(row[k])
                    at = x + k * width
                    s0 -= f * vec_load_f64(at)
                    s1 -= f * vec_load_f64(at + LANES)
                    s2 -= f * vec_load_f64(at + 2 * LANES)
                    s3 -= f * vec_load_f64(at + 3 * LANES)
                at = x + i * width
                vec_store(at, s0)
                vec_store(at + LANES, s1)
                vec_store(at + 2 * LANES, s2)
                vec_store(at + 3 * LANES, s3)
                if i >= c:
                    at[i - c] += 1.0
                f = vec_set(row[i])
                s0, s1 = vec_load_f64(at) / f, vec_load_f64(at + LANES) / f
                s2, s3 = vec_load_f64(at + 2 * LANES) / f, vec_load_f64(at + 3 * LANES) / f
                vec_store(at, s0)
                vec_store(at + LANES, s1)
                vec_store(at + 2 * LANES, s2)
                vec_store(at + 3 * LANES, s3)
                out[i] += vec_sum(s0 * s0 + s1 * s1 + (s2 * s2 + s3 * s3))
                f = vec_set(m[i])
                sum0, sum1, sum2, sum3 = sum0 + f * s0, sum1 + f * s1, sum2 + f * s2, sum3 + f * s3
            out[p] += vec_sum(sum0 * sum0 + sum1 * sum1 + (sum2 * sum2 + sum3 * sum3))


def factor_residual(const double[:, ::1] A, const double[:, ::1] B, const double[:, ::1] C):
    """The largest |A b - c| of a symmetric A, over rows b of B and c of C; NaN where one is."""
    cdef Py_ssize_t p = A.shape[0], i, j, t
    cdef double most = 0.0, sum
    cdef vec s
    with nogil:
        for i in range(p):
            for t in range(B.shape[0]):
                s = vec_zero()
                j = 0
                while j + LANES <= p:
                    s += vec_load_f64(&A[i, j]) * vec_load_f64(&B[t, j])
                    j += LANES
                sum = vec_sum(s) - C[t, i]
                for j in range(j, p):
                    sum += A[i, j] * B[t, j]
                sum = fabs(sum)
                most = most if sum <= most or most != most else sum
    return most
