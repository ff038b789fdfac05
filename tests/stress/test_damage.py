"""Files with mutated bytes: the same numbers, or an error that names the file, in no more memory than it is worth."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from support import stress
from support.tables import ROOT

pytestmark = pytest.mark.stress

COUNTS = {
    ".json": 400,
    ".moments": 400,
    ".checkpoint": 300,
    ".npy": 600,
    ".parquet": 500,
    ".csv": 300,
    ".csv.gz": 200,
    ".arrow": 400,
    ".feather": 400,
}

# One process for each kind, so that a crash is a failed test: what was tried last is the last line it printed.
DAMAGE = textwrap.dedent(
    """
    import json, re, resource, sys, warnings
    from pathlib import Path
    import numpy as np
    import pyarrow as pa
    sys.path.insert(0, "tests")
    from support.tables import write
    import linreg_fast, linreg_fast.streams
    from linreg_fast import LinearFit, Moments
    from linreg_fast.algebra import room

    LENGTHS = b"\\xff\\xff\\xff\\xff", b"\\0\\0\\0\\0", b"\\xff\\xff\\xff\\x7f", b"\\0\\0\\0\\x80"
    suffix, seed, count, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    rng = np.random.default_rng([seed, len(suffix)])
    n = 300
    X = rng.integers(-9, 10, (n, 3)).astype(float)
    y = X @ [1.0, 2.0, 3.0] + rng.integers(0, 5, n)
    path, other = folder / f"table{suffix}", folder / f"damaged{suffix}"
    if suffix == ".json":
        linreg_fast.fit(X, y, feature_names=["a", "b", "c"]).save(path)
        use = lambda path: LinearFit.load(path).predict(X[:5])
        state = lambda path: LinearFit.from_dict(json.loads(path.read_bytes())).predict(X[:5])
    elif suffix == ".moments":
        path.write_bytes(Moments(3).update(X, y).to_bytes())
        use = lambda path: Moments.from_bytes(path.read_bytes()).solve().coef
    elif suffix == ".checkpoint":
        from linreg_fast.streams import summing
        summing.CHECKPOINT_SECONDS = 0.0
        summing.checkpoints.remove = lambda path: None

        def blocks():
            for at in range(0, n, 50):
                yield X[at : at + 50], y[at : at + 50]

        def use(path):
            kept = path.read_bytes() if path.exists() else None
            try:
                return linreg_fast.fit_stream(blocks(), checkpoint=path).coef
            finally:
                if kept is not None:
                    path.write_bytes(kept)

        use(path)
    else:
        if suffix == ".npy":
            np.save(path, np.column_stack([X, y]))
        else:
            columns = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2].astype(int), "y": y}
            write(pa.table(columns), path, 100)
        use = lambda path: linreg_fast.fit_file(path, **({} if suffix == ".npy" else {"target": "y"})).coef
    whole, expected = path.read_bytes(), use(path)
    if not path.exists():
        sys.exit("nothing was written")
    room.for_lapack()
    # elsewhere numbers may be others, and nothing says so
    checked = suffix in (".json", ".moments", ".checkpoint", ".csv.gz")
    limit = 1 << 28  # a file is of some 10 KB
    with open("/proc/self/statm") as file:
        limit += int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    seen = {}
    for number in range(count):
        data = bytearray(whole)
        kind = int(rng.integers(0, 6))
        at = int(rng.integers(0, len(data)))
        if rng.random() < 0.5:  # where the lengths are: at the ends
            at = int(rng.choice([at % 200, len(data) - 1 - at % 600])) % len(data)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            for _ in range(int(rng.integers(1, 8))):
                data[int(rng.integers(0, len(data)))] = int(rng.integers(0, 256))
        elif kind == 2:
            data[at : at + 4] = LENGTHS[int(rng.integers(0, 4))]
        elif kind == 3:
            del data[at:]
        elif kind == 4:
            del data[at : at + int(rng.integers(1, 20))]
        else:
            data[at:at] = bytes(rng.integers(0, 256, int(rng.integers(1, 20)), dtype=np.uint8))
        other.write_bytes(data)
        print(number, kind, at, flush=True)
        for call in (use, state) if suffix == ".json" else (use,):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    warnings.simplefilter("ignore", linreg_fast.RankWarning)
                    warnings.simplefilter("ignore", linreg_fast.ConditionWarning)
                    found = call(other)
            except (ValueError, TypeError) as error:
                # what is not a number is told by its column and row
                told = other.name in str(error) or re.match("column '.*' has .* at row|there are no rows", str(error))
                if not (told or suffix == ".moments" or call is not use):
                    print("WRONG", number, kind, at, repr(error)[:300], flush=True)
            except UserWarning:  # of a table that says other things now
                pass
            except BaseException as error:
                print("WRONG", number, kind, at, repr(error)[:300], flush=True)
            else:
                if checked and np.shape(found) == np.shape(expected) and (found != expected).any():
                    print("WRONG", number, kind, at, found, flush=True)
    print("done")
    """
)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on the address space is Linux's")
@pytest.mark.parametrize("suffix", COUNTS)
def test_damaged_files(suffix, tmp_path):
    command = [sys.executable, "-c", DAMAGE, suffix, str(stress.SEED), str(COUNTS[suffix]), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=300)
    lines = run.stdout.splitlines()
    assert run.returncode == 0, f"died with {run.returncode} after {lines[-1:]}: {run.stderr[-2000:]}"
    assert lines[-1] == "done"
    assert not [line for line in lines if line.startswith("WRONG")]
