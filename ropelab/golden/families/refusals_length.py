"""Bad parameters of the rules by length, by list, by share, and around other rules."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..case import Case
from ..tolerances import equal

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
_MISSING = object()  # a parameter that is left out

_Change = tuple[str, str, Mapping[str, Any]]

_BAD_LISTS: tuple[_Change, ...] = (
    ("short-list-too-short", "ValueError", {"short_factor": [1.0] * 7}),
    ("long-list-of-head-dim", "ValueError", {"long_factor": [2.0] * 16}),
    ("list-of-partial-head", "ValueError", {"rotary_dim": 8}),
    ("empty-list", "ValueError", {"short_factor": []}),
    ("negative-factor-in-list", "ValueError", {"long_factor": [2.0] * 7 + [-2.0]}),
    ("zero-factor-in-list", "ValueError", {"short_factor": [0.0] + [1.0] * 7}),
    ("nan-in-list", "ValueError", {"long_factor": [2.0] * 7 + [float("nan")]}),
    ("list-is-number", "ValueError", {"long_factor": 2.0}),
    ("list-is-text", "TypeError", {"short_factor": "1.0"}),
    ("list-of-text", "TypeError", {"short_factor": ["1.0"] * 8}),
    ("list-missing", "TypeError", {"long_factor": _MISSING}),
    ("list-is-none", "TypeError", {"short_factor": None}),
    ("original-length-missing", "TypeError", {"original_max_position_embeddings": _MISSING}),
    ("original-length-zero", "ValueError", {"original_max_position_embeddings": 0}),
    ("original-length-one", "ValueError", {"original_max_position_embeddings": 1}),
    ("original-length-is-float", "TypeError", {"original_max_position_embeddings": 4096.0}),
    ("no-length", "ValueError", _NO_LENGTH),
)
_BAD_FACTORS: tuple[_Change, ...] = (
    ("zero-factor", "ValueError", {"factor": 0.0}),
    ("negative-factor", "ValueError", {"factor": -2.0}),
    ("nan-factor", "ValueError", {"factor": float("nan")}),
    ("infinite-factor", "ValueError", {"factor": float("inf")}),
    ("factor-is-text", "TypeError", {"factor": "2"}),
)
_NO_FACTOR: tuple[_Change, ...] = (("factor-missing", "TypeError", {"factor": _MISSING}),)

_CHANGES: Mapping[str, tuple[_Change, ...]] = {
    "longrope": (
        *_BAD_LISTS,
        *_BAD_FACTORS,
        ("negative-attention-factor", "ValueError", {"attention_factor": -1.0}),
        ("zero-mscale", "ValueError", {"short_mscale": 0.0}),
        ("mscale-is-text", "TypeError", {"long_mscale": "1.2"}),
        ("unknown-policy", "ValueError", {"mscale_policy": "constant"}),
    ),
    "exllamav2_su": _BAD_LISTS,
    "proportional": (
        *_BAD_FACTORS,
        ("share-above-one", "ValueError", {"partial_rotary_factor": 1.5}),
        ("negative-share", "ValueError", {"partial_rotary_factor": -0.25}),
        ("nan-share", "ValueError", {"partial_rotary_factor": float("nan")}),
        ("share-is-text", "TypeError", {"partial_rotary_factor": "0.25"}),
        ("partial-width", "ValueError", {"rotary_dim": 8}),
    ),
    "te_interpolation": (
        *_BAD_FACTORS,
        *_NO_FACTOR,
        # Transformer Engine scales nothing then, in silence.
        ("length-missing", "TypeError", {"pretrained_max_position_embeddings": _MISSING}),
        ("length-is-none", "TypeError", {"pretrained_max_position_embeddings": None}),
        ("negative-length", "ValueError", {"pretrained_max_position_embeddings": -1}),
        ("length-is-float", "TypeError", {"pretrained_max_position_embeddings": 4096.0}),
    ),
    "dynamic_linear": (("no-length", "ValueError", _NO_LENGTH),),
    "vllm_dynamic": (
        *_BAD_FACTORS,
        *_NO_FACTOR,
        ("no-length", "ValueError", _NO_LENGTH),
        ("trained-zero", "ValueError", {"max_trained_positions": 0}),
        ("trained-is-text", "TypeError", {"max_trained_positions": "4096"}),
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
        ("length-missing", "TypeError", {"original_max_position_embeddings": _MISSING}),
        ("length-zero", "ValueError", {"original_max_position_embeddings": 0}),
        ("length-is-float", "TypeError", {"original_max_position_embeddings": 4096.0}),
    ),
    "rounded": (
        ("unknown-format", "TypeError", {"dtype": "float8"}),
        ("integer-format", "TypeError", {"dtype": "int32"}),
        ("no-format", "TypeError", {"dtype": None}),
        ("format-missing", "TypeError", {"dtype": _MISSING}),
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
        ("infinite", "ValueError", {"inv_freq": [1.0] * 7 + [float("inf")]}),
        ("nan", "ValueError", {"inv_freq": [float("nan")] * 8}),
        ("text", "TypeError", {"inv_freq": "1.0"}),
        ("missing", "TypeError", {"inv_freq": _MISSING}),
        ("zero-attention-factor", "ValueError", {"attention_factor": 0.0}),
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
            rope = {key: value for key, value in given.items() if value is not _MISSING}
            arrays = {key: np.array(value) for key, value in rope.items() if _is_not_json(value)}
            told: dict[str, Any] = {
                "call": "spectrum",
                "error": error,
                "rope": {key: value for key, value in rope.items() if key not in arrays},
                "seq_len": None,
            }
            yield Case(
                f"refused/{rope_type}/{name}", "refused", arrays, told, equal(), ("BadInput",)
            )


def _is_not_json(value: object) -> bool:
    """Say whether NaN or infinity is in a parameter; such are given as arrays."""
    try:
        json.dumps(value, default=dict, allow_nan=False)
    except ValueError:
        return True
    return False
