"""Tensors that do not exist have the shapes of those that will."""

from __future__ import annotations

import pytest

import ropelab
from ropelab.scaling import Axial
from ropelab_cuda.foreseen import Foreseen, Tokens

PLAIN, AXIAL = ropelab.Rope(64), ropelab.Rope(64, scaling=Axial("hw"))


@pytest.mark.parametrize(
    ("rope", "tensor_format", "shapes"),
    [
        (PLAIN, "bshd", [(3, 5), (5,)]),
        (PLAIN, "thd", [(15,)]),
        (AXIAL, "sbhd", [(2, 3, 5), (2, 5)]),
        (AXIAL, "thd", [(2, 15)]),
    ],
)
def test_positions_come_in_each_of_their_shapes(
    rope: ropelab.Rope, tensor_format: str, shapes: list[tuple[int, ...]]
) -> None:
    calls = Foreseen(rope, 4, tensor_format=tensor_format, tokens=[(3, 5)])
    (tokens,) = calls.batches()
    found = [*calls.position_ids(tokens)]
    assert [view.shape for view in found] == shapes
    assert all(view.is_compact and view.dtype == "int64" for view in found)


@pytest.mark.parametrize(
    ("tensor_format", "shape"),
    [
        ("bshd", (3, 5, 7, 64)),
        ("bhsd", (3, 7, 5, 64)),
        ("sbhd", (5, 3, 7, 64)),
        ("thd", (15, 7, 64)),
    ],
)
def test_a_tensor_has_its_axes_in_order(tensor_format: str, shape: tuple[int, ...]) -> None:
    x = Tokens(3, 5, tensor_format).tensor(7, 64, "float16")
    assert x.shape == shape
    assert x.is_compact


def test_results_lie_apart_from_what_they_are_computed_from_unless_in_place() -> None:
    (tokens,) = (calls := Foreseen(PLAIN, 4, 2, tokens=[(3, 5)])).batches()
    assert all(x.pointer != out.pointer for x, out in calls.operands(tokens))
    assert [out.dtype for _, out in calls.operands(tokens, "float8_e5m2")] == ["float8_e5m2"] * 2
    calls = Foreseen(PLAIN, 4, 2, in_place=True)
    assert all(x is out for x, out in calls.operands(tokens))
