"""Moments: batches in any order, rows taken out again, decay, what is refused."""

from __future__ import annotations

import copy
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.compare import assert_close
from support.exact import exact_fit, ulps, worst_lre
from support.problems import chunked, problem

import linreg_fast
from linreg_fast import ConditionWarning, Moments, fit
from linreg_fast.inputs import table as inputs_table
from linreg_fast.passes import levels, products

pytestmark = pytest.mark.numerics


def partials(X, y, n_chunks, shift, w=None, **options):
    """One state for each chunk, all with one shift."""
    k = 1 if y.ndim == 1 else y.shape[1]
    return [
        Moments(X.shape[1], k, shift=shift, **options).update(X[rows], y[rows], None if w is None else w[rows])
        for rows in np.array_split(np.arange(len(X)), n_chunks)
    ]


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e8])
@pytest.mark.parametrize("n_chunks", [1, 2, 7, 100, 1000])
def test_chunks_make_the_fit_in_memory(n_chunks, offset):
    X, y, _, _ = problem(3000, 5, offset=offset)
    cuts = sorted(np.random.default_rng(n_chunks).integers(0, 3001, n_chunks - 1))
    M = chunked(X, y, cuts)
    assert_close(M.solve(), fit(X, y))
    assert M.n_samples == 3000
    assert_close(M.solve(l2=3.0), fit(X, y, l2=3.0))


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
    np.testing.assert_allclose(others[0]._sums.M[..., 0], forward._sums.M[..., 0], rtol=1e-15, atol=1e-300)
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
    assert np.array_equal(M._sums.M, whole._sums.M)
    M -= parts[1]
    kept = np.r_[0:10, 20:30]
    assert np.array_equal(M._sums.M, Moments(2, shift=np.zeros(3)).update(X[kept], y[kept])._sums.M)
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
    np.testing.assert_allclose(M._sums.M[..., 0], fresh._sums.M[..., 0], rtol=1e-15, atol=1e-20)
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

    monkeypatch.setitem(levels.moments, "float64", interrupted)
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
    y = X[:, 0] * coef[0] + X[:, 1] * coef[1] + 1.5
    M = chunked(X, y, [10, 500, 2500])
    found = M.solve()
    assert (np.abs(M.shift[:2]) == 0).all()
    exact = exact_fit(X, y)
    # condition number 6e3: a solution in float64 would keep 8 to 12, as its factor happens to round
    assert worst_lre([*found.coef, found.intercept], exact) > 14
    assert found.digits <= worst_lre([*found.coef, found.intercept], exact) + 1


def test_the_first_shift_is_moved_to_the_rows():
    """Leading rows far from the rest of the first batch: it is read twice, later batches once."""
    X, y, _, _ = problem(20_000, 2)
    X[:256, 0] += 1e6
    M = Moments(2).update(X[:16_000], y[:16_000])
    assert np.abs(M.shift[:2] - X[:16_000].mean(axis=0)).max() < 1.0
    assert_close(M.update(X[16_000:], y[16_000:]).solve(), fit(X, y), rtol=1e-11)


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
    real = products.cross_products
    monkeypatch.setattr(products, "cross_products", lambda *a: calls.append(1) or real(*a))
    X, y, _, _ = problem(2000, 3, offset=1e6)
    chunked(X, y, [100, 1000])
    assert len(calls) == 3
    monkeypatch.setattr(inputs_table, "first_fault", lambda data: pytest.fail("the data were read again"))
    chunked(X, y, [100, 1000])


def test_it_is_a_public_name():
    assert linreg_fast.Moments is Moments
    assert "Moments" in linreg_fast.__all__


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


def exact_squares(X, y):
    """rss and tss of the rows, in rational numbers."""
    b = exact_fit(X, y)
    rows = [[*map(Fraction, row.tolist()), Fraction(1)] for row in X]
    targets = [Fraction(v) for v in y.tolist()]
    residuals = [v - sum(u * c for u, c in zip(row, b, strict=True)) for row, v in zip(rows, targets, strict=True)]
    mean = sum(targets) / len(targets)
    return sum(r * r for r in residuals), sum((v - mean) ** 2 for v in targets)


@pytest.mark.parametrize("p", [2, 70])
def test_what_outliers_have_swamped_is_not_known(p, tmp_path):
    """After outliers of 1e15 have come and gone nothing is printed as exact: neither rss nor r2 nor standard errors."""
    X, y, _, _ = problem(300, p)
    M = Moments(p).update(X, y)
    before = M.solve()
    outliers = X[:4], 1e15 * np.array([1.0, -1.0, 2.0, 1.0])
    M.update(*outliers)
    M -= Moments(p, shift=M.shift).update(*outliers)
    with pytest.warns(ConditionWarning, match="sum of squares of y is lost") as caught:
        found = M.solve()
    assert caught[0].filename == __file__
    assert found.digits < 1
    for value in (found.rss, found.ess, found.tss, found.r2, found.residual_std, found.intercept_stderr, found.cost):
        assert np.isnan(value)
    for values in (found.stderr, found.tvalues, found.pvalues, found.conf_int()):
        assert np.isnan(values).all()
    found.save(tmp_path / "fit.json")
    assert np.isnan(type(found).load(tmp_path / "fit.json").r2)
    assert 0.5 < before.r2 < 1
    # another target of the same rows is what it was
    both = Moments(2, 2).update(X[:, :2], np.column_stack([y, y]))
    extra = X[:4, :2], np.column_stack([outliers[1], np.zeros(4)])
    both.update(*extra)
    both -= Moments(2, 2, shift=both.shift).update(*extra)
    with pytest.warns(ConditionWarning, match="sum of squares of y is lost"):
        found = both.solve()
    assert np.isnan(found.r2).tolist() == [True, False]
    assert found.r2[1] == pytest.approx(fit(X[:, :2], y).r2, rel=1e-9)
    assert np.isnan(type(found).from_dict(found.to_dict()).rss).tolist() == [True, False]


@pytest.mark.parametrize("size", [1e3, 1e5, 1e6, 1e7])
@pytest.mark.parametrize("precision", ["auto", "extended"])
def test_what_is_known_of_sums_of_squares_after_outliers_is_right(size, precision):
    X, y, _, _ = problem(60, 2)
    rss, tss = exact_squares(X, y)
    M = Moments(2, precision=precision).update(X, y)
    for values in (X[:3] * size, X[3:6]):
        M.update(values, size * y[:3])
        M -= Moments(2, shift=M.shift, precision=precision).update(values, size * y[:3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConditionWarning)
        found = M.solve()
    if size == 1e3 or precision == "extended":
        assert found.stderr.all()
        assert found.rss > 0
    if not np.isnan(found.rss):
        assert abs(Fraction(found.rss) / rss - 1) < Fraction(1, 4)
    if not np.isnan(found.r2):
        assert abs(Fraction(found.r2) - (1 - rss / tss)) < Fraction(1, 10)


@pytest.mark.parametrize("p", [1, 3, 70])
def test_an_exact_fit_has_an_r2_and_no_standard_errors(p):
    """Residuals of sums cannot be told from 0 below some 1e-14 of y: no standard error is better than one of 0."""
    rng = np.random.default_rng(p)
    X = rng.integers(-9, 10, (300, p)).astype(float)
    y = (X * np.arange(1.0, p + 1)).sum(axis=1) + 2
    found = Moments(p).update(X, y).solve()
    assert found.r2 == pytest.approx(1.0, rel=1e-13)
    assert found.digits > 10
    assert np.isnan(found.rss)
    assert np.isnan(found.stderr).all()
    noisy = Moments(p).update(X, y + 1e-4 * y.std() * rng.standard_normal(300)).solve()
    assert (noisy.stderr > 0).all()
    constant = Moments(p, shift=np.full(p + 1, 0.5)).update(X, np.full(300, 7.0)).solve()
    assert (constant.r2, constant.rss, constant.tss) == (1.0, 0.0, 0.0) or np.isnan(constant.r2)


@pytest.mark.parametrize("precision", ["auto", "extended"])
@pytest.mark.parametrize("exponent", [-700, 500, 800, 980])
def test_weights_of_any_scale_within_range(exponent, precision):
    """Products of sums leave float64 long before the sums do; what the weights are no factor of stays."""
    rng = np.random.default_rng(0)
    X, y, w = rng.standard_normal((40, 2)) + 7.0, rng.standard_normal(40), rng.random(40) + 0.5

    def solved(w):
        batches = [
            Moments(2, precision=precision).update(X[at], y[at], sample_weight=w[at]) for at in (slice(9), slice(9, 40))
        ]
        return (batches[0] + batches[1]).solve()

    plain, scaled = solved(w), solved(np.ldexp(w, exponent))
    np.testing.assert_allclose(scaled.coef, plain.coef, rtol=1e-13)
    np.testing.assert_allclose(scaled.stderr, plain.stderr, rtol=1e-13)
    assert scaled.intercept == pytest.approx(plain.intercept, rel=1e-13)
    assert scaled.digits >= 13.0
