"""One memory for all tensors of a call: views of any strides, with poison between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ropelab.golden.case import Array

__all__ = ["Arena", "Lie", "Place"]

POISON = 0xFF  # all of its bits set, every float is NaN
GUARD = 64  # elements before and after a view, or the views that interleave
_LINE = 256  # bytes; what every allocator aligns to


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

    def repeated(self, axis: int) -> Lie:
        """Return a view that finds the same elements all along an axis."""
        strides = tuple(0 if i == axis else step for i, step in enumerate(self.strides))
        return replace(self, strides=strides)

    def split(self, axis: int, counts: list[int]) -> list[Lie]:
        """Return views of some elements of an axis each, one after the other."""
        starts = [sum(counts[:i]) * self.strides[axis] for i in range(len(counts))]
        shapes = [(*self.shape[:axis], n, *self.shape[axis + 1 :]) for n in counts]
        return [
            replace(self, shape=shape, at=self.at + start)
            for shape, start in zip(shapes, starts, strict=True)
        ]

    def without(self, axis: int) -> Lie:
        """Return the view of the first element of an axis, which is gone."""
        shape, strides = (
            (*numbers[:axis], *numbers[axis + 1 :]) for numbers in (self.shape, self.strides)
        )
        return replace(self, shape=shape, strides=strides)


@dataclass(frozen=True)
class Place:
    """A view into an arena, whose memory of it starts at a byte."""

    lie: Lie
    dtype: np.dtype[Any]
    start: int

    def of(self, memory: Array) -> Array:
        """Return the view into the arena's bytes."""
        first = self.start + self.lie.at * self.dtype.itemsize
        steps = tuple(stride * self.dtype.itemsize for stride in self.lie.strides)
        view: Array = np.ndarray(self.lie.shape, self.dtype, memory.data, first, steps)
        return view


class Arena:
    """The bytes of all arguments of a call, so that they travel together."""

    def __init__(self) -> None:
        self._parts: dict[int, Array] = {}  # by their first byte
        self._size = 0

    def add(self, dtype: np.dtype[Any], *lies: Lie) -> list[Place]:
        """Make room for views that share their memory, all of it poison."""
        size = max(lie.size for lie in lies) * dtype.itemsize
        part = np.full(-(-size // _LINE) * _LINE, POISON, np.uint8)
        places = [Place(lie, dtype, self._size) for lie in lies]
        self._parts[self._size] = part
        self._size += part.size
        return places

    def fill(self, place: Place, array: Array) -> None:
        """Put an array into a view that there is room for."""
        replace(place, start=0).of(self._parts[place.start])[...] = array

    def put(self, array: Array, lie: Lie) -> Place:
        """Make room for a view, and put an array there."""
        (place,) = self.add(array.dtype, lie)
        self.fill(place, array)
        return place

    def memory(self) -> Array:
        """Return all bytes."""
        return np.concatenate([*self._parts.values()])
