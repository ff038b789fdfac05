"""Partitions of Spark data frames, against a stream of them; a worker that dies. Opt-in: pytest -m spark."""

from __future__ import annotations

import decimal
import itertools
import os
import shutil
import signal

import numpy as np
import pyarrow as pa
import pytest
from support.compare import assert_close, bits
from support.problems import problem

import linreg_fast

pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'linreg_fast[spark]'")
pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(
        shutil.which("java") is None and "JAVA_HOME" not in os.environ, reason="there is no Java, which Spark runs in"
    ),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

import linreg_fast.spark  # noqa: E402

N, P = 6000, 3
NAMES = ["a", "b.c", "d`e"]


@pytest.fixture(scope="module")
def spark():
    """A session of two local workers; a task may fail three times before its job does."""
    from pyspark.sql import SparkSession

    made = (
        SparkSession.builder.master("local[2,4]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "700")
        .getOrCreate()
    )
    made.sparkContext.setLogLevel("OFF")
    yield made
    made.stop()


def frame_of(spark, parts, schema):
    """A data frame of those tables, one a partition."""

    def given(batches):
        for batch in batches:
            for i in batch.column(0).to_pylist():
                yield from parts[i].to_batches()

    return spark.range(len(parts), numPartitions=len(parts)).mapInArrow(given, schema)


@pytest.fixture(scope="module")
def data():
    X, y, *_ = problem(N, P, 5, offset=30.0)
    return X, y, np.random.default_rng(0).random(N)


def parts_of(X, y, w, bounds=(0, 0, 2500, 2501, 6000), **more):
    names = NAMES[: X.shape[1]]
    whole = pa.table({**dict(zip(names, X.T.copy(), strict=True)), "y": y, "w": w, **more})
    return [whole.slice(lo, hi - lo) for lo, hi in itertools.pairwise(bounds)]


def kinds(table, **other):
    known = {"double": "double", "string": "string", "float": "float", "int64": "long"}
    return ", ".join(f"`{f.name.replace('`', '``')}` {other.get(f.name) or known[str(f.type)]}" for f in table.schema)


def streamed(parts, **options):
    return linreg_fast.fit_stream([part.combine_chunks() for part in parts], **options)


def fitted(spark, parts, *args, schema=None, **options):
    return linreg_fast.spark.fit(frame_of(spark, parts, schema or kinds(parts[0])), *args, **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sample_weight": "w"},
        {"l2": 3.0, "fit_intercept": False, "features": ["d`e", "a"]},
        {"precision": "extended", "exclude": ["w"]},
        {"precision": "fast"},
    ],
)
def test_bits_are_those_of_a_stream_of_the_partitions(spark, data, options):
    parts = parts_of(*data)
    fit = fitted(spark, parts, "y", **options)
    assert bits(fit) == bits(streamed(parts, target="y", **options))
    others = [] if {"sample_weight", "exclude"} & {*options} else ["w"]
    assert fit.feature_names == tuple(options.get("features") or [*NAMES, *others])
    assert fit.n_samples == N


def test_blocks_do_not_depend_on_the_batches_of_spark(spark, data, monkeypatch):
    """Partitions of more than one block of a stream, whose batches end anywhere."""
    X = np.random.default_rng(1).standard_normal((400_000, 2))
    parts = parts_of(X, X @ [1.0, 2.0] + 0.1 * X[:, 0] ** 2, np.ones(len(X)), (0, 390_000, 400_000))
    expected = streamed(parts, target="y", exclude=["w"])
    for size in ("9999", "400000"):
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", size)
        try:
            assert bits(fitted(spark, parts, "y", exclude=["w"])) == bits(expected)
        finally:
            spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "700")


def test_rows_that_run_away_from_the_shift_keep_their_digits(spark):
    """Times that rise from partition to partition, and a column that is constant in each."""
    t = np.arange(6000.0)
    X = np.column_stack([1e6 + t, np.floor(t / 1500) + 1000.3])
    parts = parts_of(X, 2 * t + np.sin(t), np.ones(6000), (0, 1500, 3000, 4500, 6000))
    fit = fitted(spark, parts, "y", exclude=["w"])
    assert bits(fit) == bits(streamed(parts, target="y", exclude=["w"]))
    assert_close(fit, linreg_fast.fit(X, 2 * t + np.sin(t)), 1e-11)
    far = parts_of(X[:, :1] * [[1.0]], np.where(t < 20, 0.0, 1e9 + np.sin(t)), np.ones(6000), (0, 20, 6000))
    assert bits(fitted(spark, far, "y", exclude=["w"])) == bits(streamed(far, target="y", exclude=["w"]))


def test_ill_conditioned_columns_are_refined_in_further_passes(spark):
    X, y, *_ = problem(2000, 3, 1)
    X[:, 2] = X[:, 0] + 1e-6 * X[:, 1] + 1e-7 * X[:, 2]
    parts = parts_of(X, y, np.ones(2000), (0, 700, 2000))
    fit = fitted(spark, parts, "y", exclude=["w"])
    assert "qr" in fit.solver_path
    assert fit.digits > 10
    assert bits(fit) == bits(streamed(parts, target="y", exclude=["w"]))
    assert_close(fit, linreg_fast.fit(X, y, precision="extended"), 1e-10)


def test_many_columns_travel_as_one(spark):
    X = np.random.default_rng(0).standard_normal((3000, 20))
    names = [f"x{j}" for j in range(20)]
    y = X.sum(axis=1) + X[:, 0] ** 2
    whole = pa.table({**dict(zip(names, X.T.copy(), strict=True)), "y": y})
    parts = [whole.slice(0, 1000), whole.slice(1000, 2000)]
    fit = fitted(spark, parts, "y")
    assert_close(fit, linreg_fast.fit(X, y))
    assert fit.feature_names == tuple(names)


def test_several_targets(spark, data):
    X, y, w = data
    parts = parts_of(X, y, w)
    fit = fitted(spark, parts, ["y", "w"])
    assert bits(fit) == bits(streamed(parts, target=["y", "w"]))
    assert fit.coef.shape == (2, 3)


def test_missing_values(spark, data):
    X, y, w = (a.copy() for a in data)
    X[3, 0], X[2600, 1], y[5000] = np.nan, np.nan, np.nan
    parts = parts_of(X, y, w)
    fit = fitted(spark, parts, "y", sample_weight="w", missing="drop")
    assert bits(fit) == bits(streamed(parts, target="y", sample_weight="w", missing="drop"))
    assert fit.n_dropped == 3
    assert "3 rows with missing values dropped" in fit.reason
    with pytest.raises(ValueError, match=r"column 'a' has a missing value at row 3 of partition 1"):
        fitted(spark, parts, "y")
    y[:] = np.nan
    with pytest.raises(ValueError, match="every row has a missing value"):
        fitted(spark, parts_of(X, y, w), "y", missing="drop")


def test_kinds_of_columns(spark, data):
    X, y, _ = data
    whole = np.arange(N) % 17
    parts = parts_of(X[:, :1].astype(np.float32).astype(float), y, np.ones(N), i=whole, t=["text"] * N)
    from pyspark.sql.functions import col

    frame = frame_of(spark, parts, kinds(parts[0])).withColumn("a", col("a").cast("float"))
    frame = frame.withColumn("m", (col("i") * 3).cast("decimal(20,2)")).drop("w")
    with pytest.warns(linreg_fast.LeftOutWarning, match=r"'t' \(text\)"), pytest.warns(linreg_fast.RankWarning):
        fit = linreg_fast.spark.fit(frame, "y")
    assert fit.feature_names == ("a", "i", "m")
    assert fit.left_out == {"t": "text"}
    with pytest.warns(linreg_fast.RankWarning):
        expected = linreg_fast.fit(np.column_stack([X[:, 0].astype(np.float32), whole, whole * 3.0]), y)
    assert fit.rank == expected.rank == 2
    np.testing.assert_allclose(fit.coef, expected.coef, rtol=1e-9)


def test_integers_that_are_rounded_are_told(spark):
    i = np.arange(100, dtype=np.int64)
    i[60] = 2**53 + 1
    parts = [pa.table({"i": i, "y": np.arange(100.0)}).slice(at, 50) for at in (0, 50)]
    with pytest.warns(linreg_fast.PrecisionWarning, match=r"column 'i'.*row 10 of partition 1"):
        fitted(spark, parts, "y")


def test_what_cannot_be_fitted_is_told(spark, data):
    parts = parts_of(*data)
    frame = frame_of(spark, parts, kinds(parts[0]))
    with pytest.raises(TypeError, match="dataframe must be a Spark data frame, not Table"):
        linreg_fast.spark.fit(parts[0], "y")
    with pytest.raises(ValueError, match="no column 'z'"):
        linreg_fast.spark.fit(frame, "z")
    with pytest.raises(ValueError, match="several columns 'y'"):
        linreg_fast.spark.fit(frame.select("y", "a", "y"), "y")
    with pytest.raises(TypeError, match="column 's' is not of numbers"):
        linreg_fast.spark.fit(frame.selectExpr("y", "cast(a as string) s"), "y", features=["s"])
    with pytest.raises(ValueError, match="no rows to fit"):
        linreg_fast.spark.fit(frame.where("y < -1e300"), "y")
    X, y, w = data
    w = w.copy()
    w[4000] = -1.0
    with pytest.raises(ValueError, match=r"column 'w' has -1.0 at row 1499 of partition 3; weights must be finite"):
        fitted(spark, parts_of(X, y, w), "y", sample_weight="w")
    y = y.copy()
    y[2500] = np.inf
    with pytest.raises(ValueError, match=r"column 'y' has inf at row 0 of partition 2"):
        fitted(spark, parts_of(X, y, data[2]), "y")


def test_a_partition_of_another_type_fails_with_the_column_s_name(spark):
    """What a function of the user's makes of one partition against its own schema."""

    def broken(batches):
        for batch in batches:
            numbers = batch.column(0).to_pylist()
            values = ["text"] * len(numbers) if 60 in numbers else [float(v) for v in numbers]
            yield pa.RecordBatch.from_pydict({"x": pa.array(values), "y": pa.array([1.0 * v for v in numbers])})

    frame = spark.range(100, numPartitions=4).mapInArrow(broken, "x double, y double")
    with pytest.raises(TypeError, match="column 'x' is not of type double in every partition"):
        linreg_fast.spark.fit(frame, "y")


def test_a_worker_that_is_killed_counts_nothing_twice(spark, data, tmp_path):
    """SIGKILL to a Python worker in the middle of its partition: the task runs again, with the same bits."""
    parts = [part.rename_columns(["a", "b", "c", "y", "w"]) for part in parts_of(*data)]
    expected = streamed(parts, target="y")
    frame = frame_of(spark, parts, kinds(parts[0]))

    def dying(batches):
        from pyspark import TaskContext

        context = TaskContext.get()
        for i, batch in enumerate(batches):
            if context.partitionId() == 3 and context.attemptNumber() == 0 and i == 2:
                with open(tmp_path / "killed", "a") as file:
                    file.write(".")
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    fit = linreg_fast.spark.fit(frame.mapInArrow(dying, frame.schema), "y")
    assert (tmp_path / "killed").stat().st_size >= 1
    assert bits(fit) == bits(expected)


def test_a_task_that_fails_once_counts_nothing_twice(spark, data):
    parts = [part.rename_columns(["a", "b", "c", "y", "w"]) for part in parts_of(*data)]
    frame = frame_of(spark, parts, kinds(parts[0]))

    def failing(batches):
        from pyspark import TaskContext

        context = TaskContext.get()
        yield from batches
        if context.partitionId() == 1 and context.attemptNumber() == 0:
            raise RuntimeError("once")

    fit = linreg_fast.spark.fit(frame.mapInArrow(failing, frame.schema), "y")
    assert bits(fit) == bits(streamed(parts, target="y"))


def test_decimals_are_numbers(spark):
    rows = [(decimal.Decimal(i), 1.0 + 2.0 * i) for i in range(20)]
    fit = linreg_fast.spark.fit(spark.createDataFrame(rows, "x decimal(10,0), y double"), "y")
    assert (fit.slope, fit.intercept) == pytest.approx((2.0, 1.0), rel=1e-14)
