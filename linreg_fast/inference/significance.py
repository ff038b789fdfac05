# SPDX-License-Identifier: BSD-3-Clause
"""t statistics, p-values and intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def ratio(value: Any, stderr: Any) -> NDArray[np.float64]:
    """value / stderr, infinite where nothing is left of an error."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        return np.asarray(np.divide(value, stderr))
