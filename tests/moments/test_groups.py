"""Moments of groups of rows, against the moments of each group by itself."""

from __future__ import annotations

import numpy as np
import pytest
from support.exact import exact_fit, worst_lre
from support.problems import problem

from linreg_fast import Moments, by_group, fit
from linreg_fast.moments import groups

pytestmark = pytest.mark.numerics

N, P = 4000, 3


def apart(X, y, labels, w=None):
    """Each group by itself, with the shift of them all: the mean of the leading rows that are there."""
    n_targets = 1 if y.ndim == 1 else y.shape[1]
    shift = Moments(X.shape[1], n_targets).update(X, y, w).shift
    found = {}
    for label in np.unique(labels):
        rows = labels == label
        part = Moments(X.shape[1], n_targets, shift=shift)
        found[label] = part.update(X[rows], y[rows], None if w is None else w[rows])
    return found


def test_groups_of_a_frame():
    pd = pytest.importorskip("pandas")
    X, y, _, _ = problem(90, 2, offset=10.0)
    groups = np.array(["b", "a", "c"])[np.arange(90) % 3]
    found = by_group(pd.DataFrame(X, columns=["u", "v"]), y, groups)
    assert list(found) == ["a", "b", "c"]
    for name, part in found.items():
        assert part.feature_names == ("u", "v")
        np.testing.assert_allclose(part.solve().coef, fit(X[groups == name], y[groups == name]).coef, rtol=1e-12)
    whole = sum(found.values())
    np.testing.assert_allclose(whole.solve().coef, fit(X, y).coef, rtol=1e-13)
    X[4, 1] = np.nan
    with pytest.raises(ValueError, match="X has NaN at row 4, column 1"):  # among those the shift is the mean of
        by_group(X, y, groups)
    with pytest.raises(ValueError, match=r"groups must have shape \(90,\)"):
        by_group(X, y, groups[:5])


def test_groups_that_are_a_column_of_the_frame():
    pd = pytest.importorskip("pandas")
    X, y, _, _ = problem(90, 2)
    groups = np.array(["b", "a", "c"])[np.arange(90) % 3]
    frame = pd.DataFrame(X, columns=["u", "v"]).assign(g=pd.Categorical(groups), y=y, w=1.0)
    found, expected = by_group(frame, "y", "g", sample_weight="w"), by_group(X, y, groups)
    assert list(found) == list(expected)
    for name, part in found.items():
        assert part.feature_names == ("u", "v")
        np.testing.assert_allclose(part.solve().coef, expected[name].solve().coef, rtol=1e-12)
    with pytest.raises(TypeError, match="groups names a column: y must name one too"):
        by_group(X, y, "g")
    frame.loc[4, "y"] = np.nan
    with pytest.raises(ValueError, match=r"y has NaN at row 4 \('y'\)"):
        by_group(frame, "y", "g")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_targets", [0, 2])
def test_same_bits_as_each_group_by_itself(order, dtype, weighted, n_targets):
    X, y, *_ = problem(N, P, 2, offset=5.0)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 300, N)
    X = np.asarray(X, dtype=dtype, order=order)
    Y = y if not n_targets else np.column_stack([y, X[:, 0] - y])
    w = rng.random(N) if weighted else None
    if weighted:
        w[labels == 7] = 0.0  # a group that is not there
        w[::5] = 0.0
        X[::5] = np.nan
    found, expected = by_group(X, Y, labels, sample_weight=w), apart(X, Y, labels, w)
    assert list(found) == sorted(expected)
    for label, part in found.items():
        assert part.n_samples == expected[label].n_samples
        assert part.n_samples == 0 or part == expected[label]
    assert sum(found.values()).n_samples == (N if w is None else np.count_nonzero(w))


def test_groups_that_need_a_second_look(monkeypatch):
    X, y, *_ = problem(N, P, 4)
    labels = np.repeat(np.arange(8), N // 8)
    X[labels == 3, 1] = 7.0  # constant
    X[labels == 4] += 1e4  # far from the others: its squares must be taken about its own mean
    X[labels == 6] = np.round(X[labels == 6])
    found, expected = by_group(X, y, labels), apart(X, y, labels)
    assert all(found[label] == expected[label] for label in expected)
    assert len(found[4].solve().coef) == P
    assert np.allclose(found[4].solve().coef, Moments(P).update(X[labels == 4], y[labels == 4]).solve().coef, rtol=1e-6)
    monkeypatch.setattr(groups, "SMALL_BYTES", 0)  # one by one
    assert all(by_group(X, y, labels)[label] == expected[label] for label in expected)


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [("X", np.nan, "NaN at row 535, column 1"), ("X", np.inf, "inf"), ("w", -1.0, "row 535")],
)
def test_faults_are_named_with_their_group(place, value, text):
    X, y, *_ = problem(1000, P)
    w, labels = np.ones(1000), np.arange(1000) % 10
    if place == "X":
        X[535, 1] = value
    else:
        w[535] = value
    with pytest.raises(ValueError, match=text) as caught:
        by_group(X, y, labels, sample_weight=w)
    assert caught.value.__notes__ == ["the row is in group 5"]


@pytest.mark.parametrize(("n_threads", "error"), [(0, ValueError), (1.5, TypeError)])
def test_threads_are_checked_whatever_the_size_of_the_groups(n_threads, error):
    X, y, *_ = problem(100, P)
    with pytest.raises(error, match="n_threads"):
        by_group(X, y, np.arange(100) % 3, n_threads=n_threads)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([3, -7, 3, 120], dtype=np.int8),
        np.array([2**64 - 1, 2**64 - 3, 2**64 - 1, 2**64 - 2], dtype=np.uint64),
        np.array([2**63 - 1, -(2**63), 0, 5]),
        np.array([-(2**63), 3 - 2**63, -(2**63), 9 - 2**63]),
        np.array([True, False, True, True]),
        np.array([0.5, -0.5, np.inf, 2.0]),
        np.array([7, 7, 7, 7], dtype=">i4"),
        np.arange(8)[::2],
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_keys_of_every_kind(labels):
    """Counted or sorted, the groups are the same, ascending, and keys are what `tolist` makes of them."""
    X, y, *_ = problem(400, P)
    keys = labels[np.random.default_rng(1).integers(0, 4, 400)]
    found, expected = by_group(X, y, keys), apart(X, y, keys)
    assert list(found) == np.unique(keys).tolist()
    assert [type(key) for key in found] == [type(key) for key in np.unique(keys).tolist()]
    assert all(found[label.item()] == part for label, part in expected.items())


def test_a_large_group_among_small_ones(monkeypatch):
    X, y, *_ = problem(N, P)
    keys = np.r_[np.zeros(N // 2, dtype=int), np.random.default_rng(1).integers(1, 90, N // 2)][::-1]
    expected = apart(X, y, keys)
    for limit in (groups.SMALL_BYTES, 8000, 800):
        monkeypatch.setattr(groups, "SMALL_BYTES", limit)
        found = by_group(X, y, keys)
        assert list(found) == list(expected)
        assert all(found[key] == part for key, part in expected.items())


def test_groups_on_several_threads(many_blocks):
    X, y, *_ = problem(N, P)
    keys = np.random.default_rng(1).integers(0, 700, N)
    assert by_group(X, y, keys, n_threads=3) == by_group(X, y, keys, n_threads=1)


def test_groups_far_from_each_other_are_solved_to_the_digits_they_claim():
    X, y, *_ = problem(3000, P)
    keys = np.random.default_rng(1).integers(0, 40, 3000)
    X += keys[:, None] * 1000.0
    for key, part in by_group(X, y, keys).items():
        rows = keys == key
        exact = exact_fit(X[rows], y[rows])
        found = part.solve()
        assert found.digits <= worst_lre([*found.coef, found.intercept], exact) + 1
        assert found.digits > 5
