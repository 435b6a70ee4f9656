"""Slots against loops over sequences and tokens, and what has no slot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ropelab import contiguous_slots, paged_slots
from ropelab.slots import check_slots
from tests.ropelab.support import refuses

TABLE = np.array([[7, 2, 9], [0, 4, 1]])


@pytest.mark.parametrize("offset", [0, 11, [11, 3]])
def test_a_contiguous_cache_has_one_row_of_tokens_a_sequence(offset: Any) -> None:
    cache = np.full((2, 19), -1)
    starts = np.broadcast_to(offset, 2)
    for b in range(2):
        for s in range(5):
            cache[b, starts[b] + s] = 5 * b + s
    slots = contiguous_slots(2, 5, 19, offset)
    assert slots.dtype == np.int64
    assert cache.ravel()[slots].tolist() == np.arange(10).reshape(2, 5).tolist()


def test_a_page_of_the_table_holds_the_positions_of_a_block() -> None:
    positions = np.array([[0, 15, 16, 47, -1], [-3, 31, 32, 17, 1]])
    slots = paged_slots(TABLE, positions, 16)
    for (b, s), m in np.ndenumerate(positions):
        assert slots[b, s] == (-1 if m < 0 else TABLE[b, m // 16] * 16 + m % 16)


def test_positions_of_all_sequences_alike() -> None:
    whole = paged_slots(TABLE, [[5, 9], [5, 9]], 4)
    assert paged_slots(TABLE, [5, 9], 4).tolist() == whole.tolist()
    assert paged_slots(TABLE, [[5, 9]], 4).tolist() == whole.tolist()
    assert paged_slots(TABLE, 5, 4).tolist() == whole[:, :1].tolist()


def test_both_are_the_same_where_the_blocks_are_the_sequences() -> None:
    positions = np.arange(3, 9)
    expected = contiguous_slots(4, 6, 10, 3)
    assert paged_slots(np.arange(4)[:, np.newaxis], positions, 10).tolist() == expected.tolist()


def test_a_block_that_is_not_needed_need_not_be_there() -> None:
    assert paged_slots([[3, -1]], [[2]], 4).tolist() == [[14]]
    with refuses(ValueError, "block_table", "-1"):
        paged_slots([[3, -1]], [[4]], 4)


@pytest.mark.parametrize(
    ("given", "error", "name", "came"),
    [
        ((2, 5, 19, 15), ValueError, "offset", "15"),
        ((2, 5, 19, [0, 15]), ValueError, "offset", "15"),
        ((2, 5, 19, -1), ValueError, "offset", "-1"),
        ((2, 5, 19, [1, 2, 3]), ValueError, "offset", "(3,)"),
        ((2, 5, 19, 1.0), TypeError, "offset", "float64"),
        ((0, 5, 19), ValueError, "batch", "0"),
        ((2, 5.0, 19), TypeError, "sequence", "5.0"),
        ((2, 5, 0), ValueError, "max_length", "0"),
    ],
)
def test_a_token_without_room(
    given: tuple[Any, ...], error: type[Exception], name: str, came: str
) -> None:
    with refuses(error, name, came):
        contiguous_slots(*given)


@pytest.mark.parametrize(
    ("given", "error", "name", "came"),
    [
        ((TABLE, [[0, 48]] * 2, 16), ValueError, "positions", "48"),
        ((TABLE, [[0]] * 3, 16), ValueError, "positions", "(3, 1)"),
        ((TABLE[0], [[0]], 16), ValueError, "positions", "(3,)"),
        ((TABLE, [[0.5]], 16), TypeError, "positions", "float64"),
        ((TABLE * 1.0, [[0]], 16), TypeError, "block_table", "float64"),
        ((TABLE, [[0]], 0), ValueError, "block_size", "0"),
    ],
)
def test_a_position_without_block(
    given: tuple[Any, ...], error: type[Exception], name: str, came: str
) -> None:
    with refuses(error, name, came):
        paged_slots(*given)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint64])
def test_slots_are_counted_in_any_integers(dtype: Any) -> None:
    check_slots(np.array([3, 0, 9], dtype), 10)
    with refuses(ValueError, "slots", "got 9", "less than 9"):
        check_slots(np.array([3, 0, 9], dtype), 9)
    with refuses(ValueError, "slots", "got 3 for 2 tokens"):
        check_slots(np.array([3, 0, 3], dtype), 10)


def test_padding_is_no_slot_that_two_tokens_share() -> None:
    check_slots(np.array([-1, -1, 4, -7]), 5)
