# SPDX-License-Identifier: BSD-3-Clause
"""The columns that a formula makes of a table, block by block, through formulaic.

A specification is a dictionary that JSON holds: the text, the levels of each category, what transforms like poly have
learnt, and the names that came of it. From it alone the same columns are made of other rows.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs import arrays
from linreg_fast.inputs.formula_text import Asked, parse, some
from linreg_fast.inputs.rounding import Rounded

BLOCK_BYTES = 8 << 20  # of the columns that a formula makes of a block of rows


class Made(NamedTuple):
    """What a formula makes of some rows.

    Columns of the right side without the intercept, those of the left side, NaN in rows that miss a value; the first
    such value as (column, row); the first number that float64 rounds, and its column.
    """

    X: list[NDArray[Any]]
    Y: list[NDArray[Any]]
    missing: tuple[str, int] | None
    rounded: tuple[str, Rounded] | None


def is_category(column: Any) -> bool:
    """Whether a column of Arrow is one of text or of categories, which a formula takes for a category."""
    from pyarrow import types

    kind = column if not hasattr(column, "type") else column.type
    return any(
        test(kind) for test in (types.is_dictionary, types.is_string, types.is_large_string, types.is_string_view)
    )


def distinct(column: Any) -> list[Any]:
    """The different values of a column of Arrow, without the missing one."""
    values = column.unique()
    values = values.dictionary if hasattr(values, "dictionary") and not len(values) else values
    return [value for value in values.to_pylist() if value is not None and value == value]


def as_levels(name: str, values: Sequence[Any]) -> list[Any]:
    """The levels of a category in their order, the first one being the reference.

    Raises
    ------
    TypeError, ValueError
        Values that are neither texts nor numbers, or of both kinds; none at all, or one twice.
    """
    found = [value.item() if isinstance(value, np.generic) else value for value in values]
    kinds: tuple[set[type], ...] = ({str}, {bool}, {int, float})
    for kind in kinds:
        if {type(value) for value in found} <= kind:
            break
    else:
        types = sorted({type(value).__name__ for value in found})
        raise TypeError(f"levels of {name!r} must be texts or numbers, all of one kind; they are {', '.join(types)}")
    if not found:
        raise ValueError(f"category {name!r} has no level: every value is missing")
    if len(set(found)) < len(found):
        raise ValueError(f"levels of {name!r} are not different from each other")
    return found


def learnt(asked: Asked, levels: Mapping[str, Sequence[Any]], whole: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The specification, `whole` having the numbers of all rows for factors that learn from them."""
    import pandas as pd
    from formulaic import Formula

    state: dict[str, Any] = {}
    if asked.stateful:
        needed = Formula(" + ".join(["0", *asked.stateful]))
        frame = pd.DataFrame(dict(whole))
        try:
            matrix = needed.get_model_matrix(frame, na_action="ignore", output="numpy")
        except Exception as error:
            raise ValueError(f"{', '.join(asked.stateful)} in the formula: {_reason(error)}") from None
        state = matrix.model_spec.transform_state
    spec: dict[str, Any] = {"text": text, "columns": asked.columns}
    spec |= {"levels": {name: list(values) for name, values in levels.items()}, "state": _packed(state)}
    return spec | _named(spec)


def _named(spec: dict[str, Any]) -> dict[str, Any]:
    """Names of the columns that come of a specification, and the reference levels in them."""
    import pandas as pd

    rows = max([1, *map(len, spec["levels"].values())])
    frame = pd.DataFrame({name: np.linspace(1.0, 2.0, rows) for name in spec["columns"]})
    for name, values in spec["levels"].items():
        frame[name] = pd.Categorical.from_codes(np.arange(rows) % len(values), values)
    left, right = _sides(json.dumps(spec))
    matrices = [_evaluated(side, frame) for side in (left, right)]
    specs = [matrix.model_spec for matrix in matrices]
    names = [name for name in specs[1].column_names if name != "Intercept"]
    if not names:
        raise ValueError(f"formula {spec['text']!r} has no column on its right side")
    references = {}
    for factor, (_, state) in specs[1].encoder_state.items():
        contrasts: Any = state.get("contrasts") if isinstance(state, dict) else None
        if type(getattr(contrasts, "contrasts", None)).__name__ != "TreatmentContrasts":
            continue
        base = contrasts.contrasts.base
        base = contrasts.levels[0] if str(base) == "UNSET" or base not in contrasts.levels else base
        if f"{factor}[T.{base}]" not in names:
            references[factor] = str(base)
    intercept = "Intercept" in specs[1].column_names
    return {
        "names": names,
        "target_names": list(specs[0].column_names),
        "intercept": intercept,
        "references": references,
    }


@functools.lru_cache(16)
def _sides(described: str) -> tuple[Any, Any]:
    """Both sides of a specification for formulaic."""
    from formulaic import ModelSpec

    spec = json.loads(described)
    # looked at once more before it is evaluated: it may come out of a file
    formula, state = parse(spec["text"], spec["columns"]).formula, _unpacked(spec["state"])
    left, right = (
        ModelSpec(formula=side, transform_state=dict(state), na_action="ignore", output="numpy")
        for side in (formula.lhs, formula.rhs)
    )
    return left, right


def _evaluated(side: Any, frame: Any) -> Any:
    try:
        return side.get_model_matrix(frame)
    except Exception as error:
        raise ValueError(f"the formula cannot be evaluated: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    error = error.__cause__ if isinstance(error.__cause__, Exception) else error
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


def block_rows(spec: Mapping[str, Any]) -> int:
    """Rows of a block that a formula is evaluated on at a time."""
    return max(1024, BLOCK_BYTES // (8 * (len(spec["names"]) + 1)))


def make(spec: Mapping[str, Any], columns: Mapping[str, Any], where: str, row: int, targets: bool = True) -> Made:
    """The columns of a formula for some rows, which are row `row` and following of `where`.

    Raises
    ------
    TypeError, ValueError
        A column that is of another kind, a level that was not there before: it is named with its column and row.
    """
    import pandas as pd

    used: dict[str, Any] = {}
    levels = spec["levels"]
    missing, rounded = None, None
    gone = None
    for name in spec["columns"]:
        if name not in columns:
            continue
        column = columns[name]
        if name in spec["levels"]:
            codes = _codes(name, column, spec["levels"][name], where, row)
            absent: Any = codes < 0
            used[name] = codes
        else:
            if is_category(column):
                raise TypeError(f"column {name!r} of {where} is of text, in the fit it is one of numbers")
            given = arrays.array_of(column, f"column {name!r} of {where}")
            used[name] = given.array
            absent = np.isnan(given.array) if given.array.dtype.kind == "f" else None
            if given.rounded is not None and rounded is None:
                rounded = name, given.rounded
        if absent is not None and absent.any():
            first = int(np.argmax(absent))
            if missing is None or first < missing[1]:
                missing = name, first
            gone = absent if gone is None else gone | absent
    simple = _simple(json.dumps(spec))
    if simple is not None:
        X = _of_simple(simple, used, spec["levels"])
        Y = [used[name] for name in spec["target_names"]] if targets else []
    else:
        # a row that misses its level has any one here: it becomes NaN below
        frame = pd.DataFrame(
            {
                name: pd.Categorical.from_codes(np.maximum(values, 0), levels[name]) if name in levels else values
                for name, values in used.items()
            }
        )
        left, right = _sides(json.dumps(spec))
        X, Y = _columns(right, frame), _columns(left, frame) if targets else []
    if gone is not None:
        X[0] = np.where(gone, np.nan, X[0])
    return Made(X, Y, missing, rounded)


def _columns(side: Any, frame: Any) -> list[NDArray[Any]]:
    matrix = _evaluated(side, frame)
    keep = [j for j, name in enumerate(matrix.model_spec.column_names) if name != "Intercept"]
    values = np.asarray(matrix, dtype=np.float64)
    return list(np.ascontiguousarray(values.T[keep]))


@functools.lru_cache(16)
def _simple(described: str) -> list[tuple[str, bool]] | None:
    """The terms of a formula of plain columns and categories beside an intercept, (column, whether it is a category).

    None for any other formula: formulaic evaluates those.
    """
    spec = json.loads(described)
    left, right = (side.formula for side in _sides(described))
    if not spec["intercept"] or [str(t) for t in left] != spec["target_names"]:
        return None
    if any(factor.eval_method.value != "lookup" for term in left for factor in term.factors):
        return None
    terms = []
    for term in right:
        (factor, *others) = term.factors
        if others:
            return None
        if factor.eval_method.value == "literal":
            continue
        text = factor.expr
        inner = re.fullmatch(r"C\((\w+)\)", text)
        name = inner[1] if inner and factor.eval_method.value == "python" else text
        if name not in spec["columns"] or (factor.eval_method.value == "python" and not inner):
            return None
        if inner is None and name not in spec["levels"]:
            terms.append((name, False))
        elif name in spec["levels"] and not any(name == other for other, _ in terms):
            terms.append((name, True))
        else:
            return None
    width = sum(len(spec["levels"][name]) - 1 if category else 1 for name, category in terms)
    return terms if width == len(spec["names"]) else None


def _of_simple(
    terms: Sequence[tuple[str, bool]], used: Mapping[str, NDArray[Any]], levels: Mapping[str, Sequence[Any]]
) -> list[NDArray[Any]]:
    X: list[NDArray[Any]] = []
    for name, category in terms:
        if not category:
            X.append(used[name])
            continue
        codes = used[name]
        dummies = np.zeros((len(levels[name]) - 1, len(codes)))
        rows = np.flatnonzero(codes > 0)
        dummies[codes[rows] - 1, rows] = 1.0
        X.extend(dummies)
    return X


def _codes(name: str, column: Any, levels: Sequence[Any], where: str, row: int) -> NDArray[np.int64]:
    """The position of each value of a column of Arrow among the levels, -1 where it is missing."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    values = column.dictionary.to_pylist()
    places = {level: i for i, level in enumerate(levels)}
    unknown = len(levels)
    table = [-1 if value is None or value != value else places.get(value, unknown) for value in values]
    indices = column.indices.fill_null(len(values)) if column.null_count else column.indices
    codes: NDArray[np.int64] = np.array([*table, -1], dtype=np.int64)[
        indices.to_numpy(zero_copy_only=False).astype(np.intp)
    ]
    later = codes == unknown
    if later.any():
        at = int(np.argmax(later))
        raise ValueError(
            f"column {name!r} has the level {column[at].as_py()!r} at row {row + at} of {where}, "
            f"which is not among the {len(levels)} that are known: {some([str(level) for level in levels])}"
        )
    return codes


def arrow_columns(value: Any, names: Sequence[str], argument: str) -> dict[str, Any]:
    """Some columns of a data frame as columns of Arrow.

    Raises
    ------
    TypeError, ValueError
        No data frame, or one that lacks columns, which are named.
    """
    import pyarrow as pa

    frame = arrays.frame_of(value, argument)
    known = None if frame is None else arrays.column_names(frame)
    if known is None:
        what = type(value).__name__
        raise TypeError(f"{argument} must be a data frame with the columns {', '.join(names)}, not a {what}")
    lost = [name for name in names if name not in known]
    if lost:
        raise ValueError(f"{argument} lacks the columns {', '.join(map(repr, lost))}; it has {some(known)}")
    found = {}
    for name in names:
        if known.count(name) > 1:
            raise ValueError(f"{argument} has {known.count(name)} columns named {name!r}")
        column = arrays.column_at(frame, known.index(name))
        if hasattr(column, "iloc"):
            column = pa.Array.from_pandas(column)
        elif hasattr(column, "to_arrow"):
            column = column.to_arrow()
        found[name] = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    return found


def blocks(spec: Mapping[str, Any], X: Any, argument: str = "X") -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """Yield (first row, row after the last, columns of the formula) of a data frame to predict from."""
    columns = arrow_columns(X, parse(spec["text"], spec["columns"]).features, argument)
    n = max((len(column) for column in columns.values()), default=0)
    step = block_rows(spec)
    for at in range(0, n, step):
        part = {name: column.slice(at, step) for name, column in columns.items()}
        made = make(spec, part, argument, at, targets=False)
        yield at, min(at + step, n), np.stack(made.X, axis=1)


def _packed(value: Any) -> Any:
    """A state of formulaic as JSON has it: dictionaries as lists of pairs, as their keys may be numbers."""
    if isinstance(value, Mapping):
        return {"pairs": [[key, _packed(item)] for key, item in value.items()]}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [_packed(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"what the formula has learnt cannot be kept: {type(value).__name__}")


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        if "array" in value:
            return np.array(value["array"])
        return {key: _unpacked(item) for key, item in value["pairs"]}
    return [_unpacked(item) for item in value] if isinstance(value, list) else value
