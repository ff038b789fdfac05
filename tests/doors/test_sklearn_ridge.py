"""scikit-learn's own tests of Ridge and RidgeCV with ours in their place; what differs is listed with its reason."""

from __future__ import annotations

import pytest

ridge = pytest.importorskip("sklearn.linear_model.tests.test_ridge", reason="the extra sklearn is not installed")

from linreg_fast.sklearn import LinearRegression, Ridge, RidgeCV  # noqa: E402
from linreg_fast.sklearn.linear import ITERATIVE  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

FLOAT64 = "coefficients are float64 for float32 X"
DIFFERENT = {
    "test_dtype_match": FLOAT64,
    "test_dtype_match_cholesky": FLOAT64,
    "test_lbfgs_solver_error": "there are no iterations that could fail to converge",
    "test_n_iter": "n_iter_ is None where there are no iterations",
    "test_ridge_fit_intercept_sparse_error": "every solver takes sparse X: it goes through the same moments",
    "test_regularization_limits_ridge_gcv": "gcv_mode is ignored, and with it its warning about sparse X",
}
# of these the solvers that iterate: solver_ says what was used, which is none of them
BY_NAME = {"test_ridge_regression"}
# classifiers and arrays of other libraries are not ours; the parameters of the last come as an iterator, which pytest
# refuses where warnings are errors
ELSEWHERE = ("array_api", "classif", "sag", "test_solver_consistency")

ols_ridge_dataset = ridge.ols_ridge_dataset
globals().update(
    {
        name: test
        for name, test in vars(ridge).items()
        if name.startswith("test_") and name not in DIFFERENT and not any(part in name for part in ELSEWHERE)
    }
)


@pytest.fixture
def global_random_seed():
    return 42


@pytest.fixture(autouse=True)
def ours(monkeypatch, request):
    for kind in (LinearRegression, Ridge, RidgeCV):
        monkeypatch.setattr(ridge, kind.__name__, kind)
    given = getattr(request.node, "callspec", None)
    if request.node.originalname in BY_NAME and given.params["solver"] in ITERATIVE:
        pytest.skip("solver_ names the solver that was used, which is none that iterates")


def test_what_differs_is_there():
    missing = {name for name in DIFFERENT if not hasattr(ridge, name)}
    assert not missing
