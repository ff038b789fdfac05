"""How alike two fits must be: to the last bit, or but for the rounding of sums in another order."""

from __future__ import annotations

import numpy as np
import pytest

# Distance of a kernel from its NumPy twin, relative to the same sum over absolute values. Both widen to
# float64 before any arithmetic, so float32 input deserves no more. The twin sums up in pairs: what is allowed
# is the rounding of the kernel's own sums, up to 16 eps over 1000 rows.
KERNEL_TOLERANCE = 64 * 2.0**-53


def coefficients(fit) -> list[float]:
    """Slopes, then the intercept if there is one: the order of `exact_fit`."""
    return [*fit.coef, fit.intercept] if fit.fit_intercept else list(fit.coef)


def from_intercept(fit) -> list[float]:
    """The intercept if there is one, then the slopes: the order of the certified records."""
    return [fit.intercept, *fit.coef] if fit.fit_intercept else list(fit.coef)


def errors_from_intercept(fit) -> list[float]:
    """Standard errors in the order of the certified records."""
    return [fit.intercept_stderr, *fit.stderr] if fit.fit_intercept else list(fit.stderr)


def bits(fit) -> bytes:
    """What must be equal to the last bit between two runs."""
    parts = [np.asarray(value, dtype=np.float64).tobytes() for value in (fit.coef, fit.intercept, fit.rss, fit.tss)]
    return b"".join([*parts, repr((fit.solver_path, fit.rank, fit.rcond, fit.digits)).encode()])


def assert_same_coefficients(a, b, tolerance=1e-12):
    """The same numbers, however they came in: other orders only sum differently."""
    scale = max(1.0, float(np.abs(b.coef).max(initial=0.0)), float(np.abs(np.asarray(b.intercept)).max()))
    np.testing.assert_allclose(a.coef, b.coef, rtol=tolerance, atol=tolerance * scale)
    np.testing.assert_allclose(a.intercept, b.intercept, rtol=tolerance, atol=tolerance * scale)
    assert a.rank == b.rank
    assert a.n_samples == b.n_samples


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


def assert_same(fit, expected, tolerance=1e-13):
    """The same fit of rows in batches, beside an offset; one without an intercept too."""
    assert fit.coef.shape == expected.coef.shape
    assert np.allclose(fit.coef, expected.coef, rtol=tolerance, atol=0)
    # a difference of the mean of y and those of the columns, some 300 in size, and may come out small
    assert np.allclose(fit.intercept, expected.intercept, rtol=tolerance, atol=10 * tolerance)
    # about 0, without an intercept, nearly all of tss cancels
    assert np.allclose(fit.rss, expected.rss, rtol=1e-10, atol=1e-14 * np.max(expected.tss))
    assert (fit.n_samples, fit.rank, fit.solver) == (expected.n_samples, expected.rank, expected.solver)
    assert fit.sum_weight == pytest.approx(expected.sum_weight, rel=1e-14)


def assert_alike(several, some, alone):
    """Some targets of a fit of several, each as in the fit of it alone."""
    size = abs(several.coef).max()
    for t, fit in zip(some, alone, strict=True):
        np.testing.assert_allclose(several.coef[t], fit.coef, rtol=1e-9, atol=1e-11 * size)
        np.testing.assert_allclose(several.stderr[t], fit.stderr, rtol=1e-9)
        assert several.intercept[t] == pytest.approx(fit.intercept, rel=1e-9, abs=1e-10 * size)
        for name in ("rss", "tss", "ess", "r2", "cost", "intercept_stderr"):
            assert getattr(several, name)[t] == pytest.approx(getattr(fit, name), rel=1e-9, nan_ok=True), name
        for name in ("rank", "n_samples", "solver_path", "collinear", "dropped", "precision", "l2"):
            assert getattr(several, name) == getattr(fit, name), name
        assert several.sum_weight == pytest.approx(fit.sum_weight, rel=1e-13)
        assert several.rcond == pytest.approx(fit.rcond, rel=0.5)  # LAPACK estimates it
        assert several.digits > 9
