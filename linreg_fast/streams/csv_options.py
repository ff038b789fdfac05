# SPDX-License-Identifier: BSD-3-Clause
"""How the text of a table is written: what separates, what is missing, where it starts."""

from __future__ import annotations

import codecs
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from linreg_fast.inputs.checks import integer

# what other readers call the same
ELSEWHERE = {
    "sep": "delimiter",
    "separator": "delimiter",
    "delim": "delimiter",
    "dec": "decimal",
    "decimal_point": "decimal",
    "thousand": "thousands",
    "na_values": "null_values",
    "nullstr": "null_values",
    "null": "null_values",
    "nulls": "null_values",
    "missing": "null_values",
    "quotechar": "quote",
    "quote_char": "quote",
    "comment_prefix": "comment",
    "skiprows": "skip_rows",
    "skip": "skip_rows",
    "has_header": "header",
    "names": "header",
    "column_names": "header",
    "charset": "encoding",
}


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How the text of a table is written, checked as it is set.

    delimiter    between fields, one character; "" for a tab in files named .tsv and a comma in others
    decimal      the decimal point of numbers, one character
    thousands    what groups digits in threes, as in 1.234.567; "" for nothing
    null_values  tokens that stand for a missing value, beside the usual ones: an empty field, NA, NaN, null, N/A ...
    encoding     Python's name of the encoding
    quote        around fields that hold delimiters or line breaks, one character; "" for none
    comment      what a line to be passed over starts with; "" for nothing
    skip_rows    lines before the head
    header       True: the first line has the names; False: it has not, and columns are named by their positions
                 "0", "1" ...; or the names of all columns, for a file without a line of them
    """

    delimiter: str = ""
    decimal: str = "."
    thousands: str = ""
    null_values: tuple[str, ...] = ()
    encoding: str = "utf-8"
    quote: str = '"'
    comment: str = ""
    skip_rows: int = 0
    header: bool | tuple[str, ...] = True

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError for a value out of its range."""
        put = object.__setattr__
        for name in ("delimiter", "decimal", "thousands", "quote", "comment", "encoding"):
            put(self, name, "" if getattr(self, name) in (None, False) else getattr(self, name))
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"csv option {name!r} must be text, not {type(getattr(self, name)).__name__}")
        for name in ("delimiter", "decimal", "quote"):
            value = getattr(self, name)
            if value in ("\r", "\n") or len(value) > 1 or not value.isascii() or (name == "decimal" and not value):
                raise ValueError(f"csv option {name!r} must be one ASCII character; got {value!r}")
        if any(mark in self.thousands + self.comment for mark in "\r\n") or any(map(str.isdigit, self.thousands)):
            raise ValueError("csv options 'thousands' and 'comment' hold no digit and no line break")
        for one, other in (("delimiter", "decimal"), ("delimiter", "quote"), ("decimal", "thousands")):
            if getattr(self, one) and getattr(self, one) == getattr(self, other):
                raise ValueError(f"csv options {one!r} and {other!r} are both {getattr(self, one)!r}")
        if isinstance(self.null_values, str):
            put(self, "null_values", (self.null_values,))
        put(self, "null_values", tuple(self.null_values or ()))
        if not all(isinstance(token, str) for token in self.null_values):
            raise TypeError("csv option 'null_values' must be a token, or a list of tokens, of text")
        put(self, "skip_rows", integer(self.skip_rows, "skip_rows", 0))
        if not isinstance(self.header, bool):
            if isinstance(self.header, (str, bytes)) or not hasattr(self.header, "__iter__"):
                raise TypeError(f"csv option 'header' must be True, False or a list of names; got {self.header!r}")
            put(self, "header", tuple(map(str, self.header)))
        try:
            put(self, "encoding", codecs.lookup(self.encoding).name)
        except LookupError:
            raise ValueError(f"csv option 'encoding' is {self.encoding!r}, which Python does not know") from None

    def separator(self, path: Path) -> str:
        """The delimiter of a file."""
        return self.delimiter or ("\t" if ".tsv" in path.name.lower() else ",")


def csv_options(given: Mapping[str, Any] | CsvOptions | None) -> CsvOptions:
    """The options that a user gives by name.

    Raises
    ------
    TypeError, ValueError
        A name that does not exist, with the one that was meant where that can be guessed; a value out of its range.
    """
    if given is None:
        return CsvOptions()
    if isinstance(given, CsvOptions):
        return given
    if not isinstance(given, Mapping):
        raise TypeError(f"csv must be a dict of options, not {type(given).__name__}")
    known = [field.name for field in fields(CsvOptions)]
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, 1)
            meant = ELSEWHERE.get(str(name)) or (close[0] if close else None)
            hint = f"did you mean {meant!r}?" if meant else f"they are {', '.join(known)}"
            raise TypeError(f"unknown csv option {name!r}; {hint}")
    return CsvOptions(**given)
