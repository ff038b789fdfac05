# SPDX-License-Identifier: BSD-3-Clause
"""python -m linreg_fast.cli, which is linreg-fast."""

from linreg_fast.cli.commands import main

if __name__ == "__main__":
    main()
