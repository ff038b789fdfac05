# The public functions of src/row_kernels.pxi, the same at every level: names in _c take X in C order, in _f in F order.
from linreg_fast.kernels_baseline import _Double, _Floating, _fused

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
