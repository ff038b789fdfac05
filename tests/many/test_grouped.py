"""A fit for each group, against exact fits and against `fit` of its rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exact import exact_fit, worst_lre
from support.problems import problem

from linreg_fast import Fits, RankWarning, fit, grouped
from linreg_fast.passes.keys import keyed

pytestmark = pytest.mark.numerics


def worst(fits, X, y, groups, w=None):
    """The least of obtained digits less those that were said, and the least that were obtained."""
    least, slack = 17.0, 17.0
    for i, key in enumerate(fits.groups):
        rows = groups == key
        exact = exact_fit(X[rows], y[rows], w=None if w is None else w[rows])
        obtained = worst_lre([*fits.coef[i], fits.intercept[i]], exact)
        least, slack = min(least, obtained), min(slack, obtained - fits.digits[i])
    return least, slack


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e8])
@pytest.mark.parametrize("p", [1, 3, 5])
def test_digits_of_every_group(offset, p):
    X, y, *_ = problem(330, p, 4, offset=offset)
    groups = np.random.default_rng(1).integers(0, 9, 330)
    X[groups == 4, 0] += 1e9  # what lies in one group is nothing to the others
    least, slack = worst(grouped(X, y, groups), X, y, groups)
    assert least >= 9.5
    assert slack >= -1.5


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_all_that_a_fit_has(order, dtype, weighted, fit_intercept):
    rng = np.random.default_rng(3)
    X = np.asarray(rng.integers(-9, 10, (200, 3)), dtype=dtype, order=order)
    y = np.asarray(rng.normal(size=200) + X.sum(axis=1))
    w = rng.integers(0, 3, 200).astype(float) if weighted else None
    groups = rng.integers(-3, 4, 200)
    fits = grouped(X, y, groups, sample_weight=w, fit_intercept=fit_intercept)
    assert fits.groups.tolist() == list(range(-3, 4))
    for i, key in enumerate(fits.groups):
        rows = groups == key
        one = fit(X[rows], y[rows], sample_weight=None if w is None else w[rows], fit_intercept=fit_intercept)
        for words in ("coef", "stderr", "tvalues", "intercept", "rss", "tss", "r2", "rcond"):
            np.testing.assert_allclose(getattr(fits, words)[i], getattr(one, words), rtol=1e-11, err_msg=words)
        for words in ("rank", "n_samples"):
            assert getattr(fits, words)[i] == getattr(one, words)
        assert fits[i].sum_weight == one.sum_weight
        np.testing.assert_allclose(fits.intercept_stderr[i], one.intercept_stderr, rtol=1e-11)
        np.testing.assert_allclose(fits[i].predict(X[rows]), one.predict(X[rows]), rtol=1e-11)
        np.testing.assert_allclose(fits[i].conf_int(), one.conf_int(), rtol=1e-10)


def kinds_of_keys():
    names = np.array(["b", "a", "cc"])[np.arange(60) % 3]
    yield "text", names
    yield "bytes", names.astype("S3")
    yield "objects", names.astype(object)
    yield "list", names.tolist()
    yield "dates", np.array(["2024-03-01", "1999-01-01", "2025-01-01"], dtype="datetime64[D]")[np.arange(60) % 3]
    yield "numbers", np.array([0.5, -1.0, 2.0])[np.arange(60) % 3]
    yield "far apart", np.array([5, -(1 << 60), 1 << 60])[np.arange(60) % 3]
    yield "unsigned", np.array([5, 0, (1 << 64) - 1], dtype=np.uint64)[np.arange(60) % 3]


@pytest.mark.parametrize("kind", [kind for kind, _ in kinds_of_keys()])
def test_keys_of_every_kind_ascend(kind):
    keys = dict(kinds_of_keys())[kind]
    X, y, *_ = problem(60, 2)
    fits = grouped(X, y, keys)
    expected = grouped(X, y, np.array([1, 0, 2])[np.arange(60) % 3])
    assert list(fits.groups) == sorted(set(np.asarray(keys)))
    np.testing.assert_array_equal(fits.coef, expected.coef)


def test_keys_of_frames():
    pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    X, y, *_ = problem(60, 2)
    names = np.array(["b", "a", "c"])[np.arange(60) % 3]
    expected = grouped(X, y, names)
    table = {"u": X[:, 0], "v": X[:, 1], "y": y, "g": names}
    for found in (
        grouped(pd.DataFrame(table), "y", "g"),
        grouped(pl.DataFrame(table), "y", "g"),
        grouped(pa.table(table), "y", "g"),
        grouped(pd.DataFrame(table).assign(g=pd.Categorical(names)), "y", "g"),
    ):
        assert found.feature_names == ("u", "v")
        assert list(found.groups) == ["a", "b", "c"]
        np.testing.assert_array_equal(found.coef, expected.coef)
    frame = grouped(pd.DataFrame(table), "y", "g", stats=["stderr", "r2"]).to_frame()
    assert frame.index.name == "g"
    assert [*frame.columns] == [
        "intercept", "u", "v", "intercept_stderr", "stderr_u", "stderr_v", "r2", "n_samples", "rank", "digits",
    ]  # fmt: skip
    assert grouped(pl.DataFrame(table), "y", "g").to_frame()["g"].to_list() == ["a", "b", "c"]
    assert grouped(pa.table(table), "y", "g").to_frame()["g"].to_pylist() == ["a", "b", "c"]
    # by the categories' own order
    ordered = pd.Categorical(names, categories=["c", "a", "b", "none"])
    assert list(grouped(X, y, ordered).groups) == ["c", "a", "b"]


def test_several_keys():
    X, y, *_ = problem(120, 2)
    a, b = np.arange(120) % 3, np.array(["x", "y"])[np.arange(120) // 60]
    fits = grouped(X, y, {"a": a, "b": b})
    assert fits.groups == [(i, name) for i in range(3) for name in "xy"]
    for i, (first, second) in enumerate(fits.groups):
        rows = (a == first) & (b == second)
        np.testing.assert_allclose(fits.coef[i], fit(X[rows], y[rows]).coef, rtol=1e-12)
    np.testing.assert_array_equal(grouped(X, y, (a, b)).coef, fits.coef)


def test_rows_of_a_key_keep_their_order():
    groups = np.array([3, 1, 3, 2, 1, 3])
    found = keyed(groups, 6, None)
    assert found.order.tolist() == [1, 4, 3, 0, 2, 5]
    assert found.bounds.tolist() == [0, 2, 3, 6]
    assert found.keys["groups"].tolist() == [1, 2, 3]


def test_missing_keys_and_values():
    X, y, *_ = problem(60, 2)
    keys = np.array(["b", "a", "c"], dtype=object)[np.arange(60) % 3]
    keys[7] = None
    with pytest.raises(ValueError, match=r"groups has a missing key at row 7 \(1 in all\)"):
        grouped(X, y, keys)
    fits = grouped(X, y, keys, missing="drop")
    assert (fits.groups.tolist(), fits.n_samples.tolist(), fits.n_dropped) == (["a", "b", "c"], [19, 20, 20], 1)
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="X has NaN at row 3, column 1") as error:
        grouped(X, y, np.arange(60) % 3)
    assert error.value.__notes__ == ["the row is in group 0"]
    X[np.arange(60) % 3 == 1, 0] = np.nan
    fits = grouped(X, y, np.arange(60) % 3, missing="drop")
    assert (fits.n_samples.tolist(), fits.n_dropped) == ([19, 0, 20], 21)
    assert np.isnan(fits.coef[1]).all()
    assert (fits.rank[1], fits.digits[1]) == (0, 0.0)
    with pytest.raises(ValueError, match="there is no fit number 1: it has 0 rows"):
        fits[1]


def test_groups_that_cannot_be_fitted_are_flagged():
    X, y, *_ = problem(90, 2)
    groups = np.arange(90) % 3
    groups[:2] = [7, 8]
    X[groups == 1, 1] = 2 * X[groups == 1, 0]
    X[groups == 2, 0] = 5.0
    with pytest.warns(RankWarning, match="4 of 5 problems have too few rows or linearly dependent columns.* group 1:"):
        fits = grouped(X, y, groups)
    assert fits.rank.tolist() == [2, 1, 1, 0, 0]
    assert fits.collinear.tolist() == [[False, False], [True, True], [True, False], [True, True], [True, True]]
    assert np.isnan(fits.stderr[[1, 3, 4]]).all()
    alone = fit(X[groups == 2], y[groups == 2])  # errors of what a constant column has nothing to do with
    np.testing.assert_allclose(fits.stderr[2], alone.stderr, rtol=1e-10)
    np.testing.assert_allclose(fits.intercept_stderr[2], alone.intercept_stderr, rtol=1e-10)
    assert np.isfinite(fits.coef).all()
    assert (fits.intercept[3], fits.intercept[4]) == (y[0], y[1])


@pytest.mark.filterwarnings("ignore::linreg_fast.RankWarning")
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_constant_columns_are_left_out_side_by_side(fit_intercept):
    """As `fit` leaves them out, weights or not; what only looks constant, as its squares vanish, is not."""
    X, y, *_ = problem(400, 4)
    groups = np.arange(400) % 10
    w = np.where(np.arange(400) % 7 == 3, 0.0, 1.5)
    X[:, 2] = (3.0 if fit_intercept else 0.0) * (1 + groups)
    X[groups == 4, 1] = 5.0 if fit_intercept else 0.0
    X[groups == 5, 0] = np.where(w[groups == 5] == 0, 9.0, -2.0 if fit_intercept else 0.0)
    X[groups == 6, 3] *= 1e-200
    for weights in (None, w):
        fits = grouped(X, y, groups, sample_weight=weights, fit_intercept=fit_intercept)
        for g in range(10):
            rows = groups == g
            one = fit(X[rows], y[rows], sample_weight=None if weights is None else w[rows], fit_intercept=fit_intercept)
            assert (fits.rank[g], np.flatnonzero(fits.collinear[g]).tolist()) == (one.rank, list(one.collinear))
            for word in ("coef", "intercept", "stderr", "intercept_stderr", "rss", "r2", "n_samples"):
                np.testing.assert_allclose(getattr(fits, word)[g], getattr(one, word), rtol=1e-9, err_msg=f"{word} {g}")
            assert fits[g].predict(X[rows]).tolist() == pytest.approx(one.predict(X[rows]).tolist(), rel=1e-9)


def test_other_rows_are_nothing_to_a_group():
    X, y, *_ = problem(300, 3)
    groups = np.random.default_rng(0).integers(0, 7, 300)
    before = grouped(X, y, groups)
    X[groups != 3] *= 1e12
    y[groups != 3] -= 1e10
    after = grouped(X, y, groups)
    for words in ("coef", "intercept", "rss", "stderr", "digits"):
        assert getattr(before, words)[3].tobytes() == getattr(after, words)[3].tobytes()


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_same_bits_for_any_number_of_threads(n_threads):
    X, y, *_ = problem(60_000, 4)
    groups = np.random.default_rng(0).integers(0, 3000, 60_000)
    one, many = (grouped(X, y, groups, n_threads=count) for count in (1, n_threads))
    for words in ("coef", "intercept", "rss", "stderr", "digits"):
        assert getattr(one, words).tobytes() == getattr(many, words).tobytes()


def test_wide_groups_and_penalties():
    X, y, *_ = problem(400, 40)
    groups = np.arange(400) % 3
    fits = grouped(X, y, groups)  # more columns than the lanes take
    np.testing.assert_allclose(fits.coef[1], fit(X[groups == 1], y[groups == 1]).coef, rtol=1e-11)
    fits = grouped(X[:, :3], y, groups, l2=2.5)
    np.testing.assert_allclose(fits.coef[1], fit(X[groups == 1, :3], y[groups == 1], l2=2.5).coef, rtol=1e-12)
    assert np.isnan(fits.stderr).all()


def test_bad_arguments_and_nothing_written():
    X, y, *_ = problem(20, 2)
    groups = np.arange(20) % 2
    for array in (X, y, groups):
        array.setflags(write=False)
    assert isinstance(grouped(X, y, groups), Fits)
    with pytest.raises(ValueError, match=r"groups must have shape \(20,\)"):
        grouped(X, y, groups[:5])
    with pytest.raises(ValueError, match="stats has 'prediction'"):
        grouped(X, y, groups, stats="prediction")
    with pytest.raises(TypeError, match="cannot be sorted"):
        grouped(X, y, np.array([1, "a"] * 10, dtype=object))
    with pytest.raises(ValueError, match=r"sample_weight has -1\.0 at row 2"):
        grouped(X, y, groups, sample_weight=np.where(np.arange(20) == 2, -1.0, 1.0))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 6), st.booleans())
def test_groups_by_other_names_and_one_of_all_rows(seed, p, n_groups, fit_intercept):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_groups * (p + 6), p)) + rng.normal() * 100
    y = rng.normal(size=len(X))
    groups = rng.permutation(np.arange(len(X)) % n_groups)
    names = rng.permutation(n_groups)
    one, other = (grouped(X, y, keys, fit_intercept=fit_intercept) for keys in (groups, names[groups]))
    for words in ("coef", "intercept", "rss", "digits", "stderr"):
        assert getattr(one, words).tobytes() == getattr(other, words)[names].tobytes()
    whole = grouped(X, y, np.zeros(len(X), int), fit_intercept=fit_intercept)
    by_itself = fit(X, y, fit_intercept=fit_intercept)
    scale = np.abs(by_itself.coef).max()
    np.testing.assert_allclose(whole.coef[0], by_itself.coef, rtol=0, atol=1e-9 * scale)
    np.testing.assert_allclose(whole.rss[0], by_itself.rss, rtol=1e-10)
