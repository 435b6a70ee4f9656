"""Every model of Transformers, as its config class describes it, gives its own module's numbers."""

import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from ropelab import layer_types_from_transformers, layers_from_transformers
from ropelab.formats.transformers_models import ROPE_MODELS
from tests.float32 import float32_tolerance
from tests.parity.support import V5, numbers, rotary_class

# Building a class of Transformers warns of much that is not asked here.
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

# Models of whose config class the default describes no model of text with one RoPE module.
APART = {
    "blt": "its parts have configs of their own",
    "cohere_compass_text": "its class asks for parameters that it does not fill in",
    "codegen": "has a table instead of a module; gptj's is compared in test_reading",
    "dbrx": "has its widths under names of its own; refused by name",
    "efficientloftr": "a vision model whose factor of 4 is not a share",
    "esm": "its default has learned positions",
    "glm4_moe": "the default head_dim is a quotient with a rest; refused by name",
    "glm4v_moe_text": "the default head_dim is a quotient with a rest; refused by name",
    "granitemoehybrid": "its default has no positions",
    "gptj": "has a table instead of a module; compared in test_reading",
    "moonshine": "an encoder and a decoder, each with widths of its own; refused by name",
    "musicflamingo": "an audio model whose positions are times",
    "qwen3_omni_moe_text": "the default head_dim is a quotient with a rest; refused by name",
    "zamba2": "the module is built but not used by default",
}
# Models of 4.57 whose module is none of a config, or of another one than 5.24's.
APART_IN_4_57 = {
    "phimoe": "the module makes its frequencies at each call and keeps none",
    "chameleon": "the module takes a width and a base",
    "gemma3_text": "there is a module for each base, and neither knows its layers",
    "gemma3n_text": "there is a module for each base, and neither knows its layers",
    "modernbert": "each layer has a module, made with a width and a base",
    "olmo3": "the default base was 10000",
    "recurrent_gemma": "the module takes a width and a base",
}
APART |= {} if V5 else APART_IN_4_57
MODELS = sorted(ROPE_MODELS & set(CONFIG_MAPPING) - set(APART))
# Models whose parameters have names of their own, or whose layers are run more than once.
NAMED_APART = {"deepseek_v4", "dory", "zaya"}
COUNTS = (1, 2, 5, 12, 13, 31)


def build(model_type: str) -> tuple[Any, Any]:
    """Return a default config and the rotary module of its model, or None for the module."""
    config = CONFIG_MAPPING[model_type]()
    try:
        return config, rotary_class(config)(config)
    except (AttributeError, ImportError, StopIteration):
        return config, None  # a shell around configs of text and images, or a table


def listed(model_type: str, **given: Any) -> Any:
    """Return a config whose class fills in a list of several kinds of layers, or None."""
    kind: Any = CONFIG_MAPPING[model_type]
    try:
        config = kind(**given)
    except Exception:  # each class has its own minimum of layers
        return None
    theirs = config.__dict__.get("layer_types")
    return None if not theirs or model_type in NAMED_APART else config


def with_a_module() -> list[str]:
    return [name for name in MODELS if build(name)[1] is not None]


def with_a_list() -> list[str]:
    """Name the models whose lists say more than which layers have a rotary embedding."""
    found = [(name, config) for name in MODELS if (config := listed(name)) is not None]
    return [name for name, config in found if any(kinds_of(config).values())]


def kinds_of(config: Any) -> dict[str, Any]:
    layers = layers_from_transformers(config.to_dict())
    return {} if {"rope", "nope"} & set(layers) else layers


def with_a_pattern() -> list[tuple[str, int]]:
    found = ((name, count, listed(name, num_hidden_layers=count)) for name, count in _counted())
    return [(n, c) for n, c, config in found if config and len(set(config.layer_types)) > 1]


def _counted() -> Iterator[tuple[str, int]]:
    return product(MODELS, COUNTS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test the models that it has something to ask of, so that none passes unasked."""
    asked = "parity" in metafunc.config.option.markexpr.split()
    wanted = asked and "not" not in metafunc.config.option.markexpr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if metafunc.definition.name == "test_a_model_has_the_numbers_of_its_own_module":
            metafunc.parametrize("model_type", with_a_module() if wanted else MODELS)
        elif (
            metafunc.definition.name
            == "test_the_layers_of_a_model_are_those_that_its_class_fills_in"
        ):
            metafunc.parametrize("model_type", with_a_list() if wanted else MODELS)
        elif metafunc.definition.name == "test_a_list_of_layers_is_filled_in_as_by_transformers":
            given = with_a_pattern() if wanted else list(_counted())
            metafunc.parametrize(("model_type", "count"), given)


def test_most_models_are_compared() -> None:
    assert len(with_a_module()) >= (186 if V5 else 69)


def test_a_model_has_the_numbers_of_its_own_module(model_type: str) -> None:
    config, module = build(model_type)
    compared = 0
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
        compared += 1
    assert compared


if V5:  # 4.57 fills in few lists of layers

    def test_many_lists_are_compared() -> None:
        assert len(with_a_list()) >= 58
        assert len(with_a_pattern()) >= 180

    def test_the_layers_of_a_model_are_those_that_its_class_fills_in(model_type: str) -> None:
        config = listed(model_type)
        assert set(config.layer_types) <= set(kinds_of(config))
        assert layer_types_from_transformers(config.to_dict()) == tuple(config.layer_types)

    def test_a_list_of_layers_is_filled_in_as_by_transformers(model_type: str, count: int) -> None:
        config = listed(model_type, num_hidden_layers=count)
        values = {key: value for key, value in config.to_dict().items() if key != "layer_types"}
        ours = layer_types_from_transformers(values)
        if {"rope", "nope"} & set(ours):
            flags = getattr(config, "no_rope_layers", None) or config.layer_rope_theta
            assert ours == tuple("rope" if flag else "nope" for flag in flags)
        else:
            assert ours == tuple(config.layer_types)
