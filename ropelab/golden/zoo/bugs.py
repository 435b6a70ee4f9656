"""The bugs themselves: small wrong functions, each of which somebody shipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

import ropelab
from ropelab import Rope, Spectrum

from ...checks import TENSOR_FORMATS
from ...precision import float_dtype, narrow, widen
from ...scaling import Default
from ..case import Array
from ..implementation import SPECIFICATION, Implementation


def _angles(ids: Array, spectrum: Spectrum) -> Array:
    """Return float64 products of position and frequency."""
    return ids.astype(np.float64)[..., np.newaxis] * spectrum.inv_freq


def _tables_of(angle: Array, spectrum: Spectrum) -> tuple[Array, Array]:
    factor = spectrum.attention_factor
    return np.cos(angle) * factor, np.sin(angle) * factor


def _in_bfloat16(values: Array) -> Array:
    return widen(narrow(np.asarray(values, np.float64), float_dtype("bfloat16")))


def bfloat16_positions(ids: Array) -> Array:
    """Round positions to bfloat16."""
    return _in_bfloat16(ids).astype(np.int64)


def half_angles(ids: Array, spectrum: Spectrum) -> tuple[Array, Array]:
    """Keep angles in float16."""
    with np.errstate(over="ignore"):
        angle = _angles(ids, spectrum).astype(np.float16).astype(np.float64)
    return _tables_of(np.nan_to_num(angle, posinf=65504.0, neginf=-65504.0), spectrum)


def short_reduction(ids: Array, spectrum: Spectrum) -> tuple[Array, Array]:
    """Reduce the angle by a single float32 word of 2 pi, as fast-math code does."""
    angle = _angles(ids, spectrum).astype(np.float32)
    period = np.float32(2.0 * np.pi)
    reduced = angle - period * np.rint(angle / period)
    return _tables_of(reduced.astype(np.float64), spectrum)


def other(layout: str) -> str:
    """Swap the two layouts."""
    return "half" if layout == "interleaved" else "interleaved"


def arange(ids: Array) -> Array:
    """Ignore the values of the positions."""
    if ids.ndim == 0:
        return np.zeros_like(ids)
    return np.broadcast_to(np.arange(ids.shape[-1]), ids.shape).astype(np.int64)


def restarted(ids: Array) -> Array:
    """Start every sequence again at 0."""
    values = np.atleast_1d(ids).astype(np.int64)
    return (values - values[..., :1]).reshape(ids.shape)


def length_ignored(rope: Rope, _: int | None) -> Spectrum:
    """Never tell the rule the length."""
    return rope.spectrum(None)


def one_too_long(rope: Rope, seq_len: int | None) -> Spectrum:
    """Count the last position twice: max + 1, plus 1."""
    return rope.spectrum(None if seq_len is None else seq_len + 1)


def head_dim_exponents(rope: Rope, seq_len: int | None) -> Spectrum:
    """Divide the exponents by head_dim instead of rotary_dim."""
    whole = replace(rope, rotary_dim=rope.head_dim)
    spectrum = whole.spectrum(seq_len)
    return replace(spectrum, inv_freq=spectrum.inv_freq[: rope.rotary_dim // 2], axes=None)


def only_new_spelling(config: Mapping[str, Any]) -> Rope | None:
    """Read 'rope_type' alone; a config that says 'type' is not scaled."""
    old = dict(config.get("rope_scaling") or {})
    if "rope_type" not in old:
        config = {**config, "rope_scaling": None}
    return ropelab.from_transformers(config)


def first_row_only(x: Array, *given: Any, tensor_format: str, **options: Any) -> Array:
    """Rotate only batch row 0 where there is one token a sequence, as in decoding."""
    turned = ropelab.apply_rotary(x, *given, tensor_format=tensor_format, **options)
    axes = TENSOR_FORMATS[tensor_format].token_axes
    if len(axes) == 2 and x.shape[axes[1]] == 1:
        rows = np.moveaxis(turned, axes[0], 0)
        rows[1:] = np.moveaxis(x, axes[0], 0)[1:]
    return turned


def never_inverse(_: bool) -> bool:
    """Rotate forward in the backward pass."""
    return False


def in_place(x: Array, *given: Any, **options: Any) -> Array:
    """Write the result into the input."""
    turned = ropelab.apply_rotary(x, *given, **options)
    x[...] = turned
    return turned


def in_place_qk(q: Array, k: Array, *given: Any, **options: Any) -> tuple[Array, Array]:
    """Write the rotated queries into the input."""
    turned = ropelab.apply_rotary_qk(q, k, *given, **options)
    q[...] = turned[0]
    return turned


def reversed_axes(spectrum: Spectrum) -> Spectrum:
    """Count the position axes from the other end."""
    assert spectrum.axes is not None
    return replace(spectrum, axes=spectrum.axes.max() - spectrum.axes)


def end_of_table(ids: Array) -> Array:
    """Clip positions to a table of 4096."""
    return np.clip(ids, 0, 4095)


def word_overflow(ids: Array, spectrum: Spectrum) -> tuple[Array, Array]:
    """Compute position times row length in 32 bits, which wraps."""
    wrapped = (ids.astype(np.int64) * 4096).astype(np.int32).astype(np.int64) // 4096
    return _tables_of(_angles(wrapped, spectrum), spectrum)


def stale() -> Implementation:
    """Keep a spectrum under a key without rule and length."""
    kept: dict[Any, Spectrum] = {}

    def _remembered(rope: Rope, seq_len: int | None) -> Spectrum:
        key = (rope.rotary_dim, rope.base)
        if key not in kept:
            kept[key] = rope.spectrum(seq_len)
        return kept[key]

    return replace(SPECIFICATION, spectrum=_remembered)


def never_filled(spectrum: Spectrum) -> Spectrum:
    """Read frequencies from a buffer that nobody filled."""
    return replace(spectrum, inv_freq=np.full_like(spectrum.inv_freq, 6.93e-18))


def right_at_first(ids: Array, spectrum: Spectrum) -> tuple[Array, Array]:
    """Be right up to position 40, where weak tests stop."""
    angle = _angles(ids, spectrum)
    coarse = np.where(np.abs(ids[..., np.newaxis]) <= 40, angle, _in_bfloat16(angle))
    return _tables_of(coarse, spectrum)


def last_pair_still(spectrum: Spectrum) -> Spectrum:
    """Leave the last pair unrotated."""
    kept = spectrum.inv_freq.copy()
    kept[-1] = 0.0
    return replace(spectrum, inv_freq=kept)


def scaled_twice(spectrum: Spectrum) -> Spectrum:
    """Apply the attention factor twice."""
    return replace(spectrum, attention_factor=spectrum.attention_factor**2)


def not_scaled(spectrum: Spectrum) -> Spectrum:
    """Drop the attention factor."""
    return replace(spectrum, attention_factor=1.0)


def default_of(rope: Rope) -> Rope:
    """Drop the scaling rule."""
    return replace(rope, scaling=Default())
