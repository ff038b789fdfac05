# SPDX-License-Identifier: BSD-3-Clause
"""A table whose columns lie apart in memory, as those of Arrow and Polars do: read where they are, not put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Columns:
    """Contiguous columns of one length and one dtype, float64 or float32, in place of an array of two dimensions.

    The cross products are taken of `addresses`, where the columns begin. Whatever else asks for rows gets them as an
    array in F order.
    """

    __slots__ = ("addresses", "arrays", "dtype", "itemsize", "shape")
    ndim = 2

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        self.arrays = arrays
        self.shape = len(arrays[0]), len(arrays)
        self.dtype, self.itemsize = arrays[0].dtype, arrays[0].itemsize
        self.addresses = np.array([a.__array_interface__["data"][0] for a in arrays], dtype=np.uintp)

    def release(self) -> None:
        """Let go of the columns, so that their memory may be used again: a table without rows is left."""
        self.shape = 0, len(self.arrays)
        self.arrays = [np.empty(0, self.dtype) for _ in self.arrays]
        self.addresses = np.zeros_like(self.addresses)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Some rows, or one, of all columns; or those of one column, or of a choice of columns."""
        rows, columns = index if isinstance(index, tuple) else (index, slice(None))
        if isinstance(columns, int):
            return self.arrays[columns][rows]
        chosen = np.arange(len(self.arrays))[columns]
        return np.stack([self.arrays[j][rows] for j in chosen]).T

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("columns that lie apart are no array without a copy")
        return np.asarray(self[:], dtype)


def readable(a: NDArray[Any], dtype: Any = np.float64) -> bool:
    """Whether the kernels read a column where it is."""
    return a.dtype == dtype and a.flags.c_contiguous and a.flags.aligned
