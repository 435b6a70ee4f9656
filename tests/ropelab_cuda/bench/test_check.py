"""The check before anything is timed, and every candidate that a CPU can run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

import ropelab
from ropelab_cuda.bench import peers
from ropelab_cuda.bench.candidates import (
    FLOAT32,
    ROUNDED_ONCE,
    ROUNDED_THRICE,
    Candidate,
    candidates,
)
from ropelab_cuda.bench.check import worst_error
from ropelab_cuda.bench.inputs import Inputs, Pair
from ropelab_cuda.bench.results import COPIES, IN_PLACE, OURS
from ropelab_cuda.bench.workloads import Workload
from tests.models.small_llama import from_numpy

SMALL = Workload(2, 5, 3, 2, head_dim=16)


def specified(inputs: Inputs, layout: str, shift: int = 0) -> Callable[[Pair], Any]:
    """Return the specification in place of the kernels, perhaps at wrong positions."""

    def rotate(pair: Pair) -> Any:
        positions = inputs.position_ids + shift
        rotated = ropelab.apply_rotary_qk(pair.q, pair.k, positions, inputs.spectrum, layout=layout)
        return [from_numpy(array) for array in rotated]

    return rotate


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("shape", [(2, 5), (3, 1)], ids=["prefill", "decode"])
def test_right_results_pass_the_check(shape: tuple[int, int], layout: str, dtype: str) -> None:
    inputs = Inputs(Workload(*shape, 3, 2, head_dim=16, dtype=dtype), 1, device="cpu")
    ours = Candidate(OURS, layout, specified(inputs, layout))
    assert 0.0 < worst_error(ours, inputs) <= ROUNDED_ONCE
    cos, sin = inputs.tables[layout]
    rotate = peers.formula(layout)
    peer = Candidate("peer", layout, lambda pair: rotate(pair.q, pair.k, cos, sin), "float32")
    limit = FLOAT32 if dtype == "float32" else ROUNDED_THRICE
    assert ROUNDED_ONCE < worst_error(peer, inputs) <= limit


def test_wrong_results_do_not() -> None:
    inputs = Inputs(SMALL, 1, device="cpu")
    late = Candidate(OURS, "half", specified(inputs, "half", shift=1))
    mistaken = Candidate(OURS, "half", specified(inputs, "interleaved"))
    lost = Candidate(OURS, "half", lambda pair: (pair.q * math.nan, pair.k))
    untouched = Candidate(OURS, "half", lambda pair: (pair.q, pair.k))
    for wrong in (late, mistaken, lost, untouched):
        assert worst_error(wrong, inputs) > 10 * ROUNDED_THRICE
    copy = Candidate(COPIES[0], "", lambda pair: pair.block.clone())
    assert worst_error(copy, inputs) == 0.0
    assert worst_error(replace(copy, call=lambda pair: -pair.block), inputs) == math.inf


def test_the_check_leaves_the_inputs_alone() -> None:
    inputs = Inputs(SMALL, 1, device="cpu")
    before = inputs.sets[0].block.clone()
    worst_error(Candidate(IN_PLACE, "half", lambda pair: (pair.q.zero_(), pair.k.zero_())), inputs)
    assert torch.equal(inputs.sets[0].block, before)


@pytest.mark.parametrize("workload", [SMALL, Workload(4, 1, 3, 2)], ids=str)
def test_positions_end_where_angles_are_large(workload: Workload) -> None:
    positions = Inputs(workload, 1, device="cpu").position_ids
    assert int(positions.max()) == 131_071
    assert len(set(positions.flatten().tolist())) == positions.numel()


def test_every_candidate_is_right_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's own, at every layout, direction and width; ours run elsewhere."""
    monkeypatch.setattr(peers, "compiled", peers.formula)
    for shape in (SMALL, replace(SMALL, head_dim=24, rotary_dim=10), Workload(3, 1, 3, 2, 16)):
        inputs = Inputs(shape, 1, device="cpu")
        found = [c for c in candidates(inputs) if not c.name.startswith(OURS)]
        directions = 2 if shape.sequence > 1 else 1
        assert len(found) == 2 + 2 * directions
        for candidate in found:
            assert worst_error(candidate, inputs) <= candidate.tolerance
            if candidate.layout:
                turned = replace(candidate, backward=not candidate.backward)
                assert worst_error(turned, inputs) > 10 * candidate.tolerance


def test_a_channel_that_passes_through_must_not_change() -> None:
    inputs = Inputs(replace(SMALL, head_dim=24, rotary_dim=10), 1, device="cpu")

    def spoil(pair: Pair) -> Any:
        q, k = specified(inputs, "half")(pair)
        k[-1, -1, -1, -1] += 1
        return q, k

    assert worst_error(Candidate(OURS, "half", specified(inputs, "half")), inputs) <= ROUNDED_ONCE
    assert worst_error(Candidate(OURS, "half", spoil), inputs) == math.inf


def test_tables_of_other_libraries_hold_the_same_numbers() -> None:
    for shape in (SMALL, Workload(3, 1, 3, 2, 16)):
        inputs = Inputs(shape, 1, device="cpu")
        cos, sin = inputs.half_tables
        by_position = inputs.cache[inputs.positions_of_tokens].bfloat16()
        rows = inputs.rows if shape.sequence == 1 else torch.arange(5).repeat(2)
        assert torch.equal(torch.cat([cos[rows], sin[rows]], -1), by_position)
        assert inputs.cache_in(torch.bfloat16) is inputs.cache_in(torch.bfloat16)
