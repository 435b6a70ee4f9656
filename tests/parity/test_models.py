"""Every model of Transformers, as its config class describes it, gives its own module's numbers."""

from typing import Any

import numpy as np
import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from ropelab import layer_types_from_transformers, layers_from_transformers
from ropelab.formats.transformers_models import ROPE_MODELS
from tests.float32 import float32_tolerance
from tests.parity.support import V5, numbers, rotary_class

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

# Models of whose config class the default describes no model of text with one RoPE module.
APART = {
    "blt": "its parts have configs of their own",
    "cohere_compass_text": "its class asks for parameters that it does not fill in",
    "codegen": "has a table instead of a module; gptj's is compared in test_reading",
    "dbrx": "has its widths under names of its own; refused by name",
    "efficientloftr": "a vision model whose factor of 4 is not a share",
    "glm4_moe": "the default head_dim is a quotient with a rest; refused by name",
    "glm4v_moe_text": "the default head_dim is a quotient with a rest; refused by name",
    "gptj": "has a table instead of a module; compared in test_reading",
    "moonshine": "an encoder and a decoder, each with widths of its own; refused by name",
    "musicflamingo": "an audio model whose positions are times",
    "qwen3_omni_moe_text": "the default head_dim is a quotient with a rest; refused by name",
    "zamba2": "the module is built but not used by default",
}
# Models of 4.57 whose module is none of a config, or of another one than 5.24's.
APART_IN_4_57 = {
    "chameleon": "the module takes a width and a base",
    "esm": "the module takes a width, and its base is fixed",
    "gemma3_text": "there is a module for each base, and neither knows its layers",
    "gemma3n_text": "there is a module for each base, and neither knows its layers",
    "modernbert": "each layer has a module, made with a width and a base",
    "olmo3": "the default base was 10000",
    "recurrent_gemma": "the module takes a width and a base",
}
APART |= {} if V5 else APART_IN_4_57
MODELS = sorted(ROPE_MODELS & set(CONFIG_MAPPING) - set(APART))
LISTED = MODELS if V5 else ["mistral"]  # 4.57 fills in fewer lists of layers


def build(model_type: str) -> tuple[Any, Any]:
    """Return a default config and the rotary module of its model, or None for the module."""
    config = CONFIG_MAPPING[model_type]()
    try:
        return config, rotary_class(config)(config)
    except (AttributeError, ImportError, StopIteration):
        return config, None  # a shell around configs of text and images, or a table


def test_most_models_are_compared() -> None:
    with_a_module = [name for name in MODELS if build(name)[1] is not None]
    assert len(with_a_module) > (180 if V5 else 70)


@pytest.mark.parametrize("model_type", MODELS)
def test_a_model_has_the_numbers_of_its_own_module(model_type: str) -> None:
    config, module = build(model_type)
    if module is None:
        return
    for layer, rope in layers_from_transformers(config.to_dict()).items():
        has = hasattr(module, f"{layer}_inv_freq") or hasattr(module, "inv_freq")
        if rope is None or not has:
            continue  # without RoPE; or of a type that the default model does not have
        inv_freq, factor = numbers(module, layer, None)
        spectrum = rope.spectrum()
        ours = spectrum.inv_freq
        if model_type.startswith("ernie4_5_vl"):  # theirs lie in the order of the sections
            inv_freq = np.sort(inv_freq)[::-1]
        assert inv_freq.shape == ours.shape
        assert (np.abs(inv_freq - ours) <= float32_tolerance(rope) * ours).all()
        assert factor == pytest.approx(spectrum.attention_factor, rel=1e-12, abs=0.0)


@pytest.mark.parametrize("model_type", LISTED)
def test_the_layers_of_a_model_are_those_that_its_class_fills_in(model_type: str) -> None:
    config = CONFIG_MAPPING[model_type]()
    theirs = config.__dict__.get("layer_types")
    if not theirs or model_type in {"deepseek_v4", "dory", "zaya"}:
        return  # none listed; or parameters by other names, or layers run more than once
    values = config.to_dict()
    layers = layers_from_transformers(values)
    if {"rope", "nope"} & set(layers) or not any(layers.values()):
        return  # told apart by a list of their own
    assert set(theirs) <= set(layers)
    assert layer_types_from_transformers(values) == tuple(theirs)


@pytest.mark.parametrize("count", [1, 2, 5, 12, 13, 31])
@pytest.mark.parametrize("model_type", LISTED)
def test_a_list_of_layers_is_filled_in_as_by_transformers(model_type: str, count: int) -> None:
    try:
        kind: Any = CONFIG_MAPPING[model_type]
        config = kind(num_hidden_layers=count)
    except Exception:  # each class has its own minimum
        return
    theirs = config.__dict__.get("layer_types")
    if not theirs or len(set(theirs)) == 1 or model_type in {"deepseek_v4", "dory", "zaya"}:
        return
    values = {key: value for key, value in config.to_dict().items() if key != "layer_types"}
    ours = layer_types_from_transformers(values)
    if {"rope", "nope"} & set(ours):
        flags = getattr(config, "no_rope_layers", None) or config.layer_rope_theta
        assert ours == tuple("rope" if flag else "nope" for flag in flags)
    else:
        assert ours == tuple(theirs)
