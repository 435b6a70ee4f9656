"""Positions that cumulative lengths say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from ropelab import Rope, Spectrum, apply_rotary, rotate
from ropelab.positions import Packed, shard_tokens
from ropelab.scaling import DynamicNTK
from tests.ropelab.support import numbers, refuses

SPECTRUM = Spectrum([1.0, 0.3, 0.07, 1e-3])
PACK = [0, 12, 12, 36, 36]  # with two empty sequences
FAR = [131_060, 7, -9, 2**31 - 5]


def test_a_pack_is_rotated_as_its_sequences_are_one_by_one() -> None:
    x = numbers(36, 2, 8)
    whole = apply_rotary(x, Packed(PACK, FAR), SPECTRUM, tensor_format="thd")
    for (first, last), offset in zip(pairwise(PACK), FAR, strict=True):
        ids = np.arange(offset, offset + last - first)
        alone = apply_rotary(x[first:last], ids, SPECTRUM, tensor_format="thd")
        assert whole[first:last].tobytes() == alone.tobytes()


@pytest.mark.parametrize("cp_size", [2, 3])
@pytest.mark.parametrize("offset", [FAR, 5, [-7]])
def test_the_ranks_together_hold_the_positions_of_the_whole(cp_size: int, offset: object) -> None:
    whole = Packed(PACK, offset).ids((36,))
    found = np.zeros(36, np.int64)
    for rank in range(cp_size):
        part = Packed(np.array(PACK, np.int32), offset, cp_size, rank).ids((36 // cp_size,))
        found[shard_tokens(PACK, cp_size, rank)] = part
    assert found.tolist() == whole.tolist()


def test_an_odd_sequence_is_whole_on_one_rank() -> None:
    assert Packed([0, 1, 4]).ids((4,)).tolist() == [0, 0, 1, 2]
    assert Packed([0]).ids((0,)).tolist() == []


def test_ranks_agree_on_the_length_that_a_rule_sees() -> None:
    rope = Rope(8, scaling=DynamicNTK(2.0), max_position_embeddings=8)
    x = numbers(6, 1, 8)
    for rank in range(2):
        place = Packed([0, 4, 12], cp_size=2, cp_rank=rank)
        said = rotate(rope, x, x, place, tensor_format="thd")[0]
        told = rotate(rope, x, x, place, tensor_format="thd", seq_len=8)[0]
        assert said.tobytes() == told.tobytes()
    far = Packed([0, 4, 12], [0, 90], cp_size=2, cp_rank=1)  # its last position is 95, of 98
    said = rotate(rope, x, x, far, tensor_format="thd")[0]
    assert said.tobytes() == rotate(rope, x, x, far, tensor_format="thd", seq_len=98)[0].tobytes()
    assert said.tobytes() != rotate(rope, x, x, far, tensor_format="thd", seq_len=96)[0].tobytes()


@pytest.mark.parametrize(
    ("given", "kind", "name"),
    [
        ({"cu_seqlens": None}, TypeError, "cu_seqlens"),
        ({"cu_seqlens": [0.0, 4.0]}, TypeError, "cu_seqlens"),
        ({"cu_seqlens": 4}, ValueError, "cu_seqlens"),
        ({"cu_seqlens": [[0, 4]]}, ValueError, "cu_seqlens"),
        ({"cu_seqlens": []}, ValueError, "cu_seqlens"),
        ({"offset": [1]}, None, ""),
        ({"offset": [1, 2, 3]}, ValueError, "offset"),
        ({"offset": 0.0}, TypeError, "offset"),
        ({"cp_size": 0}, ValueError, "cp_size"),
        ({"cp_size": 2.0}, TypeError, "cp_size"),
        ({"cp_size": 2, "cp_rank": 2}, ValueError, "cp_rank"),
        ({"cp_rank": -1}, ValueError, "cp_rank"),
        ({"cp_rank": True}, TypeError, "cp_rank"),
    ],
)
def test_what_says_no_pack_is_refused_at_once(
    given: dict[str, object], kind: type[Exception] | None, name: str
) -> None:
    good: dict[str, object] = {"cu_seqlens": [0, 4, 8]}
    if kind is None:
        assert Packed(**{**good, **given}).ids((8,)).shape == (8,)  # type: ignore[arg-type]
        return
    with refuses(kind, name):
        Packed(**{**good, **given})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bounds", "tokens", "ranks", "name"),
    [
        ([0, 4, 3, 8], (8,), 1, "cu_seqlens"),
        ([1, 8], (8,), 1, "cu_seqlens"),
        ([0, 7], (8,), 1, "cu_seqlens"),
        ([0, 9], (8,), 1, "cu_seqlens"),
        ([0, 8], (8,), 2, "cu_seqlens"),
        ([0, 6, 16], (8,), 2, "cu_seqlens"),
        ([0, 8], (2, 4), 1, "position_ids"),
    ],
)
def test_a_pack_that_does_not_fit_the_tokens(
    bounds: list[int], tokens: tuple[int, ...], ranks: int, name: str
) -> None:
    with refuses(ValueError, name):
        Packed(bounds, cp_size=ranks).ids(tokens)
