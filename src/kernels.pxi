# SPDX-License-Identifier: BSD-3-Clause
"""Kernels of one x86-64 level: cross products, the shift, refinement, and the closed form of few columns.

Single-threaded loops over a row range, without the GIL.  Arguments are trusted: linreg_fast.inputs has
checked them.  One entry serves C and F order: it reads the strides.  The NumPy twin of every function is in
linreg_fast.reference.  What else reads rows is in row_kernels.pxi, a unit of its own that is compiled side by
side with this one.
"""

from libc.math cimport INFINITY, NAN, ceil, fabs, floor, fma, fmax, fmin, frexp, isfinite, ldexp, log2, log10, rint
from libc.math cimport sqrt

# In the order of need: no part names what a later one defines.
include "vec.pxi"
include "common.pxi"
include "pairs.pxi"
include "tile.pxi"
include "ahead.pxi"
include "panel.pxi"
include "panel_columns.pxi"
include "narrow.pxi"
include "wide.pxi"
include "moments.pxi"
include "dd_moments.pxi"
include "refine.pxi"
include "shift.pxi"
include "scores.pxi"
include "solve.pxi"
include "factor.pxi"
include "small.pxi"
include "paired.pxi"
include "extended.pxi"
include "groups.pxi"
include "lanes.pxi"
include "stack.pxi"
include "targets.pxi"
include "windows.pxi"
include "laying.pxi"
include "running.pxi"

lanes = LANES
