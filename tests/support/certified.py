"""The linear data sets of the NIST Statistical Reference Datasets, which live beside the checkout and not in it."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from support.tables import shared

SETS = (
    "Norris", "Pontius", "NoInt1", "NoInt2", "Filip", "Longley",
    "Wampler1", "Wampler2", "Wampler3", "Wampler4", "Wampler5",
)  # fmt: skip
sets = pytest.mark.parametrize("name", SETS)


def certified_problem(name: str) -> dict:
    """The record of a set: data and certified values."""
    return json.loads(shared(f"strd/{name}.json").read_text())


def load(name):
    """X, y and the record; powers are correctly rounded, which x**k of a C library need not be."""
    record = certified_problem(name)
    if record["kind"] == "poly":
        x = [float(v) for v in record["x"]]
        X = np.array([[float(Fraction(v) ** k) for k in range(1, record["degree"] + 1)] for v in x])
    else:
        X = np.array(record.get("X", record.get("x")), dtype=float)
        X = X.reshape(len(X), -1)
    y = np.array([float(v) for v in record["y"]])
    assert X.shape == (record["n"], record["p"] - record["intercept"])
    assert y.shape == (record["n"],)
    return X, y, record
