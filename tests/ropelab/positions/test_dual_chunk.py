"""Dual chunk attention's positions."""

import numpy as np
import pytest
import torch

from ropelab.positions import dual_chunk_positions
from tests.ropelab.support import refuses

CHUNK, LOCAL = 24, 7


def test_positions_are_those_of_vllms_tables() -> None:
    # DualChunkRotaryEmbedding: tables of chunk_len rows, read by a query at position % chunk_len
    step, ids = CHUNK - LOCAL, torch.arange(100)
    succeeding = (torch.arange(step) + step).clamp(max=CHUNK)
    ours = dual_chunk_positions(ids.numpy(), CHUNK, LOCAL)
    assert {array.dtype for array in ours} == {np.dtype(np.int64)}
    assert ours.key.tolist() == (ids % step).tolist()
    assert ours.same_chunk.tolist() == torch.arange(step)[ids % step].tolist()
    assert ours.previous_chunk.tolist() == succeeding[ids % step].tolist()
    assert ours.earlier_chunk.tolist() == (torch.arange(step) + CHUNK)[ids % step].tolist()


def test_near_keys_are_seen_at_their_true_distance_and_none_beyond_the_trained_length() -> None:
    step, ids = CHUNK - LOCAL, np.arange(120)
    ours = dual_chunk_positions(ids, CHUNK, LOCAL)
    for query in ids.tolist():
        for key in range(query + 1):
            back = query // step - key // step
            asked = (ours.same_chunk, ours.previous_chunk, ours.earlier_chunk)[min(back, 2)]
            seen = int(asked[query] - ours.key[key])
            if back == 0 or (back == 1 and query % step <= LOCAL):
                assert seen == query - key
            assert 0 <= seen < CHUNK + step


@pytest.mark.parametrize(
    ("given", "kind", "name"),
    [
        (([-1], 8, 2), ValueError, "position_ids"),
        (([1.5], 8, 2), TypeError, "position_ids"),
        (([1], 0, 2), ValueError, "chunk_size"),
        (([1], 2**63 - 1, 1), ValueError, "chunk_size"),
        (([1], 8, 8), ValueError, "local_size"),
        (([1], 8, -1), ValueError, "local_size"),
        (([1], 8, 2.0), TypeError, "local_size"),
    ],
)
def test_what_is_no_chunk_is_refused(
    given: tuple[object, ...], kind: type[Exception], name: str
) -> None:
    with refuses(kind, name):
        dual_chunk_positions(*given)  # type: ignore[arg-type]
