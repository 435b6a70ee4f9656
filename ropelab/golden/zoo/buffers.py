"""Caches with the wrong key, and buffers that nobody filled (M15)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ropelab import Rope, Spectrum

from ..implementation import SPECIFICATION, Implementation
from .harness import with_spectrum
from .mutant import Entries

__all__ = ["ENTRIES"]


@dataclass
class _Cache:
    """Keeps a spectrum under a key without rule and length."""

    kept: dict[Any, Spectrum] = field(default_factory=dict)

    def __call__(self, rope: Rope, seq_len: int | None) -> Spectrum:
        key = (rope.rotary_dim, rope.base)
        if key not in self.kept:
            self.kept[key] = rope.spectrum(seq_len)
        return self.kept[key]


def _filled_with(value: float) -> Implementation:
    return with_spectrum(
        lambda spectrum: replace(spectrum, inv_freq=np.full_like(spectrum.inv_freq, value))
    )


ENTRIES: Entries = {
    "stale-cache": (
        "M15",
        "cache key without rule and length",
        replace(SPECIFICATION, spectrum=_Cache()),
        "rotary-embedding-torch#11",
    ),
    "never-filled": (
        "M15",
        "frequencies of an unfilled buffer",
        _filled_with(6.93e-18),
        "transformers#45902",
    ),
    "filled-with-zeros": (
        "M15",
        "frequencies of a zeroed buffer: nothing turns",
        _filled_with(0.0),
        "torchtitan#4783",
    ),
}
