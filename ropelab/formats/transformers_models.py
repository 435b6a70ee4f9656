"""What Transformers' model code fixes beside the config, by model_type (read in 5.23.0)."""

from __future__ import annotations

from types import MappingProxyType

__all__ = ["DEFAULT_THETA", "IGNORES_PARTIAL", "INTERLEAVED", "LEGACY_NAMES", "WITHOUT_ROPE"]

DEFAULT_THETA = 10_000.0

# Top-level keys of older models, and what they are called now.
LEGACY_NAMES = MappingProxyType(
    {
        "rotary_emb_base": "rope_theta",
        "rotary_pct": "partial_rotary_factor",
        "n_embd": "hidden_size",
        "n_head": "num_attention_heads",
        "n_positions": "max_position_embeddings",
    }
)

# Models whose code pairs channels (2i, 2i + 1); all others pair (i, i + d/2).
INTERLEAVED = frozenset(
    {
        "codegen",
        "cohere",
        "cohere2",
        "deepseek_v2",
        "ernie4_5",
        "ernie4_5_moe",
        "glm",
        "glm4",
        "gptj",
        "helium",
        "llama4",
        "llama4_text",
    }
)

# Models whose unscaled frequencies use the whole head whatever partial_rotary_factor says.
IGNORES_PARTIAL = frozenset(
    {"gemma", "gemma2", "gemma3", "gemma3_text", "llama", "mistral", "mixtral", "qwen2", "qwen3"}
)

# Models with learned, ALiBi or relative positions.
WITHOUT_ROPE = frozenset(
    {"bart", "bert", "bloom", "distilbert", "gpt2", "gpt_bigcode", "mpt", "opt", "roberta", "t5"}
)
