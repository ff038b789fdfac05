"""Threads: same bits for any number of them, forks, interrupts, exceptions, settings."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.compare import bits
from support.problems import problem

import linreg_fast
from linreg_fast.inputs.table import table
from linreg_fast.passes import blocks, pool, rates, table_sums
from linreg_fast.passes.threads import threads, usable_processors

THREADS = (1, 2, 3, 8, 16)


def problem_of_kind(n, p, kind, seed=0):
    X, y, _, _ = problem(n, p, seed)
    w = np.random.default_rng(seed).random(n) if "weights" in kind else None
    X = X.astype(np.float32) if "float32" in kind else X
    return (X[:, ::-1] if "strided" in kind else np.asfortranarray(X) if "F" in kind else X), y, w


def everything(X, y, w, n_threads, **options):
    """The bits of a fit, a cost, a gradient and predictions."""
    fit = linreg_fast.fit(X, y, sample_weight=w, n_threads=n_threads, **options)
    point = {"coef": np.ones(X.shape[1]), "intercept": 0.5, "sample_weight": w, "n_threads": n_threads}
    cost = linreg_fast.cost(X, y, **point)
    cost_again, slopes, intercept = linreg_fast.gradient(X, y, **point)
    predicted = fit.predict(X, n_threads=n_threads)
    return bits(fit) + np.array([cost, cost_again, intercept]).tobytes() + slopes.tobytes() + predicted.tobytes()


# row blocks


@pytest.mark.parametrize("n_blocks", range(1, 71))
def test_tree_merges_in_block_order(n_blocks):
    """Tuples only join in block order if every merge is of neighbours, left before right."""
    for seed in range(5):
        order = list(range(n_blocks))
        if seed:
            random.Random(seed).shuffle(order)
        tree = blocks._Tree(n_blocks, lambda left, right: left + right)
        for index in order:
            tree.add(index, (index,))
        assert tree.result == tuple(range(n_blocks))
        assert not tree.waiting


@pytest.mark.parametrize("n_blocks", [2, 5, 6, 7, 13, 64, 70])
def test_tree_has_one_shape(n_blocks):
    """The same brackets whichever block is ready first, hence the same rounding."""

    def brackets(order):
        tree = blocks._Tree(n_blocks, lambda left, right: (left, right))
        for index in order:
            tree.add(index, index)
        return tree.result

    expected = brackets(range(n_blocks))
    for seed in range(20):
        order = list(range(n_blocks))
        random.Random(seed).shuffle(order)
        assert brackets(order) == expected


def test_tree_from_many_threads():
    for _ in range(50):
        tree = blocks._Tree(64, lambda left, right: left + right)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i, tree=tree: tree.add(i, (i,)), range(64)))
        assert tree.result == tuple(range(64))


@pytest.mark.parametrize("n_threads", THREADS)
def test_fold_covers_every_row_once(n_threads):
    for n_rows, n_blocks in ((1, 1), (7, 4), (64, 64), (1000, 7), (1001, 32)):
        ranges = blocks.fold(n_rows, n_blocks, lambda lo, hi: [(lo, hi)], lambda a, b: a + b, n_threads)
        assert len(ranges) == n_blocks
        assert [row for lo, hi in ranges for row in range(lo, hi)] == list(range(n_rows))


def test_count_of_blocks_depends_on_the_shape_alone():
    for n, seconds, size in ((1, 1e-9, 10), (10**6, 1e-8, 100), (10**9, 1e-8, 10**6)):
        count = rates.count_blocks(n, seconds, size)
        assert 1 <= count <= rates.MAX_BLOCKS
        assert count & (count - 1) == 0


def test_progress_reports_rows_and_ends_with_all(many_blocks):
    X, y, _ = problem_of_kind(5000, 3, "")
    for n_threads in (1, 3):
        seen = []
        linreg_fast.fit(X, y, n_threads=n_threads, progress=lambda done, total: seen.append((done, total)))  # noqa: B023
        assert seen[-1] == (5000, 5000)
        assert all(total == 5000 for _, total in seen)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("at", [(), (0,), (19_999,), (3, 4, 11_000)])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_rows_of_weight_0_are_not_counted_in_any_block(many_blocks, at, n_threads):
    X, y, w = problem_of_kind(20_000, 3, "weights")
    w = np.where(w == 0, 1.0, w)
    w[list(at)] = 0.0
    assert linreg_fast.fit(X, y, sample_weight=w, n_threads=n_threads).n_samples == 20_000 - len(at)


# same bits


@pytest.mark.parametrize("kind", ["", "F", "weights", "float32", "strided", "F float32 weights"])
@pytest.mark.parametrize("p", [1, 3, 9, 40])
def test_same_bits_for_any_number_of_threads(many_blocks, p, kind):
    X, y, w = problem_of_kind(20_000, p, kind)
    assert rates.count_blocks(20_000, 1e-9 * p, p * p) > 16
    one = everything(X, y, w, 1)
    for n_threads in THREADS:
        assert everything(X, y, w, n_threads) == one, n_threads


@pytest.mark.parametrize("solver", ["cholesky", "qr", "svd", "gd"])
def test_same_bits_with_each_solver(many_blocks, solver):
    X, y, w = problem_of_kind(20_000, 4, "weights")
    options = {"max_iter": 20, "tol": 0, "passes": "data"} if solver == "gd" else {}
    one = everything(X, y, w, 1, solver=solver, **options)
    for n_threads in THREADS:
        assert everything(X, y, w, n_threads, solver=solver, **options) == one, n_threads


def test_same_bits_at_natural_size():
    X, y, w = problem_of_kind(300_000, 5, "weights")
    one = everything(X, y, w, 1)
    for n_threads in THREADS:
        assert everything(X, y, w, n_threads) == one, n_threads


def test_same_bits_over_repeats(many_blocks):
    X, y, w = problem_of_kind(20_000, 5, "weights")
    results = {everything(X, y, w, (2, 3, 8)[i % 3]) for i in range(50)}
    assert len(results) == 1


def test_same_bits_in_concurrent_threads(many_blocks):
    """Pools that are shared, and replaced by larger ones while others use them."""
    tables = [problem_of_kind(4000, 1 + i % 7, "weights" if i % 2 else "F", seed=i) for i in range(16)]
    serial = [everything(*t, 1) for t in tables]
    start = threading.Barrier(16)

    def fits(i):
        start.wait()
        return all(everything(*tables[i], 1 + (i + j) % 9) == serial[i] for j in range(10))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(fits, range(16)))


# helpers


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.001)


def test_helper_that_was_busy_joins_a_pass_later():
    pool._renew_pool()
    free, seen = threading.Event(), set()
    end = pool.help_with(lambda: free.wait(10), 1, set())
    assert pool.help_with(lambda: None, 1, set()) is None

    def one_block(lo, hi):
        seen.add(threading.get_ident())
        if lo == 10:
            free.set()
            wait_until(lambda: not end.locked())
        elif lo > 10:
            wait_until(lambda: len(seen) == 2)
        return (lo,)

    assert blocks.fold(64, 64, one_block, lambda a, b: a + b, 2) == tuple(range(64))
    assert len(seen) == 2
    assert pool._pool.count == 1


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_threads_that_cannot_be_started(monkeypatch, error):
    """A pass asks once and goes on with the threads that are there; the next one asks again."""
    pool._renew_pool()
    end = pool.help_with(lambda: None, 1, set())
    wait_until(lambda: not end.locked() and pool._pool.idle)
    asked, seen, both = [], set(), threading.Barrier(2)

    def start(thread):
        asked.append(thread)
        raise error

    def one_block(lo, hi):
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            both.wait(10)
        return (lo,)

    monkeypatch.setattr(threading.Thread, "start", start)
    for passes in (1, 2):
        seen.clear()
        assert blocks.fold(64, 64, one_block, lambda a, b: a + b, 8) == tuple(range(64))
        assert (len(asked), len(seen), pool._pool.count) == (passes, 2, 1)
        wait_until(lambda: pool._pool.idle)
    pool._renew_pool()
    del asked[:]
    assert blocks.fold(64, 64, lambda lo, hi: (lo,), lambda a, b: a + b, 8) == tuple(range(64))
    assert len(asked) == 1
    assert pool.submit(int, "7").result() == 7
    assert list(pool.in_order([lambda i=i: i for i in range(20)], 4)) == list(range(20))
    assert (len(asked), pool._pool.count) == (3, 0)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no affinity")
def test_helpers_keep_their_processors():
    """They are kept off the caller's processor for a pass, and only for that."""
    pool._renew_pool()
    mine = os.sched_getaffinity(0)
    for _ in range(20):
        assert blocks.fold(8, 8, lambda lo, hi: (lo,), lambda a, b: a + b, 3) == tuple(range(8))
    wait_until(lambda: len(pool._pool.idle) == pool._pool.count > 0)
    assert all(os.sched_getaffinity(helper.number) == mine for helper in pool._pool.idle)
    assert os.sched_getaffinity(0) == mine


def test_pool_is_renewed_after_an_interrupt():
    """A helper that an interrupt left without its task is not missed by later passes."""
    pool._renew_pool()
    before = threading.active_count()
    for _ in range(10):
        assert blocks.fold(8, 8, lambda lo, hi: 1, lambda a, b: a + b, 3) == 8
        wait_until(lambda: len(pool._pool.idle) == pool._pool.count)
        pool._pool.idle.pop()

        def one_block(lo, hi):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            blocks.fold(8, 8, one_block, lambda a, b: a + b, 1)
        assert pool._pool.count == 0
    # only those that the test took away are left over
    wait_until(lambda: threading.active_count() <= before + 10)


# processes


def forked(function, seconds=20):
    """What the function returns in a forked child, within a time limit."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, function())
        finally:
            os._exit(0)
    os.close(writer)
    deadline = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail(f"the child did not finish in {seconds} s")
        time.sleep(0.01)
    with os.fdopen(reader, "rb") as file:
        return file.read()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fit_after_fork(many_blocks):
    X, y, w = problem_of_kind(5000, 4, "weights")
    parent = bits(linreg_fast.fit(X, y, sample_weight=w, n_threads=4))
    assert pool._pool.count >= 1
    for n_threads in (1, 4, 8):
        assert forked(lambda n=n_threads: bits(linreg_fast.fit(X, y, sample_weight=w, n_threads=n))) == parent
    assert bits(linreg_fast.fit(X, y, sample_weight=w, n_threads=4)) == parent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fork_while_other_threads_fit(many_blocks):
    """A lock that another thread held at the fork does not block the child."""
    X, y, w = problem_of_kind(5000, 4, "weights")
    expected = bits(linreg_fast.fit(X, y, sample_weight=w, n_threads=2))
    stop = threading.Event()

    def keep_fitting():
        for n_threads in itertools.cycle(range(2, 6)):
            if stop.is_set():
                return
            linreg_fast.fit(X, y, sample_weight=w, n_threads=n_threads)

    busy = [threading.Thread(target=keep_fitting) for _ in range(2)]
    for thread in busy:
        thread.start()
    try:
        for _ in range(5):
            assert forked(lambda: bits(linreg_fast.fit(X, y, sample_weight=w, n_threads=3))) == expected
    finally:
        stop.set()
        for thread in busy:
            thread.join()


def fit_in_process(n_threads):
    X, y, w = problem_of_kind(300_000, 5, "weights")
    return bits(linreg_fast.fit(X, y, sample_weight=w, n_threads=n_threads))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_multiprocessing(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no start method {method}")
    expected = fit_in_process(2)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map_async(fit_in_process, [1, 2, 3]).get(60) == [expected] * 3


# interrupts

INTERRUPT = textwrap.dedent(
    """
    import os, signal, sys, threading, time
    import numpy as np
    import linreg_fast
    from linreg_fast.passes import blocks

    what, n_threads = sys.argv[1], int(sys.argv[2])
    rng = np.random.default_rng(0)
    options = {}
    if what == "fit":
        X = np.broadcast_to(rng.standard_normal((1, 100)), (30_000_000, 100))
        y = np.broadcast_to(1.0, (30_000_000,))
    elif what == "fit in place":
        X = rng.standard_normal((100_000, 500))
        y = X @ np.ones(500)
        real, blocks.fold = blocks.fold, lambda *a, **k: [real(*a, **k) for _ in range(1000)][0]
    else:
        X = rng.standard_normal((100_000, 20))
        y = X @ np.ones(20)
        options = {"solver": "gd", "max_iter": 20_000_000, "tol": 0, "passes": what, "learning_rate": 1e-9}
    small = linreg_fast.fit(X[:100, :3].copy(), y[:100]).coef.tobytes() if what != "fit" else b""
    sent = []

    def interrupt():
        time.sleep(0.5)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    try:
        linreg_fast.fit(X, y, n_threads=n_threads, **options)
    except KeyboardInterrupt:
        seconds = time.monotonic() - sent[0]
    else:
        sys.exit("was not interrupted")
    if what != "fit":
        if what == "fit in place":
            blocks.fold = real
        assert linreg_fast.fit(X[:100, :3].copy(), y[:100]).coef.tobytes() == small
    Z = rng.standard_normal((300_000, 5))
    assert linreg_fast.fit(Z, Z @ np.arange(5.0), n_threads=n_threads).rank == 5
    print(seconds)
    """
)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="os.kill sends no SIGINT on Windows")
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("what", ["moments", "data", "fit", "fit in place"])
def test_interrupt_is_obeyed_at_once(what, n_threads):
    """KeyboardInterrupt within half a second of the signal, and the library works afterwards."""
    for _ in range(3):  # a busy machine may be late; code that does not look at signals always is
        run = subprocess.run(
            [sys.executable, "-c", INTERRUPT, what, str(n_threads)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert run.returncode == 0, run.stderr[-2000:]
        seconds = float(run.stdout)
        if seconds < 0.5:
            return
    pytest.fail(f"KeyboardInterrupt came {seconds:.2f} s after the signal")


def test_kernels_release_the_gil(monkeypatch):
    """Another thread of Python goes on while one kernel call runs."""
    monkeypatch.setattr(blocks, "CALL_SECONDS", 100.0)
    X = np.ones((4_000_000, 8))
    data = table(X, X[:, 0])
    progress, stop = [0], threading.Event()

    def tick():
        while not stop.is_set():
            progress[0] += 1
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    try:
        before, start = progress[0], time.monotonic()
        for _ in range(5):
            table_sums.of_table(data, True, 1)
        seconds, after = time.monotonic() - start, progress[0]
    finally:
        stop.set()
        ticker.join()
    assert after - before > 5, f"{after - before} ticks of 1 ms in {seconds:.3f} s"


# exceptions


@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("error", [MemoryError("no memory"), KeyboardInterrupt(), RuntimeError("broken")])
def test_exception_of_a_block_ends_the_pass(n_threads, error):
    seen = []

    def one_block(lo, hi):
        seen.append(lo)
        if lo == 30:
            raise error
        time.sleep(0.001)
        return (lo,)

    with pytest.raises(type(error)) as caught:
        blocks.fold(640, 64, one_block, lambda a, b: a + b, n_threads)
    assert caught.value is error
    assert len(seen) < 64
    assert blocks.fold(64, 64, lambda lo, hi: (lo,), lambda a, b: a + b, n_threads) == tuple(range(64))


def test_exception_of_a_worker_reaches_the_caller():
    """Also where the thread that fails is not the one that called."""
    caller = threading.get_ident()
    gate = threading.Event()

    def one_block(lo, hi):
        if threading.get_ident() == caller:
            gate.wait(10)
            return 0
        gate.set()
        raise MemoryError("in a worker")

    with pytest.raises(MemoryError, match="in a worker"):
        blocks.fold(64, 64, one_block, lambda a, b: a + b, 4)
    assert gate.is_set()


def test_exception_of_merge_or_progress_ends_the_pass():
    def broken(*_):
        raise ZeroDivisionError

    for n_threads in (1, 4):
        with pytest.raises(ZeroDivisionError):
            blocks.fold(64, 16, lambda lo, hi: 0, broken, n_threads)
        with pytest.raises(ZeroDivisionError):
            blocks.fold(64, 16, lambda lo, hi: 0, lambda a, b: 0, n_threads, progress=broken)


def test_exception_during_a_fit_leaves_the_next_one_alone(many_blocks):
    X, y, w = problem_of_kind(20_000, 4, "weights")
    expected = everything(X, y, w, 4)

    def broken(done, total):
        if done > 5000:
            raise RuntimeError("stopped")

    for n_threads in (1, 4):
        with pytest.raises(RuntimeError, match="stopped"):
            linreg_fast.fit(X, y, sample_weight=w, n_threads=n_threads, progress=broken)
        assert everything(X, y, w, n_threads) == expected


# settings


def test_default_number_of_threads(monkeypatch):
    assert threads(None) == usable_processors() >= 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert threads(None) == 3
    monkeypatch.setenv("LINREG_FAST_NUM_THREADS", "5")
    assert threads(None) == 5
    linreg_fast.set_num_threads(7)
    assert threads(None) == 7
    assert threads(2) == 2
    assert threads(-1) == usable_processors()
    linreg_fast.set_num_threads(-1)
    assert threads(None) == usable_processors()
    linreg_fast.set_num_threads(None)
    assert threads(None) == 5


@pytest.mark.parametrize("text", ["", "0", "-2", "many", "1.5", " ", "²"])
def test_environment_that_is_no_number_of_threads_does_not_count(monkeypatch, text):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("LINREG_FAST_NUM_THREADS", text)
    assert threads(None) == 3


@pytest.mark.parametrize("bad", [0, -2, -100])
def test_number_of_threads_out_of_range(bad):
    X, y, _ = problem_of_kind(20, 2, "")
    with pytest.raises(ValueError, match="n_threads must be"):
        linreg_fast.fit(X, y, n_threads=bad)
    with pytest.raises(ValueError, match="n must be"):
        linreg_fast.set_num_threads(bad)


@pytest.mark.parametrize("bad", [1.5, "2", True, [2]])
def test_number_of_threads_of_another_kind(bad):
    X, y, _ = problem_of_kind(20, 2, "")
    with pytest.raises(TypeError, match="n_threads must be"):
        linreg_fast.fit(X, y, n_threads=bad)
    with pytest.raises(TypeError, match="n must be"):
        linreg_fast.set_num_threads(bad)


def test_dask_workers_use_one_thread():
    with ThreadPoolExecutor(1, thread_name_prefix="Dask-Default-Threads") as pool:
        assert pool.submit(threads, None).result() == 1
        assert pool.submit(threads, 4).result() == 4


def test_small_problems_start_no_thread(monkeypatch):
    monkeypatch.setattr(pool, "help_with", lambda *_: pytest.fail("a thread was asked for"))
    X, y, _ = problem_of_kind(200, 3, "")
    assert linreg_fast.fit(X, y, n_threads=8).n_samples == 200
    assert linreg_fast.cost(X, y, np.ones(3), n_threads=8) > 0


def test_level_can_be_forced_and_a_wrong_one_is_an_error():
    script = "import linreg_fast; print(linreg_fast.show_config()['level'])"

    def run(level):
        environment = {**os.environ, "LINREG_FAST_LEVEL": level}
        return subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment
        )

    assert run("baseline").stdout.strip() == "baseline"
    wrong = run("v9")
    assert wrong.returncode
    assert "LINREG_FAST_LEVEL='v9' is not a level" in wrong.stderr
    from linreg_fast import cpu
    from linreg_fast.passes import levels

    for level in levels.LEVELS:
        found = run(level)
        if level in levels.built and level in cpu.levels():
            assert found.stdout.strip() == level
        else:
            assert found.returncode
            assert "LINREG_FAST_LEVEL" in found.stderr


@pytest.mark.skipif(len(pool._shares(2)) < 2 or pool._shares(2)[0] is None, reason="fewer than two processors")
def test_threads_in_order_share_no_processor():
    """Nor does the caller's thread, or one of the pool afterwards, keep what they were kept to."""
    before = os.sched_getaffinity(0)

    def processors():
        time.sleep(0.01)
        return threading.get_native_id(), frozenset(os.sched_getaffinity(0))

    found = dict(pool.in_order([processors] * 12, 2))
    assert len(found) == 2
    first, second = found.values()
    assert first.isdisjoint(second)
    assert first | second <= before
    assert pool.submit(os.sched_getaffinity, 0).result() == os.sched_getaffinity(0) == before
