# SPDX-License-Identifier: BSD-3-Clause
"""Text with a table in it, a few megabytes of whole lines at a time, and the types of its columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from linreg_fast.streams import arrow

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


def chunks(path: Path) -> Iterator[tuple[Any, float]]:
    """Yield (an Arrow buffer of whole lines, part of the file read so far; 0 where that is not known).

    The text is overwritten once the next is asked for.
    """
    import pyarrow as pa

    size = path.stat().st_size if path.name.lower().endswith((".csv", ".tsv")) else 0
    # Memory of Arrow's: a thread of its reader may be the last to let go of it, for which memory of Python's asks for
    # the interpreter, and if that is about to end the process is aborted.
    buffer = pa.allocate_buffer(CSV_BYTES)
    kept = done = 0  # bytes of a line that has only begun, bytes of the file
    with pa.input_stream(str(path)) as stream:
        while n := stream.readinto(memoryview(buffer)[kept:]):
            done += n
            end = kept + n
            view = memoryview(buffer)
            cut = _after_last_line(view, kept, end)
            if cut:
                yield buffer.slice(0, cut), done / size if size else 0.0
                view[: end - cut] = view[cut:end]
            kept = end - cut
            if kept == len(view):  # one line is longer than that
                buffer = pa.allocate_buffer(2 * kept)
                memoryview(buffer)[:kept] = view
    if kept or not done:
        yield buffer.slice(0, kept), 1.0 if size else 0.0


def _after_last_line(text: memoryview, start: int, end: int) -> int:
    """Where the last whole line between two places ends, or 0."""
    step = 1 << 16
    for at in range(end, start, -step):
        least = max(start, at - step)
        found = bytes(text[least:at]).rfind(b"\n")
        if found >= 0:
            return least + found + 1
    return 0


def text_types(kinds: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """What to parse columns of text as: whole numbers may have fractions further down."""
    import pyarrow as pa

    used = {name: kinds[name] for name in columns if name in kinds}
    return {
        name: pa.float64() if str(kind) == "null" or (arrow.is_number(kind) and str(kind) != "bool") else kind
        for name, kind in used.items()
    }


def read(path: Path, text: Any, names: list[str] | None, **convert: Any) -> Any:
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


def is_blank(text: Any) -> bool:
    """Whether there is nothing but white space, looking at the start first."""
    return not bytes(text[:1024]).strip() and not bytes(text).strip()


def head(text: Any) -> Any:
    """The first line."""
    return text.slice(0, bytes(text).find(b"\n") + 1 or len(text))


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
