"""How torch, CuPy, JAX and any other DLPack producer name a tensor's memory, device and stream.

One small class a framework, all with the same methods; the gate in exchange.py asks them and
judges the answers. torch and JAX are never imported here: their tensors bring them along.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ropelab.dlpack import CUDA_DEVICES, Exported, read_capsule
from ropelab.precision import RAW

from ._cupy import require_cupy
from .torch_tensors import FROZEN, Torch, torch_framework
from .views import View

__all__ = ["CuPy", "Foreign", "Framework", "Jax", "Torch", "framework_of"]

CUDA = 2  # kDLCUDA, as CuPy calls every array of its own


class Framework(Protocol):
    """What the gate needs to know of a framework."""

    name: str
    family: str  # whose allocator and stream it shares
    frozen: str  # what came where a tensor may not be written, and the mend
    waits: bool  # whether it may reuse a tensor's memory before a kernel has read it

    def export(self, x: Any, name: str, stream: int | None) -> tuple[Exported, object]:
        """Return a tensor's description and whatever keeps it alive.

        With a stream, its producer makes that stream wait for the tensor's data.
        """

    def stream(self, device: int) -> int:
        """Return the framework's current stream on a device, asked afresh."""

    def on_device(self, device: int) -> AbstractContextManager[object]:
        """Return a context in which that device is the current one."""

    def empty_like(self, x: Any, view: View, dtype: str) -> Any:
        """Return a new tensor of the shape of `x`, whose view is given, and of a dtype."""

    def empty(self, x: Any, view: View, shape: tuple[int, ...], dtype: str) -> Any:
        """Return a new compact tensor on the device of `x`, whose view is given."""

    def read(self, x: Any) -> NDArray[Any]:
        """Return a tensor's values in the host's memory, which waits for the device."""

    def int64(self, x: Any) -> Any:
        """Return integers as int64, still on the device, so that sums of them do not overflow."""

    def written(self, x: Any) -> None:
        """Learn that a kernel has written to a tensor."""


def framework_of(x: Any) -> Framework | None:
    """Return the framework of a tensor, or None if it exports no DLPack."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        return torch_framework()
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(x, getattr(cupy, "ndarray", ())):
        return CuPy()
    if hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__"):
        jax = sys.modules.get("jax")
        return Jax() if isinstance(x, getattr(jax, "Array", ())) else Foreign()
    return None


class CuPy:
    """cupy.ndarray."""

    name = family = "cupy"
    frozen, waits = FROZEN, False

    def export(self, x: Any, name: str, stream: int | None) -> tuple[Exported, object]:
        """Read the array's own attributes, which is much cheaper than a capsule."""
        if stream is not None:
            return Foreign().export(x, name, stream)
        size = x.dtype.itemsize
        strides = tuple(step // size for step in x.strides)
        device = x.device.id
        return Exported(x.data.ptr, x.shape, strides, x.dtype.name, CUDA, device, False), x

    def stream(self, device: int) -> int:
        """Return CuPy's current stream."""
        return int(require_cupy().cuda.get_current_stream().ptr)

    def on_device(self, device: int) -> AbstractContextManager[object]:
        """Return CuPy's device guard, if the device is not the current one."""
        cuda = require_cupy().cuda
        if cuda.runtime.getDevice() == device:
            return nullcontext()
        guard: AbstractContextManager[object] = cuda.Device(device)
        return guard

    def empty_like(self, x: Any, view: View, dtype: str) -> Any:
        """Allocate by CuPy, which keeps a dense array's order of axes."""
        with self.on_device(view.device):
            return require_cupy().empty_like(x, _numpy_dtype(dtype))

    def empty(self, x: Any, view: View, shape: tuple[int, ...], dtype: str) -> Any:
        """Allocate by CuPy."""
        with self.on_device(view.device):
            return require_cupy().empty(shape, _numpy_dtype(dtype))

    def read(self, x: Any) -> NDArray[Any]:
        """Copy to the host."""
        array: NDArray[Any] = require_cupy().asnumpy(x)
        return array

    def int64(self, x: Any) -> Any:
        """Convert by CuPy."""
        return x.astype("int64", copy=False)

    def written(self, x: Any) -> None:
        """CuPy keeps no record."""


class Foreign(CuPy):
    """Any other producer: taken by its capsule, on CuPy's stream, answered by CuPy arrays."""

    name = "another framework"

    def export(self, x: Any, name: str, stream: int | None) -> tuple[Exported, object]:
        """Export by a capsule; the producer makes the stream wait for its data."""
        try:
            device_type, device = (int(number) for number in x.__dlpack_device__())
            if device_type not in CUDA_DEVICES:  # the gate will say so; it has no stream to ask for
                return Exported(0, (), (), "", device_type, device, False), x
            stream = self.stream(device) if stream is None else stream
            try:
                capsule = x.__dlpack__(stream=stream or 1, max_version=(1, 0))
            except TypeError:  # a producer older than DLPack 1.0
                capsule = x.__dlpack__(stream=stream or 1)
        except (BufferError, RuntimeError) as error:
            msg = f"{name}: {type(x).__name__} does not export DLPack: {error}"
            raise ValueError(msg) from error
        return read_capsule(capsule), (x, capsule)

    def empty_like(self, x: Any, view: View, dtype: str) -> Any:
        """Allocate by CuPy."""
        return self.empty(x, view, view.shape, dtype)

    def read(self, x: Any) -> NDArray[Any]:
        """Copy to the host by CuPy."""
        return super().read(require_cupy().from_dlpack(x))


class Jax(Foreign):
    """jax.Array, which is immutable, and whose stream nobody can launch on or wait for.

    JAX reuses memory in the order of that stream. So a call waits for its kernel before it lets go
    of what the kernel reads. Results are CuPy's arrays; arrays.py hands them over.
    """

    name = "jax"
    frozen = "an array of JAX, which is immutable; take the result of the twin without out="
    waits = True

    def export(self, x: Any, name: str, stream: int | None) -> tuple[Exported, object]:
        """Export by a capsule, which does not say by itself that it is read-only."""
        exported, owner = super().export(x, name, stream)
        return exported._replace(read_only=True), owner

    def empty(self, x: Any, view: View, shape: tuple[int, ...], dtype: str) -> Any:
        """Allocate from the device itself, where freeing waits for whatever JAX still runs."""
        with require_cupy().cuda.using_allocator(None):
            return super().empty(x, view, shape, dtype)


def _numpy_dtype(name: str) -> np.dtype[Any]:
    if name not in RAW:
        return np.dtype(name)
    if name.startswith("float8"):
        msg = f"dtype: expected a dtype that CuPy has arrays of; got {name}; pass torch's tensors"
        raise TypeError(msg)
    try:
        import ml_dtypes
    except ImportError as error:
        msg = f"a CuPy array of {name} needs ml_dtypes: pip install ml_dtypes"
        raise ImportError(msg) from error
    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return found
