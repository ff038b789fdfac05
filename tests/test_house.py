"""The house: who may import whom, how large a room may be, and that the map in CONTRIBUTING.md is the territory."""

from __future__ import annotations

import ast
import io
import tokenize

import pytest
from support.tables import ROOT

PACKAGE = ROOT / "linreg_fast"
MOST_LINES = 350  # of code in a module
MOST_PARAMETERS = 8  # of a function that is not public API
MOST_VALUES = 3  # of a tuple that a function hands to another module

# A wing imports the wings above it and itself, never those below.
WINGS = (
    "inputs",
    "algebra",
    "passes",
    "solvers",
    "inference",
    "saved",
    "moments",
    "many",
    "streams",
)
DOORS = ("dask", "spark", "cli", "bench", "sklearn", "plots")  # whose rooms nobody imports but the terminal
# The front hall: the last wing that a module imports, and the first one that may import it.
HALL = {
    "reference": ("algebra", None),
    "options": ("passes", "passes"),
    "plan_costs": ("passes", "solvers"),
    "planning": ("passes", "solvers"),
    "result": ("saved", "moments"),
    "objective": ("passes", "moments"),
    "fitting": ("saved", "moments"),
    "robust": ("saved", "moments"),
    "polynomial": ("saved", "moments"),
    "config": ("passes", None),
    "formula": ("streams", None),
    "__init__": ("streams", None),
}
# their parameters are what a user names, one by one
PUBLIC = {"fit", "fit_file", "fit_stream", "plan", "predict", "descent"}
PUBLIC |= {"fit_formula", "rolling", "expanding", "recursive", "grouped", "batched", "robust"}


def modules():
    """Each module's name below the package and its path."""
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}


MODULES = modules()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def imported(name):
    """The modules of the package that a module imports, whether at its top or in a function."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    inner = {item.removeprefix("linreg_fast").lstrip(".") or "__init__" for item in found if is_ours(item)}
    packages = {item for item in inner if f"{item}.__init__" in MODULES}
    return {item for item in inner if item in MODULES} | {f"{item}.__init__" for item in packages}


def is_ours(item):
    return item == "linreg_fast" or item.startswith("linreg_fast.")


def wing(name):
    return name.split(".")[0]


def rank(name):
    """How far down a module stands, and how far down those are that it may import."""
    if wing(name) in WINGS:
        return (WINGS.index(wing(name)),) * 2
    if wing(name) in DOORS:
        return len(WINGS), len(WINGS)
    last, first = HALL[name]
    return (
        len(WINGS) if first is None else WINGS.index(first) - 0.5,
        -1 if last is None else WINGS.index(last),
    )


@pytest.mark.parametrize("name", MODULES)
def test_a_wing_imports_the_wings_above_it(name):
    for other in imported(name) - {name, "__init__", f"{wing(name)}.__init__"}:
        if wing(other) == wing(name):
            continue
        assert wing(other) not in DOORS or wing(name) == "cli", f"{name} goes through the door {other}"
        stands, reach = rank(other)[0], rank(name)[1]
        hall = name in HALL and other in HALL
        assert hall or stands <= reach, f"{name} imports {other}, which stands below it"


def test_nobody_imports_the_package_itself_but_what_comes_later():
    """Only what is asked for at run time: the version, and doors of the public API."""
    for name in MODULES:
        if wing(name) not in DOORS:
            assert "__init__" not in imported(name) - {"__init__"} or name in ("__init__", "config"), name


def test_no_import_runs_in_a_circle():
    graph = {name: imported(name) - {"__init__", name} for name in MODULES if not name.endswith("__init__")}
    done = set()

    def visit(name, path):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done or name not in graph:
            return
        for other in sorted(graph[name]):
            visit(other, [*path, name])
        done.add(name)

    for name in graph:
        visit(name, [])


def lines_of_code(path):
    """Lines with anything but comments, docstrings and blanks."""
    code = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    strings = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    blank = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type not in blank:
            code |= set(range(token.start[0], token.end[0] + 1))
    return len(code - strings)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_fits_on_a_few_screens(name):
    assert lines_of_code(MODULES[name]) <= MOST_LINES


def functions(name):
    return [node for node in ast.walk(TREES[name]) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("name", MODULES)
def test_no_function_takes_ten_loose_arguments(name):
    for function in functions(name):
        given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        count = len([argument for argument in given if argument.arg not in ("self", "cls")])
        public = function.name in PUBLIC or (wing(name) == "sklearn" and function.name == "__init__")
        assert count <= MOST_PARAMETERS or public, f"{function.name} takes {count} parameters"


@pytest.mark.parametrize("name", MODULES)
def test_no_tuple_is_an_interface(name):
    """A function that other modules can call returns no tuple of more values than a reader keeps apart."""
    for function in functions(name):
        if function.returns is None or function.name.startswith("_"):
            continue
        for node in ast.walk(function.returns):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "tuple":
                parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
                assert len(parts) <= MOST_VALUES, f"{function.name} returns {ast.unparse(node)}"


@pytest.mark.parametrize("name", MODULES)
def test_rows_and_options_have_their_types(name):
    for function in functions(name):
        for argument in [*function.args.args, *function.args.kwonlyargs] if function.name not in PUBLIC else ():
            if argument.arg in ("data", "options", "problem"):
                assert argument.annotation is None or ast.unparse(argument.annotation) != "Any", function.name


def described():
    """The rows of CONTRIBUTING's table: module and what it is."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `linreg_fast/")]
    return {row[1].strip().strip("`"): row[2].strip() for row in rows}


def test_every_module_says_what_it_is_and_the_map_says_the_same():
    """First lines of docstrings; run `python tests/test_house.py` for the table to paste."""
    assert described() == first_lines()


def first_lines():
    found = {}
    for name, path in MODULES.items():
        text = ast.get_docstring(TREES[name])
        assert text, f"{name} does not say what it is"
        found[path.relative_to(ROOT).as_posix()] = text.splitlines()[0]
    return found


if __name__ == "__main__":
    for path, line in first_lines().items():
        print(f"| `{path}` | {line} |")
