"""Every frequency rule once more, from its paper, in arbitrary precision.

A rope is described by plain numbers here, the way a model card would put them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from .numbers import Real, exactly, mp

__all__ = ["FORMULAS", "frequencies"]

Card = Mapping[str, Any]


def frequencies(card: Card, seq_len: int | None) -> list[Real]:
    """Return the angular speeds, radians per token, that a rope's card asks for.

    Parameters
    ----------
    card : mapping
        ``rotary_dim``, ``base``, ``rope_type``, the rule's parameters, and
        ``max_position_embeddings`` where the rule reads it.
    seq_len : int or None
        Current length.

    Returns
    -------
    list of mpf, length d/2
        Unrounded.
    """
    return FORMULAS[card["rope_type"]](card, seq_len)


def _period(card: Card, pair: int, base: Real | None = None) -> Real:
    """Tokens for one radian of a pair: base to the power 2 i / d."""
    b = exactly(card["base"]) if base is None else base
    return mp.exp(mp.log(b) * 2 * pair / card["rotary_dim"])


def _pairs(card: Card) -> range:
    return range(card["rotary_dim"] // 2)


def _default(card: Card, _: int | None) -> list[Real]:
    # RoFormer, eq. 15
    return [1 / _period(card, i) for i in _pairs(card)]


def _linear(card: Card, _: int | None) -> list[Real]:
    # Position Interpolation, eq. 4: position m / s instead of m
    return [1 / (_period(card, i) * exactly(card["factor"])) for i in _pairs(card)]


def _stretched(card: Card, stretch: Real) -> list[Real]:
    # YaRN, section 3.1: the base for which the last pair is slowed by just the stretch
    d = card["rotary_dim"]
    base = exactly(card["base"]) * stretch ** (mp.mpf(d) / (d - 2))
    return [1 / _period(card, i, base) for i in _pairs(card)]


def _ntk_alpha(card: Card, _: int | None) -> list[Real]:
    return _stretched(card, exactly(card["alpha"]))


def _dynamic(card: Card, seq_len: int | None) -> list[Real]:
    # Transformers, "dynamic"; YaRN, section 3.3
    limit = card["max_position_embeddings"]
    if seq_len is None or seq_len <= limit:
        return _stretched(card, mp.mpf(1))
    s = exactly(card["factor"])
    return _stretched(card, s * seq_len / limit - (s - 1))


def _llama3(card: Card, _: int | None) -> list[Real]:
    # Meta's apply_scaling, in wavelengths as published
    original = card["original_max_position_embeddings"]
    low, high = exactly(card["low_freq_factor"]), exactly(card["high_freq_factor"])
    s = exactly(card["factor"])
    result = []
    for i in _pairs(card):
        speed = 1 / _period(card, i)
        wavelength = 2 * mp.pi / speed
        if wavelength < original / high:
            result.append(speed)
        elif wavelength > original / low:
            result.append(speed / s)
        else:
            smooth = (original / wavelength - low) / (high - low)
            result.append((1 - smooth) * speed / s + smooth * speed)
    return result


FORMULAS: Mapping[str, Callable[[Card, int | None], list[Real]]] = MappingProxyType(
    {
        "default": _default,
        "linear": _linear,
        "ntk_alpha": _ntk_alpha,
        "dynamic": _dynamic,
        "llama3": _llama3,
    }
)
