"""What is measured: shapes, the bytes that they move, and how many calls make a measurement."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..views import ITEM_BYTES

__all__ = ["BAR", "WORKLOADS", "Cycle", "Workload", "cycle_for"]

LAST_POSITION = 131_071  # positions end here, where angles are large


@dataclass(frozen=True)
class Workload:
    """Queries and keys of one attention layer, in axis order batch, sequence, heads, head_dim.

    Parameters
    ----------
    batch, sequence : int
        Numbers of sequences and of tokens in each.
    q_heads, k_heads : int
        Numbers of heads of the queries and of the keys.
    head_dim : int, default 128
        Channels of a head; all are rotated.
    dtype : str, default "bfloat16"
        Format of both tensors.
    """

    batch: int
    sequence: int
    q_heads: int
    k_heads: int
    head_dim: int = 128
    dtype: str = "bfloat16"

    def __str__(self) -> str:
        """Name it, for tables."""
        heads = f"{self.q_heads}/{self.k_heads} heads of {self.head_dim}"
        return f"{self.batch}x{self.sequence} tokens, {heads}, {self.dtype}"

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of queries and keys."""
        tokens = (self.batch, self.sequence)
        return (*tokens, self.q_heads, self.head_dim), (*tokens, self.k_heads, self.head_dim)

    @property
    def moved_bytes(self) -> int:
        """Bytes that must move: every element of q and k, once in and once out.

        Examples
        --------
        >>> Workload(8, 4096, 32, 8).moved_bytes
        671088640
        """
        return 2 * sum(map(math.prod, self.shapes)) * ITEM_BYTES[self.dtype]


BAR = Workload(8, 4096, 32, 8)
WORKLOADS = (
    BAR,
    Workload(8, 4096, 32, 8, dtype="float16"),
    Workload(8, 4096, 32, 8, dtype="float32"),
    Workload(8, 4096, 32, 8, head_dim=64),
    Workload(8, 4096, 32, 8, head_dim=256),
    Workload(8, 4096, 64, 8),
    Workload(1, 131_072, 8, 1),
    Workload(1, 4096, 32, 8),
    Workload(1, 2048, 32, 8),
    Workload(256, 1, 32, 8),
    Workload(1, 1, 32, 8),
)

TIMES_L2 = 4  # by which the sets of inputs are to exceed the cache
MOST_SETS = 1024  # more would make graphs of tens of thousands of nodes
MEMORY_SHARE = 0.25  # of what is free, for inputs and outputs
SECONDS = 2e-3  # of one graph, so that the events around it cost nothing beside it
GUESSED_BANDWIDTH, GUESSED_LAUNCH = 4e12, 1e-6  # bytes a second and seconds; only to count calls


@dataclass(frozen=True)
class Cycle:
    """How the calls of a graph walk over memory.

    Parameters
    ----------
    sets : int
        Sets of inputs, and of outputs.
    calls : int
        Calls of a graph, a multiple of `sets`.
    times_l2 : float
        Bytes of all inputs over those of the L2 cache.
    """

    sets: int
    calls: int
    times_l2: float


def cycle_for(workload: Workload, l2_bytes: int, free_bytes: int) -> Cycle:
    """Choose how many sets and calls measure a workload.

    Parameters
    ----------
    workload : Workload
        What is measured.
    l2_bytes, free_bytes : int
        The card's L2 cache, and its free memory.

    Returns
    -------
    Cycle
        At least two sets, as many as the cache demands, as few as memory and graphs allow.
    """
    input_bytes = workload.moved_bytes // 2  # in place, no other memory is touched
    wanted = math.ceil(TIMES_L2 * l2_bytes / input_bytes)
    affordable = min(MOST_SETS, int(MEMORY_SHARE * free_bytes / workload.moved_bytes))
    sets = max(2, min(wanted, affordable))
    seconds = workload.moved_bytes / GUESSED_BANDWIDTH + GUESSED_LAUNCH
    rounds = max(1, math.ceil(SECONDS / (sets * seconds)))
    return Cycle(sets, sets * rounds, sets * input_bytes / l2_bytes)
