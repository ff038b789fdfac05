# SPDX-License-Identifier: BSD-3-Clause
"""What is asked of fits row by row, and their results as arrays over the rows."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.inference import significance
from linreg_fast.inputs.callers import caller_level
from linreg_fast.inputs.table import Table
from linreg_fast.many.fits import About, Fits
from linreg_fast.many.laying import Laid, Positions
from linreg_fast.many.rows import Rows
from linreg_fast.options import FitOptions
from linreg_fast.passes import blocks, levels
from linreg_fast.result import LinearFit
from linreg_fast.solvers.refinement import CANCELLED
from linreg_fast.solvers.solution import RankWarning

ERRORS = {"stderr", "tvalues"}
AHEAD = {"residual", "prediction"}
OF_SQUARES = {"stderr", "tvalues", "rss", "r2"}  # what a sum of squares that cancelled would spoil

CLEARED_PARTS = 32
THREADED_BYTES = 1 << 22

Arrays = dict[str, NDArray[Any]]


class Found(NamedTuple):
    """What a kernel writes for each fit; of no rows what nobody asks for."""

    coef: Matrix
    numbers: Matrix  # intercept, rss, tss, digits, rank
    spread: Matrix  # standard errors over the residual standard deviation, the intercept last
    centre: Matrix  # means of the columns, and the prediction there


@dataclass(slots=True)
class Answers:
    """Results of fits that end with a row each, in the order of the rows of the table, every `step`-th of them."""

    data: Table
    laid: Laid
    options: FitOptions
    asked: tuple[str, ...]
    step: int = 1
    arrays: Arrays = field(default_factory=dict)
    dependent: list[tuple[int, int]] = field(default_factory=list)  # fits with dependent columns: how many, first row

    def __post_init__(self) -> None:
        n, p, asked = -(-self.data.n_rows // self.step), self.data.n_features, {*self.asked}
        sizes = {"coef": (n, p), "intercept": (n,), "digits": (n,)}
        sizes |= dict.fromkeys(("rss", "tss") if asked & OF_SQUARES else (), (n,))
        sizes |= dict.fromkeys(asked & AHEAD, (n,))
        if asked & ERRORS:
            sizes["spread"] = (n, p + 1)
        self.arrays = {name: np.empty(size) for name, size in sizes.items()}
        self.arrays |= {name: np.empty(n, dtype=np.int64) for name in ("n_samples", "rank")}

        def clear(lo: int, hi: int) -> None:
            for array in self.arrays.values():
                array[lo:hi] = np.nan if array.dtype.kind == "f" else 0

        # by the threads: what takes the time is that the system finds the memory
        row_bytes = sum(array.nbytes for array in self.arrays.values()) // max(n, 1)
        workers = self.options.workers if n * row_bytes > THREADED_BYTES else 1
        blocks.fold(n, min(max(n, 1), CLEARED_PARTS), clear, lambda left, right: None, workers)

    def room(self, n: int, at: Positions | None = None) -> Found:
        """For n fits; coefficients where they belong, if the fits are those of positions side by side."""
        p = self.data.n_features
        asked = {*self.asked}
        sizes = (n, p), (n, 5), (n if asked & ERRORS else 0, p + 1), (n if asked & AHEAD else 0, p + 1)
        places = None if at is None else self._places(at)
        coef = self.arrays["coef"][places] if isinstance(places, slice) else np.empty(sizes[0])
        return Found(coef, *(np.empty(size) for size in sizes[1:]))

    def put(self, found: Found, at: Positions, least: float) -> NDArray[np.bool_]:
        """The fits that end at these positions; which of them, with fewer digits, are to be done one by one."""
        p = self.data.n_features
        intercept, rss, tss, digits, rank = found.numbers.T
        doubt: NDArray[np.bool_] = ~(digits >= least)
        if OF_SQUARES.intersection(self.asked):
            doubt |= rss <= CANCELLED * tss
        places, a = self._places(at), self.arrays
        values: dict[str, Any] = {}
        if len(found.centre):
            values |= self._about(at, found.coef, found.centre)
        if isinstance(places, slice):
            values |= {"intercept": intercept, "digits": digits, "rank": rank}
            values |= {"rss": rss, "tss": tss, "spread": found.spread}
            if found.coef.base is not a["coef"]:
                values["coef"] = found.coef
        else:
            of_squares = a.get("rss"), a.get("tss"), a["digits"], a.get("spread")
            levels.kernels.put_fits(places, *found[:3], a["coef"], a["intercept"], *of_squares, a["rank"])
        self._store(places, values)
        low = np.flatnonzero((rank < p) & ~doubt)
        if low.size:
            self._note_dependent(at[low])
        return doubt

    def put_counts(self, at: Positions, counts: Positions) -> None:
        """How many rows there are for the fits of these positions, whether they are enough or not."""
        self.arrays["n_samples"][self._places(at)] = counts

    def put_one(self, at: int, values: dict[str, Any], centre: Vector | None) -> None:
        """The fit that ends at a position."""
        where = np.array([at])
        if centre is not None:
            values |= self._about(where, np.atleast_2d(values["coef"]), centre[None])
        self._store(self._places(where), values)
        if values["rank"] < self.data.n_features:
            self._note_dependent(where)

    def _note_dependent(self, at: Positions) -> None:
        rows = at if self.laid.order is None else self.laid.order[at]
        self.dependent.append((len(rows), int(rows.min())))

    def fits(self, rows: Rows, state: Any = None) -> Fits:
        """The result."""
        names, options = self.data.names, self.options
        keys = {name: column[:: self.step] for name, column in rows.keys.items()}
        index = None if rows.index is None else rows.index[:: self.step]
        about = About(
            feature_names=None if names is None else tuple(names),
            fit_intercept=options.fit_intercept,
            l2=options.l2,
            keys=keys,
            library=rows.library,
            n_dropped=self.data.n_dropped,
            stats=self.asked,
            index=index,
            state=state,
        )
        return Fits(self.arrays, about)

    def warn(self) -> None:
        """Say of which rows the columns were dependent."""
        if self.dependent:
            counts, rows = zip(*self.dependent, strict=True)
            warnings.warn(
                f"the columns depend on each other in {sum(counts)} fits, the first of them that of row {min(rows)}: "
                "the minimum-norm solution was taken, 0 for a constant column; see rank",
                RankWarning,
                stacklevel=caller_level(),
            )

    def _places(self, at: Positions) -> Positions | slice:
        """Where in the results the fits of these positions go; a slice, which is faster, where it is one."""
        if self.laid.order is None and self.step == 1 and len(at) and at[-1] - at[0] == len(at) - 1:
            return slice(int(at[0]), int(at[-1]) + 1)
        rows = at if self.laid.order is None else self.laid.order[at]
        return rows // self.step if self.step > 1 else rows

    def _store(self, places: Positions | slice, values: dict[str, Any]) -> None:
        for name in values.keys() & self.arrays.keys():
            self.arrays[name][places] = values[name]

    def _about(self, at: Positions, coef: Matrix, centre: Matrix) -> Arrays:
        """Residuals of the rows at these positions, and predictions of those after them, about a centre.

        Differences from there keep the digits that offsets would cost.
        """
        laid, data = self.laid, self.data
        own = at if laid.order is None else laid.order[at]
        after = np.minimum(at + 1, laid.n_positions - 1)
        after = after if laid.order is None else laid.order[after]
        X, x = np.asarray(data.X[own], dtype=np.float64), np.asarray(data.X[after], dtype=np.float64)
        y = np.asarray(data.Y[own, 0], dtype=np.float64)
        there = centre[:, -1]
        residual = (y - there) - np.einsum("ij,ij->i", X - centre[:, :-1], coef)
        prediction = there + np.einsum("ij,ij->i", x - centre[:, :-1], coef)
        ends = np.minimum(np.searchsorted(laid.bounds, at + 1), len(laid.bounds) - 1)
        prediction[laid.bounds[ends] == at + 1] = np.nan
        return {"residual": residual, "prediction": prediction}


@significance.quiet
def of_fit(one: LinearFit) -> dict[str, Any]:
    """What is told of a fit by itself."""
    errors = np.append(one.stderr, one.intercept_stderr)
    values = {name: getattr(one, name) for name in ("coef", "intercept", "digits", "rank", "rss", "tss")}
    return values | {"spread": errors / one.residual_std}
