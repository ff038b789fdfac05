"""Correct digits of coefficients by problem and solver, against exact solutions: ACCURACY.md and its picture.

Run:  python benchmarks/accuracy.py [--problems 600]

Needs the extra `bench` for the peers, and the reference data of the tests in ../shared/data/strd. Solutions are
exact: rational arithmetic on the float64 numbers that every solver gets.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import scipy.linalg

import linreg_fast

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "tests"), str(TOP / "tests" / "solvers")]

import test_polynomial as polynomial  # noqa: E402
import test_random_problems as random_problems  # noqa: E402
from support import certified as strd  # noqa: E402
from support.exact import exact_fit, worst_lre  # noqa: E402
from support.tables import DATA  # noqa: E402

MOST = 16.0  # digits: a float64 that is the exact solution rounded
PRECISIONS = ("fast", "auto", "extended")

Solver = Callable[[np.ndarray, np.ndarray, bool], Sequence[float]]


def ours(precision: str) -> Solver:
    def solve(X, y, fit_intercept):
        fit = linreg_fast.fit(X, y, fit_intercept=fit_intercept, precision=precision)
        return [fit.intercept, *fit.coef] if fit_intercept else fit.coef

    return solve


def with_ones(solve: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Solver:
    return lambda X, y, fit_intercept: solve(np.column_stack([np.ones(len(y)), X]) if fit_intercept else X, y)


def scikit_learn(X, y, fit_intercept, w=None):
    from sklearn.linear_model import LinearRegression

    peer = LinearRegression(fit_intercept=fit_intercept).fit(X, y, w)
    return [peer.intercept_, *peer.coef_] if fit_intercept else peer.coef_


def statsmodels(method: str) -> Solver:
    def solve(A, y):
        from statsmodels.regression.linear_model import OLS

        return OLS(y, A).fit(method=method).params

    return with_ones(solve)


SOLVERS: dict[str, Solver] = {
    **{precision: ours(precision) for precision in PRECISIONS},
    "numpy lstsq": with_ones(lambda A, y: np.linalg.lstsq(A, y)[0]),
    "scipy gelsd": with_ones(lambda A, y: scipy.linalg.lstsq(A, y)[0]),
    "scipy gelsy": with_ones(lambda A, y: scipy.linalg.lstsq(A, y, lapack_driver="gelsy")[0]),
    "scikit-learn": scikit_learn,
    "statsmodels pinv": statsmodels("pinv"),
    "statsmodels qr": statsmodels("qr"),
}
NO_CUT = "scipy gelsy, no cut-off"
SHOWN = ("auto", "extended", NO_CUT, "scipy gelsy", "scikit-learn")


def digits(solve: Solver, X, y, fit_intercept, exact) -> float:
    """Correct digits of the worst coefficient, from 0 to 16."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = solve(X, y, fit_intercept)
    return _reached(found, exact)


def _reached(found, exact) -> float:
    return float(np.clip(worst_lre(found, exact), 0.0, MOST)) if np.isfinite(found).all() else 0.0


def table(head: Sequence[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def reference_sets() -> tuple[str, str]:
    """Digits of coefficients on the eleven sets, and of standard errors."""
    rows, errors = [], []
    for name in strd.SETS:
        X, y, record = strd.load(name)
        exact = record["exact_float64_design_40"]
        intercept = record["intercept"]
        rows.append([name] + [f"{digits(s, X, y, intercept, exact['coef']):.1f}" for s in SOLVERS.values()])
        line = [name]
        for precision in PRECISIONS:
            fit = linreg_fast.fit(X, y, fit_intercept=intercept, precision=precision)
            found = [fit.intercept_stderr, *fit.stderr] if intercept else fit.stderr
            line.append(f"{np.clip(worst_lre(found, exact['stderr']), 0.0, MOST):.1f}")
        errors.append([*line, f"{digits(_errors, X, y, intercept, exact['stderr']):.1f}"])
    return table(["", *SOLVERS], rows), table(["", *PRECISIONS, "statsmodels pinv"], errors)


def _errors(X, y, fit_intercept):
    from statsmodels.regression.linear_model import OLS

    return OLS(y, np.column_stack([np.ones(len(y)), X]) if fit_intercept else X).fit().bse


def polynomials() -> str:
    """Digits of the decimal problem, which columns of rounded powers no longer are."""
    rows = []
    for name in ("Filip", "Wampler1", "Wampler2", "Wampler3", "Wampler4", "Wampler5"):
        with open(DATA / "strd" / f"{name}.json") as file:
            record = json.load(file)
        x, y = (np.array([float(v) for v in record[key]]) for key in "xy")
        X, _, _ = strd.load(name)
        degree = record["p"] - 1
        exact = [Fraction(v) for v in record["exact_decimal_40"]["coef"]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = linreg_fast.fit_polynomial(x, y, degree)
            sides = [
                polynomial.coefficients(fit),
                ours("extended")(X, y, True),
                np.polynomial.Polynomial.fit(x, y, degree).convert().coef,
                np.polyfit(x, y, degree)[::-1],
            ]
        rows.append([name] + [f"{np.clip(worst_lre(side, exact), 0.0, MOST):.1f}" for side in sides])
    return table(["", "fit_polynomial", "fit, extended", "numpy Polynomial.fit", "numpy polyfit"], rows)


def ends() -> str:
    """Digits where numbers are far from 1, from 0 or from each other, and what `digits` of "auto" says."""
    rows = []
    for name, (X, y, w) in _ends().items():
        *slopes, intercept = exact_fit(X, y, w=w)
        exact = [intercept, *slopes]
        root = np.ones(len(y)) if w is None else np.sqrt(w)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            auto, extended = (linreg_fast.fit(X, y, sample_weight=w, precision=how) for how in ("auto", "extended"))
            sides = [
                *([fit.intercept, *fit.coef] for fit in (auto, extended)),
                *(_of_two_batches(X, y, w, how) for how in ("auto", "extended")),
                np.linalg.lstsq(root[:, None] * np.column_stack([np.ones(len(y)), X]), root * y)[0],
                scikit_learn(X, y, True, w),
            ]
        cells = ["-" if side is None else f"{_reached(side, exact):.1f}" for side in sides]
        rows.append([name, cells[0], f"{auto.digits:.1f}", *cells[1:]])
    head = ["", "auto", "it says", "extended", "Moments", "Moments, extended", "numpy lstsq", "scikit-learn"]
    return table(head, rows)


def _of_two_batches(X, y, w, precision) -> list[float] | None:
    """By `Moments`; None where they refuse the scale of the numbers."""
    moments = linreg_fast.Moments(X.shape[1], precision=precision)
    try:
        for rows in (slice(9), slice(9, None)):
            moments.update(X[rows], y[rows], sample_weight=None if w is None else w[rows])
        fit = moments.solve()
    except ValueError:
        return None
    return [fit.intercept, *fit.coef]


def _ends() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    rng = np.random.default_rng(2)
    X = rng.standard_normal((40, 2))
    y, exactly = 3.0 + X @ [1.0, 2.0] + rng.standard_normal(40), np.round(16 * X) @ [1.0, 2.0]
    ladder = 2.0**52 + np.arange(40.0)[:, None] % 4
    near = np.column_stack([X[:, 0], X[:, 0] + 1e-13 * X[:, 1]])
    return {
        "x = 2^52 + 0, 1, 2 or 3": (ladder, 2.0 * (ladder[:, 0] - 2.0**52) + 1.0, None),
        "columns about 1e8": (X + 1e8, y, None),
        "columns about 1e12": (X + 1e12, y, None),
        "y about 1e12": (X, y + 1e12, None),
        "columns times 1e-200 and 1e200": (X * [1e-200, 1e200], y, None),
        "columns of subnormal numbers": (X * 2.0**-1040, y * 2.0**-300, None),
        "weights of 5e-324 to 2e-322": (X, y, np.arange(1, 41) * 5e-324),
        "weights of 1e250": (X, y, rng.random(40) * 1e250),
        "no residuals, an intercept of 0": (np.round(16 * X), exactly, None),
        "condition 1e13": (near, y, None),
    }


def predictions() -> str:
    """Digits of predictions at x = offset + k / 1000, of y about 1."""
    rows = []
    for offset in (0.0, 1e3, 1e6, 1e9, 1e12):
        x = offset + np.arange(200) / 1000
        y = 1.0 + np.round(64 * np.sin(np.arange(200.0))) / 64
        slope, intercept = exact_fit(x[:, None], y)
        exact = [intercept + slope * Fraction(v) for v in x.tolist()]
        fit = linreg_fast.fit(x, y)
        b0, b = scikit_learn(x[:, None], y, True)
        ours, peer = fit.predict(x), x * b + b0
        line = np.polynomial.Polynomial.fit(x, y, 1)(x)
        sides = ours, fit.intercept + fit.slope * x, peer, line
        rows.append([f"{offset:g}"] + [f"{np.clip(worst_lre(side, exact), 0.0, MOST):.1f}" for side in sides])
    return table(["offset", "predict", "intercept + slope x", "scikit-learn", "numpy Polynomial.fit"], rows)


def random_sets(count: int, picture: Path) -> str:
    """Digits over the condition number: median and worst by solver, and the picture."""
    cases = [random_problems.case(seed) for seed in range(count)]
    kappa = np.log10([case.kappa for case in cases])
    reached = {name: np.zeros(count) for name in SHOWN}
    reported = np.zeros(count, dtype=bool)
    for i, case in enumerate(cases):
        for name in SHOWN:
            if name in PRECISIONS:
                _, found, below = case.fit(name)
                reached[name][i] = np.nan if below else np.clip(found, 0.0, MOST)
                reported[i] |= below
            elif name == NO_CUT:
                reached[name][i] = np.clip(random_problems.gelsy(case), 0.0, MOST)
            else:
                reached[name][i] = digits(SOLVERS[name], case.X, case.y, True, case.exact)
    _draw(kappa, reached, picture)
    rows = []
    for lo in range(0, 15, 2):
        inside = (kappa >= lo) & (kappa < lo + 2)
        if not inside.any():
            continue
        row = [f"1e{lo} to 1e{lo + 2}", str(inside.sum()), str(int(reported[inside].sum()))]
        for name in SHOWN:
            values = reached[name][inside & np.isfinite(reached[name])]
            row.append(f"{np.median(values):.1f} / {values.min():.1f}" if len(values) else "-")
        rows.append(row)
    return table(["condition", "problems", "rank under p reported", *SHOWN], rows)


def _draw(kappa: np.ndarray, reached: dict[str, np.ndarray], picture: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(reached), figsize=(14, 3.4), sharex=True, sharey=True, layout="constrained")
    for ax, (name, values) in zip(axes, reached.items(), strict=True):
        ax.plot(kappa, values, ".", markersize=3, color="C0" if name in PRECISIONS else "C1")
        ax.set_title(f"linreg_fast, {name}" if name in PRECISIONS else name, fontsize=10)
        ax.set_xlabel("log10 of the condition number")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("correct digits of the worst coefficient")
    axes[0].set_ylim(-0.5, 17)
    figure.savefig(picture, dpi=110)


TEXT = """# Accuracy

Correct decimal digits of the worst coefficient, intercept included, against the exact least-squares solution of the
float64 numbers that each solver was given: at most 16, where the exact solution was found to the last place.
Made by `python benchmarks/accuracy.py` with {versions}.

## The linear sets of the NIST Statistical Reference Datasets

`fast`, `auto` (the default) and `extended` are `precision` of `linreg_fast.fit`; every other solver has its defaults.

{sets}

## Standard errors on the same sets

{errors}

Without residuals (Wampler1, Wampler2) standard errors are those of rounding. `fast` takes them from the factor of the
fit; `extended`, and `auto` where it refines up to 16 columns, from cross products summed up in double-double.

## Polynomials

Against the exact solution of the *decimal* problem. A column of powers rounded to float64 is another problem, which for
Filip has 7.6 digits in common with it; `fit_polynomial` never rounds them.

{polynomials}

## The ends of float64

40 rows, mostly of two columns. `it says` is `digits` of `auto`: an estimate on the safe side. NumPy gets rows times the
roots of their weights.

{ends}

## Predictions far from 0

y about 1 over x = offset + k / 1000, against the exact line. `predict` goes by the means where the products with the
coefficients would cancel; intercept and slope, each right to the last place, cannot say it at an offset of 1e12.

{predictions}

## Random problems

{count} problems of 12 to 40 rows and 1 to 6 columns: condition of the centred, equilibrated columns 1 to 1e14,
residuals none, small or large, offsets of 0, 1e4 or 1e8, units of 1e-8 to 1e8. Median / worst digits; problems of
which a rank under p was reported, with a warning, are counted and left out. Cut-offs relative to the largest column,
the defaults of the peers, take a column in small units for no column.

{random}

![digits over the condition number](docs/accuracy.png)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=600)
    parser.add_argument("--output", type=Path, default=TOP / "ACCURACY.md")
    parser.add_argument("--picture", type=Path, default=TOP / "docs" / "accuracy.png")
    arguments = parser.parse_args()
    packages = ("numpy", "scipy", "scikit-learn", "statsmodels")
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)
    sets, errors = reference_sets()
    text = TEXT.format(
        versions=versions,
        sets=sets,
        errors=errors,
        polynomials=polynomials(),
        ends=ends(),
        predictions=predictions(),
        count=arguments.problems,
        random=random_sets(arguments.problems, arguments.picture),
    )
    arguments.output.write_text(text)


if __name__ == "__main__":
    main()
