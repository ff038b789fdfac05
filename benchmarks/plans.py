"""Expected against measured seconds of every candidate over a grid: what the constants of planning.py are set by.

Run:  python benchmarks/plans.py
"""

from __future__ import annotations

import time

import numpy as np
import threadpoolctl

import linreg_fast

THREADS = 2
SHAPES = [(100, 3), (1_000, 10), (30_000, 10), (100_000, 10), (1_000_000, 10), (4_000_000, 8), (500_000, 50)]
WIDE = [(100_000, 100), (50_000, 200), (5_000, 1_000)]


def median_seconds(rounds: int = 5, **options) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        linreg_fast.fit(**options)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    linreg_fast.set_num_threads(THREADS)
    print("| rows x columns | solver | expected | measured | ratio |\n| --- | --- | --- | --- | --- |")
    with threadpoolctl.threadpool_limits(THREADS):
        for n, p in SHAPES + WIDE:
            rng = np.random.default_rng(0)
            X = rng.standard_normal((n, p))
            y = X.sum(axis=1) + rng.standard_normal(n)
            for solver in ("auto", "qr", "svd", "gd"):
                options = {"max_iter": 100, "tol": 0.0} if solver == "gd" else {}
                expected = linreg_fast.plan(X, y, solver=solver, **({"max_iter": 100} if options else {})).seconds
                linreg_fast.fit(X, y, solver=solver, **options)
                seconds = median_seconds(X=X, y=y, solver=solver, **options)
                print(
                    f"| {n:,} x {p:,} | {solver} | {expected:.2e} | {seconds:.2e} | {seconds / expected:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
