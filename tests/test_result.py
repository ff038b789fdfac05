"""LinearFit: predictions, properties, saving and loading."""

from __future__ import annotations

import copy
import json
import pickle
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from support.compare import bits
from support.exact import lre
from support.problems import problem

import linreg_fast
from linreg_fast import LinearFit
from linreg_fast.inputs import checks
from linreg_fast.result import INSIDE, _Fields

FIELDS = [f"_{name}" if name in INSIDE else name for name in _Fields._fields]

pytestmark = pytest.mark.numerics


@pytest.fixture
def fit():
    X, y, _, _ = problem(100, 3, offset=1.0)
    return linreg_fast.fit(X, y, feature_names=["a", "b", "ü"])


def several():
    X, y, _, _ = problem(100, 3)
    return linreg_fast.fit(X, np.column_stack([y, -2 * y + 1]))


def kinds():
    X, y, _, _ = problem(60, 3)
    w = np.arange(60) % 3.0
    return {
        "plain": linreg_fast.fit(X, y),
        "names": linreg_fast.fit(X, y, feature_names=list("abc")),
        "targets": several(),
        "weights": linreg_fast.fit(X, y, sample_weight=w),
        "no intercept": linreg_fast.fit(X, y, fit_intercept=False, l2=0.5),
        "gd": linreg_fast.fit(X, y, solver="gd", max_iter=7, tol=0),
        "extended": linreg_fast.fit(X, y, precision="extended"),
        "qr": linreg_fast.fit(X, y, solver="qr"),
        "mean": linreg_fast.fit(np.empty((60, 0)), y),
        "third": linreg_fast.fit(X[:, 0], y / 3),
    }


# the object


def test_nothing_can_be_changed(fit):
    before = bits(fit)
    for name in ("coef", "intercept", "l2", "r2", "slope", "other"):
        with pytest.raises(AttributeError):
            setattr(fit, name, 1.0)
        with pytest.raises(AttributeError):
            delattr(fit, name)
    assert bits(fit) == before


@pytest.mark.parametrize("kind", list(kinds()))
def test_arrays_are_read_only(kind):
    fit = kinds()[kind]
    for other in (fit, pickle.loads(pickle.dumps(fit)), copy.deepcopy(fit), LinearFit.from_dict(fit.to_dict())):
        for name in FIELDS:
            value = getattr(other, name)
            if isinstance(value, np.ndarray) and name not in ("rss", "ess", "tss"):  # which are made anew
                with pytest.raises(ValueError, match="read-only"):
                    value[...] = 0.0
            elif isinstance(value, np.ndarray):
                value[...] = 0.0
                assert (getattr(other, name) != 0.0).all()
    mine = np.zeros(fit.coef.shape)
    other = fit.__replace__(coef=mine)
    mine[...] = 1.0
    assert (other.coef == 0.0).all()


def test_what_it_is_made_of_is_not_shown(fit):
    """Neither as an attribute nor by the constructor's names; they come back from every copy all the same."""
    for name in ("chebyshev", "y_unit", "spread", "plan_arguments"):
        assert not hasattr(fit, name)
        assert name not in dir(fit)
        assert name not in repr(fit)


def shown(fit):
    """The lines of repr as (first word, rest), checked for their alignment."""
    title, *lines = repr(fit).split("\n")
    assert title == "LinearFit"
    assert str(fit) == repr(fit)
    assert all(line.startswith("  ") and line == line.rstrip() for line in lines)
    return lines


def test_repr():
    x = np.arange(4.0)
    X = np.column_stack([x, [1.0, 0, 0, 1]])
    found = linreg_fast.fit(X, 2 * x - 3, feature_names=["a", "ü"])
    assert shown(found)[:1] + shown(found)[2:6] == [
        "  a           2",
        "  intercept  -3",
        "  R2          1",
        "  rows        4",
        "  solver      cholesky",
    ]
    assert shown(found)[6:] == [f"  digits      {found.digits:.1f}"]
    line = linreg_fast.fit(x, [0.0, 1, 1, 2], fit_intercept=False)
    assert shown(line)[0] == f"  x0       {line.slope:.6g}"
    assert "intercept" not in repr(line)
    with pytest.warns(linreg_fast.ConvergenceWarning):
        steps = linreg_fast.fit(*problem(60, 5)[:2], solver="gd", max_iter=2)
    assert "  solver      gd, not converged after 2 steps" in shown(steps)
    assert "  l2          0.5" in shown(linreg_fast.fit(X, x, l2=0.5))
    with pytest.warns(linreg_fast.RankWarning):
        deficient = linreg_fast.fit(np.column_stack([x, x]), x)
    assert "  rank        1 of 2" in shown(deficient)
    power = linreg_fast.fit_polynomial(x, x**2, 2)
    assert [line.split()[0] for line in shown(power)[:3]] == ["x", "x^2", "intercept"]


def test_repr_of_several_targets():
    x = np.array([-1.0, 0.0, 1.0, 0.0])
    lines = shown(linreg_fast.fit(x, np.column_stack([-2 * x, 1000 * x + 1, x])))
    assert lines[:4] == [
        "              y0   y1     y2",
        "  x0         -2    1000   1",
        "  intercept   0    1      0",
        "  R2          1    1      1",
    ]
    one = linreg_fast.fit(x, x[:, None])
    assert shown(one)[0].split() == ["y0"]
    many = linreg_fast.fit(x, np.outer(x, np.arange(1.0, 21.0)))
    assert shown(many)[0].split() == ["y0", "y1", "y2", "...", "y17", "y18", "y19"]
    assert shown(many)[1].split() == ["x0", "1", "2", "3", "...", "18", "19", "20"]


def test_repr_of_many_columns_and_long_names():
    X, y, _, _ = problem(60, 40)
    lines = shown(linreg_fast.fit(X, y))
    assert [line.split()[0] for line in lines[:13]] == [
        *(f"x{j}" for j in range(6)),
        "...",
        *(f"x{j}" for j in range(34, 40)),
    ]
    assert lines[6].split() == ["...", "28", "more"]
    for p in (12, 13):
        assert "more" not in repr(linreg_fast.fit(X[:, :p], y))
    lines = shown(linreg_fast.fit(X[:, :2], y, feature_names=["a\nb", "c" * 1000]))
    assert [line.split()[0] for line in lines[:2]] == ["a\\nb", "c" * 29 + "..."]
    assert len({line.index(line.split()[1]) - (line.split()[1][0] != "-") for line in lines[:4]}) == 1  # aligned


def test_types(fit):
    assert isinstance(fit.intercept, float)
    assert isinstance(fit.rss, float)
    assert isinstance(fit.r2, float)
    assert isinstance(fit.cost, float)
    assert isinstance(fit.residual_std, float)
    assert isinstance(fit.digits, float)
    assert isinstance(fit.rank, int)
    assert isinstance(fit.rcond, float)
    assert fit.coef.dtype == np.float64
    assert fit.feature_names == ("a", "b", "ü")
    assert fit.plan.solver == "cholesky"
    assert (fit.n_samples, fit.n_features, fit.n_targets, fit.sum_weight) == (100, 3, 1, 100.0)
    assert (fit.converged, fit.n_iter, fit.cost_history) == (True, 0, None)


def test_slope_is_for_one_feature(fit):
    with pytest.raises(AttributeError, match="slope is for one feature; this fit has 3"):
        _ = fit.slope
    x = np.arange(5.0)
    np.testing.assert_allclose(linreg_fast.fit(x, np.column_stack([2 * x, -x])).slope, [2.0, -1.0], rtol=1e-14)


@pytest.mark.parametrize("exponent", [530, 550, 570])
def test_digits_of_subnormal_coefficients(exponent):
    """Powers of two change nothing but the range."""
    x = np.arange(1.0, 9.0) / 3
    slope = Fraction(linreg_fast.fit(x, np.cos(x), precision="extended").slope) / 2 ** (500 + exponent)
    tiny = linreg_fast.fit(x * 2.0**500, np.cos(x) * 2.0**-exponent, precision="extended")
    assert 0.5 < tiny.digits < 14
    assert lre(tiny.slope, slope) >= tiny.digits - 1.5


def test_residual_std():
    X, y, _, _ = problem(50, 3)
    fit = linreg_fast.fit(X, y)
    r = y - fit.predict(X)
    assert fit.residual_std == pytest.approx(np.sqrt(r @ r / (50 - 4)), rel=1e-9)
    assert np.isnan(linreg_fast.fit([1.0, 2.0], [3.0, 5.0]).residual_std)
    assert several().residual_std.shape == (2,)


# predictions


@pytest.mark.parametrize("n", [0, 1, 7, 5000])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_predict(n, n_threads):
    X, _, _, _ = problem(max(n, 1), 3)
    X = X[:n]
    for fit in (kinds()["plain"], several(), kinds()["no intercept"]):
        expected = X @ fit.coef.T + fit.intercept
        for other in (X, np.asfortranarray(X), X[:, ::-1].copy()[:, ::-1], X.astype(">f8")):
            found = fit.predict(other, n_threads=n_threads)
            assert found.shape == expected.shape
            assert found.dtype == np.float64
            np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(fit.predict(X.astype(np.float32)), expected, rtol=1e-5, atol=1e-5)


def test_predict_into_out(fit):
    X, _, _, _ = problem(50, 3)
    expected = fit.predict(X)
    out = np.full(50, np.nan)
    assert fit.predict(X, out) is out
    assert (out == expected).all()
    wide = np.full((50, 3), np.nan)
    fit.predict(X, out=wide[:, 1])
    assert (wide[:, 1] == expected).all()
    assert np.isnan(wide[:, [0, 2]]).all()
    reverse = np.full(50, np.nan)
    fit.predict(X, out=reverse[::-1])
    assert (reverse[::-1] == expected).all()
    two = several()
    for out in (np.empty((50, 2)), np.empty((50, 2), order="F"), np.empty((2, 50)).T[::-1]):
        two.predict(X, out=out)
        assert (out == two.predict(X)).all()


def test_predict_piece_by_piece(monkeypatch):
    monkeypatch.setattr(checks, "CONVERT_BYTES", 1)
    X, _, _, _ = problem(1000, 3)
    for fit in (several(), kinds()["plain"]):
        for n_threads in (1, 3):
            np.testing.assert_allclose(fit.predict(X[::-1], n_threads=n_threads), fit.predict(X)[::-1], rtol=1e-13)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.empty(49), ValueError, r"out must have shape \(50,\), got \(49,\)"),
        (np.empty((50, 1)), ValueError, r"out must have shape \(50,\)"),
        (np.empty(50, dtype=np.float32), TypeError, "native float64"),
        (np.empty(50, dtype=">f8"), TypeError, "native float64"),
        ([0.0] * 50, TypeError, "native float64"),
        (np.frombuffer(bytes(400)), ValueError, "writeable"),
        (np.zeros(401, dtype=np.uint8)[1:].view(np.float64), ValueError, "aligned"),
    ],
)
def test_predict_into_a_wrong_out(fit, out, error, message):
    X, _, _, _ = problem(50, 3)
    with pytest.raises(error, match=message):
        fit.predict(X, out=out)


def test_predict_into_the_data(fit):
    X, _, _, _ = problem(50, 3)
    before = X.copy()
    with pytest.raises(ValueError, match="overlap"):
        fit.predict(X, out=X[:, 0])
    np.testing.assert_array_equal(X, before)


def far_fits(x, y):
    """One problem through every door that knows where its rows are."""
    doors = [{}, {"precision": "extended"}, {"solver": "cholesky"}, {"solver": "qr"}, {"solver": "svd"}]
    doors += [{"solver": "gd"}, {"sample_weight": np.full(len(x), 2.0**900)}, {"l2": 2.0**-60}]
    fits = [linreg_fast.fit(x, y, **options) for options in doors]
    half = len(x) // 2
    for precision in ("auto", "extended"):
        moments = linreg_fast.Moments(1, precision=precision)
        fits.append(moments.update(x[:half], y[:half]).update(x[half:], y[half:]).solve())
    fits.append(linreg_fast.fit(x, np.column_stack([-y, y])))
    fits.append(linreg_fast.fit_stream([(x[:half], y[:half]), (x[half:], y[half:])]))
    fits.append(linreg_fast.fit(np.column_stack([x, np.tile(x, (len(x), 1))]), y, on_collinear="drop"))
    return fits


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e12, -(2.0**44)])
def test_predictions_far_from_zero(offset, tmp_path):
    """Nothing is lost to an offset of the columns: the sum is taken about their means."""
    steps = np.random.default_rng(5).permutation(40) / 1024 + offset  # exact
    x, y = steps, np.random.default_rng(6).integers(-9, 9, 40) / 8
    t = [Fraction(v) - Fraction(offset) for v in x]
    mean, mean_y = sum(t) / 40, sum(map(Fraction, y)) / 40
    slope = sum((a - mean) * Fraction(b) for a, b in zip(t, y, strict=True)) / sum((a - mean) ** 2 for a in t)
    exact = np.array([float(mean_y + slope * (a - mean)) for a in t])
    for fit in far_fits(x, y):
        X = x if fit.n_features == 1 else np.column_stack([x, np.tile(x, (40, 1))])
        fit.save(tmp_path / "fit.json")
        for found in (fit, LinearFit.load(tmp_path / "fit.json"), pickle.loads(pickle.dumps(fit))):
            predictions = found.predict(X) if fit.n_targets == 1 else found.predict(X)[:, 1]
            np.testing.assert_allclose(predictions, exact, rtol=0, atol=2e-14)
            assert (found.predict(X[7:]) == found.predict(X)[7:]).all()  # of its own row alone


@pytest.mark.parametrize("n_threads", [1, 2])
def test_predictions_about_an_origin_in_pieces(n_threads):
    """Whatever the layout and the number of rows and columns."""
    rng = np.random.default_rng(3)
    for p in (1, 3, 40):
        X = (rng.integers(-50, 50, (40_000, p)) + 2**22).astype(np.float32)
        Y = rng.integers(-50, 50, (40_000, 2)).astype(float)
        fit = linreg_fast.fit(X[:300], Y[:300])
        c, v = np.split(fit._origin, [p])
        expected = (X.astype(float) - c) @ fit.coef.T + v
        layouts = (X, np.asfortranarray(X), X.astype(float), X[::-1][::-1], X.astype(np.int64))
        for other in layouts:
            found = fit.predict(other, n_threads=n_threads)
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-11)
        out = np.zeros((40_000, 4))
        fit.predict(X, out=out[:, 1:3], n_threads=n_threads)
        assert (out[:, 1:3] == fit.predict(X)).all()
        assert not out[:, [0, 3]].any()


def test_predict_checks_the_shape(fit):
    for bad in (np.ones((5, 2)), np.ones((5, 4)), np.ones(3), np.ones((5, 3, 1))):
        with pytest.raises(ValueError, match=r"X must have shape \(n, 3\)"):
            fit.predict(bad)
    with pytest.raises(TypeError, match="X"):
        fit.predict([["a", "b", "c"]])
    with pytest.raises(ValueError, match="n_threads must be"):
        fit.predict(np.ones((5, 3)), n_threads=0)


def test_predictions_are_of_the_library_of_the_rows():
    X, y, _, _ = problem(50, 3)
    frame = pd.DataFrame(X, columns=list("abc"), index=[f"row {i}" for i in range(50)])
    fit, expected = linreg_fast.fit(X, y, feature_names=list("abc")), linreg_fast.fit(X, y).predict(X)
    pd.testing.assert_series_equal(fit.predict(frame), pd.Series(expected, frame.index, name="prediction"), rtol=1e-14)
    found = fit.predict(pl.from_pandas(frame))
    assert (type(found), found.name) == (pl.Series, "prediction")
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    assert type(fit.predict(pa.Table.from_pandas(frame))) is np.ndarray
    assert fit.predict(frame, interval="confidence").lower.index.equals(frame.index)
    out = np.empty(50)
    assert fit.predict(frame, out=out) is out
    targets = pd.DataFrame({"first": y, "second": 2 * y}, index=frame.index)
    both = linreg_fast.fit(frame, targets)
    assert both.target_names == ("first", "second")
    assert LinearFit.from_dict(both.to_dict()).target_names == ("first", "second")
    assert both.predict(frame).columns.tolist() == ["first", "second"]
    assert both.predict(pl.from_pandas(frame)).columns == ["first", "second"]
    assert linreg_fast.fit_stream(frame.assign(y=y), target="y").target_names == ("y",)


def test_predict_wants_the_columns_of_the_fit():
    X, y, _, _ = problem(50, 3)
    frame = pd.DataFrame(X, columns=list("abc"))
    fit = linreg_fast.fit(frame, y)
    np.testing.assert_allclose(fit.predict(frame), fit.predict(X), rtol=1e-14)
    other = frame[list("cba")].assign(text="x", date=pd.Timestamp("2026-01-01"))
    for further in (other, pl.from_pandas(other), pa.Table.from_pandas(other)):
        np.testing.assert_allclose(fit.predict(further), fit.predict(X), rtol=1e-14)
    with pytest.raises(ValueError, match="X has no column 'c', which the fit is of; its columns are a, b, x"):
        fit.predict(frame.rename(columns={"c": "x"}))
    with pytest.raises(ValueError, match="X has no columns 'b', 'c', which the fit is of; its columns are a"):
        fit.predict(frame[["a"]])
    with pytest.raises(ValueError, match="X has 2 columns 'a'"):
        fit.predict(pd.concat([frame, frame[["a"]]], axis=1))
    with pytest.raises(TypeError, match="column 'b' of X has dtype"):
        fit.predict(frame.assign(b="text"))
    unnamed = linreg_fast.fit(X, y)
    np.testing.assert_allclose(unnamed.predict(frame[list("cba")]), unnamed.predict(X[:, ::-1]), rtol=1e-13)
    line = linreg_fast.fit(frame["a"], y)
    np.testing.assert_array_equal(line.predict(pd.Series(X[:, 0], name="other")), line.predict(X[:, 0]))


def test_predict_passes_nan_on(fit):
    X, _, _, _ = problem(50, 3)
    X[7, 1] = np.nan
    found = fit.predict(X)
    assert np.flatnonzero(np.isnan(found)).tolist() == [7]


# saving


@pytest.mark.parametrize("kind", list(kinds()))
def test_save_and_load_bitwise(kind, tmp_path):
    fit = kinds()[kind]
    fit.save(tmp_path / "fit.json")
    again = LinearFit.load(tmp_path / "fit.json")
    assert bits(again) == bits(fit)
    for name in FIELDS:
        if name in ("_plan_arguments", "_bread"):
            continue
        a, b = getattr(fit, name), getattr(again, name)
        if isinstance(a, np.ndarray):
            assert a.tobytes() == b.tobytes(), name
            assert a.shape == b.shape, name
        else:
            assert type(a) is type(b), name
            assert a == b or (a != a and b != b), name
    assert again.stderr.tobytes() == fit.stderr.tobytes()
    if kind == "polynomial":
        with pytest.raises(ValueError, match="keeps no covariances"):
            again.cov()
    else:
        assert again.cov().tobytes() == fit.cov().tobytes()
    X = np.random.default_rng(0).standard_normal((9, fit.n_features))
    assert (again.predict(X) == fit.predict(X)).all()
    assert again.plan is None
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "fit.json").read_bytes()


@pytest.mark.parametrize("kind", list(kinds()))
def test_to_dict_is_json(kind):
    fit = kinds()[kind]
    state = json.loads(json.dumps(fit.to_dict()))
    assert bits(LinearFit.from_dict(state)) == bits(fit)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies(fit, copied):
    other = copied(fit)
    for name in FIELDS:
        np.testing.assert_equal(getattr(other, name), getattr(fit, name))
    assert (other.coef is fit.coef) == (copied is copy.copy)
    with pytest.raises(AttributeError, match="never changes"):
        other.coef = None


def test_pickle():
    for fit in kinds().values():
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert bits(pickle.loads(pickle.dumps(fit, protocol))) == bits(fit)


def test_truncated_files(fit, tmp_path):
    fit.save(tmp_path / "fit.json")
    text = (tmp_path / "fit.json").read_text(encoding="utf-8")
    for size in range(0, len(text) - 1, 7):
        (tmp_path / "short.json").write_text(text[:size], encoding="utf-8")
        with pytest.raises(ValueError, match=r"is not JSON|not a"):
            LinearFit.load(tmp_path / "short.json")


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe\x00", b"\x80\x04\x95", b"[]", b"null", b"3", b'"x"', b"{}", b"[" * 100_000]
)
def test_files_that_are_something_else(data, tmp_path):
    (tmp_path / "other").write_bytes(data)
    with pytest.raises(ValueError, match=r"not JSON|not a"):
        LinearFit.load(tmp_path / "other")


def test_mutated_states(fit):
    """Every field missing, or of another kind or shape: ValueError, whatever it is."""
    state = fit.to_dict()
    for name in state:
        with pytest.raises(ValueError, match=r"not a|format"):
            LinearFit.from_dict({key: value for key, value in state.items() if key != name})
    wrong = {
        "coef": [None, "x", [1.0, 2.0], [[1.0, 2.0, 3.0]] * 2, list("abc"), [[1.0], [2.0, 3.0]], {}, 3.0, [1, 2, None]],
        "intercept": [None, "x", [1.0], [1.0, 2.0], {}, 1e999, True],
        "rss": ["x", [1.0], {}, -1.0],
        "tss": ["x", [1.0], {}, -1.0],
        "ess": ["x", [1.0]],
        "y_unit": [None, 0.0, -1.0, 3.0, [1.0, 1.0], "x", 1e999],
        "n_features": [4, "3", None, 3.5, [3], -3, True, 2**70],
        "n_targets": [0, 2, "1", None, -1],
        "n_samples": [None, "many", [1], 0, -5],
        "n_iter": [None, -1, 0.5],
        "solver": [None, "magic", 3, []],
        "solver_path": [None, 3, [], ["qr"], ["cholesky", 3], "cholesky"],
        "reason": [None, 3],
        "precision": [None, "exact", 2],
        "feature_names": [["a", "b"], 3, "abc", ["a", "b", 3]],
        "sum_weight": [None, "x", 0.0, -1.0, 1e999],
        "rank": [None, "x", -5, 4, 2.0, True],
        "rcond": ["x", -1.0],
        "digits": [None, "x", -1.0, 17.0, 3],
        "converged": [None, 1, "yes"],
        "fit_intercept": [None, 1, "yes"],
        "l2": [None, -1.0, 1e999],
        "cost_history": ["x", [["a"]], [1.0, 2.0]],
        "spread": ["x", [1.0], [-1.0, 1.0, 1.0, 1.0], 3.0],
        "chebyshev": ["x", [1.0, 2.0], [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]],
        "collinear": [None, 3, [3], [-1], ["a"], [True]],
        "dropped": [None, [0], [[0]]],
        "left_out": [None, [], ["a"], {"a": 1}, {"a": None}, "a"],
        "n_dropped": [None, -1, 1.0, True, "1", 2**70],
        "weighted": [None, 1, "yes"],
        "bread": [3, [], {}, {"live": [0, 1, 2], "means": [0.0, 0.0, 0.0], "level": [0.0], "inverse": [1.0]}],
        "robust": [3, [], {}, {"kind": 1, "matrix": [], "freedom": 3, "note": ""}],
        "target_names": [["a", "b"], 3, "abc", [3]],
        "formula": [3, [], "y ~ x", {}, {"text": "y ~ x"}],
        "origin": [3, [], [1.0, 2.0], [1.0, 2.0, 3.0, None], [1.0, 2.0, 3.0, 1e999]],
        "active": ["x", 3, [0, 1], [0, 1, 2], [0.5, 0, 0], [0, 1, None]],
    }
    assert set(wrong) == set(state) - {"format", "version"}
    for name, values in wrong.items():
        for value in values:
            # another number of columns or targets shows in the coefficients
            fault = "coef" if name in ("n_features", "n_targets") and type(value) is int and 0 < value < 9 else name
            with pytest.raises(ValueError, match=f"not a whole linreg_fast.LinearFit: {fault} cannot be"):
                LinearFit.from_dict({**state, name: value})
    for name, values in {"format": ["other", None, 3], "version": [0, 99, "1", None, True, 1.0]}.items():
        for value in values:
            with pytest.raises(ValueError, match=r"not a saved|version"):
                LinearFit.from_dict({**state, name: value})


# what version 1 of the format wrote, a line: no left_out, no n_dropped
VERSION_1 = """
{"format": "linreg_fast.LinearFit", "version": 1, "coef": [2.085714285714286, 1.9721522630525295e-31, 0.0],
"intercept": -2.7142857142857144, "solver": "cholesky", "solver_path": ["cholesky", "qr", "svd", "cholesky"],
"reason": "rank 2 of 3: dependent columns dropped", "precision": "auto", "digits": 15.95, "rank": 2,
"rcond": 0.1239541855740121, "converged": true, "n_iter": 0, "cost_history": null, "rss": 1.3714285714285714,
"ess": 76.12857142857143, "tss": 77.5, "sum_weight": 6.0, "n_samples": 6, "n_features": 3, "n_targets": 1,
"feature_names": ["a", "b", "c"], "fit_intercept": true, "l2": 0.0,
"spread": [0.8525172809308409, 0.1636634176769943, null, 0.9063269671749657], "collinear": [0, 1, 2], "dropped": [2],
"chebyshev": null, "y_unit": 1.0}
"""


def test_files_of_version_1_still_load(tmp_path):
    (tmp_path / "old.json").write_text(VERSION_1, encoding="utf-8")
    fit = LinearFit.load(tmp_path / "old.json")
    assert fit.coef.tolist() == [2.085714285714286, 1.9721522630525295e-31, 0.0]
    assert (fit.intercept, fit.rss, fit.rank) == (-2.7142857142857144, 1.3714285714285714, 2)
    assert (fit.feature_names, fit.collinear, fit.dropped) == (("a", "b", "c"), (0, 1, 2), (2,))
    assert (fit.left_out, fit.n_dropped) == ({}, 0)
    assert fit.stderr[0] == fit.residual_std * 0.8525172809308409
    assert np.isnan(fit.stderr[2])
    fit.save(tmp_path / "new.json")
    assert LinearFit.load(tmp_path / "new.json").to_dict() == fit.to_dict()
    state = json.loads(VERSION_1)
    for name in state:
        with pytest.raises(ValueError, match=r"not a|format"):
            LinearFit.from_dict({key: value for key, value in state.items() if key != name})


def test_what_took_no_part(fit, tmp_path):
    assert (fit.left_out, fit.n_dropped) == ({}, 0)
    assert not {"left out", "dropped"} & set(repr(fit).split())
    given = {"name": "text", "day": "date"}
    other = fit.__replace__(left_out=given, n_dropped=2)
    given["c"] = "changed"
    other.left_out["d"] = "changed"
    assert (other.left_out, other.n_dropped) == ({"name": "text", "day": "date"}, 2)
    assert "  left out    name (text), day (date)" in shown(other)
    assert "  rows        100, 2 with missing values dropped" in shown(other)
    other.save(tmp_path / "fit.json")
    copies = [LinearFit.load(tmp_path / "fit.json"), pickle.loads(pickle.dumps(other)), copy.deepcopy(other)]
    for again in copies:
        assert (again.left_out, again.n_dropped) == (other.left_out, 2)
    assert list(copies[0].left_out) == ["name", "day"]
    assert fit.left_out == {}
    many = fit.__replace__(left_out={f"column {j}": "text" for j in range(20)})
    assert shown(many)[-1].endswith("column 5 (text) and 14 more")


def test_file_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError):
        LinearFit.load(tmp_path / "none.json")


def test_replace(fit):
    other = fit.__replace__(reason="because", l2=2.0)  # what copy.replace calls, from Python 3.13 on
    assert (other.reason, other.l2) == ("because", 2.0)
    assert bits(other) == bits(fit)
    assert fit.l2 == 0.0
    with pytest.raises(ValueError, match="unexpected field names"):
        fit.__replace__(colour="red")
