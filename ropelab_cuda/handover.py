"""Results go to the framework that the caller's array came from, by DLPack.

The specification answers with NumPy's arrays, and the kernels with CuPy's where neither torch nor
CuPy asked. No framework is imported here: the array that asked brought its own along.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ropelab.precision import RAW, format_name

__all__ = ["handed_over"]

# What travels in place of a format that DLPack does not carry out of NumPy.
_BITS: dict[int, type[np.unsignedinteger[Any]]] = {1: np.uint8, 2: np.uint16}


def handed_over(result: Any, asked: object) -> Any:
    """Return a result, or a tuple of them, as arrays of the framework that asked.

    Parameters
    ----------
    result : array or tuple of arrays
        Of NumPy or CuPy; or of torch, which the kernels answer themselves.
    asked : object
        The caller's first array.

    Returns
    -------
    array or tuple of arrays
        In the same memory, unless JAX wants it aligned otherwise or of a format that it calls by
        another name. What asked in no other framework's name is answered as it is.

    Raises
    ------
    TypeError
        If JAX holds no such dtype as it is configured.
    """
    if isinstance(result, tuple):
        return tuple(handed_over(one, asked) for one in result)
    jax, torch = sys.modules.get("jax"), sys.modules.get("torch")
    if isinstance(asked, getattr(jax, "Array", ())):
        return _to_jax(jax, result, asked)
    if isinstance(asked, getattr(torch, "Tensor", ())) and isinstance(result, np.ndarray):
        bits, name = _carried(result)
        return torch.from_numpy(bits).view(getattr(torch, name))  # type: ignore[union-attr]
    return result


def _to_jax(jax: Any, array: Any, asked: Any) -> Any:
    bits, name = _carried(array)
    if jax.dtypes.canonicalize_dtype(bits.dtype) != bits.dtype:
        msg = (
            f"dtype: expected one that JAX holds as it is configured; got {name}, which it would "
            f"shorten; set jax_enable_x64, or pass NumPy arrays"
        )
        raise TypeError(msg)
    made = jax.dlpack.from_dlpack(bits, device=asked.device)
    return made if bits is array else made.view(name)


def _carried(array: Any) -> tuple[Any, str]:
    """Return an array as DLPack carries it, and the name of its format."""
    name = format_name(array.dtype)
    return (array.view(_BITS[array.dtype.itemsize]) if name in RAW else array), name
