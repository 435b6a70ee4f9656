"""Cards of the rules that let some pairs stand still, and of frequencies that are given."""

from __future__ import annotations

from collections.abc import Mapping

from .card import Card, card

__all__ = ["CARDS", "SMALL", "TOLERANCES"]

TOLERANCES: Mapping[str, tuple[float, str]] = {
    "proportional": (1.0, "a correctly rounded power, divided once; the others are zeros"),
    "hope": (0.0, "correctly rounded powers and zeros"),
    "inv_freq": (0.0, "the numbers given"),
}

CARDS: Mapping[str, Card] = {
    "gemma-4-31b-full": card(512, 1e6, "proportional", length=262144, partial_rotary_factor=0.25),
    "lfm3-full": card(128, 1e6, "proportional", length=128000, partial_rotary_factor=0.5),
    "proportional-all": card(96, 1e4, "proportional", factor=8.0),
    "proportional-none": card(16, 1e4, "proportional", partial_rotary_factor=0.0),
    # In exact arithmetic 0.3 * 80 is below 24; and 13 channels make six pairs.
    "proportional-0.3": card(80, 1e4, "proportional", partial_rotary_factor=0.3, factor=3.0),
    "proportional-odd": card(26, 1e4, "proportional", partial_rotary_factor=0.5),
    "hope-llama-2-7b": card(128, 1e4, "hope", original_max_position_embeddings=4096),
    "hope-llama-3-8b": card(128, 5e5, "hope", original_max_position_embeddings=8192),
    "hope-gemma-7b": card(256, 1e4, "hope", original_max_position_embeddings=8192),
    "hope-partial": card(96, 1e4, "hope", rotary_dim=24, original_max_position_embeddings=2048),
    # Pixels, after lucidrains' rotary-embedding-torch: pi times 1 to 5 in even steps.
    "pixels": card(
        16, 1e4, "inv_freq", inv_freq=[3.141592653589793 * (1 + i / 2) for i in range(8)]
    ),
    "inv-freq-any": card(
        24, 7.0, "inv_freq", rotary_dim=6, inv_freq=[-0.5, 0.0, 1e-9], attention_factor=1.25
    ),
}

SMALL: Mapping[str, Card] = {
    "proportional": card(16, 1e6, "proportional", partial_rotary_factor=0.25),
}
