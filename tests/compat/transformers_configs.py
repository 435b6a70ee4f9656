"""Configs of Transformers with each of its rules."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from transformers import AutoConfig

D, LIMIT, ORIGINAL = 128, 8192, 4096
LISTS = {
    "short_factor": [1.0 + 0.01 * i for i in range(D // 2)],
    "long_factor": [1.0 + 0.5 * i for i in range(D // 2)],
}
LENGTH = {"original_max_position_embeddings": ORIGINAL}
BANDS = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, **LENGTH}
RULES: dict[str, dict[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 3.0},
    "dynamic": {"rope_type": "dynamic", "factor": 2.0},
    "yarn": {"rope_type": "yarn", "factor": 2.0, **LENGTH},
    "yarn, no factor": {"rope_type": "yarn", "factor": None, **LENGTH},
    "yarn, untruncated": {"rope_type": "yarn", "factor": 32.0, "truncate": False, **LENGTH},
    "yarn, mscale": {
        "rope_type": "yarn",
        "factor": 40.0,
        "mscale": 0.7,
        "mscale_all_dim": 1.0,
        "beta_fast": 16,
        "beta_slow": 2,
        **LENGTH,
    },
    "longrope": {"rope_type": "longrope", **LISTS, **LENGTH},
    "longrope, factors": {"rope_type": "longrope", "factor": 8.0, **LISTS, **LENGTH},
    "llama3": {"rope_type": "llama3", "factor": 8.0, **BANDS},
    "proportional": {"rope_type": "proportional", "partial_rotary_factor": 0.25},
    "proportional, a factor": {
        "rope_type": "proportional",
        "partial_rotary_factor": 0.5,
        "factor": 4.0,
    },
}
PARTIAL = {"partial_rotary_factor": 0.75}


def config_of(parameters: dict[str, Any], **more: Any) -> Any:
    values = {"hidden_size": 4 * D, "num_attention_heads": 4, "max_position_embeddings": LIMIT}
    given = {"rope_theta": 5e5, **deepcopy(parameters)}
    return AutoConfig.for_model("llama", **{**values, "rope_parameters": given, **more})


def per_layer(**more: Any) -> Any:
    layers = ["sliding_attention", "full_attention"]
    both = {
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        "full_attention": {"rope_theta": 1e6, **RULES["yarn"], **more},
    }
    values = {"hidden_size": 4 * D, "num_attention_heads": 4, "head_dim": D}
    return AutoConfig.for_model(
        "gemma3_text",
        **values,
        num_hidden_layers=2,
        layer_types=layers,
        rope_parameters=both,
        max_position_embeddings=LIMIT,
    )
