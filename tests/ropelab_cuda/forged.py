"""CPU memory that claims to lie on a CUDA device."""

from __future__ import annotations

import ctypes
from typing import Any

__all__ = ["Forged"]

_address = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


class Forged:
    """A CPU tensor that claims to lie on a CUDA device, by its capsule."""

    def __init__(self, tensor: Any, device: tuple[int, int] = (2, 0), *, old: bool = False) -> None:
        self.tensor, self.device, self.old, self.flags = tensor, device, old, 0
        self.shape = tensor.shape
        self.streams: list[int] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: int, **options: Any) -> object:
        if self.old and options:
            msg = "unexpected keyword argument 'max_version'"
            raise TypeError(msg)
        self.streams.append(stream)
        capsule = self.tensor.__dlpack__(**options)
        name = b"dltensor" if self.old else b"dltensor_versioned"
        prefix = 0 if self.old else 32
        address = _address(capsule, name) + prefix
        for place, number in zip((8, 12), self.device, strict=True):
            ctypes.c_int32.from_address(address + place).value = number
        if not self.old:
            ctypes.c_uint64.from_address(address - 8).value = self.flags
        return capsule
