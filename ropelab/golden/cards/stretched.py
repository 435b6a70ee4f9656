"""Cards of rules that are stretched once more, as ExLlamaV2 and Megatron can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .card import Card, card

__all__ = ["CARDS", "LENGTHS", "SMALL", "TOLERANCES"]

_LLAMA_3_1 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_ALPHA = {"rope_type": "ntk_alpha", "alpha": 4.0}

TOLERANCES: Mapping[str, tuple[float, str]] = {
    "stretched": (5.0, "the inner rule's, at most the 4 ulp of llama3, and one division")
}


def _stretched(head_dim: int, base: float, inner: Mapping[str, Any], **geometry: Any) -> Card:
    return card(head_dim, base, "stretched", inner=inner, **geometry)


CARDS: Mapping[str, Card] = {
    "stretched-alpha-4": _stretched(128, 1e4, _ALPHA, factor=2.5, length=4096),
    "stretched-llama-3.1-8b": _stretched(128, 5e5, _LLAMA_3_1, factor=3.0, length=131072),
    "stretched-dynamic-2": _stretched(
        128, 1e4, {"rope_type": "dynamic", "factor": 2.0}, factor=2.0, length=4096
    ),
    "stretched-yarn": _stretched(
        128,
        1e6,
        {"rope_type": "exllamav2_yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
        factor=2.0,
        length=131072,
    ),
}

LENGTHS: Mapping[str, tuple[int | None, ...]] = {"stretched-dynamic-2": (None, 4097, 6000)}

SMALL: Mapping[str, Card] = {"stretched": _stretched(16, 1e4, _ALPHA, factor=2.5)}
