"""The mixin of configs beside Transformers' own: what it makes of configs, and what it warns of."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
import transformers
import transformers.modeling_rope_utils as theirs
from transformers import PreTrainedConfig

import ropelab_cuda.compat.transformers_rope as ours

FACES = (ours, theirs)
LENGTH = {"original_max_position_embeddings": 4096}
LISTS = {"short_factor": [1.0] * 32, "long_factor": [2.0] * 32}
BANDS = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, **LENGTH}
LAYERS = {"layer_types": ["full_attention", "sliding_attention"]}

# Attributes of a config beside the common ones, and the keyword arguments that it is made of.
CONFIGS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "a base": ({}, {"rope_theta": 5e5, "other": 1}),
    "a base of the class": ({"default_theta": 2e6}, {}),
    "a base beside": ({"rope_theta": 7e4}, {"rope_scaling": {"type": "linear", "factor": 2.0}}),
    "old": ({}, {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 1e6}),
    "both": (
        {"rope_parameters": {"rope_type": "default", "rope_theta": 3.0}},
        {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
    ),
    "parameters alone": ({"rope_parameters": {"rope_theta": 3e4}}, {"rope_theta": 1e6}),
    "a share": ({}, {"partial_rotary_factor": 0.5, "rope_theta": 1e6}),
    "a share beside": ({"partial_rotary_factor": 0.25}, {}),
    "yarn without a length": ({}, {"rope_scaling": {"type": "yarn", "factor": 2.0}}),
    "Phi-3": (
        {"original_max_position_embeddings": 2048},
        {"rope_scaling": {"type": "longrope", **LISTS, **LENGTH}},
    ),
    "axial": ({"default_rope_type": "axial"}, {"rope_theta": 100.0}),
    "layers": (
        LAYERS,
        {
            "rope_scaling": {
                "full_attention": {"type": "yarn", "factor": 2.0},
                "sliding_attention": None,
            },
            "rope_theta": 1e6,
            "partial_rotary_factor": 0.5,
        },
    ),
    "layers, a length beside": (
        {"original_max_position_embeddings": 2048, **LAYERS},
        {"rope_scaling": {"full_attention": {"type": "yarn", "factor": 2.0}}},
    ),
    "labels": (
        {"_rope_type_labels": ("main",), **LAYERS, "default_rope_type": "axial"},
        {"rope_scaling": {"main": {"rope_theta": 1e4}}},
    ),
    "layers, flat": (LAYERS, {"rope_scaling": {"type": "linear", "factor": 4.0}}),
}


def config_of(face: Any, attributes: Mapping[str, Any]) -> Any:
    made: Any = type("Config", (face.RotaryEmbeddingConfigMixin,), {})()
    common = {"hidden_size": 256, "num_attention_heads": 4, "max_position_embeddings": 8192}
    values = {"rope_parameters": None, "is_heterogeneous": False, **common, **deepcopy(attributes)}
    for name, value in values.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("name", list(CONFIGS))
def test_parameters_come_into_the_same_form(name: str) -> None:
    attributes, arguments = CONFIGS[name]
    mine, original = (config_of(face, attributes) for face in FACES)
    given = deepcopy(arguments)
    rest = mine.convert_rope_params_to_dict(**given)
    assert given == arguments  # theirs writes into it
    assert rest == original.convert_rope_params_to_dict(**deepcopy(arguments))
    assert mine.rope_parameters == original.rope_parameters
    ignored = (set(each.ignore_keys_at_rope_validation) for each in (mine, original))
    assert next(ignored) == next(ignored)
    for config in (mine, original):  # once more changes nothing
        config.standardize_rope_params()
    assert mine.rope_parameters == original.rope_parameters


def good(rope_type: str, **keys: Any) -> dict[str, Any]:
    return {"rope_type": rope_type, "rope_theta": 1e4, **keys}


YARN = good("yarn", factor=2.0, **LENGTH)
LONG = good("longrope", factor=2.0, **LISTS, **LENGTH)
LLAMA = good("llama3", factor=2.0, **BANDS)

# Parameters, and how many things are odd about them.
PARAMETERS: Mapping[str, tuple[dict[str, Any], int]] = {
    "default": (good("default"), 0),
    "default, a factor": (good("default", factor=2.0), 1),
    "default, old": ({"type": "default", "rope_theta": 1e4}, 0),
    "axial": (good("axial"), 0),
    "unknown": (good("spiral"), 1),
    "linear": (good("linear", factor=2), 0),
    "linear, shrunk": (good("linear", factor=0.5), 1),
    "linear, a word": (good("linear", factor="2"), 1),
    "linear, None": (good("linear", factor=None), 1),
    "linear, odd keys": (good("linear", factor=2.0, alpha=1, beta=2), 1),
    "dynamic": (good("dynamic", factor=2.0), 0),
    "dynamic, shrunk": (good("dynamic", factor=-2.0), 1),
    "yarn": (YARN, 0),
    "yarn, all": ({**YARN, "mscale": 1.0, "mscale_all_dim": 1.0, "truncate": False}, 0),
    "yarn, a share": ({**YARN, "partial_rotary_factor": 0.5}, 0),
    "yarn, attention_factor": ({**YARN, "attention_factor": -1.0}, 1),
    "yarn, an integer": ({**YARN, "attention_factor": 1}, 1),
    "yarn, betas": ({**YARN, "beta_fast": 1, "beta_slow": 2}, 1),
    "yarn, one beta": ({**YARN, "beta_slow": 33}, 1),
    "yarn, empty betas": ({**YARN, "beta_fast": None, "beta_slow": 0}, 0),
    "yarn, lengths": ({**YARN, "factor": 4.0}, 1),
    "yarn, one length": ({**YARN, "original_max_position_embeddings": 8192}, 0),
    "yarn, shrunk": ({**YARN, "factor": 0.5}, 2),
    "longrope": (LONG, 0),
    "longrope, no factor": ({k: v for k, v in LONG.items() if k != "factor"}, 1),
    "longrope, shrunk": ({**LONG, "factor": 0.5}, 1),
    "longrope, a tuple": ({**LONG, "short_factor": (1.0,) * 32}, 1),
    "longrope, short": ({**LONG, "long_factor": [1.0] * 31}, 1),
    "longrope, a share": ({**LONG, "partial_rotary_factor": 0.5}, 2),
    "longrope, an integer": ({**LONG, "attention_factor": 1}, 0),
    "longrope, attention_factor": ({**LONG, "attention_factor": -1}, 1),
    "llama3": (LLAMA, 0),
    "llama3, bands": ({**LLAMA, "low_freq_factor": 4.0}, 1),
    "llama3, lengths": ({**LLAMA, "original_max_position_embeddings": 8192}, 1),
    "llama3, half a length": ({**LLAMA, "original_max_position_embeddings": 4096.5}, 1),
    "proportional": (good("proportional", partial_rotary_factor=0.5), 0),
    "proportional, all": (good("proportional"), 1),
    "proportional, a factor": (good("proportional", partial_rotary_factor=0.5, factor=2.0), 1),
}


def validated(face: Any, config: Any, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Validate, and return what was warned of."""
    transformers.utils.logging.warning_once.cache_clear()
    name = "transformers" if face is theirs else "ropelab_cuda"
    logger = logging.getLogger(name)
    caplog.clear()
    logger.addHandler(caplog.handler)
    try:
        config.validate_rope()
    finally:
        logger.removeHandler(caplog.handler)
    return sorted({each.getMessage() for each in caplog.records if each.name.startswith(name)})


@pytest.mark.parametrize("name", list(PARAMETERS))
def test_the_same_is_odd(name: str, caplog: pytest.LogCaptureFixture) -> None:
    parameters, odd = PARAMETERS[name]
    found = []
    for face in FACES:
        config = config_of(face, {"rope_parameters": parameters})
        found.append(len(validated(face, config, caplog)))
        assert config.rope_parameters["rope_type"] == parameters.get("rope_type", "default")
    mine, original = found
    # One message of ours may hold both of theirs about a float for an original length.
    assert (mine, original) == (odd, odd)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (good("linear"), "factor"),
        (good("yarn", factor=2.0), "original_max_position_embeddings"),
        ({k: v for k, v in LONG.items() if k != "short_factor"}, "short_factor"),
        ({k: v for k, v in LLAMA.items() if k != "high_freq_factor"}, "high_freq_factor"),
        ({"rope_type": "proportional"}, "rope_theta"),
        ({**{k: v for k, v in LLAMA.items() if k != "rope_theta"}}, "rope_theta"),
    ],
)
def test_a_missing_key_is_named(given: dict[str, Any], key: str) -> None:
    for face in FACES:
        with pytest.raises(KeyError, match=key):
            config_of(face, {"rope_parameters": given}).validate_rope()


@pytest.mark.parametrize(("head_dim", "share"), [(5, 1.0), (7, None), (129, 1.0)])
def test_a_whole_odd_head_is_refused(head_dim: int, share: float | None) -> None:
    given = good("default", **({} if share is None else {"partial_rotary_factor": share}))
    for face in FACES:
        with pytest.raises(ValueError, match="even"):
            config_of(face, {"rope_parameters": given, "head_dim": head_dim}).validate_rope()


@pytest.mark.parametrize(("head_dim", "share"), [(3, 1.0), (5, 0.5), (6, 1.0)])
def test_other_odd_heads_pass(head_dim: int, share: float) -> None:
    given = good("default", partial_rotary_factor=share)
    for face in FACES:
        config_of(face, {"rope_parameters": given, "head_dim": head_dim}).validate_rope()


def test_each_layer_type_is_checked(caplog: pytest.LogCaptureFixture) -> None:
    both = {"full_attention": good("linear", factor=0.5), "sliding_attention": None}
    for face in FACES:
        config = config_of(face, {"rope_parameters": both, **LAYERS})
        assert len(validated(face, config, caplog)) == 1


def test_keys_may_be_ignored(caplog: pytest.LogCaptureFixture) -> None:
    config = config_of(ours, {"rope_parameters": good("default", mrope_section=[1, 1, 2])})
    with caplog.at_level(logging.WARNING):
        config.validate_rope(ignore_keys={"mrope_section"})
        assert caplog.records == []
        config.ignore_keys_at_rope_validation = {"mrope_section"}
        config.validate_rope()
        assert caplog.records == []
        config.ignore_keys_at_rope_validation = set()
        with pytest.warns(FutureWarning, match="rope_config_validation"):
            ours.rope_config_validation(config, {"mrope_section"})
        assert caplog.records == []
        config.ignore_keys_at_rope_validation = set()
        config.validate_rope()
    assert "mrope_section" in caplog.text


def test_it_serves_a_config_of_transformers() -> None:
    mixed: Any = type("Mine", (ours.RotaryEmbeddingConfigMixin, PreTrainedConfig), {})
    given: dict[str, Any] = {"hidden_size": 256, "num_attention_heads": 4}
    config = mixed(max_position_embeddings=8192, rope_scaling=dict(LLAMA), **given)
    config.convert_rope_params_to_dict(rope_scaling=dict(LLAMA))
    assert config.rope_parameters == LLAMA
    found, _ = ours.ROPE_INIT_FUNCTIONS["llama3"](config)
    expected, _ = theirs.ROPE_INIT_FUNCTIONS["llama3"](config)
    assert found.shape == expected.shape == (32,)
