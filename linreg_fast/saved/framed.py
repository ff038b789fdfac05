# SPDX-License-Identifier: BSD-3-Clause
"""Bytes in a frame, magic, version, body, checksum, and files that are whole whatever happens."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

DIGEST_SIZE = 16
VERSION_SIZE = 2


def digest(*parts: bytes | memoryview) -> bytes:
    """The checksum, blake2b, of the parts one after the other."""
    found = hashlib.blake2b(digest_size=DIGEST_SIZE)
    for part in parts:
        found.update(part)
    return found.digest()


def frame(magic: bytes, version: int, *body: bytes) -> bytes:
    """The parts of the body, before them whose they are, after them the checksum of it all."""
    parts = [magic, version.to_bytes(VERSION_SIZE, "little"), *body]
    return b"".join([*parts, digest(*parts)])


def unframe(data: bytes, magic: bytes, version: int, what: str) -> memoryview:
    """The body that `frame` was given; `what` it should be is named in the errors.

    Raises
    ------
    ValueError
        Something else, another version, or bytes that were lost or changed on the way.
    """
    start = len(magic) + VERSION_SIZE
    if len(data) < start + DIGEST_SIZE or not data.startswith(magic):
        raise ValueError(f"not a saved {what}: {len(data)} bytes")
    found = version_of(data, magic)
    if found != version:
        raise ValueError(f"saved by version {found} of the format; this one reads {version}")
    view = memoryview(data)
    if digest(view[:-DIGEST_SIZE]) != view[-DIGEST_SIZE:]:
        raise ValueError(f"not a whole {what}: the checksum does not fit, bytes were lost or changed")
    return view[start:-DIGEST_SIZE]


def version_of(data: bytes, magic: bytes) -> int:
    """The version that stands in a frame."""
    return int.from_bytes(data[len(magic) : len(magic) + VERSION_SIZE], "little")


def replace_file(path: Path, data: bytes, what: str) -> None:
    """Write a file, `what` it is being named in the errors: whatever happens, the one before or this one is whole.

    What a killed write left beside it is overwritten. A link is followed; what is no file, such as a pipe, cannot be
    replaced and is written to.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    target = Path(os.path.realpath(path))
    new = _beside(target)
    if target.exists() and not target.is_file():
        target.write_bytes(data)
        return
    try:
        with open(new, "wb") as file:
            if target.exists() and new.is_file():
                with suppress(OSError):  # of a file system without permissions
                    shutil.copymode(target, new)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, target)
    except BaseException as error:
        with suppress(OSError):
            new.unlink()
        if not isinstance(error, OSError):
            raise
        text = f"{what} was not written ({error.strerror or error}); one that was there before is whole"
        raise OSError(error.errno, text, str(path)) from None
    if os.name == "posix":
        _sync_folder(target.parent)


def remove_file(path: Path) -> None:
    """Take away what `replace_file` wrote, and what a killed write left beside it; there may be neither."""
    target = Path(os.path.realpath(path))
    for file in (target, _beside(target)):
        file.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _sync_folder(path: Path) -> None:
    """Write the new name too. Where that cannot be done a power cut may bring the old file back, a whole one."""
    with suppress(OSError):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
