"""Rows in batches of every kind, against the same rows in memory; what goes wrong on the way."""

from __future__ import annotations

import csv
import multiprocessing
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
import warnings

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest
from support.compare import assert_same, bits
from support.exact import exact_fit, worst_lre
from support.problems import problem
from support.tables import ROOT, shared

import linreg_fast
from linreg_fast.options import PRECISIONS
from linreg_fast.streams import blocks, summing

N, P = 3000, 3
TOLERANCE = 1e-13


@pytest.fixture(scope="module")
def data():
    X, y, *_ = problem(N, P, 7, offset=50.0)
    return X, y, np.random.default_rng(0).random(N)


@pytest.fixture(scope="module")
def frame(data):
    X, y, w = data
    return pd.DataFrame({"a": X[:, 0], "text": "t", "b": X[:, 1], "c": X[:, 2], "y": y, "w": w})


def cut(*arrays, size=400):
    return [tuple(a[i : i + size] for a in arrays) for i in range(0, len(arrays[0]), size)]


def sqlite(frame):
    connection = sqlite3.connect(":memory:")
    frame.to_sql("t", connection, index=False)
    return connection.execute("select * from t")


def duck(frame):
    connection = duckdb.connect()
    connection.register("t", frame)
    return connection


TABLE = pa.Table.from_pandas
FRAMES = {
    "pandas": lambda f: (f.iloc[i : i + 400] for i in range(0, N, 400)),
    "one pandas": lambda f: f,
    "polars": lambda f: pl.from_pandas(f).iter_slices(700),
    "record batches": lambda f: TABLE(f).to_batches(max_chunksize=500),
    "tables": lambda f: [TABLE(f).slice(0, 100), TABLE(f).slice(100)],
    "reader": lambda f: pa.RecordBatchReader.from_batches(TABLE(f).schema, TABLE(f).to_batches(max_chunksize=500)),
    "dataset": lambda f: pyarrow.dataset.dataset(TABLE(f)),
    "sqlite": sqlite,
    "duckdb cursor": lambda f: duck(f).execute("select * from t"),
    "duckdb relation": lambda f: duck(f).sql("select * from t"),
    "callable": lambda f: lambda: (f.iloc[i : i + 400] for i in range(0, N, 400)),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_of_every_kind(data, frame, kind):
    X, y, w = data
    with pytest.warns(linreg_fast.LeftOutWarning, match=r"a column is left out: 'text' \(text\)"):
        fit = linreg_fast.fit_stream(FRAMES[kind](frame), target="y", sample_weight="w")
    assert_same(fit, linreg_fast.fit(X, y, sample_weight=w))
    assert fit.feature_names == ("a", "b", "c")


@pytest.mark.parametrize("again", [True, False], ids=["again", "once"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_tuples(data, again, precision, fit_intercept):
    X, y, w = data
    settings = {"fit_intercept": fit_intercept, "l2": 3.0, "precision": precision}
    batches = cut(X, y, w)
    fit = linreg_fast.fit_stream(batches if again else iter(batches), **settings)
    # uncentred columns at 50 are nearly parallel
    tolerance = TOLERANCE if fit_intercept or precision == "extended" else 1e-10
    assert_same(fit, linreg_fast.fit(X, y, sample_weight=w, **settings), tolerance)
    assert (fit.l2, fit.precision, fit.fit_intercept) == (3.0, precision, fit_intercept)


@pytest.mark.parametrize("n_chunks", [1, 2, 7, 1000])
@pytest.mark.parametrize("again", [True, False], ids=["again", "once"])
def test_number_of_batches_does_not_matter(data, n_chunks, again):
    X, y, _ = data
    batches = list(zip(np.array_split(X, n_chunks), np.array_split(y, n_chunks), strict=True))
    expected = linreg_fast.fit(X, y)
    assert_same(linreg_fast.fit_stream(batches if again else iter(batches)), expected)
    full = linreg_fast.fit_stream(batches, precision="extended")
    expected = linreg_fast.fit(X, y, precision="extended")
    assert np.abs(full.coef - expected.coef).max() <= np.spacing(np.abs(expected.coef).max())


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_layouts(order, dtype):
    X = np.array(np.arange(3000).reshape(1000, 3) % 17, dtype=dtype, order=order)
    y = X.astype(float) @ [1.0, 2.0, 3.0] + np.sin(np.arange(1000))
    assert_same(linreg_fast.fit_stream(iter(cut(X, y, size=90))), linreg_fast.fit(X, y))


def test_several_targets_and_one_feature(data, frame):
    X, y, _ = data
    Y = np.column_stack([y, X[:, 0] - y])
    assert_same(linreg_fast.fit_stream(iter(cut(X, Y))), linreg_fast.fit(X, Y))
    assert_same(linreg_fast.fit_stream(cut(X[:, 0], y)), linreg_fast.fit(X[:, 0], y))
    assert_same(linreg_fast.fit_stream(iter(cut(X[:, :1], y[:, None]))), linreg_fast.fit(X[:, :1], y[:, None]))
    fit = linreg_fast.fit_stream(frame, target=["y", "w"], features=["c", "a"])
    assert_same(fit, linreg_fast.fit(X[:, [2, 0]], frame[["y", "w"]].to_numpy()))
    assert fit.feature_names == ("c", "a")


def test_memory_maps_and_npy(data, tmp_path):
    X, y, w = data
    table = np.column_stack([X, y, w])
    for i, part in enumerate(np.array_split(table, 4)):
        np.save(tmp_path / f"part{i}.npy", part if i % 2 else np.asfortranarray(part))
    expected = linreg_fast.fit(X, y, sample_weight=w)
    assert_same(linreg_fast.fit_stream(tmp_path, target=3, sample_weight=-1), expected)
    assert_same(linreg_fast.fit_file(tmp_path, target=3, features=[0, 1, 2], sample_weight=4), expected)
    assert_same(linreg_fast.fit_stream(tmp_path), linreg_fast.fit(table[:, :-1], w), 1e-11)  # w is noise
    with pytest.raises(TypeError, match="features must be a sequence of columns, not 0 alone"):
        linreg_fast.fit_stream(tmp_path, features=0)
    mapped = np.load(tmp_path / "part1.npy", mmap_mode="r")
    assert_same(linreg_fast.fit_stream([(mapped[:, :3], mapped[:, 3])]), linreg_fast.fit(mapped[:, :3], mapped[:, 3]))


def test_large_array_is_taken_in_slices(data, monkeypatch):
    X, y, w = data
    monkeypatch.setattr(blocks, "SLICE_BYTES", 10_000)
    seen = []
    fit = linreg_fast.fit_stream([(X, y, w)], progress=lambda done, total: seen.append(done))
    assert_same(fit, linreg_fast.fit(X, y, sample_weight=w))
    assert len(seen) > 5
    assert seen[-1] == N


def test_source_that_is_read_again_is_refined():
    X, y, *_ = problem(2000, 3, 1)
    X[:, 2] = X[:, 0] + 1e-6 * X[:, 1] + 1e-7 * X[:, 2]
    exact = exact_fit(X[:200], y[:200])
    batches = cut(X[:200], y[:200], size=30)
    for fit in (linreg_fast.fit_stream(batches), linreg_fast.fit_stream(lambda: iter(batches), precision="extended")):
        assert worst_lre([*fit.coef, fit.intercept], exact) >= (15 if fit.precision == "extended" else 10)
    assert "qr" in linreg_fast.fit_stream(batches, precision="fast").solver_path


def test_once_in_double_double():
    X, y, *_ = problem(300, 3, 2, offset=1000.0)
    exact = exact_fit(X, y)
    fit = linreg_fast.fit_stream(iter(cut(X, y, size=50)), precision="extended")
    assert worst_lre([*fit.coef, fit.intercept], exact) >= 15


def test_rank_warning_points_at_the_caller(data):
    X, y, _ = data
    double = np.column_stack([X, X[:, 0]])
    with pytest.warns(linreg_fast.RankWarning) as caught:
        fit = linreg_fast.fit_stream(cut(double, y))
    assert caught[0].filename == __file__
    assert fit.rank == P


@pytest.mark.parametrize("kind", ["tuples", "frames"])
@pytest.mark.parametrize("again", [True, False], ids=["again", "once"])
def test_missing_values(data, frame, kind, again):
    X, y, _ = data
    X, y = X.copy(), y.copy()
    X[[1000, 1001], 1], y[2500] = np.nan, np.nan
    keep = ~(np.isnan(X).any(axis=1) | np.isnan(y))
    table = frame.assign(b=X[:, 1], y=y)
    settings = {} if kind == "tuples" else {"target": "y", "features": ["a", "b", "c"]}

    def batches():
        parts = cut(X, y) if kind == "tuples" else [table.iloc[i : i + 400] for i in range(0, N, 400)]
        return parts if again else iter(parts)

    label = "column 1 of X" if kind == "tuples" else "column 'b'"
    with pytest.raises(ValueError, match=rf"^{label} has a missing value at row 200 of batch 2; missing=\"drop\""):
        linreg_fast.fit_stream(batches(), **settings)
    for precision in PRECISIONS:
        fit = linreg_fast.fit_stream(batches(), missing="drop", precision=precision, **settings)
        assert_same(fit, linreg_fast.fit(X[keep], y[keep], precision=precision))
        assert fit.n_samples == N - 3
        assert fit.reason.endswith("; 3 rows with missing values dropped")
        assert (fit.n_dropped, fit.left_out) == (3, {})


def test_columns_left_out_are_in_the_fit(data, frame):
    _, y, _ = data
    texts = frame.assign(y=y, name="text", sure=True)
    for table in (texts, texts[:100]):  # summed up, and fitted in memory
        batches = [table.iloc[i : i + 400] for i in range(0, len(table), 400)]
        with pytest.warns(linreg_fast.LeftOutWarning, match="'text' .*, 'name' "):
            fit = linreg_fast.fit_stream(batches, target="y")
        assert list(fit.left_out) == [name for name in table if name not in (*fit.feature_names, "y")]
        assert fit.left_out["name"] == "text"
        assert fit.n_dropped == 0
        assert linreg_fast.fit_stream(batches, target="y", features=["a"]).left_out == {}


def test_faults_are_named(data):
    X, y, w = data
    for name, row, column, value, text in [
        ("X", 850, 2, np.inf, "column 2 of X has inf at row 50 of batch 2; drop or fill such rows first"),
        ("y", 0, None, -np.inf, "y has -inf at row 0 of batch 0; drop or fill such rows first"),
        (
            *("w", 2999, None, -1.0),
            "sample_weight has -1.0 at row 199 of batch 7; weights must be finite and not negative",
        ),
    ]:
        arrays = {"X": X.copy(), "y": y.copy(), "w": w.copy()}
        arrays[name][row if column is None else (row, column)] = value
        for missing in ("raise", "drop"):
            with pytest.raises(ValueError, match=f"^{text}$"):
                linreg_fast.fit_stream(cut(*arrays.values()), missing=missing)
    bad = X.copy()
    bad[850] = np.nan
    weight = w.copy()
    weight[850] = 0.0
    keep = weight != 0
    assert_same(
        linreg_fast.fit_stream(cut(bad, y, weight)), linreg_fast.fit(X[keep], y[keep], sample_weight=weight[keep])
    )


def test_every_row_missing():
    with pytest.raises(
        ValueError, match="every row has a missing value: column 0 of X has the first, at row 0 of batch 0"
    ):
        linreg_fast.fit_stream([([[np.nan]], [1.0])], missing="drop")


def raising():
    yield np.zeros((3, 1)), np.zeros(3)
    raise RuntimeError("the source broke")


@pytest.mark.parametrize(
    ("batches", "settings", "error", "text"),
    [
        (np.zeros((3, 2)), {}, TypeError, r"give \[\(X, y\)\]"),
        ((np.zeros((3, 2)), np.zeros(3)), {}, TypeError, r"give \[\(X, y\)\]"),
        (5, {}, TypeError, "iterable or a callable, not int"),
        ([], {}, ValueError, "no batch"),
        (iter(()), {}, ValueError, "no batch"),
        ([5], {"target": "y"}, TypeError, "batch 0 must be"),
        ([(np.zeros((3, 1)),)], {}, TypeError, "batch 0 must be"),
        ([(np.zeros((3, 1)), np.zeros(3)), 7], {}, TypeError, "batch 1 must be"),
        ([(np.zeros((3, 1)), np.zeros(3)), (np.zeros((3, 2)), np.zeros(3))], {}, ValueError, "batch 1 has"),
        ([(np.zeros((3, 1)), np.zeros(2))], {}, ValueError, "batch 0: X and y differ"),
        ([(np.array([["a"]]), np.zeros(1))], {}, TypeError, "batch 0: X has dtype"),
        ([(np.zeros((0, 2)), np.zeros(0))], {}, ValueError, "no rows"),
        ([(np.ones((2, 1)), np.ones(2), np.zeros(2))], {}, ValueError, "none of positive weight"),
        ([(np.zeros((3, 1)), np.zeros(3))], {"target": "y"}, TypeError, "the batches are tuples"),
        ([pd.DataFrame({"x": [1.0], "y": [1.0]})], {}, TypeError, "target must name"),
        ([pd.DataFrame({"x": [1.0], "y": [1.0]})], {"target": "z"}, ValueError, "batch 0 has no column 'z'"),
        ([pd.DataFrame({"x": ["a"], "y": [1.0]})], {"target": "y"}, ValueError, "no column of numbers beside y"),
        ([pd.DataFrame({"x": [1.0], "y": ["a"]})], {"target": "y"}, TypeError, "'y' is not of numbers"),
        (
            [pd.DataFrame({"ab": [1.0], "a": [1.0], "b": [1.0], "y": [1.0]})],
            {"target": "y", "features": "ab"},
            TypeError,
            "features must be a sequence of columns, not 'ab' alone",
        ),
        (
            [pd.DataFrame({"x": [1.0], "y": [1.0]}), pd.DataFrame({"x": ["a"], "y": [1.0]})],
            {"target": "y"},
            TypeError,
            "column 'x' of batch 1 is not of numbers",
        ),
        (
            [pd.DataFrame({"x": [1.0], "y": [1.0]}), pd.DataFrame({"y": [1.0]})],
            {"target": "y"},
            ValueError,
            "batch 1 has no column 'x'",
        ),
        ([(np.zeros((3, 1)), np.zeros(3))], {"missing": "fill"}, ValueError, "missing must be one of"),
        ([(np.zeros((3, 1)), np.zeros(3))], {"precision": "high"}, ValueError, "precision must be one of"),
        ([(np.zeros((3, 1)), np.zeros(3))], {"l2": -1.0}, ValueError, "l2"),
        ([(np.zeros((3, 1)), np.zeros(3))], {"n_threads": 0}, ValueError, "n_threads"),
        (raising, {}, RuntimeError, "the source broke"),
    ],
)
def test_what_cannot_be_fitted_is_told(batches, settings, error, text):
    with pytest.raises(error, match=text):
        linreg_fast.fit_stream(batches, **settings)


def test_query_without_rows_and_text_in_a_column():
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (x, y)")
    with pytest.raises(ValueError, match="no rows"):
        linreg_fast.fit_stream(connection.execute("select * from t"), target="y")
    connection.executemany("insert into t values (?, ?)", [(1, 2.0), (None, 3), (3, 5.5), (4, 7)])
    with pytest.raises(ValueError, match="'x' has a missing value at row 1 of batch 0"):
        linreg_fast.fit_stream(connection.execute("select * from t"), target="y")
    fit = linreg_fast.fit_stream(connection.execute("select * from t"), target="y", missing="drop")
    assert fit.coef == pytest.approx(linreg_fast.fit([1, 3, 4], [2, 5.5, 7]).coef, rel=1e-13)
    connection.execute("insert into t values ('two', 1)")
    with pytest.raises(TypeError, match="several types"):
        linreg_fast.fit_stream(connection.execute("select * from t"), target="y")
    with pytest.raises(ValueError, match="execute a query first"):
        linreg_fast.fit_stream(connection.cursor(), target="y")


def test_source_that_changes_between_readings_is_told(data):
    X, y, _ = data
    readings = iter([cut(X, y), cut(X[:-1], y[:-1])])
    with pytest.raises(ValueError, match="2999 rows when it is read again, it had 3000 before"):
        linreg_fast.fit_stream(lambda: next(readings), precision="extended")


def test_progress(data, capsys):
    X, y, _ = data
    seen = []
    linreg_fast.fit_stream(iter(cut(X, y)), progress=lambda done, total: seen.append((done, total)))
    assert seen[:2] == [(400, None), (800, None)]
    assert seen[-1] == (N, N)
    linreg_fast.fit_stream(iter(cut(X, y)), progress=True)
    out = capsys.readouterr().out
    assert "3,000 rows" in out
    assert "rows/s" in out


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(summing, "CHECKPOINT_SECONDS", 0.0)


@pytest.mark.parametrize("stop_at", [1, 4, 8])
def test_resumed_fit_has_the_bits_of_the_undisturbed_one(data, tmp_path, often, stop_at):
    X, y, w = data
    X = X.copy()
    X[10, 0] = np.nan
    path, batches = tmp_path / "state", cut(X, y, w)

    def broken():
        for i, batch in enumerate(batches):
            if i == stop_at:
                raise KeyboardInterrupt
            yield batch

    settings = {"missing": "drop", "checkpoint": path}
    if stop_at < len(batches):
        with pytest.raises(KeyboardInterrupt):
            linreg_fast.fit_stream(broken(), **settings)
        assert path.exists()
    resumed = linreg_fast.fit_stream(iter(batches), **settings)
    assert not path.exists()
    whole = linreg_fast.fit_stream(iter(batches), missing="drop")
    assert bits(resumed) == bits(whole)
    assert (resumed.n_samples, resumed.reason) == (whole.n_samples, whole.reason)
    assert resumed.n_dropped == whole.n_dropped == 1


def test_checkpoint_of_other_rows_is_refused(data, tmp_path, often):
    X, y, _ = data
    path = tmp_path / "state"

    def broken(batches, stop_at):
        yield from batches[:stop_at]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        linreg_fast.fit_stream(broken(cut(X, y), 3), checkpoint=path)
    whole = path.read_bytes()
    for batches, settings, text in [
        (cut(X, y + 1), {}, "other rows"),
        (cut(X, y, size=300), {}, "other rows"),
        (cut(X, y)[:2], {}, "other rows"),
        (cut(X, y), {"missing": "drop"}, "other files, columns or settings"),
    ]:
        with pytest.raises(ValueError, match=text):
            linreg_fast.fit_stream(iter(batches), checkpoint=path, **settings)
        assert path.read_bytes() == whole
    for damaged in (whole[:-1], whole[:50], b"", whole[:100] + b"\0" + whole[101:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="not a whole checkpoint"):
            linreg_fast.fit_stream(iter(cut(X, y)), checkpoint=path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the full disk is Linux's /dev/full")
def test_full_disk_at_a_checkpoint_leaves_the_one_before(data, tmp_path, often):
    X, y, _ = data
    path = tmp_path / "state"

    def filling():
        for i, batch in enumerate(cut(X, y)):
            if i == 3:
                (tmp_path / "state.new").symlink_to("/dev/full")
            yield batch

    with pytest.raises(OSError, match="No space left") as raised:
        linreg_fast.fit_stream(filling(), checkpoint=path)
    assert raised.value.filename == str(path)
    assert [file.name for file in tmp_path.iterdir()] == ["state"]
    resumed = linreg_fast.fit_stream(iter(cut(X, y)), checkpoint=path)
    assert bits(resumed) == bits(linreg_fast.fit_stream(iter(cut(X, y))))


SLOW_STREAM = """
    import sys, time
    import numpy as np, linreg_fast
    from linreg_fast import streams
    streams.CHECKPOINT_SECONDS = 0.0
    def batches():
        rng = np.random.default_rng(0)
        for i in range(40):
            X = rng.standard_normal((500, 3))
            yield X, X.sum(axis=1) + rng.standard_normal(500)
            if i == 20:
                print("half", flush=True)
            if i >= 20:
                time.sleep(float(sys.argv[2]))
    fit = linreg_fast.fit_stream(batches(), checkpoint=sys.argv[1])
    print(fit.coef.tobytes().hex(), fit.intercept.hex(), fit.n_samples)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_process_resumes(tmp_path, how):
    command = [sys.executable, "-c", textwrap.dedent(SLOW_STREAM)]

    def run(path, wait):
        return subprocess.Popen(
            [*command, str(path), str(wait)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )

    undisturbed = run(tmp_path / "other", 0)
    expected = undisturbed.communicate(timeout=60)[0].splitlines()[-1]
    process = run(tmp_path / "state", 30)
    assert process.stdout.readline() == "half\n"
    start = time.monotonic()
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - start < 20
    assert process.returncode != 0
    assert ("KeyboardInterrupt" in said) == (how == signal.SIGINT)
    again = run(tmp_path / "state", 0)
    out, _ = again.communicate(timeout=60)
    assert out.splitlines()[-1] == expected
    assert list(tmp_path.iterdir()) == []


def partition_moments(rows):
    """What docs/streams.md tells a worker to do with its partition."""
    X, y = rows
    return linreg_fast.Moments(X.shape[1]).update(X, y, n_threads=1).to_bytes()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_moments_from_processes(data, method):
    X, y, _ = data
    with multiprocessing.get_context(method).Pool(2) as pool:
        states = pool.map(partition_moments, cut(X, y, size=1000))
    total = sum(map(linreg_fast.Moments.from_bytes, states))
    assert_same(total.solve(), linreg_fast.fit(X, y))


def test_moments_from_arrow_batches(data, frame):
    """The function that docs/streams.md gives to Spark's mapInArrow and Ray's map_batches."""

    def map_in_arrow(batches):
        moments = linreg_fast.Moments(3)
        for batch in batches:
            table = batch.to_pandas()
            moments.update(table[["a", "b", "c"]], table["y"])
        yield pa.RecordBatch.from_pydict({"moments": [moments.to_bytes()]})

    partitions = [TABLE(frame).slice(i, 1000).to_batches(max_chunksize=300) for i in range(0, N, 1000)]
    states = [state.as_py() for part in partitions for batch in map_in_arrow(part) for state in batch["moments"]]
    fit = sum(map(linreg_fast.Moments.from_bytes, states)).solve()
    assert_same(fit, linreg_fast.fit(*data[:2]))
    assert fit.feature_names == ("a", "b", "c")


def test_flights_in_parts(tmp_path):
    """The README's example: a real table from CSV, from a folder of Parquet files and from a database."""
    path = shared("nycflights.csv")
    features = ["dep_delay", "air_time", "distance"]
    table = pa.csv.read_csv(path) if hasattr(pa, "csv") else __import__("pyarrow.csv").csv.read_csv(path)
    expected = linreg_fast.fit_file(path, target="arr_delay", features=features)
    X = np.column_stack([table[name].to_numpy() for name in features]).astype(float)
    assert_same(expected, linreg_fast.fit(X, table["arr_delay"].to_numpy()))
    pyarrow.dataset.write_dataset(
        table, tmp_path, format="parquet", partitioning=["month"], partitioning_flavor="hive", max_rows_per_group=1000
    )
    fit = linreg_fast.fit_file(tmp_path, target="arr_delay", features=features)
    assert_same(fit, expected)
    with open(path, newline="") as file:
        reader = csv.reader(file)
        names = next(reader)
        columns = [names.index(name) for name in [*features, "arr_delay"]]
        rows = (np.array([[float(row[j]) for j in columns]]) for row in reader)
        fit = linreg_fast.fit_stream((row[:, :3], row[:, 3]) for row, _ in zip(rows, range(2000), strict=False))
    assert_same(fit, linreg_fast.fit(X[:2000], table["arr_delay"].to_numpy()[:2000]))


def test_result_travels_and_no_warning_is_left(data, tmp_path):
    X, y, _ = data
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = linreg_fast.fit_stream(iter(cut(X, y)))
    assert bits(pickle.loads(pickle.dumps(fit))) == bits(fit)
    fit.save(tmp_path / "fit.json")
    assert bits(linreg_fast.LinearFit.load(tmp_path / "fit.json")) == bits(fit)
    assert fit.plan.solver == "cholesky"
