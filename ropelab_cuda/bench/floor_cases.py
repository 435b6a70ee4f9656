"""One call of each kernel, with the bytes that it must move; planned without a GPU."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ropelab import Rope
from ropelab.checks import ANGLES, LAYOUTS
from ropelab.norm_rotary import Norm
from ropelab.pairs import Placement
from ropelab.scaling import LongRoPE

from ..decay import Decay
from ..launch import Plan, plan_cos_sin, plan_phases
from ..launch_kv_cache import Cached, plan_rotary_kv_cache
from ..launch_lengths import plan_length_spectrum, words_for
from ..launch_norm import plan_norm_rotary
from ..launch_permute import plan_permute
from ..launch_rotary import Lookup, plan_rotary, plan_rotary_cached, plan_rotary_indexed
from ..lengths import spectrum_to_plan
from ..position_sources import Ids
from ..views import View
from .workloads import BAR, FEW_HEADS, LAST_POSITION, Workload

__all__ = ["Case", "cases"]

END = LAST_POSITION + 1
APART = 1 << 40  # between the addresses of tensors, which do not exist
BLOCK_SIZE = 16  # rows of a block of a paged cache


@dataclass(frozen=True)
class Case:
    """One launch.

    Parameters
    ----------
    name : str
        For the table.
    plan : Plan
        What is launched.
    inputs, outputs : sequence of View
        What must be read and written, each element once; of a tensor the part that is touched.
    integers : mapping of int to ndarray
        Positions and slots, by their address.
    """

    name: str
    plan: Plan
    inputs: Sequence[View]
    outputs: Sequence[View]
    integers: Mapping[int, NDArray[np.integer]] = field(default_factory=dict)

    @property
    def read(self) -> int:
        """Bytes in."""
        return sum(view.size * view.item_bytes for view in self.inputs)

    @property
    def written(self) -> int:
        """Bytes out."""
        return sum(view.size * view.item_bytes for view in self.outputs)

    @property
    def moved_bytes(self) -> int:
        """Bytes in and out."""
        return self.read + self.written


class _Tensors:
    """Tensors of some workload, each at an address of its own."""

    def __init__(self, workload: Workload = BAR) -> None:
        self.workload, self.made = workload, 0
        self.given = self.q, self.k = tuple(self.view(shape) for shape in workload.shapes)
        self.positions = self.view((1, workload.sequence), "int64")
        last = np.arange(END - workload.sequence, END, dtype=np.int64)
        self.integers = {self.positions.pointer: last}

    def view(self, shape: tuple[int, ...], dtype: str = "bfloat16") -> View:
        self.made += 1
        strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        return View(self.made * APART, shape, strides, dtype)

    def like(self, view: View) -> View:
        return self.view(view.shape, view.dtype)

    @property
    def rotated(self) -> tuple[View, View]:
        return self.like(self.q), self.like(self.k)


def cases() -> Iterator[Case]:
    """Yield a case of every kernel, and of each of its ways that costs differently.

    Yields
    ------
    Case
        bfloat16, eight sequences of 4096 tokens, 32 heads of queries and 8 of keys; tables of
        131,072 positions.
    """
    yield from _rotary()
    yield from _by_tables()
    yield from _with_more()
    yield from _tables()
    yield from _lengths()


PLACE = Placement("bshd", "half")
SPECTRUM = Rope(128).spectrum()


def _rotary() -> Iterator[Case]:
    for angles, layout in product(ANGLES, LAYOUTS):
        t = _Tensors()
        out = t.rotated
        operands = [*zip(t.given, out, strict=True)]
        place = Placement("bshd", layout)
        plan = plan_rotary(operands, t.positions, SPECTRUM, place=place, angles=angles)
        name = f"rotary, {angles}, {layout}"
        yield Case(name, plan, (*t.given, t.positions), out, t.integers)
    t = _Tensors()
    operands, numbers = [*zip(t.given, t.given, strict=True)], Rope(64).spectrum()
    plan = plan_rotary(operands, t.positions, numbers, place=PLACE, angles="exact")
    parts = [replace(x, shape=(*x.shape[:-1], 64)) for x in t.given]
    name = "rotary, in place, 64 of 128 channels"
    yield Case(name, plan, (*parts, t.positions), parts, t.integers)


def _by_tables() -> Iterator[Case]:
    t = _Tensors()
    out, tokens = t.rotated, t.workload.sequence
    operands = [*zip(t.given, out, strict=True)]
    tables = [t.view((1, tokens, 64), "float32") for _ in range(2)]
    plan = plan_rotary_cached(operands, *tables, place=PLACE)
    yield Case("rotary_cached, float32 tables", plan, (*t.given, *tables), out)
    cos, sin = (t.view((END, 64), "float32") for _ in range(2))
    lookup = Lookup(Ids(t.positions), t.view((), "int32"))
    plan = plan_rotary_indexed(operands, cos, sin, lookup, place=PLACE)
    rows = [replace(table, shape=(tokens, 64)) for table in (cos, sin)]  # as many as positions
    yield Case("rotary_cached, indexed", plan, (*t.given, t.positions, *rows), out, t.integers)


def _with_more() -> Iterator[Case]:
    t = _Tensors()
    out = t.rotated
    operands = [*zip(t.given, out, strict=True)]
    decay = Decay(512.0, 0)
    plan = plan_rotary(operands, t.positions, SPECTRUM, place=PLACE, angles="exact", decay=decay)
    yield Case("rotary_xpos", plan, (*t.given, t.positions), out, t.integers)

    v, (q_out, _) = t.like(t.k), out
    tokens = math.prod(t.k.shape[:2])
    paged = (tokens // BLOCK_SIZE, BLOCK_SIZE, *t.k.shape[2:])
    k_cache, v_cache = (t.view(paged) for _ in range(2))
    slots = t.view(t.k.shape[:2], "int64")
    plan = plan_rotary_kv_cache(
        (t.q, q_out),
        Cached(t.k, k_cache),
        Cached(v, v_cache),
        t.positions,
        slots,
        SPECTRUM,
        place=PLACE,
        angles="exact",
    )
    shuffled = np.random.default_rng(0).permutation(tokens).astype(np.int64)
    integers = t.integers | {slots.pointer: shuffled}
    read = (*t.given, v, t.positions, slots)
    yield Case("rotary_kv_cache", plan, read, (q_out, k_cache, v_cache), integers)

    for name, across in (("head by head", False), ("across heads", True)):
        weights = [t.view(x.shape[2:] if across else x.shape[3:]) for x in t.given]
        plan = plan_norm_rotary(
            operands,
            weights,
            t.positions,
            SPECTRUM,
            norm=Norm(across_heads=across),
            place=PLACE,
            angles="exact",
        )
        read = (*t.given, t.positions, *weights)
        yield Case(f"norm_rotary, {name}", plan, read, out, t.integers)

    plan = plan_permute(t.q, q_out, 64, ("half", "interleaved"))
    yield Case("permute", plan, (t.q,), (q_out,))


def _tables() -> Iterator[Case]:
    t = _Tensors(FEW_HEADS)
    for angles in ANGLES:
        tables = [t.view((1, END, 64), "float32") for _ in range(2)]
        plan = plan_cos_sin(t.positions, SPECTRUM, *tables, angles=angles)
        name = f"cos_sin_table, {angles}, float32"
        yield Case(name, plan, (t.positions,), tables, t.integers)
    phases = t.view((1, END, 64), "uint64")
    plan = plan_phases(t.positions, SPECTRUM, phases)
    yield Case("phases", plan, (t.positions,), (phases,), t.integers)


def _lengths() -> Iterator[Case]:
    """Yield both launches that find the spectrum of many positions."""
    t = _Tensors(FEW_HEADS)
    scaling = LongRoPE([1.0] * 64, [4.0] * 64, 4096)
    rope = Rope(128, scaling=scaling, max_position_embeddings=END)
    buffer = t.view((words_for(t.positions, 64),), "int64")
    largest, spectrum = plan_length_spectrum(t.positions, spectrum_to_plan(rope).rule, buffer)
    count = largest.grid[0]
    found = View(buffer.pointer + 8 * (buffer.size - count), (count,), (1,), "int64")
    yield Case("largest_positions", largest, (t.positions,), (found,), t.integers)
    # The numbers of each pair, the attention factor and the length.
    numbers = replace(buffer, shape=(28 * 64 + 16,), dtype="uint8")
    integers = {found.pointer: np.full(count, LAST_POSITION, np.int64)}
    yield Case("length_spectrum", spectrum, (found,), (numbers,), integers)
