"""The machine's own limits: its rate of reading memory and of a float64 matrix product, on two threads.

Run:  python benchmarks/limits.py
"""

from __future__ import annotations

import functools
import threading
import time

import numpy as np
import threadpoolctl

THREADS = 2


def read_seconds(X: np.ndarray, rounds: int = 5) -> float:
    """Seconds to read an array once with THREADS threads: the best of dot products of halves with themselves."""
    flat = X.reshape(-1) if X.flags.c_contiguous else X.T.reshape(-1)
    bounds = [len(flat) * i // THREADS for i in range(THREADS + 1)]

    def read(i: int) -> None:
        # a piece at a time, so that BLAS does not start threads of its own
        for lo in range(bounds[i], bounds[i + 1], 1 << 20):
            part = flat[lo : min(lo + (1 << 20), bounds[i + 1])]
            part.dot(part)

    best = float("inf")
    with threadpoolctl.threadpool_limits(1):
        for _ in range(rounds):
            start = time.perf_counter()
            threads = [threading.Thread(target=read, args=(i,)) for i in range(1, THREADS)]
            for thread in threads:
                thread.start()
            read(0)
            for thread in threads:
                thread.join()
            best = min(best, time.perf_counter() - start)
    return best


@functools.cache
def product_rate(size: int = 2000, rounds: int = 5) -> float:
    """Operations a second of a square float64 matrix product: the best of a few."""
    A = np.random.default_rng(0).standard_normal((size, size))
    best = float("inf")
    with threadpoolctl.threadpool_limits(THREADS):
        for _ in range(rounds):
            start = time.perf_counter()
            A @ A
            best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best


if __name__ == "__main__":
    X = np.ones(80_000_000)
    print(f"read            {X.nbytes / read_seconds(X) / 1e9:.1f} GB/s on {THREADS} threads")
    print(f"matrix product  {product_rate() / 1e9:.1f} GFLOP/s on {THREADS} threads")
