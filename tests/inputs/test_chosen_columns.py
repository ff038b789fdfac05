"""Columns picked by position or by name."""

from __future__ import annotations

import numpy as np
import pytest
from support.compare import assert_close
from support.problems import problem

from linreg_fast import Moments, fit


def test_columns_by_position_and_by_name():
    pd = pytest.importorskip("pandas")
    X, y, _, _ = problem(400, 4)
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    M = Moments(4).update(frame[:150], y[:150]).update(X[150:], y[150:])
    assert M.feature_names == ("a", "b", "c", "d")
    for chosen in ([2, 0], ["c", "a"], [2, "a"], np.array([2, 0])):
        found = M.solve(features=chosen)
        assert_close(found, fit(X[:, [2, 0]], y))
        assert found.feature_names == ("c", "a")
    only_mean = M.solve(features=[])
    assert only_mean.solver == "mean"
    assert only_mean.intercept == pytest.approx(y.mean(), rel=1e-14)
    for wrong, error, text in (
        ("a", TypeError, "alone"),
        (["e"], ValueError, "features has 'e'"),
        ([4], ValueError, "there are 4 columns"),
        ([-1], ValueError, "there are 4 columns"),
        ([True], TypeError, "features has True"),
        ([1.0], TypeError, "features has 1.0"),
        ([1, "b"], ValueError, "a column twice"),
    ):
        with pytest.raises(error, match=text):
            M.solve(features=wrong)
    with pytest.raises(ValueError, match="the columns have no names"):
        Moments(4).update(X, y).solve(features=["a"])


def test_targets():
    X, y, _, _ = problem(400, 3)
    Y = np.column_stack([y, X[:, 0] - y, y**2])
    M = Moments(3, 3).update(X, Y)
    assert_close(M.solve(targets=1), fit(X, Y[:, 1]))
    assert_close(M.solve(targets=[2, 0]), fit(X, Y[:, [2, 0]]))
    for wrong, error in (([], ValueError), (3, ValueError), ([0.0], TypeError), ("y", TypeError)):
        with pytest.raises(error, match="targets"):
            M.solve(targets=wrong)
