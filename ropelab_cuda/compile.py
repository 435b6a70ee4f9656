"""From CUDA sources, which lie beside this file, to CuPy kernels.

A kernel is compiled for one specialisation: a few macros in front of one source. Headers are
inlined textually, because CuPy's disk cache looks at the source alone and would serve a stale
kernel after a header has changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from ._cupy import require_cupy

if TYPE_CHECKING:
    import cupy

__all__ = ["OPTIONS", "Specialisation", "function", "kernel", "source"]

# One tuple for the whole library: each further one costs CuPy an extra compile in each process.
OPTIONS = ("--std=c++17",)

_INCLUDE = re.compile(r'^#include "([\w.]+)"$', re.MULTILINE)


@dataclass(frozen=True)
class Specialisation:
    """One kernel compiled in one way.

    Parameters
    ----------
    kernel : str
        Name of the kernel and of its file.
    defines : tuple of (str, str or int)
        Macros that the source needs.
    """

    kernel: str
    defines: tuple[tuple[str, str | int], ...]

    def __str__(self) -> str:
        """Name it, for tests and messages."""
        values = ",".join(str(value) for _, value in self.defines).replace(
            "unsigned long long", "u64"
        )
        return f"{self.kernel}[{values}]"


@cache
def source(specialisation: Specialisation) -> str:
    """Return the complete CUDA source of a specialisation: macros, headers, kernel."""
    macros = "".join(f"#define {name} {value}\n" for name, value in specialisation.defines)
    return macros + _inlined(f"{specialisation.kernel}.cu", set())


def _inlined(name: str, seen: set[str]) -> str:
    """Return a kernel file with each of its headers in place of the first mention."""
    if name in seen:
        return ""
    seen.add(name)
    text = (files(__package__) / "kernels" / name).read_text(encoding="utf-8")
    text = text.replace("#pragma once\n", "")
    return _INCLUDE.sub(lambda match: _inlined(match[1], seen), text)


@cache
def kernel(specialisation: Specialisation) -> cupy.RawKernel:
    """Return the CuPy kernel; CuPy compiles it at its first launch on each device."""
    return require_cupy().RawKernel(source(specialisation), specialisation.kernel, OPTIONS)


def function(specialisation: Specialisation) -> int:
    """Return the driver's handle of a kernel, loaded on the current device."""
    return int(kernel(specialisation).kernel.ptr)
