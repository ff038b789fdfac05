# SPDX-License-Identifier: BSD-3-Clause
"""The one lane of few columns: the closed form in one kernel, without LAPACK.

Plain arrays enter it without the checks, which would take longer than the arithmetic; every other table after them.
Where it declines, the cross products that it has summed up go on with the problem.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast import sequences
from linreg_fast.algebra.precision import Vector
from linreg_fast.inputs.checks import Float
from linreg_fast.inputs.rounding import find_rounded
from linreg_fast.inputs.table import Table
from linreg_fast.options import FitOptions
from linreg_fast.passes import levels, products, rates
from linreg_fast.passes.products import SHIFT_ROWS
from linreg_fast.passes.progress import Report
from linreg_fast.passes.residuals import pass_cost
from linreg_fast.passes.table_sums import FirstPass
from linreg_fast.plan_costs import SMALL_COLUMNS
from linreg_fast.solvers.refinement import AUTO_DIGITS, CANCELLED, far_off

SINGLE = np.dtype(np.float32)
SMALL_SIZE = 1 << 16  # numbers of X up to which a fit is one kernel call, on this thread
SMALL_WORK = max(levels.kernels.small_work_size(p, 1, SMALL_SIZE) for p in range(SMALL_COLUMNS + 1))
WEIGHT_RANGE = (2.0**-200, 2.0**200)  # of the largest weight: far from where products of sums leave float64
SURE_DIGITS = 14.5  # that "extended" asks of an estimate on the safe side: the coefficients are full
FULL_TARGETS = 16  # up to which the lane in double-double goes: it holds the square of their number and that of columns
_kernels = levels.kernels
_small = _kernels.small
_extended = _kernels.extended
_new = tuple.__new__  # half the time of calling SmallFit
# workspaces for one target: as many as threads were in `_by_kernel` at once; append and pop are atomic
_spare: list[NDArray[np.float64]] = []


class SmallFit(NamedTuple):
    """The kernel's answer: arrays over the targets where y has two dimensions, else numbers."""

    coef: Vector
    intercept: Any
    rss: Any
    tss: Any
    digits: float
    rcond: float
    sum_weight: float
    origin: Vector | None  # see `LinearFit`
    spread: Vector | None  # standard errors over the residual standard deviation, the intercept last
    ess: Any  # where it is known better than as tss - rss
    res: Vector  # of all this, as the kernels leave it


def of_arrays(X: Any, y: Any, w: Any, options: FitOptions) -> SmallFit | FirstPass | None:
    """The fit of a few thousand numbers in arrays that are read as they are.

    None for every other kind of input, good or bad: it has to be looked at first. The cross products alone where
    the kernel declines, and where the digits ask for more.
    """
    if type(X) is not np.ndarray or type(y) is not np.ndarray or y.dtype is not Float or X.ndim != 2:
        return None
    dtype, shape, (n, p) = X.dtype, y.shape, X.shape
    k = 1 if len(shape) == 1 else shape[1] if len(shape) == 2 else 0
    if not 0 < p <= SMALL_COLUMNS or p >= n or k == 0 or shape[0] != n or n * (p + k - 1) > SMALL_SIZE:
        return None
    if not (dtype is Float or dtype is SINGLE):
        return None
    if w is not None and not (type(w) is np.ndarray and w.dtype is Float and w.shape == (n,)):
        return None
    found = _by_kernel(X, y, w, options)
    return found if w is None or _in_weight_range(found) else None


def readable(a: Any) -> NDArray[Any] | None:
    """Few numbers of a plain array or of lists as `of_arrays` reads them; None where others have to look at them."""
    if type(a) is not np.ndarray:
        return sequences.numbers(a)
    dtype = a.dtype
    if not 0 < a.ndim <= 2 or a.size > SMALL_SIZE:
        return None
    if not (dtype is Float or dtype is SINGLE):
        return np.array(a, Float, order="C") if dtype.kind in "fiub" and find_rounded(a) is None else None
    return np.ascontiguousarray(a, Float if a.ndim == 1 else dtype)


def _in_weight_range(found: SmallFit | FirstPass | None) -> bool:
    """Whether the weights are far from where sums over them leave the range of float64."""
    return not isinstance(found, SmallFit) or WEIGHT_RANGE[0] <= found.sum_weight <= WEIGHT_RANGE[1]


def weight_exponent(w: NDArray[Any]) -> int:
    """The even power of two that brings the largest weight near 1, where sums would not keep all digits of weights."""
    largest = float(np.max(w))
    if WEIGHT_RANGE[0] <= largest <= WEIGHT_RANGE[1] or not 0 < largest < math.inf:
        return 0
    return -2 * (math.frexp(largest)[1] // 2)


def of_table(data: Table, options: FitOptions, report: Report | None) -> SmallFit | FirstPass | None:
    """The fit of few columns and more rows. None, or the cross products alone, where others have to go on."""
    n, p, k = data.n_rows, data.n_features, data.n_targets
    if not 0 < p <= SMALL_COLUMNS or n <= p:
        return None
    seconds = n * rates.row_seconds(data.X.dtype.itemsize * p + 8 * k, p * (p + 1 + 2 * k))
    X, Y, w = data.X, data.Y, data.w
    if not data.order and n * (p + k - 1) <= SMALL_SIZE:
        X, Y, w = data.converted(slice(None))
    elif options.precision == "extended" and n * (p + k - 1) > SMALL_SIZE:
        return None
    elif seconds >= rates.THREADED_SECONDS or not data.order:
        found = _by_pass(data, options, report) if data.order or data.apart else None
        return found if w is None or _in_weight_range(found) else None
    found = _by_kernel(X, Y[:, 0] if data.one_target else Y, w, options)
    if w is not None and not _in_weight_range(found):
        return None
    if report is not None and isinstance(found, SmallFit):
        report(n, n)
    return found


def _by_kernel(X: Any, y: Any, w: Any, options: FitOptions) -> SmallFit | FirstPass | None:
    """Shift, cross products and closed form in one call; None for arrays that cannot be read where they are."""
    n, p = X.shape
    one = y.ndim == 1
    k = 1 if one else y.shape[1]
    if options.precision == "extended":
        return _in_full(X, y, w, options)
    if k == 1:
        try:
            work = _spare.pop()
        except IndexError:
            work = np.empty(SMALL_WORK)
        res = np.empty(3 * p + 9 + p * (p + 1) // 2)  # as `small_result_size` says
    else:
        work, res = np.empty(_kernels.small_work_size(p, k, n)), np.empty(_kernels.small_result_size(p, k))
    found = _small(X, y, w, SHIFT_ROWS, options.fit_intercept, options.l2, work, res)
    if one and found is not None and found[3] >= AUTO_DIGITS and found[1] > CANCELLED * found[2]:
        _spare.append(work)  # the way of most fits, in few steps: `view` of one target
        b0, rss, tss, digits, rcond, sum_weight, far = found
        spread, origin = res[p + 6 : 2 * p + 7], res[2 * p + 7 : 3 * p + 8] if far else None
        return _new(SmallFit, (res[:p], b0, rss, tss, digits, rcond, sum_weight, origin, spread, None, res))
    small = None if found is None else view(res, found, p, k, one)
    if small is not None and options.precision == "auto":
        if small.digits < AUTO_DIGITS:
            small = None
        elif _cancelled(small):
            order, dtype = "C" if X.flags.c_contiguous else "F", "float32" if X.dtype is SINGLE else "float64"
            small = _with_residuals(Table(X, y.reshape(n, k), w, order, dtype, one_target=one), small, 1)
    first, in_place = None, small is None and _in_place(X, y, w)
    if found is not None and options.precision == "auto" and in_place and n * (p + k - 1) <= SMALL_SIZE:
        small = _in_full(X, y, w, options)
    if in_place and small is None:
        size = _kernels.moments_sizes(p, k, n)[1]
        at = size + (p + 2) * (p + 1 + k)  # the shift follows the sums and what the kernel unpacks of them
        first = _first_pass(work[:size], work[at : at + p + k].copy(), p, k)
    if k == 1:
        _spare.append(work)
    return first if small is None else small


def _in_full(X: Any, y: Any, w: Any, options: FitOptions) -> SmallFit | None:
    """All digits of float64 from sums in double-double; None where they are not sure to be."""
    p, one = X.shape[1], y.ndim == 1
    k = 1 if one else y.shape[1]
    if k > FULL_TARGETS or not levels.kernels.double_double_works(1 + 2.0**-30, 1 + 2.0**-30):
        return None
    work_size, size = _kernels.extended_sizes(p, k)
    res = np.empty(size)
    found = _extended(X, y, w, SHIFT_ROWS, options.fit_intercept, options.l2, np.empty(work_size), res)
    if found is None or (options.precision == "extended" and found[3] < SURE_DIGITS):
        return None
    return view(res, found, p, k, one)


def _in_place(X: Any, y: Any, w: Any) -> bool:
    """Whether the kernel reads the arrays where they are, which it finds out itself where it does not decline."""
    flags = X.flags
    aligned = flags.aligned and y.flags.aligned and (w is None or w.flags.aligned)
    return bool(aligned and (flags.c_contiguous or flags.f_contiguous))


def _by_pass(data: Table, options: FitOptions, report: Report | None) -> SmallFit | FirstPass:
    """The same from a pass on several threads, or over columns that lie apart."""
    p, k, workers = data.n_features, data.n_targets, options.workers
    shift = products.leading_mean(data) if options.fit_intercept else np.zeros(p + k)
    out = products.sum_moments(data, shift, workers, progress=report)
    work, res = np.empty(_kernels.small_work_size(p, k, 1)), np.empty(_kernels.small_result_size(p, k))
    found = _kernels.small_solve(out, p, k, options.fit_intercept, options.l2, shift, work, res)
    small = None if found is None else view(res, found, p, k, data.one_target)
    if small is not None and options.precision == "auto":
        if small.digits < AUTO_DIGITS:
            small = None
        elif _cancelled(small):
            small = _with_residuals(data, small, workers)
    return _first_pass(out, shift, p, k) if small is None else small


def _first_pass(out: Vector, shift: Vector, p: int, k: int) -> FirstPass:
    M = np.empty((p + 1 + k, p + 1 + k))
    _kernels.moments_unpack(out, p, k, M)
    return FirstPass(M, shift)


def view(res: Vector, found: tuple[Any, ...], p: int, k: int, one_target: bool) -> SmallFit:
    """The fit that the kernels leave in res, and in what they return, the numbers of the first target and of all."""
    intercept, rss, tss, digits, rcond, sum_weight, far, *known = found
    at = k * (p + 3) + p + 4
    spread, origin = res[at - p - 1 : at], res[at : at + p + k] if far else None
    if one_target:
        ess = known[0] if known else None
        return _new(SmallFit, (res[:p], intercept, rss, tss, digits, rcond, sum_weight, origin, spread, ess, res))
    b0, squares, total = res[k * p : k * (p + 3)].reshape(3, k)
    coef, ess = res[: k * p].reshape(k, p), res[at + p + k + 1 : at + p + 2 * k + 1] if known else None
    return SmallFit(coef, b0, squares, total, digits, rcond, sum_weight, origin, spread, ess, res)


def _cancelled(small: SmallFit) -> bool:
    """Whether the rss of a target has lost too many digits."""
    cancelled = small.rss <= CANCELLED * small.tss
    return cancelled if type(cancelled) is bool else bool(cancelled.any())


def _with_residuals(data: Table, small: SmallFit, workers: int) -> SmallFit | None:
    """rss from the residuals themselves, one pass a target; None where offsets would cost those their digits."""
    coef, b0, rss, tss = small[:4]
    if data.one_target:
        coef, b0, rss, tss = coef[None], [b0], [rss], [tss]
    first = np.abs(data.X[0], dtype=np.float64)
    for t, b in enumerate(coef):
        if rss[t] > CANCELLED * tss[t]:
            continue
        intercept = float(b0[t])
        size = abs(intercept) + abs(float(data.Y[0, t])) + float(first @ np.abs(b))
        if far_off(size, small.sum_weight, float(tss[t])):
            return None
        rss[t] = 2 * pass_cost(data, b, intercept, workers, t)
    return small._replace(rss=rss[0] if data.one_target else rss)
