# SPDX-License-Identifier: BSD-3-Clause
"""Arithmetic on p x p numbers."""
