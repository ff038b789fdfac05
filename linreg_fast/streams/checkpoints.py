# SPDX-License-Identifier: BSD-3-Clause
"""The state of a stream in a file, which is replaced in one step: whatever happens, a whole one is there."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

from linreg_fast.inputs.table import Table
from linreg_fast.moments.moments import Moments
from linreg_fast.saved import framed

MAGIC = b"linreg_fast.checkpoint\n"
VERSION = 3
COUNTS = ("done", "rows", "n_rows", "dropped", "last")


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
    data = framed.frame(MAGIC, VERSION, json.dumps(state).encode(), b"\n", moments.to_bytes())
    framed.replace_file(path, data, "the checkpoint")


def load(path: Path, identity: str) -> tuple[dict[str, Any], Moments]:
    """What `save` wrote.

    Raises
    ------
    ValueError
        Not a whole checkpoint, or one of other files, columns or settings.
    """
    try:
        body = framed.unframe(path.read_bytes(), MAGIC, VERSION, "checkpoint")
        head, _, rest = bytes(body).partition(b"\n")
        state, moments = _checked(json.loads(head)), Moments.from_bytes(rest)
    except (ValueError, RecursionError) as error:
        text = f"{path} is not a whole checkpoint of this version ({error}); remove it to start anew"
        raise ValueError(text) from None
    if state["identity"] != identity:
        raise ValueError(f"{path} is of other files, columns or settings, or they changed; remove it to start anew")
    return state, moments


def remove(path: Path) -> None:
    """Take a checkpoint away that has done its work, and what a killed write left beside it."""
    framed.remove_file(path)


def _checked(state: Any) -> dict[str, Any]:
    """The state, where it is made of what `save` is given."""
    sound = isinstance(state, dict) and isinstance(state.get("identity"), str)
    counts = [state.get(name) for name in COUNTS] + state["holes"] if sound and type(state.get("holes")) is list else []
    if not counts or not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError("its state is not that of a stream")
    return dict(state)
