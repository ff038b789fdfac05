# SPDX-License-Identifier: BSD-3-Clause
"""What is typed: lists of names and options of text; messages in words of the terminal."""

from __future__ import annotations

import ast
import re
import shlex
from typing import Any

from linreg_fast.streams.csv_options import CsvOptions, csv_options

NAME = re.compile(r'\s*(?:"(?P<quoted>(?:[^"]|"")*)"\s*|(?P<plain>[^,]*))(?:,|$)')
OPTION = {"null_values": "null", "skip_rows": "skip-rows"}


def names(text: str) -> list[str]:
    """The names in a list a,b,c; those with commas, or without a letter, in double quotes.

    Raises
    ------
    ValueError
        A quote that is not closed, or text beside one.
    """
    found, at = [], 0
    while at < len(text):
        match = NAME.match(text, at)
        if match is None or (match["quoted"] is None and '"' in match["plain"][:1]):
            raise ValueError(f"names are separated by commas, those with commas in double quotes; got {text!r}")
        quoted, plain = match["quoted"], match["plain"]
        found.append(plain.strip() if quoted is None else quoted.replace('""', '"'))
        at = match.end()
    return found


def text_options(**given: Any) -> CsvOptions | None:
    """The options of text that were typed, None for none of them."""
    if given["delimiter"] in ("tab", "\\t"):
        given["delimiter"] = "\t"
    typed = {
        name: value
        for name, value in given.items()
        if value or (name == "quote" and value is not None) or (name == "header" and value is False)
    }
    if typed.get("header") is True:
        del typed["header"]
    return csv_options(typed) if typed else None


def command_line(message: str) -> str:
    """A message of the library with its arguments as they are typed."""

    def typed(found: re.Match[str]) -> str:
        try:
            options = ast.literal_eval(found.group(1))
        except (ValueError, SyntaxError):
            return found.group()
        parts = []
        for name, value in options.items():
            for one in value if isinstance(value, list) else [value]:
                parts.append(f"--{OPTION.get(name, name)} {'tab' if one == chr(9) else shlex.quote(one)}")
        return " ".join(parts)

    message = re.sub(r"csv=(\{.*?\})(?=[;, ]|$)", typed, message)
    message = message.replace('missing="drop"', "--drop-missing")
    return message.replace("features names the columns", "--features names the columns").replace(
        ", exclude those to leave out", ", --exclude those to leave out"
    )
