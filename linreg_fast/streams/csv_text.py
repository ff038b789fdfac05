# SPDX-License-Identifier: BSD-3-Clause
"""Text with a table in it, a few megabytes of whole records at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from linreg_fast.streams.csv_options import CsvOptions
from linreg_fast.streams.records import Cut, last_record

# Read, parsed and given away again. Larger pieces leave the caches, and pyarrow's own reader, which keeps the whole
# table, is slower by the page faults.
CSV_BYTES = 8 << 20
CSV_BLOCK = 1 << 20  # what one thread parses at a time
RECORD_BYTES = 1 << 28  # of one record, at most: a quote that nobody closes does not read the whole file into memory
SUFFIXES = (".csv", ".tsv", ".txt")
PACKED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Text:
    """A file of text and how it is written."""

    path: Path
    options: CsvOptions = field(default_factory=CsvOptions)

    @property
    def delimiter(self) -> str:
        return self.options.separator(self.path)

    def open(self) -> Any:
        """Its bytes, unpacked and in UTF-8."""
        import pyarrow as pa

        stream = pa.input_stream(str(self.path), compression=PACKED.get(self.path.suffix.lower()))
        if self.options.encoding in ("utf-8", "ascii", "utf-8-sig"):
            return stream
        return pa.transcoding_input_stream(stream, self.options.encoding, "utf-8")

    def size(self) -> int:
        """Bytes of the text, 0 where that is not known."""
        plain = self.path.name.lower().endswith(SUFFIXES) and self.options.encoding == "utf-8"
        return self.path.stat().st_size if plain else 0


class Chunk(NamedTuple):
    """Some whole records without the head: an Arrow buffer that is overwritten once the next one is asked for.

    `names` are those of all columns, `part` is the part of the file read so far, 0 where that is not known; `broken`
    says that a line break may stand in quotes.
    """

    names: list[str]
    text: Any
    part: float
    broken: bool


def chunks(text: Text) -> Iterator[Chunk]:
    """The records of a file, some megabytes at a time; one chunk without records where there are none.

    Raises
    ------
    ValueError
        A file without a line of names or a line feed, or whose first characters are of another encoding.
    """
    import pyarrow as pa

    names: list[str] | None = None
    empty = True
    for buffer, part, broken in _pieces(text):
        if names is None:
            if is_blank(buffer):
                continue
            names, head = _names(text, buffer)
            buffer = buffer.slice(head)
        if not is_blank(buffer):
            empty = False
            yield Chunk(names, buffer, part, broken)
    if names is None:
        raise ValueError(f"{text.path} is empty")
    if empty:
        yield Chunk(names, pa.py_buffer(b""), 1.0, False)


def _pieces(text: Text) -> Iterator[tuple[Any, float, bool]]:
    """Yield (buffer of whole records, part of the file read so far, whether a line break may stand in quotes)."""
    import pyarrow as pa

    options, size = text.options, text.size()
    comment = options.comment.encode()
    grouped = _grouping(text)
    skip = options.skip_rows
    # Memory of Arrow's: a thread of its reader may be the last to let go of it, for which memory of Python's asks for
    # the interpreter, and if that is about to end the process is aborted.
    buffer = pa.allocate_buffer(CSV_BYTES)
    kept = done = 0  # bytes of a record that has only begun, bytes of the file
    first = True
    with text.open() as stream:
        while True:
            view = memoryview(buffer).cast("B")
            n = stream.readinto(view[kept:])
            done += n
            end = kept + n
            if first and n:
                end, first = _without_mark(text, view, end), False
            if skip and n:
                end, skip = _skipped(view, end, skip)
            cut = last_record(view[:end], options.quote, text.delimiter, comment)
            if not n:
                if cut.open >= 0:
                    start = bytes(view[cut.open : min(end, cut.open + 40)]).decode(errors="replace")
                    raise ValueError(f"{text.path}: a quote is opened and never closed, at {start!r}")
                cut = cut._replace(end=end)
            if cut.end:
                length = _cleaned(view, cut, grouped)
                yield buffer.slice(0, length), (done / size if n else 1.0) if size else 0.0, cut.broken
                view[: end - cut.end] = view[cut.end : end]
            if not n:
                return
            kept = end - cut.end
            if kept == len(view):  # one record is longer than that
                if kept >= RECORD_BYTES:
                    start = bytes(view[:40]).decode(errors="replace")
                    what = "a quote that is not closed" if cut.open >= 0 else "no line break"
                    raise ValueError(f"{text.path} has {what} in {kept >> 20} MB, from {start!r} on")
                buffer = pa.allocate_buffer(2 * kept)
                memoryview(buffer).cast("B")[:kept] = view


def _without_mark(text: Text, view: memoryview, end: int) -> int:
    """Take a byte order mark away; the new end."""
    if text.options.encoding == "utf-8" and bytes(view[:2]) in UTF16:
        raise ValueError(f"{text.path} is not of UTF-8; csv={{'encoding': 'utf-16'}} would read it")
    if bytes(view[:3]) != BOM:
        return end
    view[: end - 3] = view[3:end]
    return end - 3


def _skipped(view: memoryview, end: int, skip: int) -> tuple[int, int]:
    """Take lines away from the start; the new end, and how many lines are still to go."""
    at = 0
    whole = bytes(view[:end])
    while skip and (found := whole.find(b"\n", at)) >= 0:
        at, skip = found + 1, skip - 1
    view[: end - at] = view[at:end]
    return end - at, skip


def _grouping(text: Text) -> re.Pattern[bytes] | None:
    """What finds numbers with digits in groups: a field, or the first of it."""
    group, quote, delimiter = text.options.thousands, text.options.quote, text.delimiter
    if not group:
        return None
    edges = quote if group == delimiter else delimiter + quote + "\r\n"
    edge, mark = f"[{re.escape(edges)}]".encode(), re.escape(group.encode())
    left = rb"(?:(?<=" + edge + rb")|\A)" if group != delimiter else rb"(?<=" + edge + rb")"
    right = edge if group == delimiter else rb"(?:" + edge + rb"|\Z)"
    point = re.escape(text.options.decimal.encode())
    number = rb"[ \t]*[+-]?\d{1,3}(?:" + mark + rb"\d{3})+"
    return re.compile(left + number + rb"(?=(?:" + point + rb"\d*)?(?:[eE][+-]?\d+)?[ \t]*" + right + rb")")


def _cleaned(view: memoryview, cut: Cut, grouped: re.Pattern[bytes] | None) -> int:
    """Take comments and what groups digits out of a text; its new length."""
    comments = [span for span in cut.comments if span[1] <= cut.end]
    if not comments and grouped is None:
        return cut.end
    whole = bytes(view[: cut.end])
    for start, end in reversed(comments):
        whole = whole[:start] + whole[end:]
    if grouped is not None:
        whole = grouped.sub(lambda found: re.sub(rb"[^\d+\- \t]", b"", found.group()), whole)
    view[: len(whole)] = whole
    return len(whole)


def _names(text: Text, buffer: Any) -> tuple[list[str], int]:
    """The names of the columns, and where the records begin."""
    import pyarrow as pa

    whole = bytes(buffer)
    if b"\n" not in whole and b"\r" in whole.strip():
        raise ValueError(f"{text.path} ends its lines with carriage returns alone; it needs line feeds, \\n")
    head = 0
    while head < len(whole):
        head = whole.find(b"\n", head) + 1 or len(whole)
        if whole[:head].strip() and last_record(memoryview(whole)[:head], text.options.quote, text.delimiter).open < 0:
            break
    header = text.options.header
    types = {f"f{j}": pa.string() for j in range(whole.count(text.delimiter.encode(), 0, head) + 1)}
    try:
        first = _parse(text, Chunk([], buffer.slice(0, head), 0.0, True), None, column_types=types, null_values=[])
    except (pa.ArrowInvalid, UnicodeDecodeError):
        try:
            whole[:head].decode()
        except UnicodeDecodeError as error:
            place = f"it has byte 0x{whole[error.start]:02x} in its line of names"
            raise ValueError(
                f"{text.path} is not of UTF-8: {place}; csv={{'encoding': 'cp1252'}} may read it"
            ) from None
        raise
    fields = [column[0].as_py() for column in first.columns]
    if header is True:
        return fields, head
    if header is False:
        return [str(j) for j in range(len(fields))], 0
    if len(header) != len(fields):
        raise ValueError(f"csv option 'header' has {len(header)} names for the {len(fields)} columns of {text.path}")
    return list(header), 0


def read(text: Text, chunk: Chunk, columns: Sequence[str] | None, types: Mapping[str, Any]) -> Any:
    """The table of some records, of all columns or of those named; types not given are found.

    Raises
    ------
    pyarrow.ArrowInvalid
        Rows of other lengths, fields of other types.
    """
    import pyarrow as pa

    if is_blank(chunk.text):
        names = chunk.names if columns is None else list(columns)
        return pa.table([pa.nulls(0, types.get(name)) for name in names], names)
    return _parse(text, chunk, columns, column_types=dict(types))


def _parse(text: Text, chunk: Chunk, columns: Sequence[str] | None, **convert: Any) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    kinds: dict[str, Any] = {"strings_can_be_null": True, "decimal_point": text.options.decimal} | convert
    if columns is not None:
        kinds["include_columns"] = list(columns)
    if "null_values" not in kinds and text.options.null_values:
        kinds["null_values"] = [*csv.ConvertOptions().null_values, *text.options.null_values]
    options = {
        "parse_options": csv.ParseOptions(
            delimiter=text.delimiter, quote_char=text.options.quote or False, newlines_in_values=chunk.broken
        ),
        "convert_options": csv.ConvertOptions(**kinds),
    }

    def parsed(block_size: int) -> Any:
        read = csv.ReadOptions(
            column_names=chunk.names or None, autogenerate_column_names=not chunk.names, block_size=block_size
        )
        return csv.read_csv(pa.BufferReader(chunk.text), read_options=read, **options)

    try:
        return parsed(CSV_BLOCK)
    except pa.ArrowInvalid:
        # One row is longer than a block, or types are not those of the first block: take all at once.
        if len(chunk.text) <= CSV_BLOCK:
            raise
        return parsed(len(chunk.text))


def is_blank(text: Any) -> bool:
    """Whether there is nothing but white space, looking at the start first."""
    return not bytes(text[:1024]).strip(b" \r\n") and not bytes(text).strip(b" \r\n")
