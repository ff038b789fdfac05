# SPDX-License-Identifier: BSD-3-Clause
"""The estimators in ONNX, by skl2onnx: it looks up exact types, which have to be registered."""

from __future__ import annotations

from linreg_fast.sklearn.linear import LinearRegression, Ridge
from linreg_fast.sklearn.ridge_cv import RidgeCV


def register() -> None:
    """Have skl2onnx convert our estimators as it does scikit-learn's linear ones, alone and in pipelines.

    Raises
    ------
    ImportError
        skl2onnx is not installed.

    Examples
    --------
    >>> from linreg_fast.sklearn import onnx
    >>> onnx.register()  # doctest: +SKIP
    >>> skl2onnx.to_onnx(pipeline, X[:1])  # doctest: +SKIP
    """
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_regressor_output_shapes
    from skl2onnx.operator_converters.linear_regressor import convert_sklearn_linear_regressor

    for kind in (LinearRegression, Ridge, RidgeCV):
        update_registered_converter(
            kind,
            f"LinregFast{kind.__name__}",
            calculate_linear_regressor_output_shapes,
            convert_sklearn_linear_regressor,
        )
