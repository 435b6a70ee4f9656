"""Rules around another rule: whole wavelengths, and rounded frequencies."""

from __future__ import annotations

from collections.abc import Mapping

from .. import rules
from ..numbers import Real, from_bits, mp, rounded
from .common import Card

__all__ = ["AMPLITUDES", "FORMULAS", "INTEGERS", "PERIODS"]


def _inner(card: Card) -> Card:
    """Return the inner rule's card, with the geometry of the outer one."""
    geometry = {key: value for key, value in card.items() if not isinstance(value, Mapping)}
    return {**geometry, **card.get("inner", {"rope_type": "default"})}


def _resonance_periods(card: Card, seq_len: int | None) -> list[int]:
    # arXiv 2403.00071: wavelengths rounded; torch.round takes halves to even, as nint does
    speeds = rules.frequencies(_inner(card), seq_len)
    return [int(mp.nint(2 * mp.pi / abs(speed))) if speed else 0 for speed in speeds]


def _resonance(card: Card, seq_len: int | None) -> list[Real]:
    speeds, periods = rules.frequencies(_inner(card), seq_len), _resonance_periods(card, seq_len)
    return [
        mp.sign(speed) * 2 * mp.pi / n if n else mp.mpf(0)
        for speed, n in zip(speeds, periods, strict=True)
    ]


def _rounded(card: Card, seq_len: int | None) -> list[Real]:
    speeds = rules.frequencies(_inner(card), seq_len)
    return from_bits(rounded(speeds, card["dtype"]), card["dtype"])


def _amplitudes(card: Card, seq_len: int | None) -> list[Real]:
    return rules.amplitudes(_inner(card), seq_len)


def _axes(card: Card) -> dict[str, list[int]]:
    found = rules.integers(_inner(card), None)
    return {"axes": found["axes"]} if "axes" in found else {}


def _rounded_periods(card: Card, seq_len: int | None) -> list[int]:
    # A whole number of tokens brings back 2 pi / n alone, which no narrower format holds.
    return (
        rules.integers(_inner(card), seq_len).get("periods", [])
        if card["dtype"] == "float64"
        else []
    )


FORMULAS = {"resonance": _resonance, "rounded": _rounded}
AMPLITUDES = {"resonance": _amplitudes, "rounded": _amplitudes}
INTEGERS = {"resonance": _axes, "rounded": _axes}
PERIODS = {"resonance": _resonance_periods, "rounded": _rounded_periods}
