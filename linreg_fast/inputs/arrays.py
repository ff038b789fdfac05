# SPDX-License-Identifier: BSD-3-Clause
"""Whatever holds numbers -> arrays: sequences, objects, data frames and their column names."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inputs.columns import Columns, readable

IN_PLACE = (np.dtype(np.float64), np.dtype(np.float32))  # in native byte order
APART_BYTES = 4 << 20  # of a data frame: putting columns together costs more than what else a fit of columns apart does


def array_of(value: Any, name: str, apart: bool = False) -> tuple[Any, list[str] | None]:
    """An array of numbers, with the column names where the value has some.

    With `apart` a large data frame may come as the Columns that it holds.
    """
    names = None
    if not isinstance(value, np.ndarray):
        value, names = _from_frame(value, name, apart)
        if isinstance(value, Columns):
            return value, names
    try:
        array = value if isinstance(value, np.ndarray) else np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} cannot be made an array: {error}") from None
    if isinstance(array, np.ma.MaskedArray):
        if np.ma.is_masked(array):
            row = tuple(int(i) for i in np.argwhere(np.ma.getmaskarray(array))[0])
            raise ValueError(f"{name} has a masked value at {row}; drop or fill masked values first")
        array = np.asarray(array.data)
    elif type(array) is not np.ndarray:
        array = np.asarray(array)
    if array.dtype.kind == "O":
        array = _from_objects(array, name)
    if array.dtype.kind == "c":
        raise TypeError(f"{name} is complex ({array.dtype}); fit the real and the imaginary part separately")
    if array.dtype.kind not in "fiub":
        hint = {"M": "subtract a date and divide by a unit", "m": "divide by a unit"}.get(
            array.dtype.kind, "encode it as numbers"
        )
        raise TypeError(f"{name} has dtype {array.dtype}, which is not a number; {hint} first")
    if array.ndim == 0:
        raise ValueError(f"{name} must have one or two dimensions, got a single number")
    return array, names


def _from_objects(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.ndim == 0 and not isinstance(array.item(), numbers.Number):
        hint = "; sparse input is not supported, toarray() makes it dense" if hasattr(array.item(), "toarray") else ""
        raise TypeError(f"{name} is a {type(array.item()).__name__}, not an array of numbers{hint}")
    try:
        if any(isinstance(item, (str, bytes)) for item in array.flat):
            raise TypeError("text")  # NumPy would parse it
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        flat = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
        for row, values in enumerate(flat):
            for column, item in enumerate(values):
                try:
                    if isinstance(item, (str, bytes)):
                        raise TypeError
                    float(item)
                except OverflowError:
                    raise ValueError(
                        f"{name} has a number at row {row}, column {column} that is beyond the range of float64"
                    ) from None
                except (TypeError, ValueError):
                    raise TypeError(
                        f"{name} has {item!r} of type {type(item).__name__} at row {row}, column {column}; "
                        "it must hold numbers only"
                    ) from None
        raise TypeError(f"{name} cannot be converted to float64: {error}") from None


def _from_frame(value: Any, name: str, apart: bool) -> tuple[Any, list[str] | None]:
    """A data frame, series or Arrow table as an array with its column names; anything else as it is."""
    if isinstance(value, (list, tuple)) or type(value).__module__.partition(".")[0] == "numpy":
        return value, None
    known = type(value).__module__.partition(".")[0] in ("pandas", "polars", "pyarrow")
    if not known and not hasattr(value, "__dataframe__"):
        return value, None
    if _one_float_dtype(value):
        names = _column_names(value) or [str(name if value.name in (None, "") else value.name)]
        found = _columns_of(value) if apart else None
        return (value.to_numpy() if found is None else found), names  # for pandas a view of its one block
    try:
        import narwhals as nw
    except ImportError:
        if hasattr(value, "__array__"):
            return value, _column_names(value)
        raise TypeError(
            f'{name} is a {type(value).__name__}; data frames need the extra: pip install "linreg_fast[dataframe]"'
        ) from None
    try:
        native = nw.from_native(value, pass_through=True, allow_series=True)
        if native is value and hasattr(value, "__dataframe__"):
            import pyarrow.interchange

            native = nw.from_native(pyarrow.interchange.from_dataframe(value))
        if isinstance(native, nw.LazyFrame):
            native = native.collect()
        # by position: a name may be anything, 0 or None too
        columns = list(native.iter_columns()) if isinstance(native, nw.DataFrame) else []
    except nw.exceptions.DuplicateError:
        raise ValueError(f"columns of {name} share a name: {_column_names(value)}") from None
    if isinstance(native, nw.Series):
        if native.dtype in (nw.Categorical, nw.Enum):  # whose values NumPy would take for numbers where they are
            raise TypeError(f"{name} has dtype {native.dtype}, which is not a number; encode it as numbers first")
        return _column_array(native, name, nw), [str(name if native.name in (None, "") else native.name)]
    if not isinstance(native, nw.DataFrame):
        return value, None
    names = [str(column.name) for column in columns]
    for column, label in zip(columns, names, strict=True):
        if not (column.dtype.is_numeric() or column.dtype in (nw.Boolean, nw.Object)):
            dtype = getattr(column.to_native(), "dtype", "?") if column.dtype == nw.Unknown else column.dtype
            what = "which is not a number; leave it out or encode it as numbers first"
            if str(dtype).startswith("Sparse"):
                what = "which is not supported; sparse.to_dense() makes it dense"
            raise TypeError(f"column {label!r} of {name} has dtype {dtype}, {what}")
    arrays: Iterable[NDArray[Any]] = (
        _column_array(column, f"column {names[j]!r} of {name}", nw) for j, column in enumerate(columns)
    )
    if apart and 8 * len(native) * len(columns) >= APART_BYTES:
        arrays = whole = list(arrays)
        if whole[0].dtype in IN_PLACE and all(readable(array, whole[0].dtype) for array in whole):
            return Columns(whole), names
    out = np.empty((len(native), len(columns)), order="F")
    for j, array in enumerate(arrays):
        out[:, j] = array
    return out, names


def _columns_of(value: Any) -> Columns | None:
    """The columns of a large frame of pandas or Polars of one dtype; None where it is an array, or holds none whole.

    Not through narwhals, which counts missing values of pandas by reading all.
    """
    if type(value).__name__ != "DataFrame" or 8 * value.shape[0] * value.shape[1] < APART_BYTES:
        return None
    try:
        if type(value).__module__.startswith("pandas"):
            arrays = [value.iloc[:, j].to_numpy() for j in range(value.shape[1])]
        else:
            arrays = [column.to_numpy(allow_copy=False) for column in value.iter_columns()]
    except RuntimeError:  # missing values, or chunks
        return None
    if not all(readable(array, arrays[0].dtype) for array in arrays):
        return None
    columns = Columns(arrays)
    return None if (np.diff(columns.addresses) == arrays[0].nbytes).all() else columns


def _one_float_dtype(value: Any) -> bool:
    """Whether value is a frame or series of pandas or Polars that holds float64 alone, or float32.

    Missing ones are NaN to them. Asked of each column through narwhals this takes 1 ms for 10 columns.
    """
    kind = type(value)
    package, frame = kind.__module__.partition(".")[0], kind.__name__ == "DataFrame"
    if package not in ("pandas", "polars") or not (frame or kind.__name__ == "Series"):
        return False
    dtypes = set(value.dtypes) if frame else {value.dtype}
    if len(dtypes) != 1:
        return False
    dtype = dtypes.pop()
    if package == "polars":
        return str(dtype) in ("Float64", "Float32")
    return isinstance(dtype, np.dtype) and dtype in IN_PLACE and (not frame or value.columns.is_unique)


def _column_array(column: Any, name: str, nw: Any) -> NDArray[Any]:
    """A column as float64 with NaN for missing, or as its own dtype where nothing is missing."""
    if column.dtype == nw.Object:
        return _from_objects(np.asarray(column.to_numpy(), dtype=object), name)
    if column.null_count():
        if not (column.dtype.is_numeric() or column.dtype == nw.Boolean):
            column = column.cast(nw.Float64)
        return np.asarray(column.cast(nw.Float64).fill_null(float("nan")).to_numpy(), dtype=np.float64)
    return np.asarray(column.to_numpy())


def _column_names(value: Any) -> list[str] | None:
    names = getattr(value, "column_names", getattr(value, "columns", None))  # an Arrow table has both
    return None if names is None else [str(name) for name in names]
