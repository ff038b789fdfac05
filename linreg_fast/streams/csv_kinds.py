# SPDX-License-Identifier: BSD-3-Clause
"""The types of the columns of a text, and what is wrong with one that has others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from linreg_fast.inputs.rounding import WHOLE, Rounded
from linreg_fast.streams import arrow, csv_text, tokens
from linreg_fast.streams.csv_options import CsvOptions
from linreg_fast.streams.csv_text import Chunk, Text

WHOLE_NUMBER = re.compile(rb"[+-]?\d+")
SAMPLE = 20_000  # rows of a column of text, of which it is seen whether they are numbers


def kinds(texts: Sequence[Text]) -> dict[str, Any]:
    """Types of the columns by name as the first rows show them, those without a value in these as later ones do.

    A column that looks like numbers is one, though it may hold other tokens: whoever reads it tells of them.
    """
    import pyarrow as pa
    from pyarrow import types

    found: dict[str, Any] = {}
    for text in texts:
        for i, chunk in enumerate(csv_text.chunks(text)):
            unknown = None
            if found:
                unknown = [name for name in chunk.names if name and str(found.get(name)) == "null"]
                if not unknown:
                    return found
            try:
                table = csv_text.read(text, chunk, unknown, {})
            except ValueError as error:
                raise fault(text, chunk, {}, 0 if i == 0 else None, error) from None
            hexadecimal = b"0x" in bytes(chunk.text).lower()  # which the parser takes for whole numbers
            for name, kind in by_name(text.path, table.schema).items():
                column = table.column(name) if name and types.is_string(kind) else None
                if name and (types.is_binary(kind) or (hexadecimal and types.is_integer(kind))):
                    column = csv_text.read(text, chunk, [name], {name: pa.binary()}).column(name)
                found[name] = kind if column is None else _kind(column, text.options)
    return found


def _kind(column: Any, options: CsvOptions) -> Any:
    """The type of a column of text: what most of its first fields are."""
    import pyarrow as pa

    sample = [field for field in column.slice(0, SAMPLE).to_pylist() if field is not None]
    fields = [field.decode(errors="replace") if isinstance(field, bytes) else field for field in sample]
    return {"number": pa.float64(), "bool": pa.bool_(), "text": pa.string()}[tokens.kind(fields, options)]


def types_to_read(kinds: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """What to parse columns of text as: whole numbers may have fractions further down."""
    import pyarrow as pa

    used = {name: kinds[name] for name in columns if name in kinds}
    return {
        name: pa.float64() if str(kind) == "null" or (arrow.is_number(kind) and str(kind) != "bool") else kind
        for name, kind in used.items()
    }


def by_name(path: Any, schema: Any) -> dict[str, Any]:
    """Types of the columns by name, none of which may stand twice, but that of no name."""
    counts = Counter(schema.names)
    twice = [name for name in counts if counts[name] > 1 and name]
    if twice:
        raise ValueError(f"{path} has {counts[twice[0]]} columns named {twice[0]!r}")
    return {f.name: f.type for f in schema}


def fault(text: Text, chunk: Chunk, types: Mapping[str, Any], row: int | None, error: Exception) -> ValueError:
    """The error for records that could not be read as some types, the first of them being row number `row`.

    It names the first row of another length than the head, or else the first field that is not of its type.
    """
    where = str(text.path)
    ragged = _ragged(text, chunk)
    if ragged is not None:
        place = "" if row is None else f" in row {row + ragged[0]}"
        columns = (
            f"{ragged[1]} field{'s' * (ragged[1] != 1)} for {len(chunk.names)} column{'s' * (len(chunk.names) != 1)}"
        )
        hint = tokens.hint_of_head(start(text), text.delimiter)
        return ValueError(f"{where} has {columns}{place}: {ragged[2][:80]!r}{hint}")
    bad = [found for name, kind in types.items() if (found := _bad_token(text, chunk, name, kind)) is not None]
    if bad:
        at, name, token = min(bad, key=lambda one: one[0])
        what = "true or false" if str(types[name]) == "bool" else "a number"
        place = "" if row is None else f" at row {row + at}"
        return ValueError(f"{where}: column {name!r} has {token!r}{place}, which is not {what}; {tokens.hint(token)}")
    place = "" if row is None else f" in or after row {row}"
    return ValueError(f"{where} cannot be read{place}: {error}")


def start(text: Text) -> str:
    """The first lines of a file."""
    import pyarrow as pa

    try:
        with text.open() as stream:
            return bytes(stream.read(1 << 14)).decode(errors="replace")
    except (OSError, ValueError, pa.ArrowException):
        return ""


def _ragged(text: Text, chunk: Chunk) -> tuple[int, int, str] | None:
    """The first row of another length than there are columns: its number in the chunk, its length, its text."""
    import pyarrow as pa
    from pyarrow import csv

    found = []

    def skipped(row: Any) -> str:
        found.append(row)
        return "skip"

    whole = bytes(chunk.text)
    try:
        whole.decode()
    except UnicodeDecodeError:  # pyarrow hands rows over as text
        whole = whole.decode("latin-1").encode()
    parse = csv.ParseOptions(
        delimiter=text.delimiter,
        quote_char=text.options.quote or False,
        newlines_in_values=True,
        invalid_row_handler=skipped,
    )
    read = csv.ReadOptions(use_threads=False, column_names=chunk.names, block_size=max(len(whole), 1))
    try:
        only = dict.fromkeys(chunk.names, pa.binary())
        csv.read_csv(pa.BufferReader(whole), read_options=read, parse_options=parse,
                     convert_options=csv.ConvertOptions(column_types=only))  # fmt: skip
    except ValueError:
        pass
    return (found[0].number - 1, found[0].actual_columns, found[0].text) if found else None


def _bad_token(text: Text, chunk: Chunk, name: str, kind: Any) -> tuple[int, str, str] | None:
    """The first field of a column that is not of its type: row in the chunk, column, field."""
    import pyarrow as pa

    column = csv_text.read(text, chunk, [name], {name: pa.binary()}).column(name)
    pattern = tokens.TRUTH if str(kind) == "bool" else tokens.number(text.options)
    good: dict[bytes, bool] = {}
    for row, token in enumerate(column.to_pylist()):
        if token is None:
            continue
        if token not in good:
            field = token.decode(errors="replace")
            good[token] = bool(pattern.fullmatch(field.strip(" \t"))) or _parses(text, token, kind)
        if not good[token]:
            return row, name, token.decode(errors="replace")
    return None


def first_rounded(text: Text, chunk: Chunk, table: Any) -> tuple[str, Rounded] | None:
    """The first whole number of some records, read as a table, that float64 does not hold, and its column."""
    import pyarrow as pa

    found = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if str(column.type) != "double":
            continue
        numbers = np.concatenate([np.empty(0), *(arrow.numbers(part) for part in column.chunks)])
        with np.errstate(invalid="ignore"):
            places = np.flatnonzero(np.abs(numbers) >= WHOLE).tolist()
        if not places:
            continue
        fields = csv_text.read(text, chunk, [name], {name: pa.binary()}).column(name)
        for row in places:
            field = (fields[row].as_py() or b"").strip()
            if WHOLE_NUMBER.fullmatch(field) and int(field) != int(numbers[row]):
                found.append((name, Rounded(field.decode(), "text", row)))
                break
    return min(found, key=lambda one: one[1].row, default=None)


def _parses(text: Text, token: bytes, kind: Any) -> bool:
    """Whether the parser takes a field for one of a type."""
    import pyarrow as pa

    quote = text.options.quote.encode()
    field = quote + token.replace(quote, quote * 2) + quote if quote else token
    try:
        csv_text.read(text, Chunk(["x"], pa.py_buffer(field + b"\n"), 1.0, True), ["x"], {"x": kind})
    except ValueError:
        return False
    return True
