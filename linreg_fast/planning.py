# SPDX-License-Identifier: BSD-3-Clause
"""The plan: which solver, why, and what it will cost, known before the data are read.

Pure functions of shape, dtype, memory order and number of threads. benchmarks/plans.py measured every
candidate over a grid on two cores of a Zen 4 server and fitted the constants of plan_costs.py, and READ_RATE,
PACK_RATE and PRODUCT_RATE of passes/rates.py, to it: 97 % of 118 measured times are within a factor of 2 of the
expected ones. Levels v3 and v4 have the same rates there: its units for products are 256 bits wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from linreg_fast.inputs.arrays import IN_PLACE
from linreg_fast.inputs.checks import CONVERT_BYTES
from linreg_fast.inputs.table import Table, table
from linreg_fast.options import DescentOptions, FitOptions
from linreg_fast.plan_costs import DESCENT_STEPS, Candidate, PlanArguments, closed_forms, descents, shape_of

UNTHREADED = 1 << 16  # numbers up to which no pass is worth a second thread
MEMORY_LIMIT = 4 << 30  # bytes of p x p numbers that no solver is chosen beyond
TALL_REASON = "more rows than columns: one pass for the moments; qr or svd follow if the conditioning asks for it"
SECONDS_LIMIT = 600.0  # a closed form is not chosen beyond, unless gd takes longer still


@dataclass(frozen=True, slots=True)
class Plan:
    """The solver chosen for a problem, why, and what it will cost; every candidate beside it.

    Attributes
    ----------
    solver, passes, flops, bytes_read, copies, memory, seconds
        As in `Candidate`, of the solver chosen.
    reason : str
        Why, in a sentence.
    n_threads : int
    candidates : tuple of Candidate
        All solvers, each with its cost.
    """

    solver: str
    passes: str
    reason: str
    flops: float
    bytes_read: float
    copies: tuple[str, ...]
    memory: float
    seconds: float
    n_threads: int
    candidates: tuple[Candidate, ...]

    def __str__(self) -> str:
        copies = "; ".join(self.copies) or "none"
        return (
            f"{self.solver}: {self.reason}\n"
            f"{self.flops:.3g} operations, {self.bytes_read:.3g} bytes read, {self.memory:.3g} bytes beside the data, "
            f"copies: {copies}\nexpected {self.seconds:.3g} s on {self.n_threads} threads"
        )


def plan_arguments(data: Table, options: FitOptions) -> PlanArguments:
    """What the plan of a fit of a table is made of."""
    descent = options.descent
    n, p = data.X.shape
    workers = 1 if n * p <= UNTHREADED else options.workers
    return PlanArguments(
        n,
        p,
        data.Y.shape[1],
        options.solver,
        options.l2,
        data.X.itemsize,
        "F" if data.apart else data.order,
        data.w is not None,
        workers,
        descent.passes if descent else None,
        descent.max_iter if descent else DESCENT_STEPS,
        tuple(data.copies),
    )


def plan_shape(asked: PlanArguments) -> Plan:
    """The plan for a shape."""
    shape = shape_of(asked)
    candidates = closed_forms(shape, asked.l2) + descents(shape, asked.descent_passes, asked.max_iter)
    best, reason = _choose(candidates, asked)
    return Plan(
        solver=best.solver,
        passes=best.passes,
        reason=reason,
        flops=best.flops,
        bytes_read=best.bytes_read,
        copies=best.copies,
        memory=best.memory,
        seconds=best.seconds,
        n_threads=shape.n_threads,
        candidates=tuple(candidates),
    )


def _choose(candidates: list[Candidate], asked: PlanArguments) -> tuple[Candidate, str]:
    n, p = asked.n_rows, asked.n_features

    def cheapest(name: str) -> Candidate:
        return min((c for c in candidates if c.solver == name), key=lambda c: (c.memory > MEMORY_LIMIT, c.seconds))

    if asked.solver != "auto":
        return cheapest(asked.solver), "asked for by name"
    closed = cheapest("svd" if n <= p else "cholesky")
    descent = cheapest("gd")
    if asked.n_targets == 1 and (closed.memory > MEMORY_LIMIT or closed.seconds > max(SECONDS_LIMIT, descent.seconds)):
        what = f"{p} columns need {closed.memory:.3g} bytes and {closed.seconds:.3g} s by {closed.solver}"
        return descent, f"{what}: too much for a closed form"
    if n <= p:
        return closed, f"no more rows ({n}) than columns ({p}): minimum norm"
    return closed, TALL_REASON


def plan(
    X_or_shape: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    solver: str = "auto",
    l2: float = 0.0,
    dtype: Any = np.float64,
    order: str = "C",
    n_threads: int | None = None,
    passes: str | None = None,
    max_iter: int = DESCENT_STEPS,
) -> Plan:
    """What `fit` would do with a problem, why, and what it would cost, without reading the data.

    Parameters
    ----------
    X_or_shape : array_like or tuple of int
        X, or its shape (n_rows, n_features), or (n_rows, n_features, n_targets).
    y : array_like, optional
        Targets; one is assumed without it.
    sample_weight : array_like, optional
        Only whether it is there counts.
    solver : {"auto", "cholesky", "qr", "svd", "gd"}
    l2 : float
    dtype, order : optional
        Of X, where only a shape is given: "C" or "F".
    n_threads : int, optional
    passes : {"moments", "data"}, optional
        For gradient descent.
    max_iter : int
        Steps of gradient descent to count with.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError
        A shape that is not of integers; a dtype that is not of real numbers; data that `fit` would not take.
    ValueError
        An unknown solver, order or kind of passes, a number out of range, or a shape without rows.
    """
    descent = DescentOptions(passes=passes, max_iter=max_iter)
    options = FitOptions(solver=solver, l2=l2, n_threads=n_threads)
    found = _shape(X_or_shape, y, dtype, order)
    copies = [f"{name} converted to float64 in pieces of at most {CONVERT_BYTES} bytes" for name in found.copies]
    return plan_shape(
        found._replace(
            solver=options.solver,
            l2=options.l2,
            weighted=sample_weight is not None,
            n_threads=options.workers,
            descent_passes=descent.passes,
            max_iter=descent.max_iter,
            copies=tuple(copies),
        )
    )


def _shape(X_or_shape: Any, y: Any, dtype: Any, order: str) -> PlanArguments:
    """Rows, columns, targets, bytes of a number, memory order and what must be converted, of data or a shape."""
    if not (isinstance(X_or_shape, tuple) and all(isinstance(i, (int, float, np.number)) for i in X_or_shape)):
        rows = len(X_or_shape) if hasattr(X_or_shape, "__len__") else 1
        return plan_arguments(table(X_or_shape, np.broadcast_to(0.0, rows) if y is None else y), FitOptions())
    if not all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) for i in X_or_shape):
        raise TypeError(f"a shape is (rows, columns) or (rows, columns, targets), of integers; got {X_or_shape}")
    rest = X_or_shape[1:]
    if len(rest) not in (1, 2) or X_or_shape[0] < 1 or min(rest) < 0 or rest[1:] == (0,):
        raise ValueError(f"a shape is (rows, columns) or (rows, columns, targets), with rows > 0; got {X_or_shape}")
    if order not in ("C", "F"):
        raise ValueError(f'order must be "C" or "F", got {order!r}')
    dtype = np.dtype(dtype)
    if dtype.kind not in "fiub":
        raise TypeError(f"X has dtype {dtype}, which is not a real number")
    n, p, k = (*X_or_shape, 1)[:3]
    if dtype in IN_PLACE:
        return PlanArguments(n, p, k, itemsize=dtype.itemsize, order=order)
    return PlanArguments(n, p, k, itemsize=dtype.itemsize, order="", copies=(f"X ({dtype})",))
