"""Rows, heads and channels that a kernel misses, and wrong backward passes (M11, M12)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import ropelab
from ropelab import Spectrum

from ...checks import TENSOR_FORMATS
from ..case import Array
from ..implementation import SPECIFICATION
from .harness import with_options, with_rotation, with_spectrum
from .mutant import Entries

__all__ = ["ENTRIES"]


def _first_row_only(x: Array, *given: Any, tensor_format: str, **options: Any) -> Array:
    """Rotate only batch row 0 where there is one token a sequence, as in decoding."""
    turned = ropelab.apply_rotary(x, *given, tensor_format=tensor_format, **options)
    axes = TENSOR_FORMATS[tensor_format].token_axes
    if len(axes) == 2 and x.shape[axes[1]] == 1:
        rows = np.moveaxis(turned, axes[0], 0)
        rows[1:] = np.moveaxis(x, axes[0], 0)[1:]
    return turned


def _heads_as_tokens(
    x: Array, ids: Array, spectrum: Spectrum, *, tensor_format: str, **options: Any
) -> Array:
    """Take the axis of heads for the sequence, and count along it."""
    if spectrum.position_axes > 1:
        return ropelab.apply_rotary(x, ids, spectrum, tensor_format=tensor_format, **options)
    heads = tensor_format.index("h")
    moved = np.moveaxis(x, heads, -2)
    tokens = moved.reshape(-1, moved.shape[-2], 1, moved.shape[-1])
    counted = np.arange(moved.shape[-2])
    turned = ropelab.apply_rotary(tokens, counted, spectrum, tensor_format="bshd", **options)
    return np.ascontiguousarray(np.moveaxis(turned.reshape(moved.shape), -2, heads))


def _keys_still(q: Array, k: Array, *given: Any, **options: Any) -> tuple[Array, Array]:
    return ropelab.apply_rotary_qk(q, k, *given, **options)[0], k.copy()


def _single_key_head_still(
    q: Array, k: Array, *given: Any, tensor_format: str, **options: Any
) -> tuple[Array, Array]:
    """Do nothing to keys that have one head."""
    both = ropelab.apply_rotary_qk(q, k, *given, tensor_format=tensor_format, **options)
    return both if k.shape[tensor_format.index("h")] > 1 else (both[0], k.copy())


def _block_of_a_power_of_two(x: Array, ids: Array, spectrum: Spectrum, **options: Any) -> Array:
    """Store a block of channels whose length is rounded up to a power of two, unmasked."""
    turned = ropelab.apply_rotary(x, ids, spectrum, **options)
    d = 2 * len(spectrum.inv_freq)
    spill = (1 << (d - 1).bit_length()) - d
    flat = turned.reshape(-1)
    for start in range(0, flat.size, x.shape[-1]):
        flat[start + d : start + d + spill] = 0
    return turned


def _last_pair_still(spectrum: Spectrum) -> Spectrum:
    kept = spectrum.inv_freq.copy()
    kept[-1] = 0.0
    return replace(spectrum, inv_freq=kept)


def _unscaled_backward(
    x: Array, ids: Array, spectrum: Spectrum, *, inverse: bool, **options: Any
) -> Array:
    """Forget the attention factor in the backward pass."""
    given = replace(spectrum, attention_factor=1.0) if inverse else spectrum
    return ropelab.apply_rotary(x, ids, given, inverse=inverse, **options)


def _in_place(x: Array, *given: Any, **options: Any) -> Array:
    """Write the result into the input."""
    turned = ropelab.apply_rotary(x, *given, **options)
    x[...] = turned
    return turned


def _in_place_qk(q: Array, k: Array, *given: Any, **options: Any) -> tuple[Array, Array]:
    """Write the rotated queries into the input."""
    turned = ropelab.apply_rotary_qk(q, k, *given, **options)
    q[...] = turned[0]
    return turned


def _half_written(x: Array, *given: Any, layout: str, **options: Any) -> Array:
    """Write the first member of a pair before the second member has read it."""
    turned = ropelab.apply_rotary(x, *given, layout=layout, **options)
    first, second = ropelab.layouts.pair_channels(layout, 2 * len(given[1].inv_freq))
    spoiled = x.copy()
    spoiled[..., first] = turned[..., first]
    late = ropelab.apply_rotary(spoiled, *given, layout=layout, **options)
    turned[..., second] = late[..., second]
    return turned


ENTRIES: Entries = {
    "first-row-only": (
        "M11",
        "at one token a sequence only batch row 0 is rotated",
        replace(SPECIFICATION, apply_rotary=_first_row_only),
        "mlx#3494",
    ),
    "heads-as-tokens": (
        "M11",
        "positions counted along the axis of heads",
        with_rotation(_heads_as_tokens),
        "open_lm#4",
    ),
    "keys-still": (
        "M11",
        "queries rotated, keys returned as they came",
        replace(SPECIFICATION, apply_rotary_qk=_keys_still),
        "sglang!31",
    ),
    "single-key-head-still": (
        "M11",
        "nothing done where keys have one head",
        replace(SPECIFICATION, apply_rotary_qk=_single_key_head_still),
        "Liger-Kernel#342",
    ),
    "block-of-a-power-of-two": (
        "M11",
        "a block of 2**n channels stored where the width is smaller",
        with_rotation(_block_of_a_power_of_two),
        "sglang#35096",
    ),
    "last-pair-still": (
        "M11",
        "the last pair is not rotated",
        with_spectrum(_last_pair_still),
    ),
    "inverse-forward": (
        "M12",
        "the backward pass rotates forward",
        with_options(inverse=lambda _: False),
        "flash-attention!569",
    ),
    "inverse-unscaled": (
        "M12",
        "the backward pass forgets the attention factor",
        with_rotation(_unscaled_backward),
        "apex!1750",
    ),
    "input-overwritten": (
        "M12",
        "the input is rotated in place",
        replace(SPECIFICATION, apply_rotary=_in_place, apply_rotary_qk=_in_place_qk),
        "unsloth#5001",
    ),
    "pair-half-written": (
        "M12",
        "a channel is read after its partner has overwritten it",
        with_rotation(_half_written),
        "FlagGems#5142",
    ),
}
