"""expanding, recursive and the state that goes on: every row against the exact fit of all rows so far."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.exact import exact_fit, worst_lre

import linreg_fast
from linreg_fast import RankWarning, State, expanding, recursive
from linreg_fast.many import running

pytestmark = pytest.mark.numerics
STATS = ("stderr", "tvalues", "rss", "r2", "n_samples", "residual", "prediction", "rank", "digits")


def table(n=200, p=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, X @ np.arange(1.0, p + 1) + 3.0 + rng.normal(size=n)


def check(fits, X, y, half_life=None, rows=None, fit_intercept=True):
    """Digits against the exact fit of all rows so far, no fewer than the fit says."""
    least = X.shape[1] + fit_intercept
    assert np.isnan(fits.coef[: least - 1]).all()
    assert np.isnan(fits.digits[: least - 1]).all()
    for i in range(least - 1, len(X)) if rows is None else rows:
        w = None if half_life is None else 0.5 ** (np.arange(i, -1, -1) / half_life)
        exact = exact_fit(X[: i + 1], y[: i + 1], fit_intercept, w)
        lre = worst_lre([*fits.coef[i], fits.intercept[i]] if fit_intercept else fits.coef[i], exact)
        assert lre >= max(9.0, fits.digits[i] - 1.5), (i, lre, fits.digits[i])


@pytest.mark.parametrize(("where", "size", "at"), [(w, s, at) for w in "xy" for s in (1e8, 1e12) for at in (0, 7, 50)])
def test_an_outlier_stays(where, size, at):
    """In the first row too, about which the first sums are."""
    X, y = table(100, 3)
    (X[:, 2] if where == "x" else y)[at] = size
    check(expanding(X, y), X, y)


@pytest.mark.parametrize(("where", "size", "at"), [(w, s, at) for w in "xy" for s in (1e8, 1e12) for at in (0, 50)])
def test_an_outlier_fades(where, size, at):
    """To nothing, after half-lives as many as it has digits more than the others."""
    X, y = table(130, 3)
    (X[:, 2] if where == "x" else y)[at] = size
    check(recursive(X, y, half_life=1.5), X, y, 1.5)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("half_life", [None, 20.0])
def test_offsets_cost_nothing(half_life, fit_intercept):
    X, y = table(90, 3)
    if fit_intercept:
        X, y = X + 1e8, y + 1e8
    run = expanding(X, y, fit_intercept=fit_intercept)
    if half_life:
        run = recursive(X, y, half_life=half_life, fit_intercept=fit_intercept)
    check(run, X, y, half_life, fit_intercept=fit_intercept)


def like_fit(fits, i, one, X, y):
    for name in ("coef", "intercept", "rss", "r2", "stderr", "tvalues", "intercept_stderr", "intercept_tvalue"):
        np.testing.assert_allclose(getattr(fits, name)[i], getattr(one, name), rtol=1e-8, err_msg=f"{name} of row {i}")
    assert fits.rank[i] == one.rank
    assert fits.n_samples[i] == one.n_samples
    np.testing.assert_allclose(fits.residual[i], y[i] - one.predict(X[i : i + 1])[0], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", ["plain", "weights", "half-life", "time", "doubtful"])
def test_every_statistic_is_that_of_fit(kind, monkeypatch):
    """Over several stretches, each of which goes on from the ones before."""
    monkeypatch.setattr(running, "STRETCH", 64)
    X, y = table(300, 3, 2)
    rng = np.random.default_rng(2)
    w = rng.uniform(0.5, 2.0, 300)
    on = np.cumsum(rng.exponential(size=300))
    if kind == "doubtful":
        X[:, 1] = X[:, 0] + 2e-3 * X[:, 1]
    if kind == "half-life":
        fits, weights = recursive(X, y, half_life=30.0, stats=STATS), 0.5 ** (-np.arange(300) / 30)
    elif kind == "time":
        fits, weights = recursive(X, y, half_life=30.0, on=on, stats=STATS), 0.5 ** (-on / 30)
    else:
        weights = w if kind == "weights" else np.ones(300)
        fits = expanding(X, y, sample_weight=w if kind == "weights" else None, stats=STATS)
    for i in (4, 5, 20, 63, 64, 65, 200, 299):
        now = weights[: i + 1] / (weights[i] if kind in ("half-life", "time") else 1.0)
        like_fit(fits, i, linreg_fast.fit(X[: i + 1], y[: i + 1], sample_weight=now), X, y)


def test_within_groups(monkeypatch):
    monkeypatch.setattr(running, "STRETCH", 32)
    X, y = table(200, 2, 3)
    groups = np.random.default_rng(3).integers(0, 4, 200)
    groups[5] = 9
    fits = expanding(X, y, groups=groups, stats=["n_samples"])
    for i in range(200):
        part = np.flatnonzero((groups == groups[i]) & (np.arange(200) <= i))
        assert fits.n_samples[i] == len(part)
        if len(part) < 3:
            assert np.isnan(fits.coef[i]).all()
        else:
            assert worst_lre([*fits.coef[i], fits.intercept[i]], exact_fit(X[part], y[part])) >= 9
    assert not hasattr(fits, "state")


def test_rows_dropped_have_no_fit():
    X, y = table(60, 2, 4)
    X[[0, 30]] = np.nan
    fits = expanding(X, y, missing="drop")
    there = np.delete(np.arange(60), [0, 30])
    assert np.isnan(fits.coef[[0, 30]]).all()
    assert fits.n_dropped == 2
    np.testing.assert_array_equal(fits.coef[there], expanding(X[there], y[there]).coef)


def test_no_row_depends_on_those_after_it(monkeypatch):
    monkeypatch.setattr(running, "STRETCH", 16)
    X, y = table(100, 2, 5)
    for make in (expanding, lambda X, y: recursive(X, y, half_life=5.0)):
        whole = make(X, y)
        for n in (3, 15, 16, 17, 70):
            V, v = np.where(np.arange(100)[:, None] < n, X, 1e30), np.where(np.arange(100) < n, y, -1e30)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RankWarning)
                other = make(V, v)
            np.testing.assert_array_equal(other.coef[:n], whole.coef[:n])


def test_any_number_of_threads_gives_the_same_bits(monkeypatch, many_blocks):
    monkeypatch.setattr(running, "STRETCH", 64)
    X, y = table(3000, 3, 6)
    one, two = (recursive(X, y, half_life=100.0, stats=STATS, n_threads=n) for n in (1, 3))
    for name in ("coef", "stderr", "prediction"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.state.to_bytes() == two.state.to_bytes()


@pytest.mark.parametrize("order", ["C", "F", "strided", "whole numbers"])
def test_dependent_columns(order):
    """However the numbers lie."""
    X, y = table(40, 2, 7)
    if order == "whole numbers":
        X = np.random.default_rng(7).permutation(80).reshape(40, 2)
    X = np.repeat(X, 2, axis=0)[::2] if order == "strided" else np.array(X, order="F" if order == "F" else "C")
    X[:20, 1] = X[:20, 0]
    with pytest.warns(RankWarning, match="in 18 fits, the first of them that of row 2"):
        fits = expanding(X, y, stats=["rank"])
    assert (fits.rank[2:20] == 1).all()
    assert (fits.rank[20:] == 2).all()


@given(st.integers(5, 60), st.integers(1, 3), st.integers(0, 1000))
def test_the_last_row_is_fit(n, p, seed):
    X, y = table(n, p, seed)
    fits, one = expanding(X, y), linreg_fast.fit(X, y)
    np.testing.assert_allclose([*fits.coef[-1], fits.intercept[-1]], [*one.coef, one.intercept], rtol=1e-8)


# the state


@pytest.mark.parametrize("kind", ["expanding", "rows", "time"])
def test_a_state_goes_on(kind):
    """Row by row to the same fits as of all rows at once, also from bytes and from nothing."""
    X, y = table(150, 3, 8)
    on = np.cumsum(np.random.default_rng(8).exponential(size=150)) if kind == "time" else None

    def fits_of(n):
        if kind == "expanding":
            return expanding(X[:n], y[:n])
        return recursive(X[:n], y[:n], half_life=9.0, on=None if on is None else on[:n])

    whole, state = fits_of(150), fits_of(100).state
    copies = [state, State.from_bytes(state.to_bytes()), pickle.loads(pickle.dumps(state))]
    for i in range(100, 150):
        for one in copies:
            assert one.update(X[i], y[i], time=None if on is None else on[i]) is one
            np.testing.assert_allclose(one.coef, whole.coef[i], rtol=1e-11)
            np.testing.assert_allclose(one.intercept, whole.intercept[i], rtol=1e-11)
    assert len({one.to_bytes() for one in copies}) == 1
    assert copies[0].n_samples == 150
    assert copies[0].digits > 9


def test_a_state_from_nothing():
    X, y = table(80, 2, 9)
    state = State(2, half_life=7.0)
    for x, v in zip(X.tolist(), y.tolist(), strict=True):
        state.update(x, v)
    weights = 0.5 ** (np.arange(79, -1, -1) / 7.0)
    assert worst_lre([*state.coef, state.intercept], exact_fit(X, y, True, weights)) > 11
    np.testing.assert_allclose(state.predict(X[:2]), state.fit().predict(X[:2]))


def test_an_update_that_fails_changes_nothing():
    X, y = table(30, 2, 10)
    state = expanding(X, y).state
    before = state.to_bytes()
    bad = [
        (([1.0], 1.0), {}, r"x must have shape \(2,\)"),
        (([1.0, np.nan], 1.0), {}, "x has nan at column 1"),
        (([1.0, 2.0], np.inf), {}, "y is inf"),
        (([1.0, 2.0], 1.0), {"time": 3.0}, "time is for rows that have times"),
        (([1.0, 2.0], 1.0), {"sample_weight": -1.0}, "sample_weight must be finite and at least 0"),
    ]
    for args, options, text in bad:
        with pytest.raises(ValueError, match=text):
            state.update(*args, **options)
        assert state.to_bytes() == before
    timed = recursive(X, y, half_life=3.0, on=np.arange(30.0)).state
    with pytest.raises(ValueError, match=r"time must not go back: 5\.0 is before 29\.0"):
        timed.update([1.0, 2.0], 1.0, time=5.0)
    assert state.update([1.0, 2.0], 1.0, sample_weight=0).to_bytes() == before


def test_bytes_that_are_no_state():
    X, y = table(30, 2, 11)
    data = expanding(X, y).state.to_bytes()
    for broken in (b"", data[:-1], data[:40] + bytes([data[40] ^ 1]) + data[41:], data + b"\x00"):
        with pytest.raises(ValueError, match="not a"):
            State.from_bytes(broken)


BAD = [
    ({"half_life": 0}, ValueError, "half_life must be finite and more than 0"),
    ({"half_life": "3h"}, ValueError, "half_life is '3h': a length of time needs on"),
    ({"half_life": 3, "on": np.arange(20)[::-1]}, ValueError, "on must not go back: it has 18 at row 1"),
    ({"half_life": 3, "missing": "skip"}, ValueError, "missing must be one of"),
    ({"half_life": 3, "min_periods": 0}, ValueError, "min_periods must be at least 1"),
]


@pytest.mark.parametrize(("options", "error", "text"), BAD)
def test_bad_input(options, error, text):
    X, y = table(20, 2, 12)
    with pytest.raises(error, match=text):
        recursive(X, y, **options)
