"""What angles come from, as the specification takes it, and as a call does.

The specification is given ids and a spectrum, whichever way the call says them: as numbers from
which kernels count, and as a spectrum whose numbers lie in the device's memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

import ropelab
import ropelab_cuda
from ropelab.golden.case import Array
from ropelab.positions import Consecutive, Packed
from ropelab.scaling.base import Geometry, Scaling

from .call import Made
from .cases import (
    Case,
    farthest,
    generator,
    integers_of,
    positions_of,
    spectrum_of,
    token_axes_of,
)
from .memory import Arena
from .tensors import listed

__all__ = ["Angles", "Positions", "angles_of", "positions_in"]

MOST_RANKS = 3


class Positions(NamedTuple):
    """Positions, as ids and as they are passed: a place, or what is made of some."""

    ids: Array
    passed: Any


class Angles(NamedTuple):
    """Positions and a spectrum, and both as they are passed."""

    ids: Array
    spectrum: ropelab.Spectrum
    passed: tuple[Any, Any]


def angles_of(arena: Arena, case: Case) -> Angles:
    """Put what a case's angles come from into an arena."""
    ids, positions = positions_in(arena, case, largest=farthest(case.kind))
    spectrum = spectrum_of(case)
    numbers: Any = spectrum
    if case.kind.on_device:
        rope = ropelab.Rope(spectrum.rotary_dim, scaling=Given(spectrum))
        numbers = Made(ropelab_cuda.spectrum_on_device, (rope, listed(arena, np.arange(2))))
    return Angles(ids, spectrum, (positions, numbers))


def positions_in(
    arena: Arena, case: Case, *, largest: int, centre: int = 0, reach: int = 2**32
) -> Positions:
    """Put a case's positions into an arena, with values as in `positions_of`."""
    limits = {"centre": centre, "reach": reach}
    if case.kind.source == "ids":
        ids = positions_of(case, largest=largest, **limits)
        return Positions(ids, listed(arena, ids, transposed=case.rows == "transposed"))
    tokens = token_axes_of(case)
    count = _packed if case.kind.source == "packed" else _consecutive
    farthest_step = MOST_RANKS * int(np.prod(tokens))
    ids, passed = count(arena, case, tokens, largest=largest - farthest_step, **limits)
    axes = case.kind.axes  # on each of which a token has the same position
    return Positions(np.broadcast_to(ids, (axes, *ids.shape)) if axes > 1 else ids, passed)


def _consecutive(
    arena: Arena, case: Case, tokens: tuple[int, ...], **limits: int
) -> tuple[Array, Made]:
    sequences = tokens[0] if len(tokens) > 1 else 1
    first, offset = _offset(arena, case, sequences, **limits)
    ids = first[:, np.newaxis] + np.arange(tokens[-1])
    return ids.reshape(tokens), Made(Consecutive, (offset,))


def _packed(arena: Arena, case: Case, tokens: tuple[int, ...], **limits: int) -> tuple[Array, Made]:
    """Cut the tokens of one rank into sequences, of which each rank has two pieces."""
    (count,), random_numbers = tokens, generator(case.seed, 40)
    ranks = int(random_numbers.integers(1, MOST_RANKS + 1)) if count % 2 == 0 else 1
    rank, step = int(random_numbers.integers(ranks)), 1 if ranks == 1 else 2
    cuts = random_numbers.integers(0, count // step + 1, int(random_numbers.integers(7)))
    bounds = np.array([0, *(step * np.sort(cuts)), count])  # several cuts at one place: empty ones
    first, offset = _offset(arena, case, bounds.size - 1, **limits)
    ids = [
        start + _of_rank(length, ranks, rank)
        for start, length in zip(first, np.diff(bounds), strict=True)
    ]
    narrow = np.iinfo(case.kind.integer).max < 2**31 - 1
    whole = (bounds * ranks).astype("int32" if narrow else case.kind.integer)
    passed = Made(Packed, (listed(arena, whole), offset, ranks, rank))
    return np.concatenate(ids), passed


def _of_rank(length: int, ranks: int, rank: int) -> Array:
    """Return which tokens of a sequence a rank has, so many: as many from either end."""
    if ranks == 1:
        return np.arange(length)
    half = length // 2
    early = np.arange(rank * half, (rank + 1) * half)
    late = ranks * length - (rank + 1) * half
    return np.concatenate([early, np.arange(late, late + half)])


def _offset(arena: Arena, case: Case, sequences: int, **limits: int) -> tuple[Array, Any]:
    """Return the first position of each sequence, and as it is passed: a number, or a place."""
    shape = {"scalar": (), "one": (1,)}.get(case.rows, (sequences,))
    offset = integers_of(case, shape, **limits)
    each = np.broadcast_to(offset.astype(np.int64), (sequences,))
    return each, int(offset) if case.rows == "scalar" else listed(arena, offset)


@dataclass(frozen=True, eq=False)
class Given(Scaling):
    """A rule that yields one spectrum: the device copies its numbers."""

    rope_type: ClassVar[str] = "given"

    numbers: ropelab.Spectrum

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> ropelab.Spectrum:
        """Return it."""
        del rope, seq_len
        return self.numbers
