"""Rotating queries and keys by given cosines and sines on the GPU: `ropelab.rotary_cached`.

What `rotary` says of its arithmetic, of strides and of streams holds here, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ropelab.pairs import Placement, Storage

from .calls import named_pair, rotate_by_tables
from .replay import replay
from .storage import split_scale
from .tables import Reading

__all__ = ["apply_rotary_cached", "apply_rotary_cached_qk"]


def apply_rotary_cached(
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
    dtype: Any = None,
    scale: Any = None,
    out: Any = None,
) -> Any:
    """Rotate by given cosines and sines.

    Parameters
    ----------
    x : CUDA tensor of float
        As in `apply_rotary`.
    cos, sin : CUDA tensor of float, broadcastable to (batch, sequence, d/2) or (tokens, d/2)
        One value a pair, as `cos_sin` returns them; both of one dtype, which need not be that of
        `x`; with `position_ids` of shape (table_length, d/2).
    position_ids : CUDA tensor of int, broadcastable to (batch, sequence) or (tokens,), optional
        Position m of each token, or an object as in `apply_rotary`: row m of the tables serves it.
    repeated : bool, default False
        Whether each value stands in both columns of its pair; see `ropelab.apply_rotary_cached`.
    overrun : {"raise", "clamp"}, default "raise"
        What to do about a position that is negative or past the last row. ``"raise"`` reads all
        positions on the host, which waits for the device and cannot be captured in a CUDA graph.
        ``"clamp"`` reads none: the kernel takes the first or the last row. Either way nothing is
        read outside of the tables.
    overrun_flag : CUDA tensor of int32, one element, optional
        Set to 1 by ``"clamp"`` if a position had no row; never set back.
    layout : {"half", "interleaved"}, default "half"
        As in `apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary`.
    inverse : bool, default False
        Rotate the other way.
    output_layout : {"half", "interleaved"}, optional
        As in `ropelab.apply_rotary`.
    rotary_offset : int, default 0
        As in `ropelab.apply_rotary`.
    dtype : str or dtype, optional
        As in `apply_rotary`.
    scale : float or CUDA tensor of float32 with one element, optional
        As in `apply_rotary`.
    out : CUDA tensor, optional
        As in `apply_rotary`.

    Returns
    -------
    CUDA tensor, shape of `x`
        The rotated tensor.

    Raises
    ------
    TypeError
        As in `apply_rotary`; or if cos and sin differ in dtype.
    ValueError
        As in `apply_rotary`.
    ImportError
        If CuPy is missing.
    """
    how = (tensor_format, layout, output_layout, rotary_offset, inverse)
    word, scales = (None, ()) if scale is None else split_scale(scale, 1)
    types = type(rotary_offset), type(inverse), type(repeated)
    call = ("apply_rotary_cached", out is None, how, types, dtype, word, repeated)
    given = (x, *scales, cos, sin) if out is None else (x, out, *scales, cos, sin)
    reading = Reading(position_ids, repeated, overrun, overrun_flag)
    made = replay(given, call) if reading.is_plain else None
    if made is None:
        outs = None if out is None else {"out": out}
        tensors, place, storage = {"x": x}, Placement(*how), Storage(dtype, scale)
        made = rotate_by_tables(tensors, outs, cos, sin, place, call, storage, reading)
    return made[0] if out is None else out


def apply_rotary_cached_qk(
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
    dtype: Any = None,
    scale: Any = None,
    out: Sequence[Any] | None = None,
) -> tuple[Any, Any]:
    """Rotate queries and keys of the same tokens by given cosines and sines, in one launch.

    Parameters
    ----------
    q, k : CUDA tensor of float
        As in `apply_rotary_qk`; their head counts may differ.
    cos, sin : CUDA tensor of float, broadcastable to (batch, sequence, d/2) or (tokens, d/2)
        As in `apply_rotary_cached`.
    position_ids : CUDA tensor of int, broadcastable to (batch, sequence) or (tokens,), optional
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
    dtype : str or dtype, optional
        As in `apply_rotary`, of both results.
    scale : float, CUDA tensor of float32 with one element, or a pair of these, optional
        As in `apply_rotary_qk`.
    out : (CUDA tensor, CUDA tensor), optional
        As in `apply_rotary_qk`.

    Returns
    -------
    q, k : CUDA tensor
        The rotated tensors.

    Raises
    ------
    TypeError
        As in `apply_rotary_cached`; or if q and k differ in dtype.
    ValueError
        As in `apply_rotary_cached`; or if q and k differ in more than their heads.
    ImportError
        If CuPy is missing.

    Examples
    --------
    >>> q = torch.randn(2, 4096, 32, 128, device="cuda")  # doctest: +SKIP
    >>> k = torch.randn(2, 4096, 8, 128, device="cuda")  # doctest: +SKIP
    >>> ids = torch.arange(4096, device="cuda")  # doctest: +SKIP
    >>> cos, sin = cos_sin(ids, ropelab.Rope(128).spectrum())  # doctest: +SKIP
    >>> q, k = apply_rotary_cached_qk(q, k, cos, sin)  # doctest: +SKIP
    """
    how = (tensor_format, layout, output_layout, rotary_offset, inverse)
    word, scales = (None, ()) if scale is None else split_scale(scale, 2)
    types = type(rotary_offset), type(inverse), type(repeated)
    call = ("apply_rotary_cached_qk", out is None, how, types, dtype, word, repeated)
    outs = {} if out is None else named_pair(out)
    reading = Reading(position_ids, repeated, overrun, overrun_flag)
    made = replay((q, k, *outs.values(), *scales, cos, sin), call) if reading.is_plain else None
    if made is None:
        tensors, place, storage = {"q": q, "k": k}, Placement(*how), Storage(dtype, scale)
        made = rotate_by_tables(tensors, outs or None, cos, sin, place, call, storage, reading)
    q_out, k_out = made or outs.values()
    return q_out, k_out
