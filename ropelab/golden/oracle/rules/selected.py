"""Rules that let some pairs stand still, and frequencies that follow no rule."""

from __future__ import annotations

from ..numbers import Real, exactly, from_bits, mp, rounded
from .common import Card, pairs, period

__all__ = ["AMPLITUDES", "FORMULAS"]


def _proportional(card: Card, _: int | None) -> list[Real]:
    # Transformers: the product of share and width is a float64 before it is cut to whole pairs
    width = card["head_dim"]
    share = exactly(card.get("partial_rotary_factor", 1.0))
    product = from_bits(rounded([share * width], "float64"), "float64")[0]
    turning = int(mp.floor(product / 2))
    stretch = exactly(card.get("factor", 1.0))
    whole = {**card, "rotary_dim": width}
    return [1 / (stretch * period(whole, i)) if i < turning else mp.mpf(0) for i in pairs(whole)]


def _hope(card: Card, _: int | None) -> list[Real]:
    # kept: wavelengths that fit into the trained context
    length = card["original_max_position_embeddings"]
    periods = [period(card, i) for i in pairs(card)]
    return [1 / p if 2 * mp.pi * p <= length else mp.mpf(0) for p in periods]


def _inv_freq(card: Card, _: int | None) -> list[Real]:
    return [exactly(speed) for speed in card["inv_freq"]]


def _inv_freq_amplitudes(card: Card, _: int | None) -> tuple[Real, Real]:
    return exactly(card.get("attention_factor", 1.0)), mp.mpf(1)


FORMULAS = {"proportional": _proportional, "hope": _hope, "inv_freq": _inv_freq}
AMPLITUDES = {"inv_freq": _inv_freq_amplitudes}
