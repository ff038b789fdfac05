# SPDX-License-Identifier: BSD-3-Clause
"""The line of a user's code that a warning points at."""

from __future__ import annotations

import sys


def caller_level() -> int:
    """The stacklevel that makes a warning point at the line that called the library, however deep it is raised."""
    level, frame = 1, sys._getframe(1)
    # through decorators of NumPy too
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in (
        "linreg_fast",
        "numpy",
    ):
        level, frame = level + 1, frame.f_back
    return level
