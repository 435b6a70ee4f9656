"""torch's tensors: what they tell of their memory, and how to tell torch what became of it.

torch is never imported here: a torch tensor brings it along. The quick methods are for replay.py,
which calls them at every launch; each costs a fraction of a microsecond.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from numpy.typing import NDArray

from ropelab.dlpack import DLTensor, Exported, describe, read_capsule

from .views import View

__all__ = ["FROZEN", "Guard", "QuickTorch", "Torch", "refuse_lost_gradient", "torch_framework"]

FROZEN = "a read-only one; copy it"

Guard = Callable[..., bool]
"""Says whether some tensors are like others but for their memory."""


@cache
def torch_framework() -> QuickTorch:
    """Return the framework, once torch has been imported."""
    return QuickTorch()


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
    prototype = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p)
    return prototype(api.dltensor_from_py_object_no_sync)


def refuse_lost_gradient(x: Any, name: str) -> None:
    """Raise ValueError if gradients of a torch tensor are recorded, which is done elsewhere.

    Parameters
    ----------
    x : torch.Tensor
        An argument.
    name : str
        Its name, for the message.

    Raises
    ------
    ValueError
        If it requires grad, outside of ``torch.no_grad()``.
    """
    if x.requires_grad and sys.modules["torch"].is_grad_enabled():
        msg = (
            f"{name}: requires grad, and its gradient would be lost; expected a tensor that does "
            f"not; ropelab_cuda.torch rotates with gradients; or pass {name}.detach(), or call "
            f"under torch.no_grad()"
        )
        raise ValueError(msg)


class Torch:
    """torch.Tensor and Parameter; subclasses are refused, for they may stand for anything."""

    name = family = "torch"
    frozen, waits = FROZEN, False

    def __init__(self, *, use_c_api: bool = True) -> None:
        torch = self.torch = sys.modules["torch"]
        self._export = _c_exporter(torch.Tensor) if use_c_api else None
        self._raw_stream = getattr(torch._C, "_cuda_getCurrentRawStream", None)
        self._plain_types = (torch.Tensor, torch.nn.Parameter)
        self._forward_ad = torch.autograd.forward_ad

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
            self._export(x, ctypes.addressof(tensor))
        except RuntimeError as error:  # a meta tensor, for instance
            reason = str(error).splitlines()[0]
            msg = f"{name}: torch does not export this tensor on {x.device}: {reason}"
            raise ValueError(msg) from error
        return describe(tensor), x

    def _refuse(self, x: Any, name: str) -> None:
        torch = self.torch
        if type(x) not in self._plain_types:
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
        if self.carries_tangents() and self._forward_ad.unpack_dual(x).tangent is not None:
            msg = (
                f"{name}: carries a tangent for forward-mode differentiation, which would be lost; "
                f"rotate the tangent as well: the rotation is linear"
            )
            raise NotImplementedError(msg)
        if pending:
            msg = (
                f"{name}: expected a tensor whose memory holds its values; got one with a pending "
                f"{pending[0]}; call .resolve_conj(), .resolve_neg() or .clone() first"
            )
            raise ValueError(msg)
        refuse_lost_gradient(x, name)

    def carries_tangents(self) -> bool:
        """Say whether tensors may carry tangents, for forward-mode differentiation."""
        return bool(self._forward_ad._current_level >= 0)

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
        made = self.torch.empty_like(x, dtype=getattr(self.torch, dtype), requires_grad=False)
        if made.ndim and made.shape[-1] > 1 and made.stride(-1) != 1:  # windows that overlap
            return self.empty(x, view, view.shape, dtype)
        return made

    def empty(self, x: Any, view: View, shape: tuple[int, ...], dtype: str) -> Any:
        """Allocate by torch."""
        return self.torch.empty(shape, dtype=getattr(self.torch, dtype), device=x.device)

    def read(self, x: Any) -> NDArray[Any]:
        """Copy to the host."""
        array: NDArray[Any] = x.detach().cpu().numpy()
        return array

    def int64(self, x: Any) -> Any:
        """Convert by torch."""
        return x.long()

    def written(self, x: Any) -> None:
        """Bump the version, so that autograd notices a saved tensor that has changed."""
        if not x.is_inference():
            self.torch.autograd.graph.increment_version(x)


class QuickTorch(Torch):
    """What replay.py asks at each call, by the quickest of torch's functions that there is."""

    def __init__(self) -> None:
        super().__init__()
        torch, private = self.torch, self.torch._C
        self.fill: Any = self._export
        self.plain_types = self._plain_types if self._export else ()
        self.has_several_devices = torch.cuda.device_count() > 1
        self.current_device = getattr(private, "_cuda_getDevice", torch.cuda.current_device)
        self.raw_stream: Any = self._raw_stream or self.stream
        self.grad_enabled = torch.is_grad_enabled
        self.in_transform = private._are_functorch_transforms_active
        self.has_modes = private._len_torch_dispatch_stack
        self._bump = private._increment_version
        guards = getattr(getattr(private, "_dynamo", None), "guards", None)
        quick = getattr(guards, "_empty_strided_cuda", None)
        self.allocate: Any = quick or self._empty_strided
        self._guards: Any = getattr(guards, "TensorGuards", None)

    def guard(self, tensors: tuple[Any, ...]) -> Guard | None:
        """Return a guard that knows tensors like these, if torch has such a thing."""
        # It compares type, dtype, device, shape, strides, need of a gradient, and all that torch
        # dispatches by: a pending negation, inference mode, a transform.
        if self._guards is None:
            return None
        guard: Guard = self._guards(
            *tensors,
            dynamic_dims_sizes=[list(x.shape) for x in tensors],
            dynamic_dims_strides=[list(x.stride()) for x in tensors],
        ).check
        return guard

    def _empty_strided(self, shape: Any, strides: Any, dtype: Any) -> Any:
        """Allocate on the current device."""
        return self.torch.empty_strided(shape, strides, dtype=dtype, device="cuda")

    def bump(self, tensors: tuple[Any, ...]) -> None:
        """Bump the versions of some tensors."""
        try:
            self._bump(tensors)
        except RuntimeError:  # an inference tensor has no version
            for x in tensors:
                self.written(x)
