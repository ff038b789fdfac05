# SPDX-License-Identifier: BSD-3-Clause
"""Standard input as a file that can be read again."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STANDARD_INPUT = "standard input"
# what files of some kind start with; anything else is text
MAGIC = {
    b"PAR1": ".parquet",
    b"ARROW1": ".arrow",
    b"\x93NUMPY": ".npy",
    b"\x1f\x8b": ".csv.gz",
    b"\x28\xb5\x2f\xfd": ".csv.zst",
    b"BZh": ".csv.bz2",
    b"\x04\x22\x4d\x18": ".csv.lz4",
}


@contextmanager
def readable(path: str | os.PathLike[str]) -> Iterator[str | os.PathLike[str]]:
    """The path, or for "-" that of a copy of standard input, which is there until the context ends."""
    if os.fspath(path) != "-":
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="linreg_fast-") as folder:
        copy = Path(folder) / STANDARD_INPUT
        with open(copy, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        with open(copy, "rb") as file:
            start = file.read(8)
        suffix = next((suffix for magic, suffix in MAGIC.items() if start.startswith(magic)), ".csv")
        copy = copy.rename(copy.with_name(STANDARD_INPUT + suffix))
        try:
            yield copy
        except (ValueError, TypeError) as error:
            told = str(error).replace(str(copy), STANDARD_INPUT).replace(copy.name, STANDARD_INPUT)
            raise (TypeError if isinstance(error, TypeError) else ValueError)(told) from None
