# SPDX-License-Identifier: BSD-3-Clause
"""R2, standard errors, t statistics, p-values and intervals: functions of numbers.

What leaves the range of float64 on the way is 0, infinite or NaN in the result and says nothing of itself,
whatever the caller has NumPy do about it: it is the scale of the data, and no fault of theirs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.algebra import room
from linreg_fast.inputs.checks import number

quiet = np.errstate(all="ignore")


@quiet
def scaled(value: Any, unit: Any) -> Any:
    """What is held in units of unit^2, in those of 1; a new array for several targets."""
    return value * unit * unit


@quiet
def mean_cost(rss: Any, sum_weight: float, unit: Any) -> Any:
    """rss / (2 sum_weight), rss being in units of unit^2: one of them first, so that the quotient stays in range."""
    return rss * unit / sum_weight * 0.5 * unit


@quiet
def determination(rss: Any, ess: Any, tss: Any) -> Any:
    """ess / tss; where y does not vary 1 if rss is 0 too, else 0; NaN where the sums of squares are not known."""
    rss, ess, tss = np.asarray(rss), np.asarray(ess), np.asarray(tss)
    without = np.where(rss == 0, 1.0, np.where(rss > 0, 0.0, math.nan))
    r2 = np.where(tss > 0, ess / np.where(tss > 0, tss, 1.0), without)
    return float(r2) if r2.ndim == 0 else r2


@quiet
def residual_deviation(rss: Any, freedom: int, unit: Any) -> Any:
    """sqrt(rss / freedom), rss being in units of unit^2; NaN with no degree of freedom left."""
    s = np.sqrt(np.divide(rss, max(freedom, 0) or math.nan)) * unit
    return float(s) if s.ndim == 0 else s


@quiet
def standard_errors(rss: Any, freedom: int, unit: Any, spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """sqrt(rss / freedom) spread unit, those of each target in a row, rss being in units of unit^2.

    With small weights the residual deviation leaves the range of float64 downwards and the spread upwards: NaN where
    the spread is beyond it and the standard error need not be.
    """
    s = np.sqrt(np.divide(rss, max(freedom, 0) or math.nan))
    (m_s, e_s), (m_spread, e_spread), (m_unit, e_unit) = (np.frexp(a) for a in (s, spread, unit))
    errors = np.multiply.outer(m_s, m_spread)
    exponents = np.add.outer(e_s + e_unit, e_spread)  # no factor nor product of two need be in range
    found = np.asarray(np.ldexp(errors * (m_unit if np.ndim(unit) == 0 else m_unit[:, None]), exponents))
    beyond = np.isinf(spread)
    if beyond.any():  # of subnormal columns: times less than 1 it is not known, times nothing it is nothing
        size = np.asarray(s * unit)[..., None]
        found = np.where(beyond & ~(size >= 1), np.where(size == 0, 0.0, math.nan), found)
    return found


@quiet
def ratio(value: Any, stderr: Any) -> NDArray[np.float64]:
    """value / stderr, infinite where nothing is left of an error."""
    return np.asarray(np.divide(value, stderr))


@quiet
def two_sided(t: Any, freedom: int) -> NDArray[np.float64]:
    """P(|T| > |t|) by Student's t; NaN with no degree of freedom left."""
    room.for_lapack()
    from scipy.special import stdtr

    return np.asarray(2.0 * stdtr(max(freedom, 0) or math.nan, -np.abs(t)))


@quiet
def f_beyond(F: Any, df_num: int, df_denom: int) -> NDArray[np.float64]:
    """P(F' > F) by Snedecor's F; NaN with no degree of freedom left."""
    room.for_lapack()
    from scipy.special import fdtrc

    return np.asarray(fdtrc(df_num or math.nan, df_denom or math.nan, F))


@quiet
def interval(value: Any, stderr: Any, level: float, freedom: Any) -> NDArray[np.float64]:
    """The two ends value -+ t stderr, along a new last axis.

    Raises
    ------
    TypeError, ValueError
        `level` is not a number between 0 and 1.
    """
    room.for_lapack()
    from scipy.special import stdtrit

    level = number(level, "level", above=0.0)
    if level >= 1.0:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    reach = stdtrit(np.where(np.asarray(freedom) > 0, freedom, math.nan), 0.5 + 0.5 * level) * stderr
    return np.stack([value - reach, value + reach], axis=-1)
