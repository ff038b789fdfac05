# SPDX-License-Identifier: BSD-3-Clause
"""Many fits at once: over windows, groups and stacks of problems."""
