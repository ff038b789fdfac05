"""The kernels of many targets on one X against their twins, at every level."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from linreg_fast import cpu, reference
from linreg_fast.passes import levels

pytestmark = pytest.mark.numerics


@pytest.fixture(params=levels.built)
def kernels(request):
    if request.param not in cpu.levels():
        pytest.skip("not on this processor")
    return levels.of_level(request.param)


def whole_numbers(n, p, n_targets, weighted):
    """A problem whose sums are exact in any order."""
    rng = np.random.default_rng(n + 100 * p + n_targets)
    X, Y = rng.integers(-9, 10, (n, p)) + 30.0, rng.integers(-9, 10, (n, n_targets)) - 50.0
    w = rng.integers(0, 3, n).astype(np.float64) if weighted else None
    return X, Y, w, np.array([30.0] * p + [-50.0] * n_targets)


def sums_of(kernels, X, Y, w, shift, parts):
    """The rows of what `target_sums` finds over some ranges of rows, without what fills up vectors."""
    p, n_targets, n = X.shape[1], Y.shape[1], len(X)
    work_size, size = kernels.target_sums_sizes(p, n_targets, n)
    out, work = np.zeros(size), np.empty(work_size)
    kernel = kernels.target_sums["float" if X.dtype == np.float32 else "double"]
    for lo, hi in parts:
        kernel(X, Y, w, lo, hi, shift, work, out)
    lanes = kernels.lanes
    rows = out.reshape(-(-p // lanes) * lanes + 2, -1)[:, :n_targets]
    return np.vstack([rows[:p], rows[-2:]]), out


@pytest.mark.parametrize("p", [1, 2, 7, 8, 9, 33])
@pytest.mark.parametrize("n_targets", [1, 7, 24, 50])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_of_whole_numbers_are_exact(kernels, p, n_targets, weighted):
    for n in (1, 8, 63, 300):
        X, Y, w, shift = whole_numbers(n, p, n_targets, weighted)
        twin = reference.target_sums(X, Y, w, shift)
        wide = np.repeat(Y, 3, axis=1)  # targets that do not lie side by side
        for given in (X, np.asfortranarray(X), X.astype(np.float32)):
            for targets in (Y, np.asfortranarray(Y), wide[:, ::3], np.hstack([Y, Y])[:, :n_targets]):
                found, _ = sums_of(kernels, given, targets, w, shift, [(0, n // 3), (n // 3, n)])
                np.testing.assert_array_equal(found, twin)


def test_rows_of_weight_0_are_not_there(kernels):
    X, Y, w, shift = whole_numbers(100, 3, 20, True)
    w[[4, 50]] = 0.0
    twin = reference.target_sums(X, Y, w, shift)
    X[4], Y[50] = np.nan, np.inf
    found, _ = sums_of(kernels, X, Y, w, shift, [(0, 100)])
    np.testing.assert_array_equal(found, twin)


@pytest.mark.parametrize("p", [1, 3, 9])
@pytest.mark.parametrize(("fit_intercept", "l2"), [(True, 0.0), (False, 0.0), (True, 0.5)])
@pytest.mark.parametrize("weighted", [False, True])
def test_fits_from_one_factor(kernels, p, fit_intercept, l2, weighted):
    n, n_targets = 60, 19
    X, Y, w, shift = whole_numbers(n, p, n_targets, weighted)
    Y += 3 * X.sum(axis=1)[:, None]
    shift[p:] += 90.0 * p
    Y[:, 4] = 7.0  # constant: declined
    if not fit_intercept:
        shift[:] = 0.0
    sums, out = sums_of(kernels, X, Y, w, shift, [(0, n)])
    M = reference.moments(X, Y[:, :0], w, shift[:p])
    coef, numbers, columns = np.empty((n_targets, p)), np.empty((5, n_targets)), np.empty(2 * p + 2)
    work = np.empty(kernels.stack_sums_work_size(p))
    kernels.target_fits(M, shift, out, fit_intercept, l2, False, work, coef, numbers, columns)
    digits = numbers[3]
    if fit_intercept:
        assert np.isnan(digits[4])
    for t in [*range(4), *range(5, n_targets)]:
        *b, b0, rss, tss = reference.extended(X, Y[:, t], w, fit_intercept, l2)
        assert digits[t] >= 8
        near = Fraction(10.0 ** (1.5 - digits[t]))
        for value, true in [*zip(coef[t], b, strict=True), (numbers[0, t], b0)]:
            assert abs(Fraction(float(value)) - true) <= abs(true) * near
        for value, true in ((numbers[1, t], rss), (numbers[2, t], tss)):
            assert abs(Fraction(float(value)) - true) <= tss * Fraction(1e-13)
        at_means = b0 + sum(v * Fraction(float(m)) for v, m in zip(b, columns[p + 1 : -1], strict=True))
        assert abs(Fraction(float(numbers[4, t])) - at_means) <= Fraction(1e-12) * (1 + abs(at_means))
    # the same bits as the same problem in a stack
    G = np.zeros((p + 2, p + 2))
    G[: p + 1, : p + 1], G[:, p + 1] = M, sums[:, 0]
    one = [np.empty((1, width)) for width in (p, 5, p + 1, p + 1)]
    shifts = np.array([[*shift[:p], 0.0, shift[p]]])
    kernels.stack_of_sums(G[np.triu_indices(p + 2)][None], shifts, 0, 1, fit_intercept, l2, work, *one)
    assert one[0].tobytes() == coef[:1].tobytes()
    assert one[1].tolist() == [[*numbers[:4, 0], columns[-1]]]
    assert one[2].tobytes() == columns[: p + 1].tobytes()
    assert one[3].tolist() == [[*columns[p + 1 : -1], numbers[4, 0]]]
