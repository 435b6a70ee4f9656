"""Cards of the rules of the first hour, with where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .card import Card, card

__all__ = ["CARDS", "LENGTHS", "SMALL", "TOLERANCES"]


def _llama3(factor: float, low: float = 1.0, high: float = 4.0, length: int = 8192) -> Any:
    return {
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": length,
    }


# How near float64 must come to each rule's frequencies, in ulp, and why.
TOLERANCES: Mapping[str, tuple[float, str]] = {
    "default": (0.0, "powers are correctly rounded, and nothing follows"),
    "linear": (1.0, "a correctly rounded power, divided once"),
    "ntk_alpha": (2.0, "the new base is within 1.5 ulp, and enters with a power below one"),
    "dynamic": (2.0, "as ntk_alpha; its stretch is a difference of exact products"),
    "llama3": (
        4.0,
        "rotations within 1.5 ulp move the blend by half an ulp of one where it begins, 3.5 "
        "ulp of a frequency divided by 8; elsewhere a division or nothing",
    ),
}

CARDS: Mapping[str, Card] = {
    "llama-2-7b": card(128, 1e4, length=4096),
    "llama-3-8b": card(128, 5e5, length=8192),
    "codellama-7b": card(128, 1e6, length=16384),
    "qwen2-0.5b": card(64, 1e6, length=32768),
    "qwen3-next-80b": card(256, 1e7, rotary_dim=64),
    "gemma-7b": card(256, 1e4, length=8192),
    "gpt-neox-20b": card(96, 1e4, rotary_dim=24, length=2048),
    "gpt-j-6b": card(256, 1e4, rotary_dim=64, layout="interleaved", length=2048),
    "phi-2": card(80, 1e4, rotary_dim=32, length=2048),
    "stablelm-2-1.6b": card(64, 1e4, rotary_dim=16, length=4096),
    "one-pair": card(2, 1e4),
    "llama-2-7b-32k": card(128, 1e4, "linear", length=32768, factor=8.0),
    "gemma-3-4b-full": card(256, 1e6, "linear", length=131072, factor=8.0),
    "linear-2.5": card(64, 1e4, "linear", length=4096, factor=2.5),
    "linear-3-partial": card(80, 1e4, "linear", rotary_dim=20, length=4096, factor=3.0),
    "alpha-4": card(128, 1e4, "ntk_alpha", alpha=4.0),
    "alpha-2.6-partial": card(128, 1e4, "ntk_alpha", rotary_dim=64, alpha=2.6),
    "hunyuan": card(128, 1e4, "ntk_alpha", length=32768, alpha=1000.0),
    "dynamic-2": card(128, 1e4, "dynamic", length=4096, factor=2.0),
    "dynamic-4-partial": card(96, 5e5, "dynamic", rotary_dim=64, length=2048, factor=4.0),
    "llama-3.1-8b": card(128, 5e5, "llama3", length=131072, **_llama3(8.0)),
    "llama-3.2-1b": card(64, 5e5, "llama3", length=131072, **_llama3(32.0)),
    "llama-4-scout": card(
        128, 5e5, "llama3", layout="interleaved", length=10485760, **_llama3(16.0, 1.0, 1.0)
    ),
}

# Lengths at which a length-dependent rule is asked: around its limit, and far past it.
LENGTHS: Mapping[str, tuple[int | None, ...]] = {
    "dynamic-2": (None, 1, 4095, 4096, 4097, 6000, 8192, 131072),
    "dynamic-4-partial": (None, 2047, 2048, 2049, 16384, 1048576),
}

# The same rules in small heads, for rotations.
SMALL: Mapping[str, Card] = {
    "default": card(16, 1e4),
    "linear": card(12, 1e4, "linear", length=4096, factor=8.0),
    "ntk_alpha": card(20, 1e4, "ntk_alpha", alpha=4.0),
    "dynamic": card(16, 1e4, "dynamic", length=4096, factor=2.0),
    "llama3": card(16, 5e5, "llama3", length=131072, **_llama3(8.0)),
    "partial": card(24, 1e4, rotary_dim=12),
}
