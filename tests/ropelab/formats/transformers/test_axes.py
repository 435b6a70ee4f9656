"""Pairs are turned by the axes that the models of Transformers turn them by."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig

from ropelab import Rope, from_transformers
from ropelab.formats import read_transformers
from tests.parity.support import rotary_class
from tests.ropelab.formats.published import Config
from tests.ropelab.support import refuses

HEADS: Config = {"hidden_size": 1024, "num_attention_heads": 8, "head_dim": 128}
MODELS: list[tuple[str, Config]] = [
    ("qwen2_vl_text", {"rope_scaling": {"type": "mrope", "mrope_section": [10, 30, 24]}}),
    ("qwen2_vl_text", {"rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}}),
    ("qwen2_5_vl_text", {}),
    ("glm4v_text", {"partial_rotary_factor": 0.5}),
    ("glm4v_moe_text", {"rope_parameters": {"mrope_section": [10, 6, 16]}}),
    ("qwen3_vl_text", {}),
    ("qwen3_vl_text", {"rope_parameters": {"mrope_section": [30, 18, 16]}}),
    ("qwen3_5_text", {"head_dim": 256}),
    ("ernie4_5_vl_moe_text", {}),
    ("ernie4_5_vl_moe_text", {"rope_parameters": {"mrope_section": [20, 20, 24]}}),
]


@pytest.mark.parametrize(("model_type", "more"), MODELS)
def test_the_axes_are_those_of_the_models_own_module(model_type: str, more: Config) -> None:
    config = {**HEADS, "model_type": model_type, "rope_theta": 1e4, **more}
    built: Any = AutoConfig.for_model(**deepcopy(config))  # it writes in them
    module = rotary_class(built)(built)
    rope = from_transformers({**config, "head_dim": built.head_dim})
    assert rope is not None
    assert rope.axes is not None
    for axis in range(3):
        # Only the pairs of this axis turn.
        ids = torch.zeros(3, 1, 1)
        ids[axis] = 1.0
        _, sin = module(torch.zeros(1), ids)
        turned = sin.flatten()[:: 2 if rope.layout == "interleaved" else 1] != 0
        assert turned[: len(rope.axes)].tolist() == [each == axis for each in rope.axes]


def test_the_old_name_beside_the_new_one_is_no_disagreement() -> None:
    rule = {"type": "mrope", "rope_type": "default", "mrope_section": [16, 24, 24]}
    config = {**HEADS, "model_type": "qwen2_vl_text", "rope_theta": 1e4, "rope_scaling": rule}
    assert read_transformers(config).findings == ()


def test_neomme_turns_rows_and_columns_by_turns() -> None:
    rule = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.25}
    layers = {"full_attention": rule, "sliding_attention": rule}
    config = {**HEADS, "model_type": "neomme", "rope_parameters": layers}
    rope = from_transformers(config, "full_attention")
    assert rope == Rope(128, rotary_dim=32, axes=[0, 1] * 8)


def test_an_unknown_model_has_what_its_keys_say() -> None:
    config = {**HEADS, "rope_theta": 1e4, "head_dim": 16}
    rule: Config = {"rope_type": "mrope", "mrope_section": [4, 2, 2]}
    assert from_transformers({**config, "rope_scaling": rule}) == Rope(
        16, axes=[0, 0, 0, 0, 1, 1, 2, 2]
    )
    woven = {**rule, "mrope_interleaved": True}
    assert from_transformers({**config, "rope_scaling": woven}) == Rope(
        16, axes=[0, 1, 2, 0, 1, 2, 0, 0]
    )


def test_a_flag_that_a_models_code_does_not_read_is_told() -> None:
    rule = {"rope_type": "default", "mrope_section": [16, 24, 24], "mrope_interleaved": True}
    reading = read_transformers(
        {**HEADS, "model_type": "qwen2_vl_text", "rope_theta": 1e4, "rope_scaling": rule}
    )
    assert [finding.key for finding in reading.findings] == ["mrope_interleaved"]
    assert reading.rope is not None
    assert reading.rope.axes == (0,) * 16 + (1,) * 24 + (2,) * 24


def test_default_sections_that_do_not_fit_are_told() -> None:
    config = {"model_type": "qwen2_vl_text", "head_dim": 64, "rope_theta": 1e4}
    with pytest.warns(UserWarning, match=r"mrope_section is missing.*\[16, 24, 24\].*32 pairs"):
        assert from_transformers(config) == Rope(64)


@pytest.mark.parametrize(
    ("sections", "kind", "came"),
    [
        ([16, 24, 23], ValueError, "64"),
        ([16, 24], ValueError, "three"),
        ([16, 24, 25, -1], ValueError, "three"),
        ([16, 25, -1], ValueError, "-1"),
        ([16, 24.0, 24], TypeError, "24.0"),
        ("16 24 24", TypeError, "'16 24 24'"),
        (64, TypeError, "64"),
    ],
)
def test_sections_that_share_out_no_pairs_are_refused(
    sections: object, kind: type[Exception], came: str
) -> None:
    rule = {"rope_type": "default", "mrope_section": sections}
    config = {**HEADS, "model_type": "qwen2_vl_text", "rope_theta": 1e4, "rope_scaling": rule}
    with refuses(kind, "mrope_section", came):
        from_transformers(config)


def test_axes_turn_text_as_one_axis_does() -> None:
    config = {**HEADS, "model_type": "qwen3_vl_text", "rope_theta": 1e4}
    rope = from_transformers(config)
    assert rope is not None
    np.testing.assert_array_equal(rope.spectrum().inv_freq, Rope(128).spectrum().inv_freq)
