"""The parts of src/ are included in the order of need: none names what a later one defines."""

from __future__ import annotations

import re

import pytest
from support.tables import ROOT

SRC = ROOT / "src"
UNITS = ["kernels.pxi", "row_kernels.pxi"]

# What begins at the margin and defines a name: a struct, a function, a number of the module.
STRUCT = re.compile(r"cdef struct (\w+):")
FUNCTION = re.compile(r"(?:cdef|def) (?:[\w* ]*[ *])?(\w+)\(")
NUMBER = re.compile(r"(?:cdef [\w ]+ )?(\w+) = ")
# What stands in a block of constants or of C declarations.
MEMBER = re.compile(r"    (\w+) = ")
DECLARED = re.compile(r"    (?:[\w* ]*[ *])?(\w+)(?:\(|$)")


def code(name):
    """The lines of a part without comments, docstrings and other text."""
    text = re.sub(r'""".*?"""', "", (SRC / name).read_text(), flags=re.DOTALL)
    return [re.sub(r'"[^"\n]*"|#.*', "", line).rstrip() for line in text.splitlines()]


def parts(unit):
    """The parts that a unit includes, in order."""
    return re.findall(r'^include "(\w+\.pxi)"$', (SRC / unit).read_text(), re.MULTILINE)


def defined(name):
    """The names that a part defines for those after it."""
    names, inside = set(), (STRUCT,)
    for line in code(name):
        if line and not line.startswith(" "):
            inside = (MEMBER,) if line == "cdef enum:" else (DECLARED,) if line.startswith("cdef extern") else ()
            names |= {match[1] for pattern in (STRUCT, FUNCTION, NUMBER) if (match := pattern.match(line))}
        else:
            names |= {match[1] for pattern in inside if (match := pattern.match(line))}
    return names


def own(name):
    """The arguments and variables of the functions of a part: a type, its brackets or stars, and a name."""
    types = "double|float|floating|vec|strided|size_t|Py_ssize_t|bint|int|char"
    return set(re.findall(rf"\b(?:{types})\b(?:\[[^\]]*\])?[ *]+(\w+)", "\n".join(code(name))))


def named_early(order):
    """What parts name and later ones define: (part, name, later part)."""
    early, known = [], set()
    for i, name in enumerate(order):
        known |= defined(name)
        words = (
            {word for line in code(name) for word in re.findall(r"(?<![\w.])[A-Za-z_]\w*", line)} - known - own(name)
        )
        early += [(name, word, later) for later in order[i + 1 :] for word in sorted(words & defined(later))]
    return early


def test_each_kind_of_definition_is_found():
    """A name that the parser missed could be used anywhere."""
    assert {"vec", "LANES", "vec_store", "vec_load"} <= defined("vec.pxi")
    assert {"tile", "TILE_VECS", "dots_diagonal_weighted"} <= defined("tile.pxi")
    assert {"strided", "_number", "_strided_of_column", "LINE"} <= defined("common.pxi")
    assert {"lines_ahead", "_next_tile"} <= defined("ahead.pxi")
    assert {"_column_at", "_pack_y"} <= defined("panel.pxi")
    assert {"_solve_small", "EPS"} <= defined("solve.pxi")
    assert {"small", "SMALL", "small_columns"} <= defined("small.pxi")


@pytest.mark.parametrize("unit", UNITS)
def test_no_part_names_what_a_later_part_defines(unit):
    assert named_early(parts(unit)) == []
    # and the same parts in the opposite order would be noticed
    assert len(named_early(parts(unit)[::-1])) >= len(parts(unit))


def test_every_part_is_included():
    assert {*UNITS, *(part for unit in UNITS for part in parts(unit))} == {path.name for path in SRC.glob("*.pxi")}
    for path in SRC.glob("*kernels_*.pyx"):
        assert path.read_text() == f'include "{path.stem.rpartition("_")[0]}.pxi"\n'
