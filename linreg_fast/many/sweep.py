# SPDX-License-Identifier: BSD-3-Clause
"""The fits of all windows: many at a time in the kernel, and those it is not sure of one by one."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.fitting import fit
from linreg_fast.inference import significance
from linreg_fast.inputs.callers import caller_level
from linreg_fast.inputs.table import Table
from linreg_fast.many.laying import Laid, Positions
from linreg_fast.options import FitOptions
from linreg_fast.passes import blocks, levels
from linreg_fast.passes.progress import Report
from linreg_fast.solvers import small
from linreg_fast.solvers.refinement import AUTO_DIGITS, CANCELLED
from linreg_fast.solvers.solution import RankWarning

STATS = ("stderr", "tvalues", "rss", "r2", "n_samples", "residual", "prediction", "rank", "digits")
OF_SQUARES = ("stderr", "tvalues", "rss", "r2")  # what a sum of squares that cancelled would spoil
WINDOW_SECONDS = 0.2e-6  # a window of few columns
ENTRY_SECONDS = 2e-9  # and for each of their products

Arrays = dict[str, NDArray[Any]]


class Found(NamedTuple):
    """What the kernel writes for each window; of no rows what nobody asks for."""

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    rss: NDArray[np.float64]
    tss: NDArray[np.float64]
    digits: NDArray[np.float64]
    spread: NDArray[np.float64]
    centre: NDArray[np.float64]


@dataclass(slots=True)
class Sweep:
    """What is asked of all windows, and their results, a row for each row of the table that is asked for."""

    data: Table
    laid: Laid
    options: FitOptions
    stats: tuple[str, ...]
    step: int = 1
    results: Arrays = field(default_factory=dict)
    doubtful: list[Positions] = field(default_factory=list)  # windows to be fitted by themselves
    order: Positions | None = None  # rows that may lie in windows
    fading: Any = None

    def run(self, report: Report | None) -> Arrays:
        """The results by name."""
        n, p = -(-self.data.n_rows // self.step), self.data.n_features
        self.order, self.fading = self.laid.rows_present(), self.laid.fading()
        of_columns = {"coef", "stderr", "tvalues"} & {"coef", *self.stats}
        for name in ("coef", "intercept", "digits", *self.stats):
            self.results[name] = np.full((n, p) if name in of_columns else n, np.nan)
        for name in {"stderr", "tvalues"} & set(self.stats):
            self.results[f"intercept_{name.rstrip('s')}"] = np.full(n, np.nan)
        for name in ("n_samples", "rank"):
            self.results[name] = np.zeros(n, dtype=np.int64)
        seconds = WINDOW_SECONDS + ENTRY_SECONDS * (p + 2) ** 2 + 1e-9 * p**3
        need = blocks.Need(1, 1, seconds)
        total = self.laid.n_positions
        blocks.sum_rows(lambda lo, hi, work, out: self._some(lo, hi), total, need, self.options.n_threads, report)
        self._one_by_one()
        return self.results

    def _some(self, lo: int, hi: int) -> None:
        """The windows of positions lo to hi."""
        windows, counts = self.laid.windows(lo, hi)
        rows = self.laid.rows(lo, hi)
        at = np.arange(lo, hi)
        if self.step > 1:
            kept = rows % self.step == 0
            windows, counts, rows, at = windows[:, kept], counts[kept], rows[kept], at[kept]
        put = rows // self.step if self.step > 1 else rows
        self.results["n_samples"][put] = counts
        full = windows[1] > windows[0]
        if not full.any():
            return
        if not full.all():
            windows, put, at = windows[:, full], put[full], at[full]
        found = self._solved(np.ascontiguousarray(windows))
        asked, n, p = set(self.stats), len(at), self.data.n_features
        doubt = ~(found.digits >= AUTO_DIGITS)
        if asked & set(OF_SQUARES):
            doubt |= found.rss <= CANCELLED * found.tss
        if doubt.any():
            self.doubtful.append(np.vstack([windows[:2, doubt], put[doubt], at[doubt]]))
        values = {"coef": found.coef, "intercept": found.intercept, "digits": found.digits}
        values |= {"rank": np.full(n, p), "rss": found.rss}
        if "r2" in asked:
            values["r2"] = significance.determination(found.rss, found.tss - found.rss, found.tss)
        if len(found.spread):
            freedom = counts[full] - p - self.options.fit_intercept
            values |= _errors(found.coef, found.intercept, found.rss, freedom, found.spread)
        if len(found.centre):
            values |= self._about(at, found.coef, found.centre)
        for name in values.keys() & self.results.keys():
            self.results[name][put] = values[name]

    def _solved(self, windows: Positions) -> Found:
        """What the kernel makes of windows that have rows."""
        a, b = int(windows[0].min()), int(windows[1].max())
        X, y, w, order = self._read(a, b)
        left = None if self.fading is None else self.fading(a, b)
        n, p = windows.shape[1], self.data.n_features
        asked = set(self.stats)
        coef, numbers = np.full((n, p), np.nan), np.full((n, 4), np.nan)
        spread = np.full((n if asked & {"stderr", "tvalues"} else 0, p + 1), np.nan)
        centre = np.full((n if asked & {"residual", "prediction"} else 0, p + 1), np.nan)
        longest = int((windows[2] - windows[0]).max())
        work = np.empty(levels.kernels.window_work_size(p, longest))
        kernel = levels.window_fits["float32" if X.dtype == np.float32 else "float64"]
        options = self.options
        asked_of = (longest, options.fit_intercept, options.l2)
        kernel(X, y, w, left, order, windows - a, *asked_of, work, coef, numbers, spread, centre)
        return Found(coef, *numbers.T, spread, centre)

    def _read(self, a: int, b: int) -> tuple[Any, Any, Any, Positions | None]:
        """X, y and w that hold the rows at positions a to b, and where these are there; None: as they lie."""
        data, order = self.data, None if self.order is None else self.order[a:b]
        if data.order:
            part = slice(a, b) if order is None else slice(None)
            return data.X[part], data.Y[part, 0], None if data.w is None else data.w[part], order
        X, Y, w = data.converted(slice(a, b) if order is None else order)
        return X, Y[:, 0], w, None

    def _window(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        """X, y and weights of the rows of a window, its newest row the last."""
        X, y, w, order = self._read(start, stop)
        if order is not None:
            X, y, w = X[order], y[order], None if w is None else w[order]
        if self.fading is not None:
            fading = np.append(np.cumprod(self.fading(start, stop)[: stop - start - 1][::-1])[::-1], 1.0)
            w = fading if w is None else w * fading
        return np.ascontiguousarray(X), np.ascontiguousarray(y), w

    def _about(self, at: Positions, coef: NDArray[np.float64], centre: NDArray[np.float64]) -> Arrays:
        """Residuals of the rows at these positions, and predictions of those after them, from sums about `centre`."""
        laid, data = self.laid, self.data
        own = at if laid.order is None else laid.order[at]
        after = np.minimum(at + 1, laid.n_positions - 1)
        ends = _among(at + 1, laid.bounds)
        after = after if laid.order is None else laid.order[after]
        found: Arrays = {}
        for name, rows in (("residual", own), ("prediction", after)):
            X = np.asarray(data.X[rows], dtype=np.float64)
            found[name] = centre[:, -1] + np.einsum("ij,ij->i", X - centre[:, :-1], coef)
        found["residual"] = (np.asarray(data.Y[own, 0], dtype=np.float64) - centre[:, -1]) - (
            found["residual"] - centre[:, -1]
        )
        found["prediction"][ends] = np.nan
        return found

    def _one_by_one(self) -> None:
        """The windows that the kernel was not sure of, and a warning of dependent columns in them."""
        if not self.doubtful:
            return
        windows = np.hstack(self.doubtful)
        windows = windows[:, np.argsort(windows[2])]
        dependent = []
        for start, stop, put, at in windows.T.tolist():
            rank = self._one(start, stop, put, at)
            if rank < self.data.n_features:
                dependent.append(put * self.step)
        if dependent:
            warnings.warn(
                f"the columns are linearly dependent in {len(dependent)} windows, the first of them that of row "
                f"{dependent[0]}: the minimum-norm solution was taken there, without standard errors; see rank",
                RankWarning,
                stacklevel=caller_level(),
            )

    def _one(self, start: int, stop: int, put: int, at: int) -> int:
        """The fit of one window, with all that `fit` does; its rank."""
        X, y, w = self._window(start, stop)
        options, p = self.options, self.data.n_features
        found = small.of_arrays(X, y, w, options)
        values: dict[str, Any]
        if isinstance(found, small.SmallFit):
            freedom = np.array([stop - start - p - options.fit_intercept])
            ess = found.tss - found.rss if found.ess is None else found.ess
            values = {
                "coef": found.coef,
                "intercept": found.intercept,
                "digits": found.digits,
                "rank": p,
                "rss": found.rss,
                "r2": significance.determination(found.rss, ess, found.tss),
            }
            spread = np.full(p + 1, np.nan) if options.l2 or found.spread is None else found.spread
            values |= _errors(found.coef, found.intercept, np.array([found.rss]), freedom, spread[None])
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RankWarning)  # one for all windows follows
                one = fit(X, y, sample_weight=w, fit_intercept=options.fit_intercept, l2=options.l2, n_threads=1)
            names = ("coef", "intercept", "digits", "rank", "rss", "r2", "stderr", "tvalues")
            values = {name: getattr(one, name) for name in names}
            values |= {"intercept_stderr": one.intercept_stderr, "intercept_tvalue": one.intercept_tvalue}
        if {"residual", "prediction"} & self.results.keys():
            values |= self._about(np.array([at]), np.atleast_2d(values["coef"]), _centre(X, y, w, values, options))
        for name in values.keys() & self.results.keys():
            self.results[name][[put]] = values[name]
        return int(values["rank"])


def _among(values: Positions, ends: Positions) -> NDArray[np.bool_]:
    """Which of ascending values are among the ends."""
    places = np.minimum(np.searchsorted(ends, values), len(ends) - 1)
    return np.asarray(ends[places] == values)


def _centre(X: Any, y: Any, w: Any, values: dict[str, Any], options: FitOptions) -> NDArray[np.float64]:
    """A point near the newest row and the prediction there, from differences to that row."""
    x, coef = np.asarray(X[-1], dtype=np.float64), values["coef"]
    if not options.fit_intercept:
        return np.append(x, x @ coef)[None]
    rest = np.average((y - y[-1]) - (X - x) @ coef, weights=w)
    return np.append(x, y[-1] + rest)[None]


@significance.quiet
def _errors(coef: Any, intercept: Any, rss: Any, freedom: Positions, spread: NDArray[np.float64]) -> Arrays:
    """Standard errors and t statistics of each window."""
    s = np.sqrt(rss / np.where(freedom > 0, freedom, np.nan))
    errors = s[:, None] * spread
    return {
        "stderr": errors[:, :-1],
        "tvalues": coef / errors[:, :-1],
        "intercept_stderr": errors[:, -1],
        "intercept_tvalue": intercept / errors[:, -1],
    }
