"""Kernels of windows and of all rows so far against their twins, at every level."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from support.compare import KERNEL_TOLERANCE
from support.exact import exact_fit, worst_lre

from linreg_fast import reference

C_TYPES = {np.float64: "double", np.float32: "float"}
dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def whole_numbers(rng, n, p, dtype=np.float64, order="C"):
    """Tables whose sums are exact."""
    X = np.asarray(rng.integers(-9, 10, (n, p)), dtype=dtype, order=order)
    return X, rng.integers(-9, 10, n).astype(np.float64)


def by_rows(n, window):
    """Windows as they are laid by rows: start, stop, anchor."""
    at = np.arange(n)
    return np.array([np.maximum(0, at - window + 1), at + 1, at // window * window])


def anywhere(rng, n, longest):
    """Windows that start, stop and share rows in any way that is allowed, some of them empty."""
    start = np.sort(rng.integers(0, n, n))
    stop = np.maximum.accumulate(np.minimum(start + rng.integers(0, longest, n), n))
    anchor, at = [], -1
    for lo, hi in zip(start, stop, strict=True):
        at = at if lo <= at <= hi else int(rng.integers(lo, hi + 1))
        anchor.append(at)
    return np.array([start, stop, anchor])


def sums(kernels, X, y, w, left, order, windows):
    """What `window_sums` leaves; NaN where it writes nothing."""
    p = X.shape[1]
    longest = int((windows[2] - windows[0]).max())
    work = np.full(kernels.window_work_size(p, longest), np.nan)
    out, shifts = (
        np.full((windows.shape[1], (p + 2) * (p + 3) // 2), np.nan),
        np.full((windows.shape[1], p + 2), np.nan),
    )
    kernels.window_sums[C_TYPES[X.dtype.type]](X, y, w, left, order, windows, longest, work, out, shifts)
    return out, shifts


def check_sums(case, windows, found):
    X, y, w, left, order = case
    out, shifts = found
    for i in range(windows.shape[1]):
        start, stop, anchor = windows[:, i]
        if start == stop:
            assert np.isnan(out[i]).all()
            continue
        at = anchor if anchor < stop else anchor - 1
        row = at if order is None else order[at]
        np.testing.assert_array_equal(shifts[i], [*X[row], 0.0, y[row]])
        twin = reference.window_sums(X, y, w, left, order, (start, stop), shifts[i])
        np.testing.assert_array_equal(out[i], twin, err_msg=f"window {i} of {windows.shape[1]}")


@dtypes
@pytest.mark.parametrize("p", [1, 2, 5, 20])
@pytest.mark.parametrize("window", [1, 7, 64, 700])
def test_window_sums_of_whole_numbers(kernels, dtype, p, window):
    """Windows shorter and longer than a block of the kernel."""
    rng = np.random.default_rng(window)
    n = 1000 if window > 100 else 150
    X, y = whole_numbers(rng, n, p, dtype, "F" if p == 2 else "C")
    w = rng.integers(1, 5, n).astype(np.float64) if p == 5 else None
    order = rng.permutation(n) if p in (2, 5) else None
    windows = by_rows(n, window)[:, :: 1 if n < 200 else 37]
    check_sums((X, y, w, None, order), windows, sums(kernels, X, y, w, None, order, np.ascontiguousarray(windows)))


@pytest.mark.parametrize("seed", range(8))
def test_window_sums_of_any_windows(kernels, seed):
    rng = np.random.default_rng(seed)
    X, y = whole_numbers(rng, 300, 3)
    windows = anywhere(rng, 300, (3, 40)[seed % 2])
    check_sums((X, y, None, None, None), windows, sums(kernels, X, y, None, None, None, windows))


@pytest.mark.parametrize("window", [5, 30])
def test_window_sums_of_fading_weights(kernels, window):
    """Halves and quarters: exact too."""
    rng = np.random.default_rng(window)
    X, y = whole_numbers(rng, 90, 2)
    left = rng.choice([1.0, 0.5, 0.25], 90, p=[0.8, 0.15, 0.05])
    windows = by_rows(90, window)
    check_sums((X, y, None, left, None), windows, sums(kernels, X, y, None, left, None, windows))


def test_window_sums_of_real_numbers(kernels):
    rng = np.random.default_rng(3)
    X, y, w = rng.normal(size=(400, 4)), rng.normal(size=400), rng.uniform(0.5, 2.0, 400)
    windows = by_rows(400, 90)
    out, shifts = sums(kernels, X, y, w, None, None, windows)
    for i in range(0, 400, 13):
        start, stop = windows[:2, i]
        Z = np.abs(np.column_stack([X, np.ones(400), y])[start:stop] - shifts[i])
        twin = reference.window_sums(X, y, w, None, None, (start, stop), shifts[i])
        bound = KERNEL_TOLERANCE * (w[start:stop, None] * Z).T.dot(Z)[np.triu_indices(6)]
        assert (abs(out[i] - twin) <= bound).all()


def test_window_sums_take_nothing_from_other_rows(kernels):
    """Not even their rounding: the rows outside are replaced by large ones, and by NaN."""
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(120, 2)), rng.normal(size=120)
    windows = by_rows(120, 25)
    out, _ = sums(kernels, X, y, None, None, None, windows)
    for i in (30, 49, 50, 63, 118):
        for other in (1e12, np.nan):
            start, stop = windows[:2, i]
            V, v = np.full_like(X, other), np.full_like(y, other)
            V[start:stop], v[start:stop] = X[start:stop], y[start:stop]
            np.testing.assert_array_equal(sums(kernels, V, v, None, None, None, windows)[0][i], out[i])


def fits(kernels, X, y, windows, fit_intercept=True, l2=0.0):
    p, n = X.shape[1], windows.shape[1]
    longest = int((windows[2] - windows[0]).max())
    found = [np.full(size, np.nan) for size in ((n, p), (n, 5), (n, p + 1), (n, p + 1))]
    work = np.full(kernels.window_work_size(p, longest), np.nan)
    kernels.window_fits["double"](X, y, None, None, None, windows, longest, fit_intercept, l2, work, *found)
    return found


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("p", [1, 2, 5, 12])
def test_window_fits(kernels, p, fit_intercept):
    """Against the exact fit, with the digits that the kernel says."""
    rng = np.random.default_rng(p)
    X, y = rng.normal(size=(80, p)) + 3.0, rng.normal(size=80)
    windows = np.ascontiguousarray(by_rows(80, 30)[:, 29:])
    coef, numbers, _, _ = fits(kernels, X, y, windows, fit_intercept)
    for i in range(windows.shape[1]):
        part = slice(*windows[:2, i])
        found = [*coef[i], numbers[i, 0]] if fit_intercept else coef[i]
        lre = worst_lre(found, exact_fit(X[part], y[part], fit_intercept))
        assert lre >= numbers[i, 3] - 0.5 > 8, (i, lre, numbers[i, 3])


def test_window_fits_decline(kernels):
    """Two columns that are the same, one whose squares vanish, sums beyond float64, a shift that is far off."""
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    windows = np.ascontiguousarray(by_rows(40, 20)[:, 19:])
    for bad in ("vanishing", "same", "large", "far"):
        Z = X.copy()
        if bad == "vanishing":
            Z[:, 1] *= 1e-170
        elif bad == "same":
            Z[:, 1] = Z[:, 0]
        elif bad == "large":
            Z *= 1e200
        else:
            Z[20] = 1e9
        _, numbers, _, _ = fits(kernels, Z, y, windows)
        declined = np.isnan(numbers[:, 3])
        assert declined[1:].all() if bad == "far" else declined.all(), bad


CLOSED = {"right": (False, True), "left": (True, False), "both": (True, True), "neither": (False, False)}


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["double", "long long"])
def test_windows_by_time(kernels, kind, seed, closed):
    """Times with gaps and duplicates, in groups, whole and in pieces; each window holds its anchor."""
    rng = np.random.default_rng(seed)
    n = 80
    bounds = np.array([0, 1, 30, 55, n]) if seed % 2 else np.array([0, n])
    steps = rng.choice([0, 1, 2, 3, 20], n, p=[0.2, 0.4, 0.2, 0.15, 0.05])
    times = np.concatenate([np.cumsum(steps[a:b]) - 9 for a, b in itertools.pairwise(bounds)])
    times = times.astype(np.float64 if kind == "double" else np.int64)
    twin = reference.windows_by_time(times, bounds, 7, closed)
    for lo, hi in ((0, n), (13, 31), (29, 30), (60, n)):
        out = np.empty((3, hi - lo), dtype=np.intp)
        kernels.windows_by_time[kind](times, bounds, 7, *CLOSED[closed], lo, hi, out)
        for i in range(lo, hi):
            start, stop, anchor = out[:, i - lo]
            assert list(range(start, stop)) == twin[i], (i, closed)
            assert start <= anchor <= stop
        assert (np.diff(out) >= 0).all()


def running(kernels, X, y, w=None, left=None, fresh=None, lo=0, state=None, fit_intercept=True):
    p, n = X.shape[1], len(X) - lo
    found = [np.full(size, np.nan) for size in ((n, p), (n, 5), (n, p + 1), (n, p + 1))]
    state = np.zeros(kernels.running_state_size(p)) if state is None else state.copy()
    work = np.full(kernels.running_work_size(p), np.nan)
    kernels.running_fits["double"](X, y, w, left, None, fresh, lo, fit_intercept, 0.0, state, work, *found)
    return state, found


@pytest.mark.parametrize("length", [1, 3, 7, 100])
def test_windows_by_rows(kernels, length):
    for bounds in ([0, 23], [0, 1, 8, 22, 23], [0, 7, 14, 23]):
        bounds = np.array(bounds, dtype=np.intp)
        twin = reference.windows_by_rows(bounds, length)
        for lo, hi in [(0, 23), (0, 7), (7, 8), (8, 22), (22, 23), (5, 5)]:
            out = np.full((3, hi - lo), -1, dtype=np.intp)
            kernels.windows_by_rows(bounds, length, lo, hi, out)
            assert out.T.tolist() == twin[lo:hi]


@pytest.mark.parametrize("asked", [False, True])
def test_fits_go_to_their_rows(kernels, asked):
    rng = np.random.default_rng(int(asked))
    n, p, places = 9, 3, np.array([4, 0, 11, 7, 2, 3, 9, 1, 10], dtype=np.intp)
    coef, numbers, spread = (rng.random((n, width)) for width in (p, 5, p + 1))
    numbers[:, 4], rank = 2.0, np.zeros(12, dtype=np.int64)

    def room():
        of_squares = [np.zeros(12), np.zeros(12)] if asked else [None, None]
        return [np.zeros((12, p)), np.zeros(12), *of_squares, np.zeros(12), np.zeros((12, p + 1)) if asked else None]

    results, twins = room(), room()
    kernels.put_fits(places, coef, numbers, spread if asked else spread[:0], *results, rank)
    reference.put_fits(places, [coef, *numbers.T[:4], spread], twins)
    for found, twin in zip(results, twins, strict=True):
        np.testing.assert_array_equal(found, twin)
    assert rank.tolist() == [2 if i in places else 0 for i in range(12)]


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_running_state_holds_the_sums(kernels, fit_intercept):
    """By blocks of the kernel, row by row, and put together from stretches: near the twin, whatever the shift."""
    rng = np.random.default_rng(6)
    n, p = 700, 3
    X, y, w = rng.normal(size=(n, p)) + 100.0, rng.normal(size=n), rng.uniform(0.5, 2.0, n)
    left = rng.uniform(0.98, 1.0, n)
    whole, _ = running(kernels, X, y, w, left, fit_intercept=fit_intercept)
    states = np.array([
        running(kernels, X[max(a - 1, 0) : b], y[max(a - 1, 0) : b], w[max(a - 1, 0) : b], left[max(a - 1, 0) : b],
                lo=min(a, 1), fit_intercept=fit_intercept)[0]
        for a, b in ((0, 100), (100, 101), (101, 400), (400, n))
    ])  # fmt: skip
    kernels.running_merge(states, p, np.empty(states.shape[1]))
    one = np.zeros_like(whole)
    for i in range(n):
        assert kernels.running_update(one, X[i], y[i], w[i], left[i - 1] if i else 1.0, fit_intercept, np.empty(p + 2))
    for state in (whole, states[-1], one):
        shift = state[2 : 4 + p]
        assert state[0] == n
        assert abs(shift[:p] - 100).max() < 1 if fit_intercept else not shift.any()
        twin = reference.window_sums(X, y, w, left, None, (0, n), shift)
        hi, lo = state[4 + p :].reshape(2, -1)
        weights = w * np.array([np.prod(left[i : n - 1]) for i in range(n)])
        Z = abs(np.column_stack([X, np.ones(n), y]) - shift)
        bound = KERNEL_TOLERANCE * (weights[:, None] * Z).T.dot(Z)[np.triu_indices(p + 2)]
        assert (abs(hi + lo - twin) <= 4 * bound).all()


def test_running_fits_begin_with_each_group(kernels):
    rng = np.random.default_rng(7)
    X, y = rng.normal(size=(120, 2)), rng.normal(size=120)
    fresh = np.zeros(120, dtype=np.uint8)
    fresh[[0, 50, 51]] = 1
    _, (coef, *_) = running(kernels, X, y, fresh=fresh)
    _, (first, *_) = running(kernels, X[:50], y[:50])
    _, (last, *_) = running(kernels, X[51:], y[51:])
    np.testing.assert_array_equal(coef, np.vstack([first, coef[50:51], last]))


def test_running_fits_are_those_of_the_rows_so_far(kernels):
    rng = np.random.default_rng(8)
    X, y = rng.normal(size=(150, 2)), rng.normal(size=150)
    _, (coef, numbers, *_) = running(kernels, X, y)
    for i in (5, 20, 64, 149):
        lre = worst_lre([*coef[i], numbers[i, 0]], exact_fit(X[: i + 1], y[: i + 1]))
        assert lre >= numbers[i, 3] - 0.5 > 9


def test_update_leaves_a_state_as_it_is_where_a_number_is_not_finite(kernels):
    state = np.zeros(kernels.running_state_size(2))
    work = np.empty(4)
    assert kernels.running_update(state, np.array([1.0, 2.0]), 3.0, 1.0, 1.0, True, work)
    before = state.copy()
    for x, y in (([np.nan, 1.0], 1.0), ([1.0, np.inf], 1.0), ([1.0, 1.0], np.nan)):
        assert not kernels.running_update(state, np.array(x), y, 1.0, 0.5, True, work)
        np.testing.assert_array_equal(state, before)
