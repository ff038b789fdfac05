"""What the tests marked `stress` draw from: one seed, another one each day finds more."""

from __future__ import annotations

import os

import numpy as np

SEED = int(os.environ.get("LINREG_FAST_STRESS_SEED", "0"))


def generator(*number):
    """Of random numbers for each problem of a test, by its number."""
    return np.random.default_rng([SEED, *number])
