"""Stacks of problems, against exact fits and against `fit` of each."""

from __future__ import annotations

import numpy as np
import pytest
from support.exact import exact_fit, worst_lre
from support.problems import problem

from linreg_fast import RankWarning, batched, fit
from linreg_fast.passes import levels

pytestmark = pytest.mark.numerics

WORDS = ("coef", "intercept", "rss", "tss", "r2", "stderr", "tvalues", "intercept_stderr", "rcond", "rank", "n_samples")


def stack(n_problems, n, p, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_problems, n, p)) + 100.0
    return X, X.sum(axis=2) + rng.normal(size=(n_problems, n))


def same(fits, i, one, rtol=1e-9):
    for words in WORDS:
        np.testing.assert_allclose(getattr(fits, words)[i], getattr(one, words), rtol=rtol, err_msg=words)


@pytest.mark.parametrize("n_problems", [1, 7, 8, 9, 17])
@pytest.mark.parametrize("p", [1, 2, 5, 32, 33])
def test_each_problem_as_by_itself(n_problems, p):
    X, y = stack(n_problems, 2 * p + 9, p)
    fits = batched(X, y)
    assert len(fits) == n_problems
    for i in range(n_problems):
        same(fits, i, fit(X[i], y[i]))


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_digits_are_honest(offset):
    X, y = stack(20, 12, 2)
    X = X + offset
    X[3] *= 1e10  # of one problem
    y[4, 5] = 1e12
    fits = batched(X, y)
    for i, one in enumerate(fits):
        exact = exact_fit(X[i], y[i])
        obtained = worst_lre([*one.coef, one.intercept], exact)
        assert obtained >= max(9.5, one.digits - 1.5)
        assert one.digits == fits.digits[i]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_layouts_and_weights(dtype):
    rng = np.random.default_rng(0)
    X = rng.integers(-9, 10, (6, 15, 2)).astype(dtype)
    y = rng.normal(size=(6, 15))
    w = rng.integers(0, 3, (6, 15)).astype(float)
    fits = batched(X, y, sample_weight=w)
    for i in range(6):
        same(fits, i, fit(X[i], y[i], sample_weight=w[i]))
    across = np.asfortranarray(X)
    np.testing.assert_array_equal(batched(across, y, sample_weight=w).coef, fits.coef)
    ragged = batched(X.reshape(-1, 2), y.reshape(-1), offsets=np.arange(7) * 15, sample_weight=w.reshape(-1))
    np.testing.assert_array_equal(ragged.coef, fits.coef)


def test_several_targets_in_each():
    X, y = stack(9, 20, 3)
    Y = np.stack([y, 1 - 2 * y, X[..., 0] ** 2], axis=-1)
    fits = batched(X, Y)
    assert (fits.coef.shape, fits.rss.shape, fits.stderr.shape) == ((9, 3, 3), (9, 3), (9, 3, 3))
    for i in range(9):
        one = fit(X[i], Y[i])
        for words in ("coef", "rss", "r2", "stderr", "tvalues"):
            np.testing.assert_allclose(getattr(fits, words)[i], getattr(one, words), rtol=1e-8, err_msg=words)
        np.testing.assert_allclose(fits[i].predict(X[i]), one.predict(X[i]), rtol=1e-12)
    np.testing.assert_allclose(fits.predict(X)[2], fit(X[2], Y[2]).predict(X[2]), rtol=1e-12)


def test_problems_of_any_length():
    X, y, *_ = problem(40, 2)
    offsets = [0, 10, 10, 11, 40]
    with pytest.warns(RankWarning, match=r"1 of 4 problems .* problem 2 \(rows 10 to 10\)"):
        fits = batched(X, y, offsets=offsets)
    assert fits.n_samples.tolist() == [10, 0, 1, 29]
    assert fits.rank.tolist() == [2, 0, 0, 2]
    assert np.isnan(fits.coef[1]).all()
    same(fits, 3, fit(X[11:], y[11:]))
    for bad, message in (([0, 5], "from 0 to the 40 rows"), ([0, 30, 20, 40], "20 follows 30 at position 2")):
        with pytest.raises(ValueError, match=message):
            batched(X, y, offsets=bad)
    with pytest.raises(TypeError, match="offsets must be integers"):
        batched(X, y, offsets=[0.0, 40.0])


def test_missing_values_are_left_out_of_their_problem():
    X, y = stack(5, 12, 2)
    whole = batched(X, y)
    X[1, 3, 0] = np.nan
    y[2, :] = np.nan
    with pytest.raises(ValueError, match="X has NaN at row 15, column 0") as error:
        batched(X, y)
    assert error.value.__notes__ == ["the row is in problem 1 (rows 12 to 23)"]
    fits = batched(X, y, missing="drop")
    assert (fits.n_samples.tolist(), fits.n_dropped) == ([12, 11, 0, 12, 12], 13)
    same(fits, 1, fit(np.delete(X[1], 3, axis=0), np.delete(y[1], 3)))
    assert fits.digits[2] == 0.0
    np.testing.assert_allclose(fits.coef[[0, 3, 4]], whole.coef[[0, 3, 4]], rtol=1e-13)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_one_table_many_targets(fit_intercept):
    X, *_ = problem(80, 4, offset=10.0)
    Y = np.random.default_rng(0).normal(size=(80, 600)) + X[:, :1]
    Y[:, 5] = X @ [1.0, 2.0, 3.0, 4.0]  # of which no residual is left
    fits = batched(X, Y, fit_intercept=fit_intercept)
    for t in (0, 511, 512, 599):
        one = fit(X, Y[:, t], fit_intercept=fit_intercept)
        same(fits, t, one)
        assert abs(fits.digits[t] - one.digits) < 0.5
    np.testing.assert_allclose(fits.coef[5], [1.0, 2.0, 3.0, 4.0], rtol=1e-12)
    Y[7, 3] = np.nan
    fits = batched(X, Y, fit_intercept=fit_intercept, missing="drop")
    assert (fits.n_samples[:5].tolist(), fits.n_dropped) == ([80, 80, 80, 79, 80], 1)
    same(fits, 3, fit(np.delete(X, 7, axis=0), np.delete(Y[:, 3], 7), fit_intercept=fit_intercept))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_one_target_many_columns_beside_controls(order, dtype):
    rng = np.random.default_rng(2)
    X = np.asarray(rng.normal(size=(60, 530)) + 50.0, dtype=dtype, order=order)
    C = rng.normal(size=(60, 3))
    y = X[:, 4] + C.sum(axis=1) + rng.normal(size=60)
    X[:, 9] = C[:, 0].astype(dtype) if dtype == np.float64 else 7.0
    with pytest.warns(RankWarning, match="1 of 530 problems .* column 9:"):
        fits = batched(X, y, controls=C)
    assert fits.coef.shape == (530, 4)
    assert fits.rank[9] == 3
    for j in (0, 4, 511, 512, 529):
        same(fits, j, fit(np.column_stack([X[:, j], C]), y), rtol=1e-8)
    alone = batched(X[:, :3], y, controls=np.empty((60, 0)))
    same(alone, 1, fit(X[:, 1:2], y), rtol=1e-8)


def test_no_problems_and_problems_without_rows():
    for targets in ((), (2,)):
        none = batched(np.zeros((0, 5, 2)), np.zeros((0, 5, *targets)))
        assert (len(none), none.coef.shape, list(none)) == (0, (0, *targets, 2), [])
        assert repr(none) == "Fits(0 fits of 2 columns)"
        empty = batched(np.zeros((3, 0, 2)), np.zeros((3, 0, *targets)))
        assert np.isnan(empty.coef).all()
        assert (empty.n_samples.tolist(), empty.digits.tolist()) == ([0, 0, 0], [0.0, 0.0, 0.0])


def test_shapes_that_are_no_stack():
    X, y = stack(3, 8, 2)
    for arguments, message in (
        ((X, y[:2]), r"y must have shape \(3, 8\)"),
        ((X[0], y[0]), "which is one problem: use fit"),
    ):
        with pytest.raises(ValueError, match=message):
            batched(*arguments)
    with pytest.raises(ValueError, match="controls must have shape"):
        batched(X[0], y[0], controls=np.ones((7, 1)))
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(3, 8\)"):
        batched(X, y, sample_weight=y[0])


@pytest.mark.parametrize("n_threads", [2, 5])
def test_same_bits_for_any_number_of_threads(n_threads):
    X, y = stack(3000, 12, 3)
    one, many = (batched(X, y, n_threads=count) for count in (1, n_threads))
    for words in ("coef", "intercept", "rss", "stderr", "digits"):
        assert getattr(one, words).tobytes() == getattr(many, words).tobytes()


@pytest.mark.parametrize("level", levels.built)
@pytest.mark.parametrize("p", [1, 3, 8])
def test_problems_side_by_side_at_every_level(level, p):
    """Each lane has the numbers of the closed form of one problem, whatever lies beside it."""
    from linreg_fast import cpu

    if level not in cpu.levels():
        pytest.skip("not on this processor")
    kernels = levels.of_level(level)
    X, y = stack(11, 4 * p + 5, p)
    X[6] = np.nan  # declined, and nothing to the others
    n_rows = X.shape[1]
    outs = [np.full((11, width), np.nan) for width in (p, 5, p + 1, p + 1)]
    work = np.empty(kernels.stack_work_size(p, 1, n_rows, 0))
    rows, bounds = np.ascontiguousarray(X.reshape(-1, p)), np.arange(12) * n_rows
    kernels.stack["double"](rows, y.reshape(-1, 1), None, None, bounds, 0, 11, 0, 256, True, 0.0, work, *outs)
    coef, numbers, spread, centre = outs
    assert np.isnan(numbers[6, 3])
    for i in (*range(6), *range(7, 11)):
        one = fit(X[i], y[i])
        np.testing.assert_allclose(coef[i], one.coef, rtol=1e-10)
        np.testing.assert_allclose(numbers[i, :3], [one.intercept, one.rss, one.tss], rtol=1e-9)
        assert abs(numbers[i, 3] - one.digits) < 0.1
        np.testing.assert_allclose(spread[i], one._spread, rtol=1e-9)
        np.testing.assert_allclose(centre[i, :p], X[i].mean(axis=0), rtol=1e-14)
        np.testing.assert_allclose(centre[i, p], y[i].mean(), rtol=1e-13)


@pytest.mark.filterwarnings("ignore::linreg_fast.RankWarning")
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_constant_column_of_many_targets(fit_intercept):
    """Left out of all of them as `fit` does it, whether or not its squares have vanished instead."""
    rng = np.random.default_rng(5)
    X, Y = rng.standard_normal((80, 3)), rng.standard_normal((80, 600))
    X[:, 1] = 2.5 if fit_intercept else 0.0
    for tiny in (False, True):
        if tiny:
            X[:, 1] += 1e-200 * rng.standard_normal(80) if not fit_intercept else 0.0
        fits = batched(X, Y, fit_intercept=fit_intercept)
        for t in (0, 77, 599):
            one = fit(X, Y[:, t], fit_intercept=fit_intercept)
            assert (fits.rank[t], np.flatnonzero(fits.collinear[t]).tolist()) == (one.rank, list(one.collinear))
            for word in ("coef", "intercept", "stderr", "rss"):
                np.testing.assert_allclose(getattr(fits, word)[t], getattr(one, word), rtol=1e-9, err_msg=word)


@pytest.mark.parametrize("p", [1, 20, 40])
@pytest.mark.parametrize("weighted", [False, True])
def test_many_targets_as_each_by_itself(p, weighted):
    """More targets than are held at a time, the last ones no whole vector; offsets; targets in any layout."""
    rng = np.random.default_rng(p)
    n, k = 3 * p + 200, 1030
    X = rng.standard_normal((n, p)) + 1e3
    Y = X @ rng.uniform(0.5, 2, (p, k)) + rng.standard_normal((n, k)) - 1e5
    w = rng.integers(0, 3, n).astype(np.float64) if weighted else None
    fits = batched(X, Y, sample_weight=w, n_threads=1)
    for t in (0, 511, 512, 1029):
        one = fit(X, Y[:, t], sample_weight=w)
        for word in ("coef", "intercept", "stderr", "intercept_stderr", "rss", "r2"):
            np.testing.assert_allclose(getattr(fits, word)[t], getattr(one, word), rtol=1e-8, err_msg=word)
        assert (fits.n_samples[t], fits.rank[t]) == (one.n_samples, p)
    for given in (Y, np.asfortranarray(Y)):
        again = batched(X, given, sample_weight=w, n_threads=3)
        for word in ("coef", "intercept", "rss", "stderr", "digits"):
            assert getattr(again, word).tobytes() == getattr(fits, word).tobytes() or given is not Y
            np.testing.assert_allclose(getattr(again, word), getattr(fits, word), rtol=1e-8)
