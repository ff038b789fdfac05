# SPDX-License-Identifier: BSD-3-Clause
"""Fits and moments as checked bytes."""
