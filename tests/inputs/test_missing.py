"""Rows with missing values, left out and counted through every door that takes `missing`."""

from __future__ import annotations

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import EVERY_SOLVER
from support.compare import assert_same_coefficients
from support.problems import problem
from support.tables import LAYOUTS

import linreg_fast
import linreg_fast.dask
from linreg_fast.inputs import missing as rooms
from linreg_fast.inputs.table import table

N, P = 3000, 3


def holes(seed=0, weighted=True):
    """X, y, weights with holes, and which rows are whole; one row of weight 0 holds NaN too."""
    X, y, *_ = problem(N, P, seed, offset=2.0)
    w = np.random.default_rng(seed).random(N) + 0.5
    X[[0, 17, 2999], [0, 2, 1]] = np.nan
    y[[17, 1500]] = np.nan
    w[256] = np.nan
    w[31] = 0.0
    X[31] = np.nan
    kept = np.ones(N, dtype=bool)
    kept[[0, 17, 31, 256, 1500, 2999]] = False
    return X, y, w, kept


@pytest.mark.parametrize("solver", EVERY_SOLVER)
@pytest.mark.parametrize("layout", ["C", "F", "float32", "strided", "frame", "polars", "list"])
def test_fit(solver, layout):
    X, y, w, kept = holes()
    given = {
        **LAYOUTS,
        "frame": pd.DataFrame,
        "polars": lambda a: pl.DataFrame(a).fill_nan(None),
        "list": lambda a: a.tolist(),
    }[layout](X)
    X = X.astype(np.float32).astype(float) if layout == "float32" else X
    settings = {"solver": solver, **EVERY_SOLVER[solver]}
    expected = linreg_fast.fit(X[kept], y[kept], sample_weight=w[kept], **settings)
    found = linreg_fast.fit(given, y, sample_weight=w, missing="drop", **settings)
    assert_same_coefficients(found, expected)
    np.testing.assert_allclose(found.rss, expected.rss, rtol=1e-10)
    with pytest.raises(ValueError, match=r"has (NaN|nan) at row"):
        linreg_fast.fit(given, y, sample_weight=w, **settings)


def test_other_doors():
    X, y, w, kept = holes()
    fit = linreg_fast.fit(X[kept], y[kept], sample_weight=w[kept])
    settings = {"sample_weight": w, "missing": "drop"}
    assert linreg_fast.cost(X, y, fit.coef, fit.intercept, **settings) == pytest.approx(fit.cost, rel=1e-12)
    cost, slopes, intercept = linreg_fast.gradient(X, y, fit.coef, fit.intercept, **settings)
    assert cost == pytest.approx(fit.cost, rel=1e-12)
    np.testing.assert_allclose([*slopes, intercept], 0.0, atol=1e-12)
    moments = linreg_fast.Moments(P).update(X[:100], y[:100], w[:100], missing="drop")
    assert (moments.n_samples, moments.n_dropped) == (97, 2)
    moments.update(X[100:], y[100:], w[100:], missing="drop")
    assert (moments.n_samples, moments.n_dropped) == (N - 6, 5)
    np.testing.assert_allclose(moments.solve().coef, fit.coef, rtol=1e-11)
    assert (moments + moments).n_dropped == 10
    empty = linreg_fast.Moments(P).update(X[:1], y[:1], missing="drop")
    assert (empty.n_samples, empty.n_dropped) == (0, 1)


def test_polynomial():
    x = np.arange(50.0)
    y = 1 + x - x**2
    x[3], y[7] = np.nan, np.nan
    fit = linreg_fast.fit_polynomial(x, y, 2, missing="drop")
    np.testing.assert_allclose(fit.coef, [1.0, -1.0], rtol=1e-13)
    assert fit.n_samples == 48
    x[9] = np.inf
    with pytest.raises(ValueError, match="x has inf at row 9"):
        linreg_fast.fit_polynomial(x, y, 2, missing="drop")
    with pytest.raises(ValueError, match="x has NaN at row 3; missing="):
        linreg_fast.fit_polynomial(x, y, 2)


def test_infinities_of_both_signs_are_no_missing_values():
    X, y, *_ = problem(100, P)
    X[3, 1], X[4, 1], X[5, 1] = np.inf, -np.inf, np.nan
    for given in (X, X.astype(np.float32)):
        with np.errstate(all="raise"), pytest.raises(ValueError, match="X has inf at row 3, column 1"):
            linreg_fast.fit(given, y, missing="drop")


@pytest.mark.parametrize("n_groups", [7, 400])
def test_by_group(n_groups):
    X, y, w, kept = holes()
    groups = np.arange(N) % n_groups
    found = linreg_fast.by_group(X, y, groups, sample_weight=w, missing="drop")
    expected = linreg_fast.by_group(X[kept], y[kept], groups[kept], sample_weight=w[kept])
    assert list(found) == list(expected)
    assert sum(part.n_dropped for part in found.values()) == 5
    for group, part in found.items():
        assert part.n_samples == expected[group].n_samples
        np.testing.assert_allclose(part.cross_products()[P, P], expected[group].cross_products()[P, P], rtol=1e-12)
        np.testing.assert_allclose(part.mean, expected[group].mean, rtol=1e-11)
    X[groups == 3] = np.nan
    lost = linreg_fast.by_group(X, y, groups, missing="drop")[3]
    assert (lost.n_samples, lost.n_dropped) == (0, np.count_nonzero(groups == 3))


@pytest.mark.parametrize("compute", [True, False])
def test_dask(compute):
    X, y, w, kept = holes()
    X[600:900] = np.nan  # a chunk of nothing
    kept[600:900] = False
    expected = linreg_fast.fit(X[kept], y[kept], sample_weight=w[kept])
    arrays = [da.from_array(a, chunks=300) for a in (X, y, w)]
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abc")).assign(y=y, w=w), npartitions=10)
    with dask.config.set(scheduler="sync"):
        for given, weight in ((arrays[:2], arrays[2]), ((frame, "y"), "w")):
            fit = linreg_fast.dask.fit(*given, sample_weight=weight, missing="drop", compute=compute)
            assert_same_coefficients(fit if compute else fit.compute(), expected, 1e-11)
        with pytest.raises(ValueError, match=r"chunk \d: (X|y) has NaN at row"):
            linreg_fast.dask.fit(*arrays[:2])
        nothing = da.full((20, 2), np.nan, chunks=5)
        with pytest.raises(ValueError, match="every row has a missing value in a column in use: 20 of them"):
            linreg_fast.dask.fit(nothing, nothing[:, 0], missing="drop")


def test_rows_in_errors_are_those_of_what_was_handed_in():
    X, y, w, _ = holes()
    X[2000, 1] = np.inf
    for call in (
        lambda: linreg_fast.fit(X, y, sample_weight=w, missing="drop"),
        lambda: linreg_fast.Moments(P).update(X, y, w, missing="drop"),
        lambda: linreg_fast.by_group(X, y, np.arange(N) % 5, sample_weight=w, missing="drop"),
        lambda: linreg_fast.cost(X, y, [1.0, 2.0, 3.0], sample_weight=w, missing="drop"),
    ):
        with pytest.raises(ValueError, match="X has inf at row 2000, column 1"):
            call()


def test_nothing_left():
    frame = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": [np.nan, 2.0, np.nan], "y": [1.0, 2.0, 3.0]})
    text = "every row has a missing value in a column in use: no row is left; 2 of 3 are missing in column 'b'"
    with pytest.raises(ValueError, match=text):
        linreg_fast.fit(frame, "y", missing="drop")
    with pytest.raises(ValueError, match="missing in column 0 of X"):
        linreg_fast.fit(np.full((4, 2), np.nan), np.arange(4.0), missing="drop")


def test_tables_without_missing_values_are_not_looked_at(monkeypatch):
    X, y, *_ = problem(N, P)
    monkeypatch.setattr(rooms, "complete", None)
    assert linreg_fast.fit(X, y, missing="drop").n_samples == N
    assert linreg_fast.cost(X, y, np.ones(P), missing="drop") > 0


def test_what_is_dropped_is_counted_with_the_table():
    X, y, w, kept = holes()
    data = rooms.complete(table(X, y, w))
    assert data.n_dropped == 5
    np.testing.assert_array_equal(data.numbers, np.flatnonzero(kept | (np.arange(N) == 31)))
    whole = table(X[kept], y[kept], w[kept])
    assert rooms.complete(whole) is whole


@pytest.mark.parametrize("value", ["ignore", None, 1])
def test_other_values(value):
    X, y, *_ = problem(20, 2)
    for call in (
        lambda: linreg_fast.fit(X, y, missing=value),
        lambda: linreg_fast.cost(X, y, [1.0, 2.0], missing=value),
        lambda: linreg_fast.gradient(X, y, [1.0, 2.0], missing=value),
        lambda: linreg_fast.Moments(2).update(X, y, missing=value),
        lambda: linreg_fast.by_group(X, y, np.zeros(20), missing=value),
    ):
        with pytest.raises(ValueError, match="missing must be one of raise, drop"):
            call()
