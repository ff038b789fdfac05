"""The path over the penalty and cross-validation, against fits that read the rows."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from support.problems import problem

import linreg_fast
from linreg_fast import ConditionWarning, Moments, RankWarning, by_group, cross_validate, fit, l2_path, stepwise

pytestmark = pytest.mark.numerics

L2S = np.array([0.0, 0.1, 3.0, 100.0, 1e5])


def folded(X, y, n_folds, w=None, **options):
    """Contiguous folds, as KFold makes them, and which rows are in each."""
    groups = np.concatenate([[i] * len(part) for i, part in enumerate(np.array_split(np.arange(len(X)), n_folds))])
    return list(by_group(X, y, groups, sample_weight=w, **options).values()), groups


def validated(X, y, groups, l2s, w=None, fit_intercept=True):
    """Mean squared errors on each fold, by fitting the rows of all others."""
    w = np.ones(len(X)) if w is None else w
    errors = []
    for group in np.unique(groups):
        held = groups == group
        row = []
        for l2 in l2s:
            found = fit(X[~held], y[~held], sample_weight=w[~held], l2=l2, fit_intercept=fit_intercept)
            squares = (y[held] - found.predict(X[held])) ** 2
            row.append(w[held] @ squares / w[held].sum())
        errors.append(row)
    return np.array(errors)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_against_scikit_learn(fit_intercept):
    model_selection = pytest.importorskip("sklearn.model_selection")
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y, _, _ = problem(503, 6, noise=2.0)
    folds, _ = folded(X, y, 5)
    alphas = [0.1, 3.0, 100.0, 1e5]
    found = cross_validate(folds, alphas, fit_intercept=fit_intercept)
    search = model_selection.GridSearchCV(
        linear_model.Ridge(fit_intercept=fit_intercept, solver="cholesky"),
        {"alpha": alphas},
        scoring="neg_mean_squared_error",
        cv=model_selection.KFold(5),
    ).fit(X, y)
    expected = np.array([search.cv_results_[f"split{i}_test_score"] for i in range(5)])
    np.testing.assert_allclose(found.mse, -expected, rtol=1e-12)
    assert found.best_l2 == search.best_params_["alpha"]
    np.testing.assert_allclose(found.fit.coef, search.best_estimator_.coef_, rtol=1e-11)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_targets", [0, 2])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_against_fits_of_the_rows(fit_intercept, weighted, n_targets, offset):
    X, y, _, _ = problem(300, 4, noise=0.5, offset=offset)
    Y = np.column_stack([y, X[:, 0] ** 2]) if n_targets else y
    w = np.random.default_rng(0).integers(0, 3, 300) * 0.5 if weighted else None
    folds, groups = folded(X, Y, 7, w)
    found = cross_validate(folds, L2S, fit_intercept=fit_intercept)
    expected = validated(X, Y, groups, L2S, w, fit_intercept) if not n_targets else None
    if n_targets:
        each = [validated(X, Y[:, t], groups, L2S, w, fit_intercept) for t in range(2)]
        expected = np.stack(each, axis=2)
    # sums of squares hold 1e-16 of themselves: for X0^2 at an offset of 1e4 that is 1e-7 of the residual's
    np.testing.assert_allclose(found.mse, expected, rtol=1e-9, atol=1e-15 * float(np.var(Y, axis=0).max()))
    weights = np.bincount(groups, w)
    pooled = np.average(expected, axis=0, weights=weights)
    np.testing.assert_allclose(found.mean_mse, pooled.mean(axis=1) if n_targets else pooled, rtol=1e-6)
    assert found.best_l2 == L2S[np.argmin(found.mean_mse)]
    whole = fit(X, Y, sample_weight=w, l2=found.best_l2, fit_intercept=fit_intercept)
    np.testing.assert_allclose(found.fit.coef, whole.coef, rtol=1e-10)
    assert found.fit.n_samples == whole.n_samples


def test_columns_of_different_scale():
    """A penalty is in the users' units: eigenvalues of the Gram matrix would lose the small columns."""
    X, y, _, _ = problem(400, 4, noise=0.5)
    scales = np.array([1e-6, 1.0, 1e6, 1e2])
    folds, groups = folded(X * scales, y, 4)
    l2s = [0.0, 1e-12, 1e-6, 1.0, 1e12]
    found = cross_validate(folds, l2s)
    np.testing.assert_allclose(found.mse, validated(X * scales, y, groups, l2s), rtol=1e-9)
    path = l2_path(sum(folds), l2s)
    for i, l2 in enumerate(l2s):
        np.testing.assert_allclose(path.coef[i], fit(X * scales, y, l2=l2).coef, rtol=1e-11)


def test_nearly_perfect_fit_keeps_its_error():
    """Held-out errors far below the variance of y: what cancels is only what sums of squares do not hold."""
    X, y, _, _ = problem(400, 3, noise=1e-5)
    folds, groups = folded(X, y, 4)
    found = cross_validate(folds, [0.0])
    np.testing.assert_allclose(found.mse, validated(X, y, groups, [0.0]), rtol=1e-3)


def test_one_subset_of_columns():
    X, y, _, _ = problem(200, 5, noise=0.5)
    folds, groups = folded(X, y, 4)
    found = cross_validate(folds, L2S, features=[3, 1])
    np.testing.assert_allclose(found.mse, validated(X[:, [3, 1]], y, groups, L2S), rtol=1e-11)
    assert found.fit.n_features == 2
    only_mean = cross_validate(folds, [1.0], features=[])
    np.testing.assert_allclose(only_mean.mse, validated(np.zeros((200, 1)), y, groups, [0.0]), rtol=1e-11)


def test_dependent_columns_need_a_penalty():
    X, y, _, _ = problem(300, 3, noise=0.5)
    X = np.column_stack([X, X[:, 0] - X[:, 1]])
    folds, groups = folded(X, y, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = cross_validate(folds, [0.5, 10.0])
    np.testing.assert_allclose(found.mse, validated(X, y, groups, [0.5, 10.0]), rtol=1e-9)
    with pytest.warns(RankWarning):
        found = cross_validate(folds, [0.0, 10.0])
    with pytest.warns(RankWarning):
        expected = validated(X, y, groups, [0.0, 10.0])
    np.testing.assert_allclose(found.mse, expected, rtol=1e-9)


def test_folds_of_different_shifts_and_with_rare_columns():
    X, y, _, _ = problem(120, 3, noise=0.5)
    X[:, 2] = 0.0
    X[:30, 2] = np.arange(30) % 2.0  # varies in the first fold only
    parts = np.array_split(np.arange(120), 4)
    folds = [Moments(3).update(X[rows], y[rows]) for rows in parts]
    before = [fold.to_bytes() for fold in folds]
    groups = np.repeat(np.arange(4), 30)
    found = cross_validate(folds, L2S)
    np.testing.assert_allclose(found.mse, validated(X, y, groups, L2S), rtol=1e-9)
    assert [fold.to_bytes() for fold in folds] == before


def test_leave_one_row_out():
    X, y, _, _ = problem(40, 2, noise=0.5)
    folds = list(by_group(X, y, np.arange(40)).values())
    found = cross_validate(folds, [0.0, 1.0])
    np.testing.assert_allclose(found.mse, validated(X, y, np.arange(40), [0.0, 1.0]), rtol=1e-8, atol=1e-12)


def test_wrong_folds_and_penalties():
    X, y, _, _ = problem(50, 2)
    one = Moments(2).update(X, y)
    for folds, error, text in (
        ([one], ValueError, "two folds"),
        ([one, Moments(2)], ValueError, r"folds\[1\] has no rows"),
        ([one, 3], TypeError, r"folds\[1\] is a int"),
        ([one, Moments(3).update(np.ones((4, 3)), np.ones(4))], ValueError, "do not fit"),
    ):
        with pytest.raises(error, match=text):
            cross_validate(folds, [1.0])
    for l2s in ([], [[1.0]], [-1.0], [np.nan], [np.inf]):
        with pytest.raises(ValueError, match="l2s must"):
            cross_validate([one, one], l2s)
        with pytest.raises(ValueError, match="l2s must"):
            l2_path(one, l2s)


@pytest.mark.parametrize("n_targets", [1, 2])
def test_path(n_targets):
    X, y, _, _ = problem(300, 5, offset=50.0)
    Y = y if n_targets == 1 else np.column_stack([y, -y])
    M = Moments(5, n_targets).update(X, Y)
    before = M.to_bytes()
    path = l2_path(M, L2S, features=[4, 0, 1])
    for i, l2 in enumerate(L2S):
        expected = fit(X[:, [4, 0, 1]], Y, l2=l2)
        np.testing.assert_allclose(path.coef[i], expected.coef, rtol=1e-11)
        np.testing.assert_allclose(path.intercept[i], expected.intercept, rtol=1e-11)
    assert M.to_bytes() == before


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    from linreg_fast import plots

    X, y, _, _ = problem(100, 3)
    folds, _ = folded(X, y, 4)
    path, validation = l2_path(sum(folds), L2S), cross_validate(folds, L2S)
    plots.path(path, validation).savefig(tmp_path / "both.png")
    assert (tmp_path / "both.png").stat().st_size > 10_000
    figure = plots.path(path)
    lines = figure.axes[0].get_lines()[:3]
    for j, line in enumerate(lines):
        np.testing.assert_array_equal(line.get_ydata(), path.coef[:, j])
        np.testing.assert_array_equal(line.get_xdata(), L2S)
        assert line.get_label() == f"column {j}"
    several = l2_path(Moments(3, 2).update(X, np.column_stack([y, -y])), L2S)
    drawn = plots.path(several, target=1).axes[0].get_lines()[0].get_ydata()
    np.testing.assert_array_equal(drawn, several.coef[:, 1, 0])


def test_arguments_of_another_kind():
    X, y, _, _ = problem(30, 2)
    moments = Moments(2).update(X, y)
    for call, message in (
        (lambda: cross_validate(moments, [1.0]), "folds must be a sequence of Moments"),
        (lambda: cross_validate(None, [1.0]), "folds must be a sequence of Moments"),
        (lambda: l2_path(X, [1.0]), "moments must be Moments, not a ndarray"),
        (lambda: stepwise(X), "moments must be Moments, not a ndarray"),
        (lambda: l2_path(moments, "x"), "l2s must be a sequence of numbers"),
        (lambda: l2_path(moments, [1.0], features=0), "features must be a sequence"),
        (lambda: by_group(X, y, [None] * 15 + ["a"] * 15), "groups has values that cannot be sorted"),
    ):
        with pytest.raises(TypeError, match=message):
            call()


def test_names_are_public():
    for name in ("by_group", "cross_validate", "l2_path", "stepwise"):
        assert name in linreg_fast.__all__
    assert issubclass(ConditionWarning, UserWarning)
