/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sums over the lanes of a vector, up to each lane and from each lane on, in log2(LANES) rounds.
 */
#ifndef LINREG_FAST_SCAN_H
#define LINREG_FAST_SCAN_H

#include "vec.h"

/* Lanes moved n places up or down, zeros coming in. */
#if LINREG_FAST_LANES == 8
enum { SCAN_ROUNDS = 3 };
#define SCAN_UP(v, z, n) SCAN_UP_##n(v, z)
#define SCAN_UP_1(v, z) VEC_PICK(v, z, 8, 0, 1, 2, 3, 4, 5, 6)
#define SCAN_UP_2(v, z) VEC_PICK(v, z, 8, 9, 0, 1, 2, 3, 4, 5)
#define SCAN_UP_4(v, z) VEC_PICK(v, z, 8, 9, 10, 11, 0, 1, 2, 3)
#define SCAN_DOWN(v, z, n) SCAN_DOWN_##n(v, z)
#define SCAN_DOWN_1(v, z) VEC_PICK(v, z, 1, 2, 3, 4, 5, 6, 7, 8)
#define SCAN_DOWN_2(v, z) VEC_PICK(v, z, 2, 3, 4, 5, 6, 7, 8, 9)
#define SCAN_DOWN_4(v, z) VEC_PICK(v, z, 4, 5, 6, 7, 8, 9, 10, 11)
#elif LINREG_FAST_LANES == 4
enum { SCAN_ROUNDS = 2 };
#define SCAN_UP(v, z, n) SCAN_UP_##n(v, z)
#define SCAN_UP_1(v, z) VEC_PICK(v, z, 4, 0, 1, 2)
#define SCAN_UP_2(v, z) VEC_PICK(v, z, 4, 5, 0, 1)
#define SCAN_DOWN(v, z, n) SCAN_DOWN_##n(v, z)
#define SCAN_DOWN_1(v, z) VEC_PICK(v, z, 1, 2, 3, 4)
#define SCAN_DOWN_2(v, z) VEC_PICK(v, z, 2, 3, 4, 5)
#elif LINREG_FAST_LANES == 2
enum { SCAN_ROUNDS = 1 };
#define SCAN_UP(v, z, n) VEC_PICK(v, z, 2, 0)
#define SCAN_DOWN(v, z, n) VEC_PICK(v, z, 1, 2)
#else
enum { SCAN_ROUNDS = 0 };
#endif

/* v of each lane and, times what is left of them there, of those below.  f holds, in rows of `ld` numbers, what is
 * left of the lane one below, of that two below and of that four below. */
VEC_INLINE vec vec_climb(vec v, const double *f, ptrdiff_t ld)
{
    (void)f, (void)ld;
#if LINREG_FAST_LANES >= 2
    v = v + SCAN_UP(v, vec_zero(), 1) * vec_load_f64(f);
#endif
#if LINREG_FAST_LANES >= 4
    v = v + SCAN_UP(v, vec_zero(), 2) * vec_load_f64(f + ld);
#endif
#if LINREG_FAST_LANES >= 8
    v = v + SCAN_UP(v, vec_zero(), 4) * vec_load_f64(f + 2 * ld);
#endif
    return v;
}

/* v of each lane and of those above. */
VEC_INLINE vec vec_descend(vec v)
{
#if LINREG_FAST_LANES >= 2
    v = v + SCAN_DOWN(v, vec_zero(), 1);
#endif
#if LINREG_FAST_LANES >= 4
    v = v + SCAN_DOWN(v, vec_zero(), 2);
#endif
#if LINREG_FAST_LANES >= 8
    v = v + SCAN_DOWN(v, vec_zero(), 4);
#endif
    return v;
}

#endif
