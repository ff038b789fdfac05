# SPDX-License-Identifier: BSD-3-Clause
"""What linreg-fast bench measures."""
