"""YaRN: six functions of one name, and what ports of them get wrong (M6, M7)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ropelab import Rope, Spectrum

from ...scaling import DeepSeekYaRN, Default, YaRN
from ..case import Array
from ..implementation import Implementation
from .harness import with_inv_freq, with_rule
from .mutant import Entries

__all__ = ["ENTRIES"]


def _with_parameters(**change: Callable[[YaRN, Rope], Any]) -> Implementation:
    """Return the specification with other parameters of YaRN."""

    def _changed(rope: Rope, seq_len: int | None) -> Spectrum:
        rule = rope.scaling
        assert isinstance(rule, YaRN)
        wrong: dict[str, Any] = {name: value(rule, rope) for name, value in change.items()}
        return replace(rope, scaling=replace(rule, **wrong)).spectrum(seq_len)

    return with_rule(YaRN, _changed)


def _with_ramp(
    blend: Callable[[YaRN, Rope, Array, Array], Array],
    *,
    ends: Callable[[YaRN, Rope], tuple[float, float]] | None = None,
) -> Implementation:
    """Return the specification with YaRN's parts put together otherwise."""

    def _frequencies(rope: Rope, _: int | None) -> Array:
        rule = rope.scaling
        assert isinstance(rule, YaRN)
        low, high = (ends or _ends)(rule, rope)
        index = np.arange(rope.rotary_dim // 2)
        ramp = np.clip((index - low) / ((high - low) or 0.001), 0.0, 1.0)
        return blend(rule, rope, _unscaled(rope), ramp)

    return with_inv_freq(YaRN, _frequencies)


def _unscaled(rope: Rope) -> Array:
    return replace(rope, scaling=Default()).spectrum().inv_freq


def _turning(rope: Rope, length: float, rotations: float) -> float:
    """Return the pair that turns so often in a length."""
    d = rope.rotary_dim
    return d * math.log(length / (2.0 * math.pi * rotations)) / (2.0 * math.log(rope.base))


def _ends(
    rule: YaRN, rope: Rope, *, swapped: bool = False, longer: int = 1, last: int | None = None
) -> tuple[float, float]:
    length = rule.original_max_position_embeddings * longer
    rotations = (rule.beta_fast, rule.beta_slow)
    low, high = (_turning(rope, length, r) for r in (rotations[::-1] if swapped else rotations))
    if rule.truncate:
        low, high = math.floor(low), math.ceil(high)
    return max(low, 0), min(high, rope.rotary_dim - 1 if last is None else last)


def _ends_within_the_pairs(rule: YaRN, rope: Rope) -> tuple[float, float]:
    return _ends(rule, rope, last=rope.rotary_dim // 2 - 1)


def _right(rule: YaRN, rope: Rope, inv_freq: Array, ramp: Array) -> Array:
    return ramp * inv_freq / rule.stretch(rope) + (1.0 - ramp) * inv_freq


def _inverted(rule: YaRN, rope: Rope, inv_freq: Array, ramp: Array) -> Array:
    return _right(rule, rope, inv_freq, 1.0 - ramp)


def _scale_inside_the_power(rule: YaRN, rope: Rope, inv_freq: Array, ramp: Array) -> Array:
    exponents = -2.0 * np.arange(inv_freq.size) / rope.rotary_dim
    slowed: Array = (rule.stretch(rope) * rope.base) ** exponents
    return ramp * slowed + (1.0 - ramp) * inv_freq


def _kept_by_ntk(rule: YaRN, rope: Rope, inv_freq: Array, ramp: Array) -> Array:
    """Take the pairs to be kept from the NTK-aware base."""
    d, factor = rope.rotary_dim, rule.stretch(rope)
    base = rope.base * factor ** (d / (d - 2))
    kept: Array = base ** (-2.0 * np.arange(inv_freq.size) / d)
    return ramp * inv_freq / factor + (1.0 - ramp) * kept


def _in_rotations(rule: YaRN, rope: Rope, inv_freq: Array, _: Array) -> Array:
    """Blend linearly in the rotations, as the paper has it, and not in the pair index."""
    rotations = rule.original_max_position_embeddings * inv_freq / (2.0 * np.pi)
    width = (rule.beta_fast - rule.beta_slow) or 0.001
    return _right(rule, rope, inv_freq, 1.0 - np.clip((rotations - rule.beta_slow) / width, 0, 1))


def _stretch_of_the_lengths(rule: YaRN, rope: Rope) -> float | None:
    """Compute the factor from the two lengths, whatever the config says."""
    if rope.max_position_embeddings is None:
        return rule.factor
    return rope.max_position_embeddings / rule.original_max_position_embeddings


def _with_softmax(factor: Callable[[DeepSeekYaRN, Spectrum], float]) -> Implementation:
    """Return the specification with another softmax factor of DeepSeek's YaRN."""

    def _changed(rope: Rope, seq_len: int | None) -> Spectrum:
        assert isinstance(rope.scaling, DeepSeekYaRN)
        spectrum = rope.spectrum(seq_len)
        return replace(spectrum, softmax_factor=factor(rope.scaling, spectrum))

    return with_rule(DeepSeekYaRN, _changed)


def _squared_magnitude_of_mscale(rule: DeepSeekYaRN, spectrum: Spectrum) -> float:
    """Take mscale where mscale_all_dim belongs."""
    if not (rule.mscale and rule.mscale_all_dim):
        return spectrum.softmax_factor
    logarithm = (math.sqrt(spectrum.softmax_factor) - 1.0) / rule.mscale_all_dim
    return (1.0 + rule.mscale * logarithm) ** 2


ENTRIES: Entries = {
    "yarn-always-truncated": (
        "M6",
        "YaRN: the ramp's ends rounded to pairs, whatever the config says",
        _with_parameters(truncate=lambda *_: True),
        "vllm!28244",
    ),
    "yarn-cut-at-the-last-pair": (
        "M6",
        "YaRN: the ramp cut at d/2 - 1 instead of d - 1",
        _with_ramp(
            _right, ends=lambda rule, rope: _ends(rule, rope, last=rope.rotary_dim // 2 - 1)
        ),
        "keras-hub!2981",
    ),
    "yarn-betas-swapped": (
        "M6",
        "YaRN: beta_fast and beta_slow exchanged",
        _with_ramp(_right, ends=lambda rule, rope: _ends(rule, rope, swapped=True)),
        "torchtitan!3787",
    ),
    "yarn-scale-inside-the-power": (
        "M6",
        "YaRN: the factor multiplies the base of the slowed pairs",
        _with_ramp(_scale_inside_the_power),
        "tvm!18576",
    ),
    "yarn-kept-by-ntk": (
        "M6",
        "YaRN: the kept pairs taken from the NTK-aware base",
        _with_ramp(_kept_by_ntk),
        "aprender!2161",
    ),
    "yarn-ramp-inverted": (
        "M6",
        "YaRN: the fast pairs slowed, the slow ones kept",
        _with_ramp(_inverted),
    ),
    "yarn-in-rotations": (
        "M6",
        "YaRN: the paper's ramp where the shipped one is meant",
        _with_ramp(_in_rotations),
        "minimind#602",
    ),
    "yarn-range-of-four-lengths": (
        "M6",
        "YaRN: the ramp's ends found in four times the original length",
        _with_ramp(_right, ends=lambda rule, rope: _ends(rule, rope, longer=4)),
    ),
    "yarn-factor-recomputed": (
        "M10",
        "YaRN: the factor computed from the lengths, whatever the config says",
        _with_parameters(factor=_stretch_of_the_lengths),
        "transformers#38224",
    ),
    "yarn-mscale-pair-ignored": (
        "M7",
        "YaRN: 0.1 ln s + 1 instead of the ratio of mscale and mscale_all_dim",
        _with_parameters(mscale=lambda *_: None, mscale_all_dim=lambda *_: None),
        "vllm!48623",
    ),
    "yarn-attention-factor-dropped": (
        "M7",
        "YaRN: attention_factor not read",
        _with_parameters(attention_factor=lambda *_: None),
        "vllm!46280",
    ),
    "softmax-factor-missing": (
        "M7",
        "DeepSeek's softmax scale without the squared magnitude",
        _with_softmax(lambda *_: 1.0),
        "mobius!548",
    ),
    "softmax-factor-of-mscale": (
        "M7",
        "DeepSeek's softmax scale by mscale instead of mscale_all_dim",
        _with_softmax(_squared_magnitude_of_mscale),
        "Megatron-LM#1429",
    ),
    "softmax-factor-not-squared": (
        "M7",
        "DeepSeek's softmax scale by the magnitude itself",
        _with_softmax(lambda _, spectrum: math.sqrt(spectrum.softmax_factor)),
        "exllamav3#259",
    ),
}
