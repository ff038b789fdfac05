"""The kernels of many problems against their twins, at every level."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from linreg_fast import cpu, reference
from linreg_fast.passes import levels

pytestmark = pytest.mark.numerics

SHIFT_ROWS = 256


@pytest.fixture(params=levels.built)
def kernels(request):
    if request.param not in cpu.levels():
        pytest.skip("not on this processor")
    return levels.of_level(request.param)


def room(n, p):
    return [np.full((n, width), np.nan) for width in (p, 5, p + 1, p + 1)]


def check(found, exact):
    """Coefficients, rss and tss as near as the digits that the kernel says, less one and a half."""
    coef, numbers = found
    *b, b0, rss, tss = exact
    digits = numbers[3]
    assert digits >= 8
    for value, true in [*zip(coef, b, strict=True), (numbers[0], b0)]:
        assert abs(Fraction(float(value)) - true) <= abs(true) * Fraction(10.0 ** (1.5 - digits))
    for value, true in ((numbers[1], rss), (numbers[2], tss)):
        assert abs(Fraction(float(value)) - true) <= tss * Fraction(1e-13)


def some_problems(p, weighted):
    rng = np.random.default_rng(p)
    X = rng.integers(-9, 10, (25 * (p + 3), p)).astype(np.float64) + 40.0
    y = X.sum(axis=1) + rng.integers(-5, 6, len(X))
    w = rng.integers(0, 4, len(X)).astype(np.float64) if weighted else None
    sizes = rng.integers(p + 4, 2 * p + 9, 11)
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    bounds[4] = bounds[3]  # a problem without rows
    return X, y, w, rng.permutation(len(X))[: bounds[-1]], bounds[bounds <= len(X)]


@pytest.mark.parametrize("p", [1, 2, 7, 9])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("fit_intercept", "l2"), [(True, 0.0), (False, 0.0), (True, 0.5)])
@pytest.mark.parametrize("dtype", ["double", "float"])
def test_problems_of_rows_anywhere(kernels, p, weighted, fit_intercept, l2, dtype):
    X, y, w, order, bounds = some_problems(p, weighted)
    bounds = bounds[bounds <= len(order)]
    n, most = len(bounds) - 1, int(np.diff(bounds).max())
    given = X.astype(np.float32) if dtype == "float" else X
    outs = room(n, p)
    work = np.empty(kernels.stack_work_size(p, 1, most, most))
    how = (0, n, most, SHIFT_ROWS, fit_intercept, l2, work)
    kernels.stack[dtype](given, y[:, None], w, order, bounds, *how, *outs)
    assert np.isnan(outs[1][3]).all()
    solved = 0
    for i in [*range(3), *range(4, n)]:
        rows = order[bounds[i] : bounds[i + 1]]
        if np.isnan(outs[1][i, 3]):
            continue
        solved += 1
        check((outs[0][i], outs[1][i]), reference.stack(X, y, w, rows, fit_intercept, l2))
    assert solved >= n - 3
    # brought together beforehand they have the same bits
    again = room(n, p)
    X, y, w = given[order], y[order], None if w is None else w[order]
    for turned in (X, np.asfortranarray(X)):
        kernels.stack[dtype](turned, y[:, None], w, None, bounds, *how, *again)
        if turned is X:
            for one, other in zip(outs, again, strict=True):
                assert one.tobytes() == other.tobytes()
        np.testing.assert_allclose(again[0], outs[0], rtol=1e-8)


@pytest.mark.parametrize("p", [1, 3, 8])
def test_problems_of_sums(kernels, p):
    rng = np.random.default_rng(p)
    n = 19
    S, shifts = np.empty((n, (p + 2) * (p + 3) // 2)), np.zeros((n, p + 2))
    for i in range(n):
        Z = np.column_stack([rng.integers(-9, 10, (4 * p + 6, p)), np.ones(4 * p + 6), rng.integers(-9, 10, 4 * p + 6)])
        S[i] = reference.products(Z, Z)[np.triu_indices(p + 2)]
        shifts[i] = [*rng.integers(-99, 100, p), 0, rng.integers(-99, 100)]
    S[5] = 0.0  # nothing there: declined
    outs = room(n, p)
    kernels.stack_of_sums(S, shifts, 0, n, True, 0.0, np.empty(kernels.stack_sums_work_size(p)), *outs)
    assert np.isnan(outs[1][5, 3])
    for i in [*range(5), *range(6, n)]:
        check((outs[0][i], outs[1][i]), reference.stack_of_sums(S[i], shifts[i], True, 0.0))
