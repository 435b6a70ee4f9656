"""Reading what another framework exports by DLPack, with the standard library alone.

NumPy refuses bfloat16 over DLPack, and the GPU package needs pointers rather than arrays; both
read the C structures here. Layouts: DLPack 1.x, ``dlpack.h`` (dmlc/dlpack).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = [
    "CPU_DEVICES",
    "CUDA_DEVICES",
    "DLTensor",
    "Exported",
    "describe",
    "read_capsule",
    "refuse_tracer",
]

# DLDeviceType: what host code may dereference, and what a CUDA kernel may.
CPU_DEVICES = frozenset({1, 3})  # kDLCPU, kDLCUDAHost
CUDA_DEVICES = frozenset({2, 13})  # kDLCUDA, kDLCUDAManaged

# DLDataTypeCode and bits.
_DTYPE_NAMES = {
    (0, 8): "int8",
    (0, 16): "int16",
    (0, 32): "int32",
    (0, 64): "int64",
    (1, 8): "uint8",
    (1, 16): "uint16",
    (1, 32): "uint32",
    (1, 64): "uint64",
    (2, 16): "float16",
    (2, 32): "float32",
    (2, 64): "float64",
    (4, 16): "bfloat16",
    (5, 64): "complex64",
    (5, 128): "complex128",
    (6, 8): "bool",
    (10, 8): "float8_e4m3fn",
    (12, 8): "float8_e5m2",
}


class DLTensor(ctypes.Structure):
    """struct DLTensor, with its DLDevice and DLDataType laid flat."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("dtype_code", ctypes.c_uint8),
        ("dtype_bits", ctypes.c_uint8),
        ("dtype_lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _VersionedPrefix(ctypes.Structure):
    """What stands before the DLTensor in a DLManagedTensorVersioned."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
    )


class Exported(NamedTuple):
    """One tensor as DLPack describes it; strides count elements."""

    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    device_type: int
    device_id: int
    read_only: bool


def describe(tensor: DLTensor, *, read_only: bool = False) -> Exported:
    """Return the fields of a DLTensor as Python values.

    Parameters
    ----------
    tensor : DLTensor
        A filled structure; its data are not touched.
    read_only : bool, default False
        Whether its producer forbids writing.

    Returns
    -------
    Exported
        Address of the first element, shape, strides in elements, dtype name, device.
    """
    shape = tuple(tensor.shape[: tensor.ndim])
    if tensor.strides:
        strides = tuple(tensor.strides[: tensor.ndim])
    else:  # DLPack < 1.2: NULL means compact, row-major
        steps = [1]
        for length in reversed(shape[1:]):
            steps.append(steps[-1] * length)
        strides = tuple(reversed(steps))[-tensor.ndim :] if shape else ()
    key = (tensor.dtype_code, tensor.dtype_bits)
    dtype = _DTYPE_NAMES.get(key, f"DLPack dtype code {key[0]} of {key[1]} bits")
    if tensor.dtype_lanes != 1:
        dtype = f"{dtype} x {tensor.dtype_lanes} lanes"
    return Exported(
        (tensor.data or 0) + tensor.byte_offset,
        shape,
        strides,
        dtype,
        tensor.device_type,
        tensor.device_id,
        read_only,
    )


def _capsule_function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    # A prototype of our own, since ctypes.pythonapi shares its functions with every importer.
    prototype = ctypes.PYFUNCTYPE(result, ctypes.py_object, *arguments)
    return prototype((name, ctypes.pythonapi))


_is_valid = _capsule_function("PyCapsule_IsValid", ctypes.c_int, ctypes.c_char_p)
_pointer = _capsule_function("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.c_char_p)


def read_capsule(capsule: object) -> Exported:
    """Return what an unconsumed ``__dlpack__`` capsule describes.

    The capsule keeps its tensor alive and its deleter: hold it as long as the pointer is used.

    Parameters
    ----------
    capsule : PyCapsule
        Named "dltensor_versioned" (DLPack 1.x) or "dltensor".

    Returns
    -------
    Exported
        The tensor.

    Raises
    ------
    TypeError
        If it is no such capsule, or one that was consumed already.
    """
    if _is_valid(capsule, b"dltensor_versioned"):
        address = _pointer(capsule, b"dltensor_versioned")
        prefix = _VersionedPrefix.from_address(address)
        if prefix.major > 1:
            msg = f"expected DLPack 1.x; got version {prefix.major}.{prefix.minor}"
            raise TypeError(msg)
        body = DLTensor.from_address(address + ctypes.sizeof(_VersionedPrefix))
        return describe(body, read_only=bool(prefix.flags & 1))
    if _is_valid(capsule, b"dltensor"):
        return describe(DLTensor.from_address(_pointer(capsule, b"dltensor")))
    msg = f"expected an unconsumed DLPack capsule; got {capsule!r}"
    raise TypeError(msg)


def refuse_tracer(x: object, name: str) -> None:
    """Raise TypeError if `x` stands for an array of JAX that has no values yet.

    Parameters
    ----------
    x : object
        An argument.
    name : str
        Its name, for the message.

    Raises
    ------
    TypeError
        If a transform of JAX is tracing; DLPack would fail in words of its own.
    """
    core = getattr(sys.modules.get("jax"), "core", None)
    if isinstance(x, getattr(core, "Tracer", ())):
        msg = (
            f"{name}: expected an array that has values; got a {type(x).__name__}, which has none "
            f"under jax.jit, jax.grad or jax.vmap; call by jax.pure_callback, or outside of them"
        )
        raise TypeError(msg)
