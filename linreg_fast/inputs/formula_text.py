# SPDX-License-Identifier: BSD-3-Clause
"""What a formula may say: its text read by formulaic, and all that it names looked at before any of it is evaluated."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

STATEFUL = ("bs", "cc", "cr", "cs", "center", "poly", "scale", "standardize")  # learn from all rows
CATEGORIES = ("C",)
ROWWISE = ("log", "log10", "log2", "exp", "exp10", "exp2", "I", "Q")
CONTRASTS = ("Treatment", "Poly", "Sum", "Helmert", "Diff")
ALLOWED = (*ROWWISE, *STATEFUL, *CATEGORIES, *CONTRASTS)
NODES = (
    ast.Expression, ast.Call, ast.keyword, ast.Name, ast.Load, ast.Constant, ast.Attribute, ast.List, ast.Tuple,
    ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.FloorDiv, ast.Mod, ast.UnaryOp, ast.UAdd, ast.USub,
    ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
)  # fmt: skip


class Asked(NamedTuple):
    """What a formula asks of a table.

    columns     all columns it names, in its order; those of its left side are `targets`, of its right `features`
    categories  those that stand in C(..)
    stateful    its factors that learn from all rows
    """

    formula: Any
    columns: list[str]
    targets: list[str]
    features: list[str]
    categories: list[str]
    stateful: list[str]


def parse(text: str, known: Sequence[str]) -> Asked:
    """Read a formula and look at all that it names, before anything of it is evaluated.

    Raises
    ------
    ImportError
        formulaic is not installed.
    TypeError, ValueError
        No formula, or one with a column or a function that is not known, which is named.
    """
    if not isinstance(text, str):
        raise TypeError(f'formula must be a text such as "y ~ x + C(group)", not a {type(text).__name__}')
    try:
        from formulaic import Formula
        from formulaic.errors import FormulaParsingError, FormulaSyntaxError
    except ImportError:
        raise ImportError('formulas need formulaic: pip install "linreg_fast[formula]"') from None
    try:
        formula = Formula(text, _context={"__formulaic_variables_available__": list(known)})
    except (FormulaParsingError, FormulaSyntaxError, ValueError, SyntaxError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(f"formula {text!r} cannot be read: {reason}") from None
    if not (hasattr(formula, "lhs") and hasattr(formula, "rhs")) or hasattr(formula.rhs, "rhs"):
        raise ValueError(f'formula {text!r} must have two sides, as in "y ~ x"')
    if any(isinstance(side, tuple) for side in (formula.lhs, formula.rhs)):
        raise ValueError(f"formula {text!r} has more than one part on a side; | is not for one fit")
    sides: list[dict[str, None]] = []
    categories: dict[str, None] = {}
    stateful: dict[str, None] = {}
    for side in (formula.lhs, formula.rhs):
        sides.append({})
        for factor in dict.fromkeys(factor for term in side for factor in term.factors):
            kind = factor.eval_method.value
            if kind == "literal":
                continue
            names: list[str] = [factor.expr]
            own: list[str] = []
            if kind == "python":
                names, own, learns = _looked_at(factor.expr, known)
                if learns:
                    stateful[factor.expr] = None
            for name in names:
                if name not in known:
                    raise ValueError(f"formula {text!r} names {name!r}, which is no column; there are {some(known)}")
            sides[-1] |= dict.fromkeys(names)
            categories |= dict.fromkeys(own)
    targets, features = map(list, sides)
    if not targets:
        raise ValueError(f'formula {text!r} must have a column on its left side, as in "y ~ x"')
    columns = list(sides[0] | sides[1])
    return Asked(formula, columns, targets, features, list(categories), list(stateful))


def _looked_at(text: str, known: Sequence[str]) -> tuple[list[str], list[str], bool]:
    """Columns of an expression, those of them in C(..), and whether it learns from all rows.

    Raises
    ------
    ValueError
        Anything in it that is neither arithmetic nor a function that is allowed.
    """
    quoted: dict[str, str] = {}

    def place(found: re.Match[str]) -> str:
        quoted[name := f"_quoted_{len(quoted)}"] = found[1]
        return name

    plain = re.sub(r"`([^`]*)`", place, text)
    try:
        tree = ast.parse(plain.strip(), mode="eval")
    except SyntaxError as error:
        raise ValueError(f"{text!r} in the formula cannot be read: {error.msg}") from None
    functions: set[int] = set()
    names: list[str] = []
    categories: list[str] = []
    learns = False
    for node in ast.walk(tree):
        if not isinstance(node, NODES):
            raise ValueError(f"{text!r} in the formula: {type(node).__name__} is not allowed; {_allowed()}")
        if isinstance(node, ast.Call):
            function = node.func
            called = ast.unparse(function)
            functions.update(id(part) for part in ast.walk(function))
            head, _, tail = called.partition(".")
            ufunc = head == "np" and isinstance(getattr(np, tail, None), np.ufunc)
            contrast = head == "contr" and tail.isidentifier() and not tail.startswith("_")
            if not (called in ALLOWED or ufunc or contrast):
                raise ValueError(f"{text!r} in the formula: there is no function {called!r}; {_allowed()}")
            learns = learns or called in STATEFUL
            if called == "Q":
                if not (len(node.args) == 1 and isinstance(node.args[0], ast.Constant)):
                    raise ValueError(f"{text!r} in the formula: Q takes the name of a column in quotes")
                names.append(str(node.args[0].value))
            if called in CATEGORIES:
                if not (node.args and isinstance(node.args[0], ast.Name)):
                    raise ValueError(f"{text!r} in the formula: C takes a column; make one of the expression first")
                categories.append(quoted.get(node.args[0].id, node.args[0].id))
    for node in ast.walk(tree):
        if id(node) in functions:
            continue
        if isinstance(node, ast.Attribute):
            raise ValueError(f"{text!r} in the formula: {ast.unparse(node)} is not allowed; {_allowed()}")
        if isinstance(node, ast.Name) and node.id not in CONTRASTS:
            names.append(quoted.get(node.id, node.id))
    return names, categories, learns


def _allowed() -> str:
    return f"a formula may have columns, numbers, arithmetic, {', '.join(ALLOWED)}, contr.* and ufuncs as np.*"


def some(names: Sequence[str]) -> str:
    """The first of many names."""
    return ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
