"""What is measured: shapes, the bytes that they move, and how many calls make a measurement."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

from ..views import ITEM_BYTES

__all__ = [
    *("BAR", "DECODE", "FEW_HEADS", "FORMATS", "PARTIAL", "PREFILL", "RESIDENT", "WORKLOADS"),
    *("Cycle", "Workload", "cycle_for"),
]

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
        Channels of a head.
    dtype : str, default "bfloat16"
        Format of both tensors.
    rotary_dim : int, optional
        The first channels, which are rotated; by default all.
    """

    batch: int
    sequence: int
    q_heads: int
    k_heads: int
    head_dim: int = 128
    dtype: str = "bfloat16"
    rotary_dim: int | None = None

    def __str__(self) -> str:
        """Name it, for tables."""
        heads = f"{self.q_heads}/{self.k_heads} heads of {self.head_dim}"
        partly = f", {self.rotary_dim} of them rotated" if self.rotary_dim else ""
        return f"{self.batch}x{self.sequence} tokens, {heads}{partly}, {self.dtype}"

    @property
    def width(self) -> int:
        """Number of rotated channels."""
        return self.rotary_dim or self.head_dim

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
FEW_HEADS = Workload(1, 131_072, 8, 1)
RESIDENT = (Workload(1, 2048, 32, 8), Workload(1, 4096, 32, 8))
DECODE = (Workload(256, 1, 32, 8), Workload(32, 1, 32, 8), Workload(1, 1, 32, 8))

LEAST_PREFILL = 80e6  # bytes
TOKENS = ((8, 4096), (1, 4096), (1, 131_072))
PREFILL = tuple(
    workload
    for head_dim, tokens, heads in product((128, 64, 96, 256), TOKENS, ((32, 8), (64, 8), (32, 32)))
    if (workload := Workload(*tokens, *heads, head_dim)).moved_bytes >= LEAST_PREFILL
)
PARTIAL = (
    Workload(8, 4096, 32, 32, head_dim=96, rotary_dim=24),  # GPT-NeoX-20B
    Workload(8, 4096, 32, 8, rotary_dim=64),
)
FORMATS = (Workload(8, 4096, 32, 8, dtype="float16"), Workload(8, 4096, 32, 8, dtype="float32"))

# In the order of their weight, for a run that is short of time leaves out the last ones.
WORKLOADS = tuple(dict.fromkeys((BAR, FEW_HEADS, *RESIDENT, *DECODE, *PARTIAL, *PREFILL, *FORMATS)))

TIMES_L2 = 4  # by which the sets of inputs are to exceed the cache
# Nodes of all graphs that are alive are kept in the cache, too, until they are too many: then each
# takes up to a third of a microsecond longer, even a copy. So graphs are short where calls are.
MOST_SETS = 128
SETS_IN_CACHE = 32  # where so many do not exceed it: few enough that all stay there
MOST_CALLS = 256
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
        At least two sets, as many as the cache demands, as few as memory and graphs allow. Inputs
        too small to be kept out of the cache all stay in it, like those of a layer, which another
        kernel has just written.
    """
    input_bytes = workload.moved_bytes // 2  # in place, no other memory is touched
    wanted = math.ceil(TIMES_L2 * l2_bytes / input_bytes)
    affordable = int(MEMORY_SHARE * free_bytes / workload.moved_bytes)
    sets = max(2, min(wanted if wanted <= MOST_SETS else SETS_IN_CACHE, affordable))
    seconds = workload.moved_bytes / GUESSED_BANDWIDTH + GUESSED_LAUNCH
    rounds = max(1, min(math.ceil(SECONDS / (sets * seconds)), MOST_CALLS // sets))
    return Cycle(sets, sets * rounds, sets * input_bytes / l2_bytes)
