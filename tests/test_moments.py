"""Moments: batches in any order, rows taken out again, bytes, and the fits that are solved from them."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import pickle
import warnings
from fractions import Fraction

import numpy as np
import pytest
from conftest import STRD, exact_fit, lre, problem, worst_lre
from hypothesis import given
from hypothesis import strategies as st

import linreg_fast
from linreg_fast import ConditionWarning, Moments, RankWarning, fit, inputs, levels, sums
from linreg_fast.moments import DIGEST_SIZE, HEADER

WAMPLERS = [f"Wampler{i}" for i in range(1, 6)]


def chunked(X, y, cuts, w=None, **options):
    """Moments of the rows between cuts, one update for each."""
    M = Moments(X.shape[1], 1 if y.ndim == 1 else y.shape[1], **options)
    edges = [0, *cuts, len(X)]
    for lo, hi in itertools.pairwise(edges):
        M.update(X[lo:hi], y[lo:hi], None if w is None else w[lo:hi])
    return M


def partials(X, y, n_chunks, shift, w=None, **options):
    """One state for each chunk, all with one shift."""
    k = 1 if y.ndim == 1 else y.shape[1]
    return [
        Moments(X.shape[1], k, shift=shift, **options).update(X[rows], y[rows], None if w is None else w[rows])
        for rows in np.array_split(np.arange(len(X)), n_chunks)
    ]


def ulps(values, exact):
    """Distance from the exact values in units of the last place, of the worst."""
    return max(
        abs(Fraction(float(v)) - t) / Fraction(float(np.spacing(abs(float(t)))))
        for v, t in zip(values, exact, strict=True)
    )


def assert_close(found, expected, rtol=1e-13):
    """The same fit but for the rounding of sums."""
    np.testing.assert_allclose(found.coef, expected.coef, rtol=rtol)
    np.testing.assert_allclose(found.intercept, expected.intercept, rtol=100 * rtol)
    np.testing.assert_allclose(found.tss, expected.tss, rtol=1e-12)
    np.testing.assert_allclose(found.rss, expected.rss, rtol=1e-9)
    np.testing.assert_allclose(found.ess, expected.ess, rtol=1e-9)
    assert (found.rank, found.n_samples, found.solver) == (expected.rank, expected.n_samples, expected.solver)
    assert found.sum_weight == pytest.approx(expected.sum_weight, rel=1e-14)
    assert np.shape(found.coef) == np.shape(expected.coef)
    assert np.shape(found.intercept) == np.shape(expected.intercept)
    np.testing.assert_allclose(found.stderr, expected.stderr, rtol=1e-9)
    np.testing.assert_allclose(found.intercept_stderr, expected.intercept_stderr, rtol=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e8])
@pytest.mark.parametrize("n_chunks", [1, 2, 7, 100, 1000])
def test_chunks_make_the_fit_in_memory(n_chunks, offset):
    X, y, _, _ = problem(3000, 5, offset=offset)
    cuts = sorted(np.random.default_rng(n_chunks).integers(0, 3001, n_chunks - 1))
    M = chunked(X, y, cuts)
    assert_close(M.solve(), fit(X, y))
    assert M.n_samples == 3000
    assert_close(M.solve(l2=3.0), fit(X, y, l2=3.0))


@pytest.mark.parametrize("l2", [0.0, 0.5, 1e4])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_targets", [0, 1, 3])
def test_every_fit_from_one_state(l2, fit_intercept, weighted, n_targets):
    X, y, _, _ = problem(900, 4, offset=5.0)
    Y = y if n_targets == 0 else np.column_stack([y, y**2, -y])[:, :n_targets]
    w = np.random.default_rng(1).integers(0, 4, 900) / 2.0 if weighted else None
    M = chunked(X, Y, [100, 101, 640], w)
    expected = fit(X, Y, sample_weight=w, l2=l2, fit_intercept=fit_intercept)
    found = M.solve(l2=l2, fit_intercept=fit_intercept, targets=[0] if n_targets == 1 else None)
    assert_close(found, expected, rtol=1e-12)
    assert found.fit_intercept == fit_intercept
    assert found.l2 == l2
    assert found.plan is not None
    assert found.plan.solver == "cholesky"


def test_columns_by_position_and_by_name():
    pd = pytest.importorskip("pandas")
    X, y, _, _ = problem(400, 4)
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    M = Moments(4).update(frame[:150], y[:150]).update(X[150:], y[150:])
    assert M.feature_names == ("a", "b", "c", "d")
    for chosen in ([2, 0], ["c", "a"], [2, "a"], np.array([2, 0])):
        found = M.solve(features=chosen)
        assert_close(found, fit(X[:, [2, 0]], y))
        assert found.feature_names == ("c", "a")
    only_mean = M.solve(features=[])
    assert only_mean.solver == "mean"
    assert only_mean.intercept == pytest.approx(y.mean(), rel=1e-14)
    for wrong, error, text in (
        ("a", TypeError, "alone"),
        (["e"], ValueError, "features has 'e'"),
        ([4], ValueError, "there are 4 columns"),
        ([-1], ValueError, "there are 4 columns"),
        ([True], TypeError, "features has True"),
        ([1.0], TypeError, "features has 1.0"),
        ([1, "b"], ValueError, "a column twice"),
    ):
        with pytest.raises(error, match=text):
            M.solve(features=wrong)
    with pytest.raises(ValueError, match="the columns have no names"):
        Moments(4).update(X, y).solve(features=["a"])


def test_targets():
    X, y, _, _ = problem(400, 3)
    Y = np.column_stack([y, X[:, 0] - y, y**2])
    M = Moments(3, 3).update(X, Y)
    assert_close(M.solve(targets=1), fit(X, Y[:, 1]))
    assert_close(M.solve(targets=[2, 0]), fit(X, Y[:, [2, 0]]))
    for wrong, error in (([], ValueError), (3, ValueError), ([0.0], TypeError), ("y", TypeError)):
        with pytest.raises(error, match="targets"):
            M.solve(targets=wrong)


@pytest.mark.parametrize("layout", ["C", "F", "strided", "float32", "int", "list"])
def test_layouts(layout):
    X, y, _, _ = problem(300, 3, offset=40.0)
    X = np.round(X * 16)
    laid = {
        "C": X,
        "F": np.asfortranarray(X),
        "strided": np.repeat(X, 2, axis=0)[::2],
        "float32": X.astype(np.float32),
        "int": X.astype(np.int16),
        "list": X.tolist(),
    }[layout]
    before = copy.deepcopy(laid)
    assert_close(Moments(3).update(laid, y).solve(), fit(X, y))
    assert np.array_equal(laid, before)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_any_order_of_merging(seed, n_chunks):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((40, 3)) * [1, 1e3, 1e-3] + [0, 1e5, 1]
    y = X @ [1, -1e-3, 1e3] + rng.standard_normal(40)
    parts = partials(X, y, n_chunks, np.append(X[0], y[0]))
    forward = sum(parts)
    others = list(parts)
    while len(others) > 1:
        i, j = rng.choice(len(others), 2, replace=False)
        both = others[i] + others[j]
        others = [part for at, part in enumerate(others) if at not in (i, j)] + [both]
    np.testing.assert_allclose(others[0]._M[..., 0], forward._M[..., 0], rtol=1e-15, atol=1e-300)
    a, b = forward.solve(), others[0].solve()
    np.testing.assert_allclose(a.coef, b.coef, rtol=4e-16)
    assert a.n_samples == b.n_samples == 40


@pytest.mark.parametrize("n_chunks", [1, 3, 64, 1000])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_partial_states_in_any_order_make_the_fit_in_memory(n_chunks, offset):
    X, y, _, _ = problem(3000, 4, offset=offset)
    shift = np.append(X[:100].mean(axis=0), y[:100].mean())
    for precision in ("auto", "extended"):
        parts = [M.to_bytes() for M in partials(X, y, n_chunks, shift, precision=precision)]
        found = Moments(4, precision=precision)
        for i in np.random.default_rng(n_chunks).permutation(n_chunks):
            found += Moments.from_bytes(parts[i])
        expected = fit(X, y, precision=precision)
        np.testing.assert_allclose(found.solve().coef, expected.coef, rtol=1e-13)
        if precision == "extended":
            ours, theirs = found.solve(), [*expected.coef, expected.intercept]
            assert ulps([*ours.coef, ours.intercept], [Fraction(float(value)) for value in theirs]) <= 1


@given(st.integers(0, 2**32 - 1))
def test_sums_of_integers_are_exact_whatever_was_done(seed):
    """Small integers leave no rounding: merged, moved to another shift and taken out again bit by bit."""
    rng = np.random.default_rng(seed)
    X, y = rng.integers(-1000, 1000, (30, 2)).astype(float), rng.integers(-1000, 1000, 30).astype(float)
    whole = Moments(2, shift=np.zeros(3)).update(X, y)
    parts = [Moments(2, shift=rng.integers(-50, 50, 3)).update(X[i : i + 10], y[i : i + 10]) for i in (0, 10, 20)]
    M = Moments(2, shift=np.zeros(3)).merge(parts[1]).merge(parts[2]).merge(parts[0])
    assert np.array_equal(M._M, whole._M)
    M -= parts[1]
    kept = np.r_[0:10, 20:30]
    assert np.array_equal(M._M, Moments(2, shift=np.zeros(3)).update(X[kept], y[kept])._M)
    assert M.n_samples == 20


def test_merging_states_of_different_shifts():
    X, y, _, _ = problem(2000, 3, offset=100.0)
    X[1000:] += 7.0
    y[1000:] += 70.0
    a, b = Moments(3).update(X[:1000], y[:1000]), Moments(3).update(X[1000:], y[1000:])
    assert (a.shift != b.shift).all()
    assert_close((a + b).solve(), fit(X, y))
    assert_close((b + a).solve(), fit(X, y))
    assert ((a + b).shift == a.shift).all()
    np.testing.assert_allclose((a + b).mean, np.append(X.mean(axis=0), y.mean()), rtol=1e-14)


def test_digits_say_what_a_far_shift_costs():
    X, y, _, _ = problem(2000, 3)
    near = Moments(3).update(X, y)
    far = Moments(3, shift=np.full(4, 1e6)).update(X[:10], y[:10]).update(X[10:], y[10:]).solve()
    exact = exact_fit(X[:, :], y)
    moved = Moments(3, shift=np.full(4, 1e6)).merge(near).solve()
    for found in (near.solve(), far, moved):
        assert found.digits <= worst_lre([*found.coef, found.intercept], exact) + 1
    assert far.digits < near.solve().digits - 3
    assert moved.digits < near.solve().digits - 3


def test_rows_taken_out_again():
    X, y, _, _ = problem(1000, 4, offset=3.0)
    w = np.random.default_rng(2).random(1000)
    M = Moments(4).update(X, y, w)
    head = Moments(4, shift=M.shift).update(X[:400], y[:400], w[:400])
    before = head.to_bytes()
    rest = M - head
    assert_close(rest.solve(), fit(X[400:], y[400:], sample_weight=w[400:]), rtol=1e-12)
    assert M.n_samples == 1000
    assert head.to_bytes() == before
    M -= head
    assert rest == M


def test_rolling_window_stays_exact():
    """Thousands of batches in and out: the pairs lose nothing, and the digits do not claim much loss."""
    X, y, _, _ = problem(3000, 2, offset=10.0)
    shift = np.append(X[0], y[0])
    batches = partials(X, y, 300, shift)
    M = sum(batches[:20])
    for i in range(20, 300):
        M += batches[i]
        M -= batches[i - 20]
    fresh = sum(batches[280:])
    np.testing.assert_allclose(M._M[..., 0], fresh._M[..., 0], rtol=1e-15, atol=1e-20)
    assert M.solve().digits > fresh.solve().digits - 2


def test_digits_fall_with_what_was_taken_out():
    X, y, _, _ = problem(20_000, 3)
    X[:19_900] *= 1e4
    M = Moments(3).update(X, y)
    full = M.solve().digits
    rest = (M - Moments(3, shift=M.shift).update(X[:19_900], y[:19_900])).solve()
    truth = exact_fit(X[19_900:], y[19_900:])
    assert rest.digits < full - 6
    assert rest.digits <= worst_lre([*rest.coef, rest.intercept], truth) + 1


def test_taking_out_all_rows_leaves_an_empty_state():
    X, y, _, _ = problem(50, 2)
    M = Moments(2).update(X, y)
    M -= M.copy()
    assert M.n_samples == 0
    assert M.sum_weight == 0.0
    with pytest.raises(ValueError, match="no rows"):
        M.solve()
    assert_close(M.update(X, y).solve(), fit(X, y))


def test_rows_that_were_not_added_cannot_be_taken_out():
    X, y, _, _ = problem(100, 2)
    M = Moments(2).update(X[:50], y[:50])
    before = M.to_bytes()
    for other in (
        Moments(2).update(X, y),  # more rows
        Moments(2).update(X[:20] * 100, y[:20]),  # squares would be negative
        Moments(2).update(X[50:], y[50:]),  # as many other rows
        Moments(2).update(X[:20], y[:20], np.full(20, 9.0)),  # more weight
    ):
        with pytest.raises(ValueError, match="not all added"):
            M -= other
        assert M.to_bytes() == before
    with pytest.raises(ValueError, match="not all added"):
        _ = Moments(2) - M


def test_decay_is_a_weight():
    X, y, _, _ = problem(600, 3, offset=2.0)
    M = Moments(3)
    for i in range(6):
        M.decay(0.7).update(X[i * 100 : i * 100 + 100], y[i * 100 : i * 100 + 100])
    w = np.repeat(0.7 ** np.arange(5, -1, -1), 100)
    assert_close(M.solve(), fit(X, y, sample_weight=w), rtol=1e-12)
    before = M.to_bytes()
    for wrong, error in ((0.0, ValueError), (1.5, ValueError), (np.nan, ValueError), ("x", TypeError)):
        with pytest.raises(error, match="factor"):
            M.decay(wrong)
    assert M.decay(1).to_bytes() == before
    with pytest.raises(ValueError, match="would weigh"):
        M.decay(1e-200)
    assert M.to_bytes() == before


def test_a_column_that_decayed_away():
    X, y, _, _ = problem(200, 2)
    X[50:, 1] = 0.0
    M = Moments(2, shift=np.zeros(3)).update(X[:50], y[:50])
    for _ in range(20):
        M.decay(1e-16).update(X[50:], y[50:])
    found = M.solve()
    w = np.where(np.arange(200) < 50, 0.0, 1.0)
    assert found.coef[0] == pytest.approx(fit(X[:, :1], y, sample_weight=w).slope, rel=1e-12)
    assert np.isfinite(found.coef).all()


def test_empty_batches_are_neutral():
    X, y, _, _ = problem(100, 3)
    M = Moments(3)
    empty = M.to_bytes()
    for nothing in (X[:0], [], np.empty((0, 3), np.float32)):
        assert M.update(nothing, []).to_bytes() == empty
    X[:5] = np.nan
    assert M.update(X[:5], y[:5], np.zeros(5)).to_bytes() == empty
    with pytest.raises(ValueError, match="X has shape"):
        M.update(np.empty((0, 4)), [])
    with pytest.raises(ValueError, match="no rows"):
        M.solve()
    with pytest.raises(ValueError, match="no rows"):
        _ = M.mean
    M.update(X[5:], y[5:])
    before = M.to_bytes()
    assert M.update(X[:0], y[:0]).merge(Moments(3)).to_bytes() == before
    assert (Moments(3) + M) == M
    assert (Moments(3) + Moments(3)) == Moments(3)


def test_rows_of_weight_zero_are_not_there():
    X, y, _, _ = problem(300, 3)
    w = np.arange(300) % 3.0
    holed = X.copy()
    holed[::3] = np.nan
    M = Moments(3).update(holed, y, w)
    assert M.n_samples == 200
    assert_close(M.solve(), fit(X[w > 0], y[w > 0], sample_weight=w[w > 0]))


@pytest.mark.parametrize("row", [0, 299, 700])
def test_a_failing_update_leaves_the_state_as_it_was(row):
    X, y, _, _ = problem(1000, 3)
    M = Moments(3).update(X, y)
    empty = Moments(3)
    before = M.to_bytes(), empty.to_bytes()
    bad, w = X.copy(), np.ones(1000)
    bad[row, 2], w[row] = np.inf, -1.0
    large = X.copy()
    large[row, 1] = 1e200
    for state in (M, empty):
        for args, text in (
            ((bad, y), f"X has inf at row {row}, column 2"),
            ((X, np.where(np.arange(1000) == row, np.nan, y)), f"y has NaN at row {row}"),
            ((X, y, w), f"sample_weight has -1.0 at row {row}"),
            ((X[:, :2], y), "X has shape"),
            ((X, y[:9]), "number of rows"),
            ((large, y), "leave the range of float64"),
            ((X, y, np.full(1000, 1e308)), "leave the range of float64"),
        ):
            with pytest.raises(ValueError, match=text):
                state.update(*args)
        with pytest.raises(TypeError, match="complex"):
            state.update(X + 1j, y)
    assert (M.to_bytes(), empty.to_bytes()) == before
    assert_close(empty.update(X, y).solve(), fit(X, y))


def test_interrupted_in_the_pass(monkeypatch):
    X, y, _, _ = problem(1000, 3)
    M = Moments(3).update(X, y)
    before = M.to_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(levels.moments, ("C", "float64"), interrupted)
    with pytest.raises(KeyboardInterrupt):
        M.update(X, y)
    assert M.to_bytes() == before


def test_merging_that_overflows_changes_nothing():
    X, y, _, _ = problem(100, 2)
    part = Moments(2, shift=np.zeros(3)).update(X * 2.0**495, y)
    M = part.copy()
    with pytest.raises(ValueError, match="leave the range"):  # noqa: PT012
        for _ in range(100):
            before = M.to_bytes()
            M += M
    assert M.to_bytes() == before


def test_column_names_are_checked():
    pd = pytest.importorskip("pandas")
    X, y, _, _ = problem(60, 2)
    M = Moments(2).update(pd.DataFrame(X, columns=["a", "b"]), y)
    before = M.to_bytes()
    swapped = pd.DataFrame(X, columns=["b", "a"])
    with pytest.raises(ValueError, match=r"named \['b', 'a'\], those before \['a', 'b'\]"):
        M.update(swapped, y)
    with pytest.raises(ValueError, match="named"):
        M.merge(Moments(2).update(swapped, y))
    assert M.to_bytes() == before
    assert M.update(X, y).feature_names == ("a", "b")
    assert (Moments(2).update(X, y) + M).feature_names == ("a", "b")


def test_a_batch_far_from_the_first_one_costs_no_digits():
    """Leading rows that are nothing like the rest: later batches are summed up where they are."""
    X, y, coef, _ = problem(5000, 2, noise=0.0)
    X[:10] = 0.0
    X[10:] += 1e5
    y = X @ coef + 1.5
    M = chunked(X, y, [10, 500, 2500])
    found = M.solve()
    assert (np.abs(M.shift[:2]) == 0).all()
    exact = exact_fit(X, y)
    assert worst_lre(found.coef, exact[:2]) > 10
    assert found.digits <= worst_lre([*found.coef, found.intercept], exact) + 1


@given(st.integers(0, 2**32 - 1))
def test_digits_are_honest(seed):
    """Never more than one digit above the truth: offsets, conditions, bad shifts, subtraction, penalty 0."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(8, 40)), int(rng.integers(1, 4))
    mix = np.eye(p) + (10.0 ** rng.uniform(-4, 0) - 1) * np.ones((p, p)) / p
    X = rng.standard_normal((n, p)) @ mix * 10.0 ** rng.uniform(-4, 4, p) + 10.0 ** rng.uniform(-3, 4) * rng.integers(
        0, 2
    )
    y = X @ rng.standard_normal(p) + 10.0 ** rng.uniform(-6, 1) * rng.standard_normal(n)
    extra = rng.standard_normal((5, p)) * 10.0 ** rng.uniform(-1, 3)
    M = chunked(X, y, sorted(rng.integers(0, n, 2)))
    if rng.random() < 0.5:
        M.update(extra, extra[:, 0])
        M -= Moments(p, shift=M.shift).update(extra, extra[:, 0])
    if rng.random() < 0.5:
        M = Moments(p, shift=M.shift + rng.standard_normal(p + 1) * 10.0 ** rng.uniform(-2, 3)).merge(M)
    for fit_intercept in (True, False):
        exact = exact_fit(X, y, fit_intercept)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConditionWarning)
            warnings.simplefilter("ignore", RankWarning)
            found = M.solve(fit_intercept=fit_intercept)
        if exact is None or found.rank < p:
            continue
        values = [*found.coef, found.intercept] if fit_intercept else found.coef
        assert found.digits <= worst_lre(values, exact) + 1


@given(st.integers(0, 2**32 - 1))
def test_digits_of_penalised_fits_are_honest(seed):
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(3, 20)), int(rng.integers(1, 4))
    X = rng.standard_normal((n, p)) * 10.0 ** rng.uniform(-2, 2, p) + 10.0 ** rng.uniform(-2, 3)
    X[:, -1] = X[:, 0] * (1 + 1e-5 * X[:, -1])
    y = X @ rng.standard_normal(p) + rng.standard_normal(n)
    root = 2.0 ** int(rng.integers(-12, 4))
    # the penalty as rows: root times each coefficient, and nothing of the intercept
    design = np.vstack([np.column_stack([X, np.ones(n)]), root * np.eye(p, p + 1)])
    exact = exact_fit(design, np.concatenate([y, np.zeros(p)]), fit_intercept=False)
    for precision in ("auto", "extended"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConditionWarning)
            found = chunked(X, y, sorted(rng.integers(0, n, 2)), precision=precision).solve(l2=root * root)
        assert found.digits <= worst_lre([*found.coef, found.intercept], exact) + 1
    assert worst_lre([*found.coef, found.intercept], exact) >= 15


def test_the_first_shift_is_moved_to_the_rows():
    """Leading rows far from the rest of the first batch: it is read twice, later batches once."""
    X, y, _, _ = problem(20_000, 2)
    X[:256, 0] += 1e6
    M = Moments(2).update(X[:16_000], y[:16_000])
    assert np.abs(M.shift[:2] - X[:16_000].mean(axis=0)).max() < 1.0
    assert_close(M.update(X[16_000:], y[16_000:]).solve(), fit(X, y), rtol=1e-11)


def test_dependent_columns():
    X, y, _, _ = problem(500, 3, offset=20.0)
    X = np.column_stack([X, X[:, 0] + X[:, 1], np.full(500, 7.0)])
    M = chunked(X, y, [200])
    with pytest.warns(RankWarning, match=r"rank 3 of 4: the columns \[0, 1, 3\]"):
        found = M.solve()
    with pytest.warns(RankWarning):
        expected = fit(X, y)
    assert found.solver_path == ("cholesky", "svd")
    assert found.rank == expected.rank == 3
    assert found.coef[4] == 0.0
    np.testing.assert_allclose(found.predict(X), expected.predict(X), rtol=1e-10)
    np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-8)
    assert_close(M.solve(features=[0, 1, 2]), fit(X[:, :3], y))


def test_fewer_rows_than_columns():
    X, y, _, _ = problem(4, 6)
    with pytest.warns(RankWarning, match="rank 3 of 6"):
        found = Moments(6).update(X, y).solve()
    np.testing.assert_allclose(found.predict(X), y, rtol=1e-6)


def test_one_row():
    found = Moments(2).update([[1.0, 2.0]], [5.0]).solve()
    assert found.coef.tolist() == [0.0, 0.0]
    assert found.intercept == 5.0


def test_few_digits_are_warned_of():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 2))
    X[:, 1] = X[:, 0] + 3e-7 * X[:, 1]
    y = X @ [1.0, 2.0] + rng.standard_normal(300)
    with pytest.warns(ConditionWarning, match="too ill-conditioned for their moments"):
        found = Moments(2).update(X, y).solve()
    assert found.digits < 3
    assert found.digits <= worst_lre([*found.coef, found.intercept], exact_fit(X, y)) + 1


def test_no_intercept_with_an_offset_uses_all_digits_of_the_pairs():
    """The shift is put back in double-double: digits that float64 cross products of X would not have."""
    X, y, _, _ = problem(400, 3, offset=1e6)
    exact = exact_fit(X, y, fit_intercept=False)
    found = chunked(X, y, [30, 200]).solve(fit_intercept=False)
    assert worst_lre(found.coef, exact) > 9
    assert 5 < found.digits <= worst_lre(found.coef, exact) + 1


def test_bytes_come_back_with_the_same_bits():
    pd = pytest.importorskip("pandas")
    X, y, _, _ = problem(100, 3, offset=1e3)
    named = pd.DataFrame(X, columns=["a", "b", "ü"])
    states = [
        Moments(3),
        Moments(3, 2, shift=np.arange(5.0), precision="extended"),
        Moments(0).update(np.empty((5, 0)), np.arange(5.0)),
        Moments(3).update(X[:50], y[:50]).update(X[50:], y[50:]),
        Moments(3, 2).update(named, np.column_stack([y, y * y]), np.arange(100.0)),
    ]
    for state in states:
        data = state.to_bytes()
        back = Moments.from_bytes(data)
        assert back.to_bytes() == data
        assert back == state
        assert Moments.from_bytes(memoryview(bytearray(data))) == state
        assert back.feature_names == state.feature_names
        assert back.precision == state.precision
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(state, protocol)) == state
        assert copy.copy(state) == copy.deepcopy(state) == state
        if state.n_samples:
            assert back.solve().coef.tobytes() == state.solve().coef.tobytes()
            assert back.update(X[:, : back.n_features], np.ones((100, back.n_targets))) != state
            assert state.to_bytes() == data


def test_bytes_are_checked():
    X, y, _, _ = problem(100, 2)
    data = Moments(2).update(X, y).to_bytes()
    for size in range(len(data)):
        with pytest.raises(ValueError, match=r"saved|whole"):
            Moments.from_bytes(data[:size])
    for at in range(len(data)):
        with pytest.raises(ValueError, match=r"saved|whole"):
            Moments.from_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
    with pytest.raises(ValueError, match="whole"):
        Moments.from_bytes(data + b"\0")
    for wrong in (None, "text", 5, [1]):
        with pytest.raises(TypeError, match="must be bytes"):
            Moments.from_bytes(wrong)


def forged(data, at, kind, value):
    """Bytes with one number replaced and a checksum that fits."""
    body = bytearray(data[:-DIGEST_SIZE])
    body[at : at + 8] = np.array([value], kind).tobytes()
    return bytes(body) + hashlib.blake2b(body, digest_size=DIGEST_SIZE).digest()


def test_forged_bytes_cannot_make_it_allocate_or_lie():
    X, y, _, _ = problem(100, 2)
    data = Moments(2).update(X, y).to_bytes()
    sizes_at = HEADER.size - 5 * 8
    for field, value in (
        (0, 2**62),
        (0, 10**6),
        (0, -1),
        (0, 1),
        (1, 2**40),
        (1, 0),
        (2, -5),
        (2, 0),
        (4, 2**62),
        (4, 3),
    ):
        with pytest.raises(ValueError, match="saved"):
            Moments.from_bytes(forged(data, sizes_at + 8 * field, "<i8", value))
    with pytest.raises(ValueError, match="no rows can have"):
        Moments.from_bytes(forged(data, sizes_at + 24, "<f8", 0.5))  # unit
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="no rows can have"):
            Moments.from_bytes(forged(data, HEADER.size, "<f8", value))


def test_arguments():
    for args, error, text in (
        ((2.0,), TypeError, "n_features must be an integer"),
        ((True,), TypeError, "n_features must be an integer"),
        ((-1,), ValueError, "n_features must be at least 0"),
        ((2, 0), ValueError, "n_targets at least 1"),
    ):
        with pytest.raises(error, match=text):
            Moments(*args)
    with pytest.raises(ValueError, match="precision"):
        Moments(2, precision="fast")
    with pytest.raises(ValueError, match=r"shift must have shape \(3,\)"):
        Moments(2, shift=[0.0, 0.0])
    with pytest.raises(ValueError, match="shift has nan"):
        Moments(2, shift=[0.0, 0.0, np.nan])
    M = Moments(2)
    with pytest.raises(TypeError, match="only Moments"):
        M.merge(3)
    with pytest.raises(TypeError):
        M + 1
    with pytest.raises(ValueError, match="do not fit"):
        M.merge(Moments(3))
    with pytest.raises(TypeError, match="hash"):
        hash(M)
    assert M != 3
    assert "n_features=2" in repr(M)
    for l2 in (-1.0, np.nan):
        with pytest.raises(ValueError, match="l2"):
            Moments(1).update([1.0, 2.0], [1.0, 2.0]).solve(l2=l2)


def test_given_shift_is_kept_and_not_shared():
    X, y, _, _ = problem(50, 2)
    shift = np.array([1.0, 2.0, 3.0])
    M = Moments(2, shift=shift).update(X, y)
    shift[0] = 9.0
    M.shift[0] = 9.0
    assert M.shift.tolist() == [1.0, 2.0, 3.0]
    assert_close(M.solve(), fit(X, y))


def test_threads_give_the_same_bits(many_blocks):
    X, y, _, _ = problem(5000, 4)
    states = [Moments(4).update(X, y, n_threads=n).to_bytes() for n in (1, 2, 3)]
    assert states[0] == states[1] == states[2]


def test_one_pass_for_usual_data(monkeypatch):
    calls = []
    real = sums.cross_products
    monkeypatch.setattr(sums, "cross_products", lambda *a: calls.append(1) or real(*a))
    X, y, _, _ = problem(2000, 3, offset=1e6)
    chunked(X, y, [100, 1000])
    assert len(calls) == 3
    monkeypatch.setattr(inputs, "first_fault", lambda data: pytest.fail("the data were read again"))
    chunked(X, y, [100, 1000])


def test_large_offset_against_exact_numbers():
    X, y, _, _ = problem(60, 2, offset=1e8)
    exact = exact_fit(X, y)
    found = chunked(X, y, [1, 20]).solve()
    assert min(lre(value, Fraction(true)) for value, true in zip(found.coef, exact[:2], strict=True)) > 14


def test_it_is_a_public_name():
    assert linreg_fast.Moments is Moments
    assert "Moments" in linreg_fast.__all__


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_extended_is_within_one_ulp_whatever_the_chunks(seed, fit_intercept):
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(8, 30)), int(rng.integers(1, 4))
    X = rng.standard_normal((n, p)) * 10.0 ** rng.uniform(-3, 3, p) + 10.0 ** rng.uniform(-3, 5) * rng.integers(0, 2)
    y = X @ rng.standard_normal(p) + rng.standard_normal(n)
    w = rng.integers(0, 4, n) / 4.0 if rng.random() < 0.5 else None
    if w is not None and np.count_nonzero(w) < p + 2:
        return
    exact = exact_fit(X, y, fit_intercept, w)
    whole = chunked(X, y, [], w, precision="extended").solve(fit_intercept=fit_intercept)
    cut = chunked(X, y, sorted(rng.integers(0, n, 3)), w, precision="extended")
    cut = Moments(p, shift=cut.shift + rng.standard_normal(p + 1), precision="extended") + cut
    found = cut.solve(fit_intercept=fit_intercept)
    for one in (whole, found):
        assert one.precision == "extended"
        assert ulps([*one.coef, one.intercept] if fit_intercept else one.coef, exact) <= 1
        assert one.digits >= 14


@pytest.mark.skipif(not STRD.is_dir(), reason="the certified data are not beside this checkout")
@pytest.mark.parametrize("name", ["Norris", "Pontius", "NoInt1", "NoInt2", "Filip", "Longley", *WAMPLERS])
def test_certified_problems_in_chunks(name):
    data = json.loads((STRD / f"{name}.json").read_text())
    x, y = np.array(data.get("X", data.get("x")), dtype=float), np.array(data["y"], dtype=float)
    X = x.reshape(len(y), -1)
    if data["kind"] == "poly":
        X = np.column_stack([x**k for k in range(1, data["degree"] + 1)])
    exact = data["exact_float64_design_40"]
    coef = [Fraction(value) for value in exact["coef"]]
    cuts = list(range(3, len(y), 7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConditionWarning)
        warnings.simplefilter("ignore", RankWarning)
        quick = chunked(X, y, cuts).solve(fit_intercept=data["intercept"])
    found = chunked(X, y, cuts, precision="extended").solve(fit_intercept=data["intercept"])
    for one in (quick, found):
        reached = worst_lre([one.intercept, *one.coef] if data["intercept"] else one.coef, coef)
        assert one.digits <= reached + 1
    assert reached >= (13.0 if name == "Filip" else 15.0)
    assert found.rank == X.shape[1]
    if not name.startswith("Wampler") or name[-1] in "345":
        errors = [found.intercept_stderr, *found.stderr] if data["intercept"] else found.stderr
        assert worst_lre(errors, [Fraction(value) for value in exact["stderr"]]) >= (11.5 if name == "Filip" else 14.0)


def test_extended_rank():
    """Double-double sums tell singular values of 1e-9 from 0, and dependent columns all the same."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3))
    near = np.column_stack([X, X[:, 0] + 1e-9 * rng.standard_normal(300)])
    y = X @ [1.0, 2.0, 3.0] + 0.1 * rng.standard_normal(300)
    M = chunked(near, y, [100], precision="extended")
    found = M.solve()
    assert found.rank == 4
    exact = exact_fit(near, y)
    assert worst_lre([*found.coef, found.intercept], exact) > 10
    assert found.digits <= worst_lre([*found.coef, found.intercept], exact) + 1
    with pytest.warns(RankWarning, match="rank 3 of 4"):
        low = chunked(near, y, [100]).solve()
    assert low.rank == 3
    doubled = np.column_stack([X, X[:, 0] * 2.0])
    with pytest.warns(RankWarning, match="rank 3 of 4"):
        found = chunked(doubled, y, [100], precision="extended").solve()
    with pytest.warns(RankWarning):
        expected = fit(doubled, y)
    np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-12)


def test_extended_several_targets_layouts_and_threads(many_blocks):
    X, y, _, _ = problem(700, 3, offset=3.0)
    Y = np.column_stack([y, X[:, 0] ** 2])
    expected = fit(X, Y, precision="extended")
    states = []
    for n_threads, laid in ((1, X), (2, X), (3, np.asfortranarray(X)), (1, X[::-1].copy()[::-1])):
        M = Moments(3, 2, precision="extended", shift=np.ones(5)).update(laid, Y, n_threads=n_threads)
        np.testing.assert_allclose(M.solve().coef, expected.coef, rtol=4e-16)
        states.append(M.to_bytes())
    assert states[0] == states[1]


@pytest.mark.parametrize("precision", ["auto", "extended"])
def test_column_lost_in_the_rounding_of_a_shift_far_away_is_told(precision):
    X, y, *_ = problem(40, 2)
    X = np.column_stack([X, np.full(40, 7.0), np.zeros(40)])
    far = 1e10 if precision == "auto" else 3e14
    M = Moments(4, shift=[far, 0.3, 0.3, 0.3, 0.0], precision=precision).update(X, y, np.resize([0.5, 1.25, 3.0], 40))
    with pytest.warns(ConditionWarning, match=r"the columns \[0\] vary by less") as caught:
        found = M.solve()
    assert caught[0].filename == __file__
    assert (found.coef[0], found.digits) == (0.0, 0.0)
    kept = M.solve(features=[1, 2, 3])  # without a warning: those that do not vary are no loss
    assert kept.coef[0] != 0.0
    assert kept.digits > 5
    assert M.solve(features=[1, 3], fit_intercept=False).digits > 5


def test_precision_of_merged_states():
    X, y, _, _ = problem(100, 2)
    precise, quick = Moments(2, precision="extended").update(X, y), Moments(2).update(X, y)
    assert (precise + precise).precision == "extended"
    assert (precise + quick).precision == (quick + precise).precision == "auto"
    assert (Moments(2) + precise).precision == "extended"
    assert (precise + quick).solve().digits <= quick.solve().digits + 0.5
    before = precise.to_bytes()
    bad = X.copy()
    bad[7, 1] = np.nan
    with pytest.raises(ValueError, match="X has NaN at row 7, column 1"):
        precise.update(bad, y)
    with pytest.raises(ValueError, match="sample_weight has -1"):
        precise.update(X, y, np.full(100, -1.0))
    with pytest.raises(ValueError, match=r"sample_weight has -0\.25 at row 7"):
        precise.update(X, y, np.where(np.arange(100) == 7, -0.25, 1.0))
    assert precise.to_bytes() == before


def test_collinear_columns_as_fit_has_them():
    X, y, _, _ = problem(300, 3)
    X = np.column_stack([np.full(300, 2.0), X[:, 0], X[:, 0] * 3.0, X[:, 1], X[:, 2]])
    M = chunked(X, y, [50])
    for how in ("min_norm", "drop"):
        with pytest.warns(RankWarning) as ours:
            found = M.solve(on_collinear=how)
        with pytest.warns(RankWarning) as theirs:
            expected = fit(X, y, on_collinear=how)
        assert str(ours[0].message) == str(theirs[0].message)
        assert ours[0].filename == __file__
        np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-8)
        assert (found.collinear, found.dropped) == (expected.collinear, expected.dropped)
        assert (found.rank, found.collinear) == (3, (0, 1, 2))
        np.testing.assert_allclose(found.stderr, expected.stderr, rtol=1e-8)
    with pytest.raises(np.linalg.LinAlgError, match="are constant"):
        M.solve(on_collinear="raise")
    with pytest.raises(np.linalg.LinAlgError, match=r"\[0, 1\] depend"):
        M.solve(on_collinear="raise", features=[1, 2, 3])
    with pytest.raises(ValueError, match="on_collinear"):
        M.solve(on_collinear="ignore")
    assert M.solve(on_collinear="raise", features=[1, 3]).collinear == ()
