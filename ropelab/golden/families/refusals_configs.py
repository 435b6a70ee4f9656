"""Configs that must be refused: of each rule, of its name, of widths, axes and layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..case import Case
from .refusal import MISSING, refused

__all__ = ["cases"]

_LLAMA = {"model_type": "llama", "head_dim": 16, "max_position_embeddings": 8192, "rope_theta": 1e4}
_LINEAR = {"rope_type": "linear", "factor": 2.0}
_LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 1024,
}
_YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 1024}
_LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0] * 8,
    "long_factor": [2.0] * 8,
    "factor": 8.0,
    "original_max_position_embeddings": 1024,
}
_SHARE = {"rope_type": "proportional", "partial_rotary_factor": 0.5}
_SECTIONS = {"rope_type": "default", "mrope_section": [2, 3, 3]}

_Bad = tuple[str, str, Mapping[str, Any], Mapping[str, Any]]

# Name, error, the rule, and what is wrong with it.
_RULES: tuple[_Bad, ...] = (
    ("linear-without-factor", "ValueError", _LINEAR, {"factor": MISSING}),
    ("linear-factor-none", "TypeError", _LINEAR, {"factor": None}),
    ("linear-factor-zero", "ValueError", _LINEAR, {"factor": 0}),
    ("linear-factor-negative", "ValueError", _LINEAR, {"factor": -2.0}),
    ("linear-factor-list", "TypeError", _LINEAR, {"factor": [2.0]}),
    ("linear-factor-true", "TypeError", _LINEAR, {"factor": True}),
    ("dynamic-without-factor", "ValueError", _LINEAR, {"rope_type": "dynamic", "factor": MISSING}),
    ("dynamic-factor-text", "TypeError", _LINEAR, {"rope_type": "dynamic", "factor": "2"}),
    ("ntk-alpha-without-alpha", "ValueError", _LINEAR, {"rope_type": "ntk_alpha"}),
    ("llama3-without-factor", "ValueError", _LLAMA3, {"factor": MISSING}),
    ("llama3-without-low", "ValueError", _LLAMA3, {"low_freq_factor": MISSING}),
    ("llama3-without-high", "ValueError", _LLAMA3, {"high_freq_factor": MISSING}),
    ("llama3-low-none", "TypeError", _LLAMA3, {"low_freq_factor": None}),
    ("llama3-low-above-high", "ValueError", _LLAMA3, {"low_freq_factor": 8.0}),
    ("llama3-length-broken", "TypeError", _LLAMA3, {"original_max_position_embeddings": 1024.5}),
    ("llama3-length-zero", "ValueError", _LLAMA3, {"original_max_position_embeddings": 0}),
    ("yarn-without-factor", "ValueError", _YARN, {"factor": MISSING}),
    ("yarn-factor-text", "TypeError", _YARN, {"factor": "8"}),
    ("yarn-factor-zero", "ValueError", _YARN, {"factor": 0.0}),
    ("yarn-betas-crossed", "ValueError", _YARN, {"beta_fast": 1.0, "beta_slow": 32.0}),
    ("yarn-beta-text", "TypeError", _YARN, {"beta_fast": "32"}),
    ("yarn-attention-negative", "ValueError", _YARN, {"attention_factor": -1.0}),
    ("yarn-truncate-text", "TypeError", _YARN, {"truncate": "false"}),
    ("yarn-mscale-text", "TypeError", _YARN, {"mscale": "1"}),
    ("longrope-without-short", "ValueError", _LONG, {"short_factor": MISSING}),
    ("longrope-without-long", "ValueError", _LONG, {"long_factor": MISSING}),
    ("longrope-short-list", "ValueError", _LONG, {"long_factor": [2.0] * 7}),
    ("longrope-list-of-head-dim", "ValueError", _LONG, {"short_factor": [1.0] * 16}),
    ("longrope-list-of-text", "TypeError", _LONG, {"short_factor": ["1"] * 8}),
    ("longrope-list-none", "TypeError", _LONG, {"long_factor": None}),
    ("longrope-zero-in-list", "ValueError", _LONG, {"long_factor": [2.0] * 7 + [0.0]}),
    ("longrope-factor-negative", "ValueError", _LONG, {"factor": -8.0}),
    ("proportional-above-1", "ValueError", _SHARE, {"partial_rotary_factor": 1.5}),
    ("proportional-negative", "ValueError", _SHARE, {"partial_rotary_factor": -0.5}),
    ("proportional-text", "TypeError", _SHARE, {"partial_rotary_factor": "0.5"}),
    ("proportional-factor-zero", "ValueError", _SHARE, {"factor": 0.0}),
    ("type-near-yarn", "ValueError", _YARN, {"rope_type": "Yarn"}),
    ("type-empty", "ValueError", _YARN, {"rope_type": ""}),
    ("type-number", "TypeError", _YARN, {"rope_type": 3}),
    ("type-of-other-systems", "ValueError", _LINEAR, {"rope_type": "vllm_ntk"}),
    ("type-of-images", "ValueError", _LINEAR, {"rope_type": "axial"}),
    ("su-in-a-llama", "ValueError", _LONG, {"rope_type": "su"}),
    ("mrope-in-a-llama", "ValueError", _SECTIONS, {"rope_type": "mrope"}),
    ("old-type-unknown", "ValueError", _LINEAR, {"rope_type": MISSING, "type": "lineal"}),
    ("theta-negative", "ValueError", _LINEAR, {"rope_theta": -1e4}),
    ("theta-text", "TypeError", _LINEAR, {"rope_theta": "1e4"}),
)

# Name, error, and the keys of the config that replace those of a Llama.
_CONFIGS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("head-odd", "ValueError", {"head_dim": 15}),
    ("head-text", "TypeError", {"head_dim": "16"}),
    ("length-text", "TypeError", {"max_position_embeddings": "8192"}),
    ("rotated-width-odd", "ValueError", {"model_type": "phi", "partial_rotary_factor": 0.2}),
    ("rotated-width-zero", "ValueError", {"model_type": "phi", "partial_rotary_factor": 0.01}),
    ("rotated-width-above-1", "ValueError", {"model_type": "phi", "partial_rotary_factor": 2.0}),
    ("rotary-dim-odd", "ValueError", {"model_type": "gptj", "rotary_dim": 5}),
    ("phi3-linear", "ValueError", {"model_type": "phi3", "rope_scaling": _LINEAR}),
    ("phimoe-without-mscale", "ValueError", {"model_type": "phimoe", "rope_scaling": _LONG}),
    (
        "sections-of-another-sum",
        "ValueError",
        {
            "model_type": "qwen2_vl_text",
            "rope_scaling": {**_SECTIONS, "mrope_section": [2, 2, 3]},
        },
    ),
    (
        "sections-of-text",
        "TypeError",
        {"model_type": "qwen2_vl_text", "rope_scaling": {**_SECTIONS, "mrope_section": "2 3 3"}},
    ),
    (
        "sections-two",
        "ValueError",
        {"model_type": "qwen3_vl_text", "rope_scaling": {**_SECTIONS, "mrope_section": [4, 4]}},
    ),
    (
        "ernie-rows-unlike-columns",
        "ValueError",
        {
            "model_type": "ernie4_5_vl_moe_text",
            "rope_scaling": {**_SECTIONS, "mrope_section": [2, 3, 3]},
        },
    ),
    ("layers-and-flat", "ValueError", {"rope_parameters": {"full_attention": {}, "factor": 2.0}}),
    (
        "layer-not-chosen",
        "ValueError",
        {"rope_parameters": {"full_attention": _LINEAR, "sliding_attention": {}}},
    ),
    (
        "layer-is-number",
        "TypeError",
        {"rope_parameters": {"full_attention": _LINEAR, "sliding_attention": 3}},
    ),
)

_LAYERS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("layers-uncounted", "ValueError", {}),
    ("layers-not-a-list", "TypeError", {"layer_types": "full_attention"}),
    ("layers-too-few", "ValueError", {"num_hidden_layers": 2, "layer_types": ["full_attention"]}),
    ("nope-list-too-short", "ValueError", {"num_hidden_layers": 3, "no_rope_layers": [1, 0]}),
    ("nope-list-of-twos", "ValueError", {"no_rope_layers": [1, 2]}),
    ("nope-list-is-number", "TypeError", {"no_rope_layers": 4}),
    (
        "layer-without-parameters",
        "ValueError",
        {
            "layer_types": ["full_attention", "chunked_attention"],
            "rope_parameters": {"full_attention": {"rope_theta": 1e4}},
        },
    ),
)


def cases() -> Iterator[Case]:
    """Yield every case of a bad config.

    Yields
    ------
    Case
        By rule, then by the config around it, then by layers.
    """
    for name, error, rule, change in _RULES:
        given = {key: value for key, value in {**rule, **change}.items() if value is not MISSING}
        own = {key: _LLAMA[key] for key in _LLAMA if key not in change}
        yield _refused(name, "from_transformers", error, {**own, "rope_scaling": given})
    for name, error, change in _CONFIGS:
        yield _refused(name, "from_transformers", error, {**_LLAMA, **change})
    for name, error, change in _LAYERS:
        yield _refused(name, "layers_from_transformers", error, {**_LLAMA, **change})


def _refused(name: str, call: str, error: str, config: Mapping[str, Any]) -> Case:
    options, flags = {"config": config, "seq_len": None}, ("BadInput", "ConfigKeys")
    return refused(f"config/{name}", call, error, options, flags=flags)
