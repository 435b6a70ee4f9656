"""How torch, CuPy and any other DLPack producer name a tensor's memory, device and stream.

One small class a framework, all with the same methods; the gate in exchange.py asks them and
judges the answers. torch is never imported here: a torch tensor brings it along.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, Protocol

import numpy as np

from ropelab.dlpack import CUDA_DEVICES, DLTensor, Exported, describe, read_capsule
from ropelab.precision import RAW

from ._cupy import require_cupy
from .views import View

__all__ = ["CuPy", "Foreign", "Framework", "Torch", "framework_of"]

CUDA = 2  # kDLCUDA, as CuPy calls every array of its own


class Framework(Protocol):
    """What the gate needs to know of a framework."""

    name: str
    family: str  # whose allocator and stream it shares

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

    def written(self, x: Any) -> None:
        """Learn that a kernel has written to a tensor."""


def framework_of(x: Any) -> Framework | None:
    """Return the framework of a tensor, or None if it exports no DLPack."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        return _torch()
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(x, getattr(cupy, "ndarray", ())):
        return CuPy()
    if hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__"):
        return Foreign()
    return None


class _ExchangeAPI(ctypes.Structure):
    """struct DLPackExchangeAPI of DLPack 1.3."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("prev_api", ctypes.c_void_p),
        ("managed_tensor_allocator", ctypes.c_void_p),
        ("managed_tensor_from_py_object_no_sync", ctypes.c_void_p),
        ("managed_tensor_to_py_object_no_sync", ctypes.c_void_p),
        ("dltensor_from_py_object_no_sync", ctypes.c_void_p),
        ("current_work_stream", ctypes.c_void_p),
    )


def _c_exporter(tensor_type: type) -> Any:
    """Return the C function that fills a DLTensor from a tensor, or None before torch 2.10."""
    capsule = getattr(tensor_type, "__dlpack_c_exchange_api__", None)
    if capsule is None:
        return None
    signature = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    get_pointer = signature(("PyCapsule_GetPointer", ctypes.pythonapi))
    api = _ExchangeAPI.from_address(get_pointer(capsule, b"dlpack_exchange_api"))
    if api.major != 1 or not api.dltensor_from_py_object_no_sync:
        return None
    prototype = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(DLTensor))
    return prototype(api.dltensor_from_py_object_no_sync)


class Torch:
    """torch.Tensor and Parameter; subclasses are refused, for they may stand for anything."""

    name = family = "torch"

    def __init__(self, *, use_c_api: bool = True) -> None:
        self.torch = sys.modules["torch"]
        self._export = _c_exporter(self.torch.Tensor) if use_c_api else None
        self._raw_stream = getattr(self.torch._C, "_cuda_getCurrentRawStream", None)

    def export(self, x: Any, name: str, stream: int | None) -> tuple[Exported, object]:
        """Export by the C exchange API, which costs half a microsecond, or by a capsule."""
        self._refuse(x, name)
        if stream is not None:  # a launch on another framework's stream: torch has to order it
            capsule = x.detach().__dlpack__(stream=stream or 1)
            return read_capsule(capsule), (x, capsule)
        if self._export is None:
            capsule = self.torch.utils.dlpack.to_dlpack(x.detach())
            return read_capsule(capsule), (x, capsule)
        tensor = DLTensor()
        try:
            self._export(x, ctypes.byref(tensor))
        except RuntimeError as error:  # a meta tensor, for instance
            reason = str(error).splitlines()[0]
            msg = f"{name}: torch does not export this tensor on {x.device}: {reason}"
            raise ValueError(msg) from error
        return describe(tensor), x

    def _refuse(self, x: Any, name: str) -> None:
        torch = self.torch
        if type(x) not in (torch.Tensor, torch.nn.Parameter):
            kind, mend = type(x).__name__, "pass the plain tensor behind it"
        elif torch._C._functorch.is_functorch_wrapped_tensor(x):
            kind, mend = "a tensor wrapped by a torch.func transform", "call outside of it"
        elif x.layout != torch.strided:
            kind, mend = f"a tensor of layout {x.layout}", "call .to_dense()"
        else:
            kind = ""
        if kind:
            msg = f"{name}: expected a plain torch.Tensor; got {kind}; {mend}"
            raise TypeError(msg)
        pending = [
            word
            for word, is_pending in (
                ("conjugation", x.is_conj()),
                ("negation", x.is_neg()),
                ("zero", x._is_zerotensor()),
            )
            if is_pending
        ]
        if pending:
            msg = (
                f"{name}: expected a tensor whose memory holds its values; got one with a pending "
                f"{pending[0]}; call .resolve_conj(), .resolve_neg() or .clone() first"
            )
            raise ValueError(msg)
        if x.requires_grad and torch.is_grad_enabled():
            msg = (
                f"{name}: requires grad, and its gradient would be lost; expected a tensor that "
                f"does not; pass {name}.detach(), or call under torch.no_grad()"
            )
            raise ValueError(msg)

    def stream(self, device: int) -> int:
        """Return torch's current stream."""
        if self._raw_stream is not None:
            return int(self._raw_stream(device))
        return int(self.torch.cuda.current_stream(device).cuda_stream)

    def on_device(self, device: int) -> AbstractContextManager[object]:
        """Return torch's device guard, if the device is not the current one."""
        if self.torch.cuda.current_device() == device:
            return nullcontext()
        guard: AbstractContextManager[object] = self.torch.cuda.device(device)
        return guard

    def empty_like(self, x: Any, view: View, dtype: str) -> Any:
        """Allocate by torch, which keeps a dense tensor's order of axes."""
        return self.torch.empty_like(x, dtype=getattr(self.torch, dtype), requires_grad=False)

    def empty(self, x: Any, view: View, shape: tuple[int, ...], dtype: str) -> Any:
        """Allocate by torch."""
        return self.torch.empty(shape, dtype=getattr(self.torch, dtype), device=x.device)

    def written(self, x: Any) -> None:
        """Bump the version, so that autograd notices a saved tensor that has changed."""
        if not x.is_inference():
            self.torch.autograd.graph.increment_version(x)


class CuPy:
    """cupy.ndarray."""

    name = family = "cupy"

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

    def written(self, x: Any) -> None:
        """CuPy keeps no record."""


class Foreign(CuPy):
    """Any other producer: taken by its capsule, on CuPy's stream, answered by CuPy arrays."""

    name = "another framework"

    def export(self, x: Any, name: str, stream: int | None) -> tuple[Exported, object]:
        """Export by a capsule; the producer makes the stream wait for its data."""
        device_type, device = (int(number) for number in x.__dlpack_device__())
        if device_type not in CUDA_DEVICES:  # the gate will say so; it has no stream to ask for
            return Exported(0, (), (), "", device_type, device, False), x
        stream = self.stream(device) if stream is None else stream
        try:
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


@cache
def _torch() -> Torch:
    return Torch()


def _numpy_dtype(name: str) -> np.dtype[Any]:
    if name not in RAW:
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError as error:
        msg = f"a CuPy array of {name} needs ml_dtypes: pip install ml_dtypes"
        raise ImportError(msg) from error
    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return found
