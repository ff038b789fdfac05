"""Plans: what is chosen for a shape, and that no number is read for it."""

from __future__ import annotations

import numpy as np
import pytest
from support.problems import problem

import linreg_fast
from linreg_fast import Plan, planning
from linreg_fast.plan_costs import PlanArguments
from linreg_fast.planning import plan_shape


def test_tall_problems_take_cholesky_in_one_pass():
    for shape in ((100, 3), (10_000_000, 8), (10**9, 100), (1000, 999), (2, 1)):
        plan = linreg_fast.plan(shape)
        assert isinstance(plan, Plan)
        assert (plan.solver, plan.passes, plan.copies) == ("cholesky", "one", ())
        assert "more rows than columns" in plan.reason
        assert plan.bytes_read == 8 * shape[0] * (shape[1] + 1)


def test_wide_problems_take_the_svd_of_the_rows():
    for shape in ((5, 5), (10, 1000), (1, 1)):
        plan = linreg_fast.plan(shape)
        assert (plan.solver, plan.passes) == ("svd", "rows")
        assert "minimum norm" in plan.reason
        assert any("copy of X" in copy for copy in plan.copies)


def test_very_many_columns_take_descent():
    plan = linreg_fast.plan((10**7, 10**6))
    assert plan.solver == "gd"
    assert plan.passes == "data"
    assert "too much for a closed form" in plan.reason
    assert plan.memory < planning.MEMORY_LIMIT
    assert linreg_fast.plan((10**7, 10**6, 2)).solver != "gd"  # gd takes one target


@pytest.mark.parametrize("solver", ["cholesky", "qr", "svd", "gd"])
def test_a_named_solver_is_planned(solver):
    for shape in ((1000, 10), (10**8, 3)):
        plan = linreg_fast.plan(shape, solver=solver)
        assert plan.solver == solver
        assert plan.reason == "asked for by name"


def test_candidates_are_all_there_and_have_costs():
    plan = linreg_fast.plan((1000, 10))
    assert {c.solver for c in plan.candidates} == {"cholesky", "qr", "svd", "gd"}
    assert [c.passes for c in plan.candidates if c.solver == "gd"] == ["moments", "data"]
    for c in plan.candidates:
        assert c.possible
        assert min(c.flops, c.bytes_read, c.memory, c.seconds) > 0
    chosen = next(c for c in plan.candidates if c.solver == plan.solver)
    assert (plan.flops, plan.bytes_read, plan.memory, plan.seconds) == (
        chosen.flops, chosen.bytes_read, chosen.memory, chosen.seconds,
    )  # fmt: skip
    wide = {c.solver: c.possible for c in linreg_fast.plan((10, 50)).candidates}
    assert (wide["cholesky"], wide["qr"], wide["svd"]) == (False, False, True)
    penalised = {c.solver: c.possible for c in linreg_fast.plan((10, 50), l2=1.0).candidates}
    assert (penalised["cholesky"], penalised["qr"]) == (True, True)
    targets = {c.solver: c.possible for c in linreg_fast.plan((1000, 10, 3)).candidates}
    assert not targets["gd"]


def test_costs_grow_with_the_problem():
    small, large = linreg_fast.plan((10**6, 10)), linreg_fast.plan((10**7, 10))
    assert large.seconds > 5 * small.seconds
    assert large.flops > 5 * small.flops
    one, two = (linreg_fast.plan((10**7, 50), n_threads=n) for n in (1, 2))
    assert two.seconds < one.seconds
    assert (one.n_threads, two.n_threads) == (1, 2)
    assert linreg_fast.plan((100, 5), n_threads=8).n_threads == 1
    assert linreg_fast.plan((10**7, 10), dtype=np.float32).bytes_read < large.bytes_read
    y = np.zeros(1000)
    weighted = linreg_fast.plan(np.zeros((1000, 3)), y, sample_weight=y)
    assert weighted.bytes_read > linreg_fast.plan(np.zeros((1000, 3)), y).bytes_read


def test_cheaper_passes_of_descent_are_chosen():
    assert linreg_fast.plan((10**6, 5), solver="gd").passes == "moments"
    assert linreg_fast.plan((50, 20_000), solver="gd", max_iter=5).passes == "data"
    assert linreg_fast.plan((10**6, 5), solver="gd", passes="data").passes == "data"


def test_text():
    text = str(linreg_fast.plan((10**6, 10), n_threads=1))
    assert text.startswith("cholesky: more rows than columns")
    for word in ("operations", "bytes read", "copies: none", "on 1 threads"):
        assert word in text
    assert "copies: X (int64)" in str(linreg_fast.plan((10**6, 10), dtype=np.int64))


def test_copies_are_announced():
    X, y, _, _ = problem(100, 3)
    assert linreg_fast.plan(X, y).copies == ()
    assert linreg_fast.plan(np.asfortranarray(X), y).copies == ()
    assert linreg_fast.plan(X.astype(np.float32), y).copies == ()
    for other in (X[:, ::-1], X.astype(">f8"), X.astype(int), X.astype(np.float16)):
        (copy,) = linreg_fast.plan(other, y).copies
        assert "converted to float64 in pieces" in copy
    (copy,) = linreg_fast.plan(X, y.astype(np.float32)).copies
    assert copy.startswith("y (float32)")
    plan = linreg_fast.plan(X[:, ::-1], y)
    assert plan.seconds > linreg_fast.plan(X, y).seconds


def test_numbers_are_never_read(tmp_path):
    """NaN changes nothing, and neither do pages that hold nothing yet."""
    X, y, _, _ = problem(100, 3)
    expected = linreg_fast.plan(X, y)
    assert linreg_fast.plan(np.full_like(X, np.nan), y) == expected
    assert linreg_fast.plan((100, 3)) == expected
    sparse = np.memmap(tmp_path / "X", dtype=float, mode="w+", shape=(10**6, 20))
    assert linreg_fast.plan(sparse).solver == "cholesky"
    huge = np.broadcast_to(0.0, (10**12, 5))
    assert linreg_fast.plan(huge, np.broadcast_to(0.0, 10**12)).solver == "cholesky"


def test_a_shape_alone_needs_no_targets(monkeypatch):
    """Neither a plan of X nor one of its shape makes an array as long as the table."""
    huge = np.broadcast_to(0.0, (10**12, 5))
    assert linreg_fast.plan(huge).solver == "cholesky"


def test_plans_are_pure():
    assert plan_shape(PlanArguments(1000, 10)) == plan_shape(PlanArguments(1000, 10))
    assert linreg_fast.plan((1000, 10)) == linreg_fast.plan((1000, 10))


def test_fit_follows_the_plan():
    X, y, _, _ = problem(200, 3)
    for options in ({}, {"solver": "qr"}, {"precision": "extended"}):
        fit = linreg_fast.fit(X, y, n_threads=1, **options)
        solver = options.get("solver", "auto")
        assert fit.plan == linreg_fast.plan(X, y, solver=solver, n_threads=1)
        assert fit.solver == fit.plan.solver
    wide, z, _, _ = problem(5, 9)
    with pytest.warns(linreg_fast.RankWarning):
        assert linreg_fast.fit(wide, z).solver == linreg_fast.plan(wide, z).solver == "svd"


def test_fit_by_descent_where_the_plan_says_so(monkeypatch, general_path):
    """No closed form is begun that would need more memory than there is."""
    monkeypatch.setattr(planning, "MEMORY_LIMIT", 100)
    X, y, _, _ = problem(200, 5)
    assert linreg_fast.plan(X, y).solver == "gd"
    fit = linreg_fast.fit(X, y, precision="extended")
    assert fit.solver == "gd"
    assert "too much for a closed form" in fit.reason


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (((100, 3),), {"solver": "lu"}, ValueError, "solver must be one of auto, cholesky, qr, svd, gd; got 'lu'"),
        (((0, 3),), {}, ValueError, "with rows > 0"),
        (((-5, 3),), {}, ValueError, "with rows > 0"),
        (((5, -3),), {}, ValueError, "a shape is"),
        (((5,),), {}, ValueError, "a shape is"),
        (((5, 3, 1, 1),), {}, ValueError, "a shape is"),
        (((5, 3, 0),), {}, ValueError, "a shape is|target"),
        (((1e6, 3),), {}, TypeError, "of integers"),
        (((True, 3),), {}, TypeError, "of integers"),
        (((5, 3),), {"order": "K"}, ValueError, 'order must be "C" or "F"'),
        (((5, 3),), {"n_threads": 0}, ValueError, "n_threads must be"),
        (((5, 3),), {"solver": "gd", "passes": "rows"}, ValueError, "passes must be one of"),
        ((np.ones((5, 2)), np.ones(4)), {}, ValueError, "differ in their number of rows"),
        ((np.ones((5, 2)) * 1j,), {}, TypeError, "complex"),
        ((3.0,), {}, (TypeError, ValueError), "X"),
        (((5, 3),), {"dtype": np.complex128}, TypeError, "complex"),
        (((5, 3),), {"l2": -1.0}, ValueError, "l2 must be"),
        (((5, 3),), {"max_iter": 0}, ValueError, "max_iter must be"),
    ],
)
def test_wrong_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        linreg_fast.plan(*arguments, **options)
