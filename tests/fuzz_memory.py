"""How the tensors of a fuzzed case lie in memory, and the check that nothing else was touched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

import ropelab
from ropelab.golden.case import Array
from ropelab.precision import float_dtype, stored_dtype
from tests.fuzz_cases import (
    Case,
    positions_of,
    spectrum_of,
    tables_of,
    token_axes_of,
    values_of,
)

__all__ = ["Device", "Lie", "Tensors"]

POISON = 0xFF  # all of its bits set, every float is NaN
GUARD = 64  # elements before and after


class Device(Protocol):
    """Where a case runs."""

    def put(self, memory: Array, shape: tuple[int, ...], strides: tuple[int, ...], at: int) -> Any:
        """Return a tensor: a view, strides in elements, into a copy of flat memory."""

    def alike(self, tensor: Any, shape: tuple[int, ...], strides: tuple[int, ...], at: int) -> Any:
        """Return another view into the memory of a tensor."""

    def memory(self, tensor: Any) -> Array:
        """Return all of the memory that a tensor is a view of, flat."""

    def take(self, tensor: Any) -> Array:
        """Return a tensor's elements."""


@dataclass(frozen=True)
class Lie:
    """A view: shape, strides in elements, first element, and the elements of all its memory."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    at: int
    size: int

    @classmethod
    def of(
        cls, shape: tuple[int, ...], order: tuple[int, ...], padding: tuple[int, ...], unit: int
    ) -> Lie:
        """Lay out a shape: axes from the outermost to the innermost, `padding` after each."""
        strides = [0] * len(shape)
        step = 1
        for axis, gap in zip(order[::-1], (*padding, *(0,) * len(shape)), strict=False):
            strides[axis] = step
            step = step * max(shape[axis], 1) + gap * unit
        return cls(shape, tuple(strides), GUARD, step + 2 * GUARD)

    def shifted(self, elements: int) -> Lie:
        """Return the same view some elements later."""
        return replace(self, at=self.at + elements, size=self.size + elements)

    def view(self, memory: Array) -> Array:
        """Return the view into flat memory of NumPy."""
        steps = tuple(stride * memory.itemsize for stride in self.strides)
        start = memory[self.at :]
        view: Array = np.lib.stride_tricks.as_strided(start, self.shape, steps)
        return view

    def outside(self, memory: Array) -> Array:
        """Return the bytes of memory that the view leaves out."""
        raw = memory.view(np.uint8).reshape(memory.size, -1)
        within = np.zeros(memory.size, bool)
        self.view(within)[...] = True
        return raw[~within]


def poisoned(size: int, dtype: np.dtype[Any]) -> Array:
    """Return flat memory that is NaN."""
    return np.full(size * dtype.itemsize, POISON, np.uint8).view(dtype)


@dataclass
class Tensors:
    """The arguments of one call, on a device, and what they hold."""

    case: Case
    device: Device
    values: list[Array]  # of the inputs, compact
    inputs: list[Any]
    outs: list[Any]
    lies: list[Lie]  # of what is written: outputs if there are any, else inputs
    positions: Any
    tables: tuple[Any, ...]
    spectrum: ropelab.Spectrum

    @classmethod
    def of(cls, case: Case, device: Device) -> Tensors:
        """Make them."""
        kind = case.kind
        heads = [kind.heads[0], kind.heads[1]]
        if not heads[1] or kind.table_dtype is not None:
            heads = heads[:1]
        shapes = [_shape(case, count) for count in heads]
        inputs, values, lies = _inputs(case, device, shapes)
        outs: list[Any] = []
        if case.way == "out":
            dtype = stored_dtype(case.output)
            lies = [_lie(case, shape, turned=True) for shape in shapes]
            outs = [
                device.put(poisoned(lie.size, dtype), lie.shape, lie.strides, lie.at)
                for lie in lies
            ]
        tables: tuple[Any, ...] = ()
        if kind.table_dtype is not None:
            tables = tuple(_put(device, table) for table in tables_of(case))
        ids = positions_of(case)
        positions = _put(device, ids, transposed=case.rows == "transposed")
        spectrum = spectrum_of(case)
        return cls(case, device, values, inputs, outs, lies, positions, tables, spectrum)

    def results(self, answers: tuple[Any, ...]) -> list[Array]:
        """Return what was written; it must be where it was asked for."""
        wanted = {"in place": self.inputs, "out": self.outs}.get(self.case.way, list(answers))
        assert len(answers) == len(wanted)
        assert all(a is b for a, b in zip(answers, wanted, strict=True))
        return [self.device.take(answer) for answer in answers]

    def check_outside(self, answers: tuple[Any, ...]) -> None:
        """Check that nothing but the results was written."""
        if self.case.way != "in place":
            for tensor, value in zip(self.inputs, self.values, strict=True):
                assert self.device.take(tensor).tobytes() == value.tobytes(), "an input was written"
        if self.case.way == "new" or 0 in self.lies[0].shape:
            return
        packed = self.case.way == "in place" and self.case.lie == "packed"
        for lie, answer in zip(self.lies, answers, strict=True):
            memory = self.device.memory(answer)
            if packed:  # the other tensor lies in the same memory
                for other in self.lies:
                    poison = poisoned(memory.size, memory.dtype)
                    other.view(memory)[...] = other.view(poison)
            assert (lie.outside(memory) == POISON).all(), "written outside of the result"


def _shape(case: Case, heads: int) -> tuple[int, ...]:
    tokens = token_axes_of(case)
    sizes = {"t": tokens[0], "b": tokens[0], "s": tokens[-1], "h": heads}
    return tuple({**sizes, "d": case.kind.widths[0]}[axis] for axis in case.tensor_format)


def _lie(case: Case, shape: tuple[int, ...], *, turned: bool = False) -> Lie:
    """Lay out a tensor of a case; `turned`, its axes lie in another order."""
    kind = case.kind
    unit = 16 if kind.aligned else 1  # elements: 16 bytes or more of any format
    order = tuple(axis for axis in case.order if axis < len(shape) - 1)
    order = (*(order[::-1] if turned else order), len(shape) - 1)
    lie = Lie.of(shape, order, case.padding, unit)
    return lie if kind.aligned else lie.shifted(1)


def _inputs(
    case: Case, device: Device, shapes: list[tuple[int, ...]]
) -> tuple[list[Any], list[Array], list[Lie]]:
    dtype = float_dtype(case.kind.dtype)
    head_axis = case.tensor_format.index("h")
    if case.lie == "packed":
        counts = [shape[head_axis] for shape in shapes]
        whole = _lie(case, _shape(case, sum(counts) + 1))  # the last head belongs to nobody
        starts = [sum(counts[:i]) * whole.strides[head_axis] for i in range(len(shapes))]
        lies = [
            Lie(shape, whole.strides, whole.at + start, whole.size)
            for shape, start in zip(shapes, starts, strict=True)
        ]
    else:
        lies = [_lie(case, shape) for shape in shapes]
    if case.lie == "repeated" and case.way != "in place":
        lies = [
            replace(
                lie, strides=tuple(0 if i == head_axis else s for i, s in enumerate(lie.strides))
            )
            for lie in lies
        ]
    memories = [poisoned(lie.size, dtype) for lie in lies]
    if case.lie == "packed":
        memories = [memories[0]] * len(lies)
    for number, (lie, memory) in enumerate(zip(lies, memories, strict=True)):
        lie.view(memory)[...] = values_of(case, lie.shape, number + 1)
    values = [lie.view(memory).copy() for lie, memory in zip(lies, memories, strict=True)]
    tensors: list[Any] = []
    for lie, memory in zip(lies, memories, strict=True):
        args = (lie.shape, lie.strides, lie.at)
        if case.lie == "packed" and tensors:
            tensors.append(device.alike(tensors[0], *args))
        else:
            tensors.append(device.put(memory, *args))
    return tensors, values, lies


def _put(device: Device, array: Array, *, transposed: bool = False) -> Any:
    """Return a tensor in the midst of poison, in row-major order or the reverse of it."""
    order = tuple(range(array.ndim))
    lie = Lie.of(array.shape, order[::-1] if transposed else order, (), 1)
    memory = poisoned(lie.size, array.dtype)
    lie.view(memory)[...] = array
    return device.put(memory, lie.shape, lie.strides, lie.at)
