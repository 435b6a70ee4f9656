"""The whole width of a query or key, beside which only a part may be rotated."""

from __future__ import annotations

from typing import Any

import pytest

from ropelab.formats.heads import whole_head_dim
from tests.ropelab.support import refuses


@pytest.mark.parametrize(
    ("values", "head_dim", "whole"),
    [
        ({}, 128, 128),
        ({"qk_nope_head_dim": 128, "qk_rope_head_dim": 64}, 64, 192),
        # Mistral 4 turns the last channels of a head, whose width is the sum already.
        ({"qk_nope_head_dim": 64, "qk_rope_head_dim": 64}, 128, 128),
        ({"qk_nope_head_dim": None, "qk_rope_head_dim": 64}, 64, 64),
        ({"qk_nope_head_dim": 0, "qk_rope_head_dim": 64}, 64, 64),
        ({"qk_nope_head_dim": 128}, 64, 64),
    ],
)
def test_channels_beside_the_rotated_part_are_counted_once(
    values: dict[str, Any], head_dim: int, whole: int
) -> None:
    assert whole_head_dim(values, head_dim) == whole


def test_a_width_is_a_number_of_channels() -> None:
    with refuses(TypeError, "qk_nope_head_dim", "'wide'"):
        whole_head_dim({"qk_nope_head_dim": "wide", "qk_rope_head_dim": 64}, 64)
    with refuses(ValueError, "qk_nope_head_dim", "-2"):
        whole_head_dim({"qk_nope_head_dim": -2, "qk_rope_head_dim": 64}, 64)
