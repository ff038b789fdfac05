# The public functions of src/kernels.pxi, the same at every level: names in _c take X in C order, in _f in F order.
from collections.abc import Callable
from typing import Any, Literal, ParamSpec, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

_Floating = NDArray[np.float32] | NDArray[np.float64]
_Double = NDArray[np.float64]
_Scalars = tuple[float, float, float, float, float, float]
_Args = ParamSpec("_Args")
_Result = TypeVar("_Result", covariant=True)

class _Fused(Protocol[_Args, _Result]):
    """A kernel for float32 and float64 X: called as it is, or specialised once by the C type."""

    def __call__(self, *args: _Args.args, **kwargs: _Args.kwargs) -> _Result: ...
    def __getitem__(self, c_type: Literal["float", "double"]) -> Callable[_Args, _Result]: ...

def _fused(kernel: Callable[_Args, _Result]) -> _Fused[_Args, _Result]: ...

lanes: int
small_columns: int

def moments_sizes(p: int, n_targets: int, n_rows: int) -> tuple[int, int]: ...
@_fused
def moments_c(
    X: _Floating, Y: _Double, w: _Double | None, lo: int, hi: int, shift: _Double, work: _Double, out: _Double
) -> None: ...

moments_f = moments_c

def moments_apart(
    columns: NDArray[np.uintp],
    single: bool,
    Y: _Double,
    w: _Double | None,
    lo: int,
    hi: int,
    shift: _Double,
    work: _Double,
    out: _Double,
) -> None: ...
def moments_unpack(out: _Double, p: int, n_targets: int, M: _Double) -> None: ...
@_fused
def shift_c(X: _Floating, Y: _Double, w: _Double | None, n_rows: int, shift: _Double) -> None: ...

shift_f = shift_c

def row_work_size(p: int) -> int: ...
@_fused
def predict_c(
    X: _Floating, lo: int, hi: int, coef: _Double, intercept: _Double, work: _Double, out: _Double
) -> None: ...

predict_f = predict_c

@_fused
def cost_c(
    X: _Floating,
    y: _Double,
    w: _Double | None,
    lo: int,
    hi: int,
    coef: _Double,
    intercept: float,
    work: _Double,
    out: _Double,
) -> None: ...

cost_f = cost_c

@_fused
def gradient_c(
    X: _Floating,
    y: _Double,
    w: _Double | None,
    lo: int,
    hi: int,
    coef: _Double,
    intercept: float,
    work: _Double,
    out: _Double,
) -> None: ...

gradient_f = gradient_c

def descent(
    A: _Double,
    c: _Double,
    J0: float,
    shift: _Double,
    rate: float,
    nesterov: bool,
    tol: float,
    first: int,
    last: int,
    state: _Double,
    history: _Double,
) -> tuple[int, int]: ...
def refine_work_size(p: int) -> int: ...
@_fused
def refine_c(
    X: _Floating,
    y: _Double,
    w: _Double | None,
    lo: int,
    hi: int,
    scale: _Double,
    shift: _Double,
    coef: _Double,
    work: _Double,
    out: _Double,
) -> None: ...

refine_f = refine_c

def dd_moments_work_size(p: int, n_targets: int) -> int: ...
@_fused
def dd_moments_c(
    X: _Floating,
    Y: _Double,
    w: _Double | None,
    lo: int,
    hi: int,
    scale: _Double,
    shift: _Double,
    work: _Double,
    out: _Double,
) -> None: ...

dd_moments_f = dd_moments_c

def double_double_works(a: float, b: float) -> bool: ...
def small_work_size(p: int, n_targets: int, n_rows: int) -> int: ...
def small_result_size(p: int, n_targets: int) -> int: ...
def small_solve(
    out: _Double,
    p: int,
    n_targets: int,
    fit_intercept: bool,
    l2: float,
    shift: _Double,
    work: _Double,
    res: _Double,
) -> _Scalars | None: ...
def small(
    X: NDArray[Any],
    y: NDArray[Any],
    w: NDArray[Any] | None,
    shift_rows: int,
    fit_intercept: bool,
    l2: float,
    work: _Double,
    res: _Double,
) -> _Scalars | None: ...
