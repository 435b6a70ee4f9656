"""Search for the first distance at which a sum of cosines is negative, by intervals.

Over an interval of distances, each pair's angle stays within half the interval's turn of that at
the middle, so that its cosine has a least value there. Where these and what is not rotated sum to
more than zero, no distance of the interval breaks the bound; other intervals are split, down to
single distances.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..phases import cos_sin_values, exact_phases
from ..rope import Rope
from .cosines import on_axes, rows_of, unrotated_pairs

__all__ = ["Breach", "Searched", "search_breach"]

_PARTS = 8  # that an interval is split into
_RADIANS = 2.0 * np.pi / 2.0**64  # of a phase
_ROUNDING = 1e-12  # more than a cosine is off here


class Breach(NamedTuple):
    """Where the sum of cosines first falls below zero."""

    distance: int
    """The distance m, in tokens."""
    value: float
    """B(m), negative."""


class Searched(NamedTuple):
    """What a search has come to."""

    breach: Breach | None
    tried: int
    """Distances below it have no other breach; the limit, or less where the work has run out."""


def search_breach(
    rope: Rope,
    limit: int,
    work: int,
    *,
    head_dim: int | None = None,
    seq_len: int | None = None,
) -> Searched:
    """Return the first breach below a limit, or how far the work has led.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    limit : int
        Distances from 0 to `limit` - 1 are asked about.
    work : int
        Cosines to take at most: as many as pairs for an interval or a distance.
    head_dim : int, optional
        Channels of the whole query or key; by default ``rope.head_dim``.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    Searched
        The breach, if there is one below `tried`.
    """
    spectrum = replace(rope.spectrum(seq_len), attention_factor=1.0)
    axes, pairs = spectrum.position_axes, spectrum.inv_freq.size
    still = unrotated_pairs(rope, head_dim)
    if 2 * np.count_nonzero(spectrum.inv_freq) <= pairs + still:  # the others, all 1, outweigh them
        return Searched(None, limit)
    swings = np.abs(spectrum.turns.view(np.int64).astype(np.float64)) * _RADIANS
    if spectrum.periods is not None:  # positions leap back within an interval
        swings[spectrum.periods > 0] = np.pi
    width = 1
    while width < limit:
        width *= _PARTS
    waiting: list[tuple[NDArray[np.int64], int]] = [(np.zeros(1, np.int64), width)]
    while waiting:
        starts, width = waiting.pop()
        rows = rows_of(pairs)
        if starts.size > rows:
            waiting.append((starts[rows:], width))
            starts = starts[:rows]
        work -= starts.size * pairs
        if work < 0:
            return Searched(None, int(starts[0]))
        half = width // 2
        phases = exact_phases(on_axes(axes, starts + half), spectrum).view(np.int64)
        angles = np.abs(phases.astype(np.float64)) * _RADIANS + half * swings
        least = np.cos(np.minimum(angles, np.pi)).sum(axis=-1)
        starts = starts[still + least < _ROUNDING * pairs]
        if width > 1:
            width //= _PARTS
            starts = (starts[:, np.newaxis] + width * np.arange(_PARTS)).ravel()
            starts = starts[starts < limit]
            if starts.size:
                waiting.append((starts, width))
            continue
        total = still + cos_sin_values(on_axes(axes, starts), spectrum, "exact")[0].sum(axis=-1)
        below = np.flatnonzero(total < 0.0)
        if below.size:
            breach = Breach(int(starts[below[0]]), float(total[below[0]]))
            return Searched(breach, limit)
    return Searched(None, limit)
