# SPDX-License-Identifier: BSD-3-Clause
"""Moments: sums over rows that add, subtract and travel, and from which any fit is solved without the rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from linreg_fast.algebra import paired
from linreg_fast.algebra.paired import PairedSums
from linreg_fast.algebra.pairs import pairs
from linreg_fast.algebra.precision import Matrix, Vector
from linreg_fast.inputs.checks import chosen_features, chosen_targets, number, one_of, vector
from linreg_fast.inputs.missing import of_complete_rows
from linreg_fast.inputs.table import Table, first_fault, table, without_rows
from linreg_fast.options import MISSING, FitOptions, check_bounds, limits
from linreg_fast.passes import levels, products, table_sums
from linreg_fast.passes.threads import threads
from linreg_fast.plan_costs import PlanArguments
from linreg_fast.result import LinearFit, Noted
from linreg_fast.saved import moments as saved_moments
from linreg_fast.saved.moments import UNITS
from linreg_fast.solvers import bounded, from_moments
from linreg_fast.solvers.problem import Problem
from linreg_fast.solvers.solution import ConditionWarning

# of a fit with nothing but defaults: making one takes as long as a small fit
PLAIN = {precision: FitOptions(precision=precision, n_threads=1) for precision in UNITS}
LEAST_WEIGHT = 2.0**-500  # that rows may decay to, far from where sums of squares vanish


class Moments:
    """Cross products of [X - k, 1, y - ky] over rows seen so far: all that a linear fit needs of them.

    Every sum is kept as a pair of float64, so that batches may come in any order, partial states be merged
    in any order and rows be taken out again with a relative error of 2^-100 beside the rounding inside of
    each batch. The shift k is the mean of the leading rows of the first batch unless it is given; states that
    share it add exactly, others are brought to the shift of the left one.

    Parameters
    ----------
    n_features, n_targets : int
        Columns of X and y. With one target results have the shapes of a one-dimensional y.
    shift : array_like of shape (n_features + n_targets,), optional
        A row near the data, X and y one after the other, to be shared by partial states. Batches many
        standard deviations away from it are read twice, to keep their digits.
    precision : {"auto", "extended"}
        "extended" sums up each batch in double-double too.

    Attributes
    ----------
    n_features, n_targets : int
    n_samples : int
        Rows of non-zero weight.
    n_dropped : int
        Rows with missing values that ``missing="drop"`` has left out; not kept by `to_bytes`.
    precision : str
        That of the sums; "auto" once a state of that precision was merged.
    feature_names : tuple of str or None
        Column names, once a data frame was seen.

    Examples
    --------
    >>> import numpy as np, linreg_fast
    >>> x = np.arange(6.0)
    >>> one = linreg_fast.Moments(1).update(x[:3], 1 + 2 * x[:3])
    >>> other = linreg_fast.Moments(1).update(x[3:], 1 + 2 * x[3:])
    >>> fit = (one + other).solve()
    >>> fit.slope, fit.intercept, fit.n_samples
    (2.0, 1.0, 6)
    """

    __slots__ = ("_sums", "feature_names", "n_dropped", "n_features", "n_targets", "precision")

    def __init__(self, n_features: int, n_targets: int = 1, *, shift: Any = None, precision: str = "auto") -> None:
        for name, value in (("n_features", n_features), ("n_targets", n_targets)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
        if n_features < 0 or n_targets < 1:
            raise ValueError(f"n_features must be at least 0 and n_targets at least 1, got {n_features}, {n_targets}")
        if precision not in UNITS:
            raise ValueError(f"precision must be one of {', '.join(UNITS)}; got {precision!r}")
        if precision == "extended" and not levels.kernels.double_double_works(1 + 2.0**-30, 1 + 2.0**-30):
            warnings.warn(
                "double-double arithmetic does not work in this process (a library may have switched the rounding "
                "mode or flushed subnormals): sums are taken in float64",
                ConditionWarning,
                stacklevel=2,
            )
            precision = "auto"
        self.n_features, self.n_targets, self.precision = int(n_features), int(n_targets), precision
        self.n_dropped = 0
        self.feature_names: tuple[str, ...] | None = None
        width = self.n_features + self.n_targets
        near = None if shift is None else vector(shift, "shift", width).copy()
        self._sums = PairedSums.empty(self.n_features, self.n_targets, UNITS[precision], near)

    @classmethod
    def of_sums(
        cls, sums: PairedSums, precision: str = "auto", feature_names: tuple[str, ...] | None = None
    ) -> Moments:
        """The moments that hold sums which were taken already."""
        self = cls.__new__(cls)
        self.n_features, self.n_targets, self.precision = sums.p, len(sums.noise) - 1 - sums.p, precision
        self._sums, self.feature_names, self.n_dropped = sums, feature_names, 0
        return self

    def __repr__(self) -> str:
        return (
            f"Moments(n_features={self.n_features}, n_targets={self.n_targets}, n_samples={self.n_samples}, "
            f"sum_weight={self.sum_weight:g}, precision={self.precision!r})"
        )

    @property
    def sum_weight(self) -> float:
        """Sum of the weights; the number of rows without any."""
        return self._sums.sum_weight

    @property
    def n_samples(self) -> int:
        """Rows of non-zero weight."""
        return self._sums.n_samples

    @property
    def sums(self) -> PairedSums:
        """The sums themselves: for those who merge them another way."""
        return self._sums

    @property
    def shift(self) -> Vector | None:
        """The row that is subtracted from [X, y] before anything is squared; None before the first rows."""
        shift = self._sums.shift
        return None if shift is None else shift.copy()

    @property
    def mean(self) -> Vector:
        """Weighted means of the columns of X and y, shape (n_features + n_targets,).

        Raises
        ------
        ValueError
            No rows yet.
        """
        shift, p = self._sums.known_shift, self.n_features
        return np.asarray(shift + np.delete(self._sums.M[p, :, 0], p) / self.sum_weight)

    def cross_products(self) -> Matrix:
        """The sums, rounded to float64: cross products of [X - k, 1, y - ky], symmetric, 0 off the diagonal of y'y."""
        return self._sums.M[..., 0].copy()

    def update(
        self, X: Any, y: Any, sample_weight: Any = None, *, missing: str = "raise", n_threads: int | None = None
    ) -> Moments:
        """Add the rows of a batch; a batch without rows, or with weights of 0 alone, changes nothing.

        Parameters
        ----------
        X : array_like of shape (n, n_features), or (n,) for one feature
        y : array_like of shape (n,) or (n, n_targets)
        sample_weight : array_like of shape (n,), optional
            Finite and not negative; a row of weight 0 is not there, whatever it holds.
        missing : {"raise", "drop"}
            "drop" leaves out rows with NaN or null; `n_dropped` counts them.
        n_threads : int, optional

        Returns
        -------
        Moments
            The object itself.

        Raises
        ------
        TypeError
            Data that are not real numbers.
        ValueError
            Shapes or column names that do not fit; NaN, infinity or a negative weight, with the first row and
            column; squares that leave the range of float64. The state is then what it was before.
        """
        one_of(missing, "missing", MISSING)
        data = table(X, y, sample_weight, empty=True)
        return of_complete_rows(lambda rows: self.add(rows, n_threads), data, missing, empty=True)

    def add(self, data: Table, n_threads: int | None, follow: bool = True) -> Moments:
        """`update` with a table that was checked; `follow` False keeps the shift however far from the rows it is."""
        names = None if data.names is None else tuple(data.names)
        if data.n_rows == 0 and data.one_feature:
            return self  # [] has no columns to check
        if (data.n_features, data.n_targets) != (self.n_features, self.n_targets):
            raise ValueError(
                f"X has shape {data.X.shape} and y {data.Y.shape}; these moments are of {self.n_features} columns of X "
                f"and {self.n_targets} of y"
            )
        self._check_names(names)
        n_rows = data.n_present()
        if n_rows == 0:
            self.n_dropped += data.n_dropped
            return self
        given = self._sums.shift
        shift = products.leading_mean(data) if given is None else given
        workers = threads(n_threads)
        batch = self._of_batch(data, n_rows, shift, workers)
        near = self.nearer(batch) if follow else None
        if near is not None:
            batch = self._of_batch(data, n_rows, near, workers)
            shift = near if given is None else shift
        self._sums = self._sums + batch.moved_to(shift)
        self.n_dropped += data.n_dropped
        if names is not None:
            self.feature_names = names
        return self

    def _of_batch(self, data: Table, n_rows: int, shift: Vector, n_threads: int) -> PairedSums:
        """The sums of one batch alone."""
        p, unit = self.n_features, UNITS[self.precision]
        scale = np.ones(p + self.n_targets)
        if not np.isfinite(shift).all():
            M = np.full((1, 1, 2), np.nan)
        elif self.precision == "extended":
            M = products.dd_cross_products(data, shift, scale, n_threads)
        else:
            M = pairs(products.cross_products(data, shift, scale, n_threads, None))
        if not table_sums.in_range(M[..., 0], data, shift):
            fault = first_fault(data)
            raise ValueError(
                fault or "squares of the columns of X or y, or their weights, leave the range of float64: scale them"
            )
        noise = unit * np.diagonal(M[..., 0])
        if data.w is None:
            noise[p] = 0.0  # counts are exact
        return PairedSums(M, noise, unit, shift, n_rows, p)

    def nearer(self, batch: PairedSums) -> Vector | None:
        """A shift nearer to a batch whose mean swamps some of its sums in the whole: they are to be taken again."""
        p, M, seen, shift = self.n_features, batch.M[..., 0], self._sums.M[..., 0], batch.known_shift
        with np.errstate(over="ignore", invalid="ignore"):
            total = seen[p] + M[p]
            centre = total * (total / total[p])
            squares = seen.diagonal() + M.diagonal()
            far = centre > table_sums.SHIFT_LIMIT * (squares - centre)
        far[p] = False
        if not far.any():
            return None
        near = shift + np.delete(np.where(far, M[p] / M[p, p], 0.0), p)
        return near if np.isfinite(near).all() and (near != shift).any() else None

    def _check_names(self, names: Sequence[str] | None) -> None:
        if names is not None and self.feature_names is not None and tuple(names) != self.feature_names:
            raise ValueError(f"the columns of X are named {list(names)}, those before {list(self.feature_names)}")

    def merge(self, other: Moments) -> Moments:
        """Add the rows of another state, in place; the shift stays that of this one.

        Raises
        ------
        TypeError
            Not a Moments.
        ValueError
            Other numbers or names of columns; nothing is changed.
        """
        return self._merge(other)

    def _merge(self, other: Moments, out: bool = False) -> Moments:
        if not isinstance(other, Moments):
            raise TypeError(f"only Moments can be merged, not {type(other).__name__}")
        ours, theirs = (self.n_features, self.n_targets), (other.n_features, other.n_targets)
        if ours != theirs:
            raise ValueError(
                f"moments of {theirs[0]} features and {theirs[1]} targets do not fit those of {ours[0]} and {ours[1]}"
            )
        self._check_names(other.feature_names)
        if other.n_samples:
            seen = self._sums
            sums = other._sums if seen.shift is None else other._sums.moved_to(seen.shift)
            self._sums = seen - sums if out else seen + sums
            if seen.n_samples == 0:
                self.precision = other.precision
            elif "auto" in (self.precision, other.precision):
                self.precision = "auto"
            if self.feature_names is None:
                self.feature_names = other.feature_names
        self.n_dropped = max(0, self.n_dropped - other.n_dropped) if out else self.n_dropped + other.n_dropped
        return self

    def __add__(self, other: Any) -> Moments:
        return self.copy()._merge(other) if isinstance(other, Moments) else NotImplemented

    def __radd__(self, other: Any) -> Moments:
        # what sum() starts with
        return self.copy() if isinstance(other, int) and other == 0 else NotImplemented

    def __iadd__(self, other: Any) -> Moments:
        return self._merge(other) if isinstance(other, Moments) else NotImplemented

    def __sub__(self, other: Any) -> Moments:
        return self.copy()._merge(other, out=True) if isinstance(other, Moments) else NotImplemented

    def __isub__(self, other: Any) -> Moments:
        return self._merge(other, out=True) if isinstance(other, Moments) else NotImplemented

    def decay(self, factor: float) -> Moments:
        """Multiply the weights of all rows so far by a factor in (0, 1]: exponential forgetting.

        `n_samples` still counts the rows; `sum_weight` says what they weigh.

        Raises
        ------
        TypeError, ValueError
            Not a number in (0, 1]; rows that would weigh next to nothing.
        """
        factor = number(factor, "factor", above=0.0)
        if factor > 1:
            raise ValueError(f"factor must be at most 1, got {factor}")
        if self.n_samples and self.sum_weight * factor < LEAST_WEIGHT:
            raise ValueError(f"the rows would weigh {self.sum_weight * factor:g} in all: start with new moments")
        self._sums = self._sums.scaled(factor)
        return self

    def copy(self) -> Moments:
        """An independent copy."""
        other = Moments.of_sums(self._sums, self.precision, self.feature_names)
        other.n_dropped = self.n_dropped
        return other

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Moments:
        return self.copy()

    def __eq__(self, other: object) -> bool:
        """Whether the two states are the same to the last bit."""
        return self.to_bytes() == other.to_bytes() if isinstance(other, Moments) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return Moments.from_bytes, (self.to_bytes(),)

    def solve(
        self,
        *,
        l2: float = 0.0,
        features: Sequence[int | str] | None = None,
        fit_intercept: bool = True,
        targets: int | Sequence[int] | None = None,
        on_collinear: str = "min_norm",
        positive: bool = False,
        bounds: Any = None,
    ) -> LinearFit:
        """Fit the rows seen so far, without them.

        Parameters
        ----------
        l2 : float
            Penalty: the residual sum of squares plus ``l2 * ||coef||^2`` is minimised.
        features : sequence of int or str, optional
            Columns of X to fit on, by position or by name, in the order of the coefficients; all by default.
        fit_intercept : bool
        targets : int or sequence of int, optional
            Columns of y; an integer gives the shapes of a one-dimensional y.
        on_collinear : {"min_norm", "drop", "raise"}
            As for `fit`.
        positive, bounds
            Bounds of the coefficients, as for `fit`; of the columns that `features` chooses, in that order.

        Returns
        -------
        LinearFit
            `rss` is known to about 1e-15 of `tss`, as the residuals themselves cannot be summed, and to less where
            larger numbers have gone through the sums; it is NaN, and with it `stderr`, where nothing of it is known: as
            where the fit is exact. So are `r2` and `tss` where nothing is known of them.

        Raises
        ------
        TypeError, ValueError
            Unknown columns, a penalty out of range, no rows yet.
        numpy.linalg.LinAlgError
            Dependent columns with ``on_collinear="raise"``.

        Warns
        -----
        RankWarning
            Columns depend on each other as far as moments can tell, that is with singular values under some
            1e-7 of the largest (1e-11 with precision="extended"): the minimum-norm solution.
        ConditionWarning
            Fewer than three digits may be right, or none of `r2`, or a column is lost in the rounding of sums far from
            it.
        """
        sums, p, k = self._sums, self.n_features, self.n_targets
        one = k == 1 if targets is None else np.ndim(targets) == 0
        box = None if bounds is None and positive is False else limits(positive, bounds)
        if box is None and type(l2) is float and l2 == 0.0 and fit_intercept is True and on_collinear == "min_norm":
            options = PLAIN[self.precision]
        else:
            options = FitOptions(
                l2=l2,
                fit_intercept=fit_intercept,
                on_collinear=on_collinear,
                precision=self.precision,
                n_threads=1,
                bounds=box,
            )
        names, positions, chosen = self.feature_names, None, None
        if features is not None or targets is not None:
            positions = chosen_features(features, p, names)
            chosen = chosen_targets(targets, k)
            sums, p, k = self.part(positions, chosen), len(positions), len(chosen)
            names = None if names is None else tuple(names[j] for j in positions)
        check_bounds(options, p)
        found = None if box else from_moments.of_few_columns(sums, options, one)
        if found is not None:
            n = sums.n_samples
            asked = (n, p, k, "auto", options.l2, 8, "C", found.sum_weight != n)
            noted = Noted(names, {}, self.n_dropped)
            return LinearFit.of_small(found, options, asked, n, noted, from_moments.REASON)
        if positions is None or chosen is None:
            positions, chosen = chosen_features(None, p, None), chosen_targets(None, k)
            sums = self.part(positions, chosen)
        problem = self.problem(options, positions, k, one)
        equations = paired.equations(sums, options.fit_intercept, options.l2)
        if box is None:
            return LinearFit.of_solution(problem, from_moments.solve(problem, equations))
        return LinearFit.of_solution(problem, bounded.solve(problem, equations))

    def part(self, features: Any, targets: Any) -> PairedSums:
        """The sums of some columns of X and y, by position: what is solved."""
        return self._sums.part(features, targets)

    def problem(self, options: FitOptions, features: Any, n_targets: int, one_target: bool) -> Problem:
        """The problem of some columns, whose rows are not there any more."""
        names = None if self.feature_names is None else [self.feature_names[j] for j in features]
        weighted = self.sum_weight != self.n_samples
        asked = PlanArguments(self.n_samples, len(features), n_targets, l2=options.l2, weighted=weighted)
        rows = without_rows(len(features), n_targets, names, one_target)
        rows.n_dropped = self.n_dropped
        return Problem(rows, options, asked)

    def to_bytes(self) -> bytes:
        """The state as bytes, the same on every machine: a header, little-endian float64, names, a checksum."""
        return saved_moments.pack(
            saved_moments.State(
                self.n_features,
                self.n_targets,
                self.n_samples,
                self.precision,
                self._sums.unit,
                self._sums.shift,
                self._sums.noise,
                self._sums.M,
                self.feature_names,
                self.n_dropped,
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Moments:
        """The state that `to_bytes` wrote. Nothing in it is executed, and no more is allocated than it is long.

        Raises
        ------
        TypeError
            Not bytes.
        ValueError
            Not a whole state: cut short, too long, changed on the way, or of another version.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data must be bytes, not {type(data).__name__}")
        state = saved_moments.unpack(bytes(data))
        sums = PairedSums(state.M, state.noise, state.unit, state.shift, state.n_samples, state.n_features)
        moments = cls.of_sums(sums, state.precision, state.feature_names)
        moments.n_dropped = state.n_dropped
        return moments


def check_moments(moments: Any) -> None:
    """Raise TypeError, saying how to make some, for what is no Moments."""
    if not isinstance(moments, Moments):
        raise TypeError(f"moments must be Moments, not a {type(moments).__name__}: Moments(n_features).update(X, y)")
