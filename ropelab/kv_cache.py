"""Rotating queries and keys, and writing keys and values into a key-value cache.

Attention of a decoder reads keys and values from a cache, where keys lie rotated. The rotated keys
are written nowhere else; the values are not rotated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import as_floats, as_integers
from .checks import (
    TENSOR_FORMATS,
    check_same_tokens,
    check_scale,
    check_slots_shape,
    token_shape,
)
from .pairs import Placement, Storage, cos_sin_by_token, stored, turned
from .positions.token_positions import PositionIds, position_arrays
from .precision import stored_dtype
from .slots import check_caches, check_slots, check_values
from .spectrum import Spectrum

__all__ = ["apply_rotary_kv_cache"]


def apply_rotary_kv_cache(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    position_ids: PositionIds,
    spectrum: Spectrum,
    k_cache: NDArray[Any],
    v_cache: NDArray[Any],
    slots: ArrayLike,
    *,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    output_layout: str | None = None,
    rotary_offset: int = 0,
    k_scale: float = 1.0,
    v_scale: float = 1.0,
) -> NDArray[Any]:
    """Rotate q; write the rotated k, and v as it is, into their caches.

    Parameters
    ----------
    q, k : array-like of float
        As in `ropelab.apply_rotary_qk`.
    v : array-like of float
        Values of the same tokens and heads as k; their head_dim may differ from that of k.
    position_ids : array-like of int, Consecutive or Packed
        As in `ropelab.apply_rotary`.
    spectrum : Spectrum
        As in `ropelab.apply_rotary`.
    k_cache, v_cache : ndarray of float, shape (blocks, block_size, kv_heads, head_dim)
        Written in place, in their own dtype, which may be any that `ropelab.apply_rotary` stores;
        rows that no slot names keep their bits. Any strides: a cache
        (blocks, kv_heads, block_size, head_dim) is passed as ``cache.transpose(0, 2, 1, 3)``.
    slots : array-like of int, broadcastable to (batch, sequence) or (tokens,)
        Row of the caches for each token, ``block * block_size + row``; a token whose slot is
        negative is rotated, but not written. See `ropelab.contiguous_slots` and
        `ropelab.paged_slots`.
    layout : {"half", "interleaved"}, default "half"
        As in `ropelab.apply_rotary`.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `ropelab.apply_rotary`; of q, k and v.
    angles : {"exact", "float32"}, default "exact"
        As in `ropelab.apply_rotary`.
    output_layout : {"half", "interleaved"}, optional
        As in `ropelab.apply_rotary`; of the rotated q and the cached k.
    rotary_offset : int, default 0
        As in `ropelab.apply_rotary`.
    k_scale, v_scale : float, default 1.0
        What a number of the cache is multiplied by to read it back: stored is the rotated key, or
        the value, over its scale, rounded once. Without a scale, what is not rotated keeps its bits
        in a cache of its own dtype.

    Returns
    -------
    ndarray, shape and dtype of `q`
        The rotated queries.

    Raises
    ------
    TypeError
        If a dtype is not supported, or a cache is no NumPy array.
    ValueError
        If a shape or an option does not fit, a cache may not be written or shares memory with
        another argument, or a slot lies past the cache or is named twice. Nothing is written then.

    Examples
    --------
    >>> from ropelab import Rope
    >>> q, k, v = np.ones((3, 4, 8)), np.ones((3, 2, 8)), np.ones((3, 2, 8))
    >>> k_cache, v_cache = np.zeros((5, 16, 2, 8)), np.zeros((5, 16, 2, 8))
    >>> tokens = {"position_ids": [6, 7, 0], "slots": [70, 71, -1], "tensor_format": "thd"}
    >>> spectrum = Rope(8).spectrum()
    >>> apply_rotary_kv_cache(
    ...     q, k, v, spectrum=spectrum, k_cache=k_cache, v_cache=v_cache, **tokens
    ... ).shape
    (3, 4, 8)
    >>> np.argwhere(v_cache[..., 0, 0]).tolist()  # 70 = 4 * 16 + 6
    [[4, 6], [4, 7]]
    """
    tensors = {"q": as_floats(q, "q"), "k": as_floats(k, "k"), "v": as_floats(v, "v")}
    queries, keys, values = tensors.values()
    check_same_tokens(queries.shape, keys.shape, tensor_format)
    check_values(values.shape, keys.shape, tensor_format)
    caches = {"k_cache": k_cache, "v_cache": v_cache}
    for name, cache in caches.items():
        _check_writable(cache, name)
    count = check_caches(k_cache.shape, v_cache.shape, keys.shape, values.shape, tensor_format)
    counted, places = position_arrays(position_ids), as_integers(slots, "slots")
    tokens = token_shape(queries.shape, tensor_format, "q")
    check_slots_shape(places.shape, tokens)
    places = np.broadcast_to(places, tokens)
    check_slots(places, count)
    _check_memory(caches, {**tensors, **counted, "slots": places})
    cos, sin = cos_sin_by_token(queries.shape, "q", position_ids, spectrum, tensor_format, angles)
    place = Placement(tensor_format, layout, output_layout, rotary_offset)
    rotated = turned(queries, cos, sin, place)
    new_keys = turned(keys, cos, sin, place, _storage(k_cache, k_scale, "k_scale"))
    new_values = stored(values, _storage(v_cache, v_scale, "v_scale"))
    _write(k_cache, new_keys, places, tensor_format)
    _write(v_cache, new_values, places, tensor_format)
    return rotated


def _storage(cache: NDArray[Any], scale: object, name: str) -> Storage:
    """Return how numbers are stored in a cache; a scale of one is none."""
    one = check_scale(scale, name) == 1.0
    return Storage(cache.dtype, None if one else scale, name)


def _write(cache: NDArray[Any], x: NDArray[Any], slots: NDArray[Any], tensor_format: str) -> None:
    """Put the heads of each token where its slot says; a negative one says nowhere."""
    axes = TENSOR_FORMATS[tensor_format]
    by_token = x.transpose(*axes.token_axes, axes.head_axis, -1)
    written = slots >= 0
    block, row = np.divmod(slots[written].astype(np.int64), cache.shape[1])
    cache[block, row] = by_token[written]


def _check_writable(cache: object, name: str) -> None:
    """Raise unless a cache is an array that may be written in place."""
    if type(cache) is not np.ndarray:
        msg = (
            f"{name}: expected a NumPy array, which is written in place; got a "
            f"{type(cache).__name__}; pass a view of its memory"
        )
        raise TypeError(msg)
    stored_dtype(cache.dtype, name)
    if not cache.flags.writeable:
        msg = f"{name}: expected an array that may be written; got a read-only one; copy it"
        raise ValueError(msg)


def _check_memory(caches: Mapping[str, NDArray[Any]], inputs: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError if a cache shares memory with another array."""
    k_cache = caches["k_cache"]
    for (cache_name, cache), others in zip(
        caches.items(), (inputs, {**inputs, "k_cache": k_cache}), strict=True
    ):
        for name, other in others.items():
            if _share_memory(cache, other):
                msg = (
                    f"{cache_name}: expected memory that {name} does not use; got arrays that "
                    f"share elements; copy one of them"
                )
                raise ValueError(msg)


def _share_memory(a: NDArray[Any], b: NDArray[Any]) -> bool:
    # Exact, since caches of keys and of values may interleave; given up where that takes too long,
    # which no slicing or transposing makes.
    try:
        return np.shares_memory(a, b, max_work=1_000_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
