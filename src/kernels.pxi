# SPDX-License-Identifier: BSD-3-Clause
"""Kernels of one x86-64 level: single-threaded loops over a row range, without the GIL.

Arguments are trusted: linreg_fast.inputs has checked them.  The NumPy twin of every function is in
linreg_fast.reference.
"""

from libc.math cimport INFINITY, NAN, fabs, fmax, fmin, isfinite, ldexp, log2, log10, rint, sqrt

include "vec.pxi"
include "panel.pxi"
include "narrow.pxi"
include "moments.pxi"
include "shift.pxi"
include "predict.pxi"
include "cost.pxi"
include "gradient.pxi"
include "descent.pxi"
include "refine.pxi"
include "dd_moments.pxi"
include "small.pxi"

lanes = LANES
