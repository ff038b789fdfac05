# SPDX-License-Identifier: BSD-3-Clause
"""Robust covariances: of errors of different variance, in clusters, or one after the other in time."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.bread import Robust
from linreg_fast.algebra.precision import Matrix
from linreg_fast.inference.influence import fitted_of
from linreg_fast.inputs.checks import integer, one_of
from linreg_fast.inputs.labels import Labels
from linreg_fast.inputs.missing import of_complete_rows
from linreg_fast.inputs.named import rows_of_fit
from linreg_fast.inputs.table import Rows, Table, table
from linreg_fast.options import MISSING
from linreg_fast.passes import meat
from linreg_fast.passes.keys import columns_of, keyed
from linreg_fast.result import LinearFit

POWERS = {"HC0": 0, "HC1": 0, "HC2": 1, "HC3": 2}  # of 1 / (1 - leverage)
NONROBUST = "nonrobust"
KINDS = (NONROBUST, *POWERS, "cluster", "HAC")
KERNELS = ("bartlett",)
Keyed = tuple[Table, NDArray[Any]]  # some rows, and the key of each
FAR = 128.0  # means over what is about them, from which on their rounding is looked after


@dataclass(frozen=True, slots=True)
class Sandwich:
    """Which covariances are asked for, checked as it is set.

    groups      keys of clusters, in one column or two; of a stream what yields its rows with their keys
    """

    kind: str
    groups: Any = None
    maxlags: int | None = None
    kernel: str = "bartlett"

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError for a name that is not known or an argument of another kind of covariances."""
        one_of(self.kind, "cov", KINDS)
        one_of(self.kernel, "kernel", KERNELS)
        if self.maxlags is not None:
            object.__setattr__(self, "maxlags", integer(self.maxlags, "maxlags", 0))
        if self.kind == "cluster" and self.groups is None:
            raise ValueError('cov="cluster" needs groups, the cluster of each row')
        if self.kind != "cluster" and self.groups is not None:
            raise ValueError(f'groups are for cov="cluster", not for {self.kind!r}')
        if self.kind != "HAC" and self.maxlags is not None:
            raise ValueError(f'maxlags is for cov="HAC", not for {self.kind!r}')


def robust(
    fit: LinearFit,
    X: Any,
    y: Any,
    *,
    cov: str = "HC3",
    groups: Any = None,
    maxlags: int | None = None,
    kernel: str = "bartlett",
    sample_weight: Any = None,
    missing: str = "raise",
    n_threads: int | None = None,
) -> LinearFit:
    """The same fit with robust covariances, from one more pass over the rows that it was fitted to.

    Parameters
    ----------
    fit : LinearFit
        Of full rank, without a penalty, by a closed form.
    X, y, sample_weight, missing
        What it was fitted to, as for `fit`.
    cov : {"HC0", "HC1", "HC2", "HC3", "cluster", "HAC"}
        The meat M of the covariances B M B, B = (X'WX)^-1, of scores w_i u_i x_i with residuals u_i and leverages h_i:

        - HC0 (White 1980) the sum of their squares; HC1 that times n / (n - k), k counting the intercept; HC2 with
          u_i^2 / (1 - h_i), HC3 with u_i^2 / (1 - h_i)^2 (MacKinnon and White 1985);
        - cluster: the squares of the sums of scores over each of G clusters, times G / (G - 1) (n - 1) / (n - k); t
          statistics have G - 1 degrees of freedom. For two columns of keys A + B - AB (Cameron, Gelbach and Miller
          2011), with those of the fewer clusters;
        - HAC (Newey and West 1987): products of scores of rows up to `maxlags` apart with the weights of Bartlett,
          1 - lag / (maxlags + 1), rows standing in the order of time. No small-sample correction.
    groups : array_like of shape (n_samples,), or two of them as a tuple or the columns of a frame; str
        The cluster of each row; the name of a column of X where y names one too.
    maxlags : int, optional
        floor(4 (n / 100)^(2/9)) by default.
    kernel : {"bartlett"}
    n_threads : int, optional

    Returns
    -------
    LinearFit
        `cov_type` says what its errors are; p-values and intervals are those of Student's t.

    Raises
    ------
    TypeError, ValueError
        As for `fit`; a fit that has no errors or keeps no covariances; rows of another number than it was fitted to; a
        missing key; fewer than two clusters; `maxlags` of no less than the rows; for HC2 and HC3 a row of leverage 1,
        which is named.

    Notes
    -----
    Residuals are summed about the means of the columns, row by row: offsets cost no digit.
    """
    one_of(missing, "missing", MISSING)
    named = rows_of_fit(fit, X, y, {"sample_weight": sample_weight, "groups": groups})
    sample_weight, groups = named.others
    asked = Sandwich(cov, groups, maxlags, kernel)
    data = table(named.X, named.y, sample_weight)
    if data.n_features != fit.n_features or data.n_targets != fit.n_targets:
        raise ValueError(
            f"the fit is of {fit.n_features} columns and {fit.n_targets} targets, these rows have {data.n_features} "
            f"and {data.n_targets}"
        )

    def solved(rows: Table) -> LinearFit:
        if rows.n_present() != fit.n_samples:
            if missing == "drop":  # those with missing values are still among them
                raise ValueError("the rows are not those of the fit")
            raise ValueError(f"the fit is of {fit.n_samples} rows, these are {rows.n_present()}")
        return with_covariances(fit, rows, asked, n_threads)

    return of_complete_rows(solved, data, missing)


def with_covariances(fit: LinearFit, rows: Rows, asked: Sandwich, n_threads: int | None = None) -> LinearFit:
    """The fit with the covariances asked for, from one pass over its rows."""
    if asked.kind == NONROBUST:
        return fit.__replace__(robust=None)
    fitted, delta = fitted_of(fit), None
    if _far(fit, fitted):
        means = rows.fold(functools.partial(meat.mean_scores, fitted=fitted, n_threads=n_threads), operator.add)
        means = means[1:] / means[0]
        delta, low = np.split(means, [len(fitted.live)])
        fitted = fitted._replace(low=low)
    n, k = fit.n_samples, fit.rank + fit.fit_intercept
    if n <= k:
        raise ValueError(f"{n} rows leave no degree of freedom beside {k} coefficients: there are no errors")
    freedom, note = n - k, ""
    if asked.kind in POWERS:
        one = functools.partial(meat.of_rows, fitted=fitted, power=POWERS[asked.kind], n_threads=n_threads)
        M = rows.fold(one, operator.add)
        if asked.kind == "HC1":
            M = M * (n / (n - k))
    else:
        if asked.kind == "cluster":
            clustered = _clustered_by_block if callable(asked.groups) else _clustered
            M, freedom, note = clustered(rows, fitted, asked.groups, n, k)
        else:
            lags = _lags(asked.maxlags, n)
            M, note = _lagged(rows, fitted, lags), f"{lags} lags, no correction"
    if delta is not None:
        M = meat.about_true_means(M, delta)
    first = int(fit.fit_intercept)
    bread = np.zeros((len(fitted.live) + 1, len(fitted.live) + 1))
    bread[0, 0], bread[1:, 1:] = fitted.one, fitted.root.T @ fitted.root
    C = bread @ M @ bread * np.square(fitted.size)[:, None, None]
    return fit.__replace__(robust=Robust(asked.kind, C[:, 1 - first :, 1 - first :], freedom, note))


def _far(fit: LinearFit, fitted: meat.Fitted) -> bool:
    """Whether offsets are so large that what their means have rounded by is not nothing beside what is about them."""
    spread = np.linalg.norm(fitted.root, axis=0)  # of coefficients: 1 over that of columns, over sqrt(N)
    columns = np.abs(fitted.means) * spread * math.sqrt(fit.sum_weight)
    return bool((columns > FAR).any() or (np.abs(fitted.level) > FAR * fitted.size).any())


def _clustered(rows: Any, fitted: meat.Fitted, groups: Any, n: int, k: int) -> tuple[Matrix, int, str]:
    """The meat of one column of keys or two, the degrees of freedom of t, and what was chosen; k coefficients."""
    columns = columns_of(groups)
    if len(columns) > 2:
        raise ValueError(f"groups has {len(columns)} columns of keys; clusters are of one or two")
    parts = [{name: column} for name, column in columns.items()]
    kinds = [(1.0, part) for part in parts] if len(parts) == 1 else [(1.0, parts[0]), (1.0, parts[1]), (-1.0, columns)]
    total: Any = 0.0
    clusters = []
    for sign, keys in kinds:
        codes, G = _codes(keys, rows)
        if G < 2:
            raise ValueError(f"groups has {G} cluster: clustered errors need at least two")
        sums = np.zeros((len(fitted.coef), len(fitted.live) + 1, int(codes.max()) + 1))
        _add_scores(sums, rows, fitted, codes)
        total = total + sign * (G / (G - 1) * (n - 1) / (n - k)) * (sums @ sums.transpose(0, 2, 1))
        clusters.append(G)
    least = min(clusters[:2])
    note = " and ".join(f"{count:,} clusters of {name}" for count, name in zip(clusters, columns, strict=False))
    return total, least - 1, note


def _add_scores(sums: Matrix, rows: Table, fitted: meat.Fitted, codes: NDArray[np.intp]) -> None:
    """Add the scores of each row to those of its cluster."""
    for first, S in meat.scores(rows, fitted):
        at = codes[first : first + S.shape[1]]
        for target, of_target in zip(sums, S, strict=True):
            for into, column in zip(target, of_target.T, strict=True):
                np.add.at(into, at, column)


def _clustered_by_block(
    rows: Any, fitted: meat.Fitted, groups: Callable[[], Iterator[Keyed]], n: int, k: int
) -> tuple[Matrix, int, str]:
    """The same of rows that come block by block with their keys; memory grows with the clusters alone."""
    known, place = np.empty(0), np.empty(0, dtype=np.intp)  # keys, ascending, and where their sums stand
    sums = np.zeros((len(fitted.coef), len(fitted.live) + 1, 1 << 10))
    for data, keys in groups():
        there = keys if data.w is None else keys[np.asarray(data.w) != 0]
        new = np.setdiff1d(there, known)
        if new.size:
            both = np.concatenate([known, new])
            order = np.argsort(both, kind="stable")
            known, place = both[order], np.concatenate([place, np.arange(len(known), len(both))])[order]
            while sums.shape[2] < len(known):
                sums = np.concatenate([sums, np.zeros_like(sums)], axis=2)
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)  # a key of rows without weight adds nothing
        _add_scores(sums, data, fitted, place[at])
    G = len(known)
    if G < 2:
        raise ValueError(f"groups has {G} cluster: clustered errors need at least two")
    M = G / (G - 1) * (n - 1) / (n - k) * (sums @ sums.transpose(0, 2, 1))
    return M, G - 1, f"{G:,} clusters"


def _codes(keys: dict[str, Any], rows: Table) -> tuple[NDArray[np.intp], int]:
    """The cluster of each row, and how many there are among those of non-zero weight."""
    whole = rows.n_rows if rows.numbers is None else len(next(iter(keys.values())))
    labels: Labels | None = rows.labels
    found = keyed(keys, whole, labels)
    codes = np.full(whole, -1, dtype=np.intp)
    codes[found.order] = np.repeat(np.arange(len(found.bounds) - 1), np.diff(found.bounds))
    if rows.numbers is not None:
        codes = codes[rows.numbers]
    if codes.min(initial=0) < 0:
        row = int(np.flatnonzero(codes < 0)[0])
        row = row if rows.numbers is None else int(rows.numbers[row])
        raise ValueError(f"groups has a missing key at row {row}: every row needs a cluster")
    there = codes if rows.w is None else codes[np.asarray(rows.w) != 0]
    return codes, int(np.count_nonzero(np.bincount(there)))


def _lags(maxlags: int | None, n: int) -> int:
    lags = math.floor(4 * (n / 100) ** (2 / 9)) if maxlags is None else maxlags
    if lags >= n:
        raise ValueError(f"maxlags must be less than the {n} rows, got {lags}")
    return lags


def _lagged(rows: Any, fitted: meat.Fitted, lags: int) -> Matrix:
    """sum over lags of 1 - lag / (lags + 1) times the products of scores so far apart, and their transposes."""
    if rows.frequency:
        raise ValueError('cov="HAC" is for rows in the order of time, not for weights="frequency"')
    q = len(fitted.live) + 1
    total = np.zeros((len(fitted.coef), q, q))
    before = np.zeros((len(fitted.coef), 0, q))
    for _, S in meat.scores(rows, fitted):
        both = np.concatenate([before, S], axis=1)
        new = before.shape[1]
        for lag in range(min(lags + 1, both.shape[1])):
            late = both[:, max(new, lag) :]
            early = both[:, max(new, lag) - lag : both.shape[1] - lag]
            product = late.transpose(0, 2, 1) @ early
            total += product if lag == 0 else (1 - lag / (lags + 1)) * (product + product.transpose(0, 2, 1))
        before = both[:, max(0, both.shape[1] - lags) :]
    return total
