"""Configs that Transformers refuses are refused, and those that it warns of are warned of."""

from copy import deepcopy
from typing import Any

import pytest

from ropelab.formats import read_transformers
from tests.parity.configs import DEEPSEEK, DEEPSEEK_YARN, LLAMA, LLAMA_3_1, LONG, PHI_3_5, YARN
from tests.parity.support import V5, Config, numbers, theirs, warnings_of_transformers

pytestmark = pytest.mark.parity


def llama(rule: object, **more: Any) -> Config:
    return {**LLAMA, "rope_scaling": rule, **more}


def without(rule: Config, key: str) -> Config:
    return {name: value for name, value in rule.items() if name != key}


PHI_RULE = {**LONG, "type": "longrope", "factor": 32.0}
PHI = {**PHI_3_5, "model_type": "llama"}
HEADS = {"hidden_size": 56, "num_attention_heads": 8}

CONFIGS: dict[str, Config] = {
    "good: default": LLAMA,
    "good: linear": llama({"type": "linear", "factor": 2.0}),
    "good: llama3": llama(LLAMA_3_1),
    "good: yarn": llama(YARN),
    "good: longrope": {**PHI, "rope_scaling": PHI_RULE},
    "good: phi3, default": {**PHI_3_5, "rope_scaling": None},
    "linear without factor": llama({"type": "linear"}),
    "linear, factor None": llama({"type": "linear", "factor": None}),
    "linear, factor below 1": llama({"type": "linear", "factor": 0.5}),
    "linear, factor text": llama({"type": "linear", "factor": "2"}),
    "linear, factor 0": llama({"type": "linear", "factor": 0.0}),
    "linear, factor true": llama({"type": "linear", "factor": True}),
    "linear, strange key": llama({"type": "linear", "factor": 2.0, "beta_fast": 32}),
    "dynamic without factor": llama({"type": "dynamic"}),
    "dynamic, factor below 1": llama({"type": "dynamic", "factor": 0.5}),
    "dynamic, alpha": llama({"type": "dynamic", "factor": 2.0, "alpha": 1000.0}),
    "default, strange key": llama({"rope_type": "default", "factor": 2.0}),
    "unknown rule": llama({"type": "yarrn", "factor": 2.0}),
    "su in a llama": {**PHI, "rope_scaling": {**LONG, "type": "su"}},
    "mrope in a llama": llama({"type": "mrope", "mrope_section": [16, 24, 24]}),
    "both types, at odds": llama({"type": "dynamic", "rope_type": "linear", "factor": 2.0}),
    "both types, alike": llama({"type": "linear", "rope_type": "linear", "factor": 2.0}),
    "sections in a llama": llama({"rope_type": "default", "mrope_section": [16, 24, 24]}),
    "yarn without factor": llama(without(YARN, "factor")),
    "yarn, factor None": llama({**YARN, "factor": None}),
    "yarn, factor below 1": llama({**YARN, "factor": 0.5}),
    "yarn, other stretch": llama({**YARN, "factor": 8.0}),
    "yarn without length": llama(without(YARN, "original_max_position_embeddings")),
    "yarn, whole attention factor": llama({**YARN, "attention_factor": 1}),
    "yarn, negative attention factor": llama({**YARN, "attention_factor": -1.0}),
    "yarn, betas crossed": llama({**YARN, "beta_fast": 1.0, "beta_slow": 32.0}),
    "yarn, beta text": llama({**YARN, "beta_fast": "32"}),
    "yarn, strange key": llama({**YARN, "high_freq_factor": 4.0}),
    "llama3 without low_freq_factor": llama(without(LLAMA_3_1, "low_freq_factor")),
    "llama3 without factor": llama(without(LLAMA_3_1, "factor")),
    "llama3, factor below 1": llama({**LLAMA_3_1, "factor": 0.5}),
    "llama3, low above high": llama({**LLAMA_3_1, "low_freq_factor": 8.0}),
    "llama3, low is high": llama({**LLAMA_3_1, "low_freq_factor": 4.0}),
    "llama3, low None": llama({**LLAMA_3_1, "low_freq_factor": None}),
    "llama3, original above the new": llama(
        {**LLAMA_3_1, "original_max_position_embeddings": 262144}
    ),
    "llama3, original is the new": llama({**LLAMA_3_1, "original_max_position_embeddings": 131072}),
    "llama3, broken length": llama({**LLAMA_3_1, "original_max_position_embeddings": 8192.5}),
    "longrope without short": {**PHI, "rope_scaling": without(PHI_RULE, "short_factor")},
    "longrope without factor": {**PHI, "rope_scaling": without(PHI_RULE, "factor")},
    "longrope, long too short": {**PHI, "rope_scaling": {**PHI_RULE, "long_factor": [1.0] * 47}},
    "longrope, short too long": {**PHI, "rope_scaling": {**PHI_RULE, "short_factor": [1.0] * 49}},
    "longrope, short None": {**PHI, "rope_scaling": {**PHI_RULE, "short_factor": None}},
    "longrope, texts": {**PHI, "rope_scaling": {**PHI_RULE, "short_factor": ["1"] * 48}},
    "longrope, negative attention": {**PHI, "rope_scaling": {**PHI_RULE, "attention_factor": -1.0}},
    "phi3, linear": {**PHI_3_5, "rope_scaling": {"type": "linear", "factor": 2.0}},
    "phi3, a short list": {
        **PHI_3_5,
        "rope_scaling": {**LONG, "type": "longrope", "long_factor": [1.0] * 47},
    },
    "phimoe without mscale": {
        **PHI_3_5,
        "model_type": "phimoe",
        "rope_scaling": {**LONG, "type": "longrope"},
    },
    "odd head": {**LLAMA, **HEADS, "head_dim": 7},
    "odd quotient": {**LLAMA, **HEADS},
    "odd head, half of it": {
        **LLAMA,
        **HEADS,
        "head_dim": 7,
        "partial_rotary_factor": 0.6,
        "rope_scaling": {"type": "linear", "factor": 2.0},
    },
    "partial in a llama": {**LLAMA, "partial_rotary_factor": 0.5},
    "scaling is text": llama("linear"),
    "deepseek, strange key": {**DEEPSEEK, "rope_scaling": {**DEEPSEEK_YARN, "alpha": 2.0}},
    "hunyuan, alpha without factor": {
        **LLAMA,
        "model_type": "hunyuan_v1_dense",
        "head_dim": 128,
        "rope_scaling": {"type": "dynamic", "alpha": 1000.0},
    },
}

# Where only one of us raises, or warns, and why.
RAISES = {
    "linear, factor 0": "a frequency would be infinite",
    "linear, factor true": "a bool is no number",
    "yarn, negative attention factor": "cos and sin would change their signs",
    "yarn, betas crossed": "the ramp would run backwards",
    "llama3, low above high": "the blend would run backwards",
    "llama3, broken length": "a length is a number of tokens",
    "longrope, negative attention": "cos and sin would change their signs",
}
WARNS = {
    "both types, at odds": "one of the two is disregarded, which we do not pass over in silence",
    "partial in a llama": "it has no effect, which we do not pass over in silence",
    "yarn, whole attention factor": "1 is as good as 1.0",
    "yarn without length": "the new length is taken for the original one",
}
RAISES_4_57 = {
    "yarn, factor None": "5.24 takes the quotient of the lengths",
    "odd head": "5.24 refuses it too",
    "odd quotient": "5.24 refuses it too",
    "hunyuan, alpha without factor": "5.24 refuses it too",
}
ALIKE_IN_4_57 = {"yarn without length"}  # which warns as we do


def verdict_of_transformers(config: Config) -> tuple[bool, bool]:
    with warnings_of_transformers() as found:
        try:
            numbers(theirs(config)[1], "full_attention", 5000)
        except Exception:  # it has a dozen kinds
            return True, False
    return False, bool(found)


def our_verdict(config: Config) -> tuple[bool, bool]:
    try:
        reading = read_transformers(deepcopy(config))
        if reading.rope is not None:
            reading.rope.spectrum(5000)
    except (TypeError, ValueError):
        return True, False
    return False, bool(reading.findings)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_transformers_refuses_or_warns_of_we_do(name: str) -> None:
    they_raise, they_warn = verdict_of_transformers(CONFIGS[name])
    we_raise, we_warn = our_verdict(CONFIGS[name])
    raises = RAISES if V5 else {**RAISES, **RAISES_4_57}
    warns = set(WARNS) - (set() if V5 else ALIKE_IN_4_57)
    assert (they_raise != we_raise) == (name in raises)
    if not (they_raise or we_raise):
        assert (they_warn != we_warn) == (name in warns)
