# SPDX-License-Identifier: BSD-3-Clause
"""LinearFit: the one result type, whoever made it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra.bread import Bread, Robust
from linreg_fast.algebra.digits import digits_held
from linreg_fast.inference import influence, significance
from linreg_fast.inference.description import describe, listed
from linreg_fast.inference.inferred import Inferred
from linreg_fast.inference.influence import Influence
from linreg_fast.inputs import formulas, labels
from linreg_fast.inputs.checks import one_of
from linreg_fast.inputs.named import rows_of_fit
from linreg_fast.inputs.table import Rows, table
from linreg_fast.options import FitOptions
from linreg_fast.passes import predictions
from linreg_fast.plan_costs import PlanArguments
from linreg_fast.planning import TALL_REASON, Plan, plan_shape
from linreg_fast.saved import fit as saved_fit
from linreg_fast.solvers.problem import Problem
from linreg_fast.solvers.small import SmallFit
from linreg_fast.solvers.solution import Solution


class _Fields(NamedTuple):
    """The fields of LinearFit, in order.

    Those that users do not see:

    plan_arguments  the shape and the options that `plan` is made of; None for a fit that was loaded
    spread          what `stderr` is made of: the standard errors over `residual_std`, shape (n_features + 1,), the
                    intercept last; None where there are none
    chebyshev       of a polynomial: [c, u, b_0, b_1 ..], the series sum_k b_k T_k((x - c) / u) that `predict` evaluates
    bread           what `cov` is made of, see `algebra.bread`: for few columns as the kernels leave it, a result of
                    theirs; None where there is none, or it is not kept
    robust          covariances that take the place of those of equal and independent errors, or None
    weighted        whether rows had weights that are not counts
    y_unit          power of two whose square is the unit of rss, ess and tss as they are held: 1 but where y is so
                    large or small that their squares leave the range of float64, which costs `r2` and `stderr` nothing
    origin          [c_1 .. c_p, v_1 ..], the means of the columns and the prediction of each target there; None but
                    where offsets of the columns are so large that predictions are made about it, see `predict`
    """

    coef: NDArray[np.float64]
    intercept: Any
    solver: str
    solver_path: tuple[str, ...]
    reason: str
    plan_arguments: tuple[Any, ...] | None  # of `PlanArguments`, the leading ones
    precision: str
    digits: float
    rank: int
    rcond: float
    converged: bool
    n_iter: int
    cost_history: NDArray[np.float64] | None
    rss: Any
    ess: Any
    tss: Any
    sum_weight: float
    n_samples: int
    n_features: int
    n_targets: int
    feature_names: tuple[str, ...] | None
    fit_intercept: bool
    l2: float
    spread: NDArray[np.float64] | None = None
    collinear: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    chebyshev: NDArray[np.float64] | None = None
    y_unit: Any = 1.0
    left_out: dict[str, str] = {}  # noqa: RUF012  never handed out: the attribute is a copy
    n_dropped: int = 0
    origin: NDArray[np.float64] | None = None
    bread: Bread | NDArray[np.float64] | None = None
    robust: Robust | None = None
    weighted: bool = False
    active: NDArray[np.int8] | None = None
    formula: dict[str, Any] | None = None
    target_names: tuple[str, ...] | None = None


class Noted(NamedTuple):
    """What a small fit does not know of its columns and rows."""

    names: tuple[str, ...] | None
    left_out: dict[str, str]
    n_dropped: int
    target_names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, rows: Rows) -> Noted:
        """What is noted of the rows of a fit."""
        names = None if rows.names is None else tuple(rows.names)
        targets = None if rows.target_names is None else tuple(rows.target_names)
        return cls(names, rows.left_out, rows.n_dropped, targets)


NOTHING_NOTED = Noted(None, {}, 0)
RSS, ESS, TSS, LEFT_OUT = (_Fields._fields.index(name) for name in ("rss", "ess", "tss", "left_out"))
# what the public attributes are made of: arguments of the constructor, attributes with an underscore
INSIDE = ("plan_arguments", "spread", "chebyshev", "y_unit", "origin", "bread", "robust", "weighted")


if TYPE_CHECKING:
    _Base = _Fields
else:
    _Base = object  # a LinearFit holds such a tuple and is none


class LinearFit(Inferred, _Base):
    """A fitted linear model. It holds no data and never changes.

    Beside its coefficients it keeps the inverse of the cross products of the columns, or a factor of them: as many
    numbers as the square of their number, from which all covariances are made when they are asked for.

    Attributes
    ----------
    coef : ndarray of shape (n_features,) or (n_targets, n_features)
        Slopes, one-dimensional if y was; float64.
    intercept : float or ndarray of shape (n_targets,)
        0 if none was fitted.
    solver : str
        The solver that delivered: "cholesky", "qr", "svd", "gd", or "mean" where no column varies.
    solver_path : tuple of str
        Every solver that was tried, in order; the last one is `solver`.
    reason : str
        Why this solver, in a sentence.
    precision : str
        "fast", "auto" or "extended", as asked for.
    digits : float
        Estimate of the correct decimal digits of the worst coefficient, at most 15.95.
    rank : int
        Rank of the centred columns of X (of X itself without an intercept); constant columns do not count.
    rcond : float
        Reciprocal condition number, estimated, of the centred columns scaled to equal norm; over the
        directions kept where the rank is deficient.
    converged : bool
        False if gradient descent stopped at `max_iter` or by the callback.
    n_iter : int
        Steps of gradient descent; 0 for a closed form.
    cost_history : ndarray of shape (n_iter + 1,) or None
        J before each step and after the last one.
    rss, ess, tss : float or ndarray of shape (n_targets,)
        Weighted sums of squares: of the residuals, of y about its mean (about 0 without an intercept) less
        that of the residuals, and of y about its mean. 0 or infinity where float64 cannot hold the square; NaN where
        they come from `Moments` whose rounding leaves nothing of them.
    sum_weight : float
        Sum of the weights; the number of rows without any.
    n_samples, n_features, n_targets : int
        Rows of non-zero weight, columns of X, columns of y.
    feature_names : tuple of str or None
        Column names, where X had some or they were given.
    fit_intercept : bool
    l2 : float
    collinear : tuple of int
        Positions of the columns that depend on each other or, beside an intercept, are constant; empty at
        full rank. Gradient descent does not look for them.
    dropped : tuple of int
        Those of them that ``on_collinear="drop"`` left out, their coefficient being 0.
    left_out : dict
        Columns of the table that take no part in the fit, by name, and why each was left out; a copy.
    n_dropped : int
        Rows that were dropped for missing values; they do not count in `n_samples`.
    active : ndarray of int8, in the shape of `coef`, or None
        Of a fit with bounds: -1 where a coefficient is at its lower bound, 1 at its upper one, 0 where it is free. Such
        a fit claims no standard errors.
    target_names : tuple of str or None
        Names of the columns of y, where they had some.
    formula : dict or None
        Of a fit by a formula what `predict` makes its columns by, in plain texts, numbers and lists: "text", "levels"
        of each category, "references" (the level that each factor's coefficients are differences from).
    """

    __slots__ = ("_values",)
    _values: tuple[Any, ...]
    if TYPE_CHECKING:
        _plan_arguments: tuple[Any, ...] | None
        _spread: NDArray[np.float64] | None
        _chebyshev: NDArray[np.float64] | None
        _y_unit: Any
        _origin: NDArray[np.float64] | None
        _bread: Bread | NDArray[np.float64] | None
        _robust: Robust | None
        _weighted: bool

    def __init__(self, *values: Any, **named: Any) -> None:
        # one tuple: to set 30 attributes of a frozen dataclass takes longer than a small fit, and so does to copy
        # arrays; whoever gives all of them by position keeps none
        if named or len(values) != len(_Fields._fields):
            values = tuple(map(_copied, _Fields(*values, **named)))
        _set_values(self, values)

    @classmethod
    def of_solution(cls, problem: Problem, solution: Solution) -> LinearFit:
        """The result of a problem: the one place that makes one, but for `of_small`."""
        rows, options = problem.rows, problem.options
        one = rows.one_target
        ess = solution.tss - solution.rss if solution.ess is None else solution.ess

        def shaped(values: NDArray[np.float64]) -> Any:
            return float(values[0]) if one else values

        return cls(
            *_Fields(
                coef=solution.coef[0] if one else solution.coef,
                intercept=shaped(solution.intercept),
                solver=solution.path[-1],
                solver_path=solution.path,
                reason=solution.reason or problem.plan.reason,
                plan_arguments=problem.asked,
                precision=options.precision,
                digits=max(0.0, min(solution.digits, digits_held(solution.coef, solution.intercept))),
                rank=solution.rank,
                rcond=solution.rcond,
                converged=solution.converged,
                n_iter=solution.n_iter,
                cost_history=solution.history,
                rss=shaped(solution.rss),
                ess=shaped(ess),
                tss=shaped(solution.tss),
                sum_weight=solution.sum_weight,
                n_samples=solution.n_samples,
                n_features=rows.n_features,
                n_targets=rows.n_targets,
                feature_names=None if rows.names is None else tuple(rows.names),
                fit_intercept=options.fit_intercept,
                l2=options.l2,
                spread=None if solution.spread is None else solution.spread.errors,
                collinear=solution.collinear,
                dropped=solution.dropped,
                chebyshev=solution.chebyshev,
                y_unit=shaped(solution.y_unit),
                left_out=rows.left_out,
                target_names=None if rows.target_names is None else tuple(rows.target_names),
                n_dropped=rows.n_dropped,
                origin=solution.origin,
                bread=None if solution.spread is None else solution.spread.bread,
                weighted=rows.weighted and options.weights != "frequency",
                active=None if solution.active is None else solution.active[0] if one else solution.active,
            )
        )

    @classmethod
    def of_small(
        cls,
        small: SmallFit,
        options: FitOptions,
        asked: tuple[Any, ...],
        n_samples: int,
        noted: Noted | None = None,
        reason: str = TALL_REASON,
    ) -> LinearFit:
        """The result of the lane of small fits, where microseconds count; `asked` are leading `PlanArguments`."""
        coef, intercept, rss, tss, digits, rcond, sum_weight, origin, spread, ess, res = small
        noted = noted or NOTHING_NOTED
        p, k = asked[1], asked[2]
        values = (
            coef,
            intercept,
            "cholesky",
            ("cholesky",),
            reason,
            asked,
            options.precision,
            digits,
            p,
            rcond,
            True,
            0,
            None,
            rss,
            tss - rss if ess is None else ess,
            tss,
            sum_weight,
            n_samples,
            p,
            k,
            noted.names,
            options.fit_intercept,
            options.l2,
            None if options.l2 else spread,
            (),
            (),
            None,
            1.0 if coef.ndim == 1 else np.ones(k),
            noted.left_out,
            noted.n_dropped,
            origin,
            None if options.l2 else res,
            None,
            asked[7] and options.weights != "frequency",
            None,
            None,
            noted.target_names,
        )
        fit = _new(cls)  # __init__ would pack the thirty values once more
        _set_values(fit, values)
        return fit

    def __repr__(self) -> str:
        names = self.feature_names
        if self._chebyshev is not None:
            names = ("x", *(f"x^{k}" for k in range(2, self.n_features + 1)))
        summary = {"intercept": self.intercept, "R2": self.r2} if self.fit_intercept else {"R2": self.r2}
        dropped = f", {self.n_dropped:,} with missing values dropped" if self.n_dropped else ""
        facts = {"rows": f"{self.n_samples:,}{dropped}", "solver": self.solver, "digits": f"{self.digits:.1f}"}
        if not self.converged:
            facts["solver"] += f", not converged after {self.n_iter:,} steps"
        if self.rank < self.n_features:
            facts["rank"] = f"{self.rank} of {self.n_features}"
        if self.l2:
            facts["l2"] = f"{self.l2:g}"
        if self.formula and self.formula["references"]:
            facts["reference"] = listed([f"{name}: {level}" for name, level in self.formula["references"].items()])
        if left_out := self.left_out:
            facts["left out"] = listed([f"{name} ({why})" for name, why in left_out.items()])
        return describe("LinearFit", names, self.coef, summary, facts)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a LinearFit never changes: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a LinearFit never changes: {name} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return LinearFit, self._values

    def __replace__(self, **changes: Any) -> LinearFit:
        """Another fit with some fields changed, as `copy.replace` asks for it."""
        return LinearFit(**_Fields(*self._values)._replace(**changes)._asdict())

    @property
    def rss(self) -> Any:
        return significance.scaled(self._values[RSS], self._y_unit)

    @property
    def ess(self) -> Any:
        return significance.scaled(self._values[ESS], self._y_unit)

    @property
    def tss(self) -> Any:
        return significance.scaled(self._values[TSS], self._y_unit)

    @property
    def _squares(self) -> tuple[Any, Any, Any]:
        """rss, ess and tss in units of y_unit^2."""
        return self._values[RSS], self._values[ESS], self._values[TSS]

    @property
    def left_out(self) -> dict[str, str]:
        return dict(self._values[LEFT_OUT])

    @property
    def plan(self) -> Plan | None:
        """What was known before the data were read: solver, cost, every candidate."""
        return None if self._plan_arguments is None else plan_shape(PlanArguments(*self._plan_arguments))

    @property
    def slope(self) -> Any:
        """The slope of a simple regression: a float, or one for each target."""
        if self.n_features != 1:
            raise AttributeError(f"slope is for one feature; this fit has {self.n_features}: see coef")
        return float(self.coef[0]) if self.coef.ndim == 1 else self.coef[:, 0].copy()

    @property
    def cost(self) -> Any:
        """J(b) = rss / (2 sum w), the mean squared residual halved."""
        return significance.mean_cost(self._values[RSS], self.sum_weight, self._y_unit)

    @property
    def r2(self) -> Any:
        """Coefficient of determination, ess / tss; where y does not vary 1 if rss is 0 too, else 0; NaN where the sums
        of squares are not known."""
        return significance.determination(*self._squares)

    def influence(self, X: Any, y: Any, *, sample_weight: Any = None, weights: str = "analytic") -> Influence:
        """What each row does to the fit, from one pass over the rows that it was fitted to.

        Parameters
        ----------
        X, y, sample_weight, weights
            What it was fitted to, as for `fit`; without missing values.

        Returns
        -------
        Influence
            Residuals, leverages, studentised residuals, Cook's distances, DFFITS, PRESS, and the tests of Durbin and
            Watson and of Jarque and Bera.

        Raises
        ------
        TypeError, ValueError
            As for `fit`; rows of another number; a fit that has no standard errors, or keeps no covariances.
        """
        named = rows_of_fit(self, X, y, {"sample_weight": sample_weight})
        data = table(named.X, named.y, named.others[0])
        if weights == "frequency":
            data.count_weights()
        if data.n_features != self.n_features or data.n_targets != self.n_targets or data.n_present() != self.n_samples:
            raise ValueError(
                f"the fit is of {self.n_samples} rows, {self.n_features} columns and {self.n_targets} targets, these "
                f"are {data.n_present()}, {data.n_features} and {data.n_targets}"
            )
        return influence.of_rows(self, data)

    def predict(
        self,
        X: Any,
        out: NDArray[np.float64] | None = None,
        *,
        interval: str | None = None,
        level: float = 0.95,
        n_threads: int | None = None,
    ) -> Any:
        """Predictions intercept + X coef.

        Where the columns are far from 0 beside the spread of what they explain, as with dates in seconds, the sum is
        taken about their means, (prediction at the means) + (X - means) coef: an intercept and products that cancel
        would leave fewer digits.

        Parameters
        ----------
        X : array_like of shape (n, n_features), or (n,) for one feature and for a polynomial
            A data frame has the columns of the fit, in any order and beside others, where the fit knows their names.
            After a fit by a formula a data frame with the columns that the formula names.
        out : ndarray of float64, shape (n,) or (n, n_targets), optional
            Where to write; must not overlap X.
        interval : {"confidence", "prediction"}, optional
            Intervals for the mean of y at a row, or for a new y: prediction -+ t sqrt(z'Cz), and sqrt(z'Cz + s^2), C
            being `cov()`.
        level : float
            Probability that an interval covers it.
        n_threads : int, optional

        Returns
        -------
        ndarray of float64, shape (n,) or (n, n_targets); or Interval
            NaN where a row of X has one. With `interval` a tuple of such arrays: prediction, lower, upper. Without
            `out` they are of the library of X: for pandas a series "prediction" with the index of X, for Polars a
            series, and for several targets a frame with their names.

        Raises
        ------
        TypeError, ValueError
            X is not of numbers, has another number of columns, or is a data frame of other columns; `out` does not fit.
        """
        if interval is not None:
            one_of(interval, "interval", influence.INTERVALS)
            if self._chebyshev is not None:
                raise ValueError("a polynomial keeps no covariances, and has no intervals of its predictions")
        if self.formula is not None:
            found = self._by_formula(X, out, interval=interval, level=level, n_threads=n_threads)
        else:
            found = self._predicted(X, out, n_threads)
            if interval is not None:
                found = influence.with_interval(self, X, found, self.feature_names, interval, level)
        if out is not None or type(X) is np.ndarray:
            return found
        if interval is None:
            return labels.like(X, found, self.target_names)
        return influence.Interval(*(labels.like(X, part, self.target_names) for part in found))

    def _predicted(self, X: Any, out: NDArray[np.float64] | None, n_threads: int | None) -> Any:
        if self._chebyshev is not None:
            return predictions.evaluate(self._chebyshev, X, out)
        return predictions.predict(X, self.coef, self.intercept, self.feature_names, out, n_threads, self._origin)

    def _by_formula(self, frame: Any, out: NDArray[np.float64] | None, **how: Any) -> Any:
        """`predict`, block by block: the columns of the formula are never there for all rows."""
        assert self.formula is not None
        plain, found = self.__replace__(formula=None), []
        for lo, hi, X in formulas.blocks(self.formula, frame):
            found.append(plain.predict(X, None if out is None else out[lo:hi], **how))
        if how["interval"] is not None:
            return influence.Interval(*map(np.concatenate, zip(*found, strict=True)))
        return np.concatenate(found) if out is None else out

    def to_dict(self) -> dict[str, Any]:
        """The fit as plain numbers, strings and lists, ready for JSON; the plan is left out."""
        fields = dict(zip(_Fields._fields, self._values, strict=True))
        fields["bread"] = None if self._bread is None else self._kept()
        return saved_fit.described(fields)

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> LinearFit:
        """The fit that `to_dict` described.

        Raises
        ------
        ValueError
            Not such a dictionary, another version, a field that cannot be what it says, which is named, or the
            `checksum` of a file whose other fields were changed.
        """
        return cls(plan_arguments=None, **saved_fit.checked(state))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fit as JSON with a checksum; every float64 comes back with the same bits.

        A file that is there is replaced in one step: after a kill or on a full disk it is as it was.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        saved_fit.save(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LinearFit:
        """Read what `save` wrote. Nothing in the file is executed.

        Raises
        ------
        ValueError
            The file, which is named, is not a whole saved fit, or is not as it was written.
        """
        return cls(plan_arguments=None, **saved_fit.load(path))


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, (np.ndarray, dict)) else value


def _field(place: int) -> property:
    def get(self: LinearFit) -> Any:
        value = self._values[place]
        if type(value) is np.ndarray:
            value.setflags(write=False)  # as it is handed out: before, nobody can write to it
        return value

    return property(get)


_set_values = LinearFit.__dict__["_values"].__set__
_new = object.__new__
for _place, _name in enumerate(_Fields._fields):
    if _name not in LinearFit.__dict__:
        setattr(LinearFit, f"_{_name}" if _name in INSIDE else _name, _field(_place))
