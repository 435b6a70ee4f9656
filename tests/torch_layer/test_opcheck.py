"""torch's own checks of an operator: schema, autograd, fake tensors, tracing with any lengths."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import ropelab
from ropelab.scaling import DynamicNTK
from ropelab_cuda.torch import ops
from ropelab_cuda.torch.ropes import rope_as_text
from ropelab_cuda.torch.spectra import as_text
from tests.torch_layer.support import NOISE, qk

pytestmark = NOISE

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
ROPE = ropelab.Rope(12, scaling=DynamicNTK(2.0), max_position_embeddings=4096)
TEXT = as_text(ropelab.Rope(12, rotary_dim=6).spectrum())
PLACE = ("bshd", "interleaved", "half", 2, False)


def sample(kind: str, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    dtype = torch.bfloat16 if kind == "bfloat16" else torch.float32
    q, k = qk(tokens=0 if kind == "empty" else 3, dtype=dtype, device=device)
    if kind == "transposed":  # heads before tokens in memory
        return tuple(x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k))  # type: ignore[return-value]
    if kind == "channels apart":
        return tuple(x.transpose(1, 3).contiguous().transpose(1, 3) for x in (q, k))  # type: ignore[return-value]
    if kind == "without heads":
        return q, k[:, :, :0]
    return q.requires_grad_(kind == "grad"), k.requires_grad_(kind == "grad")


KINDS = ["contiguous", "bfloat16", "transposed", "channels apart", "empty", "without heads"]


def positions(q: torch.Tensor) -> torch.Tensor:
    return torch.arange(q.shape[1], device=q.device) * 43_691


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", [*KINDS, "grad"])
def test_rotary_qk(kind: str, device: str) -> None:
    q, k = sample(kind, device)
    ids = positions(q)
    torch.library.opcheck(ops.rotary_qk, (q, k, ids, TEXT, None, "exact", *PLACE))
    text = rope_as_text(ROPE)
    numbers = ops.length_numbers(ids, text)
    rotary_offset = 0
    place = (*PLACE[:3], rotary_offset, True)
    torch.library.opcheck(ops.rotary_qk, (q, k, ids, text, numbers, "float32", *place))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
def test_rotary_qk_in_place(kind: str, device: str) -> None:
    q, k = sample(kind, device)
    torch.library.opcheck(ops.rotary_qk_, (q, k, positions(q), TEXT, None, "exact", *PLACE))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", [*KINDS, "grad"])
def test_rotary_cached(kind: str, device: str) -> None:
    x = sample(kind, device)[0]
    options: dict[str, Any] = {"device": device, "requires_grad": x.requires_grad}
    cos, sin = torch.rand(x.shape[1], 4, **options), torch.rand(2, 1, 4, **options)
    torch.library.opcheck(ops.rotary_cached, (x, cos, sin, *PLACE))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("count", [0, 3, 40_000])  # of which the last takes the device two launches
def test_length_numbers(count: int, device: str) -> None:
    ids = torch.arange(count, device=device)
    torch.library.opcheck(ops.length_numbers, (ids, rope_as_text(ROPE)))
