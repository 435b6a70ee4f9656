"""The in-place twins of `rotary_cached.py`, as `inplace.py` has those of `rotary.py`."""

from __future__ import annotations

from typing import Any

from ropelab.pairs import Placement

from .calls import rotate_by_tables
from .replay import replay
from .tables import Reading

__all__ = ["apply_rotary_cached_", "apply_rotary_cached_qk_"]


def apply_rotary_cached_(
    x: Any,
    cos: Any,
    sin: Any,
    *,
    position_ids: Any = None,
    repeated: bool = False,
    overrun: str = "raise",
    overrun_flag: Any = None,
    layout: str = "half",
    tensor_format: str = "bshd",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
) -> Any:
    """Rotate a tensor in place by given cosines and sines.

    Parameters
    ----------
    x : CUDA tensor of float
        As in `apply_rotary_`.
    cos, sin : CUDA tensor of float
        As in `apply_rotary_cached`.
    position_ids : CUDA tensor of int, optional
        As in `apply_rotary_cached`.
    repeated : bool, default False
        As in `apply_rotary_cached`.
    overrun : {"raise", "clamp"}, default "raise"
        As in `apply_rotary_cached`.
    overrun_flag : CUDA tensor of int32, one element, optional
        As in `apply_rotary_cached`.
    layout : {"half", "interleaved"}, default "half"
        As in `apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary`.
    inverse : bool, default False
        As in `apply_rotary_cached`.
    output_layout : {"half", "interleaved"}, optional
        As in `ropelab.apply_rotary`.
    rotary_offset : int, default 0
        As in `ropelab.apply_rotary`.

    Returns
    -------
    CUDA tensor
        `x`.

    Raises
    ------
    TypeError
        As in `apply_rotary_cached`.
    ValueError
        As in `apply_rotary_cached`.
    ImportError
        If CuPy is missing.
    """
    how = (tensor_format, layout, output_layout, rotary_offset, inverse)
    types = (type(rotary_offset), type(inverse), type(repeated))
    call = ("apply_rotary_cached_", how, repeated, types)
    reading = Reading(position_ids, repeated, overrun, overrun_flag)
    if not reading.is_plain or replay((x, cos, sin), call) is None:
        one = {"x": x}
        rotate_by_tables(one, one, cos, sin, Placement(*how), call, reading=reading)
    return x


def apply_rotary_cached_qk_(
    q: Any,
    k: Any,
    cos: Any,
    sin: Any,
    *,
    position_ids: Any = None,
    repeated: bool = False,
    overrun: str = "raise",
    overrun_flag: Any = None,
    layout: str = "half",
    tensor_format: str = "bshd",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
) -> tuple[Any, Any]:
    """Rotate queries and keys in place by given cosines and sines, in one launch.

    Parameters
    ----------
    q, k : CUDA tensor of float
        As in `apply_rotary_qk_`.
    cos, sin : CUDA tensor of float
        As in `apply_rotary_cached`.
    position_ids : CUDA tensor of int, optional
        As in `apply_rotary_cached`.
    repeated : bool, default False
        As in `apply_rotary_cached`.
    overrun : {"raise", "clamp"}, default "raise"
        As in `apply_rotary_cached`.
    overrun_flag : CUDA tensor of int32, one element, optional
        As in `apply_rotary_cached`.
    layout : {"half", "interleaved"}, default "half"
        As in `apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary`.
    inverse : bool, default False
        As in `apply_rotary_cached`.
    output_layout : {"half", "interleaved"}, optional
        As in `ropelab.apply_rotary`.
    rotary_offset : int, default 0
        As in `ropelab.apply_rotary`.

    Returns
    -------
    q, k : CUDA tensor
        The tensors that were given.

    Raises
    ------
    TypeError
        As in `apply_rotary_cached_qk`.
    ValueError
        As in `apply_rotary_cached_qk`.
    ImportError
        If CuPy is missing.
    """
    how = (tensor_format, layout, output_layout, rotary_offset, inverse)
    types = (type(rotary_offset), type(inverse), type(repeated))
    call = ("apply_rotary_cached_qk_", how, repeated, types)
    reading = Reading(position_ids, repeated, overrun, overrun_flag)
    if not reading.is_plain or replay((q, k, cos, sin), call) is None:
        both = {"q": q, "k": k}
        rotate_by_tables(both, both, cos, sin, Placement(*how), call, reading=reading)
    return q, k
