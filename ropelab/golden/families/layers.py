"""Models whose layers differ: by base, by rule, by width, or by having no RoPE at all."""

from __future__ import annotations

from collections.abc import Iterator

from ..cards.configs_layers import LAYERS
from ..case import Case
from ..tolerances import frequencies

__all__ = ["cases"]


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By model.
    """
    for name, (config, cards, types) in LAYERS.items():
        told = {kind: None if card is None else dict(card) for kind, card in cards.items()}
        options = {"config": config, "layers": told, "types": list(types)}
        rules = {card["rope_type"] for card in cards.values() if card is not None}
        bound = max((frequencies(rule) for rule in rules), key=lambda tolerance: tolerance.bound)
        flags = ("ConfigKeys", "FrequencyRule", "PartialWidth")
        yield Case(f"layers/{name}", "layers_from_transformers", {}, options, bound, flags)
