"""What one eager call costs the host, beside a torch.mul of one element on the same machine."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from .candidates import Candidate, candidates
from .inputs import Inputs
from .torch_layer import through_torch, with_gradients
from .workloads import DECODE

__all__ = ["MUL", "HostTime", "host_times", "measure_host"]

MUL = "torch.mul, one element"
CALLS, ROUNDS = 20, 300


@dataclass(frozen=True)
class HostTime:
    """One row of the table.

    Parameters
    ----------
    name : str
        Who is called.
    microseconds : float
        Median of a call.
    of_mul : float
        Median of its ratio to torch.mul in the same round.
    """

    name: str
    microseconds: float
    of_mul: float


def host_times(
    calls: Mapping[str, Callable[[], Any]], synchronise: Callable[[], Any], rounds: int = ROUNDS
) -> list[HostTime]:
    """Measure calls, none of which waits for the device.

    Parameters
    ----------
    calls : mapping of str to callable
        Each has been called before; one of them is `MUL`.
    synchronise : callable
        Waits for the device, before each sample, so that no queue is ever full.
    rounds : int, default ROUNDS
        In each of which all calls take turns, in another order every time: so a change of the
        processor's clock meets all.

    Returns
    -------
    list of HostTime
        In the order of `calls`.
    """
    samples: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffle = list(calls), np.random.default_rng(0).shuffle
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            shuffle(order)
            for name in order:
                call = calls[name]
                synchronise()
                start = perf_counter()
                for _ in range(CALLS):
                    call()
                samples[name].append((perf_counter() - start) * 1e6 / CALLS)
    finally:
        if was_enabled:
            gc.enable()
    mul = np.array(samples[MUL])
    return [
        HostTime(
            name,
            round(float(np.median(samples[name])), 3),
            round(float(np.median(np.array(samples[name]) / mul)), 3),
        )
        for name in calls
    ]


def measure_host() -> dict[str, list[HostTime]]:
    """Measure everyone's call for one token, without gradients.

    Returns
    -------
    dict of str to list of HostTime
        By the torch context in which they were made.
    """
    import torch

    inputs = Inputs(DECODE[-1], 1)
    pair, number = inputs.sets[0], torch.ones(1, device="cuda")

    def bound(candidate: Candidate) -> Callable[[], Any]:
        """Return a call of the one pair."""
        return lambda: candidate.call(pair)

    contexts: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "torch.no_grad": torch.no_grad,
        "no tensor requires grad": torch.enable_grad,
        "torch.inference_mode": torch.inference_mode,
    }
    found = {}
    for context, enter in contexts.items():
        torch.compiler.reset()
        with enter():
            calls: dict[str, Callable[[], Any]] = {MUL: lambda: torch.mul(number, number)}
            everyone = {c.name: bound(c) for c in candidates(inputs) if c.layout == "half"}
            for name, call in (everyone | through_torch(inputs)).items():
                try:
                    for _ in range(3):
                        call()
                except Exception as error:  # another's failure must not end the run
                    if name.startswith("ropelab"):
                        raise
                    print(f"{name} fails: {type(error).__name__}: {error}")
                    continue
                calls[name] = call
            found[context] = host_times(calls, torch.cuda.synchronize)
    learnt = torch.ones(1, device="cuda", requires_grad=True)
    calls = {MUL: lambda: torch.mul(learnt, learnt), **with_gradients(inputs)}
    for call in calls.values():
        call()
    found["q and k require grad"] = host_times(calls, torch.cuda.synchronize)
    return found
