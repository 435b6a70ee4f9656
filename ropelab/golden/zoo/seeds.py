"""Bugs of the seed systems, and slips in reading the dialects of others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import ropelab
from ropelab import Rope, Spectrum
from ropelab.formats import Reading
from ropelab.scaling import Default, DynamicNTK, Linear, Llama3, VLLMDynamicNTK

from ...precision import narrow, widen
from ..case import Array
from ..implementation import SPECIFICATION, Implementation
from .harness import listed
from .mutant import Entries

__all__ = ["ENTRIES"]


def _odd_lanes(x: Array, *given: Any, **options: Any) -> Array:
    """Give odd channels x cos + y sin instead of x sin + y cos, where pairs are interleaved."""
    turned = ropelab.apply_rotary(x, *given, **options)
    if {options["layout"], options.get("output_layout") or "interleaved"} != {"interleaved"}:
        return turned
    first = options.get("rotary_offset", 0)
    width = given[1].rotary_dim
    even, odd = slice(first, first + width, 2), slice(first + 1, first + width, 2)
    mirrored = x.copy()
    mirrored[..., odd] = narrow(-widen(x[..., odd]), x.dtype)
    # Of a mirrored pair x cos - (-y) sin comes out first, which is what the kernel stores last.
    turned[..., odd] = ropelab.apply_rotary(mirrored, *given, **options)[..., even]
    return turned


def _odd_lanes_qk(q: Array, k: Array, *given: Any, **options: Any) -> tuple[Array, Array]:
    return _odd_lanes(q, *given, **options), _odd_lanes(k, *given, **options)


def _heads_overrun(q: Array, k: Array, *given: Any, **options: Any) -> tuple[Array, Array]:
    """Rotate k over the heads of q: rows of the next tokens again, by this token's position."""
    turned, right = ropelab.apply_rotary_qk(q, k, *given, **options)
    if options["tensor_format"] != "bshd" or q.shape[2] == k.shape[2]:
        return turned, right
    ids, spectrum = listed(given[0], q, "bshd", given[1].position_axes), given[1]
    positions = np.broadcast_to(ids, (*ids.shape[:-2], *k.shape[:2]))
    rows = k.copy().reshape(-1, 1, 1, k.shape[-1])
    for token in range(k.shape[0] * k.shape[1]):
        where = np.unravel_index(token, k.shape[:2])
        at = positions[..., where[0], where[1]].reshape(*positions.shape[:-2], 1, 1)
        first = token * k.shape[2]
        for row in range(first, min(first + q.shape[2], len(rows))):
            rows[row] = ropelab.apply_rotary(rows[row][np.newaxis], at, spectrum, **options)[0]
    return turned, rows.reshape(k.shape)


def _fused_positions(tensor_format: str, ids: Array, x: Array) -> Array:
    """Ignore the values of positions, except of packed tokens, as slices of a table do."""
    if tensor_format == "thd":
        return ids
    length = x.shape[tensor_format.index("s")]
    axes = getattr(ids, "shape", ())[:-2]
    return np.broadcast_to(np.arange(length), (*axes, 1, length)).astype(np.int64)


def _fused(x: Array, ids: Array, *given: Any, **options: Any) -> Array:
    at = _fused_positions(options["tensor_format"], ids, x)
    return ropelab.apply_rotary(x, at, *given, **options)


def _fused_qk(q: Array, k: Array, ids: Array, *given: Any, **options: Any) -> tuple[Array, Array]:
    at = _fused_positions(options["tensor_format"], ids, q)
    return ropelab.apply_rotary_qk(q, k, at, *given, **options)


def _bands_swapped(rope: Rope, seq_len: int | None) -> Spectrum:
    """Keep the long wavelengths of Llama 3's rule, and divide the short ones."""
    spectrum = rope.spectrum(seq_len)
    if not isinstance(rope.scaling, Llama3):
        return spectrum
    plain = replace(rope, scaling=Default()).spectrum().inv_freq
    rule, right = rope.scaling, spectrum.inv_freq
    divided = plain / rule.factor
    kept = np.where(right == plain, divided, np.where(right == divided, plain, right))
    return replace(spectrum, inv_freq=kept)


Readers = Callable[..., Reading]


def _reader(dialect: str, change: Callable[[Readers], Readers]) -> Implementation:
    """Return the specification with one reader changed."""
    readers = SPECIFICATION.readers
    return replace(SPECIFICATION, readers={**readers, dialect: change(readers[dialect])})


def _silent(read: Readers) -> Readers:
    return lambda *given, **options: Reading(read(*given, **options).rope)


def _one_key_divides(read: Readers) -> Readers:
    """Divide by the factor without the length, as Megatron does."""

    def changed(**given: Any) -> Reading:
        reading = read(**given)
        factor = given.get("seq_len_interpolation_factor")
        if reading.rope is None or factor is None or len(reading.findings) == 0:
            return reading
        return Reading(replace(reading.rope, scaling=Linear(factor)), reading.findings)

    return changed


def _with_rope(change: Callable[[Rope], Rope]) -> Callable[[Readers], Readers]:
    def _wrapped(read: Readers) -> Readers:
        def changed(*given: Any, **options: Any) -> Reading:
            reading = read(*given, **options)
            return reading if reading.rope is None else replace(reading, rope=change(reading.rope))

        return changed

    return _wrapped


def _growing(rope: Rope) -> Rope:
    """Take vLLM's dynamic for Transformers'."""
    rule = rope.scaling
    return (
        replace(rope, scaling=DynamicNTK(rule.factor)) if isinstance(rule, VLLMDynamicNTK) else rope
    )


def _by_time(rope: Rope) -> Rope:
    """Turn by time what llama.cpp turns by the fourth position."""
    axes = rope.axes
    return rope if axes is None else replace(rope, axes=tuple(axis % 3 for axis in axes))


def _halves(rope: Rope) -> Rope:
    return replace(rope, layout="half", output_layout="half")


ENTRIES: Entries = {
    "rotalabs-odd-lanes": (
        "M3",
        "odd channels of interleaved pairs get x cos + y sin",
        replace(SPECIFICATION, apply_rotary=_odd_lanes, apply_rotary_qk=_odd_lanes_qk),
    ),
    "rotalabs-heads-overrun": (
        "M11",
        "k is rotated over as many heads as q has",
        replace(SPECIFICATION, apply_rotary_qk=_heads_overrun),
    ),
    "nemo-fused-positions": (
        "M4",
        "values of positions ignored but for packed tokens",
        replace(SPECIFICATION, apply_rotary=_fused, apply_rotary_qk=_fused_qk),
    ),
    "nemo-bands-swapped": (
        "M6",
        "Llama 3's long wavelengths kept and short ones divided",
        replace(SPECIFICATION, spectrum=_bands_swapped),
    ),
    "transformer-engine-silent": (
        "M10",
        "one interpolation key of two dropped without a finding",
        _reader("transformer_engine", _silent),
    ),
    "transformer-engine-one-key": (
        "M10",
        "one interpolation key of two taken for Megatron's",
        _reader("transformer_engine", _one_key_divides),
    ),
    "vllm-dynamic-grows": (
        "M8",
        "vLLM's static dynamic taken for Transformers'",
        _reader("vllm", _with_rope(_growing)),
    ),
    "gguf-all-halves": (
        "M3",
        "every GGUF file taken for pairs of halves",
        _reader("gguf", _with_rope(_halves)),
    ),
    "gguf-sections-by-time": (
        "M13",
        "pairs past the woven sections turned by time",
        _reader("gguf", _with_rope(_by_time)),
    ),
}
