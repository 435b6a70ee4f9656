"""Microseconds of the device by graph replay, and of the host by the clock on the wall."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from .workloads import Cycle

if TYPE_CHECKING:
    import torch

__all__ = ["Call", "Timing", "device_times", "host_time", "summarise"]

Call = Callable[[int], Any]  # of a set's number; what it returns owns its outputs

SECONDS = 2.5  # for all rounds of a workload
FEWEST_ROUNDS, MOST_ROUNDS = 20, 200
HOST_CALLS, HOST_ROUNDS = 10, 25


@dataclass(frozen=True)
class Timing:
    """What many measurements say.

    Parameters
    ----------
    median, p10, p90 : float
        Microseconds a call.
    """

    median: float
    p10: float
    p90: float


def summarise(microseconds: Sequence[float]) -> Timing:
    """Return the median, and the spread without the outer tenths.

    Parameters
    ----------
    microseconds : sequence of float
        One value a measurement.

    Returns
    -------
    Timing
        Their order statistics.

    Examples
    --------
    >>> summarise([5.0, 1.0, 2.0, 3.0, 4.0])
    Timing(median=3.0, p10=1.4, p90=4.6)
    """
    median, p10, p90 = np.percentile(microseconds, [50, 10, 90]).round(4).tolist()
    return Timing(median, p10, p90)


def device_times(calls: Sequence[Call], cycle: Cycle) -> list[Timing]:
    """Measure calls against each other, by replaying a graph of each in turn.

    Parameters
    ----------
    calls : sequence of callable
        Each has been called before, so that nothing is compiled while a graph is captured.
    cycle : Cycle
        How often each is called, with which sets.

    Returns
    -------
    list of Timing
        One a call.
    """
    import torch

    pool = torch.cuda.graph_pool_handle()  # one memory for all, since they never run together
    graphs = [_captured(call, cycle, pool) for call in calls]
    _replay(graphs)  # the first replay uploads a graph
    torch.cuda.synchronize()
    start = perf_counter()
    _replay(graphs)
    torch.cuda.synchronize()
    affordable = int(SECONDS / (perf_counter() - start))
    rounds = min(MOST_ROUNDS, max(FEWEST_ROUNDS, affordable))
    # Nothing waits between the rounds: the host runs ahead, so that a graph is ready before the
    # device comes to it and its launch is not measured.
    events = [_replay(graphs) for _ in range(rounds)]
    torch.cuda.synchronize()
    return [
        summarise([before.elapsed_time(after) * 1e3 / cycle.calls for before, after in column])
        for column in zip(*events, strict=True)
    ]


def _captured(call: Call, cycle: Cycle, pool: Any) -> torch.cuda.CUDAGraph:
    import torch

    graph = torch.cuda.CUDAGraph()
    # Outputs are kept for a cycle, or the allocator would give each call the last one's memory,
    # which is still in the cache.
    outputs: deque[Any] = deque(maxlen=cycle.sets)
    with torch.cuda.graph(graph, pool=pool):
        for number in range(cycle.calls):
            outputs.append(call(number % cycle.sets))
    return graph


def _replay(
    graphs: Sequence[torch.cuda.CUDAGraph],
) -> list[tuple[torch.cuda.Event, torch.cuda.Event]]:
    import torch

    spans = []
    for graph in graphs:
        before = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        after = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        before.record()
        graph.replay()
        after.record()
        spans.append((before, after))
    return spans


def host_time(call: Call) -> float:
    """Measure what one eager call costs the host, which does not wait for the device.

    Parameters
    ----------
    call : callable
        It has been called before.

    Returns
    -------
    float
        Median, in microseconds.
    """
    import torch

    samples = []
    for _ in range(HOST_ROUNDS):
        torch.cuda.synchronize()
        start = perf_counter()
        for _ in range(HOST_CALLS):
            call(0)
        samples.append((perf_counter() - start) * 1e6 / HOST_CALLS)
    torch.cuda.synchronize()
    return summarise(samples).median
