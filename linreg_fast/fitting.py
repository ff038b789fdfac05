# SPDX-License-Identifier: BSD-3-Clause
"""fit: inputs -> plan -> solve -> result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from linreg_fast import planning
from linreg_fast.algebra import paired
from linreg_fast.algebra.centred import centre
from linreg_fast.algebra.digits import digits_held
from linreg_fast.algebra.precision import Vector, any_range
from linreg_fast.algebra.sums import Sums
from linreg_fast.inputs.checks import number
from linreg_fast.inputs.table import Table, count_present, table
from linreg_fast.options import ON_COLLINEAR, PRECISIONS, DescentOptions, check_solver, descent_options
from linreg_fast.passes import residuals, table_sums
from linreg_fast.passes.progress import reporter
from linreg_fast.passes.threads import threads
from linreg_fast.plan_costs import EXACT_L
from linreg_fast.planning import plan_arguments
from linreg_fast.result import LinearFit
from linreg_fast.solvers import closed_form, descent, refinement, wide
from linreg_fast.solvers.refinement import AUTO_DIGITS, CANCELLED, sum_residuals, total_squares
from linreg_fast.solvers.small import LEAN, fit_lean, fit_small
from linreg_fast.solvers.solution import Solution, constant_columns
from linreg_fast.solvers.spread import unscaled, unscaled_extended


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
        done = fit_small(X, y, sample_weight, bool(fit_intercept), precision)
        if done is not None:
            return done
    check_solver(solver)
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    if on_collinear not in ON_COLLINEAR:
        raise ValueError(f"on_collinear must be one of {', '.join(ON_COLLINEAR)}; got {on_collinear!r}")
    l2 = number(l2, "l2", least=0.0) + 0.0  # no -0.0
    data = table(X, y, sample_weight, feature_names)
    if n_threads is not None:
        n_threads = threads(n_threads)
    report = reporter(progress) if progress else None
    if solver == "auto" and not solver_options and precision != "extended":
        done = fit_lean(data, bool(fit_intercept), precision, l2, n_threads, report)
        if done is not None:
            return done
    workers = threads(n_threads)
    chosen = descent_options(solver_options, data.n_features, fit_intercept) if solver == "gd" else None
    if chosen is None and solver_options:
        if solver != "auto":
            raise TypeError(f"solver {solver!r} takes no options, got {', '.join(solver_options)}")
        raise TypeError(f"options {', '.join(solver_options)} need solver='gd'")
    shape = plan_arguments(data, solver, l2, workers)
    if chosen:
        shape |= {"descent_passes": chosen.passes, "max_iter": chosen.max_iter}
    plan = planning.plan_shape(**shape)
    if plan.solver == "gd":
        if data.n_targets != 1:
            raise ValueError(f"solver 'gd' takes one target, got y of shape {data.Y.shape}: fit them one by one")
        if on_collinear != "min_norm":
            raise ValueError(f"solver 'gd' does not see collinear columns: on_collinear={on_collinear!r} needs another")
        # the moments give the learning rate and the digits, wherever p x p numbers are affordable
        square = data.n_features <= EXACT_L
        M = table_sums.of_table(data, fit_intercept, workers, report) if plan.passes == "moments" or square else None
        options = chosen or DescentOptions()
        return _descend(data, M, plan, shape, options, fit_intercept, l2, precision, workers)
    if plan.passes == "rows":
        solution = wide.solve_wide(data, fit_intercept, l2, on_collinear, precision)
        return _result(data, solution, None, plan, shape, fit_intercept, l2, precision, *count_present(data))
    M = table_sums.of_table(data, fit_intercept, workers, report)
    return _solve(data, M, plan, shape, solver, fit_intercept, l2, precision, on_collinear, workers)


def fit_sums(
    data: Any,
    M: Sums,
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
        shape |= {"descent_passes": "moments", "max_iter": DescentOptions().max_iter}
        plan = planning.plan_shape(**shape)
        return _descend(data, M, plan, shape, DescentOptions(), fit_intercept, l2, precision, workers)
    plan = planning.plan_shape(**shape)
    return _solve(data, M, plan, shape, solver, fit_intercept, l2, precision, "min_norm", workers)


@any_range
def _solve(
    data: Any,
    M: Sums,
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
    constant = constant_columns(data, C.live, on_collinear) if not l2 else ()
    solution = closed_form.solve(data, M, C, solver, fit_intercept, on_collinear=on_collinear)
    full = precision == "extended"
    refined = full or (precision == "auto" and solution.digits < AUTO_DIGITS)
    if refined:
        solution = refinement.refine(data, M, solution.centred or C, solution, solver, fit_intercept, full, workers)
    elif precision == "auto":
        sum_residuals(data, M, solution.centred or C, solution, fit_intercept, workers)
    solution.collinear = tuple(sorted({*constant, *solution.collinear}))
    if on_collinear == "drop":
        solution.dropped = tuple(sorted({*constant, *solution.dropped}))
    spread = None
    if not l2:
        kept = solution.centred or C
        if full or (refined and paired.affordable(M.n_rows, len(kept.live))):
            spread = unscaled_extended(data, M, kept, solution.factor, fit_intercept, workers)
        else:
            spread = unscaled(M, kept, solution.factor, data.n_features, fit_intercept)
    return _result(data, solution, spread, plan, shape, fit_intercept, l2, precision, M.n_rows, M.N)


def _result(
    data: Any,
    solution: Solution,
    spread: Vector | None,
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


@any_range
def _descend(
    data: Any,
    M: Sums | None,
    plan: planning.Plan,
    shape: dict[str, Any],
    chosen: DescentOptions,
    fit_intercept: bool,
    l2: float,
    precision: str,
    workers: int,
) -> LinearFit:
    if plan.passes == "data" and isinstance(data, Table) and data.apart:
        data = replace(data, X=data.X[:], order="F")  # put together once, not at each step
    done = descent.descend(data, M, fit_intercept, l2, chosen, plan.passes, workers)
    n_samples, sum_weight = count_present(data) if M is None else (M.n_rows, M.N)
    y_unit = 1.0
    rss = 2 * sum_weight * float(done.history[-1]) - (l2 * float(done.coef @ done.coef) if l2 else 0.0)
    if M is None:
        tss = total_squares(data, fit_intercept)
        if rss <= CANCELLED * tss:
            rss = 2 * residuals.fold_cost(data, done.coef, done.intercept, workers)
    else:
        C = centre(M, fit_intercept, 0.0)
        tss, y_unit = float(C.S_yy[0]), 1.0 / float(M.dy[0])
        if y_unit != 1.0:
            beta = np.ldexp(done.coef[C.live], C.ey[0] - C.e)
            rss = refinement.residual_squares(data, M, C, beta, 0, fit_intercept, workers)
        elif rss <= CANCELLED * tss:
            rss = 2 * residuals.fold_cost(data, done.coef, done.intercept, workers)
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
