"""What every test runs under: settings, marks, levels, and threads that start from the defaults."""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings

from linreg_fast import cpu
from linreg_fast.passes import blocks, levels, rates
from linreg_fast.passes.threads import set_num_threads
from linreg_fast.solvers import small

# A job that a shell starts in the background ignores SIGINT, and so would whatever it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# comparisons say what differed there too
pytest.register_assert_rewrite("support")

# The same examples in every run; `--hypothesis-profile=explore` looks for new ones.
settings.register_profile("same", max_examples=60, derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile("same")


OPT_IN = ("stress", "spark")


def pytest_report_header(config):
    from support import stress  # not before its assertions are rewritten

    return f"LINREG_FAST_STRESS_SEED={stress.SEED}" if _asks_for_stress(config) else None


def pytest_collection_modifyitems(config, items):
    """Tests marked `stress` or `spark` run where the expression of -m names them, and nowhere else."""
    unasked = [mark for mark in OPT_IN if mark not in config.option.markexpr]
    left = [item for item in items if any(item.get_closest_marker(mark) for mark in unasked)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def _asks_for_stress(config):
    return "stress" in config.option.markexpr


CLOSED = ("auto", "cholesky", "qr", "svd")
# with options: steps enough to see that they are the same
EVERY_SOLVER = {solver: {"max_iter": 5, "tol": 0} if solver == "gd" else {} for solver in (*CLOSED, "gd")}
solvers = pytest.mark.parametrize("solver", CLOSED)
intercepts = pytest.mark.parametrize("fit_intercept", [True, False])


@pytest.fixture(params=levels.LEVELS)
def kernels(request):
    """The kernels of each level; the reason is shown where one cannot run here."""
    level = request.param
    if level not in levels.built:
        pytest.skip(f"level {level} was not built: the compiler does not take its flags")
    if level not in cpu.levels():
        pytest.skip(f"this processor runs {', '.join(cpu.levels())}, not {level}")
    return levels.of_level(level)


@pytest.fixture
def general_path(monkeypatch):
    """Every fit through SciPy's LAPACK, also where a kernel would have solved it alone."""
    monkeypatch.setattr(small, "SMALL_COLUMNS", 0)


@pytest.fixture
def many_blocks(monkeypatch):
    """Passes over moderate tables take many row blocks and many kernel calls, and use threads."""
    monkeypatch.setattr(rates, "BLOCK_SECONDS", 1e-10)
    monkeypatch.setattr(rates, "MERGE_SHARE", 1e9)
    monkeypatch.setattr(rates, "THREADED_SECONDS", 0.0)
    monkeypatch.setattr(blocks, "CALL_SECONDS", 1e-9)


@pytest.fixture(autouse=True)
def default_threads(monkeypatch):
    """Each test starts from the defaults, whatever the environment says."""
    monkeypatch.delenv("LINREG_FAST_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    yield
    set_num_threads(None)
