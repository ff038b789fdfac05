"""Moments of a table: shift, scale, what is found in the data."""

from __future__ import annotations

import numpy as np
import pytest
from support.problems import problem
from support.tables import LAYOUTS

from linreg_fast import reference
from linreg_fast.inputs import table as inputs_table
from linreg_fast.inputs.table import table
from linreg_fast.passes import levels, products, table_sums

pytestmark = pytest.mark.numerics


def of(X, y, w=None, fit_intercept=True, n_threads=1):
    return table_sums.of_table(table(X, y, w), fit_intercept, n_threads)


def whole(M):
    """The matrix of all sums, as the twin makes it."""
    p, k = len(M.shift), len(M.target_shift)
    out = np.zeros((p + 1 + k, p + 1 + k))
    out[:p, :p], out[p, p] = M.gram, M.sum_weight
    out[:p, p] = out[p, :p] = M.sums
    out[:p, p + 1 :], out[p + 1 :, :p] = M.cross, M.cross.T
    out[p, p + 1 :] = out[p + 1 :, p] = M.target_sums
    out[np.arange(k) + p + 1, np.arange(k) + p + 1] = M.target_squares
    return out


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("layout", ["C", "F", "strided", "float32"])
def test_against_the_twin(fit_intercept, weighted, n_targets, layout):
    X, y, _, _ = problem(700, 4, offset=3.0)
    X = LAYOUTS[layout](X)
    Y = np.column_stack([y, y**2, -y])[:, :n_targets]
    w = np.arange(700) % 3.0 if weighted else None
    M = of(X, Y, w, fit_intercept)
    shift = np.concatenate([M.shift, M.target_shift])
    expected = reference.shift(X, Y, w, products.SHIFT_ROWS) if fit_intercept else np.zeros(4 + n_targets)
    np.testing.assert_allclose(shift, expected, rtol=1e-13)
    np.testing.assert_allclose(whole(M), reference.moments(X, Y, w, shift), rtol=1e-12, atol=1e-9)
    assert (M.unit == 1).all()
    assert (M.target_unit == 1).all()
    assert M.n_rows == (700 if w is None else np.count_nonzero(w))
    assert pytest.approx(700 if w is None else w.sum(), rel=1e-15) == M.sum_weight


def test_shift_of_constant_columns_leaves_exactly_nothing():
    X, y, _, _ = problem(5000, 3)
    X[:, 1] = 0.1
    M = of(X, y)
    assert M.gram[1, 1] == 0.0
    assert M.shift[1] == 0.1


def test_shift_is_taken_again_where_the_leading_rows_are_far_from_the_rest():
    X, y, _, _ = problem(5000, 2)
    X[0] = 0.0
    X[1:, 0] += 1e6
    X[1:256, 0] = 0.0  # 256 rows of 5000: mu is 4 standard deviations of the mixture away
    M = of(X, y)
    assert M.sums[0] ** 2 / M.sum_weight <= table_sums.SHIFT_LIMIT * (M.gram[0, 0] - M.sums[0] ** 2 / M.sum_weight)


def test_far_shift_with_small_spread():
    """All but the leading rows close together: one pass more, centred where the rows are."""
    X = np.random.default_rng(0).standard_normal((20_000, 1))
    X[256:] += 1e4
    w = np.ones(20_000)
    w[:256] = 1e-12  # leading rows that hardly count
    y = X[:, 0] * 2 + 1
    M = of(X, y, w)
    assert M.sums[0] ** 2 / M.sum_weight <= table_sums.SHIFT_LIMIT * (M.gram[0, 0] - M.sums[0] ** 2 / M.sum_weight)
    assert abs(M.shift[0] - 1e4) < 1


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e300, 1e-300])
@pytest.mark.parametrize("weighted", [False, True])
def test_scale_is_a_power_of_two_that_brings_squares_into_range(scale, weighted):
    X, y, _, _ = problem(300, 3)
    w = np.arange(300) % 3.0 if weighted else None
    X = X * [1.0, scale, 1.0]
    M = of(X, y, w)
    assert np.frexp(M.unit)[0].tolist() == [0.5, 0.5, 0.5]
    assert M.unit[1] != 1.0
    W = (X - M.shift) * M.unit
    np.testing.assert_allclose(M.gram, W.T @ W if w is None else W.T @ (w[:, None] * W), rtol=1e-11, atol=1e-9)
    assert np.isfinite(whole(M)).all()


def test_numbers_of_other_magnitude_do_not_repeat_the_pass(monkeypatch):
    """One pass for usual data, not two."""
    calls = []
    real = levels.moments["float64"]
    monkeypatch.setitem(levels.moments, "float64", lambda *a: calls.append(1) or real(*a))
    X, y, _, _ = problem(2000, 3, offset=1e6)
    of(X * [1e-30, 1.0, 1e30], y + 1e9)
    assert len(calls) == 1


def test_clean_data_are_not_searched(monkeypatch):
    monkeypatch.setattr(inputs_table, "first_fault", lambda data: pytest.fail("the data were read again"))
    X, y, _, _ = problem(300, 3)
    assert of(X, y).sum_weight == 300.0
    assert of(X, y, np.arange(300) % 2.0).sum_weight == 150.0


def test_mean():
    X, y, _, _ = problem(300, 3, offset=7.0)
    M = of(X, y)
    np.testing.assert_allclose(M.shift + M.mean, X.mean(axis=0), rtol=1e-14)


def test_wrong_data_raise_before_anything_is_returned():
    X, y, _, _ = problem(300, 3)
    with pytest.raises(ValueError, match="sample_weight has no positive weight"):
        of(X, y, np.zeros(300))
    X[299, 2] = np.nan
    with pytest.raises(ValueError, match="X has NaN at row 299, column 2"):
        of(X, y)


def test_weights_whose_sum_overflows():
    X, y, _, _ = problem(300, 3)
    with pytest.raises(ValueError, match="sample_weight may be too large"):
        of(X, y, np.full(300, 1e308))
