"""Progress: the bar that a place has, how far each long call says it is, and interrupts of all of them."""

from __future__ import annotations

import itertools
import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest

import linreg_fast
from linreg_fast.passes import progress


def data(n=3000, p=3):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    return X, X @ np.arange(1.0, p + 1) + rng.standard_normal(n)


def folds(told):
    X, y = data()
    parts = list(linreg_fast.by_group(X, y, np.arange(3000) % 5).values())
    return linreg_fast.cross_validate(parts, [0.0, 1.0, 10.0], progress=told)


def by_group(told, missing):
    X, y = data()
    if missing:
        X[7, 1] = np.nan
    return linreg_fast.by_group(X, y, np.arange(3000) % 50, missing="drop", progress=told)


CALLS = {
    "fit": lambda told: linreg_fast.fit(*data(), progress=told),
    "fit_stream": lambda told: linreg_fast.fit_stream([data(500)] * 6, progress=told),
    "fit_polynomial": lambda told: linreg_fast.fit_polynomial(data()[0][:, 0], data()[1], 4, progress=told),
    "by_group": lambda told: by_group(told, False),
    "by_group with missing values": lambda told: by_group(told, True),
    "cross_validate": folds,
    "grouped": lambda told: linreg_fast.grouped(*data(), np.arange(3000) % 50, progress=told),
    "rolling": lambda told: linreg_fast.rolling(*data(), 250, progress=told),
    "expanding": lambda told: linreg_fast.expanding(*data(), progress=told),
    "recursive": lambda told: linreg_fast.recursive(*data(), half_life=50, progress=told),
    "batched": lambda told: linreg_fast.batched(data()[0].reshape(50, 60, 3), data()[1].reshape(50, 60), progress=told),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_long_call_says_how_far_it_is_and_ends_at_the_whole(name):
    seen = []
    CALLS[name](lambda done, total: seen.append((done, total)))
    assert seen
    assert all(a <= b for (a, _), (b, _) in itertools.pairwise(seen))
    assert seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize("name", CALLS)
def test_an_error_of_the_callable_ends_the_call(name):
    """As an interrupt does, which comes in it or between two of its calls."""

    def told(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CALLS[name](told)


def test_progress_changes_no_bit():
    X, y = data()
    quiet = linreg_fast.by_group(X, y, np.arange(3000) % 7)
    told = linreg_fast.by_group(X, y, np.arange(3000) % 7, progress=lambda *_: None)
    assert quiet == told


# bars


@pytest.fixture
def notebook(monkeypatch):
    """As in a kernel of IPython; widgets are not there."""
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    real = progress.find_spec
    monkeypatch.setattr(progress, "find_spec", lambda name: None if name == "ipywidgets" else real(name))
    return shell


def test_a_notebook_has_a_bar_of_tqdm(notebook, capsys):
    X, y = data()
    linreg_fast.fit(X, y, progress=True)
    said = capsys.readouterr().err
    assert "3.00k/3.00k" in said
    assert "rows/s" in said


def test_a_total_that_comes_late_is_shown(notebook, capsys):
    with progress.reporting(True) as report:
        report(10, None)
        report(400, 1000)
        report(1000, 1000)
    assert "1.00k/1.00k" in capsys.readouterr().err


def test_an_ipython_in_a_terminal_has_the_bar_of_a_terminal(notebook, capsys):
    pytest.importorskip("rich")
    del notebook.kernel
    X, y = data()
    linreg_fast.fit(X, y, progress=True)
    said = capsys.readouterr()
    assert "3,000 rows" in said.out
    assert "it/s" not in said.err


# interrupts

INTERRUPT = textwrap.dedent(
    """
    import os, signal, sys, threading, time, warnings
    import numpy as np
    import linreg_fast

    warnings.simplefilter("ignore")
    what = sys.argv[1]
    rng = np.random.default_rng(0)
    n = 2_000_000
    X, y = rng.standard_normal((n, 5)), rng.standard_normal(n)
    keys = rng.integers(0, n // 20, n)

    def diagnostics():
        from linreg_fast import plots

        fit = linreg_fast.fit(X, y)
        ready()
        while True:
            plots.diagnostics(fit, X, y)

    def folds():
        parts = list(linreg_fast.by_group(X, y, keys % 400).values())
        ready()
        while True:
            linreg_fast.cross_validate(parts, np.geomspace(1e-3, 1e3, 50))

    def one_by_one():
        Z = X[:200_000].copy()
        Z[:, 1] = Z[:, 0]
        ready()
        while True:
            linreg_fast.grouped(Z, y[:200_000], keys[:200_000])

    def again(function):
        ready()
        while True:
            function()

    calls = {
        "by_group": lambda: again(lambda: linreg_fast.by_group(X, y, keys)),
        "grouped": lambda: again(lambda: linreg_fast.grouped(X, y, keys)),
        "grouped, dependent columns": one_by_one,
        "rolling": lambda: again(lambda: linreg_fast.rolling(X, y, 250, stats=["stderr"])),
        "expanding": lambda: again(lambda: linreg_fast.expanding(X, y)),
        "batched": lambda: again(lambda: linreg_fast.batched(X.reshape(-1, 50, 5), y.reshape(-1, 50))),
        "fit_polynomial": lambda: again(lambda: linreg_fast.fit_polynomial(X[:, 0], y, 8)),
        "cross_validate": folds,
        "diagnostics": diagnostics,
    }
    sent = []

    def ready():
        def interrupt():
            time.sleep(float(sys.argv[2]))
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt).start()

    try:
        calls[what]()
    except KeyboardInterrupt:
        print(time.monotonic() - sent[0])
    """
)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="os.kill sends no SIGINT on Windows")
@pytest.mark.parametrize(
    "what",
    [
        "by_group",
        "grouped",
        "grouped, dependent columns",
        "rolling",
        "expanding",
        "batched",
        "fit_polynomial",
        "cross_validate",
        "diagnostics",
    ],
)
def test_interrupt_is_obeyed_at_once(what):
    """KeyboardInterrupt within half a second of the signal, wherever it finds the call."""
    if what == "diagnostics":
        pytest.importorskip("matplotlib")
    late = []
    for wait in (0.7, 0.9, 1.1):  # a busy machine may be late; code that does not look at signals always is
        run = subprocess.run(
            [sys.executable, "-c", INTERRUPT, what, str(wait)], capture_output=True, text=True, check=False, timeout=90
        )
        assert run.returncode == 0, run.stderr[-2000:]
        seconds = float(run.stdout)
        if seconds < 0.5:
            return
        late.append(seconds)
    pytest.fail(f"KeyboardInterrupt came {late} s after the signal")
