"""The benchmark that users run: what is measured, checked and left out; no time is asserted."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from support.tables import ROOT

from linreg_fast import cpu
from linreg_fast.bench import cases as bench_cases
from linreg_fast.bench import peers, report, small_inputs, stacks, timing, windows
from linreg_fast.bench.timing import Effort, Side, interleaved, pinned
from linreg_fast.passes import levels

TINY = Effort(1e-4, 1e-4, 2, 1 << 20, 50, 1_000, 20, False)


def side(value, peer=False, calls=1):
    return Side(lambda: value, np.atleast_1d, peer, calls)


def failing():
    raise RuntimeError("no such thing")


def test_a_peer_that_fails_or_answers_something_else_is_left_out_and_named():
    sides = {
        "a": side(2.0),
        "b": side(2.0 + 1e-12),
        "c": side(2.1, peer=True),
        "d": Side(failing, np.atleast_1d, True),
        "e": side(np.nan, peer=True),
        "f": side(2.0, peer=True),
    }
    seconds, notes = interleaved(sides, TINY)
    assert list(seconds) == ["a", "b", "f"]
    assert min(seconds.values()) > 0
    assert [note.split(",")[0] for note in notes] == [
        "c has another answer",
        "d failed: RuntimeError: no such thing",
        "e has another answer",
    ]


def test_our_own_wrong_answer_is_an_error():
    with pytest.raises(ArithmeticError, match="NumPy has another answer"):
        interleaved({"linreg_fast": side(2.0), "NumPy": side(2.1)}, TINY)
    with pytest.raises(RuntimeError, match="no such thing"):
        interleaved({"linreg_fast": Side(failing)}, TINY)


def test_every_side_takes_part_and_slow_ones_less_often(monkeypatch):
    counts = dict.fromkeys("ab", 0)
    clock = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def taking(name, seconds):
        def call():
            counts[name] += 1
            clock[0] += seconds

        return Side(call, peer=name == "b")

    seconds, _ = interleaved({"a": taking("a", 0.1), "b": taking("b", 3.0)}, timing.FULL)
    assert counts == {"a": 11, "b": 2}  # one to warm up
    assert seconds == pytest.approx({"a": 0.1, "b": 3.0})


def test_one_call_may_stand_for_many(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(clock)))
    assert interleaved({"a": side(1.0, calls=7)}, TINY) == ({"a": 7.0}, [])


def test_peers_too_large_too_slow_or_broken_are_left_out_and_named(monkeypatch):
    pytest.importorskip("sklearn")
    X, y = bench_cases.generate(1_000, 3)
    monkeypatch.setattr(peers, "PEERS", {"scikit-learn": peers.PEERS["scikit-learn"]})
    assert list(peers.installed_peers(X, y, 1)[0]) == ["scikit-learn"]
    monkeypatch.setattr(peers, "PEER_SECONDS", 0.0)
    sides, notes = peers.installed_peers(X, y, 1)
    assert sides == {}
    assert "it would take" in notes[0]
    monkeypatch.setattr(peers, "PEER_BYTES", X.nbytes)
    sides, notes = peers.installed_peers(X, y, 1)
    assert sides == {}
    assert "it would need" in notes[0]
    monkeypatch.setattr(peers, "PEER_BYTES", np.inf)
    monkeypatch.setattr(peers, "PEERS", {"scikit-learn": ("sklearn", 1, lambda X, y, threads: failing())})
    assert peers.installed_peers(X, y, 1) == ({}, ("scikit-learn failed: RuntimeError: no such thing",))


@pytest.mark.filterwarnings("default")  # those of the peers are their own
def test_peers_that_are_installed_agree():
    with pinned(1):
        (row,) = bench_cases.shape_rows(500, 4, (), TINY, 1, True)
    installed = {name for name, (package, _, _) in peers.PEERS.items() if peers.find_spec(package)}
    assert set(row["seconds"]) == {timing.OURS, timing.NUMPY} | installed
    assert row["notes"] == []
    assert row["limit"] is None


def test_a_product_of_numpy_before_a_fit():
    with pinned(1):
        _, row = bench_cases.shape_rows(1500, 40, ("products",), TINY, 1, False)
    assert row["what"] == "product of NumPy and fit"
    assert list(row["seconds"]) == [timing.OURS, "fit alone"]


def test_limit_is_the_larger_of_reading_and_arithmetic():
    with pinned(1):
        fit, gradient, cost, predict = bench_cases.shape_rows(1500, 40, ("passes",), TINY, 1, False)
    read, product = 8 * 1500 * 41 / fit["read_rate"], 1500 * 40 * 41 / fit["product_rate"]
    assert fit["limit"] == pytest.approx(max(read, product))
    for row in (gradient, cost, predict):
        assert row["limit"] == pytest.approx(8 * 1500 * 41 / row["read_rate"])


def test_small_inputs_have_the_answers_of_lstsq():
    with pinned(1):
        rows = small_inputs.small_rows(TINY, 1)
    assert len({row["what"] for row in rows}) == len(rows) >= 10
    for row in rows:
        assert set(row["seconds"]) == {timing.OURS, timing.NUMPY}
        assert row["notes"] == []
        assert row["limit"] is None


def test_groups_beside_one_fit():
    with pinned(1):
        rows = small_inputs.group_rows(2_000, 5, TINY, 1)
    assert [row["what"] for row in rows] == ["by_group, 40 groups", "by_group and solve, 40 groups"]
    for row in rows:
        assert row["limit"] >= 8 * 2_000 * 7 / row["read_rate"]
        assert min(row["seconds"].values()) > 0


def test_windows_and_their_peers_agree():
    with pinned(1):
        first, errors, grouped, *rest = windows.window_rows(bench_cases.generate(2_000, 3), 50, TINY, 1, True)
    there = {name for name in ("statsmodels", "polars-ols", "polars_ds") if peers.find_spec(peers.PACKAGES[name])}
    assert set(first["seconds"]) == {timing.OURS, timing.NUMPY} | there
    assert set(errors["seconds"]) == {timing.OURS, "rolling"} | there & {"statsmodels"}
    assert set(grouped["seconds"]) == {timing.OURS, "no groups"}
    for row in rest:
        assert set(row["seconds"]) == {timing.OURS, "rolling"}


def test_stacks_and_their_peers_agree():
    with pinned(1):
        rows = stacks.stack_rows(replace(TINY, shrink=200), 1, True)
    there = {name for name in ("polars_ds", "polars-ols") if peers.find_spec(peers.PACKAGES[name])}
    of_database = {"DuckDB"} if peers.find_spec("duckdb") else set()
    assert [set(row["seconds"]) - {timing.OURS} for row in rows] == [
        there,
        {"whole keys"},
        of_database,
        {timing.NUMPY, "SciPy", "lstsq in a loop"},
        {"one product"},
        {"one product"},
    ]
    assert not [note for row in rows for note in row["notes"] if "another answer" in note or "failed" in note]
    heads = report.columns(rows)
    assert all(len(report.cells(row, heads)) == len(heads) for row in rows)


@pytest.mark.parametrize("level", levels.LEVELS)
def test_levels_are_forced_in_a_process_of_their_own(level, monkeypatch):
    if level not in levels.built or level not in cpu.levels():
        pytest.skip("not for this processor or build")
    rows = bench_cases.level_rows(level, Effort(1e-4, 1e-4, 1, 1 << 20, 50, 1_000_000, 4, False), 1)
    assert {row["what"] for row in rows} == {f"fit, level {level}"}
    assert len(rows) == sum("layouts" in shape[2] for shape in bench_cases.SHAPES)


def test_table_for_the_readme(tmp_path):
    with pinned(1):
        rows = [row for case in bench_cases.cases(quick=True, peers=False)[-2:] for row in case()]
        noted = {"about": report.about(rows, 1), "rows": rows}
    (tmp_path / "bench.json").write_text(json.dumps(noted))
    (tmp_path / "README.md").write_text("before\n<!-- benchmarks -->\nold\n<!-- end of benchmarks -->\nafter\n")
    command = [sys.executable, "-W", "error", ROOT / "benchmarks" / "table.py", "bench.json", "--into", "README.md"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "README.md").read_text()
    assert text.startswith(
        "before\n<!-- benchmarks -->\n| what | rows x columns | linreg_fast | limit | NumPy | beside |"
    )
    assert text.endswith("<!-- end of benchmarks -->\nafter\n")
    assert "old" not in text
    assert "| fit, 50 targets | 2,000 x 20 |" in text


def test_constants_of_the_plan_are_found_from_measurements():
    spec = importlib.util.spec_from_file_location("plans", ROOT / "benchmarks" / "plans.py")
    plans = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plans)
    before = plans.current()
    points = [point for n, p in [(100, 3), (100_000, 10), (5_000, 200)] for point in plans.candidates(n, p, 2)]
    changed = before + np.linspace(-1, 1, len(before))
    with plans.replaced(changed):
        assert plans.current() == pytest.approx(changed)
        points = [point | {"seconds": plans.expected(point)} for point in points]
    assert plans.current() == pytest.approx(before)
    wrong = np.abs(plans.errors(points)).max()
    assert wrong > 0.3
    found = plans.fitted(points)
    assert plans.current() == pytest.approx(before)
    with plans.replaced(found):
        # each constant is also pulled to what it was
        assert np.abs(plans.errors(points)).max() < wrong / 3
