"""What is shipped: wheel, sdist, stubs, levels, and what importing the package brings in."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from support.tables import ROOT

import linreg_fast
from linreg_fast import cpu
from linreg_fast.passes import levels

PACKAGE = ROOT / "linreg_fast"
COMPILED = ["cpu", "sequences", *(f"{unit}_{level}" for unit in levels.UNITS for level in levels.built)]
SHARED = "_cyutility"  # of Cython's own: it has no names for Python and no stub
# Nothing that a first fit of two columns does not need; SciPy comes when LAPACK does.
NOT_IMPORTED = [
    "scipy",
    "pandas",
    "polars",
    "narwhals",
    "pyarrow",
    "sklearn",
    "dask",
    "matplotlib",
    "rich",
    "typer",
    "concurrent.futures",
    "asyncio",
    "multiprocessing",
]


def python(code, **environment):
    """Run code in a new interpreter beside this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LINREG_FAST_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT, env=kept | environment
    )


@pytest.fixture(scope="module")
def tracked():
    """The files of this checkout that git tracks: a virtual environment or notes beside them are no sources."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("only a git checkout says which files are sources")
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory, tracked):
    """The sdist of a clean copy of this checkout, and the wheel built from that sdist."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for name in tracked:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    # Unoptimised: the contents are looked at, not the speed.
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(copy)],
        check=True,
        env=os.environ | {"LINREG_FAST_DEBUG": "1"},
    )
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.mark.slow
def test_wheel_holds_the_package_and_nothing_else(built, tracked):
    names = names_in(built[1])
    info = [name for name in names if ".dist-info/" in name]
    package = [name for name in names if name.startswith("linreg_fast/")]
    assert sorted(info + package) == sorted(names)
    suffixes = (".py", ".pxd", ".pyi", ".csv", ".typed")
    expected = {name for name in tracked if name.startswith("linreg_fast/") and name.endswith(suffixes)}
    assert {"linreg_fast/py.typed", "linreg_fast/cli/demo.csv", "linreg_fast/cpu.pxd"} <= expected
    compiled = {name for name in package if name.endswith((".so", ".pyd"))}
    assert {name.partition(".")[0] for name in compiled} == {f"linreg_fast/{name}" for name in (*COMPILED, SHARED)}
    assert set(package) == expected | compiled
    assert any(name.endswith("licenses/LICENSE") for name in info)


@pytest.mark.slow
def test_sdist_holds_what_the_checkout_holds(built, tracked):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder, suffixes in {
        "src": (".pyx", ".pxi", ".h"),
        "tests": (".py",),
        "linreg_fast": (".py", ".pyi", ".pxd"),
    }.items():
        here = {name for name in tracked if name.startswith(f"{folder}/") and name.endswith(suffixes)}
        assert here
        assert here <= names
    assert {"pyproject.toml", "setup.py", "LICENSE", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyd", ".c", ".pyc"))]


@pytest.mark.slow
def test_metadata(built):
    with zipfile.ZipFile(built[1]) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
        entries = archive.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert metadata["Name"].replace("-", "_") == "linreg_fast"
    assert metadata["Version"] == linreg_fast.__version__
    assert "linreg-fast = linreg_fast.cli:main" in entries


@pytest.mark.slow
def test_wheel_works_from_where_it_is_unpacked(built, tmp_path):
    with zipfile.ZipFile(built[1]) as archive:
        archive.extractall(tmp_path)
    code = (
        "import linreg_fast; from linreg_fast.cli import demo\n"
        "print(linreg_fast.__file__); print(linreg_fast.fit_file(demo.TREES, target='Volume').intercept)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    file, intercept = done.stdout.split()
    assert Path(file).is_relative_to(tmp_path)
    assert float(intercept) == pytest.approx(-57.9877, abs=5e-5)


def test_public_names_exist_and_say_what_they_are():
    assert sorted(linreg_fast.__all__) == linreg_fast.__all__
    for name in linreg_fast.__all__:
        assert name == "__version__" or inspect.getdoc(getattr(linreg_fast, name))


def stub(name):
    """Public names of a stub with their arguments, those of a stub it takes everything from among them."""
    found = {}
    for node in ast.parse((PACKAGE / f"{name}.pyi").read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = [argument.arg for argument in node.args.args]
        elif isinstance(node, ast.AnnAssign):
            found[node.target.id] = []
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            found[node.targets[0].id] = found[node.value.id]
        elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            found |= stub(node.module.rpartition(".")[2])
    return {name: arguments for name, arguments in found.items() if not name.startswith("_")}


@pytest.mark.parametrize("name", COMPILED)
def test_stub_has_the_names_and_arguments_of_the_module(name):
    if name not in ("cpu", "sequences") and name.rpartition("_")[2] not in cpu.levels():
        pytest.skip(f"this processor runs {', '.join(cpu.levels())}")
    module = importlib.import_module(f"linreg_fast.{name}")
    held = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    assert stub(name) == {
        name: list(inspect.signature(value).parameters) if callable(value) else [] for name, value in held.items()
    }


def test_units_of_a_level_share_no_name():
    """One namespace offers both: what one unit calls a kernel, the other may not call another."""
    kernels, row_kernels = (set(stub(f"{unit}_baseline")) for unit in levels.UNITS)
    assert kernels
    assert row_kernels
    assert not kernels & row_kernels


@pytest.mark.parametrize("level", levels.LEVELS)
def test_level_is_forced_or_refused(level):
    done = python("import linreg_fast; print(linreg_fast.show_config()['level'])", LINREG_FAST_LEVEL=level)
    if level in levels.built and level in cpu.levels():
        assert (done.returncode, done.stdout) == (0, f"{level}\n")
    else:
        assert done.returncode == 1
        last = done.stderr.splitlines()[-1]
        assert last.startswith(f"ImportError: LINREG_FAST_LEVEL={level!r}")
        assert "was not built" in last or "needs a processor" in last


def test_level_that_is_none_is_answered_with_the_levels():
    done = python("import linreg_fast", LINREG_FAST_LEVEL="nonsense")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: LINREG_FAST_LEVEL='nonsense' is not a level")
    assert all(level in last for level in levels.LEVELS)


@pytest.mark.parametrize("module", ["linreg_fast", "linreg_fast.cli", "linreg_fast.streams.files"])
def test_import_brings_in_little(module):
    code = f"import sys, {module}; print(*(name for name in {NOT_IMPORTED} if name in sys.modules))"
    done = python(code)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
