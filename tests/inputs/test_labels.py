"""Rows of pandas objects beside each other: aligned by their labels through every door, or an error."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest

import linreg_fast
import linreg_fast.dask

N = 40
RNG = np.random.default_rng(3)
A = RNG.standard_normal((N, 2))
T = A @ [2.0, -1.0] + 3.0 + RNG.standard_normal(N) / 8
W = RNG.random(N) + 0.5
GROUPS = np.arange(N) % 3
ORDER = RNG.permutation(N)
INDEXES = {
    "text": pd.Index([f"r{i}" for i in range(N)]),
    "numbers": pd.Index(np.arange(N)[::-1] * 3),
    "dates": pd.date_range("2020-01-01", periods=N),
    "range": pd.RangeIndex(N),
    "several": pd.MultiIndex.from_product([range(4), list("abcdefghij")]),
    "with NaN": pd.Index([np.nan, *np.arange(1.0, N)]),
}


def moments(X, y, w):
    return linreg_fast.Moments(2).update(X, y, w).solve()


def cost(X, y, w):
    fit = linreg_fast.fit(A, T, sample_weight=W)
    assert linreg_fast.cost(X, y, fit.coef, fit.intercept, sample_weight=w) == pytest.approx(fit.cost, rel=1e-12)
    gradient = linreg_fast.gradient(X, y, fit.coef, fit.intercept, sample_weight=w)
    assert gradient[0] == pytest.approx(fit.cost, rel=1e-12)
    return fit


def grouped(X, y, w):
    groups = pd.Series(GROUPS, index=X.index).iloc[ORDER[::-1]] if hasattr(X, "iloc") else GROUPS
    found = linreg_fast.by_group(X, y, groups, sample_weight=w)
    for g, part in found.items():
        expected = linreg_fast.fit(A[g == GROUPS], T[g == GROUPS], sample_weight=W[g == GROUPS])
        np.testing.assert_allclose(part.solve().coef, expected.coef, rtol=1e-11)
    return sum(found.values()).solve()


DOORS = {
    "fit": lambda X, y, w: linreg_fast.fit(X, y, sample_weight=w),
    "fit, extended": lambda X, y, w: linreg_fast.fit(X, y, sample_weight=w, precision="extended"),
    "Moments": moments,
    "cost": cost,
    "by_group": grouped,
}
doors = pytest.mark.parametrize("door", DOORS)


@doors
@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("frame", [False, True])
def test_other_order_of_the_same_labels(door, index, frame):
    X = pd.DataFrame(A, columns=["u", "v"], index=INDEXES[index])
    y, w = pd.Series(T, index=X.index).iloc[ORDER], pd.Series(W, index=X.index).iloc[ORDER[::-1]]
    y = y.to_frame() if frame and door.startswith("fit") else y
    found = DOORS[door](X, y, w)
    np.testing.assert_allclose(np.ravel(found.coef), linreg_fast.fit(A, T, sample_weight=W).coef, rtol=1e-11)


@doors
def test_what_has_labels_counts(door):
    """X of NumPy or Polars goes by position; y and weights are then aligned with each other."""
    y, w = pd.Series(T, index=INDEXES["text"]), pd.Series(W, index=INDEXES["text"]).iloc[ORDER]
    expected = linreg_fast.fit(A, T, sample_weight=W).coef
    for X in (A, pl.DataFrame(A)):
        np.testing.assert_allclose(DOORS[door](X, y, w).coef, expected, rtol=1e-11)
    X = pd.DataFrame(A, index=INDEXES["text"])
    for y in (T, T.tolist(), pl.Series(T)):
        np.testing.assert_allclose(DOORS[door](X, y, w).coef, expected, rtol=1e-11)


def wrong(index):
    """A Series with other labels, and what is said of it."""
    other = list(index)
    return {
        "others": (["z", *other[1:]], r"y has no row labelled 'r0', which X has at row 0 \(1 of 40 labels"),
        "range": (range(N), r"y has no row labelled 'r0', which X has at row 0 \(40 of 40"),
        "twice": ([other[1], *other[1:]], "y and X|X and y have other row labels, and y has 'r1' twice"),
    }


@doors
@pytest.mark.parametrize("case", ["others", "range", "twice"])
def test_labels_that_are_not_the_same(door, case):
    X = pd.DataFrame(A, index=INDEXES["text"])
    labels, text = wrong(X.index)[case]
    with pytest.raises(ValueError, match=text):
        DOORS[door](X, pd.Series(T, index=labels), W)
    with pytest.raises(ValueError, match=text.replace("y ", "sample_weight ").replace(" y", " sample_weight")):
        DOORS[door](X, T, pd.Series(W, index=labels))


@doors
def test_labels_that_are_twice_but_the_same_go_by_position(door):
    index = pd.Index(["a"] * N)
    if door == "by_group":
        pytest.skip("groups in another order cannot be aligned")
    found = DOORS[door](pd.DataFrame(A, index=index), pd.Series(T, index=index), pd.Series(W, index=index))
    np.testing.assert_allclose(found.coef, linreg_fast.fit(A, T, sample_weight=W).coef, rtol=1e-11)


def test_lengths_are_told_before_labels():
    X = pd.DataFrame(A, index=INDEXES["text"])
    with pytest.raises(ValueError, match=r"differ in their number of rows: X has shape \(40, 2\), y \(39,\)"):
        linreg_fast.fit(X, pd.Series(T[1:], index=X.index[1:]))


def test_groups_of_other_labels():
    X = pd.DataFrame(A, index=INDEXES["text"])
    with pytest.raises(ValueError, match="groups has no row labelled 'r0'"):
        linreg_fast.by_group(X, T, pd.Series(GROUPS))


def test_polynomial():
    x = pd.Series(A[:, 0], index=INDEXES["numbers"])
    y = pd.Series(T, index=x.index).iloc[ORDER]
    np.testing.assert_allclose(
        linreg_fast.fit_polynomial(x, y, 2).coef, linreg_fast.fit_polynomial(A[:, 0], T, 2).coef, rtol=1e-11
    )


def test_nothing_is_written_to_and_X_is_read_where_it_is():
    X = pd.DataFrame(A, index=INDEXES["text"])
    y = pd.Series(T, index=X.index).iloc[ORDER]
    before = y.copy()
    data = linreg_fast.inputs.table.table(X, y)
    assert np.shares_memory(data.X, X.to_numpy())
    np.testing.assert_array_equal(data.Y[:, 0], T)
    pd.testing.assert_series_equal(y, before)


def test_chunks_of_dask():
    """Within a chunk; dask has the same divisions of both."""
    X = pd.DataFrame(A, columns=["u", "v"], index=np.arange(N))
    y = pd.Series(T, index=X.index)
    reversed_chunks = dd.from_pandas(y, npartitions=4).map_partitions(lambda part: part.iloc[::-1])
    with dask.config.set(scheduler="sync"):
        found = linreg_fast.dask.fit(dd.from_pandas(X, npartitions=4), reversed_chunks)
        np.testing.assert_allclose(found.coef, linreg_fast.fit(A, T).coef, rtol=1e-11)
        shifted = dd.from_pandas(y.set_axis(X.index + 1), npartitions=4)
        with pytest.raises(ValueError, match="chunk 0: y has no row labelled 0, which X has at row 0"):
            linreg_fast.dask.fit(dd.from_pandas(X, npartitions=4), shifted)
