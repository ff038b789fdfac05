# SPDX-License-Identifier: BSD-3-Clause
"""Many fits as a data frame, in the library that their input came from."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALWAYS = ("n_samples", "rank", "digits")
OF_COLUMNS = ("stderr", "tvalues")  # a number for each column of X


def library_of(*values: Any) -> str:
    """The library of data frames that the first of these values that is of one is of."""
    for value in values:
        package = type(value).__module__.partition(".")[0]
        if package in ("pandas", "polars", "pyarrow"):
            return package
    return "numpy"


def framed_fits(fits: Any, arrays: dict[str, NDArray[Any]], about: Any) -> Any:
    """See `Fits.to_frame`."""
    library = "pandas" if about.library == "numpy" else about.library
    try:
        module = importlib.import_module(library)
    except ImportError:
        raise ImportError(f"to_frame makes a frame of {library}, which is not installed") from None
    columns = dict(_columns(fits, arrays, about))
    if library == "pandas":
        index = about.index
        if index is None and len(about.keys) == 1:
            (name, column), *_ = about.keys.items()
            index = module.Index(column, name=name)
        elif index is None and about.keys:
            index = module.MultiIndex.from_arrays(list(about.keys.values()), names=list(about.keys))
        return module.DataFrame(columns, index=index)
    keys = {name: column.tolist() if column.dtype.kind in "OU" else column for name, column in about.keys.items()}
    columns = {**keys, **columns}
    return module.DataFrame(columns) if library == "polars" else module.table(columns)


def _columns(fits: Any, arrays: dict[str, NDArray[Any]], about: Any) -> Any:
    """Pairs of name and column; of several targets with the number of the target behind."""
    p, several = fits.n_features, arrays["coef"].ndim == 3
    names = about.feature_names or tuple(f"x{j}" for j in range(p))
    taken = {*about.keys}

    def parts(word: str, of_columns: bool) -> Any:
        values = np.asarray(getattr(fits, word))
        targets = range(values.shape[1]) if several and values.ndim == 2 + of_columns else [None]
        for t in targets:
            ending = "" if t is None else f"_{t}"
            of_target = values if t is None else values[:, t]
            if not of_columns:
                yield word + ending, of_target
                continue
            for j, name in enumerate(names):
                yield (name if word == "coef" else f"{word}_{name}") + ending, of_target[:, j]

    words = [("intercept", False), ("coef", True)]
    for word in dict.fromkeys([*about.stats, *ALWAYS]):
        if word in OF_COLUMNS:
            words.append((f"intercept_{word.removesuffix('s')}", False))
        words.append((word, word in OF_COLUMNS))
    for word, of_columns in words:
        if (word.startswith("intercept") and not about.fit_intercept) or not hasattr(fits, word):
            continue
        for name, column in parts(word, of_columns):
            free = name
            while free in taken:  # a feature that is called as a key, or as another column
                free += "_"
            taken.add(free)
            yield free, np.ascontiguousarray(column)
