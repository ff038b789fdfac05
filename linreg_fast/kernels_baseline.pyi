# The public functions of src/kernels.pxi, the same at every level; they take X in C or F order.
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
    def __getitem__(self, c_type: Literal["float", "double", "long long"]) -> Callable[_Args, _Result]: ...

def _fused(kernel: Callable[_Args, _Result]) -> _Fused[_Args, _Result]: ...

lanes: int
small_columns: int
solve_constants: dict[str, float | tuple[float, float]]
paired_constants: dict[str, float]

def moments_sizes(p: int, n_targets: int, n_rows: int) -> tuple[int, int]: ...
@_fused
def moments(
    X: _Floating, Y: _Double, w: _Double | None, lo: int, hi: int, shift: _Double, work: _Double, out: _Double
) -> None: ...
def moments_by_address(
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
def shift(X: _Floating, Y: _Double, w: _Double | None, n_rows: int, shift: _Double) -> None: ...
def scores_work_size(p: int) -> int: ...
@_fused
def scores(
    X: _Floating,
    y: _Double,
    lo: int,
    hi: int,
    means: _Double,
    coef: _Double,
    level: float,
    low: float,
    root: _Double,
    one: float,
    work: _Double,
    u: _Double,
    h: _Double,
) -> None: ...
def dd_moments_work_size(p: int, n_targets: int) -> int: ...
@_fused
def dd_moments(
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
def refine_work_size(p: int) -> int: ...
@_fused
def refine(
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
def paired_sizes(p: int, n_targets: int) -> tuple[int, int]: ...

factor_constants: dict[str, int]

def factor_width(p: int) -> int: ...
def factor_work_size(width: int) -> int: ...
def factor_rows(A: _Double, first: int, work: _Double) -> None: ...
def factor_trailing(A: _Double, first: int, lo: int, hi: int, work: _Double) -> None: ...
def factor_solve(R: _Double, p: int, B: _Double) -> None: ...
def factor_inverse(R: _Double, m: _Double, lo: int, hi: int, work: _Double, out: _Double) -> None: ...
def factor_residual(A: _Double, B: _Double, C: _Double) -> float: ...
def paired_solve(
    M: _Double,
    noise: _Double,
    unit: float,
    shift: _Double,
    p: int,
    fit_intercept: bool,
    l2: float,
    work: _Double,
    res: _Double,
) -> tuple[float, float, float, float, float, float, bool, float] | None: ...
def extended_sizes(p: int, n_targets: int) -> tuple[int, int]: ...
def extended(
    X: NDArray[Any],
    y: NDArray[Any],
    w: NDArray[Any] | None,
    shift_rows: int,
    fit_intercept: bool,
    l2: float,
    work: _Double,
    res: _Double,
) -> tuple[float, float, float, float, float, float, bool, float] | None: ...
def counted_order(keys: NDArray[np.int64], least: int, after: NDArray[np.intp], order: NDArray[np.intp]) -> None: ...
def groups_work_size(p: int, n_targets: int, most: int) -> int: ...
@_fused
def moments_of_groups(
    X: _Floating,
    Y: _Double,
    w: _Double | None,
    order: NDArray[np.intp],
    bounds: NDArray[np.intp],
    lo: int,
    hi: int,
    most: int,
    shift: _Double,
    work: _Double,
    M: _Double,
    noise: _Double,
    n_rows: NDArray[np.intp],
) -> None: ...
def window_work_size(p: int, longest: int) -> int: ...
@_fused
def window_sums(
    X: _Floating,
    y: _Double,
    w: _Double | None,
    left: _Double | None,
    order: NDArray[np.intp] | None,
    windows: NDArray[np.intp],
    longest: int,
    work: _Double,
    out: _Double,
    shifts: _Double,
) -> None: ...
@_fused
def window_fits(
    X: _Floating,
    y: _Double,
    w: _Double | None,
    left: _Double | None,
    order: NDArray[np.intp] | None,
    windows: NDArray[np.intp],
    longest: int,
    fit_intercept: bool,
    l2: float,
    work: _Double,
    coef: _Double,
    numbers: _Double,
    spread: _Double,
    centre: _Double,
) -> None: ...
@_fused
def windows_by_time(
    times: NDArray[Any],
    bounds: NDArray[np.intp],
    length: float,
    with_left: bool,
    with_right: bool,
    lo: int,
    hi: int,
    out: NDArray[np.intp],
) -> None: ...
def running_state_size(p: int) -> int: ...
def running_work_size(p: int) -> int: ...
@_fused
def running_fits(
    X: _Floating,
    y: _Double,
    w: _Double | None,
    left: _Double | None,
    order: NDArray[np.intp] | None,
    fresh: NDArray[np.uint8] | None,
    lo: int,
    fit_intercept: bool,
    l2: float,
    state: _Double,
    work: _Double,
    coef: _Double,
    numbers: _Double,
    spread: _Double,
    centre: _Double,
) -> None: ...
def running_merge(states: _Double, p: int, room: _Double) -> None: ...
def running_update(
    state: _Double, x: _Double, y: float, weight: float, share: float, fit_intercept: bool, work: _Double
) -> bool: ...
def stack_sums_work_size(p: int) -> int: ...
def stack_of_sums(
    S: _Double,
    shifts: _Double,
    lo: int,
    hi: int,
    fit_intercept: bool,
    l2: float,
    work: _Double,
    coef: _Double,
    numbers: _Double,
    spread: _Double,
    centre: _Double,
) -> None: ...
def put_fits(
    places: NDArray[np.intp],
    coef: _Double,
    numbers: _Double,
    spread: _Double,
    to_coef: _Double,
    intercept: _Double,
    rss: _Double | None,
    tss: _Double | None,
    digits: _Double,
    to_spread: _Double | None,
    rank: NDArray[np.int64],
) -> None: ...
def windows_by_rows(bounds: NDArray[np.intp], length: int, lo: int, hi: int, out: NDArray[np.intp]) -> None: ...
def target_sums_sizes(p: int, n_targets: int, n_rows: int) -> tuple[int, int]: ...
@_fused
def target_sums(
    X: _Floating,
    Y: _Double,
    w: _Double | None,
    lo: int,
    hi: int,
    shift: _Double,
    work: _Double,
    out: _Double,
) -> None: ...
def target_fits(
    M: _Double,
    shift: _Double,
    products: _Double,
    fit_intercept: bool,
    l2: float,
    constants: bool,
    work: _Double,
    coef: _Double,
    numbers: _Double,
    columns: _Double,
) -> None: ...
def stack_work_size(p: int, n_targets: int, most: int, gathered: int) -> int: ...
@_fused
def stack(
    X: _Floating,
    Y: _Double,
    w: _Double | None,
    order: NDArray[np.intp] | None,
    bounds: NDArray[np.intp],
    lo: int,
    hi: int,
    gathered: int,
    shift_rows: int,
    fit_intercept: bool,
    l2: float,
    work: _Double,
    coef: _Double,
    numbers: _Double,
    spread: _Double,
    centre: _Double,
) -> None: ...
