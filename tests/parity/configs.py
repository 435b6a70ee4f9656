"""A config of every rule of Transformers and of every way to say it, as published where one is."""

from typing import Any

from ropelab.golden.cards.longrope_lists import PHI_3_5_LONG, PHI_3_5_SHORT, PHI_4_LONG

Config = dict[str, Any]

LLAMA: Config = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_hidden_layers": 2,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
}
LLAMA_3_1 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
QWEN: Config = {
    **LLAMA,
    "model_type": "qwen2",
    "hidden_size": 3584,
    "num_attention_heads": 28,
    "rope_theta": 1000000.0,
}
DEEPSEEK: Config = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "num_attention_heads": 128,
    "qk_rope_head_dim": 64,
    "num_hidden_layers": 2,
    "max_position_embeddings": 163840,
    "rope_theta": 10000.0,
}
DEEPSEEK_YARN = {
    "type": "yarn",
    "factor": 40,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "original_max_position_embeddings": 4096,
}
LONG = {"short_factor": list(PHI_3_5_SHORT), "long_factor": list(PHI_3_5_LONG)}
_PHI: Config = {
    "model_type": "phi3",
    "hidden_size": 3072,
    "num_attention_heads": 32,
    "num_hidden_layers": 2,
    "max_position_embeddings": 131072,
    "rope_theta": 10000.0,
    "pad_token_id": 0,
}
PHI_3_5: Config = {**_PHI, "original_max_position_embeddings": 4096}

# Of Phi-3.5-MoE's form; the numbers are any.
PHIMOE: Config = {
    **PHI_3_5,
    "model_type": "phimoe",
    "rope_scaling": {
        **LONG,
        "type": "longrope",
        "short_mscale": 1.25,
        "long_mscale": 1.5,
        "original_max_position_embeddings": 4096,
    },
}

# Name: the config, and the lengths at which its rule is asked.
RULES: dict[str, tuple[Config, tuple[int | None, ...]]] = {
    "default": (LLAMA, (None,)),
    "linear": ({**LLAMA, "rope_scaling": {"type": "linear", "factor": 8.0}}, (None,)),
    "dynamic": (
        {
            **LLAMA,
            "max_position_embeddings": 4096,
            "rope_scaling": {"type": "dynamic", "factor": 2.0},
        },
        (None, 100, 4096, 4097, 6000, 100000),
    ),
    "llama3": ({**LLAMA, "rope_scaling": LLAMA_3_1}, (None,)),
    "llama3, a step": ({**LLAMA, "rope_scaling": {**LLAMA_3_1, "high_freq_factor": 1.0}}, (None,)),
    "yarn": ({**QWEN, "rope_scaling": YARN}, (None, 7, 200000)),
    "yarn, gpt-oss": (
        {
            "model_type": "gpt_oss",
            "hidden_size": 2880,
            "num_attention_heads": 64,
            "head_dim": 64,
            "num_hidden_layers": 2,
            "max_position_embeddings": 131072,
            "rope_theta": 150000,
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 32.0,
                "beta_fast": 32.0,
                "beta_slow": 1.0,
                "truncate": False,
                "original_max_position_embeddings": 4096,
            },
        },
        (None,),
    ),
    "yarn, an attention factor": (
        {**QWEN, "rope_scaling": {**YARN, "attention_factor": 0.7}},
        (None,),
    ),
    "yarn, mscale": (
        {**QWEN, "rope_scaling": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.5}},
        (None,),
    ),
    "yarn, mscale and 0": (
        {**QWEN, "rope_scaling": {**YARN, "mscale": 0.5, "mscale_all_dim": 0.0}},
        (None,),
    ),
    "yarn, empty betas": (
        {**QWEN, "rope_scaling": {**YARN, "beta_fast": None, "beta_slow": 0}},
        (None,),
    ),
    "yarn, DeepSeek-V3": ({**DEEPSEEK, "rope_scaling": DEEPSEEK_YARN}, (None,)),
    "yarn, DeepSeek-V2-Lite": (
        {
            **DEEPSEEK,
            "model_type": "deepseek_v2",
            "rope_scaling": {**DEEPSEEK_YARN, "mscale": 0.707, "mscale_all_dim": 0.707},
        },
        (None,),
    ),
    "yarn, Kimi K2": (
        {
            **DEEPSEEK,
            "rope_theta": 50000.0,
            "rope_scaling": {**DEEPSEEK_YARN, "factor": 64.0, "beta_fast": 1.0, "beta_slow": 1.0},
        },
        (None,),
    ),
    "longrope, Phi-3.5": (
        {**PHI_3_5, "rope_scaling": {**LONG, "type": "longrope"}},
        (None, 4096, 4097, 131072),
    ),
    "longrope, Phi-4-mini": (
        {
            **PHI_3_5,
            "num_attention_heads": 24,
            "partial_rotary_factor": 0.75,
            "rope_scaling": {
                "short_factor": [1.0] * 48,
                "long_factor": list(PHI_4_LONG),
                "type": "longrope",
            },
        },
        (None, 4096, 4097),
    ),
    "longrope, once yarn": ({**PHI_3_5, "rope_scaling": {**LONG, "type": "yarn"}}, (None, 5000)),
    "longrope, an attention factor": (
        {
            **PHI_3_5,
            "model_type": "llama",
            "rope_scaling": {**LONG, "type": "longrope", "attention_factor": 1.5, "factor": 32.0},
        },
        (None,),
    ),
    "longrope, its length in the dictionary alone": (
        {
            **_PHI,
            "model_type": "llama",
            "max_position_embeddings": 8192,
            "rope_scaling": {
                **LONG,
                "type": "longrope",
                "factor": 2.0,
                "original_max_position_embeddings": 4096,
            },
        },
        (None, 4096, 5000),
    ),
    "ntk_alpha": (
        {
            **LLAMA,
            "model_type": "hunyuan_v1_dense",
            "head_dim": 128,
            "rope_theta": 10000.0,
            "rope_scaling": {"type": "dynamic", "alpha": 1000.0, "factor": 1.0},
        },
        (None,),
    ),
    "mrope, chunked": (
        {
            **QWEN,
            "model_type": "qwen2_vl_text",
            "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        },
        (None,),
    ),
}

# Rules and models that 4.57 does not know.
NEW: dict[str, tuple[Config, tuple[int | None, ...]]] = {
    "proportional": (
        {
            **LLAMA,
            "rope_parameters": {
                "rope_type": "proportional",
                "rope_theta": 1e6,
                "partial_rotary_factor": 0.25,
            },
        },
        (None,),
    ),
    "proportional, a factor": (
        {
            **LLAMA,
            "rope_parameters": {
                "rope_type": "proportional",
                "rope_theta": 1e6,
                "partial_rotary_factor": 0.5,
                "factor": 3.0,
            },
        },
        (None,),
    ),
    "mrope, interleaved": (
        {
            **QWEN,
            "model_type": "qwen3_vl_text",
            "head_dim": 128,
            "rope_scaling": {
                "rope_type": "default",
                "mrope_section": [24, 20, 20],
                "mrope_interleaved": True,
            },
        },
        (None,),
    ),
}
