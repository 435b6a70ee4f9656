"""The faces of Transformers and of Transformer Engine on the GPU: as on the CPU, and unheld."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.gpu.waiting import without_synchronising

pytestmark = pytest.mark.gpu

ORIGINAL, LIMIT = 4096, 16_384


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    torch.manual_seed(0)
    return torch


def check(torch: Any, found: Any, on_cpu: Any) -> None:
    """Compare what both devices made of numbers of size 1, by the same float32 angles."""
    assert found.is_cuda
    assert found.dtype == on_cpu.dtype
    # Each device errs by half an eps of a pair of length 5, and by its own cos and sin.
    bound = 16 * torch.finfo(found.dtype).eps
    torch.testing.assert_close(found.cpu(), on_cpu, rtol=0.0, atol=bound)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("tensor_format", ["sbhd", "bshd", "thd"])
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("started", [False, True])
def test_transformer_engine_rotates_as_on_the_cpu(
    torch: Any, dtype: str, interleaved: bool, tensor_format: str, ranks: int, started: bool
) -> None:
    from ropelab_cuda.compat.transformer_engine import RotaryPositionEmbedding, apply_rotary_pos_emb

    shape = (24, 5, 80) if tensor_format == "thd" else (2, 12, 5, 80)
    x = torch.randn(shape).to(getattr(torch, dtype))
    if tensor_format == "sbhd":
        x = x.transpose(0, 1)
    module = RotaryPositionEmbedding(64, interleaved=interleaved)
    assert module.inv_freq.is_cuda
    table = module(200)
    given: dict[str, Any] = {
        "start_positions": torch.tensor([7, 90], dtype=torch.int32) if started else None,
        "cu_seqlens": torch.tensor([0, 8 * ranks, 24 * ranks], dtype=torch.int32),
    }
    words: dict[str, Any] = {"interleaved": interleaved, "cp_size": ranks, "cp_rank": ranks - 1}
    expected = apply_rotary_pos_emb(x, table.cpu(), tensor_format, **given, **words)
    there: dict[str, Any] = {
        name: each if each is None else each.cuda() for name, each in given.items()
    }
    x = x.cuda()
    apply_rotary_pos_emb(x, table, tensor_format, **there, **words)
    with without_synchronising(torch):
        found = apply_rotary_pos_emb(x, module(200), tensor_format, **there, **words)
    check(torch, found, expected)


def test_transformer_engine_takes_apart_as_on_the_cpu(torch: Any) -> None:
    from ropelab_cuda.compat.transformer_engine import (
        RotaryPositionEmbedding,
        apply_fused_qkv_rotary_pos_emb,
    )

    qkv = torch.randn(9, 2, 4, 384).bfloat16()
    table = RotaryPositionEmbedding(64)(9)
    expected = apply_fused_qkv_rotary_pos_emb(qkv, table.cpu(), table.cpu(), [192, 96, 96])
    found = apply_fused_qkv_rotary_pos_emb(qkv.cuda(), table, table, [192, 96, 96])
    for each, on_cpu in zip(found, expected, strict=True):
        check(torch, each, on_cpu)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("dim", [1, 2])
def test_transformers_rotates_as_on_the_cpu(torch: Any, dtype: str, dim: int) -> None:
    from ropelab_cuda.compat import transformers_rope

    rotate: Any = transformers_rope.apply_rotary_pos_emb
    shapes = [(2, h, 9, 80) if dim == 1 else (2, 9, h, 80) for h in (8, 2)]
    q, k = (torch.randn(shape).to(getattr(torch, dtype)) for shape in shapes)
    angles = torch.rand(2, 9, 32).repeat(1, 1, 2) * 1e4
    arguments: Any = [q, k, *(each.to(q.dtype) for each in (angles.cos(), angles.sin()))]
    expected = rotate(*arguments, unsqueeze_dim=dim)
    there = [each.cuda().requires_grad_() for each in arguments]
    found = rotate(*there, unsqueeze_dim=dim)
    for each, on_cpu in zip(found, expected, strict=True):
        check(torch, each, on_cpu)
    torch.cat([each.float().flatten() for each in found]).sum().backward()
    assert all(each.grad.isfinite().all() for each in there)


def test_longrope_is_chosen_without_synchronising(torch: Any) -> None:
    from ropelab_cuda.compat.transformers_rope import ROPE_INIT_FUNCTIONS, dynamic_rope_update

    lists = {"short_factor": [1.0] * 32, "long_factor": [1.0 + i for i in range(32)]}
    parameters = {"rope_type": "longrope", "rope_theta": 1e4, **lists}
    config = SimpleNamespace(
        rope_parameters={**parameters, "original_max_position_embeddings": ORIGINAL},
        standardize_rope_params=lambda: None,
        head_dim=64,
        max_position_embeddings=LIMIT,
    )
    module: Any = SimpleNamespace(config=config, rope_type="longrope")
    module.inv_freq, _ = ROPE_INIT_FUNCTIONS["longrope"](config, "cuda")
    address = module.inv_freq.data_ptr()

    @dynamic_rope_update
    def forward(self: Any, *_: Any) -> Any:
        return self.inv_freq.clone()

    x = torch.zeros(1, device="cuda")
    lengths = (5, ORIGINAL + 1, ORIGINAL)
    ids = [torch.tensor([[0, length - 1]], device="cuda") for length in lengths]
    forward(module, x, ids[0])  # makes the long list
    with without_synchronising(torch):
        found = [forward(module, x, each) for each in ids]
    for each, length in zip(found, lengths, strict=True):
        expected, _ = ROPE_INIT_FUNCTIONS["longrope"](config, "cuda", seq_len=length)
        assert torch.equal(each, expected)
    assert module.inv_freq.data_ptr() == address
