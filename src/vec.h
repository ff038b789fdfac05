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
#else
#define VEC_INLINE static inline
#define vec_prefetch(p) ((void)(p))
#endif

#if LINREG_FAST_LANES > 1
typedef double vec __attribute__((vector_size(8 * LINREG_FAST_LANES), aligned(8), may_alias));
typedef float vec_f32 __attribute__((vector_size(4 * LINREG_FAST_LANES), aligned(4), may_alias));

VEC_INLINE vec vec_zero(void) { return (vec){0.0}; }
VEC_INLINE vec vec_set(double s) { return vec_zero() + s; }
VEC_INLINE vec vec_load_f64(const double *p) { return *(const vec *)p; }
VEC_INLINE vec vec_load_f32(const float *p) { return __builtin_convertvector(*(const vec_f32 *)p, vec); }
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
    return __builtin_convertvector(v, vec);
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
#endif

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

/* Sum of the lanes, as a binary tree: a written order, the same on every machine of a level. */
VEC_INLINE double vec_sum(vec v)
{
#if LINREG_FAST_LANES == 8
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

#endif
