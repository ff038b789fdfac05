# SPDX-License-Identifier: BSD-3-Clause
"""The command line, linreg-fast."""

from linreg_fast.cli.commands import main as main
