"""Fits of several targets at once: each as in the fit of it alone."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from support.compare import assert_alike
from support.problems import problem_of_targets

import linreg_fast
from linreg_fast import LinearFit, RankWarning

pytestmark = pytest.mark.numerics


def fits(X, Y, some, **options):
    """The fits of some targets alone."""
    return [linreg_fast.fit(X, Y[:, t].copy(), **options) for t in some]


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("l2", [0.0, 3.0])
@pytest.mark.parametrize(
    ("n", "p", "n_targets"),
    [(40, 1, 2), (60, 5, 7), (90, 3, 130), (200, 20, 50), (300, 64, 3), (300, 70, 9), (20_000, 20, 50)],
)
def test_each_target_as_alone(fit_intercept, weighted, l2, n, p, n_targets):
    X, Y, rng = problem_of_targets(n, p, n_targets)
    w = np.where(rng.random(n) < 0.1, 0.0, rng.random(n) + 0.5) if weighted else None
    options = {"sample_weight": w, "fit_intercept": fit_intercept, "l2": l2}
    some = sorted({0, 1, n_targets // 2, n_targets - 1})
    alone = fits(X, Y, some, **options)
    layouts = [(X, Y), (np.asfortranarray(X), Y), (X, np.asfortranarray(Y)), (X, np.repeat(Y, 2, axis=1)[:, ::2])]
    for Z, V in layouts:
        several = linreg_fast.fit(Z, V, **options)
        assert several.coef.shape == (n_targets, p)
        assert several.n_targets == several._plan_arguments[2] == n_targets
        assert_alike(several, some, alone)
        np.testing.assert_allclose(several.predict(Z)[:, some[-1]], alone[-1].predict(X), rtol=1e-9, atol=1e-9)
    assert LinearFit.from_dict(several.to_dict()).to_dict() == several.to_dict()
    again = pickle.loads(pickle.dumps(several))
    for name in ("coef", "intercept", "rss", "ess", "tss", "_spread"):
        np.testing.assert_array_equal(getattr(again, name), getattr(several, name))
    for name in ("coef", "intercept"):
        assert not getattr(several, name).flags.writeable


@pytest.mark.parametrize("precision", ["fast", "auto", "extended"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (50, 10), (20, 64)])
def test_one_column_of_targets(precision, shape):
    """y of shape (n, 1): the same numbers as one-dimensional, in arrays."""
    p = shape[1]
    X, Y, _ = problem_of_targets(4 * p + 60, p, 1)
    several, alone = linreg_fast.fit(X, Y, precision=precision), linreg_fast.fit(X, Y[:, 0], precision=precision)
    assert several.coef.shape == (1, p)
    assert np.shape(several.intercept) == np.shape(several.rss) == np.shape(several.r2) == (1,)
    assert_alike(several, [0], [alone])


@pytest.mark.parametrize("on_collinear", ["min_norm", "drop"])
@pytest.mark.parametrize("order", "CF")
def test_collinear_columns(on_collinear, order):
    X, Y, _ = problem_of_targets(80, 6, 9)
    X[:, 4] = X[:, 1] - 2 * X[:, 2]
    X = np.asarray(X, order=order)
    with pytest.warns(RankWarning):
        several = linreg_fast.fit(X, Y, on_collinear=on_collinear)
    with pytest.warns(RankWarning):
        alone = fits(X, Y, [0, 8], on_collinear=on_collinear)
    assert several.rank == 5
    for t, fit in ((0, alone[0]), (8, alone[1])):
        np.testing.assert_allclose(several.coef[t], fit.coef, rtol=1e-8, atol=1e-10)
        assert several.rss[t] == pytest.approx(fit.rss, rel=1e-9)
        assert (several.collinear, several.dropped) == (fit.collinear, fit.dropped)


def test_targets_that_are_not_like_the_others():
    """One that is constant, one that is fitted exactly, one far from 0, one out of the range of squares."""
    X, Y, _ = problem_of_targets(200, 4, 5)
    Y[:, 0], Y[:, 1] = 7.0, X @ [1.0, 2.0, 3.0, 4.0]
    Y[:, 2] += 1e9
    for n_targets in (2, 3, 4, 5):
        Y[:, 4] *= 1e-200 if n_targets == 5 else 1.0
        several = linreg_fast.fit(X, Y[:, :n_targets])
        for t, fit in enumerate(fits(X, Y, range(n_targets))):
            np.testing.assert_allclose(several.coef[t], fit.coef, rtol=1e-9, atol=1e-9 * abs(fit.coef).max())
            assert several.rss[t] == pytest.approx(fit.rss, rel=1e-6, abs=1e-20)
            assert several.r2[t] == pytest.approx(fit.r2, abs=1e-12)
    exact = linreg_fast.fit(X, Y[:, 1:4])
    residual = Y[:, 1] - exact.predict(X)[:, 0]
    assert exact.rss[0] < 1e-20 * exact.tss[0] or exact.rss[0] == pytest.approx(residual @ residual, rel=0.5)


@pytest.mark.parametrize("n", [60, 70_000])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_faults_are_named(n, bad):
    X, Y, _ = problem_of_targets(n, 3, 6)
    Y[n - 7, 4] = bad
    with pytest.raises(ValueError, match=rf"y has \S+ at row {n - 7}, column 4"):
        linreg_fast.fit(X, Y)
    X[n - 9, 2] = bad
    with pytest.raises(ValueError, match=rf"X has \S+ at row {n - 9}, column 2"):
        linreg_fast.fit(X, Y)
    w = np.ones(n)
    w[[n - 7, n - 9]] = 0.0
    assert np.isfinite(linreg_fast.fit(X, Y, sample_weight=w).coef).all()
    w[5] = -1.0
    with pytest.raises(ValueError, match=r"sample_weight has -1\.0 at row 5"):
        linreg_fast.fit(X, Y, sample_weight=w)


def test_the_same_bits_on_any_number_of_threads():
    X, Y, _ = problem_of_targets(60_000, 12, 21)
    one, *others = (linreg_fast.fit(X, Y, n_threads=threads) for threads in (1, 2, 3, 8))
    for fit in others:
        for name in ("coef", "intercept", "rss", "_spread"):
            np.testing.assert_array_equal(getattr(fit, name), getattr(one, name))
