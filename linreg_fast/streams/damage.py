# SPDX-License-Identifier: BSD-3-Clause
"""Errors of file formats, told by the name of the file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

MOST_FOLD = 1000  # that a compressed column may be larger than the file


@contextmanager
def named(path: Path, row: int | None = None) -> Iterator[None]:
    """What a format's own reader raises, as a ValueError that names the file; an OSError of the system as it is.

    Raises
    ------
    OSError
        What the system says, no such file or no permission, with the file's name.
    ValueError
        Anything that is wrong with the contents of the file.
    """
    import pyarrow as pa

    try:
        yield
    except OSError as error:
        if error.errno is not None:
            if error.filename is None:
                raise OSError(error.errno, error.strerror or str(error), str(path)) from error
            raise
        raise ValueError(f"{path} is damaged: {error}") from error
    except (pa.ArrowException, UnicodeError) as error:
        if isinstance(error, MemoryError) and not _absurd(str(error), path):
            raise
        raise ValueError(f"{path} is damaged: {error}") from error


def _absurd(message: str, path: Path) -> bool:
    """Whether more memory was asked for than a file of its size can need."""
    asked = re.search(r"size (\d+)", message)
    return asked is not None and int(asked.group(1)) > MOST_FOLD * path.stat().st_size


def map_npy(path: Path) -> Any:
    """The table of a .npy file, mapped into memory.

    Raises
    ------
    OSError, TypeError, ValueError
        A file that holds no table, or other numbers than it says.
    """
    with open(path, "rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
            shape, fortran_order, dtype = read(file)
        except OSError:
            raise
        except Exception as error:  # NumPy evaluates the text: whatever a damaged one leads to
            raise ValueError(f"{path}: {str(error) or type(error).__name__}") from None
        start = file.tell()
    if dtype.kind not in "fiub":
        raise TypeError(f"{path} has dtype {dtype}, which is not a number")
    if len(shape) != 2:
        raise ValueError(f"{path} must hold a table of two dimensions, it has shape {shape}")
    size = path.stat().st_size
    if min(shape) < 0 or start + math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"{path} is damaged: it says that it has shape {shape} of {dtype}, in {size} bytes")
    order: Any = "F" if fortran_order else "C"
    if not math.prod(shape):
        return np.empty(shape, dtype, order)
    return np.memmap(path, dtype, "r", start, shape, order)
