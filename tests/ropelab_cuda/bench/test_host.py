"""Host times, with a clock of our own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ropelab_cuda.bench import host
from ropelab_cuda.bench.host import MUL, host_times


def test_host_times_are_medians_and_ratios_of_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waits = [0.0], [0]
    monkeypatch.setattr(host, "perf_counter", lambda: now[0])

    def taking(microseconds: float) -> Callable[[], None]:
        def call() -> None:
            now[0] += microseconds * 1e-6 * (1 + waits[0] % 2)  # the clock changes by the sample

        return call

    def synchronise() -> None:
        waits[0] += 1
        now[0] += 1.0

    found = host_times({MUL: taking(4.0), "a": taking(6.0)}, synchronise, rounds=40)
    assert [row.name for row in found] == [MUL, "a"]
    assert found[0].of_mul == 1.0
    assert waits[0] == 80
    assert 4.0 <= found[0].microseconds <= 8.0
    assert found[1].of_mul in (0.75, 1.875, 3.0) or 0.75 <= found[1].of_mul <= 3.0
