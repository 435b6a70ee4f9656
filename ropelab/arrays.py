"""Taking in arrays of any framework; giving back NumPy."""

from __future__ import annotations

import ctypes
import reprlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .dlpack import CPU_DEVICES, read_capsule, refuse_tracer
from .precision import RAW, float_dtype, widen

__all__ = ["as_array", "as_floats", "as_integers", "as_reals"]


def as_array(x: ArrayLike, name: str) -> NDArray[Any]:
    """Return `x` as a NumPy array, without a copy where it exports DLPack on the CPU.

    Parameters
    ----------
    x : array-like
        A NumPy array, anything with ``__dlpack__`` on the CPU, or anything ``numpy.asarray`` takes.
    name : str
        The argument's name, for messages.

    Returns
    -------
    ndarray
        The same numbers; what NumPy has none for arrives as raw bits: a bfloat16 tensor, for
        instance, of dtype `ropelab.bfloat16`.

    Raises
    ------
    ValueError
        If the tensor lies on another device, or its framework will not export it.
    TypeError
        If it does not convert to an array of numbers, or has no values yet, as JAX's tracers.
    """
    if isinstance(x, np.ma.MaskedArray):
        msg = f"{name}: expected an array without a mask; got a {type(x).__name__}; call .filled()"
        raise TypeError(msg)
    if isinstance(x, np.ndarray):
        return np.asarray(x)  # a subclass such as np.matrix has an arithmetic of its own
    refuse_tracer(x, name)
    if not hasattr(x, "__dlpack__") or isinstance(x, (np.generic, type)):
        return _from_anything(x, name)
    return _from_capsule(_exported(x, name), x, name)


def as_floats(x: ArrayLike, name: str) -> NDArray[Any]:
    """Return `x` as an array of one of the four floating-point formats, or raise TypeError."""
    array = as_array(x, name)
    float_dtype(array.dtype, name)
    return array


def as_reals(x: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return `x` as float64 exactly: of one of the four formats, or a list of Python's numbers."""
    array = as_array(x, name)
    if not hasattr(x, "dtype") and not hasattr(x, "__dlpack__"):
        if array.size and array.dtype.kind not in "iuf":
            msg = f"{name}: expected real numbers; got {reprlib.repr(x)}"
            raise TypeError(msg)
        if array.dtype.kind != "f":
            array = array.astype(np.float64)
    float_dtype(array.dtype, name)
    return widen(array)


def as_integers(x: ArrayLike, name: str) -> NDArray[Any]:
    """Return `x` as an array of integers, or raise TypeError."""
    array = as_array(x, name)
    if array.size == 0 and not hasattr(x, "dtype"):
        array = array.astype(np.int64)  # an empty list has no numbers to be of a wrong type
    if array.dtype.kind not in "iu":
        msg = (
            f"{name}: expected integers, which are exact; got {array.dtype}; "
            f"convert them to int64 if every value is whole"
        )
        raise TypeError(msg)
    return array


def _from_anything(x: ArrayLike, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(x)
    except Exception as error:  # whatever the code behind __array__ raises
        msg = (
            f"{name}: expected an array of numbers; got a {type(x).__name__} that does not convert "
            f"to one: {error}"
        )
        raise TypeError(msg) from error
    if array.dtype.kind == "O" or _hides_bools(x, array):
        msg = f"{name}: expected an array of numbers; got {type(x).__name__} {reprlib.repr(x)}"
        raise TypeError(msg)
    return np.asarray(array)


def _hides_bools(x: ArrayLike, array: NDArray[Any]) -> bool:
    """Say whether NumPy has taken truth values in a list of numbers for 0 and 1."""
    if not isinstance(x, (list, tuple)) or array.dtype.kind not in "iufc":
        return False
    return any(isinstance(value, (bool, np.bool_)) for value in np.asarray(x, object).flat)


def _exported(x: Any, name: str) -> object:
    """Return the DLPack capsule of a tensor in CPU memory, or raise ValueError."""
    try:
        device_type = int(x.__dlpack_device__()[0])
        pending = _pending(x)
        capsule = x.__dlpack__() if device_type in CPU_DEVICES and not pending else None
    except Exception as error:  # a foreign framework raises what it likes
        msg = f"{name}: {type(x).__name__} does not export DLPack: {error}"
        raise ValueError(msg) from error
    if device_type not in CPU_DEVICES:
        msg = (
            f"{name}: expected a tensor on the CPU; got a {type(x).__name__} on DLPack device "
            f"type {device_type}; use ropelab_cuda for CUDA tensors, or copy it to the CPU"
        )
        raise ValueError(msg)
    if pending:
        msg = (
            f"{name}: this {type(x).__name__} has a pending {pending} that DLPack would drop; "
            f"call .resolve_neg() or .clone() first"
        )
        raise ValueError(msg)
    return capsule


def _pending(x: object) -> str | None:
    # torch exports a tensor whose negation or zero is still pending as the unchanged memory.
    for word, flag in (("negation", "is_neg"), ("zero", "_is_zerotensor")):
        if hasattr(x, flag) and getattr(x, flag)():
            return word
    return None


def _from_capsule(capsule: object, owner: object, name: str) -> NDArray[Any]:
    try:
        exported = read_capsule(capsule)
    except TypeError as error:
        msg = f"{name}: {type(owner).__name__} does not export DLPack: {error}"
        raise TypeError(msg) from error
    dtype = RAW.get(exported.dtype)
    if dtype is None:
        try:
            dtype = np.dtype(exported.dtype)
        except TypeError:
            msg = f"{name}: NumPy has no {exported.dtype}; convert it first"
            raise TypeError(msg) from None
    if 0 in exported.shape:
        return np.empty(exported.shape, dtype)
    if exported.pointer == 0:
        msg = f"{name}: this {type(owner).__name__} has no memory behind it; materialise it first"
        raise ValueError(msg)
    memory = _Memory(exported.pointer, exported.shape, exported.strides, dtype, capsule)
    return np.asarray(memory).view(dtype)


class _Memory:
    """Foreign memory in NumPy's array interface; holds the capsule that keeps it alive."""

    def __init__(
        self,
        pointer: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        dtype: np.dtype[Any],
        capsule: object,
    ) -> None:
        self.capsule = ctypes.py_object(capsule)
        self.__array_interface__ = {
            "version": 3,
            "data": (pointer, True),
            "shape": shape,
            "typestr": f"<u{dtype.itemsize}" if dtype.names else dtype.str,
            "strides": tuple(step * dtype.itemsize for step in strides),
        }
