"""The one gate: every tensor that a kernel touches has passed here.

DLPack describes memory and checks nothing. What would go wrong silently (a pending negation, a
lost gradient, a tensor of another device) is refused here, before anything is written. Every
message says the argument, what was expected, what came, and the mend.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from ropelab.dlpack import refuse_tracer

from ._cupy import require_cupy
from ._memory import check_last_stride, check_memory, check_written
from .device_spectrum import AnySpectrum, DeviceSpectrum
from .frameworks import Framework, framework_of
from .launch import FORMATS, OUTPUT_FORMATS, Plan
from .launcher import Launch, prepare_launch
from .loading import function
from .parameters import INTEGER_TYPES
from .views import ITEM_BYTES, View

__all__ = ["Gate", "find_framework"]


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
        self.waits = False

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
        check_last_stride(view, name)
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
                f"{name}: expected integers, which are exact, of at most 64 bits with a sign; got "
                f"{view.dtype}; convert it to int64 if every value is whole"
            )
            raise TypeError(msg)
        return view

    def order(self, spectrum: AnySpectrum) -> None:
        """Have a spectrum's numbers ready for the launch, if they lie in device memory.

        Parameters
        ----------
        spectrum : Spectrum or DeviceSpectrum
            The frequencies.

        Raises
        ------
        ValueError
            If they lie on another device.
        """
        if isinstance(spectrum, DeviceSpectrum):
            self._take(spectrum.buffer, "spectrum", foreign=True)

    def elements(self, x: Any, name: str) -> View:
        """Take a tensor of any dtype, whose elements are moved and not computed with.

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
            If it is no tensor, or of a dtype whose width is not known.
        ValueError
            If it lies elsewhere, its channels do not adjoin, or its gradient would be lost.
        """
        view = self._take(x, name)
        if view.dtype not in ITEM_BYTES:
            msg = (
                f"{name}: expected elements of 1, 2, 4, 8 or 16 bytes; got {view.dtype}; view it "
                f"as integers of its width"
            )
            raise TypeError(msg)
        check_last_stride(view, name)
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
        check_written(view, name)
        return view

    def memory(self, x: Any, name: str) -> View:
        """Take a tensor of which a kernel will write some elements, of any format of results.

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
            If it is no tensor, or of another framework or dtype.
        ValueError
            If it lies elsewhere, may not be written, or overlaps itself.
        """
        view = self._take(x, name, writes=True)
        if view.dtype not in OUTPUT_FORMATS:
            known = [*OUTPUT_FORMATS]
            msg = f"{name}: expected {', '.join(known[:-1])} or {known[-1]}; got {view.dtype}"
            raise TypeError(msg)
        check_written(view, name)
        return view

    def flag(self, x: Any, name: str) -> View:
        """Take a flag that a kernel may set.

        Parameters
        ----------
        x : tensor
            An int32 of one element.
        name : str
            The argument's name.

        Returns
        -------
        View
            Its memory.

        Raises
        ------
        TypeError
            If it is no tensor, or of another framework or dtype.
        ValueError
            If it lies elsewhere, may not be written, or has several elements.
        """
        view = self._take(x, name, writes=True)
        if view.dtype != "int32":
            msg = f"{name}: expected an int32; got {view.dtype}; a kernel sets it to 1"
            raise TypeError(msg)
        if view.size != 1:
            msg = f"{name}: expected one element; got shape {view.shape}; pass one"
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
            stream = self.framework.stream(self.device)
            again(stream)
            if self.waits:
                require_cupy().cuda.runtime.streamSynchronize(stream)
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
        self.waits |= framework.waits
        check_memory(exported, x, name)
        if self.device is None:
            self.device = exported.device_id
        if exported.device_id != self.device:
            msg = (
                f"{name}: expected a tensor on the device of {self.first_name}, "
                f"cuda:{self.device}; got one on cuda:{exported.device_id}; move one of them"
            )
            raise ValueError(msg)
        if writes and exported.read_only:
            msg = f"{name}: expected a tensor that may be written; got {framework.frozen}"
            raise ValueError(msg)
        return View(*exported[:4], exported.device_id, owner)


def find_framework(x: Any) -> Framework | None:
    """Return the framework of a tensor, as every gate finds it, or None if it is none."""
    return framework_of(x)


def _framework(x: Any, name: str) -> Framework:
    framework = find_framework(x)
    if framework is None:
        refuse_tracer(x, name)
        msg = (
            f"{name}: expected a CUDA tensor: a torch.Tensor, a cupy.ndarray or anything with "
            f"__dlpack__; got {type(x).__name__}"
        )
        raise TypeError(msg)
    return framework
