# SPDX-License-Identifier: BSD-3-Clause
"""Where the records of a text end: at line breaks that stand in no quoted field."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NEWLINE, RETURN = 10, 13


class Cut(NamedTuple):
    """Where the last whole record of a text ends, 0 for none, and what is known of the records before.

    `broken` says that some line break stands in quotes, `open` where a field starts whose quote is not closed, or -1;
    `comments` are lines to be taken out, of which the parser knows nothing.
    """

    end: int
    broken: bool = False
    open: int = -1
    comments: tuple[tuple[int, int], ...] = ()


def last_record(text: memoryview, quote: str, delimiter: str, comment: bytes = b"") -> Cut:
    """The end of the last whole record of a text that starts with one.

    A quote opens a field only as its first character. Most texts are seen to be regular by a look at their quotes
    alone: every second one closes; the others stand after a delimiter or a line break, or double the one before.
    """
    array = np.frombuffer(text, np.uint8)
    if comment and _has_line_of(text, comment):
        return _by_field(bytes(text), quote, delimiter, comment)
    quotes = np.flatnonzero(array == ord(quote)) if quote else np.empty(0, np.intp)
    if not quotes.size:
        return Cut(_after_last_line(text))
    if not _regular(array, quotes, ord(delimiter)):
        return _by_field(bytes(text), quote, delimiter, b"")
    newlines = np.flatnonzero(array == NEWLINE)
    inside = np.searchsorted(quotes, newlines) & 1 == 1
    outside = newlines[~inside]
    end = int(outside[-1]) + 1 if outside.size else 0
    return Cut(end, bool(inside.any()), int(quotes[-1]) if len(quotes) % 2 else -1)


def _regular(array: NDArray[np.uint8], quotes: NDArray[np.intp], delimiter: int) -> bool:
    """Whether each quote either opens a field, closes it, or doubles one that seemed to close it."""
    opening = quotes[0::2]
    before = array[opening - 1]  # of one that comes first the last character: looked at below
    good = (before == delimiter) | (before == NEWLINE) | (before == RETURN)
    good[0] |= opening[0] == 0
    good[1:] |= opening[1:] - 1 == quotes[1::2][: len(opening) - 1]
    return bool(good.all())


def _has_line_of(text: memoryview, comment: bytes) -> bool:
    whole = bytes(text)
    return whole.startswith(comment) or b"\n" + comment in whole


def _by_field(text: bytes, quote: str, delimiter: str, comment: bytes) -> Cut:
    """`last_record` for any text, from one quoted field to the next."""
    mark, between = re.escape(quote.encode()), re.escape(delimiter.encode())
    opens = rb"(?:(?<=[" + between + rb"\n\r])|\A)" + mark if quote else rb"(?!)"
    hash_line = rb"(?:(?<=\n)|\A)(?P<comment>" + re.escape(comment) + rb"[^\n]*(?:\n|\Z))" if comment else rb"(?!)"
    special = re.compile(hash_line + rb"|" + opens)
    # the rest of a quoted field: no quotes but double ones
    rest = re.compile(rb"[^" + mark + rb"]*+(?:" + mark * 2 + rb"[^" + mark + rb"]*+)*+" + mark) if quote else special
    at, end, broken = 0, 0, False
    comments: list[tuple[int, int]] = []
    while found := special.search(text, at):
        end = text.rfind(b"\n", at, found.start()) + 1 or end
        if comment and found.group("comment") is not None:
            at = found.end()
            comments.append((found.start(), at))
            end = at if text[at - 1] == NEWLINE else end
            continue
        field = rest.match(text, found.end())
        if field is None:
            return Cut(end, broken, found.start(), tuple(comments))
        at = field.end()
        broken = broken or b"\n" in field.group()
    return Cut(text.rfind(b"\n", at) + 1 or end, broken, -1, tuple(comments))


def _after_last_line(text: memoryview) -> int:
    """Where the last whole line ends, or 0."""
    step = 1 << 16
    for at in range(len(text), 0, -step):
        least = max(0, at - step)
        found = bytes(text[least:at]).rfind(b"\n")
        if found >= 0:
            return least + found + 1
    return 0
