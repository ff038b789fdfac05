# SPDX-License-Identifier: BSD-3-Clause
"""Unit roundoffs, and the types of vectors and matrices in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EPS = 2.0**-53  # relative rounding of float64

# Whatever the caller has NumPy do about them: what must not leave the range of float64 is looked at.
any_range = np.errstate(over="ignore", under="ignore")

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

DD_UNIT = 2.0**-100  # relative rounding of double-double sums and of the algebra on them
