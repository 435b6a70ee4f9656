"""The rules of the first hour: default, linear, NTK-aware, dynamic NTK and Llama 3."""

from __future__ import annotations

from ..numbers import Real, exactly, mp
from .common import Card, pairs, period, speeds_of_base, stretched

__all__ = ["FORMULAS"]


def _default(card: Card, _: int | None) -> list[Real]:
    return speeds_of_base(card)


def _linear(card: Card, _: int | None) -> list[Real]:
    # Position Interpolation, eq. 4: position m / s instead of m
    return [1 / (period(card, i) * exactly(card["factor"])) for i in pairs(card)]


def _ntk_alpha(card: Card, _: int | None) -> list[Real]:
    return stretched(card, exactly(card["alpha"]))


def _dynamic(card: Card, seq_len: int | None) -> list[Real]:
    # Transformers, "dynamic"; YaRN, section 3.3
    limit = card["max_position_embeddings"]
    if seq_len is None or seq_len <= limit:
        return stretched(card, mp.mpf(1))
    s = exactly(card["factor"])
    return stretched(card, s * seq_len / limit - (s - 1))


def _llama3(card: Card, _: int | None) -> list[Real]:
    # Meta's apply_scaling, in wavelengths as published
    original = card["original_max_position_embeddings"]
    low, high = exactly(card["low_freq_factor"]), exactly(card["high_freq_factor"])
    s = exactly(card["factor"])
    result = []
    for i in pairs(card):
        speed = 1 / period(card, i)
        wavelength = 2 * mp.pi / speed
        if wavelength < original / high:
            result.append(speed)
        elif wavelength > original / low:
            result.append(speed / s)
        else:
            smooth = (original / wavelength - low) / (high - low)
            result.append((1 - smooth) * speed / s + smooth * speed)
    return result


FORMULAS = {
    "default": _default,
    "linear": _linear,
    "ntk_alpha": _ntk_alpha,
    "dynamic": _dynamic,
    "llama3": _llama3,
}
