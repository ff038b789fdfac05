# SPDX-License-Identifier: BSD-3-Clause
"""Fits: the one result of many fits at once, whoever made them."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inference import significance
from linreg_fast.inputs.table import matrix
from linreg_fast.many.frames import framed_fits
from linreg_fast.passes.keys import codes_of
from linreg_fast.result import LinearFit
from linreg_fast.saved import fits as saved_fits

SOLVERS = saved_fits.SOLVERS
REASON = "many fits at once: normal equations of many small problems side by side"
# what may be held that is made of nothing else; the rest is, where it is not held itself
HELD = saved_fits.HELD


class About(NamedTuple):
    """What holds for all fits of a result.

    keys     columns of the same length as the fits that say whose each is, by their names
    library  of the input: "numpy", "pandas", "polars" or "pyarrow"
    stats    what was asked for beside coefficients: columns of `to_frame`
    index    an index of pandas in the place of the keys, which does not go into files
    state    what goes on from the last row, where there is that, which does not go into files either
    """

    feature_names: tuple[str, ...] | None = None
    fit_intercept: bool = True
    l2: float = 0.0
    keys: dict[str, NDArray[Any]] = {}  # noqa: RUF012  never handed out
    library: str = "numpy"
    n_dropped: int = 0
    stats: tuple[str, ...] = ()
    index: Any = None
    state: Any = None


OF_ROWS = ("residual", "prediction")  # stats that only windows have


def checked_stats(stats: Any, known: Sequence[str] = ()) -> tuple[str, ...]:
    """The statistics asked for, each once; `known` are those that there are, all that need no window by default.

    Raises
    ------
    ValueError
        One that there is not.
    """
    known = known or [name for name in saved_fits.STATS if name not in OF_ROWS]
    asked = (stats,) if isinstance(stats, str) else tuple(stats)
    for name in asked:
        if name not in known:
            raise ValueError(f"stats has {name!r}; it is made of {', '.join(known)}")
    return tuple(dict.fromkeys(asked))


class Fits:
    """Many fitted linear models of the same columns. It holds no data and never changes.

    Every attribute is an array whose leading axis counts the fits, under the word that a `LinearFit` has for it; with
    several targets in each problem the next axis counts these. What nobody asked for, where something has to be asked
    for, is an `AttributeError` that says how.

    Attributes
    ----------
    coef : ndarray of shape (n_fits, n_features) or (n_fits, n_targets, n_features)
        Slopes; NaN where there is no fit.
    intercept : ndarray of shape (n_fits,) or (n_fits, n_targets)
    digits : ndarray of shape (n_fits,)
        Estimate of the correct decimal digits of the worst coefficient of each fit, at most 15.95.
    rank : ndarray of int
        Less than the number of columns where these depend on each other or rows are too few: the coefficients are
        then those of least norm, and standard errors are NaN.
    rcond : ndarray
        Reciprocal condition number, as of a `LinearFit`.
    collinear : ndarray of bool, shape (n_fits, n_features)
        Which columns depend on each other, or are constant beside an intercept.
    n_samples : ndarray of int
        Rows of non-zero weight; 0 where there is no fit.
    rss, tss, ess, r2 : ndarray
        Sums of squares and R2, as of a `LinearFit`.
    stderr, tvalues, intercept_stderr, intercept_tvalue : ndarray
        Standard errors and t statistics, in the shapes of `coef` and `intercept`.
    groups : ndarray, or list of tuple
        The keys in the order of the fits: a column of them, or for several columns tuples; else the fits' numbers.
    feature_names : tuple of str or None
    fit_intercept : bool
    l2 : float
    n_dropped : int
        Rows with missing values that were left out, of all problems.
    """

    __slots__ = ("_about", "_arrays")
    _arrays: dict[str, NDArray[Any]]
    _about: About

    def __init__(self, arrays: dict[str, NDArray[Any]], about: About) -> None:
        for array in arrays.values():
            array.setflags(write=False)
        object.__setattr__(self, "_arrays", dict(arrays))
        object.__setattr__(self, "_about", about)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"Fits never change: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Fits never change: {name} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return Fits, (self._arrays, self._about)

    def __len__(self) -> int:
        return len(self._arrays["coef"])

    def __repr__(self) -> str:
        about, p = self._about, self.n_features
        facts = [f"{len(self):,} fits of {p} column{'s' * (p != 1)}"]
        if about.keys:
            facts.append(f"by {', '.join(about.keys)}")
        lines = [" ".join(facts)]
        there = np.flatnonzero(self.n_samples > 0) if self._has("n_samples") else np.arange(0)
        if there.size and self._has("digits") and np.isfinite(self.digits[there]).any():
            lines.append(f"digits {np.nanmin(self.digits[there]):.1f} and more")
        if self._has("rank"):
            without = int(
                np.count_nonzero(np.isnan(self._arrays["intercept"].reshape(len(self), self._n_targets)).any(axis=1))
            )
            low = int(np.count_nonzero(self.rank[there] < p))
            lines += [f"{without:,} without a fit"] * bool(without) + [f"{low:,} below full rank"] * bool(low)
        if about.n_dropped:
            lines.append(f"{about.n_dropped:,} rows with missing values dropped")
        return f"Fits({'; '.join(lines)})"

    def __getattr__(self, name: str) -> Any:
        arrays = object.__getattribute__(self, "_arrays")
        if name in arrays and not name.startswith("_") and name not in saved_fits.INSIDE:
            return arrays[name]
        if (
            name in About._fields
            and name not in ("keys", "library", "stats", "index")
            and (name != "state" or self._about.state is not None)
        ):
            return getattr(self._about, name)
        if name in _MADE:
            made = _MADE[name](self)
            if made is not None:
                return made
            raise AttributeError(f"these fits have no {name}: it was not asked for; put it into stats")
        raise AttributeError(f"Fits have no attribute {name!r}")

    def __dir__(self) -> list[str]:
        inside = {"keys", "library", "stats", "index"}
        return sorted({*super().__dir__(), *_MADE, *self._arrays, *About._fields} - inside - set(saved_fits.INSIDE))

    def _has(self, *names: str) -> bool:
        return all(name in self._arrays for name in names)

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return int(self._arrays["coef"].shape[-1])

    @property
    def _n_targets(self) -> int:
        coef = self._arrays["coef"]
        return int(coef.shape[1]) if coef.ndim == 3 else 1

    @property
    def groups(self) -> Any:
        """The keys in the order of the fits: an array, of several columns a list of tuples."""
        keys = list(self._about.keys.values())
        if not keys:
            return np.arange(len(self))
        return keys[0] if len(keys) == 1 else list(zip(*(column.tolist() for column in keys), strict=True))

    def time_axis(self) -> tuple[str, NDArray[Any]]:
        """What the fits lie along, and its name: times of their rows where there are some, else their numbers."""
        index = self._about.index
        if index is not None and hasattr(index, "tz"):
            return str(index.name or "index"), index.to_numpy(dtype="datetime64[ns]")
        for name, column in reversed(self._about.keys.items()):
            if column.dtype.kind in "Mf":
                return name, column
        if index is not None and index.dtype.kind in "if":
            return str(index.name or "index"), index.to_numpy()
        return "row", np.arange(len(self))

    def __getitem__(self, i: Any) -> LinearFit:
        """The fit of that number.

        Raises
        ------
        IndexError, ValueError
            There are not so many; there is no fit, as where a group has no rows left.
        """
        try:
            at = operator.index(i)
        except TypeError:
            raise TypeError(f"a number of a fit, not {type(i).__name__}") from None
        if not -len(self) <= at < len(self):
            raise IndexError(f"there are {len(self)} fits; no number {at}")
        held = {name: array[at] for name, array in self._arrays.items()}
        coef = held["coef"]
        if np.isnan(held["intercept"]).any():
            raise ValueError(f"there is no fit number {at}: it has {int(held.get('n_samples', 0))} rows")
        one, p = coef.ndim == 1, self.n_features
        k = 1 if one else len(coef)
        nothing = np.nan if one else np.full(k, np.nan)
        n_samples, rank = int(held.get("n_samples", 0)), int(held.get("rank", p))
        rss, tss = held.get("rss", nothing), held.get("tss", nothing)
        ess = held.get("ess", tss - rss)
        solver = SOLVERS[int(held.get("solver", 0))]
        origin = held.get("origin")
        if origin is not None:
            # the prediction at the means of each target, as LinearFit has it
            origin = origin.ravel() if np.isfinite(origin).all() else None

        def shaped(value: Any) -> Any:
            return float(value) if one else value

        return LinearFit(
            coef=coef,
            intercept=shaped(held["intercept"]),
            solver=solver,
            solver_path=(solver,),
            reason=REASON,
            plan_arguments=None,
            precision="auto",
            digits=float(held.get("digits", np.nan)),
            rank=rank,
            rcond=float(held.get("rcond", np.nan)),
            converged=True,
            n_iter=0,
            cost_history=None,
            rss=shaped(rss),
            ess=shaped(ess),
            tss=shaped(tss),
            sum_weight=float(held.get("sum_weight", n_samples)),
            n_samples=n_samples,
            n_features=p,
            n_targets=k,
            feature_names=self._about.feature_names,
            fit_intercept=self._about.fit_intercept,
            l2=self._about.l2,
            spread=None if self._about.l2 or rank < p else held.get("spread"),
            collinear=tuple(np.flatnonzero(held["collinear"]).tolist()) if "collinear" in held else (),
            y_unit=1.0 if one else np.ones(k),
            origin=origin,
        )

    def __iter__(self) -> Iterator[LinearFit]:
        return (self[i] for i in range(len(self)))

    def predict(self, X: Any, groups: Any = None) -> NDArray[np.float64]:
        """Predictions of each row by the fit of its group, or of each problem by its own.

        Parameters
        ----------
        X : array_like of shape (n, n_features), or (n_fits, n, n_features)
            Without `groups` row i of a table is predicted by fit i, and there are as many.
        groups : array_like of shape (n,), or a list or data frame of several, optional
            The key of each row, of the kind that the fits were made with.

        Returns
        -------
        ndarray of shape (n,) or (n_fits, n), and (..., n_targets) of several targets
            NaN where there is no fit, and where a row of X has one.

        Raises
        ------
        ValueError
            X has another shape; a key that no fit has.
        """
        a = self._arrays
        coef, stacked = a["coef"], np.ndim(X) == 3
        if stacked:
            x = np.asarray(X, dtype=np.float64)
            if x.shape[0] != len(self) or x.shape[2] != self.n_features:
                raise ValueError(f"X must have shape ({len(self)}, n, {self.n_features}), got {x.shape}")
            which = np.arange(len(self))
        else:
            x = np.asarray(matrix(X, self.n_features, self._about.feature_names).X, dtype=np.float64)
            x = x[:, None, :]
            which = np.arange(len(self)) if groups is None else codes_of(groups, self._about.keys, len(x))
            if groups is None and len(x) != len(self):
                raise ValueError(f"X has {len(x)} rows for {len(self)} fits: give groups, or one row for each fit")
        if coef.ndim == 2:
            coef = coef[:, None, :]
        value = a["intercept"].reshape(len(self), self._n_targets)[which]
        if "origin" in a:
            x = x - a["origin"][which][:, None, : self.n_features]
            value = a["origin"][which][:, self.n_features :]
        found = np.einsum("bnp,bkp->bnk", x, coef[which]) + value[:, None, :]
        found = found if a["coef"].ndim == 3 else found[..., 0]
        return np.asarray(found if stacked else found[:, 0])

    def to_frame(self) -> Any:
        """The fits as a data frame of the library that the input came from, of pandas where that was arrays.

        Columns are the keys, in pandas its index, `intercept`, the coefficients by the names of the columns, or x0, x1,
        .. without names, `n_samples`, `rank`, `digits`, and the stats that were asked for, as `stderr_x0` and `r2`.

        Raises
        ------
        ImportError
            The library is not installed.
        """
        return framed_fits(self, self._arrays, self._about)

    def to_bytes(self) -> bytes:
        """The fits as bytes, the same on every machine."""
        return saved_fits.pack(self._arrays, self._about._replace(index=None, state=None)._asdict())

    @classmethod
    def from_bytes(cls, data: bytes) -> Fits:
        """What `to_bytes` wrote; nothing in it is executed.

        Raises
        ------
        ValueError
            Not a whole saved Fits.
        """
        arrays, about = saved_fits.unpack(data)
        return cls(arrays, About(**about))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fits to a file; one that is there is replaced in one step.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        saved_fits.save(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Fits:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            The file, which is named, is not a whole saved Fits.
        """
        with open(path, "rb") as file:
            data = file.read()
        try:
            return cls.from_bytes(data)
        except ValueError as error:
            raise ValueError(f"{os.fsdecode(path)}: {error}") from None


def _of_targets(fits: Fits, values: NDArray[Any]) -> NDArray[Any]:
    """One number for each fit, in the shape of its targets."""
    return values[:, None] if fits._arrays["coef"].ndim == 3 else values


def _ess(fits: Fits) -> Any:
    return fits.tss - fits.rss if fits._has("rss", "tss") else None


def _r2(fits: Fits) -> Any:
    return significance.determination(fits.rss, fits.ess, fits.tss) if fits._has("rss", "tss") else None


@significance.quiet
def _errors(fits: Fits) -> Any:
    """Standard errors of all coefficients, the intercept's last."""
    if not fits._has("rss", "spread", "n_samples", "rank"):
        return None
    freedom = fits.n_samples - fits.rank - fits.fit_intercept
    spread = fits._arrays["spread"]
    known = (freedom > 0) & (fits.l2 == 0)  # of columns that nothing is known of the spread is NaN
    s = np.sqrt(fits.rss / _of_targets(fits, np.where(known, freedom, np.nan)))
    return s[..., None] * (spread[:, None, :] if s.ndim == 2 else spread)


def _stderr(fits: Fits) -> Any:
    errors = _errors(fits)
    return None if errors is None else errors[..., :-1]


def _intercept_stderr(fits: Fits) -> Any:
    errors = _errors(fits)
    return None if errors is None else errors[..., -1]


def _tvalues(fits: Fits) -> Any:
    errors = fits._arrays.get("stderr", _stderr(fits))
    return None if errors is None else significance.ratio(fits.coef, errors)


def _intercept_tvalue(fits: Fits) -> Any:
    errors = fits._arrays.get("intercept_stderr", _intercept_stderr(fits))
    return None if errors is None else significance.ratio(fits.intercept, errors)


def _collinear(fits: Fits) -> Any:
    return np.zeros((len(fits), fits.n_features), dtype=bool)


def _nothing(fits: Fits) -> Any:
    return None


_MADE = {
    **dict.fromkeys(HELD, _nothing),
    "ess": _ess,
    "r2": _r2,
    "stderr": _stderr,
    "intercept_stderr": _intercept_stderr,
    "tvalues": _tvalues,
    "intercept_tvalue": _intercept_tvalue,
    "collinear": _collinear,
}
