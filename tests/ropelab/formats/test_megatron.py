"""Megatron's arguments, and its layers without rotary embedding, marked by a 1."""

import math
from argparse import Namespace
from typing import Any

import numpy as np
import pytest

from ropelab import Rope
from ropelab.formats.megatron import from_megatron, layers_from_megatron, read_megatron
from ropelab.scaling import Linear, Llama3, Stretched

ROPE: dict[str, Any] = {"position_embedding_type": "rope", "kv_channels": 128}
YARN: dict[str, Any] = {
    "position_embedding_type": "yarn",
    "kv_channels": 64,
    "rotary_base": 150000,
    "yarn_rotary_scaling_factor": 32.0,
    "yarn_original_max_position_embeddings": 4096,
}
MLA: dict[str, Any] = {
    "position_embedding_type": "rope",
    "multi_latent_attention": True,
    "rotary_scaling_factor": 40,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
}


def test_a_namespace_and_the_width_of_heads() -> None:
    given = Namespace(
        position_embedding_type="rope",
        hidden_size=6144,
        num_attention_heads=64,
        kv_channels=None,
        rotary_percent=0.25,
        rotary_interleaved=True,
        rotary_base=25000,
    )
    assert from_megatron(given) == Rope(96, base=25e3, rotary_dim=24, layout="interleaved")


def test_one_interpolation_key_is_enough() -> None:
    rope = from_megatron({**ROPE, "rotary_seq_len_interpolation_factor": 4})
    assert rope == Rope(128, scaling=Linear(4.0))


def test_llama3_has_a_factor_of_its_own_alone() -> None:
    given = {**ROPE, "rotary_base": 500000, "use_rope_scaling": True}
    assert from_megatron(given) == Rope(128, base=5e5, scaling=Llama3(8.0, 1.0, 4.0, 8192))
    given |= {"rope_scaling_factor": 32.0, "rotary_seq_len_interpolation_factor": 2}
    rope = from_megatron(given)
    assert rope is not None
    assert rope.scaling == Stretched(Llama3(32.0, 1.0, 4.0, 8192), 2.0)


def test_yarn_of_gpt_oss_has_untruncated_ends() -> None:
    rope = from_megatron({**YARN, "yarn_correction_range_round_to_int": False})
    assert rope is not None
    spectrum = rope.spectrum()
    # Transformers 5.23, gpt-oss, float32: pairs 0, 1, 8, 16, 24 and 31.
    published = [1, 0.689044297, 0.0508132726, 0.000456483918, 4.09997847e-06, 3.0235114e-07]
    np.testing.assert_allclose(spectrum.inv_freq[[0, 1, 8, 16, 24, 31]], published, rtol=2e-7)
    assert spectrum.attention_factor == pytest.approx(1.3465735902799727, rel=1e-15)


def test_yarn_takes_the_quotient_of_zeros_too() -> None:
    given = {**YARN, "yarn_mscale": 0.5, "yarn_mscale_all_dim": 0.0}
    rope = from_megatron(given)
    assert rope is not None
    assert rope.spectrum().attention_factor == pytest.approx(1 + 0.05 * math.log(32), rel=1e-15)
    rope = from_megatron({**given, "yarn_mscale": None})
    assert rope is not None
    assert rope.spectrum().attention_factor == pytest.approx(1 + 0.1 * math.log(32), rel=1e-15)


def test_yarn_ignores_other_arguments_with_a_finding() -> None:
    given = {**YARN, "rotary_percent": 0.5, "rotary_seq_len_interpolation_factor": 2}
    reading = read_megatron(given)
    assert reading.rope is not None
    assert reading.rope.rotary_dim == 64
    assert [finding.key for finding in reading.findings] == [
        "rotary_percent",
        "rotary_seq_len_interpolation_factor",
    ]


def test_latent_attention_turns_a_part_of_its_own() -> None:
    rope = from_megatron(MLA)
    assert rope is not None
    assert (rope.head_dim, rope.layout, rope.output_layout) == (64, "interleaved", "half")
    spectrum = rope.spectrum()
    assert spectrum.attention_factor == 1.0
    assert spectrum.softmax_factor == pytest.approx(1.8738542, abs=5e-8)  # (0.1 ln 40 + 1)**2
    # Without mscale the tables lose what the softmax gains: g(40, 0) / g(40, 1), and g(40, 1)**2.
    lost = from_megatron({**MLA, "mscale": 0.0, "mscale_all_dim": 1.0})
    assert lost is not None
    assert lost.spectrum().attention_factor == pytest.approx(1 / 1.3688879454, abs=1e-10)
    assert lost.spectrum().softmax_factor == pytest.approx(1.8738542, abs=5e-8)
    # Transformers 5.23, DeepSeek-V3, float32.
    published = [1, 0.749894202, 0.100000001, 0.00550000044, 2.49999994e-05, 3.33380353e-06]
    np.testing.assert_allclose(spectrum.inv_freq[[0, 1, 8, 16, 24, 31]], published, rtol=2e-7)


def test_latent_attention_does_not_guess_its_factor() -> None:
    given = {key: value for key, value in MLA.items() if key != "rotary_scaling_factor"}
    with pytest.raises(ValueError, match="1 in Megatron's arguments but 40 in"):
        read_megatron(given)


def test_mrope_has_one_axis_a_block() -> None:
    given = {**ROPE, "position_embedding_type": "mrope", "mrope_section": [16, 24, 24]}
    rope = from_megatron(given)
    assert rope is not None
    assert rope.axes == (0,) * 16 + (1,) * 24 + (2,) * 24


def test_a_one_marks_a_layer_without() -> None:
    layers = layers_from_megatron({**ROPE, "num_layers": 8, "no_rope_freq": 4})
    assert [layer is None for layer in layers] == [False, False, False, True] * 2
    layers = layers_from_megatron({**ROPE, "num_layers": 3, "no_rope_freq": [1, 0, 0]})
    assert layers == (None, Rope(128), Rope(128))


def test_the_default_embedding_is_learned() -> None:
    with pytest.warns(UserWarning, match="'learned_absolute'"):
        assert from_megatron({"kv_channels": 128}) is None
    assert from_megatron({"kv_channels": 64, "use_rotary_position_embeddings": True}) == Rope(64)
    assert from_megatron({"position_embedding_type": "none"}) is None


@pytest.mark.parametrize(
    ("error", "name", "given"),
    [
        (ValueError, "position_embedding_type", {"position_embedding_type": "alibi"}),
        (ValueError, "rotary_interleaved", {**YARN, "rotary_interleaved": True}),
        (ValueError, "needs factor", {"position_embedding_type": "yarn"}),
        (ValueError, "hidden_size", {"kv_channels": None}),
        (ValueError, "mrope_section", {"position_embedding_type": "mrope"}),
        (
            ValueError,
            "mrope_section",
            {"position_embedding_type": "mrope", "mrope_section": [64, 1]},
        ),
        (TypeError, "use_rope_scaling", {"use_rope_scaling": 8}),
        (ValueError, "rotary_percent", {"rotary_percent": 0.01}),
        (ValueError, "interpolation_factor", {"rotary_seq_len_interpolation_factor": 0}),
        (
            TypeError,
            "rotary_scaling_factor",
            {**MLA, "rope_type": "rope", "mscale_all_dim": 1.0, "rotary_scaling_factor": "40"},
        ),
    ],
)
def test_bad_arguments_are_refused(
    error: type[Exception], name: str, given: dict[str, Any]
) -> None:
    with pytest.raises(error, match=name):
        read_megatron({**ROPE, **given})


@pytest.mark.parametrize("marks", [3, [1, 0], [0, 2, 0, 0], [0, 0, 0, True]])
def test_bad_marks_are_refused(marks: object) -> None:
    with pytest.raises((TypeError, ValueError), match="no_rope_freq"):
        layers_from_megatron({**ROPE, "num_layers": 4, "no_rope_freq": marks})
    with pytest.raises(ValueError, match="num_layers"):
        layers_from_megatron({**ROPE, "no_rope_freq": marks})


def test_more_layers_than_memory_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="num_layers: expected at most"):
        layers_from_megatron({**ROPE, "num_layers": 2**62})
