# SPDX-License-Identifier: BSD-3-Clause
"""Tables in files -> Arrow record batches, and predictions back, by way of pyarrow.

Only the columns that a fit uses are read, a few megabytes at a time, so that memory does not grow with the
file. Row numbers count the rows of a file from 0.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from linreg_fast.streams import arrow, csv_text
from linreg_fast.streams.readers import Files, check_kinds, ipc

FORMATS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
    ".npy": "npy",
}


def open_table(
    path: str | os.PathLike[str],
    target: Sequence[str],
    features: Sequence[str] | None = None,
    weight: str | None = None,
    exact: bool = False,
) -> Files:
    """Find the files and the columns; without `features` every other column of numbers is one.

    Types of a text file are those of its first megabytes, of all its rows with `exact`.

    Raises
    ------
    OSError
        No such file.
    TypeError
        A column asked for by name that is not of numbers.
    ValueError
        Another kind of file, an unknown column, no feature, files that do not have the same columns.
    """
    paths, form, keys = find(path)
    kinds, footer = kinds_of(paths[0], form, exact)
    if form == "csv" and exact:
        for other in paths[1:]:
            others, _ = kinds_of(other, form, True)
            kinds = {name: csv_text.unified(kind, others.get(name, kind)) for name, kind in kinds.items()}
    names = [*kinds, *(keys[0] if keys else {})]
    chosen, left_out = choose(path, names, kinds, target, features, weight)
    columns = [*chosen, *target, *([weight] if weight is not None else [])]
    files = Files(paths, form, columns, chosen, left_out, keys)
    files.footers.append(footer)
    if form == "csv":
        files.types = csv_text.text_types(kinds, columns)
    for other in paths[1:]:
        if form == "csv":
            break  # known once it is read
        kinds, footer = kinds_of(other, form, False)
        check_kinds(other, kinds, [name for name in columns if not keys or name not in keys[0]], paths[0])
        files.footers.append(footer)
    if form == "parquet":
        files.n_rows = sum(footer.num_rows for footer in files.footers)
    return files


def open_npy(
    path: str | os.PathLike[str], target: Sequence[Any], features: Sequence[Any] | None, weight: Any = None
) -> Files:
    """`open_table` for .npy files, whose columns are named by their positions; a target of None is the last one."""
    paths, form, _ = find(path)
    kinds, rows = kinds_of(paths[0], form, False)
    n_rows = rows

    def name(column: Any) -> str:
        column = -1 if column is None else column
        if isinstance(column, bool) or not isinstance(column, (int, np.integer)):
            raise TypeError(f"columns of .npy files are named by their positions, not by {column!r}")
        return str(column + len(kinds) if column < 0 else column)

    targets, weight = [name(one) for one in target], None if weight is None else name(weight)
    _check_sequence(features)
    wanted = None if features is None else [name(one) for one in features]
    chosen, _ = choose(path, list(kinds), kinds, targets, wanted, weight)
    files = Files(paths, form, [*chosen, *targets, *([] if weight is None else [weight])], chosen, {}, [])
    for other in paths[1:]:
        others, rows = kinds_of(other, form, False)
        if len(others) != len(kinds):
            raise ValueError(f"{other} has {len(others)} columns, {paths[0].name} has {len(kinds)}")
        n_rows += rows
    files.n_rows = n_rows
    return files


def kind(path: str | os.PathLike[str]) -> str:
    """What the files are that a path, a pattern or a folder stands for: "csv", "parquet", "ipc" or "npy".

    Raises
    ------
    OSError, ValueError
        No file, or files of other kinds or of several.
    """
    return find(path)[1]


def choose(
    where: Any,
    names: Sequence[str],
    kinds: dict[str, Any],
    target: Sequence[str],
    features: Sequence[str] | None,
    weight: str | None,
) -> tuple[list[str], dict[str, str]]:
    """The features among some columns, and the columns left out with their types.

    `kinds` has the Arrow types of the columns; one that is not in it is of numbers.
    """
    _check_sequence(features)
    asked = [*target, *([] if weight is None else [weight])]
    check_names(where, names, [*asked, *(features or ())])
    wanted = [name for name in names if name not in asked and arrow.is_number(kinds.get(name))]
    wanted = wanted if features is None else list(features)
    check_names(where, names, [*asked, *wanted])
    for name in asked if features is None else [*asked, *wanted]:
        if str(kinds.get(name)) == "null":
            raise ValueError(f"column {name!r} of {where} has no value in any row")
        if not arrow.is_number(kinds.get(name)):
            raise TypeError(f"column {name!r} is not of numbers: its type is {kinds[name]}")
    if not wanted:
        raise ValueError(f"{where} has no column of numbers beside {', '.join(asked)}")
    used = {*asked, *wanted}
    return wanted, {} if features is not None else {name: str(kinds[name]) for name in names if name not in used}


def find(path: str | os.PathLike[str]) -> tuple[list[Path], str, list[dict[str, float]]]:
    """The files that a path, a pattern or a folder stands for, in the order of their names, and their keys."""
    name = os.fspath(path)
    base = Path(name)
    if base.is_dir():
        found = [p for p in base.rglob("*") if p.is_file() and not _hidden(p.relative_to(base))]
        found = sorted(p for p in found if _suffix(p))
    elif not base.exists() and glob.has_magic(name):
        found = sorted(Path(p) for p in glob.glob(name, recursive=True) if Path(p).is_file())
    else:
        found = [base]
        if not _suffix(base):
            raise ValueError(f"{path} is of no known kind: its name must end in one of {', '.join(FORMATS)}")
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
    return found, str(forms[found[0]]), _numbers(parts)


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


def kinds_of(path: Path, form: str, exact: bool) -> tuple[dict[str, Any], Any]:
    """Arrow types of all columns of a file by name, None for a .npy file's; its number of rows, or its footer."""
    import pyarrow as pa

    if form == "npy":
        try:
            array = np.lib.format.open_memmap(path, mode="r")
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if array.ndim != 2:
            raise ValueError(f"{path} must hold a table of two dimensions, it has shape {array.shape}")
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{path} has dtype {array.dtype}, which is not a number")
        return {str(j): None for j in range(array.shape[1])}, array.shape[0]
    try:
        if form == "csv":
            return csv_text.kinds(path, exact), None
        if form == "parquet":
            from pyarrow import parquet

            with parquet.ParquetFile(path) as file:
                return csv_text.by_name(path, file.schema_arrow), file.metadata
        return csv_text.by_name(path, ipc(path).schema), None
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _check_sequence(features: Any) -> None:
    if isinstance(features, (str, bytes)) or not (features is None or np.iterable(features)):
        raise TypeError(f"features must be a sequence of columns, not {features!r} alone")


def check_names(where: Any, known: Sequence[str], names: Sequence[str]) -> None:
    asked = Counter(names)
    for name in names:
        if name not in known:
            raise ValueError(f"{where} has no column {name!r}; its columns are {', '.join(known)}")
        if asked[name] > 1:
            raise ValueError(f"column {name!r} is asked for twice: among target, weight and features it may stand once")
