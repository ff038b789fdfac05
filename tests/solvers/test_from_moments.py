"""Fits from moments alone: their digits, their rank, certified problems."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.certified import load, sets
from support.compare import assert_close, coefficients, errors_from_intercept, from_intercept
from support.exact import exact_fit, exact_ridge, ulps, worst_lre
from support.problems import chunked, problem

from linreg_fast import ConditionWarning, Moments, RankWarning, fit

pytestmark = pytest.mark.numerics


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
        assert found.digits <= worst_lre(coefficients(found), exact) + 1


@given(st.integers(0, 2**32 - 1))
def test_digits_of_penalised_fits_are_honest(seed):
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(3, 20)), int(rng.integers(1, 4))
    X = rng.standard_normal((n, p)) * 10.0 ** rng.uniform(-2, 2, p) + 10.0 ** rng.uniform(-2, 3)
    X[:, -1] = X[:, 0] * (1 + 1e-5 * X[:, -1])
    y = X @ rng.standard_normal(p) + rng.standard_normal(n)
    root = 2.0 ** int(rng.integers(-12, 4))
    exact = exact_ridge(X, y, root * root)
    for precision in ("auto", "extended"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConditionWarning)
            found = chunked(X, y, sorted(rng.integers(0, n, 2)), precision=precision).solve(l2=root * root)
        assert found.digits <= worst_lre([*found.coef, found.intercept], exact) + 1
    assert worst_lre([*found.coef, found.intercept], exact) >= 15


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


def test_large_offset_against_exact_numbers():
    X, y, _, _ = problem(60, 2, offset=1e8)
    exact = exact_fit(X, y)
    found = chunked(X, y, [1, 20]).solve()
    assert worst_lre(found.coef, exact[:2]) > 14


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
        assert ulps(coefficients(one), exact) <= 1
        # beyond a condition number of 1e6 pairs of cross products have fewer to promise
        assert one.digits >= 14 - 2 * max(0.0, -6 - math.log10(one.rcond))


@sets
def test_certified_problems_in_chunks(name):
    X, y, data = load(name)
    exact = data["exact_float64_design_40"]
    coef = [Fraction(value) for value in exact["coef"]]
    cuts = list(range(3, len(y), 7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConditionWarning)
        warnings.simplefilter("ignore", RankWarning)
        quick = chunked(X, y, cuts).solve(fit_intercept=data["intercept"])
    found = chunked(X, y, cuts, precision="extended").solve(fit_intercept=data["intercept"])
    for one in (quick, found):
        reached = worst_lre(from_intercept(one), coef)
        assert one.digits <= reached + 1
    assert reached >= (13.0 if name == "Filip" else 15.0)
    assert found.rank == X.shape[1]
    if not name.startswith("Wampler") or name[-1] in "345":
        assert worst_lre(errors_from_intercept(found), [Fraction(value) for value in exact["stderr"]]) >= (
            11.5 if name == "Filip" else 14.0
        )


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


def test_small_coefficients_in_pairs():
    """Corrections go on until the smallest coefficient that counts is full, not only the largest."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = rng.integers(-9, 10, (13, 3)) + 1000.0
        X[:, 2] = 2 * X[:, 0] - X[:, 1]
        X += rng.integers(-1, 2, (13, 3))
        y = X[:, 1] - X[:, 2] + 2.0**-33 * rng.integers(-5, 6, 13)
        fit = Moments(3, precision="extended").update(X, y).solve(fit_intercept=False)
        digits = worst_lre(fit.coef, exact_fit(X, y, False))
        assert digits >= fit.digits - 1.5, f"seed {seed}: {fit.digits:.1f} digits promised, {digits:.1f} reached"
        assert digits >= 15, f"seed {seed}"


@pytest.mark.parametrize("apart", [40, 44, 46])
def test_sums_in_double_double_tell_columns_apart_that_float64_ones_do_not(apart):
    x = np.arange(-100, 100) / 128.0
    z = x + np.ldexp(np.resize([1.0, -3.0, 2.0, 5.0, -5.0, 0.0, 7.0], 200), -apart)
    moments = Moments(2, precision="extended").update(np.column_stack([x, z]), x + 2 * z)
    fit = moments.solve()
    assert fit.rank == 2
    off = np.abs(fit.coef - [1.0, 2.0]).max()
    assert 2.0 < fit.digits < 8.0
    assert off <= 10.0 ** (0.5 - fit.digits)
