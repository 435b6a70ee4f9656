"""Frequency rules dropped or wrong (M6)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ropelab import Rope, Spectrum

from ...scaling import Default, DynamicNTK, Linear, Llama3, NTKAware, Proportional, Resonance
from ..case import Array
from .harness import with_inv_freq, with_rope, with_rule
from .mutant import Entries

__all__ = ["ENTRIES"]


def _unscaled(rope: Rope) -> Rope:
    return replace(rope, scaling=Default())


def _without_llama3(rope: Rope) -> Rope:
    return _unscaled(rope) if isinstance(rope.scaling, Llama3) else rope


def _linear_instead(rope: Rope) -> Rope:
    if not isinstance(rope.scaling, Llama3):
        return rope
    return replace(rope, scaling=Linear(rope.scaling.factor))


def _bands(rope: Rope) -> tuple[Llama3, Array, Array]:
    """Return the rule, the unscaled frequencies, and how often each turns in its context."""
    rule = rope.scaling
    assert isinstance(rule, Llama3)
    inv_freq = _unscaled(rope).spectrum().inv_freq
    return rule, inv_freq, rule.original_max_position_embeddings * inv_freq / (2.0 * np.pi)


def _blended_in_wavelength(rope: Rope, _: int | None) -> Array:
    """Blend periods linearly in the wavelength, from the wrong end."""
    rule, inv_freq, rotations = _bands(rope)
    low, high = rule.low_freq_factor, rule.high_freq_factor
    width = (1.0 / low - 1.0 / high) or 1.0
    share = np.clip((1.0 / rotations - 1.0 / high) / width, 0.0, 1.0)
    blended = inv_freq / ((1.0 - share) * rule.factor + share)
    kept = np.where(rotations >= high, inv_freq, blended)
    return np.where(rotations <= low, inv_freq / rule.factor, kept)


def _low_and_high_swapped(rope: Rope, _: int | None) -> Array:
    rule, inv_freq, rotations = _bands(rope)
    low, high = rule.high_freq_factor, rule.low_freq_factor
    kept = np.clip((rotations - low) / ((high - low) or 1.0), 0.0, 1.0)
    return (1.0 - kept) * inv_freq / rule.factor + kept * inv_freq


def _not_blended(rope: Rope, _: int | None) -> Array:
    """Return the frequencies before the blend: those between the bands are left alone."""
    rule, inv_freq, rotations = _bands(rope)
    return np.where(rotations < rule.low_freq_factor, inv_freq / rule.factor, inv_freq)


def _multiplied(rope: Rope, _: int | None) -> Array:
    assert isinstance(rope.scaling, Linear)
    return _unscaled(rope).spectrum().inv_freq * rope.scaling.factor


def _positions_doubled(rope: Rope, _: int | None) -> Array:
    """Leave the factor aside and turn twice as fast."""
    return 2.0 * _unscaled(rope).spectrum().inv_freq


def _base_times_alpha(rope: Rope, _: int | None) -> Array:
    """Multiply the base by alpha itself, without its exponent d / (d - 2)."""
    assert isinstance(rope.scaling, NTKAware)
    return _unscaled(replace(rope, base=rope.base * rope.scaling.alpha)).spectrum().inv_freq


def _partial(rope: Rope, seq_len: int | None) -> Array:
    """Rotate a share of the head as if it were a head of that width."""
    rule, spectrum = rope.scaling, rope.spectrum(seq_len)
    assert isinstance(rule, Proportional)
    turning = int(np.count_nonzero(spectrum.inv_freq))
    width = max(2 * turning, 1)
    fast = rope.base ** (-2.0 * np.arange(turning) / width) / rule.factor
    return np.concatenate([fast, np.zeros(spectrum.inv_freq.size - turning)])


def _periods_lost(rope: Rope, seq_len: int | None) -> Spectrum:
    return replace(rope.spectrum(seq_len), periods=None)


ENTRIES: Entries = {
    "rule-dropped": (
        "M6",
        "the scaling rule is not applied",
        with_rope(_unscaled),
        "mlx-vlm!1710",
    ),
    "llama3-dropped": (
        "M6",
        "Llama 3's rule is not applied",
        with_rope(_without_llama3),
        "unsloth!6197",
    ),
    "llama3-as-linear": (
        "M6",
        "Llama 3's rule overwritten by a division of all pairs",
        with_rope(_linear_instead),
        "unsloth!7028",
    ),
    "llama3-blended-in-wavelength": (
        "M6",
        "the middle band blended in the wavelength, and reversed",
        with_inv_freq(Llama3, _blended_in_wavelength),
        "mlx-examples!907",
    ),
    "llama3-low-and-high-swapped": (
        "M6",
        "low_freq_factor and high_freq_factor exchanged",
        with_inv_freq(Llama3, _low_and_high_swapped),
    ),
    "llama3-not-blended": (
        "M6",
        "the frequencies from before the blend are returned",
        with_inv_freq(Llama3, _not_blended),
        "transformers!32330",
    ),
    "linear-multiplied": (
        "M6",
        "frequencies multiplied by the factor",
        with_inv_freq(Linear, _multiplied),
    ),
    "dynamic-positions-doubled": (
        "M6",
        "dynamic scaling: positions doubled, the factor unused",
        with_inv_freq(DynamicNTK, _positions_doubled),
        "mlx-lm#1545",
    ),
    "ntk-base-times-alpha": (
        "M6",
        "NTK-aware scaling: the base multiplied by alpha itself",
        with_inv_freq(NTKAware, _base_times_alpha),
    ),
    "proportional-as-partial": (
        "M9",
        "p-RoPE: a share of the head rotated as a head of that width",
        with_inv_freq(Proportional, _partial),
        "neuronx-distributed-inference!106",
    ),
    "resonance-periods-lost": (
        "M6",
        "Resonance: whole wavelengths as frequencies alone, which drift",
        with_rule(Resonance, _periods_lost),
    ),
}
