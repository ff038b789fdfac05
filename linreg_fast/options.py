# SPDX-License-Identifier: BSD-3-Clause
"""The options of a fit, checked once."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.checks import integer, number, one_of, vector
from linreg_fast.passes.threads import threads

SOLVERS = ("auto", "cholesky", "qr", "svd", "gd")
PRECISIONS = ("fast", "auto", "extended")
ON_COLLINEAR = ("min_norm", "drop", "raise")
MISSING = ("raise", "drop")
WEIGHTS = ("analytic", "frequency")
MOMENTUM = ("none", "nesterov")
PASSES = ("moments", "data")
MAX_ITER = 1000  # steps of gradient descent
TOL = 1e-8  # of the largest component of the gradient, relative to that at b = 0

# what other libraries call the arguments of a fit
ELSEWHERE = {
    "alpha": "l2",
    "lambda_": "l2",
    "reg_param": "l2",
    "freq_weights": "weights",
    "sample_weights": "sample_weight",
    "add_intercept": "fit_intercept",
    "intercept": "fit_intercept",
    "n_jobs": "n_threads",
    "lr": "learning_rate",
    "eta0": "learning_rate",
    "rate": "learning_rate",
    "max_iterations": "max_iter",
    "verbose": "progress",
    "columns": "feature_names",
}


@dataclass(frozen=True, slots=True)
class DescentOptions:
    """The options of solver="gd", checked as they are set.

    learning_rate   None for 1/L, L the largest eigenvalue of the Hessian of J
    max_iter        most steps
    tol             converged when max |dJ/db| <= tol max |dJ/db at 0|; 0 takes all steps
    momentum        "none" or "nesterov"
    scale           iterate on centred columns of unit standard deviation
    coef_init       start: p slopes, or p slopes and an intercept; None for zeros
    callback        called as callback(step, cost, coef, intercept) after each step; True stops
    passes          "moments", "data", or None for whichever the plan finds cheaper
    """

    learning_rate: float | None = None
    max_iter: int = MAX_ITER
    tol: float = TOL
    momentum: str | None = "none"
    scale: bool = True
    coef_init: Any = None
    callback: Callable[[int, float, NDArray[np.float64], float], object] | None = None
    passes: str | None = None

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError for a value out of its range."""
        put = object.__setattr__
        if self.learning_rate is not None:
            put(self, "learning_rate", number(self.learning_rate, "learning_rate", above=0.0))
        put(self, "tol", number(self.tol, "tol", least=0.0))
        put(self, "max_iter", integer(self.max_iter, "max_iter", 1))
        put(self, "momentum", "none" if self.momentum is None else self.momentum)
        one_of(self.momentum, "momentum", MOMENTUM)
        one_of(self.passes, "passes", (None, *PASSES))
        if self.callback is not None and not callable(self.callback):
            raise TypeError(f"callback must be callable, not {type(self.callback).__name__}")

    def start(self, n_features: int, fit_intercept: bool) -> NDArray[np.float64] | None:
        """`coef_init` as a vector, of n_features numbers or, beside an intercept, one more; None for zeros."""
        if self.coef_init is None:
            return None
        longer = fit_intercept and np.shape(self.coef_init) == (n_features + 1,)
        return vector(self.coef_init, "coef_init", n_features + 1 if longer else n_features)


@dataclass(frozen=True, slots=True)
class FitOptions:
    """What is asked of a fit, beside the data; checked as it is set. See `linreg_fast.fit` for each of them.

    n_threads is the number asked for, None for the default one, which `workers` looks up.
    """

    solver: str = "auto"
    precision: str = "auto"
    l2: float = 0.0
    fit_intercept: bool = True
    on_collinear: str = "min_norm"
    missing: str = "raise"
    weights: str = "analytic"
    n_threads: int | None = None
    descent: DescentOptions | None = None
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None  # of `limits`

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError for a name that is not known or a value out of its range."""
        put = object.__setattr__
        one_of(self.solver, "solver", SOLVERS)
        one_of(self.precision, "precision", PRECISIONS)
        one_of(self.on_collinear, "on_collinear", ON_COLLINEAR)
        one_of(self.missing, "missing", MISSING)
        if not isinstance(self.weights, str):
            raise TypeError(
                f"weights says what the numbers in sample_weight are, {' or '.join(WEIGHTS)}; they go there themselves"
            )
        one_of(self.weights, "weights", WEIGHTS)
        if type(self.l2) is not float or not 0.0 < self.l2 < math.inf:
            put(self, "l2", number(self.l2, "l2", least=0.0) + 0.0)  # no -0.0
        if type(self.fit_intercept) is not bool:
            if not isinstance(self.fit_intercept, np.bool_):
                raise TypeError(f"fit_intercept must be True or False, not {self.fit_intercept!r}")
            put(self, "fit_intercept", bool(self.fit_intercept))
        if self.n_threads is not None:
            put(self, "n_threads", threads(self.n_threads))
        if self.bounds is not None:
            if self.solver not in ("auto", "cholesky"):
                raise ValueError(f'bounds need solver="auto", not {self.solver!r}')
            if self.on_collinear != "min_norm":
                raise ValueError(f"bounds leave no choice of on_collinear, got {self.on_collinear!r}")
        if self.solver == "gd" and self.descent is None:
            put(self, "descent", DescentOptions())

    @property
    def workers(self) -> int:
        """Threads that a pass may use."""
        return threads(self.n_threads)


def limits(positive: Any, bounds: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Lower and upper bounds of the coefficients, each a number or one for each column; None without any.

    Raises
    ------
    TypeError, ValueError
        Not two of numbers, NaN, or bounds that cross, whose position is named.
    """
    if not isinstance(positive, (bool, np.bool_)):
        raise TypeError(f"positive must be True or False, not {positive!r}")
    if bounds is None and not positive:
        return None
    if bounds is not None and not (isinstance(bounds, (tuple, list)) and len(bounds) == 2):
        raise TypeError(f"bounds must be a pair (lower, upper), each a number or one for each column; got {bounds!r}")
    found = []
    for name, value in zip(("lower", "upper"), (0.0, math.inf) if bounds is None else bounds, strict=True):
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"the {name} bounds must be numbers, got {value!r}") from None
        if array.ndim > 1 or np.isnan(array).any():
            raise ValueError(f"the {name} bounds must be a number or one for each column, none of them NaN")
        found.append(array)
    lo, hi = found
    if lo.ndim and hi.ndim and lo.shape != hi.shape:
        raise ValueError(f"the lower bounds are {len(lo)}, the upper ones {len(hi)}")
    if positive:
        lo = np.maximum(lo, 0.0)
    crossed = np.flatnonzero((lo > hi) | (lo == math.inf) | (hi == -math.inf))
    if crossed.size:
        j = int(crossed[0])
        ends = (float(np.ravel(b)[j if b.ndim else 0]) for b in (lo, hi))
        where = f" of column {j}" if lo.ndim or hi.ndim else ""
        raise ValueError("the bounds{} cross or leave no number: lower {:g}, upper {:g}".format(where, *ends))
    return lo, hi


def check_bounds(options: FitOptions, n_features: int) -> None:
    """Raise ValueError for bounds of another number of columns."""
    for b in options.bounds or ():
        if b.ndim and len(b) != n_features:
            raise ValueError(f"bounds has {len(b)} numbers for {n_features} columns")


def descent_options(solver: Any, given: dict[str, Any], known: tuple[str, ...] = ()) -> DescentOptions | None:
    """The options of a solver among the keywords of a call, whose other keywords are `known`; None without any.

    Raises
    ------
    TypeError, ValueError
        A keyword that does not exist, with the one that was meant where that can be guessed; one of gradient descent
        for another solver; a value out of its range.
    """
    if not given:
        return None
    names = tuple(field.name for field in fields(DescentOptions))
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, [*names, *known], 1)
            meant = ELSEWHERE.get(name) or (close[0] if close else None)
            hint = f"; did you mean {meant!r}?" if meant else f"; the options of solver 'gd' are {', '.join(names)}"
            raise TypeError(f"unknown option {name!r}{hint}")
    if solver not in ("auto", "gd"):
        one_of(solver, "solver", SOLVERS)
        raise TypeError(f"solver {solver!r} takes no options, got {', '.join(given)}")
    if solver == "auto":
        raise TypeError(f"options {', '.join(given)} need solver='gd'")
    return DescentOptions(**given)
