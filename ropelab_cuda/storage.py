"""How results are stored: in which format, and over which scales."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from ropelab.checks import check_scale, pair_of_scales
from ropelab.precision import format_name

from .exchange import Gate
from .launch import OUTPUT_FORMATS
from .recordings import Key
from .work import Scale

__all__ = ["dtype_name", "split_scale", "take_scale", "take_scales"]


def dtype_name(dtype: object, formats: Mapping[str, str] = OUTPUT_FORMATS) -> str:
    """Return the name of a floating-point format, however a framework spells it.

    Parameters
    ----------
    dtype : str or dtype
        By name, or of NumPy, torch or ml_dtypes; raw bits as those of `ropelab.bfloat16`, too.
    formats : mapping, optional
        The names allowed.

    Returns
    -------
    str
        One of them.

    Raises
    ------
    TypeError
        If it is none of them.

    Examples
    --------
    >>> dtype_name(np.float16), dtype_name("float8_e5m2")
    ('float16', 'float8_e5m2')
    """
    if isinstance(dtype, np.dtype):
        name = format_name(dtype)
    else:
        name = str(getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or dtype)
    name = name.rpartition(".")[2]  # torch.float32
    if name not in formats:
        known = [*formats]
        msg = f"dtype: expected {', '.join(known[:-1])} or {known[-1]}; got {dtype!r}"
        raise TypeError(msg)
    return name


def split_scale(scale: object, tensors: int) -> tuple[Key, tuple[Any, ...]]:
    """Return what a plan depends on of a call's scale, and the device tensors in it.

    Parameters
    ----------
    scale : object
        As the caller gave it: a number, a float32 tensor of one element, or a pair.
    tensors : int
        How many it is for: x, or q and k.

    Returns
    -------
    word : tuple
        Its numbers and types.
    given : tuple of tensors
        In the order of q and k; a single one is given for both.
    """
    parts = tuple(scale) if isinstance(scale, (tuple, list)) else (scale,) * tensors
    word = tuple((type(part), None if _is_tensor(part) else part) for part in parts)
    return (type(scale), *word), tuple(part for part in parts if _is_tensor(part))


def take_scales(gate: Gate, scale: object, tensors: int) -> list[tuple[str, Scale]]:
    """Take the scale of each tensor of a call.

    Parameters
    ----------
    gate : Gate
        Of the call.
    scale : object
        As in `split_scale`; or None.
    tensors : int
        As in `split_scale`.

    Returns
    -------
    list of (str, float or View)
        One a tensor, with a name for messages; none if there is no scale.

    Raises
    ------
    TypeError
        If it is no such thing.
    ValueError
        If a number is not positive, or a tensor lies elsewhere or has several elements.
    """
    if scale is None:
        return []
    named = pair_of_scales(scale) if tensors == 2 else (("scale", scale),)
    return [(name, take_scale(gate, part, name)) for name, part in named]


def take_scale(gate: Gate, part: Any, name: str) -> Scale:
    """Return a scale that is a number, or where a float32 lies on the device."""
    return gate.scalar(part, name) if _is_tensor(part) else check_scale(part, name)


def _is_tensor(part: object) -> bool:
    return hasattr(part, "__dlpack__") and not isinstance(part, (Real, np.generic))
