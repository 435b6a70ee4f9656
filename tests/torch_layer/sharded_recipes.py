"""What is checked of the recipes: their Python, run on each rank, by what no rank has alone."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import torch
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from ropelab import Rope
from ropelab.positions import Packed, shard_tokens
from ropelab.scaling import DynamicNTK
from ropelab_cuda.torch import apply_rotary
from tests.torch_layer.sharded_support import (
    SPECTRUM,
    inputs,
    noise,
    rotated,
    same,
    silence,
    spread,
)

__all__ = ["CHECKS"]

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"


def recipe(name: str) -> dict[str, Any]:
    """Return what a page's Python defines."""
    text = (RECIPES / name).read_text("utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        exec(compile(block, name, "exec"), names)
    return names


def put_together(mesh: Any, part: torch.Tensor, order: Any, axis: int) -> torch.Tensor:
    """Return all ranks' parts with their tokens where they were."""
    parts = DTensor.from_local(part.contiguous(), mesh, [Shard(axis)]).full_tensor()
    return parts.index_select(axis, torch.cat(order).argsort().to(part.device))


def recipe_of_context_parallel(mesh: Any) -> None:
    page = recipe("context-parallel.md")
    bounds, n = [0, 4, 4, 16], 8
    for tensor_format, axis, cu_seqlens in (("thd", 0, bounds), ("bshd", 1, [0, n])):
        tensors, _ = inputs(mesh, tensor_format, t=bounds[-1], s=n)
        ids = torch.from_numpy(Packed(cu_seqlens).ids((cu_seqlens[-1],))).to(mesh.device_type)
        expected = rotated(tensors, ids, tensor_format=tensor_format)
        order = [torch.from_numpy(shard_tokens(cu_seqlens, 2, rank)) for rank in (0, 1)]
        own = page["tokens_of_this_rank"](cu_seqlens)
        assert torch.equal(own, order[mesh.get_rank()])
        parts = [x.index_select(axis, own.to(x.device)) for x in tensors]
        q, k = (x.requires_grad_() for x in parts[:2])
        if tensor_format == "thd":
            made = page["rotate_on_this_rank"](q, k, cu_seqlens, SPECTRUM)
        else:
            made = page["rotate_rows_on_this_rank"](q, k, n, SPECTRUM)
            whole = [DTensor.from_local(x, mesh, [Shard(1)]) for x in parts[:2]]
            with silence():
                sharded = page["rotate_sharded_rows"](*whole, n, SPECTRUM)
            for x, y in zip(sharded, made, strict=True):
                assert torch.equal(x.to_local(), y)
        found = (*(x.detach() for x in made), *torch.autograd.grad(made, (q, k), parts[2:]))
        for x, y in zip(found, expected, strict=True):
            assert torch.equal(put_together(mesh, x, order, axis), y)


def recipe_of_tensor_parallel(mesh: Any) -> None:
    page = recipe("tensor-parallel.md")
    rank, device = mesh.get_rank(), mesh.device_type
    torch.manual_seed(0)  # on both ranks
    attention = page["Attention"](20, 4, 2, Rope(16, base=500.0)).to(device)
    for weight in attention.parameters():
        weight.data.mul_(8.0).round_()  # so that sums are exact in whatever order
    x, ids = torch.randint(-4, 5, (3, 7, 20)).to(device, torch.float32), inputs(mesh, "bshd")[1]
    seen: dict[str, list[torch.Tensor]] = {}

    def remember(_: torch.nn.Module, given: Any, made: Any) -> None:
        seen["rotated"], seen["given"] = list(made), list(given[:2])

    attention.rotary.register_forward_hook(remember)
    attention.out.register_forward_pre_hook(lambda _, given: seen.update(heads=list(given)))
    wanted = attention(x, ids)
    upstream = [noise(list(y.shape), mesh, seed, y.dtype) for seed, y in enumerate(seen["rotated"])]
    back = torch.autograd.grad(seen["rotated"], seen["given"], upstream, retain_graph=True)
    (expected,) = torch.autograd.grad(wanted.sum(), attention.q.weight)
    whole, (heads,) = [*seen["rotated"], *back], seen["heads"]

    def mine(y: torch.Tensor) -> Any:
        return y.chunk(2, 2)[rank]

    page["shard_heads"](attention, mesh)
    found = attention(x, ids)
    with silence():
        own_upstream = [mine(y) for y in upstream]
        back = torch.autograd.grad(seen["rotated"], seen["given"], own_upstream, retain_graph=True)
    for part, y in zip([*seen["rotated"], *back], whole, strict=True):
        assert torch.equal(part, mine(y))
    torch.testing.assert_close(seen["heads"][0], mine(heads))
    torch.testing.assert_close(found, wanted)
    (gradient,) = torch.autograd.grad(found.sum(), attention.q.weight)
    torch.testing.assert_close(gradient.full_tensor(), expected)
    # DTensors, whose keys may be whole
    tensors, ids = inputs(mesh, "bshd")
    for kv in (Shard(2), Replicate()):
        given = [distribute_tensor(y, mesh, [(Shard(2), kv)[n % 2]]) for n, y in enumerate(tensors)]
        q, k = (y.requires_grad_() for y in given[:2])
        with silence():
            made = page["rotate_sharded_heads"](q, k, ids, SPECTRUM)
            found = (*(y.detach() for y in made), *torch.autograd.grad(made, (q, k), given[2:]))
        assert [y.placements for y in found] == [(Shard(2),), (kv,)] * 2
        same(found, rotated(tensors, ids))


class Residual(torch.nn.Module):
    """One layer, whose gradients are sums of one order, sharded or not."""

    def __init__(self, attention: torch.nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: torch.Tensor, position_ids: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = x + self.attention(x, position_ids)
        return made


def step(model: torch.nn.Module, batches: list[Any], ids: list[Any]) -> None:
    """Take a step of training, on the mean of batches."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for x, positions in zip(batches, ids, strict=True):
        (model(x, positions).square().mean() / len(batches)).backward()
    optimizer.step()


def recipe_of_sharded_parameters(mesh: Any) -> None:
    page = recipe("tensor-parallel.md")
    torch.manual_seed(0)  # on both ranks
    rope = Rope(16, scaling=DynamicNTK(2.0), max_position_embeddings=64)
    plain = Residual(page["Attention"](20, 4, 2, rope)).to(mesh.device_type)
    model: Any = copy.deepcopy(plain)
    for module in (model.attention.rotary, model.attention, model):
        fully_shard(module, mesh=mesh)
    before = [weight.detach().clone() for weight in plain.parameters()]
    batches, ids = (
        [part.to(mesh.device_type) for part in whole.chunk(2)]
        for whole in (torch.randn(4, 5, 20), torch.randint(0, 2**20, (4, 5)))
    )
    rank = mesh.get_rank()
    step(plain, batches, ids)
    step(model, batches[rank : rank + 1], ids[rank : rank + 1])
    for found, wanted, old in zip(model.parameters(), plain.parameters(), before, strict=True):
        assert isinstance(found, DTensor)
        assert torch.equal(found.full_tensor(), wanted)
        assert not torch.equal(wanted, old)


def recipe_of_packing(mesh: Any) -> None:
    page = recipe("packing.md")
    bounds = [0, 3, 4, 9]
    cu_seqlens = torch.tensor(bounds, device=mesh.device_type)
    tensors, _ = inputs(mesh, "thd")
    ids = torch.tensor([0, 1, 2, 0, 0, 1, 2, 3, 4], device=mesh.device_type)
    expected = rotated(tensors, ids, tensor_format="thd")
    for given in (tensors, spread(tensors, mesh, Shard(0)), spread(tensors, mesh, Shard(1))):
        q, k = (x.detach().requires_grad_() for x in given[:2])
        with silence():
            made = page["rotate_packed"](q, k, cu_seqlens, SPECTRUM)
            found = (*(x.detach() for x in made), *torch.autograd.grad(made, (q, k), given[2:]))
        if given is tensors:
            assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
        else:
            same(found, expected)
    q, k = (torch.stack([x, x]) for x in tensors[:2])
    made = page["rotate_packed_rows"](q, k, [bounds, [0, 9]], SPECTRUM)
    rows = torch.stack([ids, torch.arange(9, device=mesh.device_type)])
    for x, y in zip(made, apply_rotary(q, k, rows, SPECTRUM), strict=True):
        assert torch.equal(x, y)


CHECKS = {
    "recipe of context parallel": recipe_of_context_parallel,
    "recipe of packing": recipe_of_packing,
    "recipe of tensor parallel": recipe_of_tensor_parallel,
    "recipe of sharded parameters": recipe_of_sharded_parameters,
}
