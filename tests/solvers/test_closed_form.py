"""cholesky, qr and svd: the way from one to the next, failures of LAPACK, what is said of the digits."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from scipy.linalg import lapack
from support.compare import coefficients
from support.exact import exact_fit, exact_ridge, worst_lre
from support.problems import ill_conditioned, problem

import linreg_fast
from linreg_fast import ConditionWarning
from linreg_fast.algebra import centred
from linreg_fast.algebra.pairs import two_product
from linreg_fast.algebra.precision import EPS
from linreg_fast.inputs.table import table
from linreg_fast.options import FitOptions
from linreg_fast.passes import levels, table_sums
from linreg_fast.plan_costs import PlanArguments
from linreg_fast.solvers import closed_form, factor
from linreg_fast.solvers.problem import Problem

pytestmark = [pytest.mark.numerics, pytest.mark.usefixtures("general_path")]


# the way


@pytest.mark.parametrize(
    ("kappa", "path"),
    [(1e2, ("cholesky",)), (1e5, ("cholesky",)), (1e8, ("cholesky", "qr")), (1e10, ("cholesky", "qr"))],
)
@pytest.mark.parametrize("precision", ["fast", "auto", "extended"])
def test_path_follows_the_condition(kappa, path, precision):
    X, y = ill_conditioned(kappa)
    fit = linreg_fast.fit(X, y, precision=precision)
    assert fit.solver_path == path
    assert fit.solver == path[-1]
    assert fit.rank == 4
    assert 1 / (30 * kappa) < fit.rcond < 30 / kappa
    if len(path) > 1:
        assert "cholesky" in fit.reason
    reached = worst_lre([*fit.coef, fit.intercept], exact_fit(X[:, :], y))
    assert reached >= fit.digits - 1.5
    if precision == "extended":
        assert reached >= 15.0


@pytest.mark.parametrize("solver", ["cholesky", "qr", "svd"])
def test_a_named_solver_is_the_one_that_runs(solver):
    X, y = ill_conditioned(1e3)
    fit = linreg_fast.fit(X, y, solver=solver)
    assert fit.solver_path == (solver,)
    assert fit.reason == "asked for by name"


def test_named_cholesky_warns_where_it_is_not_enough():
    X, y = ill_conditioned(2e7)
    with pytest.warns(ConditionWarning, match="too ill-conditioned for cholesky") as caught:
        fit = linreg_fast.fit(X, y, solver="cholesky", precision="fast")
    assert caught[0].filename == __file__
    assert fit.solver_path == ("cholesky",)
    assert worst_lre([*fit.coef, fit.intercept], exact_fit(X, y)) >= fit.digits - 1.5


@pytest.mark.parametrize("kappa", [1e1, 1e3, 1e5, 1e7, 1e9])
@pytest.mark.parametrize("solver", ["auto", "qr", "svd"])
@pytest.mark.parametrize("noise", [1e-6, 1.0])
def test_digits_are_honest_whatever_the_condition(kappa, solver, noise):
    for seed in range(3):
        X, y = ill_conditioned(kappa, n=60, seed=seed, noise=noise)
        for precision in ("fast", "auto"):
            fit = linreg_fast.fit(X, y, solver=solver, precision=precision)
            reached = worst_lre([*fit.coef, fit.intercept], exact_fit(X, y))
            assert reached >= fit.digits - 1.5, f"seed {seed}, {precision}, path {fit.solver_path}"


def test_all_solvers_agree():
    X, y = ill_conditioned(1e3, n=3000, p=12)
    Y = np.column_stack([y, -y, np.sin(y)])
    w = np.random.default_rng(0).random(3000)
    for options in ({}, {"sample_weight": w}, {"fit_intercept": False}, {"l2": 0.1}):
        fits = [linreg_fast.fit(X, Y, solver=solver, **options) for solver in ("cholesky", "qr", "svd")]
        for fit in fits[1:]:
            np.testing.assert_allclose(fit.coef, fits[0].coef, rtol=1e-8, atol=1e-9)
            np.testing.assert_allclose(fit.intercept, fits[0].intercept, rtol=1e-9, atol=1e-10)
            np.testing.assert_allclose(fit.rss, fits[0].rss, rtol=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("l2", [0.0, 2.0])
def test_qr_over_many_row_blocks(monkeypatch, weighted, l2):
    """R factors of row blocks, merged in pairs, are one R of all rows."""
    X, y = ill_conditioned(1e4, n=1001, p=3)
    w = np.arange(1001) % 3.0 if weighted else None
    whole = linreg_fast.fit(X, y, sample_weight=w, l2=l2, solver="qr")
    monkeypatch.setattr(closed_form, "QR_BLOCK_BYTES", 512)
    monkeypatch.setattr(closed_form, "QR_MERGE_BYTES", 2048)
    blocks = linreg_fast.fit(X, y, sample_weight=w, l2=l2, solver="qr")
    np.testing.assert_allclose(blocks.coef, whole.coef, rtol=1e-10)
    assert blocks.rss == pytest.approx(whole.rss, rel=1e-9)


def test_triangle_of_the_rows():
    """R'R = A up to rounding: |R'R - A| / (n |A| eps) < 30, as LAPACK tests its own."""
    X, y = ill_conditioned(1e3, n=500, p=6)
    problem = Problem(table(X, y), FitOptions(), PlanArguments(*X.shape))
    C = problem.centred
    R = closed_form._qr_rows(problem)
    assert (np.diagonal(R) >= 0).all()
    assert (np.tril(R, -1) == 0).all()
    ratio = np.abs(R[:6, :6].T @ R[:6, :6] - C.gram).sum(axis=0).max() / np.abs(C.gram).sum(axis=0).max() / (6 * EPS)
    assert ratio < 30


def test_equilibrated_columns():
    X, y, _, _ = problem(200, 5, offset=1e6)
    X = X * 10.0 ** np.arange(-100, 100, 40)
    M = table_sums.of_table(table(X, y), True, 1)
    C = centred.centre(M, True, 0.0)
    assert (np.diagonal(C.gram) >= 0.5).all()
    assert (np.diagonal(C.gram) <= 2.0).all()
    assert C.worst_offset < 1


def test_two_product_and_intercept():
    a, b = np.array([1 + 2.0**-30, 3.0, 1e300]), np.array([1 + 2.0**-30, 1 / 3, 1e300])
    with np.errstate(over="ignore"):
        product, error = two_product(a, b)
    assert error[0] == 2.0**-60
    assert product[1] == 3.0 * (1 / 3)
    assert np.isfinite(error).all()
    assert np.isinf(product[2])


# failures of the libraries below


def test_cholesky_that_fails_goes_to_qr(monkeypatch):
    X, y = ill_conditioned(10.0)
    expected = linreg_fast.fit(X, y)
    real = lapack.dpotrf
    monkeypatch.setattr(lapack, "dpotrf", lambda *a, **k: (real(*a, **k)[0], 3))
    fit = linreg_fast.fit(X, y)
    assert fit.solver_path == ("cholesky", "qr")
    assert "cholesky failed" in fit.reason
    np.testing.assert_allclose(fit.coef, expected.coef, rtol=1e-12)
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        linreg_fast.fit(X, y, solver="cholesky")


@pytest.mark.parametrize("wrong", [lambda L: L * 1.001, lambda L: L + np.nan, np.ones_like, lambda L: L[::-1]])
def test_wrong_factor_of_lapack_is_detected(monkeypatch, wrong):
    X, y = ill_conditioned(10.0)
    real = lapack.dpotrf

    def broken(*arguments, **options):
        L, info = real(*arguments, **options)
        return wrong(L), info

    monkeypatch.setattr(lapack, "dpotrf", broken)
    for solver in ("auto", "cholesky"):
        with pytest.raises(np.linalg.LinAlgError, match="BLAS or LAPACK library in use computes wrong results"):
            linreg_fast.fit(X, y, solver=solver)


@pytest.mark.parametrize("wrong", [lambda b: np.triu(b + 1e-3), lambda b: b + np.nan, np.zeros_like])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_wrong_factors_of_the_rows_are_detected(monkeypatch, wrong, fit_intercept):
    """QR and SVD against the cross products that no library had a hand in."""
    X, y = ill_conditioned(1e7)
    real_qr, real_svd = np.linalg.qr, scipy.linalg.svd
    with monkeypatch.context() as patch:
        patch.setattr(np.linalg, "qr", lambda *a, **k: wrong(real_qr(*a, **k)))
        for solver in ("auto", "qr"):
            with pytest.raises(np.linalg.LinAlgError):
                linreg_fast.fit(X, y, solver=solver, fit_intercept=fit_intercept)
    with monkeypatch.context() as patch:
        patch.setattr(scipy.linalg, "svd", lambda *a, **k: (lambda U, s, V: (U, s, wrong(V)))(*real_svd(*a, **k)))
        with pytest.raises(np.linalg.LinAlgError, match="BLAS or LAPACK library in use computes wrong results"):
            linreg_fast.fit(X, y, solver="svd", fit_intercept=fit_intercept)


def too_far(factor, h, real=factor.Factor.solve):
    """Corrections that leave twice the error they should take away."""
    return 3 * real(factor, h)


def test_refinement_that_stalls(monkeypatch):
    """Each solver is tried, the change recorded, and at last it is said that nothing was refined."""
    X, y = ill_conditioned(3e7, n=60, noise=10.0)
    fast = linreg_fast.fit(X, y, solver="svd", precision="fast")
    monkeypatch.setattr(factor.Factor, "solve", too_far)
    with pytest.warns(ConditionWarning, match="refinement does not contract through svd") as caught:
        fit = linreg_fast.fit(X, y, precision="extended")
    assert caught[0].filename == __file__
    assert fit.solver_path == ("cholesky", "qr", "svd")
    assert "refinement did not contract after qr" in fit.reason
    assert (fit.coef == fast.coef).all()
    assert fit.digits == fast.digits
    assert worst_lre([*fit.coef, fit.intercept], exact_fit(X, y)) >= fit.digits - 1.5
    with pytest.warns(ConditionWarning, match="through qr"):
        named = linreg_fast.fit(X, y, solver="qr", precision="extended")
    assert named.solver_path == ("qr",)


def test_refinement_that_stalls_once(monkeypatch):
    """A bad factor is left for the next solver's."""
    X, y = ill_conditioned(1e6, n=60, noise=10.0)
    real = factor.Factor.solve
    monkeypatch.setattr(
        factor.Factor, "solve", lambda self, h: too_far(self, h) if self.gain > 1.1 * self.kappa else real(self, h)
    )
    fit = linreg_fast.fit(X, y, precision="extended")
    assert fit.solver_path == ("cholesky", "qr")
    assert worst_lre([*fit.coef, fit.intercept], exact_fit(X, y)) >= 15


def test_status_of_the_triangular_solve_counts(monkeypatch):
    X, y = ill_conditioned(10.0)
    monkeypatch.setattr(lapack, "dtrtrs", lambda R, b, **_: (b, 2))
    with pytest.raises(np.linalg.LinAlgError, match="dtrtrs"):
        linreg_fast.fit(X, y, solver="qr", precision="fast")


def test_svd_that_does_not_converge_takes_the_other_driver(monkeypatch):
    X, y = ill_conditioned(10.0)
    expected = linreg_fast.fit(X, y, solver="svd")
    real, drivers = scipy.linalg.svd, []

    def broken(*arguments, lapack_driver="gesdd", **options):
        drivers.append(lapack_driver)
        if lapack_driver == "gesdd":
            raise np.linalg.LinAlgError("SVD did not converge")
        return real(*arguments, lapack_driver=lapack_driver, **options)

    monkeypatch.setattr(scipy.linalg, "svd", broken)
    fit = linreg_fast.fit(X, y, solver="svd")
    assert drivers[:2] == ["gesdd", "gesvd"]
    np.testing.assert_allclose(fit.coef, expected.coef, rtol=1e-12)
    wide, z, _, _ = problem(4, 9)
    with pytest.warns(linreg_fast.RankWarning):
        np.testing.assert_allclose(linreg_fast.fit(wide, z).predict(wide), z, rtol=1e-9)


def test_svd_that_never_converges_raises(monkeypatch):
    def broken(*_, **__):
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr(scipy.linalg, "svd", broken)
    X, y = ill_conditioned(10.0)
    with pytest.raises(np.linalg.LinAlgError, match="did not converge"):
        linreg_fast.fit(X, y, solver="svd")


def test_the_next_fit_is_not_harmed_by_a_failure(monkeypatch):
    X, y = ill_conditioned(10.0)
    expected = linreg_fast.fit(X, y).coef
    with monkeypatch.context() as patch:
        patch.setattr(lapack, "dpotrf", lambda A, **_: (A * np.nan, 0))
        with pytest.raises(np.linalg.LinAlgError):
            linreg_fast.fit(X, y)
    assert (linreg_fast.fit(X, y).coef == expected).all()


@pytest.mark.parametrize("kappa", [10.0, 1e5])
def test_double_double_that_does_not_work_is_said(kappa, monkeypatch):
    """No refinement in a process whose arithmetic is not IEEE 754, and a warning."""

    class Broken:
        def __getattr__(self, name):
            return (lambda a, b: False) if name == "double_double_works" else getattr(levels_kernels, name)

    levels_kernels = levels.kernels
    monkeypatch.setattr(levels, "kernels", Broken())
    X, y = ill_conditioned(kappa)
    with pytest.warns(ConditionWarning, match="double-double arithmetic does not work"):
        fit = linreg_fast.fit(X, y, precision="extended")
    assert fit.digits < 15.95


# refinement


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kappa", [1e1, 1e5, 1e9])
def test_extended_is_full(kappa, weighted, fit_intercept):
    X, y = ill_conditioned(kappa, n=50, noise=1.0)
    w = 1.0 + np.arange(50) % 4 if weighted else None
    for order in "CF":
        fit = linreg_fast.fit(
            np.asarray(X, order=order), y, sample_weight=w, fit_intercept=fit_intercept, precision="extended"
        )
        exact = exact_fit(X, y, fit_intercept, w)
        assert worst_lre(coefficients(fit), exact) >= 15.0
        assert fit.digits >= 14.5
        assert fit.precision == "extended"


@pytest.mark.parametrize("kappa", [1e1, 1e5, 1e9])
@pytest.mark.parametrize("l2", [1e-6, 2.0])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_extended_with_a_penalty(kappa, l2, offset):
    X, y = ill_conditioned(kappa, n=40, noise=1.0)
    X += offset
    exact = exact_ridge(X, y, l2)
    for solver in ("auto", "qr"):
        fit = linreg_fast.fit(X, y, l2=l2, precision="extended", solver=solver)
        assert worst_lre([*fit.coef, fit.intercept], exact) >= 15
        assert fit.digits >= 14.5


def test_extended_with_true_coefficients_of_zero_stops():
    """A relative rule would never be satisfied."""
    X = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0], [2.0, 3.0], [2.0, -3.0]])
    y = 3 * X[:, 0] + 1
    fit = linreg_fast.fit(X, y, precision="extended")
    np.testing.assert_allclose(fit.coef, [3.0, 0.0], atol=1e-25, rtol=1e-15)
    assert fit.intercept == pytest.approx(1.0, rel=1e-15)


def test_extended_for_several_targets():
    X, y = ill_conditioned(1e4, n=40)
    Y = np.column_stack([y, y**2, np.ones(40)])
    fit = linreg_fast.fit(X, Y, precision="extended")
    for t in range(2):
        assert worst_lre([*fit.coef[t], fit.intercept[t]], exact_fit(X, Y[:, t])) >= 15.0
    assert (fit.coef[2] == 0).all()
    assert fit.intercept[2] == 1.0


def test_auto_refines_where_few_digits_are_expected():
    X, y = ill_conditioned(1e5, n=50)
    fast = linreg_fast.fit(X, y, precision="fast")
    auto = linreg_fast.fit(X, y)
    assert fast.digits < 10
    assert auto.digits > fast.digits
    assert worst_lre([*auto.coef, auto.intercept], exact_fit(X, y)) >= 10
