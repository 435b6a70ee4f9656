"""Configs of other dialects that must be refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..case import Case
from .refusal import refused

__all__ = ["cases"]

_HEAD = {"head_dim": 64, "max_position_embeddings": 4096}
_GPT = {"general.architecture": "llama", "llama.embedding_length": 4096}
_WHOLE = {**_GPT, "llama.attention.head_count": 32, "llama.context_length": 4096}
_ROPE = {"position_embedding_type": "rope", "kv_channels": 64}


def _scaled(**scaling: Any) -> Mapping[str, Any]:
    return {**_HEAD, "rope_scaling": scaling}


# dialect, name, error, config
_BAD: tuple[tuple[str, str, str, Mapping[str, Any]], ...] = (
    ("nemo_automodel", "unknown-type", "ValueError", _scaled(rope_type="ntk", factor=2.0)),
    ("nemo_automodel", "no-factor", "ValueError", _scaled(rope_type="linear")),
    ("nemo_automodel", "factor-is-text", "TypeError", _scaled(rope_type="linear", factor="2")),
    ("nemo_automodel", "scaling-is-text", "TypeError", {**_HEAD, "rope_scaling": "linear"}),
    ("transformer_engine", "odd-dim", "ValueError", {"dim": 63}),
    ("transformer_engine", "no-share", "ValueError", {"dim": 64, "rotary_percent": 0.0}),
    (
        "transformer_engine",
        "negative-factor",
        "ValueError",
        {"dim": 64, "seq_len_interpolation_factor": -2.0},
    ),
    ("transformer_engine", "flag-is-a-number", "TypeError", {"dim": 64, "interleaved": 1}),
    (
        "exllamav2",
        "two-type-keys",
        "ValueError",
        _scaled(type="linear", rope_type="linear", factor=2),
    ),
    ("exllamav2", "llama3-lacks-keys", "ValueError", _scaled(type="llama3", factor=8.0)),
    (
        "exllamav2",
        "su-without-top-level-length",
        "ValueError",
        _scaled(
            type="su",
            short_factor=[1.0] * 32,
            long_factor=[1.0] * 32,
            original_max_position_embeddings=2048,
        ),
    ),
    ("exllamav2", "two-architectures", "ValueError", {**_HEAD, "architectures": ["A", "B"]}),
    ("vllm", "types-conflict", "ValueError", _scaled(type="linear", rope_type="yarn", factor=2.0)),
    ("vllm", "unknown-type", "ValueError", _scaled(rope_type="yarrn", factor=2.0)),
    ("vllm", "share-above-one", "ValueError", {**_HEAD, "partial_rotary_factor": 1.5}),
    ("vllm", "dynamic-without-alpha-or-factor", "ValueError", _scaled(rope_type="dynamic")),
    ("vllm", "factor-is-a-list", "TypeError", _scaled(rope_type="linear", factor=[2.0])),
    (
        "vllm",
        "sections-of-other-sum",
        "ValueError",
        _scaled(rope_type="default", mrope_section=[8, 12, 13]),
    ),
    ("gguf", "unknown-architecture", "ValueError", {"general.architecture": "lama"}),
    ("gguf", "no-head-count", "ValueError", _GPT),
    ("gguf", "unknown-type", "ValueError", {**_WHOLE, "llama.rope.scaling.type": "dynamic"}),
    ("gguf", "part-of-a-llama", "ValueError", {**_WHOLE, "llama.rope.dimension_count": 64}),
    ("megatron", "unknown-embedding", "ValueError", {**_ROPE, "position_embedding_type": "alibi"}),
    ("megatron", "no-width", "ValueError", {"position_embedding_type": "rope"}),
    (
        "megatron",
        "interleaved-yarn",
        "ValueError",
        {**_ROPE, "position_embedding_type": "yarn", "rotary_interleaved": True},
    ),
    (
        "megatron",
        "latent-without-factor",
        "ValueError",
        {**_ROPE, "multi_latent_attention": True},
    ),
)


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        One a refusal, by dialect.
    """
    for dialect, name, error, config in _BAD:
        options = {"dialect": dialect, "config": config, "settings": {}, "seq_len": None}
        yield refused(f"{dialect}/{name}", "read", error, options)
