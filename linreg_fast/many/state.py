# SPDX-License-Identifier: BSD-3-Clause
"""The sums of all rows so far, whose weights may fade: a fit that goes on row by row."""

from __future__ import annotations

import math
import struct
from typing import Any, Self

import numpy as np

from linreg_fast.algebra.paired import PairedSums
from linreg_fast.algebra.precision import EPS, Vector
from linreg_fast.inputs.checks import number
from linreg_fast.moments.moments import Moments
from linreg_fast.passes import levels
from linreg_fast.result import LinearFit
from linreg_fast.saved import framed

MAGIC = b"linreg_fast.State\x00"
VERSION = 1
HEADER = struct.Struct("<qBddd")  # features, intercept, l2, half-life or 0, time or NaN
MOST_FEATURES = 1 << 16  # that saved bytes may claim

_update = levels.kernels.running_update


class State:
    """A fit of all rows so far that goes on from each new one.

    Attributes
    ----------
    n_features : int
    n_samples : int
        Rows so far.
    half_life : float or None
        Rows, or the length of time where the rows have times, after which a weight is half of what it was.
    time : float or None
        Of the newest row, where the rows have times: nanoseconds since 1970 of dates.
    coef, intercept, digits
        As of a `LinearFit`; computed when they are asked for.
    """

    __slots__ = ("_fit", "_numbers", "_share", "_work", "fit_intercept", "half_life", "l2", "n_features", "time")

    def __init__(
        self,
        n_features: int,
        *,
        half_life: float | None = None,
        time: float | None = None,
        fit_intercept: bool = True,
        l2: float = 0.0,
    ) -> None:
        self.n_features, self.fit_intercept, self.l2 = n_features, fit_intercept, l2
        self.half_life, self.time = half_life, time
        self._share = 1.0 if half_life is None else 0.5 ** (1.0 / half_life)
        self._numbers = np.zeros(levels.kernels.running_state_size(n_features))
        self._work = np.empty(n_features + 2)
        self._fit: LinearFit | None = None

    @classmethod
    def of_numbers(cls, numbers: Vector, like: State) -> State:
        """With sums that a kernel left."""
        state = cls(
            like.n_features, half_life=like.half_life, time=like.time, fit_intercept=like.fit_intercept, l2=like.l2
        )
        state._numbers[:] = numbers
        return state

    def update(self, x: Any, y: float, *, time: float | None = None, sample_weight: float = 1.0) -> Self:
        """Add a row: all weights fade, and it has its own.

        Parameters
        ----------
        x : array_like of shape (n_features,)
        y : float
        time : float, optional
            When, in the unit of `State.time`; where the rows have times, and not before that of the newest one.
        sample_weight : float
            A row of weight 0 is not there.

        Returns
        -------
        State
            Itself.

        Raises
        ------
        ValueError
            Another number of columns, a number that is not finite, a time that goes back. Nothing is changed then.
        """
        if type(x) is not np.ndarray or x.dtype != np.float64 or not x.flags.c_contiguous:
            x = np.ascontiguousarray(x, dtype=np.float64)
        if x.shape != (self.n_features,):
            raise ValueError(f"x must have shape ({self.n_features},), one number for each column; got {x.shape}")
        share = self._share
        if time is not None or self.time is not None:
            share = self._faded(time)
        if sample_weight != 1.0:
            sample_weight = number(sample_weight, "sample_weight", least=0.0)
            if sample_weight == 0.0:
                return self
        self.add(x, y, sample_weight, share)
        if time is not None:
            self.time = time
        return self

    def add(self, x: Vector, y: float, sample_weight: float, share: float) -> None:
        """Add a row of contiguous float64 to what is left of the others, a share of their weights."""
        if not _update(self._numbers, x, y, sample_weight, share, self.fit_intercept, self._work):
            at = np.flatnonzero(~np.isfinite(x))
            raise ValueError(f"x has {x[at[0]]} at column {at[0]}" if at.size else f"y is {y}")
        self._fit = None

    @property
    def numbers(self) -> Vector:
        """The sums, as the kernels have them."""
        return self._numbers.copy()

    @property
    def shift(self) -> Vector:
        """Of the columns: what is subtracted before anything is squared."""
        return self._numbers[2 : 2 + self.n_features].copy()

    def _faded(self, time: float | None) -> float:
        """What is left of the weights at that time."""
        if time is None or (self.time is None and self.n_samples):
            raise ValueError("time is for rows that have times, and for all of them")
        time = number(time, "time")
        if self.time is None or self.half_life is None:
            return 1.0
        if time < self.time:
            raise ValueError(f"time must not go back: {time} is before {self.time}")
        return float(0.5 ** ((time - self.time) / self.half_life))

    @property
    def n_samples(self) -> int:
        return int(self._numbers[0])

    def fit(self) -> LinearFit:
        """The fit of the rows so far.

        Raises
        ------
        ValueError
            There are none.
        """
        if self._fit is None:
            self._fit = Moments.of_sums(self._sums()).solve(l2=self.l2, fit_intercept=self.fit_intercept)
        return self._fit

    @property
    def coef(self) -> Vector:
        return np.asarray(self.fit().coef)

    @property
    def intercept(self) -> float:
        return float(self.fit().intercept)

    @property
    def digits(self) -> float:
        return float(self.fit().digits)

    def predict(self, X: Any) -> Any:
        """Predictions, as of `LinearFit.predict`."""
        return self.fit().predict(X)

    def _sums(self) -> PairedSums:
        p, m = self.n_features, self.n_features + 2
        shift, (hi, lo) = self._numbers[2 : 2 + m], self._numbers[2 + m :].reshape(2, -1)
        M = np.zeros((m, m, 2))
        rows, columns = np.triu_indices(m)
        M[rows, columns, 0] = M[columns, rows, 0] = hi
        M[rows, columns, 1] = M[columns, rows, 1] = lo
        noise = EPS * np.diagonal(M[..., 0])
        return PairedSums(M, noise, EPS, np.delete(shift, p), self.n_samples, p)

    def to_bytes(self) -> bytes:
        """The state as bytes, the same on every machine, with a checksum."""
        header = HEADER.pack(
            self.n_features,
            self.fit_intercept,
            self.l2,
            self.half_life or 0.0,
            math.nan if self.time is None else self.time,
        )
        return framed.frame(MAGIC, VERSION, header, self._numbers.astype("<f8").tobytes())

    def __reduce__(self) -> tuple[Any, ...]:
        return State.from_bytes, (self.to_bytes(),)

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """The state that `to_bytes` wrote, and that goes on to the same bits.

        Raises
        ------
        ValueError
            Not a whole state: cut short, changed on the way, or of another version.
        """
        body = framed.unframe(data, MAGIC, VERSION, "linreg_fast.State")
        if len(body) < HEADER.size:
            raise ValueError(f"not a saved linreg_fast.State: {len(data)} bytes")
        p, fit_intercept, l2, half_life, time = HEADER.unpack_from(body)
        if not 0 < p <= MOST_FEATURES or len(body) != HEADER.size + 8 * levels.kernels.running_state_size(p):
            raise ValueError(f"a saved State of {p} features cannot have {len(data)} bytes")
        numbers = np.frombuffer(body, "<f8", offset=HEADER.size).astype(np.float64)
        sound = np.isfinite(numbers).all() and 0 <= l2 < math.inf and 0 <= half_life < math.inf
        if not sound or fit_intercept > 1 or not 0 <= numbers[0] < 2**53:
            raise ValueError("a saved State has numbers that no rows can have")
        state = cls(
            p,
            half_life=half_life or None,
            time=None if math.isnan(time) else time,
            fit_intercept=bool(fit_intercept),
            l2=l2,
        )
        state._numbers[:] = numbers
        return state
