# SPDX-License-Identifier: BSD-3-Clause
"""Which columns of a table take part in a fit, which do not, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from linreg_fast.inputs import kinds
from linreg_fast.inputs.kinds import listed, no_feature, no_number

EXCLUDED = "excluded"
HINT = "; features names the columns to use, exclude those to leave out"


@dataclass(frozen=True, slots=True)
class Roles:
    """What a user asks of the columns of a table; all but the target may be left to us.

    target    a column, or a list of columns for several targets
    features  columns in order; None for all columns of numbers that nobody left out
    weight    a column, or None
    exclude   columns that are no features
    """

    target: Any = None
    features: Sequence[Any] | None = None
    weight: Any = None
    exclude: Sequence[Any] = ()

    def __post_init__(self) -> None:
        """Raise TypeError for a single name where a list of them is asked for."""
        for name in ("features", "exclude"):
            value = getattr(self, name)
            if isinstance(value, (str, bytes)) or not (value is None or np.iterable(value)):
                raise TypeError(f"{name} must be a sequence of columns, not {value!r} alone")
            object.__setattr__(self, name, None if value is None else tuple(value))
        object.__setattr__(self, "exclude", self.exclude or ())

    @property
    def several(self) -> bool:
        """Whether the targets are a list."""
        return isinstance(self.target, (list, tuple))

    @property
    def targets(self) -> list[Any]:
        return list(self.target) if self.several else [self.target]


class Choice(NamedTuple):
    """The features and all columns in use, features, targets and weight; columns left out, and why."""

    features: list[str]
    columns: list[str]
    left_out: dict[str, str]


def choose(where: Any, types: Mapping[str, Any], roles: Roles, indices: Sequence[str] = ()) -> Choice:
    """The columns that a fit uses of a table.

    `types` has the Arrow types of all columns, None for one of numbers that has none, the name of a type that Arrow
    does not have; `indices` are those that were the index of a data frame.

    Raises
    ------
    TypeError
        A column asked for by name that is not of numbers.
    ValueError
        A column that is not there, asked for twice, or without any value; no feature.
    """
    asked = [*roles.targets, *([] if roles.weight is None else [roles.weight])]
    names = list(types)
    check_names(where, names, [*asked, *(roles.features or ())])
    check_names(where, names, roles.exclude)
    both = [name for name in roles.exclude if name in asked or name in (roles.features or ())]
    if both:
        raise ValueError(f"column {both[0]!r} is both asked for and excluded")
    left_out = {}
    if roles.features is None:
        rest = [name for name in names if name not in asked]
        reasons = {n: EXCLUDED if n in roles.exclude else no_feature(n, types[n], indices) for n in rest}
        features = [name for name, reason in reasons.items() if reason is None]
        left_out = {name: reason for name, reason in reasons.items() if reason is not None}
    else:
        features = list(roles.features)
    for name in [*asked, *features]:
        kind = types[name]
        if str(kind) == "null":
            raise ValueError(f"column {name!r} of {where} has no value in any row")
        if no_number(kind) is not None:
            raise TypeError(f"{where}: column {name!r} is not of numbers: its type is {kind}")
        if isinstance(kind, str):
            what = f"its type is {kind}, which Arrow does not have"
            raise TypeError(f"{where}: column {name!r} cannot be read: {what}; cast it to Int64 or Float64 first")
    if not features:
        why = f"; left out are {listed(left_out)}" if left_out else ""
        raise ValueError(f"{where} has no column of numbers beside {', '.join(map(str, asked))}{why}")
    return Choice(features, [*features, *asked], left_out)


def warn_left_out(left_out: Mapping[str, str]) -> None:
    """Warn once of all columns that a user did not exclude."""
    kinds.warn_left_out({name: reason for name, reason in left_out.items() if reason != EXCLUDED}, HINT)


def check_names(where: Any, known: Sequence[str], names: Sequence[str]) -> None:
    """Raise ValueError for a name that is not known, or stands twice."""
    asked = Counter(names)
    for name in names:
        if name not in known:
            blank = [repr(other) for other in known if other.strip() == str(name).strip()]
            hint = f"; {blank[0]} has blanks in its name" if blank else ""
            raise ValueError(f"{where} has no column {name!r}; its columns are {', '.join(known)}{hint}")
        if asked[name] > 1:
            raise ValueError(f"column {name!r} is asked for twice: among target, weight and features it may stand once")
