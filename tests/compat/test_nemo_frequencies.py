"""NeMo Automodel's reading of a config: where base and rule are, and what the rules give."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from ropelab_cuda.compat import nemo_automodel as face
from ropelab_cuda.compat.nemo_automodel import LlamaRotaryEmbedding
from tests.compat.nemo_configs import HEAD_DIM, LLAMA3, YARN, config
from tests.compat.truth import geometric

# float32 of a number that float64 has within a few of its own eps.
ROUNDED: dict[str, Any] = {"rtol": 2.0**-24 + 1e-14, "atol": 0.0}
X = torch.zeros(1)
IDS = torch.tensor([[8190, 3, 4096, 3, 7]])


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, (1e4, {})),
        ({"rope_scaling": LLAMA3, "rope_theta": 5e5}, (5e5, LLAMA3)),
        ({"rope_parameters": {**LLAMA3, "rope_theta": 1e6}}, (1e6, {**LLAMA3, "rope_theta": 1e6})),
        ({"rope_parameters": LLAMA3, "rope_theta": 5e5}, (1e4, LLAMA3)),
        ({"rope_parameters": {}, "rope_theta": 5e5}, (5e5, {})),
    ],
    ids=["bare", "Llama", "Qwen2", "no base inside", "empty"],
)
def test_where_base_and_rule_are_found(given: dict[str, Any], wanted: tuple[float, Any]) -> None:
    assert face._get_rope_config(config(**given)) == wanted


def test_attributes_of_a_class_count() -> None:
    class Config:
        head_dim = HEAD_DIM
        max_position_embeddings = 64
        rope_theta = 5e5

    inv_freq, factor = face._compute_default_inv_freq(Config())
    torch.testing.assert_close(inv_freq.double(), geometric(HEAD_DIM, 5e5), **ROUNDED)
    assert (inv_freq.dtype, factor) == (torch.float32, 1.0)


def test_default_frequencies_do_not_look_at_the_rule() -> None:
    given = config(rope_scaling=LLAMA3, partial_rotary_factor=0.5, head_dim=None)
    inv_freq, factor = face._compute_default_inv_freq(given, torch.device("cpu"))
    torch.testing.assert_close(inv_freq.double(), geometric(64, 1e4), **ROUNDED)
    assert factor == 1.0


def test_long_wavelengths_are_stretched_and_short_ones_kept() -> None:
    given = config(head_dim=128, rope_theta=5e5, rope_scaling=LLAMA3)
    inv_freq, factor = face._compute_llama3_inv_freq(given)
    ratio = inv_freq.double() / geometric(128, 5e5)
    assert ((ratio[:29] - 1.0).abs() < 1e-6).all()
    assert ((ratio[35:] - 0.125).abs() < 1e-6).all()
    assert ((ratio[29:35] < 1.0) & (ratio[29:35] > 0.125)).all()
    assert (ratio.diff() < 1e-6).all()
    assert factor == 1.0
    assert torch.equal(LlamaRotaryEmbedding(given).inv_freq, inv_freq)


def test_llama3_without_its_keys_has_automodels_defaults() -> None:
    with pytest.warns(UserWarning, match="missing; "):
        LlamaRotaryEmbedding(config(rope_scaling={"type": "llama3", "factor": 2.0}))
    bare, _ = face._compute_llama3_inv_freq(config(rope_scaling={}))
    torch.testing.assert_close(bare.double(), geometric(HEAD_DIM, 1e4), **ROUNDED)  # a factor of 1


def test_yarn_scales_cosines_and_says_what_the_fused_path_lacks() -> None:
    given = config(rope_scaling=YARN)
    rope = LlamaRotaryEmbedding(given)
    amplitude = 0.1 * math.log(4.0) + 1.0
    assert rope.attention_scaling == pytest.approx(amplitude, rel=1e-15)
    cos, sin = rope(X, IDS)
    torch.testing.assert_close(torch.hypot(cos, sin), torch.full_like(cos, amplitude))
    with pytest.warns(UserWarning, match="attention_factor: 1.13863 is not applied"):
        LlamaRotaryEmbedding(given, rope_fusion=True)


def test_dynamic_never_scales_and_says_so() -> None:
    with pytest.warns(UserWarning, match="never scales"):
        rope = LlamaRotaryEmbedding(config(rope_scaling={"rope_type": "dynamic", "factor": 4.0}))
    torch.testing.assert_close(rope.inv_freq.double(), geometric(HEAD_DIM, 1e4), **ROUNDED)
