"""The one gate: every tensor that a kernel touches has passed here.

DLPack describes memory and checks nothing. What would go wrong silently (a pending negation, a
lost gradient, a tensor of another device) is refused here, before anything is written. Every
message says the argument, what was expected, what came, and the mend.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from ropelab.dlpack import CUDA_DEVICES, Exported

from ._cupy import require_cupy
from .compile import function
from .frameworks import Framework, framework_of
from .launch import FORMATS, Plan
from .launcher import Launch, prepare_launch
from .overlaps import overlaps_itself
from .parameters import INTEGER_TYPES
from .views import ITEM_BYTES, View

__all__ = ["Gate"]


class Gate:
    """One call's tensors: on one device and one stream, which are those of the first tensor.

    Queries, keys and outputs come from one framework. Positions and tables may come from another,
    whose producer is then asked to have them ready for the launch.

    Parameters
    ----------
    first : tensor
        A torch.Tensor, a cupy.ndarray, or anything with ``__dlpack__`` on a CUDA device.
    name : str
        The argument's name, for messages.

    Raises
    ------
    TypeError
        If it is no such thing.
    """

    def __init__(self, first: Any, name: str) -> None:
        self.framework = _framework(first, name)
        self.first, self.first_name = first, name
        self.device: int | None = None

    def floats(self, x: Any, name: str, *, foreign: bool = False) -> View:
        """Take a tensor of one of the four floating-point formats.

        Parameters
        ----------
        x : tensor
            The tensor.
        name : str
            The argument's name.
        foreign : bool, default False
            Whether it may be of another framework than the first tensor.

        Returns
        -------
        View
            Its memory.

        Raises
        ------
        TypeError
            If it is no tensor, or of another framework or dtype.
        ValueError
            If it lies elsewhere, its channels do not adjoin, or its gradient would be lost.
        """
        view = self._take(x, name, foreign=foreign)
        if view.dtype not in FORMATS:
            msg = (
                f"{name}: expected float64, float32, float16 or bfloat16; got {view.dtype}; "
                f"convert it first"
            )
            raise TypeError(msg)
        _check_last_stride(view, name)
        return view

    def integers(self, x: Any, name: str) -> View:
        """Take a tensor of integers.

        Parameters
        ----------
        x : tensor
            The tensor.
        name : str
            The argument's name.

        Returns
        -------
        View
            Its memory.

        Raises
        ------
        TypeError
            If it is no tensor, or of another dtype.
        ValueError
            If it lies elsewhere.
        """
        view = self._take(x, name, foreign=True)
        if view.dtype not in INTEGER_TYPES:
            msg = (
                f"{name}: expected integers, since a position is exact, of at most 64 bits with a "
                f"sign; got {view.dtype}; convert it to int64 if every value is whole"
            )
            raise TypeError(msg)
        return view

    def scalar(self, x: Any, name: str) -> View:
        """Take a number that stays in device memory.

        Parameters
        ----------
        x : tensor
            Of one element.
        name : str
            The argument's name.

        Returns
        -------
        View
            Its memory.

        Raises
        ------
        TypeError
            If it is no tensor, or of another dtype than float32.
        ValueError
            If it lies elsewhere, or has several elements.
        """
        view = self._take(x, name, foreign=True)
        if view.dtype != "float32":
            msg = f"{name}: expected a number, or float32; got a tensor of {view.dtype}; convert it"
            raise TypeError(msg)
        if view.size != 1:
            msg = f"{name}: expected a number, or one element; got shape {view.shape}; pass one"
            raise ValueError(msg)
        return view

    def output(self, x: Any, name: str, shape: tuple[int, ...], dtype: str) -> View:
        """Take a tensor that a kernel will write.

        Parameters
        ----------
        x : tensor
            The tensor.
        name : str
            The argument's name.
        shape : tuple of int
            The shape that it must have.
        dtype : str
            The dtype that it must have.

        Returns
        -------
        View
            Its memory.

        Raises
        ------
        TypeError
            If it is no tensor, or of another framework or dtype.
        ValueError
            If it lies elsewhere, has another shape, may not be written, or overlaps itself.
        """
        view = self._take(x, name, writes=True)
        if view.dtype != dtype:
            msg = f"{name}: expected dtype {dtype}; got {view.dtype}; omit it to have one allocated"
            raise TypeError(msg)
        if view.shape != shape:
            msg = f"{name}: expected shape {shape}; got {view.shape}; omit it to have one allocated"
            raise ValueError(msg)
        _check_last_stride(view, name)
        if overlaps_itself(view):
            msg = (
                f"{name}: expected memory of its own for every element; got shape {shape} with "
                f"strides {view.strides}, where elements share memory; clone it"
            )
            raise ValueError(msg)
        return view

    def launch(self, plan: Plan, outputs: Sequence[Any]) -> Launch | None:
        """Launch a plan on the framework's current stream, asked for at this moment.

        Parameters
        ----------
        plan : Plan
            The kernel, its grid and its parameters.
        outputs : sequence of tensors
            What it writes.

        Returns
        -------
        callable or None
            Launches the plan again, on the same device; None if there is nothing to do.
        """
        require_cupy()
        if plan.is_empty:
            return None
        assert self.device is not None
        with self.framework.on_device(self.device):
            again = prepare_launch(
                function(plan.specialisation),
                plan.grid,
                plan.block,
                ctypes.addressof(plan.parameters),
            )
            again(self.framework.stream(self.device))
        for output in outputs:
            self.framework.written(output)
        return again

    def _take(self, x: Any, name: str, *, foreign: bool = False, writes: bool = False) -> View:
        framework = _framework(x, name)
        stream = None
        if framework.family != self.framework.family:
            if not foreign:
                msg = (
                    f"{name}: expected a tensor of {self.framework.name}, as {self.first_name} is; "
                    f"got {type(x).__name__}; convert it by from_dlpack"
                )
                raise TypeError(msg)
            assert self.device is not None
            stream = self.framework.stream(self.device)
        exported, owner = framework.export(x, name, stream)
        _check_memory(exported, x, name)
        if self.device is None:
            self.device = exported.device_id
        if exported.device_id != self.device:
            msg = (
                f"{name}: expected a tensor on the device of {self.first_name}, "
                f"cuda:{self.device}; got one on cuda:{exported.device_id}; move one of them"
            )
            raise ValueError(msg)
        if writes and exported.read_only:
            msg = f"{name}: expected a tensor that may be written; got a read-only one; copy it"
            raise ValueError(msg)
        return View(*exported[:4], exported.device_id, owner)


def _framework(x: Any, name: str) -> Framework:
    framework = framework_of(x)
    if framework is None:
        msg = (
            f"{name}: expected a CUDA tensor: a torch.Tensor, a cupy.ndarray or anything with "
            f"__dlpack__; got {type(x).__name__}"
        )
        raise TypeError(msg)
    return framework


def _check_memory(exported: Exported, x: Any, name: str) -> None:
    if exported.device_type not in CUDA_DEVICES:
        where = {1: "the CPU", 3: "the CPU (pinned)"}.get(
            exported.device_type, f"DLPack device type {exported.device_type}"
        )
        msg = (
            f"{name}: expected a tensor on a CUDA device; got a {type(x).__name__} on {where}; "
            f"move it to the GPU, or use ropelab, which does the same on the CPU"
        )
        raise ValueError(msg)
    if 0 in exported.shape:
        return
    if exported.pointer == 0:
        msg = f"{name}: this {type(x).__name__} has no memory behind it; materialise it first"
        raise ValueError(msg)
    if exported.pointer % ITEM_BYTES.get(exported.dtype, 1):
        msg = (
            f"{name}: expected elements aligned to their {ITEM_BYTES[exported.dtype]} bytes; got "
            f"address {exported.pointer:#x}; clone it"
        )
        raise ValueError(msg)


def _check_last_stride(view: View, name: str) -> None:
    if view.size and view.shape and view.shape[-1] > 1 and view.strides[-1] != 1:
        msg = (
            f"{name}: expected channels that adjoin in memory (last stride 1); got shape "
            f"{view.shape} with strides {view.strides}; make it contiguous"
        )
        raise ValueError(msg)
