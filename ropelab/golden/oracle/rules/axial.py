"""Several position axes: each with a progression of its own, or one dealt out among them."""

from __future__ import annotations

from ..numbers import Real, exactly, mp
from .common import Card, pairs

__all__ = ["FORMULAS", "INTEGERS"]


def _place(card: Card, pair: int) -> tuple[str, int, int]:
    """Return the axis of a pair, its rank among the pairs of that axis, and their number."""
    order = card.get("order", "hw")
    n = len(order)
    if card.get("arrangement", "blocks") == "woven":
        return order[pair % n], pair // n, card["rotary_dim"] // (2 * n)
    widths = card.get("widths") or [card["rotary_dim"] // n] * n
    for axis, width in zip(order, widths, strict=True):
        if pair < width // 2:
            return axis, pair, width // 2
        pair -= width // 2
    raise AssertionError(pair)


def _axial(card: Card, _: int | None) -> list[Real]:
    order, scale = card.get("order", "hw"), card.get("scale", 1.0)
    speeds = []
    for pair in pairs(card):
        axis, rank, count = _place(card, pair)
        share = mp.mpf(rank) / count
        if card.get("arrangement") == "dealt":
            share = mp.mpf(2 * (rank * len(order) + order.index(axis))) / card["rotary_dim"]
        own = scale[order.index(axis)] if isinstance(scale, (list, tuple)) else scale
        speeds.append(exactly(own) * exactly(card["base"]) ** -share)
    return speeds


def _axes(card: Card) -> dict[str, list[int]]:
    order = card.get("order", "hw")
    rank = {letter: i for i, letter in enumerate(sorted(order, key="thwl".index))}
    return {"axes": [rank[_place(card, pair)[0]] for pair in pairs(card)]}


FORMULAS = {"axial": _axial}
INTEGERS = {"axial": _axes}
