"""Queries and keys, the positions of their tokens, and the tables that others read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import ropelab
from ropelab.checks import LAYOUTS

from . import peers
from .workloads import LAST_POSITION, Workload

if TYPE_CHECKING:
    import torch

__all__ = ["Inputs", "Pair"]

BASE = 500_000.0  # Llama 3's


class Pair(NamedTuple):
    """Queries and keys, and the one block of memory that holds them."""

    block: torch.Tensor
    q: torch.Tensor
    k: torch.Tensor

    @classmethod
    def of(cls, block: torch.Tensor, workload: Workload) -> Pair:
        """Divide a block."""
        q_shape, k_shape = workload.shapes
        middle = math.prod(q_shape)
        return cls(block, block[:middle].view(q_shape), block[middle:].view(k_shape))


class Inputs:
    """Random queries and keys, positions that end at 131,071, and their tables.

    Parameters
    ----------
    workload : Workload
        Shapes and dtype.
    sets : int
        How many queries and keys.
    device : str, default "cuda"
        Where they lie.
    """

    def __init__(self, workload: Workload, sets: int, device: str = "cuda") -> None:
        import torch

        self.workload = workload
        dtype = getattr(torch, workload.dtype)
        size = sum(map(math.prod, workload.shapes))
        torch.manual_seed(0)
        self.sets = [
            Pair.of(torch.randn(size, dtype=dtype, device=device), workload) for _ in range(sets)
        ]
        # Decoding: each sequence has its own length. Otherwise all share their positions.
        rows = workload.batch if workload.sequence == 1 else 1
        back = torch.arange(workload.sequence).flip(0) + torch.arange(rows)[:, None]
        self.position_ids = (LAST_POSITION - back).to(device)
        self.spectrum = ropelab.Rope(workload.head_dim, base=BASE).spectrum()
        inv_freq = torch.tensor(self.spectrum.inv_freq).to(device)
        self.tables = {
            layout: peers.tables(self.position_ids, inv_freq, layout, dtype) for layout in LAYOUTS
        }
