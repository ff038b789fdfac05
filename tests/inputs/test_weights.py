"""What weights are: relative precisions, or how often a row was seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import CLOSED, EVERY_SOLVER
from support.problems import problem
from support.tables import LAYOUTS

import linreg_fast

W = np.random.default_rng(0).integers(0, 4, 80)


def statistics(fit):
    return {
        "coef": fit.coef,
        "intercept": fit.intercept,
        "stderr": fit.stderr,
        "intercept_stderr": fit.intercept_stderr,
        "tvalues": fit.tvalues,
        "pvalues": fit.pvalues,
        "interval": fit.conf_int(0.9),
        "residual_std": fit.residual_std,
        "rss": fit.rss,
        "tss": fit.tss,
        "r2": fit.r2,
        "cost": fit.cost,
        "sum_weight": fit.sum_weight,
        "n_samples": fit.n_samples,
        "rank": fit.rank,
    }


@pytest.mark.parametrize("solver", CLOSED)
@pytest.mark.parametrize("precision", ["auto", "extended"])
@pytest.mark.parametrize("targets", [0, 2])
def test_frequencies_are_repeated_rows(solver, precision, targets):
    X, y, *_ = problem(80, 4, offset=3.0)
    y = np.column_stack([y, y**2]) if targets else y
    settings = {"solver": solver, "precision": precision}
    expected = statistics(linreg_fast.fit(np.repeat(X, W, axis=0), np.repeat(y, W, axis=0), **settings))
    for w in (W, W.astype(float), pd.Series(W), W.tolist()):
        found = statistics(linreg_fast.fit(X, y, sample_weight=w, weights="frequency", **settings))
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-9, err_msg=name)
        assert found["n_samples"] == W.sum()


@pytest.mark.parametrize("layout", ["C", "F", "float32", "strided", "large"])
def test_frequencies_in_every_lane(layout):
    n = 60_000 if layout == "large" else 80
    X, y, *_ = problem(n, 4)
    X = LAYOUTS.get(layout, np.array)(X)
    w = np.arange(n) % 3
    expected = statistics(linreg_fast.fit(np.repeat(X, w, axis=0), np.repeat(y, w)))
    found = statistics(linreg_fast.fit(X, y, sample_weight=w, weights="frequency"))
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, err_msg=name)


def test_frequencies_with_descent_and_fewer_rows_than_columns():
    X, y, *_ = problem(80, 4)
    settings = {"solver": "gd", **EVERY_SOLVER["gd"]}
    expected = linreg_fast.fit(np.repeat(X, W, axis=0), np.repeat(y, W), **settings)
    found = linreg_fast.fit(X, y, sample_weight=W, weights="frequency", **settings)
    assert found.n_samples == expected.n_samples
    np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-9)
    X, y, *_ = problem(4, 6)
    w = [2, 1, 0, 3]
    with pytest.warns(linreg_fast.RankWarning):
        expected = linreg_fast.fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    with pytest.warns(linreg_fast.RankWarning):
        found = linreg_fast.fit(X, y, sample_weight=w, weights="frequency")
    np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-9)
    assert found.n_samples == expected.n_samples == 6


def test_analytic_weights_are_relative():
    """Only their ratios count, and n_samples is the number of rows: WLS of statsmodels."""
    X, y, *_ = problem(80, 3)
    w = np.random.default_rng(1).random(80) + 0.5
    fit = linreg_fast.fit(X, y, sample_weight=w)
    scaled = linreg_fast.fit(X, y, sample_weight=3 * w)
    np.testing.assert_allclose(scaled.stderr, fit.stderr, rtol=1e-12)
    assert fit.n_samples == scaled.n_samples == 80
    api = pytest.importorskip("statsmodels.api")
    peer = api.WLS(y, api.add_constant(X), weights=w).fit()
    np.testing.assert_allclose(fit.stderr, peer.bse[1:], rtol=1e-9)
    np.testing.assert_allclose(fit.pvalues, peer.pvalues[1:], rtol=1e-6)


def test_frequencies_with_rows_that_are_dropped():
    X, y, *_ = problem(80, 3)
    X[5, 1] = np.nan
    w = W.astype(float)
    w[5], w[9] = 3, np.nan
    kept = ~np.isin(np.arange(80), [5, 9])
    found = linreg_fast.fit(X, y, sample_weight=w, weights="frequency", missing="drop")
    expected = linreg_fast.fit(X[kept], y[kept], sample_weight=w[kept], weights="frequency")
    np.testing.assert_allclose(found.stderr, expected.stderr, rtol=1e-12)
    assert found.n_samples == W[kept].sum()


def test_what_frequencies_cannot_be():
    X, y, *_ = problem(80, 3)
    w = W.astype(float)
    w[7] = 1.5
    with pytest.raises(ValueError, match=r"sample_weight has 1.5 at row 7; with weights=\"frequency\" they count rows"):
        linreg_fast.fit(X, y, sample_weight=w, weights="frequency")
    frame = pd.DataFrame(X).assign(y=y, w=w)
    with pytest.raises(ValueError, match=r"sample_weight has 1.5 at row 7 \('w'\); with"):
        linreg_fast.fit(frame, "y", sample_weight="w", weights="frequency")
    linreg_fast.fit(X, y, sample_weight=w)
    for value in (-1.0, np.inf, np.nan):
        w[7] = value
        with pytest.raises(ValueError, match=r"sample_weight has .* at row 7; weights must be finite and not negative"):
            linreg_fast.fit(X, y, sample_weight=w, weights="frequency")
    with pytest.raises(ValueError, match="weights must be one of analytic, frequency; got 'fweight'"):
        linreg_fast.fit(X, y, sample_weight=W, weights="fweight")
    with pytest.raises(TypeError, match="weights says what the numbers in sample_weight are, analytic or frequency"):
        linreg_fast.fit(X, y, weights=W)
    with pytest.raises(TypeError, match="unknown option 'freq_weights'; did you mean 'weights'"):
        linreg_fast.fit(X, y, freq_weights=W)
