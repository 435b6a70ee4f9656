"""Every model of the registry that Transformers knows gives its module's numbers."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from ropelab import layers_from_transformers
from ropelab.models import MODELS
from tests.float32 import float32_tolerance
from tests.parity.support import V5, Config, numbers, rotary_class

# Building a class of Transformers warns of much that is not asked here.
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

# Models that cannot be compared, and why.
APART = {
    "GPT-J-6B": "has a table instead of a module; compared in test_reading",
    "Hunyuan-A13B": "its module wants a head_dim, which the published config leaves out",
}
APART_IN_4_57 = {
    "Devstral-Small-2-24B": "its text model is younger",
    "Ministral-3-3B": "its text model is younger",
}
APART |= {} if V5 else APART_IN_4_57
# Kinds of layers for which the module has nothing, or for which there is another module.
WITHOUT = {("Laguna", "sliding_attention")}
WITHOUT_IN_4_57 = {
    (name, "sliding_attention")
    for name in ("Gemma-3-1B", "Gemma-3-27B", "Gemma-3-4B", "Gemma-3n", "ModernBERT")
} | {("OLMo-3.1-32B", "sliding_attention")}
WITHOUT |= set() if V5 else WITHOUT_IN_4_57
PAST = 200_000  # tokens; more than the original length of any model with two lists


def plain(value: Any) -> Any:
    """Return a copy of a registry's config that can be written into."""
    if hasattr(value, "items"):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def module_of(config: Config) -> Any:
    """Build the rotary module of a config's text model."""
    given = deepcopy(config)
    text = given.get("text_config", given)
    if "layer_types" in text:  # of which the registry leaves the number to the list
        text.setdefault("num_hidden_layers", len(text["layer_types"]))
    built = AutoConfig.for_model(given.pop("model_type"), **given).get_text_config()
    return rotary_class(built)(built)


def is_known(config: Config) -> bool:
    """Say whether Transformers has such models, and reads configs spelled like this one."""
    text = config.get("text_config", config)
    return config["model_type"] in CONFIG_MAPPING and (V5 or "rope_parameters" not in text)


COMPARED = [n for n, model in MODELS.items() if is_known(dict(model.config)) and n not in APART]


def test_most_models_are_compared() -> None:
    assert len(COMPARED) >= (114 if V5 else 79)


@pytest.mark.parametrize("name", COMPARED)
def test_a_model_has_the_numbers_of_its_module(name: str) -> None:
    config = plain(MODELS[name].config)
    module = module_of(config)
    compared = 0
    for layer, rope in layers_from_transformers(config).items():
        if rope is None or (name, layer) in WITHOUT:
            continue
        for length in (None, PAST) if rope.scaling.depends_on_length else (None,):
            inv_freq, factor = numbers(module, layer, length)
            spectrum = rope.spectrum(length)
            assert inv_freq.shape == spectrum.inv_freq.shape
            apart = np.abs(inv_freq - spectrum.inv_freq)
            assert (apart <= float32_tolerance(rope) * spectrum.inv_freq).all()
            assert factor == pytest.approx(spectrum.attention_factor, rel=1e-12, abs=0.0)
            compared += 1
    assert compared
