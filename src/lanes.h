/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What solving LANES systems side by side needs beside the arithmetic of vec.h: choices, roots and exponents by lane.
 */
#ifndef LINREG_FAST_LANES_H
#define LINREG_FAST_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "vec.h"

#if LINREG_FAST_LANES > 1
typedef int64_t vec_bits __attribute__((vector_size(8 * LINREG_FAST_LANES), aligned(8), may_alias));

/* x where a <= b, else y: also where a or b is NaN. */
VEC_INLINE vec vec_choose(vec a, vec b, vec x, vec y)
{
    vec_bits mask = (vec_bits)(a <= b);
    return (vec)((mask & (vec_bits)x) | (~mask & (vec_bits)y));
}
VEC_INLINE vec vec_abs(vec v) { return (vec)((vec_bits)v & ((vec_bits)vec_zero() + INT64_MAX)); }
VEC_INLINE vec vec_root(vec v)
{
#if LINREG_FAST_LANES == 8 && defined(__AVX512F__)
    return (vec)_mm512_sqrt_pd((__m512d)v);
#elif LINREG_FAST_LANES == 4 && defined(__AVX__)
    return (vec)_mm256_sqrt_pd((__m256d)v);
#else
    for (int i = 0; i < LANES; i++)
        v[i] = sqrt(v[i]);
    return v;
#endif
}
/* The power of two 2^-k for which v 4^-k lies in [1/2, 2), of normal numbers. */
VEC_INLINE vec vec_scale(vec v)
{
    vec_bits exponent = ((vec_bits)v >> 52) & 0x7ff;
    return (vec)((2047 - ((exponent + 1026) >> 1)) << 52);
}
/* log10 to 1e-4, of normal numbers. */
VEC_INLINE vec vec_log10(vec v)
{
    const int64_t one = 0x3ff0000000000000;
    vec_bits bits = (vec_bits)v, exponent = ((bits >> 52) & 0x7ff) - 1023;
    vec m = (vec)((bits & 0x000fffffffffffff) | one), k;
    for (int i = 0; i < LANES; i++)
        k[i] = (double)exponent[i];
    return k * 0.30102999566398120 +
           ((((m * -0.02382768 + 0.18930015) * m - 0.62648216) * m + 1.2126845) * m - 0.75161348);
}
#else
VEC_INLINE vec vec_choose(vec a, vec b, vec x, vec y) { return a <= b ? x : y; }
VEC_INLINE vec vec_abs(vec v) { return fabs(v); }
VEC_INLINE vec vec_root(vec v) { return sqrt(v); }
VEC_INLINE vec vec_scale(vec v)
{
    int64_t bits;
    memcpy(&bits, &v, 8);
    bits = (2047 - ((((bits >> 52) & 0x7ff) + 1026) >> 1)) << 52;
    memcpy(&v, &bits, 8);
    return v;
}
VEC_INLINE vec vec_log10(vec v) { return log10(v); }
#endif

VEC_INLINE vec vec_larger(vec a, vec b) { return vec_choose(a, b, b, a); }

#endif
