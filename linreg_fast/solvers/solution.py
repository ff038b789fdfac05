# SPDX-License-Identifier: BSD-3-Clause
"""What a solver hands over, and what it says of dependent columns."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.centred import Centred
from linreg_fast.algebra.factors import Factor
from linreg_fast.algebra.minimum_norm import PART, independent
from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.inputs.table import Table


def caller_level() -> int:
    """The stacklevel that makes a warning point at the line that called the library, however deep it is raised."""
    level, frame = 1, sys._getframe(1)
    # through decorators of NumPy too
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in (
        "linreg_fast",
        "numpy",
    ):
        level, frame = level + 1, frame.f_back
    return level


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
    reason: str = ""
    ess: Vector | None = None  # tss - rss where it is known better than their difference
    beta: Matrix | None = None  # coefficients of the columns of `Centred`, and what solves for corrections
    factor: Factor | None = None
    centred: Centred | None = None  # of the columns kept, where some were dropped
    collinear: tuple[int, ...] = ()  # columns that take part in a dependency, and those of them dropped
    dropped: tuple[int, ...] = ()


def collinear_columns(
    data: Table, live: NDArray[np.intp], V: Matrix, on_collinear: str, n_rows: int | None = None
) -> tuple[int, ...]:
    """The columns that take part in a dependency, and the warning or the error that says so.

    V, (rank, p), has orthonormal rows that span what the equilibrated columns do.
    """
    null = np.sqrt(np.maximum(1.0 - np.einsum("ij,ij->j", V, V), 0.0))  # length of unit vectors in the null space
    columns = live[null > PART]
    rank, p = V.shape
    named = _named(data, columns)
    which = f"{n_rows} rows cannot determine {p} columns" if n_rows else f"the columns {named} depend on each other"
    if on_collinear == "raise":
        raise np.linalg.LinAlgError(f"rank {rank} of {p}: {which}")
    outcome = "the solution of minimum norm was taken"
    if on_collinear == "drop":
        dropped = np.setdiff1d(live, live[independent(V)])
        outcome = f"the columns {_named(data, dropped)} were dropped"
    warnings.warn(f"rank {rank} of {p}: {which}; {outcome}", RankWarning, stacklevel=caller_level())
    return tuple(int(j) for j in columns)


def constant_columns(data: Table, live: NDArray[np.intp], on_collinear: str) -> tuple[int, ...]:
    """The columns that do not vary, which depend on the intercept or, without one, are 0."""
    if len(live) == data.n_features:
        return ()
    columns = np.setdiff1d(np.arange(data.n_features), live)
    if on_collinear == "raise":
        raise np.linalg.LinAlgError(
            f"the columns {_named(data, columns)} of X are constant: leave them out, or the intercept"
        )
    return tuple(int(j) for j in columns)


def _named(data: Table, columns: NDArray[np.intp]) -> str:
    shown = [data.names[j] if data.names else int(j) for j in columns[:10]]
    return f"{shown}{' and others' if len(columns) > 10 else ''}"
