"""Data of the benchmarks: seeded, cached, never timed; what ran is kept beside every number."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import threadpoolctl

import linreg_fast
from linreg_fast.bench import cases as bench_cases
from linreg_fast.bench import timing

THREADS = 2  # for linreg_fast and for BLAS alike


@functools.lru_cache(maxsize=2)
def table(n: int, p: int, order: str = "C", dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    """The table of `linreg-fast bench`, in another layout where asked for."""
    X, y = bench_cases.generate(n, p)
    return np.asarray(X, dtype=dtype, order=order), y


@pytest.fixture(autouse=True)
def pinned(benchmark):
    """Pin the threads of both sides, and record what ran."""
    with timing.pinned(THREADS):
        benchmark.extra_info["config"] = linreg_fast.show_config()
        benchmark.extra_info["blas"] = [
            {key: info[key] for key in ("internal_api", "version", "num_threads", "architecture") if key in info}
            for info in threadpoolctl.threadpool_info()
        ]
        yield
