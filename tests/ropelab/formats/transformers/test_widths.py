"""The share of channels that a class fills in is the table's."""

import functools
import warnings
from collections.abc import Mapping
from typing import Any

import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from ropelab import Rope, from_transformers
from ropelab.formats import read_transformers
from ropelab.formats.transformers.widths import DEFAULT_PARTIALS, LAYER_PARTIALS
from tests.ropelab.formats.published import Config
from tests.ropelab.support import refuses

HEADS: Config = {"hidden_size": 640, "num_attention_heads": 8, "head_dim": 80, "rope_theta": 1e4}


def share_of(parameters: Mapping[str, Any]) -> Any:
    return parameters.get("partial_rotary_factor", 1.0)


@functools.cache
def sweep() -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Build every config class of a rule that has no share."""
    flat: dict[str, float] = {}
    layers: dict[str, dict[str, float]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in CONFIG_MAPPING:
            kind: Any = CONFIG_MAPPING[name]
            try:
                found = kind(rope_parameters={"rope_type": "default"})
            except Exception:  # each class refuses in its own way
                try:
                    found = kind(rope_parameters={})
                except Exception:
                    continue
            parameters = getattr(found, "rope_parameters", None)
            if not isinstance(parameters, Mapping):
                continue
            inner = {key: each for key, each in parameters.items() if isinstance(each, Mapping)}
            if inner:
                layers[name] = {key: share_of(each) for key, each in inner.items()}
            else:
                flat[name] = share_of(parameters)
    return flat, layers


def test_the_table_has_every_share_that_is_not_1() -> None:
    flat, _ = sweep()
    uneven = {name: share for name, share in flat.items() if share != 1.0}
    del uneven["efficientloftr"]  # a vision model whose 4 is no share
    assert uneven == dict(DEFAULT_PARTIALS)


def test_the_table_has_every_share_that_differs_from_layer_to_layer() -> None:
    _, layers = sweep()
    # Gemma 4's is its rule's own parameter.
    own = {name for name in layers if "gemma" in name}
    uneven = {name: each for name, each in layers.items() if set(each.values()) - {1.0}}
    assert {name: each for name, each in uneven.items() if name not in own} == {
        name: dict(each) for name, each in LAYER_PARTIALS.items()
    }


@pytest.mark.parametrize(
    ("model_type", "rotary_dim"),
    [
        *(("gpt_neox", 20), ("phi", 40), ("stablelm", 20), ("persimmon", 40), ("nemotron", 40)),
        *(("glm", 40), ("glm4", 40), ("moonshine", 72), ("qwen3_next", 20), ("llama", 80)),
    ],
)
@pytest.mark.parametrize("rule", [None, {"type": "linear", "factor": 2.0}])
def test_a_config_without_a_share_has_its_models(
    model_type: str, rotary_dim: int, rule: Config | None
) -> None:
    rope = from_transformers({**HEADS, "model_type": model_type, "rope_scaling": rule})
    assert rope is not None
    assert rope.rotary_dim == rotary_dim


@pytest.mark.parametrize("model_type", ["gptj", "codegen"])
def test_a_config_without_rotary_dim_has_its_models(model_type: str) -> None:
    config = {"model_type": model_type, "n_embd": 4096, "n_head": 16}
    rope = from_transformers(config)
    assert rope is not None
    assert rope.rotary_dim == 64


def test_a_given_share_replaces_the_models() -> None:
    config = {**HEADS, "model_type": "stablelm", "partial_rotary_factor": 1.0}
    assert from_transformers(config) == Rope(80)


def test_mistral_4_and_deepseek_rotate_what_they_say() -> None:
    parts = {"qk_nope_head_dim": 96, "qk_rope_head_dim": 32, "rope_theta": 1e4}
    shares = {"rope_parameters": {"rope_type": "linear", "factor": 2.0}}
    rope = read_transformers({**parts, **shares, "model_type": "mistral4"}).rope
    assert rope is not None
    assert (rope.head_dim, rope.rotary_dim, rope.rotary_offset) == (128, 64, 64)
    rope = read_transformers({**parts, **shares, "model_type": "deepseek_v3"}).rope
    assert rope is not None
    assert (rope.head_dim, rope.rotary_dim, rope.rotary_offset) == (32, 32, 0)


@pytest.mark.parametrize("single", [{"a": {}}, {None: {}}, {"1": 128}, {"0": None}])
def test_what_is_said_of_no_layer_is_refused(single: dict[Any, Any]) -> None:
    config = {**HEADS, "model_type": "gemma4_text", "layer_types": ["full_attention"] * 2}
    with refuses(TypeError, "per_layer_config", repr(next(iter(single)))):
        read_transformers({**config, "per_layer_config": single}, "full_attention")


def test_wide_heads_of_layers_of_their_own() -> None:
    config = {**HEADS, "model_type": "gemma4_text", "global_head_dim": 2**16 + 2}
    config["layer_types"] = ["full_attention"]
    with refuses(ValueError, "head_dim", "at most 65536 channels; got 65538"):
        from_transformers(config, "full_attention")
