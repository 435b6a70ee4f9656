"""Rotating on the way into a key-value cache: `ropelab.kv_cache`, for tensors in device memory.

One launch rotates the queries, rotates the keys into their cache and writes the values into theirs;
each element is read once and written once. Slots are read on the device alone: nothing
synchronises, and a captured CUDA graph follows the slots that it finds at each replay.
"""

from __future__ import annotations

from typing import Any

from ropelab.pairs import Placement

from .calls_kv_cache import Options, Tensors, rotate_into_caches
from .device_spectrum import AnySpectrum
from .given_angles import GivenAngles

__all__ = ["apply_rotary_kv_cache", "apply_rotary_kv_cache_"]


def apply_rotary_kv_cache(
    q: Any,
    k: Any,
    v: Any,
    position_ids: Any,
    spectrum: AnySpectrum,
    k_cache: Any,
    v_cache: Any,
    slots: Any,
    *,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    output_layout: str | None = None,
    rotary_offset: int = 0,
    k_scale: Any = 1.0,
    v_scale: Any = 1.0,
    overrun_flag: Any = None,
    out: Any = None,
) -> Any:
    """Rotate q; write the rotated k, and v as it is, into their caches.

    Parameters
    ----------
    q, k : CUDA tensor of float
        As in `apply_rotary_qk`.
    v : CUDA tensor of the dtype of q and k
        Values of the same tokens and heads as k; their head_dim may differ from that of k.
    position_ids : CUDA tensor of int, Consecutive or Packed
        As in `apply_rotary`.
    spectrum : ropelab.Spectrum or DeviceSpectrum
        As in `apply_rotary`.
    k_cache, v_cache : CUDA tensor of float, shape (blocks, block_size, kv_heads, head_dim)
        Written in place, in their own dtype; rows that no slot names are not touched. Any strides
        but the last: a cache (blocks, kv_heads, block_size, head_dim) is passed transposed. One of
        8 bits that is kept as uint8 is passed as a view of its format.
    slots : CUDA tensor of int, broadcastable to (batch, sequence) or (tokens,)
        Row of the caches for each token, ``block * block_size + row``, of any integer dtype but
        uint64; a token whose slot is negative is rotated, but not written. Of two tokens with one
        slot, either may be kept, or a part of each.
    layout : {"half", "interleaved"}, default "half"
        As in `apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary`; of q, k and v.
    angles : {"exact", "float32"}, default "exact"
        As in `apply_rotary`.
    output_layout : {"half", "interleaved"}, optional
        As in `ropelab.apply_rotary`; of the rotated q and the cached k.
    rotary_offset : int, default 0
        As in `ropelab.apply_rotary`.
    k_scale, v_scale : float or CUDA tensor of float32 with one element, default 1.0
        What a number of the cache is multiplied by to read it back; see `scale` in `apply_rotary`.
    overrun_flag : CUDA tensor of int32 with one element, optional
        Set to 1 if a slot lies past the caches, where nothing is written; never set to 0.
    out : CUDA tensor, optional
        Where the rotated q goes, as in `apply_rotary`.

    Returns
    -------
    CUDA tensor, shape and dtype of `q`
        The rotated queries.

    Raises
    ------
    TypeError
        As in `apply_rotary_qk`.
    ValueError
        As in `apply_rotary_qk`; or if a cache may not be written, or shares memory with another
        argument.
    ImportError
        If CuPy is missing.
    """
    tensors = Tensors(q, k, v, k_cache, v_cache, slots, overrun_flag)
    place = Placement(tensor_format, layout, output_layout, rotary_offset)
    options = Options(GivenAngles(position_ids, spectrum, angles), place, k_scale, v_scale)
    return rotate_into_caches(tensors, options, out)


def apply_rotary_kv_cache_(
    q: Any,
    k: Any,
    v: Any,
    position_ids: Any,
    spectrum: AnySpectrum,
    k_cache: Any,
    v_cache: Any,
    slots: Any,
    *,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    output_layout: str | None = None,
    rotary_offset: int = 0,
    k_scale: Any = 1.0,
    v_scale: Any = 1.0,
    overrun_flag: Any = None,
) -> Any:
    """Rotate q in place; write the rotated k, and v as it is, into their caches.

    Parameters
    ----------
    q, k : CUDA tensor of float
        As in `apply_rotary_kv_cache`; k is not changed. Views of one packed projection are welcome.
    v : CUDA tensor of the dtype of q and k
        As in `apply_rotary_kv_cache`.
    position_ids : CUDA tensor of int, Consecutive or Packed
        As in `apply_rotary`.
    spectrum : ropelab.Spectrum or DeviceSpectrum
        As in `apply_rotary`.
    k_cache, v_cache : CUDA tensor of float, shape (blocks, block_size, kv_heads, head_dim)
        As in `apply_rotary_kv_cache`.
    slots : CUDA tensor of int, broadcastable to (batch, sequence) or (tokens,)
        As in `apply_rotary_kv_cache`.
    layout : {"half", "interleaved"}, default "half"
        As in `apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary_kv_cache`.
    angles : {"exact", "float32"}, default "exact"
        As in `apply_rotary`.
    output_layout : {"half", "interleaved"}, optional
        As in `apply_rotary_kv_cache`.
    rotary_offset : int, default 0
        As in `ropelab.apply_rotary`.
    k_scale, v_scale : float or CUDA tensor of float32 with one element, default 1.0
        As in `apply_rotary_kv_cache`.
    overrun_flag : CUDA tensor of int32 with one element, optional
        As in `apply_rotary_kv_cache`.

    Returns
    -------
    CUDA tensor
        `q`.

    Raises
    ------
    TypeError
        As in `apply_rotary_kv_cache`.
    ValueError
        As in `apply_rotary_kv_cache`.
    ImportError
        If CuPy is missing.
    """
    tensors = Tensors(q, k, v, k_cache, v_cache, slots, overrun_flag)
    place = Placement(tensor_format, layout, output_layout, rotary_offset)
    options = Options(GivenAngles(position_ids, spectrum, angles), place, k_scale, v_scale)
    return rotate_into_caches(tensors, options, in_place=True)
