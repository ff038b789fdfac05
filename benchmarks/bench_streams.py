"""Tables larger than memory: files, moments and Dask against pyarrow's own reading and other libraries.

Run:  python benchmarks/bench_streams.py --into README.md [--rows 40000000] [--csv-rows 5000000]
          [--dask-rows 20000000] [--folder FOLDER] [--rounds 3]
or, part by part:
      python benchmarks/bench_streams.py --json streams.json --only csv,dask --into README.md

With --into the table replaces what stands between the two marks of that file; with --json the parts that were run
before are kept in that file and stand in the table too.

Each side of each round runs in a new process, one after the other, so that no side finds the memory that another one
left behind: the first call there pays for pages that are touched for the first time, later ones find some of them.
Seconds are without imports; memory is the peak of all calls above that after the imports.
The generated files need 90 bytes a row and are removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COLUMNS = 10
NAMES = [*(f"x{j}" for j in range(COLUMNS)), "y"]
GROUP = 1 << 18  # rows of a row group, as Polars writes them
BEGIN, END = "<!-- streams -->", "<!-- end of streams -->"
CALLS = 5  # in each process
LIMIT = 1 << 30  # bytes of address space in the side with a hard limit


def generate(path: Path, rows: int) -> None:
    """A table of standard normal columns and y = 3 + sum of them + noise, in row groups."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv, parquet

    schema = pa.schema([(name, pa.float64()) for name in NAMES])
    rng = np.random.default_rng(0)
    new = csv.CSVWriter if path.suffix == ".csv" else parquet.ParquetWriter
    with new(path, schema) as writer:
        for at in range(0, rows, GROUP):
            X = rng.standard_normal((COLUMNS, min(GROUP, rows - at)))
            y = 3.0 + X.sum(axis=0) + rng.standard_normal(X.shape[1])
            writer.write_table(pa.table([*X, y], schema))


def fit_file(path: str) -> Callable[[], object]:
    import pyarrow.parquet  # noqa: F401
    import scipy.linalg  # noqa: F401

    import linreg_fast
    import linreg_fast.streams

    return lambda: linreg_fast.fit_file(path, target="y")


def fit_file_limited(path: str) -> Callable[[], object]:
    import resource

    # before pyarrow is imported, whose allocator reserves a gigabyte of addresses where it may
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    return fit_file(path)


def scan(path: str) -> Callable[[], object]:
    dataset = load_arrow()
    return lambda: sum(batch.num_rows for batch in dataset.dataset(path).scanner(columns=NAMES).to_batches())


def iter_batches(path: str) -> Callable[[], object]:
    load_arrow()
    from pyarrow import parquet

    def run() -> object:
        with parquet.ParquetFile(path) as file:
            return sum(batch.num_rows for batch in file.iter_batches(columns=NAMES))

    return run


def read_csv(path: str) -> Callable[[], object]:
    load_arrow()
    from pyarrow import csv

    return lambda: csv.read_csv(path).num_rows


def duckdb_sql(path: str) -> Callable[[], object]:
    import duckdb

    products = [f"sum({a} * {b})" for i, a in enumerate(NAMES) for b in NAMES[i:]]
    query = f"select count(*), {', '.join([f'sum({a})' for a in NAMES] + products)} from '{path}'"
    connection = duckdb.connect()
    return lambda: connection.execute(query).fetchall()


def onedal(path: str) -> Callable[[], object]:
    import numpy as np
    from sklearnex.linear_model import IncrementalLinearRegression

    dataset = load_arrow()

    def run() -> object:
        model = IncrementalLinearRegression()
        for batch in dataset.dataset(path).scanner(columns=NAMES).to_batches():
            X = np.column_stack([batch.column(name).to_numpy() for name in NAMES[:-1]])
            model.partial_fit(X, batch.column("y").to_numpy())
        return model.coef_

    return run


def load_arrow() -> Any:
    """pyarrow and all of it that reads."""
    import pyarrow.csv
    import pyarrow.dataset
    import pyarrow.fs
    import pyarrow.parquet

    return pyarrow.dataset


SIDES: dict[str, Callable[[str], Callable[[], object]]] = {
    "linreg_fast": fit_file,
    "linreg_fast in 1 GB": fit_file_limited,
    "pyarrow dataset scan": scan,
    "pyarrow iter_batches": iter_batches,
    "pyarrow read_csv": read_csv,
    "DuckDB SQL": duckdb_sql,
    "scikit-learn-intelex": onedal,
}


def peak() -> int:
    """Peak resident memory of this process in kB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def one_side(name: str, path: str) -> None:
    """Run one side in this process and print its seconds and memory."""
    call = SIDES[name](path)
    before = peak()
    seconds = []
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    print(json.dumps([seconds[0], statistics.median(seconds[1:]), (peak() - before) / 1024]))


def interleaved(names: list[str], path: Path, rounds: int) -> dict[str, tuple[float, ...]]:
    """Median seconds of the first call and of later ones, median memory in MB, of each side that works on one file."""
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            command = [sys.executable, __file__, "--side", name, str(path)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(f"{name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    for name, runs in found.items():
        print(f"{name}: {', '.join(f'{one[2]:.0f}' for one in runs)} MB", file=sys.stderr)
    return {name: tuple(map(statistics.median, zip(*runs, strict=True))) for name, runs in found.items() if runs}


def file_rows(what: str, path: Path, rows: int, names: list[str], rounds: int) -> list[str]:
    generate(path, rows)
    print(f"{path.name}: {path.stat().st_size / 1e9:.2f} GB", file=sys.stderr)
    times = interleaved(names, path, rounds)
    path.unlink()
    first, second, _ = times["linreg_fast"]
    return [
        f"| {what} | {rows:,} x {COLUMNS} | {name} | {shown(one)} | {first / one:.2f} | {shown(two)} | "
        f"{second / two:.2f} | {memory:.0f} |"
        for name, (one, two, memory) in times.items()
    ]


def growth(folder: Path, rows: int, rounds: int) -> list[str]:
    """Seconds a million rows, and memory, for more and more rows."""
    out = []
    sizes = [n for n in (1_000_000, 10_000_000) if n < rows] + [rows]
    for n in sizes:
        path = folder / f"growth{n}.parquet"
        generate(path, n)
        one, two, memory = interleaved(["linreg_fast"], path, rounds)["linreg_fast"]
        path.unlink()
        each = [f"{shown(seconds)} | {seconds / n * 1e9:.1f} ns a row" for seconds in (one, two)]
        out.append(f"| Parquet, growth | {n:,} x {COLUMNS} | linreg_fast | {each[0]} | {each[1]} | {memory:.0f} |")
    return out


def moments_rows() -> list[str]:
    """Solving 50 columns from their moments, and 100 penalties by 10 folds."""
    import numpy as np
    import scipy.linalg  # noqa: F401

    import linreg_fast

    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 50))
    y = X.sum(axis=1) + rng.standard_normal(20_000)
    folds = [linreg_fast.Moments(50).update(X[i::10], y[i::10]) for i in range(10)]
    total = sum(folds)
    penalties = np.geomspace(1e-3, 1e5, 100)
    sides = {
        "Moments.solve, l2": lambda: total.solve(l2=3.0),
        "Moments.solve": total.solve,
        "100 penalties x 10 folds": lambda: linreg_fast.cross_validate(folds, penalties),
    }
    out = []
    for name, call in sides.items():
        times = []
        for _ in range(25):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        out.append(
            f"| {name} | - x 50 | linreg_fast | {shown(times[0])} | - | {shown(statistics.median(times))} | - | - |"
        )
    return out


def dask_rows(rows: int, rounds: int) -> list[str]:
    """80 chunks that lie in two worker processes, against the same array in this one."""
    import dask.array as da
    import numpy as np
    from dask.distributed import Client, LocalCluster, wait

    import linreg_fast
    import linreg_fast.dask

    def lstsq(X: Any, y: Any) -> object:
        ones = da.ones((X.shape[0], 1), chunks=(X.chunks[0], 1))
        return da.linalg.lstsq(da.concatenate([ones, X], axis=1).rechunk({1: -1}), y)[0].compute()

    times: dict[str, list[float]] = {"linreg_fast.dask": [], "dask.array.linalg.lstsq": [], "fit in memory": []}
    settings: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with LocalCluster(**settings) as cluster, Client(cluster):
        X = da.random.default_rng(0).standard_normal((rows, COLUMNS), chunks=(-(-rows // 80), COLUMNS)).persist()
        noise = da.random.default_rng(1).standard_normal(rows, chunks=(X.chunks[0],))
        y = (3.0 + X.sum(axis=1) + noise).persist()
        wait([X, y])
        linreg_fast.dask.fit(X, y)
        for _ in range(rounds):
            for name, call in (("linreg_fast.dask", linreg_fast.dask.fit), ("dask.array.linalg.lstsq", lstsq)):
                start = time.perf_counter()
                call(X, y)
                times[name].append(time.perf_counter() - start)
    table = np.random.default_rng(0).standard_normal((rows, COLUMNS))
    target = 3.0 + table.sum(axis=1)
    target += np.random.default_rng(1).standard_normal(rows)
    linreg_fast.fit(table, target)
    for _ in range(max(3, rounds)):
        start = time.perf_counter()
        linreg_fast.fit(table, target)
        times["fit in memory"].append(time.perf_counter() - start)
    ours = statistics.median(times["linreg_fast.dask"])
    return [
        f"| Dask, 80 chunks | {rows:,} x {COLUMNS} | {name} | - | - | {shown(statistics.median(runs))} | "
        f"{ours / statistics.median(runs):.2f} | - |"
        for name, runs in times.items()
    ]


def shown(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def main() -> None:
    if sys.argv[1:2] == ["--side"]:
        one_side(*sys.argv[2:4])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=40_000_000, help="of the Parquet file")
    parser.add_argument("--csv-rows", type=int, default=5_000_000)
    parser.add_argument("--dask-rows", type=int, default=20_000_000)
    parser.add_argument("--folder", type=Path, help="where to generate files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="parquet,csv,growth,moments,dask")
    parser.add_argument("--json", type=Path, help="keep the rows of each part in this file")
    parser.add_argument("--into", type=Path, help="write the table between the marks of this file")
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    kept: dict[str, dict[str, Any]] = {}
    if arguments.json and arguments.json.exists():
        kept = json.loads(arguments.json.read_text())
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        jobs: dict[str, Callable[[], list[str]]] = {
            "parquet": lambda: file_rows(
                "Parquet",
                folder / "table.parquet",
                arguments.rows,
                [name for name in SIDES if name != "pyarrow read_csv"],
                arguments.rounds,
            ),
            "csv": lambda: file_rows(
                "CSV", folder / "table.csv", arguments.csv_rows, ["linreg_fast", "pyarrow read_csv"], arguments.rounds
            ),
            "growth": lambda: growth(folder, arguments.rows, arguments.rounds),
            "moments": moments_rows,
            "dask": lambda: dask_rows(arguments.dask_rows, arguments.rounds),
        }
        for part in parts:
            kept[part] = {"rounds": arguments.rounds, "lines": jobs[part]()}
            print("\n".join(kept[part]["lines"]), flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(kept, indent=1))
    heads = ["what", "rows x columns", "side", *["time", "ours / side"] * 2, "MB"]
    lines = [f"| {' | '.join(heads)} |", "| --- | --- | --- |" + " ---: |" * 5]
    done = [kept[part] for part in jobs if part in kept]
    lines += [line for part in done for line in part["lines"]]
    rounds = " or ".join(map(str, sorted({part["rounds"] for part in done})))
    text = "\n".join(lines) + (
        f"\n\nTwice: the first call in a new process, without imports, and the median of the next {CALLS - 1}; medians "
        f"of {rounds} rounds, in each of which every side ran once. MB: the peak above what the imports take. "
        f"{processor()}, {os.cpu_count()} threads."
    )
    if not arguments.into:
        print(text)
        return
    before, begin, rest = arguments.into.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{arguments.into} has no {BEGIN} ... {END} to write between")
    arguments.into.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"


if __name__ == "__main__":
    main()
