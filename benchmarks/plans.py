"""Measure every candidate of the plan over a grid, fit the constants of the cost model, and show both.

Run:  python benchmarks/plans.py [--quick] [--keep plans.json]

Prints the constants of plan_costs.py and passes/rates.py, now and fitted; measured over expected seconds of every
candidate, before and after; and how much longer the candidates that the plan chooses took than the best ones.
Run it on an idle machine: the waiting threads of BLAS and another process's work disturb each other.
With --keep the measurements are written to that file, or read from it if it is there: the model can then be
changed and looked at again without measuring. Nothing but this output changes: the constants are edited by hand.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize

import linreg_fast
from linreg_fast import plan_costs, planning
from linreg_fast.bench import report
from linreg_fast.bench.cases import generate
from linreg_fast.bench.timing import Effort, Side, interleaved, pinned
from linreg_fast.passes import blocks, rates
from linreg_fast.plan_costs import SMALL_COLUMNS, PlanArguments

THREADS = 2
EFFORT = Effort(seconds=0.6, peer_seconds=0.6, rounds=7)
SECONDS = 10.0  # a candidate is left out where the plan expects three times that
STEPS = (5, 100)  # of gradient descent: few make passes over the data the cheaper ones
GRID = [
    (100, 3),
    (1_000, 10),
    (30_000, 10),
    (100_000, 10),
    (1_000_000, 10),
    (1_000_000, 50),
    (200_000, 200),
    (20_000, 1_000),
    (5_000, 1_000),
    (200, 2_000),
]
# for the constants alone: one thread, small tables at the columns where LAPACK begins, integers that are converted
LEAN = SMALL_COLUMNS
SMALL = [(40, 2, 1), (40, 16, 1), (200, LEAN, 1), (200, LEAN + 1, 1), (1_000, 400, 2)]
MORE = [*SMALL, (1_000_000, 10, 1), (1_000_000, 50, 1)]
CONVERTED = (500_000, 10)
CONSTANTS = {
    plan_costs: (
        "LEAN_SECONDS", "LEAN_RATE", "CALL_SECONDS", "LAPACK_RATE", "QR_RATE", "QR_ROWS_RATE", "SVD_RATE", "EIGEN_RATE",
        "CONVERT_RATE", "READ_SCALING", "DESCENT_RATE", "DESCENT_STEP_SECONDS", "STEP_SECONDS",
    ),
    rates: ("READ_RATE", "PACK_RATE", "PRODUCT_RATE"),
}  # fmt: skip
PRIOR = 0.3  # weight of the logarithm of a constant's change: what no measurement speaks of stays as it is

Point = dict[str, Any]  # the arguments of plan_shape, "passes" of the candidate, and "seconds" measured


def candidates(n: int, p: int, threads: int) -> list[Point]:
    """All that may be fitted on a shape; cholesky as part of "auto", where small fits take a shorter way."""
    closed = [("cholesky", "one"), ("qr", "two"), ("svd", "two")] if n > p else [("svd", "rows")]
    points = [{"solver": solver, "passes": kind, "max_iter": planning.DESCENT_STEPS} for solver, kind in closed]
    points += [{"solver": "gd", "passes": kind, "max_iter": k} for kind in ("moments", "data") for k in STEPS]
    return [{"n_rows": n, "n_features": p, "n_threads": threads, "order": "C", **point} for point in points]


def expected(point: Point) -> float:
    """Seconds that the plan expects of a candidate."""
    arguments = {name: value for name, value in point.items() if name not in ("passes", "seconds")}
    found = planning.plan_shape(PlanArguments(**arguments)).candidates
    return next(c.seconds for c in found if (c.solver, c.passes) == (point["solver"], point["passes"]))


def measure(points: list[Point]) -> list[Point]:
    """The points of one shape with their seconds, in interleaved rounds; those that take too long are left out."""
    n, p = points[0]["n_rows"], points[0]["n_features"]
    X, y = generate(n, p)
    if points[0]["order"] == "":
        X = np.round(100 * X).astype(np.int64)
    points = [point for point in points if expected(point) < 3 * SECONDS]
    sides = {}
    for i, point in enumerate(points):
        options: dict[str, Any] = {"solver": "auto" if point["solver"] == "cholesky" else point["solver"]}
        if point["solver"] == "gd":
            options |= {"passes": point["passes"], "max_iter": point["max_iter"], "tol": 0.0}
        call = functools.partial(linreg_fast.fit, X, y, n_threads=point["n_threads"], **options)
        sides[str(i)] = Side(call, peer=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", linreg_fast.RankWarning)
        seconds, notes = interleaved(sides, EFFORT)
    for note in notes:
        print(note)
    return [point | {"seconds": seconds[str(i)]} for i, point in enumerate(points) if str(i) in seconds]


def measure_all(quick: bool) -> list[Point]:
    """The grid and what else the constants need."""
    shapes = [candidates(n, p, THREADS) for n, p in GRID]
    shapes += [candidates(n, p, threads) for n, p, threads in MORE]
    shapes.append([point | {"order": ""} for point in candidates(*CONVERTED, THREADS)[:1]])
    if quick:
        shapes = [points for points in shapes if points[0]["n_rows"] * points[0]["n_features"] <= 1_000_000]
    with pinned(THREADS):
        return [point for points in shapes for point in measure(points)]


@contextlib.contextmanager
def replaced(logs: np.ndarray) -> Iterator[None]:
    """The model with other constants, given as logarithms in the order of CONSTANTS."""
    before = current()
    try:
        _set(logs)
        yield
    finally:
        _set(before)


def current() -> np.ndarray:
    return np.array([math.log(getattr(module, name)) for module, names in CONSTANTS.items() for name in names])


def _set(logs: np.ndarray) -> None:
    values = iter(np.exp(logs))
    for module, names in CONSTANTS.items():
        for name in names:
            setattr(module, name, float(next(values)))


def errors(points: list[Point]) -> np.ndarray:
    """log(measured / expected) of every point."""
    return np.array([math.log(point["seconds"] / expected(point)) for point in points])


def fitted(points: list[Point]) -> np.ndarray:
    """Logarithms of the constants that leave the least errors, outliers counting less."""
    start = current()

    def residuals(logs: np.ndarray) -> np.ndarray:
        with replaced(logs):
            return np.concatenate([errors(points), PRIOR * (logs - start)])

    return np.asarray(scipy.optimize.least_squares(residuals, start, loss="soft_l1", f_scale=0.3, diff_step=1e-3).x)


def dispatch_seconds() -> float:
    """DISPATCH_SECONDS: two empty row blocks on two threads."""
    side = Side(lambda: blocks.fold(2, 2, lambda lo, hi: 0, max, 2))
    return interleaved({"dispatch": side})[0]["dispatch"]


def choices(points: list[Point]) -> Iterator[tuple[str, str, float]]:
    """(shape and question, what the plan chooses, its measured time over that of the best) over the grid."""
    for n, p in GRID:
        here = [q for q in points if (q["n_rows"], q["n_features"], q["n_threads"], q["order"]) == (n, p, THREADS, "C")]
        questions = {"solver": [q for q in here if q["solver"] != "gd"]}
        for k in STEPS:
            questions[f"passes of {k} steps"] = [q for q in here if q["solver"] == "gd" and q["max_iter"] == k]
        for question, possible in questions.items():
            if possible:
                chosen = min(possible, key=expected)
                if question == "solver":
                    solver = planning.plan_shape(PlanArguments(n, p, n_threads=THREADS)).solver
                    chosen = next((q for q in possible if q["solver"] == solver), chosen)
                best = min(q["seconds"] for q in possible)
                yield f"{n:,} x {p:,} {question}", f"{chosen['solver']} {chosen['passes']}", chosen["seconds"] / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shapes of at most 1,000,000 numbers")
    parser.add_argument("--keep", type=Path, help="file of the measurements, read if it is there")
    arguments = parser.parse_args()
    if arguments.keep and arguments.keep.exists():
        points = json.loads(arguments.keep.read_text())
    else:
        points = measure_all(arguments.quick)
        if arguments.keep:
            arguments.keep.write_text(json.dumps(points, indent=1))
    logs = fitted(points)
    names = [f"{module.__name__}.{name}" for module, names in CONSTANTS.items() for name in names]
    print("| constant | now | fitted |\n| --- | ---: | ---: |")
    for name, before, after in zip(names, np.exp(current()), np.exp(logs), strict=True):
        print(f"| {name} | {before:.3g} | {after:.3g} |")
    print(f"| linreg_fast.passes.rates.DISPATCH_SECONDS | {rates.DISPATCH_SECONDS:.3g} | {dispatch_seconds():.3g} |")
    print("\n| rows x columns | threads | candidate | steps | measured | measured / expected | fitted |")
    print("| --- | --- | --- | --- | ---: | ---: | ---: |")
    before = np.exp(errors(points))
    with replaced(logs):
        after = np.exp(errors(points))
    for point, one, other in zip(points, before, after, strict=True):
        steps = point["max_iter"] if point["solver"] == "gd" else ""
        shape = f"{point['n_rows']:,} x {point['n_features']:,}{'' if point['order'] else ' int64'}"
        mark = " *" if not 0.5 <= other <= 2 else ""
        print(
            f"| {shape} | {point['n_threads']} | {point['solver']} {point['passes']} | {steps} "
            f"| {report.duration(point['seconds'])} | {one:.2f} | {other:.2f}{mark} |"
        )
    for label, ratios in (("before", before), ("after", after)):
        print(f"\n{label}: {np.mean((ratios >= 0.5) & (ratios <= 2)):.0%} of {len(ratios)} within a factor 2")
    print("\n| choice | before | time over the best | after | time over the best |\n| --- | --- | ---: | --- | ---: |")
    old = list(choices(points))
    with replaced(logs):
        new = list(choices(points))
    for (question, one, ratio), (_, other, then) in zip(old, new, strict=True):
        print(f"| {question} | {one} | {ratio:.2f} | {other} | {then:.2f}{' *' if then > 1.2 else ''} |")


if __name__ == "__main__":
    main()
