"""Configs as published (the keys that speak of positions), each with the card to be read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from .configs_rules import RULE_CONFIGS

__all__ = ["CONFIGS"]

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
        **RULE_CONFIGS,
    }
)
