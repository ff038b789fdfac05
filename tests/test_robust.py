"""Robust covariances against exact arithmetic and against statsmodels, through every door."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from support.exact import solve_exactly
from support.tables import shared

import linreg_fast
from linreg_fast.passes import meat

pytestmark = pytest.mark.numerics

HC = ("HC0", "HC1", "HC2", "HC3")


def exact_cov(X, y, kind, w=None, groups=None, fit_intercept=True):
    """The covariances in rational numbers: B M B of the rows as they are, the intercept first."""
    rows = [[Fraction(float(v)) for v in row] for row in X]
    if fit_intercept:
        rows = [[Fraction(1), *row] for row in rows]
    y = [Fraction(float(v)) for v in y]
    w = [Fraction(1)] * len(y) if w is None else [Fraction(float(v)) for v in w]
    size = range(len(rows[0]))
    gram = [[sum(wi * r[a] * r[b] for wi, r in zip(w, rows, strict=True)) for b in size] for a in size]
    cross = [sum(wi * r[a] * v for wi, r, v in zip(w, rows, y, strict=True)) for a in size]
    theta = solve_exactly(gram, cross)
    inverse = [solve_exactly(gram, [Fraction(a == b) for b in size]) for a in size]
    u = [v - sum(t * c for t, c in zip(theta, r, strict=True)) for r, v in zip(rows, y, strict=True)]
    h = [wi * sum(r[a] * inverse[a][b] * r[b] for a in size for b in size) for wi, r in zip(w, rows, strict=True)]
    n, k = sum(wi != 0 for wi in w), len(size)
    scale = Fraction(1)
    if groups is None:
        power = {"HC0": 0, "HC1": 0, "HC2": 1, "HC3": 2}[kind]
        scores = [
            [(wi * ui) ** 2 / (1 - hi) ** power, r] for wi, ui, hi, r in zip(w, u, h, rows, strict=True) if wi != 0
        ]
        scale = Fraction(n, n - k) if kind == "HC1" else scale
        M = [[sum(f * r[a] * r[b] for f, r in scores) for b in size] for a in size]
    else:
        sums = {g: [Fraction(0)] * k for g in groups}
        for g, wi, ui, r in zip(groups, w, u, rows, strict=True):
            sums[g] = [s + wi * ui * v for s, v in zip(sums[g], r, strict=True)]
        G = len(sums)
        scale = Fraction(G, G - 1) * Fraction(n - 1, n - k)
        M = [[sum(s[a] * s[b] for s in sums.values()) for b in size] for a in size]
    half = [[sum(inverse[a][i] * M[i][b] for i in size) for b in size] for a in size]
    return [[scale * sum(half[a][i] * inverse[i][b] for i in size) for b in size] for a in size]


def near(found, exact, tolerance):
    """Each covariance to a share of what its two variances allow."""
    for a, row in enumerate(exact):
        for b, value in enumerate(row):
            room = float(exact[a][a] * exact[b][b]) ** 0.5
            assert abs(found[a, b] - float(value)) <= tolerance * room, (a, b)


@pytest.mark.parametrize("offset", [0, 1_000_000])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["nonrobust", *HC, "cluster"])
def test_exact_values_whatever_the_offset(kind, weighted, offset):
    rng = np.random.default_rng(0)
    X = rng.integers(-20, 20, (24, 2)) + float(offset)
    y = X[:, 0] - 2.0 * X[:, 1] + rng.integers(-9, 9, 24)
    w = rng.integers(0, 4, 24).astype(float) if weighted else None
    groups = rng.integers(0, 6, 24) if kind == "cluster" else None
    fit = linreg_fast.fit(X, y, sample_weight=w, cov=kind, groups=groups)
    if kind == "nonrobust":
        rows = [[Fraction(1), *(Fraction(float(v)) for v in row)] for row in X]
        weights = [Fraction(1)] * 24 if w is None else [Fraction(float(v)) for v in w]
        gram = [
            [sum(wi * r[a] * r[b] for wi, r in zip(weights, rows, strict=True)) for b in range(3)] for a in range(3)
        ]
        s2 = Fraction(float(fit.rss)) / (fit.n_samples - 3)
        exact = [[s2 * v for v in solve_exactly(gram, [Fraction(a == b) for b in range(3)])] for a in range(3)]
    else:
        exact = exact_cov(X, y, kind, w, None if groups is None else groups.tolist())
    near(fit.cov(), exact, 1e-12)
    np.testing.assert_allclose(fit.stderr, np.sqrt([float(exact[a][a]) for a in (1, 2)]), rtol=1e-12)
    assert fit.intercept_stderr == pytest.approx(float(exact[0][0]) ** 0.5, rel=1e-12)
    assert fit.cov_type == kind


@pytest.mark.parametrize("kind", HC)
def test_without_an_intercept(kind):
    rng = np.random.default_rng(1)
    X, y = rng.integers(-9, 9, (15, 2)).astype(float), rng.integers(-9, 9, 15).astype(float)
    fit = linreg_fast.fit(X, y, fit_intercept=False, cov=kind)
    near(fit.cov(), exact_cov(X, y, kind, fit_intercept=False), 1e-13)


def peer(X, y, kind, w=None, **named):
    sm = pytest.importorskip("statsmodels.api", reason="statsmodels is the second witness")
    model = sm.WLS(y, sm.add_constant(X), weights=1.0 if w is None else w)
    return model.fit(cov_type=kind, cov_kwds=named, use_t=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("kind", "named", "theirs"),
    [
        *((kind, {}, {}) for kind in HC),
        ("cluster", ["g"], ["g"]),
        ("cluster", ["g", "h"], ["g", "h"]),
        ("HAC", {"maxlags": 7}, {"maxlags": 7}),
        ("HAC", {}, {"maxlags": 6}),
    ],
)
def test_as_statsmodels(kind, named, theirs, weighted):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(700, 3))
    y = X[:, 0] + rng.normal(size=700) * (1 + X[:, 1] ** 2)
    w = rng.random(700) + 0.2 if weighted else None
    keys = {"g": rng.integers(0, 30, 700), "h": rng.integers(0, 12, 700)}
    for key in keys.values():  # what rows of a cluster have in common, in slopes too
        y += rng.normal(size=30)[key] + rng.normal(size=(30, 3))[key, 1] * X[:, 1] + X[:, 2] * rng.normal(size=30)[key]
    if kind == "cluster":
        theirs = {"groups": np.column_stack([keys[name] for name in theirs]).squeeze()}
        named = {"groups": tuple(keys[name] for name in named) if len(named) > 1 else keys["g"]}
    result = peer(X, y, kind, w, **theirs)
    fit = linreg_fast.fit(X, y, sample_weight=w, cov=kind, **named)
    expected = result.cov_params()
    scale = np.sqrt(np.multiply.outer(np.diagonal(expected), np.diagonal(expected)))
    assert np.abs((fit.cov() - expected) / scale).max() < 1e-11
    np.testing.assert_allclose([fit.intercept_pvalue, *fit.pvalues], result.pvalues, rtol=1e-8)
    np.testing.assert_allclose(fit.conf_int(), result.conf_int()[1:], rtol=1e-9)
    assert fit.f_test().statistic == pytest.approx(float(result.fvalue), rel=1e-9)
    assert fit.f_test().pvalue == pytest.approx(float(result.f_pvalue), rel=1e-7)


def test_people_as_clusters():
    """Wages by experience, people as clusters, rows with missing values left out."""
    pd = pytest.importorskip("pandas")
    frame = pd.read_csv(shared("nlswork.csv"))[["ln_wage", "ttl_exp", "tenure", "idcode"]]
    fit = linreg_fast.fit(frame, "ln_wage", groups="idcode", cov="cluster", missing="drop")
    whole = frame.dropna()
    result = peer(
        whole[["ttl_exp", "tenure"]].to_numpy(), whole["ln_wage"].to_numpy(), "cluster", groups=whole["idcode"]
    )
    assert fit.feature_names == ("ttl_exp", "tenure")
    np.testing.assert_allclose(fit.stderr, result.bse[1:], rtol=1e-10)
    assert fit.n_dropped == len(frame) - len(whole)
    again = linreg_fast.robust(fit, frame, "ln_wage", groups="idcode", cov="cluster", missing="drop")
    assert (again.cov() == fit.cov()).all()


@pytest.mark.parametrize("kind", HC)
def test_every_door_and_number_of_threads(kind):
    da = pytest.importorskip("dask.array")
    import linreg_fast.dask

    rng = np.random.default_rng(3)
    X, Y = rng.normal(size=(30_000, 5)) + 100.0, rng.normal(size=(30_000, 2))
    Y *= X[:, :1] - 97.0
    fit = linreg_fast.fit(X, Y, cov=kind, n_threads=1)
    for n_threads in (2, 3):
        assert (linreg_fast.fit(X, Y, cov=kind, n_threads=n_threads).cov() == fit.cov()).all()
    alone = linreg_fast.fit(X, Y[:, 1], cov=kind)
    np.testing.assert_allclose(alone.cov(), fit.cov()[1], rtol=1e-9, atol=1e-12 * np.abs(fit.cov()).max())
    batches = [(X[i : i + 7000], Y[i : i + 7000]) for i in range(0, 30_000, 7000)]
    others = {
        "F order": linreg_fast.fit(np.asfortranarray(X), Y, cov=kind),
        "strided": linreg_fast.fit(np.repeat(X, 2, axis=1)[:, ::2], Y, cov=kind),
        "stream": linreg_fast.fit_stream(batches, cov=kind),
        "dask": linreg_fast.dask.fit(da.from_array(X, chunks=(8000, 5)), da.from_array(Y, chunks=(8000, 2)), cov=kind),
    }
    for name, other in others.items():
        assert other.cov_type == kind
        np.testing.assert_allclose(other.stderr, fit.stderr, rtol=1e-10, err_msg=name)


def test_counted_rows_are_as_many_rows():
    rng = np.random.default_rng(4)
    X, y, counts = rng.integers(-9, 9, (12, 2)).astype(float), rng.integers(-9, 9, 12).astype(float), np.arange(12) % 4
    times = np.repeat(np.arange(12), counts)
    for kind in HC:
        fit = linreg_fast.fit(X, y, sample_weight=counts, weights="frequency", cov=kind)
        np.testing.assert_allclose(fit.cov(), linreg_fast.fit(X[times], y[times], cov=kind).cov(), rtol=1e-11)


def test_rows_of_no_weight_are_not_there():
    rng = np.random.default_rng(5)
    X, y, w = rng.normal(size=(50, 2)), rng.normal(size=50), rng.integers(0, 3, 50).astype(float)
    groups = rng.integers(0, 9, 50)
    there = w != 0
    X[~there], y[~there] = np.nan, np.inf
    for kind in (*HC, "cluster", "HAC"):
        named = {"groups": groups} if kind == "cluster" else {"maxlags": 0} if kind == "HAC" else {}
        few = {"groups": groups[there]} if kind == "cluster" else named
        fit = linreg_fast.fit(X, y, sample_weight=w, cov=kind, **named)
        other = linreg_fast.fit(X[there], y[there], sample_weight=w[there], cov=kind, **few)
        np.testing.assert_allclose(fit.cov(), other.cov(), rtol=1e-11)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"cov": "HC4"}, "cov must be one of"),
        ({"cov": "cluster"}, "needs groups"),
        ({"cov": "HC3", "groups": np.zeros(20)}, "groups are for cov"),
        ({"cov": "HC1", "maxlags": 3}, "maxlags is for cov"),
        ({"cov": "HAC", "maxlags": 20}, "maxlags must be less than the 20 rows"),
        ({"cov": "HAC", "maxlags": 3, "kernel": "parzen"}, "kernel must be"),
        ({"cov": "cluster", "groups": np.zeros(20)}, "1 cluster: clustered errors need at least two"),
        ({"cov": "cluster", "groups": np.zeros(19)}, r"groups must have shape \(20,\)"),
        ({"cov": "cluster", "groups": np.where(np.arange(20) == 7, np.nan, 1.0)}, "missing key at row 7"),
        ({"cov": "HC3", "l2": 1.0}, "with a penalty has no standard errors"),
        ({"cov": "HC0", "solver": "gd"}, "of gradient descent has no standard errors"),
    ],
)
def test_what_cannot_be(named, message):
    rng = np.random.default_rng(6)
    X, y = rng.normal(size=(20, 2)), rng.normal(size=20)
    with pytest.raises((TypeError, ValueError), match=message):
        linreg_fast.fit(X, y, **named)


def test_a_leverage_of_one_is_named():
    X = np.zeros((20, 2))
    X[:, 0], X[13, 1] = np.arange(20), 1.0
    y = np.arange(20) % 7.0
    for kind in ("HC2", "HC3"):
        with pytest.raises(ValueError, match="row 13 has a leverage of 1"):
            linreg_fast.fit(X, y, cov=kind)
    assert np.isfinite(linreg_fast.fit(X, y, cov="HC1").stderr[0])


def test_rows_of_another_fit_are_noticed():
    rng = np.random.default_rng(7)
    X, y = rng.normal(size=(20, 2)), rng.normal(size=20)
    fit = linreg_fast.fit(X, y)
    with pytest.raises(ValueError, match="the fit is of 20 rows, these are 19"):
        linreg_fast.robust(fit, X[1:], y[1:])
    with pytest.raises(ValueError, match="2 columns and 1 targets"):
        linreg_fast.robust(fit, X[:, :1], y)
    with pytest.raises(ValueError, match="reads the rows twice"):
        linreg_fast.fit_stream(iter([(X, y)]), cov="HC1")


def test_pieces_are_cut_anywhere(monkeypatch):
    rng = np.random.default_rng(9)
    X, y = rng.normal(size=(1000, 3)) + 1e5, rng.normal(size=1000)
    groups = rng.integers(0, 20, 1000)
    asked = [{"cov": "HC3"}, {"cov": "cluster", "groups": groups}, {"cov": "HAC", "maxlags": 90}]
    whole = [linreg_fast.fit(X, y, **named).cov() for named in asked]
    monkeypatch.setattr(meat, "PIECE", 64)
    for named, cov in zip(asked, whole, strict=True):
        np.testing.assert_allclose(linreg_fast.fit(X, y, **named).cov(), cov, rtol=1e-10, err_msg=str(named))


def test_rows_of_a_fit_by_their_names_and_by_its_formula():
    """Columns of a frame in any order, beside others; a formula makes them."""
    pd = pytest.importorskip("pandas")
    frame = pd.read_csv(shared("diamonds.csv"))[["cut", "carat", "depth", "price", "color"]].iloc[::50]
    fit = linreg_fast.fit(frame[["carat", "depth"]], frame["price"])
    others = frame[["depth", "color", "price", "carat"]]
    assert (linreg_fast.robust(fit, others, "price").cov() == linreg_fast.robust(fit, frame, "price").cov()).all()
    clustered = linreg_fast.robust(fit, others, "price", cov="cluster", groups="color")
    expected = linreg_fast.fit(frame[["carat", "depth"]], frame["price"], cov="cluster", groups=frame["color"])
    assert (clustered.cov() == expected.cov()).all()
    assert (
        fit.influence(others, "price").leverage == fit.influence(frame[["carat", "depth"]], frame["price"])[1]
    ).all()
    by_formula = linreg_fast.fit_formula("price ~ carat + C(cut)", frame)
    found = linreg_fast.robust(by_formula, others.assign(cut=frame["cut"]), "price", cov="HC1")
    np.testing.assert_allclose(
        found.stderr, linreg_fast.fit_formula("price ~ carat + C(cut)", frame, cov="HC1").stderr, rtol=1e-10
    )
    assert by_formula.influence(frame, "price").leverage.sum() == pytest.approx(6, rel=1e-9)


def test_clusters_of_streams_and_files(tmp_path):
    """The keys of clusters are a column that is no feature; rows with missing values are left out with their keys."""
    pd = pytest.importorskip("pandas")
    frame = pd.read_csv(shared("nlswork.csv"))[["ln_wage", "ttl_exp", "tenure", "idcode"]]
    whole = frame.dropna()
    expected = linreg_fast.fit(whole, "ln_wage", groups="idcode", cov="cluster")
    frame.to_csv(tmp_path / "t.csv", index=False)
    whole.to_parquet(tmp_path / "t.parquet", index=False)
    batches = [whole.iloc[i : i + 5000] for i in range(0, len(whole), 5000)]
    named = {"target": "ln_wage", "groups": "idcode", "cov": "cluster"}
    found = {
        "csv": linreg_fast.fit_file(tmp_path / "t.csv", missing="drop", **named),
        "parquet": linreg_fast.fit_file(tmp_path / "t.parquet", **named),
        "frames": linreg_fast.fit_stream(batches, **named),
    }
    for name, fit in found.items():
        assert fit.feature_names == ("ttl_exp", "tenure"), name
        np.testing.assert_allclose(fit.cov(), expected.cov(), rtol=1e-9, atol=1e-14, err_msg=name)
        assert (fit.pvalues < 1e-20).all()
        assert fit._robust.freedom == whole["idcode"].nunique() - 1
    holes = whole.assign(idcode=whole["idcode"].where(np.arange(len(whole)) != 7000))
    with pytest.raises(ValueError, match="column 'idcode' has no key at row 2000 of batch 1"):
        linreg_fast.fit_stream([holes.iloc[:5000], holes.iloc[5000:]], **named)
    with pytest.raises(TypeError, match="'idcode' is not of numbers"):
        linreg_fast.fit_stream([whole.assign(idcode=whole["idcode"].astype(str))], **named)
    with pytest.raises(ValueError, match="needs groups"):
        linreg_fast.fit_stream(batches, target="ln_wage", cov="cluster")
    with pytest.raises(ValueError, match="HAC"):
        linreg_fast.fit_stream(batches, target="ln_wage", cov="HAC")
