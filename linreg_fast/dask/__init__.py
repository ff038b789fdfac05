# SPDX-License-Identifier: BSD-3-Clause
"""Fits where the rows lie on a cluster."""

from linreg_fast.dask.fitting import fit as fit
