"""Tables whose columns lie apart, against the same tables as arrays."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from support.compare import bits
from support.problems import problem

import linreg_fast
from linreg_fast.inputs.columns import Columns
from linreg_fast.inputs.table import table
from linreg_fast.passes import table_sums

N = 3000


def columns_apart(X):
    return Columns([np.array(column) for column in X.T])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("p", [1, 10, 70])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_same_cross_products_as_in_f_order(p, dtype, weighted):
    """Bitwise, whatever the number of threads; read where they are."""
    X, y, *_ = problem(N, p, p, offset=10.0)
    X = np.asfortranarray(X, dtype=dtype)
    w = np.random.default_rng(0).random(N) if weighted else None
    expected = linreg_fast.fit(X, y, sample_weight=w, solver="cholesky", precision="fast")
    data = table(columns_apart(X), y, w)
    assert data.apart
    for n_threads in (1, 3):
        M = table_sums.of_table(data, True, n_threads)
        np.testing.assert_array_equal(M.gram, table_sums.of_table(table(X, y, w), True, 1).gram)
        fit = linreg_fast.fit(
            columns_apart(X), y, sample_weight=w, solver="cholesky", precision="fast", n_threads=n_threads
        )
        assert bits(fit) == bits(expected)


@pytest.mark.parametrize("settings", [{}, {"precision": "extended"}, {"solver": "qr"}, {"solver": "svd"}])
def test_every_solver(settings):
    X, y, *_ = problem(N, 4, 1, offset=10.0)
    y = np.column_stack([y, y[::-1]])
    expected = linreg_fast.fit(X, y, **settings)
    fit = linreg_fast.fit(columns_apart(X), y, **settings)
    np.testing.assert_allclose(fit.coef, expected.coef, rtol=1e-13)
    np.testing.assert_allclose(fit.stderr, expected.stderr, rtol=1e-12)


def test_squares_out_of_range_and_faults():
    X, y, *_ = problem(N, 3, 2)
    expected = linreg_fast.fit(X * 1e-200, y)
    np.testing.assert_allclose(linreg_fast.fit(columns_apart(X * 1e-200), y).coef, expected.coef, rtol=1e-13)
    bad = columns_apart(X)
    bad.arrays[1][7] = np.nan
    with pytest.raises(ValueError, match="X has NaN at row 7, column 1"):
        linreg_fast.fit(bad, y)


def test_like_an_array():
    X, *_ = problem(50, 4, 0)
    columns = columns_apart(X)
    for index in (3, slice(3, 9), np.array([4, 1]), (slice(None), 2), (slice(2, 5), [0, 3]), (X[:, 0] > 0, slice(1))):
        np.testing.assert_array_equal(columns[index], X[index])
    np.testing.assert_array_equal(np.asarray(columns), X)
    assert (len(columns), columns.shape, columns.ndim) == (50, X.shape, 2)
    columns.release()
    assert columns.shape == (0, 4)
    assert not columns.addresses.any()


@pytest.mark.parametrize("passes", ["data", "moments"])
def test_descent(passes):
    X, y, *_ = problem(N, 4, 3)
    settings = {"solver": "gd", "passes": passes, "max_iter": 50, "tol": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", linreg_fast.ConvergenceWarning)
        expected, fit = (linreg_fast.fit(table, y, **settings) for table in (np.asfortranarray(X), columns_apart(X)))
    np.testing.assert_allclose(fit.coef, expected.coef, rtol=1e-12)


@pytest.mark.parametrize("n", [N, 200_000])
def test_the_compiled_closed_form(n):
    """Without LAPACK, whether one thread is enough or not."""
    X, y, *_ = problem(n, 4, 3, offset=10.0)
    expected = linreg_fast.fit(np.asfortranarray(X), y)
    fit = linreg_fast.fit(columns_apart(X), y)
    assert fit.solver_path == expected.solver_path == ("cholesky",)
    np.testing.assert_allclose(fit.coef, expected.coef, rtol=1e-13)
    assert fit.plan.candidates == expected.plan.candidates
    assert bits(linreg_fast.fit(columns_apart(X), y, n_threads=1)) == bits(fit)
