"""From CUDA sources, which lie beside this file, to CuPy kernels.

A kernel is compiled for one specialisation: a few macros in front of one source. Headers are
inlined textually, so that a cache which looks at the source sees them change.

NVRTC is called here, and not by CuPy, which needs it even to find what it has cached: 0.2 seconds
in every process (it loads the compiler, and compiles nothing at all to learn its version).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from ._cupy import require_cupy
from .cubins import cache_folder, find_cubin, store_cubin

if TYPE_CHECKING:
    import cupy

__all__ = [
    "OPTIONS",
    "Specialisation",
    "architecture",
    "compiled",
    "cubin_name",
    "function",
    "kernel",
    "source",
]

OPTIONS = ("--std=c++17",)
# What CuPy appends to every kernel's options, for the same bits. Without the second, NVRTC 13.0 takes
# a generic lambda for a host function.
ALWAYS = ("-ftz=true", "--device-as-default-execution-space")

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


def cubin_name(specialisation: Specialisation, architecture: str) -> str:
    """Return the name of a cubin's file, which no other source, options or card share.

    Parameters
    ----------
    specialisation : Specialisation
        What is compiled.
    architecture : str
        For which card, "90" for instance.

    Returns
    -------
    str
        The kernel, the architecture and a hash.
    """
    text = "\0".join((source(specialisation), *OPTIONS, *ALWAYS))
    digest = hashlib.sha256(text.encode()).hexdigest()[:40]
    return f"{specialisation.kernel}-sm_{architecture}-{digest}.cubin"


def compiled(specialisation: Specialisation, architecture: str, *options: str) -> tuple[bytes, str]:
    """Compile by NVRTC, which needs no GPU.

    Parameters
    ----------
    specialisation : Specialisation
        What to compile.
    architecture : str
        For which card, "90" for instance.
    *options : str
        Further options of NVRTC.

    Returns
    -------
    (bytes, str)
        The cubin, and what the compiler said.

    Raises
    ------
    RuntimeError
        If it does not compile; the message holds what the compiler said.
    ImportError
        If CuPy is missing.
    """
    require_cupy()
    from cupy_backends.cuda.libs import nvrtc

    program = nvrtc.createProgram(source(specialisation), f"{specialisation.kernel}.cu", (), ())
    try:
        nvrtc.compileProgram(program, (*OPTIONS, *ALWAYS, f"-arch=sm_{architecture}", *options))
        # CuPy takes the last byte for the end of a string, and drops it.
        return nvrtc.getCUBIN(program) + b"\0", nvrtc.getProgramLog(program)
    except nvrtc.NVRTCError as error:
        msg = f"{specialisation} does not compile: {error}\n{nvrtc.getProgramLog(program)}"
        raise RuntimeError(msg) from error
    finally:
        nvrtc.destroyProgram(program)


@cache
def architecture(device: int) -> str:
    """Return the architecture of a CUDA device, "90" for instance."""
    return str(require_cupy().cuda.Device(device).compute_capability)


@cache
def kernel(specialisation: Specialisation, architecture: str) -> cupy.RawKernel:
    """Return the CuPy kernel: from a cubin if there is one, else compiled.

    Parameters
    ----------
    specialisation : Specialisation
        Which kernel.
    architecture : str
        That of the current device, on which it is loaded.

    Returns
    -------
    cupy.RawKernel
        It loads itself on any other device of the same architecture.

    Raises
    ------
    RuntimeError
        If it does not compile, or a cubin that was shipped cannot be loaded.
    ImportError
        If CuPy is missing.
    """
    cupy = require_cupy()
    name, cache_at = cubin_name(specialisation, architecture), cache_folder()
    path = find_cubin(name)
    if path is not None:
        try:
            return cupy.RawModule(path=str(path)).get_function(specialisation.kernel)
        except cupy.cuda.driver.CUDADriverError as error:
            if path.parent != cache_at:
                msg = f"{path}: the driver does not load it ({error}); write it again"
                raise RuntimeError(msg) from error
    if cache_at is not None and _is_known_to_nvrtc(architecture):
        cubin, _ = compiled(specialisation, architecture)
        try:
            path = store_cubin(cache_at, name, cubin)
        except OSError:  # a disk that is full or cannot be written stops nobody
            path = None
        if path is not None:
            return cupy.RawModule(path=str(path)).get_function(specialisation.kernel)
    # CuPy compiles it at its first launch, and has PTX for a card that is newer than NVRTC.
    return cupy.RawKernel(source(specialisation), specialisation.kernel, OPTIONS)


def function(specialisation: Specialisation) -> int:
    """Return the driver's handle of a kernel, loaded on the current device."""
    device = require_cupy().cuda.runtime.getDevice()
    return int(kernel(specialisation, architecture(device)).kernel.ptr)


def _is_known_to_nvrtc(architecture: str) -> bool:
    from cupy_backends.cuda.libs import nvrtc

    return int(architecture) in nvrtc.getSupportedArchs()
