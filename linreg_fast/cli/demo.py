# SPDX-License-Identifier: BSD-3-Clause
"""What `linreg-fast demo` shows: a small real table, and a large one against plain NumPy.

demo.csv is the table of 31 felled black cherry trees (girth in inches, height in feet, volume in cubic
feet) of the Minitab Student Handbook by Ryan, Joiner and Ryan, 1976.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.fitting import fit
from linreg_fast.result import LinearFit
from linreg_fast.streams import sources
from linreg_fast.streams.choice import Roles

TREES = Path(__file__).with_name("demo.csv")
COLUMNS = 10
RUNS = 5  # of each side, taken in turns
CURVE = (60, 8)  # columns and lines of a curve in text


def trees(console: Any, picture: Path) -> None:
    """Fit the trees by closed form and by gradient descent, and draw the descent."""
    source = sources.of_files(TREES, Roles("Volume"))
    X, y, *_ = next(source.blocks())
    closed = fit(X, y, feature_names=source.names)
    descent = fit(X, y, feature_names=source.names, solver="gd")
    console.print(f"Volume of {closed.n_samples} cherry trees by girth and height\n")
    _print_columns(
        console,
        ["", f"closed form ({closed.solver})", f"gradient descent, {descent.n_iter} steps", "difference"],
        ["intercept", *(source.names or ())],
        [_coefficients(closed), _coefficients(descent), _coefficients(descent) - _coefficients(closed)],
    )
    console.print(f"\n  R2 {closed.r2:.4f}, residual standard deviation {closed.residual_std:.3f}")
    console.print(f"  digits to trust: {closed.digits:.1f} and {descent.digits:.1f}")
    excess = _excess(closed, descent)
    console.print("\nCost J above its minimum, step by step of the descent, log scale\n")
    for line in curve(excess, min(CURVE[0], console.width - 14), CURVE[1]):
        console.print(f"  {line}")
    console.print()
    if find_spec("matplotlib") is None:
        console.print('No picture without matplotlib: pip install "linreg_fast[plot]"')
        return
    _draw(picture, excess, y, closed.predict(X))
    console.print(f"Drawn as a picture in {picture}", soft_wrap=True)


def against_numpy(console: Any, rows: int) -> None:
    """Fit a generated table and time it against the normal equations in NumPy."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, COLUMNS))
    y = 3.0 + X @ np.arange(1.0, COLUMNS + 1) + rng.standard_normal(rows)

    def with_numpy() -> NDArray[np.float64]:
        A = np.column_stack([np.ones(rows), X])
        return np.linalg.solve(A.T @ A, A.T @ y)

    def with_fit() -> NDArray[np.float64]:
        return _coefficients(fit(X, y))

    (ours, seconds), (theirs, seconds_numpy) = _in_turns(with_fit, with_numpy)
    console.print(f"\n{rows:,} x {COLUMNS} generated numbers, normal equations in NumPy beside it\n")
    names = ["intercept", *(f"x{j}" for j in range(1, COLUMNS + 1))]
    _print_columns(console, ["", "linreg_fast", "NumPy", "difference"], names, [ours, theirs, ours - theirs])
    console.print(f"\n  seconds, median of {RUNS}: linreg_fast {seconds:.4g}, NumPy {seconds_numpy:.4g}")
    console.print(f"  NumPy takes {seconds_numpy / seconds:.1f} times as long")
    console.print(f"  largest difference: {np.abs(ours - theirs).max():.2g}")


def curve(values: NDArray[np.float64], width: int, height: int) -> list[str]:
    """Positive values in order as a curve of blocks on a log scale, in `height` lines.

    Parameters
    ----------
    values : ndarray of shape (n,)
    width : int
        At most so many blocks; of more values evenly spaced ones are drawn.
    height : int

    Returns
    -------
    list of str
    """
    at = np.linspace(0, len(values) - 1, min(len(values), max(width, 1))).round().astype(int)
    logs = np.log10(values[at])
    low, high = float(logs.min()), float(logs.max())
    eighths = np.ceil((logs - low) / (high - low or 1.0) * (8 * height - 1)).astype(int) + 1
    lines = []
    for line in range(height - 1, -1, -1):
        label = f"{10**high:8.1e}" if line == height - 1 else f"{10**low:8.1e}" if line == 0 else " " * 8
        blocks = "".join(" ▁▂▃▄▅▆▇█"[min(max(e - 8 * line, 0), 8)] for e in eighths)
        lines.append(f"{label} |{blocks}".rstrip())
    return lines


def _excess(closed: LinearFit, descent: LinearFit) -> NDArray[np.float64]:
    """Cost of each step above the least one, not below what rounding leaves of it."""
    history = descent.cost_history
    assert history is not None
    excess: NDArray[np.float64] = np.maximum(history - closed.cost, np.finfo(float).eps * closed.cost)
    return excess


def _coefficients(result: LinearFit) -> NDArray[np.float64]:
    return np.append(result.intercept, result.coef)


def _in_turns(*sides: Callable[[], NDArray[np.float64]]) -> list[tuple[NDArray[np.float64], float]]:
    """The answer of each side and its median seconds, the runs interleaved so that all meet the same machine."""
    seconds: list[list[float]] = [[] for _ in sides]
    answers = [side() for side in sides]
    for _ in range(RUNS):
        for side, taken in zip(sides, seconds, strict=True):
            start = time.perf_counter()
            side()
            taken.append(time.perf_counter() - start)
    return [(answer, statistics.median(taken)) for answer, taken in zip(answers, seconds, strict=True)]


def _print_columns(console: Any, heads: list[str], names: list[str], columns: list[NDArray[np.float64]]) -> None:
    """Names and columns of numbers; the last one holds differences."""
    console.print("  " + f"{heads[0]:10}" + "".join(f"{head:>27}" for head in heads[1:-1]) + f"{heads[-1]:>12}")
    for i, name in enumerate(names):
        cells = "".join(f"{column[i]:27.12f}" for column in columns[:-1])
        console.print(f"  {name:10}{cells}{columns[-1][i]:12.1e}")


def _draw(path: Path, excess: NDArray[np.float64], y: NDArray[np.float64], fitted: NDArray[np.float64]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.semilogy(excess)
    left.set(title="Gradient descent", xlabel="step", ylabel="cost J above its minimum")
    ends = [min(y.min(), fitted.min()), max(y.max(), fitted.max())]
    right.plot(ends, ends, color="0.7")
    right.plot(fitted, y, "o")
    right.set(title="Volume of 31 cherry trees", xlabel="fitted, cubic feet", ylabel="measured, cubic feet")
    figure.savefig(path, dpi=120)
