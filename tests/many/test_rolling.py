"""rolling: every row against the exact fit of its window, whatever passes through; and what is no window."""

from __future__ import annotations

import datetime
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.exact import exact_fit, worst_lre

import linreg_fast
from linreg_fast import RankWarning, fit, reference, rolling

pytestmark = pytest.mark.numerics
STATS = ("stderr", "tvalues", "rss", "r2", "n_samples", "residual", "prediction", "rank", "digits")


def table(n=200, p=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, X @ np.arange(1.0, p + 1) + 3.0 + rng.normal(size=n)


def of_rows(n, window):
    """The rows in the window of each row."""
    return [list(range(max(0, i - window + 1), i + 1)) for i in range(n)]


def check(fits, X, y, rows, *, least, every=1, weights=None, fit_intercept=True):
    """Digits of each fit against the exact one, at least 10 and no fewer than it says; NaN where rows are too few."""
    for i in range(0, len(rows), every):
        if len(rows[i]) < least:
            assert np.isnan(fits.coef[i]).all()
            assert np.isnan(fits.intercept[i])
            assert np.isnan(fits.digits[i])
            continue
        w = None if weights is None else weights(i, rows[i])
        exact = exact_fit(X[rows[i]], y[rows[i]], fit_intercept, w)
        found = [*fits.coef[i], fits.intercept[i]] if fit_intercept else fits.coef[i]
        lre = worst_lre(found, exact)
        assert lre >= max(10.0, fits.digits[i] - 0.5), (i, lre, fits.digits[i])


OUTLIERS = [(where, size, at) for where in "xy" for size in (1e8, 1e12) for at in (0, 57, 60, 61)]


@pytest.mark.parametrize(("where", "size", "at"), OUTLIERS)
def test_an_outlier_passes_through(where, size, at):
    """At the row that many windows share too, and at the first row."""
    X, y = table(130)
    (X[:, 2] if where == "x" else y)[at] = size
    check(rolling(X, y, 30), X, y, of_rows(130, 30), least=30)


@pytest.mark.parametrize("offset", [1e6, 1e8])
def test_offsets_cost_nothing(offset):
    X, y = table(90)
    X, y = X + offset, y + offset
    check(rolling(X, y, 30), X, y, of_rows(90, 30), least=30)


@pytest.mark.parametrize("window", [3, 4, 8])
def test_eight_rows(window):
    """A number of 1e16 passes through a few small ones, in x and in y."""
    large, few = np.array([1.0, 2, 3, 1e16, 4, 5, 6, 7]), np.array([2.0, 4, 7, 8, 1, 3, 9, 2])
    for x, y in ((large, few), (few, large)):
        check(rolling(x, y, window), x[:, None], y, of_rows(8, window), least=window)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("window", "min_periods"), [(6, None), (7, None), (40, 6), (300, 10), (40, None)])
def test_windows_of_rows(window, min_periods, dtype, fit_intercept):
    """As many rows as coefficients too, and more than there are in the table."""
    X, y = table(120, 5, 1)
    X = X.astype(dtype)
    fits = rolling(X, y, window, min_periods=min_periods, fit_intercept=fit_intercept)
    least = window if min_periods is None else min_periods
    check(fits, X, y, of_rows(120, window), least=least, fit_intercept=fit_intercept)


def like_fit(fits, i, one, X, y):
    """All that is told of the fit of row i, against a LinearFit of its window."""
    for name in ("coef", "intercept", "rss", "r2", "stderr", "tvalues", "intercept_stderr", "intercept_tvalue"):
        np.testing.assert_allclose(getattr(fits, name)[i], getattr(one, name), rtol=1e-8, err_msg=f"{name} of row {i}")
    assert fits.rank[i] == one.rank
    assert fits.n_samples[i] == one.n_samples
    np.testing.assert_allclose(fits.residual[i], y[i] - one.predict(X[i : i + 1])[0], rtol=1e-7, atol=1e-9)
    if i + 1 < len(X):
        np.testing.assert_allclose(fits.prediction[i], one.predict(X[i + 1 : i + 2])[0], rtol=1e-9)


@pytest.mark.parametrize("kind", ["plain", "weights", "half-life", "both", "doubtful"])
def test_every_statistic_is_that_of_fit(kind):
    """Also where windows are fitted by themselves: those with nearly the same column twice."""
    X, y = table(150, 3, 2)
    rng = np.random.default_rng(2)
    w = rng.uniform(0.5, 2.0, 150) if kind in ("weights", "both") else None
    if kind == "doubtful":
        X[:, 1] = X[:, 0] + 1e-5 * X[:, 1]
    half_life = 8.0 if kind in ("half-life", "both") else None
    fits = rolling(X, y, 40, sample_weight=w, half_life=half_life, stats=STATS)
    for i in range(39, 150, 7):
        part = slice(i - 39, i + 1)
        weights = np.ones(40) if w is None else w[part]
        if half_life:
            weights = weights * 0.5 ** (np.arange(39, -1, -1) / half_life)
        one = linreg_fast.fit(X[part], y[part], sample_weight=None if w is None and not half_life else weights)
        like_fit(fits, i, one, X, y)
    assert np.isnan(fits.prediction[149])
    assert fits.n_samples[3] == 4


def test_residuals_at_offsets():
    """Of the rows themselves: what an intercept and products of 1e8 would leave of it is nothing."""
    X, y = table(60, 2, 3)
    plain, far = (rolling(X + off, y + off, 20, stats=["residual", "prediction"]) for off in (0.0, 2.0**27))
    np.testing.assert_allclose(far.residual[19:], plain.residual[19:], atol=1e-6)
    np.testing.assert_allclose(far.prediction[19:-1] - 2.0**27, plain.prediction[19:-1], atol=1e-6)


def test_ridge():
    X, y = table(60, 3, 4)
    fits = rolling(X, y, 20, l2=2.5, stats=["stderr"])
    for i in range(19, 60, 8):
        one = linreg_fast.fit(X[i - 19 : i + 1], y[i - 19 : i + 1], l2=2.5)
        np.testing.assert_allclose([*fits.coef[i], fits.intercept[i]], [*one.coef, one.intercept], rtol=1e-10)
    assert np.isnan(fits.stderr).all()


# time


def dates(n, seed=0):
    """Uneven, with gaps and duplicates, from before 1970."""
    steps = np.random.default_rng(seed).choice([0, 60, 600, 5000, 90_000], n)
    return np.datetime64("1969-12-30", "ns") + np.cumsum(steps).astype("timedelta64[s]")


@pytest.mark.parametrize("closed", ["right", "left", "both", "neither"])
@pytest.mark.parametrize("kind", ["dates", "numbers", "whole numbers"])
def test_windows_of_time(kind, closed):
    X, y = table(120, 2, 5)
    when = dates(120, 5)
    hours = (when - when[0]) / np.timedelta64(1, "h")
    on, window = {"dates": (when, "12h"), "numbers": (hours, 12), "whole numbers": (np.rint(hours).astype(int), 12)}[
        kind
    ]
    fits = rolling(X, y, window, on=on, closed=closed)
    numbers = on.astype(np.int64) if kind == "dates" else on
    rows = reference.windows_by_time(numbers, np.array([0, 120]), 12 * 3600 * 10**9 if kind == "dates" else 12, closed)
    check(fits, X, y, rows, least=3)


LENGTHS = ["720min", "12h", "0.5D", "43200s", np.timedelta64(12, "h"), datetime.timedelta(hours=12), "43200000ms"]


@pytest.mark.parametrize("window", LENGTHS)
def test_a_length_of_time_is_written_in_many_ways(window):
    X, y = table(60, 2, 6)
    when = dates(60, 6)
    expected = rolling(X, y, "12h", on=when)
    for on in (when, when.astype("datetime64[s]"), [t.item() for t in when.astype("datetime64[us]")]):
        np.testing.assert_array_equal(rolling(X, y, window, on=on).coef, expected.coef)


def test_half_life_in_time():
    X, y = table(100, 2, 7)
    when = dates(100, 7)
    rows = reference.windows_by_time(when.astype(np.int64), np.array([0, 100]), 86_400 * 10**9, "right")
    passed = when.astype(np.int64) / 3.6e12

    def weights(i, part):
        return 0.5 ** ((passed[i] - passed[part]) / 5)

    fits = rolling(X, y, "1D", on=when, half_life="5h", stats=["rss"])
    for i in range(100):
        if len(rows[i]) > 4:
            one = linreg_fast.fit(X[rows[i]], y[rows[i]], sample_weight=weights(i, rows[i]))
            np.testing.assert_allclose(fits.coef[i], one.coef, rtol=1e-8)
            np.testing.assert_allclose(fits.rss[i], one.rss, rtol=1e-8)


# groups and rows that are not there


@pytest.mark.parametrize("by_time", [False, True])
def test_within_groups(by_time):
    """Of one row too; windows of one group have nothing to do with the other."""
    X, y = table(150, 2, 8)
    rng = np.random.default_rng(8)
    groups = rng.choice(["a", "b", "c"], 150)
    groups[17] = "alone"
    on = np.cumsum(rng.exponential(size=150)) if by_time else None
    fits = rolling(
        X, y, 20.0 if by_time else 15, on=on, groups=groups, min_periods=4, stats=["n_samples", "prediction"]
    )
    own = [np.flatnonzero((groups == groups[i]) & (np.arange(150) <= i)) for i in range(150)]
    rows = [part[on[i] - on[part] < 20.0] if by_time else part[-15:] for i, part in enumerate(own)]
    check(fits, X, y, [part.tolist() for part in rows], least=4)
    for i in range(150):
        later = np.flatnonzero((groups == groups[i]) & (np.arange(150) > i))
        assert fits.n_samples[i] == len(rows[i])
        if len(later) and len(rows[i]) >= 4:
            value = fits.intercept[i] + np.sum(X[later[0]] * fits.coef[i])
            np.testing.assert_allclose(fits.prediction[i], value, rtol=1e-9)
        else:
            assert np.isnan(fits.prediction[i])


@pytest.mark.parametrize("missing", ["drop", "skip"])
def test_missing_rows(missing):
    """Dropped, windows reach further back; skipped, they keep their place."""
    X, y = table(120, 2, 9)
    gone = np.zeros(120, dtype=bool)
    gone[[0, 1, 20, 21, 22, 60, 119]] = True
    gone[80:96] = True
    X[gone, 1] = np.nan
    y[60] = np.nan
    fits = rolling(X, y, 12, min_periods=4, missing=missing, stats=["n_samples"])
    there = np.flatnonzero(~gone)
    rows = []
    for i in range(120):
        if missing == "drop":
            rows.append([] if gone[i] else there[there <= i][-12:].tolist())
        else:
            rows.append([j for j in range(max(0, i - 11), i + 1) if not gone[j]])
    check(fits, X, y, rows, least=4)
    assert [len(part) for part in rows] == fits.n_samples.tolist()
    assert fits.n_dropped == gone.sum()
    with pytest.raises(ValueError, match=r"X has NaN at row 0, column 1; missing=\"drop\""):
        rolling(X, y, 12)


def test_rows_of_weight_zero_are_not_there():
    X, y = table(60, 2, 10)
    w = np.ones(60)
    w[[5, 30, 31]] = 0.0
    Z = X.copy()
    Z[30] = np.nan
    fits = rolling(Z, y, 10, min_periods=5, sample_weight=w)
    check(fits, X, y, [[j for j in part if w[j]] for part in of_rows(60, 10)], least=5)


def test_step():
    X, y = table(100, 2, 11)
    whole = rolling(X, y, 9, stats=STATS)
    some = rolling(X, y, 9, step=7, stats=STATS)
    for name in ("coef", "intercept", "stderr", "residual", "prediction", "n_samples"):
        np.testing.assert_array_equal(getattr(some, name), getattr(whole, name)[::7])


# however a table lies, and frames in and out


@pytest.mark.parametrize("kind", ["F", "strided", "list", "backwards", "big-endian", "whole numbers"])
@pytest.mark.parametrize("grouped", [False, True])
def test_however_the_numbers_lie(kind, grouped):
    X, y = table(90, 3, 18)
    if kind == "whole numbers":
        X = np.rint(100 * X).astype(np.int32)
    groups = np.random.default_rng(18).integers(0, 3, 90) if grouped else None
    expected = rolling(np.array(X, dtype=np.float64), y, 12, groups=groups, stats=["residual"])
    given_X, given_y = {
        "F": (np.asfortranarray(X), y),
        "strided": (np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2], np.repeat(y, 3)[::3]),
        "list": (X.tolist(), y.tolist()),
        "backwards": (X[::-1].copy()[::-1], y[::-1].copy()[::-1]),
        "big-endian": (X.astype(">f8"), y.astype(">f8")),
        "whole numbers": (X, y),
    }[kind]
    found = rolling(given_X, given_y, 12, groups=groups, stats=["residual"])
    np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-11)
    np.testing.assert_allclose(found.residual, expected.residual, rtol=1e-9, atol=1e-12)


def test_frames_of_pandas():
    """By names, along the index, and back with it; y in another order of labels."""
    pd = pytest.importorskip("pandas")
    X, y = table(60, 2, 19)
    when = pd.DatetimeIndex(dates(60, 19)).tz_localize("UTC")
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": y, "when": when, "shop": ["s", "t"] * 30})
    plain = rolling(X, y, "2D", on=dates(60, 19), groups=np.array(["s", "t"] * 30))
    named = rolling(frame, "y", "2D", on="when", groups="shop")
    np.testing.assert_array_equal(named.coef, plain.coef)
    assert named.feature_names == ("a", "b")
    indexed = frame.set_index("when")
    along_index = rolling(indexed[["a", "b"]], indexed["y"], "2D", groups=indexed["shop"])
    np.testing.assert_array_equal(along_index.coef, plain.coef)
    back = along_index.to_frame()
    assert back.index.equals(indexed.index)
    np.testing.assert_array_equal(back["b"].to_numpy(), plain.coef[:, 1])
    other = frame["y"].sample(frac=1, random_state=1)
    np.testing.assert_array_equal(rolling(frame[["a", "b"]], other, 9).coef, rolling(X, y, 9).coef)
    with pytest.raises(ValueError, match="a length of time needs on"):
        rolling(frame[["a", "b"]], y, "2D")


def test_frames_of_polars():
    pl = pytest.importorskip("polars")
    X, y = table(60, 2, 20)
    when = dates(60, 20)
    frame = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": y, "when": when})
    fits = rolling(frame, "y", "2D", on="when", stats=["stderr"])
    plain = rolling(X, y, "2D", on=when, stats=["stderr"])
    np.testing.assert_array_equal(fits.coef, plain.coef)
    back = fits.to_frame()
    assert isinstance(back, pl.DataFrame)
    np.testing.assert_array_equal(back["when"].to_numpy(), when)
    np.testing.assert_array_equal(back["stderr_b"].to_numpy(), plain.stderr[:, 1])


def test_single_fits_and_files(tmp_path):
    X, y = table(50, 2, 21)
    fits = rolling(X, y, 20, on=np.arange(50), min_periods=20, stats=["stderr", "r2", "prediction"])
    one = linreg_fast.fit(X[20:40], y[20:40])
    for name in ("coef", "stderr", "r2", "intercept_stderr", "pvalues"):
        np.testing.assert_allclose(getattr(fits[39], name), getattr(one, name), rtol=1e-9)
    with pytest.raises(ValueError, match="there is no fit number 3"):
        fits[3]
    fits.save(tmp_path / "fits")
    loaded = linreg_fast.Fits.load(tmp_path / "fits")
    for name in ("coef", "stderr", "prediction", "n_samples"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(fits, name))


def test_progress_ends_with_all_rows():
    X, y = table(300, 2, 22)
    seen = []
    rolling(X, y, 20, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (300, 300)


# bad input


def test_a_column_that_is_constant_in_a_window():
    """0 with a warning that says how many, and the rank beside it; all others as if nothing were."""
    X, y = table(100, 2, 12)
    X[30:60, 1] = 7.0
    with pytest.warns(RankWarning, match="in 11 fits, the first of them that of row 49"):
        fits = rolling(X, y, 20, stats=["rank", "stderr"])
    low = np.flatnonzero(fits.rank[19:] < 2) + 19
    assert low.tolist() == list(range(49, 60))
    assert (fits.coef[low, 1] == 0).all()
    rows = of_rows(100, 20)
    for i in low:
        alone = fit(X[rows[i]], y[rows[i]])
        np.testing.assert_allclose([*fits.coef[i], fits.intercept[i]], [*alone.coef, alone.intercept], rtol=1e-10)
        np.testing.assert_allclose(fits.stderr[i], alone.stderr, rtol=1e-10)
    for i in set(range(19, 100)) - set(low.tolist()):
        assert worst_lre([*fits.coef[i], fits.intercept[i]], exact_fit(X[rows[i]], y[rows[i]])) > 10


def test_what_only_looks_constant_is_not():
    """Squares of a column that vanish, beside one that is constant, and rows of weight 0 that hold another number."""
    X, y = table(60, 3, 5)
    X[:, 0] *= 1e-200
    X[:, 1] = 4.0
    w = np.ones(60)
    w[::9], X[::9, 1] = 0.0, -1.0
    with pytest.warns(RankWarning, match="in 38 fits, the first of them that of row 22:"):
        fits = rolling(X, y, 40, min_periods=20, sample_weight=w, stats=["rank"])
    for i in range(22, 60):
        rows = [r for r in range(max(0, i - 39), i + 1) if w[r] != 0]
        alone = fit(X[rows], y[rows])
        assert fits.rank[i] == alone.rank == 2
        np.testing.assert_allclose(fits.coef[i], alone.coef, rtol=1e-9)


def test_infinity_is_an_error_everywhere():
    X, y = table(50, 2, 13)
    X[33, 1] = np.inf
    for missing in ("raise", "drop", "skip"):
        with pytest.raises(ValueError, match="X has inf at row 33, column 1"):
            rolling(X, y, 10, missing=missing)


BAD = [
    ({"window": 0}, ValueError, "window must be at least 1"),
    ({"window": 2.5}, TypeError, "window must be an integer"),
    ({"window": True}, TypeError, "window must be an integer"),
    ({"window": "12h"}, ValueError, "a length of time needs on"),
    ({"window": 5, "min_periods": 6}, ValueError, "min_periods is 6, more than the 5 rows"),
    ({"window": 5, "closed": "left"}, ValueError, "closed is for windows of time"),
    ({"window": 5, "step": 0}, ValueError, "step must be at least 1"),
    ({"window": 5, "missing": "ignore"}, ValueError, "missing must be one of"),
    ({"window": 5, "stats": ["t"]}, ValueError, "stats has 't'"),
    ({"window": 5, "half_life": 0}, ValueError, "half_life must be finite and more than 0"),
    ({"window": 5, "groups": np.zeros(3)}, ValueError, r"groups must have shape \(20,\)"),
    ({"window": 5, "on": "date"}, TypeError, "on names a column"),
    ({"window": "5 parsecs", "on": np.arange(20)}, ValueError, "a length of time is a number and one of"),
    ({"window": "1M", "on": dates(20)}, ValueError, "a length of time is a number and one of"),
    ({"window": "5h", "on": np.arange(20)}, TypeError, "on holds numbers"),
    ({"window": 5, "on": dates(20)}, TypeError, "on holds dates"),
    ({"window": -1.0, "on": np.arange(20)}, ValueError, "window must be greater than 0"),
    ({"window": 5, "on": np.r_[0:10, 8, 11:20]}, ValueError, "on must not go back: it has 8 at row 10, and the row"),
    ({"window": 5, "on": np.r_[0.0:19.0, np.nan]}, ValueError, "on has nan at row 19"),
    ({"window": 5, "on": ["x"] * 20}, TypeError, "on holds neither dates nor numbers"),
    ({"window": 5, "sample_weight": -np.ones(20)}, ValueError, "sample_weight has -1.0 at row 0"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "error", "text"), BAD)
def test_bad_input(options, error, text):
    X, y = table(20, 2, 14)
    with pytest.raises(error, match=text):
        rolling(X, y, **options)


def test_several_targets_and_no_columns_are_errors():
    X, y = table(20, 2, 14)
    with pytest.raises(ValueError, match="one target; got 3"):
        rolling(X, np.column_stack([y, y, y]), 5)
    with pytest.raises(ValueError, match="X has no columns"):
        rolling(X[:, :0], y, 5)


def test_nothing_is_written_to():
    X, y = table(60, 2, 15)
    w = np.ones(60)
    before = [a.tobytes() for a in (X, y, w)]
    rolling(X, y, 10, sample_weight=w, half_life=3)
    assert [a.tobytes() for a in (X, y, w)] == before
    for a in (X, y, w):
        a.setflags(write=False)
    rolling(X, y, 10, sample_weight=w, half_life=3)


@pytest.mark.parametrize("kind", ["rows", "time", "errors", "expanding", "recursive"])
def test_memory_beyond_input_and_output(kind):
    n = 400_000
    X, y = table(n, 5, 1)
    calls = {
        "rows": lambda: rolling(X, y, 250, n_threads=2),
        "time": lambda: rolling(X, y, 250, on=np.arange(n), n_threads=2),
        "errors": lambda: rolling(X, y, 250, stats=["stderr", "r2"], n_threads=2),
        "expanding": lambda: linreg_fast.expanding(X, y, n_threads=2),
        "recursive": lambda: linreg_fast.recursive(X, y, half_life=250, n_threads=2),
    }
    tracemalloc.start()
    try:
        fits = calls[kind]()
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(fits) == n
    assert peak - held < 32e6


# properties


@pytest.mark.parametrize("kind", ["rows", "time", "groups", "half-life"])
def test_no_row_depends_on_rows_outside_of_its_window(kind):
    """Bit by bit: the others are replaced by huge ones."""
    X, y = table(80, 3, 16)
    rng = np.random.default_rng(16)
    groups = rng.integers(0, 2, 80) if kind == "groups" else None
    on = np.cumsum(rng.exponential(size=80)) if kind == "time" else None
    options = {
        "on": on,
        "groups": groups,
        "half_life": 4.0 if kind == "half-life" else None,
        "stats": ("stderr", "residual"),
    }
    window = 15.0 if kind == "time" else 15
    fits = rolling(X, y, window, **options)
    for i in (20, 29, 30, 31, 44, 45, 60, 79):
        part = np.arange(max(0, i - 14), i + 1)
        if kind == "time":
            part = np.flatnonzero((on[i] - on < 15) & (np.arange(80) <= i))
        if kind == "groups":
            part = np.flatnonzero((groups == groups[i]) & (np.arange(80) <= i))[-15:]
        V, v = np.full_like(X, 1e30), np.full_like(y, -1e30)
        V[part], v[part] = X[part], y[part]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RankWarning)
            other = rolling(V, v, window, **options)
        for name in ("coef", "intercept", "stderr", "residual"):
            np.testing.assert_array_equal(getattr(other, name)[i], getattr(fits, name)[i], err_msg=f"{name} of row {i}")


def test_any_number_of_threads_gives_the_same_bits(many_blocks):
    X, y = table(5000, 3, 17)
    one, two = (rolling(X, y, 50, stats=STATS, n_threads=n) for n in (1, 3))
    for name in ("coef", "stderr", "prediction"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@given(st.integers(8, 40), st.integers(1, 3), st.integers(0, 1000))
def test_the_window_of_all_rows_is_fit(n, p, seed):
    X, y = table(n, p, seed)
    fits, one = rolling(X, y, n), linreg_fast.fit(X, y)
    np.testing.assert_allclose([*fits.coef[-1], fits.intercept[-1]], [*one.coef, one.intercept], rtol=1e-8)


@given(st.integers(1, 20), st.integers(0, 1000))
def test_shifting_by_one_row(lost, seed):
    """Without the first rows the others have the same fits."""
    X, y = table(60, 2, seed)
    whole, rest = rolling(X, y, 12), rolling(X[lost:], y[lost:], 12)
    np.testing.assert_allclose(rest.coef[11:], whole.coef[lost + 11 :], rtol=1e-8)


@given(st.permutations(["a", "b", "c"]), st.integers(0, 1000))
def test_groups_in_another_order(names, seed):
    """Other keys for the same groups."""
    X, y = table(60, 2, seed)
    at = np.random.default_rng(seed).integers(0, 3, 60)
    one = rolling(X, y, 9, groups=np.array(["a", "b", "c"])[at])
    other = rolling(X, y, 9, groups=np.array(names)[at])
    np.testing.assert_array_equal(one.coef, other.coef)
