from linreg_fast.kernels_baseline import *  # noqa: F403
