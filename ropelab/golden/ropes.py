"""The ropes that the goldens look at, as model cards: plain numbers, with where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["CARDS", "CONFIGS", "LENGTHS", "SMALL"]

Card = Mapping[str, Any]


def _card(
    head_dim: int,
    base: float,
    rope_type: str = "default",
    *,
    rotary_dim: int | None = None,
    layout: str = "half",
    length: int | None = None,
    **parameters: float,
) -> Card:
    return MappingProxyType(
        {
            "head_dim": head_dim,
            "rotary_dim": head_dim if rotary_dim is None else rotary_dim,
            "base": base,
            "layout": layout,
            "max_position_embeddings": length,
            "rope_type": rope_type,
            **parameters,
        }
    )


def _llama3(factor: float, low: float = 1.0, high: float = 4.0, length: int = 8192) -> Any:
    return {
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": length,
    }


CARDS: Mapping[str, Card] = MappingProxyType(
    {
        "llama-2-7b": _card(128, 1e4, length=4096),
        "llama-3-8b": _card(128, 5e5, length=8192),
        "codellama-7b": _card(128, 1e6, length=16384),
        "qwen2-0.5b": _card(64, 1e6, length=32768),
        "qwen3-next-80b": _card(256, 1e7, rotary_dim=64),
        "gemma-7b": _card(256, 1e4, length=8192),
        "gpt-neox-20b": _card(96, 1e4, rotary_dim=24, length=2048),
        "gpt-j-6b": _card(256, 1e4, rotary_dim=64, layout="interleaved", length=2048),
        "phi-2": _card(80, 1e4, rotary_dim=32, length=2048),
        "stablelm-2-1.6b": _card(64, 1e4, rotary_dim=16, length=4096),
        "one-pair": _card(2, 1e4),
        "llama-2-7b-32k": _card(128, 1e4, "linear", length=32768, factor=8.0),
        "gemma-3-4b-full": _card(256, 1e6, "linear", length=131072, factor=8.0),
        "linear-2.5": _card(64, 1e4, "linear", length=4096, factor=2.5),
        "linear-3-partial": _card(80, 1e4, "linear", rotary_dim=20, length=4096, factor=3.0),
        "alpha-4": _card(128, 1e4, "ntk_alpha", alpha=4.0),
        "alpha-2.6-partial": _card(128, 1e4, "ntk_alpha", rotary_dim=64, alpha=2.6),
        "hunyuan": _card(128, 1e4, "ntk_alpha", length=32768, alpha=1000.0),
        "dynamic-2": _card(128, 1e4, "dynamic", length=4096, factor=2.0),
        "dynamic-4-partial": _card(96, 5e5, "dynamic", rotary_dim=64, length=2048, factor=4.0),
        "llama-3.1-8b": _card(128, 5e5, "llama3", length=131072, **_llama3(8.0)),
        "llama-3.2-1b": _card(64, 5e5, "llama3", length=131072, **_llama3(32.0)),
        "llama-4-scout": _card(
            128, 5e5, "llama3", layout="interleaved", length=10485760, **_llama3(16.0, 1.0, 1.0)
        ),
    }
)

# Lengths at which a length-dependent rule is asked: around its limit, and far past it.
LENGTHS: Mapping[str, tuple[int | None, ...]] = MappingProxyType(
    {
        "dynamic-2": (None, 1, 4095, 4096, 4097, 6000, 8192, 131072),
        "dynamic-4-partial": (None, 2047, 2048, 2049, 16384, 1048576),
    }
)

# The same rules in small heads, for rotations.
SMALL: Mapping[str, Card] = MappingProxyType(
    {
        "default": _card(16, 1e4),
        "linear": _card(12, 1e4, "linear", length=4096, factor=8.0),
        "ntk_alpha": _card(20, 1e4, "ntk_alpha", alpha=4.0),
        "dynamic": _card(16, 1e4, "dynamic", length=4096, factor=2.0),
        "llama3": _card(16, 5e5, "llama3", length=131072, **_llama3(8.0)),
        "partial": _card(24, 1e4, rotary_dim=12),
    }
)

_LLAMA = {"model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32}
_LLAMA31 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
_LLAMA31_ALL = {**_LLAMA31, "original_max_position_embeddings": 8192}

# Configs as published (the keys that speak of positions), each with the card it must be read as.
CONFIGS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "llama-2-7b": (
            "llama-2-7b",
            {**_LLAMA, "max_position_embeddings": 4096, "rope_scaling": None},
        ),
        "llama-3.1-8b-old": (
            "llama-3.1-8b",
            {
                **_LLAMA,
                "max_position_embeddings": 131072,
                "rope_theta": 500000.0,
                "rope_scaling": {**_LLAMA31_ALL, "rope_type": "llama3"},
            },
        ),
        "llama-3.1-8b-type": (
            "llama-3.1-8b",
            {
                **_LLAMA,
                "max_position_embeddings": 131072,
                "rope_theta": 500000.0,
                "rope_scaling": {**_LLAMA31_ALL, "type": "llama3"},
            },
        ),
        "llama-3.1-8b-new": (
            "llama-3.1-8b",
            {
                **_LLAMA,
                "max_position_embeddings": 131072,
                "rope_parameters": {
                    **_LLAMA31_ALL,
                    "rope_type": "llama3",
                    "rope_theta": 500000.0,
                },
            },
        ),
        "llama-3.1-8b-top": (
            "llama-3.1-8b",
            {
                **_LLAMA,
                "max_position_embeddings": 131072,
                "original_max_position_embeddings": 8192,
                "rope_parameters": {**_LLAMA31, "rope_type": "llama3", "rope_theta": 500000.0},
            },
        ),
        "llama-3.2-1b": (
            "llama-3.2-1b",
            {
                "model_type": "llama",
                "head_dim": 64,
                "hidden_size": 2048,
                "num_attention_heads": 32,
                "max_position_embeddings": 131072,
                "rope_theta": 500000.0,
                "rope_scaling": {**_LLAMA31_ALL, "factor": 32.0, "rope_type": "llama3"},
            },
        ),
        "llama-4-scout": (
            "llama-4-scout",
            {
                "model_type": "llama4_text",
                "head_dim": 128,
                "hidden_size": 5120,
                "num_attention_heads": 40,
                "max_position_embeddings": 10485760,
                "rope_theta": 500000.0,
                "rope_scaling": {
                    **_LLAMA31_ALL,
                    "factor": 16.0,
                    "high_freq_factor": 1.0,
                    "rope_type": "llama3",
                },
            },
        ),
        "llama-2-7b-32k": (
            "llama-2-7b-32k",
            {
                **_LLAMA,
                "max_position_embeddings": 32768,
                "rope_scaling": {"type": "linear", "factor": 8.0},
            },
        ),
        "dynamic-2": (
            "dynamic-2",
            {
                **_LLAMA,
                "max_position_embeddings": 4096,
                "rope_scaling": {"rope_type": "dynamic", "factor": 2.0},
            },
        ),
        "hunyuan": (
            "hunyuan",
            {
                "model_type": "hunyuan_v1_dense",
                "head_dim": 128,
                "hidden_size": 4096,
                "num_attention_heads": 32,
                "max_position_embeddings": 32768,
                "rope_theta": 10000.0,
                "rope_scaling": {"type": "dynamic", "alpha": 1000.0, "factor": 1.0},
            },
        ),
        "gpt-neox-20b": (
            "gpt-neox-20b",
            {
                "model_type": "gpt_neox",
                "hidden_size": 6144,
                "num_attention_heads": 64,
                "max_position_embeddings": 2048,
                "rotary_emb_base": 10000,
                "rotary_pct": 0.25,
            },
        ),
        "gpt-j-6b": (
            "gpt-j-6b",
            {
                "model_type": "gptj",
                "n_embd": 4096,
                "n_head": 16,
                "n_positions": 2048,
                "rotary_dim": 64,
            },
        ),
    }
)
