# SPDX-License-Identifier: BSD-3-Clause
"""What rows cost: the constants, measured, and the row blocks that are worth it."""

from __future__ import annotations

import math

# Two cores of a Zen 4 server, v3 and v4 alike; the rates are those that benchmarks/plans.py fits to measured times.
READ_RATE = 11e9  # bytes a second and thread
PACK_RATE = 23e9  # bytes a second and thread laid out for the tiles, in cache
PRODUCT_RATE = 45e9  # float64 operations a second and thread, of the tiles
DISPATCH_SECONDS = 30e-6  # one submit to the pool and the wait for it
STREAM_RATE = 16e9  # bytes a second and thread of rows multiplied by vectors as they come, and for each product
STREAM_SECONDS = 1e-9  # a row beside that
THREADED_SECONDS = 0.7e-3  # work below stays on the calling thread: two were no faster under 0.5 to 1 ms
BLOCK_SECONDS = DISPATCH_SECONDS  # of a row block beside its work: its turn, its call, a start without lines asked for
MERGE_SHARE = 1 / 30  # a block's merging may cost this share of its work
MAX_BLOCKS = 64  # also the largest number of threads of use to one pass


def row_seconds(row_bytes: float, row_flops: float) -> float:
    """Expected seconds a row on one thread: reading it from memory or working on it, whichever is longer."""
    return max(row_bytes / READ_RATE, work_seconds(row_bytes, row_flops))


def work_seconds(row_bytes: float, row_flops: float) -> float:
    """Expected seconds a row on one thread of laying it out and multiplying it, once it is in cache."""
    return row_bytes / PACK_RATE + row_flops / PRODUCT_RATE


def stream_seconds(row_bytes: float, products: int) -> float:
    """Expected seconds a row on one thread of its products with vectors, those after the first out of the cache."""
    return row_bytes / STREAM_RATE * (0.75 + 0.25 * products) + STREAM_SECONDS * products


def count_blocks(n_rows: int, seconds_per_row: float, size: int) -> int:
    """Number of row blocks of a pass whose partial results have `size` numbers: a power of two.

    c blocks of some work T cost c times what a block costs beside its work, and in the end a thread waits for up to
    T / c: their sum is least at the root of T over that cost. A block is also long enough to be worth the merging of
    its result.
    """
    seconds = n_rows * seconds_per_row
    merge = 3 * 8 * size / READ_RATE
    return power_of_two(min(math.sqrt(seconds / BLOCK_SECONDS), seconds * MERGE_SHARE / merge if merge else math.inf))


def power_of_two(blocks: float) -> int:
    """As many blocks, rounded down to a power of two, so that as many threads get equal shares; MAX_BLOCKS at most."""
    return 1 << (max(1, int(min(blocks, MAX_BLOCKS))).bit_length() - 1)
