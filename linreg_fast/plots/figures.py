# SPDX-License-Identifier: BSD-3-Clause
"""What pictures share: their figure, the names and units on their axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

GREY = "0.6"
LINE = "C3"  # what the fit, or a mean, says of the rows


def new_figure(width: float, height: float) -> Any:
    """An empty figure that no window holds.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('pictures need matplotlib: pip install "linreg_fast[plot]"') from None
    return Figure(figsize=(width, height), layout="constrained")


def name_of(names: Sequence[str] | None, j: int, what: str = "column") -> str:
    """A column by its name, else by its position; as it is, though $ starts a formula in matplotlib."""
    return f"{what} {j}" if names is None else plain(names[j])


def plain(name: Any) -> str:
    """A name as text that matplotlib takes for no formula."""
    return str(name).replace("$", r"\$")


def unit_of(holder: Any, name: str | None = None) -> str:
    """The unit of a column as a data frame knows it: `attrs["units"]` of pandas, the metadata of a field of Arrow.

    attrs hold a unit, or units by the names of columns; the keys are "units" or "unit".
    """
    attrs = getattr(holder, "attrs", None)
    if isinstance(attrs, dict):
        given = attrs.get("units", attrs.get("unit"))
        return str(given.get(name, "") if isinstance(given, dict) else given or "")
    schema: Any = getattr(holder, "schema", None)
    if name is not None and hasattr(schema, "get_field_index"):
        place = schema.get_field_index(name)
        found = (place >= 0 and schema.field(place).metadata) or {}
        return bytes(found.get(b"units", found.get(b"unit", b""))).decode("utf-8", "replace")
    return ""


def with_unit(label: str, unit: str) -> str:
    """A label of an axis."""
    return f"{label} ({plain(unit)})" if unit else label
