"""The factor of cross products by blocks, and what is asked of it: exact numbers, every level, all threads."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import lapack
from support.compare import KERNEL_TOLERANCE
from support.problems import ill_conditioned

import linreg_fast
from linreg_fast import reference
from linreg_fast.algebra.centred import Centred
from linreg_fast.passes import rates
from linreg_fast.solvers import factor

pytestmark = pytest.mark.numerics

SIZES = (1, 2, 7, 8, 63, 64, 65, 100, 128, 130, 200, 333, 600)


@pytest.fixture
def level(kernels, monkeypatch):
    """The module on the kernels of each level, with every piece of work on a thread if there are several."""
    monkeypatch.setattr(factor, "_kernels", kernels)
    for name in ("COLUMNS", "GROUPS"):
        monkeypatch.setattr(factor, name, kernels.factor_constants[name])
    monkeypatch.setattr(rates, "THREADED_SECONDS", 0.0)
    return kernels


def whole_triangle(p, seed=0):
    """An upper triangle of whole numbers with powers of two on the diagonal: no step of Cholesky rounds."""
    rng = np.random.default_rng(seed)
    R = np.triu(rng.integers(-9, 10, (p, p)).astype(np.float64), 1)
    R[np.diag_indices(p)] = 2.0 ** rng.integers(0, 4, p)
    return R


def chain(p):
    """A triangle whose inverse is of 0, 1 and -1: 1 on the diagonal, 1 or -1 right above it or nothing."""
    return np.eye(p) + np.diag(np.arange(1, p) % 3 - 1.0, 1)


def problem_of(A, b):
    p = len(A)
    return Centred(
        np.arange(p), A, A @ b, np.ones(b.shape[1]), np.zeros(p, int), np.zeros(1, int), np.zeros(p), 0.0, 0.0
    )


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("p", SIZES)
def test_triangles_of_whole_numbers_are_exact(level, p, n_threads, monkeypatch):
    monkeypatch.setattr(factor, "SPLIT", 100)
    R = whole_triangle(p)
    found = factor._triangle(R.T @ R, n_threads)
    np.testing.assert_array_equal(np.triu(found[:, :p]), R)
    if p <= 65:
        np.testing.assert_array_equal(reference.triangle(R.T @ R), R)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("p", SIZES)
def test_inverses_of_whole_numbers_are_exact(level, p, n_threads, monkeypatch):
    monkeypatch.setattr(factor, "SPLIT", 100)
    R, m = chain(p), np.arange(p) % 7 - 3.0
    X = np.eye(p)
    for i in range(p - 2, -1, -1):
        X[i] -= R[i, i + 1] * X[i + 1]
    if p <= 65:
        np.testing.assert_array_equal(reference.inverse_triangle(R), X)
    expected = np.append((X**2).sum(axis=1), np.sum((m @ X) ** 2))
    np.testing.assert_array_equal(factor.inverse_squares(factor.in_rows(R), m, n_threads), expected)
    b = np.random.default_rng(1).integers(-9, 10, (p, 3)).astype(np.float64)
    np.testing.assert_array_equal(factor.solve(factor.in_rows(R), R.T @ R @ b), b)


@pytest.mark.parametrize("p", [3, 70, 130])
def test_real_numbers(level, p):
    """Within the rounding of the twins, whose condition is small here."""
    rng = np.random.default_rng(p)
    Z = rng.standard_normal((4 * p, p))
    A = reference.products(Z, Z)
    _, R, rcond = factor.cholesky(problem_of(A, rng.standard_normal((p, 2))))
    twin = reference.triangle(A)
    np.testing.assert_allclose(np.triu(R[:, :p]), twin, rtol=0, atol=1e3 * KERNEL_TOLERANCE * np.abs(twin).max())
    X = reference.inverse_triangle(twin)
    m = rng.standard_normal(p)
    expected = np.append((X**2).sum(axis=1), np.sum(reference.products(m[:, None], X) ** 2))
    np.testing.assert_allclose(factor.inverse_squares(R, m), expected, rtol=1e-11)
    inverse = np.abs(reference.products(X.T, X.T)).sum(axis=0).max()
    exactly = 1 / (np.abs(A).sum(axis=0).max() * inverse)
    assert exactly * (1 - 1e-10) <= rcond <= 3 * exactly
    assert rcond == pytest.approx(lapack.dpocon(lapack.dpotrf(A)[0], np.abs(A).sum(axis=0).max())[0], rel=0.5)


@pytest.mark.parametrize("p", [65, 200, 600])
def test_any_number_of_threads_gives_the_same_bits(level, p):
    rng = np.random.default_rng(p)
    Z = rng.standard_normal((2 * p, p))
    A, m = Z.T @ Z, rng.standard_normal(p)
    R = factor._triangle(A, 1)
    squares = factor.inverse_squares(R, m, 1)
    for n_threads in (2, 5):
        assert (np.triu(factor._triangle(A, n_threads)[:, :p]) == np.triu(R[:, :p])).all()
        assert (factor.inverse_squares(R, m, n_threads) == squares).all()


def test_no_factor_of_what_is_not_positive_definite(level):
    A = np.eye(200)
    for at, value in ((0, -1.0), (70, 0.0), (199, -1e-3)):
        bad = A.copy()
        bad[at, at] = value
        assert factor._triangle(bad, 1) is None, at
    near = np.full((200, 200), 1.0)
    beta, _, rcond = factor.cholesky(problem_of(near + 2.0**-45 * A, np.ones((200, 1))))
    assert beta is None or rcond < 1e-13


def test_kernels_stay_in_their_buffers(level):
    """Beside every buffer there is a number that no kernel may change, and NaN in what it has to fill itself."""
    for p in (65, 100, 200):
        width = level.factor_width(p)
        assert width >= p
        assert width % level.lanes == 0
        sizes = level.factor_work_size(width), width * width, p * level.factor_constants["COLUMNS"], p + 1
        buffers = [np.full(size + 16, 7.25) for size in sizes]
        work, whole, rows, out = (buffer[8:-8] for buffer in buffers)
        A = whole.reshape(width, width)
        for buffer in (work, rows):
            buffer[:] = np.nan
        R = whole_triangle(p)
        A[:], A[:p, :p], A[:64, :64], out[:] = 0.0, R.T @ R, R[:64, :64], 0.0
        level.factor_rows(A, 0, work)
        level.factor_trailing(A, 0, 0, (width - 64) // level.lanes, work)
        np.testing.assert_array_equal(A[:64, :p], R[:64])
        np.testing.assert_array_equal(np.triu(A[64:p, 64:p]), np.triu(R[64:, 64:].T @ R[64:, 64:]))
        level.factor_inverse(factor.in_rows(chain(p)), np.ones(p), 0, p, rows, out)
        assert np.isfinite(out).all()
        for buffer in buffers:
            assert (buffer[:8] == 7.25).all()
            assert (buffer[-8:] == 7.25).all()


def test_residual(level):
    rng = np.random.default_rng(0)
    for p in (1, 7, 64, 65):
        A = rng.integers(-9, 10, (p, p)).astype(np.float64)
        A += A.T
        B = rng.integers(-9, 10, (2, p)).astype(np.float64)
        C = B @ A
        assert level.factor_residual(A, B, C) == 0.0
        C[1, p // 2] += 3.0
        assert level.factor_residual(A, B, C) == 3.0
        C[0, 0] = np.nan
        assert np.isnan(level.factor_residual(A, B, C))


def test_no_thread_of_a_blas_wakes():
    """A fit of many columns asks LAPACK for small blocks only, and no BLAS for anything."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2_000, 300)), rng.standard_normal(2_000)
    expected = linreg_fast.fit(X, y, n_threads=2)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("dpotrs", "dpocon", "dtrtri", "dtrtrs", "dpotri"):
            patch.setattr(lapack, name, None)
        real = lapack.dpotrf

        def small_blocks(a, **options):
            assert len(a) <= factor.BLOCK
            return real(a, **options)

        patch.setattr(lapack, "dpotrf", small_blocks)
        for module in ("matmul", "dot", "vdot"):
            patch.setattr(np, module, None)
        fit = linreg_fast.fit(X, y, n_threads=2)
    assert (fit.coef == expected.coef).all()
    assert (fit.stderr == expected.stderr).all()


def test_standard_errors_do_not_depend_on_threads():
    X, y = ill_conditioned(100.0, n=2_000)
    assert (linreg_fast.fit(X, y, n_threads=1).stderr == linreg_fast.fit(X, y, n_threads=3).stderr).all()
