# SPDX-License-Identifier: BSD-3-Clause
"""fit: inputs -> plan -> solve -> result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast import (
    closed_form,
    descent,
    inference,
    inputs,
    levels,
    objective,
    passes,
    planning,
    refinement,
    sums,
    wide,
)
from linreg_fast.centred import Centred, centre
from linreg_fast.closed_form import ON_COLLINEAR
from linreg_fast.refinement import AUTO_DIGITS
from linreg_fast.result import LinearFit, digits_held
from linreg_fast.saved import PRECISIONS as PRECISIONS

LEAN = ("auto", "fast")
SMALL_SIZE = 1 << 16  # numbers of X up to which a fit is one kernel call, on this thread
SMALL_WORK = max(levels.kernels.small_work_size(p, 1, SMALL_SIZE) for p in range(planning.SMALL_COLUMNS + 1))
# workspaces for one target: as many as threads were in `_fit_small` at once; append and pop are atomic
_small_work: list[NDArray[np.float64]] = []
CANCELLED = 1e-6  # share of tss that rss may fall to before it is summed from the residuals themselves
FAR_OFF = 1e3  # of the standard deviation of y: offsets beyond cost residuals three digits


def fit(
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    fit_intercept: bool = True,
    solver: str = "auto",
    precision: str = "auto",
    l2: float = 0.0,
    on_collinear: str = "min_norm",
    feature_names: Sequence[str] | None = None,
    n_threads: int | None = None,
    progress: bool | Callable[[int, int], object] = False,
    **solver_options: Any,
) -> LinearFit:
    """Fit a linear model by least squares.

    Minimises the (weighted) residual sum of squares plus ``l2 * ||coef||^2``; the intercept is never
    penalised. No copy of X is made where it is float32 or float64 in C or F order; other layouts and
    dtypes are converted a few rows at a time. X, y and sample_weight are never written to.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features) or (n_samples,)
        Data; an array, a list, a data frame or an Arrow table. One dimension is a simple regression.
    y : array_like of shape (n_samples,) or (n_samples, n_targets)
    sample_weight : array_like of shape (n_samples,), optional
        Weights, finite and not negative. A row of weight 0 is not there, whatever it holds; a weight
        of 2 is the row twice.
    fit_intercept : bool
    solver : {"auto", "cholesky", "qr", "svd", "gd"}
        "auto" takes what `plan` chooses and goes on from cholesky to qr to svd as the conditioning
        asks for. A solver asked for by name is never replaced: it delivers, warns or raises.
    precision : {"auto", "fast", "extended"}
        "fast": one pass, no refinement. "auto": refined in double-double where fewer than 10 digits are
        expected. "extended": refined until the digits are full. Refinement is for solver "auto" and the
        closed forms. Standard errors are refined with the coefficients, by "auto" for up to 16 columns or few rows.
    l2 : float
        Penalty, scikit-learn's Ridge ``alpha``.
    on_collinear : {"min_norm", "drop", "raise"}
        What to do about columns that depend on each other, as decided on centred columns scaled to equal norm:
        take the coefficients of least ||coef||_2, as NumPy and scikit-learn do; drop every column that depends
        on those before it, as R does, its coefficient being 0; or raise. Predictions at the rows fitted are the
        same. A constant column beside an intercept gets the coefficient 0 without a warning, or raises too.
    feature_names : sequence of str, optional
        Taken from X where it has column names.
    n_threads : int, optional
        At most so many threads, -1 for all processors; every number gives the same bits.
    progress : bool or callable
        True draws a progress bar (needs rich); a callable is called as progress(rows_done, rows).
    **solver_options
        For "gd": learning_rate, max_iter, tol, momentum, scale, coef_init, callback, passes;
        see `linreg_fast.descent.Options`.

    Returns
    -------
    LinearFit

    Raises
    ------
    TypeError
        Data that are not real numbers, an unknown option.
    ValueError
        Shapes that do not match, no rows, NaN or infinity (with the first row and column), weights that
        are negative or all zero, unknown names, an option out of range.
    numpy.linalg.LinAlgError
        A solver asked for by name cannot deliver; dependent columns with ``on_collinear="raise"``.
    LearningRateError
        Gradient descent diverges; the largest stable rate is named.

    Warns
    -----
    RankWarning
        Dependent columns, or no more rows than columns: the minimum-norm solution, or columns dropped.
    ConditionWarning
        Cholesky asked for by name on columns too ill-conditioned for it.
    PrecisionWarning
        Integers beyond 2^53 that float64 rounds, or longdouble.
    ConvergenceWarning
        Gradient descent stopped at max_iter.

    Notes
    -----
    A constant column gets the coefficient 0 beside an intercept. With one row and an intercept all
    coefficients are 0 and the intercept is y.

    Examples
    --------
    >>> import numpy as np, linreg_fast
    >>> x = np.array([0.0, 1.0, 2.0, 3.0])
    >>> line = linreg_fast.fit(x, 1.0 + 2.0 * x)
    >>> line.slope, line.intercept
    (2.0, 1.0)
    """
    if (
        solver == "auto"
        and precision in LEAN
        and type(l2) is float
        and l2 == 0.0
        and feature_names is None
        and n_threads is None
        and on_collinear == "min_norm"
        and not progress
        and not solver_options
    ):
        done = _fit_small(X, y, sample_weight, bool(fit_intercept), precision)
        if done is not None:
            return done
    planning.check_solver(solver)
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    if on_collinear not in ON_COLLINEAR:
        raise ValueError(f"on_collinear must be one of {', '.join(ON_COLLINEAR)}; got {on_collinear!r}")
    l2 = inputs.number(l2, "l2", least=0.0) + 0.0  # no -0.0
    data = inputs.table(X, y, sample_weight, feature_names)
    if n_threads is not None:
        n_threads = passes.threads(n_threads)
    report = _progress(progress) if progress else None
    if solver == "auto" and not solver_options and precision != "extended":
        done = _fit_lean(data, bool(fit_intercept), precision, l2, n_threads, report)
        if done is not None:
            return done
    workers = passes.threads(n_threads)
    chosen = descent.options(solver_options, data.n_features, fit_intercept) if solver == "gd" else None
    if chosen is None and solver_options:
        if solver != "auto":
            raise TypeError(f"solver {solver!r} takes no options, got {', '.join(solver_options)}")
        raise TypeError(f"options {', '.join(solver_options)} need solver='gd'")
    shape = _plan_arguments(data, solver, l2, workers)
    if chosen:
        shape |= {"descent_passes": chosen.passes, "max_iter": chosen.max_iter}
    plan = planning.plan_shape(**shape)
    if plan.solver == "gd":
        if data.n_targets != 1:
            raise ValueError(f"solver 'gd' takes one target, got y of shape {data.Y.shape}: fit them one by one")
        if on_collinear != "min_norm":
            raise ValueError(f"solver 'gd' does not see collinear columns: on_collinear={on_collinear!r} needs another")
        # the moments give the learning rate and the digits, wherever p x p numbers are affordable
        small = data.n_features <= descent.EXACT_L
        M = sums.of_table(data, fit_intercept, workers, report) if plan.passes == "moments" or small else None
        options = chosen or descent.Options()
        return _descend(data, M, plan, shape, options, fit_intercept, l2, precision, workers)
    if plan.passes == "rows":
        solution = wide.solve_wide(data, fit_intercept, l2, on_collinear, precision)
        return _result(data, solution, None, plan, shape, fit_intercept, l2, precision, *objective.count_present(data))
    M = sums.of_table(data, fit_intercept, workers, report)
    return _solve(data, M, plan, shape, solver, fit_intercept, l2, precision, on_collinear, workers)


def fit_sums(
    data: Any,
    M: sums.Sums,
    solver: str,
    fit_intercept: bool,
    l2: float,
    precision: str,
    workers: int,
) -> LinearFit:
    """The fit of rows that are read piece by piece, once their sums M are known.

    `data` has the attributes of an `inputs.Table` but for the arrays, and its `fold`.
    """
    shape: dict[str, Any] = {
        "n_rows": max(M.n_rows, data.n_features + 1),  # of fewer rows there is nothing more to plan
        "n_features": data.n_features,
        "n_targets": data.n_targets,
        "solver": solver,
        "l2": l2,
        "itemsize": 8,
        "order": "F",
        "weighted": data.weighted,
        "n_threads": workers,
        "copies": [],
    }
    if solver == "gd":
        if data.n_targets != 1:
            raise ValueError(f"solver 'gd' takes one target, there are {data.n_targets}: fit them one by one")
        shape |= {"descent_passes": "moments", "max_iter": descent.Options().max_iter}
        plan = planning.plan_shape(**shape)
        return _descend(data, M, plan, shape, descent.Options(), fit_intercept, l2, precision, workers)
    plan = planning.plan_shape(**shape)
    return _solve(data, M, plan, shape, solver, fit_intercept, l2, precision, "min_norm", workers)


@sums.any_range
def _solve(
    data: Any,
    M: sums.Sums,
    plan: planning.Plan,
    shape: dict[str, Any],
    solver: str,
    fit_intercept: bool,
    l2: float,
    precision: str,
    on_collinear: str,
    workers: int,
) -> LinearFit:
    C = centre(M, fit_intercept, l2)
    constant = closed_form.constant_columns(data, C.live, on_collinear) if not l2 else ()
    solution = closed_form.solve(data, M, C, solver, fit_intercept, on_collinear=on_collinear)
    full = precision == "extended"
    refined = full or (precision == "auto" and solution.digits < AUTO_DIGITS)
    if refined:
        solution = refinement.refine(data, M, solution.centred or C, solution, solver, fit_intercept, full, workers)
    elif precision == "auto":
        _sum_residuals(data, M, solution.centred or C, solution, fit_intercept, workers)
    solution.collinear = tuple(sorted({*constant, *solution.collinear}))
    if on_collinear == "drop":
        solution.dropped = tuple(sorted({*constant, *solution.dropped}))
    spread = None
    if not l2:
        kept = solution.centred or C
        if full or (refined and inference.affordable(M.n_rows, len(kept.live))):
            spread = inference.unscaled_extended(data, M, kept, solution.factor, fit_intercept, workers)
        else:
            spread = inference.unscaled(M, kept, solution.factor, data.n_features, fit_intercept)
    return _result(data, solution, spread, plan, shape, fit_intercept, l2, precision, M.n_rows, M.N)


def _result(
    data: Any,
    solution: closed_form.Solution,
    spread: sums.Vector | None,
    plan: planning.Plan,
    shape: dict[str, Any],
    fit_intercept: bool,
    l2: float,
    precision: str,
    n_samples: int,
    sum_weight: float,
) -> LinearFit:
    one = data.one_target
    ess = solution.tss - solution.rss if solution.ess is None else solution.ess
    return LinearFit(
        coef=solution.coef[0] if one else solution.coef,
        intercept=float(solution.intercept[0]) if one else solution.intercept,
        solver=solution.path[-1],
        solver_path=solution.path,
        reason=solution.reason or plan.reason,
        plan_arguments=shape,
        precision=precision,
        digits=max(0.0, min(solution.digits, digits_held(solution.coef))),
        rank=solution.rank,
        rcond=solution.rcond,
        converged=True,
        n_iter=0,
        cost_history=None,
        rss=float(solution.rss[0]) if one else solution.rss,
        ess=float(ess[0]) if one else ess,
        tss=float(solution.tss[0]) if one else solution.tss,
        sum_weight=sum_weight,
        n_samples=n_samples,
        n_features=data.n_features,
        n_targets=data.n_targets,
        feature_names=None if data.names is None else tuple(data.names),
        fit_intercept=bool(fit_intercept),
        l2=l2,
        spread=spread,
        collinear=solution.collinear,
        dropped=solution.dropped,
        y_unit=float(solution.y_unit[0]) if one else solution.y_unit,
    )


def _fit_small(X: Any, y: Any, w: Any, fit_intercept: bool, precision: str) -> LinearFit | None:
    """The fit of a few thousand numbers in plain arrays, whose checks would take longer than the arithmetic.

    None for every other kind of input, good or bad, where the kernel declines, and where the digits ask for more.
    """
    if type(X) is not np.ndarray or type(y) is not np.ndarray or not (w is None or type(w) is np.ndarray):
        return None
    if (
        X.ndim != 2
        or X.dtype.char not in "df"
        or y.dtype is not inputs.Float
        or (w is not None and w.dtype is not inputs.Float)
    ):
        return None
    n, p = X.shape
    one_target = y.ndim == 1
    k = 1 if one_target else y.shape[-1]
    if not (0 < p <= planning.SMALL_COLUMNS and p < n and n * (p + k - 1) <= SMALL_SIZE):
        return None
    work, res = _small_buffers(n, p, k)
    found = levels.kernels.small(X, y, w, sums.SHIFT_ROWS, fit_intercept, 0.0, work, res)
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


def _fit_lean(
    data: inputs.Table,
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
    if not (data.order or data.apart) or not 0 < p <= planning.SMALL_COLUMNS or n <= p:
        return None
    work, res = _small_buffers(n, p, k)
    workers = 1
    seconds = n * passes.row_seconds(X.itemsize * p + 8 * k, p * (p + 1 + 2 * k))
    if seconds < passes.THREADED_SECONDS and data.order:
        found = levels.kernels.small(X, Y, w, sums.SHIFT_ROWS, fit_intercept, l2, work, res)
        if found is not None and report is not None:
            report(n, n)
    else:
        workers = passes.threads(n_threads)
        shift = sums.leading_mean(data) if fit_intercept else np.zeros(p + k)
        out = sums.sum_moments(data, shift, workers, progress=report)
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
            if _far_off(size, found[5], float(tss[t])):
                return None
            rss[t] = 2 * objective.pass_cost(data, b, intercept, workers, t)
        found = (found[0], float(rss[0]), *found[2:])
    shape = _plan_arguments(data, "auto", l2, workers)
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
    )


def _plan_arguments(data: inputs.Table, solver: str, l2: float, workers: int) -> dict[str, Any]:
    n, p = data.X.shape
    return {
        "n_rows": n,
        "n_features": p,
        "n_targets": data.Y.shape[1],
        "solver": solver,
        "l2": l2,
        "itemsize": data.X.itemsize,
        "order": "F" if data.apart else data.order,
        "weighted": data.w is not None,
        "n_threads": workers,
        "copies": data.copies,
    }


@sums.any_range
def _descend(
    data: Any,
    M: sums.Sums | None,
    plan: planning.Plan,
    shape: dict[str, Any],
    chosen: descent.Options,
    fit_intercept: bool,
    l2: float,
    precision: str,
    workers: int,
) -> LinearFit:
    if plan.passes == "data" and isinstance(data, inputs.Table) and data.apart:
        data = replace(data, X=data.X[:], order="F")  # put together once, not at each step
    done = descent.descend(data, M, fit_intercept, l2, chosen, plan.passes, workers)
    n_samples, sum_weight = objective.count_present(data) if M is None else (M.n_rows, M.N)
    y_unit = 1.0
    rss = 2 * sum_weight * float(done.history[-1]) - (l2 * float(done.coef @ done.coef) if l2 else 0.0)
    if M is None:
        tss = _tss(data, fit_intercept)
        if rss <= CANCELLED * tss:
            rss = 2 * objective.fold_cost(data, done.coef, done.intercept, workers)
    else:
        C = centre(M, fit_intercept, 0.0)
        tss, y_unit = float(C.S_yy[0]), 1.0 / float(M.dy[0])
        if y_unit != 1.0:
            beta = np.ldexp(done.coef[C.live], C.ey[0] - C.e)
            rss = refinement.residual_squares(data, M, C, beta, 0, fit_intercept, workers)
        elif rss <= CANCELLED * tss:
            rss = 2 * objective.fold_cost(data, done.coef, done.intercept, workers)
    return LinearFit(
        coef=done.coef,
        intercept=done.intercept,
        solver="gd",
        solver_path=("gd",),
        reason=f"{plan.reason}; passes over the {plan.passes}",
        plan_arguments=shape,
        precision=precision,
        digits=done.digits,
        rank=data.n_features,
        rcond=float("nan"),
        converged=done.converged,
        n_iter=done.n_iter,
        cost_history=done.history,
        rss=rss,
        ess=tss - rss,
        tss=tss,
        sum_weight=sum_weight,
        n_samples=n_samples,
        n_features=data.n_features,
        n_targets=1,
        feature_names=None if data.names is None else tuple(data.names),
        fit_intercept=bool(fit_intercept),
        l2=l2,
        y_unit=y_unit,
    )


def _tss(data: inputs.Table, fit_intercept: bool) -> float:
    y = np.asarray(data.Y[:, 0], dtype=np.float64)
    w = np.ones(len(y)) if data.w is None else np.asarray(data.w, dtype=np.float64)
    y = np.where(w != 0, y, 0.0)
    return float(w @ (y - (w @ y / w.sum() if fit_intercept else 0.0)) ** 2)


def _sum_residuals(
    data: Any, M: sums.Sums, C: Centred, solution: closed_form.Solution, fit_intercept: bool, workers: int
) -> None:
    """rss from the residuals, one pass, where S_yy - b'c cancelled too many digits of it."""
    m, m_y = M.k + C.mu / M.d, M.ky + M.t / M.N / M.dy
    for t in np.flatnonzero(solution.rss <= CANCELLED * solution.tss):
        b, b0 = np.ascontiguousarray(solution.coef[t]), float(solution.intercept[t])
        size = abs(b0) + abs(float(m_y[t])) + float(np.abs(m) @ np.abs(b))
        if M.dy[t] == 1.0 and not _far_off(size, M.N, float(solution.tss[t])):
            solution.rss[t] = 2 * objective.fold_cost(data, b, b0, workers, int(t))
        else:
            beta = solution.beta[:, t] if solution.beta is not None else np.zeros(0)
            solution.rss[t] = refinement.residual_squares(data, M, C, beta, int(t), fit_intercept, workers)


def _far_off(size: float, N: float, tss: float) -> bool:
    """Whether terms of the prediction of a row are so large beside the spread of y that residuals lose digits."""
    return not size * size * N <= FAR_OFF**2 * tss


def _progress(progress: bool | Callable[[int, int], object]) -> Callable[[int, int], object]:
    if callable(progress):
        return progress
    try:
        from rich.progress import Progress
    except ImportError:
        raise TypeError('progress=True needs rich: pip install "linreg_fast[cli]"; or give a callable') from None
    bar = Progress()
    task = bar.add_task("rows", total=None)

    def report(done: int, total: int) -> None:
        if not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()

    return report
