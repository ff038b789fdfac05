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

/* Where the next panel lies: its lines are asked for while this one is multiplied, one line a row,
 * so that memory and arithmetic overlap (10,000,000 x 8 on two threads: 36 ms without, 27 ms with).
 * Line t is at  at + (t % 8) * step + (t / 8) * stride. */
typedef struct {
    const char *at;
    ptrdiff_t step, stride;
} tile_ahead;

VEC_INLINE void tile_prefetch(tile_ahead ahead, ptrdiff_t t)
{
    vec_prefetch(ahead.at + (t & 7) * ahead.step + (t >> 3) * ahead.stride);
}

/* out[r, c] += sum_t a[t, r] * b[c, t]      r < rows, c < vecs vectors
 *
 * a        n x LANES, row t at a + t * LANES: broadcast from memory, cheaper than a shuffle
 * b        vector c of row t at b + c * stride + t * LANES
 * depth    independent sums over t; 2 where rows * vecs is too small to hide the latency of an FMA;
 *          n must be a multiple of it
 */
VEC_INLINE void tile_body(const double *a, const double *b, ptrdiff_t stride, ptrdiff_t n, double *out,
                          ptrdiff_t ld, tile_ahead ahead, const int rows, const int vecs, const int depth)
{
    vec acc[2 * LINREG_FAST_LANES * TILE_VECS];
    for (int i = 0; i < depth * rows * vecs; i++)
        acc[i] = vec_zero();
    for (ptrdiff_t t = 0; t < n; t += depth)
        for (int u = 0; u < depth; u++) {
            vec bv[TILE_VECS];
            tile_prefetch(ahead, t + u);
            for (int c = 0; c < vecs; c++)
                bv[c] = vec_load_f64(b + c * stride + (t + u) * LANES);
            for (int r = 0; r < rows; r++)
                for (int c = 0; c < vecs; c++)
                    acc[(u * rows + r) * vecs + c] += a[(t + u) * LANES + r] * bv[c];
        }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < vecs; c++) {
            double *o = out + r * ld + c * LANES;
            vec sum = acc[r * vecs + c];
            for (int u = 1; u < depth; u++)
                sum += acc[(u * rows + r) * vecs + c];
            vec_store(o, vec_load_f64(o) + sum);
        }
}

/* The tile for 1 <= vecs <= TILE_VECS and at most LANES rows (rounded up to 2, LANES / 2 or LANES). */
static void tile(const double *a, const double *b, ptrdiff_t stride, ptrdiff_t n, double *out, ptrdiff_t ld,
                 ptrdiff_t rows, ptrdiff_t vecs, tile_ahead ahead)
{
#define TILE_CASES(ROWS, DEPTH1, DEPTH2, DEPTH3)                                              \
    switch (vecs) {                                                                           \
    case 1: tile_body(a, b, stride, n, out, ld, ahead, ROWS, 1, DEPTH1); return;              \
    case 2: tile_body(a, b, stride, n, out, ld, ahead, ROWS, 2, DEPTH2); return;              \
    case 3: tile_body(a, b, stride, n, out, ld, ahead, ROWS, 3, DEPTH3); return;              \
    default: tile_body(a, b, stride, n, out, ld, ahead, ROWS, TILE_VECS, 1); return;          \
    }
#if LINREG_FAST_LANES == 8
    if (rows <= 2)
        TILE_CASES(2, 2, 2, 2)
    if (rows <= 4)
        TILE_CASES(4, 2, 2, 1)
    TILE_CASES(8, 1, 1, 1)
#elif LINREG_FAST_LANES == 4
    if (rows <= 2)
        TILE_CASES(2, 2, 2, 2)
    TILE_CASES(4, 2, 1, 1)
#else
    (void)rows;
    TILE_CASES(LANES, 2, 2, 1)
#endif
#undef TILE_CASES
}

/* The last two row tiles on the diagonal in one: rows 0 .. LANES-1 with both vectors and rows
 * LANES .. 2 LANES-1 with the second, so that no tile is too small to hide the latency.
 *
 * a, b     as above, the second LANES columns of a at a + stride
 */
static void tile_corner(const double *a, const double *b, ptrdiff_t stride, ptrdiff_t n, double *out,
                        ptrdiff_t ld, tile_ahead ahead)
{
    vec acc[3 * LINREG_FAST_LANES];
    for (int i = 0; i < 3 * LANES; i++)
        acc[i] = vec_zero();
    for (ptrdiff_t t = 0; t < n; t++) {
        vec b0 = vec_load_f64(b + t * LANES), b1 = vec_load_f64(b + stride + t * LANES);
        tile_prefetch(ahead, t);
        for (int r = 0; r < LANES; r++) {
            acc[2 * r] += a[t * LANES + r] * b0;
            acc[2 * r + 1] += a[t * LANES + r] * b1;
            acc[2 * LANES + r] += a[stride + t * LANES + r] * b1;
        }
    }
    for (int r = 0; r < LANES; r++) {
        double *o = out + r * ld, *o2 = out + (LANES + r) * ld + LANES;
        vec_store(o, vec_load_f64(o) + acc[2 * r]);
        vec_store(o + LANES, vec_load_f64(o + LANES) + acc[2 * r + 1]);
        vec_store(o2, vec_load_f64(o2) + acc[2 * LANES + r]);
    }
}

#endif
