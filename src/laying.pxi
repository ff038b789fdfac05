# How windows lie in the rows, and where the fits of windows go.


def put_fits(
    const Py_ssize_t[::1] places,
    const double[:, ::1] coef,
    const double[:, ::1] numbers,
    const double[:, ::1] spread,
    double[:, ::1] to_coef,     # OUT
    double[::1] intercept,      # OUT
    double[::1] rss,            # OUT, or None, and the next one
    double[::1] tss,
    double[::1] digits,         # OUT
    double[:, ::1] to_spread,   # OUT, or None
    long long[::1] rank,        # OUT
):
    """Fits, as `window_fits` leaves them, to the rows `places` of results: each row once, for all of them."""
    cdef Py_ssize_t p = coef.shape[1], i, j, r
    with nogil:
        for i in range(places.shape[0]):
            r = places[i]
            for j in range(p):
                to_coef[r, j] = coef[i, j]
            intercept[r] = numbers[i, 0]
            digits[r] = numbers[i, 3]
            rank[r] = <long long> numbers[i, 4]
            if rss is not None:
                rss[r] = numbers[i, 1]
                tss[r] = numbers[i, 2]
            if to_spread is not None:
                for j in range(p + 1):
                    to_spread[r, j] = spread[i, j]


cdef inline Py_ssize_t _group_of(const Py_ssize_t[::1] bounds, Py_ssize_t at) noexcept nogil:
    """The group that a position is in."""
    cdef Py_ssize_t group = 0, top = bounds.shape[0] - 1, middle
    while top - group > 1:
        middle = (group + top) // 2
        if bounds[middle] <= at:
            group = middle
        else:
            top = middle
    return group


def windows_by_rows(
    const Py_ssize_t[::1] bounds,
    Py_ssize_t length,
    Py_ssize_t lo,
    Py_ssize_t hi,
    Py_ssize_t[:, ::1] out,     # OUT
):
    """Windows of up to `length` rows that end with each row lo to hi: start, stop and anchor, as in `window_sums`.

    The anchors are every length-th row of a group, of which each window of that length holds one.

    bounds      where groups begin, and the end of the last one
    """
    cdef Py_ssize_t i, group, first, anchor
    if hi <= lo:
        return
    with nogil:
        group = _group_of(bounds, lo)
        first = bounds[group]
        anchor = lo - (lo - first) % length
        for i in range(lo, hi):
            if i == bounds[group + 1]:
                group += 1
                first = anchor = i
            elif i - anchor == length:
                anchor = i
            out[0, i - lo], out[1, i - lo], out[2, i - lo] = max(first, i + 1 - length), i + 1, anchor


ctypedef fused instant:
    long long
    double


cdef inline double _cell(instant t, instant length) noexcept nogil:
    """The number of the stretch of time, of that length, that t lies in."""
    cdef long long cell
    if instant is double:
        return floor(t / length)
    else:
        cell = t // length
        return <double> (cell - (cell * length > t))


cdef inline double _cell_before(instant t, instant length) noexcept nogil:
    """The number of the last stretch that starts before t."""
    cdef double cell = _cell(t, length)
    if instant is double:
        return ceil(t / length) - 1.0
    else:
        return cell - (t % length == 0)


def windows_by_time(
    const instant[::1] times,
    const Py_ssize_t[::1] bounds,
    instant length,
    bint with_left,
    bint with_right,
    Py_ssize_t lo,
    Py_ssize_t hi,
    Py_ssize_t[:, ::1] out,     # OUT
):
    """Windows back in time from each row lo to hi: start, stop and anchor, as in `window_sums`.

    times       of the rows in their order, ascending within each group
    bounds      where groups begin, and the end of the last one
    with_left   whether a row `length` back is in the window
    with_right  whether the row itself is; otherwise those before its time
    """
    cdef Py_ssize_t i, group, first, start = 0, stop = 0, anchor = 0
    cdef instant t
    cdef double cell
    with nogil:
        group = _group_of(bounds, lo)
        for i in range(lo, hi):
            t = times[i]
            if i == bounds[group + 1]:
                group += 1
                start = stop = anchor = i
            first = bounds[group]
            if i == lo:
                start = i
                while start > first and (
                    t - times[start - 1] < length or (with_left and t - times[start - 1] == length)
                ):
                    start -= 1
                stop = anchor = start
            while t - times[start] > length or (not with_left and t - times[start] == length):
                start += 1
            if with_right:
                stop = i + 1
                cell = _cell(t, length)
            else:
                while stop < i and times[stop] < t:
                    stop += 1
                cell = _cell_before(t, length)
            anchor = max(anchor, start)
            while anchor < stop and _cell(times[anchor], length) < cell:
                anchor += 1
            out[0, i - lo], out[1, i - lo], out[2, i - lo] = min(start, stop), stop, min(anchor, stop)
