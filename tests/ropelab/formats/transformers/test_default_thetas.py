"""A config without rope_theta has the base that the installed Transformers gives its class."""

import functools
import warnings
from collections.abc import Mapping
from typing import Any

import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from ropelab import from_transformers
from ropelab.formats import read_transformers
from ropelab.formats.transformers.default_thetas import DEFAULT_THETAS, LAYER_THETAS, OWN_PARAMETERS
from ropelab.formats.transformers_models import ROPE_MODELS
from tests.ropelab.support import refuses

HEADS = {"hidden_size": 512, "num_attention_heads": 8, "head_dim": 64}


def built(model_type: str, **given: Any) -> Mapping[str, Any]:
    """Return the parameters that the config class makes; an empty dictionary if it has none."""
    try:
        found = CONFIG_MAPPING[model_type](**given).rope_parameters
    except Exception:  # each class refuses in its own way
        return {}
    return found if isinstance(found, Mapping) else {}


def nested(parameters: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Mapping) for value in parameters.values())


@functools.cache
def sweep() -> tuple[dict[str, float], dict[str, dict[str, float]], set[str]]:
    """Build every config class, without parameters and with a rule that has no base."""
    flat: dict[str, float] = {}
    layers: dict[str, dict[str, float]] = {}
    own: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in CONFIG_MAPPING:
            default = getattr(CONFIG_MAPPING[name], "default_theta", None)
            bare = built(name)
            ruled = built(name, rope_parameters={"rope_type": "default"})
            if nested(bare) and (nested(ruled) or ruled.get("rope_theta") is None):
                layers[name] = {
                    key: value["rope_theta"]
                    for key, value in bare.items()
                    if isinstance(value, Mapping) and value.get("rope_theta") is not None
                }
                continue
            theta = ruled.get("rope_theta") or bare.get("rope_theta") or default
            flat[name] = theta if isinstance(theta, (int, float)) else 10_000.0
            rule = bare.get("rope_type", "default")
            if (
                nested(bare)
                or rule not in {"default", "axial"}
                or bare.get("rope_theta", theta) != theta
            ):
                own.add(name)
    return flat, layers, own


def test_the_table_has_every_default_that_is_not_10000() -> None:
    flat, _, _ = sweep()
    assert {name: theta for name, theta in flat.items() if theta != 10_000} == dict(DEFAULT_THETAS)


def test_the_table_has_every_default_that_differs_from_layer_to_layer() -> None:
    _, layers, _ = sweep()
    uneven = {name: each for name, each in layers.items() if set(each.values()) - {10_000.0}}
    assert uneven == {name: dict(each) for name, each in LAYER_THETAS.items()}


def test_the_models_with_a_rule_of_their_own_are_known() -> None:
    _, layers, own = sweep()
    assert own < OWN_PARAMETERS
    assert OWN_PARAMETERS - own < set(layers)


@pytest.mark.parametrize("model_type", sorted(set(DEFAULT_THETAS) & ROPE_MODELS - OWN_PARAMETERS))
def test_a_config_without_a_base_has_its_models(model_type: str) -> None:
    rope = read_transformers({"model_type": model_type, **HEADS, "rope_scaling": None}).rope
    assert rope is not None
    assert rope.base == DEFAULT_THETAS[model_type]


def test_a_flat_multimodal_config_has_the_base_of_its_text() -> None:
    rope = read_transformers({"model_type": "qwen2_vl", **HEADS}).rope
    assert rope is not None
    assert rope.base == 1e6


@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2", "phi", "gpt_neox"])
def test_a_model_whose_default_is_10000_has_it_without_a_warning(model_type: str) -> None:
    rope = from_transformers({"model_type": model_type, **HEADS})
    assert rope is not None
    assert rope.base == 1e4


@pytest.mark.parametrize("model_type", ["phi-msft", None])
def test_the_base_of_an_unknown_model_is_not_assumed_in_silence(model_type: str | None) -> None:
    config = {"model_type": model_type, **HEADS, "rope_scaling": {"type": "linear", "factor": 2.0}}
    with pytest.warns(UserWarning, match="rope_theta is missing.*10000") as caught:
        from_transformers(config)
    assert len(caught) == 1


def test_the_rule_that_a_class_fills_in_is_missed_by_name() -> None:
    with pytest.warns(UserWarning, match="rope_parameters: .*ministral3 fills in a rule"):
        from_transformers({"model_type": "ministral3", **HEADS, "rope_theta": 1e6})


def test_a_model_with_several_bases_has_no_one_default() -> None:
    with refuses(ValueError, "rope_theta", "laguna", "500000 for full_attention"):
        from_transformers({"model_type": "laguna", **HEADS})
