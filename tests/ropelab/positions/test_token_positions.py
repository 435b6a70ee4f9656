"""Positions of tokens, whichever way they are said."""

from __future__ import annotations

import numpy as np
import pytest

from ropelab.positions import Consecutive, Packed
from ropelab.positions.token_positions import current_length, position_arrays, token_positions
from tests.ropelab.support import refuses


def test_ids_stay_what_they_are() -> None:
    ids = np.array([[3], [9]], np.uint16)
    assert token_positions(ids, (2, 5)) is ids
    with refuses(ValueError, "position_ids", "(2, 1)"):
        token_positions(ids, (3, 5))


def test_an_object_has_the_same_positions_on_every_axis() -> None:
    ids = token_positions(Packed([0, 2, 3], 5), (3,), axes=2)
    assert ids.tolist() == [[5, 6, 5], [5, 6, 5]]


def test_arrays_of_which_positions_are_made_are_not_copied() -> None:
    ids, bounds, offset = np.arange(3), np.array([0, 2], np.int32), np.array([7], np.int8)
    assert position_arrays(ids)["position_ids"] is ids
    made = position_arrays(Packed(bounds, offset))
    assert made["cu_seqlens"] is bounds
    assert made["offset"] is offset
    assert {name: x.tolist() for name, x in position_arrays(Consecutive(5)).items()} == {
        "offset": 5
    }


@pytest.mark.parametrize(
    ("ids", "tokens", "length"),
    [
        ([4, 1], (2,), 5),
        ([-9, -4], (2,), 1),
        (np.array([2**64 - 1], np.uint64), (1,), 2**63 - 1),
        ([], (0,), None),
        (Consecutive([3, 70]), (2, 4), 74),
        (Consecutive(2**63 - 3), (2,), 2**63 - 1),
        (Consecutive(-8), (1, 2), 1),
        (Consecutive(8), (2, 0), None),
        (Packed([0, 1, 9], [60, 2]), (9,), 61),
        (Packed([0, 4, 12], [60, 59], cp_size=2, cp_rank=1), (6,), 67),
    ],
)
def test_the_length_is_the_largest_position_plus_one(
    ids: object, tokens: tuple[int, ...], length: int | None
) -> None:
    assert current_length(ids, tokens) == length  # type: ignore[arg-type]
