"""Positions once more, token by token, in Python's integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .numbers import exactly, from_bits, mp, rounded

__all__ = ["POSITIONS"]

Ints = list[int]


def _offset_positions(tokens: int, offset: Any = 0) -> Any:
    if isinstance(offset, list):
        return [_offset_positions(tokens, first) for first in offset]
    row: Ints = []
    while len(row) < tokens:
        row.append(row[-1] + 1 if row else offset)
    return row


def _masked_positions(attention_mask: Any) -> Any:
    if isinstance(attention_mask[0], list):
        return [_masked_positions(row) for row in attention_mask]
    seen, result = 0, []
    for real in attention_mask:
        result.append(seen if real else 0)
        seen += int(real)
    return result


def _packed_positions(
    cu_seqlens: Ints, offsets: Ints | None = None, tokens: int | None = None
) -> Ints:
    result: Ints = []
    for sequence, length in enumerate(_lengths(cu_seqlens)):
        first = offsets[sequence] if offsets else 0
        result += [first + place for place in range(length)]
    assert tokens in (None, len(result))
    return result


def _shard(
    cu_seqlens: Ints, cp_size: int, cp_rank: int, shards: str = "zigzag"
) -> list[tuple[int, int, int]]:
    """Return (index in the pack, sequence, place in it) of every token of a rank."""
    held = []
    for sequence, length in enumerate(_lengths(cu_seqlens)):
        for place in range(length):
            # Whose is it? Counting pieces to and fro: 0, 1, ..., R-1, R-1, ..., 1, 0.
            if shards == "zigzag":
                piece = place * 2 * cp_size // length
                owner = piece if piece < cp_size else 2 * cp_size - 1 - piece
            else:
                owner = place * cp_size // length
            if owner == cp_rank:
                held.append((cu_seqlens[sequence] + place, sequence, place))
    return held


def _shard_tokens(**given: Any) -> Ints:
    return [index for index, _, _ in _shard(**given)]


def _shard_positions(offsets: Ints | None = None, **given: Any) -> Ints:
    return [place + (offsets[sequence] if offsets else 0) for _, sequence, place in _shard(**given)]


def _consecutive(tokens: tuple[int, ...], offset: Any = 0) -> Any:
    if len(tokens) == 1:
        return _offset_positions(tokens[0], offset[0] if isinstance(offset, list) else offset)
    return [_offset_positions(tokens[1], first) for first in _each(offset, tokens[0])]


def _packed(
    tokens: tuple[int, ...],
    cu_seqlens: Ints,
    offset: Any = 0,
    cp_size: int = 1,
    cp_rank: int = 0,
) -> Ints:
    """Return the positions of a pack, or of one rank's part of it."""
    offsets = _each(offset, len(cu_seqlens) - 1)
    if cp_size == 1:
        return _packed_positions(cu_seqlens, offsets, tokens[0])
    held = _shard_positions(offsets, cu_seqlens=cu_seqlens, cp_size=cp_size, cp_rank=cp_rank)
    assert len(held) == tokens[0]
    return held


def _each(offset: Any, sequences: int) -> Ints:
    """Return one offset a sequence."""
    offsets = offset if isinstance(offset, list) else [offset]
    return offsets * sequences if len(offsets) == 1 else offsets


def _lengths(cu_seqlens: Ints) -> Ints:
    return [cu_seqlens[i + 1] - cu_seqlens[i] for i in range(len(cu_seqlens) - 1)]


def _mrope_axes(rotary_dim: int, sections: Ints, order: str = "chunked") -> Ints:
    axes = [-1] * (rotary_dim // 2)
    if order == "chunked":
        remaining = [axis for axis, size in enumerate(sections) for _ in range(size)]
        return [remaining.pop(0) for _ in axes]
    if order == "alternating":  # rows at even, columns at odd pairs, time where they end
        rows, columns, _ = sections
        axes[0 : rows + columns : 2] = [1] * rows
        axes[1 : rows + columns : 2] = [2] * columns
    else:  # every third pair from 1 on is a row's, from 2 on a column's
        for axis in (1, 2):
            for k in range(sections[axis]):
                axes[3 * k + axis] = axis
    return [0 if axis < 0 else axis for axis in axes]


def _row_column_axes(rotary_dim: int) -> Ints:
    return [int(pair % 2 == 1) for pair in range(rotary_dim // 2)]


def _mrope_positions(
    blocks: list[Any], spatial_merge_size: int = 2, next_start: str = "side"
) -> list[Ints]:
    tokens: list[tuple[int, int, int]] = []
    start = 0
    for block in blocks:
        if isinstance(block, int):
            tokens += [(start + i,) * 3 for i in range(block)]
            start += block
            continue
        frames, height, width = block[:3]
        rows, columns = height // spatial_merge_size, width // spatial_merge_size
        interval = block[3] if len(block) == 4 else 1
        new = [
            (start + _time(frame, interval), start + row, start + column)
            for frame in range(frames)
            for row in range(rows)
            for column in range(columns)
        ]
        tokens += new
        largest = max(max(token) for token in new)
        start = largest + 1 if next_start == "maximum" else start + max(rows, columns)
    return [[token[axis] for token in tokens] for axis in range(3)]


def _time(frame: int, interval: float) -> int:
    """Return the frame's time: a product in float32, truncated."""
    single = from_bits(rounded([exactly(interval)], "float32"), "float32")[0]
    product = from_bits(rounded([frame * single], "float32"), "float32")[0]
    return int(mp.floor(product))


def _mrope_delta(position_ids: list[Ints]) -> int:
    return max(max(row) for row in position_ids) - len(position_ids[0]) + 1


def _video_grid(frames: int, height: int, width: int, spatial_merge_size: int = 1) -> list[Ints]:
    m = spatial_merge_size
    # The order of the patches is that of (frame, block's row, its column, row in it, column in it).
    patches = sorted(
        (frame, row // m, column // m, row % m, column % m)
        for frame in range(frames)
        for row in range(height)
        for column in range(width)
    )
    return [
        [frame for frame, *_ in patches],
        [m * block + inner for _, block, _, inner, _ in patches],
        [m * block + inner for _, _, block, _, inner in patches],
    ]


def _image_grid(height: int, width: int, spatial_merge_size: int = 1) -> list[Ints]:
    return _video_grid(1, height, width, spatial_merge_size)[1:]


def _llama4_grid(side: int) -> list[Ints]:
    indices = range(side * side)
    return [[i // side + 1 for i in indices] + [0], [i % side + 1 for i in indices] + [0]]


def _centred_grid(height: int, width: int) -> list[Ints]:
    # Twice the distance from the middle of the grid, in patches.
    rows, columns = _image_grid(height, width)
    return [[2 * i - (height - 1) for i in rows], [2 * j - (width - 1) for j in columns]]


def _self_extend_positions(position_ids: Ints, group_size: int, neighbor_window: int) -> list[Ints]:
    keys = [(m - m % group_size) // group_size for m in position_ids]
    shift = neighbor_window - (neighbor_window - neighbor_window % group_size) // group_size
    return [[key + shift for key in keys], keys]


def _self_extend_distances(
    query_ids: Ints, key_ids: Ints, group_size: int, neighbor_window: int
) -> list[Ints]:
    def distance(m: int, n: int) -> int:
        if m - n < neighbor_window:
            return m - n
        queries, _ = _self_extend_positions([m], group_size, neighbor_window)
        _, keys = _self_extend_positions([n], group_size, neighbor_window)
        return queries[0] - keys[0]

    return [[distance(m, n) for n in key_ids] for m in query_ids]


def _rerope_distances(query_ids: Ints, key_ids: Ints, window: int) -> list[Ints]:
    return [[window if m - n > window else m - n for n in key_ids] for m in query_ids]


def _dual_chunk_positions(position_ids: Ints, chunk_size: int, local_size: int) -> list[Ints]:
    result: list[Ints] = [[], [], [], []]
    for m in position_ids:
        place = m
        while place >= chunk_size - local_size:
            place -= chunk_size - local_size
        previous = place + chunk_size - local_size
        values = (place, place, previous if place < local_size else chunk_size, place + chunk_size)
        for row, value in zip(result, values, strict=True):
            row.append(value)
    return result


POSITIONS: Mapping[str, Callable[..., Any]] = {
    "offset_positions": _offset_positions,
    "masked_positions": _masked_positions,
    "packed_positions": _packed_positions,
    "shard_tokens": _shard_tokens,
    "shard_positions": _shard_positions,
    "Consecutive": _consecutive,
    "Packed": _packed,
    "mrope_axes": _mrope_axes,
    "row_column_axes": _row_column_axes,
    "mrope_positions": _mrope_positions,
    "mrope_delta": _mrope_delta,
    "image_grid": _image_grid,
    "video_grid": _video_grid,
    "llama4_grid": _llama4_grid,
    "centred_grid": _centred_grid,
    "self_extend_positions": _self_extend_positions,
    "self_extend_distances": _self_extend_distances,
    "rerope_distances": _rerope_distances,
    "dual_chunk_positions": _dual_chunk_positions,
}
"""What `ropelab.positions` has that gives integers, by name; objects are told the tokens first."""
