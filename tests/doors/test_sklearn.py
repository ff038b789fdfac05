"""The estimators: scikit-learn's checks and its own tests, values, partial_fit, and that nothing of X is written to."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
from support.exact import exact_fit

import linreg_fast
from linreg_fast import RankWarning

sklearn = pytest.importorskip("sklearn", reason="the extra sklearn is not installed")
import sklearn.linear_model as theirs  # noqa: E402
import sklearn.linear_model.tests.test_base as their_tests  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.model_selection import GridSearchCV, LeaveOneOut, cross_val_predict, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

from linreg_fast.sklearn import LinearRegression, Ridge, RidgeCV  # noqa: E402

OURS = (LinearRegression, Ridge, RidgeCV)
# scikit-learn lists the same for its own Ridge: a closed form has no number of iterations
EXPECTED = {Ridge: {"check_non_transformer_estimators_n_iter": "n_iter_ is None for a closed form, as scikit-learn's"}}


def problem(n=60, p=4, k=None, seed=0):
    """Small whole numbers, of which every sum is exact."""
    rng = np.random.default_rng(seed)
    X = rng.integers(-9, 10, (n, p)).astype(float)
    y = X @ np.arange(1.0, p + 1) + rng.integers(-3, 4, n) + 5
    return X, y if k is None else np.column_stack([y + j * X[:, 0] for j in range(k)])


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(kind):
    found = check_estimator(kind(), expected_failed_checks=EXPECTED.get(kind), on_skip=None)
    assert len(found) > 50
    statuses = {check["check_name"]: check["status"] for check in found}
    failed = {name for name, status in statuses.items() if status not in ("passed", "skipped")}
    assert failed <= set(EXPECTED.get(kind, {}))


NAMES = ("test_linear_regression", "test_fit_intercept", "test_raises", "test_inplace_data_preprocessing")
# X is never written to, which the last one asks of copy_X=False
DIFFERENT = {("test_inplace_data_preprocessing", True), ("test_inplace_data_preprocessing", False)}


def cases():
    """scikit-learn's own tests with every set of their parameters."""
    for name in sorted(vars(their_tests)):
        if not name.startswith(NAMES):
            continue
        test = getattr(their_tests, name)
        sets = [{}]
        for mark in getattr(test, "pytestmark", []):
            if mark.name != "parametrize":
                continue
            names = mark.args[0] if isinstance(mark.args[0], (list, tuple)) else mark.args[0].split(",")
            rows = []
            for value in mark.args[1]:
                value = getattr(value, "values", value) if type(value).__name__ == "ParameterSet" else value
                value = value if len(names) > 1 else value if isinstance(value, tuple) and len(value) == 1 else (value,)
                rows.append(dict(zip([n.strip() for n in names], value, strict=True)))
            sets = [one | row for one in sets for row in rows]
        for one in sets:
            if "global_random_seed" in test.__code__.co_varnames[: test.__code__.co_argcount]:
                one = one | {"global_random_seed": 42}
            shown = "-".join(getattr(v, "__name__", str(v)) for v in one.values())
            yield pytest.param(test, one, id=f"{name}[{shown}]")


@pytest.mark.parametrize(("test", "arguments"), list(cases()))
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_tests(test, arguments, monkeypatch):
    monkeypatch.setattr(their_tests, "LinearRegression", LinearRegression)
    dense = arguments.get("sparse_container", test) is None
    if (test.__name__, arguments.get("use_sw")) in DIFFERENT and dense:
        with pytest.raises(AssertionError, match=r"> 0.42|norm"):
            test(**arguments)
    else:
        test(**arguments)


def test_the_list_of_their_tests_is_not_empty():
    names = {case.values[0].__name__ for case in cases()}
    assert len(names) > 10
    assert {"test_fit_intercept", "test_inplace_data_preprocessing"} <= names


def test_values_are_exact():
    X, y = problem()
    *coef, intercept = exact_fit(X, y)
    for model in (LinearRegression().fit(X, y), LinearRegression().partial_fit(X[:7], y[:7]).partial_fit(X[7:], y[7:])):
        np.testing.assert_allclose(model.coef_, np.array(coef, float), rtol=1e-13)
        np.testing.assert_allclose(model.intercept_, float(intercept), rtol=1e-13)
        assert model.digits_ > 12
        assert model.rank_ == 4
        assert model.solver_ == "cholesky"
        assert isinstance(model.fit_, linreg_fast.LinearFit)


@pytest.mark.parametrize("k", [None, 1, 3])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_attributes_and_shapes_are_theirs(k, fit_intercept, weighted):
    X, y = problem(k=k)
    w = np.random.default_rng(1).random(len(X)) + 0.1 if weighted else None
    for ours, other in (
        (LinearRegression(fit_intercept=fit_intercept), theirs.LinearRegression(fit_intercept=fit_intercept)),
        (Ridge(2.5, fit_intercept=fit_intercept), theirs.Ridge(2.5, fit_intercept=fit_intercept)),
        (RidgeCV(fit_intercept=fit_intercept), theirs.RidgeCV(fit_intercept=fit_intercept)),
    ):
        ours.fit(X, y, sample_weight=w)
        other.fit(X, y, sample_weight=w)
        np.testing.assert_allclose(ours.coef_, np.reshape(other.coef_, ours.coef_.shape), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(ours.intercept_, np.reshape(other.intercept_, np.shape(ours.intercept_)), rtol=1e-9)
        assert ours.coef_.shape == other.coef_.shape
        assert ours.predict(X).shape == other.predict(X).shape
        np.testing.assert_allclose(ours.score(X, y, w), other.score(X, y, w), rtol=1e-9)
        assert ours.n_features_in_ == 4
    if not weighted:
        model = LinearRegression(fit_intercept=fit_intercept).fit(X, y)
        other = theirs.LinearRegression(fit_intercept=fit_intercept).fit(X, y)
        np.testing.assert_allclose(model.singular_, other.singular_, rtol=1e-10)


@pytest.mark.parametrize("make", [LinearRegression, lambda: Ridge(3.0)])
def test_partial_fit_is_exact_in_any_chunks(make):
    X, y = problem(200, 5)
    w = np.random.default_rng(2).integers(0, 4, len(X)).astype(float)
    whole = make().fit(X, y, sample_weight=w)
    for cuts in ([3], [50, 51, 199], list(range(10, 200, 10))):
        model = make()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RankWarning)  # the first chunks are shorter than X is wide
            for part in np.split(np.arange(200), cuts):
                model.partial_fit(X[part], y[part], w[part])
        np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-12)
        assert model.moments_.n_samples == np.count_nonzero(w)
    more = make().fit(X[:150], y[:150], w[:150]).partial_fit(X[150:], y[150:], w[150:])
    np.testing.assert_allclose(more.coef_, whole.coef_, rtol=1e-12)


def test_the_penalty_may_be_chosen_at_the_end():
    X, y = problem(100, 3)
    model = Ridge().partial_fit(X[:40], y[:40]).partial_fit(X[40:], y[40:])
    again = clone(model).set_params(alpha=7.0).fit(X, y)
    model.set_params(alpha=7.0).solve()
    np.testing.assert_allclose(model.coef_, again.coef_, rtol=1e-13)
    chosen = RidgeCV(alphas=[1e-3, 1.0, 1e3]).partial_fit(X[:40], y[:40]).partial_fit(X[40:], y[40:])
    assert chosen.alpha_ == RidgeCV(alphas=[1e-3, 1.0, 1e3], cv="gcv").fit(X, y).alpha_
    np.testing.assert_allclose(chosen.coef_, Ridge(chosen.alpha_).fit(X, y).coef_, rtol=1e-12)


@pytest.mark.filterwarnings("ignore::linreg_fast.RankWarning")
def test_a_failed_step_leaves_the_estimator_as_it_was():
    X, y = problem()
    model = LinearRegression().partial_fit(X, y)
    before = pickle.dumps(model)
    for bad in ((X[:, :2], y), (X, np.column_stack([y, y])), (np.full_like(X, np.nan), y), (X, y, -np.ones(len(y)))):
        with pytest.raises(ValueError, match=r"features|targets|NaN|[Nn]egative|shape"):
            model.partial_fit(*bad)
        assert pickle.dumps(model) == before
    for other in (model, RidgeCV(), RidgeCV(cv=3), RidgeCV(cv="gcv")):
        with pytest.raises(ValueError, match="NaN"):
            other.fit(np.full_like(X, np.nan), y)
    assert pickle.dumps(model) == before
    with pytest.raises(ValueError, match="kept no cross products"):
        LinearRegression().fit(np.eye(3, 1200), np.arange(3.0)).partial_fit(np.eye(3, 1200), np.arange(3.0))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [(40, 3), (12, 20)])
@pytest.mark.parametrize("sparse", [True, False])
def test_leave_one_out_is_exact(fit_intercept, shape, sparse):
    """Against fits without each row, one by one."""
    X, y = problem(*shape, seed=3)
    alphas = [0.5, 5.0, 50.0]
    given = scipy.sparse.csr_array(X) if sparse else X
    model = RidgeCV(alphas, fit_intercept=fit_intercept, store_cv_results=True).fit(given, y)
    for a, alpha in enumerate(alphas):
        left = cross_val_predict(Ridge(alpha, fit_intercept=fit_intercept), X, y, cv=LeaveOneOut())
        np.testing.assert_allclose(model.cv_results_[:, a], (y - left) ** 2, rtol=1e-8, atol=1e-9)
    assert model.alpha_ == alphas[int(np.argmin(model.cv_results_.mean(axis=0)))]
    assert model.best_score_ == pytest.approx(-model.cv_results_.mean(axis=0).min(), rel=1e-12)


def test_the_penalty_by_folds_by_scoring_and_for_each_target():
    X, y = problem(50, 4, k=2)
    alphas = [0.01, 1.0, 100.0]
    for options in (
        {"cv": 4},
        {"scoring": "neg_mean_absolute_error"},
        {"alpha_per_target": True},
        {"cv": 3, "scoring": "r2"},
        {"alpha_per_target": True, "scoring": "r2", "store_cv_results": True},
    ):
        ours, other = RidgeCV(alphas, **options).fit(X, y), theirs.RidgeCV(alphas, **options).fit(X, y)
        np.testing.assert_array_equal(ours.alpha_, other.alpha_)
        np.testing.assert_allclose(ours.best_score_, other.best_score_, rtol=1e-9)
        np.testing.assert_allclose(ours.coef_, other.coef_, rtol=1e-9)
    with pytest.raises(ValueError, match="incompatible"):
        RidgeCV(cv=3, store_cv_results=True).fit(X, y)
    with pytest.raises(ValueError, match=r"alphas\[1\] == -1.0, must be > 0.0"):
        RidgeCV([1.0, -1.0]).fit(X, y)


def test_gcv_is_its_definition():
    X, y = problem(30, 3)
    Z, n = np.column_stack([X - X.mean(axis=0)]), 30
    model = RidgeCV([2.0], cv="gcv").fit(X, y)
    H = Z @ np.linalg.inv(Z.T @ Z + 2.0 * np.eye(3)) @ Z.T + 1 / n
    e = y - H @ y
    assert model.best_score_ == pytest.approx(-(e @ e / n) / (1 - np.trace(H) / n) ** 2, rel=1e-10)


def test_sparse_equals_dense():
    X, y = problem(80, 5)
    X[np.abs(X) < 6] = 0.0
    w = np.random.default_rng(0).random(80)
    for make in (scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array):
        for model in (LinearRegression(), Ridge(2.0), LinearRegression(fit_intercept=False)):
            dense, sparse = clone(model).fit(X, y, w), clone(model).fit(make(X), y, w)
            np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=1e-11)
            np.testing.assert_allclose(sparse.predict(make(X)), dense.predict(X), rtol=1e-11, atol=1e-11)
    with pytest.raises(ValueError, match=r"sparse X has 5,000 columns.*sparse_cg"):
        Ridge().fit(scipy.sparse.csr_array((10, 5000)), np.zeros(10))


def test_sparse_far_from_zero_is_honest():
    """Columns far from 0 lose digits in sums about 0: `digits_` says so."""
    X, y = problem(80, 3)
    far = X + 1e6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LinearRegression().fit(scipy.sparse.csr_array(far), y)
    coef = LinearRegression().fit(X, y).coef_
    error = np.abs(model.coef_ / coef - 1).max()
    assert error <= 10.0**-model.digits_
    assert model.digits_ < 8


def test_positive():
    X, y = problem()
    y = y - 8 * X[:, 0] - 6 * X[:, 2]
    for ours, other in (
        (LinearRegression(positive=True), theirs.LinearRegression(positive=True)),
        (Ridge(1.0, positive=True), theirs.Ridge(1.0, positive=True, tol=1e-12)),
    ):
        ours.fit(X, y)
        np.testing.assert_allclose(ours.coef_, other.fit(X, y).coef_, rtol=1e-6, atol=1e-6)
        assert (ours.coef_ >= 0).all()
        assert (ours.fit_.active == -1).any()
        chunks = clone(ours).partial_fit(X[:20], y[:20]).partial_fit(X[20:], y[20:])
        np.testing.assert_allclose(chunks.coef_, ours.coef_, rtol=1e-12)
    with pytest.raises(ValueError, match="bounds need"):
        LinearRegression(positive=True, solver="qr").fit(X, y)


def test_penalties_for_each_target():
    X, y = problem(k=2)
    alpha = np.array([0.5, 50.0])
    ours, other = Ridge(alpha).fit(X, y), theirs.Ridge(alpha).fit(X, y)
    np.testing.assert_allclose(ours.coef_, other.coef_, rtol=1e-10)
    np.testing.assert_allclose(ours.intercept_, other.intercept_, rtol=1e-10)
    assert len(ours.fit_) == 2
    with pytest.raises(ValueError, match="Number of targets and number of penalties do not correspond: 3 != 2"):
        Ridge(np.ones(3)).fit(X, y)


def test_at_home_in_scikit_learn():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y = problem(90, 3)
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    model = LinearRegression().fit(frame, y)
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["b", "a", "c"]])
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(frame), model.predict(frame))
    np.testing.assert_array_equal(copy.fit_.stderr, model.fit_.stderr)
    pipe = make_pipeline(StandardScaler(), Ridge())
    pipe.set_output(transform="pandas")
    search = GridSearchCV(pipe, {"ridge__alpha": [0.1, 10.0]}, cv=3).fit(frame, y)
    assert search.best_params_["ridge__alpha"] == 0.1
    scores = cross_val_score(LinearRegression(), X, y, cv=3)
    np.testing.assert_allclose(scores, cross_val_score(theirs.LinearRegression(), X, y, cv=3), rtol=1e-10)


def test_metadata_routing():
    X, y = problem(60, 3)
    w = np.random.default_rng(0).random(60)
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, LinearRegression().set_fit_request(sample_weight=True))
        routed = pipe.fit(X, y, sample_weight=w)[-1]
        Z = StandardScaler().fit_transform(X)
        np.testing.assert_allclose(routed.coef_, LinearRegression().fit(Z, y, w).coef_, rtol=1e-12)
        folds = RidgeCV([0.1, 10.0], cv=3).fit(X, y, sample_weight=w)
    assert folds.alpha_ == RidgeCV([0.1, 10.0], cv=3).fit(X, y, sample_weight=w).alpha_


def test_names_of_parameters_are_checked():
    X, y = problem()
    for model in (
        LinearRegression(solver="lu"),
        LinearRegression(positive="yes"),
        Ridge(-1.0),
        Ridge(precision="double"),
        RidgeCV(cv="loo"),
    ):
        with pytest.raises(ValueError, match="parameter of"):
            model.fit(X, y)
    assert Ridge(solver="sag").fit(X, y).solver_ == "cholesky"
    assert Ridge(0.1, solver="gd", max_iter=5000, tol=1e-12).fit(X, y).n_iter_[0] > 0


def test_onnx():
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    from skl2onnx import to_onnx

    from linreg_fast.sklearn import onnx

    onnx.register()
    X, y = problem(60, 3)
    for kind in OURS:
        pipe = make_pipeline(StandardScaler(), kind()).fit(X, y)
        session = runtime.InferenceSession(to_onnx(pipe, X[:1]).SerializeToString(), providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"X": X})
        np.testing.assert_allclose(found[:, 0], pipe.predict(X), rtol=1e-6)
