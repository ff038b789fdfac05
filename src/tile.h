/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The register tiles of the cross products: the one place where every accumulator has to be a
 * register, hence constants at every call and forced inlining, which Cython has no words for.
 */
#ifndef LINREG_FAST_TILE_H
#define LINREG_FAST_TILE_H

#include "vec.h"

/* Vectors across one tile.  A tile is LANES rows x TILE_VECS vectors of accumulators, plus one vector
 * of the right side each and one broadcast: 8 x 3 of 32 registers on v4, 4 x 3 of 16 on v3; the
 * baseline has 16 registers, no FMA and needs a temporary for each product: 2 x 4. */
enum { TILE_VECS = LINREG_FAST_LANES >= 4 ? 3 : 4 };

/* Rows of a panel are a multiple of this.  The loops are not unrolled further: GCC then spills. */
enum { TILE_STEP = 8 };

/* Where the next panel lies: its lines are asked for while this one is multiplied, one line a row, so
 * that memory and arithmetic overlap (10,000,000 x 8 on two threads: 36 ms without, 27 ms with).
 * Lines follow each other by `step`, and after every TILE_STEP of them by `jump` more. */
typedef struct {
    const char *at;
    ptrdiff_t step, jump;
} tile_ahead;

/* tile_R_V:  out[r, c] += sum_t a[t, r] * b[c, t]      r < R rows, c < V vectors
 *
 * a        n x LANES, row t at a + t * LANES: broadcast from memory, cheaper than a shuffle
 * b        vector c of row t at b + c * stride + t * LANES
 * DEPTH    independent sums over t; 2 where R * V is too small to hide the latency of an FMA
 *
 * A macro, as an array of accumulators becomes registers only if its length is a constant. */
#define TILE(R, V, DEPTH)                                                                                     \
    static void tile_##R##_##V(const double *a, const double *b, ptrdiff_t stride, ptrdiff_t n, double *out,  \
                               ptrdiff_t ld, tile_ahead ahead)                                                \
    {                                                                                                         \
        vec acc[DEPTH][R][V];                                                                                 \
        for (int u = 0; u < DEPTH; u++)                                                                       \
            for (int r = 0; r < R; r++)                                                                       \
                for (int c = 0; c < V; c++)                                                                   \
                    acc[u][r][c] = vec_zero();                                                                \
        for (ptrdiff_t t = 0; t < n; t += TILE_STEP) {                                                        \
            for (int i = 0; i < TILE_STEP; i += DEPTH)                                                        \
                for (int u = 0; u < DEPTH; u++) {                                                             \
                    vec bv[V];                                                                                \
                    vec_prefetch(ahead.at);                                                                   \
                    ahead.at += ahead.step;                                                                   \
                    for (int c = 0; c < V; c++)                                                               \
                        bv[c] = vec_load_f64(b + c * stride + (i + u) * LANES);                               \
                    for (int r = 0; r < R; r++)                                                               \
                        for (int c = 0; c < V; c++)                                                           \
                            acc[u][r][c] += a[(i + u) * LANES + r] * bv[c];                                   \
                }                                                                                             \
            ahead.at += ahead.jump;                                                                           \
            a += TILE_STEP * LANES;                                                                           \
            b += TILE_STEP * LANES;                                                                           \
        }                                                                                                     \
        for (int r = 0; r < R; r++)                                                                           \
            for (int c = 0; c < V; c++) {                                                                     \
                double *o = out + r * ld + c * LANES;                                                         \
                vec sum = acc[0][r][c];                                                                       \
                for (int u = 1; u < DEPTH; u++)                                                               \
                    sum += acc[u][r][c];                                                                      \
                vec_store(o, vec_load_f64(o) + sum);                                                          \
            }                                                                                                 \
    }

#define TILE_CASES(R)                                                                                         \
    switch (vecs) {                                                                                           \
    case 1: tile_##R##_1(a, b, stride, n, out, ld, ahead); return;                                            \
    case 2: tile_##R##_2(a, b, stride, n, out, ld, ahead); return;                                            \
    case 3: tile_##R##_3(a, b, stride, n, out, ld, ahead); return;                                            \
    default: TILE_CASE_4(R) return;                                                                           \
    }

#if LINREG_FAST_LANES >= 4
TILE(2, 1, 2) TILE(2, 2, 2) TILE(2, 3, 2)
TILE(4, 1, 2)
#define TILE_CASE_4(R)
#endif
#if LINREG_FAST_LANES == 8
TILE(4, 2, 2) TILE(4, 3, 1)
TILE(8, 1, 1) TILE(8, 2, 1) TILE(8, 3, 1)
#elif LINREG_FAST_LANES == 4
TILE(4, 2, 1) TILE(4, 3, 1)
#else
#define TILE_CASE_4(R) tile_##R##_4(a, b, stride, n, out, ld, ahead);
#if LINREG_FAST_LANES == 2
TILE(2, 1, 2) TILE(2, 2, 2) TILE(2, 3, 1) TILE(2, 4, 1)
#else
TILE(1, 1, 2) TILE(1, 2, 2) TILE(1, 3, 2) TILE(1, 4, 2)
#endif
#endif

/* The tile for 1 <= vecs <= TILE_VECS and at most LANES rows (rounded up to 2, 4 or LANES). */
static void tile(const double *a, const double *b, ptrdiff_t stride, ptrdiff_t n, double *out, ptrdiff_t ld,
                 ptrdiff_t rows, ptrdiff_t vecs, tile_ahead ahead)
{
    (void)rows;
#if LINREG_FAST_LANES >= 4
    if (rows <= 2)
        TILE_CASES(2)
    if (rows <= 4)
        TILE_CASES(4)
#endif
#if LINREG_FAST_LANES == 8
    TILE_CASES(8)
#elif LINREG_FAST_LANES == 2
    TILE_CASES(2)
#elif LINREG_FAST_LANES == 1
    TILE_CASES(1)
#endif
}

/* The last two row tiles on the diagonal in one: rows 0 .. LANES-1 with both vectors and rows
 * LANES .. 2 LANES-1 with the second, so that no tile is too small to hide the latency.
 *
 * a, b     as above, the second LANES columns of a at a + stride
 */
static void tile_corner(const double *a, const double *b, ptrdiff_t stride, ptrdiff_t n, double *out,
                        ptrdiff_t ld, tile_ahead ahead)
{
    vec first[LANES][2], second[LANES];
    for (int r = 0; r < LANES; r++)
        first[r][0] = first[r][1] = second[r] = vec_zero();
    for (ptrdiff_t t = 0; t < n; t += TILE_STEP) {
        for (int u = 0; u < TILE_STEP; u++)
        {
            vec b0 = vec_load_f64(b + u * LANES), b1 = vec_load_f64(b + stride + u * LANES);
            vec_prefetch(ahead.at);
            ahead.at += ahead.step;
            for (int r = 0; r < LANES; r++) {
                first[r][0] += a[u * LANES + r] * b0;
                first[r][1] += a[u * LANES + r] * b1;
                second[r] += a[stride + u * LANES + r] * b1;
            }
        }
        ahead.at += ahead.jump;
        a += TILE_STEP * LANES;
        b += TILE_STEP * LANES;
    }
    for (int r = 0; r < LANES; r++) {
        double *o = out + r * ld, *o2 = out + (LANES + r) * ld + LANES;
        vec_store(o, vec_load_f64(o) + first[r][0]);
        vec_store(o + LANES, vec_load_f64(o + LANES) + first[r][1]);
        vec_store(o2, vec_load_f64(o2) + second[r]);
    }
}

#endif
