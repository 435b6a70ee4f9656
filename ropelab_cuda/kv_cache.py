"""Rotating on the way into a key-value cache: `ropelab.kv_cache`, for tensors in device memory.

One launch rotates the queries, rotates the keys into their cache and writes the values into theirs;
each element is read once and written once. Slots are read on the device alone: nothing
synchronises, and a captured CUDA graph follows the slots that it finds at each replay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropelab import Spectrum
from ropelab.checks import (
    ANGLES,
    check_choice,
    check_positions,
    check_rotary_offset,
    check_same_tokens,
    check_slots_shape,
    check_width,
    token_shape,
)
from ropelab.pairs import Placement
from ropelab.slots import check_caches, check_values
from ropelab.spectrum import check_spectrum

from .calls import check_same_dtype
from .exchange import Gate
from .launch_kv_cache import Cached, plan_rotary_kv_cache
from .overlaps import check_overlaps
from .storage import take_scale
from .views import View

__all__ = ["apply_rotary_kv_cache", "apply_rotary_kv_cache_"]


def apply_rotary_kv_cache(
    q: Any,
    k: Any,
    v: Any,
    position_ids: Any,
    spectrum: Spectrum,
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
    position_ids : CUDA tensor of int
        As in `apply_rotary`.
    spectrum : ropelab.Spectrum
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
    place = Placement(tensor_format, layout, output_layout, rotary_offset)
    tensors, caches = {"q": q, "k": k, "v": v}, {"k_cache": k_cache, "v_cache": v_cache}
    scales = {"k_scale": k_scale, "v_scale": v_scale}
    outs = None if out is None else ("out", out)
    return _write(
        tensors, outs, position_ids, spectrum, caches, slots, angles, place, scales, overrun_flag
    )


def apply_rotary_kv_cache_(
    q: Any,
    k: Any,
    v: Any,
    position_ids: Any,
    spectrum: Spectrum,
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
    position_ids : CUDA tensor of int
        As in `apply_rotary`.
    spectrum : ropelab.Spectrum
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
    place = Placement(tensor_format, layout, output_layout, rotary_offset)
    tensors, caches = {"q": q, "k": k, "v": v}, {"k_cache": k_cache, "v_cache": v_cache}
    scales = {"k_scale": k_scale, "v_scale": v_scale}
    return _write(
        tensors,
        ("q", q),
        position_ids,
        spectrum,
        caches,
        slots,
        angles,
        place,
        scales,
        overrun_flag,
    )


def _write(
    tensors: Mapping[str, Any],
    given: tuple[str, Any] | None,
    position_ids: Any,
    spectrum: Spectrum,
    caches: Mapping[str, Any],
    slots: Any,
    angles: str,
    place: Placement,
    scales: Mapping[str, Any],
    overrun_flag: Any,
) -> Any:
    """Take, check, allocate, plan and launch; q goes to the tensor given, or to a new one."""
    check_choice(angles, ANGLES, "angles")
    check_spectrum(spectrum)
    place.ends()
    gate = Gate(tensors["q"], "q")
    views = {name: gate.floats(tensor, name) for name, tensor in tensors.items()}
    q, k, v = views.values()
    tokens = token_shape(q.shape, place.tensor_format, "q")
    check_same_tokens(q.shape, k.shape, place.tensor_format)
    check_values(v.shape, k.shape, place.tensor_format)
    for name in ("k", "v"):
        check_same_dtype({"q": q, name: views[name]})
    check_width(spectrum.rotary_dim, q.shape[-1], "q")
    check_rotary_offset(place.rotary_offset, spectrum.rotary_dim, q.shape[-1])
    stores = {name: gate.memory(cache, name) for name, cache in caches.items()}
    k_store, v_store = stores.values()
    check_caches(k_store.shape, v_store.shape, k.shape, v.shape, place.tensor_format)
    inputs = {
        "position_ids": gate.integers(position_ids, "position_ids"),
        "slots": gate.integers(slots, "slots"),
    }
    ids, places = inputs.values()
    check_positions(ids.shape, tokens, axes=spectrum.position_axes)
    check_slots_shape(places.shape, tokens)
    taken = {name: _scale(gate, scale, name) for name, scale in scales.items()}
    inputs |= {name: scale for name, scale in taken.items() if isinstance(scale, View)}
    flags = {} if overrun_flag is None else {"overrun_flag": overrun_flag}
    flag_views = {name: gate.flag(flag, name) for name, flag in flags.items()}
    name, result = given or ("out for q", gate.framework.empty_like(tensors["q"], q, q.dtype))
    target = gate.output(result, name, q.shape, q.dtype)
    check_overlaps(
        [(name, target), *stores.items(), *flag_views.items()],
        [("q", q)],
        [("k", k), ("v", v), *inputs.items()],
    )
    plan = plan_rotary_kv_cache(
        (q, target),
        Cached(k, k_store, taken["k_scale"]),
        Cached(v, v_store, taken["v_scale"]),
        ids,
        places,
        spectrum,
        place=place,
        angles=angles,
        overrun=flag_views.get("overrun_flag"),
    )
    gate.launch(plan, [result, *caches.values(), *flags.values()])
    return result


def _scale(gate: Gate, scale: Any, name: str) -> float | View | None:
    """Take a scale; a number that is one is none."""
    taken = take_scale(gate, scale, name)
    return None if taken == 1.0 else taken
