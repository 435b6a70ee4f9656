"""Queries and keys, the positions of their tokens, and the tables that others read."""

from __future__ import annotations

import math
from functools import cached_property
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
        self.rope = ropelab.Rope(workload.head_dim, base=BASE, rotary_dim=workload.width)
        self.spectrum = self.rope.spectrum()
        inv_freq = torch.tensor(self.spectrum.inv_freq).to(device)
        self.inv_freq = inv_freq
        self.tables = {
            layout: peers.tables(self.position_ids, inv_freq, layout, dtype) for layout in LAYOUTS
        }
        self._caches: dict[torch.dtype, torch.Tensor] = {}
        # The inverse rotation is the same function of the negated sine: so peers that are compiled
        # need not be compiled twice.
        self.inverse_tables = {layout: (cos, -sin) for layout, (cos, sin) in self.tables.items()}

    @cached_property
    def positions_of_tokens(self) -> torch.Tensor:
        """The position of every token, shape (batch * sequence,)."""
        return self.position_ids.expand(self.workload.batch, -1).reshape(-1)

    @cached_property
    def half_tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines of the positions that occur, a value for each pair."""
        pairs = self.workload.width // 2
        cos, sin = (table[..., :pairs].reshape(-1, pairs) for table in self.tables["half"])
        return cos.contiguous(), sin.contiguous()

    @cached_property
    def cache(self) -> torch.Tensor:
        """Cosines and sines of all positions in float32, shape (131072, rotary_dim)."""
        import torch

        every = torch.arange(LAST_POSITION + 1, device=self.position_ids.device)[None]
        halves = peers.tables(every, self.inv_freq, "half", torch.float32)
        pairs = self.workload.width // 2
        return torch.cat([table[0, :, :pairs] for table in halves], dim=-1).contiguous()

    def cache_in(self, dtype: torch.dtype) -> torch.Tensor:
        """Return `cache` in another dtype; always the same tensor."""
        if dtype not in self._caches:
            self._caches[dtype] = self.cache.to(dtype)
        return self._caches[dtype]

    @cached_property
    def rows(self) -> torch.Tensor:
        """Numbers of the sequences."""
        import torch

        return torch.arange(self.workload.batch, device=self.position_ids.device)
