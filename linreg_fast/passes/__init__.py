# SPDX-License-Identifier: BSD-3-Clause
"""From rows to numbers."""
