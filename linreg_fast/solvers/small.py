# SPDX-License-Identifier: BSD-3-Clause
"""The one lane of small fits: one kernel call from the rows to the coefficients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast import planning
from linreg_fast.inputs.checks import Float
from linreg_fast.inputs.table import Table
from linreg_fast.passes import levels, products, rates, residuals
from linreg_fast.passes.threads import threads
from linreg_fast.plan_costs import SMALL_COLUMNS
from linreg_fast.planning import plan_arguments
from linreg_fast.result import LinearFit
from linreg_fast.solvers.refinement import AUTO_DIGITS, CANCELLED, far_off

LEAN = ("auto", "fast")
SMALL_SIZE = 1 << 16  # numbers of X up to which a fit is one kernel call, on this thread
SMALL_WORK = max(levels.kernels.small_work_size(p, 1, SMALL_SIZE) for p in range(SMALL_COLUMNS + 1))
# workspaces for one target: as many as threads were in `_fit_small` at once; append and pop are atomic
_small_work: list[NDArray[np.float64]] = []


def fit_small(X: Any, y: Any, w: Any, fit_intercept: bool, precision: str) -> LinearFit | None:
    """The fit of a few thousand numbers in plain arrays, whose checks would take longer than the arithmetic.

    None for every other kind of input, good or bad, where the kernel declines, and where the digits ask for more.
    """
    if type(X) is not np.ndarray or type(y) is not np.ndarray or not (w is None or type(w) is np.ndarray):
        return None
    if X.ndim != 2 or X.dtype.char not in "df" or y.dtype is not Float or (w is not None and w.dtype is not Float):
        return None
    n, p = X.shape
    one_target = y.ndim == 1
    k = 1 if one_target else y.shape[-1]
    if not (0 < p <= SMALL_COLUMNS and p < n and n * (p + k - 1) <= SMALL_SIZE):
        return None
    work, res = _small_buffers(n, p, k)
    found = levels.kernels.small(X, y, w, products.SHIFT_ROWS, fit_intercept, 0.0, work, res)
    if k == 1:
        _small_work.append(work)
    if found is None:
        return None
    if precision == "auto" and (found[3] < AUTO_DIGITS or found[1] <= CANCELLED * found[2]):
        return None
    shape = {"n_rows": n, "n_features": p, "itemsize": X.itemsize, "weighted": w is not None}
    if k > 1:
        if precision == "auto" and _cancelled(res, p, k).any():
            return None
        shape["n_targets"] = k
    if not X.flags.c_contiguous:
        shape["order"] = "F"
    n_samples = n if w is None else int(np.count_nonzero(w))
    return _lean_result(res, found, shape, precision, fit_intercept, 0.0, n_samples, one_target=one_target)


def _small_buffers(n: int, p: int, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Workspace and result of the small kernels for k targets; for one target a workspace that is kept."""
    if k == 1:
        try:
            return _small_work.pop(), np.empty(2 * p + 7)
        except IndexError:
            return np.empty(SMALL_WORK), np.empty(2 * p + 7)
    return np.empty(levels.kernels.small_work_size(p, k, n)), np.empty(levels.kernels.small_result_size(p, k))


def _cancelled(res: NDArray[np.float64], p: int, k: int) -> NDArray[np.bool_]:
    """Whether the rss of each target has lost too many digits."""
    rss, tss = res[k * (p + 1) : k * (p + 3)].reshape(2, k)
    return np.asarray(rss <= CANCELLED * tss)


def fit_lean(
    data: Table,
    fit_intercept: bool,
    precision: str,
    l2: float,
    n_threads: int | None,
    report: Callable[[int, int], object] | None,
) -> LinearFit | None:
    """The fit of few columns and more rows, without LAPACK.

    None where the kernel declines or the digits ask for more: the general path then starts again.
    """
    X, Y, w = data.X, data.Y, data.w
    (n, p), k = X.shape, Y.shape[1]
    if not (data.order or data.apart) or not 0 < p <= SMALL_COLUMNS or n <= p:
        return None
    work, res = _small_buffers(n, p, k)
    workers = 1
    seconds = n * rates.row_seconds(X.itemsize * p + 8 * k, p * (p + 1 + 2 * k))
    if seconds < rates.THREADED_SECONDS and data.order:
        found = levels.kernels.small(X, Y, w, products.SHIFT_ROWS, fit_intercept, l2, work, res)
        if found is not None and report is not None:
            report(n, n)
    else:
        workers = threads(n_threads)
        shift = products.leading_mean(data) if fit_intercept else np.zeros(p + k)
        out = products.sum_moments(data, shift, workers, progress=report)
        found = levels.kernels.small_solve(out, p, k, fit_intercept, l2, shift, work, res)
    if k == 1:
        _small_work.append(work)
    if found is None or (precision == "auto" and found[3] < AUTO_DIGITS):
        return None
    if precision == "auto" and (found[1] <= CANCELLED * found[2] or k > 1):
        b0, rss, tss = res[k * p : k * (p + 3)].reshape(3, k)
        for t in np.flatnonzero(_cancelled(res, p, k)).tolist():
            b, intercept = res[t * p : (t + 1) * p], float(b0[t])
            size = abs(intercept) + abs(float(Y[0, t])) + float(np.abs(X[0], dtype=np.float64) @ np.abs(b))
            if far_off(size, found[5], float(tss[t])):
                return None
            rss[t] = 2 * residuals.pass_cost(data, b, intercept, workers, t)
        found = (found[0], float(rss[0]), *found[2:])
    shape = plan_arguments(data, "auto", l2, workers)
    n_samples = n if w is None else int(np.count_nonzero(w))
    return _lean_result(res, found, shape, precision, fit_intercept, l2, n_samples, data.names, data.one_target)


def _lean_result(
    res: NDArray[np.float64],
    found: tuple[float, ...],
    shape: dict[str, Any],
    precision: str,
    fit_intercept: bool,
    l2: float,
    n_samples: int,
    names: list[str] | None = None,
    one_target: bool = True,
) -> LinearFit:
    """The result from what the small kernels leave, `res`: found is (b_0, rss, tss, digits, rcond, sum w) of it."""
    intercept: Any
    rss: Any
    tss: Any
    y_unit: Any
    intercept, rss, tss, digits, rcond, sum_weight = found
    p, k, y_unit = shape["n_features"], 1, 1.0
    coef = res[:p]
    if not one_target:
        k = shape.get("n_targets", 1)
        coef, y_unit = res[: k * p].reshape(k, p), np.ones(k)
        intercept, rss, tss = res[k * p : k * (p + 3)].reshape(3, k)
    return LinearFit(
        coef,
        intercept,
        "cholesky",
        ("cholesky",),
        planning.TALL_REASON,
        shape,
        precision,
        digits,
        p,
        rcond,
        True,
        0,
        None,
        rss,
        tss - rss,
        tss,
        sum_weight,
        n_samples,
        p,
        k,
        None if names is None else tuple(names),
        fit_intercept,
        l2,
        None if l2 else res[k * (p + 3) + 3 :],
        (),
        (),
        None,
        y_unit,
        {},
        0,
    )
