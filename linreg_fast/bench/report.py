# SPDX-License-Identifier: BSD-3-Clause
"""The figures of `linreg-fast bench` as text: heads and cells of its table, and what ran."""

from __future__ import annotations

import contextlib
import platform
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np

import linreg_fast
from linreg_fast.bench.peers import PACKAGES
from linreg_fast.bench.timing import NUMPY, OURS, Row


def about(rows: list[Row], threads: int) -> dict[str, Any]:
    """What ran: the configuration, the processor, the versions of the peers, the median rates of all rows."""
    return {
        "config": linreg_fast.show_config(),
        "processor": _processor(),
        "threads": threads,
        "blas_pinned": find_spec("threadpoolctl") is not None,
        "peers": {name: version(name) for name, package in PACKAGES.items() if find_spec(package)},
        "read_rate": float(np.median([row["read_rate"] for row in rows])),
        "product_rate": float(np.median([row["product_rate"] for row in rows])),
    }


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def columns(rows: list[Row]) -> list[str]:
    """Heads of the table: of the peers only those that were measured."""
    seen = [name for name in (NUMPY, *PACKAGES) if any(name in row["seconds"] for row in rows)]
    return ["what", "rows x columns", OURS, "limit", *seen, "beside"]


def cells(row: Row, heads: list[str]) -> tuple[str, ...]:
    """One row as text: our time, our time over the limit, the others' over ours, ours over what stands beside it."""
    seconds = row["seconds"]
    ours = seconds[OURS]
    limit = "-" if row["limit"] is None else f"{ours / row['limit']:.2f}"
    others = [_ratio(seconds[name] / ours) if name in seconds else "-" for name in heads[4:-1]]
    base = next((name for name in seconds if name not in (OURS, NUMPY, *PACKAGES)), None)
    beside = f"{ours / seconds[base]:.2f} x {base}" if base else ""
    return (row["what"], f"{row['rows']:,} x {row['columns']:,}", duration(ours), limit, *others, beside)


def _ratio(times: float) -> str:
    return f"{times:.3g}" if times < 100 else f"{times:,.0f}"


def duration(seconds: float) -> str:
    """Three digits in s, ms or us."""
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e6:.3g} us"


def legend(what_ran: dict[str, Any]) -> str:
    """What the columns mean and what ran, in a few sentences."""
    config = what_ran["config"]
    peers = "".join(f", {name} {number}" for name, number in what_ran["peers"].items())
    pinned = "" if what_ran["blas_pinned"] else " (BLAS as it likes: threadpoolctl is not installed)"
    return (
        f"limit: our time over max(bytes / {what_ran['read_rate'] / 1e9:.1f} GB/s, operations / "
        f"{what_ran['product_rate'] / 1e9:.0f} GFLOP/s), the rates of reading and of a matrix product in the same "
        f"rounds; other libraries: their time over ours; medians. {what_ran['processor']}, level {config['level']}, "
        f"{what_ran['threads']} threads{pinned}, NumPy {config['numpy']} with {config['blas']}{peers}."
    )
