"""Positions of (2, 3) tokens, or of a pack of six: said by an object, and counted by hand."""

from __future__ import annotations

from ropelab.positions import Consecutive, Packed

__all__ = ["COUNTED"]

FAR = 2**31 - 2
COUNTED: list[tuple[Consecutive | Packed, list[object]]] = [
    (Consecutive(-1), [[-1, 0, 1], [-1, 0, 1]]),
    (Consecutive([131_071, FAR]), [[131_071, 131_072, 131_073], [FAR, FAR + 1, FAR + 2]]),
    (Packed([0, 1, 1, 6], [40, 7, -2]), [40, -2, -1, 0, 1, 2]),
    (Packed([0, 4, 12], [9, 0], cp_size=2, cp_rank=0), [9, 12, 0, 1, 6, 7]),
    (Packed([0, 4, 12], [9, 0], cp_size=2, cp_rank=1), [10, 11, 2, 3, 4, 5]),
]
