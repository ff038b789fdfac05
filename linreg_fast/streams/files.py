# SPDX-License-Identifier: BSD-3-Clause
"""Tables in files: which files, which columns, of which types.

Only the columns that a fit uses are read, a few megabytes at a time, so that memory does not grow with the
file. Row numbers count the rows of a file from 0.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np

from linreg_fast.inputs.kinds import of_pandas
from linreg_fast.streams import choice, csv_kinds, csv_text, readers, tokens
from linreg_fast.streams.choice import Roles
from linreg_fast.streams.csv_options import CsvOptions
from linreg_fast.streams.csv_text import Text
from linreg_fast.streams.damage import map_npy, named
from linreg_fast.streams.readers import Files, check_kinds, ipc

FORMATS = {
    **{suffix + packed: "csv" for suffix in csv_text.SUFFIXES for packed in ("", *csv_text.PACKED)},
    ".parquet": "parquet",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
    ".npy": "npy",
}
KNOWN = (
    f"{', '.join(csv_text.SUFFIXES)}, each of them plain or with {', '.join(csv_text.PACKED)}, "
    f"{', '.join(suffix for suffix, form in FORMATS.items() if form != 'csv')}"
)


class Found(NamedTuple):
    """The files that a path stands for, in the order of their names, and the columns that stand in their paths."""

    paths: list[Path]
    form: str
    keys: list[dict[str, float]]


class Columns(NamedTuple):
    """The columns of a file with their Arrow types, None for numbers of a .npy file.

    `indices` are those that were the index of a data frame, `footer` is what a Parquet file says of its row groups,
    `n_rows` is known of .npy files.
    """

    kinds: dict[str, Any]
    indices: list[str]
    footer: Any = None
    n_rows: int = 0


def open_table(path: str | os.PathLike[str], roles: Roles, csv: CsvOptions | None = None) -> Files:
    """Find the files and the columns; without features every other column of numbers is one.

    Raises
    ------
    OSError
        No such file.
    TypeError
        A column asked for by name that is not of numbers; options of text for other files.
    ValueError
        Another kind of file, an unknown column, no feature, files that do not have the same columns.
    """
    found = find(path)
    if csv is not None and found.form != "csv":
        raise TypeError(f"csv is for files of text; {found.paths[0]} is none")
    if found.form == "npy":
        return _open_npy(path, found, roles)
    if roles.target is None:
        raise TypeError("target must name the column to explain")
    columns = columns_of(found, csv or CsvOptions())
    keys = found.keys[0] if found.keys else {}
    kinds = columns[0].kinds | dict.fromkeys(keys)
    if found.form == "csv" and (csv is None or csv.header is not False):
        _check_head(found.paths[0], kinds, roles, csv or CsvOptions())
    if csv is not None and csv.header is False:
        roles = _by_position(roles, list(kinds))
    chosen = choice.choose(path, kinds, roles, columns[0].indices)
    return table_of(found, columns, chosen, csv or CsvOptions())


def table_of(found: Found, columns: list[Columns], chosen: choice.Choice, csv: CsvOptions) -> Files:
    """The files with some columns of them, which all must have."""
    first, keys = columns[0], found.keys[0] if found.keys else {}
    files = Files(found.paths, found.form, chosen.columns, chosen.features, chosen.left_out, found.keys, csv)
    if found.form == "csv":
        files.types = csv_kinds.types_to_read(first.kinds, chosen.columns)
        return files
    for other, one in zip(found.paths[1:], columns[1:], strict=True):
        check_kinds(other, one.kinds, [name for name in chosen.columns if name not in keys], found.paths[0])
    files.footers = [one.footer for one in columns]
    if found.form == "parquet":
        files.n_rows = sum(one.footer.num_rows for one in columns)
    return files


def _check_head(path: Path, kinds: dict[str, Any], roles: Roles, csv: CsvOptions) -> None:
    """Raise for a file whose first line is seen to have another delimiter, and no column that is asked for."""
    text = Text(path, csv)
    asked = [*roles.targets, *(roles.features or ())]
    hint = "" if all(name in kinds for name in asked) else tokens.hint_of_head(csv_kinds.start(text), text.delimiter)
    if hint:
        lost = next(name for name in asked if name not in kinds)
        raise ValueError(f"{path} has no column {lost!r}{hint}")


def _by_position(roles: Roles, names: list[str]) -> Roles:
    """The roles with the names of columns for their positions."""

    def name(column: Any) -> Any:
        position = -1 if column is None else column
        if isinstance(position, bool) or not isinstance(position, (int, np.integer)):
            return column
        return str(position + len(names) if position < 0 else position)

    target = [name(one) for one in roles.targets]
    features = None if roles.features is None else [name(one) for one in roles.features]
    weight = None if roles.weight is None else name(roles.weight)
    return Roles(target if roles.several else target[0], features, weight, [name(one) for one in roles.exclude])


def _open_npy(path: str | os.PathLike[str], found: Found, roles: Roles) -> Files:
    """`open_table` for .npy files, whose columns are named by their positions; a target of None is the last one."""
    columns = columns_of(found, CsvOptions())
    kinds = columns[0].kinds
    roles = _by_position(roles, list(kinds))
    for name in [
        *roles.targets,
        *(roles.features or ()),
        *roles.exclude,
        *([] if roles.weight is None else [roles.weight]),
    ]:
        if not (isinstance(name, str) and name.lstrip("-").isdigit()):
            raise TypeError(f"columns of .npy files are named by their positions, not by {name!r}")
    chosen = choice.choose(path, kinds, roles)
    files = Files(found.paths, found.form, chosen.columns, chosen.features, chosen.left_out, [], CsvOptions())
    for other, one in zip(found.paths[1:], columns[1:], strict=True):
        if len(one.kinds) != len(kinds):
            raise ValueError(f"{other} has {len(one.kinds)} columns, {found.paths[0].name} has {len(kinds)}")
    files.n_rows = sum(one.n_rows for one in columns)
    return files


def find(path: str | os.PathLike[str]) -> Found:
    """The files that a path, a pattern or a folder stands for.

    Raises
    ------
    OSError, ValueError
        No file, or files of other kinds or of several.
    """
    name = os.fspath(path)
    base = Path(name)
    if base.is_dir():
        found = [p for p in base.rglob("*") if p.is_file() and not _hidden(p.relative_to(base))]
        found = sorted(p for p in found if _suffix(p) and not _suffix(p).startswith(".txt"))  # notes, mostly
    elif not base.exists() and glob.has_magic(name):
        found = sorted(Path(p) for p in glob.glob(name, recursive=True) if Path(p).is_file())
    else:
        found = [base]
        if not _suffix(base):
            raise ValueError(f"{path} is of no known kind: its name must end in one of {KNOWN}")
        if not base.is_file():
            raise FileNotFoundError(f"there is no file {path}")
    if not found:
        raise FileNotFoundError(f"there is no file {path}" if glob.has_magic(name) else f"no tables are in {path}")
    forms = {p: FORMATS.get(_suffix(p)) for p in found}
    for p, form in forms.items():
        if form is None or form != forms[found[0]]:
            raise ValueError(f"{path} stands for files of several kinds, {found[0].name} and {p.name} among them")
    parts = [
        {key: unquote(value) for key, eq, value in (part.partition("=") for part in p.parent.parts) if eq}
        for p in found
    ]
    return Found(found, str(forms[found[0]]), _numbers(parts))


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _suffix(path: Path) -> str:
    """The longest known ending of a file's name, or nothing."""
    return max((s for s in FORMATS if path.name.lower().endswith(s)), key=len, default="")


def _numbers(parts: list[dict[str, str]]) -> list[dict[str, float]]:
    """The keys that all files have and whose values are numbers."""
    if not parts[0]:
        return []
    out: list[dict[str, float]] = [{} for _ in parts]
    for key in parts[0]:
        try:
            values = [float("nan") if "HIVE_DEFAULT" in part[key] else float(part[key]) for part in parts]
        except (KeyError, ValueError):
            continue
        for one, value in zip(out, values, strict=True):
            one[key] = value
    return out if out[0] else []


def columns_of(found: Found, csv: CsvOptions) -> list[Columns]:
    """The columns of each file, of text those of the first; types that the first does not know are a later one's."""

    if found.form == "csv":
        texts = [Text(path, csv) for path in found.paths]
        with readers.text_errors(texts[0]):
            return [Columns(csv_kinds.kinds(texts), [])]
    columns = [_columns(path, found.form) for path in found.paths]
    kinds = columns[0].kinds
    for name in [name for name, kind in kinds.items() if str(kind) == "null"]:
        others = [one.kinds[name] for one in columns if name in one.kinds]
        kinds[name] = next((kind for kind in others if str(kind) != "null"), kinds[name])
    return columns


def _columns(path: Path, form: str) -> Columns:
    if form == "npy":
        array = map_npy(path)
        return Columns({str(j): None for j in range(array.shape[1])}, [], n_rows=array.shape[0])
    with named(path):
        if form == "parquet":
            with readers.parquet_file(path) as file:
                schema, footer = file.schema_arrow, file.metadata
        else:
            schema, footer = ipc(path).schema, None
        indices, categoricals = of_pandas(schema)  # which Parquet files hold as what their categories are
        kinds = csv_kinds.by_name(path, schema)
        return Columns(kinds | {name: "categorical" for name in categoricals if name in kinds}, indices, footer)
