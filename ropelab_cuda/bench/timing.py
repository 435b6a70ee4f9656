"""Microseconds of the device, by graph replay."""

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

__all__ = ["Call", "Timing", "device_times", "summarise"]

Call = Callable[[int], Any]  # of a set's number; what it returns owns its outputs

FEWEST_ROUNDS, MOST_ROUNDS = 10, 200
QUEUED = 2  # graphs that have been launched and are not done: one runs, one waits


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


def device_times(
    calls: Sequence[Call], cycle: Cycle, seconds: float = 1.0
) -> list[Timing | Exception]:
    """Measure calls against each other, by replaying a graph of each in turn.

    Parameters
    ----------
    calls : sequence of callable
        Each has been called before, so that nothing is compiled while a graph is captured.
    cycle : Cycle
        How often each is called, with which sets.
    seconds : float, default 1.0
        For all rounds; a few are made in any case.

    Returns
    -------
    list of Timing or Exception
        One a call; what cannot be captured says why.
    """
    import torch

    pool = torch.cuda.graph_pool_handle()  # one memory for all, since they never run together
    captured = [_captured(call, cycle, pool) for call in calls]
    graphs = [graph for graph in captured if not isinstance(graph, Exception)]
    queue: deque[torch.cuda.Event] = deque()
    _replay(graphs, queue)  # the first replay uploads a graph
    torch.cuda.synchronize()
    start = perf_counter()
    _replay(graphs, queue)
    torch.cuda.synchronize()
    rounds = int(seconds / (perf_counter() - start))
    rounds = min(MOST_ROUNDS, max(FEWEST_ROUNDS, rounds))
    _replay(graphs[-1:], queue)  # so that the first to be timed is launched beside another, too
    events = [_replay(graphs, queue) for _ in range(rounds)]
    torch.cuda.synchronize()
    timings = iter(
        summarise([before.elapsed_time(after) * 1e3 / cycle.calls for before, after in column])
        for column in zip(*events, strict=True)
    )
    return [graph if isinstance(graph, Exception) else next(timings) for graph in captured]


def _captured(call: Call, cycle: Cycle, pool: Any) -> torch.cuda.CUDAGraph | Exception:
    import torch

    graph = torch.cuda.CUDAGraph()
    # Outputs are kept for a cycle, or the allocator would give each call the last one's memory,
    # which is still in the cache.
    outputs: deque[Any] = deque(maxlen=cycle.sets)
    try:
        with torch.cuda.graph(graph, pool=pool):
            for number in range(cycle.calls):
                outputs.append(call(number % cycle.sets))
    except Exception as error:  # whatever others raise must not end the run
        return error
    return graph


def _replay(
    graphs: Sequence[torch.cuda.CUDAGraph], queue: deque[torch.cuda.Event]
) -> list[tuple[torch.cuda.Event, torch.cuda.Event]]:
    # Each is launched while the one before it runs: into an idle device, it would begin by waiting
    # for the host.
    import torch

    spans = []
    for graph in graphs:
        if len(queue) == QUEUED:
            queue.popleft().synchronize()
        before = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        after = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        before.record()
        graph.replay()
        after.record()
        queue.append(after)
        spans.append((before, after))
    return spans
