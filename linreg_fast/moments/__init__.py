# SPDX-License-Identifier: BSD-3-Clause
"""What needs no data any more: moments, and all that is solved from them."""

from linreg_fast.moments.moments import Moments as Moments
