"""Configs of rules that stretch unevenly: YaRN's, LongRoPE's, the proportional one's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from .longrope_lists import PHI_3_5_LONG, PHI_3_5_SHORT, PHI_4_LONG

__all__ = ["RULE_CONFIGS"]

_QWEN = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "num_attention_heads": 28,
    "max_position_embeddings": 131072,
}
_YARN = {"factor": 4.0, "original_max_position_embeddings": 32768}
_GPT_OSS = {
    "model_type": "gpt_oss",
    "head_dim": 64,
    "max_position_embeddings": 131072,
    "rope_theta": 150000,
}
_GPT_OSS_YARN = {
    "rope_type": "yarn",
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "original_max_position_embeddings": 4096,
}
_DEEPSEEK = {
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "max_position_embeddings": 163840,
    "rope_theta": 10000,
}
_DEEPSEEK_YARN = {
    "type": "yarn",
    "factor": 40,
    "beta_fast": 32,
    "beta_slow": 1,
    "original_max_position_embeddings": 4096,
}
_PHI = {
    "model_type": "phi3",
    "hidden_size": 3072,
    "max_position_embeddings": 131072,
    "original_max_position_embeddings": 4096,
    "rope_theta": 10000.0,
}
_PHI_3_5 = {"short_factor": list(PHI_3_5_SHORT), "long_factor": list(PHI_3_5_LONG)}

RULE_CONFIGS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "qwen2.5-yarn-old": (
            "qwen2.5-yarn-4",
            {**_QWEN, "rope_theta": 1000000.0, "rope_scaling": {**_YARN, "type": "yarn"}},
        ),
        "qwen2.5-yarn-new": (
            "qwen2.5-yarn-4",
            {**_QWEN, "rope_parameters": {**_YARN, "rope_type": "yarn", "rope_theta": 1e6}},
        ),
        "gpt-oss-20b": (
            "gpt-oss-20b",
            {**_GPT_OSS, "rope_scaling": {**_GPT_OSS_YARN, "truncate": False}},
        ),
        "gpt-oss-20b-truncated": (
            "gpt-oss-20b-truncated",
            {**_GPT_OSS, "rope_scaling": _GPT_OSS_YARN},
        ),
        "deepseek-v3": (
            "deepseek-v3",
            {
                **_DEEPSEEK,
                "model_type": "deepseek_v3",
                "rope_scaling": {**_DEEPSEEK_YARN, "mscale": 1.0, "mscale_all_dim": 1.0},
            },
        ),
        "deepseek-v2-lite": (
            "deepseek-v2-lite",
            {
                **_DEEPSEEK,
                "model_type": "deepseek_v2",
                "rope_scaling": {**_DEEPSEEK_YARN, "mscale": 0.707, "mscale_all_dim": 0.707},
            },
        ),
        "phi-3.5-mini": (
            "phi-3.5-mini",
            {**_PHI, "num_attention_heads": 32, "rope_scaling": {**_PHI_3_5, "type": "longrope"}},
        ),
        "phi-3.5-mini-su": (
            "phi-3.5-mini",
            {**_PHI, "num_attention_heads": 32, "rope_scaling": {**_PHI_3_5, "type": "su"}},
        ),
        "phi-4-mini": (
            "phi-4-mini",
            {
                **_PHI,
                "num_attention_heads": 24,
                "partial_rotary_factor": 0.75,
                "rope_scaling": {
                    "type": "longrope",
                    "short_factor": [1.0] * 48,
                    "long_factor": list(PHI_4_LONG),
                },
            },
        ),
    }
)
