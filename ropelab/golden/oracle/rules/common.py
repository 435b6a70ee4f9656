"""What the oracle's rules share: the numbers of a card, and powers of the base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..numbers import Real, exactly, mp

__all__ = ["Card", "pairs", "period", "speeds_of_base", "stretched"]

Card = Mapping[str, Any]


def period(card: Card, pair: int, base: Real | None = None) -> Real:
    """Tokens for one radian of a pair: base to the power 2 i / d."""
    b = exactly(card["base"]) if base is None else base
    return mp.exp(mp.log(b) * 2 * pair / card["rotary_dim"])


def pairs(card: Card) -> range:
    """Return the indices of the pairs."""
    return range(card["rotary_dim"] // 2)


def speeds_of_base(card: Card, base: Real | None = None) -> list[Real]:
    """Return RoFormer's progression (eq. 15) of the card's base, or of another."""
    return [1 / period(card, i, base) for i in pairs(card)]


def stretched(card: Card, stretch: Real) -> list[Real]:
    """Return the speeds of the base for which the last pair is slowed by just the stretch."""
    # YaRN, section 3.1
    d = card["rotary_dim"]
    return speeds_of_base(card, exactly(card["base"]) * stretch ** (mp.mpf(d) / (d - 2)))
