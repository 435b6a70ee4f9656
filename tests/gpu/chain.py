"""A producer, a rotation and a consumer, back to back in one stream, that check themselves.

Each chain has a number, on which every element of q, k and v, every position and every slot of a
cache depends; the producer writes them just before they are rotated. Frequencies are multiples of a
quarter turn, so that a rotation only swaps and negates small whole numbers. Where heads are normed
first, all channels of one have the same size, and become 1 or -1. So the consumer knows every
result exactly, counts on the device what is wrong, and leaves NaN behind, lest an old result pass
for a new one.

The last block of the producer dawdles. A kernel that does not wait for it sees old values where it
is let start: at once, if the producer says so first of all (EARLY), else when all blocks of the
producer have ended, though what they wrote need not be visible yet.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import ropelab

__all__ = ["SECOND_LOOK", "WAIT", "Chain", "Kind", "Tensors", "source"]

# What the controls take out of the kernels.
WAIT = 'asm volatile("griddepcontrol.wait;" ::: "memory");'
SECOND_LOOK = "angle.was_outdated();"

MOST_BLOCKS = 16  # of the producer: they leave room for what may start early

SOURCE = Path(__file__).with_name("chain.cu").read_text()


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What happens between the producer and the consumer.

    Parameters
    ----------
    head_dim, rotary_dim : int
        Channels of a head, and how many of them are rotated.
    layout, output_layout : {"half", "interleaved"}
        Where pairs come from, and where they go.
    turns : bool
        Whether pairs turn.
    normed : bool
        Whether heads are normed first, without weights.
    cached : bool
        Whether keys go into a cache, and values into another.
    positions : int
        How many there are, from 0 on: a power of two.
    """

    head_dim: int = 128
    rotary_dim: int = 128
    layout: str = "half"
    output_layout: str = "half"
    turns: bool = True
    normed: bool = False
    cached: bool = False
    positions: int = 1 << 20

    @property
    def macros(self) -> dict[str, int]:
        """The same for the source."""
        return {
            "HEAD_DIM": self.head_dim,
            "ROTARY_DIM": self.rotary_dim,
            "INTERLEAVED": int(self.layout == "interleaved"),
            "TO_INTERLEAVED": int(self.output_layout == "interleaved"),
            "TURNS": int(self.turns),
            "NORMED": int(self.normed),
            "CACHED": int(self.cached),
            "POSITIONS": self.positions,
        }

    def spectrum(self) -> ropelab.Spectrum:
        """Return frequencies of one, two and three quarter turns a token."""
        return ropelab.Spectrum(np.pi / 2 * (1 + np.arange(self.rotary_dim // 2) % 3))


class Structure(ctypes.Structure):
    """struct Chain."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("q", "k", "v", "q_out", "k_out", "v_out")),
        *((name, ctypes.c_uint64) for name in ("ids", "slots", "step", "wrong", "checked")),
        *((name, ctypes.c_int64) for name in ("tokens", "q_heads", "k_heads", "delay")),
    )


def source(kind: Kind, *, early: bool, dependent: bool) -> str:
    """Return the source of a chain's parts."""
    macros = {**kind.macros, "EARLY": int(early), "DEPENDENT": int(dependent)}
    return "".join(f"#define {macro} {value}\n" for macro, value in macros.items()) + SOURCE


class Tensors:
    """The tensors of a chain.

    Parameters
    ----------
    tokens, q_heads, k_heads : int
        Shapes: q, k and v have axes tokens, heads, head_dim.
    kind : Kind
        What happens between the producer and the consumer.
    in_place : bool
        Whether the rotation replaces q and k; caches are apart all the same.
    delay : int
        Cycles by which the producer's last block is late.
    device : str
        Where they lie.
    """

    def __init__(
        self,
        tokens: int,
        q_heads: int,
        k_heads: int,
        *,
        kind: Kind,
        in_place: bool,
        delay: int,
        device: str,
    ) -> None:
        import torch

        self.in_place = in_place

        def zeros(*counts: int) -> tuple[Any, ...]:
            shapes = ((tokens, count, kind.head_dim) for count in counts)
            bf16: dict[str, Any] = {"device": device, "dtype": torch.bfloat16}
            return tuple(torch.zeros(shape, **bf16) for shape in shapes)

        self.q, self.k, self.v = zeros(q_heads, k_heads, k_heads)
        self.out = (self.q, self.k) if in_place else zeros(q_heads, k_heads)
        self.caches = zeros(k_heads, k_heads)
        outs = (self.out[0], *self.caches) if kind.cached else (*self.out, self.caches[1])
        self.ids, self.slots = torch.zeros(2, tokens, device=device, dtype=torch.int64)
        self.counters = torch.zeros(3, device=device, dtype=torch.int64)
        held = (self.q, self.k, self.v, *outs, self.ids, self.slots)
        counters = [self.counters.data_ptr() + 8 * i for i in range(3)]
        self.structure = Structure(
            *(tensor.data_ptr() for tensor in held), *counters, tokens, q_heads, k_heads, delay
        )
        few = min(tokens, MOST_BLOCKS)
        # Blocks and threads of each part.
        self.shares = {
            "begin_chain": (1, 1),
            "produce": (few, kind.head_dim),
            "check": (min(tokens, 256), kind.head_dim // 2),
        }

    def result(self) -> tuple[int, int, int]:
        """Wait, and return how many chains were begun, elements wrong, and chains checked."""
        begun, wrong, checked = self.counters.tolist()
        return begun, wrong, checked


@cache
def _kernel(name: str, text: str) -> Any:
    import cupy

    return cupy.RawKernel(text, name, ("--std=c++17",))


class Chain(Tensors):
    """A chain on the current GPU: what launches its parts on torch's current stream.

    Parameters
    ----------
    tokens, q_heads, k_heads : int
        As in `Tensors`.
    kind : Kind
        As in `Tensors`.
    in_place : bool
        As in `Tensors`.
    early : bool
        Whether the producer lets its dependents start at once.
    dependent : bool
        Whether the consumer is launched as a dependent, and waits by itself.
    delay : int
        As in `Tensors`.
    """

    def __init__(
        self,
        tokens: int,
        q_heads: int,
        k_heads: int,
        *,
        kind: Kind,
        in_place: bool,
        early: bool,
        dependent: bool,
        delay: int,
    ) -> None:
        from ropelab_cuda.launcher import prepare_launch

        super().__init__(
            tokens, q_heads, k_heads, kind=kind, in_place=in_place, delay=delay, device="cuda"
        )
        text = source(kind, early=early, dependent=dependent)

        def prepared(name: str, *, after: bool) -> Any:
            function, (blocks, threads) = int(_kernel(name, text).kernel.ptr), self.shares[name]
            address = ctypes.addressof(self.structure)
            return prepare_launch(
                function, (blocks, 1, 1), (threads, 1, 1), address, dependent=after
            )

        self._begin = prepared("begin_chain", after=False)
        self._produce = prepared("produce", after=False)
        self._check = prepared("check", after=dependent)

    def run(self, rotate: Callable[[], Any]) -> None:
        """Launch one chain around a rotation."""
        import torch

        stream = torch.cuda.current_stream().cuda_stream
        self._begin(stream)
        self._produce(stream)
        rotate()
        self._check(stream)
