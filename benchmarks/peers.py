"""fit and gradient against the machine's own limits, NumPy and scikit-learn, interleaved in one run.

Run:  python benchmarks/peers.py [--quick] [--markdown benchmarks/PEERS.md]

limit = max(bytes of X and y / read rate, n p (p + 1) / rate of a matrix product), both rates measured in the same
run by limits.py. Every column is the median of the same rounds, each round running every side once.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import limits
import numpy as np
import threadpoolctl

import linreg_fast

THREADS = 2
SHAPES = [
    (10_000_000, 8),
    (1_000_000, 10),
    (1_000_000, 50),
    (200_000, 200),
    (20_000, 1_000),
    (100_000, 10),
    (1_000, 10),
    (100, 3),
]


def interleaved(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each side, one call of each a round, after one call to warm up."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for function in sides.values():
        function()
    gc.disable()
    order = random.Random(0)
    for _ in range(rounds):
        # in a new order each round: what ran before leaves caches and clock in its own state
        for name, function in order.sample(list(sides.items()), len(sides)):
            start = time.perf_counter()
            function()
            seconds = time.perf_counter() - start
            if seconds < 1e-3:  # too short for one reading of the clock
                repeat = int(2e-3 / seconds) + 1
                start = time.perf_counter()
                for _ in range(repeat):
                    function()
                seconds = (time.perf_counter() - start) / repeat
            times[name].append(seconds)
    gc.enable()
    return {name: float(np.median(seconds)) for name, seconds in times.items()}


def numpy_fit(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    A = np.column_stack([np.ones(len(X)), X])
    return np.linalg.solve(A.T @ A, A.T @ y)


def measure(n: int, p: int, quick: bool) -> list[tuple[str, dict[str, float], float]]:
    """(operation, seconds by side, limit) for each operation on one shape."""
    from sklearn.linear_model import LinearRegression

    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    y = 1 + X.sum(axis=1) + rng.standard_normal(n)
    b = np.full(p, 0.5)
    work = n * p * p
    rounds = 3 if quick else 7 if work > 1e8 else 15
    out = np.empty(n)
    read, product = limits.read_seconds(X), n * p * (p + 1) / limits.product_rate()
    both = max(read * (p + 1) / p, product)
    found = []
    sides: dict[str, Callable[[], object]] = {
        "linreg_fast": lambda: linreg_fast.fit(X, y),
        "NumPy": lambda: numpy_fit(X, y),
    }
    if n <= 1_000:
        A = np.column_stack([np.ones(n), X])
        sides["lstsq"] = lambda: np.linalg.lstsq(A, y, rcond=None)
    times = interleaved(sides, rounds)
    # scikit-learn takes seconds on the large shapes: fewer rounds of it, beside ours again
    slow = interleaved({"ours": sides["linreg_fast"], "sklearn": lambda: LinearRegression().fit(X, y)}, 3)
    times["scikit-learn"] = slow["sklearn"] / slow["ours"] * times["linreg_fast"]
    found.append(("fit", times, both))
    if n * p >= 1_000_000:
        F, small, w = np.asfortranarray(X), X.astype(np.float32), np.ones(n)
        variants = {
            "C": sides["linreg_fast"],
            "F order": lambda: linreg_fast.fit(F, y),
            "float32": lambda: linreg_fast.fit(small, y),
            "weights": lambda: linreg_fast.fit(X, y, sample_weight=w),
            "1 thread": lambda: linreg_fast.fit(X, y, n_threads=1),
            "extended": lambda: linreg_fast.fit(X, y, precision="extended"),
        }
        found.append(("fit variants", interleaved(variants, rounds), both))
        del F, small, w
        gradient = {
            "linreg_fast": lambda: linreg_fast.gradient(X, y, b),
            "NumPy": lambda: X.T @ (X @ b - y),
        }
        found.append(("gradient", interleaved(gradient, rounds), read * (p + 1) / p))
        fit = linreg_fast.fit(X, y)
        other = {
            "linreg_fast": lambda: linreg_fast.cost(X, y, b),
            "NumPy": lambda: np.sum((X @ b - y) ** 2) / (2 * n),
        }
        found.append(("cost", interleaved(other, rounds), read * (p + 1) / p))
        other = {"linreg_fast": lambda: fit.predict(X, out=out), "NumPy": lambda: X @ fit.coef + fit.intercept}
        found.append(("predict", interleaved(other, rounds), read * (p + 1) / p))
        steps = {
            "linreg_fast": lambda: linreg_fast.fit(X, y, solver="gd", max_iter=1000, tol=0.0),
            "fit": sides["linreg_fast"],
        }
        if p <= 64:
            found.append(("1,000 descent steps", interleaved(steps, rounds), both))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three rounds")
    parser.add_argument("--markdown", help="write the table to this file")
    parser.add_argument("--shapes", help="rowsxcolumns, separated by commas")
    arguments = parser.parse_args()
    shapes = SHAPES
    if arguments.shapes:
        shapes = [tuple(int(part) for part in shape.split("x")) for shape in arguments.shapes.split(",")]
    linreg_fast.set_num_threads(THREADS)
    lines = [
        "| operation | rows x columns | linreg_fast | times the limit | other sides, in ours |",
        "| --- | --- | --- | --- | --- |",
    ]
    with threadpoolctl.threadpool_limits(THREADS):
        for n, p in shapes:
            for operation, times, limit in measure(n, p, arguments.quick):
                ours = next(iter(times.values()))
                others = ", ".join(f"{name} {seconds / ours:.2f}" for name, seconds in list(times.items())[1:])
                ratio = f"{ours / limit:.2f}" if n * p >= 1_000_000 else "-"
                shown = f"{ours * 1e3:.3g} ms" if ours >= 1e-3 else f"{ours * 1e6:.3g} us"
                lines.append(f"| {operation} | {n:,} x {p:,} | {shown} | {ratio} | {others} |")
                print(lines[-1], flush=True)
        config = linreg_fast.show_config()
        about = (
            f"Medians of interleaved rounds, {THREADS} threads each; level {config['level']}, NumPy {config['numpy']} "
            f"with {config['blas']}; matrix product {limits.product_rate() / 1e9:.0f} GFLOP/s. Made by "
            f"`python benchmarks/peers.py {' '.join(sys.argv[1:])}`."
        )
    print(about)
    if arguments.markdown:
        title = "# Against the machine's limit and other libraries"
        Path(arguments.markdown).write_text("\n".join([title, "", *lines, "", about, ""]))


if __name__ == "__main__":
    main()
