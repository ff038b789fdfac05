from linreg_fast.row_kernels_baseline import *  # noqa: F403
