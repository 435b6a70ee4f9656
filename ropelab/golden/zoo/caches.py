"""Keys and values written into the wrong rows of a cache, or in the wrong state (M5, M11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import ropelab

from ..case import Array
from ..implementation import SPECIFICATION, Implementation
from .mutant import Entries

__all__ = ["ENTRIES"]

Tensors = tuple[Array, Array, Array]


def _with_slots(change: Callable[[Array, Array], Array]) -> Implementation:
    """Return the specification that looks at the slots in another way; it sees a cache too."""

    def _call(q: Array, k: Array, v: Array, *given: Any, **options: Any) -> Array:
        ids, spectrum, k_cache, v_cache, slots = given
        changed = change(slots, k_cache)
        return ropelab.apply_rotary_kv_cache(
            q, k, v, ids, spectrum, k_cache, v_cache, changed, **options
        )

    return replace(SPECIFICATION, apply_rotary_kv_cache=_call)


def _from_the_end(slots: Array, cache: Array) -> Array:
    """Count negative slots from the end, as Python does; a single one, lest two tokens meet."""
    last = cache.shape[0] * cache.shape[1] - 1
    return np.where(slots == -1, last, slots) if np.sum(slots == -1) == 1 else slots


def _by_heads(slots: Array, cache: Array) -> Array:
    """Divide by the number of heads where the size of a block belongs."""
    blocks, size, kv_heads, _ = cache.shape
    block, row = np.divmod(slots, kv_heads)
    fits = (slots >= 0) & (block < blocks) & (row < size)
    return np.where(fits, block * size + row, -1)


def _keys_unrotated(q: Array, k: Array, v: Array, *given: Any, **options: Any) -> Array:
    """Write keys as they came."""
    ids, spectrum, k_cache, v_cache, slots = given
    still = ropelab.Spectrum(np.zeros_like(spectrum.inv_freq))
    plain = {**options, "angles": "exact"}
    nothing = np.zeros((), np.int64)
    ropelab.apply_rotary_kv_cache(q, k, v, nothing, still, k_cache, v_cache, slots, **plain)
    places = {name: options[name] for name in _PLACES if name in options}
    return ropelab.apply_rotary(q, ids, spectrum, **places)


_PLACES = ("layout", "tensor_format", "angles", "output_layout", "rotary_offset")


def _values_rotated(q: Array, k: Array, v: Array, *given: Any, **options: Any) -> Array:
    """Rotate values with the keys, where they are as wide."""
    ids, spectrum = given[:2]
    if v.shape[-1] == k.shape[-1]:
        places = {name: options[name] for name in _PLACES if name in options}
        v = ropelab.apply_rotary(v, ids, spectrum, **places)
    return ropelab.apply_rotary_kv_cache(q, k, v, *given, **options)


ENTRIES: Entries = {
    "padding-in-the-last-slot": (
        "M11",
        "the slot -1 of padding taken for the last one",
        _with_slots(_from_the_end),
        "vllm#43810",
    ),
    "blocks-of-heads": (
        "M11",
        "slots divided by the number of heads instead of the block size",
        _with_slots(_by_heads),
        "vllm!47056",
    ),
    "keys-cached-unrotated": (
        "M5",
        "keys written into the cache as they came",
        replace(SPECIFICATION, apply_rotary_kv_cache=_keys_unrotated),
    ),
    "values-rotated": (
        "M11",
        "values rotated like keys",
        replace(SPECIFICATION, apply_rotary_kv_cache=_values_rotated),
    ),
}
