"""Positions that must be refused: packs, shards, sections, grids and windows that cannot be."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..case import Case
from .refusal import refused, refused_rope

__all__ = ["cases"]

_RANKS = {"cp_size": 2, "cp_rank": 0}
_GROUPS = {"group_size": 4, "neighbor_window": 8}


def cases() -> Iterator[Case]:
    """Yield every case of bad input to `ropelab.positions`.

    Yields
    ------
    Case
        One a refusal.
    """
    packed, shard, mrope = "packed_positions", "shard_positions", "mrope_positions"
    bad: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        ("offset-negative", "offset_positions", "ValueError", {"tokens": 3, "offset": -1}),
        ("offset-float", "offset_positions", "TypeError", {"tokens": 3, "offset": 1.5}),
        ("offset-overflow", "offset_positions", "ValueError", {"tokens": 2, "offset": 2**63 - 1}),
        ("mask-of-documents", "masked_positions", "ValueError", {"attention_mask": [[1, 1, 2]]}),
        ("cu-seqlens-decreasing", packed, "ValueError", {"cu_seqlens": [0, 5, 3, 8]}),
        ("cu-seqlens-not-from-0", packed, "ValueError", {"cu_seqlens": [4, 8]}),
        ("cu-seqlens-float", packed, "TypeError", {"cu_seqlens": [0.0, 4.0]}),
        ("cu-seqlens-empty", packed, "ValueError", {"cu_seqlens": []}),
        ("cu-seqlens-short", packed, "ValueError", {"cu_seqlens": [0, 4], "tokens": 5}),
        ("packed-offsets", packed, "ValueError", {"cu_seqlens": [0, 4], "offsets": [1, 2]}),
        ("shard-uneven", shard, "ValueError", {"cu_seqlens": [0, 4, 10], **_RANKS}),
        (
            "shard-uneven-contiguous",
            shard,
            "ValueError",
            {"cu_seqlens": [0, 4, 9], **_RANKS, "shards": "contiguous"},
        ),
        ("shard-rank", shard, "ValueError", {"cu_seqlens": [0, 8], "cp_size": 2, "cp_rank": 2}),
        ("shard-rank--1", shard, "ValueError", {"cu_seqlens": [0, 8], "cp_size": 2, "cp_rank": -1}),
        ("shard-size", shard, "ValueError", {"cu_seqlens": [0, 8], "cp_size": 0, "cp_rank": 0}),
        ("shard-name", shard, "ValueError", {"cu_seqlens": [0, 8], **_RANKS, "shards": "striped"}),
        *_sections(),
        ("mrope-uneven", mrope, "ValueError", {"blocks": [1, [1, 5, 4]]}),
        ("mrope-grid-of-two", mrope, "ValueError", {"blocks": [[4, 4]]}),
        ("mrope-negative-text", mrope, "ValueError", {"blocks": [-1]}),
        ("mrope-float-grid", mrope, "TypeError", {"blocks": [[1, 4.0, 4]]}),
        ("mrope-interval", mrope, "ValueError", {"blocks": [[2, 4, 4, -1.0]]}),
        ("mrope-next-start", mrope, "ValueError", {"blocks": [1], "next_start": "vllm"}),
        ("grid-negative", "image_grid", "ValueError", {"height": -2, "width": 4}),
        ("grid-zero", "video_grid", "ValueError", {"frames": 0, "height": 2, "width": 4}),
        ("grid-float", "centred_grid", "TypeError", {"height": 2.0, "width": 4}),
        (
            "grid-uneven",
            "image_grid",
            "ValueError",
            {"height": 4, "width": 5, "spatial_merge_size": 2},
        ),
        ("self-extend-negative", "self_extend_positions", "ValueError", {"position_ids": [-1]}),
        (
            "self-extend-group",
            "self_extend_positions",
            "ValueError",
            {"position_ids": [1], "group_size": 0},
        ),
        (
            "rerope-window",
            "rerope_distances",
            "ValueError",
            {"query_ids": [1], "key_ids": [0], "window": 0},
        ),
        (
            "dual-chunk-local",
            "dual_chunk_positions",
            "ValueError",
            {"position_ids": [1], "chunk_size": 8, "local_size": 8},
        ),
    )
    for name, function, error, arguments in bad:
        given = {**_GROUPS, **arguments} if function == "self_extend_positions" else arguments
        options = {"function": function, "arguments": given}
        yield refused(f"positions/{name}", "positions", error, options)
    yield from _axial()
    bounds = {"cu_seqlens": np.array([0.0, 4.0], np.float32)}
    options = {"function": packed, "arguments": {}}
    yield refused("positions/cu-seqlens-float32", "positions", "TypeError", options, bounds)


def _sections() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    for name, sections, order in (
        ("sum", [16, 24, 25], "chunked"),
        ("of-channels", [32, 48, 48], "chunked"),
        ("negative", [-8, 48, 24], "chunked"),
        ("too-many-rows", [10, 34, 20], "interleaved"),
        ("two", [32, 32], "interleaved"),
        ("unlike", [24, 20, 20], "alternating"),
    ):
        given = {"rotary_dim": 128, "sections": sections, "order": order}
        yield f"sections-{name}", "mrope_axes", "ValueError", given
    given = {"rotary_dim": 128, "sections": [32, 32], "order": "woven"}
    yield "sections-order", "mrope_axes", "ValueError", given


def _axial() -> Iterator[Case]:
    card = {"head_dim": 16, "rotary_dim": 16, "base": 1e4, "layout": "half", "rope_type": "axial"}
    for name, error, change in (
        ("order", "ValueError", {"order": "xy"}),
        ("arrangement", "ValueError", {"arrangement": "interleaved"}),
        ("width-uneven", "ValueError", {"rotary_dim": 14}),
        ("widths-sum", "ValueError", {"widths": [8, 6]}),
        ("widths-odd", "ValueError", {"widths": [7, 9]}),
        ("widths-three", "ValueError", {"widths": [4, 6, 6]}),
        ("widths-woven", "ValueError", {"widths": [8, 8], "arrangement": "woven"}),
        ("scale-zero", "ValueError", {"scale": 0.0}),
        ("scale-text", "TypeError", {"scale": "1"}),
        ("scale-negative", "ValueError", {"scale": -1.0}),
        ("scale-nan", "ValueError", {"scale": math.nan}),
        ("scale-of-three", "ValueError", {"scale": [1.0, 1.0, 1.0]}),
        ("scale-nan-in-list", "ValueError", {"scale": [1.0, math.nan]}),
        ("widths-text", "TypeError", {"widths": ["8", "8"]}),
        ("widths-negative", "ValueError", {"widths": [-8, 24]}),
        ("widths-nan", "TypeError", {"widths": [8, math.nan]}),
        ("order-number", "ValueError", {"order": 1}),
    ):
        yield refused_rope(f"positions/axial-{name}", error, {**card, **change})
