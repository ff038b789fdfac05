# SPDX-License-Identifier: BSD-3-Clause
"""Minimum norm for no more rows than columns, where p x p moments would be a waste.

The SVD of the centred, scaled rows themselves decides the rank and gives the coefficients. They are refined
through the dual problem, which is as small as the rows are few. Beside an intercept the first row is taken off
the others, from y too, which leaves D b = v; without one D = X and v = y. Then

    b = D'u,    (D D' + l2 L) u = v,    L = diag(1 / w), + 1 1' / w_1 beside an intercept

and without a penalty b is of all solutions the one of least norm. D is exact as pairs of float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.centred import check_range, origin
from linreg_fast.algebra.digits import FULL_DIGITS, digits_of, expected_digits, intercepts, vanished
from linreg_fast.algebra.factors import svd_loss, thin_svd
from linreg_fast.algebra.minimum_norm import independent, minimum_norm
from linreg_fast.algebra.pairs import add, divide, multiply, pairs, total, two_sum
from linreg_fast.algebra.precision import EPS, Matrix, Vector, any_range
from linreg_fast.inputs.table import Table, first_fault
from linreg_fast.solvers import refinement
from linreg_fast.solvers.closed_form import RANK_TOLERANCE
from linreg_fast.solvers.problem import Problem
from linreg_fast.solvers.solution import Solution, collinear_columns, constant_columns

PAIR_BYTES = 1 << 20  # of differences of rows that are held as pairs at once: L2


@any_range
def solve(problem: Problem) -> Solution:
    """Minimum norm for no more rows than columns, or ridge.

    The rank is that of columns scaled to equal norm, the norm that of the coefficients in the user's units.
    No p x p matrix is made: the cost is n^2 p and one float64 copy of X, centred.
    """
    data, options = problem.rows, problem.options
    assert isinstance(data, Table)
    fit_intercept, l2 = options.fit_intercept, options.l2
    rows = _centred_rows(data, fit_intercept, l2)
    n, p = rows.X.shape
    live = np.flatnonzero(rows.Z.any(axis=0))
    collinear = constant_columns(problem, live)
    dropped = collinear if options.on_collinear == "drop" else ()
    b, b0, residual = np.zeros((p, data.n_targets)), rows.ky + rows.mu_y, rows.V
    rank, rcond, digits = 0, 1.0, FULL_DIGITS
    if len(live):
        # a penalty is in the user's units; without one columns are equilibrated
        Z, e = (rows.Z[:, live], np.zeros(len(live), np.int64)) if l2 else _equilibrated(rows.Z[:, live])
        U, sigma, Vt = thin_svd(Z)
        rank = int(np.count_nonzero(sigma > RANK_TOLERANCE * math.sqrt(len(live)) * sigma[0]))
        deficient = rank < len(live) and not l2
        if deficient:
            part = collinear_columns(problem, live, Vt[:rank], n)
            collinear = tuple(sorted({*collinear, *part}))
        if deficient and options.on_collinear == "drop":
            kept = independent(Vt[:rank])
            dropped = tuple(sorted({*dropped, *(int(j) for j in np.setdiff1d(live, live[kept]))}))
            live, e, Z, deficient = live[kept], e[kept], Z[:, kept], False
            U, sigma, Vt = thin_svd(Z)
        beta = Vt[:rank].T @ ((U[:, :rank].T @ rows.V) / (sigma[:rank] + rows.penalty / sigma[:rank])[:, None])
        if deficient:
            beta, _ = minimum_norm(Vt[:rank], None, e + rows.ex[live], beta, 1.0)
        b[live] = np.ldexp(beta, e[:, None])
        residual = rows.V - Z @ beta
        rcond = float(sigma[rank - 1] / sigma[0])
        tan = np.linalg.norm(residual, axis=0) / np.linalg.norm(rows.V, axis=0).clip(np.finfo(float).tiny)
        if fit_intercept:
            b0 = intercepts(b.T, rows.k, rows.mu, rows.ky, rows.mu_y)
        lever = np.abs(rows.k[live]) @ np.ldexp(1.0, e) * np.abs(beta).max(axis=0, initial=0.0)
        delta = svd_loss(Z, (U, sigma, Vt)) * EPS / rcond * (1 + tan / rcond)
        weight = n if rows.w is None else float((rows.w / rows.unit).sum())
        size_y = np.sqrt(np.einsum("ij,ij->j", rows.V, rows.V))
        m, m_y = rows.k + rows.mu, rows.ky + rows.mu_y
        terms = np.abs(m_y) + size_y / math.sqrt(weight) + np.abs(b.T * m).sum(axis=1)
        digits = expected_digits(beta, delta, size_y * (not deficient), b0, terms, lever)
    rss = np.einsum("ij,ij->j", residual, residual) * rows.unit
    if options.precision == "extended" or (options.precision == "auto" and digits < refinement.AUTO_DIGITS):
        found = _refine(rows, live, fit_intercept, l2)
        if found is not None:
            b[live], b0, rss, digits = found.b, found.b0, found.rss, found.digits
    n_samples, sum_weight = data.n_present(), data.sum_weight()
    coef = np.ldexp(b, rows.ex[:, None] - rows.ey).T.copy()
    check_range(data, coef)
    return Solution(
        coef=coef,
        intercept=np.ldexp(b0, -rows.ey),
        rss=rss,
        tss=np.einsum("ij,ij->j", rows.V, rows.V) * rows.unit,
        rank=rank,
        rcond=rcond,
        digits=0.0 if vanished(b * np.linalg.norm(rows.Z, axis=0)[:, None], coef.T) else digits,
        path=("svd",),
        y_unit=np.ldexp(1.0, -rows.ey),
        n_samples=n_samples,
        sum_weight=sum_weight,
        origin=_origin(rows, coef, weight) if fit_intercept and len(live) else None,
        reason=f"{n} rows for {p} columns: {'ridge' if l2 else 'columns dropped' if dropped else 'minimum norm'}",
        collinear=collinear,
        dropped=dropped,
    )


def _origin(rows: _Rows, coef: Matrix, weight: float) -> Vector | None:
    mean, mean_y = np.column_stack(two_sum(rows.k, rows.mu)), np.column_stack(two_sum(rows.ky, rows.mu_y))
    size_y = np.sqrt(np.einsum("ij,ij->j", rows.V, rows.V) / weight)
    back = -rows.ey
    mean, mean_y = np.ldexp(mean, -rows.ex[:, None]), np.ldexp(mean_y, back[:, None])
    return origin(coef, mean, mean_y, np.ldexp(size_y, back))


@dataclass(slots=True)
class _Rows:
    """The rows of positive weight, X and Y times powers of two, and centred: Z = sqrt(w) (X - k - mu), V alike."""

    X: Matrix
    Y: Matrix
    w: Vector | None
    ex: NDArray[np.int64]  # exponents of two, of columns and targets
    ey: NDArray[np.int64]
    k: Vector
    ky: Vector
    mu: Vector
    mu_y: Vector
    Z: Matrix
    V: Matrix
    unit: float  # the largest weight, by which those of Z and V are divided
    penalty: float  # l2 in the units of Z


def _centred_rows(data: Table, fit_intercept: bool, l2: float) -> _Rows:
    X, Y, w = _present(data)
    n, p = X.shape
    unit = 1.0 if w is None else float(w.max())
    weights = None if w is None else w / unit
    # every number to at most 1, so that no difference and no square leaves the range of float64
    ex = -np.frexp(np.abs(X).max(axis=0))[1].astype(np.int64)
    ey = -np.frexp(np.abs(Y).max(axis=0))[1].astype(np.int64)
    penalty = 0.0
    if l2:  # the same for all columns, and so that l2 / unit 2^(2 ex) is in range too
        ex[:] = min(ex.min(initial=0), (1000 - math.frexp(l2)[1] + math.frexp(unit)[1]) // 2)
        penalty = float(np.ldexp(np.ldexp(l2, ex[0]) / unit, ex[0])) if p else 0.0
    X, Y = np.ldexp(X, ex), np.ldexp(Y, ey)
    k, ky, mu, mu_y = np.zeros(p), np.zeros(Y.shape[1]), np.zeros(p), np.zeros(Y.shape[1])
    Z, V = X, Y
    if fit_intercept:
        # about the first row, so that a constant column is centred to exactly 0, and the rest from there
        k = X[0] + np.average(X - X[0], axis=0, weights=weights)
        ky = Y[0] + np.average(Y - Y[0], axis=0, weights=weights)
        Z, V = X - k, Y - ky
        mu, mu_y = np.average(Z, axis=0, weights=weights), np.average(V, axis=0, weights=weights)
        Z, V = Z - mu, V - mu_y
    root = np.ones((n, 1)) if weights is None else np.sqrt(weights)[:, None]
    return _Rows(X, Y, w, ex, ey, k, ky, mu, mu_y, Z * root, V * root, unit, penalty)


def _present(data: Table) -> tuple[Matrix, Matrix, Vector | None]:
    """X, Y and w in float64, without rows of weight 0."""
    w = None if data.w is None else np.asarray(data.w, dtype=np.float64)
    X = np.array(data.X, dtype=np.float64)
    Y = np.array(data.Y, dtype=np.float64)
    if not (np.isfinite(X).all() and np.isfinite(Y).all() and (w is None or (np.isfinite(w) & (w >= 0)).all())):
        fault = first_fault(data)
        if fault is not None:
            raise ValueError(fault)
    if w is not None:
        X, Y, w = X[w != 0], Y[w != 0], w[w != 0]
        if not len(w):
            raise ValueError("sample_weight has no positive weight: no row is left to fit")
    return X, Y, w


def _equilibrated(Z: Matrix) -> tuple[Matrix, NDArray[np.int64]]:
    """Columns times powers of two that make their norms about 1, and the exponents.

    Their largest element is brought to 1 first so that the squares stay in range.
    """
    e = -np.frexp(np.abs(Z).max(axis=0))[1].astype(np.int64)
    Z = np.ldexp(Z, e)
    more = -np.round(0.5 * np.log2(np.einsum("ij,ij->j", Z, Z))).astype(np.int64)
    return np.ldexp(Z, more), e + more


@dataclass(slots=True)
class _Dual:
    """D, v and l2 L of the module's formula, as pairs."""

    X: Matrix
    fit_intercept: bool
    v: Matrix  # (m, n_targets, 2)
    own: Matrix  # l2 / w of the rows of D, (m, 2), and of the first row
    first: Matrix

    def pieces(self) -> Iterator[tuple[slice, Matrix]]:
        """D, some columns at a time, (m, columns, 2)."""
        n, p = self.X.shape
        step = max(1, PAIR_BYTES // (16 * n))
        for at in range(0, p, step):
            part = slice(at, min(at + step, p))
            X = self.X[:, part]
            yield part, pairs(*two_sum(X[1:], -X[:1])) if self.fit_intercept else pairs(X)

    def triangle(self) -> Matrix | None:
        """R of R'R = D D' + l2 L; None where the rows depend on each other."""
        m = len(self.v)
        D = self.X[1:] - self.X[:1] if self.fit_intercept else self.X
        rows = [D.T]
        if self.own[:, 0].any():
            rows += [np.diag(np.sqrt(self.own[:, 0])), np.full((int(self.fit_intercept), m), np.sqrt(self.first[0]))]
        A = np.vstack(rows)
        # longest rows first: below short ones they would round those away (Cox and Higham 1998)
        order = np.argsort(-np.abs(A).max(axis=1), kind="stable")
        R = np.asarray(np.linalg.qr(A[order], mode="r"))
        if len(R) < m:
            return None
        size = np.abs(np.diagonal(R)) / np.linalg.norm(R, axis=0).clip(np.finfo(float).tiny)
        return R if size.min(initial=1.0) > RANK_TOLERANCE else None

    def penalty(self, u: Matrix) -> Matrix:
        """l2 L u of one target."""
        out = multiply(self.own, u)
        return add(out, multiply(self.first, total(u))[None]) if self.fit_intercept else out


class _Refined(NamedTuple):
    """Coefficients of the live columns, intercepts, sums of squares and digits."""

    b: Matrix
    b0: Vector
    rss: Vector
    digits: float


def _refine(rows: _Rows, live: NDArray[np.intp], fit_intercept: bool, l2: float) -> _Refined | None:
    """None where the rows depend on each other or corrections do not contract."""
    Y, w, ex = rows.Y, rows.w, rows.ex[live]
    n, n_targets = Y.shape
    if not len(live) or n == fit_intercept:
        return None
    # the norm is in the user's units, unless there is one solution only
    unit = np.zeros_like(ex) if len(live) == n - fit_intercept and not l2 else ex.min() - ex
    X = np.ldexp(rows.X[:, live], unit)
    with np.errstate(divide="ignore", invalid="ignore"):
        penalty = pairs(np.full(n, np.ldexp(np.ldexp(l2, ex[0]), ex[0])))
        own = divide(penalty, pairs(np.ones(n) if w is None else w))
    if not np.isfinite(own).all():
        return None
    v = pairs(*two_sum(Y[1:], -Y[:1])) if fit_intercept else pairs(Y)
    dual = _Dual(X, fit_intercept, v, own[int(fit_intercept) :], own[0])
    R = dual.triangle()
    if R is None:
        return None
    b, b0, rss, digits = np.empty((X.shape[1], n_targets)), np.zeros(n_targets), np.zeros(n_targets), FULL_DIGITS
    for t in range(n_targets):
        found = _refine_target(dual, R, t)
        if found is None:
            return None
        beta, u, reached, error = found
        b[:, t], digits = beta[:, 0], min(digits, reached)
        left = total(u)  # the first row has minus the sum of the others
        if fit_intercept:
            b0[t] = refinement.intercept_of(multiply(dual.first, left), beta, X[0], Y[0, t])
            floor = max(abs(Y[0, t]), float(np.abs(X[0] * beta[:, 0]).max(initial=0.0)))
            if abs(b0[t]) > refinement.NEGLIGIBLE * floor:
                digits = min(digits, digits_of(np.abs(b0[t : t + 1]), np.array([error * float(np.abs(X[0]).sum())])))
        if l2:
            residual = multiply(own, np.concatenate([-left[None], u]) if fit_intercept else u)[:, 0]
            rss[t] = float((np.ones(n) if w is None else w) @ residual**2)
    return _Refined(np.ldexp(b, unit[:, None]), b0, rss, max(0.0, digits))


class _Primal(NamedTuple):
    """b = D'u and u as pairs, the digits of b and the largest error left in it."""

    b: Matrix
    u: Matrix
    digits: float
    error: float


def _refine_target(dual: _Dual, R: Matrix, t: int) -> _Primal | None:
    """One target, or None where corrections do not contract."""
    from scipy.linalg import lapack

    u, r = np.zeros((len(R), 2)), dual.v[:, t]
    b, terms = np.zeros((dual.X.shape[1], 2)), np.zeros(dual.X.shape[1])
    left = math.inf
    for count in range(refinement.MAX_PASSES):
        d = lapack.dtrtrs(R, lapack.dtrtrs(R, r[:, 0], trans=1)[0])[0]
        u, last = add(u, pairs(d)), b[:, 0].copy()
        r = add(dual.v[:, t], -dual.penalty(u))
        for part, D in dual.pieces():
            b[part], terms[part] = total(multiply(D, u[:, None])), np.abs(u[:, 0]) @ np.abs(D[..., 0])
            r = add(r, -total(multiply(D, b[None, part]).swapaxes(0, 1)))
        change, size = np.abs(b[:, 0] - last), np.abs(b[:, 0])
        before, left, most = left, float(change.max()), float(size.max())
        # rounding of D'u, whose terms cancel where rows are nearly dependent
        noise = refinement.DD_EPS * terms
        zero = refinement.NEGLIGIBLE * most
        if (change <= refinement.LAST_PLACE * size + refinement.NEGLIGIBLE * most).all():
            return _Primal(b, u, digits_of(size, noise, zero), float(noise.max()))
        if count and not left <= refinement.STALLED * before:
            break
    if not left <= refinement.FLOOR * most:
        return None
    # rounding of the double-double sums, seen through the condition number: as good as it gets
    return _Primal(b, u, digits_of(size, left + noise, zero), left + float(noise.max()))
