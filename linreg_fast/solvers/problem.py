# SPDX-License-Identifier: BSD-3-Clause
"""A problem on its way to a solver: the rows, what is asked of them, and what is known of them so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.centred import Centred, centre, keep
from linreg_fast.algebra.sums import Sums
from linreg_fast.inputs.table import Rows, Table
from linreg_fast.options import FitOptions
from linreg_fast.passes import table_sums
from linreg_fast.passes.products import CentredPairs, gram_pairs
from linreg_fast.passes.progress import Report
from linreg_fast.passes.table_sums import FirstPass
from linreg_fast.plan_costs import PlanArguments
from linreg_fast.planning import Plan, plan_shape


@dataclass
class Problem:
    """What a solver is given. `plan`, `sums` and `centred` are found when they are first asked for."""

    rows: Rows
    options: FitOptions
    asked: PlanArguments
    report: Report | None = None
    first: FirstPass | None = None

    @cached_property
    def plan(self) -> Plan:
        """The solver, why, and what it will cost."""
        return plan_shape(self.asked)

    @cached_property
    def sums(self) -> Sums:
        """The moments of a table, one pass over its rows. Of rows of other kinds they are set by whoever has them."""
        assert isinstance(self.rows, Table)
        options = self.options
        return table_sums.of_table(self.rows, options.fit_intercept, options.workers, self.report, self.first)

    @cached_property
    def centred(self) -> Centred:
        """The same in centred columns, scaled to equal norm."""
        return centre(self.sums, self.options.fit_intercept, self.options.l2)

    @cached_property
    def pairs(self) -> CentredPairs:
        """The matrix of the centred problem in double-double, from a pass of its own."""
        options = self.options
        return gram_pairs(self.rows, self.sums, self.centred, options.fit_intercept, options.workers)

    def of_columns(self, kept: NDArray[np.intp]) -> Problem:
        """The problem of some of the columns that vary, which do not depend on each other."""
        some = Problem(self.rows, replace(self.options, on_collinear="min_norm"), self.asked)
        some.sums, some.centred = self.sums, keep(self.centred, kept)
        return some

    def named(self, columns: NDArray[np.intp]) -> str:
        """Columns of X by their names, or by their positions where they have none."""
        names = self.rows.names
        shown = [names[j] if names else int(j) for j in columns[:10]]
        return f"{shown}{' and others' if len(columns) > 10 else ''}"
