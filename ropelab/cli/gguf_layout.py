"""The layout of GGUF files: a header, the metadata, where the tensors are, and the tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .gguf_values import DamagedError, Walk

__all__ = ["MAGIC", "VersionError", "walk"]

MAGIC = b"GGUF"

_VERSIONS = (2, 3)
_F32 = 0  # among the types of tensors
_MOST_AXES = 4
_Place = tuple[tuple[int, ...], int, int]


class VersionError(ValueError):
    """Which version a file has, and those that are read."""


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
    at = Walk(data)
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


def _metadata(at: Walk, wanted: Callable[[str], bool]) -> tuple[dict[str, Any], int]:
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


def _places(at: Walk, count: int) -> dict[str, _Place]:
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
