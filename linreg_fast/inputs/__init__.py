# SPDX-License-Identifier: BSD-3-Clause
"""What a user hands in: checked, named, brought to a Table."""
