"""Where tokens are: caches, packs, shards, M-RoPE, grids, and distances that attention bends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np

from .. import tolerances
from ..case import Array, Case

__all__ = ["cases"]

_PACK = [0, 12, 12, 36, 48]  # the second sequence is empty
_FAR = [0, 131_060, 7, 2**31 - 5]


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By function, in the order of `ropelab.positions`.
    """
    yield from _sequences()
    yield from _shards()
    yield from _mrope()
    yield from _grids()
    yield from _bent()


def _sequences() -> Iterator[Case]:
    yield _case("offset/scalar", "offset_positions", ("Offset",), tokens=5, offset=131_070)
    offsets = np.array(_FAR, np.int64)
    yield _case("offset/each", "offset_positions", ("Offset",), {"offset": offsets}, tokens=3)
    mask = np.array([[0, 0, 1, 1, 1], [1, 1, 1, 1, 0], [0, 1, 0, 1, 1]], np.int64)
    for name, kind in (("int", mask), ("bool", mask.astype(np.bool_))):
        given = {"attention_mask": kind}
        yield _case(f"mask/{name}", "masked_positions", ("Offset", "PositionValues"), given)
    for dtype in (np.int32, np.int64):
        bounds = {"cu_seqlens": np.array(_PACK, dtype)}
        path = f"packed/{np.dtype(dtype).name}"
        yield _case(path, "packed_positions", ("Offset",), bounds, tokens=48)
    given = {"cu_seqlens": np.array(_PACK, np.int64), "offsets": offsets}
    yield _case("packed/offsets", "packed_positions", ("Offset",), given)


def _shards() -> Iterator[Case]:
    published = {"cu_seqlens": np.array([0, 4, 8], np.int64)}  # Megatron-LM#5243
    for rank in range(2):
        path, ranks = f"shard/published/{rank}-of-2", {"cp_size": 2, "cp_rank": rank}
        yield _case(path, "shard_tokens", ("Offset",), published, **ranks)
    bounds = {"cu_seqlens": np.array(_PACK, np.int64)}
    for shards, size in (("zigzag", 1), ("zigzag", 3), ("contiguous", 2), ("contiguous", 3)):
        for rank in range(size):
            options = {"cp_size": size, "cp_rank": rank, "shards": shards}
            path = f"shard/{shards}/{rank}-of-{size}"
            yield _case(f"{path}/tokens", "shard_tokens", ("Offset",), bounds, **options)
            yield _case(f"{path}/positions", "shard_positions", ("Offset",), bounds, **options)
    far = {**bounds, "offsets": np.array(_FAR, np.int64)}
    options = {"cp_size": 2, "cp_rank": 1}
    yield _case("shard/zigzag/offsets", "shard_positions", ("Offset",), far, **options)


def _mrope() -> Iterator[Case]:
    for path, rotary_dim, sections, order in (
        ("qwen2-vl", 128, [16, 24, 24], "chunked"),
        ("glm-4.1v", 64, [8, 12, 12], "chunked"),
        ("hunyuan-vl", 128, [16, 16, 16, 16], "chunked"),
        ("qwen3-vl", 128, [24, 20, 20], "interleaved"),
        ("qwen3.5", 64, [11, 11, 10], "interleaved"),
        ("ernie-4.5-vl", 128, [22, 22, 20], "alternating"),
    ):
        given = {"rotary_dim": rotary_dim, "sections": sections, "order": order}
        yield _case(f"mrope-axes/{path}", "mrope_axes", ("Axes",), **given)
    yield _case("mrope-axes/neomme", "row_column_axes", ("Axes",), rotary_dim=26)
    for path, blocks in (
        ("text", [7]),
        ("images", [3, [1, 4, 6], 2, [1, 8, 4], [1, 2, 2], 1]),
        ("video", [2, [9, 4, 6], 5]),  # the last frame past the grid: the conventions part
        ("video-interval", [1, [4, 4, 4, 12.5], 3, [1, 4, 8], 2]),
        ("video-float32", [[12, 2, 4, 0.7], 1, [5, 4, 2, 1 / 3], 1]),
        ("frames", [4, [1, 6, 4], 3, [1, 6, 4], 3, [1, 6, 4], 2]),  # Qwen3-VL: stamps between
    ):
        for next_start in ("side", "maximum"):
            path_of = f"mrope/{path}/{next_start}"
            given = {"blocks": blocks, "next_start": next_start}
            yield _case(path_of, "mrope_positions", ("Axes", "PositionValues"), **given)
    given = {"blocks": [1, [2, 6, 9], 2], "spatial_merge_size": 3}
    yield _case("mrope/merge-3", "mrope_positions", ("Axes",), **given)
    ids = np.array([[0, 1, 2, 9, 9, 10], [0, 1, 2, 2, 3, 10], [0, 1, 2, 3, 2, 10]], np.int64)
    for path, tokens in (("text-last", 6), ("video-last", 5)):
        given_ids = {"position_ids": np.ascontiguousarray(ids[:, :tokens])}
        yield _case(f"mrope-delta/{path}", "mrope_delta", ("Offset",), given_ids)


def _grids() -> Iterator[Case]:
    for (height, width), merge in product(((4, 6), (6, 2)), (1, 2)):
        side = {"height": height, "width": width, "spatial_merge_size": merge}
        path = f"{height}x{width}/merge-{merge}"
        yield _case(f"grid/image/{path}", "image_grid", ("Axes",), **side)
        yield _case(f"grid/video/{path}", "video_grid", ("Axes",), frames=3, **side)
    yield _case("grid/llama-4", "llama4_grid", ("Axes",), side=5)
    for height, width in ((3, 4), (2, 5)):
        path = f"grid/centred/{height}x{width}"
        yield _case(path, "centred_grid", ("Axes",), height=height, width=width)


def _bent() -> Iterator[Case]:
    ids = np.array([0, 1, 7, 8, 1023, 1024, 1025, 131_071, 2**31 - 1], np.int64)
    row, few = np.arange(40, dtype=np.int64), np.array([3, 17, 39], np.int64)
    for group, window in ((8, 1024), (3, 10)):
        groups = {"group_size": group, "neighbor_window": window}
        path = f"{group}-{window}"
        given: dict[str, Array] = {"position_ids": ids}
        name = "self_extend_positions"
        yield _case(f"self-extend/{path}/positions", name, ("PositionValues",), given, **groups)
        given = {"query_ids": few, "key_ids": row}
        name = "self_extend_distances"
        yield _case(f"self-extend/{path}/distances", name, ("PositionValues",), given, **groups)
    given = {"query_ids": few, "key_ids": row}
    yield _case("rerope/distances", "rerope_distances", ("PositionValues",), given, window=12)
    given = {"position_ids": np.array([0, 5, 6, 7, 9, 11, 12, 6013], np.int64)}
    chunks = {"chunk_size": 8, "local_size": 2}
    yield _case("dual-chunk", "dual_chunk_positions", ("PositionValues",), given, **chunks)


def _case(
    path: str,
    function: str,
    flags: tuple[str, ...],
    arrays: Mapping[str, Array] = MappingProxyType({}),
    /,
    **arguments: Any,
) -> Case:
    options = {"function": function, "arguments": arguments}
    return Case(f"positions/{path}", "positions", arrays, options, tolerances.equal(), flags)
