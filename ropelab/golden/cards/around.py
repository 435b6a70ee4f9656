"""Cards of the rules around another rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .card import Card, card
from .longrope_lists import PHI_3_5_LONG, PHI_3_5_SHORT

__all__ = ["CARDS", "LENGTHS", "SMALL", "TOLERANCES"]

_DEFAULT = {"rope_type": "default"}
_LLAMA_3_1 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_PHI_3_5 = {
    "rope_type": "longrope",
    "short_factor": list(PHI_3_5_SHORT),
    "long_factor": list(PHI_3_5_LONG),
    "original_max_position_embeddings": 4096,
}

TOLERANCES: Mapping[str, tuple[float, str]] = {
    "resonance": (1.0, "2 pi, rounded, divided by an integer"),
    "rounded": (
        0.0,
        "the nearest number of a narrow format; a frequency errs by 1 ulp of float64 before, and "
        "no card has one so near a tie",
    ),
}


def _resonance(head_dim: int, base: float, inner: Mapping[str, Any], **geometry: Any) -> Card:
    return card(head_dim, base, "resonance", inner=inner, **geometry)


CARDS: Mapping[str, Card] = {
    "resonance-llama-2-7b": _resonance(128, 1e4, _DEFAULT, length=4096),
    "resonance-llama-3.1-8b": _resonance(128, 5e5, _LLAMA_3_1, length=131072),
    "resonance-dynamic-2": _resonance(
        128, 1e4, {"rope_type": "dynamic", "factor": 2.0}, length=4096
    ),
    "resonance-phi-3.5-mini": _resonance(96, 1e4, _PHI_3_5, length=131072),
    "resonance-proportional": _resonance(
        64, 1e6, {"rope_type": "proportional", "partial_rotary_factor": 0.5}
    ),
    # Wavelengths of 2.49998, 3.50019 (one backwards), 1.05, 4e12 and 0.52 tokens, and a pair that
    # stands still.
    "resonance-edges": _resonance(
        12,
        1e4,
        {
            "rope_type": "inv_freq",
            "inv_freq": [2.5133, -1.7951, 6.0, 1.5e-12, 0.0, 12.0],
            "attention_factor": 1.5,
        },
    ),
    # Qwen2-VL and Qwen2.5-VL in ExLlamaV2.
    "rounded-qwen2-vl": card(128, 1e6, "rounded", dtype="float16", inner=_DEFAULT),
    "rounded-llama-3-bfloat16": card(128, 5e5, "rounded", dtype="bfloat16", inner=_DEFAULT),
    "rounded-linear-float32": card(
        96, 1e4, "rounded", dtype="float32", inner={"rope_type": "linear", "factor": 3.0}
    ),
    "rounded-dynamic-2": card(
        128,
        1e4,
        "rounded",
        length=4096,
        dtype="float16",
        inner={"rope_type": "dynamic", "factor": 2.0},
    ),
    "rounded-resonance": card(
        64, 1e4, "rounded", dtype="bfloat16", inner={"rope_type": "resonance", "inner": _DEFAULT}
    ),
}

LENGTHS: Mapping[str, tuple[int | None, ...]] = {
    "resonance-dynamic-2": (None, 4096, 4097, 8192),
    "resonance-phi-3.5-mini": (4096, 4097),
    "rounded-dynamic-2": (4096, 8192),
}

SMALL: Mapping[str, Card] = {
    "resonance": _resonance(16, 1e4, _DEFAULT),
}
