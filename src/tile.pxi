# The register tiles of the cross products: src/tile.h told to Cython.

cdef extern from "tile.h" nogil:
    const int TILE_VECS
    const int TILE_STEP
    void tile(
        const double* a,
        const double* b,
        Py_ssize_t stride,
        Py_ssize_t n,
        double* out,
        Py_ssize_t ld,
        Py_ssize_t rows,
        Py_ssize_t vecs,
        const char* ahead,
        Py_ssize_t step,
    )
    void tile_corner(
        const double* a,
        const double* b,
        Py_ssize_t stride,
        Py_ssize_t n,
        double* out,
        Py_ssize_t ld,
        const char* ahead,
        Py_ssize_t step,
    )
    const int DOT_ROWS
    const int DOT_COLS
    void dots(
        const double* a,
        const double* b,
        Py_ssize_t stride,
        Py_ssize_t n,
        double* out,
        Py_ssize_t ld,
        Py_ssize_t columns,
        const char* ahead,
        Py_ssize_t step,
    )
    void dots_diagonal(
        const double* w,
        double* a,
        const double* b,
        Py_ssize_t stride,
        Py_ssize_t n,
        double* out,
        Py_ssize_t ld,
        double* sums,
        const char* ahead,
        Py_ssize_t step,
    )
    void dots_diagonal_weighted(
        const double* w,
        double* a,
        const double* b,
        Py_ssize_t stride,
        Py_ssize_t n,
        double* out,
        Py_ssize_t ld,
        double* sums,
        const char* ahead,
        Py_ssize_t step,
    )
