"""Problems of the stress tests are drawn from one seed."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def stress_rng(request):
    """A generator for each problem of a test, by its number."""
    seed = request.config.stash[request.config.stress_seed]
    return lambda number: np.random.default_rng([seed, number])
