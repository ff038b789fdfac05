"""Stepwise selection of columns, against statsmodels on the rows."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from support.problems import problem

from linreg_fast import Moments, fit, stepwise

pytestmark = pytest.mark.numerics


def test_stepwise_against_statsmodels():
    api = pytest.importorskip("statsmodels.api")
    X, y, _, _ = problem(200, 6, noise=3.0)
    y = X[:, [1, 4]] @ [2.0, -1.0] + 3.0 * np.random.default_rng(3).standard_normal(200)
    M = Moments(6).update(X, y)

    def by_rows(columns, criterion):
        design = np.column_stack([np.ones(200), X[:, sorted(columns)]])
        return getattr(api.OLS(y, design).fit(), criterion)

    for criterion, direction in itertools.product(("aic", "bic"), ("forward", "backward", "both")):
        chosen = set(range(6)) if direction == "backward" else set()
        now, steps = by_rows(chosen, criterion), []
        while True:
            moves = [
                (by_rows(chosen ^ {j}, criterion), j)
                for j in range(6)
                if direction == "both" or (j in chosen) == (direction == "backward")
            ]
            best, j = min(moves, default=(math.inf, 0))
            if best >= now:
                break
            steps.append(("drop" if j in chosen else "add", j, best))
            chosen, now = chosen ^ {j}, best
        found = stepwise(M, criterion=criterion, direction=direction)
        assert found.features == tuple(sorted(chosen))
        assert [step[:2] for step in found.steps] == [step[:2] for step in steps]
        np.testing.assert_allclose([step[2] for step in found.steps], [step[2] for step in steps], rtol=1e-10)
        assert found.value == pytest.approx(now, rel=1e-12)
        np.testing.assert_allclose(found.fit.coef, fit(X[:, sorted(chosen)], y).coef, rtol=1e-11)
    assert {1, 4} <= set(found.features)


def test_stepwise_drops_what_became_needless():
    """A column that stands for two others is added first and dropped again by "both"."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 500))
    X = np.column_stack([a, b, a + b + 0.3 * rng.standard_normal(500)])
    y = a + b + 0.05 * rng.standard_normal(500)
    M = Moments(3).update(X, y)
    assert stepwise(M, direction="both").features == (0, 1)
    assert stepwise(M, direction="both").steps[-1][:2] == ("drop", 2)
    assert stepwise(M, direction="forward").features == (0, 1, 2)
    assert stepwise(M, direction="backward").features == (0, 1)


def test_stepwise_never_takes_dependent_or_constant_columns():
    X, y, _, _ = problem(100, 3)
    wide = np.column_stack([X, X[:, 0] + X[:, 2], np.ones(100)])
    M = Moments(5).update(wide, y)
    for direction in ("forward", "backward", "both"):
        found = stepwise(M, direction=direction)
        assert len(found.features) == 3
        assert 4 not in found.features
        np.testing.assert_allclose(found.fit.predict(wide[:, found.features]), fit(X, y).predict(X), rtol=1e-9)


def test_stepwise_stops_where_everything_is_explained():
    X, _, _, _ = problem(100, 4)
    y = X[:, 2] * 3.0 + 1.0
    found = stepwise(Moments(4).update(X, y))
    assert found.features == (2,)
    assert found.fit.slope == pytest.approx(3.0, rel=1e-14)
    nothing = stepwise(Moments(4).update(X, np.ones(100)))
    assert nothing.features == ()
    assert nothing.fit.solver == "mean"


def test_stepwise_arguments():
    X, y, _, _ = problem(80, 3)
    M = Moments(3, 2).update(X, np.column_stack([y, X[:, 1]]))
    assert stepwise(M, target=1).features == (1,)
    assert set(stepwise(M, features=[0, 2]).features) <= {0, 2}
    for options, error in (
        ({"criterion": "r2"}, ValueError),
        ({"direction": "up"}, ValueError),
        ({"target": 2}, ValueError),
        ({"target": [0, 1]}, ValueError),
        ({"features": [7]}, ValueError),
    ):
        with pytest.raises(error):
            stepwise(M, **options)
    with pytest.raises(ValueError, match="no rows"):
        stepwise(Moments(3))
