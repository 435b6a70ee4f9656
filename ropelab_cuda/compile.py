"""From CUDA sources, which lie beside this file, to machine code.

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

from ._cupy import require_cupy

__all__ = ["OPTIONS", "Specialisation", "compiled", "cubin_name", "source"]

OPTIONS = ("--std=c++17",)
# Without it, NVRTC 13.0 takes a generic lambda for a host function.
ALWAYS = ("--device-as-default-execution-space",)

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
