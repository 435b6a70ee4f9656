"""Series of calls: how a dynamic rope grows, stays and is reset."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..case import Case
from ..tolerances import equal

__all__ = ["cases"]

_SERIES: tuple[tuple[str, int, tuple[int, ...]], ...] = (
    ("growth", 2048, (1, 2047, 2048, 2049, 2050, 4099, 32_771, 131_072)),
    ("sticky", 4096, (9000, 6000, 4097, 4096, 8999, 9001, 5000)),
    ("reset-below-the-original", 4096, (8192, 4096, 4095, 4096, 5000, 4096, 4095)),
    ("two-crossings", 977, (1500, 1200, 976, 978, 1, 1300, 977, 3, 2**31 - 1, 1000)),
)


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By series.
    """
    for name, original, calls in _SERIES:
        arrays = {"calls": np.array(calls, np.int64)}
        options = {"original": original}
        flags = ("LengthSwitch", "StaleState")
        yield Case(f"lengths/{name}", "dynamic_lengths", arrays, options, equal(), flags)
