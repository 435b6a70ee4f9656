"""Configs as NeMo Automodel's models have them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

HEAD_DIM = 32
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}


def config(**given: Any) -> SimpleNamespace:
    """Return a Llama's config with some values of its own."""
    values = {
        "head_dim": HEAD_DIM,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "max_position_embeddings": 16384,
        "rope_theta": 1e4,
        "rope_scaling": None,
    }
    return SimpleNamespace(**(values | given))
