# SPDX-License-Identifier: BSD-3-Clause
"""What each solver costs on a shape: the constants, measured, and the candidates of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from linreg_fast.passes import levels, rates

SMALL_COLUMNS: int = levels.kernels.small_columns
EXACT_L = 1024  # unknowns up to which the largest eigenvalue is computed: p^3 work of a quarter second
POWER_STEPS = 30  # passes that estimate the largest eigenvalue of a Hessian that nobody forms
DESCENT_STEPS = 1000  # assumed number of steps: nobody knows it before
LEAN_SECONDS = 14e-6  # Python and checks around a fit of few columns, which needs no LAPACK
LEAN_RATE = 2.4e9  # float64 operations a second of its p^3 work, and p^2 for each further target
CALL_SECONDS = 2.2e-3  # Python, checks and LAPACK calls of any other fit
LAPACK_RATE = 9.0e9  # float64 operations a second of the factor, all threads
QR_RATE = 13e9  # the same of geqrf on row blocks
QR_ROWS_RATE = 0.58e9  # bytes a second of rows centred and scaled for it
SVD_RATE = 8.5e9  # float64 operations a second of gesdd
EIGEN_RATE = 8.0e9  # the same of p^3 for the largest eigenvalue, which gives the learning rate
CONVERT_RATE = 3.4e9  # bytes a second and thread of rows converted piece by piece
WAKE_SECONDS = 0.3e-3  # of the helpers of a pass after a pause, on a virtual machine; in a loop there is none
READ_SCALING = 0.78  # each further thread adds this much of the first one's reading, up to four
DESCENT_RATE = 5.4e9  # float64 operations a second of the descent loop on p x p numbers in cache
DESCENT_STEP_SECONDS = 58e-9  # of each of its steps beside them
STEP_SECONDS = 29e-6  # Python and dispatch of one descent step on the data


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


class PlanArguments(NamedTuple):
    """All that a plan is made of: a shape, how it lies in memory, and what is asked of it."""

    n_rows: int
    n_features: int
    n_targets: int = 1
    solver: str = "auto"
    l2: float = 0.0
    itemsize: int = 8
    order: str = "C"  # "" for rows that must be converted
    weighted: bool = False
    n_threads: int = 1
    descent_passes: str | None = None
    max_iter: int = DESCENT_STEPS
    copies: tuple[str, ...] = ()


class Shape(NamedTuple):
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
        return max(self.read_seconds, self.n * rates.work_seconds(self.row_bytes, flops) / self.n_threads)

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


def shape_of(asked: PlanArguments) -> Shape:
    """What a pass over the rows of a plan costs."""
    n, p, k, n_threads = asked.n_rows, asked.n_features, asked.n_targets, asked.n_threads
    row_bytes = asked.itemsize * p + 8 * (k + asked.weighted)
    size = float(n) * row_bytes
    one_thread = n * rates.row_seconds(row_bytes, p * (p + 1 + 2 * k))
    active = n_threads if one_thread >= rates.THREADED_SECONDS else 1
    readers = 1 + READ_SCALING * (min(n_threads, 4) - 1) if active > 1 else 1
    convert = 0.0 if asked.order else size / (CONVERT_RATE * n_threads)
    return Shape(n, p, k, row_bytes, size, size / (rates.READ_RATE * readers) + convert, active, tuple(asked.copies))


def closed_forms(problem: Shape, l2: float) -> list[Candidate]:
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


def descents(problem: Shape, kind: str | None, max_iter: int) -> list[Candidate]:
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
