"""Tables in files: folders, patterns, large files in pieces, damaged ones."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import dataset, parquet
from support.compare import assert_close, bits
from support.problems import problem
from support.tables import ROOT, write

import linreg_fast
from linreg_fast.options import PRECISIONS
from linreg_fast.streams import arrow, blocks, csv_text, files, readers, summing
from linreg_fast.streams.blocks import block_rows
from linreg_fast.streams.choice import Roles

N = 20_000


@pytest.fixture(scope="module")
def table():
    X, y, *_ = problem(N, 3, 3, offset=10.0)
    year = np.repeat([2019, 2020, 2021, 2022], N // 4)
    columns = {"a": X[:, 0], "text": ["t"] * N, "b": X[:, 1], "c": X[:, 2], "y": y, "year": year}
    return pa.table(columns | {"w": np.random.default_rng(0).random(N)})


@pytest.fixture
def pieces(monkeypatch):
    """Files of moderate size are read in many pieces, and are not small enough to be fitted in memory."""
    monkeypatch.setattr(readers, "BATCH_BYTES", 1 << 15)
    monkeypatch.setattr(readers, "PART_BYTES", 1 << 16)
    monkeypatch.setattr(csv_text, "CSV_BYTES", 1 << 16)
    monkeypatch.setattr(csv_text, "CSV_BLOCK", 1 << 14)


def in_memory(table, features=("a", "b", "c"), **settings):
    X = np.column_stack([table[name].to_numpy() for name in features])
    return linreg_fast.fit(X, table["y"].to_numpy(), sample_weight=table["w"].to_numpy(), **settings)


WEIGHTED = {"target": "y", "features": ["a", "b", "c"], "sample_weight": "w"}


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather"])
@pytest.mark.parametrize("settings", [{}, {"precision": "extended"}, {"l2": 5.0}, {"fit_intercept": False}])
def test_file_in_pieces(table, tmp_path, pieces, suffix, settings):
    path = write(table, tmp_path / f"t{suffix}")
    seen = []
    fit = linreg_fast.fit_file(path, **WEIGHTED, **settings, progress=lambda done, total: seen.append((done, total)))
    assert_close(fit, in_memory(table, **settings), 1e-13 if "fit_intercept" not in settings else 1e-11)
    assert fit.feature_names == ("a", "b", "c")
    assert len(seen) > 6
    assert seen[-1] == (N, N)
    if suffix == ".parquet":
        assert {total for _, total in seen} == {N}
    assert bits(fit) == bits(linreg_fast.fit_file(path, **WEIGHTED, **settings, n_threads=1))


@pytest.mark.parametrize("solver", ["cholesky", "qr", "svd", "gd"])
def test_solvers_on_a_file_in_pieces(table, tmp_path, pieces, solver):
    fit = linreg_fast.fit_file(write(table, tmp_path / "t.parquet"), solver=solver, **WEIGHTED)
    assert fit.solver == solver
    assert_close(fit, in_memory(table, solver=solver), 1e-7 if solver == "gd" else 1e-12)


def test_small_file_has_the_bits_of_a_fit_in_memory(table, tmp_path):
    small = table.slice(0, 1000)
    for suffix in (".csv", ".parquet", ".feather"):
        fit = linreg_fast.fit_file(write(small, tmp_path / f"t{suffix}"), **WEIGHTED)
        X = np.asfortranarray(np.column_stack([small[name].to_numpy() for name in "abc"]))
        expected = linreg_fast.fit(X, small["y"].to_numpy(), sample_weight=small["w"].to_numpy())
        assert bits(fit) == bits(expected)


def test_fewer_rows_than_columns(tmp_path):
    X, y, *_ = problem(5, 9)
    path = tmp_path / "wide.parquet"
    parquet.write_table(pa.table({f"x{j}": X[:, j] for j in range(9)} | {"y": y}), path, row_group_size=1)
    with pytest.warns(linreg_fast.RankWarning):
        fit = linreg_fast.fit_file(path, target="y")
    assert np.allclose(fit.predict(X), y)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather"])
def test_folder_and_pattern(table, tmp_path, pieces, suffix):
    for i in range(4):
        write(table.slice(i * N // 4, N // 4), tmp_path / f"part-{i}{suffix}")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "notes.txt").touch()
    expected = in_memory(table)
    fit = linreg_fast.fit_file(tmp_path, **WEIGHTED)
    assert_close(fit, expected)
    assert bits(fit) == bits(linreg_fast.fit_file(f"{tmp_path}/part-*{suffix}", **WEIGHTED))
    half = linreg_fast.fit_file(f"{tmp_path}/part-[01]{suffix}", **WEIGHTED)
    assert_close(half, in_memory(table.slice(0, N // 2)))


def test_partitioned_folder(table, tmp_path, pieces):
    dataset.write_dataset(table, tmp_path, format="parquet", partitioning=["year"], partitioning_flavor="hive")
    features = ["a", "year", "b"]
    fit = linreg_fast.fit_file(tmp_path, target="y", features=features, sample_weight="w")
    assert_close(fit, in_memory(table, features), 1e-12)
    with pytest.warns(linreg_fast.LeftOutWarning, match=r"'text' \(text\)"):
        everything = linreg_fast.fit_file(tmp_path, target="y")
    assert everything.feature_names == ("a", "b", "c", "w", "year")


def test_only_needed_columns_are_read(table, tmp_path):
    """A column that cannot be decoded does not matter while nobody asks for it."""
    path = tmp_path / "t.parquet"
    parquet.write_table(table, path)
    column = parquet.ParquetFile(path).metadata.row_group(0).column(1)
    data = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(data)
    assert linreg_fast.fit_file(path, **WEIGHTED).n_samples == N
    with pytest.raises((ValueError, OSError)):
        parquet.read_table(path)


def test_missing_values_are_named_by_file_and_row(table, tmp_path, pieces):
    values = table["b"].to_pylist()
    values[7321] = None
    values[12000] = float("nan")
    holed = table.set_column(2, "b", pa.array(values))
    keep = np.ones(N, bool)
    keep[[7321, 12000]] = False
    for i in range(2):
        write(holed.slice(i * N // 2, N // 2), tmp_path / f"part-{i}.parquet")
    with pytest.raises(ValueError, match=r"column 'b' has a missing value at row 7321 of part-0.parquet; missing="):
        linreg_fast.fit_file(tmp_path, **WEIGHTED)
    for precision in PRECISIONS:
        fit = linreg_fast.fit_file(tmp_path, **WEIGHTED, missing="drop", precision=precision)
        assert_close(fit, in_memory(table.filter(pa.array(keep))))
        assert fit.reason.endswith("; 2 rows with missing values dropped")
        assert fit.n_dropped == 2
    values[12000] = float("inf")
    write(holed.set_column(2, "b", pa.array(values)).slice(N // 2), tmp_path / "part-1.parquet")
    with pytest.raises(ValueError, match=r"column 'b' has inf at row 2000 of part-1.parquet; drop or fill"):
        linreg_fast.fit_file(tmp_path, **WEIGHTED, missing="drop")


def test_parts_are_read_on_several_threads_with_the_same_bits(table, tmp_path, pieces, monkeypatch):
    for i, (start, rows) in enumerate([(0, 9000), (9000, 10), (9010, 20), (9030, N - 9030)]):
        write(table.slice(start, rows), tmp_path / f"part-{i}.parquet")
    opened = files.open_table(tmp_path, Roles("y", ["a", "b", "c"], "w"))
    parts = readers.parts(opened)
    rows = [(piece.file, group, piece.row) for part in parts for piece in part for group in piece.groups]
    assert [one[:2] for one in rows] == [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), *((3, g) for g in range(4))]
    assert [piece.row for part in parts for piece in part] == [0, 3000, 6000, 0, 0, 0, 3000, 6000, 9000]
    assert [len(part) for part in parts] == [1, 1, 1, 3, 1, 1, 1]  # the two small files and the next row group
    threads, n_parts = set(), []
    update = summing.update

    def noting(*arguments):
        threads.add(threading.get_ident())
        time.sleep(0.01)  # or one thread may do all of these small parts
        return update(*arguments)

    monkeypatch.setattr(summing, "update", noting)
    found = set()
    for n_threads in (1, 2, 3, 8, 64):
        fit = linreg_fast.fit_file(
            tmp_path, **WEIGHTED, n_threads=n_threads, progress=lambda done, total: n_parts.append(done)
        )
        found.add(bits(fit))
        if n_threads == 1:
            assert threads == {threading.main_thread().ident}
        else:
            assert len(threads) > 1
            assert threading.main_thread().ident not in threads
        threads.clear()
    assert len(found) == 1
    assert len(n_parts) == 5 * (len(parts) + 1)
    assert_close(fit, in_memory(table))


def test_first_fault_is_told_whichever_thread_finds_one(table, tmp_path, pieces):
    values = table["b"].to_pylist()
    for row in (4000, 19000):
        values[row] = float("inf")
    path = write(table.set_column(2, "b", pa.array(values)), tmp_path / "t.parquet")
    for _ in range(5):
        with pytest.raises(ValueError, match=r"column 'b' has inf at row 4000 of t.parquet; drop"):
            linreg_fast.fit_file(path, **WEIGHTED, n_threads=4)


def test_numbers_of_every_arrow_type(tmp_path):
    rng = np.random.default_rng(0)
    n = 3001
    kinds = ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))]
    kinds += ["float16", "float32", "float64", "decimal128(9, 2)"]
    for holed in (False, True):
        arrays, expected = [], []
        for kind in kinds:
            values = rng.integers(0, 2 if kind == "bool" else 100, n)
            missing = rng.random(n) < 0.1 if holed else np.zeros(n, bool)
            type_ = pa.decimal128(9, 2) if "decimal" in kind else pa.type_for_alias(kind)
            python = [
                None if gap else bool(v) if kind == "bool" else int(v) for v, gap in zip(values, missing, strict=True)
            ]
            arrays.append(
                pa.array([None if v is None else np.float16(v) for v in python], type_)
                if kind == "float16"
                else pa.array(python, type_)
            )
            expected.append(np.where(missing, np.nan, values))
        batch = pa.record_batch(arrays, names=kinds)
        for at, rows in ((0, n), (5, 100), (13, 0), (8, 8), (2999, 2)):
            found = arrow.arrays(batch.slice(at, rows), kinds, "here")
            for kind, one, values in zip(kinds, found, expected, strict=True):
                assert np.array_equal(one, values[at : at + rows], equal_nan=True), kind
        plain = arrow.arrays(batch, ["float64", "int32"], "here")
        if not holed:
            assert [one.dtype for one in plain] == [np.float64, np.int32]
            buffers = [batch.column(name).buffers()[1] for name in ("float64", "int32")]
            assert all(map(np.shares_memory, plain, [np.frombuffer(one, np.uint8) for one in buffers]))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather"])
def test_nothing_heavy_is_imported_to_read_a_file(table, tmp_path, suffix):
    """pandas and pyarrow.compute take longer to import than a million rows to be read."""
    path = write(table, tmp_path / f"t{suffix}")
    code = (
        "import sys, linreg_fast; linreg_fast.fit_file(sys.argv[1], target='y', features=['a', 'b']); "
        "print([name for name in ('pandas', 'pyarrow.compute', 'pyarrow.dataset') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_types_of_text_may_change_further_down(tmp_path, pieces):
    rows = N
    with open(tmp_path / "t.csv", "w") as file:
        file.write("x,z,code,y\n")
        file.writelines(f"{i},{i % 7},{i},{2 * i + i % 7}\n" for i in range(rows))
        file.write("0.5,1.25,A7,2.25\n")
    with pytest.raises(ValueError, match=rf"t\.csv: column 'code' has 'A7' at row {rows}, which is not a number"):
        linreg_fast.fit_file(tmp_path / "t.csv", target="y")
    fit = linreg_fast.fit_file(tmp_path / "t.csv", target="y", exclude=["code"])
    assert fit.feature_names == ("x", "z")
    assert fit.n_samples == rows + 1
    assert np.allclose([*fit.coef, fit.intercept], [2.0, 1.0, 0.0], atol=1e-9)
    with pytest.raises(ValueError, match=rf"t\.csv: column 'code' has 'A7' at row {rows}"):
        linreg_fast.fit_file(tmp_path / "t.csv", target="y", features=["x", "code"], missing="drop")


def test_text_lies_in_memory_of_arrow(tmp_path):
    """What its threads let go of as the interpreter ends must not be Python's: the process would be aborted."""
    (tmp_path / "t.csv").write_text("x,y\n1,2\n3,4\n5,7")
    before = pa.total_allocated_bytes()
    found = []
    for chunk in csv_text.chunks(csv_text.Text(tmp_path / "t.csv")):
        assert pa.total_allocated_bytes() - before >= csv_text.CSV_BYTES
        assert isinstance(chunk.text, pa.Buffer)
        assert chunk.names == ["x", "y"]
        found.append(bytes(chunk.text))
    assert found == [b"1,2\n3,4\n", b"5,7"]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("t.csv", b"x,y\n", "column 'y' of .*t.csv has no value in any row"),
        ("t.csv", b"\xe4,y\n1,2\n", "t.csv is not of UTF-8: it has byte 0xe4"),
        ("t.npy", b"x,y\n1,2\n", "t.npy: .*magic string"),
    ],
)
def test_files_that_are_not_what_they_seem(tmp_path, name, content, text):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=text):
        linreg_fast.fit_file(tmp_path / name, target="y" if name == "t.csv" else None)


def test_lines_longer_than_a_piece_of_text(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_text, "CSV_BYTES", 16)
    text = "x,y\n" + "".join(f"{i},{' ' * (i * 37 % 300)}{2 * i}\n" for i in range(50))
    (tmp_path / "t.csv").write_text(text)
    parts = csv_text.chunks(csv_text.Text(tmp_path / "t.csv"))
    assert "".join(bytes(part.text).decode() for part in parts) == text.removeprefix("x,y\n")
    assert linreg_fast.fit_file(tmp_path / "t.csv", target="y").slope == pytest.approx(2.0, rel=1e-14)


def test_column_that_changes_type_between_files(table, tmp_path, pieces):
    write(table.slice(0, 9000), tmp_path / "1.parquet")
    other = table.slice(9000).set_column(0, "a", table["a"].slice(9000).cast("float32").cast("float64"))
    write(other.set_column(0, "a", other["a"].cast("float32")), tmp_path / "2.parquet")
    expected = in_memory(pa.concat_tables([table.slice(0, 9000), other]))
    assert_close(linreg_fast.fit_file(tmp_path, **WEIGHTED), expected)
    for column, error in ((pa.array(["t"] * 11000), TypeError), (None, ValueError)):
        changed = other.drop_columns("a") if column is None else other.set_column(0, "a", column)
        write(changed, tmp_path / "2.parquet")
        with pytest.raises(error, match=r"'a'.*1\.parquet|1\.parquet.*'a'|'a'.*2\.parquet"):
            linreg_fast.fit_file(tmp_path, **WEIGHTED)
    for i, part in enumerate((table.slice(0, 9000), changed)):
        write(part, tmp_path / f"{i}.csv")
    for pattern in ("*.csv",):
        with pytest.raises(ValueError, match=r"1\.csv has no column 'a', which 0\.csv has"):
            linreg_fast.fit_file(tmp_path / pattern, **WEIGHTED)


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated_file(table, tmp_path, suffix, share):
    path = write(table, tmp_path / f"t{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    before = threading.active_count()
    with pytest.raises((ValueError, OSError), match=str(path)):
        linreg_fast.fit_file(path, **WEIGHTED)
    assert threading.active_count() <= before + 1  # of the pool


def test_damaged_page(table, tmp_path, pieces):
    path = tmp_path / "t.parquet"
    parquet.write_table(table, path, row_group_size=3000, compression="zstd", use_dictionary=False)
    column = parquet.ParquetFile(path).metadata.row_group(4).column(0)
    data = bytearray(path.read_bytes())
    start, size = column.data_page_offset, column.total_compressed_size
    data[start : start + size] = b"\xff" * size
    path.write_bytes(data)
    with pytest.raises((ValueError, OSError), match=str(path)):
        linreg_fast.fit_file(path, **WEIGHTED)


def test_nothing_is_left_open(table, tmp_path, pieces):
    path = write(table, tmp_path / "t.parquet")
    linreg_fast.fit_file(path, **WEIGHTED)
    with pytest.raises(KeyboardInterrupt):
        linreg_fast.fit_file(path, **WEIGHTED, progress=interrupting)
    gc.collect()
    held = [link.resolve() for link in Path("/proc/self/fd").iterdir()] if Path("/proc/self/fd").exists() else []
    assert path not in held


def interrupting(done, total):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("name", "settings", "error", "text"),
    [
        ("none.csv", {}, FileNotFoundError, "there is no file"),
        ("*.csv", {}, FileNotFoundError, "there is no file"),
        ("empty", {}, FileNotFoundError, "no tables"),
        ("mixed", {}, ValueError, "several kinds"),
        ("t.xlsx", {}, ValueError, "must end in one of"),
        ("t.parquet", {"target": None}, TypeError, "target must name"),
        ("t.parquet", {"target": "z"}, ValueError, "no column 'z'"),
        ("t.parquet", {"solver": "newton"}, ValueError, "solver must be one of"),
        ("t.npy", {"target": "y"}, TypeError, "by their positions"),
        ("t.npy", {"target": 9}, ValueError, "no column '9'"),
        ("line.npy", {"target": 0}, ValueError, "two dimensions"),
        ("text.npy", {"target": 0}, TypeError, "not a number"),
    ],
)
def test_what_cannot_be_read_is_told(table, tmp_path, name, settings, error, text):
    (tmp_path / "empty").mkdir()
    (tmp_path / "mixed").mkdir()
    for path in ("mixed/a.parquet", "mixed/b.csv", "t.parquet"):
        write(table.slice(0, 10), tmp_path / path)
    (tmp_path / "t.xlsx").touch()
    np.save(tmp_path / "t.npy", np.zeros((5, 3)))
    np.save(tmp_path / "line.npy", np.zeros(5))
    np.save(tmp_path / "text.npy", np.array([["a", "b"]]))
    with pytest.raises(error, match=text):
        linreg_fast.fit_file(tmp_path / name, **({"target": "y"} | settings))


def test_arrow_buffers_that_are_shorter_than_the_file_says(tmp_path):
    path = write(pa.table({"a": np.arange(300.0), "y": np.arange(300.0) ** 2}), tmp_path / "t.arrow")
    whole = path.read_bytes()
    length = (2400).to_bytes(8, "little")
    for at in (whole.find(length), whole.find(length, whole.find(length) + 32)):  # of the two columns
        path.write_bytes(whole[:at] + bytes(8) + whole[at + 8 :])
        with pytest.raises(ValueError, match=r"t\.arrow is damaged: .* expected at least 2400 byte"):
            linreg_fast.fit_file(path, target="y")


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is Linux's")
def test_memory_does_not_grow_with_the_file(tmp_path):
    """More than twice the rows under a hard limit that the smaller table alone would exceed if it were read whole."""
    rows, columns = 1 << 17, 9
    rng = np.random.default_rng(0)
    schema = pa.schema([(f"x{j}", pa.float64()) for j in range(columns)] + [("y", pa.float64())])
    for groups in (16, 40):
        with parquet.ParquetWriter(tmp_path / f"{groups}.parquet", schema, use_dictionary=False) as writer:
            part = pa.table([rng.standard_normal(rows) for _ in range(columns + 1)], schema)
            for _ in range(groups):
                writer.write_table(part)
    code = """
        import resource, sys
        import linreg_fast, linreg_fast.streams, scipy.linalg, pyarrow.parquet
        def peak():
            with open("/proc/self/status") as status:
                return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        base = peak()
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        fit = linreg_fast.fit_file(sys.argv[1], target="y", n_threads=1)
        print(fit.n_samples, peak() - base)
    """
    peaks = {}
    for groups in (16, 40):
        command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / f"{groups}.parquet")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        n_samples, peak = map(int, done.stdout.split())
        assert n_samples == groups * rows
        peaks[groups] = peak / 1024
    assert peaks[40] < 400
    assert peaks[40] < peaks[16] + 64  # two segments of Arrow's allocator; the other rows take 250 MB


def test_file_resumes_from_its_checkpoint(table, tmp_path, pieces, monkeypatch):
    monkeypatch.setattr(summing, "CHECKPOINT_SECONDS", 0.0)
    path, state = write(table, tmp_path / "t.parquet"), tmp_path / "state"

    def interrupting(done, total):
        if done > N // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        linreg_fast.fit_file(path, **WEIGHTED, checkpoint=state, progress=interrupting)
    assert state.exists()
    whole = state.read_bytes()
    resumed = linreg_fast.fit_file(path, **WEIGHTED, checkpoint=state)
    assert bits(resumed) == bits(linreg_fast.fit_file(path, **WEIGHTED))
    assert not state.exists()
    state.write_bytes(whole)
    with pytest.raises(ValueError, match="other files, columns or settings"):
        linreg_fast.fit_file(path, target="y", features=["a"], checkpoint=state)
    write(table.slice(0, N - 1), path)
    with pytest.raises(ValueError, match="other files, columns or settings"):
        linreg_fast.fit_file(path, **WEIGHTED, checkpoint=state)
    assert state.read_bytes() == whole


def test_interrupt_while_parts_are_read(table, tmp_path, pieces, monkeypatch):
    """SIGINT in the middle: every reader ends at its next block, and the next fit is as if nothing had been."""
    path = write(table, tmp_path / "t.parquet")
    expected = linreg_fast.fit_file(path, **WEIGHTED, n_threads=3)
    update, updates = summing.update, []

    def slowly(*arguments):
        updates.append(1)
        if len(updates) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        return update(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(summing, "update", slowly)
        with pytest.raises(KeyboardInterrupt):
            linreg_fast.fit_file(path, **WEIGHTED, n_threads=3)
        done = len(updates)
        time.sleep(0.15)
    assert len(updates) == done  # nobody goes on
    assert 0 < done < N // (block_rows(4))
    assert bits(linreg_fast.fit_file(path, **WEIGHTED, n_threads=3)) == bits(expected)


@pytest.mark.parametrize("saved", [3, 7])
def test_parts_in_a_checkpoint_are_not_read_again(table, tmp_path, pieces, monkeypatch, saved):
    monkeypatch.setattr(summing, "CHECKPOINT_SECONDS", 0.0)
    values = table["b"].to_pylist()
    values[100] = values[17000] = None
    path, state = write(table.set_column(2, "b", pa.array(values)), tmp_path / "t.parquet"), tmp_path / "state"
    settings = WEIGHTED | {"missing": "drop", "precision": "extended"}
    expected = linreg_fast.fit_file(path, **settings)
    calls = []

    def killing(done, total):
        calls.append(done)
        if len(calls) > saved:  # before the next checkpoint; of 7 parts in the report at the end
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        linreg_fast.fit_file(path, **settings, checkpoint=state, progress=killing)
    read = []
    summed = summing._sum_part
    monkeypatch.setattr(summing, "_sum_part", lambda *arguments: read.append(1) or summed(*arguments))
    fit = linreg_fast.fit_file(path, **settings, checkpoint=state)
    assert len(read) == 7 - saved
    assert bits(fit) == bits(expected)
    assert (fit.n_samples, fit.reason) == (expected.n_samples, expected.reason)
    assert (fit.n_dropped, fit.left_out) == (expected.n_dropped, expected.left_out)
    assert not state.exists()


@pytest.mark.parametrize("features", [None, [0, 1, 2], [3, 0], [1]])
@pytest.mark.parametrize("target", [-2, [2, 4]])
def test_long_npy_files_slice_by_slice(tmp_path, monkeypatch, features, target):
    monkeypatch.setattr(blocks, "SLICE_BYTES", 1 << 17)
    monkeypatch.setattr(readers, "BATCH_BYTES", 1 << 15)
    rng = np.random.default_rng(0)
    table = rng.standard_normal((9000, 6)) + 5.0
    table[:, 5] = rng.random(9000)
    for i, (lo, hi) in enumerate(((0, 2000), (2000, 9000))):
        np.save(tmp_path / f"{i}.npy", table[lo:hi])
    targets = np.atleast_1d(target) % 6
    taken = [j for j in range(5) if j not in targets] if features is None else [j for j in features if j not in targets]
    if features is not None:
        features = taken
    y = table[:, targets[0]] if np.ndim(target) == 0 else table[:, targets]
    fit = linreg_fast.fit_file(tmp_path, target=target, features=features, sample_weight=5)
    expected = linreg_fast.fit(table[:, taken], y, sample_weight=table[:, 5])
    np.testing.assert_allclose(fit.coef, expected.coef, rtol=1e-12)
    assert fit.n_samples == 9000
    table[8765, taken[0]] = np.nan
    np.save(tmp_path / "1.npy", table[2000:])
    with pytest.raises(ValueError, match=r"at row 6765 of 1\.npy"):
        linreg_fast.fit_file(tmp_path, target=target, features=features, sample_weight=5)
    dropped = linreg_fast.fit_file(tmp_path, target=target, features=features, sample_weight=5, missing="drop")
    assert dropped.n_samples == 8999


def test_row_groups_decoded_whole_or_in_batches_make_the_same_blocks(table, tmp_path, monkeypatch):
    """Whichever way and on however many threads: rows that were dropped are those of the first reading."""
    monkeypatch.setattr(readers, "PART_BYTES", 1 << 16)
    monkeypatch.setattr(readers, "BATCH_BYTES", 1 << 15)
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in ("a", "b", "c", "y")}
    columns["a"] = np.where(np.arange(N) % 4999 == 7, np.nan, columns["a"])
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table(columns), path, row_group_size=3000)
    fits = []
    for least, n_threads in ((1 << 15, 1), (1 << 15, 3), (1000, 1), (1000, 3)):
        monkeypatch.setattr(readers, "GROUP_ROWS", least)
        fits.append(linreg_fast.fit_file(path, target="y", missing="drop", precision="extended", n_threads=n_threads))
    assert fits[0].n_samples == N - 4
    assert bits(fits[0]) == bits(fits[1])
    assert bits(fits[2]) == bits(fits[3])
    np.testing.assert_allclose(fits[2].coef, fits[0].coef, rtol=1e-15)


def test_names_with_dots(tmp_path, monkeypatch):
    """pyarrow takes dots for the way into nested columns, of which "a" may stand for all."""
    monkeypatch.setattr(readers, "GROUP_ROWS", 1000)
    monkeypatch.setattr(readers, "PART_BYTES", 1 << 15)
    rng = np.random.default_rng(0)
    table = pa.table({name: rng.standard_normal(9000) for name in ("a.b", "a", "a.c", "y")})
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=3000)
    X = np.column_stack([table[name].to_numpy() for name in ("a", "a.c")])
    for n_threads in (1, 2):
        fit = linreg_fast.fit_file(tmp_path / "t.parquet", target="y", features=["a", "a.c"], n_threads=n_threads)
        np.testing.assert_allclose(fit.coef, linreg_fast.fit(X, table["y"].to_numpy()).coef, rtol=1e-13)
