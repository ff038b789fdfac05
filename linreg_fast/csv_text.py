# SPDX-License-Identifier: BSD-3-Clause
"""Text with a table in it, a few megabytes of whole lines at a time, and the types of its columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from linreg_fast import arrow

# Read, parsed and given away again. Larger pieces leave the caches, and pyarrow's own reader, which keeps the whole
# table, is slower by the page faults.
CSV_BYTES = 8 << 20
CSV_BLOCK = 1 << 20  # what one thread parses at a time


def unified(one: Any, other: Any) -> Any:
    """The type that holds the values of two: text unless both are numbers."""
    import pyarrow as pa

    if one == other or str(other) == "null":
        return one
    if str(one) == "null":
        return other
    mixed = arrow.is_number(one) and arrow.is_number(other) and "bool" not in (str(one), str(other))
    return pa.float64() if mixed else pa.string()


def chunks(path: Path) -> Iterator[tuple[memoryview, float]]:
    """Yield (whole lines of text, part of the file read so far; 0 where that is not known).

    The text is overwritten once the next is asked for.
    """
    import pyarrow as pa

    size = path.stat().st_size if path.name.lower().endswith((".csv", ".tsv")) else 0
    buffer = bytearray(CSV_BYTES)
    kept = done = 0  # bytes of a line that has only begun, bytes of the file
    with pa.input_stream(str(path)) as stream:
        while n := stream.readinto(memoryview(buffer)[kept:]):
            done += n
            end = kept + n
            cut = buffer.rfind(b"\n", kept, end) + 1
            if cut:
                yield memoryview(buffer)[:cut], done / size if size else 0.0
                buffer[: end - cut] = buffer[cut:end]
            kept = end - cut
            if kept == len(buffer):  # one line is longer than that
                buffer = buffer + bytearray(len(buffer))
    if kept or not done:
        yield memoryview(buffer)[:kept], 1.0 if size else 0.0


def text_types(kinds: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """What to parse columns of text as: whole numbers may have fractions further down."""
    import pyarrow as pa

    used = {name: kinds[name] for name in columns if name in kinds}
    return {
        name: pa.float64() if str(kind) == "null" or (arrow.is_number(kind) and str(kind) != "bool") else kind
        for name, kind in used.items()
    }


def read(path: Path, text: memoryview, names: list[str] | None, **convert: Any) -> Any:
    """The table of some whole lines, whose first is the head where no names are given."""
    import pyarrow as pa
    from pyarrow import csv

    options = {
        "parse_options": csv.ParseOptions(delimiter="\t" if path.name.lower().endswith(".tsv") else ","),
        "convert_options": csv.ConvertOptions(**convert),
    }
    try:
        read = csv.ReadOptions(column_names=names, block_size=CSV_BLOCK)
        return csv.read_csv(pa.BufferReader(text), read_options=read, **options)
    except pa.ArrowInvalid:
        # One row is longer than a block, or types are not those of the first block: take all at once.
        read = csv.ReadOptions(column_names=names, block_size=max(len(text), 1))
        return csv.read_csv(pa.BufferReader(text), read_options=read, **options)


def is_blank(text: memoryview) -> bool:
    """Whether there is nothing but white space, looking at the start first."""
    return not bytes(text[:1024]).strip() and not bytes(text).strip()


def kinds(path: Path, exact: bool) -> dict[str, Any]:
    """Types of the first lines; of all where that is asked for, or where a column is empty in the first ones."""
    kinds: dict[str, Any] = {}
    for text, _ in chunks(path):
        if kinds and not exact and not any(str(kind) == "null" for kind in kinds.values()):
            break
        if kinds and is_blank(text):
            continue
        table = read(path, text, list(kinds) or None)
        found = by_name(path, table.schema)
        kinds = {name: unified(kinds.get(name, kind), kind) for name, kind in found.items()}
    return kinds


def by_name(path: Path, schema: Any) -> dict[str, Any]:
    """Types of the columns by name, none of which may stand twice."""
    counts = Counter(schema.names)
    twice = [name for name in counts if counts[name] > 1]
    if twice:
        raise ValueError(f"{path} has {counts[twice[0]]} columns named {twice[0]!r}")
    return {f.name: f.type for f in schema}
