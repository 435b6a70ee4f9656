"""Configs whose layers differ, each with the card of every kind of layers, and their order."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from .card import Card, card

__all__ = ["LAYERS", "Layers"]


class Layers(NamedTuple):
    """A config, the card of each kind of its layers (None: without RoPE), and their sequence."""

    config: Mapping[str, Any]
    cards: Mapping[str, Card | None]
    types: tuple[str, ...]


_S, _F = "sliding_attention", "full_attention"
_HEADS = {"hidden_size": 2048, "num_attention_heads": 16}
_LLAMA4: Mapping[str, Any] = {"factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 1.0}
_LLAMA4_ALL: Mapping[str, Any] = {**_LLAMA4, "original_max_position_embeddings": 8192}
_YARN: Mapping[str, Any] = {"factor": 8.0, "original_max_position_embeddings": 8192}

_GEMMA3_CARDS = {
    _S: card(256, 1e4, "default", length=131072),
    _F: card(256, 1e6, "linear", length=131072, factor=8.0),
}
_GEMMA3 = {
    "model_type": "gemma3_text",
    "head_dim": 256,
    "num_hidden_layers": 13,
    "max_position_embeddings": 131072,
}

LAYERS: Mapping[str, Layers] = MappingProxyType(
    {
        # Gemma 3's two spellings; the bases and the factor of 4B and above.
        "gemma-3-old": Layers(
            {
                **_GEMMA3,
                "rope_theta": 1e6,
                "rope_local_base_freq": 10000.0,
                "rope_scaling": {"rope_type": "linear", "factor": 8.0},
            },
            _GEMMA3_CARDS,
            ((_S,) * 5 + (_F,)) * 2 + (_S,),
        ),
        "gemma-3-new": Layers(
            {
                **_GEMMA3,
                "num_hidden_layers": 4,
                "layer_types": [_S, _F, _S, _S],
                "rope_parameters": {
                    _S: {"rope_type": "default", "rope_theta": 10000.0},
                    _F: {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                },
            },
            _GEMMA3_CARDS,
            (_S, _F, _S, _S),
        ),
        # As Transformers' Gemma4TextConfig fills it in.
        "gemma-4": Layers(
            {
                "model_type": "gemma4_text",
                "head_dim": 256,
                "global_head_dim": 512,
                "num_hidden_layers": 7,
                "rope_parameters": {
                    _S: {"rope_type": "default", "rope_theta": 10000.0},
                    _F: {
                        "rope_type": "proportional",
                        "partial_rotary_factor": 0.25,
                        "rope_theta": 1e6,
                    },
                },
            },
            {
                _S: card(256, 1e4, "default"),
                _F: card(512, 1e6, "proportional", partial_rotary_factor=0.25),
            },
            (_S,) * 5 + (_F, _F),
        ),
        "modernbert": Layers(
            {
                **_HEADS,
                "model_type": "modernbert",
                "num_hidden_layers": 5,
                "global_rope_theta": 160000.0,
                "local_rope_theta": 10000.0,
                "global_attn_every_n_layers": 3,
            },
            {_S: card(128, 1e4, "default"), _F: card(128, 1.6e5, "default")},
            (_F, _S, _S, _F, _S),
        ),
        "olmo-3": Layers(
            {
                **_HEADS,
                "model_type": "olmo3",
                "num_hidden_layers": 8,
                "max_position_embeddings": 65536,
                "rope_theta": 500000.0,
                "rope_scaling": {"rope_type": "yarn", **_YARN},
            },
            {
                _S: card(128, 5e5, "default", length=65536),
                _F: card(128, 5e5, "yarn", length=65536, **_YARN),
            },
            ((_S,) * 3 + (_F,)) * 2,
        ),
        "llama-4-scout": Layers(
            {
                "model_type": "llama4_text",
                "head_dim": 128,
                "num_hidden_layers": 6,
                "max_position_embeddings": 10485760,
                "no_rope_layers": [1, 1, 1, 0, 1, 1],
                "rope_theta": 500000.0,
                "rope_scaling": {"rope_type": "llama3", **_LLAMA4_ALL},
            },
            {
                "rope": card(
                    128, 5e5, "llama3", layout="interleaved", length=10485760, **_LLAMA4_ALL
                ),
                "nope": None,
            },
            ("rope",) * 3 + ("nope",) + ("rope",) * 2,
        ),
        "smollm3": Layers(
            {**_HEADS, "model_type": "smollm3", "num_hidden_layers": 5, "rope_theta": 5e6},
            {"rope": card(128, 5e6, "default"), "nope": None},
            ("rope",) * 3 + ("nope", "rope"),
        ),
        "cohere2": Layers(
            {
                **_HEADS,
                "model_type": "cohere2",
                "num_hidden_layers": 6,
                "rope_theta": 50000.0,
                "sliding_window_pattern": 4,
            },
            {_S: card(128, 5e4, "default", layout="interleaved"), _F: None},
            (_S,) * 3 + (_F,) + (_S,) * 2,
        ),
        "qwen3-next": Layers(
            {
                "model_type": "qwen3_next",
                "head_dim": 256,
                "num_hidden_layers": 5,
                "partial_rotary_factor": 0.25,
                "rope_theta": 1e7,
            },
            {_F: card(256, 1e7, "default", rotary_dim=64), "linear_attention": None},
            ("linear_attention",) * 3 + (_F, "linear_attention"),
        ),
        "deepseek-v4": Layers(
            {
                "model_type": "deepseek_v4",
                "head_dim": 512,
                "qk_rope_head_dim": 64,
                "max_position_embeddings": 1048576,
                "layer_types": [_S, "compressed_sparse_attention", _S],
                "rope_theta": 10000.0,
                "compress_rope_theta": 160000.0,
                "rope_scaling": {
                    "type": "yarn",
                    "factor": 16,
                    "original_max_position_embeddings": 65536,
                },
            },
            {
                "main": {
                    **card(512, 1e4, "default", rotary_dim=64, layout="interleaved"),
                    "rotary_offset": 448,
                },
                "compress": {
                    **card(512, 1.6e5, "yarn", rotary_dim=64, layout="interleaved"),
                    "rotary_offset": 448,
                    "factor": 16.0,
                    "original_max_position_embeddings": 65536,
                    "attention_factor": 1.0,
                },
            },
            ("main", "compress", "main"),
        ),
    }
)
