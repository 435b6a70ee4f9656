"""Ropes that do not fit are refused before any launch, in the words of the specification."""

from dataclasses import dataclass
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import pytest

import ropelab
import ropelab_cuda
from ropelab import Rope
from ropelab.positions import Consecutive, Packed
from ropelab.scaling import DynamicNTK, Scaling
from tests.ropelab.support import refuses
from tests.shim.on_cpu import on_cpu

X = np.ones((2, 3, 5, 8), np.float32)
TEXT = np.arange(3)
WRONG: dict[str, tuple[Any, Any, Any]] = {
    "no rope": (None, X, TEXT),
    "a spectrum": (Rope(8).spectrum(), X, TEXT),
    "a wider head": (Rope(6), X, TEXT),
    "a narrower head": (Rope(10), X, TEXT),
    "positions of text": (Rope(8, axes=[0, 1, 2, 0]), X, TEXT),
}


@pytest.mark.parametrize("rotate", [ropelab_cuda.rotate, ropelab_cuda.rotate_])
@pytest.mark.parametrize("kind", WRONG)
def test_a_rope_that_does_not_fit_is_refused_as_by_the_specification(
    rotate: Any, kind: str
) -> None:
    rope, x, ids = WRONG[kind]
    with pytest.raises((TypeError, ValueError)) as expected:
        ropelab.rotate(rope, x, x, ids)
    with on_cpu(), pytest.raises(expected.type) as got:
        rotate(rope, x.copy(), x.copy(), ids)
    assert str(got.value) == str(expected.value)


def test_a_layer_without_a_rope_is_told_what_to_do() -> None:
    with refuses(TypeError, "rope", "None stands for", "leave its q and k as they are"):
        ropelab_cuda.rotate(None, X, X, TEXT)  # type: ignore[arg-type]


FAR = 2**31 - 5
COUNTED: dict[str, tuple[Any, str]] = {
    "offsets": (Consecutive(np.array([3, FAR], np.int32)), "bshd"),
    "negative offsets": (Consecutive(np.array([-9, -7])), "bshd"),
    "one offset": (Consecutive(np.array(70_000)), "bshd"),
    "a pack": (Packed(np.array([0, 3, 3, 6], np.int32), 11), "thd"),
    "a pack behind caches": (Packed(np.array([0, 2, 2, 6]), np.array([FAR, 2**40, 5])), "thd"),
    "a shard": (Packed(np.array([0, 4, 12]), 5, 2, 1), "thd"),
}


@pytest.mark.shim
@pytest.mark.parametrize("kind", COUNTED)
def test_the_device_finds_the_length_of_positions_that_are_counted(kind: str) -> None:
    rope = Rope(8, scaling=DynamicNTK(4.0), max_position_embeddings=4)
    place, tensor_format = COUNTED[kind]
    x = X if tensor_format == "bshd" else X.reshape(6, 5, 8)
    with on_cpu(), mock.patch("ropelab_cuda.ropes._length", side_effect=AssertionError):
        rotated = ropelab_cuda.rotate(rope, x, x, place, tensor_format=tensor_format)
    wanted = ropelab.rotate(rope, x, x, place, tensor_format=tensor_format)
    for got, want in zip(rotated, wanted, strict=True):
        assert np.abs(got - want).max() <= 1e-6


@dataclass(frozen=True)
class Own(Scaling):
    """A rule of a user's own, which the device does not know."""

    rope_type: ClassVar[str] = "own"
    depends_on_length: ClassVar[bool] = True

    def spectrum(self, rope: Any, seq_len: int | None = None) -> ropelab.Spectrum:
        return ropelab.Spectrum(np.full(rope.rotary_dim // 2, 1.0 / (seq_len or 1)))


@pytest.mark.shim
def test_the_host_reads_the_length_for_a_rule_of_ones_own() -> None:
    rope = Rope(8, scaling=Own())
    ids = np.array([[0, 1, 2], [7, 8, 100]])
    with on_cpu(), mock.patch("ropelab_cuda.ropes._length", return_value=101) as read:
        rotated = ropelab_cuda.rotate(rope, X, X, ids)
    assert read.call_count == 1
    for got, want in zip(rotated, ropelab.rotate(rope, X, X, ids), strict=True):
        assert np.abs(got - want).max() <= 1e-6
