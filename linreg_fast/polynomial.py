# SPDX-License-Identifier: BSD-3-Clause
"""Polynomials of one variable: fitted in Chebyshev polynomials of x mapped to [-1, 1], returned in powers of x.

The powers of x itself cannot be rounded to float64 without moving the solution: the condition number of
their columns grows with some 30^degree where x is not about 0. Here t = (x - c) / u, which reaches from -1 to 1, is a
pair (double-double), the columns T_1(t) .. T_d(t) are pairs, and so are all sums and what is made of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from linreg_fast.algebra import paired, room
from linreg_fast.algebra.bread import Spread
from linreg_fast.algebra.digits import FULL_DIGITS, ROUNDING, digits_held
from linreg_fast.algebra.paired import Equations, PairedSums
from linreg_fast.algebra.pairs import add, cholesky, divide, multiply, pairs, product, solve_transposed, total, two_sum
from linreg_fast.algebra.precision import DD_UNIT, EPS, Matrix, Vector, any_range
from linreg_fast.inputs.checks import integer
from linreg_fast.inputs.missing import complete
from linreg_fast.inputs.table import Table, first_fault, table, without_rows
from linreg_fast.options import FitOptions
from linreg_fast.passes import products
from linreg_fast.passes.progress import Report, reporting
from linreg_fast.plan_costs import PlanArguments
from linreg_fast.result import LinearFit
from linreg_fast.solvers.problem import Problem
from linreg_fast.solvers.refinement import NEGLIGIBLE
from linreg_fast.solvers.solution import Solution

SMALLEST = 2.0**-960  # pairs keep their digits above
DEGREE = 60  # beyond, coefficients of powers say nothing even in double-double


@any_range
def fit_polynomial(
    x: Any,
    y: Any,
    degree: int,
    *,
    sample_weight: Any = None,
    precision: str = "auto",
    missing: str = "raise",
    n_threads: int | None = None,
    progress: bool | Report = False,
) -> LinearFit:
    """Fit y = intercept + coef[0] x + coef[1] x^2 + .. + coef[degree - 1] x^degree by least squares.

    Parameters
    ----------
    x : array_like of shape (n_samples,)
        In any units: it is shifted and scaled inside, in double-double.
    y : array_like of shape (n_samples,)
    degree : int
        From 1 to 60.
    sample_weight : array_like of shape (n_samples,), optional
        Weights, finite and not negative.
    precision : {"auto", "fast", "extended"}
        "fast" sums up in float64, the others in double-double: the coefficients are then those of the exact
        powers of x, rounded. Both keep 2 `degree` columns of n_samples float64 while they run.
    missing : {"raise", "drop"}
        As in `fit`.
    n_threads : int, optional
    progress : bool or callable
        As for `fit`.

    Returns
    -------
    LinearFit
        Its `digits` are those of the worst coefficient of a power. `predict` takes x, of shape (n,), and
        evaluates the Chebyshev series, which has more digits near the data than the powers would have.
        Its `rcond` is that of the Chebyshev polynomials.

    Raises
    ------
    TypeError, ValueError
        Data that cannot be used, as in `fit`; a degree out of range; no more different x than `degree`.
    numpy.linalg.LinAlgError
        The x are so close to `degree` places or fewer that there is no unique solution.

    Examples
    --------
    >>> import numpy as np, linreg_fast
    >>> x = np.arange(2000.0, 2021.0)
    >>> fit = linreg_fast.fit_polynomial(x, (x - 2010.0) ** 2, 2)
    >>> fit.intercept, fit.coef
    (4040100.0, array([-4.02e+03,  1.00e+00]))
    >>> fit.predict([2010.0, 2011.0])
    array([0., 1.])
    """
    degree = integer(degree, "degree", 1)
    if degree > DEGREE:
        raise ValueError(f"degree must be from 1 to {DEGREE}, got {degree}")
    options = FitOptions(precision=precision, missing=missing, n_threads=n_threads)
    data = _table(x, y, sample_weight, options)
    u, v, w = _present(data, degree)
    basis = _basis(float(u.min()), float(u.max()), degree)
    T = _chebyshev(_mapped(u, basis.c, basis.unit), degree)
    ey = -int(np.frexp(np.abs(v).max())[1])
    v = np.ldexp(v, ey)  # at most 1: its squares stay in the range of float64
    with reporting(progress) as report:
        M, shift = _sums(T, v, w, precision, options.workers, report)
    rounding = EPS if precision == "fast" else DD_UNIT * degree**2
    noise = rounding * np.diagonal(M[..., 0])
    E = paired.equations(PairedSums(M, noise, rounding, shift, len(v), degree), True, 0.0)
    R = cholesky(E.A) if len(E.live) == degree else None
    if R is None:
        hint = 'float64; use precision="auto"' if precision == "fast" else "double-double"
        raise np.linalg.LinAlgError(
            f"the x are too close to {degree} places to determine a polynomial of that degree in {hint}"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        solution = _solution(E, R, basis, ey, data.n_present())
    if precision != "fast":
        solution.reason += ", sums in double-double"
    shape = without_rows(degree, 1, None, True)
    shape.n_dropped = data.n_dropped
    return LinearFit.of_solution(Problem(shape, options, PlanArguments(data.n_rows, degree)), solution)


@dataclass(frozen=True, slots=True)
class _Basis:
    """T_k((x - c) / unit) for k from 0 to degree, and what powers of x they are made of."""

    c: float
    unit: float
    P: Matrix  # pairs P[k, j], the coefficient of x^j in T_k


def _table(x: Any, y: Any, sample_weight: Any, options: FitOptions) -> Table:
    """One column of each, without a fault."""
    data = table(x, y, sample_weight, argument="x")
    if not data.one_feature:
        raise ValueError(f"x must have one dimension, got shape {data.X.shape}")
    if not data.one_target:
        raise ValueError(f"y must have one dimension, got shape {data.Y.shape}: fit the targets one by one")
    if options.missing == "drop":
        data = complete(data)
    fault = first_fault(data)
    if fault is not None:
        raise ValueError(fault)
    return data


def _present(data: Table, degree: int) -> tuple[Vector, Vector, Vector | None]:
    """x, y and weights of the rows of non-zero weight as float64; enough different x among them."""
    there = slice(None) if data.w is None else np.asarray(data.w) != 0
    u = np.asarray(data.X[there, 0], dtype=np.float64)
    if not len(u):
        raise ValueError("sample_weight has no positive weight: no row is left to fit")
    found = len(np.unique(u))
    if found <= degree:
        raise ValueError(f"x has {found} different values: they cannot determine a polynomial of degree {degree}")
    w = None if data.w is None else np.asarray(data.w[there], dtype=np.float64)
    return u, np.asarray(data.Y[there, 0], dtype=np.float64), w


def _basis(least: float, largest: float, degree: int) -> _Basis:
    """About the middle of the x, in a unit that is a power of two."""
    c, unit = _domain(least, largest)
    with np.errstate(all="ignore"):
        P = _powers(c, unit, degree)
    if not (np.isfinite(P).all() and P[degree, degree, 0] > SMALLEST):
        raise ValueError("coefficients of powers of x leave the range of float64; scale x")
    return _Basis(c, unit, P)


def _domain(least: float, largest: float) -> tuple[float, float]:
    """c and the least unit with |x - c| <= unit for all x, but for rounding.

    On half of [-1, 1] the condition number of Chebyshev polynomials would grow with 3.7^degree.
    """
    c = least / 2 + largest / 2
    return c, max(largest / 2 - c / 2, c / 2 - least / 2) * 2


def _over(x: Matrix, unit: float) -> Matrix:
    """x / unit as pairs, by a power of two first: nothing on the way leaves the range of float64."""
    part, power = math.frexp(unit)
    return divide(np.ldexp(x, -power), pairs(np.array(part)))


def _mapped(x: Vector, c: float, unit: float) -> Matrix:
    """t = (x - c) / unit as pairs."""
    return _over(pairs(*two_sum(x, np.full_like(x, -c))), unit)


def _chebyshev(t: Matrix, degree: int) -> list[Matrix]:
    """T_1(t) .. T_degree(t) as pairs: T_k+1 = 2 t T_k - T_k-1."""
    T = [pairs(np.ones(len(t))), t]
    for _ in range(degree - 1):
        T.append(add(2 * multiply(t, T[-1]), -T[-2]))
    return T[1:]


def _powers(c: float, unit: float, degree: int) -> Matrix:
    """Pairs P[k, j]: the coefficient of x^j in T_k((x - c) / unit), for k and j from 0 to degree."""
    P = np.zeros((degree + 1, degree + 1, 2))
    P[0, 0] = 1.0, 0.0
    P[1, :2] = shift, step = _over(pairs(np.array([-c, 1.0])), unit)
    for k in range(1, degree):
        lifted = multiply(np.roll(P[k], 1, axis=0), step)  # T_k x / unit; the highest place is still free
        P[k + 1] = add(2 * add(lifted, multiply(P[k], shift)), -P[k - 1])
    return P


def _sums(
    T: list[Matrix], v: Vector, w: Vector | None, precision: str, n_threads: int, report: Report | None
) -> tuple[Matrix, Vector]:
    """Moments of [T - k, 1, y - ky] as pairs, and the shift."""
    degree = len(T)
    hi = np.asfortranarray(np.stack([column[:, 0] for column in T], axis=1))
    shift = products.leading_mean(table(hi, v, w))
    if precision == "fast":
        return pairs(products.cross_products(table(hi, v, w), shift, np.ones_like(shift), n_threads, report)), shift
    # high and low parts side by side, and their cross products added up
    both = np.asfortranarray(np.concatenate([hi, np.stack([column[:, 1] for column in T], axis=1)], axis=1))
    longer = np.concatenate([shift[:degree], np.zeros(degree), shift[degree:]])
    M = products.dd_cross_products(table(both, v, w), longer, np.ones_like(longer), n_threads, report)
    low = slice(degree, 2 * degree)
    M[:degree] = add(M[:degree], M[low])
    M[:, :degree] = add(M[:, :degree], M[:, low])
    kept = np.delete(np.arange(len(M)), low)
    return M[np.ix_(kept, kept)], shift


def _solution(E: Equations, R: Matrix, basis: _Basis, ey: int, n_samples: int) -> Solution:
    """From R'R = A to coefficients of powers, their errors and their digits, all in pairs."""
    degree, c, unit, P = len(R), basis.c, basis.unit, basis.P
    scale = np.ldexp(1.0, E.e)[:, None]
    # what the powers are of the equilibrated columns: those of x first, then that of 1, less the means
    C = np.concatenate([P[1:, 1:] * scale[:, None], (add(P[1:, 0], -E.m) * scale)[:, None]], axis=1)
    Z = solve_transposed(R, np.concatenate([E.c, C, pairs(np.eye(degree))], axis=1))
    z, D, half = Z[:, :1], Z[:, 1 : degree + 2], Z[:, degree + 2 :]
    b = product(D, z)[:, 0]
    b[-1] = add(b[-1], E.m_y[0])
    b_hi = np.ldexp(b[:, 0], -ey)
    squares = total(multiply(D, D))
    squares[-1, 0] += 1 / float(E.sum_weight[0])
    if not (np.isfinite(b_hi).all() and np.isfinite(squares).all()):
        raise ValueError("a coefficient of a power of x leaves the range of float64; scale x")
    tss = E.S_yy[0]
    rss = add(tss, -total(multiply(z, z))[0])
    if rss[0] < 0:
        rss = np.zeros(2)
    series = product(half, z)[:, 0] * scale
    mean = add(E.m_y[0], -total(multiply(E.m, series)))[0]
    room.for_lapack()
    singular = np.linalg.svd(R[..., 0], compute_uv=False)
    rcond = float(singular[-1] / singular[0])
    worst = _worst_error(E, b[:, 0], series[:, 0] / scale[:, 0], C[..., 0], rcond, singular[0])
    if ((b_hi == 0) & (b[:, 0] != 0)).any():
        worst = 1.0  # of a coefficient that vanished
    return Solution(
        coef=b_hi[None, :-1],
        intercept=b_hi[-1:],
        rss=rss[:1],
        tss=tss[:1],
        ess=add(tss, -rss)[:1],
        rank=degree,
        rcond=rcond,
        digits=min(FULL_DIGITS, -math.log10(worst), digits_held(b_hi[:-1], b_hi[-1:])),
        path=("cholesky",),
        y_unit=np.array([math.ldexp(1.0, -ey)]),
        n_samples=n_samples,
        sum_weight=float(E.sum_weight[0]),
        reason=f"Chebyshev polynomials of (x - {c:g}) / {unit:g}",
        spread=Spread(np.sqrt(squares[:, 0]), None),
        chebyshev=np.concatenate([[c, unit], np.ldexp(np.append(mean, series[:, 0]), -ey)]),
    )


def _worst_error(E: Equations, b: Vector, beta: Vector, C: Matrix, rcond: float, largest: float) -> float:
    """Relative error to expect of the worst coefficient b = C'beta of a power, the intercept last.

    `largest` is the largest singular value of R.
    """
    # errors of beta from those of A and c, carried over to each power
    sizes, most = np.abs(beta), float(np.abs(beta).max(initial=0.0))
    error = (E.noise * most + float(E.noise_c[0])) / rcond**2 / largest**2
    made_of = np.where(sizes <= ROUNDING * most, most, sizes)  # what may be 0 is rounding of the largest
    # the mean of y rounds by its spread
    mean = abs(float(E.m_y[0, 0])) + math.sqrt(max(0.0, float(E.S_yy[0, 0])) / float(E.sum_weight[0]))
    worst = EPS
    for j, size in enumerate(np.abs(b).tolist()):
        last, own = j == len(b) - 1, np.abs(C[:, j])
        wrong = error * float(np.linalg.norm(own)) + (float(E.noise_m_y[0]) + float(own @ sizes) * E.noise) * last
        terms = float(own @ made_of) + mean * last
        # what float64 would round its terms by, and no larger than its error, may be exactly 0
        if size > min(ROUNDING, max(NEGLIGIBLE, wrong / terms if terms else 0.0)) * terms:
            worst = max(worst, wrong / size)
    return worst
