"""Queries are scaled in the layers, and by the numbers, of Transformers' models."""

import pytest
import torch
from transformers.models.ministral3.modeling_ministral3 import get_llama_4_attn_scale

from ropelab import layers_from_transformers, query_scales_from_transformers
from ropelab.query_scale import Llama4Temperature, MinistralTemperature
from tests.ropelab.formats.published import LLAMA_3, Config
from tests.ropelab.support import refuses

LLAMA_4: Config = {"model_type": "llama4_text", "head_dim": 128, "num_hidden_layers": 8}
RULE: Config = {
    "type": "yarn",
    "factor": 16.0,
    "rope_theta": 1e6,
    "original_max_position_embeddings": 16384,
    "max_position_embeddings": 262144,
    "llama_4_scaling_beta": 0.1,
}
MINISTRAL: Config = {
    "model_type": "ministral3",
    "head_dim": 128,
    "max_position_embeddings": 262144,
    "rope_parameters": RULE,
}


@pytest.mark.parametrize(
    ("more", "scale"),
    [
        ({}, Llama4Temperature(0.1, 8192)),
        ({"attn_temperature_tuning": True, "attn_scale": 0.3}, Llama4Temperature(0.3, 8192)),
        ({"attn_temperature_tuning": 4, "floor_scale": 1024}, Llama4Temperature(0.1, 1024)),
        ({"attn_temperature_tuning": False}, None),
        ({"attn_temperature_tuning": 0}, None),
    ],
)
def test_llama_4_scales_where_nothing_turns(more: Config, scale: Llama4Temperature | None) -> None:
    config = {**LLAMA_4, **more}
    assert query_scales_from_transformers(config) == {"rope": None, "nope": scale}
    assert set(query_scales_from_transformers(config)) == set(layers_from_transformers(config))


@pytest.mark.parametrize("model_type", ["ministral3", "mistral4"])
def test_ministral_scales_everywhere(model_type: str) -> None:
    scales = query_scales_from_transformers({**MINISTRAL, "model_type": model_type})
    assert scales == {"full_attention": MinistralTemperature(0.1, 16384)}
    positions = torch.tensor([[0, 16383, 16384, 262143]])
    theirs = get_llama_4_attn_scale(positions, 0.1, 16384).flatten().tolist()
    scale = scales["full_attention"]
    assert scale is not None
    assert scale.scale(positions.numpy())[0].tolist() == pytest.approx(theirs, rel=2.0**-22)


def test_the_beta_of_ministral_is_no_unknown_key() -> None:
    layers_from_transformers(MINISTRAL)  # a warning would be an error


def test_other_models_scale_no_query() -> None:
    assert query_scales_from_transformers(LLAMA_3) == {"full_attention": None}
    assert query_scales_from_transformers({"model_type": "gpt2"}) == {"full_attention": None}


def test_a_missing_beta_is_named() -> None:
    rule = {key: value for key, value in RULE.items() if key != "llama_4_scaling_beta"}
    with refuses(ValueError, "llama_4_scaling_beta", "ministral3"):
        query_scales_from_transformers({**MINISTRAL, "rope_parameters": rule})
