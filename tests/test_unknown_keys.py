"""No reader passes over an unknown key of rotary parameters in silence."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import ropelab
from ropelab.formats import (
    Reading,
    read_exllamav2,
    read_gguf,
    read_megatron,
    read_nemo_automodel,
    read_transformer_engine,
    read_vllm,
)

HEAD = {"head_dim": 64, "max_position_embeddings": 4096}
# What the types need, of which each reads its own part.
LENGTH = {"original_max_position_embeddings": 1024}
LISTS = {"short_factor": [1.0] * 32, "long_factor": [2.0] * 32, **LENGTH}
BOUNDS = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, **LENGTH}
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "linear": {"factor": 2.0},
    "dynamic": {"factor": 2.0},
    "llama3": {"factor": 2.0, **BOUNDS},
    "longrope": {"factor": 2.0, **LISTS},
    "mrope": {"mrope_section": [8, 12, 12]},
    "ntk": {"factor": 2.0},
    "proportional": {"partial_rotary_factor": 0.5},
    "su": LISTS,
    "yarn": {"factor": 2.0, **LENGTH},
}
ODD = "rope_fcator"


def keys_of(reading: Reading) -> list[str]:
    return [finding.key for finding in reading.findings]


@pytest.mark.parametrize("place", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize(
    "kind", ["default", "linear", "dynamic", "llama3", "longrope", "proportional", "yarn"]
)
@pytest.mark.parametrize(
    "read", [ropelab.from_transformers, ropelab.layers_from_transformers], ids=["rope", "layers"]
)
def test_transformers(read: Callable[[Any], object], kind: str, place: str) -> None:
    rule = {"rope_type": kind, "rope_theta": 1e4, **NEEDED[kind], ODD: 1}
    config = {"model_type": "llama", **HEAD, place: rule}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        read(config)
    assert [ODD in str(warning.message) for warning in told].count(True) == 1


def test_transformers_by_layer() -> None:
    kinds = ("sliding_attention", "full_attention")
    rule = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4, ODD: 1}
    nested = {"model_type": "gemma3_text", **HEAD, "rope_parameters": dict.fromkeys(kinds, rule)}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        ropelab.layers_from_transformers(nested)
    for kind in kinds:
        assert any(kind in str(w.message) and ODD in str(w.message) for w in told)


@pytest.mark.parametrize("kind", ["default", "dynamic", "linear", "llama3", "longrope", "yarn"])
def test_nemo_automodel(kind: str) -> None:
    config = {**HEAD, "rope_scaling": {"rope_type": kind, **NEEDED[kind], ODD: 1}}
    assert ODD in keys_of(read_nemo_automodel(config))


def test_transformer_engine() -> None:
    arguments: Mapping[str, Any] = {"dim": 64, ODD: 1}
    with pytest.raises(TypeError, match=ODD):
        read_transformer_engine(**arguments)


@pytest.mark.parametrize("kind", ["default", "linear", "llama3", "longrope", "mrope", "su", "yarn"])
def test_exllamav2(kind: str) -> None:
    model = "Qwen2VL" if kind == "mrope" else "Phi3" if kind in ("longrope", "su") else "Llama"
    suffix = "ForConditionalGeneration" if kind == "mrope" else "ForCausalLM"
    config = {**HEAD, **LENGTH, "architectures": [model + suffix]}
    sound = {"type": kind, **NEEDED[kind]}
    assert ODD not in keys_of(read_exllamav2({**config, "rope_scaling": sound}))
    assert ODD in keys_of(read_exllamav2({**config, "rope_scaling": {**sound, ODD: 1}}))


@pytest.mark.parametrize("place", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize("kind", NEEDED)
def test_vllm(kind: str, place: str) -> None:
    sound = {"rope_type": kind, **NEEDED[kind]}
    assert ODD not in keys_of(read_vllm({**HEAD, place: sound}))
    assert ODD in keys_of(read_vllm({**HEAD, place: {**sound, ODD: 1}}))


@pytest.mark.parametrize("sliding", [False, True])
@pytest.mark.parametrize("kind", [None, "none", "linear", "longrope", "yarn"])
def test_gguf(kind: str | None, sliding: bool) -> None:
    metadata = {
        "general.architecture": "gemma3",
        "gemma3.embedding_length": 4096,
        "gemma3.attention.head_count": 32,
        "gemma3.context_length": 4096,
        "gemma3.rope.scaling.factor": 2.0,
        "gemma3.rope.scaling.fcator": 2.0,
        "gemma3.rope.nonsense": 1,
    }
    if kind is not None:
        metadata["gemma3.rope.scaling.type"] = kind
    found = keys_of(read_gguf(metadata, sliding=sliding))
    assert found == ["rope.nonsense", "rope.scaling.fcator"]


@pytest.mark.parametrize("odd", ["mrope_sections", "rope_factor", "rotary_dim", "yarn_beta"])
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("none", {}),
        ("rope", {}),
        ("rope", {"multi_latent_attention": True, "rotary_scaling_factor": 2.0}),
        ("mrope", {"mrope_section": [8, 12, 12]}),
        (
            "yarn",
            {"yarn_rotary_scaling_factor": 2.0, "yarn_original_max_position_embeddings": 1024},
        ),
    ],
)
def test_megatron(kind: str, more: Mapping[str, Any], odd: str) -> None:
    arguments = {"position_embedding_type": kind, "kv_channels": 64, **more}
    assert keys_of(read_megatron(arguments)) == []
    assert keys_of(read_megatron({**arguments, odd: 1})) == [odd]
