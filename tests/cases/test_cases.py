"""What others reported, rebuilt as small inputs with their right values: `cases.json`, through every door that it fits.

A case has its source (repository and number), what went wrong there, and either columns or a text. Columns are lists,
{"range": [start, step, count]} or {"mod": [modulus, factor, start, count]}; right values are fractions, but for what is
`near` or `between`. A solution that is given as exact is held against rational arithmetic too. A text may be one of
many rows: {"head", "rows", "times", "tail"}.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import dask.dataframe
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from support.exact import exact_fit, exact_minimum_norm, exact_ridge, lre, worst_lre

import linreg_fast
import linreg_fast.dask

pytestmark = pytest.mark.numerics

CASES = {case["id"]: case for case in json.loads((Path(__file__).parent / "cases.json").read_text())}
NUMBERS = ("array", "lists", "frame", "polars", "arrow", "moments", "stream", "csv", "parquet", "dask")
DIGITS = 13  # that every door has, unless a case says how many there can be


def column(given):
    if isinstance(given, dict) and "range" in given:
        start, step, count = given["range"]
        return [start + step * i for i in range(count)]
    if isinstance(given, dict):
        modulus, factor, start, count = given["mod"]
        return [start + factor * i % modulus for i in range(count)]
    return given


def frame_of(case):
    """The columns of a case as a frame of pandas."""
    given = {name: column(values) for name, values in case["columns"].items()}
    if "line" in case:
        slopes, b0 = case["line"]["coef"], case["line"]["intercept"]
        rows = zip(*(values for name, values in given.items() if name != case["target"]), strict=True)
        given[case["target"]] = [b0 + sum(b * v for b, v in zip(slopes, row, strict=True)) for row in rows]
    frame = pd.DataFrame(given)
    if "dtype" in case:
        others = [name for name in frame if name != case["target"]]
        frame = frame.astype(dict.fromkeys(others, case["dtype"]))
    for name in case.get("dates", ()):
        frame[name] = pd.to_datetime(frame[name], unit="D")
    for name in case.get("decimals", ()):
        frame[name] = frame[name].map(Decimal)
    if "infinite" in case:
        row, name = case["infinite"]
        frame[name] = frame[name].astype(float)
        frame.loc[row, name] = np.inf
    for name in case.get("categorical", ()):
        frame[name] = frame[name].astype("category")
    index = case.get("index")
    if index is not None:
        values, name = (index["values"], index["name"]) if isinstance(index, dict) else (index, None)
        frame.index = pd.Index(values, name=name)
    return frame


def parts(case):
    """X, y and weights as arrays."""
    frame = frame_of(case)
    y, weight = frame.pop(case["target"]), case.get("weight")
    w = None if weight is None else frame.pop(weight).to_numpy(dtype=float)
    return frame.to_numpy(), y.to_numpy(), w


def by_name(door, case, table, **more):
    options = case.get("options", {}) | more
    return door(table, target=case["target"], sample_weight=case.get("weight"), **options)


def fit_frame(case, table):
    return linreg_fast.fit(table, case["target"], sample_weight=case.get("weight"), **case.get("options", {}))


def arrow(case, keep=False):
    return pa.Table.from_pandas(frame_of(case), preserve_index=keep or None if keep else False)


def written(case, folder, keep=False):
    path = folder / "t.parquet"
    frame_of(case).to_parquet(path, index=None if keep else False)
    return path


def csv_file(case, folder):
    path = folder / "t.csv"
    text = case.get("text")
    if isinstance(text, dict):
        text = text["head"] + text["rows"] * text["times"] + text["tail"]
    if text is not None:
        path.write_bytes(text.encode())
    else:
        frame_of(case).to_csv(path, index=False)
    return path


def masked(values):
    """Missing values behind a mask, with a number below it that would show."""
    return np.ma.masked_array(np.where(np.isnan(values), 1e6, values), mask=np.isnan(values))


def read_only(values):
    values.flags.writeable = False
    return values


# the same numbers otherwise in memory: X, then y
LAYOUTS = {
    "as they are": (np.asarray, np.asarray),
    "Fortran order": (np.asfortranarray, np.asarray),
    "big-endian": (lambda X: X.astype(">f8"), lambda y: y.astype(">f8")),
    "read-only": (lambda X: read_only(X.astype(float)), lambda y: read_only(y.astype(float))),
    "backwards": (lambda X: np.repeat(X[::-1], 2, axis=1)[::-1, ::2], lambda y: y[::-1].copy()[::-1]),
    "masked": (masked, np.asarray),
    "y as a column": (np.asarray, lambda y: y[:, None]),
}


def array(case):
    X, y, w = parts(case)
    of_X, of_y = LAYOUTS[case.get("layout", "as they are")]
    X, y = of_X(X), of_y(y)
    before = X.tobytes(), y.tobytes()
    fit = linreg_fast.fit(X, y, sample_weight=w, **case.get("options", {}))
    assert (X.tobytes(), y.tobytes()) == before
    return fit


def descent(case):
    fit = array(case)
    costs = np.asarray(fit.cost_history)
    assert (costs >= 0).all()
    assert (np.diff(costs) <= 0).all()
    return fit


def apart(case):
    frame = frame_of(case)
    return linreg_fast.fit(frame.drop(columns=case["target"]), frame[case["target"]])


def moments(case):
    X, y, w = parts(case)
    options = dict(case.get("options", {}))
    M = linreg_fast.Moments(X.shape[1])
    for at in range(0, len(X), 2):
        rows = slice(at, at + 2)
        M.update(X[rows], y[rows], sample_weight=None if w is None else w[rows])
    return M.solve(**options)


def moments_that_lose_rows(case, precision="auto"):
    X, y, _ = parts(case)
    gone, (every, first) = case["leaves"], (linreg_fast.Moments(X.shape[1], precision=precision) for _ in range(2))
    return (every.update(X, y) - first.update(X[:gone], y[:gone])).solve()


def labels(case):
    frame = frame_of(case)
    y = frame.pop(case["target"])
    if case["labels"] is None:
        frame.index = pd.date_range("2026-01-01", periods=len(frame))
        return linreg_fast.fit(frame, y.to_numpy())
    y.index = range(len(y))
    moved = y.reindex(case["labels"])
    if moved.isna().any():
        moved = y.set_axis(case["labels"])
    return linreg_fast.fit(frame, moved)


def predict(case):
    frame = frame_of(case)
    fit = linreg_fast.fit(frame, case["target"])
    other = pd.DataFrame(case["predict"])
    np.testing.assert_allclose(fit.predict(other), fit.predict(other[["a", "b"]].to_numpy()), rtol=1e-14)
    return fit


def frequency(case):
    X, y, w = parts(case)
    fit = linreg_fast.fit(X, y, sample_weight=w, weights="frequency")
    times = w.astype(int)
    repeated = linreg_fast.fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    np.testing.assert_allclose([*fit.coef, *fit.stderr], [*repeated.coef, *repeated.stderr], rtol=1e-13)
    return fit


def polynomial(case):
    X, y, _ = parts(case)
    return linreg_fast.fit_polynomial(X[:, 0], y, case["degree"], **case.get("options", {}))


def text(case, folder):
    path, options = csv_file(case, folder), case.get("options", {})
    return linreg_fast.fit_file(path, target=case["target_name"], csv=case.get("csv"), **options)


DOORS = {
    "array": lambda c, _: array(c),
    "apart": lambda c, _: apart(c),
    "descent": lambda c, _: descent(c),
    "lists": lambda c, _: linreg_fast.fit(
        *(part.tolist() for part in parts(c)[:2]), sample_weight=parts(c)[2], **c.get("options", {})
    ),
    "frame": lambda c, _: fit_frame(c, frame_of(c)),
    "polars": lambda c, _: fit_frame(c, pl.from_arrow(arrow(c))),
    "arrow": lambda c, _: fit_frame(c, arrow(c)),
    "moments": lambda c, _: moments(c),
    "stream": lambda c, _: by_name(linreg_fast.fit_stream, c, arrow(c).to_batches(max_chunksize=4)),
    "csv": lambda c, folder: by_name(linreg_fast.fit_file, c, csv_file(c, folder)),
    "parquet": lambda c, folder: by_name(linreg_fast.fit_file, c, written(c, folder)),
    "dask": lambda c, _: linreg_fast.dask.fit(
        dask.dataframe.from_pandas(frame_of(c), npartitions=2),
        c["target"],
        sample_weight=c.get("weight"),
        **c.get("options", {}),
    ),
    "parquet of pandas": lambda c, folder: by_name(linreg_fast.fit_file, c, written(c, folder, keep=True)),
    "arrow of pandas": lambda c, _: fit_frame(c, arrow(c, keep=True)),
    "stream of pandas tables": lambda c, _: by_name(linreg_fast.fit_stream, c, [arrow(c, keep=True)]),
    "moments that lose rows": lambda c, _: moments_that_lose_rows(c),
    "moments in pairs that lose rows": lambda c, _: moments_that_lose_rows(c, "extended"),
    "labels": lambda c, _: labels(c),
    "predict": lambda c, _: predict(c),
    "frequency": lambda c, _: frequency(c),
    "polynomial": lambda c, _: polynomial(c),
    "text": text,
}


def hold(fit, case, door):
    """Everything that a case says of its fit; moments say nothing of residuals that they cannot tell from 0."""
    right = dict(case.get("right", {}))
    least = case.get("digits", DIGITS)
    if case.get("honest"):  # digits that the sums cannot have, and that the fit does not claim
        least = min(least, fit.digits - 1.5)
    for name, value in right.items():
        found = getattr(fit, "coef" if name == "coef0" else name)
        if door.startswith("moments") and name in ("rss", "r2") and np.isnan(fit.rss):
            continue
        if name == "coef0":
            assert found[0] == float(Fraction(value))
        elif name in ("rank", "n_samples", "n_dropped", "left_out", "n_features"):
            assert found == value, name
        else:
            values = value if isinstance(value, list) else [value]
            for one, exact in zip(np.ravel(found), values, strict=True):
                if exact == "nan":
                    assert math.isnan(one), name
                elif not Fraction(exact):
                    assert abs(one) <= 1e-13 * max(1.0, np.abs(fit.coef).max()), name
                else:
                    assert lre(one, Fraction(exact)) >= least, (name, one, exact)
    for name, (low, high) in case.get("between", {}).items():
        assert low <= getattr(fit, name) <= high
    for name, values in case.get("near", {}).items():
        np.testing.assert_allclose(getattr(fit, name), values, rtol=10.0**-least)
    if "predicted" in case:
        at, exact = case["predicted"]["at"], case["predicted"]["right"]
        assert worst_lre(fit.predict(np.array(at, float)[:, None]), exact) >= least


PAIRS = [(name, door) for name, case in CASES.items() for door in case.get("doors", NUMBERS)]


@pytest.mark.parametrize(("name", "door"), PAIRS)
def test_case(name, door, tmp_path):
    case = CASES[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if "error" in case:
            with pytest.raises((ValueError, TypeError), match=re.escape(case["says"][0])) as error:
                DOORS[door](case, tmp_path)
            assert type(error.value).__name__ == case["error"]
            told = [str(error.value)]
        else:
            hold(DOORS[door](case, tmp_path), case, door)
            expected = case.get("warns")
            told = [str(one.message) for one in caught if one.category.__name__ == expected]
            assert len(told) == (expected is not None), [str(one.message) for one in caught]
            others = {"RankWarning", "ConditionWarning"} if "warns" in case or case.get("honest") else set()
            names = {one.category.__name__ for one in caught} - {expected}
            assert names <= others, names
    for words in case.get("says", ()):
        assert any(words in text for text in told), (words, told)


def numbers_of(case):
    """The rows that count, as fractions: X, y, weights."""
    frame = frame_of(case).drop(columns=[*case.get("categorical", ()), *case.get("dates", ())]).dropna()
    weight = case.get("weight")
    frame = frame[case.get("leaves", 0) :] if weight is None else frame[frame[weight] > 0]
    y, w = frame.pop(case["target"]), None if weight is None else frame.pop(weight)
    X = [[Fraction(v) for v in row] for row in zip(*(frame[name].tolist() for name in frame), strict=True)]
    X = [[row[0] ** k for k in range(1, case["degree"] + 1)] for row in X] if "degree" in case else X
    return X, [Fraction(v) for v in y.tolist()], w if w is None else [Fraction(v) for v in w.tolist()]


EXACT = [name for name, case in CASES.items() if "columns" in case and "coef" in case.get("right", {})]


@pytest.mark.parametrize("name", EXACT)
def test_what_is_given_as_right_is_right(name):
    case = CASES[name]
    X, y, w = numbers_of(case)
    if "line" in case:  # without residuals: any rows will do
        X, y = X[:50], y[:50]
    options, right = case.get("options", {}), case["right"]
    intercept = options.get("fit_intercept", True)
    if "l2" in options:
        found = exact_ridge(X, y, options["l2"], intercept, w)
    else:
        found = exact_fit(X, y, intercept, w) or exact_minimum_norm(X, y, intercept)[0]
    assert [Fraction(v) for v in right["coef"]] == found[: len(X[0])]
    if intercept and "intercept" in right:
        assert Fraction(right["intercept"]) == found[-1]


def test_the_log_is_whole():
    """Every case has a source and a report of its own, and something that can fail."""
    assert len(CASES) >= 60
    for name, case in CASES.items():
        repository, _, number = case["source"].partition("#")
        assert repository.count("/") == 1, name
        assert number.isdigit(), name
        assert case["report"].endswith("."), name
        assert {"right", "error", "warns", "between", "near", "repeated", "predict"} & set(case), name
        assert ("columns" in case) != ("text" in case), name
