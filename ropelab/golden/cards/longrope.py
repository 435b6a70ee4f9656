"""Cards of LongRoPE: Phi-3.5-mini and Phi-4-mini as published, and what they do not show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .card import Card, card
from .longrope_lists import PHI_3_5_LONG, PHI_3_5_SHORT, PHI_4_LONG

__all__ = ["CARDS", "LENGTHS", "TOLERANCES"]

_ORIGINAL = 4096
_PHI_3_5: Mapping[str, Any] = {
    "short_factor": list(PHI_3_5_SHORT),
    "long_factor": list(PHI_3_5_LONG),
    "original_max_position_embeddings": _ORIGINAL,
}
_PHI_4: Mapping[str, Any] = {
    "short_factor": [1.0] * 48,
    "long_factor": list(PHI_4_LONG),
    "original_max_position_embeddings": _ORIGINAL,
}
# Eight pairs, for what no published list shows.
_EIGHT: Mapping[str, Any] = {
    "short_factor": [1.0, 1.0, 1.0, 1.05, 1.1, 1.5, 2.0, 2.5],
    "long_factor": [1.0, 1.1, 1.6, 4.0, 12.0, 33.0, 60.0, 64.0],
    "original_max_position_embeddings": _ORIGINAL,
}

TOLERANCES: Mapping[str, tuple[float, str]] = {
    "longrope": (1.0, "a correctly rounded power, divided once; amplitudes correctly rounded"),
    "exllamav2_su": (1.0, "as longrope"),
}

CARDS: Mapping[str, Card] = {
    "phi-3.5-mini": card(96, 1e4, "longrope", length=131072, **_PHI_3_5),
    "phi-4-mini": card(128, 1e4, "longrope", rotary_dim=96, length=131072, **_PHI_4),
    # Phi-3.5-MoE's two keys; equal there, unequal here, to tell them apart.
    "longrope-mscale": card(
        16, 1e4, "longrope", length=131072, **_EIGHT, short_mscale=1.25, long_mscale=1.5
    ),
    "longrope-attention-factor": card(
        16, 1e4, "longrope", length=131072, **_EIGHT, factor=8.0, attention_factor=1.0625
    ),
    "longrope-factor": card(16, 1e4, "longrope", length=131072, **_EIGHT, factor=6.5),
    "longrope-yarn": card(16, 1e4, "longrope", length=65536, **_EIGHT, mscale_policy="yarn"),
    # MiniCPM-V 4's lengths: the original one is the larger.
    "longrope-shorter": card(
        16, 1e4, "longrope", length=32768, **{**_EIGHT, "original_max_position_embeddings": 32786}
    ),
    "exllamav2-phi-3.5-4k": card(96, 1e4, "exllamav2_su", length=4096, **_PHI_3_5),
    "exllamav2-phi-3.5-5000": card(96, 1e4, "exllamav2_su", length=5000, **_PHI_3_5),
    "exllamav2-phi-3.5-128k": card(96, 1e4, "exllamav2_su", length=131072, **_PHI_3_5),
}

LENGTHS: Mapping[str, tuple[int | None, ...]] = {
    "phi-3.5-mini": (None, 1, 4095, 4096, 4097, 131072),
    "phi-4-mini": (None, 4096, 4097, 131072),
    "longrope-mscale": (None, 4096, 4097),
    "longrope-attention-factor": (4096, 4097),
    "longrope-factor": (4096, 4097),
    "longrope-yarn": (4096, 4097),
    "longrope-shorter": (32768, 32786, 32787),
}
