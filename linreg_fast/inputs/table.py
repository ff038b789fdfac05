# SPDX-License-Identifier: BSD-3-Clause
"""What a user hands in -> a Table. The only place that checks, converts or copies it.

float32 and float64 in C or F order are read in place, read-only or not; columns that lie apart too where cross
products are taken. Every other layout or dtype is converted one row block at a time while it is being read, so that
no second table stands in memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs import checks
from linreg_fast.inputs.arrays import IN_PLACE, Given, array_of
from linreg_fast.inputs.checks import Float, plain
from linreg_fast.inputs.columns import Columns
from linreg_fast.inputs.labels import Labels, order_along
from linreg_fast.inputs.named import columns_by_name, names_columns, taken_apart
from linreg_fast.inputs.rounding import Rounded, warn_rounded

NOTHING: list[str] = []
MANY = 10_000  # rows whose weights are looked at twice: are there zeros at all?


class Rows(Protocol):
    """Anything that can be read in row blocks: a Table, a stream, chunks on a cluster."""

    @property
    def n_rows(self) -> int: ...
    @property
    def n_features(self) -> int: ...
    @property
    def n_targets(self) -> int: ...
    @property
    def one_target(self) -> bool:
        """Whether y was one-dimensional."""

    @property
    def weighted(self) -> bool: ...
    @property
    def names(self) -> list[str] | None:
        """Of the columns of X."""

    @property
    def target_names(self) -> list[str] | None:
        """Of the columns of y."""

    @property
    def left_out(self) -> dict[str, str]:
        """Columns that take no part, and why."""

    @property
    def n_dropped(self) -> int:
        """Rows with missing values that were left out."""

    def fold(self, function: Callable[[Table], Any], merge: Callable[[Any, Any], Any]) -> Any:
        """Read all rows and merge in their order what `function` makes of each table of them."""


@dataclass(slots=True)
class Table:
    """X, y and weights as the passes read them.

    X : (n_rows, n_features), any layout, or Columns; Y : (n_rows, n_targets); w : (n_rows,) or None.
    `order` is "C" or "F" where X, Y and w are read in place, "" where pieces of rows are converted.
    `argument` is what a user knows X by, `numbers` those of the rows where only some are left of what was handed in,
    `rounded` the first number of "X", "y" or "sample_weight" that float64 does not hold.
    """

    X: Any
    Y: NDArray[Any]
    w: NDArray[Any] | None
    order: str
    dtype: str
    names: list[str] | None = None
    target_names: list[str] | None = None
    one_target: bool = True  # y was one-dimensional
    one_feature: bool = False  # X was one-dimensional
    copies: list[str] = field(default_factory=list)
    argument: str = "X"
    weight_name: str | None = None
    labels: Labels | None = None
    numbers: NDArray[np.intp] | None = None
    rounded: tuple[str, Rounded] | None = None
    frequency: bool = False  # a weight is how often the row was seen
    positive: bool = False  # a pass has seen that every weight is
    n_dropped: int = 0  # rows with missing values that were left out
    left_out: dict[str, str] = field(default_factory=dict)  # columns that are not of numbers, and why

    @property
    def n_rows(self) -> int:
        return int(self.X.shape[0])

    @property
    def n_features(self) -> int:
        return int(self.X.shape[1])

    @property
    def n_targets(self) -> int:
        return int(self.Y.shape[1])

    @property
    def weighted(self) -> bool:
        return self.w is not None

    @property
    def apart(self) -> bool:
        """Whether the columns of X lie apart, and nothing needs to be converted."""
        return isinstance(self.X, Columns) and not self.copies

    def fold(self, function: Callable[[Table], Any], merge: Callable[[Any, Any], Any]) -> Any:
        """What `function` makes of all rows; for rows that come in several tables, merged in their order."""
        return function(self)

    def n_present(self) -> int:
        """Number of rows of non-zero weight, or as often as they were seen."""
        if self.w is None:
            return self.n_rows
        if self.frequency:
            return int(self.sum_weight())
        if self.positive or (self.n_rows > MANY and self.w.min() > 0):  # a fifth of the time of counting
            return self.n_rows
        return int(np.count_nonzero(self.w))

    def sum_weight(self) -> float:
        """Sum of the weights, of rows without any their number."""
        return float(self.n_rows if self.w is None else np.sum(self.w, dtype=np.float64))

    def count_weights(self) -> None:
        """From now on a weight is how often its row was seen.

        Raises
        ------
        ValueError
            A weight that is not a whole number. Negative ones, NaN and infinity are found with the data.
        """
        self.frequency = self.w is not None
        if self.w is None or self.w.dtype.kind != "f":
            return
        with np.errstate(invalid="ignore"):
            broken = np.flatnonzero(np.isfinite(self.w) & (self.w != np.floor(self.w)))
        if broken.size:
            name = "" if self.weight_name is None else f" ({self.weight_name!r})"
            raise ValueError(
                f"sample_weight has {self.w[broken[0]]} at row {broken[0]}{name}; "
                'with weights="frequency" they count rows and must be whole numbers'
            )

    def taken(self, rows: Any) -> Table:
        """Some rows, without a second check."""
        X, Y, w = self.X[rows], self.Y[rows], None if self.w is None else self.w[rows]
        order, dtype, copies = layout(X, Y, w)
        if self.numbers is not None:
            numbers = self.numbers[rows]
        elif isinstance(rows, slice):  # one small problem of many: without the numbers of all rows
            numbers = np.arange(*rows.indices(self.n_rows))
        else:
            numbers = rows if rows.dtype.kind in "iu" else np.flatnonzero(rows)
        return replace(self, X=X, Y=Y, w=w, order=order, dtype=dtype, copies=copies, numbers=numbers)

    def named(self, place: int) -> str:
        """A column of [X, Y, w], by its name where that is known."""
        p, names = self.n_features, self.names
        if place < p:
            return f"column {place} of {self.argument}" if names is None else f"column {names[place]!r}"
        if place == p + self.n_targets:
            return "sample_weight" if self.weight_name is None else f"column {self.weight_name!r}"
        return "y" if self.target_names is None else f"column {self.target_names[place - p]!r}"

    def warn_rounded(self) -> None:
        """Warn of the first number that float64 rounds."""
        if self.rounded is not None:
            name, found = self.rounded
            names = {"X": self.names, "y": self.target_names}.get(name)
            warn_rounded(found, self.argument if name == "X" else name, names)

    def piece_rows(self) -> int:
        """Rows of one converted piece, by shape alone."""
        return max(64, checks.CONVERT_BYTES // (8 * (self.n_features + self.n_targets + 1)) // 64 * 64)

    def pieces(self, lo: int, hi: int) -> Any:
        """Yield (X, Y, w, lo, hi) as the kernels want them: in place at once, or converted piece by piece."""
        if self.order:
            yield self.X, self.Y, self.w, lo, hi
            return
        step = self.piece_rows()
        for at in range(lo, hi, step):
            to = min(at + step, hi)
            yield *self.converted(slice(at, to)), 0, to - at

    def converted(self, rows: Any) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64] | None]:
        """X, Y and w of some rows as the kernels want them; infinity for a longdouble that float64 does not hold."""
        X, Y, w = self.X[rows], self.Y[rows], None if self.w is None else self.w[rows]
        if max(X.itemsize, Y.itemsize, 0 if w is None else w.itemsize) <= 8:
            return _piece(X, self.dtype), _piece(Y), None if w is None else _piece(w)
        with np.errstate(over="ignore"):
            return _piece(X, self.dtype), _piece(Y), None if w is None else _piece(w)


def table(
    X: Any,
    y: Any,
    sample_weight: Any = None,
    feature_names: Sequence[str] | None = None,
    *,
    empty: bool = False,
    argument: str = "X",
    quiet: bool = False,
) -> Table:
    """Check the arguments of a fit and describe them as a Table; one without rows only if `empty`.

    y and weights may name columns of a data frame X. Rows of objects of pandas are aligned by their labels. Of a number
    that float64 rounds there is one warning, unless `quiet`: `Table.rounded` has it then for whoever reads tables
    one by one.

    Raises
    ------
    TypeError
        A kind of data that cannot be used: complex, text, dates, objects that are not numbers.
    ValueError
        Wrong number of dimensions, lengths that differ, labels that are not the same, no rows. NaN, infinity and
        negative weights are looked for by `first_fault`, and only once a result shows that there are some.
    """
    target_names, weight_name, left_out = None, None, None
    if isinstance(sample_weight, str) or names_columns(X, y):
        weight_name = sample_weight if isinstance(sample_weight, str) else None
        named = taken_apart(X, y, {"sample_weight": sample_weight})
        X, y, (sample_weight,) = named.X, named.y, named.others
        target_names, left_out = named.target_names, named.left_out
    given = _given(X, argument)
    X, names, labels, rounded = given.array, given.names, None, None
    if given.labels is not None:
        labels = Labels(given.labels, argument)
    if given.rounded is not None:
        rounded = "X", given.rounded
    one_feature = X.ndim == 1
    if one_feature:
        X = X[:, None]
    if X.ndim != 2:
        raise ValueError(f"{argument} must have one or two dimensions, got shape {X.shape}")
    if not plain(y):
        given = array_of(y, "y")
        if target_names is None and given.names != ["y"]:
            target_names = given.names
        labels = _align(given, "y", labels)
        y = given.array
        if given.rounded is not None and rounded is None:
            rounded = "y", given.rounded
    one_target = y.ndim == 1
    if one_target:
        y = y[:, None]
    if y.ndim != 2:
        raise ValueError(f"y must have one or two dimensions, got shape {y.shape}")
    n = X.shape[0]
    if y.shape[0] != n:
        found = f"{argument} has shape {_shape(X, one_feature)}, y {_shape(y, one_target)}"
        raise ValueError(f"{argument} and y differ in their number of rows: {found}")
    if n == 0 and not empty:
        raise ValueError(f"there are no rows to fit: {argument} has shape {_shape(X, one_feature)}")
    if y.shape[1] == 0:
        raise ValueError(f"y has no columns: shape {y.shape}")
    w = None
    if sample_weight is not None:
        given = array_of(sample_weight, "sample_weight")
        if given.array.shape != (n,):
            raise ValueError(
                f"sample_weight must have shape ({n},), one weight for each row of {argument}; got {given.array.shape}"
            )
        labels = _align(given, "sample_weight", labels)
        w = given.array
        if weight_name is None and given.names != ["sample_weight"]:
            weight_name = None if given.names is None else given.names[0]
        if given.rounded is not None and rounded is None:
            rounded = "sample_weight", given.rounded
    if feature_names is not None:
        names = _checked_names(feature_names, X.shape[1])
    order, dtype, copies = layout(X, y, w)
    data = Table(X, y, w, order, dtype, names, target_names, one_target, one_feature, copies, argument)
    data.weight_name, data.labels, data.rounded = weight_name, labels, rounded
    if left_out:
        data.left_out = left_out
    if rounded is not None and not quiet:
        data.warn_rounded()
    return data


def _piece(a: Any, dtype: str = "float64") -> NDArray[Any]:
    return np.array(a, dtype=dtype, order="C")


def _given(X: Any, argument: str) -> Given:
    if (plain(X) and X.ndim == 2) or isinstance(X, Columns):
        return Given(X)  # the common case, and the one where microseconds count
    return array_of(X, argument, apart=True)


def _align(given: Given, name: str, labels: Labels | None) -> Labels | None:
    """Bring rows that have labels into the order of those before; the labels for what follows."""
    if given.labels is None:
        return labels
    if labels is None:
        return Labels(given.labels, name)
    order = order_along(given.labels, name, labels)
    if order is not None:
        given.array = given.array[order]
        if given.rounded is not None:
            row = int(np.flatnonzero(order == given.rounded.row)[0])
            given.rounded = given.rounded._replace(row=row)
    return labels


def _checked_names(feature_names: Any, count: int) -> list[str]:
    if isinstance(feature_names, (str, bytes, set, frozenset)) or not hasattr(feature_names, "__iter__"):
        kind = type(feature_names).__name__
        raise TypeError(f"feature_names must be a sequence of names, one for each column of X, not a {kind}")
    names = [str(name) for name in feature_names]
    if len(names) != count:
        raise ValueError(f"feature_names has {len(names)} names for the {count} columns of X")
    return names


def without_rows(n_features: int, n_targets: int, names: Sequence[str] | None, one_target: bool) -> Table:
    """The shape of a table whose rows are not there any more."""
    X, Y = np.empty((0, n_features)), np.empty((0, n_targets))
    return Table(X, Y, None, "C", "float64", None if names is None else list(names), one_target=one_target)


def matrix(X: Any, n_features: int, feature_names: Sequence[str] | None = None) -> Table:
    """X alone, to predict from: of a data frame the columns of the fit by their names, where that has some.

    Raises
    ------
    ValueError
        Another number of columns, or a frame that lacks one.
    """
    if type(X) is not np.ndarray or X.dtype is not Float:
        given = array_of(X if feature_names is None else columns_by_name(X, feature_names), "X")
        X = given.array
        warn_rounded(given.rounded, "X", given.names)
    one_feature = X.ndim == 1
    if one_feature:
        if n_features != 1:
            raise ValueError(f"X must have shape (n, {n_features}), got {X.shape}; for one row use X[None, :]")
        X = X[:, None]
    if X.ndim != 2 or X.shape[1] != n_features:
        raise ValueError(f"X must have shape (n, {n_features}), got {X.shape}")
    Y = np.empty((X.shape[0], 0))
    order, dtype, copies = layout(X, Y, None)
    return Table(X, Y, None, order, dtype, copies=copies)


def _shape(a: Any, one: bool) -> tuple[int, ...]:
    return tuple(a.shape[:1] if one else a.shape)


def layout(X: Any, Y: NDArray[Any], w: NDArray[Any] | None) -> tuple[str, str, list[str]]:
    """(order, dtype of X in the kernels, what is converted): order is "" if anything is."""
    order, apart = "", isinstance(X, Columns)
    if not apart and X.dtype in IN_PLACE and X.flags.aligned:
        order = "C" if X.flags.c_contiguous else "F" if X.flags.f_contiguous else ""
    dtype = "float32" if X.dtype == IN_PLACE[1] else "float64"
    if order and Y.dtype is Float and Y.flags.aligned and (w is None or (w.dtype is Float and w.flags.aligned)):
        return order, dtype, NOTHING
    converted = [] if order or apart else [_described("X", X.dtype, X.strides)]
    for name, a in (("y", Y), ("sample_weight", w)):
        if a is not None and not (a.dtype is Float and a.flags.aligned):
            converted.append(_described(name, a.dtype))
    return "", dtype, converted


@functools.lru_cache(256)  # text of dtypes takes as long as a third of a small fit
def _described(name: str, dtype: np.dtype[Any], strides: tuple[int, ...] | None = None) -> str:
    return f"{name} ({dtype})" if strides is None else f"{name} ({dtype}, strides {strides})"


class Fault(NamedTuple):
    """The first value of a table that no fit can use, `name` being "X", "y" or "sample_weight"."""

    name: str
    row: int
    column: int
    value: float


def first_fault(data: Table) -> str | None:
    """What is wrong with the numbers of a table, naming the first row and column; None if nothing is."""
    fault = find_fault(data)
    if fault is None:
        return None
    name, row, column, value = fault
    where = f"row {row if data.numbers is None else data.numbers[row]}"
    if name == "sample_weight":
        where += "" if data.weight_name is None else f" ({data.weight_name!r})"
        return f"sample_weight has {value} at {where}; weights must be finite and not negative"
    if not (data.one_feature and data.argument != "X" if name == "X" else data.one_target):
        where += f", column {column}"
    names = data.names if name == "X" else data.target_names
    if names:
        where += f" ({names[column]!r})"
    shown = data.argument if name == "X" else name
    if np.isnan(value):
        return f'{shown} has NaN at {where}; missing="drop" leaves out rows with missing values'
    return f"{shown} has {value} at {where}; drop or fill such rows first"


def find_fault(data: Table) -> Fault | None:
    """The first value that is NaN, infinite, or a negative weight; None without any.

    Called only once a result is not finite: clean data are never read a second time for it. Rows of
    weight zero are not there, whatever they hold.
    """
    step = data.piece_rows()
    for at in range(0, data.n_rows, step):
        to = min(at + step, data.n_rows)
        faults = []
        present = np.ones(to - at, dtype=bool)
        if data.w is not None:
            w = np.asarray(data.w[at:to], dtype=np.float64)
            bad = np.flatnonzero(~(np.isfinite(w) & (w >= 0)))
            if bad.size:
                faults.append(Fault("sample_weight", at + int(bad[0]), 0, float(w[bad[0]])))
            present = w != 0
        for name, array in (("X", data.X), ("y", data.Y)):
            piece = np.asarray(array[at:to])
            if piece.dtype.kind == "f":
                if piece.dtype.itemsize > 8:
                    with np.errstate(over="ignore"):
                        piece = piece.astype(np.float64)  # which may not hold it
                places = np.argwhere(~np.isfinite(piece) & present[:, None])
                if places.size:
                    row, column = (int(i) for i in places[0])
                    faults.append(Fault(name, at + row, column, float(piece[row, column])))
        if faults:
            return min(faults, key=lambda fault: fault.row)
    return None
