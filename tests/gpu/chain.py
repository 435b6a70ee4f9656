"""A producer, a rotation and a consumer, back to back in one stream, that check themselves.

Each chain has a number, on which every element of q and k and every position depends; the producer
writes them just before they are rotated. Frequencies are multiples of a quarter turn, so that a
rotation only swaps and negates small whole numbers: the consumer knows every result exactly, counts
on the device what is wrong, and leaves NaN behind, lest an old result pass for a new one.

The last block of the producer dawdles. A kernel that does not wait for it sees old values where it
is let start: at once, if the producer says so first of all (EARLY), else when all blocks of the
producer have ended, though what they wrote need not be visible yet.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import ropelab

__all__ = ["HEAD_DIM", "SECOND_LOOK", "SOURCE", "WAIT", "Chain", "spectrum"]

# What the controls take out of the kernels.
WAIT = 'asm volatile("griddepcontrol.wait;" ::: "memory");'
SECOND_LOOK = "angle.was_outdated();"

HEAD_DIM = 128
PAIRS = HEAD_DIM // 2
MOST_BLOCKS = 16  # of the producer: they leave room for what may start early

SOURCE = """
struct Chain {
  unsigned short *q, *k, *q_out, *k_out;
  long long* ids;
  unsigned long long *step, *wrong, *checked;
  long long tokens, q_heads, k_heads, delay;
};

__device__ unsigned mixed(unsigned x) {
  x = (x ^ x >> 16) * 0x7feb352du;
  x = (x ^ x >> 15) * 0x846ca68bu;
  return x ^ x >> 16;
}
__device__ float value(long long element, unsigned step) {
  return (float)(int)(mixed((unsigned)element + mixed(step)) & 255) - 128.0f;
}
__device__ long long position(long long token, unsigned step) {
  return mixed((unsigned)token * 3 + mixed(~step)) & 0xfffff;
}
__device__ unsigned short encode(float x) { return __float_as_uint(x) >> 16; }
__device__ float decode(unsigned short bits) { return __uint_as_float((unsigned)bits << 16); }

__device__ unsigned short* row(unsigned short* q, unsigned short* k, const Chain& p,
                               long long token, int head) {
  return head < p.q_heads ? q + (token * p.q_heads + head) * 128
                          : k + (token * p.k_heads + head - p.q_heads) * 128;
}

extern "C" __global__ void advance(const __grid_constant__ Chain p) { ++*p.step; }

extern "C" __global__ void produce(const __grid_constant__ Chain p) {
#if EARLY
  asm volatile("griddepcontrol.launch_dependents;");
#endif
  const unsigned step = *(volatile unsigned long long*)p.step;
  if (blockIdx.x == gridDim.x - 1) {
    const long long start = clock64();
    while (clock64() - start < p.delay) {}
  }
  const int heads = p.q_heads + p.k_heads;
  for (long long token = blockIdx.x; token < p.tokens; token += gridDim.x) {
    if (threadIdx.x == 0) p.ids[token] = position(token, step);
    for (int head = 0; head < heads; ++head) {
      const long long element = (token * heads + head) * 128 + threadIdx.x;
      row(p.q, p.k, p, token, head)[threadIdx.x] = encode(value(element, step));
    }
  }
}

extern "C" __global__ void check(const __grid_constant__ Chain p) {
#if DEPENDENT
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
  const unsigned step = *(volatile unsigned long long*)p.step;
  const int heads = p.q_heads + p.k_heads, pair = threadIdx.x;
  unsigned wrong = 0;
  for (long long token = blockIdx.x; token < p.tokens; token += gridDim.x) {
    const int quarters = position(token, step) * (1 + pair % 3) & 3;
    for (int head = 0; head < heads; ++head) {
      const long long element = (token * heads + head) * 128 + pair;
      const float x = value(element, step), y = value(element + 64, step);
      const float turned = quarters & 1 ? y : x, other = quarters & 1 ? x : y;
      const float first = quarters == 1 || quarters == 2 ? -turned : turned;
      const float second = quarters & 2 ? -other : other;
      unsigned short* out = row(p.q_out, p.k_out, p, token, head);
      wrong += !(decode(out[pair]) == first) + !(decode(out[pair + 64]) == second);
      out[pair] = out[pair + 64] = 0xffff;
    }
  }
  if (wrong) atomicAdd(p.wrong, (unsigned long long)wrong);
  if (blockIdx.x == 0 && pair == 0) atomicAdd(p.checked, 1ull);
}
"""


def spectrum() -> ropelab.Spectrum:
    """Return frequencies of one, two and three quarter turns a token."""
    return ropelab.Spectrum(np.pi / 2 * (1 + np.arange(PAIRS) % 3))


class Structure(ctypes.Structure):
    """struct Chain."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("q", "k", "q_out", "k_out", "ids")),
        *((name, ctypes.c_uint64) for name in ("step", "wrong", "checked")),
        *((name, ctypes.c_int64) for name in ("tokens", "q_heads", "k_heads", "delay")),
    )


@cache
def _kernel(name: str, macro: str) -> Any:
    import cupy

    return cupy.RawKernel(f"#define {macro}\n{SOURCE}", name, ("--std=c++17",))


class Chain:
    """The tensors of a chain, and what launches its parts on torch's current stream.

    Parameters
    ----------
    tokens, q_heads, k_heads : int
        Shapes: q and k have axes tokens, heads, head_dim.
    in_place : bool
        Whether the rotation replaces q and k.
    early : bool
        Whether the producer lets its dependents start at once.
    dependent : bool
        Whether the consumer is launched as a dependent, and waits by itself.
    delay : int
        Cycles by which the producer's last block is late.
    """

    def __init__(
        self,
        tokens: int,
        q_heads: int,
        k_heads: int,
        *,
        in_place: bool,
        early: bool,
        dependent: bool,
        delay: int,
    ) -> None:
        import torch

        from ropelab_cuda.launcher import prepare_launch

        bf16: dict[str, Any] = {"device": "cuda", "dtype": torch.bfloat16}
        self.q, self.k = (torch.zeros(tokens, n, HEAD_DIM, **bf16) for n in (q_heads, k_heads))
        self.out = (self.q, self.k) if in_place else tuple(map(torch.zeros_like, (self.q, self.k)))
        self.ids = torch.zeros(tokens, device="cuda", dtype=torch.int64)
        self.counters = torch.zeros(3, device="cuda", dtype=torch.int64)
        tensors = (self.q, self.k, *self.out, self.ids)
        counters = [self.counters.data_ptr() + 8 * i for i in range(3)]
        self.structure = Structure(
            *(tensor.data_ptr() for tensor in tensors), *counters, tokens, q_heads, k_heads, delay
        )

        def prepared(name: str, macro: str, blocks: int, threads: int, after: bool) -> Any:
            function = int(_kernel(name, macro).kernel.ptr)
            address = ctypes.addressof(self.structure)
            grid, block = (blocks, 1, 1), (threads, 1, 1)
            return prepare_launch(function, grid, block, address, dependent=after)

        few = min(tokens, MOST_BLOCKS)
        self._advance = prepared("advance", "EARLY 0", 1, 1, after=False)
        self._produce = prepared("produce", f"EARLY {int(early)}", few, HEAD_DIM, after=False)
        check = f"DEPENDENT {int(dependent)}"
        self._check = prepared("check", check, min(tokens, 256), PAIRS, after=dependent)

    def run(self, rotate: Callable[[], Any]) -> None:
        """Launch one chain around a rotation."""
        import torch

        stream = torch.cuda.current_stream().cuda_stream
        self._advance(stream)
        self._produce(stream)
        rotate()
        self._check(stream)

    def result(self) -> tuple[int, int, int]:
        """Wait, and return how many chains were begun, elements wrong, and chains checked."""
        begun, wrong, checked = self.counters.tolist()
        return begun, wrong, checked
