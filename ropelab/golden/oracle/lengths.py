"""Which length a dynamic rule is asked at, from the whole history of calls and no state."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["dynamic_lengths"]


def dynamic_lengths(original: int, calls: Sequence[int]) -> list[int]:
    """Return the longest call since the last that was short, for each call of a series."""
    asked = []
    for now in range(len(calls)):
        longest, past = original, now
        while past >= 0 and calls[past] >= original:  # back to a short call, which forgets all
            longest = max(longest, calls[past])
            past -= 1
        asked.append(longest)
    return asked
