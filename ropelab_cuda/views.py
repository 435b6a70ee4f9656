"""What a kernel needs to know of a tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["ITEM_BYTES", "View", "imagined"]

ITEM_BYTES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "bool": 1,
    "complex64": 8,
    "complex128": 16,
}


@dataclass(frozen=True, slots=True)
class View:
    """A strided tensor in device memory.

    Parameters
    ----------
    pointer : int
        Address of the first element.
    shape, strides : tuple of int
        Lengths, and steps in elements, of the axes.
    dtype : str
        NumPy's name of the dtype, or that of a format in `ropelab.precision`.
    device : int
        Index of the CUDA device.
    owner : object
        Whatever keeps the memory alive.
    """

    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    device: int = 0
    owner: object = field(default=None, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def item_bytes(self) -> int:
        """Bytes of an element."""
        return ITEM_BYTES[self.dtype]

    @property
    def is_compact(self) -> bool:
        """Whether the elements adjoin in row-major order."""
        expected = 1
        for length, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if length > 1 and stride != expected:
                return False
            expected *= length
        return True


def imagined(shape: tuple[int, ...], dtype: str, pointer: int = 1 << 20) -> View:
    """Return a compact tensor that does not exist, to plan by.

    Parameters
    ----------
    shape : tuple of int
        Lengths of the axes.
    dtype : str
        As of a View.
    pointer : int, default 2**20
        Address of the first element.

    Returns
    -------
    View
        In row-major order.
    """
    strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return View(pointer, shape, strides, dtype)
