/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The vector type of this level and the few things that Cython cannot say about it.
 *
 * A GCC/Clang vector type with element alignment (so that any double* may be read through it) and
 * may_alias.  Its width follows the flags of the level: a type wider than the registers is lowered
 * badly.  Without vector extensions `vec` is a plain double and the same text is the scalar fallback.
 * LINREG_FAST_LANES may be defined to force a width: 1 tests the fallback, 8 the v4 text on any machine.
 */
#ifndef LINREG_FAST_VEC_H
#define LINREG_FAST_VEC_H

#include <stddef.h>

#ifndef LINREG_FAST_LANES
#if !defined(__GNUC__)
#define LINREG_FAST_LANES 1
#elif defined(__AVX512F__)
#define LINREG_FAST_LANES 8
#elif defined(__AVX__)
#define LINREG_FAST_LANES 4
#else
#define LINREG_FAST_LANES 2
#endif
#endif

enum { LANES = LINREG_FAST_LANES };

#if defined(__GNUC__)
#define VEC_INLINE static inline __attribute__((always_inline, unused))
#define vec_prefetch(p) __builtin_prefetch((const void *)(p), 0, 3)
#define vec_prefetch_l2(p) __builtin_prefetch((const void *)(p), 0, 2)
#else
#define VEC_INLINE static inline
#define vec_prefetch(p) ((void)(p))
#define vec_prefetch_l2(p) ((void)(p))
#endif

/* Loops of constant length over vectors are unrolled before GCC looks for registers: arrays of vectors
 * otherwise stay on the stack. */
#if defined(__clang__)
#define VEC_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define VEC_UNROLL _Pragma("GCC unroll 16")
#else
#define VEC_UNROLL
#endif

#if defined(__AVX__) && LINREG_FAST_LANES > 1
#include <immintrin.h>
#endif

#if LINREG_FAST_LANES > 1
typedef double vec __attribute__((vector_size(8 * LINREG_FAST_LANES), aligned(8), may_alias));
typedef float vec_f32 __attribute__((vector_size(4 * LINREG_FAST_LANES), aligned(4), may_alias));

VEC_INLINE vec vec_zero(void) { return (vec){0.0}; }
VEC_INLINE vec vec_set(double s) { return vec_zero() + s; }
VEC_INLINE vec vec_load_f64(const double *p) { return *(const vec *)p; }
/* GCC up to 13 makes a conversion to a vector of four or eight of two, and an insertion. */
VEC_INLINE vec vec_widen(vec_f32 v)
{
#if LINREG_FAST_LANES == 8 && defined(__AVX512F__)
    return (vec)_mm512_cvtps_pd((__m256)v);
#elif LINREG_FAST_LANES == 4 && defined(__AVX__)
    return (vec)_mm256_cvtps_pd((__m128)v);
#else
    return __builtin_convertvector(v, vec);
#endif
}
VEC_INLINE vec vec_load_f32(const float *p) { return vec_widen(*(const vec_f32 *)p); }
VEC_INLINE void vec_store(double *p, vec v) { *(vec *)p = v; }
VEC_INLINE double vec_lane(vec v, int i) { return v[i]; }
VEC_INLINE vec vec_gather_f64(const double *p, ptrdiff_t step)
{
    vec v;
    for (int i = 0; i < LANES; i++)
        v[i] = p[i * step];
    return v;
}
VEC_INLINE vec vec_gather_f32(const float *p, ptrdiff_t step)
{
    vec_f32 v;
    for (int i = 0; i < LANES; i++)
        v[i] = p[i * step];
    return vec_widen(v);
}
VEC_INLINE vec vec_collect_f64(const size_t *columns, ptrdiff_t t)
{
    vec v;
    for (int i = 0; i < LANES; i++)
        v[i] = ((const double *)columns[i])[t];
    return v;
}
VEC_INLINE vec vec_collect_f32(const size_t *columns, ptrdiff_t t)
{
    vec v;
    for (int i = 0; i < LANES; i++)
        v[i] = ((const float *)columns[i])[t];
    return v;
}
#else
typedef double vec;

VEC_INLINE vec vec_zero(void) { return 0.0; }
VEC_INLINE vec vec_set(double s) { return s; }
VEC_INLINE vec vec_load_f64(const double *p) { return *p; }
VEC_INLINE vec vec_load_f32(const float *p) { return (double)*p; }
VEC_INLINE void vec_store(double *p, vec v) { *p = v; }
VEC_INLINE double vec_lane(vec v, int i) { (void)i; return v; }
VEC_INLINE vec vec_gather_f64(const double *p, ptrdiff_t step) { (void)step; return *p; }
VEC_INLINE vec vec_gather_f32(const float *p, ptrdiff_t step) { (void)step; return (double)*p; }
VEC_INLINE vec vec_collect_f64(const size_t *columns, ptrdiff_t t) { return ((const double *)*columns)[t]; }
VEC_INLINE vec vec_collect_f32(const size_t *columns, ptrdiff_t t) { return (double)((const float *)*columns)[t]; }
#endif

/* The first n < LANES of a vector, 0 beyond them, where the level has masks: VEC_MASKED. */
#if LINREG_FAST_LANES == 8 && defined(__AVX512VL__)
enum { VEC_MASKED = 1 };
VEC_INLINE vec vec_first_f64(const double *p, ptrdiff_t n)
{
    return (vec)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
}
VEC_INLINE vec vec_first_f32(const float *p, ptrdiff_t n)
{
    return (vec)_mm512_cvtps_pd(_mm256_maskz_loadu_ps((__mmask8)((1u << n) - 1), p));
}
VEC_INLINE void vec_store_first(double *p, vec v, ptrdiff_t n)
{
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
}
#else
enum { VEC_MASKED = 0 };
VEC_INLINE vec vec_first_f64(const double *p, ptrdiff_t n) { (void)p, (void)n; return vec_zero(); }
VEC_INLINE vec vec_first_f32(const float *p, ptrdiff_t n) { (void)p, (void)n; return vec_zero(); }
VEC_INLINE void vec_store_first(double *p, vec v, ptrdiff_t n) { (void)p, (void)v, (void)n; }
#endif

/* Lanes of a and b by number, those of b counting on from LANES. */
#if LINREG_FAST_LANES > 1
#if defined(__clang__) || __GNUC__ >= 12
#define VEC_PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef long long vec_index __attribute__((vector_size(8 * LINREG_FAST_LANES)));
#define VEC_PICK(a, b, ...) __builtin_shuffle(a, b, (vec_index){__VA_ARGS__})
#endif
#endif

/* The numbers at p in one half of a vector and those at q in the other: 4 each on v4, where a 512-bit load would cross
 * a cache line at almost every row, and where the half that comes from memory is no shuffle. */
#if LINREG_FAST_LANES == 8 && defined(__AVX512F__)
VEC_INLINE vec vec_halves_f64(const double *p, const double *q)
{
    return (vec)_mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_loadu_pd(p)), _mm256_loadu_pd(q), 1);
}
VEC_INLINE vec vec_halves_f32(const float *p, const float *q)
{
    return (vec)_mm512_cvtps_pd(_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(q), 1));
}
#elif LINREG_FAST_LANES == 4 && defined(__AVX__)
VEC_INLINE vec vec_halves_f64(const double *p, const double *q)
{
    return (vec)_mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p)), _mm_loadu_pd(q), 1);
}
VEC_INLINE vec vec_halves_f32(const float *p, const float *q)
{
    return (vec)_mm256_cvtps_pd(_mm_loadh_pi(_mm_loadl_pi(_mm_setzero_ps(), (const __m64 *)p), (const __m64 *)q));
}
#elif LINREG_FAST_LANES > 1
#define VEC_HALVES(TYPE, NAME)                                                                                \
    VEC_INLINE vec vec_halves_##NAME(const TYPE *p, const TYPE *q)                                            \
    {                                                                                                         \
        vec v;                                                                                                \
        for (int i = 0; i < LANES / 2; i++) {                                                                 \
            v[i] = (double)p[i];                                                                              \
            v[i + LANES / 2] = (double)q[i];                                                                  \
        }                                                                                                     \
        return v;                                                                                             \
    }
VEC_HALVES(double, f64)
VEC_HALVES(float, f32)
#endif

/* out[j * stride + i] = x[i * ld + j] - k[j]: LANES rows of VEC_TURNED columns, turned in registers; k as
 * `vec_turn_shift` has it.  On v4 four columns at a time: eight take no fewer instructions. */
#if LINREG_FAST_LANES == 8
enum { VEC_TURNED = 4 };
VEC_INLINE vec vec_turn_shift(const double *k) { return vec_halves_f64(k, k); }
#define VEC_TURN(TYPE, NAME)                                                                                  \
    VEC_INLINE void vec_turn_##NAME(const TYPE *x, ptrdiff_t ld, vec k, double *out, ptrdiff_t stride)        \
    {                                                                                                         \
        vec u[2][2];                                                                                          \
        VEC_UNROLL for (int i = 0; i < 2; i++) {                                                              \
            const TYPE *row = x + 4 * i * ld;                                                                 \
            vec even = vec_halves_##NAME(row, row + 2 * ld) - k;                                              \
            vec odd = vec_halves_##NAME(row + ld, row + 3 * ld) - k;                                          \
            u[0][i] = VEC_PICK(even, odd, 0, 8, 2, 10, 4, 12, 6, 14);                                         \
            u[1][i] = VEC_PICK(even, odd, 1, 9, 3, 11, 5, 13, 7, 15);                                         \
        }                                                                                                     \
        VEC_UNROLL for (int j = 0; j < 2; j++) {                                                              \
            vec_store(out + j * stride, VEC_PICK(u[j][0], u[j][1], 0, 1, 4, 5, 8, 9, 12, 13));                \
            vec_store(out + (j + 2) * stride, VEC_PICK(u[j][0], u[j][1], 2, 3, 6, 7, 10, 11, 14, 15));        \
        }                                                                                                     \
    }
#else
enum { VEC_TURNED = LANES };
VEC_INLINE vec vec_turn_shift(const double *k) { return vec_load_f64(k); }

/* Rows for columns: r[i][j] and r[j][i] change places, in log2(LANES) rounds. */
VEC_INLINE void vec_transpose(vec *r)
{
#if LINREG_FAST_LANES == 4
    vec u[4];
    VEC_UNROLL for (int i = 0; i < 4; i += 2) {
        u[i] = VEC_PICK(r[i], r[i + 1], 0, 4, 2, 6);
        u[i + 1] = VEC_PICK(r[i], r[i + 1], 1, 5, 3, 7);
    }
    VEC_UNROLL for (int i = 0; i < 2; i++) {
        r[i] = VEC_PICK(u[i], u[i + 2], 0, 1, 4, 5);
        r[i + 2] = VEC_PICK(u[i], u[i + 2], 2, 3, 6, 7);
    }
#elif LINREG_FAST_LANES == 2
    vec u = VEC_PICK(r[0], r[1], 0, 2);
    r[1] = VEC_PICK(r[0], r[1], 1, 3);
    r[0] = u;
#else
    (void)r;
#endif
}
#define VEC_TURN(TYPE, NAME)                                                                                  \
    VEC_INLINE void vec_turn_##NAME(const TYPE *x, ptrdiff_t ld, vec k, double *out, ptrdiff_t stride)        \
    {                                                                                                         \
        vec r[LANES];                                                                                         \
        VEC_UNROLL for (int i = 0; i < LANES; i++)                                                            \
            r[i] = vec_load_##NAME(x + i * ld) - k;                                                           \
        vec_transpose(r);                                                                                     \
        VEC_UNROLL for (int i = 0; i < LANES; i++)                                                            \
            vec_store(out + i * stride, r[i]);                                                                \
    }
#endif
VEC_TURN(double, f64)
VEC_TURN(float, f32)

/* The same of VEC_PAIR columns, where these are fewer: LANES / 2 rows of two numbers fill a vector.  0: none. */
#if LINREG_FAST_LANES == 4 && defined(__AVX__)
enum { VEC_PAIR = 2 };
VEC_INLINE vec vec_pair_shift(const double *k) { return vec_halves_f64(k, k); }
#define VEC_TURN_PAIR(TYPE, NAME)                                                                             \
    VEC_INLINE void vec_turn_pair_##NAME(const TYPE *x, ptrdiff_t ld, vec k, double *out, ptrdiff_t stride)   \
    {                                                                                                         \
        vec even = vec_halves_##NAME(x, x + 2 * ld) - k, odd = vec_halves_##NAME(x + ld, x + 3 * ld) - k;     \
        vec_store(out, VEC_PICK(even, odd, 0, 4, 2, 6));                                                      \
        vec_store(out + stride, VEC_PICK(even, odd, 1, 5, 3, 7));                                             \
    }
#elif LINREG_FAST_LANES == 8 && defined(__AVX512DQ__)
enum { VEC_PAIR = 2 };
VEC_INLINE vec vec_pair_shift(const double *k) { return (vec)_mm512_broadcast_f64x2(_mm_loadu_pd(k)); }
VEC_INLINE vec vec_pairs_f64(const double *x, ptrdiff_t ld)
{
    __m512d v = _mm512_castpd128_pd512(_mm_loadu_pd(x));
    v = _mm512_mask_broadcast_f64x2(v, 0x0c, _mm_loadu_pd(x + 2 * ld));
    v = _mm512_mask_broadcast_f64x2(v, 0x30, _mm_loadu_pd(x + 4 * ld));
    return (vec)_mm512_mask_broadcast_f64x2(v, 0xc0, _mm_loadu_pd(x + 6 * ld));
}
VEC_INLINE vec vec_pairs_f32(const float *x, ptrdiff_t ld)
{
    __m128 lo = _mm_loadl_pi(_mm_setzero_ps(), (const __m64 *)x);
    __m128 hi = _mm_loadl_pi(_mm_setzero_ps(), (const __m64 *)(x + 4 * ld));
    lo = _mm_loadh_pi(lo, (const __m64 *)(x + 2 * ld));
    hi = _mm_loadh_pi(hi, (const __m64 *)(x + 6 * ld));
    return (vec)_mm512_cvtps_pd(_mm256_insertf128_ps(_mm256_castps128_ps256(lo), hi, 1));
}
#define VEC_TURN_PAIR(TYPE, NAME)                                                                             \
    VEC_INLINE void vec_turn_pair_##NAME(const TYPE *x, ptrdiff_t ld, vec k, double *out, ptrdiff_t stride)   \
    {                                                                                                         \
        vec even = vec_pairs_##NAME(x, ld) - k, odd = vec_pairs_##NAME(x + ld, ld) - k;                       \
        vec_store(out, VEC_PICK(even, odd, 0, 8, 2, 10, 4, 12, 6, 14));                                       \
        vec_store(out + stride, VEC_PICK(even, odd, 1, 9, 3, 11, 5, 13, 7, 15));                              \
    }
#else
enum { VEC_PAIR = 0 };
VEC_INLINE vec vec_pair_shift(const double *k) { (void)k; return vec_zero(); }
#define VEC_TURN_PAIR(TYPE, NAME)                                                                             \
    VEC_INLINE void vec_turn_pair_##NAME(const TYPE *x, ptrdiff_t ld, vec k, double *out, ptrdiff_t stride)   \
    {                                                                                                         \
        (void)x, (void)ld, (void)k, (void)out, (void)stride;                                                  \
    }
#endif
VEC_TURN_PAIR(double, f64)
VEC_TURN_PAIR(float, f32)

/* Whether each of n numbers is greater than 0, n a multiple of LANES. */
VEC_INLINE int vec_positive(const double *v, ptrdiff_t n)
{
#if LINREG_FAST_LANES > 1
    long long all = -1;
    __typeof__(vec_zero() > vec_zero()) mask = vec_zero() == vec_zero();
    for (ptrdiff_t t = 0; t < n; t += LANES)
        mask &= vec_load_f64(v + t) > vec_zero();
    for (int i = 0; i < LANES; i++)
        all &= mask[i];
    return all != 0;
#else
    int all = 1;
    for (ptrdiff_t t = 0; t < n; t++)
        all &= v[t] > 0.0;
    return all;
#endif
}

/* v in a register: GCC otherwise reads it from memory again at each use as an operand, and loads are the limit of
 * a tile whose vectors are as wide as what is loaded in a cycle. */
VEC_INLINE vec vec_held(vec v)
{
#if LINREG_FAST_LANES == 8 && defined(__AVX512F__)
    __asm__("" : "+v"(v));
#endif
    return v;
}

/* The rounded product of a and b, kept from being fused into an addition that needs it rounded. */
VEC_INLINE vec vec_product(vec a, vec b)
{
#if defined(__x86_64__) && defined(__GNUC__) && \
    (LINREG_FAST_LANES <= 2 || (LINREG_FAST_LANES == 4 && defined(__AVX__)) || defined(__AVX512F__))
    vec p = a * b;
#if defined(__AVX512F__)
    __asm__("" : "+v"(p));
#else
    __asm__("" : "+x"(p));
#endif
#else
    volatile vec p = a * b;
#endif
    return p;
}

/* a * b - p exactly, p the rounded product: by FMA, or by Dekker's split where the level has none
 * (Dekker 1971, "A floating-point technique for extending the available precision"). */
VEC_INLINE vec vec_product_error(vec a, vec b, vec p)
{
#if defined(__FP_FAST_FMA) && LINREG_FAST_LANES > 1
    vec e;
    for (int i = 0; i < LANES; i++)
        e[i] = __builtin_fma(a[i], b[i], -p[i]);
    return e;
#elif defined(__FP_FAST_FMA)
    return __builtin_fma(a, b, -p);
#else
    vec c = 134217729.0 * a, d = 134217729.0 * b;
    vec ah = c - (c - a), bh = d - (d - b);
    vec al = a - ah, bl = b - bh;
    return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
#endif
}

/* Sum of the lanes, as a binary tree by halves: a written order, the same on every machine of a level. */
VEC_INLINE double vec_sum(vec v)
{
#if LINREG_FAST_LANES == 8 && defined(__AVX512F__)
    __m256d h = _mm256_add_pd(_mm512_castpd512_pd256((__m512d)v), _mm512_extractf64x4_pd((__m512d)v, 1));
    __m128d q = _mm_add_pd(_mm256_castpd256_pd128(h), _mm256_extractf128_pd(h, 1));
    return q[0] + q[1];
#elif LINREG_FAST_LANES == 8
    return ((vec_lane(v, 0) + vec_lane(v, 4)) + (vec_lane(v, 2) + vec_lane(v, 6)))
         + ((vec_lane(v, 1) + vec_lane(v, 5)) + (vec_lane(v, 3) + vec_lane(v, 7)));
#elif LINREG_FAST_LANES == 4
    return (vec_lane(v, 0) + vec_lane(v, 2)) + (vec_lane(v, 1) + vec_lane(v, 3));
#elif LINREG_FAST_LANES == 2
    return vec_lane(v, 0) + vec_lane(v, 1);
#else
    return v;
#endif
}

/* out[i] = vec_sum(si) + ti, the same bits: four sums take little more than one where they share their additions. */
VEC_INLINE void vec_sum_four(vec s0, vec s1, vec s2, vec s3, double t0, double t1, double t2, double t3, double *out)
{
#if LINREG_FAST_LANES == 8 && defined(__AVX512F__)
    vec s[4] = {s0, s1, s2, s3};
    __m256d h[4];
    VEC_UNROLL for (int i = 0; i < 4; i++)
        h[i] = _mm256_add_pd(_mm512_castpd512_pd256((__m512d)s[i]), _mm512_extractf64x4_pd((__m512d)s[i], 1));
    /* rows 0 and 2, 1 and 3: vhaddpd then leaves them in order */
    __m256d even = _mm256_add_pd(_mm256_permute2f128_pd(h[0], h[2], 0x20), _mm256_permute2f128_pd(h[0], h[2], 0x31));
    __m256d odd = _mm256_add_pd(_mm256_permute2f128_pd(h[1], h[3], 0x20), _mm256_permute2f128_pd(h[1], h[3], 0x31));
    _mm256_storeu_pd(out, _mm256_add_pd(_mm256_hadd_pd(even, odd), _mm256_setr_pd(t0, t1, t2, t3)));
#else
    out[0] = vec_sum(s0) + t0;
    out[1] = vec_sum(s1) + t1;
    out[2] = vec_sum(s2) + t2;
    out[3] = vec_sum(s3) + t3;
#endif
}

#endif
