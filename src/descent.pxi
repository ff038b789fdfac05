# The gradient-descent inner loop on the moments: P x P numbers a step, whatever the number of rows.
#
#     J(z) = 1/2 z'Az - c'z + J0          g(z) = Az - c
#     z := z - rate g                      textbook
#     z := z + m (z - z_last) - rate g(z + m (z - z_last)),  m = (t - 1) / (t + 2)       Nesterov
#
# With the intercept among the unknowns the columns behind A are shifted, z = [b, b0 + k b - ky], and the
# iteration still is the one on the raw columns and intercept: the raw gradient is [g_b + k g_0, g_0], and
# z_0 follows b and b0.  So no digit is lost to raw cross products.  g is affine, hence the gradient at
# the look-ahead point needs no second product: g(z + m d) = g + m (g - g_last).

cdef enum:
    DESCENT_RUNNING = 0
    DESCENT_CONVERGED = 1
    DESCENT_DIVERGED = 2
    GROWING_STEPS = 3           # rising costs in a row that prove a textbook step too long


def descent(
    const double[:, ::1] A,
    const double[::1] c,
    double J0,
    const double[::1] shift,
    double rate,
    bint nesterov,
    double tol,
    Py_ssize_t first,
    Py_ssize_t last,
    double[:, ::1] state,       # IN, OUT
    double[::1] history,        # OUT
):
    """Steps first to last of gradient descent; returns (status, number of steps taken so far).

    A, c, J0    the quadratic, P x P, P and a number
    shift       [k, ky], of length P, where the last unknown is an intercept; else of length 0
    tol         stop when the largest component of the gradient is at most this; < 0: never
    state       6 rows of P: unknowns b (and b0), z, g, the last step of b (and b0), last g, raw gradient
    history     history[t] = J before step t; one longer than the last step
    status      0 all steps taken, 1 converged, 2 the cost grew threefold, three times in a row, or is not finite
    """
    cdef Py_ssize_t n = c.shape[0], t = first, i, j, whole = n // LANES * LANES
    cdef bint intercept = shift.shape[0] > 0
    cdef int status = DESCENT_RUNNING
    cdef Py_ssize_t growing = 0
    cdef double cost, largest, momentum, step, s
    cdef double noise = 1e-12 * fabs(J0)    # rounding of J, which is a difference from J0
    cdef const double* a
    cdef double* b = &state[0, 0]
    cdef double* z = &state[1, 0]
    cdef double* g = &state[2, 0]
    cdef double* d = &state[3, 0]
    cdef double* g_last = &state[4, 0]
    cdef double* raw = &state[5, 0]
    cdef vec v
    with nogil:
        for t in range(first, last + 1):
            for i in range(n):
                a = &A[i, 0]
                v = vec_zero()
                s = 0.0
                for j from 0 <= j < whole by LANES:
                    v += vec_load_f64(a + j) * vec_load_f64(z + j)
                for j in range(whole, n):
                    s += a[j] * z[j]
                g[i] = (vec_sum(v) + s) - c[i]
            cost = 0.0
            for i in range(n):
                cost += z[i] * (g[i] - c[i])
                raw[i] = g[i]
            cost = J0 + 0.5 * cost
            history[t] = cost
            largest = 0.0
            for i in range(n):
                if intercept and i < n - 1:
                    raw[i] += shift[i] * g[n - 1]
                largest = max(largest, fabs(raw[i]))
            if not isfinite(cost) or not isfinite(largest) or cost > 3.0 * history[0] + noise:
                status = DESCENT_DIVERGED
                break
            if largest <= tol:
                status = DESCENT_CONVERGED
                break
            growing = 0
            while growing < min(t, GROWING_STEPS) and history[t - growing] > history[t - growing - 1] + noise:
                growing += 1
            if growing == GROWING_STEPS and not nesterov:
                status = DESCENT_DIVERGED
                break
            if t == last:
                break
            momentum = (t - 1.0) / (t + 2.0) if nesterov and t > 1 else 0.0
            for i in range(n):
                step = momentum * d[i] - rate * (raw[i] + momentum * (raw[i] - g_last[i]))
                b[i] += step
                d[i] = step
                g_last[i] = raw[i]
                z[i] = b[i]
            if intercept:
                for i in range(n - 1):
                    z[n - 1] += shift[i] * b[i]
                z[n - 1] -= shift[n - 1]
    return status, t
