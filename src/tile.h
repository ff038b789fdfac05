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

/* tile_R_V:  out[r, c] += sum_t a[t, r] * b[c, t]      r < R rows, c < V vectors
 *
 * a        n x LANES, row t at a + t * LANES: broadcast from memory, cheaper than a shuffle
 * b        vector c of row t at b + c * stride + t * LANES
 * ahead    where the next panel lies: it is asked for `step` bytes a row
 * out      asked for before the sums: where tables are wide it comes from L3
 * DEPTH    independent sums over t; 2 where R * V is too small to hide the latency of an FMA
 *
 * A macro, as an array of accumulators becomes registers only if its length is a constant. */
#define TILE(R, V, DEPTH)                                                                                     \
    static void tile_##R##_##V(const double *a, const double *b, ptrdiff_t stride, ptrdiff_t n, double *out,  \
                               ptrdiff_t ld, const char *ahead, ptrdiff_t step)                               \
    {                                                                                                         \
        vec acc[DEPTH][R][V];                                                                                 \
        VEC_UNROLL for (int u = 0; u < DEPTH; u++)                                                            \
            VEC_UNROLL for (int r = 0; r < R; r++)                                                            \
                VEC_UNROLL for (int c = 0; c < V; c++)                                                        \
                    acc[u][r][c] = vec_zero();                                                                \
        VEC_UNROLL for (int r = 0; r < R; r++)                                                                \
            VEC_UNROLL for (int c = 0; c < V; c++)                                                            \
                vec_prefetch(out + r * ld + c * LANES);                                                       \
        do {                                                                                                  \
            for (ptrdiff_t at = 0; at < TILE_STEP * step; at += 64)                                           \
                vec_prefetch(ahead + at);                                                                     \
            ahead += TILE_STEP * step;                                                                        \
            for (int i = 0; i < TILE_STEP; i += DEPTH)                                                        \
                VEC_UNROLL for (int u = 0; u < DEPTH; u++) {                                                  \
                    vec bv[V];                                                                                \
                    VEC_UNROLL for (int c = 0; c < V; c++)                                                    \
                        bv[c] = vec_load_f64(b + c * stride + (i + u) * LANES);                               \
                    VEC_UNROLL for (int r = 0; r < R; r++)                                                    \
                        VEC_UNROLL for (int c = 0; c < V; c++)                                                \
                            acc[u][r][c] += a[(i + u) * LANES + r] * bv[c];                                   \
                }                                                                                             \
            a += TILE_STEP * LANES;                                                                           \
            b += TILE_STEP * LANES;                                                                           \
        } while ((n -= TILE_STEP) > 0);                                                                       \
        VEC_UNROLL for (int r = 0; r < R; r++)                                                                \
            VEC_UNROLL for (int c = 0; c < V; c++) {                                                          \
                double *o = out + r * ld + c * LANES;                                                         \
                vec sum = acc[0][r][c];                                                                       \
                VEC_UNROLL for (int u = 1; u < DEPTH; u++)                                                    \
                    sum += acc[u][r][c];                                                                      \
                vec_store(o, vec_load_f64(o) + sum);                                                          \
            }                                                                                                 \
    }

#define TILE_CASES(R)                                                                                         \
    switch (vecs) {                                                                                           \
    case 1: tile_##R##_1(a, b, stride, n, out, ld, ahead, step); return;                                      \
    case 2: tile_##R##_2(a, b, stride, n, out, ld, ahead, step); return;                                      \
    case 3: tile_##R##_3(a, b, stride, n, out, ld, ahead, step); return;                                      \
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
#define TILE_CASE_4(R) tile_##R##_4(a, b, stride, n, out, ld, ahead, step);
#if LINREG_FAST_LANES == 2
TILE(2, 1, 2) TILE(2, 2, 2) TILE(2, 3, 1) TILE(2, 4, 1)
#else
TILE(1, 1, 2) TILE(1, 2, 2) TILE(1, 3, 2) TILE(1, 4, 2)
#endif
#endif

/* The tile for 1 <= vecs <= TILE_VECS and at most LANES rows (rounded up to 2, 4 or LANES). */
static void tile(const double *a, const double *b, ptrdiff_t stride, ptrdiff_t n, double *out, ptrdiff_t ld,
                 ptrdiff_t rows, ptrdiff_t vecs, const char *ahead, ptrdiff_t step)
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
                        ptrdiff_t ld, const char *ahead, ptrdiff_t step)
{
    vec first[LANES][2], second[LANES];
    VEC_UNROLL for (int r = 0; r < LANES; r++) {
        first[r][0] = first[r][1] = second[r] = vec_zero();
        vec_prefetch(out + r * ld);
        vec_prefetch(out + r * ld + LANES);
        vec_prefetch(out + (LANES + r) * ld + LANES);
    }
    do {
        for (ptrdiff_t at = 0; at < TILE_STEP * step; at += 64)
            vec_prefetch(ahead + at);
        ahead += TILE_STEP * step;
        for (int u = 0; u < TILE_STEP; u++) {
            vec b0 = vec_load_f64(b + u * LANES), b1 = vec_load_f64(b + stride + u * LANES);
            VEC_UNROLL for (int r = 0; r < LANES; r++) {
                first[r][0] += a[u * LANES + r] * b0;
                first[r][1] += a[u * LANES + r] * b1;
                second[r] += a[stride + u * LANES + r] * b1;
            }
        }
        a += TILE_STEP * LANES;
        b += TILE_STEP * LANES;
    } while ((n -= TILE_STEP) > 0);
    VEC_UNROLL for (int r = 0; r < LANES; r++) {
        double *o = out + r * ld, *o2 = out + (LANES + r) * ld + LANES;
        vec_store(o, vec_load_f64(o) + first[r][0]);
        vec_store(o + LANES, vec_load_f64(o + LANES) + first[r][1]);
        vec_store(o2, vec_load_f64(o2) + second[r]);
    }
}

/* dots_C:  out[r, c] += sum_t a[r, t] * b[c, t]      r < DOT_ROWS rows, c < C columns, LANES rows t at a time
 *
 * The lanes are rows of the table here: an element of `out` is a vector of partial sums, and nothing is
 * broadcast.  16 registers hold 3 x 4 sums, three vectors of a and one of b; v4 has 32 of them.
 *
 * a, b     row t of column c at  c * stride + t
 * ahead    where the next panel lies: a line of it is asked for at each step, `step` bytes after the last; two on v4,
 *          which has half as many steps for as many lines
 */
enum { DOT_ROWS = 3, DOT_COLS = LINREG_FAST_LANES >= 8 ? 8 : 4 };

#if LINREG_FAST_LANES >= 8
#define DOTS_AHEAD vec_prefetch(ahead); vec_prefetch(ahead + 64);
#else
#define DOTS_AHEAD vec_prefetch(ahead);
#endif

#define DOTS(C)                                                                                               \
    static void dots_##C(const double *a, const double *b, ptrdiff_t stride, ptrdiff_t n, double *out,        \
                         ptrdiff_t ld, const char *ahead, ptrdiff_t step)                                     \
    {                                                                                                         \
        vec acc[DOT_ROWS][C];                                                                                 \
        VEC_UNROLL for (int r = 0; r < DOT_ROWS; r++)                                                         \
            VEC_UNROLL for (int c = 0; c < C; c++)                                                            \
                acc[r][c] = vec_zero();                                                                       \
        ptrdiff_t t = 0;                                                                                      \
        do {                                                                                                  \
            vec av[DOT_ROWS];                                                                                 \
            DOTS_AHEAD                                                                                        \
            ahead += step;                                                                                    \
            VEC_UNROLL for (int r = 0; r < DOT_ROWS; r++)                                                     \
                av[r] = vec_load_f64(a + r * stride + t);                                                     \
            VEC_UNROLL for (int c = 0; c < C; c++) {                                                          \
                vec bv = vec_held(vec_load_f64(b + c * stride + t));                                          \
                VEC_UNROLL for (int r = 0; r < DOT_ROWS; r++)                                                 \
                    acc[r][c] += av[r] * bv;                                                                  \
            }                                                                                                 \
        } while ((t += LANES) < n);                                                                           \
        VEC_UNROLL for (int r = 0; r < DOT_ROWS; r++)                                                         \
            VEC_UNROLL for (int c = 0; c < C; c++) {                                                          \
                double *o = out + (r * ld + c) * LANES;                                                       \
                vec_store(o, vec_load_f64(o) + acc[r][c]);                                                    \
            }                                                                                                 \
    }

DOTS(1) DOTS(2) DOTS(3) DOTS(4)
#if LINREG_FAST_LANES >= 8
DOTS(5) DOTS(6) DOTS(7) DOTS(8)
#endif

/* dots_C for 1 <= columns <= DOT_COLS. */
static void dots(const double *a, const double *b, ptrdiff_t stride, ptrdiff_t n, double *out, ptrdiff_t ld,
                 ptrdiff_t columns, const char *ahead, ptrdiff_t step)
{
    switch (columns) {
    case 1: dots_1(a, b, stride, n, out, ld, ahead, step); return;
    case 2: dots_2(a, b, stride, n, out, ld, ahead, step); return;
    case 3: dots_3(a, b, stride, n, out, ld, ahead, step); return;
#if LINREG_FAST_LANES >= 8
    case 5: dots_5(a, b, stride, n, out, ld, ahead, step); return;
    case 6: dots_6(a, b, stride, n, out, ld, ahead, step); return;
    case 7: dots_7(a, b, stride, n, out, ld, ahead, step); return;
    case 8: dots_8(a, b, stride, n, out, ld, ahead, step); return;
#endif
    default: dots_4(a, b, stride, n, out, ld, ahead, step);
    }
}

/* dots_3 on the diagonal, and  sums[r] += sum_t a[r, t],  whose additions cost nothing beside the products.
 *
 * The weighted one makes a = w * b on the way, for the other tiles of these rows. */
#define DOTS_DIAGONAL(NAME, ROW)                                                                              \
    static void NAME(const double *w, double *a, const double *b, ptrdiff_t stride, ptrdiff_t n, double *out, \
                     ptrdiff_t ld, double *sums, const char *ahead, ptrdiff_t step)                           \
    {                                                                                                         \
        vec acc[DOT_ROWS][DOT_ROWS], s[DOT_ROWS];                                                             \
        (void)w;                                                                                              \
        (void)a;                                                                                              \
        VEC_UNROLL for (int r = 0; r < DOT_ROWS; r++) {                                                       \
            s[r] = vec_zero();                                                                                \
            VEC_UNROLL for (int c = 0; c < DOT_ROWS; c++)                                                     \
                acc[r][c] = vec_zero();                                                                       \
        }                                                                                                     \
        ptrdiff_t t = 0;                                                                                      \
        do {                                                                                                  \
            vec bs[DOT_ROWS];                                                                                 \
            DOTS_AHEAD                                                                                        \
            ahead += step;                                                                                    \
            VEC_UNROLL for (int r = 0; r < DOT_ROWS; r++)                                                     \
                bs[r] = vec_held(vec_load_f64(b + r * stride + t));                                           \
            VEC_UNROLL for (int r = 0; r < DOT_ROWS; r++) {                                                   \
                vec bv = bs[r], av = bv;                                                                      \
                ROW                                                                                           \
                s[r] += av;                                                                                   \
                acc[r][r] += av * bv;                                                                         \
                VEC_UNROLL for (int c = r + 1; c < DOT_ROWS; c++)                                             \
                    acc[r][c] += av * bs[c];                                                                  \
            }                                                                                                 \
        } while ((t += LANES) < n);                                                                           \
        VEC_UNROLL for (int r = 0; r < DOT_ROWS; r++) {                                                       \
            vec_store(sums + r * LANES, vec_load_f64(sums + r * LANES) + s[r]);                               \
            VEC_UNROLL for (int c = r; c < DOT_ROWS; c++) {                                                   \
                double *o = out + (r * ld + c) * LANES;                                                       \
                vec_store(o, vec_load_f64(o) + acc[r][c]);                                                    \
            }                                                                                                 \
        }                                                                                                     \
    }

DOTS_DIAGONAL(dots_diagonal, )
DOTS_DIAGONAL(dots_diagonal_weighted, av *= vec_load_f64(w + t); vec_store(a + r * stride + t, av);)

#endif
