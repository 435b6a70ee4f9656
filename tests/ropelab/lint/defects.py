"""For each kind of defect, changes that make a sound config have it, and others that do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["CASES", "LLAMA", "Case", "changed"]

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "max_position_embeddings": 8192,
    "rope_theta": 500000.0,
}
L0, LMAX = "original_max_position_embeddings", "max_position_embeddings"

LINEAR = {"rope_type": "linear", "factor": 2.0}
YARN = {"rope_type": "yarn", "factor": 4.0, L0: 2048}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    L0: 2048,
}
RISING = [1.0 + i / 8 for i in range(64)]
LONGROPE = {
    "rope_type": "longrope",
    "factor": 4.0,
    "short_factor": [1.0] * 64,
    "long_factor": RISING,
    L0: 2048,
}
LAYERS = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    "full_attention": {"rope_type": "default", "rope_theta": 500000.0},
}
NAMES = ["sliding_attention", "full_attention"]
QWEN_VL = {
    "model_type": "qwen2_vl",
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
}
QWEN3_VL = {"model_type": "qwen3_vl_text"}
DEEPSEEK = {"model_type": "deepseek_v3", "qk_rope_head_dim": 64}


class Case(NamedTuple):
    """What makes the defect, what is near it but sound, and words of the fix."""

    bad: Mapping[str, Any]
    good: Mapping[str, Any]
    fix: str


def changed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sound config with other keys; one whose value is ``...`` is left out."""
    return {key: value for key, value in {**LLAMA, **changes}.items() if value is not ...}


def scaled(rule: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    found = {key: value for key, value in {**rule, **changes}.items() if value is not ...}
    return {"rope_scaling": found}


def layers(**entries: Any) -> dict[str, Any]:
    return {"layer_types": NAMES, "num_hidden_layers": 2, "rope_parameters": {**LAYERS, **entries}}


CASES: dict[str, Case] = {
    "ignored-key": Case(
        scaled(LINEAR, beta_fast=32.0),
        scaled(YARN, beta_fast=32.0),
        'remove "beta_fast" from rope_scaling; or, if it is meant, write "rope_type": "yarn"',
    ),
    "misspelt-key": Case(
        scaled(YARN, beta_fats=16.0),
        scaled(YARN, beta_fast=16.0),
        'rename "beta_fats" to "beta_fast" in rope_scaling',
    ),
    "rope-type-missing": Case(
        scaled(LLAMA3, rope_type=...), scaled(LLAMA3), 'write "rope_type": "llama3" in rope_scaling'
    ),
    "two-types": Case(
        scaled(LINEAR, type="yarn"),
        scaled(LINEAR, type="linear"),
        'remove "type" from rope_scaling',
    ),
    "two-dictionaries": Case(
        {**scaled(LINEAR), "rope_parameters": {**LINEAR, "factor": 4.0}},
        {**scaled(LINEAR), "rope_parameters": LINEAR},
        'remove "rope_parameters"',
    ),
    "two-bases": Case(
        scaled(LINEAR, rope_theta=10000.0),
        scaled(LINEAR, rope_theta=500000.0),
        'write "rope_theta": 10000 at both places',
    ),
    "two-values": Case(
        {L0: 4096, **scaled(LLAMA3)}, {L0: 2048, **scaled(LLAMA3)}, f'keep one "{L0}"'
    ),
    "outside-text-config": Case(
        {"num_attention_heads": ..., "text_config": {**LLAMA, "rope_theta": 10000.0}},
        {"num_attention_heads": ..., "rope_theta": ..., "text_config": LLAMA},
        'move "rope_theta" into "text_config"',
    ),
    "old-spelling": Case(
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        {"rope_scaling": {"type": "linear", "rope_type": "linear", "factor": 2.0}},
        'write "rope_type": "linear" in rope_scaling in place of "type"',
    ),
    "integer-factor": Case(
        scaled(LINEAR, factor=2), scaled(LINEAR), 'write "factor": 2.0 in rope_scaling'
    ),
    "heads-not-dividing": Case(
        {"num_attention_heads": 30},
        {"num_attention_heads": 30, "head_dim": 136},
        'write "head_dim": 136 in the config, or write "hidden_size": 4080',
    ),
    "head-width-missing": Case({"hidden_size": ...}, {"head_dim": 128}, 'write "head_dim": 128'),
    "odd-width": Case(
        {"model_type": "glm4", "partial_rotary_factor": 0.508},
        {"model_type": "glm4", "partial_rotary_factor": 0.5},
        'write "partial_rotary_factor": 0.515625 in the config, which is 66 of 128 channels',
    ),
    "unused-share": Case(
        {"partial_rotary_factor": 0.5},
        {"model_type": "glm4", "partial_rotary_factor": 0.5},
        'remove "partial_rotary_factor" from the config',
    ),
    "share-by-model": Case(
        {"model_type": "newcomer", "partial_rotary_factor": 0.5},
        {"model_type": "stablelm", "partial_rotary_factor": 0.5},
        'if all do, remove "partial_rotary_factor"',
    ),
    "unused-rotary-dim": Case(
        {"rotary_dim": 64},
        {"model_type": "minimax_m2", "rotary_dim": 64},
        'remove "rotary_dim", or write "partial_rotary_factor": 0.5',
    ),
    "mrope-section-misfit": Case(
        {**QWEN_VL, "rope_scaling": {"type": "mrope", "mrope_section": [16, 16, 16]}},
        QWEN_VL,
        'write "mrope_section": [16, 24, 24] in rope_scaling',
    ),
    "mrope-unread": Case(
        {"rope_scaling": {"rope_type": "default", "mrope_section": [16, 24, 24]}},
        QWEN_VL,
        'remove "mrope_section" from rope_scaling',
    ),
    "unused-mrope-flag": Case(
        {
            **QWEN3_VL,
            **scaled(
                {"rope_type": "default", "mrope_section": [24, 20, 20]}, mrope_interleaved=False
            ),
        },
        {
            **QWEN3_VL,
            **scaled(
                {"rope_type": "default", "mrope_section": [24, 20, 20]}, mrope_interleaved=True
            ),
        },
        'write "mrope_interleaved": true in rope_scaling',
    ),
    "base-missing": Case(
        {"rope_theta": ..., **scaled(LLAMA3)}, scaled(LLAMA3), 'write "rope_theta": 10000.0'
    ),
    "layer-base-missing": Case(
        layers(full_attention={"rope_type": "default"}),
        layers(),
        "in rope_parameters['full_attention']",
    ),
    "layer-parameters-missing": Case(
        {
            "layer_types": NAMES,
            "num_hidden_layers": 2,
            "rope_parameters": {"full_attention": LAYERS["full_attention"]},
        },
        layers(),
        'write "sliding_attention": {"rope_type": "default"',
    ),
    "unknown-layer-type": Case(
        {"layer_types": ["full_attention", "sliding_atention"], "num_hidden_layers": 2},
        {"layer_types": ["full_attention", "attention"], "num_hidden_layers": 2},
        'replace "sliding_atention" by "sliding_attention" in layer_types',
    ),
    "flat-beside-layers": Case(
        {"model_type": "gemma3_text", "rope_parameters": {"rope_type": "linear", "factor": 8.0}},
        {"model_type": "gemma3_text", "rope_scaling": {"rope_type": "linear", "factor": 8.0}},
        'write "full_attention": {"rope_type": "linear", "factor": 8.0} in rope_parameters',
    ),
    "rule-left-to-class": Case(
        {"model_type": "apertus"},
        {"model_type": "apertus", **scaled(LLAMA3)},
        'write the "rope_parameters"',
    ),
    "parameter-missing": Case(
        scaled(LLAMA3, factor=..., high_freq_factor=...),
        scaled(LLAMA3),
        'write "factor": 4.0 in rope_scaling; write "high_freq_factor": 4.0 in rope_scaling',
    ),
    "llama3-factors-reversed": Case(
        scaled(LLAMA3, low_freq_factor=4.0, high_freq_factor=1.0),
        scaled(LLAMA3),
        'write "low_freq_factor": 1.0, "high_freq_factor": 4.0 in rope_scaling',
    ),
    "llama3-step": Case(
        scaled(LLAMA3, high_freq_factor=1.0), scaled(LLAMA3), 'write "high_freq_factor": 4.0'
    ),
    "yarn-betas-reversed": Case(
        scaled(YARN, beta_fast=1.0, beta_slow=32.0),
        scaled(YARN, beta_fast=32.0, beta_slow=1.0),
        'write "beta_fast": 32.0, "beta_slow": 1.0 in rope_scaling',
    ),
    "mscale-alone": Case(
        scaled(YARN, mscale=0.5), scaled(YARN, mscale=1.0), 'write "attention_factor": 1.0693147'
    ),
    "softmax-mscale-missing": Case(
        {**DEEPSEEK, **scaled(YARN)},
        {**DEEPSEEK, **scaled(YARN, mscale=1.0, mscale_all_dim=1.0)},
        'write "mscale": 1.0, "mscale_all_dim": 1.0 in rope_scaling',
    ),
    "attention-factor-given": Case(
        scaled(YARN, attention_factor=1.0),
        scaled(YARN, attention_factor=1.138629436111989),
        'write "attention_factor": 1.138629436111989',
    ),
    "attention-factor-below-one": Case(
        scaled(YARN, attention_factor=0.5),
        scaled(YARN, attention_factor=1.0),
        'write "attention_factor": 1.0',
    ),
    "truncate-unread": Case(
        layers(full_attention={**YARN, "rope_theta": 10000.0, "truncate": False}),
        scaled(YARN, truncate=False),
        'one flat dictionary with "truncate": false',
    ),
    "longrope-list-misfit": Case(
        scaled(LONGROPE, long_factor=RISING[:48]),
        scaled(LONGROPE),
        'give "long_factor" 64 numbers',
    ),
    "longrope-list-descends": Case(
        scaled(LONGROPE, long_factor=[*RISING[:40], 1.0, *RISING[41:]]),
        scaled(LONGROPE),
        "at pair 40 at least 5.875",
    ),
    "list-by-version": Case(
        {"model_type": "phimoe", **scaled(LONGROPE, short_mscale=1.2, long_mscale=1.2)},
        {"model_type": "phi3", **scaled(LONGROPE)},
        "pin the version",
    ),
    "proportional-share-missing": Case(
        {"rope_parameters": {"rope_type": "proportional", "rope_theta": 1e6}},
        {
            "rope_parameters": {
                "rope_type": "proportional",
                "rope_theta": 1e6,
                "partial_rotary_factor": 0.25,
            }
        },
        'write "partial_rotary_factor": 0.25 in rope_parameters',
    ),
    "length-missing": Case(
        {LMAX: ..., **scaled(YARN)}, scaled(YARN), f'write "{LMAX}": 8192 in the config'
    ),
    "original-length-missing": Case(
        scaled(YARN, **{L0: ...}), scaled(YARN), f'write "{L0}": 2048 in rope_scaling'
    ),
    "original-not-below": Case(
        scaled(LLAMA3, **{L0: 32768}),
        scaled(LLAMA3, **{L0: 4096}),
        f'write "{L0}": 8192, "{LMAX}": 32768',
    ),
    "factor-disagrees": Case(
        scaled(YARN, factor=8.0),
        scaled(YARN),
        f'write "factor": 4.0 in rope_scaling, or write "{LMAX}": 16384 in the config',
    ),
    "length-not-stretched": Case(
        scaled(YARN, **{L0: 8192}), scaled(YARN), f'write "{LMAX}": 32768 in the config'
    ),
    "factor-missing": Case(
        scaled(LONGROPE, factor=...), scaled(LONGROPE), 'write "factor": 4.0 in rope_scaling'
    ),
    "factor-below-one": Case(
        scaled(LINEAR, factor=0.25), scaled(LINEAR), 'write "factor": 4.0 in rope_scaling'
    ),
    "scaling-without-effect": Case(
        scaled(LINEAR, factor=1.0), scaled(LINEAR), 'write "rope_type": "default" in rope_scaling'
    ),
    "dynamic-factor-one": Case(
        scaled({"rope_type": "dynamic", "factor": 1.0}),
        scaled({"rope_type": "dynamic", "factor": 2.0}),
        'write "rope_type": "default" in rope_scaling',
    ),
    "stretch-below-lengths": Case(
        scaled(LLAMA3, factor=2.0), scaled(LLAMA3), f'write "{LMAX}": 4096 in the config'
    ),
    "base-bound": Case({"rope_theta": 10000.0}, {}, f'write "{LMAX}": 1707 in the config'),
    "all-pairs-wrap": Case(
        {"rope_theta": 1000.0}, {"rope_theta": 10000.0}, f'write "{LMAX}": 5640 in the config'
    ),
    "positions-alias": Case(
        {"torch_dtype": "bfloat16"}, {"torch_dtype": "float32"}, 'write "torch_dtype": "float32"'
    ),
    "frequencies-rounded": Case(
        {"dtype": "float16"}, {"dtype": "float32"}, 'keep "inv_freq" in float32'
    ),
    "angles-coarse": Case({LMAX: 1048576}, {LMAX: 131072}, f'within "{LMAX}": 131072'),
    "differs-in-vllm": Case(
        scaled({"rope_type": "dynamic", "factor": 2.0}),
        scaled({"rope_type": "linear", "factor": 2.0}),
        f'write "max_trained_positions": 8192 in rope_scaling and write "{LMAX}": 16384',
    ),
    "differs-in-exllamav2": Case(
        {"rope_theta": ..., "rope_parameters": {**LLAMA3, "rope_theta": 500000.0}},
        scaled(LLAMA3),
        'write "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3"',
    ),
    "differs-in-nemo-automodel": Case(
        scaled(LONGROPE), scaled(LLAMA3), "ropelab.from_nemo_automodel"
    ),
    "differs-in-llama-cpp": Case(
        scaled(YARN, truncate=False), scaled(YARN), 'write "truncate": true'
    ),
}
