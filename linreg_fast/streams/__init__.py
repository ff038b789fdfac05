# SPDX-License-Identifier: BSD-3-Clause
"""Rows that are not one array: streams, files and queries."""

from linreg_fast.streams.fitting import fit_file as fit_file
from linreg_fast.streams.fitting import fit_stream as fit_stream
