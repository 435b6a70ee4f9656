"""Configs of published models, as their config.json has them, and the Rope of each."""

from typing import Any

from ropelab import Rope
from ropelab.scaling import DynamicNTK, Linear, Llama3, NTKAware

Config = dict[str, Any]

LLAMA_3_RULE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
LLAMA_2: Config = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "rope_scaling": None,
    "vocab_size": 32000,
}
LLAMA_3: Config = {
    **LLAMA_2,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "vocab_size": 128256,
}
WITHOUT_SCALING = {key: value for key, value in LLAMA_3.items() if key != "rope_scaling"}
LLAMA_3_2_1B: Config = {
    **WITHOUT_SCALING,
    "hidden_size": 2048,
    "head_dim": 64,
    "rope_scaling": {**LLAMA_3_RULE, "factor": 32.0},
}
DYNAMIC: Config = {
    **LLAMA_2,
    "rope_theta": 1000000.0,
    "head_dim": 64,
    "max_position_embeddings": 65536,
    "rope_scaling": {"type": "dynamic", "factor": 4.0},
}

# The keys that speak of positions in the config.json published with each model.
MODELS: dict[str, tuple[Config, Rope]] = {
    "Llama-2-7B": (LLAMA_2, Rope(128, max_position_embeddings=4096)),
    "Llama-3.1-8B, rope_scaling": (
        {**WITHOUT_SCALING, "rope_scaling": LLAMA_3_RULE},
        Rope(
            128,
            base=5e5,
            scaling=Llama3(8.0, 1.0, 4.0, 8192),
            max_position_embeddings=131072,
        ),
    ),
    "Llama-3.1-8B, rope_parameters": (
        {
            **{key: value for key, value in WITHOUT_SCALING.items() if key != "rope_theta"},
            "rope_parameters": {**LLAMA_3_RULE, "rope_theta": 500000.0},
        },
        Rope(
            128,
            base=5e5,
            scaling=Llama3(8.0, 1.0, 4.0, 8192),
            max_position_embeddings=131072,
        ),
    ),
    "Llama-3.1-8B, its original length at the top": (
        {
            **WITHOUT_SCALING,
            "rope_scaling": {k: LLAMA_3_RULE[k] for k in list(LLAMA_3_RULE)[:-1]},
            "original_max_position_embeddings": 8192,
        },
        Rope(
            128,
            base=5e5,
            scaling=Llama3(8.0, 1.0, 4.0, 8192),
            max_position_embeddings=131072,
        ),
    ),
    "Llama-3.2-1B": (
        LLAMA_3_2_1B,
        Rope(
            64,
            base=5e5,
            scaling=Llama3(32.0, 1.0, 4.0, 8192),
            max_position_embeddings=131072,
        ),
    ),
    "LLaMA-2-7B-32K": (
        {**LLAMA_2, "rope_scaling": {"type": "linear", "factor": 8.0}},
        Rope(128, scaling=Linear(8.0), max_position_embeddings=4096),
    ),
    "MiniCPM-2B-128k": (
        DYNAMIC,
        Rope(64, base=1e6, scaling=DynamicNTK(4.0), max_position_embeddings=65536),
    ),
    "Qwen2.5-7B": (
        {
            "model_type": "qwen2",
            "hidden_size": 3584,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "max_position_embeddings": 32768,
            "rope_theta": 1000000.0,
        },
        Rope(128, base=1e6, max_position_embeddings=32768),
    ),
    "Phi-2": (
        {
            "model_type": "phi",
            "hidden_size": 2560,
            "num_attention_heads": 32,
            "max_position_embeddings": 2048,
            "partial_rotary_factor": 0.4,
            "rope_theta": 10000.0,
        },
        Rope(80, rotary_dim=32, max_position_embeddings=2048),
    ),
    "Pythia-6.9B": (
        {
            "model_type": "gpt_neox",
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "max_position_embeddings": 2048,
            "rotary_pct": 0.25,
            "rotary_emb_base": 10000,
        },
        Rope(128, rotary_dim=32, max_position_embeddings=2048),
    ),
    "GLM-4-9B-0414": (
        {
            "model_type": "glm4",
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "num_key_value_heads": 2,
            "head_dim": 128,
            "max_position_embeddings": 32768,
            "partial_rotary_factor": 0.5,
            "rope_theta": 10000.0,
        },
        Rope(128, rotary_dim=64, layout="interleaved", max_position_embeddings=32768),
    ),
    "Aya-23-8B": (
        {
            "model_type": "cohere",
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "max_position_embeddings": 8192,
            "rope_theta": 10000.0,
        },
        Rope(128, layout="interleaved", max_position_embeddings=8192),
    ),
    "Hunyuan-7B": (
        {
            "model_type": "hunyuan_v1_dense",
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "head_dim": 128,
            "max_position_embeddings": 131072,
            "rope_theta": 10000.0,
            "rope_scaling": {"type": "dynamic", "alpha": 1000.0, "factor": 1.0},
        },
        Rope(128, scaling=NTKAware(1000.0), max_position_embeddings=131072),
    ),
}

GEMMA_3: Config = {
    "model_type": "gemma3_text",
    "head_dim": 256,
    "hidden_size": 2560,
    "num_attention_heads": 8,
    "num_hidden_layers": 2,
    "max_position_embeddings": 131072,
    "layer_types": ["sliding_attention", "full_attention"],
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
    },
}
