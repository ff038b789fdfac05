"""Polynomials of one variable, against rational numbers and certified values."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest
from support.certified import certified_problem
from support.exact import exact_fit, lre, worst_lre

import linreg_fast
from linreg_fast import fit_polynomial
from linreg_fast.options import PRECISIONS

pytestmark = pytest.mark.numerics


def exact_polynomial(x, y, degree, w=None):
    """Coefficients from the intercept upwards, of the powers of the float64 x themselves."""
    powers = [[Fraction(float(v)) ** k for k in range(1, degree + 1)] for v in x]
    *slopes, intercept = exact_fit(powers, y, w=w)
    return [intercept, *slopes]


def coefficients(fit):
    return [fit.intercept, *fit.coef]


def value(exact, x):
    return float(sum(b * Fraction(float(x)) ** k for k, b in enumerate(exact)))


def noisy(n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, n)
    return x, np.exp(x) + 0.1 * rng.standard_normal(n)


@pytest.mark.parametrize("offset", [0.0, 10.0, 2000.0, 1.7e9])
@pytest.mark.parametrize("degree", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("precision", ["fast", "auto", "extended"])
def test_against_rational_numbers(degree, offset, precision):
    for n in (degree + 3, 60):
        x, y = noisy(n)
        x = x * 3 + offset
        fit = fit_polynomial(x, y, degree, precision=precision)
        exact = exact_polynomial(x, y, degree)
        reached = worst_lre(coefficients(fit), exact)
        assert max(0.0, reached) >= fit.digits - 1.0
        if precision != "fast":
            assert reached >= (15.0 if offset < 1e9 or degree <= 3 else 0.0)
        true = np.array([value(exact, v) for v in x])
        assert np.abs(fit.predict(x) - true).max() <= (1e-9 if precision == "fast" else 1e-14) * np.abs(y).max()


@pytest.mark.parametrize("seed", range(20))
def test_digits_are_honest(seed):
    """Random degrees, numbers of points, clusters, units and residuals."""
    rng = np.random.default_rng(seed)
    degree = int(rng.integers(1, 13))
    x = rng.standard_normal(degree + 1 + int(rng.integers(1, 30))) ** int(rng.choice([1, 3]))
    x = x * 10.0 ** rng.integers(-3, 4) + rng.choice([0.0, 1.0, 1e4])
    y = np.sin(x / np.ptp(x)) + rng.choice([0.0, 1e-3, 1.0]) * rng.standard_normal(len(x))
    exact = exact_polynomial(x, y, degree)
    for precision in ("fast", "auto"):
        try:
            fit = fit_polynomial(x, y, degree, precision=precision)
        except np.linalg.LinAlgError:
            continue  # said, not hidden
        reached = worst_lre(coefficients(fit), exact)
        assert max(0.0, reached) >= fit.digits - 1.0, precision


@pytest.mark.parametrize(
    ("name", "floor", "errors"),
    [
        ("Filip", 13.5, 14.5),
        ("Wampler1", 15.0, None),
        ("Wampler2", 13.1, None),
        ("Wampler3", 15.0, 15.0),
        ("Wampler4", 15.0, 15.0),
        ("Wampler5", 15.0, 15.0),
        ("Norris", 14.0, 13.5),
        ("Pontius", 13.4, 13.5),
    ],
)
def test_certified_values(name, floor, errors):
    """Of the decimal problem, which for Filip has twice the digits that a matrix of rounded powers leaves."""
    record = certified_problem(name)
    x, y = (np.array([float(v) for v in np.ravel(a)]) for a in (record.get("x", record.get("X")), record["y"]))
    fit = fit_polynomial(x, y, record["p"] - 1)
    assert fit.digits > 15
    assert worst_lre(coefficients(fit), exact_polynomial(x, y, record["p"] - 1)) >= 15.5
    certified = [Fraction(text) for text in record["certified_text"]["coef"]]
    assert worst_lre(coefficients(fit), certified) >= floor
    if errors:
        found = [fit.intercept_stderr, *fit.stderr]
        assert worst_lre(found, [Fraction(v) for v in record["exact_decimal_40"]["stderr"]]) >= errors
    assert lre(fit.tss, Fraction(record["exact_decimal_40"]["tss"])) >= 13


def test_same_as_columns_of_powers():
    x, y = noisy(50)
    fit = fit_polynomial(x, y, 3)
    other = linreg_fast.fit(np.column_stack([x, x**2, x**3]), y, precision="extended")
    np.testing.assert_allclose(coefficients(fit), coefficients(other), rtol=1e-12)
    np.testing.assert_allclose(fit.stderr, other.stderr, rtol=1e-12)
    assert fit.intercept_stderr == pytest.approx(other.intercept_stderr, rel=1e-12)
    for name in ("rss", "ess", "tss", "r2", "residual_std"):
        assert getattr(fit, name) == pytest.approx(getattr(other, name), rel=1e-13), name
    assert (fit.n_features, fit.rank, fit.n_samples, fit.sum_weight) == (3, 3, 50, 50.0)
    assert fit.coef.shape == (3,)


def test_weights():
    x, y = noisy(30)
    w = np.arange(30) % 4.0
    x[w == 0], y[w == 0] = np.nan, np.inf
    fit = fit_polynomial(x, y, 4, sample_weight=w)
    repeated = np.repeat(np.arange(30), w.astype(int))
    expected = fit_polynomial(x[repeated], y[repeated], 4)
    np.testing.assert_allclose(coefficients(fit), coefficients(expected), rtol=1e-14)
    assert fit.n_samples == np.count_nonzero(w)
    assert worst_lre(coefficients(fit), exact_polynomial(x[w > 0], y[w > 0], 4, w[w > 0])) >= 15


def test_threads_give_the_same_bits(many_blocks):
    x, y = noisy(5000)
    first = fit_polynomial(x, y, 3, n_threads=1)
    again = fit_polynomial(x, y, 3, n_threads=3)
    assert (first.coef == again.coef).all()
    assert first.intercept == again.intercept


def test_prediction_far_from_zero():
    """The series keeps what the powers of a year lose to cancellation."""
    x = np.arange(1950.0, 2021.0)
    y = np.sin((x - 1985) / 10)
    fit = fit_polynomial(x, y, 9)
    true = np.polynomial.Polynomial.fit(x, y, 9)(x)
    np.testing.assert_allclose(fit.predict(x), true, atol=1e-12)
    by_powers = fit.intercept + sum(b * x ** (k + 1) for k, b in enumerate(fit.coef))
    assert np.abs(by_powers - true).max() > 1e-4
    out = np.empty(71)
    assert fit.predict(x[:, None], out) is out
    np.testing.assert_array_equal(out, fit.predict(list(x)))
    assert np.isnan(fit.predict([np.nan, 1990.0])).tolist() == [True, False]
    assert fit.predict(np.empty(0)).shape == (0,)


@pytest.mark.parametrize("ends", [(-1.0, 1.0), (0.0, 1.0), (-1.1, 1.1), (2000.0, 2020.0), (-1e300, 1e300)])
@pytest.mark.parametrize(("degree", "digits"), [(10, 12), (20, 12), (40, 3)])
def test_high_degrees_wherever_x_ends(ends, degree, digits):
    """The x are mapped to all of [-1, 1], whatever they span: Chebyshev polynomials are orthogonal there only."""
    t = np.linspace(-1.0, 1.0, 300)
    x = ends[0] / 2 + ends[1] / 2 + t * (ends[1] / 2 - ends[0] / 2)
    y = np.exp(t + np.sin(10 * t))
    if ends[1] > 1e299:
        with pytest.raises(ValueError, match="leave the range of float64"):
            fit_polynomial(x, y, degree)
        return
    fit = fit_polynomial(x, y, degree)
    true = np.polynomial.Chebyshev.fit(x, y, degree)(x)
    np.testing.assert_allclose(fit.predict(x), true, rtol=0, atol=1e-12)
    assert fit.digits >= digits
    assert fit.rcond > 1e-3


def test_units_that_are_powers_of_two_do_not_matter():
    x, y = noisy(40)
    fit, scaled = fit_polynomial(x, y, 4), fit_polynomial(x * 2.0**80, y, 4)
    assert (scaled.coef * 2.0 ** (80.0 * np.arange(1, 5)) == fit.coef).all()
    assert scaled.intercept == fit.intercept


def test_input_is_not_written_to():
    x, y = noisy(20)
    x.setflags(write=False)
    y.setflags(write=False)
    w = np.ones(20)
    w.setflags(write=False)
    fit_polynomial(x, y, 2, sample_weight=w)
    np.testing.assert_allclose(
        coefficients(fit_polynomial(x.astype(np.float32), y, 2)), coefficients(fit_polynomial(x, y, 2)), rtol=1e-4
    )


def test_saved_and_loaded(tmp_path):
    x, y = noisy(20)
    fit = fit_polynomial(x, y, 3)
    fit.save(tmp_path / "fit.json")
    for copy in (linreg_fast.LinearFit.load(tmp_path / "fit.json"), pickle.loads(pickle.dumps(fit))):
        assert copy.predict(x).tobytes() == fit.predict(x).tobytes()
        assert copy.stderr.tobytes() == fit.stderr.tobytes()
    with pytest.raises(ValueError, match="chebyshev cannot be"):
        linreg_fast.LinearFit.from_dict({**fit.to_dict(), "chebyshev": [1.0, 2.0]})


@pytest.mark.parametrize("scale", [2.0**-700, 2.0**700])
def test_squares_of_y_beyond_the_range(scale):
    x, y = noisy(20)
    fit, scaled = fit_polynomial(x, y, 3), fit_polynomial(x, y * scale, 3)
    assert (scaled.coef == fit.coef * scale).all()
    assert (scaled.stderr == fit.stderr * scale).all()
    assert (scaled.r2, scaled.intercept) == (fit.r2, fit.intercept * scale)
    assert (scaled.predict(x) == fit.predict(x) * scale).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"degree": 0}, ValueError, "degree must be at least 1, got 0"),
        ({"degree": 61}, ValueError, "degree must be from 1 to 60"),
        ({"degree": 2.0}, TypeError, "degree must be an integer, not float"),
        ({"degree": True}, TypeError, "degree must be an integer, not bool"),
        ({"precision": "full"}, ValueError, "precision must be one of fast, auto, extended"),
        ({"x": np.ones((9, 2))}, ValueError, r"x must have one dimension, got shape \(9, 2\)"),
        ({"y": np.ones((9, 2))}, ValueError, r"y must have one dimension, got shape \(9, 2\)"),
        ({"x": np.arange(8.0)}, ValueError, "differ in their number of rows"),
        ({"x": np.arange(9.0) // 4}, ValueError, "x has 3 different values: .* degree 3"),
        ({"x": np.array([np.nan, *range(8)])}, ValueError, "x has NaN at row 0"),
        ({"y": np.array([*range(8), np.inf])}, ValueError, "y has inf at row 8"),
        ({"sample_weight": np.zeros(9)}, ValueError, "no positive weight"),
        ({"sample_weight": -np.ones(9)}, ValueError, "weights must be finite and not negative"),
        ({"x": np.arange(9.0) * 1e150}, ValueError, "leave the range of float64"),
        (
            {"x": np.array([0.0, 1e-14, 2e-14, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0 + 1e-14]) // 1e-15 * 1e-15, "degree": 8},
            np.linalg.LinAlgError,
            "too close to 8 places",
        ),
    ],
)
def test_wrong_input(change, error, message):
    arguments = {"x": np.arange(9.0), "y": np.arange(9.0) ** 2, "degree": 3} | change
    with pytest.raises(error, match=message):
        fit_polynomial(**arguments)


@pytest.mark.parametrize("offset", [0.0, -20.0, 1000.0])
@pytest.mark.parametrize("degree", [1, 2, 4])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_coefficients_that_are_zero_cost_no_digits(precision, degree, offset):
    """An intercept of 0 and powers that are not there are nothing beside what they are made of; others still count."""
    x = np.arange(1.0, 41.0) + offset
    fit = linreg_fast.fit_polynomial(x, 2 * x, degree, precision=precision)
    assert fit.digits >= (8.0 if precision == "fast" else 15.0)
    assert fit.coef[0] == pytest.approx(2.0, rel=1e-8)
    line = linreg_fast.fit_polynomial(x, 2 * x + 2.0**-20, degree, precision="extended")
    assert lre(line.intercept, Fraction(1, 2**20)) >= line.digits - 1.0
