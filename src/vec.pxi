# The vector type of this level, its width, load, store, sum of lanes: src/vec.h told to Cython.
# `vec` is declared as a double: Cython then passes its arithmetic through untouched.  A scalar may
# not be assigned to a vec in C, so zero and constants come from vec_zero and vec_set.
from cython cimport floating

cdef extern from "vec.h" nogil:
    ctypedef double vec
    const int LANES
    vec vec_zero()
    vec vec_set(double s)
    vec vec_load_f64(const double* p)
    vec vec_load_f32(const float* p)
    void vec_store(double* p, vec v)
    vec vec_gather_f64(const double* p, Py_ssize_t step)
    vec vec_gather_f32(const float* p, Py_ssize_t step)
    vec vec_collect_f64(const size_t* columns, Py_ssize_t t)
    vec vec_collect_f32(const size_t* columns, Py_ssize_t t)
    const int VEC_MASKED
    vec vec_first_f64(const double* p, Py_ssize_t n)
    vec vec_first_f32(const float* p, Py_ssize_t n)
    void vec_store_first(double* p, vec v, Py_ssize_t n)
    double vec_sum(vec v)
    void vec_sum_four(
        vec s0, vec s1, vec s2, vec s3, double t0, double t1, double t2, double t3, double* out
    )
    const int VEC_TURNED
    vec vec_turn_shift(const double* k)
    void vec_turn_f64(const double* x, Py_ssize_t ld, vec k, double* out, Py_ssize_t stride)
    void vec_turn_f32(const float* x, Py_ssize_t ld, vec k, double* out, Py_ssize_t stride)
    const int VEC_PAIR
    vec vec_pair_shift(const double* k)
    void vec_turn_pair_f64(const double* x, Py_ssize_t ld, vec k, double* out, Py_ssize_t stride)
    void vec_turn_pair_f32(const float* x, Py_ssize_t ld, vec k, double* out, Py_ssize_t stride)
    bint vec_positive(const double* v, Py_ssize_t n)
    vec vec_product(vec a, vec b)
    vec vec_product_error(vec a, vec b, vec p)
    void vec_prefetch(const void* p)
    void vec_prefetch_l2(const void* p)


cdef inline vec vec_load(const floating* p) noexcept nogil:
    """LANES numbers from memory, float32 widened in registers."""
    if floating is float:
        return vec_load_f32(p)
    else:
        return vec_load_f64(p)


cdef inline vec vec_first(const floating* p, Py_ssize_t n) noexcept nogil:
    """The first n < LANES of a vector, 0 beyond them; only where VEC_MASKED."""
    if floating is float:
        return vec_first_f32(p, n)
    else:
        return vec_first_f64(p, n)


cdef inline vec vec_gather(const floating* p, Py_ssize_t step) noexcept nogil:
    """LANES numbers `step` apart, float32 widened in registers."""
    if floating is float:
        return vec_gather_f32(p, step)
    else:
        return vec_gather_f64(p, step)


cdef inline void vec_turn(
    const floating* x, Py_ssize_t ld, vec k, double* out, Py_ssize_t stride
) noexcept nogil:
    """out[j * stride + i] = x[i * ld + j] - k[j]: LANES rows of VEC_TURNED columns, k by `vec_turn_shift`."""
    if floating is float:
        vec_turn_f32(x, ld, k, out, stride)
    else:
        vec_turn_f64(x, ld, k, out, stride)


cdef inline void vec_turn_pair(
    const floating* x, Py_ssize_t ld, vec k, double* out, Py_ssize_t stride
) noexcept nogil:
    """The same of VEC_PAIR columns, which is 0 where there is no such turn; k by `vec_pair_shift`."""
    if floating is float:
        vec_turn_pair_f32(x, ld, k, out, stride)
    else:
        vec_turn_pair_f64(x, ld, k, out, stride)
