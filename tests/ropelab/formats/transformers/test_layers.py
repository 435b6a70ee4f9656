"""Each kind of layers has its own rope or none, and each layer is of one kind."""

from typing import Any

import pytest

from ropelab import (
    Rope,
    from_transformers,
    layer_types_from_transformers,
    layers_from_transformers,
)
from ropelab.formats import read_layers
from ropelab.models import MODELS
from ropelab.scaling import Linear, Proportional
from tests.ropelab.formats.published import GEMMA_3, LLAMA_3, Config
from tests.ropelab.support import refuses

HEADS: Config = {"hidden_size": 512, "num_attention_heads": 8, "head_dim": 64, "rope_theta": 1e4}
ROPE = Rope(64)


def test_a_plain_model_has_one_kind_of_layers() -> None:
    config = {**LLAMA_3, "num_hidden_layers": 3}
    assert layers_from_transformers(config) == {"full_attention": from_transformers(LLAMA_3)}
    assert layer_types_from_transformers(config) == ("full_attention",) * 3


def test_kinds_that_a_config_lists_share_one_rope() -> None:
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    config = {**HEADS, "model_type": "mistral", "layer_types": kinds}
    layers = layers_from_transformers(config)
    assert layers == {"sliding_attention": ROPE, "full_attention": ROPE}
    assert layer_types_from_transformers(config) == tuple(kinds)


def test_gemma_3_has_one_rope_a_kind() -> None:
    layers = layers_from_transformers(GEMMA_3)
    assert set(layers) == {"sliding_attention", "full_attention"}
    for kind, rope in layers.items():
        assert rope == from_transformers(GEMMA_3, kind)


def test_gemma_4_has_wider_heads_where_attention_is_full() -> None:
    # As Gemma4TextConfig fills them in: proportional, a quarter of 512 channels.
    config: Config = {
        "model_type": "gemma4_text",
        "head_dim": 256,
        "global_head_dim": 512,
        "num_hidden_layers": 7,
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
            "full_attention": {
                "rope_type": "proportional",
                "rope_theta": 1_000_000.0,
                "partial_rotary_factor": 0.25,
            },
        },
    }
    layers = {
        "sliding_attention": Rope(256),
        "full_attention": Rope(512, base=1e6, scaling=Proportional(0.25)),
    }
    assert layers_from_transformers(config) == layers
    # Every sixth is full, and the last one in any case.
    assert [kind[0] for kind in layer_types_from_transformers(config)] == list("sssssff")
    # A config object of Transformers says the same layer by layer.
    single = {key: value for key, value in config.items() if key != "global_head_dim"}
    single["layer_types"] = ["sliding_attention", "full_attention"]
    single["per_layer_config"] = {"1": {"head_dim": 384}}
    wide = layers_from_transformers({**single, "num_hidden_layers": 2})["full_attention"]
    assert wide is not None
    assert wide.head_dim == 384


@pytest.mark.parametrize("model_type", ["llama4_text", "smollm3", "something_new"])
def test_one_in_no_rope_layers_means_rope(model_type: str) -> None:
    config = {**HEADS, "model_type": model_type, "no_rope_layers": [1, 1, 0, 1, 0]}
    layers = layers_from_transformers({**config, "num_hidden_layers": 5})
    assert layers["nope"] is None
    rope = layers["rope"]
    assert rope is not None
    assert rope.head_dim == 64
    assert layer_types_from_transformers(config) == ("rope", "rope", "nope", "rope", "nope")
    assert from_transformers(config, "nope") is None
    assert from_transformers(config, "rope") == rope


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        ({}, "rrrnrrrn"),
        ({"no_rope_layers": None}, "rrrnrrrn"),
        ({"no_rope_layer_interval": 3}, "rrnrrnrr"),
    ],
)
def test_every_fourth_layer_is_without_unless_a_config_says_otherwise(
    given: Config, kinds: str
) -> None:
    config = {"model_type": "smollm3", "num_hidden_layers": 8, **given}
    assert "".join(kind[0] for kind in layer_types_from_transformers(config)) == kinds


@pytest.mark.parametrize(
    ("model_type", "more", "full"),
    [
        ("cohere2", {}, None),
        ("afmoe", {}, None),
        ("exaone4", {"sliding_window": 4096}, None),
        ("exaone4", {"sliding_window": None}, ROPE),
        ("gemma2", {}, ROPE),
    ],
)
def test_some_models_rotate_only_where_attention_slides(
    model_type: str, more: Config, full: Rope | None
) -> None:
    kinds = ["sliding_attention", "full_attention"]
    config = {**HEADS, "model_type": model_type, "layer_types": kinds, **more}
    layers = layers_from_transformers(config)
    assert {kind: rope and rope.head_dim for kind, rope in layers.items()} == {
        "sliding_attention": 64,
        "full_attention": full and 64,
    }
    assert (from_transformers(config, "full_attention") is None) == (full is None)


def test_layers_without_attention_have_no_rope() -> None:
    config = {**HEADS, "model_type": "qwen3_next", "num_hidden_layers": 4}
    layers = layers_from_transformers(config)
    assert layers == {"linear_attention": None, "full_attention": Rope(64, rotary_dim=16)}
    assert layer_types_from_transformers(config) == ("linear_attention",) * 3 + ("full_attention",)


def test_deepseek_v4_names_its_ropes_otherwise_than_its_layers() -> None:
    kinds = ["sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention"]
    config = {"model_type": "deepseek_v4", "head_dim": 512, "layer_types": kinds}
    layers = layers_from_transformers(config)
    turned: Any = {"rotary_dim": 64, "rotary_offset": 448, "layout": "interleaved"}
    assert layers == {"main": Rope(512, **turned), "compress": Rope(512, base=1.6e5, **turned)}
    assert layer_types_from_transformers(config) == ("main", "compress", "compress")


def test_a_list_of_bases_is_read_layer_by_layer() -> None:
    config = {**HEADS, "model_type": "granite_swa", "rope_scaling": {"type": "linear", "factor": 2}}
    one = {**config, "layer_rope_theta": [500.0, 0, 500.0]}
    rope = Rope(64, base=500.0, scaling=Linear(2.0))
    assert layers_from_transformers(one) == {"rope": rope, "nope": None}
    assert layer_types_from_transformers(one) == ("rope", "nope", "rope")
    two = {**config, "layer_rope_theta": [500.0, 0.0, 7.0, 7.0]}
    assert layer_types_from_transformers(two) == ("rope_theta=500", "nope", *["rope_theta=7"] * 2)
    layers = layers_from_transformers(two)
    assert {kind: rope and rope.base for kind, rope in layers.items()} == {
        "rope_theta=500": 500.0,
        "nope": None,
        "rope_theta=7": 7.0,
    }


def test_a_model_without_rope_has_layers_without() -> None:
    config = {"model_type": "gpt2", "num_hidden_layers": 2}
    assert layers_from_transformers(config) == {"full_attention": None}
    assert layer_types_from_transformers(config) == ("full_attention",) * 2


@pytest.mark.parametrize(
    ("config", "kind", "name", "came"),
    [
        ({}, ValueError, "layer_types", "num_hidden_layers"),
        ({"num_hidden_layers": "3"}, TypeError, "num_hidden_layers", "'3'"),
        ({"num_hidden_layers": 3, "layer_types": ["a"]}, ValueError, "layer_types", "1"),
        ({"num_hidden_layers": 2**62}, ValueError, "num_hidden_layers", str(2**62)),
        ({"layer_types": "full_attention"}, TypeError, "layer_types", "'full_attention'"),
        ({"num_hidden_layers": 3, "no_rope_layers": [1, 0]}, ValueError, "no_rope_layers", "2"),
        ({"no_rope_layers": [1, 2]}, ValueError, "no_rope_layers", "[1, 2]"),
        ({"no_rope_layers": 4}, TypeError, "no_rope_layers", "4"),
        ({"layer_rope_theta": [1e4, "0"]}, TypeError, "layer_rope_theta", "'0'"),
        (
            {
                "layer_types": ["full_attention", "other"],
                "rope_parameters": {"full_attention": {"rope_theta": 5.0}},
            },
            ValueError,
            "layer_types",
            "other",
        ),
    ],
)
def test_what_does_not_say_the_layers_is_refused(
    config: Config, kind: type[Exception], name: str, came: str
) -> None:
    with refuses(kind, name, came):
        layer_types_from_transformers({**HEADS, "model_type": "llama", **config})


def test_layers_of_lfm3_are_filled_in_as_its_class_lists_them() -> None:
    listed = dict(MODELS["LFM3"].config)
    types = tuple(listed.pop("layer_types"))
    assert set(types) == {"conv", "sliding_attention", "full_attention"}
    assert layer_types_from_transformers({**listed, "num_hidden_layers": len(types)}) == types


@pytest.mark.parametrize("count", [65, 100_000])
def test_more_kinds_than_any_model_has(count: int) -> None:
    names = [f"kind {n}" for n in range(count)]
    told = f"at most 64 kinds of layers; got {count}"
    listed = {**HEADS, "model_type": "mistral", "layer_types": names}
    nested = {
        "model_type": "mistral",
        "head_dim": 64,
        "rope_parameters": {name: {"rope_theta": 1e4} for name in names},
    }
    bases = {**HEADS, "model_type": "mistral", "layer_rope_theta": [1e4 + n for n in range(count)]}
    for config, key in (
        (listed, "layer_types"),
        (nested, "rope_parameters"),
        (bases, "layer_rope_theta"),
    ):
        with refuses(ValueError, key, told):
            layers_from_transformers(config)
    with refuses(ValueError, "rope_parameters", told):
        read_layers(nested, "vllm")


def test_as_many_kinds_as_can_be() -> None:
    names = [f"kind {n}" for n in range(64)]
    config = {**HEADS, "model_type": "mistral", "layer_types": names}
    assert layers_from_transformers(config) == dict.fromkeys(names, ROPE)
