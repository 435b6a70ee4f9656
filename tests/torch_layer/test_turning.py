"""What stands for cosines and sines in a patched model."""

from __future__ import annotations

import pytest
import torch

import ropelab
from ropelab import Rope
from ropelab.scaling import LongRoPE
from ropelab_cuda.torch.architectures import REPLACEMENTS
from ropelab_cuda.torch.turning import Turning, turning

LAST = Rope(24, rotary_dim=8, layout="interleaved", output_layout="half", rotary_offset=16)
FIRST = Rope(24, rotary_dim=8)
SWITCH = 64
BY_LENGTH = Rope(
    4,
    scaling=LongRoPE(
        short_factor=[1.0, 1.5], long_factor=[2.0, 9.0], original_max_position_embeddings=SWITCH
    ),
    max_position_embeddings=2048,
)
IDS = torch.tensor([[131_000, 3, 0, 77], [1, 2, 99, 5]])


def inputs(width: int) -> tuple[torch.Tensor, torch.Tensor]:
    seeded = torch.Generator().manual_seed(0)
    q, k = (torch.randn(2, heads, 4, width, generator=seeded) for heads in (3, 1))
    return q, k


def expected(rope: Rope, x: torch.Tensor, tensor_format: str, first: int) -> torch.Tensor:
    made = ropelab.apply_rotary(
        x,
        IDS,
        rope.spectrum(),
        layout=rope.layout,
        output_layout=rope.output_layout,
        tensor_format=tensor_format,
        rotary_offset=first,
    )
    return torch.from_numpy(made)


@pytest.mark.parametrize("rope", [FIRST, LAST], ids=["first channels", "last channels"])
def test_whole_heads_and_their_rotated_part_are_told_apart(rope: Rope) -> None:
    made = turning(rope, IDS, "exact")
    for width, first in ((24, rope.rotary_offset), (8, 0)):
        for x, y in zip(inputs(width), made(*inputs(width), "bhsd"), strict=True):
            assert torch.equal(y, expected(rope, x, "bhsd", first))


@pytest.mark.parametrize(("q_width", "k_width"), [(12, 12), (24, 8), (8, 24)])
def test_other_widths_are_refused(q_width: int, k_width: int) -> None:
    q, k = inputs(q_width)[0], inputs(k_width)[1]
    with pytest.raises(ValueError, match=r"[qk]: expected the rope's head_dim or rotary_dim"):
        turning(FIRST, IDS, "exact")(q, k, "bhsd")


def test_the_length_is_found_once_for_all_layers() -> None:
    made = turning(BY_LENGTH, torch.tensor([0, SWITCH]), "exact")
    assert made.spectrum == BY_LENGTH.spectrum(SWITCH + 1)
    assert turning(BY_LENGTH, torch.tensor([0, SWITCH - 1]), "exact").spectrum != made.spectrum


def test_it_follows_layers_to_their_device() -> None:
    made = turning(FIRST, IDS, "float32")
    assert made.to(torch.device("cpu")) is made
    moved = made.to(torch.device("meta"), non_blocking=True)
    assert isinstance(moved, Turning)
    assert moved.position_ids.device.type == "meta"
    assert (moved.rope, moved.spectrum, moved.angles) == (made.rope, made.spectrum, made.angles)


def test_it_is_no_tensor() -> None:
    made = turning(FIRST, IDS, "exact")
    x = torch.ones(2, 4, 8)
    with pytest.raises(TypeError):
        x * made  # type: ignore[operator]
    with pytest.raises(AttributeError):
        made.unsqueeze(1)
    with pytest.raises(TypeError):
        made[..., :4]  # type: ignore[index]


@pytest.mark.parametrize(
    "parameters",
    [
        ("q", "k", "cos", "sin", "unsqueeze_dim"),
        ("q", "k", "cos", "sin", "position_ids", "unsqueeze_dim"),
    ],
)
def test_replacements_take_the_axis_of_the_heads(parameters: tuple[str, ...]) -> None:
    rotate, made = REPLACEMENTS[parameters], turning(FIRST, IDS, "exact")
    q, k = inputs(24)
    behind = [x.transpose(1, 2) for x in (q, k)]
    for y in (
        rotate(q, k, made, made)[0],
        rotate(q, k, cos=made, sin=made, unsqueeze_dim=1)[0],
        rotate(*behind, made, made, unsqueeze_dim=2)[0].transpose(1, 2),
    ):
        assert torch.equal(y, expected(FIRST, q, "bhsd", 0))
    with pytest.raises(ValueError, match=r"unsqueeze_dim: expected 1 or 2.*got 0"):
        rotate(q, k, made, made, unsqueeze_dim=0)


def test_the_replacement_of_llama_4_takes_heads_behind_tokens() -> None:
    rotate, made = REPLACEMENTS["xq", "xk", "freqs_cis"], turning(FIRST, IDS, "exact")
    q, k = (x.transpose(1, 2) for x in inputs(24))
    assert torch.equal(rotate(q, k, made)[1], expected(FIRST, k, "bshd", 0))
