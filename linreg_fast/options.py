# SPDX-License-Identifier: BSD-3-Clause
"""Options of a fit, checked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.precision import Vector
from linreg_fast.inputs.checks import number, vector

ON_COLLINEAR = ("min_norm", "drop", "raise")

MAX_ITER = 1000
TOL = 1e-8  # of the largest component of the gradient, relative to that at b = 0
MOMENTUM = ("none", "nesterov")
PASSES = ("moments", "data")


@dataclass(frozen=True, slots=True)
class DescentOptions:
    """The options of solver="gd", checked.

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
    momentum: str = "none"
    scale: bool = True
    coef_init: NDArray[np.float64] | None = None
    callback: Callable[[int, float, Vector, float], object] | None = None
    passes: str | None = None


def descent_options(given: dict[str, Any], n_features: int, fit_intercept: bool) -> DescentOptions:
    """Check the options a user gave.

    Raises
    ------
    TypeError, ValueError
        An option that does not exist, or a value out of its range.
    """
    names = tuple(DescentOptions.__slots__)
    for name in given:
        if name not in names:
            raise TypeError(f"unknown option {name!r} of solver 'gd'; the options are {', '.join(names)}")
    values = dict(given)
    if values.get("learning_rate") is not None:
        values["learning_rate"] = number(values["learning_rate"], "learning_rate", above=0.0)
    if "tol" in values:
        values["tol"] = number(values["tol"], "tol", least=0.0)
    max_iter = values.get("max_iter", MAX_ITER)
    if isinstance(max_iter, bool) or not isinstance(max_iter, (int, np.integer)):
        raise TypeError(f"max_iter must be an integer, not {type(max_iter).__name__}")
    if max_iter < 1:
        raise ValueError(f"max_iter must be at least 1, got {max_iter}")
    if values.get("momentum", "none") is None:
        values["momentum"] = "none"
    if values.get("momentum", "none") not in MOMENTUM:
        raise ValueError(f"momentum must be one of {', '.join(MOMENTUM)}; got {values['momentum']!r}")
    if values.get("passes") not in (None, *PASSES):
        raise ValueError(f"passes must be one of {', '.join(PASSES)}; got {values['passes']!r}")
    if values.get("callback") is not None and not callable(values["callback"]):
        raise TypeError(f"callback must be callable, not {type(values['callback']).__name__}")
    if values.get("coef_init") is not None:
        start = np.asarray(values["coef_init"])
        length = n_features + 1 if fit_intercept and start.shape == (n_features + 1,) else n_features
        values["coef_init"] = vector(start, "coef_init", length)
    return DescentOptions(**values)


PRECISIONS = ("fast", "auto", "extended")
SOLVERS = ("auto", "cholesky", "qr", "svd", "gd")


def check_solver(solver: Any) -> None:
    """Raise ValueError, naming the solvers, for one that is not."""
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {', '.join(SOLVERS)}; got {solver!r}")
