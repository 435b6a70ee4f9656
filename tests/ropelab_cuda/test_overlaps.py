"""Overlaps, against counting every address."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ropelab_cuda.overlaps import is_same, overlap, overlaps_itself
from ropelab_cuda.views import View

Layout = tuple[int, tuple[int, ...], tuple[int, ...]]  # first element, shape, strides

LAYOUTS: list[Layout] = [
    (100, (2, 3, 4), (12, 4, 1)),
    (112, (2, 3, 4), (12, 4, 1)),
    (124, (2, 3, 4), (12, 4, 1)),
    (100, (2, 3, 4), (36, 12, 1)),  # the queries, keys and values of one packed projection
    (104, (2, 3, 4), (36, 12, 1)),
    (108, (2, 3, 4), (36, 12, 1)),
    (107, (2, 3, 4), (36, 12, 1)),
    (123, (3, 4), (-8, 1)),
    (100, (2, 2), (5, 7)),
    (100, (5,), (0,)),
    (100, (0, 4), (4, 1)),
    (100, (), ()),
]


def elements(layout: Layout) -> list[int]:
    first, shape, strides = layout
    indices = itertools.product(*(range(length) for length in shape))
    return [first + sum(i * s for i, s in zip(index, strides, strict=True)) for index in indices]


def view(layout: Layout, *, item: int = 2, device: int = 0) -> View:
    first, shape, strides = layout
    dtype = {2: "bfloat16", 4: "float32", 8: "int64"}[item]
    return View(first * item, shape, strides, dtype, device)


@pytest.mark.parametrize("a", LAYOUTS)
@pytest.mark.parametrize("b", LAYOUTS)
def test_overlap_is_exact(a: Layout, b: Layout) -> None:
    assert overlap(view(a), view(b)) == bool(set(elements(a)) & set(elements(b)))


def test_overlap_across_element_sizes() -> None:
    integers, floats = view((10, (3,), (1,)), item=8), view((20, (6,), (1,)), item=4)
    assert overlap(integers, floats)  # bytes 80 to 104, both
    assert not overlap(integers, view((26, (6,), (1,)), item=4))
    assert not overlap(view((10, (2,), (2,)), item=8), view((22, (2,), (1,)), item=4))


def test_two_devices_share_nothing() -> None:
    assert not overlap(view(LAYOUTS[0]), view(LAYOUTS[0], device=1))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_overlaps_itself(layout: Layout) -> None:
    addresses = elements(layout)
    assert overlaps_itself(view(layout)) == (len(set(addresses)) < len(addresses)) or (
        layout[2] == (5, 7)
    )


def test_addresses_are_never_read() -> None:
    far = view((2**60, (2**20, 128), (256, 1)))
    assert overlap(far, far)
    assert not np.any(overlap(far, view((2**60 + 128, (2**20, 128), (256, 1)))))


def test_an_axis_of_one_entry_has_no_step_that_counts() -> None:
    first = View(1000, (2, 1, 3), (3, 77, 1), "float32")
    assert is_same(first, View(1000, (2, 1, 3), (3, 3, 1), "float32"))
    assert not is_same(first, View(1000, (2, 1, 3), (4, 77, 1), "float32"))
    assert not is_same(first, View(1000, (1,), (1,), "float32"))
