"""The linear data sets of the NIST Statistical Reference Datasets, and other problems with exact solutions."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest
from support.certified import SETS, load, sets
from support.compare import from_intercept
from support.exact import exact_fit, lre, worst_lre

import linreg_fast

pytestmark = pytest.mark.numerics

# Least log relative error of the worst coefficient against the exact solution of the float64 problem. Floors of
# what float64 rounds are half a digit and more below the least of three BLAS (SkylakeX, Haswell and Prescott kernels
# of OpenBLAS) and three levels, which differ by up to 1.3 digits.
FLOORS = {
    "fast": (11.5, 10.5, 14.5, 14.5, 6.5, 11.0, 6.0, 8.5, 6.0, 6.0, 5.0),
    "auto": (11.5, 10.5, 14.5, 14.5, 15.0, 15.0, 15.0, 15.0, 15.0, 15.0, 15.0),
    "extended": (15.0,) * 11,
    "qr": (12.0, 11.5, 14.5, 14.5, 6.5, 11.0, 8.5, 12.0, 8.5, 7.0, 5.0),  # by name, as the next
    "svd": (12.0, 11.5, 14.5, 14.5, 6.5, 11.0, 8.0, 12.0, 8.0, 7.0, 5.0),
}
# Against the certified values, precision="extended". These are the limits of the float64 problem, as its exact
# solution has no more digits of the decimal one: close as they are, any right rounding reaches them.
CERTIFIED = (14.0, 13.4, 14.6, 15.0, 7.5, 14.5, 15.0, 13.1, 15.0, 15.0, 15.0)
HONEST = 1.5  # digits that the estimate may promise too many


def assert_digits(fit, record, floor, case):
    """Digits reached, against the floor and against what the fit says of itself."""
    exact = record["exact_float64_design_40"]
    reached = worst_lre(from_intercept(fit), exact["coef"])
    assert reached >= floor, f"{case}: {reached:.2f} digits, path {fit.solver_path}"
    assert reached >= fit.digits - HONEST, f"{case}: {fit.digits:.2f} digits promised, {reached:.2f} reached"
    return reached


def floor(kind, name):
    return FLOORS[kind][SETS.index(name)]


@sets
@pytest.mark.parametrize("precision", ["fast", "auto", "extended"])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_strd(name, layout, precision):
    X, y, record = load(name)
    X = np.asarray(X, order=layout)
    fit = linreg_fast.fit(X, y, fit_intercept=record["intercept"], precision=precision)
    assert fit.rank == X.shape[1]
    assert_digits(fit, record, floor(precision, name), name)


@sets
@pytest.mark.parametrize("solver", ["qr", "svd"])
@pytest.mark.parametrize("precision", ["fast", "auto", "extended"])
def test_strd_by_name(name, solver, precision):
    X, y, record = load(name)
    fit = linreg_fast.fit(X, y, fit_intercept=record["intercept"], solver=solver, precision=precision)
    assert fit.solver_path == (solver,)
    assert_digits(fit, record, floor("extended" if precision == "extended" else solver, name), name)


@sets
def test_strd_against_certified_values(name):
    X, y, record = load(name)
    fit = linreg_fast.fit(X, y, fit_intercept=record["intercept"], precision="extended")
    certified = [Fraction(text) for text in record["certified_text"]["coef"]]
    reached = min(15.0, worst_lre(from_intercept(fit), certified))
    assert reached >= CERTIFIED[SETS.index(name)], f"{reached:.2f} digits"


@sets
def test_strd_extended_residuals(name):
    """rss and tss are full too."""
    X, y, record = load(name)
    fit = linreg_fast.fit(X, y, fit_intercept=record["intercept"], precision="extended")
    exact = record["exact_float64_design_40"]
    if float(exact["rss"]) > 0:
        assert lre(fit.rss, Fraction(exact["rss"])) >= 14.5
    else:
        assert fit.rss <= 1e-30 * fit.tss
    assert lre(fit.tss, Fraction(exact["tss"])) >= 15.0


@sets
def test_strd_extended_r2(name):
    """Also where r2 is small, hence a difference of two nearly equal sums."""
    X, y, record = load(name)
    fit = linreg_fast.fit(X, y, fit_intercept=record["intercept"], precision="extended")
    assert lre(fit.r2, Fraction(record["exact_float64_design_40"]["r2"])) >= 15.0


@sets
def test_strd_residuals(name):
    """Residual sum of squares and R2: as many digits as the coefficients deserve, absolute where rss is rounding."""
    X, y, record = load(name)
    fit = linreg_fast.fit(X, y, fit_intercept=record["intercept"])
    exact = record["exact_float64_design_40"]
    if record["intercept"]:
        assert fit.r2 == pytest.approx(float(exact["r2"]), abs=1e-9)
        assert lre(fit.tss, Fraction(exact["tss"])) > 13
    assert float(exact["rss"]) * (1 - 1e-9) <= fit.rss <= float(exact["rss"]) + 1e-9 * fit.tss


def test_longley_by_auto():
    X, y, record = load("Longley")
    fit = linreg_fast.fit(X, y)
    assert worst_lre(from_intercept(fit), record["exact_float64_design_40"]["coef"]) >= 8


@pytest.mark.parametrize("name", ["Norris", "Pontius", "Longley", "Wampler5"])
def test_strd_does_not_depend_on_units(name):
    """Columns and y scaled by powers of two scale the coefficients, to the last bit."""
    X, y, _ = load(name)
    fit = linreg_fast.fit(X, y, precision="fast")
    D = np.ldexp(1.0, np.arange(X.shape[1]) * 7 - 11)
    scaled = linreg_fast.fit(X * D, y * 1024, precision="fast")
    assert (scaled.coef * D / 1024 == fit.coef).all()
    assert scaled.intercept / 1024 == fit.intercept


# offsets: the gate of every method that squares

OFFSETS = [(0, 0), (1e3, 0), (1e5, 0), (1e6, 0), (1e7, 0), (1e8, 0), (0, 1e9), (1e6, 1e9)]


def offset_problem(off, y_off, seed=0, n=300, p=4):
    rng = np.random.default_rng(seed)
    X = off + rng.standard_normal((n, p))
    return X, 3 + X.sum(axis=1) + 0.1 * rng.standard_normal(n) + y_off


@pytest.mark.parametrize(("off", "y_off"), OFFSETS)
@pytest.mark.parametrize("precision", ["fast", "auto"])
def test_offsets(off, y_off, precision):
    for seed in range(3):
        X, y = offset_problem(off, y_off, seed)
        exact = exact_fit(X, y)
        fit = linreg_fast.fit(X, y, precision=precision)
        slopes = worst_lre(fit.coef, exact[:-1])
        assert slopes >= 14, f"{slopes:.2f} digits of the slopes"
        every = min(slopes, lre(fit.intercept, exact[-1]))
        assert every >= fit.digits - HONEST, f"{fit.digits:.2f} digits promised, {every:.2f} reached"


@pytest.mark.parametrize(("off", "y_off"), OFFSETS)
def test_offsets_extended(off, y_off):
    X, y = offset_problem(off, y_off)
    fit = linreg_fast.fit(X, y, precision="extended")
    assert worst_lre([*fit.coef, fit.intercept], exact_fit(X, y)) >= 15.0


@pytest.mark.parametrize("solver", ["qr", "svd"])
@pytest.mark.parametrize(("off", "y_off"), [(1e8, 0), (1e6, 1e9)])
def test_offsets_by_name(solver, off, y_off):
    X, y = offset_problem(off, y_off)
    exact = exact_fit(X, y)
    fit = linreg_fast.fit(X, y, solver=solver)
    assert worst_lre(fit.coef, exact[:-1]) >= 13.5
    assert min(worst_lre(fit.coef, exact[:-1]), lre(fit.intercept, exact[-1])) >= fit.digits - HONEST


def test_leading_rows_far_from_the_rest():
    """A shift that represents only the first rows is taken again."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 3))
    X[:256] += 1e6
    X[256:] -= 1e6
    X[:, 2] = rng.standard_normal(600)
    X[:300, 2] += 50.0 * (np.arange(300) < 256)
    y = X @ [1.0, 2.0, 3.0] + 0.1 * rng.standard_normal(600)
    exact = exact_fit(X, y)
    fit = linreg_fast.fit(X, y, precision="fast")
    reached = min(worst_lre(fit.coef, exact[:-1]), lre(fit.intercept, exact[-1]))
    assert reached >= fit.digits - HONEST


def test_time_stamps():
    """Seconds since 1970 and nanoseconds in int64 give the slope of the same times counted from the first."""
    seconds = np.arange(300)
    y = 1e-3 * seconds + np.sin(seconds)
    expected = exact_fit(seconds[:, None], y)
    fit = linreg_fast.fit(1_700_000_000 + seconds, y)
    assert lre(fit.slope, expected[0]) >= 13
    fit = linreg_fast.fit((1_700_000_000 + seconds) * 1_000_000_000, y)  # nanoseconds: 2^60
    nanoseconds = ((1_700_000_000 + seconds) * 1_000_000_000).astype(float)
    assert lre(fit.slope, exact_fit(nanoseconds[:, None], y)[0]) >= 13


def test_float32_input_keeps_float64_digits():
    rng = np.random.default_rng(0)
    X = (100 + rng.standard_normal((3000, 3))).astype(np.float32)
    y = (X.astype(float) @ [1.0, -2.0, 3.0] + rng.standard_normal(3000)).astype(np.float32)
    exact = exact_fit(X.astype(float), y.astype(float))
    for order in "CF":
        fit = linreg_fast.fit(np.asarray(X, order=order), y)
        assert worst_lre(fit.coef, exact[:-1]) >= 14


@pytest.mark.parametrize("n", [8, 10])
def test_hilbert(n):
    """Ill-conditioned on purpose: the promise is honesty, not digits."""
    X = np.array([[1 / (i + j + 1) for j in range(n - 2)] for i in range(n)])
    y = X.sum(axis=1) + np.arange(n) % 2 * 1e-3
    exact = exact_fit(X, y, fit_intercept=False)
    fit = linreg_fast.fit(X, y, fit_intercept=False)
    if fit.rank == X.shape[1]:
        assert worst_lre(fit.coef, exact) >= fit.digits - HONEST
    else:
        assert fit.solver_path[-1] == "svd"


@pytest.mark.parametrize("epsilon", [1e-3, 1e-5, 1e-7, 1e-8, 1e-9, 1e-10])
@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_laeuchli(epsilon, fits, fit_intercept):
    """Cross products round epsilon away; QR sees it.

    Where y does not fit, one coefficient is smaller by epsilon than the others and than the first correction of
    them: that they do not change any more says nothing of it.
    """
    X = np.vstack([np.ones(3), epsilon * np.eye(3), np.zeros((int(fit_intercept), 3))])
    y = np.array([3.0, epsilon, epsilon, epsilon * 2] if fits else [1.0, 2.0, 3.0, 4.0])
    y = np.append(y, np.full(int(fit_intercept), 5.0))
    exact = exact_fit(X, y, fit_intercept)
    for precision, least in (("auto", 7), ("extended", 14 if epsilon > 1e-9 else 10)):
        fit = linreg_fast.fit(X, y, fit_intercept=fit_intercept, precision=precision)
        assert fit.rank == 3
        reached = worst_lre([*fit.coef, fit.intercept][: len(exact)], exact)
        assert reached >= least, precision
        assert reached >= fit.digits - HONEST, precision


@pytest.mark.parametrize("seed", range(40))
def test_refinement_ends_and_is_honest(seed):
    """Condition up to 1e13, offsets up to 1e8, column scales 1e-8 to 1e8: corrections stall at different floors."""
    rng = np.random.default_rng(seed)
    n, p = 16, 3
    U, V = (np.linalg.qr(rng.standard_normal(shape))[0] for shape in ((n, p), (p, p)))
    X = (U * np.geomspace(1, 10 ** -rng.uniform(0, 13), p)) @ V.T * np.sqrt(n)
    y = X @ rng.standard_normal(p) + rng.choice([0.0, 1e-6, 0.1, 100.0]) * rng.standard_normal(n) + 3
    X = (X + rng.choice([0.0, 1e4, 1e8])) * 10.0 ** (8 * rng.integers(-1, 2, p))
    exact = exact_fit(X, y)
    for precision in ("auto", "extended"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", linreg_fast.RankWarning)
            fit = linreg_fast.fit(X, y, precision=precision)
        if fit.rank < p:
            continue  # reported; the solution of minimum norm is another one
        obtained = worst_lre([*fit.coef, fit.intercept], exact)
        assert fit.digits <= obtained + HONEST, precision
        assert obtained >= 9.0, precision
