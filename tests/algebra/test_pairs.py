"""Double-double arithmetic on arrays against rational numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from support.problems import problem

from linreg_fast import reference
from linreg_fast.algebra.pairs import add, cholesky, pairs, product, solve_transposed, solve_upper, square_root
from linreg_fast.inputs.table import table
from linreg_fast.passes import products

pytestmark = pytest.mark.numerics

BITS = 2.0**-98


def rational(a):
    return [Fraction(float(hi)) + Fraction(float(lo)) for hi, lo in np.reshape(a, (-1, 2))]


def random_pairs(rng, *shape):
    hi = rng.standard_normal(shape)
    return pairs(hi, hi * rng.standard_normal(shape) * 2.0**-54)


def test_square_root():
    a = np.abs(random_pairs(np.random.default_rng(0), 100)) * [1, 0] + [0, 1e-18]
    for root, true in zip(rational(square_root(a)), rational(a), strict=True):
        assert abs(root * root / true - 1) <= BITS


@pytest.mark.parametrize("p", [1, 2, 5, 12])
def test_cholesky(p):
    """R'R = A and R'Z = B, far beyond float64, with a condition number of 1e6."""
    rng = np.random.default_rng(p)
    V = np.linalg.qr(rng.standard_normal((p, p)))[0]
    half = pairs(V * np.geomspace(1, 1e-3, p))
    A = product(half.swapaxes(0, 1), half.swapaxes(0, 1))
    R = cholesky(A)
    assert (np.tril(R[..., 0], -1) == 0).all()
    error = add(product(R, R), -A)
    assert np.abs(error[..., 0]).max() <= p * BITS
    B = random_pairs(rng, p, 3)
    Z = solve_transposed(R, B)
    error = add(product(R, Z), -B)
    assert np.abs(error[..., 0]).max() <= p * BITS * np.abs(Z).max()
    X = solve_upper(R, B)
    error = add(product(np.ascontiguousarray(R.swapaxes(0, 1)), X), -B)
    assert np.abs(error[..., 0]).max() <= p * BITS * np.abs(X).max()


def test_cholesky_of_dependent_columns():
    A = pairs(np.ones((2, 2)))
    assert cholesky(A) is None


@pytest.mark.parametrize("layout", ["C", "F", "strided"])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_products_in_blocks(many_blocks, layout, weighted):
    """Row blocks, threads and converted layouts: the sums of the kernel over all rows, and the same bits."""
    X, y, _, _ = problem(700, 3, offset=1e6)
    w = np.arange(700) % 3 / 7.0 if weighted else None
    X = np.repeat(X, 2, axis=1)[:, ::2] if layout == "strided" else np.asarray(X, order=layout)
    data = table(X, y, w)
    shift, scale = np.array([1e6, 1e6, 1e6, 1.0]), np.array([0.5, 1.0, 4.0, 2.0])
    M = products.dd_cross_products(data, shift, scale, 1)
    assert (products.dd_cross_products(data, shift, scale, 3) == M).all()
    exact = reference.dd_moments(X, y[:, None], w, scale, shift * scale)
    for found, row in zip(M, exact, strict=True):
        for pair, true in zip(rational(found), row, strict=True):
            assert abs(pair - true) <= Fraction(BITS) * Fraction(M[..., 0].max())
