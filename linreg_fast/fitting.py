# SPDX-License-Identifier: BSD-3-Clause
"""fit: inputs -> plan -> solve -> result."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra import room
from linreg_fast.algebra.bread import Spread, about
from linreg_fast.algebra.centred import points_of_sums
from linreg_fast.algebra.paired import affordable
from linreg_fast.algebra.precision import any_range
from linreg_fast.algebra.sums import Sums
from linreg_fast.inputs.missing import of_complete_rows
from linreg_fast.inputs.named import taken_apart
from linreg_fast.inputs.table import Rows, Table, layout, table
from linreg_fast.options import MISSING, PRECISIONS, WEIGHTS, FitOptions, check_bounds, descent_options, limits
from linreg_fast.passes.progress import Report, reporting
from linreg_fast.passes.table_sums import FirstPass
from linreg_fast.plan_costs import DESCENT_STEPS, PlanArguments
from linreg_fast.planning import plan_arguments
from linreg_fast.result import LinearFit, Noted
from linreg_fast.robust import NONROBUST, Sandwich, with_covariances
from linreg_fast.solvers import bounded, closed_form, descent, refinement, small, spread, wide
from linreg_fast.solvers.problem import Problem
from linreg_fast.solvers.small import SmallFit, weight_exponent
from linreg_fast.solvers.solution import Solution, constant_columns

UNGRADED = 2.0**-100  # share of a column in its penalised norm below which qr and svd say nothing of its coefficient
UNIT_EXPONENT = 1000  # most powers of two of `y_unit`
RAISE, ANALYTIC = MISSING[0], WEIGHTS[0]
KEYWORDS = (
    "sample_weight",
    "weights",
    "fit_intercept",
    "solver",
    "precision",
    "l2",
    "positive",
    "bounds",
    "on_collinear",
    "missing",
    "cov",
    "groups",
    "maxlags",
    "kernel",
    "feature_names",
    "n_threads",
)


def fit(
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    weights: str = ANALYTIC,
    fit_intercept: bool = True,
    solver: str = "auto",
    precision: str = "auto",
    l2: float = 0.0,
    positive: bool = False,
    bounds: Any = None,
    on_collinear: str = "min_norm",
    missing: str = RAISE,
    cov: str = NONROBUST,
    groups: Any = None,
    maxlags: int | None = None,
    kernel: str = "bartlett",
    feature_names: Sequence[str] | None = None,
    n_threads: int | None = None,
    progress: bool | Report = False,
    **solver_options: Any,
) -> LinearFit:
    """Fit a linear model by least squares.

    Minimises the (weighted) residual sum of squares plus ``l2 * ||coef||^2``; the intercept is never
    penalised. No copy of X is made where it is float32 or float64 in C or F order; other layouts and
    dtypes are converted a few rows at a time. X, y and sample_weight are never written to.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features) or (n_samples,)
        Data; an array, a list, a series or a data frame, of pandas, Polars or whatever hands itself over as Arrow, as
        DuckDB relations do. One dimension is a simple regression. Columns are numbers where they are booleans,
        integers, floats or decimals, with missing values or without; categoricals, text and dates are none.
    y : array_like of shape (n_samples,) or (n_samples, n_targets); str or list of str
        The names of columns of a data frame X, which are then not among the features; the other columns that are
        not of numbers are left out. An object of pandas beside others of pandas is brought into the order of the
        labels of X; everything without labels goes by position.
    sample_weight : array_like of shape (n_samples,) or str, optional
        Weights, finite and not negative; the name of a column of X where y names one too. A row of weight 0 is not
        there, whatever it holds.
    weights : {"analytic", "frequency"}
        What the weights are. Either way they give the same coefficients. "analytic": relative precisions, as in WLS of
        statsmodels and aweights of Stata: only their ratios count, `n_samples` is the number of rows, and
        standard errors and p-values are those of so many. "frequency": how often each row was seen,
        as fweights of Stata: whole numbers; `n_samples` is their sum, and everything is as if the rows stood there so
        often.
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
    positive : bool
        Coefficients of at least 0, the intercept excepted.
    bounds : (lower, upper), optional
        Of the coefficients, each a number or one for each column, infinite where there is none; the intercept is free.
        `active` of the result says which are at a bound; there are no standard errors then.
    on_collinear : {"min_norm", "drop", "raise"}
        What to do about columns that depend on each other, as decided on centred columns scaled to equal norm:
        take the coefficients of least ||coef||_2, as NumPy and scikit-learn do; drop every column that depends
        on those before it, as R does, its coefficient being 0; or raise. Predictions at the rows fitted are the
        same. A constant column beside an intercept gets the coefficient 0 without a warning, or raises too.
    missing : {"raise", "drop"}
        What to do about rows with NaN or null in X, y or the weights: raise, naming the first one, or leave them out.
        Infinity is always an error.
    cov : {"nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster", "HAC"}
        What standard errors, and all that follows from them, take the errors for: equal and independent, or as
        `linreg_fast.robust` says, from one more pass over the rows.
    groups, maxlags, kernel
        The clusters of the rows, and the lags of "HAC", as for `linreg_fast.robust`.
    feature_names : sequence of str, optional
        Taken from X where it has column names.
    n_threads : int, optional
        At most so many threads, -1 for all processors; every number gives the same bits.
    progress : bool or callable
        True draws a progress bar (needs rich; tqdm in a notebook); a callable is called as progress(rows_done, rows).
    **solver_options
        For "gd": learning_rate, max_iter, tol, momentum, scale, coef_init, callback, passes;
        see `linreg_fast.options.DescentOptions`.

    Returns
    -------
    LinearFit

    Raises
    ------
    TypeError
        Data that are not real numbers, an unknown option.
    ValueError
        Shapes that do not match, row labels that are not the same, no rows, NaN or infinity (with the first row and
        column), weights that are negative, all zero or, where they are frequencies, no whole numbers, unknown names, an
        option out of range.
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
        Integers beyond 2^53 that float64 rounds, or longdouble; the first one is named.
    LeftOutWarning
        Columns that are not of numbers, of a data frame that holds the target too.
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
    first: FirstPass | None = None
    lean = (
        solver == "auto"
        and precision in PRECISIONS
        and feature_names is None
        and n_threads is None
        and on_collinear == "min_norm"
        and not progress
        and not solver_options
        and missing is RAISE  # faster than ==, and no matter where it says no
        and weights is ANALYTIC
        and cov is NONROBUST
        and groups is None
        and maxlags is None
        and positive is False
        and bounds is None
    )
    if lean and type(l2) is float and type(fit_intercept) is bool:
        options = _lean_options(precision, fit_intercept, l2)
    else:
        options = FitOptions(
            solver=solver,
            precision=precision,
            l2=l2,
            fit_intercept=fit_intercept,
            on_collinear=on_collinear,
            missing=missing,
            weights=weights,
            n_threads=n_threads,
            descent=descent_options(solver, solver_options, KEYWORDS),
            bounds=limits(positive, bounds),
        )
    if lean:
        found = small.of_arrays(X, y, sample_weight, options)
        if isinstance(found, SmallFit):
            order = "C" if X.flags.c_contiguous else "F"
            return _small_fit(found, options, X, y, sample_weight, order)
        A, v = (small.readable(X), small.readable(y)) if found is None else (None, None)
        if A is not None and v is not None:
            A = A if A.ndim == 2 else A[:, None]
            found = small.of_arrays(A, v, sample_weight, options)
            if isinstance(found, SmallFit):
                rows = A if type(X) is not np.ndarray else X if X.ndim == 2 else X[:, None]
                given = rows, y if type(y) is np.ndarray else v
                order, _, copies = layout(*given, sample_weight)
                return _small_fit(found, options, *given, sample_weight, order, tuple(copies))
        first = found
    left_out, targets = None, None
    if isinstance(groups, str):
        named = taken_apart(X, y, {"sample_weight": sample_weight, "groups": groups})
        X, y, (sample_weight, groups) = named.X, named.y, named.others
        left_out, targets = named.left_out, named.target_names
    asked = None if lean else Sandwich(cov, groups, maxlags, kernel)
    data = table(X, y, sample_weight, feature_names)
    if left_out is not None:
        data.left_out, data.target_names = left_out, targets
    if options.weights == "frequency":
        data.count_weights()
    if not progress:
        return _fit_rows(data, options, None, first, asked)
    with reporting(progress) as report:
        return _fit_rows(data, options, report, first, asked)


def _small_fit(
    found: SmallFit,
    options: FitOptions,
    X: NDArray[Any],
    y: NDArray[Any],
    w: NDArray[Any] | None,
    order: str,
    copies: tuple[str, ...] = (),
) -> LinearFit:
    """The result of few numbers in arrays, X being of two dimensions."""
    n, p = X.shape
    k = 1 if y.ndim == 1 else y.shape[1]
    asked: tuple[Any, ...] = (n, p, k, "auto", options.l2, X.itemsize, order, w is not None)
    if copies:
        asked = (*asked, 1, None, DESCENT_STEPS, copies)  # as `PlanArguments` has them
    return LinearFit.of_small(found, options, asked, n if w is None else int(np.count_nonzero(w)))


@functools.lru_cache(128)
def _lean_options(precision: str, fit_intercept: bool, l2: float) -> FitOptions:
    """The options of a fit that asks for no more than these: checked once, as making them takes half of a small fit."""
    return FitOptions(precision=precision, fit_intercept=fit_intercept, l2=l2)


def _fit_rows(
    data: Table, options: FitOptions, report: Report | None, first: FirstPass | None, asked: Sandwich | None
) -> LinearFit:
    """`fit_table`, without the rows that have missing values where they are to be dropped, and its covariances."""

    def solved(rows: Table) -> LinearFit:
        found = fit_table(rows, options, report, first if rows is data else None)
        if asked is None or asked.kind == NONROBUST:
            return found
        return with_covariances(found, rows, asked, options.n_threads)

    return of_complete_rows(solved, data, options.missing)


def fit_table(
    data: Table, options: FitOptions, report: Report | None = None, first: FirstPass | None = None
) -> LinearFit:
    """The fit of a table that was checked; of cross products of it that are known already, where `first` is given."""
    asked = plan_arguments(data, options)
    check_bounds(options, data.n_features)
    if first is None and options.solver == "auto" and options.bounds is None:
        found = small.of_table(data, options, report)
        if isinstance(found, SmallFit):
            return LinearFit.of_small(found, options, asked, data.n_present(), Noted.of(data))
        first = found
    exponent = 0 if data.w is None else weight_exponent(data.w)
    problem = Problem(data, options, asked, report, None if exponent else first)
    if exponent:
        return LinearFit.of_solution(problem, _solved_with_weights(problem, exponent))
    return LinearFit.of_solution(problem, _solved(problem))


def _solved_with_weights(problem: Problem, exponent: int) -> Solution:
    """The solution with weights times 2^exponent, an even power, taken back to what they were."""
    data, options = problem.rows, problem.options
    assert isinstance(data, Table)
    w = np.ldexp(np.asarray(data.w, dtype=np.float64), exponent)
    scaled = replace(options, l2=float(np.ldexp(options.l2, exponent)))
    solution = _solved(Problem(replace(data, w=w, positive=False), scaled, problem.asked, problem.report))
    # the sums of squares are held in units of y_unit^2, which takes what it can hold of the weights' scale
    unit = np.frexp(solution.y_unit)[1] - 1 - exponent // 2
    kept = np.clip(unit, -UNIT_EXPONENT, UNIT_EXPONENT)
    solution.y_unit = np.ldexp(1.0, kept)
    ess = solution.tss - solution.rss if solution.ess is None else solution.ess
    solution.rss, solution.tss, solution.ess = (
        np.ldexp(a, 2 * (unit - kept)) for a in (solution.rss, solution.tss, ess)
    )
    if solution.spread is not None:
        errors, bread = solution.spread
        assert bread is not None
        bread = bread._replace(exponents=bread.exponents + exponent // 2)
        solution.spread = Spread(np.ldexp(errors, exponent // 2), bread)
    solution.n_samples, solution.sum_weight = data.n_present(), data.sum_weight()
    return solution


def fit_sums(rows: Rows, M: Sums, options: FitOptions) -> LinearFit:
    """The fit of rows that are read piece by piece, once their sums M are known."""
    gd = options.descent
    check_bounds(options, rows.n_features)
    asked = PlanArguments(
        max(M.n_rows, rows.n_features + 1),  # of fewer rows there is nothing more to plan
        rows.n_features,
        rows.n_targets,
        options.solver,
        options.l2,
        order="F",
        weighted=rows.weighted,
        n_threads=options.workers,
        descent_passes="moments" if gd else None,
    )
    problem = Problem(rows, options, asked)
    problem.sums = M
    return LinearFit.of_solution(problem, _solved(problem))


@any_range
def _solved(problem: Problem) -> Solution:
    """The solution by the solver that the plan has chosen, refined as far as the options ask for it."""
    room.for_lapack()
    if problem.options.bounds is not None:
        return bounded.solve(problem)
    if problem.plan.solver == "gd":
        return descent.solve(problem)
    if problem.plan.passes == "rows":
        return wide.solve(problem)
    options = problem.options
    constant = constant_columns(problem, problem.centred.live)
    solution = closed_form.solve(problem)
    kept = solution.reduced or problem
    full = options.precision == "extended"
    refined = full or (options.precision == "auto" and solution.digits < refinement.AUTO_DIGITS)
    if refined:
        solution = refinement.refine(kept, solution, full)
    elif options.precision == "auto":
        refinement.sum_residuals(kept, solution)
    if solution.path[-1] != "cholesky" and np.any(kept.centred.own < UNGRADED):
        solution.digits = 0.0
    solution.collinear = tuple(sorted({*constant, *solution.collinear}))
    if options.on_collinear == "drop":
        solution.dropped = tuple(sorted({*constant, *solution.dropped}))
    point = None
    if options.fit_intercept:
        solution.origin, point = points_of_sums(problem.sums, problem.centred, solution.coef)
    if not options.l2:
        worth_it = full or (refined and affordable(problem.sums.n_rows, len(kept.centred.live)))
        solution.spread = about(spread.spread_of(kept, solution.factor, worth_it), point)
    return solution
