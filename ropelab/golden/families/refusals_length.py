"""Bad parameters of the rules by length, by list, by share, and around other rules."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..case import Case
from .refusal import MISSING, refused_rope

__all__ = ["cases"]

_CARD = {
    "head_dim": 16,
    "rotary_dim": 16,
    "base": 1e4,
    "layout": "half",
    "max_position_embeddings": 8192,
}
_LISTS = {
    "short_factor": [1.0] * 8,
    "long_factor": [2.0] * 8,
    "original_max_position_embeddings": 4096,
}
_TE = {"factor": 4.0, "pretrained_max_position_embeddings": 4096}
_NO_LENGTH: Mapping[str, Any] = {"max_position_embeddings": None}

# What each rule is given when nothing is wrong.
_GOOD: Mapping[str, Mapping[str, Any]] = {
    "longrope": _LISTS,
    "exllamav2_su": _LISTS,
    "proportional": {"partial_rotary_factor": 0.5, "factor": 2.0},
    "te_interpolation": _TE,
    "dynamic_linear": {},
    "vllm_dynamic": {"factor": 2.0, "max_trained_positions": 4096},
    "sglang_dynamic": {"factor": 2.0},
    "vllm_ntk": {"factor": 2.0, "mixed_b": 0.5},
    "resonance": {"inner": {"rope_type": "default"}},
    "hope": {"original_max_position_embeddings": 4096},
    "rounded": {"dtype": "float16", "inner": {"rope_type": "default"}},
    "inv_freq": {"inv_freq": [1.0] * 8, "attention_factor": 1.0},
}

_Change = tuple[str, str, Mapping[str, Any]]

_BAD_LISTS: tuple[_Change, ...] = (
    ("short-list-too-short", "ValueError", {"short_factor": [1.0] * 7}),
    ("long-list-of-head-dim", "ValueError", {"long_factor": [2.0] * 16}),
    ("list-of-partial-head", "ValueError", {"rotary_dim": 8}),
    ("empty-list", "ValueError", {"short_factor": []}),
    ("negative-factor-in-list", "ValueError", {"long_factor": [2.0] * 7 + [-2.0]}),
    ("zero-factor-in-list", "ValueError", {"short_factor": [0.0] + [1.0] * 7}),
    ("nan-in-list", "ValueError", {"long_factor": [2.0] * 7 + [math.nan]}),
    ("list-is-number", "ValueError", {"long_factor": 2.0}),
    ("list-is-text", "TypeError", {"short_factor": "1.0"}),
    ("list-of-text", "TypeError", {"short_factor": ["1.0"] * 8}),
    ("list-missing", "TypeError", {"long_factor": MISSING}),
    ("list-is-none", "TypeError", {"short_factor": None}),
    ("original-length-missing", "TypeError", {"original_max_position_embeddings": MISSING}),
    ("original-length-zero", "ValueError", {"original_max_position_embeddings": 0}),
    ("original-length-one", "ValueError", {"original_max_position_embeddings": 1}),
    ("original-length-is-float", "TypeError", {"original_max_position_embeddings": 4096.0}),
    ("original-length-is-text", "TypeError", {"original_max_position_embeddings": "4096"}),
    ("negative-original-length", "ValueError", {"original_max_position_embeddings": -4096}),
    ("nan-original-length", "TypeError", {"original_max_position_embeddings": math.nan}),
    ("list-missing-short", "TypeError", {"short_factor": MISSING}),
    ("nan-in-short-list", "ValueError", {"short_factor": [math.nan] + [1.0] * 7}),
    ("negative-in-short-list", "ValueError", {"short_factor": [1.0] * 7 + [-1.0]}),
    ("long-list-of-text", "TypeError", {"long_factor": ["2.0"] * 8}),
    ("no-length", "ValueError", _NO_LENGTH),
)
_BAD_FACTORS: tuple[_Change, ...] = (
    ("zero-factor", "ValueError", {"factor": 0.0}),
    ("negative-factor", "ValueError", {"factor": -2.0}),
    ("nan-factor", "ValueError", {"factor": math.nan}),
    ("infinite-factor", "ValueError", {"factor": math.inf}),
    ("factor-is-text", "TypeError", {"factor": "2"}),
)
_NO_FACTOR: tuple[_Change, ...] = (("factor-missing", "TypeError", {"factor": MISSING}),)

_CHANGES: Mapping[str, tuple[_Change, ...]] = {
    "longrope": (
        *_BAD_LISTS,
        *_BAD_FACTORS,
        ("negative-attention-factor", "ValueError", {"attention_factor": -1.0}),
        ("zero-mscale", "ValueError", {"short_mscale": 0.0}),
        ("mscale-is-text", "TypeError", {"long_mscale": "1.2"}),
        ("nan-attention-factor", "ValueError", {"attention_factor": math.nan}),
        ("attention-factor-is-text", "TypeError", {"attention_factor": "1.0"}),
        ("negative-short-mscale", "ValueError", {"short_mscale": -1.2}),
        ("nan-short-mscale", "ValueError", {"short_mscale": math.nan}),
        ("short-mscale-is-text", "TypeError", {"short_mscale": "1.2"}),
        ("negative-long-mscale", "ValueError", {"long_mscale": -1.2}),
        ("nan-long-mscale", "ValueError", {"long_mscale": math.nan}),
        ("unknown-policy", "ValueError", {"mscale_policy": "constant"}),
    ),
    "exllamav2_su": _BAD_LISTS,
    "proportional": (
        *_BAD_FACTORS,
        ("share-above-one", "ValueError", {"partial_rotary_factor": 1.5}),
        ("negative-share", "ValueError", {"partial_rotary_factor": -0.25}),
        ("nan-share", "ValueError", {"partial_rotary_factor": math.nan}),
        ("share-is-text", "TypeError", {"partial_rotary_factor": "0.25"}),
        ("partial-width", "ValueError", {"rotary_dim": 8}),
    ),
    "te_interpolation": (
        *_BAD_FACTORS,
        *_NO_FACTOR,
        # Transformer Engine scales nothing then, in silence.
        ("length-missing", "TypeError", {"pretrained_max_position_embeddings": MISSING}),
        ("length-is-none", "TypeError", {"pretrained_max_position_embeddings": None}),
        ("negative-length", "ValueError", {"pretrained_max_position_embeddings": -1}),
        ("length-is-float", "TypeError", {"pretrained_max_position_embeddings": 4096.0}),
        ("length-is-text", "TypeError", {"pretrained_max_position_embeddings": "4096"}),
        ("zero-length", "ValueError", {"pretrained_max_position_embeddings": 0}),
        ("nan-length", "TypeError", {"pretrained_max_position_embeddings": math.nan}),
    ),
    "dynamic_linear": (("no-length", "ValueError", _NO_LENGTH),),
    "vllm_dynamic": (
        *_BAD_FACTORS,
        *_NO_FACTOR,
        ("no-length", "ValueError", _NO_LENGTH),
        ("trained-zero", "ValueError", {"max_trained_positions": 0}),
        ("trained-is-text", "TypeError", {"max_trained_positions": "4096"}),
        ("trained-negative", "ValueError", {"max_trained_positions": -4096}),
        ("trained-nan", "TypeError", {"max_trained_positions": math.nan}),
        ("one-pair", "ValueError", {"rotary_dim": 2}),
    ),
    "sglang_dynamic": (
        *_BAD_FACTORS,
        *_NO_FACTOR,
        ("factor-overflows", "ValueError", {"factor": 1e200}),
        ("one-pair", "ValueError", {"rotary_dim": 2}),
    ),
    "vllm_ntk": (
        *_BAD_FACTORS,
        *_NO_FACTOR,
        ("zero-exponent", "ValueError", {"mixed_b": 0.0}),
        ("exponent-is-text", "TypeError", {"mixed_b": "0.5"}),
        ("negative-exponent", "ValueError", {"mixed_b": -0.5}),
        ("nan-exponent", "ValueError", {"mixed_b": math.nan}),
    ),
    "resonance": (
        ("inner-is-text", "TypeError", {"inner": "default"}),
        ("inner-is-none", "TypeError", {"inner": None}),
        (
            "inner-needs-length",
            "ValueError",
            {"inner": {"rope_type": "dynamic_linear"}, **_NO_LENGTH},
        ),
        ("too-fast", "ValueError", {"inner": {"rope_type": "inv_freq", "inv_freq": [13.0] * 8}}),
        ("too-slow", "ValueError", {"inner": {"rope_type": "inv_freq", "inv_freq": [1e-19] * 8}}),
    ),
    "hope": (
        ("length-missing", "TypeError", {"original_max_position_embeddings": MISSING}),
        ("length-zero", "ValueError", {"original_max_position_embeddings": 0}),
        ("length-is-float", "TypeError", {"original_max_position_embeddings": 4096.0}),
        ("length-is-text", "TypeError", {"original_max_position_embeddings": "4096"}),
        ("negative-length", "ValueError", {"original_max_position_embeddings": -4096}),
        ("nan-length", "TypeError", {"original_max_position_embeddings": math.nan}),
    ),
    "rounded": (
        ("unknown-format", "TypeError", {"dtype": "float8"}),
        ("integer-format", "TypeError", {"dtype": "int32"}),
        ("no-format", "TypeError", {"dtype": None}),
        ("format-missing", "TypeError", {"dtype": MISSING}),
        ("inner-is-text", "TypeError", {"inner": "default"}),
        (
            "overflows",
            "ValueError",
            {"inner": {"rope_type": "inv_freq", "inv_freq": [1e5] * 8}},
        ),
    ),
    "inv_freq": (
        ("too-few", "ValueError", {"inv_freq": [1.0] * 7}),
        ("one-a-channel", "ValueError", {"inv_freq": [1.0] * 16}),
        ("none-at-all", "ValueError", {"inv_freq": []}),
        ("infinite", "ValueError", {"inv_freq": [1.0] * 7 + [math.inf]}),
        ("nan", "ValueError", {"inv_freq": [math.nan] * 8}),
        ("text", "TypeError", {"inv_freq": "1.0"}),
        ("missing", "TypeError", {"inv_freq": MISSING}),
        ("list-of-text", "TypeError", {"inv_freq": ["1.0"] * 8}),
        ("zero-attention-factor", "ValueError", {"attention_factor": 0.0}),
        ("negative-attention-factor", "ValueError", {"attention_factor": -1.0}),
        ("nan-attention-factor", "ValueError", {"attention_factor": math.nan}),
        ("attention-factor-is-text", "TypeError", {"attention_factor": "1.0"}),
    ),
}


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        One a refusal; each changes a rope in which nothing is wrong in one place.
    """
    for rope_type, changes in _CHANGES.items():
        for name, error, change in changes:
            given = {**_CARD, "rope_type": rope_type, **_GOOD[rope_type], **change}
            yield refused_rope(f"{rope_type}/{name}", error, given)
