# Arithmetic on pairs, double-double.
#
# A double-double is an unevaluated sum hi + lo of two float64, about 106 bits: TwoSum (Knuth), TwoProd by
# FMA or Dekker's split, sums in the manner of Dot2 (Ogita, Rump and Oishi 2005).


cdef struct dd:
    vec hi
    vec lo


cdef inline void _add(dd* s, vec hi, vec lo) noexcept nogil:
    """s += hi + lo, lo being small beside hi; the errors of s.hi gather in s.lo."""
    cdef vec t = s.hi + hi
    cdef vec z = t - s.hi
    s.lo = s.lo + (((s.hi - (t - z)) + (hi - z)) + lo)
    s.hi = t


cdef inline void _add_product(dd* s, vec a, vec hi, vec lo) noexcept nogil:
    """s += a (hi + lo)."""
    cdef vec p = vec_product(a, hi)
    _add(s, p, vec_product_error(a, hi, p) + a * lo)


cdef inline dd _difference(vec a, vec b) noexcept nogil:
    """a - b, exactly."""
    cdef dd s
    cdef vec z
    s.hi = a - b
    z = s.hi - a
    s.lo = (a - (s.hi - z)) - (b + z)
    return s


cdef inline void _add_pair_product(dd* s, dd a, vec hi, vec lo) noexcept nogil:
    """s += a (hi + lo)."""
    cdef vec p = vec_product(a.hi, hi)
    _add(s, p, vec_product_error(a.hi, hi, p) + (a.hi * lo + a.lo * hi))


cdef inline dd _load_dd(const double* lanes) noexcept nogil:
    cdef dd s
    s.hi = vec_load_f64(lanes)
    s.lo = vec_load_f64(lanes + LANES)
    return s


cdef inline void _join_lanes(double* pair, const double* lanes) noexcept nogil:
    """pair += the lanes of a dd stored as LANES high parts and LANES low parts, in double-double."""
    cdef Py_ssize_t i
    cdef double t, z
    for i in range(2 * LANES):
        t = pair[0] + lanes[i]
        z = t - pair[0]
        pair[1] += (pair[0] - (t - z)) + (lanes[i] - z)
        pair[0] = t
    t = pair[0] + pair[1]
    pair[1] = pair[1] - (t - pair[0])
    pair[0] = t


cdef inline void _store_dd(double* lanes, dd s) noexcept nogil:
    vec_store(lanes, s.hi)
    vec_store(lanes + LANES, s.lo)
