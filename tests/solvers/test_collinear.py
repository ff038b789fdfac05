"""Columns that depend on each other: which ones, what is done about them, and in whose units."""

from __future__ import annotations

import csv
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.exact import exact_fit, exact_minimum_norm, worst_lre
from support.problems import dependent_problem
from support.tables import shared

import linreg_fast
from linreg_fast import RankWarning
from linreg_fast.algebra import minimum_norm

pytestmark = pytest.mark.numerics


SCALES = [(0,) * 6, (0, 1, 2, 3, 4, 5), (20, 0, -20, 0, 20, 0), (-27, 27, 0, 27, 0, -27), (60, -60, 30, -30, 0, 40)]


@pytest.mark.parametrize("exponents", SCALES)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("precision", ["fast", "auto", "extended"])
def test_minimum_norm_is_that_of_the_users_units(exponents, fit_intercept, precision):
    """Exact solution in rational numbers; scales of the columns from 2^-60 to 2^60."""
    X, y = dependent_problem()
    D = np.ldexp(1.0, exponents)
    exact = exact_minimum_norm(X * D, y, fit_intercept)[0]
    intercept = exact.pop() if fit_intercept else 0
    with pytest.warns(RankWarning, match="rank 4 of 6"):
        fit = linreg_fast.fit(X * D, y, fit_intercept=fit_intercept, precision=precision)
    assert fit.rank == 4
    reached = worst_lre(fit.coef, exact)
    assert max(0.0, reached) >= fit.digits - 1.5
    if precision == "extended" and max(exponents) <= 20:
        assert reached >= 15.0
        assert fit.digits >= 15.0
    norm = np.linalg.norm([float(v) for v in exact])
    assert np.linalg.norm(fit.coef) == pytest.approx(norm, rel=1e-11)
    # a coefficient that is 1e-16 of another, by its unit, is known to as much of that only
    for unit in (np.ones(6), D):
        error = unit * (fit.coef - np.array([float(v) for v in exact]))
        assert np.abs(error).max() <= 1e-12 * np.abs(unit * fit.coef).max()
    assert fit.intercept == pytest.approx(float(intercept), rel=1e-10)
    assert fit.collinear == (0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize("precision", ["fast", "auto", "extended"])
def test_whole_combinations_of_columns_in_many_units(precision):
    """A null space with large entries: errors of it grow on their way to the coefficients."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        B = rng.integers(-9, 10, (12, 3)) * rng.choice([1, 1, 2.0**-10, 2.0**20], 3)
        X = np.hstack([B, B @ rng.integers(-2, 3, (3, rng.integers(1, 3)))])
        y = rng.standard_normal(12)
        exact, kept = exact_minimum_norm(X, y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RankWarning)
            fit = linreg_fast.fit(X, y, precision=precision)
        assert fit.rank == len(kept)
        reached = worst_lre(fit.coef, exact[:-1])
        assert max(0.0, reached) >= fit.digits - 1.5, seed
        assert precision != "extended" or reached >= 15.0, seed


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(10, 30), (12, 12), (60, 8)])
def test_same_as_scikit_learn(fit_intercept, weighted, shape):
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(1)
    X = rng.standard_normal(shape) * 10.0 ** rng.integers(-2, 3, shape[1]) + 5.0
    if shape[0] > shape[1]:
        X[:, -1] = X[:, 0] - 3 * X[:, 1]
    y, w = rng.standard_normal(shape[0]), rng.random(shape[0]) if weighted else None
    peer = linear_model.LinearRegression(fit_intercept=fit_intercept, tol=1e-13).fit(X, y, w)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankWarning)
        fit = linreg_fast.fit(X, y, sample_weight=w, fit_intercept=fit_intercept)
    np.testing.assert_allclose(fit.coef, peer.coef_, rtol=1e-9, atol=1e-10 * np.abs(peer.coef_).max())
    assert fit.intercept == pytest.approx(peer.intercept_, rel=1e-9, abs=1e-10)


def test_flights():
    """A real table: dep_time is 100 hour + minute, year is constant."""
    with open(shared("nycflights.csv"), newline="") as file:
        rows = list(csv.DictReader(file))

    def numeric(name):
        try:
            return np.array([float(row[name]) for row in rows])
        except ValueError:
            return None

    columns = {name: numeric(name) for name in rows[0] if name != "arr_delay"}
    columns = {name: values for name, values in columns.items() if values is not None}
    X, y, names = np.column_stack(list(columns.values())), numeric("arr_delay"), list(columns)
    with pytest.warns(RankWarning, match=r"\['dep_time', 'hour', 'minute'\] depend on each other"):
        fit = linreg_fast.fit(X, y, feature_names=names)
    others = [j for j, name in enumerate(names) if name != "year"]
    centred = X[:, others] - X[:, others].mean(axis=0)
    np.testing.assert_allclose(fit.coef[others], np.linalg.lstsq(centred, y - y.mean())[0], rtol=1e-9)
    assert [names[j] for j in fit.collinear] == sorted(["year", "dep_time", "hour", "minute"], key=names.index)
    whole = np.linalg.lstsq(np.column_stack([np.ones(len(y)), X]), y, rcond=1e-14)[0]
    np.testing.assert_allclose(fit.coef[others], whole[1:][others], rtol=1e-9)
    assert fit.coef[names.index("year")] == 0.0


# what to do about them


@pytest.mark.parametrize("solver", ["auto", "svd"])
@pytest.mark.parametrize("precision", ["fast", "extended"])
def test_drop(solver, precision):
    """Columns that depend on those before them get 0; the others are the fit without them."""
    X, y = dependent_problem()
    with pytest.warns(RankWarning, match=r"the columns \[3, 5\] were dropped"):
        fit = linreg_fast.fit(X, y, on_collinear="drop", solver=solver, precision=precision)
    assert fit.dropped == (3, 5)
    assert fit.collinear == (0, 1, 2, 3, 4, 5)
    assert (fit.coef[[3, 5]] == 0).all()
    alone = linreg_fast.fit(X[:, [0, 1, 2, 4]], y, solver=solver, precision=precision)
    np.testing.assert_allclose(fit.coef[[0, 1, 2, 4]], alone.coef, rtol=1e-11)
    assert fit.intercept == pytest.approx(alone.intercept, rel=1e-11)
    assert fit.rank == 4
    assert fit.rss == pytest.approx(alone.rss, rel=1e-11)
    if precision == "extended":
        exact = exact_fit(X[:, [0, 1, 2, 4]], y)
        assert worst_lre(fit.coef[[0, 1, 2, 4]], exact[:-1]) >= 15
        assert fit.digits > 15


def test_drop_of_wide_data():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((6, 9)) + 1, rng.standard_normal(6)
    X[:, 1] = 2 * X[:, 0]
    X[:, 3] = 7.0
    with pytest.warns(RankWarning, match="6 rows cannot determine 8 columns"):
        fit = linreg_fast.fit(X, y, on_collinear="drop")
    assert fit.dropped == (1, 3, 7, 8)
    np.testing.assert_allclose(fit.predict(X), y, rtol=1e-11)
    assert np.flatnonzero(fit.coef).tolist() == [0, 2, 4, 5, 6]


def test_all_solutions_predict_the_same():
    X, y = dependent_problem(seed=3)
    with pytest.warns(RankWarning):
        fits = [linreg_fast.fit(X, y, on_collinear=way) for way in ("min_norm", "drop")]
    np.testing.assert_allclose(fits[0].predict(X), fits[1].predict(X), rtol=1e-11, atol=1e-11)


def test_raise():
    X, y = dependent_problem()
    with pytest.raises(
        np.linalg.LinAlgError, match=r"rank 4 of 6: the columns \['a', 'b', 'c', 'd', 'e', 'f'\] depend"
    ):
        linreg_fast.fit(X, y, on_collinear="raise", feature_names=list("abcdef"))
    with pytest.raises(np.linalg.LinAlgError, match="5 rows cannot determine 6 columns"):
        linreg_fast.fit(X[:5], y[:5], on_collinear="raise")
    with pytest.raises(np.linalg.LinAlgError, match=r"columns \[1\] of X are constant"):
        linreg_fast.fit(np.column_stack([X[:, 0], np.full(40, 5.0)]), y, on_collinear="raise")
    fit = linreg_fast.fit(X[:, :3], y, on_collinear="raise")
    assert (fit.collinear, fit.dropped) == ((), ())


def test_constant_column_beside_an_intercept():
    """It depends on the intercept, but its coefficient of 0 is what everyone means: no warning."""
    X, y = dependent_problem()
    X = np.column_stack([X[:, 0], np.full(40, 5.0)])
    for way, dropped in (("min_norm", ()), ("drop", (1,))):
        fit = linreg_fast.fit(X, y, on_collinear=way)
        assert (fit.collinear, fit.dropped, fit.coef[1]) == ((1,), dropped, 0.0)
    assert linreg_fast.fit(X, y, fit_intercept=False, on_collinear="raise").collinear == ()
    assert linreg_fast.fit(X, y, l2=1.0, on_collinear="raise").collinear == ()


def test_wrong_ways():
    X, y = dependent_problem()
    with pytest.raises(ValueError, match="on_collinear must be one of min_norm, drop, raise; got 'ignore'"):
        linreg_fast.fit(X, y, on_collinear="ignore")
    with pytest.raises(ValueError, match="on_collinear must be one of"):
        linreg_fast.fit(X[:, :2], y, on_collinear="ignore")  # where nothing is collinear
    with pytest.raises(ValueError, match="'gd' does not see collinear columns"):
        linreg_fast.fit(X, y, on_collinear="drop", solver="gd")


def test_saved_and_loaded(tmp_path):
    X, y = dependent_problem()
    with pytest.warns(RankWarning):
        fit = linreg_fast.fit(X, y, on_collinear="drop")
    fit.save(tmp_path / "fit.json")
    loaded = linreg_fast.LinearFit.load(tmp_path / "fit.json")
    assert (loaded.collinear, loaded.dropped) == (fit.collinear, fit.dropped)
    state = fit.to_dict()
    for wrong in ([6], [-1], ["a"], 3):
        with pytest.raises(ValueError, match="not a whole"):
            linreg_fast.LinearFit.from_dict({**state, "collinear": wrong})


# the choice of columns


@pytest.mark.parametrize("seed", range(5))
def test_independent_columns_are_the_first_ones(seed):
    rng = np.random.default_rng(seed)
    V = np.linalg.qr(rng.standard_normal((7, 3)))[0].T
    assert minimum_norm.independent(V).tolist() == [0, 1, 2]
    V = np.column_stack([V[:, 0], -2 * V[:, 0], V[:, 1], V[:, 0] + V[:, 1], V[:, 2:]])
    assert minimum_norm.independent(V).tolist() == [0, 2, 4]


def test_independent_columns_where_none_stands_out():
    """Every column is within rounding of those before: the pivots decide."""
    V = np.array([[1.0, 0.0, 0.0], [0.0, 1e-9, 1.0]])
    assert minimum_norm.independent(V).tolist() == [0, 2]
    V = np.array([[1.0, 1.0], [0.0, 1e-9]])
    assert minimum_norm.independent(V).tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_projection_is_least_squares(seed):
    """Any rows, exchanged on the way: the residual of the textbook, its rows 10 orders of magnitude apart or none."""
    rng = np.random.default_rng(seed)
    A, B = rng.standard_normal((9, 4)), rng.standard_normal((9, 2))
    for scale in (np.ones((9, 1)), 10.0 ** rng.integers(-5, 6, (9, 1))):
        X, rest = minimum_norm._project(scale * A, scale * B)
        size = scale * (np.abs(B) + np.abs(A) @ np.abs(X))
        assert (np.abs(rest - scale * (B - A @ X)) <= 1e-12 * size).all()
        assert (np.abs((scale * A).T @ rest) <= 1e-12 * (np.abs(scale * A).T @ size)).all()
        if scale.max() == 1:
            np.testing.assert_allclose(X, np.linalg.lstsq(A, B)[0], rtol=1e-10)


# properties

whole = st.integers(-6, 6).map(float)


@st.composite
def dependent_problems(draw):
    """Whole numbers, the last columns being combinations of the first ones, in any order."""
    n, p, more = draw(st.integers(6, 12)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    X = draw(arrays(float, (n, p), elements=whole))
    mix = draw(arrays(float, (p, more), elements=st.integers(-2, 2).map(float)))
    order = draw(st.permutations(range(p + more)))
    return np.column_stack([X, X @ mix])[:, order], draw(arrays(float, n, elements=whole))


@given(dependent_problems(), st.booleans(), st.sampled_from(["fast", "auto", "extended"]))
def test_every_way_of_every_dependency(data, fit_intercept, precision):
    X, y = data
    exact, independent = exact_minimum_norm(X, y, fit_intercept)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankWarning)
        least, dropped = (
            linreg_fast.fit(X, y, fit_intercept=fit_intercept, precision=precision, on_collinear=way)
            for way in ("min_norm", "drop")
        )
    assert least.rank == dropped.rank == len(independent)
    exact = np.array([float(v) for v in exact[: X.shape[1]]])
    np.testing.assert_allclose(least.coef, exact, rtol=1e-9, atol=1e-10 * (1 + np.abs(exact).max()))
    assert dropped.dropped == tuple(sorted(set(range(X.shape[1])) - set(independent)))
    assert set(dropped.dropped) <= set(least.collinear)
    np.testing.assert_allclose(dropped.predict(X), least.predict(X), rtol=1e-9, atol=1e-9 * (1 + np.abs(y).max()))
    if least.collinear:
        with pytest.raises(np.linalg.LinAlgError):
            linreg_fast.fit(X, y, fit_intercept=fit_intercept, precision=precision, on_collinear="raise")


@given(dependent_problems(), st.lists(st.integers(-8, 8), min_size=5, max_size=5))
def test_rank_and_predictions_whatever_the_units(data, exponents):
    """Also where scaling rounds, so that columns are dependent to the last place only."""
    X, y = data
    D = 10.0 ** np.array(exponents[: X.shape[1]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankWarning)
        fit, scaled = linreg_fast.fit(X, y), linreg_fast.fit(X * D, y)
    assert scaled.rank == fit.rank
    np.testing.assert_allclose(scaled.predict(X * D), fit.predict(X), rtol=1e-8, atol=1e-8 * (1 + np.abs(y).max()))
