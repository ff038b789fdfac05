include "row_kernels.pxi"
