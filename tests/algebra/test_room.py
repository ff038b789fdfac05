"""Fits under a limit of the address space: right, or a MemoryError, and in the end one of them."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from support.tables import ROOT

LIMITS = (0, 4, 32, 64, 96, 128, 192, 256, 320, 2048)  # MB beyond what the process has before
WAYS = {
    "small": (3, "fit(X, y)"),
    "cholesky": (100, "fit(X, y, solver='cholesky')"),
    "qr": (100, "fit(X, y, solver='qr')"),
    "svd": (100, "fit(X, y, solver='svd')"),
    "extended": (100, "fit(X, y, precision='extended')"),
    "gd": (100, "fit(X, y, solver='gd')"),
    "wide": (100, "fit(X[:50], y[:50])"),
    "moments": (100, "M.solve()"),
    "path": (100, "l2_path(M, [1.0]) is not None and M"),
    "pvalues": (3, "fit(X, y).pvalues is not None and M"),
}

LIMITED = textwrap.dedent(
    """
    import math, os, resource, signal, sys
    import numpy as np
    from linreg_fast import Moments, fit, l2_path

    p, call, limits = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    X = np.random.default_rng(0).standard_normal((20_000, p))
    y = X.sum(axis=1) + np.sin(np.arange(20_000.0))
    M = Moments(p).update(X, y)
    for limit in limits:
        child = os.fork()
        if not child:
            signal.alarm(40)  # the loop of a library is not interrupted otherwise
            with open("/proc/self/statm") as file:
                size = int(file.read().split()[0]) * resource.getpagesize() + (int(limit) << 20)
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
            try:
                found = eval(call)
                said = "ok" if found is M or abs(found.coef.mean() - 1) < 0.7 else "wrong"
            except MemoryError:
                said = "MemoryError"
            except BaseException as error:
                said = repr(error)
            print(limit, said, flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            print(limit, "died", status, flush=True)
    """
)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on the address space is Linux's")
@pytest.mark.parametrize("way", WAYS)
def test_a_limit_is_a_memory_error(way):
    """OpenBLAS waits for ever for a buffer that it does not get, or ends the process."""
    p, call = WAYS[way]
    command = [sys.executable, "-c", LIMITED, str(p), call, *map(str, LIMITS)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=500)
    said = dict(line.split(" ", 1) for line in run.stdout.splitlines())
    assert list(map(int, said)) == list(LIMITS), run.stderr
    assert set(said.values()) <= {"ok", "MemoryError"}, said
    assert said["2048"] == "ok"
    if p == 100:
        assert said["64"] == "MemoryError"
    elif way == "small":
        assert said["64"] == "ok", "few columns need no LAPACK"
