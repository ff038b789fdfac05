# SPDX-License-Identifier: BSD-3-Clause
"""Whatever holds numbers -> arrays: sequences, objects, data frames and their column names."""

from __future__ import annotations

import numbers
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast import sequences
from linreg_fast.inputs.columns import Columns, readable
from linreg_fast.inputs.kinds import check_number
from linreg_fast.inputs.rounding import WIDER, Rounded, find_rounded, find_rounded_object

IN_PLACE = (np.dtype(np.float64), np.dtype(np.float32))  # in native byte order
FEW = 1 << 16  # numbers of a data frame that are sooner put together than the dtypes of its columns are asked for
APART_BYTES = 4 << 20  # of a data frame: putting columns together costs more than what else a fit of columns apart does


@dataclass(slots=True)
class Given:
    """What a user handed in as an array of numbers, or as Columns, and what came with it."""

    array: Any
    names: list[str] | None = None  # of its columns
    labels: Any = None  # of its rows: the index of an object of pandas
    rounded: Rounded | None = None  # the first number that float64 does not hold


def array_of(value: Any, name: str, apart: bool = False) -> Given:
    """An array of numbers, with the column names and row labels where the value has some.

    With `apart` a large data frame may come as the Columns that it holds.
    """
    # kinds of which nothing that follows is to be asked
    if type(value) is np.ndarray and value.dtype.kind in "fiub" and value.ndim:
        return Given(value, rounded=find_rounded(value))
    read = sequences.numbers(value)
    if read is not None:
        return Given(read)
    if not isinstance(value, np.ndarray):
        given = _from_frame(value, name, apart)
        if given is not None:
            return given
    try:
        array = value if isinstance(value, np.ndarray) else np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} cannot be made an array: {_uneven(value) or error}") from None
    if isinstance(value, (list, tuple)) and array.dtype.kind in "US":  # one text has made texts of all
        array = np.asarray(value, dtype=object)
    missing = None
    if isinstance(array, np.ma.MaskedArray):
        missing, array = np.ma.getmaskarray(array), np.asarray(array.data)
    elif type(array) is not np.ndarray:
        array = np.asarray(array)
    if array.dtype.kind == "O":
        array, rounded = _from_objects(array, name)
    else:
        rounded = find_rounded(array)
    if array.dtype.kind == "c":
        raise TypeError(f"{name} is complex ({array.dtype}); fit the real and the imaginary part separately")
    if array.dtype.kind not in "fiub":
        hint = {"M": "subtract a date and divide by a unit", "m": "divide by a unit"}.get(
            array.dtype.kind, "encode it as numbers"
        )
        raise TypeError(f"{name} has dtype {array.dtype}, which is not a number; {hint} first")
    if array.ndim == 0:
        raise ValueError(f"{name} must have one or two dimensions, got a single number")
    if missing is not None and missing.any():  # what is masked is not looked at
        array, rounded = _filled(np.where(missing, 0, array).astype(array.dtype), missing)
    return Given(array, rounded=rounded)


def _uneven(value: Any) -> str | None:
    """Which row of a sequence of rows has another length than the first one."""
    if not isinstance(value, (list, tuple)):
        return None
    lengths = [len(row) if isinstance(row, (list, tuple, np.ndarray)) else -1 for row in value]
    other = next((i for i, length in enumerate(lengths) if length != lengths[0]), None)
    if other is None:
        return None
    counts = ["a single value" if lengths[i] < 0 else f"of length {lengths[i]}" for i in (0, other)]
    return f"row {other} is {counts[1]}, row 0 {counts[0]}"


def _from_objects(array: NDArray[Any], name: str) -> tuple[NDArray[Any], Rounded | None]:
    if array.ndim == 0 and not isinstance(array.item(), numbers.Number):
        hint = "; sparse input is not supported, toarray() makes it dense" if hasattr(array.item(), "toarray") else ""
        raise TypeError(f"{name} is a {type(array.item()).__name__}, not an array of numbers{hint}")
    try:
        if any(isinstance(item, (str, bytes)) for item in array.flat):
            raise TypeError("text")  # NumPy would parse it
        found = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        absent = [place for place, item in enumerate(array.flat) if type(item).__name__ == "NAType"]
        if absent:  # as pandas has them
            array = array.copy()
            array.flat[absent] = None
            return _from_objects(array, name)
        raise _bad_object(array, name, error) from None
    return found, find_rounded_object(found, array.flat.__getitem__, "object")


def _bad_object(array: NDArray[Any], name: str, error: Exception) -> Exception:
    """The error that names the first object that is no number of float64."""
    flat = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
    for row, values in enumerate(flat):
        for column, item in enumerate(values):
            where = f"row {row}, column {column}" if array.ndim > 1 else f"row {row}"
            try:
                if isinstance(item, (str, bytes)):
                    raise TypeError
                float(item)
            except OverflowError:
                return ValueError(f"{name} has a number at {where} that is beyond the range of float64")
            except (TypeError, ValueError):
                if item is not None:
                    kind = type(item).__name__
                    return TypeError(f"{name} has {item!r} of type {kind} at {where}; it must hold numbers only")
    return TypeError(f"{name} cannot be converted to float64: {error}")


def frame_of(value: Any, name: str) -> Any:
    """A data frame or a series of pandas, Polars or Arrow, of whatever hands itself over as one; None of others."""
    if isinstance(value, (np.ndarray, np.generic, list, tuple)):
        return None
    package, kind = type(value).__module__.partition(".")[0], type(value).__name__
    if package == "pandas":
        if kind in ("DataFrame", "Series"):
            return value
        # an extension array, an index
        return sys.modules["pandas"].Series(value) if hasattr(value, "dtype") and hasattr(value, "shape") else None
    if package == "dask" and hasattr(value, "map_partitions"):
        return value.compute()
    if package == "polars":
        value = value.collect() if kind == "LazyFrame" else value
        return value if type(value).__name__ in ("DataFrame", "Series") else None
    if package == "narwhals":
        return frame_of(value.to_native(), name)
    if package == "pyarrow" and kind in ("Table", "ChunkedArray"):
        return value
    streamed = any(hasattr(value, f"__arrow_c_{how}__") for how in ("stream", "array"))
    if not (streamed or hasattr(value, "__dataframe__") or (package == "pyarrow" and hasattr(value, "to_table"))):
        return None
    try:
        import pyarrow as pa
    except ImportError:
        if hasattr(value, "__array__"):
            return None
        raise TypeError(
            f'{name} is a {kind}, which is read by way of pyarrow: pip install "linreg_fast[dataframe]"'
        ) from None
    if isinstance(value, pa.Array):
        return pa.chunked_array([value])
    if package == "pyarrow" and hasattr(value, "to_table"):
        return value.to_table()
    if streamed:
        return pa.table(value)
    import pyarrow.interchange

    return pyarrow.interchange.from_dataframe(value)


def _from_frame(value: Any, name: str, apart: bool) -> Given | None:
    """A data frame or a series with its names and labels; None for anything else."""
    frame = frame_of(value, name)
    if frame is None:
        return None
    made = type(value).__module__.startswith("pandas") and frame is not value  # of an array, which has no labels
    labels = frame.index if hasattr(frame, "iloc") and not made else None
    names = column_names(frame)
    if names is None:
        label = getattr(frame, "name", None)
        names = [name if label in (None, "") else str(label)]
        if _one_float_dtype(frame):
            return Given(frame.to_numpy(), names, labels)
        check_number(dtypes_of(frame)[0], name)
        array, rounded = _numbers(frame, name)
        return Given(array, names, labels, rounded)
    if len(set(names)) < len(names):
        raise ValueError(f"columns of {name} share a name: {names}")
    block = _block_of(frame)
    if block is not None:
        return Given(block, names, labels)
    if _one_float_dtype(frame):
        found = _columns_of(frame) if apart else None
        return Given(frame.to_numpy() if found is None else found, names, labels)  # for pandas a view of its one block
    dtypes = dtypes_of(frame)
    if labels is not None and all(isinstance(dtype, np.dtype) and dtype.kind in "fiub" for dtype in dtypes):
        return Given(frame.to_numpy(dtype=np.float64), names, labels, _first_rounded(frame, dtypes))
    for label, dtype in zip(names, dtypes, strict=True):
        check_number(dtype, f"column {label!r} of {name}")
    arrays, rounded = [], None
    for j, label in enumerate(names):
        array, first = _numbers(column_at(frame, j), f"column {label!r} of {name}")
        arrays.append(array)
        if first is not None and rounded is None:
            rounded = first._replace(column=j)
    dtype = arrays[0].dtype if arrays else None
    large = apart and 8 * len(frame) * len(names) >= APART_BYTES
    if large and dtype in IN_PLACE and all(readable(array, dtype) for array in arrays):
        return Given(Columns(arrays), names, labels, rounded)
    out = np.empty((len(frame), len(names)), order="F")
    for j, array in enumerate(arrays):
        out[:, j] = array
    return Given(out, names, labels, rounded)


def _first_rounded(frame: Any, dtypes: list[Any]) -> Rounded | None:
    """The first number of a frame of pandas, of dtypes of NumPy, that float64 does not hold."""
    for j, dtype in enumerate(dtypes):
        found = find_rounded(column_at(frame, j).to_numpy()) if dtype.char in WIDER else None
        if found is not None:
            return found._replace(column=j)
    return None


def column_names(frame: Any) -> list[str] | None:
    """Names of the columns of a data frame, which may be anything, 0 or None too; None for a series."""
    if type(frame).__module__.startswith("pandas"):  # where attributes that are missing are looked for at length
        return [str(name) for name in frame.columns.tolist()] if type(frame).__name__ == "DataFrame" else None
    names = getattr(frame, "column_names", getattr(frame, "columns", None))  # an Arrow table has both
    return None if names is None else [str(name) for name in names]


def dtypes_of(frame: Any) -> list[Any]:
    """The types of the columns of a data frame, or that of a series."""
    if hasattr(frame, "schema") and hasattr(frame.schema, "types"):
        return list(frame.schema.types)
    if hasattr(frame, "dtypes"):
        return list(frame.dtypes) if column_names(frame) is not None else [frame.dtype]
    return [frame.type if hasattr(frame, "type") else frame.dtype]


def column_at(frame: Any, j: int) -> Any:
    """A column of a data frame, by position: a name may be anything."""
    if hasattr(frame, "iloc"):
        return frame.iloc[:, j]
    return frame.to_series(j) if hasattr(frame, "to_series") else frame.column(j)


def _numbers(column: Any, where: str) -> tuple[NDArray[Any], Rounded | None]:
    """A series as float64 with NaN for missing, or as its own dtype where nothing is missing."""
    dtype: Any = getattr(column, "dtype", None)
    if hasattr(dtype, "pyarrow_dtype"):
        column = column.array.__arrow_array__()
    if hasattr(column, "cast"):
        return _of_arrow_or_polars(column, where)
    if isinstance(dtype, np.dtype):
        array = column.to_numpy()
        return _from_objects(array, where) if dtype.kind == "O" else (array, find_rounded(array))
    # nullable
    missing = column.isna().to_numpy()
    return _filled(column.to_numpy(dtype=dtype.numpy_dtype, na_value=0), missing if missing.any() else None)


def _of_arrow_or_polars(column: Any, where: str) -> tuple[NDArray[Any], Rounded | None]:
    arrow = hasattr(column, "type")
    kind = str(column.type if arrow else column.dtype).lower()
    if kind == "object":
        return _from_objects(column.to_numpy(), where)
    if kind.startswith(("decimal", "int128", "uint128")):
        array = np.asarray(column.cast("float64" if arrow else sys.modules["polars"].Float64).to_numpy(), np.float64)
        exact = (lambda i: column[i].as_py()) if arrow else column.__getitem__
        return array, find_rounded_object(array, exact, kind)
    some = column.null_count if arrow else column.null_count()
    if not some or "float" in kind or kind == "double":
        return _filled(column.to_numpy(), None)
    return _filled(column.fill_null(False if kind.startswith("bool") else 0).to_numpy(), column.is_null().to_numpy())


def _filled(array: NDArray[Any], missing: NDArray[np.bool_] | None) -> tuple[NDArray[Any], Rounded | None]:
    """Numbers, as float64 with NaN where some are missing; those stand as 0 in `array`."""
    rounded = find_rounded(array)
    if missing is None:
        return array, rounded
    found = array.astype(np.float64)
    found[missing] = np.nan
    return found, rounded


def _columns_of(value: Any) -> Columns | None:
    """The columns of a large frame of pandas or Polars of one dtype; None where it is an array, or holds none whole."""
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


def _block_of(frame: Any) -> NDArray[Any] | None:
    """The one block of float64 or float32 that a small frame of pandas is, found without the dtypes of its columns."""
    if not type(frame).__module__.startswith("pandas") or len(frame) * len(frame.columns) > FEW:
        return None
    array = frame.to_numpy()
    # where the numbers are put together they are so each time anew
    return array if array.dtype in IN_PLACE and np.may_share_memory(array, frame.to_numpy()) else None


def _one_float_dtype(value: Any) -> bool:
    """Whether value is a frame or series of pandas or Polars that holds float64 alone, or float32.

    Missing ones are NaN to them.
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
