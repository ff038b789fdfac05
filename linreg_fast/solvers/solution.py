# SPDX-License-Identifier: BSD-3-Clause
"""What a solver hands over, and what it says of dependent columns."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.bread import Spread
from linreg_fast.algebra.minimum_norm import PART, independent
from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.inputs.callers import caller_level as caller_level
from linreg_fast.solvers.factor import Factor
from linreg_fast.solvers.problem import Problem


class RankWarning(UserWarning):
    """The columns are linearly dependent: the minimum-norm solution was taken, or columns were dropped."""


class ConditionWarning(UserWarning):
    """A solver that was asked for by name met a problem too ill-conditioned for it."""


@dataclass(slots=True)
class Solution:
    """Coefficients in the user's units and what is known about them; sums of squares in units of y_unit^2."""

    coef: Matrix  # (n_targets, n_features)
    intercept: Vector  # (n_targets,)
    rss: Vector
    tss: Vector
    rank: int
    rcond: float
    digits: float
    path: tuple[str, ...]
    y_unit: Vector  # (n_targets,), powers of two
    n_samples: int  # rows of non-zero weight
    sum_weight: float
    reason: str = ""
    ess: Vector | None = None  # tss - rss where it is known better than their difference
    spread: Spread | None = None  # standard errors over the residual standard deviation
    collinear: tuple[int, ...] = ()  # columns that take part in a dependency, and those of them dropped
    dropped: tuple[int, ...] = ()
    beta: Matrix | None = None  # coefficients of the columns of `Centred`, and what solves for corrections
    factor: Factor | None = None
    reduced: Problem | None = None  # of the columns kept, where some were dropped
    active: NDArray[np.int8] | None = None  # (n_targets, n_features), of bounds: see `LinearFit`
    chebyshev: Vector | None = None  # of a polynomial: its series, see `LinearFit`
    origin: Vector | None = None  # what predictions are made about, see `LinearFit`
    # of gradient descent
    converged: bool = True
    n_iter: int = 0
    history: Vector | None = None


def collinear_columns(problem: Problem, live: NDArray[np.intp], V: Matrix, n_rows: int) -> tuple[int, ...]:
    """The columns that take part in a dependency, and the warning or the error that says so.

    V, (rank, p), has orthonormal rows that span what the equilibrated columns do; n_rows are of positive weight.
    """
    null = np.sqrt(np.maximum(1.0 - np.einsum("ij,ij->j", V, V), 0.0))  # length of unit vectors in the null space
    columns = live[null > PART]
    rank, p = V.shape
    named = problem.named(columns)
    which = f"the columns {named} depend on each other"
    if n_rows - problem.options.fit_intercept < p:
        weight = " of positive weight" if problem.rows.weighted else ""
        which = f"{n_rows} row{'s' * (n_rows != 1)}{weight} cannot determine {p} columns"
        which += " that vary" if p < problem.rows.n_features else ""
    if problem.options.on_collinear == "raise":
        raise np.linalg.LinAlgError(f"rank {rank} of {p}: {which}")
    outcome = "the solution of minimum norm was taken"
    if problem.options.on_collinear == "drop":
        dropped = np.setdiff1d(live, live[independent(V)])
        outcome = f"the columns {problem.named(dropped)} were dropped"
    warnings.warn(f"rank {rank} of {p}: {which}; {outcome}", RankWarning, stacklevel=caller_level())
    return tuple(int(j) for j in columns)


def constant_columns(problem: Problem, live: NDArray[np.intp]) -> tuple[int, ...]:
    """The columns that do not vary, which depend on the intercept or, without one, are 0; none beside a penalty."""
    n_features = problem.rows.n_features
    if len(live) == n_features or problem.options.l2:
        return ()
    columns = np.setdiff1d(np.arange(n_features), live)
    if problem.options.on_collinear == "raise":
        raise np.linalg.LinAlgError(
            f"the columns {problem.named(columns)} of X are constant: leave them out, or the intercept"
        )
    return tuple(int(j) for j in columns)
