# SPDX-License-Identifier: BSD-3-Clause
"""The state of a stream in a file, which is replaced in one step: whatever happens, a whole one is there."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from linreg_fast.inputs.table import Table
from linreg_fast.moments.moments import Moments

MAGIC = b"linreg_fast.checkpoint 2\n"
DIGEST_SIZE = 16


def fingerprint(data: Table) -> int:
    """What tells a block from another one: a checksum of y and of the last row of X."""
    return zlib.crc32(data.X[-1:].tobytes(), zlib.crc32(data.Y.tobytes()))


def save(path: Path, state: dict[str, Any], moments: Moments) -> None:
    """Replace a checkpoint by a new one; whatever happens, a whole one is there.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    body = MAGIC + json.dumps(state).encode() + b"\n" + moments.to_bytes()
    new = path.with_name(f"{path.name}.new")
    try:
        with open(new, "wb") as file:
            file.write(body + hashlib.blake2b(body, digest_size=DIGEST_SIZE).digest())
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
        if os.name == "posix":  # the name in its folder is written too
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        what = f"the checkpoint was not written ({error.strerror}); one that was there before is whole"
        raise OSError(error.errno, what, str(path)) from None


def load(path: Path, identity: str) -> tuple[dict[str, Any], Moments]:
    """What `save` wrote.

    Raises
    ------
    ValueError
        Not a whole checkpoint, or one of other files, columns or settings.
    """
    text = path.read_bytes()
    body = text[:-DIGEST_SIZE]
    if not body.startswith(MAGIC) or hashlib.blake2b(body, digest_size=DIGEST_SIZE).digest() != text[-DIGEST_SIZE:]:
        raise ValueError(f"{path} is not a whole checkpoint of this version; remove it to start anew")
    head, _, rest = body[len(MAGIC) :].partition(b"\n")
    state = json.loads(head)
    if state["identity"] != identity:
        raise ValueError(f"{path} is of other files, columns or settings, or they changed; remove it to start anew")
    return state, Moments.from_bytes(rest)
