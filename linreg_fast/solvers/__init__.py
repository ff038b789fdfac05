# SPDX-License-Identifier: BSD-3-Clause
"""Problem in, Solution out."""
