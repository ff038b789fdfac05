# SPDX-License-Identifier: BSD-3-Clause
"""Kernels of one x86-64 level: predictions, cost, gradient and the steps of descent.

As in kernels.pxi, the other unit of the level.
"""

from libc.math cimport NAN, fabs, isfinite

# In the order of need: no part names what a later one defines.
include "vec.pxi"
include "common.pxi"
include "predict.pxi"
include "cost.pxi"
include "gradient.pxi"
include "descent.pxi"
