"""Walks over tokens, against visiting every index."""

from __future__ import annotations

import itertools

import pytest

from ropelab_cuda.tokens import broadcast_strides, merge_axes, walk
from ropelab_cuda.views import View
from tests.ropelab.support import refuses

Axes = tuple[int, ...]


def visits(shape: Axes, rows: list[Axes]) -> list[Axes]:
    """Return every tensor's offset at each index, in the order of visiting."""
    return [
        tuple(sum(i * s for i, s in zip(index, row, strict=True)) for row in rows)
        for index in itertools.product(*(range(length) for length in shape))
    ]


CASES: list[tuple[Axes, list[Axes]]] = [
    ((4, 6), [(6, 1), (6, 1)]),  # merges
    ((4, 6), [(6, 1), (0, 1)]),  # positions broadcast over the batch: does not
    ((4, 6), [(1, 4), (6, 1)]),  # sequence first in memory
    ((1, 6), [(99, 1), (0, 1)]),
    ((4, 1), [(7, 1), (1, 0)]),
    ((1, 1), [(5, 5), (0, 0)]),
    ((6,), [(3,), (0,)]),
    ((), [(), ()]),
    ((4, 6), [(-12, -2), (6, 1)]),
]


@pytest.mark.parametrize(("shape", "rows"), CASES)
def test_merged_axes_visit_the_same_in_the_same_order(shape: Axes, rows: list[Axes]) -> None:
    assert visits(*merge_axes(shape, rows)) == visits(shape, rows)


@pytest.mark.parametrize("reorder", [True, False])
@pytest.mark.parametrize(("shape", "rows"), CASES)
def test_a_walk_has_two_axes_and_misses_nothing(
    shape: Axes, rows: list[Axes], reorder: bool
) -> None:
    lengths, strides = walk(shape, rows, reorder=reorder)
    assert len(lengths) == 2
    if reorder:
        assert sorted(visits(lengths, strides)) == sorted(visits(shape, rows))
        assert lengths[0] == 1 or abs(strides[0][0]) >= abs(strides[0][1])
    else:
        assert visits(lengths, strides) == visits(shape, rows)


def test_strides_that_need_three_axes_are_refused() -> None:
    with refuses(ValueError, "position_ids", "(2, 3, 5)"):
        walk((2, 3, 5), [(1, 77, 2)], reorder=False)


def test_broadcast_strides() -> None:
    view = View(0, (3, 1, 5), (50, 5, 1), "int64")
    assert broadcast_strides(view, (3, 4, 5)) == (50, 0, 1)
    assert broadcast_strides(view, (2, 3, 4, 5)) == (0, 50, 0, 1)
    assert broadcast_strides(view, (4, 5), skip=1) == (0, 1)
