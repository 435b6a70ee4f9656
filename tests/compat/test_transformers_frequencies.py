"""Transformers' names, signatures and frequencies beside Transformers' own."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
import transformers.modeling_rope_utils as theirs
from transformers.models.llama import modeling_llama

import ropelab_cuda.compat.transformers_rope as ours
from ropelab.formats import read_transformers
from tests.compat.transformers_configs import (
    LIMIT,
    ORIGINAL,
    PARTIAL,
    RULES,
    D,
    config_of,
    per_layer,
)
from tests.float32 import float32_tolerance


def test_it_needs_no_transformers() -> None:
    script = (
        "import sys, ropelab_cuda.compat.transformers_rope; print('transformers' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"


def shape_of(function: Any) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in parameters]


def test_every_name_is_there() -> None:
    imported = {"Any", "Callable", "Optional", "TYPE_CHECKING", "TypedDict"}
    imported |= {"is_torch_available", "logger", "logging", "math", "torch", "warnings", "wraps"}
    assert {name for name in vars(theirs) if not name.startswith("__")} - imported <= set(
        ours.__all__
    )
    assert list(ours.ROPE_INIT_FUNCTIONS) == list(theirs.ROPE_INIT_FUNCTIONS)
    assert set(ours.RopeParameters.__annotations__) == set(theirs.RopeParameters.__annotations__)


@pytest.mark.parametrize("name", list(theirs.ROPE_INIT_FUNCTIONS))
def test_functions_of_frequencies_take_the_same(name: str) -> None:
    mine, original = ours.ROPE_INIT_FUNCTIONS[name], theirs.ROPE_INIT_FUNCTIONS[name]
    assert shape_of(mine) == shape_of(original)
    assert mine.__name__ == original.__name__
    assert getattr(ours, mine.__name__) is mine


def test_other_functions_take_the_same() -> None:
    for name in ("dynamic_rope_update", "rope_config_validation"):
        assert shape_of(getattr(ours, name)) == shape_of(getattr(theirs, name))
    for name in ("apply_rotary_pos_emb", "rotate_half"):
        assert shape_of(getattr(ours, name)) == shape_of(getattr(modeling_llama, name))
    decorated = [module.dynamic_rope_update(len) for module in (ours, theirs)]
    assert shape_of(decorated[0]) == shape_of(decorated[1])


@pytest.mark.parametrize(
    "name", [name for name in vars(theirs.RotaryEmbeddingConfigMixin) if name[:2] != "__"]
)
def test_the_mixin_has_the_same(name: str) -> None:
    mine, original = (getattr(module.RotaryEmbeddingConfigMixin, name) for module in (ours, theirs))
    if not callable(original):
        assert mine == original
    elif name == "validate_rope":  # the argument of the method in Transformers 5.0
        assert [each[0] for each in shape_of(mine)] == ["self", "ignore_keys"]
        assert shape_of(mine)[:1] == shape_of(original)
    else:
        assert shape_of(mine) == shape_of(original)


@pytest.mark.parametrize("length", [None, 0, 7, ORIGINAL, ORIGINAL + 1, LIMIT + 1, 131072])
@pytest.mark.parametrize("rule", list(RULES))
def test_frequencies_are_those_of_transformers(rule: str, length: int | None) -> None:
    config = config_of(RULES[rule])
    name = RULES[rule]["rope_type"]
    expected, factor = theirs.ROPE_INIT_FUNCTIONS[name](config, None, length)
    found, mine = ours.ROPE_INIT_FUNCTIONS[name](config, None, length)
    assert (found.dtype, found.shape, found.device) == (
        *(expected.dtype, expected.shape, expected.device),
    )
    assert isinstance(mine, float)
    assert mine == pytest.approx(factor, rel=1e-15, abs=0.0)
    rope = read_transformers(config.to_dict()).rope
    assert rope is not None
    distance = np.abs(found.double().numpy() - expected.double().numpy())
    # Ours adds half an ulp of its own.
    assert (distance <= (float32_tolerance(rope) + 2.0**-24) * expected.double().numpy()).all()


def test_frequencies_are_rounded_once() -> None:
    found, _ = ours.ROPE_INIT_FUNCTIONS["linear"](config_of(RULES["linear"]))
    exact = [5e5 ** (-2 * i / D) / 3.0 for i in range(D // 2)]
    ulps = np.spacing(found.numpy()).astype(np.float64)
    assert (np.abs(found.double().numpy() - exact) <= (0.5 + 1e-6) * ulps).all()


@pytest.mark.parametrize("rule", ["linear", "dynamic", "yarn", "llama3"])
@pytest.mark.parametrize("head_dim", [64, None])
def test_widths_are_found_where_transformers_says(rule: str, head_dim: int | None) -> None:
    config = config_of({**RULES[rule], **PARTIAL}, head_dim=head_dim)
    function = ours.ROPE_INIT_FUNCTIONS[rule]
    found, _ = function(config, "cpu", seq_len=9000)
    config.head_dim = 64 if head_dim else D  # None is derived, which some of theirs refuse
    expected, _ = theirs.ROPE_INIT_FUNCTIONS[rule](config, "cpu", seq_len=9000)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=0.0)
    config.head_dim = None
    assert function(config)[0].shape == (D * 3 // 8,)


def test_a_length_may_be_a_tensor_and_a_device_none_that_holds_numbers() -> None:
    config = config_of(RULES["dynamic"])
    function = ours.ROPE_INIT_FUNCTIONS["dynamic"]
    long, _ = function(config, seq_len=torch.tensor(50_000))
    assert torch.equal(long, function(config, seq_len=50_000)[0])
    assert not torch.equal(long, function(config)[0])
    assert function(config, "meta")[0].is_meta
    with torch.device("meta"):
        assert function(config)[0].is_meta


@pytest.mark.parametrize("more", [{}, {"truncate": False}])
def test_a_layer_has_parameters_of_its_own(more: dict[str, Any]) -> None:
    config = per_layer(**more)
    functions = (module.ROPE_INIT_FUNCTIONS["yarn"] for module in (ours, theirs))
    (found, mine), (expected, factor) = (f(config, layer_type="full_attention") for f in functions)
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=0.0)
    assert mine == factor


def test_the_width_of_a_head_has_the_name_asked_for() -> None:
    config = config_of(RULES["proportional"], global_head_dim=512)
    function = ours.ROPE_INIT_FUNCTIONS["proportional"]
    expected, _ = theirs.ROPE_INIT_FUNCTIONS["proportional"](config, head_dim_key="global_head_dim")
    found, _ = function(config, head_dim_key="global_head_dim")
    assert found.shape == (256,)
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=0.0)


@pytest.mark.parametrize("theta", [None, 3e4])
def test_a_config_of_the_old_form_is_completed(theta: float | None) -> None:
    class Config(ours.RotaryEmbeddingConfigMixin):
        default_theta = 7e5
        hidden_size, num_attention_heads, max_position_embeddings = 4 * D, 4, LIMIT

    config: Any = Config()
    config.rope_theta = theta
    config.rope_parameters = {"type": "yarn", "factor": 2.0}
    found, _ = ours.ROPE_INIT_FUNCTIONS["yarn"](config)
    assert config.rope_parameters["original_max_position_embeddings"] == LIMIT
    # The slowest pair turns less than once in 8192 tokens, and is divided by the factor.
    assert float(found[-1]) == pytest.approx((theta or 7e5) ** (2 / D - 1) / 2, rel=1e-7)


@pytest.mark.parametrize(("rule", "key"), [("linear", "factor"), ("longrope", "long_factor")])
def test_a_missing_parameter_is_a_key_error(rule: str, key: str) -> None:
    config = config_of(RULES[rule])
    del config.rope_parameters[key]
    with pytest.raises(KeyError, match=f"{key}: rope_type '{rule}' needs it"):
        ours.ROPE_INIT_FUNCTIONS[rule](config)
    with pytest.raises(KeyError):
        theirs.ROPE_INIT_FUNCTIONS[rule](config)
