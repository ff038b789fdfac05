# SPDX-License-Identifier: BSD-3-Clause
"""The fits of all rows up to each one: stretches of rows side by side, each from the sums of those before it."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.precision import Vector
from linreg_fast.many.answers import AHEAD, Answers, Found, of_fit
from linreg_fast.many.laying import Positions
from linreg_fast.many.state import State
from linreg_fast.many.sweep import Reading, each_alone, fit_seconds
from linreg_fast.passes import blocks, levels, rates
from linreg_fast.passes.progress import Report
from linreg_fast.solvers.refinement import AUTO_DIGITS
from linreg_fast.solvers.solution import ConditionWarning, RankWarning

STRETCH = 1 << 13  # rows whose fits go on from one state
FEW = 1024  # rows that are fitted by themselves where fewer digits are sure
NEAR = 32  # rows before one that the kernel has no fit of that are added one by one


class Stretches:
    """The rows in stretches, and the state at the end of each."""

    def __init__(self, answers: Answers, empty: State) -> None:
        laid, data = answers.laid, answers.data
        self.answers, self.empty, self.reading = answers, empty, Reading(data, laid)
        self.n = -(-laid.n_positions // STRETCH)
        self.states = np.zeros((self.n, levels.kernels.running_state_size(data.n_features)))
        self.fresh: NDArray[np.uint8] | None = None
        if len(laid.bounds) > 2:
            self.fresh = np.zeros(laid.n_positions, dtype=np.uint8)
            self.fresh[laid.bounds[:-1]] = 1
        self.windows: list[Positions] = []  # fits of few rows that are to be done by themselves
        self.doubtful: list[tuple[int, Positions]] = []  # fits of many, by stretch

    def bounds(self, i: int) -> tuple[int, int]:
        """The positions of a stretch."""
        return i * STRETCH, min((i + 1) * STRETCH, self.answers.laid.n_positions)

    def sum(self, i: int) -> None:
        """The state of the rows of a stretch, or of its last group, by themselves."""
        self._run(*self.bounds(i), self.states[i], self.answers.room(0))

    def merge(self) -> None:
        """The states become those of all rows up to the end of each stretch."""
        levels.kernels.running_merge(self.states, self.answers.data.n_features, np.empty(self.states.shape[1]))

    def before(self, i: int) -> Vector:
        """The state that a stretch goes on from."""
        return self.states[i - 1].copy() if i else np.zeros(self.states.shape[1])

    def fit(self, i: int) -> None:
        """All fits of a stretch."""
        lo, hi = self.bounds(i)
        found = self.answers.room(hi - lo)
        self._run(lo, hi, self.before(i), found)
        at = np.arange(lo, hi)
        laid = self.answers.laid
        counts = at + 1 - laid.bounds[np.searchsorted(laid.bounds, at, side="right") - 1]
        self.answers.put_counts(at, counts)
        full = counts >= laid.least
        if not full.all():
            at, found = at[full], Found(*(part[full] if len(part) else part for part in found))
        # of many rows the sums are rounded to float64 by blocks: only where there is no fit anything more is to be had
        doubt = self.answers.put(found, at, 0.0)
        few = counts[full] <= FEW
        by_rows = few & (doubt | ~(found.numbers[:, 3] >= AUTO_DIGITS))
        self.windows.append(np.stack([at + 1 - counts[full], at + 1, at])[:, by_rows])
        if (doubt & ~few).any():
            self.doubtful.append((i, at[doubt & ~few]))

    def _run(self, lo: int, hi: int, state: Vector, found: Found) -> None:
        """Bring a state over the rows at positions lo to hi."""
        first = max(lo - 1, 0)
        X, y, w, left, order = self.reading.rows(first, hi)
        fresh = None if self.fresh is None else self.fresh[first:hi]
        p, options = X.shape[1], self.answers.options
        kernel = levels.running_fits["float32" if X.dtype == np.float32 else "float64"]
        work = np.empty(levels.kernels.running_work_size(p))
        kernel(X, y, w, left, order, fresh, lo - first, options.fit_intercept, options.l2, state, work, *found)

    def one_by_one(self) -> None:
        """The fits that the kernel has declined, from sums whose last rows are added one by one."""
        each_alone(self.answers, self.reading, self.windows)
        for i, doubtful in sorted(self.doubtful, key=lambda found: found[0]):
            numbers, at = self.before(i), i * STRETCH
            for wanted in doubtful.tolist():
                if wanted - NEAR > at:
                    self._run(at, wanted - NEAR, numbers, self.answers.room(0))
                    at = wanted - NEAR
                numbers = self._add(at, wanted + 1, numbers)
                at = wanted + 1
                self._fit_of(State.of_numbers(numbers, self.empty), wanted)

    def _add(self, lo: int, hi: int, numbers: Vector) -> Vector:
        """The state after the rows at positions lo to hi, exactly added."""
        first = max(lo - 1, 0)
        X, y, w, left, order = self.reading.rows(first, hi)
        state = State.of_numbers(numbers, self.empty)
        for at in range(lo, hi):
            row = at - first if order is None else order[at - first]
            if self.fresh is not None and self.fresh[at]:
                state = State.of_numbers(np.zeros_like(numbers), self.empty)
            share = 1.0 if left is None or at == first else float(left[at - first - 1])
            weight = 1.0 if w is None else float(w[row])
            state.add(np.ascontiguousarray(X[row], dtype=np.float64), float(y[row]), weight, share)
        return state.numbers

    def _fit_of(self, state: State, at: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RankWarning)  # one for all follows
            warnings.simplefilter("ignore", ConditionWarning)  # digits say so
            one = state.fit()
        ahead = AHEAD.intersection(self.answers.asked)
        centre = np.append(state.shift, one.predict(state.shift[None])) if ahead else None
        self.answers.put_one(at, of_fit(one), centre)


def run(answers: Answers, empty: State, report: Report | None) -> State | None:
    """Fit all rows so far at each row; the state at the end, None where there are groups."""
    stretches = Stretches(answers, empty)
    if stretches.n == 0:
        return empty
    seconds, workers = fit_seconds(answers.data.n_features) * STRETCH, answers.options.workers
    if stretches.n * seconds < rates.THREADED_SECONDS:
        workers = 1
    _each(stretches.sum, stretches.n, workers, None)
    stretches.merge()
    _each(stretches.fit, stretches.n, workers, _in_rows(report, answers.laid.n_positions))
    stretches.one_by_one()
    return None if len(answers.laid.bounds) > 2 else State.of_numbers(stretches.states[-1], empty)


def _each(call: Callable[[int], None], n: int, workers: int, report: Report | None) -> None:
    """Call for each stretch."""

    def one_block(lo: int, hi: int) -> None:
        call(lo)

    blocks.fold(n, n, one_block, lambda left, right: None, workers, report)


def _in_rows(report: Report | None, n_rows: int) -> Report | None:
    """Progress in stretches told in rows."""
    if report is None:
        return None
    return lambda done, total: report(min(done * STRETCH, n_rows), n_rows)
