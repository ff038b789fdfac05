"""What several test files share: tolerances, problems, exact oracles, comparisons of fits, levels."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from linreg_fast import Moments, cpu
from linreg_fast.passes import blocks, levels, rates
from linreg_fast.passes.threads import set_num_threads
from linreg_fast.solvers import small

# The same examples in every run; `--hypothesis-profile=explore` looks for new ones.
settings.register_profile("same", max_examples=60, derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile("same")

EPS = 2.0**-53

# Distance of a kernel from its NumPy twin, relative to the same sum over absolute values. Both widen to
# float64 before any arithmetic, so float32 input deserves no more. The twin sums up in pairs: what is allowed
# is the rounding of the kernel's own sums, up to 16 eps over 1000 rows.
KERNEL_TOLERANCE = 64 * EPS

CLOSED = ("auto", "cholesky", "qr", "svd")
# with options: steps enough to see that they are the same
EVERY_SOLVER = {solver: {"max_iter": 5, "tol": 0} if solver == "gd" else {} for solver in (*CLOSED, "gd")}
solvers = pytest.mark.parametrize("solver", CLOSED)
intercepts = pytest.mark.parametrize("fit_intercept", [True, False])

# The certified data live beside the checkout, not in it.
STRD = Path(__file__).resolve().parents[2] / "shared" / "data" / "strd"


def certified_problem(name: str) -> dict:
    """A problem of the NIST and its certified values; the test is skipped where they are not there."""
    path = STRD / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"the reference data are not at {STRD}: they are not part of the project")
    return json.loads(path.read_text())


def lre(value: float, exact: Fraction) -> float:
    """Log relative error: correct decimal digits of a value, at most 17 (identical)."""
    error = abs(Fraction(float(value)) - exact)
    if exact:
        error /= abs(exact)
    return min(17.0, 17.0 if not error else _minus_log10(error))


def _minus_log10(x: Fraction) -> float:
    """Of a fraction that may be too small or too large for a float."""
    return math.log10(x.denominator) - math.log10(x.numerator)


def worst_lre(values, exact) -> float:
    """The least LRE of several coefficients."""
    return min(lre(value, Fraction(true)) for value, true in zip(values, exact, strict=True))


def exact_fit(X, y, fit_intercept=True, w=None) -> list[Fraction] | None:
    """Least squares in rational numbers: slopes, then the intercept; None below full rank."""
    A = [[Fraction(float(v)) for v in row] + [Fraction(1)] * fit_intercept for row in np.asarray(X)]
    b = [Fraction(float(v)) for v in y]
    w = [Fraction(1)] * len(A) if w is None else [Fraction(float(v)) for v in w]
    size = len(A[0])
    rows = [
        [sum(wi * row[i] * row[j] for wi, row in zip(w, A, strict=True)) for j in range(size)]
        + [sum(wi * row[i] * bi for wi, row, bi in zip(w, A, b, strict=True))]
        for i in range(size)
    ]
    return solve_exactly([row[:-1] for row in rows], [row[-1] for row in rows])


def solve_exactly(A, b) -> list[Fraction] | None:
    """A^-1 b in rational numbers (Gauss-Jordan); None if A is singular."""
    rows = [[*row, v] for row, v in zip(A, b, strict=True)]
    for i in range(len(rows)):
        pivot = next((r for r in range(i, len(rows)) if rows[r][i] != 0), None)
        if pivot is None:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for r in range(len(rows)):
            if r != i and rows[r][i]:
                rows[r] = [v - rows[r][i] * u for v, u in zip(rows[r], rows[i], strict=True)]
    return [row[-1] for row in rows]


def bits(fit) -> bytes:
    """What must be equal to the last bit between two runs."""
    parts = [np.asarray(value, dtype=np.float64).tobytes() for value in (fit.coef, fit.intercept, fit.rss, fit.tss)]
    return b"".join([*parts, repr((fit.solver_path, fit.rank, fit.rcond, fit.digits)).encode()])


def problem(n, p, seed=0, *, noise=0.1, offset=0.0, dtype=np.float64):
    """A well-conditioned problem: X, y, true slopes and intercept."""
    rng = np.random.default_rng([seed, n, p])
    X = (rng.standard_normal((n, p)) + offset).astype(dtype)
    coef, intercept = rng.standard_normal(p) + np.sign(rng.standard_normal(p)), 1.5
    # not X @ coef, whose last bits are those of the BLAS at hand: the same numbers everywhere
    y = (X.astype(np.float64) * coef).sum(axis=1) + intercept + noise * rng.standard_normal(n)
    return X, y, coef, intercept


def whole_problem(n=120, p=4, low=-9):
    """Whole numbers, so that every dtype holds them."""
    rng = np.random.default_rng([n, p])
    X = rng.integers(low, 10, (n, p)).astype(float)
    return X, X @ np.arange(1.0, p + 1) + rng.integers(0, 5, n)


def assert_same_coefficients(a, b, tolerance=1e-12):
    """The same numbers, however they came in: other orders only sum differently."""
    scale = max(1.0, float(np.abs(b.coef).max(initial=0.0)), float(np.abs(np.asarray(b.intercept)).max()))
    np.testing.assert_allclose(a.coef, b.coef, rtol=tolerance, atol=tolerance * scale)
    np.testing.assert_allclose(a.intercept, b.intercept, rtol=tolerance, atol=tolerance * scale)
    assert a.rank == b.rank
    assert a.n_samples == b.n_samples


def chunked(X, y, cuts, w=None, **options):
    """Moments of the rows between cuts, one update for each."""
    M = Moments(X.shape[1], 1 if y.ndim == 1 else y.shape[1], **options)
    edges = [0, *cuts, len(X)]
    for lo, hi in itertools.pairwise(edges):
        M.update(X[lo:hi], y[lo:hi], None if w is None else w[lo:hi])
    return M


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


def ulps(values, exact):
    """Distance from the exact values in units of the last place, of the worst."""
    return max(
        abs(Fraction(float(v)) - t) / Fraction(float(np.spacing(abs(float(t)))))
        for v, t in zip(values, exact, strict=True)
    )


@pytest.fixture(params=levels.LEVELS)
def kernels(request):
    """The kernels of each level; the reason is shown where one cannot run here."""
    level = request.param
    if level not in levels.built:
        pytest.skip(f"level {level} was not built: the compiler does not take its flags")
    if level not in cpu.levels():
        pytest.skip(f"this processor runs {', '.join(cpu.levels())}, not {level}")
    return levels.of_level(level)


@pytest.fixture
def general_path(monkeypatch):
    """Every fit through SciPy's LAPACK, also where a kernel would have solved it alone."""
    monkeypatch.setattr(small, "SMALL_COLUMNS", 0)


@pytest.fixture
def many_blocks(monkeypatch):
    """Passes over moderate tables take many row blocks and many kernel calls, and use threads."""
    monkeypatch.setattr(rates, "BLOCK_SECONDS", 1e-7)
    monkeypatch.setattr(rates, "MERGE_SHARE", 1e9)
    monkeypatch.setattr(rates, "THREADED_SECONDS", 0.0)
    monkeypatch.setattr(blocks, "CALL_SECONDS", 1e-9)


@pytest.fixture(autouse=True)
def default_threads(monkeypatch):
    """Each test starts from the defaults, whatever the environment says."""
    monkeypatch.delenv("LINREG_FAST_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    yield
    set_num_threads(None)
