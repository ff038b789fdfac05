"""Covariances, tests, criteria and what single rows do: against exact arithmetic and against statsmodels."""

from __future__ import annotations

import contextlib
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from support.certified import load, sets
from support.exact import solve_exactly
from support.tables import shared

import linreg_fast
from linreg_fast import LinearFit

pytestmark = pytest.mark.numerics


def exact_of(X, y, w=None, fit_intercept=True):
    """(rows, gram, theta, inverse, rss) in rational numbers, the intercept first."""
    rows = [[Fraction(1)] * fit_intercept + [Fraction(float(v)) for v in row] for row in X]
    y = [Fraction(float(v)) for v in y]
    w = [Fraction(1)] * len(y) if w is None else [Fraction(float(v)) for v in w]
    size = range(len(rows[0]))
    gram = [[sum(a * r[i] * r[j] for a, r in zip(w, rows, strict=True)) for j in size] for i in size]
    theta = solve_exactly(gram, [sum(a * r[i] * v for a, r, v in zip(w, rows, y, strict=True)) for i in size])
    inverse = [solve_exactly(gram, [Fraction(i == j) for j in size]) for i in size]
    u = [v - sum(t * c for t, c in zip(theta, r, strict=True)) for r, v in zip(rows, y, strict=True)]
    return rows, theta, inverse, u, sum(a * e * e for a, e in zip(w, u, strict=True))


def table(seed=0, n=20, p=3, offset=0.0):
    rng = np.random.default_rng(seed)
    X = rng.integers(-20, 20, (n, p)) + offset
    return X, X[:, 0] - 2.0 * X[:, 1] + rng.integers(-9, 9, n)


SOLVED = {
    "small": {},
    "extended": {"precision": "extended"},
    "cholesky": {"solver": "cholesky"},
    "qr": {"solver": "qr"},
    "svd": {"solver": "svd"},
    "no intercept": {"fit_intercept": False},
}


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("how", SOLVED)
def test_covariances_are_exact_whoever_solves(how, offset):
    if how == "no intercept" and offset:
        pytest.skip("columns that are nearly constant, without an intercept: their own condition is 1e5")
    X, y = table(offset=offset)
    fit = linreg_fast.fit(X, y, **SOLVED[how])
    _, _, inverse, _, rss = exact_of(X, y, fit_intercept=fit.fit_intercept)
    s2 = rss / (20 - len(inverse))
    expected = np.array([[float(s2 * v) for v in row] for row in inverse])
    scale = np.sqrt(np.multiply.outer(np.diagonal(expected), np.diagonal(expected)))
    assert np.abs((fit.cov() - expected) / scale).max() < 1e-12
    first = int(fit.fit_intercept)
    np.testing.assert_allclose(np.sqrt(np.diagonal(fit.cov()))[first:], fit.stderr, rtol=1e-14)


def test_covariances_through_moments_streams_and_columns_left_out():
    X, y = table(n=60)
    fit = linreg_fast.fit(X, y)
    others = {
        "moments": linreg_fast.Moments(3).update(X, y).solve(),
        "moments in pairs": linreg_fast.Moments(3, precision="extended").update(X, y).solve(),
        "stream": linreg_fast.fit_stream([(X[:30], y[:30]), (X[30:], y[30:])]),
        "threads": linreg_fast.fit(X, y, n_threads=2),
    }
    for name, other in others.items():
        np.testing.assert_allclose(other.cov(), fit.cov(), rtol=1e-10, atol=1e-15, err_msg=name)
    wider = np.column_stack([X[:, 0], np.full(60, 7.0), X[:, 1:]])
    wide = linreg_fast.fit(wider, y)
    at = [0, 1, 3, 4]
    np.testing.assert_allclose(wide.cov()[np.ix_(at, at)], fit.cov(), rtol=1e-11)
    assert np.isnan(wide.cov()[2]).all()
    assert np.isnan(wide.vif()[1])


def test_many_columns_and_several_targets():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(400, 90)) + 50.0, rng.normal(size=(400, 2))
    fit = linreg_fast.fit(X, Y)
    Z = X - X.mean(axis=0)
    inverse = np.linalg.inv(Z.T @ Z)
    for t in range(2):
        expected = inverse * fit.residual_std[t] ** 2
        np.testing.assert_allclose(fit.cov()[t, 1:, 1:], expected, rtol=1e-9, atol=1e-12)
        assert fit.cov()[t, 0, 0] == pytest.approx(fit.intercept_stderr[t] ** 2, rel=1e-13)
    inflation = np.diagonal(inverse) * (Z**2).sum(axis=0)
    np.testing.assert_allclose(fit.vif(), inflation, rtol=1e-10)


@pytest.mark.parametrize("what", ["l2", "gd", "rank"])
def test_no_errors_no_covariances(what):
    X, y = table()
    named = {"l2": {"l2": 1.0}, "gd": {"solver": "gd"}, "rank": {}}[what]
    if what == "rank":
        X = np.column_stack([X, X[:, 0]])
    with pytest.warns(linreg_fast.RankWarning) if what == "rank" else contextlib.nullcontext():
        fit = linreg_fast.fit(X, y, **named)
    assert np.isnan(fit.cov()).all()
    assert np.isnan(fit.wald_test(np.eye(X.shape[1] + 1)[1]).statistic)
    assert "-" in fit.summary()


def test_what_keeps_no_covariances_says_so(tmp_path):
    x = np.arange(9.0)
    with pytest.raises(ValueError, match="keeps no covariances"):
        linreg_fast.fit_polynomial(x, x**2 % 5, 2).cov()
    fits = linreg_fast.grouped(np.arange(40.0)[:, None] ** 1.5, np.arange(40.0) % 7, np.arange(40) % 2)
    with pytest.raises(ValueError, match="keeps no covariances"):
        fits[0].cov()
    rng = np.random.default_rng(0)
    wide = linreg_fast.fit(rng.normal(size=(300, 101)), rng.normal(size=300))
    wide.save(tmp_path / "wide.json")
    with pytest.raises(ValueError, match="more than 100 columns"):
        LinearFit.load(tmp_path / "wide.json").cov()
    X, y = table()
    robust = linreg_fast.fit(X, y, cov="HC3")
    robust.save(tmp_path / "fit.json")
    again = LinearFit.load(tmp_path / "fit.json")
    assert again.cov().tobytes() == robust.cov().tobytes()
    assert again.cov_type == "HC3"
    assert (again.pvalues == robust.pvalues).all()
    assert json.loads(json.dumps(robust.to_dict()))["robust"]["kind"] == "HC3"


def test_tests_of_restrictions_are_exact():
    X, y = table(offset=1000.0)
    fit = linreg_fast.fit(X, y)
    _, theta, inverse, _, rss = exact_of(X, y)
    R = [[0, 1, 1, 0], [1, 1000, 0, -2]]
    q = [-1, 3]
    d = [sum(a * b for a, b in zip(row, theta, strict=True)) - c for row, c in zip(R, q, strict=True)]
    V = [[sum(r[i] * inverse[i][j] * s[j] for i in range(4) for j in range(4)) * rss / 16 for s in R] for r in R]
    F = sum(a * b for a, b in zip(d, solve_exactly(V, d), strict=True)) / 2
    found = fit.wald_test(R, q)
    assert found.statistic == pytest.approx(float(F), rel=1e-9)
    assert (found.df_num, found.df_denom) == (2, 16)
    one = fit.t_test(R, q)
    np.testing.assert_allclose(one.estimate, [float(v) for v in d], rtol=1e-9)
    np.testing.assert_allclose(one.stderr, [float(V[i][i]) ** 0.5 for i in range(2)], rtol=1e-11)
    assert (one.conf_int[:, 0] < one.estimate).all()
    mean = sum(Fraction(float(v)) for v in y) / 20
    tss = sum((Fraction(float(v)) - mean) ** 2 for v in y)
    whole = fit.f_test()
    assert whole.statistic == pytest.approx(float((tss - rss) / 3 / (rss / 16)), rel=1e-12)
    assert fit.r2_adjusted == pytest.approx(float(1 - (rss / 16) / (tss / 19)), rel=1e-13)
    assert fit.wald_test(np.eye(4)[1:]).statistic == pytest.approx(whole.statistic, rel=1e-9)
    for R, message in (([[1, 0]], "R must have 4 columns"), (np.eye(4), None), ([[0, 1, 0, 0]] * 2, "depend on each")):
        if message:
            with pytest.raises(ValueError, match=message):
                fit.wald_test(R)
    with pytest.raises(ValueError, match="q must be a number or have shape"):
        fit.wald_test(np.eye(4), [1.0, 2.0])


def statsmodels():
    return pytest.importorskip("statsmodels.api", reason="statsmodels is the second witness")


def same_as_statsmodels(fit, result, rtol=1e-9):
    close = {
        "r2_adjusted": (fit.r2_adjusted, result.rsquared_adj),
        "F": (fit.f_test().statistic, result.fvalue),
        "log-likelihood": (fit.log_likelihood, result.llf),
        "aic": (fit.aic, result.aic),
        "bic": (fit.bic, result.bic),
        "stderr": (fit.stderr, result.bse[-fit.n_features :]),
    }
    for name, (ours, theirs) in close.items():
        np.testing.assert_allclose(ours, theirs, rtol=rtol, err_msg=name)


@sets
def test_certified_problems(name):
    """Errors, F and the criteria of the exact solutions of the float64 problems."""
    X, y, record = load(name)
    intercept = bool(record["intercept"])
    fit = linreg_fast.fit(X, y, fit_intercept=intercept, precision="extended")
    _, theta, inverse, _, rss = exact_of(X, y, fit_intercept=intercept)
    n, k = len(y), len(theta)
    if rss == 0:
        assert fit.rss < 1e-30 * fit.tss
        return
    s2 = rss / (n - k)
    stderr = [math.sqrt(s2 * inverse[j][j]) for j in range(k)]
    np.testing.assert_allclose(fit.stderr, stderr[intercept:], rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(np.diagonal(fit.cov())), stderr, rtol=1e-12)
    exact = [Fraction(float(v)) for v in y]
    mean = sum(exact) / n if intercept else 0
    tss = sum((v - mean) ** 2 for v in exact)
    F = (tss - rss) / (k - intercept) / s2
    assert fit.f_test().statistic == pytest.approx(float(F), rel=1e-12)
    likelihood = -0.5 * n * (math.log(2 * math.pi) + math.log(rss) - math.log(n) + 1)
    assert fit.aic == pytest.approx(2 * k - 2 * likelihood, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_a_real_table(offset):
    pd = pytest.importorskip("pandas")
    sm = statsmodels()
    frame = pd.read_csv(shared("diamonds.csv"))[["carat", "depth", "table", "price"]]
    X, y = frame[["carat", "depth", "table"]].to_numpy() * 100.0, frame["price"].to_numpy(float)
    X = np.rint(X)  # whole numbers: the offset rounds none of them
    fit = linreg_fast.fit(X + offset, y)
    result = sm.OLS(y, sm.add_constant(X)).fit()
    same_as_statsmodels(fit, result)
    np.testing.assert_allclose(fit.cov()[1:, 1:], result.cov_params()[1:, 1:], rtol=1e-8)


def test_criteria_as_r_counts_them():
    X, y = table()
    fit = linreg_fast.fit(X, y)
    n, rss = 20, float(exact_of(X, y)[-1])
    likelihood = -0.5 * n * (math.log(2 * math.pi * rss / n) + 1)
    assert fit.log_likelihood == pytest.approx(likelihood, rel=1e-13)
    assert fit.aic == pytest.approx(8 - 2 * likelihood, rel=1e-13)
    assert fit.criterion(2.0, count_variance=True) == pytest.approx(10 - 2 * likelihood, rel=1e-13)
    assert fit.bic == pytest.approx(4 * math.log(20) - 2 * likelihood, rel=1e-13)
    weighted = linreg_fast.fit(X, y, sample_weight=np.resize([1.0, 2.0], 20))
    assert math.isnan(weighted.log_likelihood)
    counted = linreg_fast.fit(X, y, sample_weight=np.resize([1, 2], 20), weights="frequency")
    rows = np.repeat(np.arange(20), np.resize([1, 2], 20))
    assert counted.aic == pytest.approx(linreg_fast.fit(X[rows], y[rows]).aic, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_influence_is_exact(weighted):
    X, y = table(n=12, p=2)
    w = np.resize([1.0, 2.0, 0.5, 3.0], 12) if weighted else None
    fit = linreg_fast.fit(X, y, sample_weight=w)
    found = fit.influence(X, y, sample_weight=w)
    rows, _, inverse, u, rss = exact_of(X, y, w)
    weights = [Fraction(1)] * 12 if w is None else [Fraction(float(v)) for v in w]
    h = [
        a * sum(r[i] * inverse[i][j] * r[j] for i in range(3) for j in range(3))
        for a, r in zip(weights, rows, strict=True)
    ]
    e2 = [float(a * v * v) for a, v in zip(weights, u, strict=True)]
    s2, h, u = float(rss / 9), np.array(list(map(float, h))), np.array(list(map(float, u)))
    np.testing.assert_allclose(found.residuals, u, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(found.leverage, h, rtol=1e-12)
    internal = np.sign(u) * np.sqrt(np.array(e2) / s2 / (1 - h))
    np.testing.assert_allclose(found.student_internal, internal, rtol=1e-10)
    external = internal * np.sqrt(8 / (9 - internal**2))
    np.testing.assert_allclose(found.student_external, external, rtol=1e-10)
    np.testing.assert_allclose(found.cooks_distance, internal**2 * h / (1 - h) / 3, rtol=1e-10)
    np.testing.assert_allclose(found.dffits, external * np.sqrt(h / (1 - h)), rtol=1e-10)
    assert found.press == pytest.approx(float((np.array(e2) / (1 - h) ** 2).sum()), rel=1e-11)


def test_influence_as_statsmodels_and_rows_left_out():
    sm = statsmodels()
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(80, 3)), rng.normal(size=(80, 2))
    found = linreg_fast.fit(X, Y).influence(X, Y)
    for t in range(2):
        result = sm.OLS(Y[:, t], sm.add_constant(X)).fit()
        peer = result.get_influence()
        np.testing.assert_allclose(found.student_external[:, t], peer.resid_studentized_external, rtol=1e-9)
        np.testing.assert_allclose(found.dffits[:, t], peer.dffits[0], rtol=1e-9)
        assert found.durbin_watson[t] == pytest.approx(sm.stats.durbin_watson(result.resid), rel=1e-10)
        assert found.jarque_bera[t] == pytest.approx(sm.stats.jarque_bera(result.resid)[0], rel=1e-9)
        assert found.jarque_bera_pvalue[t] == pytest.approx(sm.stats.jarque_bera(result.resid)[1], rel=1e-9)
    errors = []
    for i in range(80):  # PRESS is what it says
        some = np.delete(np.arange(80), i)
        errors.append(Y[i, 0] - linreg_fast.fit(X[some], Y[some, 0]).predict(X[i : i + 1])[0])
    assert found.press[0] == pytest.approx(float(np.square(errors).sum()), rel=1e-10)
    with pytest.raises(ValueError, match="the fit is of 80 rows"):
        linreg_fast.fit(X, Y).influence(X[1:], Y[1:])


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("kind", ["confidence", "prediction"])
def test_intervals_of_predictions(kind, offset):
    stdtrit = pytest.importorskip("scipy.special").stdtrit
    X, y = table(offset=offset)
    fit = linreg_fast.fit(X, y)
    new = X[:5] + 3.0
    found = fit.predict(new, interval=kind, level=0.9)
    assert (found.prediction == fit.predict(new)).all()
    _, theta, inverse, _, rss = exact_of(X, y)
    for i, row in enumerate(new):
        z = [Fraction(1), *(Fraction(float(v)) for v in row)]
        variance = sum(z[a] * inverse[a][b] * z[b] for a in range(4) for b in range(4)) + (kind == "prediction")
        reach = stdtrit(16, 0.95) * float(variance * rss / 16) ** 0.5
        centre = float(sum(a * b for a, b in zip(z, theta, strict=True)))
        room = 1e-9 * reach + 1e-15 * offset
        assert abs(found.lower[i] - (centre - reach)) < room
        assert abs(found.upper[i] - (centre + reach)) < room
    with pytest.raises(ValueError, match="interval must be"):
        fit.predict(new, interval="both")
    robust = linreg_fast.fit(X, y, cov="HC0").predict(new, interval=kind)
    assert (robust.upper > robust.lower).all()


def test_summary_says_what_was_found_and_done():
    pd = pytest.importorskip("pandas")
    frame = pd.read_csv(shared("nlswork.csv"))[["ln_wage", "ttl_exp", "tenure", "idcode"]]
    fit = linreg_fast.fit(frame, "ln_wage", groups="idcode", cov="cluster", missing="drop")
    text = fit.summary()
    for said in (
        "cluster (4,699 clusters of idcode)",
        "28,101",
        "433 rows with missing values dropped",
        "ttl_exp",
        "R2",
    ):
        assert said in text, said
    numbers = text.splitlines()
    start = next(i for i, line in enumerate(numbers) if line.startswith("intercept"))
    points = {line.index(".") for line in numbers[start : start + 3]}
    assert len(points) == 1, "decimal points stand in one line"
    html = fit._repr_html_()
    assert html.count("<tr>") == 10 + 1 + 3
    assert "ttl_exp" in html
    tidy = fit.to_frame()
    assert list(tidy.columns) == ["term", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"]
    assert tidy["term"].tolist() == ["intercept", "ttl_exp", "tenure"]
    assert tidy["std_error"].tolist() == [fit.intercept_stderr, *fit.stderr]
    for library in ("polars", "pyarrow"):
        other = fit.to_frame(library=library)
        assert (
            other["estimate"].to_pylist()
            if library == "pyarrow"
            else other["estimate"].to_list()
            == [
                fit.intercept,
                *fit.coef,
            ]
        )
    with pytest.raises(ValueError, match="library must be one of"):
        fit.to_frame(library="excel")


def test_html_escapes_names():
    X, y = table(p=2)
    html = linreg_fast.fit(X, y, feature_names=["<b>", "a&b"])._repr_html_()
    assert "&lt;b&gt;" in html
    assert "a&amp;b" in html
