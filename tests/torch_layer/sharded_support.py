"""Queries, keys and positions for several ranks, and what they are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.distributed.tensor import distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode

import ropelab
from ropelab_cuda.torch import apply_rotary

__all__ = ["SPECTRUM", "inputs", "noise", "rotated", "same", "silence", "spread"]

SPECTRUM = ropelab.Rope(12, base=500.0, rotary_dim=6).spectrum()
LENGTHS = {"b": 3, "s": 7, "t": 9, "h": 4, "d": 12}  # odd ones, so that shards differ in length


def noise(shape: list[int], mesh: Any, seed: int, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(mesh.device_type, dtype)


def inputs(
    mesh: Any, tensor_format: str, dtype: torch.dtype = torch.bfloat16, **lengths: int
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return queries, keys of half as many heads, gradients of both, and far positions."""
    n = {**LENGTHS, **lengths}
    q, k = ([{**n, "h": h}[letter] for letter in tensor_format] for h in (n["h"], n["h"] // 2))
    tensors = [noise(shape, mesh, seed, dtype) for seed, shape in enumerate((q, k, q, k))]
    tokens = [n[letter] for letter in ("t" if tensor_format == "thd" else "bs")]
    ids = torch.randint(-9, 2**20, tokens, generator=torch.Generator().manual_seed(4))
    return tensors, ids.to(mesh.device_type)


def rotated(
    tensors: Sequence[Any], ids: Any, spectrum: Any = SPECTRUM, **options: Any
) -> tuple[Any, ...]:
    """Return rotated queries and keys, and the gradients of what they were."""
    q, k = (x.detach().requires_grad_() for x in tensors[:2])
    made = apply_rotary(q, k, ids, spectrum, **options)
    return (*(x.detach() for x in made), *torch.autograd.grad(made, (q, k), tensors[2:]))


def same(found: Sequence[Any], expected: Sequence[torch.Tensor]) -> None:
    for x, y in zip(found, expected, strict=True):
        assert x.dtype == y.dtype
        assert torch.equal(x.full_tensor(), y)


def spread(tensors: Sequence[torch.Tensor], mesh: Any, *placements: Any) -> list[Any]:
    return [distribute_tensor(x, mesh, placements) for x in tensors]


@contextmanager
def silence() -> Iterator[None]:
    """Raise AssertionError if ranks communicate within."""
    with CommDebugMode() as communication:  # type: ignore[no-untyped-call]
        yield
    assert communication.get_total_counts() == 0
