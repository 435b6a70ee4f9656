"""Sections against Transformers' own recomposition of frequencies."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.ernie4_5_vl_moe import modeling_ernie4_5_vl_moe as ernie
from transformers.models.glm4v import modeling_glm4v as glm
from transformers.models.neomme import modeling_neomme as neomme
from transformers.models.qwen2_vl import modeling_qwen2_vl as qwen2
from transformers.models.qwen3_5 import modeling_qwen3_5 as qwen3_5
from transformers.models.qwen3_vl import modeling_qwen3_vl as qwen3

from ropelab import Rope
from ropelab.positions import mrope_axes, row_column_axes
from tests.ropelab.support import refuses

# Positions so far apart that an angle tells its axis and its frequency.
POSITIONS = torch.tensor([1.0, 1e3, 1e6], dtype=torch.float64)


def angles(module: Any, head_dim: int, theta: float, sections: list[int], step: int) -> Any:
    """Return the angle of each pair, from a module's recomposition of position x frequency."""
    parameters = {"rope_type": "default", "rope_theta": theta, "mrope_section": sections}
    config = type("Config", (), {})()
    config.rope_parameters, config.head_dim = parameters, head_dim
    config.hidden_size, config.num_attention_heads = head_dim, 1
    config.max_position_embeddings = 4096
    rotary = module(config)
    speeds = rotary.inv_freq.double()
    whole = rotary.recomposition_frequencies(POSITIONS[:, None, None, None] * speeds)[0, 0]
    return whole[: len(speeds)] if step == 1 else whole[::step]


@pytest.mark.parametrize(
    ("module", "theta", "sections", "order", "step"),
    [
        (qwen2.Qwen2VLRotaryEmbedding, 1e6, [16, 24, 24], "chunked", 1),
        (glm.Glm4vTextRotaryEmbedding, 1e4, [8, 12, 12], "chunked", 2),
        (qwen3.Qwen3VLTextRotaryEmbedding, 5e6, [24, 20, 20], "interleaved", 1),
        (qwen3_5.Qwen3_5TextRotaryEmbedding, 1e7, [11, 11, 10], "interleaved", 1),
        (ernie.Ernie4_5_VLMoeTextRotaryEmbedding, 5e5, [22, 22, 20], "alternating", 2),
    ],
)
def test_axes_are_those_of_transformers(
    module: Any, theta: float, sections: list[int], order: str, step: int
) -> None:
    width = 2 * sum(sections)
    axes = mrope_axes(width, sections, order=order)
    ours = POSITIONS.numpy()[list(axes)] * Rope(width, base=theta).spectrum().inv_freq
    theirs = angles(module, width, theta, sections, step)
    np.testing.assert_allclose(theirs.numpy(), ours, rtol=1e-5)  # frequencies of float32


def test_neomme_alternates_row_and_column() -> None:
    freq = torch.arange(14.0) + torch.tensor([100.0, 200.0])[:, None]
    module: Any = neomme.NeoMMERotaryEmbedding
    whole = module.recomposition_frequencies(None, freq[:, None, None])
    theirs = whole[0, 0, :14]
    axes = row_column_axes(28)
    assert [100.0 * (axis + 1) + i for i, axis in enumerate(axes)] == theirs.tolist()


def test_bailing_alternates_and_ends_in_time() -> None:
    # vLLM, test_bailing_mrope: sections (t, h, w) of two pairs each, rows first
    assert mrope_axes(12, [2, 2, 2], order="alternating") == (1, 2, 1, 2, 0, 0)


def test_every_section_of_a_chunked_list_has_an_axis() -> None:
    axes = mrope_axes(128, [16, 16, 16, 16])
    assert axes == (0,) * 16 + (1,) * 16 + (2,) * 16 + (3,) * 16
    assert Rope(128, axes=axes).spectrum().position_axes == 4


@pytest.mark.parametrize(
    ("sections", "order", "kind"),
    [
        ([16, 24, 23], "chunked", ValueError),
        ([32, 48, 48], "chunked", ValueError),
        ([-8, 48, 24], "chunked", ValueError),
        ([], "chunked", ValueError),
        ([[64]], "chunked", ValueError),
        (64, "chunked", ValueError),
        ([64.0], "chunked", TypeError),
        ("64", "chunked", TypeError),
        ([20, 22, 22], "interleaved", ValueError),  # 64 pairs: the last is no column's
        ([32, 32], "interleaved", ValueError),
        ([20, 22, 22], "alternating", ValueError),
    ],
)
def test_sections_that_do_not_fit_are_refused(
    sections: object, order: str, kind: type[Exception]
) -> None:
    with refuses(kind, "sections"):
        mrope_axes(128, sections, order=order)  # type: ignore[arg-type]


def test_an_unknown_order_or_an_odd_width_is_refused() -> None:
    with refuses(ValueError, "order", "'woven'"):
        mrope_axes(128, [64], order="woven")
    with refuses(ValueError, "rotary_dim", "13"):
        mrope_axes(13, [6])
    with refuses(ValueError, "rotary_dim", "13"):
        row_column_axes(13)
