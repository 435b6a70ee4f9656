"""A rule whose positions are divided once more, whatever it is."""

from __future__ import annotations

from collections.abc import Mapping

from .. import rules
from ..numbers import Real, exactly
from .common import Card

__all__ = ["AMPLITUDES", "FORMULAS"]


def _inner(card: Card) -> Card:
    geometry = {key: value for key, value in card.items() if not isinstance(value, Mapping)}
    return {**geometry, **card["inner"]}


def _stretched(card: Card, seq_len: int | None) -> list[Real]:
    # ExLlamaV2, prepare_sincos: t /= scale; so a radian takes that many times the tokens
    s = exactly(card["factor"])
    return [speed and 1 / (s / speed) for speed in rules.frequencies(_inner(card), seq_len)]


def _amplitudes(card: Card, seq_len: int | None) -> list[Real]:
    return rules.amplitudes(_inner(card), seq_len)


FORMULAS = {"stretched": _stretched}
AMPLITUDES = {"stretched": _amplitudes}
