# SPDX-License-Identifier: BSD-3-Clause
"""Errors by clusters from the moments of each, without the rows: sandwiches, the jackknife, bootstraps.

Of a cluster g its cross products M_g = X_g'X_g and scores u_g = X_g'y_g - M_g b are all that is needed, X having a
column of ones for the intercept; A = (X'X)^-1. They are taken about the means of all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra import bread, room
from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.inputs.checks import integer, one_of
from linreg_fast.moments.moments import Moments

KINDS = ("CR0", "CR1", "CR2", "CR3")
ALONE = 2.0**-40  # what rounding leaves of 1 less an eigenvalue of 1
PIECE = 1 << 22  # numbers of a piece of resamples


class Resamples(NamedTuple):
    """Coefficients of resamples, (n_resamples, p + 1), the intercept first, and their covariances, (p + 1, p + 1)."""

    coef: NDArray[np.float64]
    cov: NDArray[np.float64]


class _Clusters(NamedTuple):
    """The clusters about the means of all rows: A = L L', M (G, q, q), c = X_g'y_g (G, q), u (G, q), the solution b.

    q counts the intercept, which comes first and is the prediction at the means.
    """

    keys: list[Any]
    means: Vector
    L: Matrix
    M: Matrix
    c: Matrix
    u: Matrix
    b: Vector
    n_rows: int

    def cov(self, meat: Matrix) -> Matrix:
        A = self.L @ self.L.T
        return self.about_zero(A @ meat @ A)

    def about_zero(self, C: Matrix) -> Matrix:
        return C if len(self.means) == len(self.b) else bread.about_zero(C, self.means)

    def coef_about_zero(self, b: Matrix) -> Matrix:
        if len(self.means) < len(self.b):
            b = b.copy()
            b[:, 0] -= b[:, 1:] @ self.means
        return b


def cluster_cov(
    groups: Mapping[Any, Moments], kind: str = "CR1", *, target: int = 0, fit_intercept: bool = True
) -> NDArray[np.float64]:
    """Covariances of the coefficients of the fit of all rows, from the moments of each cluster.

    Moments of clusters may be merged across files and machines first.

    Parameters
    ----------
    groups : mapping
        The moments of each cluster, as `by_group` makes them.
    kind : {"CR0", "CR1", "CR2", "CR3"}
        A (sum_g v_g v_g') A with v_g = u_g for "CR0"; that times G / (G - 1) (n - 1) / (n - k) for "CR1", which is
        ``fit(..., cov="cluster")``; (I - M_g A)^(-1/2) u_g for "CR2" (Bell and McCaffrey 2002), with the pseudo-inverse
        where a cluster alone tells a coefficient, as one of fixed effects does; (I - M_g A)^-1 u_g for "CR3", without a
        factor: (G - 1) / G of it is the jackknife.
    target : int
        Column of y.
    fit_intercept : bool

    Returns
    -------
    ndarray of shape (n_features + 1, n_features + 1)
        The intercept first; (n_features, n_features) without one.

    Raises
    ------
    ValueError
        Fewer than two clusters, moments of other columns, dependent columns; for "CR3" a cluster that alone tells a
        coefficient, which is named.
    """
    one_of(kind, "kind", KINDS)
    at = _clusters(groups, target, fit_intercept)
    v, factor = at.u, 1.0
    G, n, k = len(at.u), at.n_rows, len(at.b)
    if kind == "CR1":
        factor = G / (G - 1) * (n - 1) / (n - k)
    elif kind != "CR0":
        # L'(I - M_g A) = (I - L'M_g L) L': of symmetric matrices
        left, values, turned = _shares(at)
        rest = 1.0 - values
        with np.errstate(divide="ignore"):
            scale = 1.0 / np.sqrt(rest) if kind == "CR2" else 1.0 / rest
        if kind == "CR3":
            _check_none_alone(at, rest)
        scale[rest <= ALONE] = 0.0
        v = np.linalg.solve(at.L.T, np.einsum("gij,gj->gi", left, scale * turned).T).T
    return at.cov(factor * (v.T @ v))


def cluster_jackknife(groups: Mapping[Any, Moments], *, target: int = 0, fit_intercept: bool = True) -> Resamples:
    """The fits without each cluster in turn.

    Parameters
    ----------
    groups, target, fit_intercept
        As for `cluster_cov`.

    Returns
    -------
    Resamples
        Covariances are (G - 1) / G times the products of the differences from the fit of all.

    Raises
    ------
    ValueError
        As `cluster_cov`; a cluster without which a coefficient cannot be told is named.
    """
    at = _clusters(groups, target, fit_intercept)
    left, values, turned = _shares(at)
    _check_none_alone(at, 1.0 - values)
    d = -np.einsum("gij,gj->gi", left, turned / (1.0 - values)) @ at.L.T  # b_(g) - b = -A (I - M_g A)^-1 u_g
    G = len(d)
    return Resamples(at.coef_about_zero(at.b + d), at.about_zero((G - 1) / G * (d.T @ d)))


def cluster_bootstrap(
    groups: Mapping[Any, Moments],
    n_resamples: int = 999,
    *,
    wild: bool = False,
    seed: Any = None,
    target: int = 0,
    fit_intercept: bool = True,
) -> Resamples:
    """Fits of clusters drawn with replacement, or of residuals whose sign is drawn for each cluster.

    Parameters
    ----------
    groups, target, fit_intercept
        As for `cluster_cov`.
    n_resamples : int
    wild : bool
        The wild cluster bootstrap of unrestricted residuals with Rademacher's weights (Cameron, Gelbach and Miller
        2008): y* = Xb + s_g u with s_g = -1 or 1.
    seed : int, sequence of int or numpy.random.Generator, optional
        As `numpy.random.default_rng` takes it.

    Returns
    -------
    Resamples
        Covariances about the mean of the resamples.

    Raises
    ------
    ValueError
        As `cluster_cov`; clusters drawn whose columns depend on each other.
    """
    n_resamples = integer(n_resamples, "n_resamples", 2)
    at = _clusters(groups, target, fit_intercept)
    rng = np.random.default_rng(seed)
    G, q = at.u.shape
    found = np.empty((n_resamples, q))
    step = max(1, PIECE // max(G, q * q))
    for lo in range(0, n_resamples, step):
        some = min(step, n_resamples - lo)
        if wild:
            signs = 2.0 * rng.integers(0, 2, (some, G)) - 1.0
            found[lo : lo + some] = at.b + (signs @ at.u) @ (at.L @ at.L.T)
            continue
        counts = rng.multinomial(G, np.full(G, 1.0 / G), some).astype(np.float64)
        M = (counts @ at.M.reshape(G, q * q)).reshape(some, q, q)
        try:
            found[lo : lo + some] = np.linalg.solve(M, (counts @ at.c)[..., None])[..., 0]
        except np.linalg.LinAlgError:
            raise ValueError(
                "clusters were drawn whose columns depend on each other: there are too few of them"
            ) from None
    return Resamples(at.coef_about_zero(found), at.about_zero(np.atleast_2d(np.cov(found.T))))


def _clusters(groups: Mapping[Any, Moments], target: int, fit_intercept: bool) -> _Clusters:
    """The sums of all clusters about the means of all rows, and the fit of all."""
    parts = {key: part for key, part in groups.items() if part.n_samples}
    if len(parts) < 2:
        raise ValueError(f"groups has {len(parts)} cluster{'s' * (len(parts) != 1)} with rows: at least two are needed")
    first = next(iter(parts.values()))
    p, n_targets = first.n_features, first.n_targets
    for key, part in parts.items():
        if (part.n_features, part.n_targets) != (p, n_targets):
            raise ValueError(
                f"the moments of group {key!r} are of {part.n_features} columns and {part.n_targets} targets, others "
                f"of {p} and {n_targets}"
            )
    target = integer(target, "target", 0)
    if target >= n_targets:
        raise ValueError(f"target must be less than {n_targets}, got {target}")
    shift = first.shift
    assert shift is not None
    at = [p, *range(p), p + 1 + target]  # [1, x, y]
    stacked = np.stack([_about(part, shift)[np.ix_(at, at)] for part in parts.values()])
    k = shift[[*range(p), p + target]]
    total = stacked.sum(axis=0)
    move = np.eye(p + 2)
    # without an intercept about 0, where the columns are what they are
    move[1:, 0] = -total[1:, 0] / total[0, 0] if fit_intercept else k
    stacked = move @ stacked @ move.T
    means = k[:p] + total[1 : p + 1, 0] / total[0, 0] if fit_intercept else np.zeros(p)
    low = 0 if fit_intercept else 1
    M, c = np.ascontiguousarray(stacked[:, low : p + 1, low : p + 1]), stacked[:, low : p + 1, p + 1].copy()
    S = M.sum(axis=0)
    room.for_lapack()
    scale = np.sqrt(np.diagonal(S))
    if not (scale > 0).all() or np.linalg.matrix_rank(S / np.multiply.outer(scale, scale), hermitian=True) < len(S):
        raise ValueError("the columns are constant or depend on each other: there are no errors of them")
    R = np.linalg.cholesky(S / np.multiply.outer(scale, scale))
    L = np.linalg.inv(R).T / scale[:, None]
    b = L @ (L.T @ c.sum(axis=0))
    b = b + L @ (L.T @ (c.sum(axis=0) - S @ b))
    u = c - M @ b
    level = float(total[p + 1, 0] / total[0, 0] + k[p])
    # y too is about its mean: what is said of coefficients has that of the prediction at the means
    if fit_intercept:
        c = c + level * M[:, :, 0]
        b = b.copy()
        b[0] += level
    return _Clusters(list(parts), means, L, M, c, u, b, sum(part.n_samples for part in parts.values()))


def _about(part: Moments, shift: Vector) -> Matrix:
    """Cross products of [x, 1, y] of a cluster about a shift."""
    own = part.shift
    if own is None or not np.array_equal(own, shift):
        part = Moments(part.n_features, part.n_targets, shift=shift, precision=part.precision).merge(part)
    M = part.cross_products()
    return np.asarray(M[..., 0] + M[..., 1] if M.ndim == 3 else M)


def _shares(at: _Clusters) -> tuple[Matrix, Matrix, Matrix]:
    """Eigenvectors and eigenvalues of L'M_g L, the share of each cluster, and L'u_g in them."""
    shares = at.L.T @ at.M @ at.L
    values, vectors = np.linalg.eigh((shares + shares.swapaxes(1, 2)) / 2)
    turned = np.einsum("gji,gj->gi", vectors, at.u @ at.L)
    return vectors, values, turned


def _check_none_alone(at: _Clusters, rest: Matrix) -> None:
    alone = np.flatnonzero((rest <= ALONE).any(axis=1))
    if alone.size:
        raise ValueError(
            f"group {at.keys[int(alone[0])]!r} alone tells a coefficient: there is no fit without it; take CR2 or CR1"
        )
