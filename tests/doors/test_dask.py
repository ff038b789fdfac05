"""Chunks on a cluster of processes, against the same rows in memory; workers that die."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.distributed import Client, LocalCluster, wait
from support.compare import assert_close, bits
from support.problems import problem

import linreg_fast
import linreg_fast.dask
from linreg_fast.dask import chunks, collections
from linreg_fast.options import PRECISIONS

N, P = 6000, 3
TWO_PROCESSES = {
    "n_workers": 2,
    "threads_per_worker": 1,
    "processes": True,
    "dashboard_address": ":0",
    "silence_logs": 50,
}


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(**TWO_PROCESSES) as cluster:
        yield cluster


@pytest.fixture(params=["cluster", "threads"])
def scheduler(request):
    if request.param == "threads":
        with dask.config.set(scheduler="threads"):
            yield
        return
    with Client(request.getfixturevalue("cluster").scheduler_address):
        yield


@pytest.fixture(scope="module")
def data():
    X, y, *_ = problem(N, P, 5, offset=30.0)
    return X, y, np.random.default_rng(0).random(N)


RAGGED = (0, 1500, 1, 2499, 0, 2000)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_arrays(data, scheduler, precision):
    X, y, w = data
    dX, dy, dw = da.from_array(X, chunks=(RAGGED, (2, 1))), da.from_array(y, chunks=700), da.from_array(w, chunks=N)
    settings = {"precision": precision, "l2": 2.0}
    fit = linreg_fast.dask.fit(dX, dy, sample_weight=dw, **settings)
    assert_close(fit, linreg_fast.fit(X, y, sample_weight=w, **settings))
    assert fit.precision == precision


def test_several_targets_and_delayed(data, scheduler):
    X, y, _ = data
    Y = np.column_stack([y, X[:, 1] - y])
    dX, dY = da.from_array(X, chunks=(RAGGED, P)), da.from_array(Y, chunks=(1000, 1))
    expected = linreg_fast.fit(X, Y)
    assert_close(linreg_fast.dask.fit(dX, dY), expected)
    for precision in ("auto", "extended"):
        graph = linreg_fast.dask.fit(dX, dY, compute=False, precision=precision)
        assert dask.is_dask_collection(graph)
        fit = graph.compute()
        assert_close(fit, expected)
        assert fit.precision == precision


def test_one_feature(data):
    X, y, _ = data
    with dask.config.set(scheduler="sync"):
        fit = linreg_fast.dask.fit(
            da.from_array(X[:, 0], chunks=999), da.from_array(y, chunks=500), fit_intercept=False
        )
    assert_close(fit, linreg_fast.fit(X[:, 0], y, fit_intercept=False))
    assert fit.slope == fit.coef[0]


def test_unknown_and_empty_chunks(data, scheduler):
    X, y, w = data
    chosen = X[:, 0] > np.quantile(X[:, 0], 0.3)
    chosen[:2000] = False
    dX, dy, dw = (da.from_array(a, chunks=(1000, -1)[: a.ndim]) for a in (X, y, w))
    mask = da.from_array(chosen, chunks=1000)
    expected = linreg_fast.fit(X[chosen], y[chosen], sample_weight=w[chosen])
    for compute in (True, False):
        fit = linreg_fast.dask.fit(dX[mask], dy[mask], sample_weight=dw[mask], compute=compute)
        assert_close(fit if compute else fit.compute(), expected)


def test_frames(data, scheduler):
    X, y, w = data
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=y, w=w)
    frame["c"] = pd.array(np.round(X[:, 2]), dtype="Int64")
    X = np.column_stack([X[:, :2], np.round(X[:, 2])])
    chunks = dd.from_pandas(frame, npartitions=7)
    expected = linreg_fast.fit(X, y, sample_weight=w)
    by_name = linreg_fast.dask.fit(chunks, "y", sample_weight="w")
    assert_close(by_name, expected)
    assert by_name.feature_names == ("a", "b", "c")
    assert_close(linreg_fast.dask.fit(chunks[["a", "b", "c"]], chunks["y"], sample_weight=chunks["w"]), expected)
    some = chunks[chunks.a > 30.5]
    keep = X[:, 0] > 30.5
    assert_close(linreg_fast.dask.fit(some[["a", "b"]], some["y"]), linreg_fast.fit(X[keep][:, :2], y[keep]))
    Y = linreg_fast.dask.fit(chunks, ["y", "w"])
    assert_close(Y, linreg_fast.fit(X, np.column_stack([y, w])), 1e-11)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # dask's own, of pandas
def test_frames_whose_partitions_dask_fuses(data, tmp_path, scheduler):
    """Of files of which few columns are asked for dask reads several at once."""
    X, y, w = data
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=y, w=w, **{f"other{j}": 1 / (j + y) for j in range(15)})
    for i in range(6):
        frame.iloc[i * 1000 : (i + 1) * 1000].to_parquet(tmp_path / f"{i}.parquet", index=False)
    whole = dd.read_parquet(tmp_path)
    some = whole[["a", "b", "c", "y"]]
    assert len(whole["y"].to_delayed()) < whole.npartitions
    expected = linreg_fast.fit(X, y)
    assert_close(linreg_fast.dask.fit(some, "y"), expected)
    assert_close(linreg_fast.dask.fit(whole[["a", "b", "c"]], whole["y"]), expected)
    assert_close(linreg_fast.dask.fit(whole[["a", "b", "c"]].to_dask_array(), whole["y"].to_dask_array()), expected)
    weighted = linreg_fast.dask.fit(some, "y", sample_weight=whole["w"])
    assert_close(weighted, linreg_fast.fit(X, y, sample_weight=w))


@pytest.fixture
def client(cluster):
    with Client(cluster.scheduler_address) as client:
        yield client


def persisted(*collections):
    kept = dask.persist(*collections)
    wait(kept)
    return kept


def lots(X, y, w=None):
    return collections.chunks_of(X, y, w)._lots()


@pytest.mark.parametrize("lot_bytes", [1, 40_000, 1 << 30])
def test_chunks_in_workers_are_taken_several_a_task_with_the_same_bits(data, client, monkeypatch, lot_bytes):
    X, y, w = data
    lazy = [da.from_array(a, chunks=(500, -1)[: a.ndim]) for a in (X, y, w)]
    kept = persisted(*lazy)
    monkeypatch.setattr(chunks, "LOT_BYTES", lot_bytes)
    found = lots(*kept)
    assert sorted(i for _, lot in found for i in lot) == list(range(12))
    held = {worker: set(keys) for worker, keys in client.has_what().items()}
    for worker, lot in found:
        assert all((kept[0].name, i, 0) in held[worker] for i in lot)
        assert lot_bytes > 1 or len(lot) == 1
        assert len(lot) <= max(1, lot_bytes // (500 * 8 * 5))
    assert lot_bytes < 1 << 30 or len(found) <= 2
    expected = linreg_fast.dask.fit(lazy[0], lazy[1], sample_weight=lazy[2])
    assert bits(linreg_fast.dask.fit(kept[0], kept[1], sample_weight=kept[2])) == bits(expected)
    assert_close(expected, linreg_fast.fit(X, y, sample_weight=w))


def test_bits_do_not_depend_on_where_chunks_lie(data, client):
    X, y, _ = data
    chunks = [(X[i : i + 600], y[i : i + 600]) for i in range(0, N, 600)]
    workers = list(client.nthreads())
    found = set()
    for place in ([0] * 10, [0, 1] * 5, [0, 0, 1, 1, 1, 0, 1, 0, 1, 1]):
        parts = [[], []]
        for at, chunk in zip(place, chunks, strict=True):
            for part, array in zip(parts, chunk, strict=True):
                future = client.scatter(array.copy(), workers=[workers[at]], hash=False)
                part.append(da.from_delayed(dask.delayed(future), array.shape, float))
        dX, dy = persisted(*map(da.concatenate, parts))
        found.add(bits(linreg_fast.dask.fit(dX, dy)))
        assert len(lots(dX, dy)) <= 2
    assert len(found) == 1


def test_what_a_task_takes_is_bounded(data, client, monkeypatch):
    X, y, _ = data
    dX, dy = da.from_array(X, chunks=(500, P)), da.from_array(y, chunks=500)
    kX, ky = persisted(dX, dy)
    assert lots(kX, ky)
    assert lots(dX, ky) is None  # chunks that are yet to be computed would all be held at once
    assert lots(kX, ky + 1.0) is None
    fits = [linreg_fast.dask.fit(*both) for both in ((dX, dy), (dX, ky), (kX, dy))]
    monkeypatch.setattr(chunks, "PARTS_BYTES", 1000)
    assert lots(kX, ky) is None
    fits.append(linreg_fast.dask.fit(kX, ky))
    assert len({bits(fit) for fit in fits}) == 1


def test_persisted_chunks_of_every_kind(data, client):
    X, y, w = data
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=y, w=w)
    (chunks,) = persisted(dd.from_pandas(frame, npartitions=7))
    assert lots(chunks, "y", "w")
    expected = linreg_fast.fit(X, y, sample_weight=w)
    assert_close(linreg_fast.dask.fit(chunks, "y", sample_weight="w"), expected)
    assert_close(linreg_fast.dask.fit(chunks[["a", "b", "c"]], chunks["y"], sample_weight=chunks["w"]), expected)
    chosen = X[:, 0] > np.quantile(X[:, 0], 0.3)
    chosen[:2000] = False
    dX, dy = da.from_array(X, chunks=(1000, -1)), da.from_array(y, chunks=1000)
    mask = da.from_array(chosen, chunks=1000)
    kX, ky = persisted(dX[mask], dy[mask])
    assert lots(kX, ky)
    assert_close(linreg_fast.dask.fit(kX, ky), linreg_fast.fit(X[chosen], y[chosen]))
    for compute in (True, False):
        nothing = persisted(dX[mask & ~mask], dy[mask & ~mask])
        with pytest.raises(ValueError, match="no rows"):
            dask.compute(linreg_fast.dask.fit(*nothing, compute=compute))
    broken = X.copy()
    broken[1234, 1] = np.nan
    kX, ky = persisted(da.from_array(broken, chunks=(1000, 3)), dy)
    with pytest.raises(ValueError, match="chunk 1: X has NaN at row 234, column 1"):
        linreg_fast.dask.fit(kX, ky)
    # refined in further rounds, and by functions that hold p^2 numbers
    near = X.copy()
    near[:, 2] = near[:, 0] + 1e-6 * near[:, 1] + 1e-7 * near[:, 2]
    kX, ky = persisted(da.from_array(near, chunks=(1000, 3)), dy)
    fit = linreg_fast.dask.fit(kX, ky)
    assert "qr" in fit.solver_path
    assert_close(fit, linreg_fast.fit(near, y, precision="extended"), 1e-10)


def test_ill_conditioned_chunks_are_refined(scheduler):
    X, y, *_ = problem(2000, 3, 1)
    X[:, 2] = X[:, 0] + 1e-6 * X[:, 1] + 1e-7 * X[:, 2]
    fit = linreg_fast.dask.fit(da.from_array(X, chunks=(300, 3)), da.from_array(y, chunks=300))
    assert "qr" in fit.solver_path
    assert fit.digits > 10
    assert_close(fit, linreg_fast.fit(X, y, precision="extended"), 1e-10)


def test_chunk_that_raises(data, scheduler):
    X, y, _ = data
    X = X.copy()
    X[1234, 1] = np.nan
    dX, dy = da.from_array(X, chunks=(1000, 3)), da.from_array(y, chunks=1000)
    with pytest.raises(ValueError, match="chunk 1: X has NaN at row 234, column 1"):
        linreg_fast.dask.fit(dX, dy)

    def broken(block, block_info=None):
        if block_info[0]["chunk-location"][0] == 3:
            raise RuntimeError("this chunk is broken")
        return block

    X[1234, 1] = 0.0
    dX = da.from_array(X, chunks=(1000, 3))
    with pytest.raises(RuntimeError, match="this chunk is broken"):
        linreg_fast.dask.fit(dX.map_blocks(broken, dtype=float), dy)
    assert_close(linreg_fast.dask.fit(dX, dy), linreg_fast.fit(X, y))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (lambda X, y, f: (np.zeros((3, 1)), y), TypeError, "X must be a dask array or data frame"),
        (lambda X, y, f: (X, np.zeros(3)), TypeError, "y must be a dask array"),
        (lambda X, y, f: (X, "y"), TypeError, "X must be a dask data frame"),
        (lambda X, y, f: (X, y[:-1]), ValueError, "y has 9 rows, X has 10"),
        (lambda X, y, f: (X, y, y[:-1]), ValueError, "sample_weight has 9 rows, X has 10"),
        (lambda X, y, f: (X, y, np.zeros(10)), TypeError, "sample_weight must be a dask array"),
        (lambda X, y, f: (X[:0], y[:0]), ValueError, "no rows"),
        (lambda X, y, f: (f, "z"), ValueError, "no column 'z'"),
        (lambda X, y, f: (f, f["a"]), TypeError, "column 'text' of X has dtype"),
        (lambda X, y, f: (f, "a"), ValueError, "no column of numbers beside a; left out are 'text'"),
        (lambda X, y, f: (f[["a"]], f["a"], "w"), TypeError, "y must name one too"),
        (lambda X, y, f: (f[["a"]], y), ValueError, "y has 3 chunks of rows, X has 2"),
    ],
)
def test_what_cannot_be_fitted_is_told(arguments, error, text):
    X, y = da.ones((10, 2), chunks=(4, 2)), da.ones(10, chunks=4)
    frame = dd.from_pandas(pd.DataFrame({"a": np.arange(10.0), "text": ["t"] * 10}), npartitions=2)
    X, y, *w = arguments(X, y, frame)
    with dask.config.set(scheduler="sync"), pytest.raises(error, match=text):
        linreg_fast.dask.fit(X, y, sample_weight=w[0] if w else None)


def test_workers_use_one_thread_each(cluster):
    with Client(cluster.scheduler_address) as client:
        found = client.run(lambda: __import__("threading").active_count())
        X = da.random.default_rng(0).standard_normal((400_000, 8), chunks=(100_000, 8))
        linreg_fast.dask.fit(X, X[:, 0] + 1.0, precision="fast")

        def pools():
            return [t.name for t in __import__("threading").enumerate() if t.name.startswith("linreg_fast")]

        assert client.run(pools) == {address: [] for address in found}


def slowly(block, seconds=0.3):
    time.sleep(seconds)
    return block


def test_killed_worker_counts_nothing_twice(data):
    """SIGKILL to a worker process in the middle: the fit ends with the bits of the undisturbed one."""
    X, y, _ = data
    with LocalCluster(**TWO_PROCESSES) as cluster, Client(cluster) as client:
        dX, dy = da.from_array(X, chunks=(500, P)), da.from_array(y, chunks=500)
        expected = linreg_fast.dask.fit(dX, dy)
        pids = client.run(os.getpid)
        slow = linreg_fast.dask.fit(dX.map_blocks(slowly, dtype=float), dy, compute=False)
        undisturbed = linreg_fast.dask.fit(dX, dy, compute=False).compute()
        future = client.compute(slow)
        time.sleep(1.0)
        victim = next(iter(pids.values()))
        os.kill(victim, signal.SIGKILL)
        fit = future.result(timeout=60)
        assert bits(fit) == bits(undisturbed)
        assert_close(fit, expected)
        client.wait_for_workers(2, timeout=30)
        pids = {*pids.values(), *client.run(os.getpid).values()}
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in pids if alive(pid)]


class Slow:
    """A chunk that takes its time."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.ndim = values, values.shape, values.dtype, values.ndim

    def __array__(self, dtype=None, copy=None):
        time.sleep(0.15)
        return self.values


def test_killed_worker_that_held_chunks(data):
    """SIGKILL to a worker process that holds persisted chunks, in the middle of the task that takes several of them."""
    X, y, _ = data
    with LocalCluster(**TWO_PROCESSES) as cluster, Client(cluster) as client:
        dX, dy = da.from_array(X, chunks=(500, P)), da.from_array(y, chunks=500)
        kX, ky = persisted(dX.map_blocks(Slow, dtype=float, meta=np.empty((0, 0))), dy)
        undisturbed = linreg_fast.dask.fit(kX, ky)
        started, pids = time.monotonic(), client.run(os.getpid)
        worker, lot = max(lots(kX, ky), key=lambda one: len(one[1]))
        assert len(lot) > 4
        killer = threading.Timer(0.4, os.kill, (pids[worker], signal.SIGKILL))
        killer.start()
        fit = linreg_fast.dask.fit(kX, ky)
        killer.join()
        assert time.monotonic() - started > 0.15 * len(lot)
        assert pids[worker] not in client.run(os.getpid).values()
        assert bits(fit) == bits(undisturbed)
        assert_close(fit, linreg_fast.fit(X, y))


def alive(pid):
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_fit_that_waits_says_what_was_left_out():
    frame = pd.DataFrame({"a": np.arange(9.0), "t": "x", "y": np.arange(9.0) ** 2})
    with pytest.warns(linreg_fast.LeftOutWarning, match=r"'t' \(text\)"):
        waiting = linreg_fast.dask.fit(dd.from_pandas(frame, npartitions=2), "y", compute=False)
    assert waiting.compute().left_out == {"t": "text"}
