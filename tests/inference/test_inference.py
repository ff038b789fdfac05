"""Standard errors."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from support.certified import load, sets
from support.compare import errors_from_intercept
from support.exact import worst_lre
from support.problems import problem

import linreg_fast
from linreg_fast.algebra import paired
from linreg_fast.passes import products

pytestmark = pytest.mark.numerics


def both(fit):
    return [*fit.stderr, fit.intercept_stderr] if fit.fit_intercept else list(fit.stderr)


def textbook(X, y, w=None, fit_intercept=True):
    """sqrt(diag(s^2 (A'WA)^-1)) by the inverse of all columns."""
    w = np.ones(len(y)) if w is None else w
    A = np.column_stack([X, np.ones(len(y))]) if fit_intercept else X
    G = np.linalg.inv(A.T @ (w[:, None] * A))
    r = y - A @ (G @ (A.T @ (w * y)))
    return np.sqrt(np.diagonal(G) * (w @ r**2) / (np.count_nonzero(w) - A.shape[1]))


@sets
@pytest.mark.parametrize("layout", ["C", "F"])
def test_strd_extended(name, layout):
    X, y, record = load(name)
    fit = linreg_fast.fit(np.asarray(X, order=layout), y, fit_intercept=record["intercept"], precision="extended")
    assert worst_lre(errors_from_intercept(fit), record["exact_float64_design_40"]["stderr"]) >= (
        13.0 if name == "Filip" else 15.0
    )


@sets
def test_strd_auto(name):
    X, y, record = load(name)
    if float(record["exact_float64_design_40"]["rss"]) < 1e-20:
        return  # residuals of rounding
    fit = linreg_fast.fit(X, y, fit_intercept=record["intercept"])
    assert worst_lre(errors_from_intercept(fit), record["exact_float64_design_40"]["stderr"]) >= (
        7.5 if name == "Filip" else 10.0
    )


@pytest.mark.parametrize("kappa", [1e4, 1e6, 1e8, 1e10])
@pytest.mark.parametrize("n", [30, 3000])
def test_auto_refines_them_with_the_coefficients(kappa, n):
    X, y, _, _ = problem(n, 3)
    X[:, 2] = X[:, 0] + X[:, 2] / kappa
    fit = linreg_fast.fit(X, y)
    exact = linreg_fast.fit(X, y, precision="extended")
    np.testing.assert_allclose(both(fit), both(exact), rtol=1e-9 if kappa > 1e4 else 1e-7)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weights", ["none", "random", "absent rows"])
@pytest.mark.parametrize("p", [1, 2, 3, 7, 8, 9, 17, 70])
@pytest.mark.parametrize("precision", ["fast", "extended"])
def test_against_the_textbook(fit_intercept, weights, p, precision):
    X, y, _, _ = problem(200, p, offset=3.0)
    w = None if weights == "none" else np.random.default_rng(0).random(200) + 0.1
    if weights == "absent rows":
        w[::3] = 0.0
    fit = linreg_fast.fit(X, y, sample_weight=w, fit_intercept=fit_intercept, precision=precision)
    np.testing.assert_allclose(both(fit), textbook(X, y, w, fit_intercept), rtol=1e-9)
    assert np.isnan(fit.intercept_stderr) == (not fit_intercept)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", [50, 20_000])
def test_small_fits_without_python_have_them_too(request, many_blocks, order, dtype, n):
    """The kernel's are those of the general path; in one call and streamed."""
    X, y, _, _ = problem(n, 5, offset=100.0, dtype=dtype)
    X = np.asarray(X, order=order)
    lean = linreg_fast.fit(X, y, precision="fast")
    request.getfixturevalue("general_path")
    general = linreg_fast.fit(X, y, precision="fast")
    assert lean._spread.shape == general._spread.shape == (6,)
    np.testing.assert_allclose(both(lean), both(general), rtol=1e-10)


def test_same_as_statsmodels():
    api = pytest.importorskip("statsmodels.api")
    X, y, _, _ = problem(80, 4, offset=2.0)
    w = np.random.default_rng(1).random(80)
    A = api.add_constant(X)
    for peer, fit in (
        (api.OLS(y, A).fit(), linreg_fast.fit(X, y)),
        (api.WLS(y, A, weights=w).fit(), linreg_fast.fit(X, y, sample_weight=w)),
    ):
        np.testing.assert_allclose([fit.intercept_stderr, *fit.stderr], peer.bse, rtol=1e-10)


def test_same_as_linregress():
    stats = pytest.importorskip("scipy.stats")
    X, y, _, _ = problem(30, 1)
    peer, fit = stats.linregress(X[:, 0], y), linreg_fast.fit(X[:, 0], y)
    assert fit.stderr[0] == pytest.approx(peer.stderr, rel=1e-12)
    assert fit.intercept_stderr == pytest.approx(peer.intercept_stderr, rel=1e-12)


@pytest.mark.parametrize("solver", ["cholesky", "qr", "svd"])
def test_every_solver(solver):
    X, y, _, _ = problem(60, 3, offset=10.0)
    fit = linreg_fast.fit(X, y, solver=solver, precision="fast")
    np.testing.assert_allclose(both(fit), textbook(X, y), rtol=1e-9)


def test_several_targets():
    X, y, _, _ = problem(60, 3)
    Y = np.column_stack([y, y**2])
    for precision in ("fast", "extended"):
        fit = linreg_fast.fit(X, Y, precision=precision)
        assert fit.stderr.shape == (2, 3)
        assert fit.intercept_stderr.shape == (2,)
        for t in range(2):
            expected = textbook(X, Y[:, t])
            np.testing.assert_allclose([*fit.stderr[t], fit.intercept_stderr[t]], expected, rtol=1e-10)
    one = linreg_fast.fit(X, Y[:, :1])
    assert (one.stderr.shape, one.intercept_stderr.shape) == ((1, 3), (1,))


def test_scales_out_of_range_of_their_squares():
    X, y, _, _ = problem(60, 3)
    D = np.array([1e200, 1.0, 1e-200])
    fit = linreg_fast.fit(X * D, y, precision="extended")
    plain = linreg_fast.fit(X, y, precision="extended")
    np.testing.assert_allclose(fit.stderr * D, plain.stderr, rtol=1e-12)
    assert fit.intercept_stderr == pytest.approx(plain.intercept_stderr, rel=1e-12)


def test_extended_where_the_factor_at_hand_is_good_enough(monkeypatch, general_path):
    """No pass in double-double over many rows, unless digits were lost."""
    X, y, _, _ = problem(300, 2)
    expected = both(linreg_fast.fit(X, y, precision="extended"))
    monkeypatch.setattr(paired, "CHEAP", 0.0)
    taken = []
    real = products.dd_cross_products
    monkeypatch.setattr(products, "dd_cross_products", lambda *a, **k: taken.append(1) or real(*a, **k))
    np.testing.assert_allclose(both(linreg_fast.fit(X, y, precision="extended")), expected, rtol=1e-13)
    assert not taken
    X[:, 1] = X[:, 0] + 1e-4 * X[:, 1]
    linreg_fast.fit(X, y, precision="extended")
    assert taken


def test_not_there():
    """NaN wherever there is no such thing."""
    X, y, _, _ = problem(30, 3)
    cases = {
        "penalty": linreg_fast.fit(X, y, l2=1.0),
        "descent": linreg_fast.fit(X, y, solver="gd"),
        "no freedom": linreg_fast.fit(X[:4], y[:4]),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", linreg_fast.RankWarning)
        cases["rank"] = linreg_fast.fit(np.column_stack([X, X[:, 0]]), y)
        cases["wide"] = linreg_fast.fit(X[:2], y[:2])
        dropped = linreg_fast.fit(np.column_stack([X, X[:, 0]]), y, on_collinear="drop")
    for case, fit in cases.items():
        assert np.isnan(fit.stderr).all(), case
        assert fit.stderr.shape == fit.coef.shape
        assert np.isnan(fit.intercept_stderr), case
    np.testing.assert_allclose([*dropped.stderr[:3], dropped.intercept_stderr], textbook(X, y), rtol=1e-10)
    assert np.isnan(dropped.stderr[3])
    constant = linreg_fast.fit(np.column_stack([X, np.ones(30)]), y)
    np.testing.assert_allclose([*constant.stderr[:3], constant.intercept_stderr], textbook(X, y), rtol=1e-10)
    assert np.isnan(constant.stderr[3])
    mean = linreg_fast.fit(np.empty((30, 0)), y)
    assert mean.intercept_stderr == pytest.approx(np.std(y, ddof=1) / np.sqrt(30), rel=1e-12)


def test_kept_by_pickle_and_by_files(tmp_path):
    X, y, _, _ = problem(30, 3)
    for fit in (
        linreg_fast.fit(X, y),
        linreg_fast.fit(X, y, precision="extended"),
        linreg_fast.fit(X, y, fit_intercept=False),
        linreg_fast.fit(np.column_stack([X, np.ones(30)]), y),
        linreg_fast.fit(X, y, l2=1.0),
    ):
        fit.save(tmp_path / "fit.json")
        for copy in (pickle.loads(pickle.dumps(fit)), linreg_fast.LinearFit.load(tmp_path / "fit.json")):
            assert copy.stderr.tobytes() == fit.stderr.tobytes()
            np.testing.assert_array_equal(copy.intercept_stderr, fit.intercept_stderr)
        with pytest.raises(ValueError, match=r"not a whole|do not fit"):
            linreg_fast.LinearFit.from_dict({**fit.to_dict(), "spread": [1.0]})


# tests and intervals


def student(t, freedom):
    """P(|T| > |t|) of Student's t by its finite series (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    theta = np.arctan2(abs(t), np.sqrt(freedom))
    sine, cosine = np.sin(theta), np.cos(theta)
    if freedom % 2:
        term, inside = cosine, 0.0
        for k in range(3, freedom + 1, 2):
            inside += term
            term *= cosine**2 * (k - 1) / k
        return 1 - 2 / np.pi * (theta + sine * inside)
    term, inside = 1.0, 0.0
    for k in range(2, freedom + 1, 2):
        inside += term
        term *= cosine**2 * (k - 1) / k
    return 1 - sine * inside


@pytest.mark.parametrize("n", [5, 6, 7, 12, 41])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_t_and_p(n, fit_intercept):
    X, y, _, _ = problem(n, 3, noise=2.0)
    fit = linreg_fast.fit(X, y, fit_intercept=fit_intercept)
    freedom = n - 3 - fit_intercept
    np.testing.assert_array_equal(fit.tvalues, fit.coef / fit.stderr)
    expected = [student(t, freedom) for t in fit.tvalues]
    np.testing.assert_allclose(fit.pvalues, expected, rtol=1e-12, atol=1e-14)
    if fit_intercept:
        assert fit.intercept_tvalue == fit.intercept / fit.intercept_stderr
        assert fit.intercept_pvalue == pytest.approx(student(fit.intercept_tvalue, freedom), rel=1e-12, abs=1e-14)
    else:
        assert np.isnan([fit.intercept_tvalue, fit.intercept_pvalue, *fit.intercept_conf_int()]).all()


@pytest.mark.parametrize("n", [5, 6, 12, 41])
@pytest.mark.parametrize("level", [1e-3, 0.5, 0.95, 0.999999])
def test_intervals(n, level):
    """As wide as the t whose two tails hold what is left of the level."""
    X, y, _, _ = problem(n, 3, noise=2.0)
    fit = linreg_fast.fit(X, y)
    low, high = fit.conf_int(level).T
    np.testing.assert_allclose((low + high) / 2, fit.coef, rtol=1e-9)
    for reach in [*(high - low) / 2 / fit.stderr, np.ptp(fit.intercept_conf_int(level)) / 2 / fit.intercept_stderr]:
        assert 1 - student(reach, n - 4) == pytest.approx(level, rel=1e-9)
    np.testing.assert_array_equal(fit.conf_int(), fit.conf_int(0.95))


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_intervals_whatever_numpy_is_told_about_rounding(scale):
    X, y, _, _ = problem(40, 3, noise=2.0)
    fit = linreg_fast.fit(X, y)
    with np.errstate(all="raise"):
        scaled = linreg_fast.fit(X, y * scale)
        np.testing.assert_allclose(scaled.conf_int() / scale, fit.conf_int(), rtol=1e-9)
        np.testing.assert_allclose(scaled.pvalues, fit.pvalues, rtol=1e-9)
        assert scaled.cost in (0.0, np.inf)


STATISTICS = (
    *("stderr", "intercept_stderr", "tvalues", "intercept_tvalue", "pvalues", "intercept_pvalue"),
    *("residual_std", "r2", "rss", "ess", "tss", "cost"),
)


def without_a_word(fit):
    """Every statistic, NumPy being told to raise whatever it can."""
    with np.errstate(all="raise"):
        found = {name: np.asarray(getattr(fit, name)) for name in STATISTICS}
        found |= {"conf_int": fit.conf_int(), "intercept_conf_int": fit.intercept_conf_int(0.5)}
        assert repr(fit).startswith("LinearFit\n")
        fit.to_dict()
    return found


# (scale of the columns, of y, weight): what is asserted of them is in the range of float64
SCALES = {
    "columns small": (1e-300, 1e-10, None),
    "columns large": (1e300, 1e300, None),
    "y small": (1.0, 1e-300, None),
    "y large": (1.0, 1e300, None),
    "weights tiny": (1.0, 1.0, 1e-300),
    "weights tiny, y small": (1.0, 1e-200, 1e-300),
    "weights huge, y large": (1.0, 1e200, 1e300),
    "all large, weights tiny": (1e300, 1e300, 1e-300),
}


@pytest.mark.parametrize("case", SCALES)
@pytest.mark.parametrize("n_targets", [0, 2])
def test_extreme_scales_change_nothing_but_the_scale(case, n_targets):
    X, y, _, _ = problem(40, 3, noise=2.0)
    y = np.column_stack([y, y**2]) if n_targets else y
    x_scale, y_scale, weight = SCALES[case]
    plain = linreg_fast.fit(X, y)
    fit = linreg_fast.fit(X * x_scale, y * y_scale, sample_weight=None if weight is None else np.full(40, weight))
    found, expected = without_a_word(fit), without_a_word(plain)
    for name in ("tvalues", "pvalues", "intercept_tvalue", "intercept_pvalue", "r2"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(found["stderr"] / (y_scale / x_scale), expected["stderr"], rtol=1e-9)
    np.testing.assert_allclose(found["conf_int"] / (y_scale / x_scale), expected["conf_int"], rtol=1e-9)
    np.testing.assert_allclose(found["intercept_stderr"] / y_scale, expected["intercept_stderr"], rtol=1e-9)


@pytest.mark.parametrize("y_scale", [1e-320, 1e-200, 0.0])
@pytest.mark.parametrize("n_targets", [0, 2])
def test_subnormal_columns(y_scale, n_targets):
    """Their standard errors may not be known: that of 0 is 0 all the same, and nothing is said."""
    X, y, _, _ = problem(40, 3, noise=2.0)
    y = np.column_stack([y, y]) if n_targets else y
    found = without_a_word(linreg_fast.fit(X * [1e-310, 1.0, 1e-312], y * y_scale))
    assert not np.isinf(found["stderr"]).any()
    assert np.isnan(found["stderr"][..., [0, 2]]).all() == bool(y_scale)
    assert (found["stderr"][..., 1] < 1e-190).all()
    if not y_scale:
        assert (found["stderr"] == 0.0).all()
        assert (found["intercept_stderr"] == 0.0).all()


@pytest.mark.parametrize("n", [3, 4, 5])
def test_few_rows_and_tiny_weights(n):
    """NaN without a degree of freedom; subnormal sums of weights."""
    X, y, _, _ = problem(n, 2, noise=2.0)
    for weight in (1.0, 1e-320):
        found = without_a_word(linreg_fast.fit(X, y, sample_weight=np.full(n, weight)))
        for name in ("stderr", "tvalues", "pvalues", "conf_int", "residual_std", "intercept_stderr"):
            assert np.isnan(found[name]).all() == (n == 3), name
    several = linreg_fast.fit(X, np.column_stack([y, y]), sample_weight=np.full(n, 5e-324))
    assert without_a_word(several)["cost"].shape == (2,)


def test_polynomials_of_extreme_scale():
    x = np.arange(9.0)
    plain = linreg_fast.fit_polynomial(x, np.cos(x), 3)
    for scale in (1e300, 1e-300):
        fit = linreg_fast.fit_polynomial(x, np.cos(x) * scale, 3)
        np.testing.assert_allclose(without_a_word(fit)["pvalues"], plain.pvalues, rtol=1e-9)
        with np.errstate(all="raise"):
            np.testing.assert_allclose(fit.predict(x) / scale, plain.predict(x), rtol=1e-12)
            far = fit.predict([1e308, np.inf, -np.inf, np.nan])
        assert not np.isfinite(far).any()


def test_shapes_of_several_targets():
    X, y, _, _ = problem(40, 3, noise=2.0)
    one = linreg_fast.fit(X, y)
    fit = linreg_fast.fit(X, np.column_stack([y, -y]))
    assert fit.tvalues.shape == fit.pvalues.shape == (2, 3)
    assert fit.conf_int().shape == (2, 3, 2)
    assert fit.intercept_conf_int().shape == (2, 2)
    assert fit.intercept_tvalue.shape == fit.intercept_pvalue.shape == (2,)
    assert one.conf_int().shape == (3, 2)
    assert one.intercept_conf_int().shape == (2,)
    assert isinstance(one.intercept_tvalue, float)
    assert isinstance(one.intercept_pvalue, float)
    np.testing.assert_allclose(fit.pvalues, [one.pvalues] * 2, rtol=1e-9)
    np.testing.assert_allclose(fit.conf_int()[1], -one.conf_int()[:, ::-1], rtol=1e-9)


def test_where_there_are_no_errors():
    X, y, _, _ = problem(4, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for fit in (linreg_fast.fit(X, y), linreg_fast.fit(X, y, l2=1.0)):
            assert np.isnan([fit.tvalues, fit.pvalues, *fit.conf_int().T]).all()
            assert np.isnan([fit.intercept_tvalue, fit.intercept_pvalue, *fit.intercept_conf_int()]).all()
        line = linreg_fast.fit([0.0, 1, 2], [0.0, 0, 0])
        assert np.isnan(line.tvalues).all()
        line = linreg_fast.fit([-1.0, 0, 1], [-1.0, 0, 1])  # residuals of 0
        assert (line.tvalues.item(), line.pvalues.item()) == (np.inf, 0.0)


@pytest.mark.parametrize(("level", "error"), [(0, ValueError), (1, ValueError), (1.5, ValueError), ("a", TypeError)])
def test_level_out_of_range(level, error):
    X, y, _, _ = problem(10, 2)
    fit = linreg_fast.fit(X, y)
    for interval in (fit.conf_int, fit.intercept_conf_int):
        with pytest.raises(error, match="level must be"):
            interval(level)


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(500):
        X = rng.standard_normal((8, 2))
        low, high = linreg_fast.fit(X, X @ [1.0, -2.0] + rng.standard_normal(8)).conf_int(0.8).T
        inside += int(((low < [1.0, -2.0]) & (high > [1.0, -2.0])).sum())
    assert inside / 1000 == pytest.approx(0.8, abs=0.05)


@sets
def test_certified_t_and_f(name):
    X, y, record = load(name)
    fit = linreg_fast.fit(X, y, fit_intercept=record["intercept"], precision="extended")
    text = record["certified_text"]
    errors = np.array([float(v) for v in text["stderr"]])
    if not errors.all():
        return  # exact data: certified to be 0, which rounded data are not
    t = np.array([float(v) for v in text["coef"]]) / errors
    found = [fit.intercept_tvalue, *fit.tvalues] if record["intercept"] else fit.tvalues
    digits = 1e-7 if name == "Filip" else 1e-12
    np.testing.assert_allclose(found, t, rtol=digits)
    of_regression = fit.ess / fit.rank / fit.residual_std**2
    assert of_regression == pytest.approx(float(text["anova"]["regression"]["f"]), rel=digits)
