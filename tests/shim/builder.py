"""Compile a kernel's own source with g++, and run a launch plan on NumPy arrays."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from ropelab_cuda.compile import Specialisation, source
from ropelab_cuda.launch import Plan

HEADER = Path(__file__).with_name("cuda_on_cpu.h")
# Without -fno-gnu-unique, static memory is one for all specialisations of a kernel in a process, be
# their structures of different sizes or not.
FLAGS = (
    "-std=c++17",
    "-fno-gnu-unique",
    "-O1",
    "-g1",
    "-fPIC",
    "-shared",
    "-ffp-contract=off",
    "-Wall",
)
QUIET = ("-Wno-unknown-pragmas", "-Wno-unused-function", "-Wno-maybe-uninitialized")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")

GLUE = """
template <class Parameters> Parameters parameters_of(void (*)(Parameters));
extern "C" void run(const unsigned* grid, const unsigned* block, const void* parameters) {{
  using Parameters = decltype(parameters_of({kernel}));
  launch_on_cpu<Parameters, {kernel}>(grid, block, parameters);
}}
"""


@cache
def library(specialisation: Specialisation, sanitize: bool = False) -> ctypes.CDLL:
    """Build a specialisation, or find it built."""
    return compiled(source(specialisation), specialisation.kernel, sanitize)


def compiled(code: str, kernel: str, sanitize: bool = False) -> ctypes.CDLL:
    """Build a source, or find it built; its function `run` launches one of its kernels."""
    text = f'#include "{HEADER}"\n#line 1 "{kernel}.cu"\n{code}' + GLUE.format(kernel=kernel)
    flags = (*FLAGS, *QUIET, *(SANITIZE if sanitize else ()))
    key = hashlib.sha256("\0".join((HEADER.read_text(), text, *flags)).encode()).hexdigest()
    folder = Path(tempfile.gettempdir()) / f"ropelab-shim-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    built = folder / f"{key[:32]}.so"
    if not built.exists():
        partial = built.with_suffix(f".{os.getpid()}")
        command = ["g++", *flags, "-x", "c++", "-", "-o", str(partial)]
        result = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
        assert result.returncode == 0, f"{kernel}\n{code[:4000]}\n{result.stderr}"
        partial.replace(built)
    return ctypes.CDLL(str(built))


def run(plan: Plan, *, sanitize: bool = False) -> None:
    """Run a plan on the CPU; its pointers are addresses of host memory."""
    if plan.is_empty:
        return
    three = ctypes.c_uint * 3
    library(plan.specialisation, sanitize).run(
        three(*plan.grid), three(*plan.block), ctypes.byref(plan.parameters)
    )
