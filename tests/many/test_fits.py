"""The one result of many fits: words, fits one by one, predictions, bytes and files."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from support.problems import problem

from linreg_fast import Fits, LinearFit, batched, fit, grouped
from linreg_fast.saved import fits as saved


@pytest.fixture
def fits():
    X, y, *_ = problem(60, 2)
    return grouped(X, y, np.array(["b", "a", "c"])[np.arange(60) % 3], stats=("stderr", "r2"))


def equal(one, other):
    assert one._arrays.keys() == other._arrays.keys()
    for name, array in one._arrays.items():
        assert (array.dtype, array.shape) == (other._arrays[name].dtype, other._arrays[name].shape)
        assert array.tobytes() == other._arrays[name].tobytes()
    assert one._about._replace(keys={}, index=None) == other._about._replace(keys={}, index=None)
    assert list(one.groups) == list(other.groups)


def test_a_sequence_of_fits(fits):
    assert len(fits) == 3
    assert [type(one) for one in fits] == [LinearFit] * 3
    assert (fits[-1].coef == fits.coef[2]).all()
    assert fits[1].r2 == fits.r2[1]
    with pytest.raises(IndexError, match="there are 3 fits; no number 3"):
        fits[3]
    with pytest.raises(TypeError, match="a number of a fit, not str"):
        fits["a"]
    assert LinearFit.from_dict(fits[1].to_dict()).coef.tolist() == fits.coef[1].tolist()
    assert repr(fits).startswith("Fits(3 fits of 2 columns by groups; digits ")


def test_never_changes(fits):
    with pytest.raises(AttributeError, match="never change"):
        fits.coef = 1
    with pytest.raises(ValueError, match="read-only"):
        fits.coef[0] = 1.0
    with pytest.raises(AttributeError, match="not asked for; put it into stats"):
        _ = fits.prediction
    with pytest.raises(AttributeError, match="no attribute 'slopes'"):
        _ = fits.slopes
    assert {"coef", "stderr", "r2", "digits", "groups", "save"} <= set(dir(fits))


def test_predictions(fits):
    X, y, *_ = problem(60, 2)
    names = np.array(["b", "a", "c"])[np.arange(60) % 3]
    found = fits.predict(X, names)
    for key in "abc":
        rows = names == key
        np.testing.assert_allclose(found[rows], fit(X[rows], y[rows]).predict(X[rows]), rtol=1e-12)
    np.testing.assert_allclose(fits.predict(X[:3]), [fits[i].predict(X[i : i + 1])[0] for i in range(3)], rtol=1e-12)
    with pytest.raises(ValueError, match="groups has 'd' at row 1, of which there is no fit"):
        fits.predict(X[:2], ["a", "d"])
    with pytest.raises(ValueError, match="X has 4 rows for 3 fits"):
        fits.predict(X[:4])
    with pytest.raises(ValueError, match=r"X must have shape \(3, n, 2\)"):
        fits.predict(np.zeros((2, 4, 2)))


def test_predictions_far_from_zero():
    """About the means: an intercept and products of 1e12 would cancel."""
    X, y, *_ = problem(40, 1, noise=0.0)
    far = X + 2.0**40
    found = grouped(far, y, np.arange(40) % 2).predict(far, np.arange(40) % 2)
    assert np.abs(found - y).max() < 1e-3


def test_bytes_and_files(fits, tmp_path):
    equal(fits, Fits.from_bytes(fits.to_bytes()))
    equal(fits, pickle.loads(pickle.dumps(fits)))
    fits.save(tmp_path / "fits")
    equal(fits, Fits.load(tmp_path / "fits"))
    (tmp_path / "fits").write_bytes(fits.to_bytes()[:-1])
    with pytest.raises(ValueError, match=r"fits: not a whole linreg_fast\.Fits"):
        Fits.load(tmp_path / "fits")


@pytest.mark.parametrize(
    "keys",
    [
        np.arange(6) % 2,
        np.array([None, "a", "b"] * 2, dtype=object)[[1, 2, 1, 2, 1, 2]],
        np.array(["2024-01-01", "2025-01-01"] * 3, dtype="datetime64[ns]"),
        {"a": np.arange(6) % 2, "b": ["x"] * 6},
    ],
    ids=["integers", "objects", "dates", "several"],
)
def test_keys_come_back(keys):
    X, y, *_ = problem(6, 1)
    found = grouped(X, y, keys)
    equal(found, Fits.from_bytes(found.to_bytes()))
    X, y, *_ = problem(24, 1)
    stacked = batched(X.reshape(2, 12, 1), np.stack([y, y], -1).reshape(2, 12, 2))
    equal(stacked, Fits.from_bytes(stacked.to_bytes()))


def test_bytes_that_are_no_fits(fits):
    data = fits.to_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(data), 60).tolist():
        changed = bytearray(data)
        changed[at] ^= 1 + int(rng.integers(0, 255))
        with pytest.raises(ValueError, match=r"."):
            Fits.from_bytes(bytes(changed))
        with pytest.raises(ValueError, match=r"."):
            Fits.from_bytes(data[:at])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fits", 1 << 40),
        ("fits", -1),
        ("features", 2.0),
        ("targets", 0),
        ("arrays", ["coef"]),
        ("arrays", ["coef", "intercept", "other"]),
        ("keys", [["groups", "|O"]]),
        ("keys", [["groups", ["a"]]]),
        ("feature_names", ["a"]),
        ("l2", -1.0),
        ("library", "os"),
        ("stats", ["all"]),
        ("n_dropped", True),
    ],
)
def test_headers_that_lie(fits, name, value):
    """With a checksum that fits: each field is looked at, and nothing large is allocated."""
    body = saved.framed.unframe(fits.to_bytes(), saved.MAGIC, saved.VERSION, "x")
    length = saved.LENGTH.unpack_from(body)[0]
    header = json.loads(bytes(body[8 : 8 + length])) | {name: value}
    text = json.dumps(header).encode()
    forged = saved.framed.frame(
        saved.MAGIC, saved.VERSION, saved.LENGTH.pack(len(text)), text, bytes(body[8 + length :])
    )
    with pytest.raises(ValueError, match="saved Fits"):
        Fits.from_bytes(forged)
