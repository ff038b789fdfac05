"""Gradient descent: the textbook's iterates, both ways of passing, divergence, options."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from conftest import intercepts
from support.compare import bits
from support.exact import exact_fit, worst_lre
from support.problems import problem
from support.tables import LAYOUTS

import linreg_fast
from linreg_fast import ConvergenceWarning, LearningRateError, plan_costs, reference
from linreg_fast.solvers import descent

pytestmark = pytest.mark.numerics

PASSES = ("moments", "data")

both = pytest.mark.parametrize("passes", PASSES)
momenta = pytest.mark.parametrize("momentum", ["none", "nesterov"])


def gd(X, y, **options):
    return linreg_fast.fit(X, y, solver="gd", **options)


def largest_eigenvalue(X, fit_intercept=True, w=None, l2=0.0):
    """Of the Hessian of J in the raw columns and the intercept."""
    A = np.column_stack([X, np.ones(len(X))]) if fit_intercept else X
    w = np.ones(len(X)) if w is None else w
    H = A.T @ (w[:, None] * A)
    H[np.arange(X.shape[1]), np.arange(X.shape[1])] += l2
    return np.linalg.eigvalsh(H / w.sum())[-1]


# iterates


@both
@momenta
@intercepts
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("l2", [0.0, 5.0])
def test_textbook_iterates(passes, momentum, fit_intercept, weighted, l2):
    """Step for step those of the NumPy twin on the raw columns."""
    for p, offset in ((1, 0.0), (3, 1.0), (9, -2.0)):
        X, y, _, _ = problem(150, p, offset=offset)
        w = np.arange(150) % 3.0 if weighted else None
        rate = 0.7 / largest_eigenvalue(X, fit_intercept, w, l2)
        twin, costs = reference.descent(
            X, y, rate, 50, w=w, fit_intercept=fit_intercept, nesterov=momentum == "nesterov", l2=l2
        )
        seen = []
        fit = gd(
            X, y, sample_weight=w, fit_intercept=fit_intercept, l2=l2, passes=passes, momentum=momentum, scale=False,
            learning_rate=rate, max_iter=50, tol=0,
            callback=lambda step, cost, coef, b0: seen.append([step, cost, *coef, b0]),  # noqa: B023
        )  # fmt: skip
        seen = np.array(seen)
        assert seen[:, 0].tolist() == list(range(1, 51))
        iterates = seen[:, 2:] if fit_intercept else seen[:, 2:-1]
        np.testing.assert_allclose(iterates, twin[1:], rtol=1e-10, atol=1e-10 * abs(twin).max())
        np.testing.assert_allclose(seen[:, 1], costs[1:], rtol=1e-10)
        np.testing.assert_allclose(fit.cost_history, costs, rtol=1e-10)
        np.testing.assert_allclose(fit.coef, twin[-1, :p], rtol=1e-10, atol=1e-10 * abs(twin).max())
        assert fit.intercept == (pytest.approx(twin[-1, -1], rel=1e-9) if fit_intercept else 0.0)
        assert (fit.n_iter, fit.converged, fit.solver) == (50, True, "gd")
        assert f"passes over the {passes}" in fit.reason


def test_textbook_loop_of_the_benchmarks():
    X, y, _, _ = problem(150, 3)
    coef, intercept, costs = reference.gradient_descent(X, y, 0.1, 30)
    fit = gd(X, y, learning_rate=0.1, max_iter=30, tol=0, scale=False)
    np.testing.assert_allclose(fit.coef, coef, rtol=1e-11)
    assert fit.intercept == pytest.approx(intercept, rel=1e-11)
    np.testing.assert_allclose(fit.cost_history[:-1], costs, rtol=1e-11)
    closed, closed_intercept = reference.normal_equations(X, y)
    best = linreg_fast.fit(X, y)
    np.testing.assert_allclose(best.coef, closed, rtol=1e-11)
    assert best.intercept == pytest.approx(closed_intercept, rel=1e-11)


@momenta
@intercepts
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("layout", ["C", "F", "float32", "strided"])
def test_both_ways_follow_the_same_iterates(momentum, fit_intercept, scale, layout):
    X, y, _, _ = problem(200, 4, offset=1.0)
    X = LAYOUTS[layout](X)
    w = np.arange(200) % 3.0
    records = {}
    for passes in PASSES:
        records[passes] = []
        gd(
            X, y, sample_weight=w, fit_intercept=fit_intercept, momentum=momentum, scale=scale, passes=passes,
            max_iter=60, tol=0, l2=1.0,
            callback=lambda step, cost, coef, b0: records[passes].append([cost, *coef, b0]),  # noqa: B023
        )  # fmt: skip
    a, b = np.array(records["moments"]), np.array(records["data"])
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * abs(b).max())


def test_scaled_iterates_are_the_textbook_on_standardised_columns():
    X, y, _, _ = problem(200, 3, offset=5.0)
    X = X * [1.0, 1e3, 1e-3]
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    twin, costs = reference.descent((X - mean) / deviation, y - y.mean(), 0.3, 40, fit_intercept=False)
    for passes in PASSES:
        fit = gd(X, y, learning_rate=0.3, max_iter=40, tol=0, passes=passes)
        np.testing.assert_allclose(fit.coef * deviation, twin[-1], rtol=1e-10)
        np.testing.assert_allclose(fit.cost_history, costs, rtol=1e-10)
        assert fit.intercept == pytest.approx(y.mean() - mean @ fit.coef, rel=1e-10)


# convergence


@both
@momenta
@pytest.mark.parametrize("l2", [0.0, 3.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_converges_to_the_closed_form(passes, momentum, l2, weighted):
    X, y, _, _ = problem(300, 5, offset=100.0)
    X = X * ([0.5, 1.0, 2.0, 1.0, 1.0] if l2 else [1e-6, 1.0, 1e6, 1.0, 1.0])  # a penalty is meant in raw units
    w = np.arange(300) % 4.0 if weighted else None
    fit = gd(X, y, sample_weight=w, l2=l2, passes=passes, momentum=momentum, tol=1e-12, max_iter=20_000)
    closed = linreg_fast.fit(X, y, sample_weight=w, l2=l2)
    assert fit.converged
    assert 0 < fit.n_iter < 20_000
    np.testing.assert_allclose(fit.coef, closed.coef, rtol=1e-8, atol=1e-12 * abs(closed.coef).max())
    assert fit.rss == pytest.approx(closed.rss, rel=1e-8)
    assert fit.tss == pytest.approx(closed.tss, rel=1e-10)
    assert fit.cost_history.shape == (fit.n_iter + 1,)
    if l2 == 0:
        assert fit.cost == pytest.approx(fit.cost_history[-1], rel=1e-6)


@both
def test_cost_falls_at_each_step(passes):
    for scale in (True, False):
        X, y, _, _ = problem(300, 5)
        fit = gd(X, y, passes=passes, scale=scale, tol=1e-4)
        assert (np.diff(fit.cost_history) <= 0).all()
        assert fit.cost_history[0] == pytest.approx(fit.tss / 600 if scale else y @ y / 600, rel=1e-10)


@both
def test_digits_grow_with_the_steps_and_are_honest(passes):
    X, y, _, _ = problem(60, 3)
    exact = exact_fit(X, y)
    before = -1.0
    for max_iter in (5, 20, 100):
        fit = gd(X, y, max_iter=max_iter, tol=0, passes=passes)
        assert fit.digits >= before
        assert worst_lre([*fit.coef, fit.intercept], exact) >= fit.digits - 1.5
        before = fit.digits
    assert before > 10


@both
@pytest.mark.parametrize("momentum", ["none", "nesterov"])
def test_not_converged_is_said(passes, momentum):
    X, y, _, _ = problem(100, 3)
    with pytest.warns(ConvergenceWarning, match="did not converge in 3 steps") as caught:
        fit = gd(X, y, max_iter=3, tol=1e-12, passes=passes, momentum=momentum)
    assert caught[0].filename == __file__
    assert not fit.converged
    assert fit.n_iter == 3
    assert np.abs(fit.coef).min() > 0


@both
def test_nothing_to_do(passes):
    """A start that is the solution, a y of zeros, columns that do not vary: no step, and converged."""
    X, _, _, _ = problem(50, 3)
    for A, y in ((X, np.zeros(50)), (X, np.full(50, 3.0)), (np.ones((50, 2)), np.arange(50.0)), (X[:, :0], X[:, 0])):
        fit = gd(A, y, passes=passes)
        assert fit.converged
        assert (fit.coef == 0).all()
        assert fit.intercept == pytest.approx(y.mean(), rel=1e-13)
        assert fit.n_iter == 0


@both
def test_minimum_norm_is_approached_below_full_rank(passes):
    X, y, _, _ = problem(200, 2)
    X = np.column_stack([X, X[:, 0]])
    fit = gd(X, y, passes=passes, tol=1e-12, max_iter=10_000)
    with pytest.warns(linreg_fast.RankWarning):
        closed = linreg_fast.fit(X, y)
    np.testing.assert_allclose(fit.coef, closed.coef, rtol=1e-8)


@both
def test_start(passes):
    X, y, _, _ = problem(200, 3, offset=1.0)
    closed = linreg_fast.fit(X, y)
    for scale in (True, False):
        seen = []
        start = [*(closed.coef + np.array([0.1, 0.0, -0.1])), closed.intercept]
        fit = gd(
            X, y, passes=passes, scale=scale, coef_init=start, max_iter=100_000, tol=1e-10, momentum="nesterov",
            callback=lambda step, cost, coef, b0: seen.append(coef.copy()) and None,  # noqa: B023
        )  # fmt: skip
        assert abs(seen[0] - start[:3]).max() < 0.2
        np.testing.assert_allclose(fit.coef, closed.coef, rtol=1e-6)
        slopes_only = gd(X, y, passes=passes, scale=scale, coef_init=start[:3], max_iter=1, tol=0, learning_rate=1e-12)
        np.testing.assert_allclose(slopes_only.coef, start[:3], rtol=1e-8)
    with pytest.raises(ValueError, match=r"coef_init must have shape \(3,\)"):
        gd(X, y, coef_init=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"coef_init must have shape \(3,\)"):
        gd(X, y, coef_init=[1.0, 2.0, 3.0, 4.0], fit_intercept=False)
    with pytest.raises(ValueError, match="coef_init has nan at position 1"):
        gd(X, y, coef_init=[1.0, np.nan, 2.0])
    with pytest.raises(TypeError, match="coef_init"):
        gd(X, y, coef_init=["a", "b", "c"])


@both
def test_callback_stops_and_is_given_copies(passes):
    X, y, _, _ = problem(200, 3)
    undisturbed = gd(X, y, passes=passes, max_iter=9, tol=0)

    def callback(step, cost, coef, intercept):
        assert isinstance(step, int)
        assert isinstance(cost, float)
        assert isinstance(intercept, float)
        coef[:] = np.nan
        return step == 9

    fit = gd(X, y, passes=passes, callback=callback, max_iter=1000, tol=0)
    assert fit.n_iter == 9
    assert not fit.converged
    assert (fit.coef == undisturbed.coef).all()

    def broken(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        gd(X, y, passes=passes, callback=broken)


# divergence


@both
@pytest.mark.parametrize("scale", [True, False])
@intercepts
def test_too_large_a_rate_names_the_largest_stable_one(passes, scale, fit_intercept):
    X, y, _, _ = problem(200, 3, offset=1.0)
    Z = (X - X.mean(0) * fit_intercept) / (X.std(0) if fit_intercept else np.sqrt((X**2).mean(0)))
    L = largest_eigenvalue(Z, False) if scale else largest_eigenvalue(X, fit_intercept)
    for factor in (1.001, 1.1, 10.0, 1e6):
        with pytest.raises(LearningRateError, match="the largest stable rate is") as caught:
            gd(X, y, passes=passes, scale=scale, fit_intercept=fit_intercept, learning_rate=2 / L * factor)
        error = caught.value
        assert error.largest_stable == pytest.approx(2 / L, rel=1e-9)
        assert error.learning_rate == 2 / L * factor
        assert error.n_iter <= 40
        assert isinstance(error, ValueError)
    options = {"scale": scale, "fit_intercept": fit_intercept, "passes": passes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = gd(X, y, learning_rate=error.largest_stable * 0.99, max_iter=5000, **options)
    assert fit.cost_history[-1] < fit.cost_history[0]
    np.testing.assert_allclose(fit.coef, linreg_fast.fit(X, y, fit_intercept=fit_intercept).coef, rtol=1e-4)


@both
def test_too_large_a_rate_with_momentum(passes):
    X, y, _, _ = problem(200, 3)
    L = largest_eigenvalue((X - X.mean(0)) / X.std(0), False)
    with pytest.raises(LearningRateError) as caught:
        gd(X, y, passes=passes, momentum="nesterov", learning_rate=4 / 3 / L * 1.01)
    assert caught.value.largest_stable == pytest.approx(4 / 3 / L, rel=1e-9)
    fit = gd(X, y, passes=passes, momentum="nesterov", learning_rate=4 / 3 / L * 0.9, max_iter=20_000)
    assert fit.converged


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("momentum", ["none", "nesterov"])
def test_too_large_a_rate_without_moments(monkeypatch, scale, momentum):
    """More columns than eigenvalues are computed for: the growth of the cost tells the largest stable rate."""
    monkeypatch.setattr(plan_costs, "EXACT_L", 2)
    X, y, _, _ = problem(300, 6)
    Z = (X - X.mean(0)) / X.std(0)
    L = largest_eigenvalue(Z, False) if scale else largest_eigenvalue(X)
    limit = (4 / 3 if momentum == "nesterov" else 2) / L
    options = {"passes": "data", "scale": scale, "momentum": momentum}
    for factor in (1.2, 3.0, 100.0):
        with pytest.raises(LearningRateError) as caught:
            gd(X, y, learning_rate=limit * factor, max_iter=2000, **options)
        assert caught.value.n_iter <= 60
        assert limit * 0.5 <= caught.value.largest_stable <= limit * 1.05, factor
        fit = gd(X, y, learning_rate=caught.value.largest_stable * 0.9, max_iter=20_000, tol=1e-6, **options)
        assert fit.converged


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@intercepts
def test_without_moments(monkeypatch, scale, weighted, fit_intercept):
    """The rate comes from a power iteration, and the result is the same."""
    monkeypatch.setattr(plan_costs, "EXACT_L", 2)
    X, y, _, _ = problem(300, 6, offset=0.5)
    w = np.arange(300) % 3.0 if weighted else None
    options = {"sample_weight": w, "fit_intercept": fit_intercept, "l2": 0.5}
    fit = gd(X, y, passes="data", scale=scale, max_iter=20_000, tol=1e-10, **options)
    closed = linreg_fast.fit(X, y, **options)
    assert fit.converged
    np.testing.assert_allclose(fit.coef, closed.coef, rtol=1e-7)
    assert fit.intercept == pytest.approx(closed.intercept, rel=1e-6, abs=1e-8)
    assert fit.tss == pytest.approx(closed.tss, rel=1e-10)


@both
def test_divergence_never_returns_a_start_or_an_overflow(passes):
    X, y, _, _ = problem(50, 2)
    for scale in (1.0, 1e3, 1e-3, 1e100):
        with pytest.raises(LearningRateError):
            gd(X * scale, y, passes=passes, scale=False, learning_rate=1e300)
    with pytest.raises(LearningRateError):
        gd(X, y * 1e100, passes=passes, scale=False, learning_rate=1e10)


@both
def test_squares_out_of_range(passes):
    """Scaled columns make no difference; raw ones cannot be iterated on and say so."""
    X, y, _, _ = problem(200, 2)
    expected = gd(X, y, passes=passes, tol=1e-10)
    for scale in (1e200, 1e-200):
        fit = gd(X * scale, y, passes=passes, tol=1e-10)
        np.testing.assert_allclose(fit.coef * scale, expected.coef, rtol=1e-8)
        with pytest.raises(ValueError, match=r"leave the range|diverges"):
            gd(X * scale, y, passes=passes, scale=False)


@both
def test_subnormal_steps_are_not_slow_to_stop(passes):
    X, y, _, _ = problem(200, 2)
    fit = gd(X, y * 1e-300, passes=passes)
    assert fit.converged
    np.testing.assert_allclose(fit.coef * 1e300, linreg_fast.fit(X, y).coef, rtol=1e-6)


# options


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rate": 1.0}, TypeError, "unknown option 'rate'; did you mean 'learning_rate'"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be finite and more than 0"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be finite and more than 0"),
        ({"learning_rate": np.nan}, ValueError, "learning_rate must be finite"),
        ({"learning_rate": np.inf}, ValueError, "learning_rate must be finite"),
        ({"learning_rate": "auto"}, TypeError, "learning_rate must be a number, not str"),
        ({"learning_rate": 1j}, TypeError, "learning_rate must be a real number"),
        ({"learning_rate": [0.1]}, TypeError, "learning_rate must be a number, not list"),
        ({"max_iter": 0}, ValueError, "max_iter must be at least 1, got 0"),
        ({"max_iter": 1.5}, TypeError, "max_iter must be an integer, not float"),
        ({"max_iter": True}, TypeError, "max_iter must be an integer, not bool"),
        ({"max_iter": None}, TypeError, "max_iter must be an integer, not NoneType"),
        ({"tol": -1e-3}, ValueError, "tol must be finite and at least 0"),
        ({"tol": np.nan}, ValueError, "tol must be finite"),
        ({"tol": None}, TypeError, "tol must be"),
        ({"momentum": "heavy"}, ValueError, "momentum must be one of none, nesterov; got 'heavy'"),
        ({"momentum": 0.9}, ValueError, "momentum must be one of none, nesterov; got 0.9"),
        ({"passes": "rows"}, ValueError, "passes must be one of moments, data; got 'rows'"),
        ({"callback": 3}, TypeError, "callback must be callable, not int"),
    ],
)
def test_wrong_options(options, error, message):
    X, y, _, _ = problem(20, 2)
    with pytest.raises(error, match=message):
        gd(X, y, **options)


def test_several_targets_are_refused():
    X, y, _, _ = problem(20, 2)
    with pytest.raises(ValueError, match="solver 'gd' takes one target"):
        gd(X, np.column_stack([y, y]))


def test_options_may_be_numpy_numbers():
    X, y, _, _ = problem(50, 2)
    fit = gd(X, y, learning_rate=np.float32(0.25), max_iter=np.int64(5), tol=np.float64(0), momentum=None)
    assert bits(fit) == bits(gd(X, y, learning_rate=0.25, max_iter=5, tol=0))


@both
def test_the_choice_of_passes_is_obeyed_and_recorded(passes):
    X, y, _, _ = problem(50, 2)
    fit = gd(X, y, passes=passes, max_iter=5, tol=0)
    assert fit.plan.solver == "gd"
    assert fit.plan.passes == passes
    assert fit.solver_path == ("gd",)


@pytest.mark.slow
def test_many_steps_in_one_call_are_those_of_many_calls(monkeypatch):
    X, y, _, _ = problem(100, 3)
    expected = gd(X, y, max_iter=1000, tol=0, passes="moments", momentum="nesterov")
    monkeypatch.setattr(descent, "CALL_STEPS_FLOPS", 1.0)
    assert bits(gd(X, y, max_iter=1000, tol=0, passes="moments", momentum="nesterov")) == bits(expected)


@pytest.mark.parametrize("passes", ["moments", "data"])
def test_coefficients_beyond_the_range(passes):
    X, y, _, _ = problem(40, 3)
    X[:, 1] *= 1e-310
    with pytest.raises(ValueError, match=r"column 1 of X .*range of float64"):
        linreg_fast.fit(X, y, solver="gd", passes=passes)


@pytest.mark.parametrize("momentum", ["none", "nesterov"])
@pytest.mark.parametrize("y_scale", [1.0, 2.0**-60])
def test_the_cost_is_never_below_zero(momentum: str, y_scale: float) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(-9, 10, (300, 3)).astype(float)
    y = (X @ [1.0, 2.0, 3.0] + 5.0) * y_scale  # whole numbers: the least cost is 0
    seen: list[float] = []
    fit = linreg_fast.fit(
        X,
        y,
        solver="gd",
        passes="moments",
        tol=0.0,
        max_iter=400,
        momentum=momentum,
        callback=lambda step, cost, coef, intercept: seen.append(cost),
    )
    assert min(seen) >= 0
    r = y - X @ fit.coef - fit.intercept
    assert fit.cost_history.min() >= 0
    assert fit.cost_history[-1] == pytest.approx(r @ r / 600, rel=1e-6)
    assert fit.cost_history[-1] < 1e-24 * fit.cost_history[0]
