"""Interrupts at any moment, forks while other threads fit, many threads at once: the same bits afterwards."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from support import stress
from support.tables import ROOT

pytestmark = pytest.mark.stress

COMMON = textwrap.dedent(
    """
    import os, signal, sys, threading, time, warnings
    import numpy as np
    import linreg_fast
    from linreg_fast import Moments
    from linreg_fast.passes import rates

    warnings.simplefilter("ignore")
    rng = np.random.default_rng([int(sys.argv[1]), 7])
    X = rng.standard_normal((200_000, 30))
    y = X.sum(axis=1) + rng.standard_normal(len(X))
    WAYS = {
        "small": lambda: linreg_fast.fit(X[:2000, :3], y[:2000]),
        "auto": lambda: linreg_fast.fit(X, y),
        "extended": lambda: linreg_fast.fit(X[:50_000], y[:50_000], precision="extended"),
        "qr": lambda: linreg_fast.fit(X[:50_000], y[:50_000], solver="qr"),
        "gd": lambda: linreg_fast.fit(X, y, solver="gd", passes="data", max_iter=20, tol=0),
        "moments": lambda: Moments(30).update(X, y).solve(),
        "stream": lambda: linreg_fast.fit_stream((X[i : i + 5000], y[i : i + 5000]) for i in range(0, 100_000, 5000)),
    }

    def bits(fit):
        return fit.coef.tobytes() + np.float64(fit.intercept).tobytes() + np.float64(fit.rss).tobytes()

    expected = {name: bits(call()) for name, call in WAYS.items()}
    """
)

INTERRUPTS = """
sent, late, hit = [], [], 0
for number in range(40):
    name = str(rng.choice(list(WAYS)))
    seconds = float(rng.uniform(0.001, 0.1))

    def interrupt():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(seconds, interrupt)
    try:
        timer.start()
        until = time.monotonic() + 30
        while time.monotonic() < until:
            assert bits(WAYS[name]()) == expected[name], name
        sys.exit("was not interrupted")
    except KeyboardInterrupt:
        hit += 1
        late.append((time.monotonic() - sent[-1], name))
    timer.join()
    for name, call in WAYS.items():
        assert bits(call()) == expected[name], f"{name} after an interrupt"
print(max(late))
# a busy machine may be late once
sys.exit("late: " + str(sorted(late)[-3:]) if sorted(late)[-3][0] > 0.5 else 0)
"""

FORKS = """
stop, wrong = threading.Event(), []

def fitting(name):
    while not stop.is_set():
        if bits(WAYS[name]()) != expected[name]:
            wrong.append(name)

threads = [threading.Thread(target=fitting, args=(name,)) for name in ("small", "auto", "moments")]
for thread in threads:
    thread.start()
for number in range(30):
    time.sleep(float(rng.uniform(0.0, 0.05)))
    name = str(rng.choice(["small", "auto", "moments", "extended", "gd"]))
    child = os.fork()
    if not child:
        signal.alarm(60)
        os._exit(0 if bits(WAYS[name]()) == expected[name] else 3)
    _, status = os.waitpid(child, 0)
    if status:
        wrong.append(f"{name} in a child: {status}")
stop.set()
for thread in threads:
    thread.join()
sys.exit(str(wrong) if wrong else 0)
"""

THREADS = """
wrong = []
rates.THREADED_SECONDS, rates.BLOCK_SECONDS = 0.0, 1e-6
expected = {name: bits(call()) for name, call in WAYS.items()}

def fitting(seed):
    own = np.random.default_rng(seed)
    for _ in range(8):
        name = str(own.choice(list(WAYS)))
        if bits(WAYS[name]()) != expected[name]:
            wrong.append(name)

threads = [threading.Thread(target=fitting, args=(int(seed),)) for seed in rng.integers(0, 1 << 30, 16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(str(wrong) if wrong else 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals and forks")
@pytest.mark.parametrize("what", [INTERRUPTS, FORKS, THREADS], ids=["interrupts", "forks", "threads"])
def test_same_bits_whatever_happens(what):
    command = [sys.executable, "-W", "ignore", "-X", "faulthandler", "-c", COMMON + what, str(stress.SEED)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=300)
    assert run.returncode == 0, f"{run.returncode}: {run.stdout[-500:]} {run.stderr[-2000:]}"
