"""Problems that tests of several wings share: seeded, the same numbers everywhere."""

from __future__ import annotations

import itertools

import numpy as np

from linreg_fast import Moments


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


def problem_of_targets(n, p, n_targets):
    """X, targets at levels of 1e-3 to 1e3, and the generator, for what a test adds."""
    rng = np.random.default_rng([n, p, n_targets])
    X = rng.standard_normal((n, p)) + 3
    Y = X @ rng.standard_normal((p, n_targets)) + rng.standard_normal((n, n_targets))
    return X, Y + 10.0 ** rng.integers(-3, 4, n_targets), rng


def ill_conditioned_columns(rng, kappa, n, p):
    """Centred columns with a given condition number; no scaling of single columns helps."""
    U = np.linalg.qr(np.column_stack([np.ones(n), rng.standard_normal((n, p))]))[0][:, 1:]
    V = np.linalg.qr(rng.standard_normal((p, p)))[0]
    return U * np.geomspace(1, 1 / kappa, p) @ V * np.sqrt(n)


def ill_conditioned(kappa, n=400, p=4, seed=0, noise=1e-3):
    """Such columns, and y."""
    rng = np.random.default_rng(seed)
    X = ill_conditioned_columns(rng, kappa, n, p)
    return X, X.sum(axis=1) + 1 + noise * rng.standard_normal(n)


def dependent_problem(n=40, seed=0, offset=3):
    """Whole numbers, X and y: column 3 is the sum of 0 and 1, column 5 twice 2 plus 4, all else independent."""
    rng = np.random.default_rng(seed)
    X = rng.integers(-9, 10, (n, 5)) + offset
    X = np.column_stack([X[:, :3], X[:, 0] + X[:, 1], X[:, 3], 2 * X[:, 2] + X[:, 3]]).astype(float)
    return X, rng.integers(-9, 10, n).astype(float)


def dependent_columns(kind, n, seed=0):
    """Columns that depend on each other in one way, their rank, and which ones do."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3)) + 1.0
    group = rng.integers(0, 4, n)
    return {
        "duplicate": (np.column_stack([X, X[:, 1]]), 3, [1, 3]),
        "scaled": (np.column_stack([X, X[:, 1] * 1e-8 / 3]), 3, [1, 3]),
        "sum": (np.column_stack([X, X[:, 0] + X[:, 2]]), 3, [0, 2, 3]),
        "dummies": (np.column_stack([X, group[:, None] == np.arange(4)]), 6, [3, 4, 5, 6]),
    }[kind]


def chunked(X, y, cuts, w=None, **options):
    """Moments of the rows between cuts, one update for each."""
    M = Moments(X.shape[1], 1 if y.ndim == 1 else y.shape[1], **options)
    edges = [0, *cuts, len(X)]
    for lo, hi in itertools.pairwise(edges):
        M.update(X[lo:hi], y[lo:hi], None if w is None else w[lo:hi])
    return M
