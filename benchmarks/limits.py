"""The machine's own limits: its rates of reading memory and of a float64 matrix product.

Run:  python benchmarks/limits.py
"""

from __future__ import annotations

from linreg_fast.bench.timing import Side, interleaved, multiplier, pinned, reader
from linreg_fast.passes.threads import threads as count_threads


def main() -> None:
    threads = count_threads()
    probes = {"read": Side(reader(1 << 28, threads)), "product": Side(multiplier(2000))}
    with pinned(threads):
        seconds, _ = interleaved(probes)
    print(f"read            {(1 << 28) / seconds['read'] / 1e9:.1f} GB/s on {threads} threads")
    print(f"matrix product  {2 * 2000**3 / seconds['product'] / 1e9:.1f} GFLOP/s on {threads} threads")


if __name__ == "__main__":
    main()
