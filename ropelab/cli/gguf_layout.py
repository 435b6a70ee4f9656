"""The layout of GGUF files, walked without decoding what nobody asks for.

Counts and lengths are checked against the bytes that are left before anything is taken or skipped
by them, so that a damaged file costs no more than its size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAGIC", "DamagedError", "VersionError", "walk"]

MAGIC = b"GGUF"

_VERSIONS = (2, 3)
_SCALARS = dict(enumerate(("B", "b", "H", "h", "I", "i", "f", "?")))
_SCALARS |= {10: "Q", 11: "q", 12: "d"}
_SIZES = {kind: struct.calcsize(f"<{code}") for kind, code in _SCALARS.items()}
_TEXT, _ARRAY = 8, 9
_F32 = 0  # among the types of tensors
_DEEPEST = 4  # arrays of arrays; nobody writes any
_MOST_AXES = 4
_LONGEST = 2**16  # bytes of a name; numbers of an array or a tensor that is kept
_MOST_STEPS = 2**24  # entries walked one by one, a hundred times a large vocabulary


_Place = tuple[tuple[int, ...], int, int]


class DamagedError(ValueError):
    """What is wrong with a file."""


class VersionError(ValueError):
    """Which version a file has, and those that are read."""


@dataclass
class _Walk:
    data: Any  # bytes or an mmap
    at: int = 0
    order: str = "<"
    steps: int = 0

    def skip(self, size: int, what: str) -> int:
        """Move on, and return where that began."""
        start, left = self.at, len(self.data) - self.at
        if size > left:
            msg = f"{what} takes {size} bytes of the {left} that are left"
            raise DamagedError(msg)
        self.at += size
        return start

    def number(self, code: str, what: str) -> Any:
        form = self.order + code
        return struct.unpack_from(form, self.data, self.skip(struct.calcsize(form), what))[0]

    def count(self, smallest: int, what: str) -> int:
        """Read how many entries follow, each of some bytes at least."""
        found = int(self.number("Q", what))
        if found * smallest > len(self.data) - self.at:
            msg = f"{what} is {found}, more than the {len(self.data) - self.at} bytes left can hold"
            raise DamagedError(msg)
        return found

    def step(self, count: int) -> None:
        self.steps += count
        if self.steps > _MOST_STEPS:
            msg = f"more than {_MOST_STEPS} entries"
            raise DamagedError(msg)

    def text(self, what: str) -> str:
        size = self.count(1, f"the length of {what}")
        if size > _LONGEST:
            msg = f"{what} has {size} bytes; at most {_LONGEST} are expected"
            raise DamagedError(msg)
        start = self.skip(size, what)
        try:
            return bytes(self.data[start : self.at]).decode("utf-8")
        except UnicodeDecodeError as error:
            msg = f"{what} is no UTF-8: {error.reason}"
            raise DamagedError(msg) from error

    def kept(self, key: str, kind: int) -> Any:
        """Read a number, a text or a list of numbers."""
        if kind in _SCALARS:
            return self.number(_SCALARS[kind], key)
        if kind == _TEXT:
            return self.text(key)
        if kind != _ARRAY:
            raise DamagedError(_unknown(key, kind))
        inner = int(self.number("I", key))
        if inner not in _SCALARS:
            msg = f"{key} is an array of type {inner}; a number or a list of numbers is expected"
            raise DamagedError(msg)
        count = self.count(_SIZES[inner], f"the length of {key}")
        return self.numbers(_SCALARS[inner], count, key).tolist()

    def numbers(self, code: str, count: int, what: str) -> NDArray[Any]:
        if count > _LONGEST:
            msg = f"{what} has {count} numbers; at most {_LONGEST} are expected"
            raise DamagedError(msg)
        dtype = np.dtype(self.order + code)
        start = self.skip(count * dtype.itemsize, what)
        return np.frombuffer(bytes(self.data[start : self.at]), dtype)

    def pass_over(self, key: str, kind: int, depth: int = 0) -> None:
        """Move behind a value without decoding it."""
        if kind in _SCALARS:
            self.skip(_SIZES[kind], key)
        elif kind == _TEXT:
            self.skip(self.number("Q", key), key)
        elif kind == _ARRAY and depth < _DEEPEST:
            self._pass_over_array(key, depth)
        else:
            raise DamagedError(_unknown(key, kind))

    def _pass_over_array(self, key: str, depth: int) -> None:
        inner = int(self.number("I", key))
        what = f"the length of {key}"
        if inner in _SCALARS:
            self.skip(self.count(_SIZES[inner], what) * _SIZES[inner], key)
        elif inner == _TEXT:
            count = self.count(8, what)
            self.step(count)
            self._pass_over_texts(key, count)
        else:
            count = self.count(12, what)
            self.step(count)
            for _ in range(count):
                self.pass_over(key, inner, depth + 1)

    def _pass_over_texts(self, key: str, count: int) -> None:
        """Move behind a vocabulary; a loop of its own, since some have a million entries."""
        read, data, at = struct.Struct(f"{self.order}Q").unpack_from, self.data, self.at
        last = len(data) - 8
        for _ in range(count):
            if at > last:
                msg = f"{key} goes on behind the end of the file"
                raise DamagedError(msg)
            at += 8 + read(data, at)[0]
        self.at = min(at, len(data))
        self.skip(at - self.at, key)


def walk(
    data: Any, wanted: Callable[[str], bool], tensors: Sequence[str]
) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """Return the metadata and the tensors of F32 that are asked for.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.
    wanted : callable
        Says of a key whether it is.
    tensors : sequence of str
        Names of tensors.

    Returns
    -------
    metadata : dict
        Numbers, texts and lists of numbers, by key.
    found : dict
        Tensors by name, those that are there.

    Raises
    ------
    DamagedError
        If the file breaks off, or something in it cannot be.
    VersionError
        If it is of a version that is not read.
    """
    at = _Walk(data)
    at.skip(len(MAGIC), "the magic")
    version = int(at.number("I", "the version"))
    if version and version & 0xFFFF == 0:  # as big-endian machines write it
        at.order = ">"
        version = int.from_bytes(version.to_bytes(4, "little"), "big")
    if version not in _VERSIONS:
        msg = f"version {version}; expected {' or '.join(map(str, _VERSIONS))}"
        raise VersionError(msg)
    tensor_count = at.count(24, "the number of tensors")
    metadata, alignment = _metadata(at, wanted)
    at.step(tensor_count)
    places = _places(at, tensor_count)
    start = -(-at.at // alignment) * alignment
    found = {}
    for name, (shape, kind, offset) in places.items():
        at.at = min(start + offset, len(data))
        if name not in tensors:
            at.skip(start + offset - at.at, name)  # begins behind the file
            continue
        if kind != _F32:
            msg = f"{name} is a tensor of type {kind}; F32, which is {_F32}, is expected"
            raise DamagedError(msg)
        found[name] = at.numbers("f", prod(shape), name).astype(np.float64).reshape(shape[::-1])
    return metadata, found


def _metadata(at: _Walk, wanted: Callable[[str], bool]) -> tuple[dict[str, Any], int]:
    count = at.count(13, "the number of keys")
    at.step(count)
    found: dict[str, Any] = {}
    seen: set[str] = set()
    alignment = 32
    for _ in range(count):
        key = at.text("a key")
        if key in seen:
            msg = f"the key {key!r} is given twice"
            raise DamagedError(msg)
        seen.add(key)
        kind = int(at.number("I", key))
        if key == "general.alignment":
            alignment = at.kept(key, kind)
            if type(alignment) is not int or alignment <= 0 or alignment & (alignment - 1):
                msg = f"{key} is {alignment!r}; a power of two is expected"
                raise DamagedError(msg)
        elif wanted(key):
            found[key] = at.kept(key, kind)
        else:
            at.pass_over(key, kind)
    return found, alignment


def _places(at: _Walk, count: int) -> dict[str, _Place]:
    """Return the shape, the type and the offset of every tensor."""
    found: dict[str, _Place] = {}
    for _ in range(count):
        name = at.text("a tensor's name")
        if name in found:
            msg = f"the tensor {name!r} is given twice"
            raise DamagedError(msg)
        axes = int(at.number("I", name))
        if axes > _MOST_AXES:
            msg = f"{name} has {axes} axes; at most {_MOST_AXES} are expected"
            raise DamagedError(msg)
        shape = tuple(int(at.number("Q", name)) for _ in range(axes))
        found[name] = (shape, int(at.number("I", name)), int(at.number("Q", name)))
    return found


def _unknown(key: str, kind: int) -> str:
    return f"{key} has the type {kind}, or lies deeper than {_DEEPEST} arrays"
