"""Packed sequences start anew."""

from itertools import pairwise

import numpy as np
import pytest

from ropelab import Rope, apply_rotary
from ropelab.positions import packed_positions
from tests.ropelab.support import refuses

BOUNDS = [0, 5, 5, 6, 19]


def test_each_sequence_counts_from_its_own_start() -> None:
    ids = packed_positions(np.array(BOUNDS, np.int32), tokens=19)
    assert ids.dtype == np.int64
    assert ids.tolist() == [*range(5), *range(1), *range(13)]
    assert packed_positions([0]).shape == (0,)


def test_each_sequence_may_start_behind_a_cache() -> None:
    ids = packed_positions(BOUNDS, offsets=[100, 7, 2**31, 3])
    assert ids.tolist() == [*range(100, 105), 2**31, *range(3, 16)]


def test_a_pack_is_rotated_as_its_sequences_are_one_by_one() -> None:
    x = np.random.default_rng(0).standard_normal((19, 2, 8))
    spectrum = Rope(8).spectrum()
    whole = apply_rotary(x, packed_positions(BOUNDS), spectrum, tensor_format="thd")
    for first, last in pairwise(BOUNDS):
        alone = apply_rotary(x[None, first:last], np.arange(last - first), spectrum)[0]
        assert whole[first:last].tobytes() == alone.tobytes()


@pytest.mark.parametrize(
    ("bounds", "options", "kind", "name"),
    [
        ([0, 4, 3], {}, ValueError, "cu_seqlens"),
        ([1, 4], {}, ValueError, "cu_seqlens"),
        ([], {}, ValueError, "cu_seqlens"),
        ([[0, 4]], {}, ValueError, "cu_seqlens"),
        ([0.0, 4.0], {}, TypeError, "cu_seqlens"),
        (None, {}, TypeError, "cu_seqlens"),
        ([0, 4], {"tokens": 3}, ValueError, "cu_seqlens"),
        ([0, 4], {"tokens": 4.0}, TypeError, "tokens"),
        ([0, 4], {"offsets": 3}, ValueError, "offsets"),
        ([0, 4], {"offsets": [-3]}, ValueError, "offsets"),
        ([0, 4], {"offsets": [2**63 - 2]}, ValueError, "offsets"),
    ],
)
def test_what_is_no_pack_is_refused(
    bounds: object, options: dict[str, object], kind: type[Exception], name: str
) -> None:
    with refuses(kind, name):
        packed_positions(bounds, **options)  # type: ignore[arg-type]
