"""Run all of `ropelab_cuda` on the CPU, the kernels' own source through g++.

The gate, the checks and the plans are the real ones. Three things are replaced: CPU memory passes
for a CUDA device's, NumPy arrays pass for tensors, and g++ executes the plans.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields
from typing import Any
from unittest import mock

import numpy as np

import ropelab_cuda
from ropelab.dlpack import CPU_DEVICES, CUDA_DEVICES, Exported
from ropelab.golden import SPECIFICATION, Implementation
from ropelab.precision import RAW, format_name
from ropelab_cuda import frameworks
from ropelab_cuda.exchange import Gate
from ropelab_cuda.frameworks import Framework
from ropelab_cuda.launch import Plan
from ropelab_cuda.launcher import Launch
from ropelab_cuda.torch_tensors import QuickTorch, torch_framework
from ropelab_cuda.views import View

from .builder import run

__all__ = ["POISON", "Host", "guarded", "implementation", "on_cpu"]

GUARD = 64  # bytes; keeps the alignment of the widest access
POISON = 0xCB


class Host:
    """NumPy, with raw bits as `ropelab.bfloat16`; outputs are poisoned and guarded."""

    name = family = "numpy"
    frozen, waits = "a read-only one; copy it", False

    def export(self, x: Any, name: str, stream: int | None) -> tuple[Exported, object]:
        """Describe an array."""
        assert stream is None, name
        dtype = format_name(x.dtype)
        strides = tuple(step // x.itemsize for step in x.strides)
        read_only = not x.flags.writeable
        return Exported(x.ctypes.data, x.shape, strides, dtype, 1, 0, read_only), x

    def stream(self, device: int) -> int:
        """Return the only stream there is."""
        return device

    def on_device(self, device: int) -> AbstractContextManager[object]:
        """Return a context that does nothing."""
        return nullcontext(device)

    def empty_like(self, x: Any, view: View, dtype: str) -> Any:
        """Return a poisoned array between guards."""
        return self.empty(x, view, view.shape, dtype)

    def empty(self, x: Any, view: View, shape: tuple[int, ...], dtype: str) -> Any:
        """Return a poisoned array between guards."""
        assert view.owner is x
        return guarded(shape, RAW[dtype] if dtype in RAW else np.dtype(dtype))

    def read(self, x: Any) -> Any:
        """Return the array itself."""
        return x

    def int64(self, x: Any) -> Any:
        """Convert by NumPy."""
        return x.astype(np.int64)

    def written(self, x: Any) -> None:
        """Check the guards around an array that has been written."""
        whole = x
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        if whole.dtype == np.uint8 and whole.size == x.nbytes + 2 * GUARD:
            assert (whole[:GUARD] == POISON).all(), "written before the output"
            assert (whole[-GUARD:] == POISON).all(), "written past the output"


def guarded(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Return an array of poison, with more poison before and after it."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = np.full(GUARD + size + GUARD, POISON, np.uint8)
    return memory[GUARD : GUARD + size].view(dtype).reshape(shape)


def _torch() -> QuickTorch:
    """Return torch's framework, which needs torch to be imported."""
    importlib.import_module("torch")
    return torch_framework()


@contextmanager
def on_cpu(*, sanitize: bool = False) -> Iterator[None]:
    """Let `ropelab_cuda` take CPU tensors and NumPy arrays, and run on the CPU."""
    host, framework_of = Host(), frameworks.framework_of

    def framework_or_host(x: Any) -> Framework | None:
        return host if isinstance(x, np.ndarray) else framework_of(x)

    def launch(gate: Gate, plan: Plan, outputs: Sequence[Any]) -> Launch:
        def again(stream: int) -> None:
            assert stream == 0
            run(plan, sanitize=sanitize)

        again(0)
        for output in outputs:
            gate.framework.written(output)
        return again

    def allocate(shape: Any, strides: Any, dtype: Any) -> Any:
        made = sys.modules["torch"].empty_strided(shape, strides, dtype=dtype)
        return made.fill_(float("nan") if dtype.is_floating_point else POISON)

    with (
        mock.patch("ropelab_cuda._memory.CUDA_DEVICES", CPU_DEVICES | CUDA_DEVICES),
        mock.patch("ropelab_cuda.exchange.framework_of", framework_or_host),
        mock.patch.object(Gate, "launch", launch),
        mock.patch.object(_torch(), "raw_stream", return_value=0),
        mock.patch.object(_torch(), "allocate", allocate),
    ):
        yield


def implementation() -> Implementation:
    """Return `ropelab_cuda` on the CPU, as the goldens want to ask it."""

    def asked(name: str) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            with on_cpu():
                return getattr(ropelab_cuda, name)(*args, **options)

        return call

    functions = {field.name: getattr(SPECIFICATION, field.name) for field in fields(Implementation)}
    functions |= {name: asked(name) for name in functions if hasattr(ropelab_cuda, name)}
    return Implementation(**functions)
