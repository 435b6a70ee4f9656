"""Positions made wrong: caches, packs, shards, M-RoPE and grids (M4, M5, M13)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from ropelab import Rope, Spectrum, positions

from ...scaling import Axial
from ..case import Array
from ..implementation import SPECIFICATION, Implementation
from .harness import with_rule
from .mutant import Entries

__all__ = ["ENTRIES"]


def _with(**wrong: Callable[..., Any]) -> Implementation:
    """Return the specification with other functions of positions."""
    right = {name: getattr(positions, name) for name in positions.__all__}
    return replace(SPECIFICATION, positions=SimpleNamespace(**{**right, **wrong}))


def _offset_ignored(tokens: int, offset: Any) -> Array:
    return positions.offset_positions(tokens, np.zeros_like(np.asarray(offset)))


def _first_offset(tokens: int, offset: Any) -> Array:
    """Take the cache of the first sequence for that of all."""
    return positions.offset_positions(tokens, np.full_like(offset, np.ravel(offset)[0]))


def _padding_ignored(attention_mask: Array) -> Array:
    mask = np.asarray(attention_mask)
    return np.broadcast_to(np.arange(mask.shape[-1]), mask.shape).copy()


def _counted_on(cu_seqlens: Array, **_: Any) -> Array:
    return np.arange(int(cu_seqlens[-1]))


def _of_the_first_sequence(cu_seqlens: Array, cp_size: int, cp_rank: int, **options: Any) -> Array:
    """Take the places within each sequence for the places within the pack."""
    return positions.shard_positions(cu_seqlens, cp_size, cp_rank, **options)


def _rank_0(cu_seqlens: Array, cp_size: int, **options: Any) -> Array:
    return positions.shard_tokens(cu_seqlens, cp_size, **{**options, "cp_rank": 0})


def _local_shard(cu_seqlens: Array, cp_size: int, cp_rank: int, **options: Any) -> Array:
    """Count the tokens of a shard from 0, as if they were the whole sequence."""
    return np.arange(positions.shard_positions(cu_seqlens, cp_size, cp_rank, **options).size)


def _chunked(rotary_dim: int, sections: Any, order: str) -> Any:
    """Drop the flag that says how the sections lie."""
    del order
    return positions.mrope_axes(rotary_dim, sections, order="chunked")


def _height_zeroed(*given: Any, **options: Any) -> Array:
    ids = positions.mrope_positions(*given, **options).copy()
    ids[1] = 0
    return ids


def _exchanged(height: int, width: int, **options: Any) -> Array:
    return positions.image_grid(height, width, **options)[::-1].copy()


def _column_by_column(height: int, width: int, **options: Any) -> Array:
    """Go down the columns, as a grid indexed by x and y does."""
    return positions.image_grid(width, height, **options)[::-1].copy()


def _counted_from_0(side: int) -> Array:
    return np.maximum(positions.llama4_grid(side) - 1, 0)


def _other_order(rope: Rope, seq_len: int | None) -> Spectrum:
    spectrum = rope.spectrum(seq_len)
    assert spectrum.axes is not None
    return replace(spectrum, axes=spectrum.axes.max() - spectrum.axes)


ENTRIES: Entries = {
    "cache-length-ignored": (
        "M5",
        "new tokens counted from 0, whatever lies in the cache",
        _with(offset_positions=_offset_ignored),
        "keras-hub!1544",
    ),
    "cache-of-the-first-sequence": (
        "M5",
        "every sequence behind a cache as long as the first one's",
        _with(offset_positions=_first_offset),
    ),
    "padding-ignored": (
        "M4",
        "tokens behind left padding counted with it",
        _with(masked_positions=_padding_ignored),
        "x-transformers#346",
    ),
    "pack-counted-on": (
        "M5",
        "the sequences of a pack counted as one",
        _with(packed_positions=_counted_on),
        "Automodel!2377",
    ),
    "shard-of-the-first-sequence": (
        "M5",
        "a rank's later sequences read the positions of the first: [0, 3, 0, 3]",
        _with(shard_tokens=_of_the_first_sequence),
        "Megatron-LM!5243",
    ),
    "shard-of-rank-0": (
        "M16",
        "every rank takes the shard of rank 0, which alone is tested",
        _with(shard_tokens=_rank_0),
        "TransformerEngine!3057",
    ),
    "shard-counted-from-0": (
        "M5",
        "a rank's tokens counted from 0",
        _with(shard_positions=_local_shard),
        "Automodel#1439",
    ),
    "sections-always-chunked": (
        "M13",
        "interleaved M-RoPE sections laid out as chunks",
        _with(mrope_axes=_chunked),
        "Qwen3-VL#1800",
    ),
    "height-of-images-zeroed": (
        "M13",
        "M-RoPE: the height index is always 0",
        _with(mrope_positions=_height_zeroed),
        "vllm!29425",
    ),
    "rows-and-columns-exchanged": (
        "M13",
        "a grid's columns where its rows should be",
        _with(image_grid=_exchanged),
        "llama.cpp!13282",
    ),
    "grid-column-by-column": (
        "M13",
        "patches numbered down the columns",
        _with(image_grid=_column_by_column),
        "pytorch-image-models!2541",
    ),
    "grid-counted-from-0": (
        "M13",
        "Llama 4's patches counted from 0, where its class token is",
        _with(llama4_grid=_counted_from_0),
    ),
    "axial-order-exchanged": (
        "M13",
        "axial frequencies of the height turned by the width",
        with_rule(Axial, _other_order),
        "vllm-omni!1784",
    ),
}
