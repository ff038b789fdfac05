"""Small tables in one kernel call: all options of `fit`, all ways in, and where the general path takes over."""

from __future__ import annotations

import itertools
import warnings
from fractions import Fraction

import numpy as np
import pytest
from conftest import intercepts
from support.exact import exact_fit, exact_ridge, ulps
from support.problems import ill_conditioned, problem

import linreg_fast
from linreg_fast import reference
from linreg_fast.passes import levels
from linreg_fast.solvers import closed_form, small

pytestmark = pytest.mark.numerics


@pytest.fixture
def lane_alone(monkeypatch):
    """An error where a table goes on to the general path."""

    def general(*_):
        raise AssertionError("the general path")

    monkeypatch.setattr(closed_form, "solve", general)


def numbers(fit):
    """Everything that a fit is made of, as bits."""
    values = (
        fit.coef,
        fit.intercept,
        fit.rss,
        fit.tss,
        fit.ess,
        fit.stderr,
        fit.intercept_stderr,
        fit.digits,
        fit.rcond,
    )
    return [np.asarray(value).tobytes() for value in values]


# precision="extended"


@intercepts
@pytest.mark.parametrize("l2", [0.0, 0.5])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_targets", [None, 1, 3])
def test_extended(n_targets, weighted, l2, fit_intercept, lane_alone):
    """Coefficients within an ulp of the exact ones, the sums of squares too; several targets, float32, F order."""
    X, y, _, _ = problem(40, 3, offset=10.0)
    Y = y if n_targets is None else np.column_stack([y * (t + 1) + t * X[:, 0] ** 2 for t in range(n_targets)])
    w = np.arange(40) % 5 * 0.5 if weighted else None
    for A in (X, np.asfortranarray(X), X.astype(np.float32)):
        fit = linreg_fast.fit(A, Y, sample_weight=w, l2=l2, fit_intercept=fit_intercept, precision="extended")
        assert (fit.precision, fit.solver_path, fit.rank) == ("extended", ("cholesky",), 3)
        assert fit.digits == 15.95
        assert fit.coef.shape == ((3,) if n_targets is None else (n_targets, 3))
        assert fit.n_samples == (32 if weighted else 40)
        assert np.isnan(fit.stderr).all() == (l2 > 0)
        for t in range(n_targets or 1):
            v = Y if n_targets is None else Y[:, t]
            found = [
                np.atleast_2d(fit.coef)[t],
                *(np.atleast_1d(a)[t : t + 1] for a in (fit.intercept, fit.rss, fit.tss)),
            ]
            exact = exact_ridge(A, v, l2, fit_intercept, w)
            assert ulps([*found[0], *found[1][: len(exact) - 3]], exact) <= 1
            squares = reference.extended(A, v, w, fit_intercept, l2)[-2:]
            assert ulps([found[2][0], found[3][0]], squares) <= 1
            assert ulps(np.atleast_1d(fit.ess)[t : t + 1], [squares[1] - squares[0]]) <= 1


def test_extended_as_the_general_path_has_it(monkeypatch):
    X, y, _, _ = problem(60, 4)
    for w in (None, np.arange(60) % 3 + 0.25):
        fit = linreg_fast.fit(X, y, sample_weight=w, precision="extended")
        with monkeypatch.context() as patch:
            patch.setattr(small, "SMALL_COLUMNS", 0)
            other = linreg_fast.fit(X, y, sample_weight=w, precision="extended")
        for name in ("coef", "intercept", "rss", "tss", "ess", "stderr", "intercept_stderr"):
            np.testing.assert_allclose(getattr(fit, name), getattr(other, name), rtol=1e-15, err_msg=name)
        assert fit.rcond == pytest.approx(other.rcond, rel=0.1)  # of other scales, estimated or not
        assert (fit.plan, fit.reason, fit.digits) == (other.plan, other.reason, other.digits)


def test_extended_by_every_way_in(lane_alone):
    """The same bits of arrays, lists, strides, names, threads, a report and rows of weight 0."""
    X, y, _, _ = problem(50, 3)
    X, y = np.round(X * 64), np.round(y * 64)
    expected = numbers(linreg_fast.fit(X, y, precision="extended"))
    wide = np.zeros((100, 7))
    wide[::2, 1::2] = X
    cases = {
        "lists": (X.tolist(), y.tolist(), {}),
        "whole numbers": (X.astype(np.int64), y.astype(np.int16), {}),
        "strides": (wide[::2, 1::2], wide[::2, 1] * 0 + y, {}),
        "names": (X, y, {"feature_names": ["a", "b", "c"]}),
        "threads": (X, y, {"n_threads": 2}),
        "dropped": (X, y, {"missing": "drop", "on_collinear": "drop"}),
    }
    for what, (A, v, options) in cases.items():
        assert numbers(linreg_fast.fit(A, v, precision="extended", **options)) == expected, what
    seen = []
    fit = linreg_fast.fit(X, y, precision="extended", progress=lambda done, rows: seen.append((done, rows)))
    assert numbers(fit) == expected
    assert seen == [(50, 50)]


def test_extended_goes_on_where_the_lane_declines():
    """Every answer of the general path is still there: constant and dependent columns, few rows, bad numbers."""
    X, y, _, _ = problem(40, 3)
    constant, twice = X.copy(), X.copy()
    constant[:, 1] = 7.0
    twice[:, 1] = 2 * twice[:, 0]
    fit = linreg_fast.fit(constant, y, precision="extended")
    assert (fit.rank, fit.collinear, fit.coef[1]) == (2, (1,), 0.0)
    with pytest.warns(linreg_fast.RankWarning):
        assert linreg_fast.fit(twice, y, precision="extended").rank == 2
    with pytest.warns(linreg_fast.RankWarning):
        assert linreg_fast.fit(X[:3], y[:3], precision="extended").rank == 2
    assert linreg_fast.fit(X, np.full(40, 2.0), precision="extended").intercept == 2.0
    bad = X.copy()
    bad[17, 2] = np.nan
    with pytest.raises(ValueError, match="X has NaN at row 17, column 2"):
        linreg_fast.fit(bad, y, precision="extended")
    with pytest.raises(ValueError, match=r"sample_weight has -1\.0 at row 3"):
        linreg_fast.fit(X, y, sample_weight=np.where(np.arange(40) == 3, -1.0, 1.0), precision="extended")
    tiny = linreg_fast.fit(X, y, sample_weight=np.full(40, 2.0**-300), precision="extended")
    assert (tiny.coef == linreg_fast.fit(X, y, precision="extended").coef).all()


def test_many_targets_take_no_memory_of_their_square(lane_alone, monkeypatch):
    """The lane stops at some targets: the sums of all with all of 30,000 would not fit into memory."""
    X, y, _, _ = problem(40, 2)
    monkeypatch.setattr(levels.kernels, "extended_sizes", lambda p, k: pytest.fail(f"{k} targets"))
    with pytest.raises(AssertionError, match="the general path"):
        linreg_fast.fit(X, y[:, None] * np.arange(1.0, 400.0), precision="extended")


# precision="auto" that needs more digits


@intercepts
@pytest.mark.parametrize("kappa", [1e4, 1e5, 1e6])
def test_auto_of_ill_conditioned_columns(kappa, fit_intercept, lane_alone):
    X, y = ill_conditioned(kappa, n=50, noise=1.0)
    fit = linreg_fast.fit(X, y, fit_intercept=fit_intercept)
    assert linreg_fast.fit(X, y, fit_intercept=fit_intercept, precision="fast").digits < 10
    exact = exact_fit(X, y, fit_intercept)
    assert ulps([*fit.coef, *[fit.intercept] * fit_intercept], exact) <= 1
    assert 12.0 <= fit.digits <= 15.95


def test_auto_of_y_that_is_far_off_and_without_noise(lane_alone):
    """rss of residuals that an offset would cost their digits."""
    X, _, _, _ = problem(50, 2)
    y = 1e9 + (X * [1.0, 2.0]).sum(axis=1)
    fit = linreg_fast.fit(X + 1e6, y)
    rss = reference.extended(X + 1e6, y, None, True, 0.0)[-2]
    assert 0 < rss < 1e-11
    assert fit.rss == pytest.approx(float(rss), rel=1e-12)


def test_plain_fits_do_not_take_it(monkeypatch):
    """What has its digits is as it was: no sums in double-double."""
    monkeypatch.setattr(small, "_extended", lambda *_: pytest.fail("double-double"))
    X, y, _, _ = problem(50, 3)
    for precision in ("auto", "fast"):
        for A, v in ((X, y), (X, (X * 2.0).sum(axis=1)), (X[:, :2], y), (X.tolist(), y)):
            linreg_fast.fit(A, v, precision=precision)


# other layouts and dtypes, lists


LAYOUTS = {
    "strided": lambda A: np.repeat(A, 2, axis=-1)[..., ::2],
    "reversed": lambda A: A[::-1].copy()[::-1],
    "int64": lambda A: A.astype(np.int64),
    "uint8": lambda A: (A + 100).astype(np.uint8),
    "bool": lambda A: A > 0,
    "float16": lambda A: A.astype(np.float16),
    "longdouble": lambda A: A.astype(np.longdouble),
    "big-endian": lambda A: A.astype(">f8"),
    "read-only": lambda A: np.broadcast_to(A, A.shape),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_layouts_and_dtypes_are_read_as_float64(kind, monkeypatch):
    """The same bits as of the numbers in C order, in one or two dimensions, and the plan that says what is copied."""
    rng = np.random.default_rng(1)
    X, y = np.round(rng.standard_normal((50, 3)) * 30), np.round(rng.standard_normal(50) * 30)
    for A, v in ((LAYOUTS[kind](X), y), (X, LAYOUTS[kind](y)), (LAYOUTS[kind](X), LAYOUTS[kind](y))):
        plain = linreg_fast.fit(A.astype(np.float64, order="C"), v.astype(np.float64))
        checked = linreg_fast.fit(A, v, n_threads=1)
        with monkeypatch.context() as patched:
            patched.setattr("linreg_fast.fitting.table", None)  # not looked at any further
            fit = linreg_fast.fit(A, v)
        assert numbers(fit) == numbers(plain) == numbers(checked)
        assert str(fit.plan) == str(checked.plan)
    x = LAYOUTS[kind](X[:, 0])
    assert numbers(linreg_fast.fit(x, y)) == numbers(linreg_fast.fit(x.astype(np.float64), y))


def test_layouts_keep_what_is_said_of_them():
    """Rounded integers are warned of, and messages speak of the shapes that were handed in."""
    with pytest.warns(linreg_fast.PrecisionWarning, match="row 3"):
        linreg_fast.fit(np.array([1, 2, 3, 2**53 + 1, 5]), np.arange(5.0))
    with pytest.raises(ValueError, match=r"shape \(5,\), y \(4,\)"):
        linreg_fast.fit(np.arange(5), np.arange(4.0))
    with pytest.raises(ValueError, match="row 2"):
        linreg_fast.fit(np.array([1.0, 2.0, np.nan, 4.0, 6.0]), np.arange(5))
    assert linreg_fast.fit(np.arange(6)[::2], [0, 2, 4]).predict([7.0]) == 7.0


def test_the_first_lane_says_what_the_general_path_says():
    """Fits, warnings and errors, of every kind of X with every kind of y: one thread asked for is no first lane."""
    five = np.arange(5)
    kinds = [
        *(np.array(5.0), np.empty(0), np.empty((0, 3)), np.ones(1), np.ones((5, 1, 1)), five, five + 0.5, five > 2),
        *(
            np.eye(5)[:, :3],
            np.eye(3, 5),
            np.eye(5),
            np.where(five == 2, np.nan, five),
            np.where(five == 2, -np.inf, five),
        ),
        *(five * 1j, five.astype(object), np.array(list("abcde")), five.astype("M8[D]"), five.astype(np.float16)),
        *(
            five.astype(np.longdouble) / 3,
            five.astype(np.uint64),
            five + 2**60,
            np.full(5, 2),
            np.zeros(5, [("a", float)]),
        ),
        *(np.ma.masked_equal(five, 2), five.tolist(), [[v] for v in five.tolist()], [[1], [2, 3]], None, 3, "abc"),
    ]

    def outcome(X, y, **options):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                fit = linreg_fast.fit(X, y, **options)
                said = numbers(fit), fit.n_samples, str(fit.plan), fit.predict(np.ones((1, fit.n_features))).shape
            except (TypeError, ValueError) as error:
                said = type(error), str(error)
        return said, [(one.category, str(one.message), one.filename) for one in caught]

    fitted = 0
    for X, y in itertools.product(kinds, kinds):
        found = outcome(X, y)
        assert found == outcome(X, y, n_threads=1), (X, y)
        fitted += len(found[0]) == 4
    assert fitted > 100


@pytest.mark.parametrize("kind", [list, tuple])
def test_lists_are_arrays(kind):
    X, y, _, _ = problem(30, 3)
    rows = kind(kind(row) for row in X.tolist())
    expected = linreg_fast.fit(X, y)
    for A, v in ((rows, kind(y.tolist())), (rows, y), (X, kind(y.tolist())), (rows, kind([t] for t in y.tolist()))):
        fit = linreg_fast.fit(A, v)
        assert (fit.coef.ravel() == expected.coef).all()
    assert (linreg_fast.fit(X[:, 0].tolist(), y).coef == linreg_fast.fit(X[:, 0], y).coef).all()
    assert (linreg_fast.fit(rows, y, sample_weight=kind([1] * 30)).coef == expected.coef).all()
    mixed = [[int(v) if j else bool(v > 0) for j, v in enumerate(row)] for row in np.round(X * 9).tolist()]
    assert (linreg_fast.fit(mixed, y).coef == linreg_fast.fit(np.array(mixed, dtype=float), y).coef).all()


def test_lists_keep_every_message():
    y = [1.0, 2.0, 4.0]
    good = [[1.0], [2], [3.5]]
    for rows, error, message in (
        ([[1.0], [2.0, 3.0], [4.0]], ValueError, "X cannot be made an array: row 1 is of length 2, row 0 of length 1"),
        ([[1.0], ["2"], [4.0]], TypeError, "X"),
        ([[1.0], [None], [4.0]], ValueError, "NaN at row 1"),
        ([[1.0], [float("inf")], [4.0]], ValueError, "X has inf at row 1, column 0"),
        ([[1.0], [1j], [4.0]], TypeError, "X is complex"),
        ([[1.0], 2.0, [4.0]], ValueError, "X cannot be made an array: row 1 is a single value, row 0 of length 1"),
        ([1.0, [2.0], 4.0], ValueError, "X cannot be made an array"),
        ([[1], [10**400], [4]], ValueError, "beyond the range of float64"),
    ):
        with pytest.raises(error, match=message):
            linreg_fast.fit(rows, y)
    for rows in ([[1], [2**53 + 1], [4]], [1, -(2**53) - 1, 4]):
        with pytest.warns(linreg_fast.PrecisionWarning, match=f"X has -?{2**53 + 1} of int64 at row 1"):
            linreg_fast.fit(rows, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = linreg_fast.fit([[1], [2**53], [-(2**53)]], [Fraction(1, 2), 1, np.float32(3)])
    assert (fit.coef == linreg_fast.fit(np.array([[1.0], [2.0**53], [-(2.0**53)]]), np.array([0.5, 1, 3])).coef).all()
    assert linreg_fast.fit(good, y).n_samples == 3
