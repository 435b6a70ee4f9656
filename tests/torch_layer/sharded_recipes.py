"""What is checked of the recipes: their Python, run on each rank, by what no rank has alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor, Shard

from ropelab.positions import Packed, shard_tokens
from ropelab_cuda.torch import apply_rotary
from tests.torch_layer.sharded_support import SPECTRUM, inputs, rotated, same, silence, spread

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
}
