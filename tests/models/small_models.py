"""Small models of Transformers, one for each architecture, with random weights; no download.

Each has three layers and a rotary embedding as its published models have it: partial widths,
rules, layouts and all. Weights are several times larger than usual, so that attention is sharp
and positions matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch

Model = Any  # of Transformers, whose annotations change from release to release

VOCABULARY = 128
LAYERS, WIDTH, HEADS, HEAD_DIM = 3, 64, 4, 16

_COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 96,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "initializer_range": 0.19,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
}
_GROUPED = {**_COMMON, "num_key_value_heads": 2}
_HEADS = {**_GROUPED, "head_dim": HEAD_DIM}
# Each token asks all experts, so that no rounding changes which ones it asks.
_EXPERTS = {"num_local_experts": 3, "num_experts_per_tok": 3}

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
# The switch from short to long factors comes at token 32, within what the tests generate.
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "short_factor": [1.0, 1.05, 1.1, 1.2, 1.35, 1.5],
    "long_factor": [1.1, 2.0, 3.5, 6.0, 11.0, 20.0],
    "original_max_position_embeddings": 32,
    "partial_rotary_factor": 0.75,
}
DEEPSEEK_YARN = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 40.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "original_max_position_embeddings": 4096,
}
MROPE = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
LATENT = {
    "num_key_value_heads": HEADS,
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 12,
    "v_head_dim": 16,
    "n_routed_experts": 3,
    "num_experts_per_tok": 3,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "moe_intermediate_size": 32,
}
GRANITE = {
    "attention_multiplier": 1.0 / HEAD_DIM,
    "embedding_multiplier": 12.0,
    "residual_multiplier": 0.22,
    "logits_scaling": 16.0,
}
VISION = {"depth": 1, "embed_dim": 32, "hidden_size": WIDTH, "num_heads": 2, "mlp_ratio": 2}

# The name of a class of Transformers, that of its config, and what the config is given.
ARCHITECTURES: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "Llama": (
        "LlamaForCausalLM",
        "LlamaConfig",
        {**_HEADS, "rope_parameters": LLAMA3, "max_position_embeddings": 131_072},
    ),
    "Llama 4": (
        "Llama4ForCausalLM",
        "Llama4TextConfig",
        {**_HEADS, "intermediate_size_mlp": 96, **_EXPERTS, "no_rope_layers": [1, 0, 1]},
    ),
    "Mistral": ("MistralForCausalLM", "MistralConfig", {**_HEADS, "sliding_window": 8}),
    "Mixtral": ("MixtralForCausalLM", "MixtralConfig", {**_HEADS, **_EXPERTS}),
    "Qwen2": ("Qwen2ForCausalLM", "Qwen2Config", _GROUPED),
    "Qwen3": ("Qwen3ForCausalLM", "Qwen3Config", _HEADS),
    "Qwen2-VL": (
        "Qwen2VLForConditionalGeneration",
        "Qwen2VLConfig",
        {"text_config": {**_GROUPED, "rope_parameters": MROPE}, "vision_config": VISION},
    ),
    "Phi-3": (
        "Phi3ForCausalLM",
        "Phi3Config",
        {
            **_GROUPED,
            "rope_parameters": LONGROPE,
            "max_position_embeddings": 4096,
            "original_max_position_embeddings": 32,
        },
    ),
    "Gemma 2": ("Gemma2ForCausalLM", "Gemma2Config", {**_HEADS, "sliding_window": 8}),
    "Gemma 3": (
        "Gemma3ForCausalLM",
        "Gemma3TextConfig",
        {
            **_HEADS,
            "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
    "GPT-NeoX": ("GPTNeoXForCausalLM", "GPTNeoXConfig", _COMMON),
    "GLM-4": ("Glm4ForCausalLM", "Glm4Config", _HEADS),
    "OLMo 2": ("Olmo2ForCausalLM", "Olmo2Config", _GROUPED),
    "Cohere": ("CohereForCausalLM", "CohereConfig", _GROUPED),
    "StableLM": ("StableLmForCausalLM", "StableLmConfig", _GROUPED),
    "DeepSeek-V3": (
        "DeepseekV3ForCausalLM",
        "DeepseekV3Config",
        {**_COMMON, **LATENT, "rope_parameters": DEEPSEEK_YARN},
    ),
    "gpt-oss": ("GptOssForCausalLM", "GptOssConfig", {**_HEADS, **_EXPERTS, "sliding_window": 8}),
    "Granite": ("GraniteForCausalLM", "GraniteConfig", {**_GROUPED, **GRANITE}),
}


def build(architecture: str, dtype: torch.dtype = torch.float32) -> Model:
    """Return a model, in evaluation mode."""
    transformers: Any = import_module("transformers")  # takes seconds; only these tests need it
    logs = transformers.logging
    verbosity = logs.get_verbosity()  # of the process, in which others look for warnings
    logs.set_verbosity_error()
    name, config_name, values = ARCHITECTURES[architecture]
    config = getattr(transformers, config_name)(**values)
    torch.manual_seed(0)
    # As if loaded in that dtype: frequencies stay float32, which .to(dtype) would round.
    model: Model = getattr(transformers, name)._from_config(
        config, dtype=dtype, attn_implementation="eager"
    )
    logs.set_verbosity(verbosity)
    model.generation_config.eos_token_id = None
    return model.eval()


def rotating_part(model: Model) -> torch.nn.Module:
    """Return what `patch` takes of a model: all of it, or the text part of one that sees."""
    part: Any = getattr(getattr(model, "model", None), "language_model", model)
    assert isinstance(part, torch.nn.Module)
    return part


def positions_of(architecture: str, positions: torch.Tensor) -> torch.Tensor:
    """Return the positions that a model is given, for those of its tokens in their sequence."""
    if architecture != "Qwen2-VL":
        return positions
    token = torch.arange(positions.shape[-1])  # as if of images, different on each axis
    return torch.stack([positions, positions + token % 3, positions + token % 5])
