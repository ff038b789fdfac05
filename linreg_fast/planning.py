# SPDX-License-Identifier: BSD-3-Clause
"""The plan: which solver, why, and what it will cost, known before the data are read.

Pure functions of shape, dtype, memory order and number of threads. benchmarks/plans.py measured every
candidate over a grid on two cores of a Zen 3 server (AVX2) and fitted the constants below, and READ_RATE,
PACK_RATE and PRODUCT_RATE of passes.py, to it: 98 % of 118 measured times are within a factor of 2 of the
expected ones, and every choice was the best candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from linreg_fast import inputs, levels, passes
from linreg_fast.arrays import IN_PLACE
from linreg_fast.descent import EXACT_L
from linreg_fast.descent_problem import POWER_STEPS
from linreg_fast.passes import threads

SMALL_COLUMNS: int = levels.kernels.small_columns
SOLVERS = ("auto", "cholesky", "qr", "svd", "gd")
LEAN_SECONDS = 21e-6  # Python and checks around a fit of few columns, which needs no LAPACK
LEAN_RATE = 1.5e9  # float64 operations a second of its p^3 work, and p^2 for each further target
CALL_SECONDS = 2.2e-3  # Python, checks and LAPACK calls of any other fit
LAPACK_RATE = 6.5e9  # float64 operations a second of potrf and gemm, all BLAS threads
QR_RATE = 13e9  # the same of geqrf on row blocks
QR_ROWS_RATE = 0.45e9  # bytes a second of rows centred and scaled for it
SVD_RATE = 8.5e9  # float64 operations a second of gesdd
EIGEN_RATE = 8.0e9  # the same of p^3 for the largest eigenvalue, which gives the learning rate
CONVERT_RATE = 2.4e9  # bytes a second and thread of rows converted piece by piece
WAKE_SECONDS = 0.3e-3  # of the helpers of a pass after a pause, on a virtual machine; in a loop there is none
READ_SCALING = 0.68  # each further thread adds this much of the first one's reading, up to four
DESCENT_RATE = 2.8e9  # float64 operations a second of the descent loop on p x p numbers in cache
DESCENT_STEP_SECONDS = 58e-9  # of each of its steps beside them
STEP_SECONDS = 45e-6  # Python and dispatch of one descent step on the data
DESCENT_STEPS = 1000  # assumed number of steps: nobody knows it before
MEMORY_LIMIT = 4 << 30  # bytes of p x p numbers that no solver is chosen beyond
TALL_REASON = "more rows than columns: one pass for the moments; qr or svd follow if the conditioning asks for it"
SECONDS_LIMIT = 600.0  # a closed form is not chosen beyond, unless gd takes longer still


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one solver would cost on a problem.

    Attributes
    ----------
    solver : str
    passes : str
        "one", "two", "rows" (the SVD of the rows themselves), and for gd "moments" or "data".
    flops : float
        Floating-point operations.
    bytes_read : float
        Bytes of X, y and weights read from memory.
    copies : tuple of str
        What is copied or converted, and how large the copy is.
    memory : float
        Bytes needed beside the data.
    seconds : float
        Expected time.
    possible : bool
        False where the shape or the options rule the solver out.
    """

    solver: str
    passes: str
    flops: float
    bytes_read: float
    copies: tuple[str, ...]
    memory: float
    seconds: float
    possible: bool


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


def plan_shape(
    n_rows: int,
    n_features: int,
    n_targets: int = 1,
    *,
    solver: str = "auto",
    l2: float = 0.0,
    itemsize: int = 8,
    order: str = "C",
    weighted: bool = False,
    n_threads: int = 1,
    descent_passes: str | None = None,
    max_iter: int = DESCENT_STEPS,
    copies: Sequence[str] = (),
) -> Plan:
    """The plan for a shape. See `plan` for the arguments; `order` is "" for rows that must be converted."""
    problem = _problem(n_rows, n_features, n_targets, itemsize, order, weighted, n_threads, tuple(copies))
    candidates = _closed_forms(problem, l2) + _descents(problem, descent_passes, max_iter)
    best, reason = _choose(candidates, n_rows, n_features, n_targets, solver)
    return Plan(
        solver=best.solver,
        passes=best.passes,
        reason=reason,
        flops=best.flops,
        bytes_read=best.bytes_read,
        copies=best.copies,
        memory=best.memory,
        seconds=best.seconds,
        n_threads=problem.n_threads,
        candidates=tuple(candidates),
    )


class _Problem(NamedTuple):
    """A shape, and what a pass over its rows costs."""

    n: int
    p: int
    k: int
    row_bytes: int
    size: float  # bytes of X, y and weights
    read_seconds: float  # of all rows from memory, and their conversion
    n_threads: int  # that the pass for the moments is worth
    copies: tuple[str, ...]

    def pass_seconds(self, flops: float) -> float:
        """One pass with so many operations a row."""
        return max(self.read_seconds, self.n * passes.work_seconds(self.row_bytes, flops) / self.n_threads)

    def moments_seconds(self) -> float:
        """The pass for the moments."""
        return self.pass_seconds(self.p * (self.p + 1 + 2 * self.k)) + (WAKE_SECONDS if self.n_threads > 1 else 0.0)

    def moments_flops(self) -> float:
        return float(self.n) * self.p * (self.p + 1 + 2 * self.k)

    def solve_flops(self) -> float:
        """Cholesky of the moments."""
        return self.p**3 / 3 + 2.0 * self.p * self.p * self.k

    def candidate(
        self, solver: str, kind: str, flops: float, reads: float, memory: float, seconds: float, possible: bool = True
    ) -> Candidate:
        extra = (f"centred float64 copy of X, {memory:.3g} bytes",) if kind == "rows" else ()
        return Candidate(solver, kind, flops, reads * self.size, self.copies + extra, memory, seconds, possible)


def _problem(
    n: int, p: int, k: int, itemsize: int, order: str, weighted: bool, n_threads: int, copies: tuple[str, ...]
) -> _Problem:
    row_bytes = itemsize * p + 8 * (k + weighted)
    size = float(n) * row_bytes
    one_thread = n * passes.row_seconds(row_bytes, p * (p + 1 + 2 * k))
    active = n_threads if one_thread >= passes.THREADED_SECONDS else 1
    readers = 1 + READ_SCALING * (min(n_threads, 4) - 1) if active > 1 else 1
    convert = 0.0 if order else size / (CONVERT_RATE * n_threads)
    return _Problem(n, p, k, row_bytes, size, size / (passes.READ_RATE * readers) + convert, active, copies)


def _closed_forms(problem: _Problem, l2: float) -> list[Candidate]:
    """cholesky, qr and svd; the SVD is that of R, or of the rows where there are no more of them than columns."""
    n, p, k = problem.n, problem.p, problem.k
    square = 8.0 * p * p
    solve = problem.solve_flops()
    lean = p <= SMALL_COLUMNS
    call = LEAN_SECONDS + p**2 * (p + 2 * (k - 1)) / LEAN_RATE if lean else CALL_SECONDS + solve / LAPACK_RATE
    product, moments = problem.moments_flops(), problem.moments_seconds()
    qr = 2.0 * n * (p + k) ** 2
    qr_seconds = CALL_SECONDS + moments + qr / QR_RATE + problem.size / QR_ROWS_RATE
    tall = n > p or l2 > 0
    found = [
        problem.candidate("cholesky", "one", product + solve, 1, 4 * square, call + moments, tall),
        problem.candidate("qr", "two", product + qr, 2, 4 * square, qr_seconds, tall),
    ]
    if n <= p:
        wide = 4.0 * n * n * p + 8.0 * n**3
        # the rows are centred and scaled like those of qr
        seconds = CALL_SECONDS + problem.size / QR_ROWS_RATE + wide / SVD_RATE
        return [*found, problem.candidate("svd", "rows", wide, 1, 24.0 * n * p, seconds)]
    svd = 12.0 * p**3
    seconds = qr_seconds + svd / SVD_RATE
    return [*found, problem.candidate("svd", "two", product + qr + svd, 2, 6 * square, seconds)]


def _descents(problem: _Problem, kind: str | None, max_iter: int) -> list[Candidate]:
    """Gradient descent on the moments and on the data, or the one of them that is asked for."""
    n, p, possible = problem.n, problem.p, problem.k == 1
    # up to EXACT_L columns the moments give learning rate and digits whatever the passes, beyond a power iteration
    exact = p <= EXACT_L
    ready = CALL_SECONDS + problem.moments_seconds() + problem.solve_flops() / LAPACK_RATE
    ready += p**3 / EIGEN_RATE if exact else 0.0
    one_pass = problem.pass_seconds(4 * p) + STEP_SECONDS
    found = []
    if kind in (None, "moments"):
        steps = 2.0 * p * p * max_iter
        seconds = ready + steps / DESCENT_RATE + DESCENT_STEP_SECONDS * max_iter
        flops = problem.moments_flops() + steps
        found.append(problem.candidate("gd", "moments", flops, 1, 24.0 * p * p, seconds, possible))
    if kind in (None, "data"):
        seconds = (ready if exact else CALL_SECONDS + POWER_STEPS * one_pass) + one_pass * max_iter
        flops = 4.0 * n * p * max_iter
        found.append(problem.candidate("gd", "data", flops, max_iter, 64.0 * p, seconds, possible))
    return found


def _choose(candidates: list[Candidate], n: int, p: int, k: int, solver: str) -> tuple[Candidate, str]:
    def cheapest(name: str) -> Candidate:
        return min((c for c in candidates if c.solver == name), key=lambda c: (c.memory > MEMORY_LIMIT, c.seconds))

    if solver != "auto":
        return cheapest(solver), "asked for by name"
    closed = cheapest("svd" if n <= p else "cholesky")
    descent = cheapest("gd")
    if k == 1 and (closed.memory > MEMORY_LIMIT or closed.seconds > max(SECONDS_LIMIT, descent.seconds)):
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
    check_solver(solver)
    l2 = inputs.number(l2, "l2", least=0.0)
    if passes not in (None, "moments", "data"):
        raise ValueError(f"passes must be one of moments, data; got {passes!r}")
    if max_iter < 1:
        raise ValueError(f"max_iter must be at least 1, got {max_iter}")
    n, p, k, itemsize, order, converted = _shape(X_or_shape, y, dtype, order)
    return plan_shape(
        n,
        p,
        k,
        solver=solver,
        l2=l2,
        itemsize=itemsize,
        order=order,
        weighted=sample_weight is not None,
        n_threads=threads(n_threads),
        descent_passes=passes,
        max_iter=max_iter,
        copies=[f"{name} converted to float64 in pieces of at most {inputs.CONVERT_BYTES} bytes" for name in converted],
    )


def _shape(X_or_shape: Any, y: Any, dtype: Any, order: str) -> tuple[int, int, int, int, str, list[str]]:
    """Rows, columns, targets, bytes of a number, memory order and what must be converted, of data or a shape."""
    if not (isinstance(X_or_shape, tuple) and all(isinstance(i, (int, float, np.number)) for i in X_or_shape)):
        rows = len(X_or_shape) if hasattr(X_or_shape, "__len__") else 1
        data = inputs.table(X_or_shape, np.broadcast_to(0.0, rows) if y is None else y)
        order = "F" if data.apart else data.order
        return data.n_rows, data.n_features, data.n_targets, data.X.dtype.itemsize, order, data.copies
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
        return n, p, k, dtype.itemsize, order, []
    return n, p, k, dtype.itemsize, "", [f"X ({dtype})"]


def check_solver(solver: Any) -> None:
    """Raise ValueError, naming the solvers, for one that is not."""
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {', '.join(SOLVERS)}; got {solver!r}")
