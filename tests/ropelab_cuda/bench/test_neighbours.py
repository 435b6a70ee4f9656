"""What the kernels are timed beside does what they do, and both do what is specified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ropelab_cuda.bench import neighbour_cases
from ropelab_cuda.bench.neighbour_cases import moved_bytes, neighbours
from ropelab_cuda.bench.neighbours import PEER_TOLERANCE, Row, _worst_error, table
from ropelab_cuda.bench.timing import Timing
from ropelab_cuda.bench.workloads import BAR, Workload
from tests.shim.on_cpu import on_cpu

SMALL = Workload(2, 16, 4, 2, head_dim=32)


def keys_everywhere(_q: Any, k: Any, _ids: Any) -> tuple[Any, Any]:
    return k[:, [0] * SMALL.q_heads], k


@pytest.mark.shim
def test_ours_and_theirs_are_as_specified(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from ropelab_cuda.bench.inputs import Inputs

    def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    monkeypatch.setattr(neighbour_cases, "_compiled", as_it_is)
    names = set()
    with on_cpu():
        inputs = Inputs(SMALL, 2, device="cpu")
        for case in neighbours(inputs):
            names.add(case.name)
            assert _worst_error(inputs, case, case.ours) <= case.tolerance
            assert 0.1 < _worst_error(inputs, case, case.peer) <= PEER_TOLERANCE
            wrong = replace(case, specified=keys_everywhere)
            assert _worst_error(inputs, wrong, case.ours) > 100.0
    assert len(names) == 6


def test_values_are_moved_too() -> None:
    case = neighbour_cases.Neighbour("", *[lambda *_: (0, 0)] * 3)  # type: ignore[arg-type]
    assert moved_bytes(BAR, case) == BAR.moved_bytes == 671_088_640
    assert moved_bytes(BAR, replace(case, with_values=True)) == 671_088_640 + 134_217_728


def test_the_table_shows_ratios() -> None:
    copy, ours, peer = (Timing(t, t, t) for t in (80.0, 100.0, 150.0))
    row = Row("an operation", 1_500_000, copy, ours, peer, 0.5, 1.0)
    assert (row.of_copy, row.of_peer) == (0.8, 1.5)
    cells = ("an operation", "1.5", "80.0", "100.0", "0.800", "150.0", "1.500", "0.50")
    assert table([row])[1] == cells
