# The lines of the next panel, asked for while the tiles of this one are at work.


cdef struct lines_ahead:
    # which lines of the next panel are asked for: at each of the steps of a tile one `step` bytes on, from one
    # tile to the next `tile` bytes further or from the next of `columns`, in so many tiles, and after those
    # the `following`
    const char* at
    Py_ssize_t step
    Py_ssize_t tile
    const size_t* columns       # NULL: none
    Py_ssize_t tiles
    lines_ahead* following


cdef inline void _next_tile(lines_ahead* ahead, const double* nowhere) noexcept nogil:
    ahead.tiles -= 1
    ahead.at += ahead.tile
    if ahead.columns != NULL and ahead.tiles > 0:
        ahead.at += ahead.columns[1] - ahead.columns[0]
        ahead.columns += 1
    if ahead.tiles <= 0 and ahead.following != NULL:
        ahead[0] = ahead.following[0]
    elif ahead.tiles <= 0:
        ahead.at = <const char*> nowhere
        ahead.step = 0


cdef inline void _lines_of_next_panel(
    const void* x,
    Py_ssize_t x_bytes,         # of a row, 0 in F order
    strided y,
    Py_ssize_t nv,
    Py_ssize_t ny,
    Py_ssize_t rows,
    lines_ahead* ahead,         # OUT
    lines_ahead* following,     # OUT
) noexcept nogil:
    """The lines of the next panel, evenly over the tiles: those of X, then those of Y where its rows are dense."""
    cdef Py_ssize_t tiles = nv * ((ny + TILE_VECS - 1) // TILE_VECS) + (nv * nv + 2 * nv) // (2 * TILE_VECS)
    cdef Py_ssize_t y_bytes = y.row if y.column == sizeof(double) and y.row > 0 else 0
    cdef Py_ssize_t for_y = 0
    if y_bytes:
        for_y = min(tiles - (x_bytes > 0), tiles * y_bytes // (x_bytes + y_bytes))
    ahead.at = <const char*> x if x_bytes else y.at
    ahead.tiles = tiles - for_y
    ahead.step = x_bytes // ahead.tiles + 1 if ahead.tiles and x_bytes else 0
    ahead.tile = rows * ahead.step
    ahead.columns = following.columns = NULL
    ahead.following = following
    following.at = y.at
    following.tiles = for_y
    following.step = y_bytes // for_y + 1 if for_y else 0
    following.tile = rows * following.step
    following.following = NULL
    if ahead.tiles == 0:
        ahead[0] = following[0]
