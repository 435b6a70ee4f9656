"""Wrong rotated width, or a wrong denominator for it (M9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

import ropelab
from ropelab import Rope, Spectrum

from ..case import Array
from ..implementation import SPECIFICATION, Implementation
from .harness import with_rotation
from .mutant import Entries

__all__ = ["ENTRIES"]


def _exponents_of_the_head(rope: Rope, seq_len: int | None) -> Spectrum:
    """Divide the exponents by head_dim instead of rotary_dim."""
    if rope.rotary_dim == rope.head_dim:
        return rope.spectrum(seq_len)
    spectrum = replace(rope, rotary_dim=rope.head_dim).spectrum(seq_len)
    return replace(spectrum, inv_freq=spectrum.inv_freq[: rope.rotary_dim // 2], axes=None)


def _partner_in_the_other_half_of_the_head(
    x: Array, ids: Array, spectrum: Spectrum, *, layout: str, **options: Any
) -> Array:
    """Pair channel i with i + head_dim/2 where only rotary_dim channels turn."""
    head, pairs = x.shape[-1], len(spectrum.inv_freq)
    if layout != "half" or 2 * pairs == head:
        return ropelab.apply_rotary(x, ids, spectrum, layout=layout, **options)
    turning = [*range(pairs), *range(head // 2, head // 2 + pairs)]
    order = np.array([*turning, *(i for i in range(head) if i not in set(turning))])
    turned = ropelab.apply_rotary(x[..., order], ids, spectrum, layout=layout, **options)
    return np.ascontiguousarray(turned[..., np.argsort(order)])


def _read_with(width: Callable[[Rope], int]) -> Implementation:
    """Return the specification with another rotated width of every config."""

    def _read(config: Mapping[str, Any], *rest: Any, **options: Any) -> Rope | None:
        rope = ropelab.from_transformers(config, *rest, **options)
        if rope is None or rope.rotary_dim == rope.head_dim:
            return rope
        return replace(rope, rotary_dim=width(rope), axes=None)

    return replace(SPECIFICATION, from_transformers=_read)


ENTRIES: Entries = {
    "head-dim-exponents": (
        "M9",
        "exponents over head_dim instead of rotary_dim",
        replace(SPECIFICATION, spectrum=_exponents_of_the_head),
        "pie!603",
    ),
    "partner-half-a-head-away": (
        "M9",
        "pairs head_dim/2 apart instead of rotary_dim/2",
        with_rotation(_partner_in_the_other_half_of_the_head),
        "pie!603",
    ),
    "whole-head": (
        "M9",
        "the partial width never reaches the rotation",
        _read_with(lambda rope: rope.head_dim),
        "maxtext#4616",
    ),
    "share-taken-twice": (
        "M9",
        "the partial factor applied twice",
        _read_with(lambda rope: rope.rotary_dim**2 // rope.head_dim // 2 * 2),
        "vllm!41185",
    ),
}
