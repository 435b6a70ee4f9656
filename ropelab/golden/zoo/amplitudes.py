"""Attention factors missing, doubled, or put on one layout alone (M7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ropelab
from ropelab import Spectrum

from ..case import Array
from .harness import with_rotation, with_spectrum
from .mutant import Entries

__all__ = ["ENTRIES"]


def _not_scaled(spectrum: Spectrum) -> Spectrum:
    return replace(spectrum, attention_factor=1.0)


def _scaled_twice(spectrum: Spectrum) -> Spectrum:
    return replace(spectrum, attention_factor=spectrum.attention_factor**2)


def _half_layout_alone(
    x: Array, ids: Array, spectrum: Spectrum, *, layout: str, **options: Any
) -> Array:
    """Scale where pairs lie in halves, forget it where they are interleaved."""
    given = spectrum if layout == "half" else _not_scaled(spectrum)
    return ropelab.apply_rotary(x, ids, given, layout=layout, **options)


ENTRIES: Entries = {
    "amplitude-missing": (
        "M7",
        "attention factor not applied",
        with_spectrum(_not_scaled),
        "vllm#48621",
    ),
    "amplitude-twice": (
        "M7",
        "attention factor applied twice",
        with_spectrum(_scaled_twice),
        "llama.cpp#7118",
    ),
    "amplitude-of-one-layout": (
        "M7",
        "attention factor dropped where pairs are interleaved",
        with_rotation(_half_layout_alone),
        "daScript!3479",
    ),
}
