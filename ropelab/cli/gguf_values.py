"""Values of GGUF files, taken or passed over without decoding what nobody asks for.

Counts and lengths are checked against the bytes that are left before anything is taken or skipped
by them, so that a damaged file costs no more than its size.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DamagedError", "Walk"]

_SCALARS = dict(enumerate(("B", "b", "H", "h", "I", "i", "f", "?")))
_SCALARS |= {10: "Q", 11: "q", 12: "d"}
_SIZES = {kind: struct.calcsize(f"<{code}") for kind, code in _SCALARS.items()}
_TEXT, _ARRAY = 8, 9
_DEEPEST = 4  # arrays of arrays; nobody writes any
_LONGEST = 2**16  # bytes of a name; numbers of an array or a tensor that is kept
_MOST_STEPS = 2**24  # entries walked one by one, a hundred times a large vocabulary


class DamagedError(ValueError):
    """What is wrong with a file."""


@dataclass
class Walk:
    """A place in a file, which moves on as values are read.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.
    at : int
        The place.
    order : {"<", ">"}
        Of the bytes of a number.
    steps : int
        Entries that were walked one by one.
    """

    data: Any
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
        """Read a number of one of struct's codes."""
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
        """Count entries that are walked one by one, or raise if no model has as many."""
        self.steps += count
        if self.steps > _MOST_STEPS:
            msg = f"more than {_MOST_STEPS} entries"
            raise DamagedError(msg)

    def text(self, what: str) -> str:
        """Read a text."""
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
        """Read neighbouring numbers of one of struct's codes."""
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


def _unknown(key: str, kind: int) -> str:
    return f"{key} has the type {kind}, or lies deeper than {_DEEPEST} arrays"
