"""Every public entry on arrays that end right before, or begin right behind, a page whose touch kills the process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
from support import stress
from support.tables import ROOT

from linreg_fast import cpu
from linreg_fast.passes import levels

pytestmark = pytest.mark.stress

COUNT = 60

GUARDED = textwrap.dedent(
    """
    import ctypes, mmap, sys, warnings
    import numpy as np
    import linreg_fast
    from linreg_fast import Moments, by_group, show_config
    from linreg_fast.passes import rates

    seed, count = int(sys.argv[1]), int(sys.argv[2])
    PAGE = mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)
    kept, made = [], 0

    def place(array, rng):
        # in one of several layouts, against one of the two pages
        size = -(-max(array.nbytes, 1) // PAGE) * PAGE
        memory = mmap.mmap(-1, size + 2 * PAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for page in (base, base + PAGE + size):
            if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        kept.append(memory)
        at = PAGE + (size - array.nbytes) * int(rng.integers(0, 2))
        flat = np.frombuffer(memory, dtype=array.dtype, count=array.size, offset=at)
        found = flat.reshape(array.shape, order=str(rng.choice(["C", "F"])))
        found[...] = array
        if rng.random() < 0.3:
            found = found[:: int(rng.choice([-1, 2]))]
        if found.ndim == 2 and rng.random() < 0.2:
            found = found[:, ::-1]
        return found

    for number in range(count):
        kept.clear()
        rng = np.random.default_rng([seed, number])
        n = int(rng.choice([1, 2, 3, 7, 8, 33, 64, 96, 129, 257, 1000, rng.integers(1, 3000)]))
        p = int(rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33, 64, 65, rng.integers(1, 90)]))
        k = int(rng.choice([0, 0, 0, 1, 3, 9, 33]))
        rates.THREADED_SECONDS = float(rng.choice([0.0, 5e-4]))
        rates.BLOCK_SECONDS = float(rng.choice([1e-10, 1e-3]))
        dtype = str(rng.choice(["float64", "float64", "float32", "int16", "float16", "bool", ">f8"]))
        values = rng.standard_normal((2 * n, p)) * 3
        X = place(values.astype(dtype), rng)[:n]
        y = place(rng.standard_normal((2 * n, k) if k else 2 * n), rng)[:n]
        w = place(rng.integers(0, 3, 2 * n).astype(str(rng.choice(["float64", "float32", "int8"]))), rng)[:n]
        w = None if rng.random() < 0.6 else w
        n_threads = int(rng.choice([1, 2, 4]))
        print(number, n, p, k, dtype, w is not None, show_config()["level"], flush=True)
        calls = {
            "fit": lambda: linreg_fast.fit(X, y, sample_weight=w, n_threads=n_threads).predict(X),
            "fast": lambda: linreg_fast.fit(X, y, sample_weight=w, precision="fast", fit_intercept=False),
            "extended": lambda: linreg_fast.fit(X, y, sample_weight=w, precision="extended", n_threads=n_threads),
            "l2": lambda: linreg_fast.fit(X, y, sample_weight=w, l2=1.0).predict(X, n_threads=n_threads),
            "qr": lambda: linreg_fast.fit(X, y, sample_weight=w, solver="qr"),
            "svd": lambda: linreg_fast.fit(X, y, sample_weight=w, solver="svd"),
            "gd": lambda: linreg_fast.fit(X, y, sample_weight=w, solver="gd", max_iter=3),
            "gd on data": lambda: linreg_fast.fit(X, y, sample_weight=w, solver="gd", max_iter=3, passes="data"),
            "cost": lambda: linreg_fast.cost(X, y, coef=np.ones(p), intercept=1.0, sample_weight=w),
            "gradient": lambda: linreg_fast.gradient(X, y, coef=np.ones(p), intercept=1.0, sample_weight=w),
            "moments": lambda: Moments(p, max(k, 1)).update(X, y, w).update(X, y, w).solve(),
            "pairs": lambda: Moments(p, max(k, 1), precision="extended").update(X, y, w).solve(),
            "groups": lambda: by_group(X, y, np.arange(len(X)) % 5, sample_weight=w),
        }
        for name, call in calls.items():
            print(name, flush=True)
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                warnings.simplefilter("ignore", UserWarning)
                try:
                    call()
                    made += 1
                except (ValueError, TypeError, np.linalg.LinAlgError):
                    pass
        del X, y, w, calls
    print("done", made)
    """
)


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are set with the mprotect of Linux")
@pytest.mark.parametrize("level", levels.LEVELS)
def test_no_entry_leaves_its_arrays(level):
    if level not in levels.built or level not in cpu.levels():
        pytest.skip(f"level {level} does not run here")
    command = [sys.executable, "-X", "faulthandler", "-c", GUARDED, str(stress.SEED), str(COUNT)]
    environment = os.environ | {"LINREG_FAST_LEVEL": level}
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False, timeout=300)
    last = run.stdout.splitlines()[-2:]
    assert run.returncode == 0, f"died with {run.returncode} after {last}: {run.stderr[-2000:]}"
    done, made = last[-1].split()
    assert done == "done"
    assert int(made) > 6 * COUNT, "of 13 calls each; the others were refused"
