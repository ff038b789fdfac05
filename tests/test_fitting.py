"""fit against NumPy, scikit-learn and exact solutions; problems at the edge; dependent columns, weights, penalties."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import CLOSED, intercepts, solvers
from sklearn.linear_model import LinearRegression, Ridge
from support.exact import dot, exact_fit, exact_ridge, rational, worst_lre
from support.problems import dependent_columns, problem

import linreg_fast
from linreg_fast import RankWarning

pytestmark = pytest.mark.numerics

# against peers


@solvers
@intercepts
@pytest.mark.parametrize("shape", [(3, 1), (20, 1), (20, 5), (300, 17), (1000, 64)])
@pytest.mark.parametrize("weighted", [False, True])
def test_against_lstsq(solver, fit_intercept, shape, weighted):
    X, y, _, _ = problem(*shape, offset=1.0)
    w = np.random.default_rng(0).random(shape[0]) + 0.1 if weighted else None
    root = np.ones(shape[0]) if w is None else np.sqrt(w)
    A = np.column_stack([X, np.ones(shape[0])]) if fit_intercept else X
    b, _, rank, _ = np.linalg.lstsq(A * root[:, None], y * root)
    fit = linreg_fast.fit(X, y, sample_weight=w, fit_intercept=fit_intercept, solver=solver)
    p = shape[1]
    np.testing.assert_allclose(fit.coef, b[:p], rtol=1e-10, atol=1e-11)
    assert fit.intercept == pytest.approx(b[p], rel=1e-10, abs=1e-11) if fit_intercept else fit.intercept == 0.0
    residual = (y - A @ b) * root
    mean = np.average(y, weights=w) if fit_intercept else 0.0
    assert fit.rss == pytest.approx(residual @ residual, rel=1e-9, abs=1e-11)
    assert fit.tss == pytest.approx(((y - mean) * root) @ ((y - mean) * root), rel=1e-12)
    assert fit.r2 == pytest.approx(1 - (residual @ residual) / fit.tss, abs=1e-12)
    assert fit.rank == rank - fit_intercept
    assert fit.cost == pytest.approx(fit.rss / 2 / (shape[0] if w is None else w.sum()), rel=1e-13)
    assert fit.solver_path[-1] == (solver if solver != "auto" else "cholesky")
    np.testing.assert_allclose(fit.predict(X), A @ b, rtol=1e-10, atol=1e-11)


@intercepts
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_against_scikit_learn(fit_intercept, weighted, n_targets):
    X, y, _, _ = problem(200, 6, offset=3.0)
    Y = np.column_stack([y, y**2, np.cos(y)])[:, :n_targets]
    w = np.random.default_rng(0).random(200) if weighted else None
    peer = LinearRegression(fit_intercept=fit_intercept, tol=1e-15).fit(X, Y, sample_weight=w)
    fit = linreg_fast.fit(X, Y, sample_weight=w, fit_intercept=fit_intercept)
    np.testing.assert_allclose(fit.coef, peer.coef_, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(fit.intercept, peer.intercept_ if fit_intercept else 0.0, rtol=1e-9, atol=1e-11)
    assert np.shape(fit.intercept) == np.shape(fit.r2) == np.shape(fit.cost) == (n_targets,)
    for t in range(n_targets):
        one = linreg_fast.fit(X, Y[:, t], sample_weight=w, fit_intercept=fit_intercept)
        np.testing.assert_allclose(one.coef, fit.coef[t], rtol=1e-13, atol=1e-14)
        assert one.rss == pytest.approx(fit.rss[t], rel=1e-10)
        assert one.r2 == pytest.approx(
            peer.score(X, Y, sample_weight=w) if n_targets == 1 and fit_intercept else fit.r2[t], rel=1e-10
        )


@solvers
@intercepts
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(60, 5), (5, 9), (9, 9), (3, 1)])
@pytest.mark.parametrize("l2", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("n_targets", [1, 2])  # one target takes another way
def test_ridge(solver, fit_intercept, weighted, shape, l2, n_targets):
    """scikit-learn's alpha: the weighted rss plus l2 times the squared slopes; the intercept is free."""
    X, y, _, _ = problem(*shape, offset=2.0)
    Y = np.column_stack([y, -(y**2)])[:, :n_targets]
    w = np.random.default_rng(0).random(shape[0]) + 0.1 if weighted else None
    peer = Ridge(alpha=l2, fit_intercept=fit_intercept, solver="svd" if not weighted else "cholesky", tol=1e-14)
    peer.fit(X, Y, sample_weight=w)
    fit = linreg_fast.fit(X, Y, sample_weight=w, fit_intercept=fit_intercept, solver=solver, l2=l2)
    np.testing.assert_allclose(fit.coef, peer.coef_.reshape(n_targets, -1), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(fit.intercept, peer.intercept_ if fit_intercept else 0.0, rtol=1e-8, atol=1e-10)
    weights = np.ones(shape[0]) if w is None else w
    np.testing.assert_allclose(fit.rss, weights @ (Y - fit.predict(X)) ** 2, rtol=1e-7, atol=1e-10)
    assert fit.l2 == l2


def test_ridge_without_weight_in_units():
    """A column in another unit is penalised otherwise: the penalty is on the raw slopes."""
    X, y, _, _ = problem(50, 3)
    X = X * [1e-6, 1.0, 1e6]
    fit = linreg_fast.fit(X, y, l2=0.5)
    gram = (X - X.mean(0)).T @ (X - X.mean(0)) + 0.5 * np.eye(3)
    np.testing.assert_allclose(gram @ fit.coef, (X - X.mean(0)).T @ y, rtol=1e-9)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_penalty_out_of_range(bad):
    with pytest.raises(ValueError, match="l2 must be finite and at least 0"):
        linreg_fast.fit(np.ones((3, 1)), np.ones(3), l2=bad)
    with pytest.raises(TypeError, match="l2 must be"):
        linreg_fast.fit(np.ones((3, 1)), np.ones(3), l2="1")


# simple regression, shapes, degenerate problems


@solvers
def test_simple_regression(solver):
    x = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    line = linreg_fast.fit(x, [1.0, 3.0, 5.0, 7.0, 9.0], solver=solver)
    assert line.slope == pytest.approx(2.0, rel=1e-15)
    assert line.intercept == pytest.approx(1.0, rel=1e-15)
    assert line.coef.shape == (1,)
    assert line.rss == pytest.approx(0.0, abs=1e-28)
    assert line.r2 == pytest.approx(1.0)
    x, y = np.array([2.0, 3.0, 5.0]), np.array([1.0, 5.0, 3.0])
    line = linreg_fast.fit(x, y, solver=solver)
    assert worst_lre([line.slope, line.intercept], exact_fit(x[:, None], y)) >= 14.5
    np.testing.assert_array_equal(line.predict(x), line.predict(x[:, None]))


@intercepts
def test_one_row(fit_intercept):
    fit = linreg_fast.fit(np.array([[2.0, 4.0]]), [10.0]) if fit_intercept else None
    if fit_intercept:
        assert (fit.coef == 0).all()
        assert fit.intercept == 10.0
        assert (fit.rank, fit.rss, fit.tss) == (0, 0.0, 0.0)
        simple = linreg_fast.fit([2.0], [10.0])
        assert (simple.slope, simple.intercept) == (0.0, 10.0)
    else:
        with pytest.warns(RankWarning):
            fit = linreg_fast.fit(np.array([[2.0, 4.0]]), [10.0], fit_intercept=False)
        assert fit.rank == 1
        assert fit.predict([[2.0, 4.0]])[0] == pytest.approx(10.0, rel=1e-15)


def test_no_columns_is_the_mean():
    y = np.array([1.0, 2.0, 6.0])
    fit = linreg_fast.fit(np.empty((3, 0)), y)
    assert fit.solver == "mean"
    assert fit.intercept == 3.0
    assert fit.coef.shape == (0,)
    assert fit.rss == pytest.approx(14.0, rel=1e-15)
    assert fit.r2 == 0.0
    np.testing.assert_array_equal(fit.predict(np.empty((2, 0))), [3.0, 3.0])
    weighted = linreg_fast.fit(np.empty((3, 0)), y, sample_weight=[1, 1, 0])
    assert weighted.intercept == 1.5
    assert linreg_fast.fit(np.empty((3, 0)), y, fit_intercept=False).intercept == 0.0


@intercepts
@pytest.mark.parametrize("shape", [(2, 2), (5, 5), (4, 9), (3, 100), (2, 1000)])
def test_no_more_rows_than_columns(fit_intercept, shape):
    """The minimum-norm solution in the user's units: it interpolates, and says so."""
    X, y, _, _ = problem(*shape)
    rank = shape[0] - fit_intercept
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = linreg_fast.fit(X, y, fit_intercept=fit_intercept)
    assert [w.category for w in caught] == [RankWarning] * (rank < shape[1])
    assert fit.rank == rank
    np.testing.assert_allclose(fit.predict(X), y, rtol=1e-8, atol=1e-8)
    Z = X - X.mean(axis=0) if fit_intercept else X
    expected = np.linalg.lstsq(Z, y - y.mean() if fit_intercept else y, rcond=1e-12)[0]
    np.testing.assert_allclose(fit.coef, expected, rtol=1e-8, atol=1e-10 * np.abs(expected).max())


def test_digits_of_a_wide_fit_are_honest_about_rank():
    X, y, _, _ = problem(4, 30)
    with pytest.warns(RankWarning, match="rank 3 of 30: 4 rows cannot determine 30 columns"):
        linreg_fast.fit(X, y)


@solvers
@pytest.mark.parametrize("value", [0.0, 0.1, -1e9 / 3, 1e-300, 1e300])
def test_constant_column(solver, value):
    """Coefficient 0 beside an intercept, exactly, and no effect on the others."""
    X, y, _, _ = problem(300, 3)
    with_constant = np.column_stack([X[:, 0], np.full(300, value), X[:, 1:]])
    fit = linreg_fast.fit(with_constant, y, solver=solver)
    other = linreg_fast.fit(X, y, solver=solver)
    assert fit.coef[1] == 0.0
    np.testing.assert_allclose(fit.coef[[0, 2, 3]], other.coef, rtol=1e-13)
    assert fit.intercept == pytest.approx(other.intercept, rel=1e-12)
    assert fit.rank == 3


def test_constant_column_without_intercept_is_the_intercept():
    X, y, _, _ = problem(300, 3)
    fit = linreg_fast.fit(np.column_stack([X, np.full(300, 2.0)]), y, fit_intercept=False)
    other = linreg_fast.fit(X, y)
    np.testing.assert_allclose(fit.coef, [*other.coef, other.intercept / 2], rtol=1e-12)
    assert fit.rank == 4


def test_all_columns_constant():
    fit = linreg_fast.fit(np.full((10, 3), 7.0), np.arange(10.0))
    assert (fit.coef == 0).all()
    assert fit.intercept == pytest.approx(4.5, rel=1e-15)
    assert (fit.solver, fit.rank) == ("mean", 0)


@solvers
@pytest.mark.parametrize("value", [0.0, 5.0, 1e9, 0.1])
def test_constant_y(solver, value):
    X, _, _, _ = problem(100, 3, offset=1.0)
    fit = linreg_fast.fit(X, np.full(100, value), solver=solver)
    assert (fit.coef == 0).all()
    assert fit.intercept == value
    assert (fit.rss, fit.tss, fit.r2) == (0.0, 0.0, 1.0)


def test_column_that_varies_in_one_row_only():
    X, y, _, _ = problem(5000, 2)
    X[:, 1] = 0.0
    X[4321, 1] = 1e-8
    fit = linreg_fast.fit(X, y)
    assert fit.rank == 2
    assert fit.predict(X[4321:4322])[0] == pytest.approx(y[4321], rel=1e-9)


# dependent columns


@pytest.mark.parametrize("n", [1000, 200_000])
@pytest.mark.parametrize("kind", ["duplicate", "scaled", "sum", "dummies"])
@pytest.mark.parametrize("solver", ["auto", "svd"])
def test_dependent_columns(kind, n, solver):
    """The same rank and fitted values whatever the number of rows, and the columns are named."""
    X, rank, columns = dependent_columns(kind, n)
    y = X[:, :3] @ [1.0, 2.0, -1.0] + 0.1 * np.random.default_rng(1).standard_normal(n)
    with pytest.warns(RankWarning) as caught:
        fit = linreg_fast.fit(X, y, solver=solver)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert f"rank {rank} of {X.shape[1]}" in message
    assert str(columns) in message
    assert fit.rank == rank
    assert fit.solver == "svd"
    assert str(rank) in fit.reason
    independent = linreg_fast.fit(X[:, :rank], y)
    np.testing.assert_allclose(fit.predict(X), independent.predict(X[:, :rank]), rtol=1e-9, atol=1e-9)
    assert fit.rss == pytest.approx(independent.rss, rel=1e-9)


def test_rank_warning_names_columns():
    X, _, _ = dependent_columns("dummies", 500)
    names = ["a", "b", "c", "north", "east", "south", "west"]
    with pytest.warns(RankWarning, match=r"\['north', 'east', 'south', 'west'\] depend on each other"):
        linreg_fast.fit(X, X[:, 0], feature_names=names)


def test_rank_warning_points_at_the_caller():
    X, _, _ = dependent_columns("duplicate", 500)
    with pytest.warns(RankWarning) as caught:
        linreg_fast.fit(X, X[:, 0])
    assert caught[0].filename == __file__


def test_almost_dependent_columns_keep_their_rank():
    X, y, _, _ = problem(1000, 3)
    X = np.column_stack([X, X[:, 0] * (1 + 1e-9 * np.random.default_rng(0).standard_normal(1000))])
    fit = linreg_fast.fit(X, y)
    assert fit.rank == 4
    assert "qr" in fit.solver_path


@pytest.mark.parametrize("kind", ["duplicate", "sum", "dummies"])
@pytest.mark.parametrize("solver", ["cholesky", "qr"])
def test_named_solver_on_dependent_columns_raises(kind, solver):
    X, rank, _ = dependent_columns(kind, 1000)
    with pytest.raises(np.linalg.LinAlgError, match="dependent" if solver == "cholesky" else f"rank {rank}, not"):
        linreg_fast.fit(X, X[:, 0], solver=solver)


@pytest.mark.parametrize(("p", "sizes"), [(3, range(5, 605)), (67, range(72, 605, 19))])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_duplicate_is_seen_at_every_size(p, sizes, fit_intercept):
    """The last pivot of a duplicate is rounding: of 600 sizes some 40 leave one that looks like a column of its own."""
    for n in sizes:
        rng = np.random.default_rng([n, p])
        X = rng.standard_normal((n, p)) + 1.0
        y = X[:, 0] + rng.standard_normal(n)
        X = np.column_stack([X, X[:, 1]])
        with pytest.raises(np.linalg.LinAlgError, match="dependent"):
            linreg_fast.fit(X, y, solver="cholesky", fit_intercept=fit_intercept)
        with pytest.warns(RankWarning):
            assert linreg_fast.fit(X, y, fit_intercept=fit_intercept).rank == p, n
        with pytest.warns(RankWarning):
            found = linreg_fast.Moments(p + 1).update(X, y).solve(fit_intercept=fit_intercept)
        assert found.rank == p, n


@pytest.mark.parametrize("n", range(20, 221, 5))
def test_a_duplicate_is_seen_in_files(n, tmp_path):
    """Rows that are read again by the solver go the same way."""
    X = np.random.default_rng(n).standard_normal((n, 3)) + 1.0
    table = np.column_stack([X, X[:, 1], X[:, 0]])
    for i, part in enumerate((table[: n // 2], table[n // 2 :])):
        np.save(tmp_path / f"{i}.npy", part)
    with pytest.raises(np.linalg.LinAlgError, match="dependent"):
        linreg_fast.fit_file(tmp_path, solver="cholesky")


# weights


@solvers
def test_whole_weights_are_repetitions(solver):
    X, y, _, _ = problem(80, 4, offset=3.0)
    w = np.random.default_rng(0).integers(0, 4, 80)
    fit = linreg_fast.fit(X, y, sample_weight=w, solver=solver)
    repeated = linreg_fast.fit(np.repeat(X, w, axis=0), np.repeat(y, w), solver=solver)
    np.testing.assert_allclose(fit.coef, repeated.coef, rtol=1e-12)
    assert fit.intercept == pytest.approx(repeated.intercept, rel=1e-12)
    assert fit.rss == pytest.approx(repeated.rss, rel=1e-10)
    assert fit.tss == pytest.approx(repeated.tss, rel=1e-12)
    assert fit.sum_weight == repeated.sum_weight == w.sum()
    assert fit.n_samples == np.count_nonzero(w)


@solvers
@pytest.mark.parametrize("factor", [2.0**-40, 3.7, 1e12, 2.0**300, 2.0**-300])
def test_scale_of_weights_does_not_matter(solver, factor):
    X, y, _, _ = problem(80, 4)
    w = np.random.default_rng(0).random(80)
    fit = linreg_fast.fit(X, y, sample_weight=w, solver=solver)
    scaled = linreg_fast.fit(X, y, sample_weight=w * factor, solver=solver)
    np.testing.assert_allclose(scaled.coef, fit.coef, rtol=1e-12)
    assert scaled.intercept == pytest.approx(fit.intercept, rel=1e-12)
    assert scaled.r2 == pytest.approx(fit.r2, rel=1e-12)


def test_huge_ratio_of_weights():
    """Two heavy rows fix the line; the light ones have no say."""
    fit = linreg_fast.fit([0.0, 1.0, 5.0], [0.0, 2.0, -7.0], sample_weight=[1e12, 1e12, 1e-12])
    assert fit.slope == pytest.approx(2.0, rel=1e-12)
    assert fit.intercept == pytest.approx(0.0, abs=1e-12)


# options


def test_unknown_names():
    X, y, _, _ = problem(20, 2)
    with pytest.raises(ValueError, match=r"solver must be one of auto, cholesky, qr, svd, gd; got 'lu'"):
        linreg_fast.fit(X, y, solver="lu")
    with pytest.raises(ValueError, match=r"precision must be one of fast, auto, extended; got 'high'"):
        linreg_fast.fit(X, y, precision="high")
    with pytest.raises(TypeError, match="solver 'qr' takes no options, got max_iter"):
        linreg_fast.fit(X, y, solver="qr", max_iter=3)
    with pytest.raises(TypeError, match="options max_iter need solver='gd'"):
        linreg_fast.fit(X, y, max_iter=3)
    with pytest.raises(ValueError, match="solver must be one of"):
        linreg_fast.fit(X, y, solver=None)
    with pytest.raises(ValueError, match="precision must be one of"):
        linreg_fast.fit(X, y, precision=None)


def test_floating_point_errors_of_the_caller_do_not_matter():
    X, y, _, _ = problem(200, 3)
    for scale in (1.0, 1e200, 1e-200):
        with np.errstate(all="raise"):
            fit = linreg_fast.fit(X * scale, y)
        assert fit.rank == 3


def test_residuals_of_ridge_in_extended():
    X, y = problem(4, 3)[:2]
    y = X @ [1.0, 2.0, 3.0]
    fit = linreg_fast.fit(X, y, l2=1e-8, precision="extended", fit_intercept=False, solver="cholesky")
    exact = exact_ridge(X, y, 1e-8, fit_intercept=False)
    left = [dot(map(rational, row), exact) - rational(v) for row, v in zip(X, y, strict=True)]
    assert fit.rss == pytest.approx(float(sum(v * v for v in left)), rel=1e-12)


@solvers
@pytest.mark.parametrize("precision", ["fast", "auto"])
def test_digits_of_an_intercept_of_nearly_nothing(solver, precision):
    """One that is no more than the rounding of the terms it is made of counts as 0."""
    for seed in range(40):
        X, _, b, _ = problem(12, 3, seed)
        y = X @ b
        fit = linreg_fast.fit(X, y, solver=solver, precision=precision)
        exact = exact_fit(X, y)
        terms = abs(y.mean()) + y.std() + np.abs(fit.coef * X.mean(axis=0)).sum()
        if abs(exact[-1]) > 2.0**-50 * terms:
            assert max(0.0, worst_lre([*fit.coef, fit.intercept], exact)) >= fit.digits - 1.5
        else:
            assert max(0.0, worst_lre(fit.coef, exact[:-1])) >= fit.digits - 1.5
            assert abs(fit.intercept) <= 2.0**-49 * terms


@pytest.mark.parametrize("n", [12, 1000])
def test_a_coefficient_of_nothing_does_not_cost_its_digits(n):
    """Through every door the same claim, where the true intercept and a true slope are 0."""
    X = np.random.default_rng(n).integers(-99, 99, (n, 3)).astype(float)
    y = 3 * X[:, 0] - 7 * X[:, 2]
    doors = [
        linreg_fast.fit(X, y, precision="fast"),
        linreg_fast.fit(X, y),
        linreg_fast.fit(X, y, precision="extended"),
    ]
    doors += [linreg_fast.fit(X, y, solver=solver) for solver in ("cholesky", "qr", "svd")]
    doors += [
        linreg_fast.Moments(3, precision=precision).update(X[:5], y[:5]).update(X[5:], y[5:]).solve()
        for precision in ("auto", "extended")
    ]
    doors.append(linreg_fast.fit(X, y, solver="gd", max_iter=100_000, tol=1e-15))
    for fit in doors:
        assert fit.digits > 12, fit
        np.testing.assert_allclose(fit.coef, [3, 0, -7], atol=1e-12)


@pytest.mark.parametrize("base", [2.0**52, -(2.0**52), 2.0**40])
def test_a_column_is_constant_where_its_numbers_are_equal(base):
    x, y = base + np.arange(4.0), 1 + 2 * np.arange(4.0)
    doors = [linreg_fast.fit(x, y, **options) for options in ({}, {"precision": "extended"}, {"solver": "qr"})]
    doors += [linreg_fast.Moments(1).update(x, y).solve(), linreg_fast.fit(x, y, solver="gd")]
    for fit in doors:
        assert fit.slope == pytest.approx(2.0, rel=1e-14)
        assert fit.rank == 1
    constant = linreg_fast.fit(np.column_stack([np.full(4, base), np.arange(4.0)]), y)
    assert list(constant.coef) == [0.0, 2.0]
    assert constant.collinear == (0,)


@pytest.mark.parametrize("solver", CLOSED)
@pytest.mark.parametrize("mean", [1e-12, 1e-6, 1e-3])
def test_digits_of_an_intercept_beside_centred_columns(solver, mean):
    """It is the mean of y, which rounds by the spread of y."""
    half, y, *_ = problem(40, 3)
    X, y = np.concatenate([half, -half]), np.concatenate([y, 0.3 * y])
    y -= y.mean()
    y += mean - y.mean()
    fit = linreg_fast.fit(X, y, solver=solver, precision="fast")
    assert worst_lre([*fit.coef, fit.intercept], exact_fit(X, y)) >= fit.digits - 1.5
    assert fit.digits <= 16.5 + np.log10(mean / y.std())


def test_centred_data_are_not_refined_for_an_intercept_of_nothing():
    X, y, *_ = problem(500, 4)
    X, y = X - X.mean(axis=0), y - y.mean()
    X, y = X - X.mean(axis=0), y - y.mean()
    fit = linreg_fast.fit(X, y, precision="fast")
    assert abs(fit.intercept) < 1e-15
    assert fit.digits > 10


def test_digits_where_y_is_noise():
    """The cross products of X and y round by the size of y, not by that of the small coefficients."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        X, y = rng.standard_normal((12, 1)), 1e8 * rng.standard_normal(12)
        y -= X[:, 0] * ((X[:, 0] - X.mean()) @ y / ((X[:, 0] - X.mean()) @ X[:, 0]))
        y += 10.0 * X[:, 0]  # hardly any slope is left
        exact = exact_fit(X, y)
        for solver in CLOSED:
            fit = linreg_fast.fit(X, y, solver=solver, precision="fast")
            assert worst_lre([*fit.coef, fit.intercept], exact) >= fit.digits - 1.5


@solvers
@intercepts
@pytest.mark.parametrize("l2", [1e-16, 1e4, 1e14, 1e20, 1e28])
def test_penalties_of_any_size(solver, fit_intercept, l2):
    X, y, _, _ = problem(100, 20)
    A, b = (X - X.mean(axis=0), y - y.mean()) if fit_intercept else (X, y)
    expected = np.linalg.solve(A.T @ A + l2 * np.eye(20), A.T @ b)
    fit = linreg_fast.fit(X, y, l2=l2, solver=solver, fit_intercept=fit_intercept)
    np.testing.assert_allclose(fit.coef, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


def test_small_fits_at_once():
    """Threads that fit small tables at the same time do not share a workspace."""
    rng = np.random.default_rng(0)
    tables = [(rng.standard_normal((1_000, p)), rng.standard_normal(1_000)) for p in (3, 10, 40)]
    expected = [linreg_fast.fit(X, y).coef for X, y in tables]

    def fits(i):
        return [linreg_fast.fit(*tables[i % 3]).coef for _ in range(50)]

    with ThreadPoolExecutor(6) as pool:
        for i, found in enumerate(pool.map(fits, range(6))):
            assert all((coef == expected[i % 3]).all() for coef in found)


@pytest.mark.parametrize("wrong", ["no", 2, None, 0.0])
def test_fit_intercept_is_true_or_false(wrong):
    X, y = np.arange(6.0), np.arange(6.0)
    for call in (
        lambda: linreg_fast.fit(X, y, fit_intercept=wrong),
        lambda: linreg_fast.Moments(1).update(X, y).solve(fit_intercept=wrong),
        lambda: linreg_fast.fit_stream([(X, y)], fit_intercept=wrong),
    ):
        with pytest.raises(TypeError, match="fit_intercept must be True or False"):
            call()
    assert linreg_fast.fit(X, y, fit_intercept=np.True_).fit_intercept is True
