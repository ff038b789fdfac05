# SPDX-License-Identifier: BSD-3-Clause
"""Pictures, with matplotlib (the extra "plot")."""

from linreg_fast.plots.curves import descent as descent
from linreg_fast.plots.curves import path as path
from linreg_fast.plots.curves import rolling as rolling
from linreg_fast.plots.intervals import coefficients as coefficients
from linreg_fast.plots.intervals import grouped as grouped
from linreg_fast.plots.line import fit_line as fit_line
from linreg_fast.plots.residuals import diagnostics as diagnostics
