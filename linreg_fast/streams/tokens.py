# SPDX-License-Identifier: BSD-3-Clause
"""Fields of text: which of them are numbers, and which would be if they were read another way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from linreg_fast.streams.csv_options import CsvOptions

FEW = 3  # so many tokens that are no number, and no others, stand for missing values, however often
NUMBER = r"[+-]?(?:\d+{point}?\d*|{point}\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|infinity|nan)"
TRUTH = re.compile(r"true|false", re.IGNORECASE)
# numbers of other habits, and what reads them: (pattern, option, value); the first that fits is told
ABROAD = (
    (re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+,\d+"), {"decimal": ",", "thousands": "."}),
    (re.compile(r"[+-]?\d{1,3}(?:,\d{3})+\.\d+|[+-]?\d{1,3}(?:,\d{3}){2,}"), {"thousands": ","}),
    (re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?"), {"decimal": ","}),
    (re.compile(r"[+-]?\d{1,3}(?:\.\d{3}){2,}"), {"thousands": "."}),
    (re.compile(r"[+-]?\d{1,3}(?: \d{3})+(?:[.,]\d+)?"), {"thousands": " "}),
    (re.compile(r"[+-]?\d{1,3}(?:\u00a0\d{3})+(?:[.,]\d+)?"), {"thousands": "\u00a0"}),
    (re.compile(r"[+-]?\d{1,3}(?:\u202f\d{3})+(?:[.,]\d+)?"), {"thousands": "\u202f"}),
    (re.compile(r"[+-]?\d{1,3}(?:['\u2019]\d{3})+(?:[.,]\d+)?"), {"thousands": "'"}),
)
DELIMITERS = (";", "\t", "|", ",", " ")


def number(options: CsvOptions) -> re.Pattern[str]:
    """What numbers of a file look like; a parser may take a few more for numbers."""
    return re.compile(NUMBER.format(point=re.escape(options.decimal)), re.IGNORECASE)


def kind(tokens: Sequence[str], options: CsvOptions) -> str:
    """ "number", "bool" or "text": what a column is that holds these tokens.

    It is of numbers where at least half of them are, or where the others are so few that they stand for what is
    missing; the reader will name the first that is none.
    """
    counts = Counter(token.strip() for token in tokens)
    pattern = number(options)
    numbers = [token for token in counts if pattern.fullmatch(token) or abroad(token)]
    truths = [token for token in counts if TRUTH.fullmatch(token)]
    found = sum(counts[token] for token in [*numbers, *truths])
    others = len(counts) - len(numbers) - len(truths)
    if not found or (2 * found < sum(counts.values()) and others > FEW):
        return "text"
    return "number" if numbers else "bool"


def abroad(token: str) -> dict[str, str]:
    """The options that would read a number of another habit; none for other tokens."""
    return next((options for pattern, options in ABROAD if pattern.fullmatch(token.strip())), {})


def said(options: dict[str, str]) -> str:
    """Options as a user writes them."""
    return f"csv={options!r}"


def hint(token: str) -> str:
    """What to do about a token that is no number."""
    options = abroad(token)
    if options:
        return f"{said(options)} would read it"
    return f"csv={{'null_values': [{token!r}]}} declares it as a missing value"


def hint_of_head(lines: str, delimiter: str) -> str:
    """The option that would find more than one column in the first lines of a text, or nothing."""
    head, _, rest = lines.partition("\n")
    other = next((one for one in DELIMITERS if one != delimiter and one in head), None)
    if delimiter in head or other is None:
        return ""
    options = {"delimiter": other}
    fields = [field.strip(' "\r') for field in rest.partition("\n")[0].split(other)]
    for field in fields if other != "," else []:
        options |= {name: value for name, value in abroad(field).items() if value != other}
    return f"; its first line has no {delimiter!r}: {said(options)} would read it"
