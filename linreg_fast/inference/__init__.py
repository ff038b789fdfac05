# SPDX-License-Identifier: BSD-3-Clause
"""Standard errors, tests and intervals."""
