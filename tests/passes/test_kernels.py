"""Every kernel of every level against its NumPy twin."""

from __future__ import annotations

import functools
import math
import subprocess
import sys
import textwrap
from fractions import Fraction

import numpy as np
import pytest
from support.compare import KERNEL_TOLERANCE
from support.exact import dot, solve_exactly, ulps

from linreg_fast import Moments, reference
from linreg_fast.algebra.centred import FAR
from linreg_fast.algebra.digits import FULL_DIGITS, ROUNDING
from linreg_fast.algebra.paired import equations
from linreg_fast.algebra.precision import DD_UNIT, EPS
from linreg_fast.options import FitOptions
from linreg_fast.passes import table_sums
from linreg_fast.solvers import closed_form, from_moments

pytestmark = pytest.mark.numerics

P = (*range(1, 18), 24, 25, 31, 63, 64, 65, 70, 130)  # around vectors of 2, 4, 8 and the change of kernel
N = (1, 2, 3, 9, 64, 96, 97, 128, 129, 193, 256, 257, 1000)  # around panels of 64, 96, 128, 192 and 256 rows
C_TYPE = {"float64": "double", "float32": "float"}
WEIGHTS = ("none", "random", "absent rows")
GUARD = -7.25e77

layouts = pytest.mark.parametrize("order", ["C", "F"])
moments_layouts = pytest.mark.parametrize("order", ["C", "F", "apart"])
dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])


def kernel(kernels, name, order, dtype):
    """The entry for both orders, or for one."""
    return (getattr(kernels, name, None) or getattr(kernels, f"{name}_{order.lower()}"))[C_TYPE[dtype]]


def guarded(size, fill, offset=0):
    """A buffer of `size` numbers and a check that nothing around them was written; every alignment to 8 bytes."""
    whole = np.full(size + 40, GUARD)
    part = whole[16 + offset : 16 + offset + size]
    part[:] = fill

    def untouched(case):
        assert (whole[: 16 + offset] == GUARD).all(), f"written before the buffer: {case}"
        assert (whole[16 + offset + size :] == GUARD).all(), f"written past the buffer: {case}"

    return part, untouched


def run_guarded(call, work_size, shape, case, *, before=0.0, offset=0):
    """What a call makes of `before`, with buffers that show every wrong read or write."""
    work, work_untouched = guarded(work_size, np.nan, offset)
    whole, out_untouched = guarded(math.prod(shape), 0.0)
    out = whole.reshape(shape)
    out[:] = before
    call(work, out)
    work_untouched(case)
    out_untouched(case)
    return out


def operands(n, p, n_targets, order, dtype, weights, *, whole_numbers, seed=0):
    """X, Y, w and shift; small whole numbers make every sum exact, in any order."""
    rng = np.random.default_rng([seed, n, p, n_targets])
    if whole_numbers:
        X, Y = rng.integers(-8, 9, (n, p)), rng.integers(-8, 9, (n, n_targets))
        w, shift = rng.integers(1, 5, n), rng.integers(-3, 4, p + n_targets)
    else:
        X, Y = rng.standard_normal((n, p)) + 3, rng.standard_normal((n, n_targets)) - 2
        w, shift = rng.random(n) + 0.1, rng.standard_normal(p + n_targets)
    X, Y, w = np.array(X, dtype=dtype, order="C" if order == "C" else "F"), Y.astype(np.float64), w.astype(np.float64)
    if weights == "absent rows":
        absent = rng.random(n) < 0.4
        absent[:: max(1, n - 1)] = True  # the first and the last row, where there are more than one
        absent &= n > 1
        w[absent] = 0.0
        X[absent], Y[absent] = np.nan, np.inf
    return X, Y, None if weights == "none" else w, shift.astype(np.float64)


def strided(Y, kind):
    """The same targets, otherwise in memory."""
    if kind == "reversed":
        return np.ascontiguousarray(Y[::-1])[::-1]
    wide = np.full((2 * len(Y), 3 * Y.shape[1]), np.nan)
    wide[::2, ::3] = Y
    return wide[::2, ::3]


def scattered(X, hi):
    """The columns of X, each aligned like no other and from high to low addresses; NaN from row hi on."""
    n, p = X.shape
    memory = np.full((p, n + 8), np.nan, X.dtype)
    columns = [memory[p - 1 - j, j % 8 : j % 8 + n] for j in range(p)]
    for j, column in enumerate(columns):
        column[:hi] = X[:hi, j]
    return columns


def run_moments(kernels, X, Y, w, lo, hi, shift, order, dtype, *, before=None, offset=0):
    """M of one kernel call, with buffers that show every wrong read or write."""
    p, n_targets = X.shape[1], Y.shape[1]
    work_size, size = kernels.moments_sizes(p, n_targets, hi - lo)
    work, work_untouched = guarded(work_size, np.nan, offset)
    out, out_untouched = guarded(size, 0.0, offset % 3)
    if before is not None:
        out[:] = before
    if order == "apart":
        columns = scattered(X, hi)
        addresses = np.array([column.ctypes.data for column in columns], dtype=np.uintp)
        kernels.moments_by_address(addresses, dtype == "float32", Y, w, lo, hi, shift, work, out)
    else:
        kernel(kernels, "moments", order, dtype)(X, Y, w, lo, hi, shift, work, out)
    case = (X.shape, n_targets, lo, hi, order, dtype)
    work_untouched(case)
    out_untouched(case)
    M = np.full((p + 1 + n_targets,) * 2, np.nan)
    kernels.moments_unpack(out, p, n_targets, M)
    return M, out


@moments_layouts
@dtypes
def test_moments_whole_numbers(kernels, order, dtype):
    """Bitwise: a row or column that is missed, taken twice or misplaced shows, whatever the shape."""
    for i, p in enumerate(P):
        for j, n in enumerate(N):
            for weights in WEIGHTS if p < 18 or n < 100 else WEIGHTS[(i + j) % 3 :][:1]:
                n_targets = (1, 3, 21, 8)[(i + j) % 4]
                X, Y, w, shift = operands(n, p, n_targets, order, dtype, weights, whole_numbers=True)
                M, _ = run_moments(kernels, X, Y, w, 0, n, shift, order, dtype, offset=(i + j) % 8)
                np.testing.assert_array_equal(
                    M, reference.moments(X, Y, w, shift), err_msg=f"n={n} p={p} targets={n_targets} weights={weights}"
                )


@functools.cache
def real_moments(n, p, dtype, weights):
    """The twin's M of real numbers, and the same sums over absolute values; they take longer than any kernel."""
    X, Y, w, shift = operands(n, p, 3, "C", dtype, weights, whole_numbers=False)
    there = np.ones(n, bool) if w is None else w != 0
    Z = np.hstack([X[there].astype(float) - shift[:p], np.ones((there.sum(), 1)), Y[there] - shift[p:]])
    return reference.moments(X, Y, w, shift), abs(Z).T @ (abs(Z) if w is None else w[there][:, None] * abs(Z))


@moments_layouts
@dtypes
def test_moments_real_numbers(kernels, order, dtype):
    for p in (1, 2, 3, 5, 8, 13, 17, 63, 65, 130):
        for n in (1, 3, 64, 257, 1000):
            for weights in WEIGHTS:
                X, Y, w, shift = operands(n, p, 3, order, dtype, weights, whole_numbers=False)
                M, _ = run_moments(kernels, X, Y, w, 0, n, shift, order, dtype)
                twin, size = real_moments(n, p, dtype, weights)
                wrong = abs(M - twin) > KERNEL_TOLERANCE * size
                assert not wrong.any(), f"n={n} p={p} weights={weights}: {np.argwhere(wrong)[:4]}"


@moments_layouts
@dtypes
def test_moments_row_ranges_add_up(kernels, order, dtype):
    """Any range of rows, and added to what `out` already holds: ranges together make the whole."""
    for p in (1, 4, 7, 8, 9, 31, 64, 70):
        for weights in WEIGHTS:
            n = 700
            X, Y, w, shift = operands(n, p, 1, order, dtype, weights, whole_numbers=True)
            out = None
            for lo, hi in ((0, 1), (1, 64), (64, 67), (67, 67), (67, 400), (400, n)):
                M, _ = run_moments(kernels, X, Y, w, lo, hi, shift, order, dtype)
                part = slice(lo, hi)
                twin = reference.moments(X[part], Y[part], None if w is None else w[part], shift)
                np.testing.assert_array_equal(M, twin, err_msg=f"p={p} weights={weights} rows {lo} to {hi}")
                M, out = run_moments(kernels, X, Y, w, lo, hi, shift, order, dtype, before=out)
            np.testing.assert_array_equal(M, reference.moments(X, Y, w, shift), err_msg=f"p={p} weights={weights}")


@layouts
@dtypes
def test_sums_of_many_rows_stay_accurate(kernels, order, dtype):
    """Chains of additions are short: no growth with the number of rows that a plain running sum would show."""
    n = 200_000
    X = np.array(np.random.default_rng(0).random((n, 1)) + 0.1, dtype=dtype, order=order)
    x = X[:, 0].astype(float)
    M, _ = run_moments(kernels, X, X.astype(float), None, 0, n, np.zeros(2), order, dtype)
    for found, exact in ((M[0, 0], math.fsum(x * x)), (M[0, 1], math.fsum(x)), (M[1, 2], math.fsum(x))):
        assert abs(found - exact) <= 24 * EPS * exact
    out = run_rows(kernels, "gradient", X, np.zeros(n), None, 0, n, np.ones(1), 0.0, order, dtype)
    for found, exact in zip(out, (math.fsum(x * x) / 2, math.fsum(x * x), math.fsum(x), n), strict=True):
        assert abs(found - exact) <= 24 * EPS * exact


def test_moments_many_panels(kernels):
    """More rows than are flushed at once, and a workspace sized for more rows than the call has."""
    n, p = 64 * 64 * 2 + 65, 3
    X, Y, w, shift = operands(n, p, 1, "C", "float64", "random", whole_numbers=True)
    M, _ = run_moments(kernels, X, Y, w, 0, n, shift, "C", "float64")
    np.testing.assert_array_equal(M, reference.moments(X, Y, w, shift))
    work_size, size = kernels.moments_sizes(p, 1, n)
    for hi in (1, 2, 63, 65):
        out = np.zeros(size)
        kernels.moments["double"](X, Y, w, 0, hi, shift, np.full(work_size, np.nan), out)
        kernels.moments_unpack(out, p, 1, M)
        np.testing.assert_array_equal(M, reference.moments(X[:hi], Y[:hi], w[:hi], shift))


@moments_layouts
@pytest.mark.parametrize("kind", ["reversed", "strided"])
def test_moments_of_strided_targets_and_weights(kernels, order, kind):
    for n_targets in (1, 3):
        X, Y, w, shift = operands(300, 5, n_targets, order, "float64", "absent rows", whole_numbers=True)
        M, _ = run_moments(
            kernels, X, strided(Y, kind), strided(w[:, None], kind)[:, 0], 3, 290, shift, order, "float64"
        )
        np.testing.assert_array_equal(M, reference.moments(X[3:290], Y[3:290], w[3:290], shift))


@layouts
@dtypes
def test_moments_of_many_targets(kernels, order, dtype):
    """Whichever way they lie in memory, and where they fill no whole vector."""
    shapes = ((8, 50), (9, 64), (20, 50), (20, 51), (33, 18), (64, 130), (3, 300), (0, 300), (70, 9), (130, 40))
    for i, (p, n_targets) in enumerate(shapes):
        for j, n in enumerate((1, 7, 97, 300)):
            X, Y, w, shift = operands(n, p, n_targets, order, dtype, WEIGHTS[(i + j) % 3], whole_numbers=True)
            twin = reference.moments(X, Y, w, shift)
            turned = Y[:, ::-1].copy()[:, ::-1]
            for V in (Y, np.asfortranarray(Y), strided(Y, "reversed"), strided(Y, "strided"), turned):
                M, _ = run_moments(kernels, X, V, w, 0, n, shift, order, dtype, offset=(i + j) % 8)
                np.testing.assert_array_equal(M, twin, err_msg=f"n={n} p={p} targets={n_targets}")
            half = slice(n // 3, n)
            M, _ = run_moments(kernels, X, Y, w, n // 3, n, shift, order, dtype)
            np.testing.assert_array_equal(M, reference.moments(X[half], Y[half], w if w is None else w[half], shift))


@layouts
def test_moments_without_columns_or_targets(kernels, order):
    for p, n_targets in ((0, 1), (0, 3), (3, 0)):
        X, Y, w, shift = operands(70, p, n_targets, order, "float64", "random", whole_numbers=True)
        M, _ = run_moments(kernels, X, Y, w, 0, 70, shift, order, "float64")
        np.testing.assert_array_equal(M, reference.moments(X, Y, w, shift))


@layouts
@dtypes
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_moments_show_what_is_not_finite(kernels, order, dtype, bad):
    """Whichever number of X, y or w is not finite, M is not either; a negative weight makes sum w NaN."""
    for p in (1, 3, 8, 9, 70):
        for n in (1, 64, 65, 257):
            for row, column in ((0, 0), (n - 1, p - 1), (n // 2, p // 2)):
                for where in ("X", "y", "w"):
                    X, Y, w, shift = operands(n, p, 1, order, dtype, "random", whole_numbers=True)
                    {"X": X, "y": Y, "w": w[:, None]}[where][row, column if where == "X" else 0] = bad
                    M, _ = run_moments(kernels, X, Y, w, 0, n, shift, order, dtype)
                    assert not np.isfinite(M).all(), f"n={n} p={p}: {bad} in {where} at {row}, {column}"
    X, Y, w, shift = operands(65, 3, 1, order, dtype, "random", whole_numbers=True)
    w[40] = -1.0
    M, _ = run_moments(kernels, X, Y, w, 0, 65, shift, order, dtype)
    assert np.isnan(M[3, 3])


@dtypes
def test_entry_reads_how_the_numbers_lie(kernels, dtype):
    """Strides of one row or one column are anything; what is in neither order is refused, or read as it is."""
    wide = np.array(np.random.default_rng(0).integers(-8, 9, (60, 30)), dtype=dtype)
    for X in (
        wide[::2][:1],
        wide[:, ::3][:, :1].copy(),
        wide[::7, ::9][:1, :1],
        np.asfortranarray(wide)[:, :1],
        wide,
        wide.T,
    ):
        n, p = X.shape
        _, Y, w, shift = operands(n, p, 1, "C", dtype, "random", whole_numbers=True)
        M, _ = run_moments(kernels, X, Y, w, 0, n, shift, "C", dtype)
        np.testing.assert_array_equal(M, reference.moments(X, Y, w, shift), err_msg=f"{X.shape}, strides {X.strides}")
        out = np.empty(p + 1)
        kernel(kernels, "shift", "C", dtype)(X, Y, None, 1, out)
        np.testing.assert_array_equal(out, np.append(X[0], Y[0]))
    for X in (wide[::2], wide[:, ::2], wide[::-1], wide[:, ::-1], wide.T[1:]):
        n, p = X.shape
        _, Y, w, shift = operands(n, p, 1, "C", dtype, "random", whole_numbers=True)
        with pytest.raises(ValueError, match="neither C- nor F-contiguous"):
            run_moments(kernels, X, Y, w, 0, n, shift, "C", dtype)
        with pytest.raises(ValueError, match="neither C- nor F-contiguous"):
            kernel(kernels, "shift", "C", dtype)(X, Y, w, n, np.empty(p + 1))
    for X in (wide[::2, :9], wide[:, ::-4], wide[::-1, 3:8]):
        n, p = X.shape
        _, Y, w, shift = operands(n, p, 1, "C", dtype, "random", whole_numbers=True)
        for name, size, coef in (("refine", (p + 2, 2), [np.ones((p + 1, 2))]), ("dd_moments", (p + 2, p + 2, 2), [])):
            work = getattr(kernels, f"{name}_work_size")(*(p, 1)[: 2 - len(coef)])
            found, expected = np.zeros(size), np.zeros(size)
            for out, A in ((found, X), (expected, np.ascontiguousarray(X))):
                y = Y[:, 0] if coef else Y
                kernel(kernels, name, "C", dtype)(A, y, w, 1, n, np.ones(p + 1), shift, *coef, np.empty(work), out)
            np.testing.assert_array_equal(found, expected, err_msg=f"{name} {X.shape}, strides {X.strides}")


@layouts
@dtypes
def test_shift(kernels, order, dtype):
    for p in (1, 3, 8, 17):
        for n in (1, 5, 300):
            for weights in WEIGHTS:
                X, Y, w, _ = operands(n, p, 2, order, dtype, weights, whole_numbers=False)
                for rows in (1, 4, 256):
                    out, untouched = guarded(p + 2, np.nan)
                    kernel(kernels, "shift", order, dtype)(X, Y, w, rows, out)
                    case = f"n={n} p={p} weights={weights} rows={rows}"
                    untouched(case)
                    np.testing.assert_allclose(out, reference.shift(X, Y, w, rows), rtol=1e-13, atol=0, err_msg=case)


@layouts
@dtypes
def test_shift_of_constant_columns_is_exact(kernels, order, dtype):
    X = np.full((300, 3), 0.1, dtype=dtype, order=order)
    out = np.empty(4)
    kernel(kernels, "shift", order, dtype)(X, np.full((300, 1), 1e9 / 3), None, 256, out)
    assert (out == [*[float(X[0, 0])] * 3, 1e9 / 3]).all()


def test_shift_without_a_row(kernels):
    out = np.full(3, np.nan)
    kernels.shift["double"](np.ones((4, 2)), np.ones((4, 1)), np.zeros(4), 256, out)
    assert (out == 0).all()


@layouts
@dtypes
def test_predict(kernels, order, dtype):
    for p in P:
        for n in N:
            X, _, _, _ = operands(n, p, 1, order, dtype, "none", whole_numbers=True)
            for n_targets in (1, 3):
                rng = np.random.default_rng([n, p])
                coef = rng.integers(-8, 9, (n_targets, p)).astype(float)
                intercept = rng.integers(-8, 9, n_targets).astype(float)
                work, work_untouched = guarded(kernels.row_work_size(p), np.nan)
                whole = np.full((n + 2, n_targets + 1), GUARD)
                kernel(kernels, "predict", order, dtype)(X, 0, n, coef, intercept, work, whole[1:-1, :-1])
                case = f"n={n} p={p} targets={n_targets}"
                work_untouched(case)
                np.testing.assert_array_equal(whole[1:-1, :-1], reference.predict(X, coef, intercept), err_msg=case)
                whole[1:-1, :-1] = GUARD
                assert (whole == GUARD).all(), case
                lo, hi = n // 3, n - n // 4
                kernel(kernels, "predict", order, dtype)(X, lo, hi, coef, intercept, work, whole[n:0:-1, :-1])
                expected = np.full_like(whole, GUARD)
                expected[n - lo : n - hi : -1, :-1] = reference.predict(X[lo:hi], coef, intercept)
                np.testing.assert_array_equal(whole, expected, err_msg=f"{case} rows {lo} to {hi}")


def run_rows(kernels, name, X, y, w, lo, hi, coef, intercept, order, dtype, *, before=0.0, offset=0):
    """What the cost or the gradient kernel adds to `before`."""
    p = X.shape[1]
    run = functools.partial(kernel(kernels, name, order, dtype), X, y, w, lo, hi, coef, intercept)
    shape, case = (2 if name == "cost" else p + 3,), (name, X.shape, lo, hi)
    return run_guarded(run, kernels.row_work_size(p), shape, case, before=before, offset=offset)


@layouts
@dtypes
def test_cost_and_gradient_whole_numbers(kernels, order, dtype):
    for i, p in enumerate(P):
        for j, n in enumerate(N):
            for weights in WEIGHTS:
                X, Y, w, shift = operands(n, p, 1, order, dtype, weights, whole_numbers=True)
                y, coef, case = Y[:, 0], shift[:p], f"n={n} p={p} weights={weights}"
                twin = reference.gradient(X, y, w, coef, 2.0)
                out = run_rows(kernels, "gradient", X, y, w, 0, n, coef, 2.0, order, dtype, offset=(i + j) % 8)
                np.testing.assert_array_equal(out, twin, err_msg=case)
                out = run_rows(kernels, "cost", X, y, w, 0, n, coef, 2.0, order, dtype)
                assert out[0] == reference.cost(X, y, w, coef, 2.0) == twin[0], case
                assert out[1] == twin[-1], case
                lo, hi = n // 3, n - n // 4
                part = slice(lo, hi)
                twin = reference.gradient(X[part], y[part], None if w is None else w[part], coef, 2.0)
                y_odd, w_odd = strided(Y, "strided")[:, 0], None if w is None else strided(w[:, None], "reversed")[:, 0]
                out = run_rows(kernels, "gradient", X, y_odd, w_odd, lo, hi, coef, 2.0, order, dtype, before=5.0)
                np.testing.assert_array_equal(out, 5.0 + twin, err_msg=f"{case} rows {lo} to {hi}")
                out = run_rows(kernels, "cost", X, y_odd, w_odd, lo, hi, coef, 2.0, order, dtype, before=5.0)
                np.testing.assert_array_equal(out, 5.0 + twin[[0, -1]], err_msg=f"{case} rows {lo} to {hi}")


@layouts
@dtypes
def test_cost_and_gradient_real_numbers(kernels, order, dtype):
    for p in (1, 2, 3, 8, 13, 65, 770, 2100):  # long rows are read differently
        for n in (1, 7, 257, 1000 if p < 100 else 70):
            for weights in WEIGHTS:
                X, Y, w, shift = operands(n, p, 1, order, dtype, weights, whole_numbers=False)
                y, coef, case = Y[:, 0], shift[:p], f"n={n} p={p} weights={weights}"
                there = slice(None) if w is None else w != 0
                size_r = abs(X[there].astype(float)) @ abs(coef) + 2.0 + abs(y[there])
                wr = size_r if w is None else w[there] * size_r
                sum_w = n if w is None else w.sum()
                bound = np.concatenate([[wr @ size_r], wr @ abs(X[there].astype(float)), [wr.sum(), sum_w]])
                out = run_rows(kernels, "gradient", X, y, w, 0, n, coef, 2.0, order, dtype)
                error = abs(out - reference.gradient(X, y, w, coef, 2.0))
                assert (error <= KERNEL_TOLERANCE * bound).all(), case
                cost = run_rows(kernels, "cost", X, y, w, 0, n, coef, 2.0, order, dtype)[0]
                assert abs(cost - reference.cost(X, y, w, coef, 2.0)) <= KERNEL_TOLERANCE * bound[0], case


@layouts
def test_cost_and_gradient_over_many_chunks(kernels, order):
    """More chunks of rows than are flushed at once."""
    X, Y, w, _ = operands(70_000, 2, 1, order, "float64", "absent rows", whole_numbers=True)
    coef = np.array([1.0, -2.0])
    out = run_rows(kernels, "gradient", X, Y[:, 0], w, 0, 70_000, coef, 1.0, order, "float64")
    np.testing.assert_array_equal(out, reference.gradient(X, Y[:, 0], w, coef, 1.0))
    assert run_rows(kernels, "cost", X, Y[:, 0], w, 0, 70_000, coef, 1.0, order, "float64")[0] == out[0]


@layouts
@dtypes
@pytest.mark.parametrize("p", [1, 5, 900])
def test_cost_and_gradient_mark_negative_weights(kernels, order, dtype, p):
    X, Y, _, shift = operands(50, p, 1, order, dtype, "none", whole_numbers=True)
    for row in (0, 17, 49):
        w = np.ones(50)
        w[row] = -1.0
        for name in ("cost", "gradient"):
            out = run_rows(kernels, name, X, Y[:, 0], w, 0, 50, shift[:p], 2.0, order, dtype)
            assert np.isnan(out[-1]), (name, row)
            assert np.isfinite(out[:-1]).all(), (name, row)


@layouts
def test_row_kernels_without_columns(kernels, order):
    X, Y, w, _ = operands(70, 0, 1, order, "float64", "random", whole_numbers=True)
    y, none = Y[:, 0], np.empty(0)
    out = run_rows(kernels, "gradient", X, y, w, 0, 70, none, 3.0, order, "float64")
    np.testing.assert_array_equal(out, reference.gradient(X, y, w, none, 3.0))
    assert run_rows(kernels, "cost", X, y, w, 0, 70, none, 3.0, order, "float64")[0] == out[0]
    predicted = np.empty((70, 1))
    kernel(kernels, "predict", order, "float64")(
        X, 0, 70, np.empty((1, 0)), np.array([3.0]), np.empty(kernels.row_work_size(0)), predicted
    )
    assert (predicted == 3.0).all()


def run_descent(kernels, X, y, w, shift, rate, n_steps, nesterov, fit_intercept, *, l2=0.0, stride=None, start=None):
    """The descent kernel on moments that the twin made; iterates from one call for each `stride` steps."""
    p = X.shape[1]
    M = reference.moments(X, y[:, None], w, shift)
    M, N = M / M[p, p], M[p, p]
    size = p + fit_intercept
    A, c = M[:size, :size].copy(), M[:size, p + 1].copy()
    A[np.diag_indices(p)] += l2 / N
    state = np.zeros((6, size))
    if start is not None:
        state[0] = state[1] = start
    if fit_intercept:
        state[1, p] = state[0, p] + shift[:p] @ state[0, :p] - shift[p]
    history = np.full(n_steps + 1, np.nan)
    iterates, steps = [state[0].copy()], 0
    for last in range(stride or n_steps, n_steps + 1, stride or n_steps):
        status, steps = kernels.descent(
            A, c, M[p + 1, p + 1] / 2, shift if fit_intercept else np.empty(0), rate, nesterov, -1.0, steps, last,
            state, history,
        )  # fmt: skip
        assert (status, steps) == (0, last)
        iterates.append(state[0].copy())
    return np.array(iterates), history


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_descent(kernels, nesterov, fit_intercept):
    """Step for step the textbook's iteration on the raw columns, though the moments are shifted."""
    for p in (1, 2, 3, 7, 8, 9, 17, 33):
        for weights in WEIGHTS:
            X, Y, w, shift = operands(200, p, 1, "C", "float64", weights, whole_numbers=False)
            X /= 4
            shift *= fit_intercept
            rate, start = 0.5 / (1 + p), np.arange(p + fit_intercept) / 10
            twin, costs = reference.descent(
                X, Y[:, 0], rate, 60, w=w, fit_intercept=fit_intercept, nesterov=nesterov, l2=3.0, start=start
            )
            case = f"p={p} weights={weights}"
            for stride in (1, 20):
                iterates, history = run_descent(
                    kernels, X, Y[:, 0], w, shift, rate, 60, nesterov, fit_intercept, l2=3.0, stride=stride, start=start
                )
                np.testing.assert_allclose(
                    iterates, twin[::stride], rtol=1e-10, atol=1e-10 * abs(twin).max(), err_msg=case
                )
                np.testing.assert_allclose(history, costs, rtol=1e-10, err_msg=case)


def test_descent_status(kernels):
    A, c, none = np.diag([1.0, 4.0]), np.array([1.0, 4.0]), np.empty(0)
    history, state = np.full(101, np.nan), np.zeros((6, 2))
    status, steps = kernels.descent(A, c, 2.5, none, 0.4, False, 1e-6, 0, 100, state, history)
    assert status == 1
    assert steps < 100
    np.testing.assert_allclose(state[0], 1.0, atol=1e-5)
    assert np.isfinite(history[: steps + 1]).all()
    assert np.isnan(history[steps + 1 :]).all()
    state[:] = 0
    status, steps = kernels.descent(A, c, 2.5, none, 0.51, False, 1e-6, 0, 100, state, history)
    assert (status, steps <= 40) == (2, True)  # 4 * 0.51 > 2
    state[:] = 0
    status, steps = kernels.descent(A, np.array([1.0, np.nan]), 2.5, none, 0.1, False, 1e-6, 0, 100, state, history)
    assert (status, steps) == (2, 0)


def run_refine(kernels, X, y, w, lo, hi, scale, shift, coef, order, dtype, *, before=0.0):
    p = X.shape[1]
    run = functools.partial(kernel(kernels, "refine", order, dtype), X, y, w, lo, hi, scale, shift, coef)
    return run_guarded(run, kernels.refine_work_size(p), (p + 2, 2), (X.shape, lo, hi), before=before)


@layouts
@dtypes
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_refine(kernels, order, dtype, weights, offset):
    """Against rational arithmetic: some 100 bits of the spread, where residuals cancel all that float64 has."""
    for p in (0, 1, 2, 3, 7, 8, 9):
        for n in (1, 2, 7, 8, 9, 63, 70):
            X, Y, w, _ = operands(n, p, 1, order, dtype, weights, whole_numbers=False)
            X += offset
            y, rng = Y[:, 0], np.random.default_rng([n, p])
            scale = np.ldexp(1.0, rng.integers(-3, 4, p + 1))
            shift = scale * (offset + rng.random(p + 1))
            b = rng.standard_normal(p + 1)
            coef = np.column_stack([b, b * 2.0**-55 * rng.random(p + 1)])
            there = slice(None) if w is None else w != 0
            Z = X[there].astype(float) * scale[:p] - shift[:p]
            y[there] = (Z @ b[:p] + b[p] + shift[p]) / scale[p]  # residuals of rounding
            exact = reference.refine(X, y, w, scale, shift, coef)
            z = np.column_stack([abs(Z), np.ones(len(Z))])
            size_r = abs(y[there] * scale[p] - shift[p]) + z @ abs(b)
            wr = size_r if w is None else w[there] * size_r
            size = [*(wr @ z), wr @ size_r]
            case = f"n={n} p={p} weights={weights}"
            out = run_refine(kernels, X, y, w, 0, n, scale, shift, coef, order, dtype)
            for pair, true, bound in zip(out, exact, size, strict=True):
                assert abs(Fraction(pair[0]) + Fraction(pair[1]) - true) <= Fraction(bound) / 2**98, case
            lo = n // 3
            parts = run_refine(kernels, X, y, w, 0, lo, scale, shift, coef, order, dtype)
            parts = run_refine(kernels, X, y, w, lo, n, scale, shift, coef, order, dtype, before=parts)
            for pair, true, bound in zip(parts, exact, size, strict=True):
                assert abs(Fraction(pair[0]) + Fraction(pair[1]) - true) <= Fraction(bound) / 2**98, f"{case} parts"


def run_dd_moments(kernels, X, Y, w, lo, hi, scale, shift, order, dtype, *, before=0.0):
    p, n_targets = X.shape[1], Y.shape[1]
    shape = (p + 1 + n_targets, p + 1 + n_targets, 2)
    run = functools.partial(kernel(kernels, "dd_moments", order, dtype), X, Y, w, lo, hi, scale, shift)
    return run_guarded(run, kernels.dd_moments_work_size(p, n_targets), shape, (X.shape, lo, hi), before=before)


@layouts
@dtypes
@pytest.mark.parametrize("weights", WEIGHTS)
def test_dd_moments(kernels, order, dtype, weights):
    """Against rational arithmetic, with an offset that a rounded difference would not survive."""
    for p, n_targets, ns in (
        (0, 1, (1, 3)),
        (1, 1, (1, 7, 64, 65, 130)),
        (2, 3, (5, 66)),
        (5, 1, (63, 70)),
        (9, 2, (9,)),
    ):
        for n in ns:
            X, Y, w, _ = operands(n, p, n_targets, order, dtype, weights, whole_numbers=False)
            X, Y = X + X.dtype.type(1e6), strided(Y, "wide")
            rng = np.random.default_rng([n, p])
            scale = np.ldexp(1.0, rng.integers(-3, 4, p + n_targets))
            shift = scale * np.concatenate([1e6 + rng.random(p), rng.random(n_targets)])
            exact = reference.dd_moments(X, Y, w, scale, shift)
            there = slice(None) if w is None else w != 0
            z = np.hstack([X[there], Y[there]]) * scale - shift
            size = reference.moments(
                abs(z[:, :p]), abs(z[:, p:]), None if w is None else w[there], np.zeros(len(shift))
            )
            lo = n // 3
            whole = run_dd_moments(kernels, X, Y, w, 0, n, scale, shift, order, dtype)
            parts = run_dd_moments(kernels, X, Y, w, 0, lo, scale, shift, order, dtype)
            parts = run_dd_moments(kernels, X, Y, w, lo, n, scale, shift, order, dtype, before=parts)
            for out in (whole, parts):
                assert (np.tril(out[..., 0], -1) == 0).all()
                for i, j in zip(*np.triu_indices(len(size)), strict=True):
                    error = abs(Fraction(out[i, j, 0]) + Fraction(out[i, j, 1]) - exact[i][j])
                    assert error <= Fraction(size[i, j]) / 2**98, f"n={n} p={p} weights={weights} entry {i}, {j}"


@layouts
@dtypes
def test_dd_moments_mark_negative_weights(kernels, order, dtype):
    X, Y, _, _ = operands(70, 2, 1, order, dtype, None, whole_numbers=False)
    for row in (0, 5, 63, 64, 69):
        w = np.ones(70)
        w[row] = -(2.0**-1000)
        out = run_dd_moments(kernels, X, Y, w, 0, 70, np.ones(3), np.zeros(3), order, dtype)
        assert np.isnan(out[2, 2, 0]), row


def test_double_double_works(kernels):
    assert kernels.double_double_works(1 + 2.0**-30, 1 + 2.0**-30)
    assert not kernels.double_double_works(1.0, 1.0)


def run_small(kernels, X, y, w, fit_intercept, l2, order, dtype, *, shift_rows=256, offset=0):
    """(found, res) of one call, with guarded buffers; the same from moments by `small_solve`."""
    n, p = X.shape
    n_targets = 1 if y.ndim == 1 else y.shape[1]
    work_size, size = kernels.small_work_size(p, n_targets, n), kernels.small_result_size(p, n_targets)
    work, work_untouched = guarded(work_size, np.nan, offset)
    res, res_untouched = guarded(size, np.nan, offset)
    assert X.dtype == dtype
    assert X.flags[f"{order}_CONTIGUOUS"]
    done = kernels.small(X, y, w, shift_rows, fit_intercept, l2, work, res)
    work_untouched(X.shape)
    res_untouched(X.shape)
    Y = y.reshape(n, n_targets)
    shift = reference.shift(X, Y, w, shift_rows) * fit_intercept
    M_work, out_size = kernels.moments_sizes(p, n_targets, n)
    out, work[:] = np.zeros(out_size), np.nan
    kernel(kernels, "moments", order, dtype)(X, Y, w, 0, n, shift, np.empty(M_work), out)
    again, again_untouched = guarded(size, np.nan)
    found = kernels.small_solve(out, p, n_targets, fit_intercept, l2, shift, work, again)
    assert (found is None) == (done is None)
    work_untouched(X.shape)
    again_untouched(X.shape)
    if done:
        first, tail = np.arange(p, p + 3) * n_targets, (p + 3) * n_targets
        far = tail + 2 * p + 4 + n_targets
        assert done == (*res[first], *res[tail : tail + 3], res[far] > 0)
        assert found == (*again[first], *again[tail : tail + 3], again[far] > 0)
        np.testing.assert_allclose(again, res, rtol=1e-9, atol=1e-11 * np.nanmax(abs(res)))
    return done, res


@layouts
@dtypes
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_small(kernels, order, dtype, fit_intercept):
    for p in (*range(1, 10), 15, 16, 17, 31, 33, 63, 64):
        for weights in WEIGHTS:
            for n in (2 * p + 6, 4 * p + 65):
                X, Y, w, _ = operands(n, p, 1, order, dtype, weights, whole_numbers=False)
                if weights == "absent rows" and np.count_nonzero(w) < 1.4 * p + 3:
                    continue  # hardly more rows than columns: not a well-conditioned problem
                for l2 in (0.0, 2.5):
                    done, res = run_small(kernels, X, Y[:, 0], w, fit_intercept, l2, order, dtype, offset=p % 8)
                    case = f"n={n} p={p} weights={weights} l2={l2}"
                    assert done, case
                    twin = reference.small(X, Y[:, 0], w, fit_intercept, l2)
                    np.testing.assert_allclose(res[: p + 1], twin[: p + 1], rtol=1e-9, atol=1e-9, err_msg=case)
                    np.testing.assert_allclose(res[p + 1 : p + 3], twin[p + 1 :], rtol=1e-9, err_msg=case)
                    assert 0 < res[p + 3] <= 15.95, case
                    assert 0 < res[p + 4] <= 1.0 + 1e-14, case
                    assert res[p + 5] == pytest.approx(n if w is None else w.sum(), rel=1e-14), case
                    if l2 == 0.0:
                        there = slice(None) if w is None else w != 0
                        Z = X[there].astype(float)
                        Z = Z - np.average(Z, axis=0, weights=None if w is None else w[there]) * fit_intercept
                        Z = Z if w is None else Z * np.sqrt(w[there])[:, None]
                        inverse = np.linalg.inv(Z.T @ Z)
                        np.testing.assert_allclose(
                            res[p + 6 : 2 * p + 6] ** 2, np.diagonal(inverse), rtol=1e-9, err_msg=case
                        )
                        packed = inverse[np.triu_indices(p)]
                        np.testing.assert_allclose(res[-len(packed) :], packed, rtol=1e-8, atol=1e-9 * packed.max())
                        if fit_intercept:
                            m = np.average(X[there].astype(float), axis=0, weights=None if w is None else w[there])
                            assert res[2 * p + 6] ** 2 == pytest.approx(1 / res[p + 5] + m @ inverse @ m, rel=1e-9), (
                                case
                            )
                        rcond = 1 / np.linalg.cond(Z / np.linalg.norm(Z, axis=0))
                        assert rcond / (4 * p) <= res[p + 4] <= rcond * 4 * p, case  # 1-norm, other scaling


@layouts
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_small_of_several_targets(kernels, order, fit_intercept):
    """Each target as it is found alone, the digits those of the worst."""
    for p in (1, 2, 4, 5, 10, 17, 33, 64):
        for n_targets in (1, 2, 3, 4, 5, 9, 50, 200):
            for weights in WEIGHTS:
                n, l2 = 3 * p + 70, 2.5 * (p % 2)
                X, Y, w, _ = operands(n, p, n_targets, order, "float64", weights, whole_numbers=False)
                Y *= np.arange(1, n_targets + 1)
                Y = np.asfortranarray(Y) if n_targets == 9 else Y
                done, res = run_small(kernels, X, Y, w, fit_intercept, l2, order, "float64", offset=p % 8)
                case = f"p={p} targets={n_targets} weights={weights}"
                assert done, case
                coef = res[: n_targets * p].reshape(n_targets, p)
                scalars, tail = (
                    res[n_targets * p : n_targets * (p + 3)].reshape(3, n_targets),
                    res[n_targets * (p + 3) :],
                )
                digits = []
                for t in range(n_targets):
                    alone, found = run_small(kernels, X, Y[:, t], w, fit_intercept, l2, order, "float64")
                    assert alone, case
                    size = abs(found[:p]).max()
                    np.testing.assert_allclose(coef[t], found[:p], rtol=1e-11, atol=1e-11 * size, err_msg=case)
                    np.testing.assert_allclose(scalars[0, t], found[p], rtol=1e-9, atol=1e-11 * size, err_msg=case)
                    np.testing.assert_allclose(scalars[1:, t], found[p + 1 : p + 3], rtol=1e-11, err_msg=case)
                    np.testing.assert_allclose(
                        tail[1 : 2 * p + 4], found[p + 4 : 2 * p + 7 + p], rtol=1e-11, err_msg=case
                    )
                    v = tail[2 * p + 4 + t]
                    assert v == pytest.approx(found[3 * p + 7], rel=1e-9, abs=1e-11 * size), case
                    digits.append(found[p + 3])
                assert tail[0] == pytest.approx(min(digits), abs=1e-3), case


@layouts
@pytest.mark.parametrize("n_targets", [1, 3])
def test_small_far_from_zero(kernels, order, n_targets):
    """The means, the predictions there, and whether products with them would cost predictions a digit."""
    for p in (1, 3, 8, 17):
        X, Y, w, _ = operands(100, p, n_targets, order, "float64", "random", whole_numbers=False)
        for offset in (0.0, 2.0**10, 2.0**40):
            shifted = np.asarray(X + offset, order=order)
            done, res = run_small(kernels, shifted, Y, w, True, 0.0, order, "float64")
            assert done[6] == (offset > 0)
            at = n_targets * (p + 3) + p + 4
            c, v = np.split(res[at : at + p + n_targets], [p])
            exact = [
                [sum(Fraction(a) * Fraction(b) for a, b in zip(w, column, strict=True)) for column in A.T]
                for A in (shifted, Y)
            ]
            N = sum(map(Fraction, w))
            np.testing.assert_allclose(c, [float(total / N) for total in exact[0]], rtol=2e-15, atol=1e-15)
            for t in range(n_targets):
                b = res[t * p : (t + 1) * p]
                at_c = exact[1][t] / N + sum(
                    (Fraction(a) - total / N) * Fraction(slope) for a, total, slope in zip(c, exact[0], b, strict=True)
                )
                assert v[t] == pytest.approx(float(at_c), rel=1e-13, abs=1e-15), (p, offset)
        done, res = run_small(kernels, X, Y, w, False, 0.0, order, "float64")
        assert not (done[6])
        at = n_targets * (p + 3) + p + 4
        assert not res[at : at + p + n_targets + 1].any()


def paired_sums(p, n_targets, seed, offset):
    """Pairs of sums about a shift near the rows or far from them, and what went into them."""
    rng = np.random.default_rng([seed, p, n_targets])
    n = 3 * p + 7
    mix = np.eye(p) + rng.uniform(0, 0.5, (p, p)) / p
    X = rng.standard_normal((n, p)) @ mix * 10.0 ** rng.integers(-3, 4, p)
    Y = X @ (rng.standard_normal((p, n_targets)) * 10.0 ** -rng.integers(-3, 4, (p, 1))) + 1
    Y += rng.standard_normal((n, n_targets)) * np.abs(Y).max(axis=0)
    near = np.concatenate([X.std(axis=0), Y.std(axis=0)])
    M = Moments(p, n_targets, shift=near * offset).update(X, Y, rng.random(n) if seed % 2 else None)
    return M, X, Y


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_paired_solve(kernels, fit_intercept, l2):
    """Within an ulp of the exact solution of the sums, and never more digits claimed than by the way of LAPACK."""
    for p in (1, 2, 3, 4, 7, 8, 9):
        for n_targets, offset in ((1, 0.0), (1, 30.0), (3, 2.0)):
            M, _, _ = paired_sums(p, n_targets, p, offset)
            part = M.part(np.arange(p), np.arange(n_targets))
            for shift_of_buffers in (0, 5):
                sizes = kernels.paired_sizes(p, n_targets)
                work, work_whole = guarded(sizes[0], np.nan, shift_of_buffers)
                res, res_whole = guarded(sizes[1], np.nan, shift_of_buffers)
                case = (p, n_targets, offset, shift_of_buffers)
                found = kernels.paired_solve(part.M, part.noise, part.unit, part.shift, p, fit_intercept, l2, work, res)
                work_whole(case)
                res_whole(case)
            assert found is not None, case
            k = n_targets
            b0, rss, tss = res[k * p : k * (p + 3)].reshape(3, k)
            res, inverse = np.split(res, [len(res) - p * (p + 1) // 2])
            ess = res[-k:]
            assert found == (b0[0], rss[0], tss[0], *res[k * (p + 3) : k * (p + 3) + 3], res[-k - 1] > 0, ess[0])
            c, v = np.split(res[-2 * k - 1 - p : -k - 1], [p])
            for t in range(k):
                exact = reference.paired_solve(part.M, part.shift, p, fit_intercept, l2, t)
                values = [*res[t * p : (t + 1) * p], *([b0[t]] if fit_intercept else []), tss[t]]
                assert ulps(values, [*exact[:p], *([exact[p]] if fit_intercept else []), exact[-1]]) <= 1, case
                assert b0[t] != 0.0 or not fit_intercept
                at_means = exact[p] + sum(Fraction(a) * b for a, b in zip(c, exact[:p], strict=True))
                assert abs(Fraction(v[t]) - at_means) <= 2.0**-52 * abs(float(at_means)), case
                assert fit_intercept or not (c.any() or v.any() or found[6])
                bound = 2.0**-50 * float(exact[-1])
                assert abs(Fraction(rss[t]) - exact[p + 1]) <= bound
                assert abs(Fraction(ess[t]) - (exact[-1] - exact[p + 1])) <= bound
            problem = M.problem(FitOptions(fit_intercept=fit_intercept, l2=l2), np.arange(p), k, False)
            slow = from_moments.solve(problem, equations(part, fit_intercept, l2))
            assert found[3] <= slow.digits + 0.01, case
            if not l2:
                deviations = res[k * (p + 3) + 3 : -2 * k - 1 - p]
                np.testing.assert_allclose(deviations, slow.spread.errors, rtol=1e-11)
                upper = slow.spread.bread.inverse()[np.triu_indices(p)]
                np.testing.assert_allclose(inverse, upper, rtol=1e-10, atol=1e-11 * upper.max())


def test_paired_solve_is_judged_by_the_constants_of_all_others(kernels):
    found = kernels.paired_constants
    assert found["DD_UNIT"] == DD_UNIT
    for name in ("CHOLESKY_MARGIN", "POOR", "UNKNOWN", "LAST_PLACE", "SURE_CONTRACTION", "MEANS_ROUNDING"):
        assert found[name] == getattr(from_moments, name), name


def test_paired_solve_declines(kernels):
    """What the way of LAPACK has to look at: it warns, drops, takes minimum norm or all digits of pairs."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 3)), rng.standard_normal(50)
    constant, twice, far, tiny = X.copy(), X.copy(), X.copy(), X.copy()
    constant[:, 1] = 3.0
    twice[:, 1] = twice[:, 0]
    tiny[:, 0] *= 2.0**-380
    cases = {
        "a constant column": Moments(3).update(constant, y),
        "dependent columns": Moments(3).update(twice, y),
        "a lost column": Moments(3, shift=[1e12, 0, 0, 0]).update(far, y),
        "a constant y": Moments(3).update(X, np.full(50, 2.0)),
        "out of range": Moments(3).update(tiny, y),
        "sums in double-double": Moments(3, precision="extended").update(X, y),
        "one row": Moments(3).update(X[:1], y[:1]),
    }
    for what, M in cases.items():
        part = M.part(np.arange(3), np.arange(1))
        work, res = (np.full(size, np.nan) for size in kernels.paired_sizes(3, 1))
        assert kernels.paired_solve(part.M, part.noise, part.unit, part.shift, 3, True, 0.0, work, res) is None, what


def run_extended(kernels, X, y, w, fit_intercept, l2, offset=0):
    """(found, res) of one call, with guarded buffers."""
    p, n_targets = X.shape[1], 1 if y.ndim == 1 else y.shape[1]
    sizes = kernels.extended_sizes(p, n_targets)
    work, work_untouched = guarded(sizes[0], np.nan, offset)
    res, res_untouched = guarded(sizes[1], np.nan, offset)
    found = kernels.extended(X, y, w, 256, fit_intercept, l2, work, res)
    work_untouched(X.shape)
    res_untouched(X.shape)
    return found, res


@layouts
@dtypes
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_extended(kernels, order, dtype, fit_intercept):
    """Within an ulp of the exact solution, whatever is asked for: coefficients, sums of squares, standard errors."""
    for p, k, weights in ((1, 1, "random"), (2, 3, "absent rows"), (3, 1, "none"), (8, 2, "random"), (9, 1, "none")):
        X, Y, w, _ = operands(2 * p + 20, p, k, order, dtype, weights, whole_numbers=False)
        Y = strided(Y, "reversed") if p == 8 else Y
        for l2 in (0.0, 2.5):
            case = f"p={p} targets={k} weights={weights} l2={l2}"
            found, res = run_extended(kernels, X, Y[:, 0] if k == 1 else Y, w, fit_intercept, l2, p % 8)
            assert found, case
            res, inverse = np.split(res, [len(res) - p * (p + 1) // 2])
            b0, rss, tss = res[k * p : k * (p + 3)].reshape(3, k)
            tail, (c, v), ess = (
                res[k * (p + 3) : k * (p + 3) + p + 4],
                np.split(res[-2 * k - 1 - p : -k - 1], [p]),
                res[-k:],
            )
            assert found == (b0[0], rss[0], tss[0], *tail[:3], res[-k - 1] > 0, ess[0]), case
            assert tail[0] == FULL_DIGITS, case
            for t in range(k):
                *exact, exact_rss, exact_tss = reference.extended(X, Y[:, t], w, fit_intercept, l2)
                values = [*res[t * p : (t + 1) * p], *([b0[t]] if fit_intercept else [])]
                assert ulps(values, exact[: len(values)]) <= 1, case
                assert ulps([rss[t], tss[t], ess[t]], [exact_rss, exact_tss, exact_tss - exact_rss]) <= 1, case
                at_means = exact[p] + sum(Fraction(a) * slope for a, slope in zip(c, exact[:p], strict=True))
                assert abs(Fraction(v[t]) - at_means) <= 2.0**-52 * abs(float(at_means)), case
                assert fit_intercept or not (b0[t] or c.any() or v.any() or found[6]), case
            if l2:
                continue
            there = np.arange(len(X)) if w is None else np.flatnonzero(w)
            one = [1.0] * fit_intercept
            rows = [[Fraction(float(v)) for v in [*X[i], *one]] for i in there]
            weighted = [
                [Fraction(1.0 if w is None else w[i]) * v for v in row] for i, row in zip(there, rows, strict=True)
            ]
            gram = [[dot(u, v) for v in zip(*rows, strict=True)] for u in zip(*weighted, strict=True)]
            inverse = dict(zip(zip(*np.triu_indices(p), strict=True), inverse.tolist(), strict=True))
            for j in range(len(gram)):
                column = solve_exactly(gram, [Fraction(i == j) for i in range(len(gram))])
                exact = column[j]
                assert abs(Fraction(float(tail[3 + j])) ** 2 / exact - 1) <= 6 * EPS, case
                for i in range(min(j + 1, p) if j < p else 0):
                    assert abs(Fraction(inverse[i, j]) - column[i]) <= 2.0**-50 * abs(column[i]), case
            assert fit_intercept or np.isnan(tail[-1]), case


def test_extended_sums_up_residuals_that_the_cross_products_do_not_hold(kernels):
    """Noise-free data: what rounding leaves of them, or nothing; of each target its own, in either layout."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((60, 3)) + 100.0
    exactly = np.round(X * 8) @ np.array([1.0, -2.0, 0.5]) + 3.0
    Y = np.column_stack([rng.standard_normal(60), (X * [1.0, 2.0, 3.0]).sum(axis=1), (X * [0.1, 0.5, 7.0]).sum(axis=1)])
    for w in (None, rng.random(60) + 0.5):
        for fit_intercept in (True, False):
            for order in "CF":
                found, res = run_extended(kernels, np.asarray(X, order=order), Y, w, fit_intercept, 0.0)
                assert found
                rss, tss = res[12:15], res[15:18]
                assert ((rss < 1e-24 * tss) == [False, True, True]).all()
                for t in range(3):
                    exact = reference.extended(X, Y[:, t], w, fit_intercept, 0.0)
                    assert rss[t] == pytest.approx(float(exact[-2]), rel=1e-15)
        found, _ = run_extended(kernels, np.round(X * 8), exactly, w, True, 0.0)
        assert 0.0 <= found[1] <= 2.0**-180 * found[2]


def test_extended_declines(kernels):
    """What is not sure to have all digits, or is for the general path to say something of."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 3)), rng.standard_normal(50)
    ones = np.ones(50)

    def changed(a, at, value):
        a = a.copy()
        a[at] = value
        return a

    near, same = X.copy(), X.copy()
    near[:, 1] = near[:, 0] + 1e-9 * near[:, 1]
    same[:, 1] = same[:, 0] - same[:, 2]
    assert run_extended(kernels, X, y, ones, True, 0.0)[0]
    cases = {
        "a constant column": (changed(X, (slice(None), 1), 3.0), y, None),
        "a constant y": (X, np.full(50, 2.0), None),
        "nearly dependent columns": (near, y, None),
        "dependent columns": (same, y, None),
        "NaN in X": (changed(X, (49, 2), np.nan), y, None),
        "infinity in y": (X, changed(y, 0, -np.inf), None),
        "a negative weight": (X, y, changed(ones, 7, -1e-300)),
        "no weight": (X, y, np.zeros(50)),
        "out of range": (X * 2.0**-380, y, None),
        "far out of range": (X * 1e200, y, None),
        "one row": (X[:1], y[:1], None),
        "strides": (X[::2], y[::2], None),
        "integers": (np.round(X).astype(np.int64), y, None),
    }
    for what, (A, v, w) in cases.items():
        assert run_extended(kernels, A, v, w, True, 0.0)[0] is None, what
    negligible = X @ np.array([1.0, 1e-13, 1.0]) + y
    assert run_extended(kernels, near, negligible, None, True, 0.5)[0] is not None, (
        "a penalty makes it well-conditioned"
    )


@layouts
@dtypes
@pytest.mark.parametrize("weights", WEIGHTS)
def test_moments_of_groups(kernels, order, dtype, weights):
    """The bits of the cross products of each group's rows put together, and the sums of the twin."""
    for n, p, n_targets in ((300, 1, 1), (300, 5, 1), (200, 8, 2), (90, 17, 3), (150, 70, 1)):
        X, Y, w, shift = operands(n, p, n_targets, order, dtype, weights, whole_numbers=True)
        keys = np.random.default_rng(p).integers(-4, 3, n) * 2
        keys[0] = 50
        rows, after = np.full(n, -1, dtype=np.intp), np.zeros(59, dtype=np.intp)
        counts = np.bincount(keys + 8, minlength=59)
        after[:] = np.cumsum(counts) - counts
        kernels.counted_order(keys, -8, after, rows)
        assert (rows == np.argsort(keys, kind="stable")).all()
        assert (after == np.cumsum(counts)).all()
        values = np.flatnonzero(counts) - 8
        bounds = np.append((np.cumsum(counts) - counts)[counts > 0], n)
        m, n_groups, most = p + 1 + n_targets, len(values), int(counts.max()) - 1
        work, work_whole = guarded(kernels.groups_work_size(p, n_targets, most), np.nan, p % 8)
        M, M_whole = guarded(2 * n_groups * m * m, np.nan)
        noise, noise_whole = guarded(n_groups * m, np.nan)
        n_rows = np.full(n_groups, -7, dtype=np.intp)
        M, noise = M.reshape(n_groups, m, m, 2), noise.reshape(n_groups, m)
        run = kernels.moments_of_groups[C_TYPE[dtype]]
        for lo, hi in ((0, 2), (2, n_groups)):
            run(X, Y, w, rows, bounds, lo, hi, most, shift, work, M, noise, n_rows)
        for whole in (work_whole, M_whole, noise_whole):
            whole((n, p, n_targets))
        for g, value in enumerate(values):
            at = keys == value
            if at.sum() > most:
                assert n_rows[g] == -1
                continue
            found = np.zeros((m, m))
            sizes = kernels.moments_sizes(p, n_targets, int(at.sum()))
            out = np.zeros(sizes[1])
            taken = None if w is None else w[at]
            kernels.moments[C_TYPE[dtype]](
                np.ascontiguousarray(X[at]), Y[at], taken, 0, int(at.sum()), shift, np.empty(sizes[0]), out
            )
            kernels.moments_unpack(out, p, n_targets, found)
            assert (M[g, ..., 0] == found).all()
            assert (M[g, ..., 1] == 0).all()
            np.testing.assert_array_equal(M[g, ..., 0], reference.moments(X[at], Y[at], taken, shift))
            expected = EPS * np.diagonal(found)
            assert np.delete(noise[g] == expected, p).all()
            assert noise[g, p] == (0.0 if w is None else expected[p])
            squares, s = np.delete(np.diagonal(found), p), np.delete(found[p], p)
            centre = s * (s / found[p, p]) if found[p, p] else s
            sound = found[p, p] > 0 and (squares > 0).all() and (centre <= 25 * (squares - centre)).all()
            assert n_rows[g] == ((at.sum() if w is None else np.count_nonzero(taken)) if sound else -1)


def test_small_fits_are_judged_by_the_constants_of_all_others(kernels):
    """What the closed form of few columns repeats from Python, which decides about every other fit."""
    assert kernels.solve_constants == {
        "EPS": EPS,
        "FULL_DIGITS": FULL_DIGITS,
        "RCOND_CHOLESKY": closed_form.RCOND_CHOLESKY,
        "SHIFT_LIMIT": table_sums.SHIFT_LIMIT,
        "ROUNDING": ROUNDING,
        "FAR": FAR,
        "RANGE": table_sums.RANGE,
    }


@layouts
def test_small_declines(kernels, order):
    """Whatever the general path has more to decide about, and nothing it would have raised for."""
    X, Y, w, _ = operands(100, 3, 1, "C", "float64", "random", whole_numbers=False)
    y = Y[:, 0]

    def declines(X=X, y=y, w=w, **options):
        X = np.asarray(X, order=order)
        shape = X.shape[1], 1 if y.ndim == 1 else y.shape[1]
        work, res = kernels.small_work_size(*shape, len(X)), kernels.small_result_size(*shape)
        arguments = X, y, w, 256, options.get("fit_intercept", True), options.get("l2", 0.0)
        return not kernels.small(*arguments, np.full(work, np.nan), np.full(res, np.nan))

    assert not declines()
    for bad in (np.nan, np.inf, -np.inf):
        for row in (0, 50, 99):
            for a in (X.copy(), y.copy(), w.copy()):
                a[(row, 1)[: a.ndim]] = bad
                named = {"X": X, "y": y, "w": w} | {"X" if a.ndim == 2 else "y" if abs(a[-2] - y[-2]) == 0 else "w": a}
                assert declines(**named), f"{bad} at row {row}"
    assert declines(w=np.where(np.arange(100) == 7, -1.0, w))
    assert declines(w=np.zeros(100))
    for value in (0.0, 0.1, 1e9 / 3):
        assert declines(X=np.column_stack([X, np.full(100, value)]))
    assert declines(X=np.zeros((100, 2)), fit_intercept=False)
    assert declines(X=np.column_stack([X, X[:, 0]]))
    assert declines(X=np.column_stack([X, X[:, 0] * (1 + 1e-9 * y)]))
    assert declines(y=np.full(100, 3.0))
    assert declines(X=X * 1e200)
    assert declines(X=X * 1e-200)
    assert declines(y=y * 1e200)
    assert declines(y=y * 1e-200)
    assert declines(X=X[:1], y=y[:1], w=w[:1])
    assert declines(y=np.empty((100, 0)))
    for bad in (np.full(100, 3.0), y * 1e200, y * 1e-200, np.where(np.arange(100) == 50, np.nan, y)):
        assert not declines(y=np.column_stack([y, -y]))
        assert declines(y=np.column_stack([y, bad, y]))


GUARD_PAGES = textwrap.dedent(
    """
    import ctypes, mmap, sys
    import numpy as np
    from linreg_fast.passes import levels

    PAGE = mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)
    kept = []

    def place(array, at_end):
        # between two pages that may not be touched, against the one or the other
        size = -(-max(array.nbytes, 1) // PAGE) * PAGE
        memory = mmap.mmap(-1, size + 2 * PAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for page in (base, base + PAGE + size):
            if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        at = PAGE + (size - array.nbytes if at_end else 0)
        order = "F" if array.ndim == 2 and array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        flat = np.frombuffer(memory, dtype=array.dtype, count=array.size, offset=at)
        flat[:] = array.ravel(order="K")
        kept.append(memory)
        return flat.reshape(array.shape, order=order)

    k = levels.of_level(sys.argv[1])
    if sys.argv[2:] == ["probe"]:
        X = place(np.ones(3), True)
        ctypes.string_at(X.ctypes.data + X.nbytes, 1)
    rng = np.random.default_rng(0)
    for at_end in (True, False):
        for order in "CF":
            for dtype, c_type in (("float64", "double"), ("float32", "float")):
                for p in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 65):
                    for n in (1, 2, 3, 7, 64, 65, 130):
                        for weighted in (False, True):
                            print(order, dtype, "p", p, "n", n, "weighted", weighted, "at_end", at_end, flush=True)
                            kept.clear()
                            X = place(np.array(rng.standard_normal((n, p)), dtype=dtype, order=order), at_end)
                            Y = place(rng.standard_normal((n, 1)), at_end)
                            w = place(rng.random(n), at_end) if weighted else None
                            shift = place(np.zeros(p + 1), at_end)
                            work_size, size = k.moments_sizes(p, 1, n)
                            work, out = place(np.zeros(work_size), at_end), place(np.zeros(size), at_end)
                            f = lambda name: (getattr(k, name, None) or getattr(k, name + "_" + order.lower()))[c_type]
                            f("shift")(X, Y, w, 256, shift)
                            f("moments")(X, Y, w, 0, n, shift, work, out)
                            k.moments_unpack(out, p, 1, place(np.zeros((p + 2, p + 2)), at_end))
                            for many in (5, 30) if n > 7 else ():
                                V = place(rng.standard_normal((n, many)), at_end)
                                work_size, size = k.moments_sizes(p, many, n)
                                work, out = place(np.zeros(work_size), at_end), place(np.zeros(size), at_end)
                                shifts = place(np.zeros(p + many), at_end)
                                f("moments")(X, V, w, 0, n, shifts, work, out)
                                k.moments_unpack(out, p, many, place(np.zeros((p + 1 + many,) * 2), at_end))
                                if p <= k.small_columns:
                                    work = place(np.zeros(k.small_work_size(p, many, n)), at_end)
                                    res = place(np.zeros(k.small_result_size(p, many)), at_end)
                                    k.small(X, V, w, 256, True, 1.0, work, res)
                            coef, work = place(np.ones(p), at_end), place(np.zeros(k.row_work_size(p)), at_end)
                            one = place(np.zeros(2), at_end)
                            f("cost")(X, Y[:, 0], w, 0, n, coef, 1.0, work, one)
                            f("gradient")(X, Y[:, 0], w, 0, n, coef, 1.0, work, place(np.zeros(p + 3), at_end))
                            f("predict")(X, 0, n, coef.reshape(1, p), one, work, place(np.zeros((n, 1)), at_end))
                            A = place(np.eye(p), at_end)
                            c, history = place(np.ones(p), at_end), place(np.zeros(6), at_end)
                            pairs, units = place(np.ones((p + 1, 2)), at_end), place(np.ones(p + 1), at_end)
                            work, sums = place(np.zeros(k.refine_work_size(p)), at_end), np.zeros((p + 2, 2))
                            f("refine")(X, Y[:, 0], w, 0, n, units, shift, pairs, work, place(sums, at_end))
                            work = place(np.zeros(k.dd_moments_work_size(p, 1)), at_end)
                            f("dd_moments")(
                                X, Y, w, 0, n, units, shift, work, place(np.zeros((p + 2, p + 2, 2)), at_end)
                            )
                            if p <= k.small_columns:
                                sizes = k.small_work_size(p, 1, n), k.small_result_size(p, 1)
                                work, res = (place(np.zeros(size), at_end) for size in sizes)
                                k.small(X, Y[:, 0], w, 256, True, 1.0, work, res)
                                for V in (Y[:, 0], place(X[:, :2].sum(axis=1, keepdims=True) * [1.0, 2.0], at_end)):
                                    size = k.extended_sizes(p, V.ndim)
                                    work, res = (place(np.zeros(number), at_end) for number in size)
                                    k.extended(X, V, w, 256, True, 0.0, work, res)
                                work, res = (place(np.zeros(size), at_end) for size in k.paired_sizes(p, 1))
                                M = place(np.eye(p + 2)[..., None] * [n, 0.0], at_end)
                                noise = place(np.zeros(p + 2), at_end)
                                rows = place(np.arange(n), at_end)
                                bounds, n_rows = place(np.array([0, n]), at_end), place(np.zeros(1, np.intp), at_end)
                                k.counted_order(place(np.zeros(n, np.int64), at_end), 0, bounds[:1] * 0, rows)
                                found = place(np.zeros((1, p + 2, p + 2, 2)), at_end)
                                work_2 = place(np.zeros(k.groups_work_size(p, 1, n)), at_end)
                                k.moments_of_groups[c_type](
                                    X, Y, w, rows, bounds, 0, 1, n, shift, work_2, found, noise[None], n_rows
                                )
                                k.paired_solve(M, noise, 2.0**-53, shift, p, True, 1.0, work, res)
                            state, none = place(np.zeros((6, p)), at_end), np.empty(0)
                            k.descent(A, c, 1.0, none, 0.1, False, -1.0, 0, 5, state, history)
    """
)


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are set with the mprotect of Linux")
def test_no_kernel_leaves_its_buffers(kernels):
    """Every buffer ends right before, or begins right behind, a page whose touch kills the process."""
    command = [sys.executable, "-c", GUARD_PAGES, kernels.level]
    probe = subprocess.run([*command, "probe"], capture_output=True, text=True, check=False)
    assert probe.returncode < 0, "the guard pages do not guard"
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"died with {run.returncode} in {run.stdout.splitlines()[-1:]}: {run.stderr[-2000:]}"
